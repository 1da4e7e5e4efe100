/* SPDX-License-Identifier: Apache-2.0
 *
 * The control socket as the command-line tool sees it: one JSON object a line each way, served by
 * authd, which knows the caller's uid by SO_PEERCRED. Replies are checked for their shape, not
 * trusted further. */
#ifndef SALLYPORT_AUTH_CONTROL_CLIENT_H
#define SALLYPORT_AUTH_CONTROL_CLIENT_H

#include <jansson.h>

#include "base/err.h"

struct control; /* opaque */

/* The path RUNTIME/control that CONFDIR/sallyport.yaml names; the caller frees it. NULL on error.
 */
char *control_path(const char *confdir, struct err *e);

/* Connects. NULL on error: ERR_NOT_FOUND when nothing listens there (the daemon does not run). */
struct control *control_open(const char *path, struct err *e);
void control_free(struct control *c); /* NULL-safe */

/* Sends request (whose reference it takes, NULL: ERR_MEMORY) and waits for the reply, an object
 * with "ok": true, which the caller decrefs. A refusal is ERR_DENIED with the gateway's own text.
 */
MUST_CHECK int control_ask(struct control *c, json_t *request, json_t **reply, struct err *e);

/* The descriptor that came with the last reply (SCM_RIGHTS), the caller's from now on; -1: none. */
int control_take_fd(struct control *c);

/* Both in one: opens by the configuration, asks, closes. */
MUST_CHECK int control_once(const char *confdir, json_t *request, json_t **reply, struct err *e);

/* A member's text, or otherwise. Never NULL unless otherwise is. */
const char *control_text(const json_t *object, const char *name, const char *otherwise);

#endif
