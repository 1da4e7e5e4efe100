/* SPDX-License-Identifier: Apache-2.0
 *
 * Segments of bytes between two sockets; see backend_queue.h. Runs in the backend. */
#include "gateway/backend_queue.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/messages.h"

/* Keystrokes and prompts fit the first size; a burst goes straight to whole chunks. */
#define SEGMENT_SMALL 256u

static struct segment *append(struct segment_queue *q, enum segment_kind kind, size_t cap)
{
    struct segment *s = malloc(sizeof *s + cap);
    if (s == NULL)
        return NULL;
    *s = (struct segment){.kind = kind, .cap = (uint32_t)cap};
    if (q->tail != NULL)
        q->tail->next = s;
    else
        q->head = s;
    q->tail = s;
    return s;
}

int segments_put(struct segment_queue *q, enum segment_kind kind, const void *bytes, size_t len)
{
    INVARIANT(kind < SEGMENT_EOF);
    const uint8_t *p = bytes;
    while (len > 0) {
        struct segment *s = q->unrecorded != NULL ? q->tail : NULL;
        /* A record of input ends where a frame ended: there attestations are compared. */
        if (s == NULL || s->kind != kind || s->len == s->cap ||
            ((kind == SEGMENT_INPUT || kind == SEGMENT_INPUT_BULK) && len <= RELAY_CHUNK &&
             len > s->cap - s->len)) {
            s = append(q, kind, s == NULL && len <= SEGMENT_SMALL ? SEGMENT_SMALL : RELAY_CHUNK);
            if (s == NULL)
                return ERR_MEMORY;
            if (q->unrecorded == NULL)
                q->unrecorded = s;
        }
        size_t n = s->cap - s->len;
        if (n > len)
            n = len;
        memcpy(s->bytes + s->len, p, n);
        s->len += (uint32_t)n;
        q->bytes += n;
        p += n;
        len -= n;
    }
    return 0;
}

int segments_mark(struct segment_queue *q, enum segment_kind kind, uint64_t record)
{
    INVARIANT(kind >= SEGMENT_EOF && q->unrecorded == NULL && record != 0);
    struct segment *s = append(q, kind, 0);
    if (s == NULL)
        return ERR_MEMORY;
    s->record = record;
    q->recorded++;
    return 0;
}

void segments_recorded(struct segment_queue *q, uint64_t record)
{
    INVARIANT(q->unrecorded != NULL && record != 0);
    q->unrecorded->record = record;
    q->unrecorded = q->unrecorded->next;
    q->recorded++;
}

void segments_cover(struct segment_queue *q, size_t n, uint64_t record)
{
    while (n > 0) {
        struct segment *s = q->unrecorded;
        INVARIANT(s != NULL && segment_is_bulk(s->kind));
        if (n < s->len - s->covered) {
            s->covered += (uint32_t)n;
            return;
        }
        n -= s->len - s->covered;
        s->covered = s->len;
        segments_recorded(q, record);
    }
}

static void drop_head(struct segment_queue *q)
{
    struct segment *s = q->head;
    q->head = s->next;
    if (q->head == NULL)
        q->tail = NULL;
    if (q->unrecorded == s)
        q->unrecorded = s->next;
    if (s->record != 0)
        q->recorded--;
    q->bytes -= s->len - s->done;
    free(s);
}

void segments_pass(struct segment_queue *q, size_t n)
{
    struct segment *s = q->head;
    INVARIANT(s != NULL && s->record != 0 && n <= s->len - s->done);
    s->done += (uint32_t)n;
    q->bytes -= n;
    if (s->done == s->len)
        drop_head(q);
}

void segments_clear(struct segment_queue *q)
{
    while (q->head != NULL)
        drop_head(q);
}
