/* SPDX-License-Identifier: Apache-2.0
 *
 * The first bytes inside TLS: a CONNECT request, plain SSH, or something to refuse. Run by the
 * listener; the bytes come from whoever reaches the port. Pure: no I/O, no memory of its own.
 *
 *     request = "CONNECT" SP target SP "HTTP/1.1" CRLF *( field CRLF ) CRLF
 *     target  = name ":" port
 *     name    = 1*253( ALPHA / DIGIT / "." / "-" / "_" )
 *     port    = 1*5DIGIT                    ; 1 to 65535, no leading zero
 *     field   = 1*tchar ":" *( SP / HTAB / VCHAR / obs-text )     ; RFC 9110 5.1, 5.5
 *
 * stricter than RFC 9112: no bare LF or CR, no folding, at most REQUEST_MAX bytes in all, and
 * neither Content-Length nor Transfer-Encoding, so that nobody can disagree about where SSH begins.
 */
#ifndef SALLYPORT_GATEWAY_REQUEST_H
#define SALLYPORT_GATEWAY_REQUEST_H

#include <stddef.h>

#define REQUEST_MAX        4096
#define REQUEST_TARGET_MAX 260 /* 253 bytes of name, colon, 5 digits */

enum request_kind {
    REQUEST_MORE,    /* not complete yet */
    REQUEST_CONNECT, /* target is set; SSH begins after `consumed` bytes */
    REQUEST_SSH,     /* these bytes are SSH already; consumed is 0 */
    REQUEST_REFUSED, /* answer request_refusal(), then close; why is set */
};

struct request {
    enum request_kind kind;
    size_t consumed;
    char target[REQUEST_TARGET_MAX + 1];
    unsigned status; /* REFUSED: 400, 405 or 431 */
    const char *why; /* REFUSED: static text */
};

/* Looks at all bytes received so far. */
enum request_kind request_parse(const void *bytes, size_t len, struct request *out);

/* The answer to a CONNECT. */
#define REQUEST_ACCEPTED "HTTP/1.1 200 OK\r\n\r\n"
/* The whole answer to a refused request; out has room for cap >= 512 bytes. Returns its length. */
size_t request_refusal(const struct request *r, char *out, size_t cap);

#endif
