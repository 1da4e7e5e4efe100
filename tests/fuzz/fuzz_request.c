/* SPDX-License-Identifier: Apache-2.0
 *
 * The first bytes inside TLS, as they arrive bit by bit: an answer does not depend on how they were
 * cut, is never taken back, and what is accepted is in the grammar of gateway/request.h. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_target(const struct request *r, const uint8_t *data, size_t size)
{
    const char *colon = strrchr(r->target, ':');
    long port = colon ? strtol(colon + 1, NULL, 10) : 0;

    if (!colon || colon == r->target || port < 1 || port > 65535)
        abort();
    for (const char *p = r->target; *p; p++)
        if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f)
            abort();
    if (r->consumed > size || r->consumed > REQUEST_MAX || r->consumed < 4 ||
        memcmp(data + r->consumed - 4, "\r\n\r\n", 4) != 0)
        abort();
}

static void check_refusal(const struct request *r)
{
    char out[512];
    size_t len = request_refusal(r, out, sizeof out);

    if (len == 0 || len >= sizeof out || !r->why ||
        (r->status != 400 && r->status != 405 && r->status != 431))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct request whole, part;

    request_parse(data, size, &whole);
    if (whole.kind == REQUEST_CONNECT)
        check_target(&whole, data, size);
    if (whole.kind == REQUEST_REFUSED)
        check_refusal(&whole);
    if (whole.kind == REQUEST_MORE && size > REQUEST_MAX)
        abort();
    for (size_t n = 0; n < size; n += 1 + n / 8) {
        uint8_t *exact = malloc(n > 0 ? n : 1); /* so that a read beyond is seen */
        if (!exact)
            abort();
        memcpy(exact, data, n);
        request_parse(exact, n, &part);
        free(exact);
        if (part.kind == REQUEST_MORE)
            continue;
        if (part.kind != whole.kind ||
            (part.kind == REQUEST_CONNECT &&
             (part.consumed != whole.consumed || strcmp(part.target, whole.target) != 0)))
            abort();
    }
    return 0;
}
