/* SPDX-License-Identifier: Apache-2.0
 *
 * The CONNECT parser (gateway/request.h). Run by the listener on a stranger's bytes. It looks at
 * the whole prefix again whenever more came: at most 4 KiB, and no state that could be wrong. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "gateway/request.h"

#define METHOD_MAX 16 /* longer than any registered method that a browser or scanner sends */
#define HOST_MAX   253

static enum request_kind refuse(struct request *r, unsigned status, const char *why)
{
    r->status = status;
    r->why = why;
    return r->kind = REQUEST_REFUSED;
}

static bool is_alnum(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_tchar(uint8_t c)
{
    return is_alnum(c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_value(uint8_t c)
{
    return c == '\t' || (c >= ' ' && c != 0x7f);
}

/* What the bytes before the first complete line already tell. */
static enum request_kind first_bytes(const uint8_t *p, size_t len, struct request *r)
{
    static const char ssh[] = "SSH-2.0-", connect[] = "CONNECT ";
    const size_t n = len < 8 ? len : 8;
    size_t i = 0;

    if (memcmp(p, ssh, n) == 0)
        return r->kind = n == 8 ? REQUEST_SSH : REQUEST_MORE;
    if (memcmp(p, connect, n) == 0)
        return r->kind = n == 8 ? REQUEST_CONNECT : REQUEST_MORE;
    while (i < len && i < METHOD_MAX && is_tchar(p[i]))
        i++;
    if (i == len && i < METHOD_MAX)
        return r->kind = REQUEST_MORE;
    if (i > 0 && i < METHOD_MAX && p[i] == ' ')
        return refuse(r, 405, "the method is not CONNECT");
    return refuse(r, 400, "neither CONNECT nor SSH-2.0");
}

/* name ":" port, from the request line between the method and the version. */
static bool parse_target(const uint8_t *p, size_t len, struct request *r)
{
    size_t name = 0;
    unsigned long port = 0;

    while (name < len && (is_alnum(p[name]) || p[name] == '.' || p[name] == '-' || p[name] == '_'))
        name++;
    if (name == 0 || name > HOST_MAX || name == len || p[name] != ':')
        return false;
    for (size_t i = name + 1; i < len; i++) {
        if (p[i] < '0' || p[i] > '9' || i > name + 5)
            return false;
        port = port * 10 + (p[i] - '0');
    }
    if (port == 0 || port > 65535 || p[name + 1] == '0')
        return false;
    memcpy(r->target, p, len);
    r->target[len] = 0;
    return true;
}

static enum request_kind request_line(const uint8_t *p, size_t len, struct request *r)
{
    static const char version[] = " HTTP/1.1";
    const size_t method = 8, tail = sizeof version - 1;

    if (len < method + tail || memcmp(p + len - tail, version, tail) != 0)
        return refuse(r, 400, "the request line does not end in HTTP/1.1");
    if (!parse_target(p + method, len - method - tail, r))
        return refuse(r, 400, "the target is not NAME:PORT");
    return REQUEST_CONNECT;
}

static bool field_is(const uint8_t *p, size_t len, const char *name)
{
    return len == strlen(name) && strncasecmp((const char *)p, name, len) == 0;
}

static enum request_kind field(const uint8_t *p, size_t len, struct request *r)
{
    size_t name = 0;

    if (p[0] == ' ' || p[0] == '\t')
        return refuse(r, 400, "a header is folded");
    while (name < len && is_tchar(p[name]))
        name++;
    if (name == 0 || name == len || p[name] != ':')
        return refuse(r, 400, "a header is malformed");
    if (field_is(p, name, "Content-Length") || field_is(p, name, "Transfer-Encoding"))
        return refuse(r, 400, "a CONNECT has no body");
    for (size_t i = name + 1; i < len; i++) {
        if (!is_value(p[i]))
            return refuse(r, 400, "a header has a control character");
    }
    return REQUEST_CONNECT;
}

enum request_kind request_parse(const void *bytes, size_t len, struct request *out)
{
    const uint8_t *p = bytes;
    const size_t seen = len < REQUEST_MAX ? len : REQUEST_MAX;
    size_t at = 0;

    memset(out, 0, sizeof *out);
    if (first_bytes(p, seen, out) != REQUEST_CONNECT)
        return out->kind;
    for (;;) {
        size_t end = at;
        while (end < seen && p[end] != '\r' && p[end] != '\n')
            end++;
        if (end < seen && p[end] == '\n')
            return refuse(out, 400, "a line ends in a bare LF");
        if (end + 1 < seen && p[end + 1] != '\n')
            return refuse(out, 400, "a line ends in a bare CR");
        if (end + 1 >= seen) {
            if (len >= REQUEST_MAX)
                return refuse(out, 431, "the request is longer than 4096 bytes");
            return out->kind = REQUEST_MORE;
        }
        if (at == 0) {
            if (request_line(p, end, out) != REQUEST_CONNECT)
                return out->kind;
        } else if (end == at) {
            out->consumed = end + 2;
            return out->kind = REQUEST_CONNECT;
        } else if (field(p + at, end - at, out) != REQUEST_CONNECT) {
            return out->kind;
        }
        at = end + 2;
    }
}

size_t request_refusal(const struct request *r, char *out, size_t cap)
{
    static const char help[] =
        "This port is a Sallyport gateway. Reach a target through it with ssh "
        "and `sallyport connect NAME:22` as its ProxyCommand.\n";
    const char *phrase = r->status == 405   ? "Method Not Allowed"
                         : r->status == 431 ? "Request Header Fields Too Large"
                                            : "Bad Request";
    int n =
        snprintf(out, cap,
                 "HTTP/1.1 %u %s\r\n%sContent-Type: text/plain; charset=utf-8\r\n"
                 "Content-Length: %zu\r\nConnection: close\r\n\r\n%s: %s.\n%s",
                 r->status, phrase, r->status == 405 ? "Allow: CONNECT\r\n" : "",
                 strlen(phrase) + 2 + strlen(r->why) + 2 + sizeof help - 1, phrase, r->why, help);

    return n < 0 || (size_t)n >= cap ? 0 : (size_t)n;
}
