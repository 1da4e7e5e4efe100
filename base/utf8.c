/* SPDX-License-Identifier: Apache-2.0
 *
 * Strict UTF-8 (base/utf8.h). Pure functions. */
#include "base/utf8.h"

size_t utf8_next(const uint8_t *p, size_t len, uint32_t *c)
{
    /* Per length: the smallest character that needs it. */
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n;
    uint32_t v;

    if (!len)
        return 0;
    if (p[0] < 0x80) {
        *c = p[0];
        return 1;
    }
    if ((p[0] & 0xE0) == 0xC0)
        n = 2, v = p[0] & 0x1F;
    else if ((p[0] & 0xF0) == 0xE0)
        n = 3, v = p[0] & 0x0F;
    else if ((p[0] & 0xF8) == 0xF0)
        n = 4, v = p[0] & 0x07;
    else
        return 0;
    if (n > len)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
        v = v << 6 | (p[i] & 0x3F);
    }
    if (v < smallest[n] || v > 0x10FFFF || (v >= 0xD800 && v <= 0xDFFF))
        return 0;
    *c = v;
    return n;
}

int utf8_visible(uint32_t c)
{
    /* Unicode 15: general categories Cc, Cf, Zl, Zp of the planes in use, and non-characters. */
    static const struct {
        uint32_t first, last;
    } hidden[] = {
        {0x00, 0x1F},       {0x7F, 0x9F},       {0xAD, 0xAD},       {0x600, 0x605},
        {0x61C, 0x61C},     {0x6DD, 0x6DD},     {0x70F, 0x70F},     {0x890, 0x891},
        {0x8E2, 0x8E2},     {0x180E, 0x180E},   {0x200B, 0x200F},   {0x2028, 0x202E},
        {0x2060, 0x206F},   {0xFDD0, 0xFDEF},   {0xFE00, 0xFE0F},   {0xFEFF, 0xFEFF},
        {0xFFF0, 0xFFFB},   {0x110BD, 0x110BD}, {0x110CD, 0x110CD}, {0x13430, 0x1343F},
        {0x1BCA0, 0x1BCA3}, {0x1D173, 0x1D17A}, {0xE0000, 0xE0FFF},
    };

    if ((c & 0xFFFE) == 0xFFFE)
        return 0;
    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++)
        if (c >= hidden[i].first && c <= hidden[i].last)
            return 0;
    return 1;
}
