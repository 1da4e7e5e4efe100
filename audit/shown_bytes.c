/* SPDX-License-Identifier: Apache-2.0
 *
 * Text and raw bytes of a member; see shown_bytes.h. */
#include "audit/shown_bytes.h"

#include <stdio.h>
#include <string.h>

#include "audit/digest.h"
#include "base/utf8.h"

/* What base/json_out.h makes of these bytes: what is not valid UTF-8 is the character U+00XX of
 * each byte. */
static int shown_as(const uint8_t *p, size_t len, struct buf *out)
{
    int r = 0;

    for (size_t i = 0, n; i < len && r == 0; i += n) {
        uint32_t c;
        uint8_t wide[2] = {(uint8_t)(0xC0 | p[i] >> 6), (uint8_t)(0x80 | (p[i] & 0x3F))};

        n = utf8_next(p + i, len - i, &c);
        if (n > 0)
            r = buf_put(out, p + i, n);
        else
            r = buf_put(out, wide, sizeof wide);
        n += n == 0;
    }
    return r;
}

static bool is_text(const json_t *value, const struct buf *text)
{
    return json_string_length(value) == buf_len(text) &&
           (buf_len(text) == 0 ||
            memcmp(json_string_value(value), buf_head(text), buf_len(text)) == 0);
}

int shown_bytes(const json_t *record, const char *name, struct buf *out)
{
    const json_t *value = json_object_get(record, name);
    const json_t *raw;
    struct buf text;
    char raw_name[32];
    uint8_t *bytes;
    size_t len;
    int r = ERR_SYNTAX;

    snprintf(raw_name, sizeof raw_name, "%s.raw", name);
    raw = json_object_get(record, raw_name);
    if (!value)
        return raw ? ERR_SYNTAX : 0;
    if (!json_is_string(value))
        return ERR_SYNTAX;
    if (!raw)
        return buf_put(out, json_string_value(value), json_string_length(value)) < 0 ? ERR_MEMORY
                                                                                     : 1;
    len = json_string_length(raw) / 2;
    if (!json_is_string(raw) || strlen(json_string_value(raw)) != 2 * len || len == 0)
        return ERR_SYNTAX;
    bytes = buf_reserve(out, len);
    if (!bytes)
        return ERR_MEMORY;
    buf_init(&text, 2 * len);
    if (hex_decode(json_string_value(raw), bytes, len) == 0 && shown_as(bytes, len, &text) == 0 &&
        is_text(value, &text)) {
        buf_commit(out, len);
        r = 1;
    }
    buf_clear(&text);
    return r;
}
