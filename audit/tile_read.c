/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads tiles. Runs wherever proofs are made and in auditd at its start; the files may be anything:
 * links and pipes are not followed, and a file is read only when it has exactly a tile's size. */
#include "audit/tile_read.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/digest_many.h"
#include "base/wire.h"

/* The tile of a level that was read last: proofs of neighbours ask for the same ones. */
struct cached {
    uint64_t n;
    unsigned width; /* 0: nothing yet */
    uint8_t hashes[TILE_BYTES];
};

struct tile_reader {
    int dir;
    uint64_t size;
    struct digest *digest;
    struct cached levels[TILE_LEVELS];
};

int tile_reader_new(struct tile_reader **out, int dir, uint64_t size, struct err *e)
{
    struct tile_reader *t = calloc(1, sizeof *t);

    *out = NULL;
    if (!t || !(t->digest = digest_new())) {
        free(t);
        return err_set(e, ERR_MEMORY, "no memory for tiles");
    }
    t->dir = dir;
    t->size = size;
    *out = t;
    return 0;
}

void tile_reader_free(struct tile_reader *t)
{
    if (!t)
        return;
    digest_free(t->digest);
    free(t);
}

uint64_t tile_reader_size(const struct tile_reader *t)
{
    return t->size;
}

struct digest *tile_reader_digest(struct tile_reader *t)
{
    return t->digest;
}

/* The file must have `size` bytes; reads the first `len`. */
static int read_file(int dir, const char *path, size_t size, uint64_t from, void *out, size_t len,
                     struct err *e)
{
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), r = 0;
    struct stat st;

    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return err_set(e, ERR_NOT_FOUND, "%s is not there", path);
    if (fd < 0)
        return err_errno(e, "cannot open %s", path);
    if (fstat(fd, &st) < 0)
        r = err_errno(e, "cannot look at %s", path);
    else if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != size)
        r = err_set(e, ERR_INPUT, "%s is not a file of %zu bytes", path, size);
    for (size_t done = 0; r == 0 && done < len;) {
        ssize_t n = pread(fd, (uint8_t *)out + done, len - done, (off_t)(from + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            r = err_errno(e, "cannot read %s", path);
        else if (n == 0)
            r = err_set(e, ERR_INPUT, "%s became shorter", path);
        else
            done += (size_t)n;
    }
    close(fd);
    return r;
}

/* Reads len bytes at `from` of tile n, whose elements have `element` bytes. */
static int read_tile(struct tile_reader *t, int level, uint64_t n, unsigned width, size_t element,
                     uint64_t from, void *out, size_t len, struct err *e)
{
    char path[TILE_PATH_MAX];
    int r;

    tile_path(path, level, n, width);
    r = read_file(t->dir, path, width * element, from, out, len, e);
    /* A partial tile may be removed once the full one, which begins with it, is there. */
    if (r == ERR_NOT_FOUND && width < TILE_WIDTH) {
        tile_path(path, level, n, TILE_WIDTH);
        if (read_file(t->dir, path, TILE_WIDTH * element, from, out, len, NULL) == 0)
            r = 0;
    }
    return r;
}

int tile_hashes(struct tile_reader *t, unsigned level, uint64_t n, const uint8_t **hashes,
                unsigned *width, struct err *e)
{
    struct cached *c;
    int r;

    *width = level < TILE_LEVELS ? tile_width(t->size, (int)level, n) : 0;
    if (*width == 0)
        return err_set(e, ERR_INPUT,
                       "a tree of %" PRIu64 " leaves has no tile %" PRIu64 " of level %u", t->size,
                       n, level);
    c = &t->levels[level];
    if (c->n != n || c->width == 0) {
        c->width = 0;
        r = read_tile(t, (int)level, n, *width, RECORD_HASH_SIZE, 0, c->hashes,
                      *width * RECORD_HASH_SIZE, e);
        if (r < 0)
            return r;
        c->n = n;
        c->width = *width;
    }
    *hashes = c->hashes;
    return 0;
}

int tile_subtree(struct tile_reader *t, unsigned height, uint64_t index,
                 uint8_t out[RECORD_HASH_SIZE], struct err *e)
{
    unsigned within = height % 8, count = 1u << within, width;
    uint64_t first = index << within; /* the hash of the tile's level that it begins with */
    const uint8_t *hashes;
    int r;

    if (height >= 64 || (index << within) >> within != index)
        return err_set(e, ERR_INPUT, "there is no such subtree");
    r = tile_hashes(t, height / 8, first / TILE_WIDTH, &hashes, &width, e);
    if (r < 0)
        return r;
    if (first % TILE_WIDTH + count > width)
        return err_set(e, ERR_INPUT, "a tree of %" PRIu64 " leaves has no such subtree", t->size);
    digest_subtree(t->digest, hashes + first % TILE_WIDTH * RECORD_HASH_SIZE, count, out);
    return 0;
}

int tile_bundle(struct tile_reader *t, uint64_t n, uint8_t out[TILE_BUNDLE_BYTES], unsigned *width,
                struct err *e)
{
    int r;

    *width = tile_width(t->size, TILE_ENTRIES, n);
    if (*width == 0)
        return err_set(e, ERR_INPUT, "a log of %" PRIu64 " records has no bundle %" PRIu64, t->size,
                       n);
    r = read_tile(t, TILE_ENTRIES, n, *width, TILE_ENTRY, 0, out, *width * TILE_ENTRY, e);
    for (unsigned i = 0; r == 0 && i < *width; i++)
        if (wire_load_u16(out + i * TILE_ENTRY) != RECORD_HEADER_SIZE)
            r = err_set(e, ERR_INPUT, "an entry of bundle %" PRIu64 " has not %u bytes", n,
                        RECORD_HEADER_SIZE);
    return r;
}

int tile_entry(struct tile_reader *t, uint64_t index, uint8_t header[RECORD_HEADER_SIZE],
               struct err *e)
{
    unsigned width = tile_width(t->size, TILE_ENTRIES, index / TILE_WIDTH);
    uint8_t entry[TILE_ENTRY];
    int r;

    if (index >= t->size)
        return err_set(e, ERR_INPUT, "a log of %" PRIu64 " records has no record %" PRIu64, t->size,
                       index);
    r = read_tile(t, TILE_ENTRIES, index / TILE_WIDTH, width, TILE_ENTRY,
                  index % TILE_WIDTH * TILE_ENTRY, entry, sizeof entry, e);
    if (r < 0)
        return r;
    if (wire_load_u16(entry) != RECORD_HEADER_SIZE)
        return err_set(e, ERR_INPUT, "the entry of record %" PRIu64 " has not %u bytes", index,
                       RECORD_HEADER_SIZE);
    memcpy(header, entry + 2, RECORD_HEADER_SIZE);
    return 0;
}
