/* SPDX-License-Identifier: Apache-2.0
 *
 * Kept contents into files (audit/file_extract.h). */
#include "audit/file_extract.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/utf8.h"

/* u64 n, u8 direction, u64 offset */
#define CONTENT_HEAD 17u
/* NAME is cut to this; CHANNEL and N are 31 digits at most. */
#define NAME_PART 160u
/* Files at once, one way each: 10 channels have 2,560 open. */
#define CONTENTS_MAX 8192u

struct file_extract {
    int dir;
    EVP_MD *sha256;
    uint64_t odd;
    unsigned live;
};

/* One way of one file. */
struct content {
    char name[EXTRACT_NAME_MAX];
    bool made, lost; /* lost: a piece is where no file can have one */
    uint64_t bytes;
    EVP_MD_CTX *hash; /* of the run that goes on; NULL: none */
    uint64_t runs;    /* of them, so many are below */
    struct file_range run[FILE_OP_RANGES];
};

struct contents {
    struct content *of[FILE_DIRECTIONS];
};

int file_extract_new(struct file_extract **out, const char *directory, struct err *e)
{
    struct file_extract *x = calloc(1, sizeof *x);

    *out = NULL;
    if (!x)
        return err_set(e, ERR_MEMORY, "no memory for extracting files");
    if (mkdir(directory, 0700) < 0 && errno != EEXIST) {
        free(x);
        return err_errno(e, "cannot make the directory %s", directory);
    }
    x->dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    x->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (x->dir < 0 || !x->sha256) {
        int r = x->dir < 0 ? err_errno(e, "cannot open the directory %s", directory)
                           : err_set(e, ERR_CRYPTO, "there is no SHA-256");

        file_extract_free(x);
        return r;
    }
    *out = x;
    return 0;
}

void file_extract_free(struct file_extract *x)
{
    if (!x)
        return;
    if (x->dir >= 0)
        close(x->dir);
    EVP_MD_free(x->sha256);
    free(x);
}

static void name_file(char out[EXTRACT_NAME_MAX], const struct file_op *op, enum file_direction d)
{
    /* Opened for that alone; else both ways may come. */
    const bool alone = (strstr(op->flags, "read") != NULL) == (d == FILE_OP_READ) &&
                       (strstr(op->flags, "write") != NULL) == (d == FILE_OP_WRITTEN);
    size_t at, from = 0, end;

    for (size_t i = 0; i < op->path.len; i++)
        from = op->path.p[i] == '/' ? i + 1 : from;
    at = (size_t)snprintf(out, EXTRACT_NAME_MAX, "%" PRIu32 "-%" PRIu64 "-", op->channel, op->n);
    end = at + NAME_PART;
    while (from < op->path.len) {
        uint32_t c;
        size_t n = utf8_next(op->path.p + from, op->path.len - from, &c);

        if (at + (n ? n : 1) > end)
            break;
        if (n && utf8_visible(c) && !strchr("\\\"'`$*?|&;<>", (int)(c < 128 ? c : 'a')))
            memcpy(out + at, op->path.p + from, n);
        else
            out[at] = '_', n = n ? n : 1;
        at += out[at] == '_' ? 1 : n;
        from += n;
    }
    snprintf(out + at, EXTRACT_NAME_MAX - at, "%s",
             alone               ? ""
             : d == FILE_OP_READ ? ".read"
                                 : ".written");
}

static struct content *content_of(struct file_extract *x, struct file_op *op, enum file_direction d)
{
    struct contents *all = op->attached;

    if (!all)
        op->attached = all = calloc(1, sizeof *all);
    if (all && !all->of[d]) {
        all->of[d] = calloc(1, sizeof *all->of[d]);
        if (all->of[d]) {
            x->live++;
            name_file(all->of[d]->name, op, d);
        }
    }
    return all ? all->of[d] : NULL;
}

static int write_at(struct file_extract *x, struct content *c, uint64_t offset, const uint8_t *p,
                    size_t len, struct err *e)
{
    int fd = openat(x->dir, c->name,
                    c->made ? O_WRONLY | O_NOFOLLOW | O_CLOEXEC
                            : O_WRONLY | O_NOFOLLOW | O_CLOEXEC | O_CREAT | O_EXCL,
                    0600);
    int r = 0;

    if (fd < 0 && errno == EEXIST)
        return err_set(e, ERR_INPUT, "%s is there already: nothing is overwritten", c->name);
    if (fd < 0)
        return err_errno(e, "cannot make %s", c->name);
    c->made = true;
    while (len > 0 && r == 0) {
        ssize_t n = pwrite(fd, p, len, (off_t)offset);

        if (n < 0 && errno == EFBIG)
            r = ERR_FULL;
        else if (n < 0 && errno != EINTR)
            r = err_errno(e, "cannot write %s at %" PRIu64, c->name, offset);
        if (n > 0) {
            p += n;
            len -= (size_t)n;
            offset += (size_t)n;
        }
    }
    if (close(fd) < 0 && r == 0)
        r = err_errno(e, "cannot write %s", c->name);
    return r;
}

static struct file_range *last_run(struct content *c)
{
    return &c->run[(c->runs - 1) % FILE_OP_RANGES];
}

/* The run that goes on is over. */
static void end_run(struct content *c)
{
    if (c->hash) {
        INVARIANT(EVP_DigestFinal_ex(c->hash, last_run(c)->sha256, NULL) == 1);
        EVP_MD_CTX_free(c->hash);
        c->hash = NULL;
    }
}

static int hash_run(struct file_extract *x, struct content *c, uint64_t offset, const uint8_t *p,
                    size_t len)
{
    if (c->hash && last_run(c)->to != offset)
        end_run(c);
    if (!c->hash && c->runs < FILE_OP_RANGES) {
        c->hash = EVP_MD_CTX_new();
        if (!c->hash)
            return ERR_MEMORY;
        INVARIANT(EVP_DigestInit_ex2(c->hash, x->sha256, NULL) == 1);
        c->runs++;
        last_run(c)->from = last_run(c)->to = offset;
    }
    if (c->hash) {
        INVARIANT(EVP_DigestUpdate(c->hash, p, len) == 1);
        last_run(c)->to += len;
    }
    return 0;
}

int file_extract_put(struct file_extract *x, struct file_ops *ops, const struct export_record *v,
                     struct err *e)
{
    struct file_op *op;
    struct content *c;
    uint64_t offset;
    unsigned direction;
    int r;

    if (!v->payload || v->len < CONTENT_HEAD) {
        x->odd++;
        return 0;
    }
    direction = v->payload[8];
    offset = wire_load_u64(v->payload + 9);
    op = file_ops_find(ops, v->r->session, v->r->channel, wire_load_u64(v->payload));
    if (!op || strcmp(op->op, "open") != 0 || (direction != 1 && direction != 2) ||
        offset > INT64_MAX - v->len || x->live >= CONTENTS_MAX) {
        x->odd++;
        return 0;
    }
    if (v->len == CONTENT_HEAD)
        return 0;
    c = content_of(x, op, direction == 1 ? FILE_OP_READ : FILE_OP_WRITTEN);
    r = c ? write_at(x, c, offset, v->payload + CONTENT_HEAD, v->len - CONTENT_HEAD, e)
          : ERR_MEMORY;
    if (r == ERR_FULL) {
        /* An operator may write where the target's file system, and ours, has no room: what else
         * he moved comes out all the same. */
        c->lost = true;
        x->odd++;
        return 0;
    }
    if (r == 0)
        r = hash_run(x, c, offset, v->payload + CONTENT_HEAD, v->len - CONTENT_HEAD);
    if (r == 0)
        c->bytes += v->len - CONTENT_HEAD;
    return r == ERR_MEMORY ? err_set(e, r, "no memory for a file's contents") : r;
}

/* What was kept begins as what was moved. */
static enum extract_state judge(const struct file_op *op, const struct file_moved *m,
                                const struct content *c)
{
    const bool all = c->bytes == m->bytes;
    uint64_t known = c->runs < m->ranges ? c->runs : m->ranges;

    if (c->lost)
        return EXTRACT_PART;
    if (!op->closed || !m->there)
        return EXTRACT_UNPROVED;
    if (c->bytes > m->bytes || (c->runs > m->ranges && m->more == 0))
        return EXTRACT_DIFFERS;
    for (uint64_t i = 0; i < known; i++) {
        const struct file_range *is = &c->run[i], *was = &m->range[i];
        const bool cut = !all && i + 1 == c->runs;

        if (is->from != was->from || (cut ? is->to > was->to : is->to != was->to))
            return EXTRACT_DIFFERS;
        if (is->to == was->to && memcmp(is->sha256, was->sha256, sizeof is->sha256) != 0)
            return EXTRACT_DIFFERS;
    }
    if (!all)
        return EXTRACT_PART;
    return m->more ? EXTRACT_UNPROVED : c->runs == m->ranges ? EXTRACT_COMPLETE : EXTRACT_DIFFERS;
}

int file_extract_finish(struct file_extract *x, struct file_op *op, extract_fn *each, void *arg)
{
    struct contents *all = op->attached;
    int r = 0;

    for (int d = 0; all && d < FILE_DIRECTIONS; d++) {
        struct content *c = all->of[d];
        struct extract_result result = {.direction = (enum file_direction)d};

        if (!c)
            continue;
        end_run(c);
        snprintf(result.name, sizeof result.name, "%s", c->name);
        result.bytes = c->bytes;
        result.state = judge(op, &op->moved[d], c);
        if (r == 0 && c->made)
            r = each(arg, op, &result);
        x->live--;
        free(c);
    }
    free(all);
    op->attached = NULL;
    return r;
}

uint64_t file_extract_odd(const struct file_extract *x)
{
    return x->odd;
}
