/* SPDX-License-Identifier: Apache-2.0
 *
 * The writer of tiles and entry bundles (docs/FORMAT.md, "Tiles"). Runs in auditd, in whichever
 * thread synchronises, and in `init`. It takes everything from the segments, behind fdatasync: so
 * a tile never says more than the trail, and the beginning, the going on and the making good of
 * what a crash or a full disk left are one thing. It proves its work: the root that its tiles give
 * has to be the one that is signed. */
#ifndef SALLYPORT_AUDIT_TILES_H
#define SALLYPORT_AUDIT_TILES_H

#include <stdbool.h>
#include <sys/types.h>

#include "audit/checkpoint.h"
#include "audit/tile_path.h"

struct tiles;

/* Records taken in one go while producers wait for the disk: some 50 ms. */
#define TILES_SLICE 65536u

/* dir stays the caller's. ERR_MEMORY. */
MUST_CHECK int tiles_new(struct tiles **out, int dir, struct err *e);
void tiles_free(struct tiles *t);

/* Goes on from the tiles on disk, where they give the checkpoint's root and the newest of them are
 * whole; else from the first that is not, or from the beginning. Never fails: what cannot be read
 * is made anew. c NULL: nothing is on disk yet. Returns how many records' tiles are taken over. */
uint64_t tiles_load(struct tiles *t, const struct checkpoint *c);

/* Records whose hashes are taken, in full tiles on disk or in memory. */
uint64_t tiles_next(const struct tiles *t);

/* Takes records up to `upto`, which are durable, `most` of them at most (0: all), and writes each
 * tile and bundle that becomes full. After an error the next call goes on where this one came to.
 * ERR_SYSTEM: not written (errno is that of the failed call), ERR_TAMPERED: the segments are not
 * as they were written, ERR_MEMORY. */
MUST_CHECK int tiles_advance(struct tiles *t, uint64_t upto, uint64_t most, struct err *e);
/* After tiles_advance to exactly c->size: compares the root, and writes the partial tiles of this
 * size. ERR_TAMPERED: the tiles have another root. Other errors as above. */
MUST_CHECK int tiles_finish(struct tiles *t, const struct checkpoint *c, struct err *e);

#endif
