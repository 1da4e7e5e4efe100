/* SPDX-License-Identifier: Apache-2.0
 *
 * The reader of TZif files and the clock of a zone. The rule of the footer is policy/zone_rule.c's.
 * Used by the loaders and the decision. Source: RFC 8536, sections 3 and 4. */
#include "policy/zone.h"

#include <stdlib.h>
#include <string.h>

#include "base/wire.h"
#include "policy/zone_rule.h"

/* The most that tzdata 2025b has is 236 (fat files, to 2037). */
#define TRANSITIONS_MAX 4096
#define TYPES_MAX       256
#define FOOTER_MAX      128
/* RFC 8536, 3.2: offsets lie between -25 and 26 hours, both exclusive. */
#define OFFSET_MIN (-25 * 3600 + 1)
#define OFFSET_MAX (26 * 3600 - 1)

struct zone {
    size_t count;
    int64_t *at;     /* ascending */
    int32_t *offset; /* from at[i] on */
    int32_t first;   /* before at[0] */
    bool has_rule;   /* from the last transition on */
    struct zone_rule rule;
};

struct header {
    uint8_t version;
    uint32_t isut, isstd, leap, times, types, chars;
};

static int malformed(struct err *e, const char *what)
{
    return err_set(e, ERR_SYNTAX, "found %s, expected a time zone file (TZif, RFC 8536)", what);
}

static int get_header(struct wire_reader *r, struct header *h, struct err *e)
{
    uint8_t magic[4], reserved[15];

    wire_get_raw(r, magic, sizeof magic);
    h->version = wire_get_u8(r);
    wire_get_raw(r, reserved, sizeof reserved);
    h->isut = wire_get_u32(r);
    h->isstd = wire_get_u32(r);
    h->leap = wire_get_u32(r);
    h->times = wire_get_u32(r);
    h->types = wire_get_u32(r);
    h->chars = wire_get_u32(r);
    if (r->failed || memcmp(magic, "TZif", 4) != 0)
        return malformed(e, "something else");
    if (h->version < '2')
        return malformed(e, "a file of version 1, which ends in 2038");
    if (h->leap)
        return malformed(e, "leap seconds");
    if (h->times > TRANSITIONS_MAX || !h->types || h->types > TYPES_MAX || h->chars > 4096 ||
        (h->isut && h->isut != h->types) || (h->isstd && h->isstd != h->types))
        return malformed(e, "impossible numbers in the header");
    return 0;
}

static int skip(struct wire_reader *r, size_t len, struct err *e)
{
    if (r->left < len)
        return malformed(e, "a truncated file");
    r->in += len;
    r->left -= len;
    return 0;
}

static int get_types(struct wire_reader *r, const struct header *h, int32_t offsets[TYPES_MAX],
                     struct err *e)
{
    for (uint32_t i = 0; i < h->types; i++) {
        offsets[i] = (int32_t)wire_get_u32(r);
        const uint8_t isdst = wire_get_u8(r), name = wire_get_u8(r);
        if (r->failed || isdst > 1 || name >= h->chars || offsets[i] < OFFSET_MIN ||
            offsets[i] > OFFSET_MAX)
            return malformed(e, "an impossible local time type");
    }
    return 0;
}

static int get_data(struct zone *z, struct wire_reader *r, const struct header *h, struct err *e)
{
    int32_t offsets[TYPES_MAX] = {0};
    uint8_t *types = NULL;
    int rc = 0;

    z->count = h->times;
    z->at = calloc(z->count + 1, sizeof *z->at);
    z->offset = calloc(z->count + 1, sizeof *z->offset);
    types = calloc(z->count + 1, 1);
    if (!z->at || !z->offset || !types) {
        rc = err_set(e, ERR_MEMORY, "out of memory");
        goto out;
    }
    for (size_t i = 0; i < z->count; i++) {
        z->at[i] = (int64_t)wire_get_u64(r);
        if (i && z->at[i] <= z->at[i - 1] && !r->failed) {
            rc = malformed(e, "transitions that are not in order");
            goto out;
        }
    }
    wire_get_raw(r, types, z->count);
    rc = get_types(r, h, offsets, e);
    for (size_t i = 0; i < z->count && rc == 0; i++) {
        if (types[i] >= h->types)
            rc = malformed(e, "a transition to a local time type that is not there");
        else
            z->offset[i] = offsets[types[i]];
    }
    z->first = offsets[0];
    if (rc == 0)
        rc = skip(r, (size_t)h->chars + h->isstd + h->isut, e);
out:
    free(types);
    return rc;
}

static int get_footer(struct zone *z, struct wire_reader *r, struct err *e)
{
    char text[FOOTER_MAX + 1];
    const size_t len = r->left >= 2 ? r->left - 2 : 0;

    if (r->left < 2 || r->in[0] != '\n' || r->in[r->left - 1] != '\n')
        return malformed(e, "a file without its last line");
    if (len > FOOTER_MAX || memchr(r->in + 1, 0, len))
        return malformed(e, "a last line that is too long");
    memcpy(text, r->in + 1, len);
    text[len] = 0;
    z->has_rule = len > 0;
    return len && !zone_rule_parse(text, &z->rule)
               ? malformed(e, "a last line that is no TZ string")
               : 0;
}

struct zone *zone_parse(const void *bytes, size_t len, struct err *e)
{
    struct zone *z = calloc(1, sizeof *z);
    struct wire_reader r;
    struct header h;
    int rc;

    if (!z) {
        err_set(e, ERR_MEMORY, "out of memory");
        return NULL;
    }
    wire_reader_init(&r, bytes, len);
    rc = len > ZONE_FILE_MAX ? malformed(e, "more than 65536 bytes") : get_header(&r, &h, e);
    /* The first block has 32-bit times, for old readers. */
    if (rc == 0)
        rc = skip(&r, (size_t)h.times * 5 + h.types * 6 + h.chars + h.isstd + h.isut, e);
    if (rc == 0)
        rc = get_header(&r, &h, e);
    if (rc == 0)
        rc = get_data(z, &r, &h, e);
    if (rc == 0)
        rc = get_footer(z, &r, e);
    if (rc == 0)
        return z;
    zone_free(z);
    return NULL;
}

void zone_free(struct zone *z)
{
    if (!z)
        return;
    free(z->at);
    free(z->offset);
    free(z);
}

int32_t zone_offset(const struct zone *z, int64_t t, int64_t *until)
{
    int64_t ignored;
    size_t low = 0;

    if (!until)
        until = &ignored;
    *until = INT64_MAX;
    if (!z)
        return 0;
    if (t < ZONE_TIME_MIN)
        t = ZONE_TIME_MIN;
    if (t > ZONE_TIME_MAX)
        t = ZONE_TIME_MAX;
    size_t high = z->count;
    while (low < high) { /* the first transition after t */
        const size_t middle = low + (high - low) / 2;
        if (z->at[middle] <= t)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < z->count) {
        *until = z->at[low];
        return low ? z->offset[low - 1] : z->first;
    }
    if (z->has_rule)
        return zone_rule_offset(&z->rule, t, until);
    return z->count ? z->offset[z->count - 1] : z->first;
}

size_t zone_instants(const struct zone *z, int64_t local_s, int64_t out[2])
{
    int64_t t = local_s - OFFSET_MAX, until;
    size_t count = 0;

    /* Every interval of one offset in which the local time could lie. */
    while (t <= local_s - OFFSET_MIN && count < 2) {
        const int32_t offset = zone_offset(z, t, &until);
        const int64_t instant = local_s - offset;
        if (instant >= t && instant < until && (!count || out[count - 1] != instant))
            out[count++] = instant;
        if (until == INT64_MAX)
            break;
        t = until;
    }
    return count;
}

bool zone_name_good(const char *name)
{
    bool begins = true;

    if (strlen(name) > ZONE_NAME_MAX)
        return false;
    for (const char *p = name; *p; p++) {
        const bool letter = (*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z');
        const bool other = (*p >= '0' && *p <= '9') || *p == '_' || *p == '+' || *p == '-';
        if (!letter && (begins || (!other && *p != '/')))
            return false;
        begins = *p == '/';
    }
    return !begins;
}
