/* SPDX-License-Identifier: Apache-2.0
 *
 * See policy/manifest.h. A file is listed by the bytes that are in the block, which are those that
 * are parsed: nothing is opened here. */
#include "policy/manifest.h"

#include <inttypes.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "policy/bundle.h"

#define HEAD           "sallyport-policy-manifest "
#define VERSION        "1"
#define SERIAL         "serial "
#define PREVIOUS       "previous "
#define HEX            (2 * MANIFEST_HASH)
#define NAME_MAX_BYTES 255u

void manifest_hash(const void *text, size_t len, uint8_t out[MANIFEST_HASH])
{
    SHA256(text, len, out);
}

void manifest_hash_text(const uint8_t hash[MANIFEST_HASH], char out[HEX + 1])
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < MANIFEST_HASH; i++) {
        out[2 * i] = digits[hash[i] >> 4];
        out[2 * i + 1] = digits[hash[i] & 15];
    }
    out[HEX] = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int manifest_hash_read(const char *text, size_t len, uint8_t out[MANIFEST_HASH])
{
    if (len != HEX)
        return ERR_SYNTAX;
    for (size_t i = 0; i < MANIFEST_HASH; i++) {
        const int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return ERR_SYNTAX;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return 0;
}

bool manifest_is_evidence(const char *name)
{
    return strcmp(name, MANIFEST_FILE) == 0 || strcmp(name, MANIFEST_AUTHOR_FILE) == 0 ||
           strncmp(name, MANIFEST_APPROVALS "/", sizeof MANIFEST_APPROVALS) == 0;
}

/* Time zones are the machine's, as its programs are, and no file of the set's directory. */
static bool is_not_listed(const char *name)
{
    return manifest_is_evidence(name) || bundle_is_zone(name);
}

/* --- lines */

struct line {
    const char *p;
    size_t len;
    unsigned number;
};

static int wrong(const struct line *line, size_t column, const char *expected, struct err *e)
{
    char shown[400];
    const size_t left = line->len - column, keep = left < 80 ? left : 80;

    escape_text(shown, sizeof shown, line->p + column, keep);
    return err_set(e, ERR_SYNTAX, MANIFEST_FILE ":%u:%zu: found %s%s%s%s, expected %s",
                   line->number, column + 1, keep ? "\"" : "", keep ? shown : "the line's end",
                   keep ? "\"" : "", keep < left ? "..." : "", expected);
}

/* The next line, without its LF. */
static int take(struct bytes *rest, struct line *line, const char *expected, struct err *e)
{
    const uint8_t *end = rest->len ? memchr(rest->p, '\n', rest->len) : NULL;

    line->p = (const char *)rest->p;
    line->number++;
    line->len = end ? (size_t)(end - rest->p) : rest->len;
    if (!end && !rest->len)
        return err_set(e, ERR_SYNTAX, MANIFEST_FILE ":%u:1: found the end, expected %s",
                       line->number, expected);
    if (!end)
        return err_set(e, ERR_SYNTAX,
                       MANIFEST_FILE ":%u:%zu: found the end within a line, expected a newline "
                                     "after it (it was cut?)",
                       line->number, line->len + 1);
    rest->p += line->len + 1;
    rest->len -= line->len + 1;
    return 0;
}

static bool begins(const struct line *line, const char *word)
{
    const size_t len = strlen(word);

    return line->len >= len && memcmp(line->p, word, len) == 0;
}

static int parse_serial(const struct line *line, uint64_t *out, struct err *e)
{
    static const char expected[] = "\"serial \" and a number from 1 on, of 18 digits at most";
    const size_t at = sizeof SERIAL - 1;

    *out = 0;
    if (!begins(line, SERIAL))
        return wrong(line, 0, expected, e);
    if (line->len == at || line->len > at + 18 || line->p[at] == '0')
        return wrong(line, at, expected, e);
    for (size_t i = at; i < line->len; i++) {
        if (line->p[i] < '0' || line->p[i] > '9')
            return wrong(line, i, expected, e);
        *out = *out * 10 + (uint64_t)(line->p[i] - '0');
    }
    return 0;
}

static int parse_previous(const struct line *line, struct manifest *out, struct err *e)
{
    static const char expected[] =
        "\"previous \" and SHA-256 of the manifest before in 64 digits (0-9, a-f), or none";
    const size_t at = sizeof PREVIOUS - 1;

    if (!begins(line, PREVIOUS))
        return wrong(line, 0, expected, e);
    out->first = line->len == at + 4 && memcmp(line->p + at, "none", 4) == 0;
    if (!out->first && manifest_hash_read(line->p + at, line->len - at, out->previous) < 0)
        return wrong(line, at, expected, e);
    return 0;
}

static bool name_byte(unsigned char c)
{
    return c >= 0x20 && c != 0x7f && c != '\\';
}

static int compare(struct bytes a, struct bytes b)
{
    const size_t common = a.len < b.len ? a.len : b.len;
    const int order = common ? memcmp(a.p, b.p, common) : 0;

    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int parse_file(const struct line *line, struct bytes *before, struct err *e)
{
    uint8_t hash[MANIFEST_HASH];
    struct bytes name;

    if (line->len < HEX || manifest_hash_read(line->p, HEX, hash) < 0)
        return wrong(line, 0, "SHA-256 of a file in 64 digits (0-9, a-f), two blanks and its name",
                     e);
    if (line->len < HEX + 2 || memcmp(line->p + HEX, "  ", 2) != 0)
        return wrong(line, HEX, "two blanks and a file's name", e);
    name = (struct bytes){(const uint8_t *)line->p + HEX + 2, line->len - HEX - 2};
    if (!name.len || name.len > NAME_MAX_BYTES)
        return wrong(line, HEX + 2, "a file's name of 1 to 255 bytes", e);
    for (size_t i = 0; i < name.len; i++)
        if (!name_byte(name.p[i]))
            return wrong(line, HEX + 2 + i,
                         "a file's name without control characters and backslashes", e);
    if (before->len && compare(*before, name) >= 0)
        return wrong(line, HEX + 2, "a name that comes after the one before, bytewise", e);
    *before = name;
    return 0;
}

int manifest_parse(const void *text, size_t len, struct manifest *out, struct err *e)
{
    struct bytes rest = {text, len}, before = {NULL, 0};
    struct line line = {0};
    int rc;

    memset(out, 0, sizeof *out);
    if (len > MANIFEST_MAX)
        return err_set(e, ERR_SYNTAX, MANIFEST_FILE ": found %zu bytes, expected at most %u", len,
                       MANIFEST_MAX);
    rc = take(&rest, &line, "\"" HEAD VERSION "\"", e);
    if (rc == 0 && begins(&line, HEAD) &&
        (line.len != sizeof HEAD VERSION - 1 || !begins(&line, HEAD VERSION)))
        rc = wrong(&line, sizeof HEAD - 1, "version " VERSION ", which this program knows", e);
    else if (rc == 0 && !begins(&line, HEAD VERSION))
        rc = wrong(&line, 0, "\"" HEAD VERSION "\"", e);
    if (rc == 0)
        rc = take(&rest, &line, "\"serial N\"", e);
    if (rc == 0)
        rc = parse_serial(&line, &out->serial, e);
    if (rc == 0)
        rc = take(&rest, &line, "\"previous HASH\"", e);
    if (rc == 0)
        rc = parse_previous(&line, out, e);
    out->files = rest;
    while (rc == 0 && (rest.len || !out->count)) {
        rc = take(&rest, &line, "the line of a file", e);
        if (rc == 0)
            rc = parse_file(&line, &before, e);
        out->count++;
    }
    return rc;
}

bool manifest_next(struct bytes *lines, uint8_t hash[MANIFEST_HASH], struct bytes *name)
{
    const uint8_t *end = lines->len ? memchr(lines->p, '\n', lines->len) : NULL;
    size_t len;

    if (!end)
        return false;
    len = (size_t)(end - lines->p);
    INVARIANT(len > HEX + 2 && manifest_hash_read((const char *)lines->p, HEX, hash) == 0);
    *name = (struct bytes){lines->p + HEX + 2, len - HEX - 2};
    lines->p += len + 1;
    lines->len -= len + 1;
    return true;
}

int manifest_write(uint64_t serial, const uint8_t *previous, const void *block, size_t len,
                   struct buf *out, struct err *e)
{
    char text[HEX + 1] = "none";
    struct bundle_file file;
    struct wire_reader r;
    int rc;

    if (serial < 1 || serial > MANIFEST_SERIAL_MAX)
        return err_set(e, ERR_INPUT, "found the serial %" PRIu64 ", expected 1 to %" PRIu64, serial,
                       (uint64_t)MANIFEST_SERIAL_MAX);
    if (previous)
        manifest_hash_text(previous, text);
    rc = buf_printf(out, HEAD VERSION "\n" SERIAL "%" PRIu64 "\n" PREVIOUS "%s\n", serial, text);
    wire_reader_init(&r, block, len);
    while (rc == 0 && (rc = bundle_next(&r, &file, e)) > 0) {
        uint8_t hash[MANIFEST_HASH];

        rc = 0;
        if (is_not_listed(file.name))
            continue;
        for (const char *p = file.name; *p; p++)
            if (!name_byte((unsigned char)*p)) {
                char shown[1100];
                return err_set(e, ERR_INPUT,
                               "found a file named \"%s\", expected names without control "
                               "characters and backslashes",
                               escape_text(shown, sizeof shown, file.name, strlen(file.name)));
            }
        manifest_hash(file.bytes.p, file.bytes.len, hash);
        manifest_hash_text(hash, text);
        rc = buf_printf(out, "%s  %s\n", text, file.name);
    }
    if (rc < 0 && !(e && e->code))
        err_set(e, (enum err_code)rc, "the manifest would be longer than %u bytes", MANIFEST_MAX);
    return rc;
}

static int differs(struct bytes name, const char *what, struct err *e)
{
    char shown[1100];

    return err_set(e, ERR_TAMPERED, "%s: %s", escape_text(shown, sizeof shown, name.p, name.len),
                   what);
}

int manifest_covers(const struct manifest *m, const void *block, size_t len, struct err *e)
{
    uint8_t listed[MANIFEST_HASH], found[MANIFEST_HASH];
    struct bytes lines = m->files, name = {NULL, 0};
    bool more = manifest_next(&lines, listed, &name);
    struct bundle_file file;
    struct wire_reader r;
    int rc;

    wire_reader_init(&r, block, len);
    while ((rc = bundle_next(&r, &file, e)) > 0) {
        const struct bytes has = {(const uint8_t *)file.name, strlen(file.name)};
        int order;

        if (is_not_listed(file.name))
            continue;
        order = more ? compare(has, name) : -1;
        if (order < 0)
            return differs(has, "is in the policy set, and the manifest does not list it", e);
        if (order > 0)
            return differs(name, "is listed in the manifest, and not in the policy set", e);
        manifest_hash(file.bytes.p, file.bytes.len, found);
        if (memcmp(found, listed, sizeof found) != 0)
            return differs(has, "was changed since the manifest was made: its SHA-256 is another",
                           e);
        more = manifest_next(&lines, listed, &name);
    }
    if (rc == 0 && more)
        return differs(name, "is listed in the manifest, and not in the policy set", e);
    return rc;
}
