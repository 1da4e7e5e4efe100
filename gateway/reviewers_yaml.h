/* SPDX-License-Identifier: Apache-2.0
 *
 * reviewers.yaml: for whom recordings are sealed. Read by the supervisor at start and on SIGHUP, by
 * `sallyportd --check`, and by `sallyport audit reviewers`. Trusts only a file that root (or who
 * runs this) owns and nobody else may write. */
#ifndef SALLYPORT_GATEWAY_REVIEWERS_YAML_H
#define SALLYPORT_GATEWAY_REVIEWERS_YAML_H

#include "audit/reviewers.h"

#define REVIEWERS_FILE "reviewers.yaml"

/* Parses the text of a file; name is for messages. ERR_SYNTAX with "NAME:LINE:COLUMN: found ...,
 * expected ...". */
MUST_CHECK int reviewers_parse(const char *name, const void *bytes, size_t len,
                               struct reviewers *out, struct err *e);
/* Reads and parses CONFDIR/reviewers.yaml. */
MUST_CHECK int reviewers_load(const char *confdir, struct reviewers *out, struct err *e);
/* A sentence about a list with which one accident loses everything, without a newline; NULL: it is
 * fine. */
const char *reviewers_warning(const struct reviewers *list);

#endif
