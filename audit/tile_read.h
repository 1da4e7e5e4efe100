/* SPDX-License-Identifier: Apache-2.0
 *
 * Hashes of a log's Merkle tree out of its tiles. Runs in the reading tools, in auditd at its
 * start, and wherever proofs are made. Every tile is hostile: read within bounds, and what is
 * computed from it proves nothing before it gave a signed root (audit/proof.h). */
#ifndef SALLYPORT_AUDIT_TILE_READ_H
#define SALLYPORT_AUDIT_TILE_READ_H

#include <stdint.h>

#include "audit/digest.h"
#include "audit/tile_path.h"

struct tile_reader;

/* dir is the log's prefix, the directory that has `tile`: the trail's own, or a copy; it stays the
 * caller's. size: of a checkpoint; a tile that this size does not call for is never opened. Keeps
 * one tile of each level: 64 KiB. ERR_MEMORY. */
MUST_CHECK int tile_reader_new(struct tile_reader **out, int dir, uint64_t size, struct err *e);
void tile_reader_free(struct tile_reader *t);
uint64_t tile_reader_size(const struct tile_reader *t);
struct digest *tile_reader_digest(struct tile_reader *t);

/* The hashes of tile n, valid until the next call; *width of them. The partial tile of this size,
 * or, where that is gone, the full one. ERR_INPUT: the tree of this size has no such tile, or the
 * file has not the size of a tile; ERR_NOT_FOUND; ERR_SYSTEM. */
MUST_CHECK int tile_hashes(struct tile_reader *t, unsigned level, uint64_t n,
                           const uint8_t **hashes, unsigned *width, struct err *e);
/* The root of the full subtree over the leaves index * 2^height and the 2^height - 1 after it, all
 * of them below the size. Errors as above. */
MUST_CHECK int tile_subtree(struct tile_reader *t, unsigned height, uint64_t index,
                            uint8_t out[RECORD_HASH_SIZE], struct err *e);
/* The full or partial bundle n as it stands in its file; *width entries, each of the right length.
 * Not compared with the leaves. Errors as below. */
MUST_CHECK int tile_bundle(struct tile_reader *t, uint64_t n, uint8_t out[TILE_BUNDLE_BYTES],
                           unsigned *width, struct err *e);
/* The record header of this index, out of its entry bundle; not compared with its leaf. ERR_INPUT:
 * the bundle is not one. Other errors as above. */
MUST_CHECK int tile_entry(struct tile_reader *t, uint64_t index, uint8_t header[RECORD_HEADER_SIZE],
                          struct err *e);

#endif
