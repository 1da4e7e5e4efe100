/* SPDX-License-Identifier: Apache-2.0
 *
 * The files of tiles and entry bundles, as their writer sees them. Runs in auditd and in `init`;
 * the directory is its own alone. */
#ifndef SALLYPORT_AUDIT_TILE_FILE_H
#define SALLYPORT_AUDIT_TILE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "audit/tile_path.h"

/* In one step for whoever reads: a file that is there is whole. Makes the directories; replaces
 * what has the name. Not synchronised: a loss of power may leave it empty, which
 * tile_file_is_whole sees. ERR_SYSTEM, with errno. */
MUST_CHECK int tile_file_write(int dir, int level, uint64_t n, unsigned width, const void *p,
                               size_t len, struct err *e);
/* Whether the full tile is there in its full length. */
bool tile_file_is_whole(int dir, int level, uint64_t n);
/* Removes the partial tiles of tile n; what stays does no harm. */
void tile_file_drop_partials(int dir, int level, uint64_t n);

#endif
