/* SPDX-License-Identifier: Apache-2.0
 *
 * Recovery: from the last segment start before the checkpoint, record by record, to the end of what
 * is whole. Runs in auditd before anything is accepted. What is wrong before the checkpoint's size
 * is corruption or tampering: refused, with the place. What is wrong at or after it, at the very
 * end, is the tail that a crash tore: kept aside in a file, and cut off. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/trail_read.h"
#include "audit/trail_state.h"

/* Tails torn at the same place, one per crash, before somebody has to look. */
#define TORN_FILES_MAX 1000

static int refuse(const struct trail_place *place, uint64_t record, enum fault fault, struct err *e)
{
    err_wrap(e, "%s at %" PRIu64 ", record %" PRIu64 " (%s)", place->segment, place->offset, record,
             fault_name(fault));
    return ERR_TAMPERED;
}

/* Sets the chain to the state before the segment's first record. */
static int start_at_segment(struct trail *t, const struct trail_view *v, struct err *e)
{
    uint8_t hash[RECORD_HASH_SIZE];

    if (v->r.index == 0)
        return 0; /* the genesis state is there already */
    digest_bytes(t->chain.digest, v->payload, v->r.payload_len, hash);
    if (memcmp(hash, v->r.payload_hash, sizeof hash) != 0)
        return err_set(e, ERR_TAMPERED, "the payload does not have the hash in its header");
    return segment_state_read(&t->chain, &v->r, v->payload, e);
}

/* where: NULL for the log's own; else the file that it was kept in besides. */
static int check_one_root(struct trail *t, const struct checkpoint *c, const char *where,
                          struct err *e)
{
    uint8_t root[RECORD_HASH_SIZE];

    if (t->chain.next != c->size)
        return 0;
    merkle_root(&t->chain.merkle, t->chain.digest, root);
    if (memcmp(root, c->root, sizeof root) == 0)
        return 0;
    if (!where)
        return err_set(e, ERR_TAMPERED,
                       "the records do not give the root of the checkpoint of %" PRIu64, c->size);
    return err_set(e, ERR_TAMPERED,
                   "the records do not give the root of the checkpoint of %" PRIu64
                   " in %s: another copy of this log ran, and went on otherwise; look at it, then "
                   "`sallyport audit new-log --reason TEXT` begins another. If this is the one to "
                   "go on with: sallyport(1), RESTORED COPIES",
                   c->size, where);
}

static int check_root(struct trail *t, const struct checkpoint *c, struct err *e)
{
    static const char *const where[] = {HIGH_MARK_FILE, CHECKPOINT_WITNESSED_FILE};
    int r = check_one_root(t, c, NULL, e);

    for (size_t i = 0; r == 0 && i < sizeof t->known / sizeof *t->known; i++)
        if (t->known[i].size)
            r = check_one_root(t, &t->known[i], where[i], e);
    return r;
}

static int copy_bytes(int from, uint64_t offset, int to, struct err *e)
{
    uint8_t chunk[65536];
    ssize_t n;

    while ((n = pread(from, chunk, sizeof chunk, (off_t)offset)) > 0) {
        for (ssize_t done = 0; done < n;) {
            ssize_t put = write(to, chunk + done, (size_t)(n - done));

            if (put < 0)
                return err_errno(e, "cannot keep the torn tail");
            done += put;
        }
        offset += (uint64_t)n;
    }
    return n < 0 ? err_errno(e, "cannot read the torn tail") : 0;
}

/* Copies what is behind `offset` of the open segment into a file of its own, durably. */
static int keep_tail(struct trail *t, int fd, uint64_t offset, struct trail_report *report,
                     struct err *e)
{
    int to = -1, failed, r;

    for (unsigned i = 0; to < 0 && i < TORN_FILES_MAX; i++) {
        snprintf(report->torn_file, sizeof report->torn_file, "torn-%016" PRIx64 ".%u",
                 t->chain.next, i);
        to = openat(t->dir, report->torn_file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                    0600);
        if (to < 0 && errno != EEXIST)
            return err_errno(e, "cannot make %s to keep the torn tail", report->torn_file);
    }
    if (to < 0)
        return err_set(e, ERR_TRAIL,
                       "there are %d files of torn tails already: look at them and "
                       "move them away",
                       TORN_FILES_MAX);
    r = copy_bytes(fd, offset, to, e);
    if (r == 0 && (fdatasync(to) < 0 || fsync(t->dir) < 0))
        r = err_errno(e, "cannot synchronise %s", report->torn_file);
    failed = errno;
    close(to);
    /* A part of a copy, one for each attempt on a full disk, would only be in the way. */
    if (r < 0)
        (void)unlinkat(t->dir, report->torn_file, 0);
    errno = failed;
    return r;
}

/* Opens the last segment for appending and cuts it at `offset`. A segment without a whole first
 * record is removed: then the one before it is opened. */
static int open_tail(struct trail *t, const struct trail_place *place, struct trail_report *report,
                     struct err *e)
{
    struct stat st;
    int r = 0, fd = openat(t->dir, place->segment, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0 || fstat(fd, &st) < 0) {
        r = err_errno(e, "cannot open %s to append", place->segment);
        goto out;
    }
    if ((uint64_t)st.st_size > place->offset) {
        report->torn_bytes = (uint64_t)st.st_size - place->offset;
        r = keep_tail(t, fd, place->offset, report, e);
        if (r < 0 && errno == ENOSPC) {
            /* The reserve is for this too: its blocks are behind the segment's end. */
            space_give_back(fd);
            e->code = 0;
            r = keep_tail(t, fd, place->offset, report, e);
        }
        if (r < 0)
            goto out;
        if (ftruncate(fd, (off_t)place->offset) < 0 || fdatasync(fd) < 0) {
            r = err_errno(e, "cannot cut the torn tail of %s", place->segment);
            goto out;
        }
    }
    if (place->offset == 0) {
        /* The next append opens it anew. */
        report->clean = false;
        if (unlinkat(t->dir, place->segment, 0) < 0 || fsync(t->dir) < 0)
            r = err_errno(e, "cannot remove the torn segment %s", place->segment);
        goto out;
    }
    t->fd = fd;
    t->segment_bytes = place->offset;
    return 0;
out:
    if (fd >= 0)
        close(fd);
    return r;
}

/* Walks to the end of what is whole; *place is there. */
static int walk(struct trail *t, struct trail_reader *reader, const struct checkpoint *c,
                struct trail_place *place, struct err *e)
{
    struct trail_view v;
    enum fault fault;
    uint64_t unfinished;
    bool begun = false;
    int r;

    for (;;) {
        r = trail_reader_next(reader, &v, &unfinished, &fault, e);
        trail_reader_place(reader, place);
        if (r == 1 && !begun) {
            r = start_at_segment(t, &v, e);
            fault = FAULT_EDITED;
            if (r == 0)
                r = check_root(t, c, e);
            begun = true;
        } else if (r == 0) {
            break;
        }
        if (r >= 0 && v.first_of_segment != (v.r.type == RECORD_SEGMENT)) {
            fault = FAULT_REORDERED;
            r = err_set(e, ERR_TAMPERED,
                        "a segment record stands exactly at a segment's beginning");
        } else if (r >= 0) {
            t->chain.known = v.hashes;
            r = chain_check(&t->chain, &v.r, v.header, v.dropped ? NULL : v.payload, &fault, e);
        }
        if (r == 0) {
            r = check_root(t, c, e);
            fault = FAULT_EDITED;
            if (r < 0)
                return refuse(place, t->chain.next - 1, fault, e);
        }
        if (r == ERR_TAMPERED && t->chain.next >= c->size && begun)
            break; /* perhaps a torn tail: the caller looks whether anything follows */
        if (r == ERR_TAMPERED)
            return refuse(place, t->chain.next, fault, e);
        if (r < 0)
            return r;
    }
    if (t->chain.next < c->size) {
        err_set(e, ERR_TAMPERED,
                "the log ends here, but its checkpoint says that it has %" PRIu64 " records",
                c->size);
        return refuse(place, t->chain.next, FAULT_CUT, e);
    }
    if (t->chain.next < t->known[0].size)
        return trail_refuse_shorter(t->chain.next, t->known[0].size, HIGH_MARK_FILE, e);
    if (t->chain.next < t->known[1].size)
        return trail_refuse_shorter(t->chain.next, t->known[1].size, CHECKPOINT_WITNESSED_FILE, e);
    return 0;
}

/* The old segment was durable before the next was made: a torn one is always the last. */
static int check_last(struct trail *t, const struct trail_place *place, struct err *e)
{
    struct segments list;
    int r = segments_list(&list, t->dir, e);

    if (r == 0 && list.count && list.first[list.count - 1] > place->segment_first) {
        err_set(e, ERR_TAMPERED, "the log ends here, but another segment follows");
        r = refuse(place, t->chain.next, FAULT_CUT, e);
    }
    segments_clear(&list);
    return r;
}

int trail_recover(struct trail *t, const struct anchor *a, const struct checkpoint *c,
                  struct trail_report *report, struct err *e)
{
    struct trail_reader *reader = NULL;
    struct trail_place place;
    /* The segment of the checkpoint's last record: its first record is before the checkpoint. */
    int r = trail_reader_new(&reader, t->dir, c->size ? c->size - 1 : 0, e);

    if (r == ERR_NOT_FOUND)
        return err_set(e, ERR_TAMPERED,
                       "no segment has the first record, and the checkpoint says "
                       "that there are %" PRIu64,
                       c->size);
    if (r < 0)
        return r;
    r = chain_init(&t->chain, a, e);
    if (r == 0)
        r = trail_reader_hash(reader, e);
    if (r == 0)
        r = walk(t, reader, c, &place, e);
    if (r == 0)
        r = check_last(t, &place, e);
    if (r < 0)
        goto out;
    report->size = t->chain.next;
    report->checkpoint = c->size;
    report->clean = t->chain.run == RUN_ENDED;
    r = open_tail(t, &place, report, e);
    if (r == 0 && report->torn_bytes)
        report->clean = false;
out:
    t->chain.known = NULL;
    trail_reader_free(reader);
    return r;
}
