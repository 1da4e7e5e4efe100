/* SPDX-License-Identifier: Apache-2.0
 *
 * The PROXY header, as it arrives bit by bit: an answer does not depend on how it was cut, is never
 * taken back, and what is accepted says the same when it is read again by other means. */
#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/proxy_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same(const struct proxy_header *a, const struct proxy_header *b)
{
    return a->kind == b->kind && a->consumed == b->consumed && a->port == b->port &&
           a->source.family == b->source.family &&
           memcmp(a->source.bytes, b->source.bytes, sizeof a->source.bytes) == 0;
}

/* What is accepted of version 1, printed anew from what was understood, is accepted again as the
 * same. */
static void check_v1(const struct proxy_header *h)
{
    char line[PROXY_V1_MAX + 1], text[ADDRESS_TEXT];
    struct proxy_header again;
    int len = snprintf(line, sizeof line, "PROXY TCP%u %s %s %u 443\r\n", h->source.family,
                       address_text(&h->source, text), h->source.family == 4 ? "192.0.2.1" : "::1",
                       h->port);

    if (len <= 0 || (size_t)len >= sizeof line)
        abort();
    proxy_header_parse(line, (size_t)len, &again);
    if (again.kind != PROXY_ADDRESS || again.consumed != (size_t)len || again.port != h->port ||
        again.source.family != h->source.family ||
        memcmp(again.source.bytes, h->source.bytes, sizeof h->source.bytes) != 0)
        abort();
}

/* The source stands in a version 2 header as it is, or v4-mapped. */
static void check_v2(const struct proxy_header *h, const uint8_t *data)
{
    const size_t addresses = data[13] == 0x11 ? 8 : 32;
    const size_t at = 16 + (data[13] == 0x21 && h->source.family == 4 ? 12 : 0);

    if (data[12] != 0x21 || (data[13] != 0x11 && data[13] != 0x21) ||
        h->consumed != 16u + ((size_t)data[14] << 8 | data[15]) ||
        memcmp(h->source.bytes, data + at, h->source.family == 4 ? 4 : 16) != 0 ||
        h->port != (data[16 + addresses] << 8 | data[17 + addresses]))
        abort();
}

static void check(const struct proxy_header *h, const uint8_t *data, size_t size)
{
    if (h->kind == PROXY_REFUSED && (!h->why || strlen(h->why) > 200))
        abort();
    if (h->kind == PROXY_MORE && size >= PROXY_HEADER_MAX)
        abort();
    if (h->kind != PROXY_ADDRESS && h->kind != PROXY_LOCAL)
        return;
    if (h->consumed > size || h->consumed < 15 || h->consumed > PROXY_HEADER_MAX)
        abort();
    if (data[0] == 'P' && (h->consumed > PROXY_V1_MAX || data[h->consumed - 1] != '\n'))
        abort();
    if (h->kind != PROXY_ADDRESS)
        return;
    if (h->source.family != 4 && h->source.family != 6)
        abort();
    check_v1(h);
    if (data[0] != 'P')
        check_v2(h, data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_header whole, part;

    proxy_header_parse(size ? data : (const uint8_t *)"", size, &whole);
    check(&whole, data, size);
    for (size_t n = 0; n < size; n++) {
        uint8_t *exact = malloc(n > 0 ? n : 1); /* so that a read beyond is seen */
        if (!exact)
            abort();
        memcpy(exact, data, n);
        proxy_header_parse(exact, n, &part);
        free(exact);
        if (part.kind == PROXY_MORE)
            continue;
        /* Refused for another reason, perhaps: with less in sight. */
        if (part.kind != whole.kind || (part.kind != PROXY_REFUSED && !same(&part, &whole)))
            abort();
        break;
    }
    return 0;
}
