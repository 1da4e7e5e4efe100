/* SPDX-License-Identifier: Apache-2.0
 *
 * What `sallyport audit index` and `search` share: where the reviewer's indexes are. */
#ifndef SALLYPORT_AUDIT_CLI_INDEX_H
#define SALLYPORT_AUDIT_CLI_INDEX_H

#include "audit/cli_audit.h"
#include "audit/text_index.h"

#define INDEX_PREFIX "index-"
#define INDEX_SUFFIX ".db"

/* $XDG_DATA_HOME/sallyport, else ~/.local/share/sallyport; the caller frees it. */
char *index_directory(void);

#endif
