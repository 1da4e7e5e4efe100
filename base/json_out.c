/* SPDX-License-Identifier: Apache-2.0
 *
 * The JSON writer (base/json_out.h). Output is RFC 8259; every string that was not valid UTF-8 can
 * be had back from its ".raw" sibling. Used by every process that writes records; does no I/O. */
#include "base/json_out.h"

#include <inttypes.h>
#include <string.h>

#include "base/utf8.h"

static void put(struct json_out *j, const void *p, size_t len)
{
    if (!j->failed && buf_put(j->out, p, len))
        j->failed = true;
}

static void put_text(struct json_out *j, const char *s)
{
    put(j, s, strlen(s));
}

/* \u00XX of one byte or control. */
static void put_u00(struct json_out *j, uint8_t v)
{
    static const char hex[] = "0123456789abcdef";
    const char text[] = {'\\', 'u', '0', '0', hex[v >> 4], hex[v & 15]};
    put(j, text, sizeof text);
}

/* True when all of it was valid UTF-8. */
static bool put_quoted(struct json_out *j, const uint8_t *p, size_t len)
{
    bool valid = true;
    size_t plain = 0; /* bytes before i that are copied as they are */

    if (!len)
        p = (const uint8_t *)"";
    put(j, "\"", 1);
    for (size_t i = 0; i < len;) {
        uint32_t c = 0;
        size_t n = utf8_next(p + i, len - i, &c);
        bool escape = !n || c < 0x20 || c == '"' || c == '\\' || (c >= 0x7F && c <= 0x9F);

        if (!escape) {
            plain += n;
            i += n;
            continue;
        }
        put(j, p + i - plain, plain);
        plain = 0;
        if (!n) {
            valid = false;
            put_u00(j, p[i]);
            n = 1;
        } else if (c == '"' || c == '\\') {
            put(j, c == '"' ? "\\\"" : "\\\\", 2);
        } else {
            put_u00(j, (uint8_t)c);
        }
        i += n;
    }
    put(j, p + len - plain, plain);
    put(j, "\"", 1);
    return valid;
}

/* The comma and the name before a value. */
static void begin_value(struct json_out *j, const char *name)
{
    if (!j->first[j->depth])
        put(j, ",", 1);
    j->first[j->depth] = false;
    if (name) {
        put_quoted(j, (const uint8_t *)name, strlen(name));
        put(j, ":", 1);
    }
}

static void open_level(struct json_out *j, const char *open, char closing)
{
    put_text(j, open);
    INVARIANT(j->depth + 1 < JSON_OUT_DEPTH);
    j->depth++;
    j->first[j->depth] = true;
    j->closing[j->depth] = closing;
}

void json_begin(struct json_out *j, struct buf *out)
{
    *j = (struct json_out){.out = out, .first = {true}};
    open_level(j, "{", '}');
}

static void put_hex(struct json_out *j, const uint8_t *p, size_t len)
{
    static const char hex[] = "0123456789abcdef";

    put(j, "\"", 1);
    for (size_t i = 0; i < len; i++) {
        const char text[] = {hex[p[i] >> 4], hex[p[i] & 15]};
        put(j, text, 2);
    }
    put(j, "\"", 1);
}

void json_bytes(struct json_out *j, const char *name, const void *p, size_t len)
{
    begin_value(j, name);
    if (put_quoted(j, p, len) || !name)
        return;
    put(j, ",", 1);
    put(j, "\"", 1);
    put_text(j, name); /* names are ours: plain ASCII */
    put_text(j, ".raw\":");
    put_hex(j, p, len);
}

void json_str(struct json_out *j, const char *name, const char *value)
{
    if (value) {
        json_bytes(j, name, value, strlen(value));
        return;
    }
    begin_value(j, name);
    put_text(j, "null");
}

void json_hex(struct json_out *j, const char *name, const void *p, size_t len)
{
    begin_value(j, name);
    put_hex(j, p, len);
}

void json_u64(struct json_out *j, const char *name, uint64_t value)
{
    begin_value(j, name);
    if (!j->failed && buf_printf(j->out, "%" PRIu64, value))
        j->failed = true;
}

void json_i64(struct json_out *j, const char *name, int64_t value)
{
    begin_value(j, name);
    if (!j->failed && buf_printf(j->out, "%" PRId64, value))
        j->failed = true;
}

void json_bool(struct json_out *j, const char *name, bool value)
{
    begin_value(j, name);
    put_text(j, value ? "true" : "false");
}

void json_open_object(struct json_out *j, const char *name)
{
    begin_value(j, name);
    open_level(j, "{", '}');
}

void json_open_array(struct json_out *j, const char *name)
{
    begin_value(j, name);
    open_level(j, "[", ']');
}

void json_close(struct json_out *j)
{
    INVARIANT(j->depth > 0);
    put(j, &j->closing[j->depth], 1);
    j->depth--;
}

int json_end(struct json_out *j)
{
    INVARIANT(j->depth == 1);
    json_close(j);
    return j->failed ? ERR_FULL : 0;
}
