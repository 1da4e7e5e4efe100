/* SPDX-License-Identifier: Apache-2.0
 *
 * A recorded terminal's bytes on their way to a reviewer's: the first byte says for a terminal or
 * for a file, the second where the bytes are cut. What passes holds only what audit/term_filter.h
 * lets through, does not depend on the cut, and passes again as it is. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "audit/term_filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SIZE_MAX_IN 4096

static void filter(enum term_mode mode, const void *bytes, size_t len, size_t cut, struct buf *out)
{
    const uint8_t *p = bytes;
    struct term_filter f;

    buf_init(out, 12 * SIZE_MAX_IN + 256);
    term_filter_init(&f, mode);
    if (term_filter_put(&f, p, cut, out) != 0 || term_filter_put(&f, p + cut, len - cut, out) != 0)
        abort();
}

/* Nothing starts a string, asks the terminal, or is a control of the second set. */
static void harmless(const uint8_t *p, size_t len, enum term_mode mode)
{
    for (size_t i = 0; i < len; i++) {
        if (p[i] == 0x1b) {
            if (mode == TERM_TEXT || i + 1 >= len || !p[i + 1] || !strchr("[78DEHMc()#", p[i + 1]))
                abort();
        } else if (p[i] < 0x20) {
            if (!strchr(mode == TERM_DRAW ? "\r\n\t\b\013\014\016\017" : "\n\t", p[i]) || !p[i])
                abort();
        } else if (p[i] == 0x7f || (p[i] == 0xc2 && i + 1 < len && p[i + 1] < 0xa0)) {
            abort();
        }
    }
}

static void same(const struct buf *a, const struct buf *b)
{
    if (buf_len(a) != buf_len(b) ||
        (buf_len(a) > 0 && memcmp(buf_head(a), buf_head(b), buf_len(a)) != 0))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole, parts, again;
    enum term_mode mode;

    if (size < 2 || size > SIZE_MAX_IN)
        return 0;
    mode = data[0] & 1 ? TERM_TEXT : TERM_DRAW;
    filter(mode, data + 2, size - 2, 0, &whole);
    filter(mode, data + 2, size - 2, data[1] % (size - 1), &parts);
    same(&whole, &parts);
    harmless(buf_head(&whole), buf_len(&whole), mode);
    filter(mode, buf_head(&whole), buf_len(&whole), 0, &again);
    same(&whole, &again);
    buf_clear(&whole);
    buf_clear(&parts);
    buf_clear(&again);
    return 0;
}
