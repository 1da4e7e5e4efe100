/* SPDX-License-Identifier: Apache-2.0
 *
 * The names of tiles and entry bundles below a log's prefix, and which of them a tree of a given
 * size has. Used by auditd (writing) and by the readers; does no I/O.
 * Source: c2sp.org/tlog-tiles. */
#ifndef SALLYPORT_AUDIT_TILE_PATH_H
#define SALLYPORT_AUDIT_TILE_PATH_H

#include <stdint.h>

#include "audit/record.h"

#define TILE_WIDTH 256u /* hashes in a full tile, entries in a full bundle */
#define TILE_BYTES (TILE_WIDTH * RECORD_HASH_SIZE)
/* 256^8 is 2^64: no tree of 64-bit indexes has a level 8. */
#define TILE_LEVELS 8
/* Stands for the entry bundles where a level is expected. */
#define TILE_ENTRIES (-1)
/* A bundle's entry: u16 length and a record header. */
#define TILE_ENTRY        (2u + RECORD_HEADER_SIZE)
#define TILE_BUNDLE_BYTES (TILE_WIDTH * TILE_ENTRY)

/* "tile/entries/x018/x446/x744/x073/x709/x551/615.p/255" */
#define TILE_PATH_MAX 64
/* width 1 to 255: of a partial one; TILE_WIDTH: of the full one. */
void tile_path(char out[TILE_PATH_MAX], int level, uint64_t n, unsigned width);
/* The width of tile n of this level in a tree of `size` leaves; 0: it has none. */
unsigned tile_width(uint64_t size, int level, uint64_t n);

#endif
