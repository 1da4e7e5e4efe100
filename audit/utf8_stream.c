/* SPDX-License-Identifier: Apache-2.0
 *
 * UTF-8 over pieces (RFC 3629), and as JSON (RFC 8259, section 7). */
#include "audit/utf8_stream.h"

#include <string.h>

#include "base/utf8.h"

static const uint8_t replacement[3] = {0xef, 0xbf, 0xbd};

/* How many bytes a sequence has that begins with c; 0: it begins none. */
static unsigned length_of(uint8_t c)
{
    if (c < 0x80)
        return 1;
    if (c >= 0xc2 && c <= 0xdf)
        return 2;
    if ((c & 0xf0) == 0xe0)
        return 3;
    return c >= 0xf0 && c <= 0xf4 ? 4 : 0;
}

/* Whether p[0 .. len) can still become a sequence: its first byte begins a longer one, and what
 * follows are continuation bytes in that one's range. */
static bool can_go_on(const uint8_t *p, size_t len)
{
    if (len >= length_of(p[0]))
        return false;
    if (len >= 2) {
        uint8_t low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
        uint8_t high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;

        if (p[1] < low || p[1] > high)
            return false;
    }
    return len < 3 || (p[2] & 0xc0) == 0x80;
}

/* Everything of p that is decided; what is not stays in s->kept. */
static int take(struct utf8_stream *s, const uint8_t *p, size_t len, struct buf *out)
{
    size_t from = 0, at = 0;
    int r;

    s->have = 0;
    while (at < len) {
        uint32_t c;
        size_t n = utf8_next(p + at, len - at, &c);

        if (n > 0) {
            at += n;
            continue;
        }
        r = buf_put(out, p + from, at - from);
        if (r < 0)
            return r;
        if (can_go_on(p + at, len - at)) {
            s->have = (unsigned)(len - at);
            memcpy(s->kept, p + at, s->have);
            return 0;
        }
        r = buf_put(out, replacement, sizeof replacement);
        if (r < 0)
            return r;
        from = ++at;
    }
    return buf_put(out, p + from, at - from);
}

int utf8_stream_put(struct utf8_stream *s, const void *bytes, size_t len, struct buf *out)
{
    const uint8_t *p = bytes;

    while (s->have > 0 && len > 0) { /* at most three times: then it is one, or is not */
        uint8_t begun[4];
        unsigned n = s->have;
        int r;

        memcpy(begun, s->kept, n);
        begun[n] = *p++;
        len--;
        r = take(s, begun, n + 1, out);
        if (r < 0)
            return r;
    }
    return len > 0 ? take(s, p, len, out) : 0;
}

int utf8_stream_end(struct utf8_stream *s, struct buf *out)
{
    int r = 0;

    for (; s->have > 0 && r == 0; s->have--)
        r = buf_put(out, replacement, sizeof replacement);
    return r;
}

static int put_escape(struct buf *out, uint32_t c)
{
    switch (c) {
    case '"':
        return buf_put(out, "\\\"", 2);
    case '\\':
        return buf_put(out, "\\\\", 2);
    case '\n':
        return buf_put(out, "\\n", 2);
    case '\r':
        return buf_put(out, "\\r", 2);
    case '\t':
        return buf_put(out, "\\t", 2);
    default:
        return buf_printf(out, "\\u%04x", (unsigned)c);
    }
}

int json_text_put(struct buf *out, const void *text, size_t len)
{
    const uint8_t *p = text;
    size_t from = 0, at = 0;
    int r = 0;

    while (at < len && r == 0) {
        uint32_t c = 0xfffd;
        size_t n = utf8_next(p + at, len - at, &c);

        if (n > 0 && c >= 0x20 && c != '"' && c != '\\' && (c < 0x7f || c >= 0xa0)) {
            at += n;
            continue;
        }
        r = buf_put(out, p + from, at - from);
        if (r == 0)
            r = n > 0 ? put_escape(out, c) : buf_put(out, replacement, sizeof replacement);
        at += n > 0 ? n : 1;
        from = at;
    }
    return r < 0 ? r : buf_put(out, p + from, at - from);
}
