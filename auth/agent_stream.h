/* SPDX-License-Identifier: Apache-2.0
 *
 * A backend's agent stream on authd's loop: bytes to auth/agent.h and back. A signature is given
 * after its KEY record is durable. Every request gets an answer, since the backend's library waits
 * for it without a timeout. */
#ifndef SALLYPORT_AUTH_AGENT_STREAM_H
#define SALLYPORT_AUTH_AGENT_STREAM_H

#include "auth/connection.h"

struct agent_stream;

/* Takes the descriptor (also on failure). NULL when memory is out. */
struct agent_stream *agent_stream_new(struct connection *c, int fd, const uint8_t *identity,
                                      size_t len);
void agent_stream_free(struct agent_stream *s);

#endif
