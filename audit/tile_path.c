/* SPDX-License-Identifier: Apache-2.0
 *
 * Paths of tiles, byte for byte as c2sp.org/tlog-tiles has them. Runs in auditd and in the readers.
 */
#include "audit/tile_path.h"

#include <inttypes.h>
#include <stdio.h>

void tile_path(char out[TILE_PATH_MAX], int level, uint64_t n, unsigned width)
{
    unsigned parts[7], count = 0; /* 2^64 has 20 digits */
    int len;

    INVARIANT(level >= TILE_ENTRIES && level < TILE_LEVELS && width >= 1 && width <= TILE_WIDTH);
    do {
        parts[count++] = (unsigned)(n % 1000);
        n /= 1000;
    } while (n > 0);
    if (level == TILE_ENTRIES)
        len = snprintf(out, TILE_PATH_MAX, "tile/entries");
    else
        len = snprintf(out, TILE_PATH_MAX, "tile/%d", level);
    while (count-- > 0)
        len += snprintf(out + len, TILE_PATH_MAX - (size_t)len, count ? "/x%03u" : "/%03u",
                        parts[count]);
    if (width < TILE_WIDTH)
        len += snprintf(out + len, TILE_PATH_MAX - (size_t)len, ".p/%u", width);
    INVARIANT(len < TILE_PATH_MAX);
}

unsigned tile_width(uint64_t size, int level, uint64_t n)
{
    uint64_t hashes = size >> (level > 0 ? 8 * level : 0), tiles = hashes / TILE_WIDTH;

    return n < tiles ? TILE_WIDTH : n == tiles ? (unsigned)(hashes % TILE_WIDTH) : 0;
}
