/* SPDX-License-Identifier: Apache-2.0
 *
 * A Williams-style parser that lets known drawing through and drops the rest. Runs in the reading
 * tool on hostile bytes. Invariant: an escape character is only ever written by put_sequence, as
 * part of a complete sequence from the tables below. */
#include "audit/term_filter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum state {
    GROUND,
    ESCAPE,              /* ESC came */
    ESCAPE_INTERMEDIATE, /* ESC and one of ( ) # ... */
    CSI,
    STRING,        /* OSC, DCS, APC, PM, SOS: until ST or BEL */
    STRING_ESCAPE, /* ESC inside one */
};

#define PARAMETERS_MAX 16   /* what every terminal has room for */
#define VALUE_MAX      9999 /* beyond every screen; some terminals loop on huge counts */

/* Final bytes without prefix and intermediate: cursor, erase, insert and delete, scroll, tabs,
 * colours, scroll region, save and restore. */
static const char csi_plain[] = "@ABCDEFGHIJKLMPSTXZ`abdefgmrsu";
/* Modes that only change drawing. */
static const unsigned ansi_modes[] = {4, 20};
static const unsigned dec_modes[] = {5, 6, 7, 12, 25, 47, 1047, 1048, 1049, 2026};

void term_filter_init(struct term_filter *f, enum term_mode mode)
{
    memset(f, 0, sizeof *f);
    f->mode = mode;
    f->state = GROUND;
}

/* Strings cannot be open, since none was let in. Soft reset, ASCII, colours, cursor, wrapping, not
 * reversed; and the main screen, only where the alternate one is on: elsewhere that moves the
 * cursor. */
#define RESET "\x1b[!p\x1b(B\x0f\x1b[0m\x1b[?25h\x1b[?7h\x1b[?5l\r\n"

const char *term_filter_reset(const struct term_filter *f)
{
    return f->alternate ? "\x1b[?1049l" RESET : RESET;
}

static bool in_list(unsigned value, const unsigned *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (list[i] == value)
            return true;
    return false;
}

/* Parameters, split and clamped. Colons (sub-parameters of colours) stay. The count, or -1. */
static int read_params(const struct term_filter *f, unsigned values[PARAMETERS_MAX],
                       char separators[PARAMETERS_MAX])
{
    int count = 0;
    unsigned long value = 0;

    for (unsigned i = 0; i <= f->params_len; i++) {
        char c = i < f->params_len ? f->params[i] : ';';

        if (c >= '0' && c <= '9') {
            value = value * 10 + (unsigned long)(c - '0');
            if (value > VALUE_MAX)
                value = VALUE_MAX;
            continue;
        }
        if (count == PARAMETERS_MAX)
            return -1;
        values[count] = (unsigned)value;
        separators[count++] = c;
        value = 0;
    }
    return count;
}

static bool modes_allowed(const struct term_filter *f, const unsigned *values, int count)
{
    for (int i = 0; i < count; i++) {
        bool known = f->prefix == '?'
                         ? in_list(values[i], dec_modes, sizeof dec_modes / sizeof *dec_modes)
                         : in_list(values[i], ansi_modes, sizeof ansi_modes / sizeof *ansi_modes);

        if (!known)
            return false;
    }
    return true;
}

static bool csi_allowed(const struct term_filter *f, char final, const unsigned *values, int count)
{
    if (f->intermediate)
        return f->intermediate == '!' && final == 'p' && !f->prefix; /* soft reset */
    if (final == 'h' || final == 'l')
        return (!f->prefix || f->prefix == '?') && modes_allowed(f, values, count);
    if (f->prefix)
        return f->prefix == '?' && (final == 'J' || final == 'K');
    if (final == 'T' && count > 1)
        return false; /* mouse highlighting */
    return strchr(csi_plain, final) != NULL;
}

static int put_csi(struct term_filter *f, char final, struct buf *out)
{
    unsigned values[PARAMETERS_MAX];
    char separators[PARAMETERS_MAX], text[TERM_PARAMS_MAX + 16];
    int count = read_params(f, values, separators);
    size_t len = 0;

    if (f->mode == TERM_TEXT)
        return 0;
    if (f->too_much || count < 0 || !csi_allowed(f, final, values, count)) {
        f->left_out++;
        return 0;
    }
    for (int i = 0; f->prefix == '?' && (final == 'h' || final == 'l') && i < count; i++)
        if (values[i] == 47 || values[i] == 1047 || values[i] == 1049)
            f->alternate = final == 'h';
    text[len++] = '\x1b';
    text[len++] = '[';
    if (f->prefix)
        text[len++] = f->prefix;
    for (int i = 0; f->params_len > 0 && i < count; i++) {
        len += (size_t)snprintf(text + len, sizeof text - len, "%u", values[i]);
        if (i + 1 < count)
            text[len++] = separators[i];
    }
    if (f->intermediate)
        text[len++] = f->intermediate;
    text[len++] = final;
    return buf_put(out, text, len);
}

static int put_escape(struct term_filter *f, char final, struct buf *out)
{
    char text[3] = {'\x1b', f->intermediate, final};
    bool allowed = false;

    if (f->mode == TERM_TEXT)
        return 0;
    switch (f->intermediate) {
    case 0:
        allowed = strchr("78DEHMc", final) != NULL;
        break;
    case '(':
    case ')':
        allowed = strchr("AB0", final) != NULL;
        break;
    case '#':
        allowed = strchr("34568", final) != NULL;
        break;
    default:
        break;
    }
    if (f->too_much || !allowed) {
        f->left_out++;
        return 0;
    }
    if (f->intermediate)
        return buf_put(out, text, 3);
    text[1] = final;
    return buf_put(out, text, 2);
}

static void begin(struct term_filter *f, enum state state)
{
    f->state = state;
    f->params_len = 0;
    f->prefix = f->intermediate = 0;
    f->too_much = false;
}

static void begin_string(struct term_filter *f)
{
    begin(f, STRING);
    f->string_c2 = false;
    f->left_out++;
}

/* Control characters mean the same inside a sequence as outside of it. */
static int put_control(struct term_filter *f, uint8_t c, struct buf *out)
{
    int r = 0;

    switch (c) {
    case 0x1b:
        begin(f, ESCAPE);
        return 0;
    case 0x18:
    case 0x1a: /* cancel */
        begin(f, GROUND);
        return 0;
    case '\r':
        if (f->mode == TERM_TEXT) {
            f->carriage_return = true;
            return 0;
        }
        return buf_put(out, &c, 1);
    case '\n':
    case '\t':
        f->carriage_return = false;
        return buf_put(out, &c, 1);
    case '\b':
    case 0x0b:
    case 0x0c:
    case 0x0e:
    case 0x0f:
        return f->mode == TERM_DRAW ? buf_put(out, &c, 1) : 0;
    default:
        f->left_out += c != 0;
        return r;
    }
}

/* One decoded character at or above 0x20, or the replacement for what is not UTF-8. */
static int put_character(struct term_filter *f, uint32_t c, const uint8_t *bytes, size_t len,
                         struct buf *out)
{
    int r;

    if (c >= 0x80 && c < 0xa0) { /* the 8-bit forms of ESC + 0x40 .. 0x5f */
        if (c == 0x9b)
            begin(f, CSI);
        else if (c == 0x90 || c == 0x98 || c >= 0x9d)
            begin_string(f);
        else
            f->left_out++;
        return 0;
    }
    if (c == 0x7f)
        return 0;
    if (f->carriage_return) { /* a lone one: what follows would overwrite the line */
        f->carriage_return = false;
        r = buf_put(out, "\n", 1);
        if (r < 0)
            return r;
    }
    return buf_put(out, bytes, len);
}

static const uint8_t replacement[3] = {0xef, 0xbf, 0xbd};

static int put_ground(struct term_filter *f, uint8_t c, struct buf *out)
{
    uint32_t code;

    if (f->utf8_need == 0) {
        if (c < 0x80)
            return put_character(f, c, &c, 1, out);
        f->utf8_need = c >= 0xc2 && c <= 0xdf   ? 2
                       : (c & 0xf0) == 0xe0     ? 3
                       : c >= 0xf0 && c <= 0xf4 ? 4
                                                : 0;
        f->utf8_have = 0;
        if (f->utf8_need == 0)
            return put_character(f, 0xfffd, replacement, sizeof replacement, out);
    }
    f->utf8[f->utf8_have++] = c;
    if (f->utf8_have < f->utf8_need)
        return 0;
    code = f->utf8[0] & (0xffu >> (f->utf8_need + 1));
    for (unsigned i = 1; i < f->utf8_need; i++)
        code = code << 6 | (f->utf8[i] & 0x3f);
    f->utf8_need = 0;
    if ((f->utf8_have == 3 && code < 0x800) || (f->utf8_have == 4 && code < 0x10000) ||
        (code >= 0xd800 && code < 0xe000) || code > 0x10ffff)
        return put_character(f, 0xfffd, replacement, sizeof replacement, out);
    return put_character(f, code, f->utf8, f->utf8_have, out);
}

static void add_param(struct term_filter *f, char c)
{
    if (f->intermediate || f->params_len == sizeof f->params)
        f->too_much = true;
    else
        f->params[f->params_len++] = c;
}

static void add_intermediate(struct term_filter *f, char c)
{
    f->too_much = f->too_much || f->intermediate;
    f->intermediate = c;
}

static int step_csi(struct term_filter *f, uint8_t c, struct buf *out)
{
    if (c < 0x30) {
        add_intermediate(f, (char)c);
    } else if (c < 0x3c) {
        add_param(f, (char)c);
    } else if (c < 0x40) {
        f->too_much = f->too_much || f->prefix || f->params_len > 0;
        f->prefix = (char)c;
    } else {
        f->state = GROUND;
        if (c < 0x7f)
            return put_csi(f, (char)c, out);
    }
    return 0;
}

static int step_escape(struct term_filter *f, uint8_t c, struct buf *out)
{
    if (c >= 0x7f) {
        begin(f, GROUND);
        return put_ground(f, c, out);
    }
    if (c < 0x30) {
        add_intermediate(f, (char)c);
        f->state = ESCAPE_INTERMEDIATE;
        return 0;
    }
    if (f->state == ESCAPE && c == '[') {
        begin(f, CSI);
        return 0;
    }
    if (f->state == ESCAPE && strchr("PX]^_", c)) {
        begin_string(f);
        return 0;
    }
    f->state = GROUND;
    return put_escape(f, (char)c, out);
}

static int step(struct term_filter *f, uint8_t c, struct buf *out)
{
    int r = 0;

    /* A character broken off by anything else. */
    if (f->state == GROUND && f->utf8_need && (c & 0xc0) != 0x80) {
        f->utf8_need = 0;
        r = put_character(f, 0xfffd, replacement, sizeof replacement, out);
        if (r < 0)
            return r;
    }
    if (f->state == STRING) {
        if (c == 0x1b)
            f->state = STRING_ESCAPE;
        else if (c == 0x07 || c == 0x18 || c == 0x1a || (c == 0x9c && f->string_c2))
            begin(f, GROUND);
        f->string_c2 = c == 0xc2;
        return 0;
    }
    if (f->state == STRING_ESCAPE) {
        begin(f, c == '\\' ? GROUND : ESCAPE);
        if (c == '\\')
            return 0;
    }
    if (c < 0x20)
        return put_control(f, c, out);
    switch (f->state) {
    case CSI:
        return step_csi(f, c, out);
    case ESCAPE:
    case ESCAPE_INTERMEDIATE:
        return step_escape(f, c, out);
    default:
        return put_ground(f, c, out);
    }
}

int term_filter_put(struct term_filter *f, const void *bytes, size_t len, struct buf *out)
{
    const uint8_t *p = bytes;

    for (size_t i = 0; i < len; i++) {
        int r = step(f, p[i], out);

        if (r < 0)
            return r;
    }
    return 0;
}
