/* SPDX-License-Identifier: Apache-2.0
 *
 * What `sallyport audit verify` does with --bundle. */
#ifndef SALLYPORT_AUDIT_CLI_BUNDLE_H
#define SALLYPORT_AUDIT_CLI_BUNDLE_H

#include "audit/cli_audit.h"

/* 0 verified, 1 tampered, 2 could not be checked. s: the keys that were given; it is closed. */
int audit_verify_bundle(struct audit_source *s, const char *path, bool json);

#endif
