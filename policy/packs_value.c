/* SPDX-License-Identifier: Apache-2.0
 *
 * The number in a command, in bytes or as a count. What is not understood to the last character is
 * unknown, never guessed: a register of changes that has a wrong number is worse than one that has
 * the text alone. Used by the backend (hostile words) and `policy classify`. Pure. Sources:
 * libvirt's virScaleInteger (KB is 1000, K and KiB 1024), LXD's units (kB, KiB), lvm(8),
 * qemu-img(1), zfsprops(7), xl(1), where K, KB and KiB are all 1024. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "policy/packs_set.h"

static const uint64_t unit_bytes[PACK_UNITS] = {
    [PACK_UNIT_COUNT] = 1,     [PACK_UNIT_B] = 1,           [PACK_UNIT_SECTOR] = 512,
    [PACK_UNIT_KB] = 1000,     [PACK_UNIT_KIB] = 1024,      [PACK_UNIT_MB] = 1000000,
    [PACK_UNIT_MIB] = 1048576, [PACK_UNIT_GB] = 1000000000, [PACK_UNIT_GIB] = 1073741824,
};

/* Digits of a fraction that are looked at; more would overflow 64 bits. */
#define FRACTION_MAX 9

/* How many bytes a suffix stands for; 0: it is none. */
static uint64_t suffix_bytes(const char *text, enum pack_suffixes suffixes)
{
    static const char letters[] = "kmgtpe";
    const char *letter = *text ? strchr(letters, tolower((unsigned char)*text)) : NULL;
    uint64_t base = 1024, bytes = 1;

    if (suffixes == PACK_SUFFIX_NONE)
        return 0;
    if (strcasecmp(text, "b") == 0 || strcasecmp(text, "byte") == 0 ||
        strcasecmp(text, "bytes") == 0)
        return 1;
    if (suffixes == PACK_SUFFIX_BINARY && strcasecmp(text, "s") == 0)
        return 512;
    if (!letter)
        return 0;
    if (strcasecmp(text + 1, "b") == 0)
        base = suffixes == PACK_SUFFIX_MIXED ? 1000 : 1024;
    else if (text[1] && strcasecmp(text + 1, "ib") != 0 && strcasecmp(text + 1, "i") != 0)
        return 0;
    for (const char *l = letters; l <= letter; l++)
        bytes *= base;
    return bytes;
}

/* whole and fraction (of 10^digits) times scale; false: overflow, or no whole number of bytes. */
static bool scaled(uint64_t whole, uint64_t fraction, unsigned digits, uint64_t scale,
                   uint64_t *out)
{
    unsigned __int128 sum = (unsigned __int128)whole * scale, part = (unsigned __int128)fraction;
    uint64_t ten = 1;

    for (unsigned i = 0; i < digits; i++)
        ten *= 10;
    part *= scale;
    if (part % ten)
        part += ten; /* a byte that was begun counts */
    sum += part / ten;
    *out = (uint64_t)sum;
    return sum <= UINT64_MAX;
}

void pack_value(const char *text, enum pack_unit unit, enum pack_suffixes suffixes,
                struct classification *out)
{
    const char *p = text;
    uint64_t whole = 0, fraction = 0, scale = unit_bytes[unit];
    unsigned digits = 0;

    snprintf(out->value_text, sizeof out->value_text, "%s", text);
    out->value = 0;
    out->value_known = false;
    out->value_count = unit == PACK_UNIT_COUNT;
    out->value_relative = *p == '+' || *p == '-';
    out->value_negative = *p == '-';
    if (out->value_relative)
        p++;
    if (!isdigit((unsigned char)*p) || strlen(text) >= sizeof out->value_text)
        return;
    for (; isdigit((unsigned char)*p); p++) {
        if (__builtin_mul_overflow(whole, 10u, &whole) ||
            __builtin_add_overflow(whole, (unsigned)(*p - '0'), &whole))
            return;
    }
    if (*p == '.' && unit != PACK_UNIT_COUNT && isdigit((unsigned char)p[1])) {
        for (p++; isdigit((unsigned char)*p); p++) {
            if (++digits > FRACTION_MAX)
                return;
            fraction = fraction * 10 + (unsigned)(*p - '0');
        }
    }
    if (*p && unit == PACK_UNIT_COUNT)
        return;
    if (*p && !(scale = suffix_bytes(p, suffixes)))
        return;
    out->value_known = scaled(whole, fraction, digits, scale, &out->value);
    if (!out->value_known)
        out->value = 0;
}
