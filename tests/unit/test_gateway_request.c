/* SPDX-License-Identifier: Apache-2.0
 *
 * The CONNECT parser: what is let in, what is refused and how soon, and that it makes no difference
 * in which pieces the bytes come. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/request.h"

struct row {
    const char *text;
    size_t len; /* 0: strlen */
    enum request_kind kind;
    unsigned status;
    const char *target;
};

#define C "CONNECT hv1:22 HTTP/1.1\r\n"
static const struct row rows[] = {
    {"CONNECT hv1:22 HTTP/1.1\r\n\r\n", 0, REQUEST_CONNECT, 0, "hv1:22"},
    {"CONNECT hv1:22 HTTP/1.1\r\nHost: hv1:22\r\n\r\n", 0, REQUEST_CONNECT, 0, "hv1:22"},
    {"CONNECT a-b_c.D9:1 HTTP/1.1\r\n\r\n", 0, REQUEST_CONNECT, 0, "a-b_c.D9:1"},
    {"CONNECT hv1:65535 HTTP/1.1\r\n\r\n", 0, REQUEST_CONNECT, 0, "hv1:65535"},
    {C "X: \t v\x80\xff \r\nY:\r\n\r\n", 0, REQUEST_CONNECT, 0, "hv1:22"},
    {"SSH-2.0-", 0, REQUEST_SSH, 0, ""},
    {"SSH-2.0-OpenSSH_9.2\r\n", 0, REQUEST_SSH, 0, ""},
    /* more is needed */
    {"S", 0, REQUEST_MORE, 0, ""},
    {"SSH-2.0", 0, REQUEST_MORE, 0, ""},
    {"CONNECT", 0, REQUEST_MORE, 0, ""},
    {"CONNECT hv1:22 HTTP/1.1\r", 0, REQUEST_MORE, 0, ""},
    {C, 0, REQUEST_MORE, 0, NULL},
    {C "Host: x\r\n\r", 0, REQUEST_MORE, 0, NULL},
    {"GE", 0, REQUEST_MORE, 0, ""},
    /* other methods, other protocols */
    {"GET / HTTP/1.1\r\n\r\n", 0, REQUEST_REFUSED, 405, NULL},
    {"PRI * HTTP/2.0\r\n\r\n", 0, REQUEST_REFUSED, 405, NULL},
    {"CONNECTS hv1:22 HTTP/1.1\r\n\r\n", 0, REQUEST_REFUSED, 405, NULL},
    {"connect hv1:22 HTTP/1.1\r\n\r\n", 0, REQUEST_REFUSED, 405, NULL},
    {"SSH-1.99-x\r\n", 0, REQUEST_REFUSED, 400, NULL},
    {"\x16\x03\x01\x02", 0, REQUEST_REFUSED, 400, NULL},
    {"\0", 1, REQUEST_REFUSED, 400, NULL},
    {"\r\nCONNECT hv1:22 HTTP/1.1\r\n\r\n", 0, REQUEST_REFUSED, 400, NULL},
    {"AAAAAAAAAAAAAAAAAAAA", 0, REQUEST_REFUSED, 400, NULL},
    {"CONNECT\thv1:22 HTTP/1.1\r\n\r\n", 0, REQUEST_REFUSED, 400, NULL},
    /* the request line */
    {"CONNECT  hv1:22 HTTP/1.1\r\n\r\n", 0, REQUEST_REFUSED, 400, NULL},
    {"CONNECT hv1:22  HTTP/1.1\r\n\r\n", 0, REQUEST_REFUSED, 400, NULL},
    {"CONNECT hv1:22 HTTP/1.1 \r\n\r\n", 0, REQUEST_REFUSED, 400, NULL},
    {"CONNECT hv1:22 HTTP/1.0\r\n\r\n", 0, REQUEST_REFUSED, 400, NULL},
    {"CONNECT hv1:22\r\n\r\n", 0, REQUEST_REFUSED, 400, NULL},
    {"CONNECT  HTTP/1.1\r\n\r\n", 0, REQUEST_REFUSED, 400, NULL},
    {"CONNECT HTTP/1.1\r\n\r\n", 0, REQUEST_REFUSED, 400, NULL},
    {"CONNECT hv1 HTTP/1.1\r\n\r\n", 0, REQUEST_REFUSED, 400, NULL},
    {"CONNECT hv1: HTTP/1.1\r\n\r\n", 0, REQUEST_REFUSED, 400, NULL},
    {"CONNECT :22 HTTP/1.1\r\n\r\n", 0, REQUEST_REFUSED, 400, NULL},
    {"CONNECT hv1:0 HTTP/1.1\r\n\r\n", 0, REQUEST_REFUSED, 400, NULL},
    {"CONNECT hv1:022 HTTP/1.1\r\n\r\n", 0, REQUEST_REFUSED, 400, NULL},
    {"CONNECT hv1:65536 HTTP/1.1\r\n\r\n", 0, REQUEST_REFUSED, 400, NULL},
    {"CONNECT hv1:000022 HTTP/1.1\r\n\r\n", 0, REQUEST_REFUSED, 400, NULL},
    {"CONNECT hv1:+22 HTTP/1.1\r\n\r\n", 0, REQUEST_REFUSED, 400, NULL},
    {"CONNECT hv1:22:22 HTTP/1.1\r\n\r\n", 0, REQUEST_REFUSED, 400, NULL},
    {"CONNECT a@hv1:22 HTTP/1.1\r\n\r\n", 0, REQUEST_REFUSED, 400, NULL},
    {"CONNECT ../hv1:22 HTTP/1.1\r\n\r\n", 0, REQUEST_REFUSED, 400, NULL},
    {"CONNECT hv%31:22 HTTP/1.1\r\n\r\n", 0, REQUEST_REFUSED, 400, NULL},
    {"CONNECT [::1]:22 HTTP/1.1\r\n\r\n", 0, REQUEST_REFUSED, 400, NULL},
    {"CONNECT http://hv1:22 HTTP/1.1\r\n\r\n", 0, REQUEST_REFUSED, 400, NULL},
    {"CONNECT hv\xc3\xa9:22 HTTP/1.1\r\n\r\n", 0, REQUEST_REFUSED, 400, NULL},
    {"CONNECT hv1\0:22 HTTP/1.1\r\n\r\n", 29, REQUEST_REFUSED, 400, NULL},
    /* line ends */
    {"CONNECT hv1:22 HTTP/1.1\n\n", 0, REQUEST_REFUSED, 400, NULL},
    {"CONNECT hv1:22 HTTP/1.1\r\rX", 0, REQUEST_REFUSED, 400, NULL},
    {C "A: b\n\r\n", 0, REQUEST_REFUSED, 400, NULL},
    {C "A: b\rc\r\n\r\n", 0, REQUEST_REFUSED, 400, NULL},
    {C "\n", 0, REQUEST_REFUSED, 400, NULL},
    /* headers */
    {C "Content-Length: 0\r\n\r\n", 0, REQUEST_REFUSED, 400, NULL},
    {C "content-length: 0\r\n\r\n", 0, REQUEST_REFUSED, 400, NULL},
    {C "Transfer-Encoding: chunked\r\n\r\n", 0, REQUEST_REFUSED, 400, NULL},
    {C "A: b\r\n c\r\n\r\n", 0, REQUEST_REFUSED, 400, NULL},
    {C "A: b\r\n\tc\r\n\r\n", 0, REQUEST_REFUSED, 400, NULL},
    {C " A: b\r\n\r\n", 0, REQUEST_REFUSED, 400, NULL},
    {C "A : b\r\n\r\n", 0, REQUEST_REFUSED, 400, NULL},
    {C ": b\r\n\r\n", 0, REQUEST_REFUSED, 400, NULL},
    {C "Ab\r\n\r\n", 0, REQUEST_REFUSED, 400, NULL},
    {C "A: b\x07\r\n\r\n", 0, REQUEST_REFUSED, 400, NULL},
    {C "A: b\x7f\r\n\r\n", 0, REQUEST_REFUSED, 400, NULL},
};

static size_t row_len(const struct row *row)
{
    return row->len ? row->len : strlen(row->text);
}

Test(gateway_request, table)
{
    struct request r;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        cr_expect_eq(request_parse(row->text, row_len(row), &r), row->kind, "row %zu: %s", i,
                     row->text);
        cr_expect_eq(r.kind, row->kind, "row %zu", i);
        cr_expect_eq(r.status, row->status, "row %zu: status %u", i, r.status);
        if (row->target)
            cr_expect_str_eq(r.target, row->target, "row %zu", i);
        if (row->kind == REQUEST_CONNECT)
            cr_expect_eq(r.consumed, row_len(row), "row %zu", i);
        if (row->kind == REQUEST_SSH)
            cr_expect_eq(r.consumed, 0);
    }
}

/* Whatever was answered on a prefix: once it is decided, more bytes do not change the decision. */
Test(gateway_request, pieces)
{
    struct request r;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const size_t len = row_len(&rows[i]);
        enum request_kind decided = REQUEST_MORE;
        for (size_t n = 1; n <= len; n++) {
            char *exact = malloc(n); /* so that a sanitizer sees a read beyond */
            memcpy(exact, rows[i].text, n);
            const enum request_kind kind = request_parse(exact, n, &r);
            free(exact);
            if (decided != REQUEST_MORE)
                cr_expect_eq(kind, decided, "row %zu, %zu bytes", i, n);
            decided = kind;
        }
        cr_expect_eq(decided, rows[i].kind, "row %zu", i);
    }
}

Test(gateway_request, ssh_follows_at_once)
{
    static const char text[] = C "\r\nSSH-2.0-x\r\n";
    struct request r;

    cr_expect_eq(request_parse(text, sizeof text - 1, &r), REQUEST_CONNECT);
    cr_expect_eq(r.consumed, strlen(C) + 2);
}

Test(gateway_request, longest)
{
    char text[8192];
    struct request r;
    int n = snprintf(text, sizeof text, "CONNECT %0253d:22 HTTP/1.1\r\n\r\n", 0);

    cr_expect_eq(request_parse(text, (size_t)n, &r), REQUEST_CONNECT);
    n = snprintf(text, sizeof text, "CONNECT %0254d:22 HTTP/1.1\r\n\r\n", 0);
    cr_expect_eq(request_parse(text, (size_t)n, &r), REQUEST_REFUSED);

    /* exactly 4096 bytes are a request, one more is none, and neither is 4096 bytes without an end
     */
    n = snprintf(text, sizeof text, C "A: %0*d\r\n\r\n", (int)(4096 - strlen(C) - 7), 0);
    cr_assert_eq(n, 4096);
    cr_expect_eq(request_parse(text, 4096, &r), REQUEST_CONNECT);
    cr_expect_eq(request_parse(text, 4095, &r), REQUEST_MORE);
    n = snprintf(text, sizeof text, C "A: %0*d\r\n\r\n", (int)(4096 - strlen(C) - 6), 0);
    cr_expect_eq(request_parse(text, (size_t)n, &r), REQUEST_REFUSED);
    cr_expect_eq(r.status, 431);
    cr_expect_eq(request_parse(text, 4096, &r), REQUEST_REFUSED);
}

Test(gateway_request, refusal_counts_its_body)
{
    static const char *const texts[] = {"GET / HTTP/1.1\r\n\r\n", "SSH-1.5\r\n",
                                        C "Content-Length: 1\r\n\r\n"};
    char answer[1024];
    struct request r;

    for (size_t i = 0; i < 3; i++) {
        request_parse(texts[i], strlen(texts[i]), &r);
        const size_t len = request_refusal(&r, answer, sizeof answer);
        const char *body = memmem(answer, len, "\r\n\r\n", 4);
        const char *length = memmem(answer, len, "Content-Length: ", 16);
        cr_assert(len > 0 && body && length);
        cr_expect_eq(strtoul(length + 16, NULL, 10), len - (size_t)(body + 4 - answer));
    }
    cr_expect_eq(request_refusal(&r, answer, 20), 0);
}
