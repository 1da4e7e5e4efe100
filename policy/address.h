/* SPDX-License-Identifier: Apache-2.0
 *
 * Addresses and address lists: parsed once, normalised (v4-mapped v6 is v4; zone ids are refused),
 * compared as bytes. Pure. */
#ifndef SALLYPORT_POLICY_ADDRESS_H
#define SALLYPORT_POLICY_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"

struct address {
    uint8_t family;    /* 4 or 6 */
    uint8_t bytes[16]; /* network order; v4 uses the first 4 */
};

struct prefix {
    struct address base; /* host bits are zero */
    uint8_t bits;
};

#define ADDRESS_TEXT 64
/* Literal v4 or v6. ERR_SYNTAX. */
MUST_CHECK int address_parse(const char *text, struct address *out, struct err *e);
/* "10.0.0.0/8", "2001:db8::/32", or a single address; host bits set are an error that names the
 * right prefix. */
MUST_CHECK int prefix_parse(const char *text, struct prefix *out, struct err *e);
bool prefix_contains(const struct prefix *p, const struct address *a);
const char *address_text(const struct address *a, char out[ADDRESS_TEXT]);
MUST_CHECK int address_from_sockaddr(const struct sockaddr *sa, struct address *out,
                                     uint16_t *port);
socklen_t address_to_sockaddr(const struct address *a, uint16_t port, struct sockaddr_storage *out);
/* The source that quotas count: a v4 address, a v6 /64. */
struct address address_quota_key(const struct address *a);

#endif
