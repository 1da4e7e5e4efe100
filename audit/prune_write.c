/* SPDX-License-Identifier: Apache-2.0
 *
 * The files: the mark that an order is under way, and segments without what it destroys. A new file
 * is whole and synchronised before it gets its name, and only then the old one goes. Runs in
 * auditd. */
#include "audit/prune_state.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define SEGMENT_NEW "segment.spp.new"

static int sync_dir(const struct prune *p, struct err *e)
{
    return fsync(p->dir) < 0 ? err_errno(e, "cannot synchronise the trail's directory") : 0;
}

static FILE *make(const struct prune *p, const char *name, mode_t mode, struct err *e)
{
    int fd = openat(p->dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "w");

    if (!f) {
        err_errno(e, "cannot make %s", name);
        if (fd >= 0)
            close(fd);
    }
    return f;
}

/* Synchronises, closes, and gives it its name. */
static int finish(const struct prune *p, FILE *f, const char *name, const char *as, struct err *e)
{
    int r = 0;

    if (fflush(f) != 0 || fdatasync(fileno(f)) < 0)
        r = err_errno(e, "cannot write %s", as);
    if (fclose(f) != 0 && r == 0)
        r = err_errno(e, "cannot write %s", as);
    if (r == 0 && renameat(p->dir, name, p->dir, as) < 0)
        r = err_errno(e, "cannot rename %s", name);
    if (r < 0)
        (void)unlinkat(p->dir, name, 0);
    return r < 0 ? r : sync_dir(p, e);
}

int prune_write_mark(struct prune *p, struct err *e)
{
    FILE *f = make(p, PRUNE_MARK_NEW, 0600, e);

    if (!f)
        return e->code;
    (void)fwrite(p->text, 1, p->text_len, f); /* finish sees it */
    return finish(p, f, PRUNE_MARK_NEW, PRUNE_MARK, e);
}

int prune_remove_mark(const struct prune *p, struct err *e)
{
    if (unlinkat(p->dir, PRUNE_MARK, 0) < 0 && errno != ENOENT)
        return err_errno(e, "cannot remove %s", PRUNE_MARK);
    return sync_dir(p, e);
}

static int remove_old(const struct prune *p, uint64_t first, struct err *e)
{
    char name[SEGMENT_NAME_MAX];

    segment_name(first, name);
    if (unlinkat(p->dir, name, 0) < 0 && errno != ENOENT)
        return err_errno(e, "cannot remove %s", name);
    return sync_dir(p, e);
}

/* A replacement that a crash interrupted between its two names: the new one is whole. */
static int finish_old(const struct prune *p, uint64_t first, struct err *e)
{
    char name[SEGMENT_NAME_MAX];

    int fd;

    segment_pruned_name(first, name);
    fd = openat(p->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return 0;
    close(fd);
    return remove_old(p, first, e);
}

static int begin(struct prune *p, struct err *e)
{
    int r = prune_reader(p, p->segments[p->at].first, e);

    if (r < 0)
        return r;
    p->out = make(p, SEGMENT_NEW, 0640, e); /* the readers' group reads it as before */
    if (!p->out)
        return e->code;
    (void)fwrite(SEGMENT_PRUNED_MAGIC, 1, SEGMENT_PRUNED_MAGIC_SIZE, p->out);
    return 0;
}

static int put(struct prune *p, const struct trail_view *v, struct err *e)
{
    bool drop = v->dropped || prune_takes(p, v);

    if (fputc(!drop, p->out) == EOF || fwrite(v->header, 1, RECORD_HEADER_SIZE, p->out) == 0 ||
        (!drop && v->r.payload_len > 0 && fwrite(v->payload, v->r.payload_len, 1, p->out) != 1))
        return err_errno(e, "cannot write a segment anew");
    return 0;
}

static int end(struct prune *p, struct err *e)
{
    char name[SEGMENT_NAME_MAX];
    uint64_t first = p->segments[p->at].first;
    FILE *f = p->out;
    int r;

    segment_pruned_name(first, name);
    p->out = NULL;
    r = finish(p, f, SEGMENT_NEW, name, e);
    if (r == 0)
        r = remove_old(p, first, e);
    p->at++;
    return r;
}

int prune_write(struct prune *p, struct err *e)
{
    struct trail_view v;
    enum fault fault;
    uint64_t unfinished, last;
    int r = 0;

    while (!p->out && p->at < p->cut && p->segments[p->at].records == 0) {
        r = finish_old(p, p->segments[p->at++].first, e);
        if (r < 0)
            return r;
    }
    if (p->at == p->cut)
        return 0;
    last = p->at + 1 < p->segment_count ? p->segments[p->at + 1].first : p->upto;
    if (!p->out)
        r = begin(p, e);
    for (unsigned i = 0; r == 0 && i < PRUNE_STEP; i++) {
        if (p->next == last) {
            r = end(p, e);
            break;
        }
        r = trail_reader_next(p->reader, &v, &unfinished, &fault, e);
        if (r == 1)
            r = put(p, &v, e);
        else if (r == 0)
            r = err_set(e, ERR_INPUT, "a segment ends before its end");
        p->next++;
    }
    return r < 0 ? r : 1;
}
