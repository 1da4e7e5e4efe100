/* SPDX-License-Identifier: Apache-2.0
 *
 * The little of HTTP/1.1 that witnesses speak (C2SP tlog-witness): whole messages with a
 * Content-Length, CRLF only. No folding, no transfer coding, no trailers, nothing forgiven: what is
 * read in two ways is refused. Used by sallyport-witness (requests of strangers) and
 * sallyport-courier (responses of witnesses); does no I/O. Source: RFC 9112. */
#ifndef SALLYPORT_AUDIT_HTTP_H
#define SALLYPORT_AUDIT_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* First line and headers; Go's and nginx's have a few hundred bytes. */
#define HTTP_HEAD_MAX    8192u
#define HTTP_HEADERS_MAX 64u
#define HTTP_PATH_MAX    255u
#define HTTP_TYPE_MAX    63u
/* 63 proof lines of 45 characters and the longest note (audit/note.h) */
#define HTTP_BODY_MAX 70000u

struct http_message {
    char method[8];               /* requests */
    char path[HTTP_PATH_MAX + 1]; /* requests: in origin form, without a query */
    unsigned status;              /* responses: 200 to 599 */
    char content_type[HTTP_TYPE_MAX + 1];
    size_t head_len, body_len; /* the body is in[head_len .. head_len + body_len) */
    bool close;                /* the connection ends after it */
};

/* 1: a whole message is in in[0 .. head_len + body_len). 0: more is needed. ERR_SYNTAX: it will
 * never be one. ERR_FULL: over a bound above. */
MUST_CHECK int http_request_parse(struct http_message *m, const char *in, size_t len,
                                  struct err *e);
MUST_CHECK int http_response_parse(struct http_message *m, const char *in, size_t len,
                                   struct err *e);

/* The words of a status code that this file's users send. */
const char *http_reason(unsigned status);

#endif
