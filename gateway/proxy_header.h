/* SPDX-License-Identifier: Apache-2.0
 *
 * The header with which a load balancer says for whom it connects (PROXY protocol, versions 1 and
 * 2). Read by the listener from configured peers alone, before TLS; whoever reaches the load
 * balancer may have a say in it, so it is parsed as a stranger's bytes. Pure: no I/O, no state; it
 * looks at the whole prefix again whenever more came. Source: haproxy's proxy-protocol.txt of
 * 2020-03-05, chapters 2.1 and 2.2.
 *
 *     v1      = "PROXY " ( "UNKNOWN" [ SP anything ] / tcp4 / tcp6 ) CRLF       ; 107 bytes at most
 *     tcp4    = "TCP4" SP IPv4 SP IPv4 SP port SP port     ; source and destination
 *     tcp6    = "TCP6" SP IPv6 SP IPv6 SP port SP port
 *     port    = "0" / 1*5DIGIT                             ; to 65535, no leading zero
 *     v2      = signature %x20-21 family length *OCTET     ; 12, 1, 1, 2 and length bytes
 *     family  = %x11 / %x21 / %x00                         ; TCP over IPv4, over IPv6, unspecified
 *
 * stricter than the source: no UDP and no UNIX sockets; TLVs have to fill the rest of a version 2
 * header exactly, and a CRC32c among them has to be right; a source that is no host's address
 * (unspecified, multicast, link-local without its link) is refused. */
#ifndef SALLYPORT_GATEWAY_PROXY_HEADER_H
#define SALLYPORT_GATEWAY_PROXY_HEADER_H

#include <stddef.h>
#include <stdint.h>

#include "policy/address.h"

#define PROXY_V1_MAX 107
/* What the smallest segment carries that every host has to take (576 - 40): senders keep below. */
#define PROXY_HEADER_MAX 536

enum proxy_kind {
    PROXY_MORE,    /* not complete yet, and nothing wrong: all bytes so far are the header's */
    PROXY_ADDRESS, /* source and port are set */
    PROXY_LOCAL,   /* LOCAL, UNKNOWN, unspecified: the sender's own connection, a health check */
    PROXY_REFUSED, /* why is set */
};

struct proxy_header {
    enum proxy_kind kind;
    size_t consumed; /* ADDRESS, LOCAL: what follows is TLS */
    struct address source;
    uint16_t port;
    const char *why; /* REFUSED: static text */
};

enum proxy_kind proxy_header_parse(const void *bytes, size_t len, struct proxy_header *out);

#endif
