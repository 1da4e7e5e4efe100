/* SPDX-License-Identifier: Apache-2.0
 *
 * The recorder's tiles against its segments: as it writes, after losses and changes while it was
 * not there, after a kill, and where it may not write. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/proof.h"
#include "audit/trail_end.h"
#include "audit/trail_read.h"
#include "tests/unit/audit_lab.h"

/* Every tile and bundle that the directory's checkpoint calls for is there, says what the segments
 * say, and gives the signed root. Returns the checkpoint's size. */
static uint64_t check_tiles(struct audit_lab *lab)
{
    uint8_t root[RECORD_HASH_SIZE], leaf[RECORD_HASH_SIZE], header[RECORD_HEADER_SIZE];
    struct trail_reader *records;
    struct tile_reader *t;
    struct trail_view v;
    struct checkpoint c;
    struct err e = ERR_INIT;
    uint64_t unfinished;
    enum fault fault;

    cr_assert_eq(checkpoint_read(&c, lab->dir, &lab->log, &e), 0, "%s", e.text);
    cr_assert_eq(tile_reader_new(&t, lab->dir, c.size, &e), 0);
    cr_assert_eq(trail_reader_new(&records, lab->dir, 0, &e), 0);
    for (uint64_t i = 0; i < c.size; i++) {
        cr_assert_eq(trail_reader_next(records, &v, &unfinished, &fault, &e), 1, "%s", e.text);
        cr_assert_eq(tile_entry(t, i, header, &e), 0, "%s", e.text);
        cr_assert_eq(memcmp(header, v.header, sizeof header), 0, "entry %lu", i);
        digest_leaf(tile_reader_digest(t), header, leaf);
        cr_assert_eq(tile_subtree(t, 0, i, root, &e), 0, "%s", e.text);
        cr_assert_eq(memcmp(root, leaf, sizeof leaf), 0, "leaf %lu", i);
    }
    cr_assert_eq(proof_root(t, c.size, root, &e), 0, "%s", e.text);
    cr_assert_eq(memcmp(root, c.root, sizeof root), 0, "root of %lu", c.size);
    for (int level = 0; level < 3; level++)
        for (uint64_t n = 0; tile_width(c.size, level, n) == TILE_WIDTH; n++) {
            uint8_t parent[RECORD_HASH_SIZE], got[RECORD_HASH_SIZE];
            const uint8_t *hashes;
            unsigned width;

            cr_assert_eq(tile_hashes(t, (unsigned)level, n, &hashes, &width, &e), 0, "%s", e.text);
            digest_subtree(tile_reader_digest(t), hashes, TILE_WIDTH, got);
            cr_assert_eq(tile_subtree(t, 8u * (unsigned)(level + 1), n, parent, &e), 0);
            cr_assert_eq(memcmp(parent, got, sizeof got), 0, "tile %d/%lu", level, n);
        }
    trail_reader_free(records);
    tile_reader_free(t);
    return c.size;
}

static void grow(struct audit_lab *lab, uint64_t records, uint64_t segment_max)
{
    static const uint8_t id[RECORD_SESSION_ID] = {1};
    struct trail *t = lab_trail(lab, segment_max);
    struct err e = ERR_INIT;

    for (uint64_t i = 0; i < records; i++) {
        cr_assert_eq(trail_append(t, RECORD_INPUT, id, 1, "k", 1, &e), 0);
        if (i % 777 == 0) {
            cr_assert_eq(trail_flush(t, &e), 0);
            if (i % 2)
                cr_assert_eq(trail_want_checkpoint(t, &e), 0);
            cr_assert_eq(trail_sync_now(t, &e), 0);
        }
    }
    lab_shut_down(t);
}

static bool is_there(struct audit_lab *lab, const char *path)
{
    struct stat st;

    return fstatat(lab->dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

Test(tiles, writer_keeps_up)
{
    static const uint64_t more[] = {0, 1, 200, 60, 255, 256, 257, 5000, 66000, 3};
    struct audit_lab lab;

    lab_make(&lab);
    cr_expect_lt(check_tiles(&lab), 10); /* what init wrote */
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        grow(&lab, more[i], i % 2 ? 100000 : 0);
        cr_expect_gt(check_tiles(&lab), more[i]);
    }
    cr_expect(is_there(&lab, "tile/1/000"));
    cr_expect(is_there(&lab, "tile/2/000.p/1"));
    cr_expect_not(is_there(&lab, "tile/0/000.p"));
    cr_expect_not(is_there(&lab, "tile/entries/000.p"));
    cr_expect_not(is_there(&lab, "tile/1/000.p"));
    lab_remove(&lab);
}

static void flip(struct audit_lab *lab, const char *path)
{
    struct blob b = lab_read(lab, path);

    b.p[b.len / 2] ^= 4;
    lab_write(lab, path, b.p, b.len);
    free(b.p);
}

/* What may have become of the tiles while auditd was not there. */
static const char *const losses[] = {
    "rm -r %s/tile",
    "rm %s/tile/0/001",
    "rm -r %s/tile/0",
    "rm %s/tile/entries/002",
    "rm -r %s/tile/1",
    "rm -r %s/tile/entries",
    "truncate -s 0 %s/tile/0/002",
    "truncate -s 8191 %s/tile/0/000",
    "truncate -s 0 %s/tile/entries/000",
    "truncate -s 5 %s/tile/1/000.p/*",
    "truncate -s 40 %s/tile/0/*.p/*",
    "rm -r %s/tile/0/*.p",
    "rm -r %s/tile/entries/*.p",
    "touch %s/tile/new; rm %s/tile/0/002; ln -s 001 %s/tile/0/002",
};

Test(tiles, what_was_lost_is_made_anew, .timeout = 300)
{
    struct audit_lab lab;

    lab_make(&lab);
    grow(&lab, 1200, 0);
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++) {
        char trail[80], command[400];

        snprintf(trail, sizeof trail, "%s/trail", lab.state);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(command, sizeof command, losses[i], trail, trail, trail);
#pragma GCC diagnostic pop
        cr_assert_eq(system(command), 0, "%s", command);
        grow(&lab, 10, 0);
        cr_expect_gt(check_tiles(&lab), 1200, "%s", losses[i]);
    }
    lab_remove(&lab);
}

static const char *const flipped[] = {
    "tile/0/000",    "tile/0/004", "tile/entries/000", "tile/entries/003",
    "tile/1/000.p/", "tile/0/",    "tile/entries/",
};

Test(tiles, flipped_ones_are_made_anew, .timeout = 300)
{
    struct audit_lab lab;

    lab_make(&lab);
    grow(&lab, 1300, 0);
    for (size_t i = 0; i < sizeof flipped / sizeof *flipped; i++) {
        char path[TILE_PATH_MAX + 20];
        struct checkpoint c;
        struct err e = ERR_INIT;

        cr_assert_eq(checkpoint_read(&c, lab.dir, &lab.log, &e), 0);
        snprintf(path, sizeof path, "%s", flipped[i]);
        if (path[strlen(path) - 1] == '/') {
            int level = path[5] == 'e' ? TILE_ENTRIES : path[5] - '0';
            uint64_t n = level == 1 ? 0 : c.size / 256;

            tile_path(path, level, n, tile_width(c.size, level, n));
        }
        flip(&lab, path);
        grow(&lab, 3, 0);
        check_tiles(&lab);
    }
    lab_remove(&lab);
}

/* Records that were durable, and tiles behind the last checkpoint, when the recorder was killed. */
Test(tiles, killed_behind_a_checkpoint)
{
    static const uint8_t id[RECORD_SESSION_ID] = {1};
    struct audit_lab lab;
    struct trail *t;
    struct err e = ERR_INIT;

    lab_make(&lab);
    t = lab_trail(&lab, 0);
    for (unsigned i = 0; i < 5000; i++) {
        cr_assert_eq(trail_append(t, RECORD_INPUT, id, 1, "k", 1, &e), 0);
        if (i % 100 == 0)
            cr_assert_eq(trail_flush(t, &e) < 0 || trail_sync_now(t, &e) < 0, false);
    }
    cr_assert_eq(trail_flush(t, &e), 0);
    trail_close(t); /* no checkpoint: as after kill -9 */
    cr_expect(is_there(&lab, "tile/0/015"));
    grow(&lab, 1, 0);
    cr_expect_gt(check_tiles(&lab), 5000);
    lab_remove(&lab);
}

/* No room, or no permission, for tiles: records go on, the checkpoint waits, and all is made good.
 */
Test(tiles, not_writable_holds_the_checkpoint)
{
    static const uint8_t id[RECORD_SESSION_ID] = {1};
    struct checkpoint before, after;
    struct audit_lab lab;
    struct trail *t;
    struct err e = ERR_INIT;
    char text[ERR_TEXT_MAX];

    lab_make(&lab);
    t = lab_trail(&lab, 0);
    cr_assert_eq(checkpoint_read(&before, lab.dir, &lab.log, &e), 0);
    cr_assert_eq(renameat(lab.dir, "tile", lab.dir, "elsewhere"), 0);
    lab_write(&lab, "tile", "no directory", 12);
    for (unsigned i = 0; i < 3000; i++)
        cr_assert_eq(trail_append(t, RECORD_INPUT, id, 1, "k", 1, &e), 0);
    cr_assert_eq(trail_flush(t, &e), 0);
    cr_expect_not(trail_tiles_trouble(t, text, sizeof text));
    for (unsigned i = 0; i < 2; i++) {
        cr_assert_eq(trail_want_checkpoint(t, &e), 0);
        cr_assert_eq(trail_sync_now(t, &e), 0, "%s", e.text);
        cr_expect_eq(trail_durable(t), trail_size(t));
        cr_assert_eq(checkpoint_read(&after, lab.dir, &lab.log, &e), 0);
        cr_expect_eq(after.size, before.size);
        cr_expect_eq(trail_tiles_trouble(t, text, sizeof text), i == 0, "told once");
    }
    cr_expect_neq(strstr(text, "tile"), NULL);
    cr_assert_eq(unlinkat(lab.dir, "tile", 0), 0);
    cr_assert_eq(renameat(lab.dir, "elsewhere", lab.dir, "tile"), 0);
    cr_assert_eq(trail_want_checkpoint(t, &e), 0);
    cr_assert_eq(trail_sync_now(t, &e), 0);
    cr_expect_not(trail_tiles_trouble(t, text, sizeof text));
    cr_expect_gt(check_tiles(&lab), 3000);
    lab_shut_down(t);
    cr_expect_gt(check_tiles(&lab), 3000);
    lab_remove(&lab);
}
