/* SPDX-License-Identifier: Apache-2.0
 *
 * The in-order reader. Runs in auditd (recovery) and in the reading tools; the bytes are hostile.
 * A segment follows another exactly when it is named by the next index; a segment with a higher
 * name, found where that one is not, means that something between them is gone. */
#include "audit/trail_read.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Read-ahead of 1 MiB beyond the longest record: larger reads gain nothing measurable. */
#define READ_AHEAD  (1024u * 1024u)
#define BUFFER_SIZE (RECORD_HEADER_SIZE + RECORD_PAYLOAD_MAX + READ_AHEAD)
/* Where payloads are passed over: so much is read with a header, twice as much each time that the
 * next header was among it. */
#define LITTLE_AHEAD 4096u

struct trail_reader {
    int dir, fd;
    uint64_t segment_first;
    uint64_t offset;      /* in the segment, of buffer[start] */
    uint64_t view_offset; /* of the record last returned, or of what is wrong */
    bool pruned;          /* the segment: a byte stands before each header */
    bool foreign;         /* the segment should be pruned, and does not begin as one */
    uint8_t *zeros;       /* in the place of payloads that are not there */
    uint64_t next;        /* index that the next record should have */
    size_t start, end;    /* unread bytes of the buffer */
    trail_reader_wants wants;
    const void *wants_arg;
    size_t ahead;   /* with wants: how much is read ahead */
    uint64_t known; /* bytes that the segment is known to have */
    uint8_t *buffer;
    struct read_ahead *hashing; /* NULL: no hashes are wanted */
};

/* Whole or pruned. In a replacement that was interrupted both are there, and the new one is
 * whole. */
static int open_either(const struct trail_reader *t, uint64_t first, char name[SEGMENT_NAME_MAX],
                       bool *pruned)
{
    /* Not blocking: in a copy from an enemy, a segment may be a pipe. */
    const int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    int fd;

    segment_pruned_name(first, name);
    *pruned = true;
    fd = openat(t->dir, name, flags);
    if (fd >= 0 || errno != ENOENT)
        return fd;
    segment_name(first, name);
    *pruned = false;
    fd = openat(t->dir, name, flags);
    if (fd >= 0 || errno != ENOENT)
        return fd;
    segment_pruned_name(first, name); /* just replaced */
    *pruned = true;
    return openat(t->dir, name, flags);
}

static int open_segment(struct trail_reader *t, uint64_t first, struct err *e)
{
    char name[SEGMENT_NAME_MAX], magic[SEGMENT_PRUNED_MAGIC_SIZE];
    struct stat st;
    bool pruned;
    int fd = open_either(t, first, name, &pruned);

    if (fd < 0 && errno == ENOENT)
        return ERR_NOT_FOUND;
    if (fd < 0)
        return err_errno(e, "cannot open %s", name);
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return err_set(e, ERR_INPUT, "%s is not a file", name);
    }
    t->foreign = pruned && (pread(fd, magic, sizeof magic, 0) != (ssize_t)sizeof magic ||
                            memcmp(magic, SEGMENT_PRUNED_MAGIC, sizeof magic) != 0);
    if (pruned && !t->zeros && !(t->zeros = calloc(1, RECORD_PAYLOAD_MAX))) {
        close(fd);
        return err_set(e, ERR_MEMORY, "no memory for a reader");
    }
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    if (t->fd >= 0)
        close(t->fd);
    t->fd = fd;
    t->segment_first = first;
    t->next = first;
    t->pruned = pruned;
    t->offset = t->view_offset = pruned ? SEGMENT_PRUNED_MAGIC_SIZE : 0;
    t->start = t->end = 0;
    t->ahead = LITTLE_AHEAD;
    t->known = (uint64_t)st.st_size;
    return 0;
}

int trail_reader_new(struct trail_reader **out, int dir, uint64_t from, struct err *e)
{
    struct trail_reader *t = calloc(1, sizeof *t);
    struct segments list = {NULL, 0};
    size_t i;
    int r;

    *out = NULL;
    if (!t)
        return err_set(e, ERR_MEMORY, "no memory for a reader");
    t->dir = dir;
    t->fd = -1;
    t->buffer = malloc(BUFFER_SIZE);
    if (!t->buffer) {
        r = err_set(e, ERR_MEMORY, "no memory for a reader");
        goto out;
    }
    r = segments_list(&list, dir, e);
    if (r < 0)
        goto out;
    for (i = list.count; i > 0 && list.first[i - 1] > from; i--)
        ;
    if (i == 0) {
        r = err_set(e, ERR_NOT_FOUND, "there is no segment with record %" PRIu64, from);
        goto out;
    }
    r = open_segment(t, list.first[i - 1], e);
    if (r == ERR_NOT_FOUND)
        err_set(e, ERR_NOT_FOUND, "a segment went away");
    if (r == 0) {
        *out = t;
        t = NULL;
    }
out:
    segments_clear(&list);
    trail_reader_free(t);
    return r;
}

int trail_reader_hash(struct trail_reader *t, struct err *e)
{
    INVARIANT(!t->wants);
    t->hashing = read_ahead_new();
    return t->hashing ? 0 : err_set(e, ERR_MEMORY, "no memory to hash records");
}

void trail_reader_free(struct trail_reader *t)
{
    if (!t)
        return;
    if (t->fd >= 0)
        close(t->fd);
    free(t->zeros);
    free(t->buffer);
    read_ahead_free(t->hashing);
    free(t);
}

void trail_reader_choose(struct trail_reader *t, trail_reader_wants wants, const void *arg)
{
    t->wants = wants;
    t->wants_arg = arg;
    t->ahead = LITTLE_AHEAD;
}

int trail_reader_jump(struct trail_reader *t, uint64_t segment_first, uint64_t offset,
                      uint64_t index, struct err *e)
{
    int r = open_segment(t, segment_first, e);

    if (r == ERR_NOT_FOUND)
        return err_set(e, ERR_NOT_FOUND, "a segment went away");
    if (r < 0)
        return r;
    /* In a pruned segment a byte stands before the header. */
    t->offset = t->view_offset = offset - t->pruned;
    t->next = index;
    return 0;
}

/* Reads until `want` bytes are there or the file ends. */
static int fill(struct trail_reader *t, size_t want, struct err *e)
{
    size_t most = t->wants && want + t->ahead < BUFFER_SIZE ? want + t->ahead : BUFFER_SIZE;

    if (t->end - t->start >= want)
        return 0;
    memmove(t->buffer, t->buffer + t->start, t->end - t->start);
    t->end -= t->start;
    t->start = 0;
    while (t->end < want) {
        ssize_t n = pread(t->fd, t->buffer + t->end, most - t->end, (off_t)(t->offset + t->end));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(e, "cannot read segment %016" PRIx64 ".spa at %" PRIu64,
                             t->segment_first, t->offset + t->end);
        if (n == 0)
            break;
        t->end += (size_t)n;
    }
    return 0;
}

/* 1: a segment after this one exists. */
static int later_segment(struct trail_reader *t, uint64_t *first, struct err *e)
{
    struct segments list;
    int found = 0, r = segments_list(&list, t->dir, e);

    if (r < 0)
        return r;
    for (size_t i = 0; i < list.count && !found; i++)
        if (list.first[i] > t->segment_first) {
            *first = list.first[i];
            found = 1;
        }
    segments_clear(&list);
    return found;
}

/* The segment has no complete record at this place: is it the end of the log? 1: look again. */
static int at_end(struct trail_reader *t, uint64_t *unfinished, enum fault *fault, struct err *e)
{
    size_t left = t->end - t->start;
    uint64_t later = 0;
    int r;

    t->view_offset = t->offset;
    if (left == 0 && t->next > t->segment_first) {
        r = open_segment(t, t->next, e);
        if (r != ERR_NOT_FOUND)
            return r < 0 ? r : 1;
    }
    r = later_segment(t, &later, e);
    if (r < 0)
        return r;
    if (r == 0) {
        *unfinished = left;
        return 0;
    }
    /* The writer may have gone on, and opened that segment, since this one was read to its end. */
    r = fill(t, left + 1, e);
    if (r < 0)
        return r;
    if (t->end - t->start > left)
        return 1;
    if (left > 0) {
        *fault = FAULT_CUT;
        return err_set(e, ERR_TAMPERED,
                       "the segment ends inside a record, and another one follows");
    }
    if (t->next > t->segment_first) {
        r = open_segment(t, t->next, e);
        if (r != ERR_NOT_FOUND)
            return r < 0 ? r : 1;
    }
    *fault = FAULT_MISSING;
    return err_set(e, ERR_TAMPERED,
                   "records from %" PRIu64
                   " on are not there; the next segment begins with %" PRIu64,
                   t->next, later);
}

/* 1: the record at the buffer's start is there as a whole, and was passed over. 0: it is not. */
static int pass_over(struct trail_reader *t, size_t size, struct err *e)
{
    struct stat st;

    if (size <= t->end - t->start) {
        t->start += size;
        t->ahead = t->ahead < READ_AHEAD ? 2 * t->ahead : READ_AHEAD;
        return 1;
    }
    if (t->offset + size > t->known) {
        if (fstat(t->fd, &st) < 0)
            return err_errno(e, "cannot look at segment %016" PRIx64 ".spa", t->segment_first);
        t->known = (uint64_t)st.st_size;
        if (t->offset + size > t->known)
            return 0;
    }
    /* The header stays where it is for the caller. */
    t->start = t->end = 0;
    t->ahead = LITTLE_AHEAD;
    return 1;
}

/* The header at the buffer's start is v's: is the payload wanted? 1: *v is complete, without it. 0:
 * it has to be read. */
static int without_payload(struct trail_reader *t, struct trail_view *v, size_t *size,
                           struct err *e)
{
    size_t before = t->pruned, start = t->start + before;
    int r;

    if (!t->wants || t->wants(t->wants_arg, &v->r))
        return 0;
    r = pass_over(t, before + RECORD_HEADER_SIZE + v->r.payload_len, e);
    if (r <= 0)
        return r;
    v->header = t->buffer + start;
    v->payload = NULL;
    v->hashes = NULL;
    *size = before + RECORD_HEADER_SIZE + v->r.payload_len;
    return 1;
}

int trail_reader_next(struct trail_reader *t, struct trail_view *v, uint64_t *unfinished,
                      enum fault *fault, struct err *e)
{
    size_t before, size;
    int r;

    *unfinished = 0;
    *fault = FAULT_NONE;
again:
    if (t->foreign) {
        t->view_offset = 0;
        *fault = FAULT_EDITED;
        return err_set(e, ERR_TAMPERED, "a pruned segment does not begin as one (wrong magic)");
    }
    before = t->pruned;
    size = before + RECORD_HEADER_SIZE;
    v->dropped = false;
    for (bool known = false;; known = true) {
        r = fill(t, size, e);
        if (r < 0)
            return r;
        if (t->end - t->start < size) {
            r = at_end(t, unfinished, fault, e);
            if (r != 1)
                return r;
            goto again;
        }
        if (known)
            break;
        t->view_offset = t->offset;
        r = record_decode(t->buffer + t->start + before, &v->r, e);
        if (r == 0 && before && t->buffer[t->start] > 1)
            r = err_set(e, ERR_TAMPERED, "whether the payload is there is neither yes nor no");
        if (r < 0) {
            *fault = FAULT_EDITED;
            return r;
        }
        v->dropped = before && t->buffer[t->start] == 0;
        if (v->r.payload_len == 0 || v->dropped)
            break;
        r = without_payload(t, v, &size, e);
        if (r < 0)
            return r;
        if (r == 1)
            goto found;
        size += v->r.payload_len;
    }
    v->header = t->buffer + t->start + before;
    v->payload = v->dropped ? t->zeros : v->header + RECORD_HEADER_SIZE;
    v->hashes =
        t->hashing && !t->pruned ? read_ahead_next(t->hashing, v->header, t->end - t->start) : NULL;
    t->start += size;
found:
    v->offset = t->offset + before;
    v->first_of_segment = t->offset == (t->pruned ? SEGMENT_PRUNED_MAGIC_SIZE : 0);
    t->view_offset = t->offset;
    t->offset += size;
    t->next++;
    return 1;
}

uint64_t trail_reader_index(const struct trail_reader *t)
{
    return t->next;
}

void trail_reader_place(const struct trail_reader *t, struct trail_place *place)
{
    if (t->pruned)
        segment_pruned_name(t->segment_first, place->segment);
    else
        segment_name(t->segment_first, place->segment);
    place->segment_first = t->segment_first;
    place->offset = t->view_offset;
}
