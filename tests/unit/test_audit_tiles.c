/* SPDX-License-Identifier: Apache-2.0
 *
 * Tile paths, and proofs out of tiles: against the recursive definitions of RFC 6962, written here
 * once more and as they stand there, for every size up to 70, and for sizes around full tiles. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/proof.h"
#include "audit/digest_many.h"
#include "audit/tlog_proof.h"
#include "tests/unit/audit_lab.h"

static const struct {
    int level;
    uint64_t n;
    unsigned width;
    const char *path;
} paths[] = {
    {0, 0, 256, "tile/0/000"},
    {0, 1234067, 256, "tile/0/x001/x234/067"}, /* the example of the text */
    {3, 1234067, 17, "tile/3/x001/x234/067.p/17"},
    {TILE_ENTRIES, 999, 1, "tile/entries/999.p/1"},
    {TILE_ENTRIES, 1000, 255, "tile/entries/x001/000.p/255"},
    {7, UINT64_MAX, 255, "tile/7/x018/x446/x744/x073/x709/x551/615.p/255"},
};

Test(tiles, paths)
{
    char path[TILE_PATH_MAX];

    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        tile_path(path, paths[i].level, paths[i].n, paths[i].width);
        cr_expect_str_eq(path, paths[i].path);
    }
}

static const struct {
    uint64_t size;
    int level;
    uint64_t n;
    unsigned width;
} widths[] = {
    {70000, 0, 272, 256},
    {70000, 0, 273, 112},
    {70000, 0, 274, 0},
    {70000, 1, 0, 256},
    {70000, 1, 1, 17},
    {70000, 2, 0, 1},
    {70000, 3, 0, 0},
    {256, 0, 0, 256},
    {256, 0, 1, 0},
    {256, 1, 0, 1},
    {255, 1, 0, 0},
    {70000, TILE_ENTRIES, 273, 112},
    {UINT64_MAX, 7, 0, 255},
    {1, 0, 0, 1},
    {0, 0, 0, 0},
    {UINT64_MAX, 6, 255, 255},
    {UINT64_MAX, 6, 254, 256},
};

Test(tiles, widths_of_the_texts_example)
{
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        cr_expect_eq(tile_width(widths[i].size, widths[i].level, widths[i].n), widths[i].width,
                     "size %lu level %d tile %lu", (unsigned long)widths[i].size, widths[i].level,
                     (unsigned long)widths[i].n);
}

/* A tree of up to 70,000 leaves in memory, and its tiles in a directory. */
struct forest {
    char path[64];
    int dir;
    struct digest *d;
    size_t size;
    uint8_t (*leaf)[RECORD_HASH_SIZE];
};

static void naive_root(struct forest *f, size_t low, size_t high, uint8_t out[RECORD_HASH_SIZE])
{
    uint8_t left[RECORD_HASH_SIZE], right[RECORD_HASH_SIZE];
    size_t k = 1;

    if (high - low == 1) {
        memcpy(out, f->leaf[low], RECORD_HASH_SIZE);
        return;
    }
    while (k * 2 < high - low)
        k *= 2;
    naive_root(f, low, low + k, left);
    naive_root(f, low + k, high, right);
    digest_node(f->d, left, right, out);
}

/* RFC 6962 2.1.1: PATH(m, D[n]) */
static void naive_path(struct forest *f, size_t m, size_t low, size_t high, struct proof *p)
{
    size_t k = 1;

    if (high - low == 1)
        return;
    while (k * 2 < high - low)
        k *= 2;
    if (m < k) {
        naive_path(f, m, low, low + k, p);
        naive_root(f, low + k, high, p->hash[p->count++]);
    } else {
        naive_path(f, m - k, low + k, high, p);
        naive_root(f, low, low + k, p->hash[p->count++]);
    }
}

/* RFC 6962 2.1.2: SUBPROOF(m, D[n], b) */
static void naive_subproof(struct forest *f, size_t m, size_t low, size_t high, bool b,
                           struct proof *p)
{
    size_t k = 1;

    if (m == high - low) {
        if (!b)
            naive_root(f, low, high, p->hash[p->count++]);
        return;
    }
    while (k * 2 < high - low)
        k *= 2;
    if (m <= k) {
        naive_subproof(f, m, low, low + k, b, p);
        naive_root(f, low + k, high, p->hash[p->count++]);
    } else {
        naive_subproof(f, m - k, low + k, high, false, p);
        naive_root(f, low, low + k, p->hash[p->count++]);
    }
}

static void make_parents(const struct forest *f, const char *path)
{
    char part[TILE_PATH_MAX];

    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        memcpy(part, path, (size_t)(slash - path));
        part[slash - path] = '\0';
        (void)mkdirat(f->dir, part, 0700);
    }
}

/* Every tile of a tree of `size` leaves, from the definition:
 * MTH(D[(n * 256 + i) * 256**l : (n * 256 + i + 1) * 256**l]) */
static void write_tiles(struct forest *f, size_t size)
{
    uint8_t tile[TILE_BYTES];
    char path[TILE_PATH_MAX];

    for (int level = 0; level < 3; level++)
        for (uint64_t n = 0; tile_width(size, level, n) > 0; n++) {
            unsigned width = tile_width(size, level, n);
            size_t span = (size_t)1 << (8 * level);
            int fd;

            for (unsigned i = 0; i < width; i++)
                naive_root(f, (n * 256 + i) * span, (n * 256 + i + 1) * span,
                           tile + i * RECORD_HASH_SIZE);
            tile_path(path, level, n, width);
            make_parents(f, path);
            fd = openat(f->dir, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
            cr_assert_geq(fd, 0, "%s", path);
            cr_assert_eq(write(fd, tile, width * RECORD_HASH_SIZE),
                         (ssize_t)(width * RECORD_HASH_SIZE));
            close(fd);
        }
}

static void plant(struct forest *f, size_t size)
{
    f->d = digest_new();
    f->size = size;
    f->leaf = malloc(size * sizeof *f->leaf);
    for (size_t i = 0; i < size; i++)
        digest_bytes(f->d, &i, sizeof i, f->leaf[i]);
    snprintf(f->path, sizeof f->path, "%s/sallyport-tiles-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    cr_assert(mkdtemp(f->path));
    f->dir = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    write_tiles(f, size);
}

static void fell(struct forest *f)
{
    char command[128];

    close(f->dir);
    digest_free(f->d);
    free(f->leaf);
    snprintf(command, sizeof command, "rm -rf %s", f->path);
    cr_assert_eq(system(command), 0);
}

static void expect_same(const struct proof *a, const struct proof *b, const char *what, size_t m,
                        size_t n)
{
    cr_assert_eq(a->count, b->count, "%s %zu %zu: %u hashes, not %u", what, m, n, a->count,
                 b->count);
    cr_assert_eq(memcmp(a->hash, b->hash, a->count * sizeof *a->hash), 0, "%s %zu %zu", what, m, n);
}

/* Every proof that is altered, cut or longer by a hash is refused. */
static void expect_refused(struct proof p, uint64_t m, uint64_t n, const uint8_t *a,
                           const uint8_t *b, bool inclusion)
{
    struct proof q = p;

    q.count++;
    memset(q.hash[p.count], 7, RECORD_HASH_SIZE);
    cr_expect_eq(inclusion ? proof_check_inclusion(&q, m, n, a, b, NULL)
                           : proof_check_consistency(&q, m, n, a, b, NULL),
                 ERR_TAMPERED, "longer %lu %lu", m, n);
    if (p.count == 0)
        return;
    q = p;
    q.count--;
    cr_expect_eq(inclusion ? proof_check_inclusion(&q, m, n, a, b, NULL)
                           : proof_check_consistency(&q, m, n, a, b, NULL),
                 ERR_TAMPERED, "shorter %lu %lu", m, n);
    q = p;
    q.hash[(m + n) % p.count][m % 32] ^= 1;
    cr_expect_eq(inclusion ? proof_check_inclusion(&q, m, n, a, b, NULL)
                           : proof_check_consistency(&q, m, n, a, b, NULL),
                 ERR_TAMPERED, "altered %lu %lu", m, n);
}

static void check_pair(struct forest *f, struct tile_reader *t, size_t m, size_t n)
{
    uint8_t older[RECORD_HASH_SIZE], newer[RECORD_HASH_SIZE];
    struct proof want = {0}, p;
    struct err e = ERR_INIT;

    cr_assert_eq(proof_root(t, n, newer, &e), 0, "%s", e.text);
    if (m < n) {
        naive_path(f, m, 0, n, &want);
        cr_assert_eq(proof_inclusion(t, m, n, &p, &e), 0, "%s", e.text);
        expect_same(&p, &want, "inclusion", m, n);
        cr_assert_eq(proof_check_inclusion(&p, m, n, f->leaf[m], newer, &e), 0, "%s", e.text);
        expect_refused(p, m, n, f->leaf[m], newer, true);
        cr_expect_eq(proof_check_inclusion(&p, m, n, f->leaf[(m + 1) % f->size], newer, NULL),
                     ERR_TAMPERED);
    }
    if (m > 0) {
        want.count = 0;
        naive_subproof(f, m, 0, n, true, &want);
        naive_root(f, 0, m, older);
        cr_assert_eq(proof_consistency(t, m, n, &p, &e), 0, "%s", e.text);
        expect_same(&p, &want, "consistency", m, n);
        cr_assert_eq(proof_check_consistency(&p, m, n, older, newer, &e), 0, "%zu %zu: %s", m, n,
                     e.text);
        expect_refused(p, m, n, older, newer, false);
        older[3] ^= 1;
        cr_expect_eq(proof_check_consistency(&p, m, n, older, newer, NULL), ERR_TAMPERED);
    }
}

Test(proofs, every_size_up_to_70)
{
    struct tile_reader *t;
    struct err e = ERR_INIT;
    struct forest f;

    plant(&f, 70);
    cr_assert_eq(tile_reader_new(&t, f.dir, 70, &e), 0);
    for (size_t n = 1; n <= 70; n++) {
        uint8_t root[RECORD_HASH_SIZE], want[RECORD_HASH_SIZE];

        naive_root(&f, 0, n, want);
        cr_assert_eq(proof_root(t, n, root, &e), 0);
        cr_assert_eq(memcmp(root, want, sizeof root), 0, "root of %zu", n);
        for (size_t m = 0; m <= n; m++)
            check_pair(&f, t, m, n);
    }
    tile_reader_free(t);
    fell(&f);
}

static const size_t edges[] = {0,   1,     2,     255,   256,   257,   511,   512,  513,
                               767, 65535, 65536, 65537, 65792, 66047, 69999, 70000};

Test(proofs, around_full_tiles)
{
    const size_t count = sizeof edges / sizeof *edges;
    struct tile_reader *t;
    struct err e = ERR_INIT;
    struct forest f;
    struct stat st;

    plant(&f, 70000);
    cr_expect_eq(fstatat(f.dir, "tile/0/272", &st, 0), 0);
    cr_expect_eq(fstatat(f.dir, "tile/0/273.p/112", &st, 0), 0);
    cr_expect_eq(fstatat(f.dir, "tile/1/000", &st, 0), 0);
    cr_expect_eq(fstatat(f.dir, "tile/1/001.p/17", &st, 0), 0);
    cr_expect_eq(fstatat(f.dir, "tile/2/000.p/1", &st, 0), 0);
    cr_assert_eq(tile_reader_new(&t, f.dir, 70000, &e), 0);
    for (size_t i = 0; i < count; i++)
        for (size_t j = i; j < count; j++)
            if (edges[j] > 0)
                check_pair(&f, t, edges[i], edges[j]);
    tile_reader_free(t);
    fell(&f);
}

Test(proofs, hostile_tiles_are_refused)
{
    uint8_t root[RECORD_HASH_SIZE];
    struct tile_reader *t;
    struct err e = ERR_INIT;
    struct proof p;
    struct forest f;

    plant(&f, 300);
    cr_assert_eq(tile_reader_new(&t, f.dir, 300, &e), 0);
    cr_expect_eq(proof_inclusion(t, 300, 300, &p, &e), ERR_USAGE);
    cr_expect_eq(proof_inclusion(t, 0, 301, &p, &e), ERR_USAGE);
    cr_expect_eq(proof_consistency(t, 10, 301, &p, &e), ERR_USAGE);
    cr_expect_eq(proof_consistency(t, 11, 10, &p, &e), ERR_USAGE);
    tile_reader_free(t);
    /* a partial tile that became full, of which this size wants a part */
    cr_assert_eq(renameat(f.dir, "tile/0/001.p/44", f.dir, "tile/0/new"), 0);
    cr_assert_eq(tile_reader_new(&t, f.dir, 300, &e), 0);
    cr_expect_eq(proof_root(t, 300, root, &e), ERR_NOT_FOUND);
    cr_assert_eq(symlinkat("000", f.dir, "tile/0/001.p/44"), 0);
    cr_expect_eq(proof_root(t, 300, root, &e), ERR_SYSTEM);
    cr_assert_eq(unlinkat(f.dir, "tile/0/001.p/44", 0), 0);
    cr_assert_eq(mkfifoat(f.dir, "tile/0/001.p/44", 0600), 0);
    cr_expect_eq(proof_root(t, 300, root, &e), ERR_INPUT);
    cr_assert_eq(unlinkat(f.dir, "tile/0/001.p/44", 0), 0);
    cr_assert_eq(renameat(f.dir, "tile/0/000", f.dir, "tile/0/001.p/44"), 0);
    cr_expect_eq(proof_root(t, 300, root, &e), ERR_INPUT);
    cr_assert_eq(renameat(f.dir, "tile/0/001.p/44", f.dir, "tile/0/001"), 0);
    cr_expect_eq(proof_root(t, 300, root, &e), 0, "%s", e.text);
    tile_reader_free(t);
    fell(&f);
}

/* Certificate Transparency's reference proofs, over the eight leaves of test_audit_proofs.c. */
static const char *const reference_leaves[] = {
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
};

struct reference {
    uint64_t m, n;
    const char *hashes[4];
};

static const struct reference reference_inclusion[] = {
    {0, 1, {NULL}},
    {0,
     8,
     {"96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
      "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
      "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4", NULL}},
    {5,
     8,
     {"bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
      "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
      "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7", NULL}},
    {2, 3, {"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125", NULL}},
    {1,
     5,
     {"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
      "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
      "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b", NULL}},
};

static const struct reference reference_consistency[] = {
    {1, 1, {NULL}},
    {1,
     8,
     {"96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
      "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
      "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4", NULL}},
    {6,
     8,
     {"0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
      "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
      "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7", NULL}},
    {2,
     5,
     {"5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
      "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b", NULL}},
};

static void expect_reference(const struct proof *p, const struct reference *want)
{
    unsigned count = 0;

    for (; want->hashes[count]; count++) {
        char hex[DIGEST_HEX];

        cr_assert_lt(count, p->count);
        digest_hex(p->hash[count], hex);
        cr_expect_str_eq(hex, want->hashes[count], "%lu %lu", (unsigned long)want->m,
                         (unsigned long)want->n);
    }
    cr_expect_eq(p->count, count);
}

Test(proofs, reference_vectors)
{
    struct tile_reader *t;
    struct err e = ERR_INIT;
    struct forest f;
    struct proof p;

    plant(&f, 8);
    for (size_t i = 0; i < 8; i++) {
        uint8_t input[32] = {0};
        size_t len = strlen(reference_leaves[i]) / 2;

        cr_assert_eq(hex_decode(reference_leaves[i], input + 1, len), 0);
        digest_bytes(f.d, input, 1 + len, f.leaf[i]);
    }
    write_tiles(&f, 8);
    cr_assert_eq(tile_reader_new(&t, f.dir, 8, &e), 0);
    for (size_t i = 0; i < sizeof reference_inclusion / sizeof *reference_inclusion; i++) {
        const struct reference *r = &reference_inclusion[i];

        cr_assert_eq(proof_inclusion(t, r->m, r->n, &p, &e), 0);
        expect_reference(&p, r);
    }
    for (size_t i = 0; i < sizeof reference_consistency / sizeof *reference_consistency; i++) {
        const struct reference *r = &reference_consistency[i];

        cr_assert_eq(proof_consistency(t, r->m, r->n, &p, &e), 0);
        expect_reference(&p, r);
    }
    tile_reader_free(t);
    fell(&f);
}

Test(proofs, text_there_and_back)
{
    static const char note[] = "origin\n1\nroot\n\n\xe2\x80\x94 origin AAAA\n";
    struct tlog_proof p = {.has_header = true,
                           .index = 73894,
                           .note = note,
                           .note_len = sizeof note - 1},
                      back;
    struct err e = ERR_INIT;
    struct buf out, again;
    char *text;

    memset(p.header, 0x5a, sizeof p.header);
    for (p.proof.count = 0; p.proof.count < 5; p.proof.count++)
        memset(p.proof.hash[p.proof.count], (int)p.proof.count, RECORD_HASH_SIZE);
    buf_init(&out, TLOG_PROOF_MAX);
    buf_init(&again, TLOG_PROOF_MAX);
    cr_assert_eq(tlog_proof_write(&out, &p, &e), 0);
    text = buf_string(&out);
    cr_expect_eq(strncmp(text, "c2sp.org/tlog-proof@v1\nextra WlpaWlpa", 37), 0);
    cr_expect_neq(strstr(text, "\nindex 73894\nAAAAAAAA"), NULL);
    cr_expect_neq(strstr(text, "=\n\norigin\n1\nroot\n"), NULL);
    cr_assert_eq(tlog_proof_parse(&back, text, buf_len(&out), &e), 0, "%s", e.text);
    cr_assert_eq(tlog_proof_write(&again, &back, &e), 0);
    cr_expect_eq(buf_len(&again), buf_len(&out));
    cr_expect_eq(memcmp(buf_head(&again), text, buf_len(&out)), 0);
    /* cut anywhere before the note, it is refused */
    for (size_t n = 0; n < buf_len(&out) - sizeof note + 1; n++)
        cr_expect_eq(tlog_proof_parse(&back, text, n, &e), ERR_SYNTAX, "cut at %zu", n);
    free(text);
    buf_clear(&out);
    buf_clear(&again);
}

static const char *const bad_proofs[] = {
    "c2sp.org/tlog-proof@v2\nindex 0\n\n",
    "c2sp.org/tlog-proof@v1\nindex 00\n\n",
    "c2sp.org/tlog-proof@v1\nindex -1\n\n",
    "c2sp.org/tlog-proof@v1\nindex 18446744073709551616\n\n",
    "c2sp.org/tlog-proof@v1\nindex \n\n",
    "c2sp.org/tlog-proof@v1\n\n",
    "c2sp.org/tlog-proof@v1\nindex 0\nAAAA\n\n",
    "c2sp.org/tlog-proof@v1\nindex 0\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=\n\n",
    "c2sp.org/tlog-proof@v1\nindex 0\nextra AAAA\n\n",
};

Test(proofs, bad_texts_are_refused)
{
    struct tlog_proof p;

    for (size_t i = 0; i < sizeof bad_proofs / sizeof *bad_proofs; i++)
        cr_expect_eq(tlog_proof_parse(&p, bad_proofs[i], strlen(bad_proofs[i]), NULL), ERR_SYNTAX,
                     "%zu", i);
    cr_expect_eq(tlog_proof_parse(&p, "c2sp.org/tlog-proof@v1\nextra eA==\nindex 7\n\n", 44, NULL),
                 0);
    cr_expect_not(p.has_header);
    cr_expect_eq(p.index, 7);
}
