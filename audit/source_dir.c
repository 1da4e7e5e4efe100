/* SPDX-License-Identifier: Apache-2.0
 *
 * Records from a trail's directory. To find a session, headers alone are read, from the newest
 * segment backwards, until the record with sequence number 0 is found; each record's place is
 * remembered sparsely, so that a later seek begins near. Runs in the reading tools and in
 * sallyport-reader; every byte is hostile. */
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/checkpoint.h"
#include "audit/digest.h"
#include "audit/source_state.h"
#include "audit/trail_read.h"
#include "base/clock.h"

/* Places that are remembered: at first each STRIDE_FIRST-th record's; when the table is full, every
 * other is given up. 24 KiB, and at most 1/512 of the selection to walk. */
#define PLACES_MAX   1024u
#define STRIDE_FIRST 64u

/* A log that is followed is looked at so often. */
#define LOOK_MS 50
/* A session's last record is its verdict, which comes after its end; nothing comes this long after.
 */
#define AFTER_END_MS 1500u
/* A signed note of the log: far below. */
#define NOTE_FILE_MAX 65536u

static const uint8_t gateway_id[RECORD_SESSION_ID];

struct place {
    uint64_t index, segment_first, offset;
};

struct source_dir {
    int dir;
    struct source_selection selection;
    struct source_session session; /* SESSION */
    struct trail_reader *reader;
    uint64_t from; /* records below this index are passed over */
    bool bare_wanted, bare;
    uint64_t end_seen_ms; /* following: when the session's end was read; 0: not yet */
    bool verdict_seen;
    struct place places[PLACES_MAX];
    size_t place_count;
    uint64_t stride, seen, seen_upto; /* selected records counted, those below seen_upto */
};

static bool selected(const struct source_dir *d, const struct record *r)
{
    switch (d->selection.what) {
    case SOURCE_SESSION:
        return memcmp(r->session, d->session.id, RECORD_SESSION_ID) == 0;
    case SOURCE_GATEWAY:
        return memcmp(r->session, gateway_id, RECORD_SESSION_ID) == 0;
    case SOURCE_CLEAR:
    case SOURCE_EVERYTHING:
        break;
    }
    return true;
}

static bool wants(const void *arg, const struct record *r)
{
    const struct source_dir *d = arg;

    if (r->index < d->from || !selected(d, r))
        return false;
    return !(r->flags & RECORD_FLAG_SEALED) || (!d->bare && d->selection.what != SOURCE_CLEAR);
}

/* --- finding a session */

static bool no_payload(const void *arg, const struct record *r)
{
    (void)arg;
    (void)r;
    return false;
}

struct search {
    const char *name; /* hexadecimal digits; NULL: the newest session that started */
    size_t len;
    struct source_session *found;
    bool any, first_found;
};

static bool has_name(const struct search *s, const uint8_t id[RECORD_SESSION_ID])
{
    char hex[2 * RECORD_SESSION_ID + 1];

    if (memcmp(id, gateway_id, RECORD_SESSION_ID) == 0)
        return false;
    hex_encode(hex, id, RECORD_SESSION_ID);
    return strncmp(hex, s->name, s->len) == 0;
}

static int note_found(struct search *s, const struct record *r, struct err *e)
{
    struct source_session *found = s->found;

    if (s->any && memcmp(found->id, r->session, RECORD_SESSION_ID) != 0)
        return err_set(e, ERR_INPUT, "several sessions begin with %s: give more digits", s->name);
    if (!s->any) {
        memcpy(found->id, r->session, RECORD_SESSION_ID);
        found->first = found->last = r->index;
    }
    s->any = true;
    s->first_found = s->first_found || r->sequence == 0;
    found->first = r->index < found->first ? r->index : found->first;
    found->last = r->index > found->last ? r->index : found->last;
    found->records++;
    found->ended = found->ended || r->type == RECORD_SESSION_END;
    return 0;
}

/* The headers of one segment: from `first` up to, not including, `next`. */
static int search_segment(int dir, struct search *s, uint64_t first, uint64_t next, struct err *e)
{
    struct trail_reader *reader;
    struct trail_view v;
    enum fault fault;
    uint64_t unfinished;
    int r = trail_reader_new(&reader, dir, first, e);

    if (r < 0)
        return r;
    trail_reader_choose(reader, no_payload, NULL);
    while ((r = trail_reader_next(reader, &v, &unfinished, &fault, e)) == 1 && v.r.index < next) {
        if (!s->name && v.r.type == RECORD_SESSION_START) {
            memcpy(s->found->id, v.r.session, RECORD_SESSION_ID);
            s->any = true;
        } else if (s->name && has_name(s, v.r.session)) {
            r = note_found(s, &v.r, e);
            if (r < 0)
                break;
        }
        /* The end of this segment is known: the reader does not have to look for the next. */
        if (v.r.index + 1 == next)
            break;
    }
    trail_reader_free(reader);
    return r < 0 ? r : 0;
}

static int search_backwards(int dir, const struct segments *list, struct search *s, struct err *e)
{
    int r = 0;

    for (size_t i = list->count; r == 0 && i > 0; i--) {
        const uint64_t next = i < list->count ? list->first[i] : UINT64_MAX;

        r = search_segment(dir, s, list->first[i - 1], next, e);
        if (s->any && (!s->name || (s->first_found && s->len >= SOURCE_NAME_WHOLE)))
            break;
    }
    return r;
}

static int find_session(struct source_dir *d, struct err *e)
{
    const char *name = d->selection.session;
    char newest[2 * RECORD_SESSION_ID + 1];
    struct segments list;
    struct search s = {.name = name, .len = strlen(name), .found = &d->session};
    int r = source_name_check(name, e);

    if (r == 0)
        r = segments_list(&list, d->dir, e);
    if (r < 0)
        return r;
    if (strcmp(name, "last") == 0) {
        s.name = NULL;
        r = search_backwards(d->dir, &list, &s, e);
        hex_encode(newest, d->session.id, RECORD_SESSION_ID);
        if (r == 0 && !s.any)
            r = err_set(e, ERR_NOT_FOUND, "there is no session yet");
        memset(&d->session, 0, sizeof d->session);
        s = (struct search){.name = newest, .len = strlen(newest), .found = &d->session};
    }
    if (r == 0)
        r = search_backwards(d->dir, &list, &s, e);
    if (r == 0 && !s.any)
        r = err_set(e, ERR_NOT_FOUND, "no session begins with %s", name);
    segments_clear(&list);
    return r;
}

/* --- reading */

int source_dir_new(struct source_dir **out, int dir, const struct source_selection *selection,
                   struct err *e)
{
    struct source_dir *d = calloc(1, sizeof *d);
    int r = d ? 0 : err_set(e, ERR_MEMORY, "no memory for reading");

    *out = NULL;
    if (r < 0)
        return r;
    d->dir = dir;
    d->selection = *selection;
    d->stride = STRIDE_FIRST;
    if (selection->what == SOURCE_SESSION)
        r = find_session(d, e);
    if (r == 0)
        r = trail_reader_new(&d->reader, dir, d->session.first, e);
    if (r < 0) {
        source_dir_free(d);
        return r;
    }
    d->from = d->session.first;
    trail_reader_choose(d->reader, wants, d);
    *out = d;
    return 0;
}

void source_dir_free(struct source_dir *d)
{
    if (!d)
        return;
    trail_reader_free(d->reader);
    free(d);
}

static void remember_place(struct source_dir *d, const struct source_record *v)
{
    if (v->r.index < d->seen_upto)
        return;
    d->seen_upto = v->r.index + 1;
    if (d->seen++ % d->stride)
        return;
    if (d->place_count == PLACES_MAX) {
        for (size_t i = 0; i < PLACES_MAX / 2; i++)
            d->places[i] = d->places[2 * i];
        d->place_count = PLACES_MAX / 2;
        d->stride *= 2;
    }
    d->places[d->place_count++] = (struct place){v->r.index, v->segment_first, v->offset};
}

/* Whether what is selected is over before the log is. */
static bool over(const struct source_dir *d, const struct record *r)
{
    return d->selection.what == SOURCE_SESSION && !d->selection.follow &&
           r->index > d->session.last;
}

static bool followed_to_the_end(const struct source_dir *d)
{
    return d->verdict_seen || (d->end_seen_ms && clock_mono_ms() - d->end_seen_ms > AFTER_END_MS);
}

static void note_end(struct source_dir *d, const struct record *r)
{
    if (d->selection.what != SOURCE_SESSION)
        return;
    if (r->type == RECORD_SESSION_END)
        d->end_seen_ms = clock_mono_ms();
    if (r->type == RECORD_VERDICT && d->end_seen_ms)
        d->verdict_seen = true;
}

/* SOURCE_RECORD, SOURCE_END: nothing more is there now. */
static int next_selected(struct source_dir *d, struct source_record *v, struct err *e)
{
    struct trail_place place;
    struct trail_view view;
    enum fault fault;
    uint64_t unfinished;
    int r;

    while ((r = trail_reader_next(d->reader, &view, &unfinished, &fault, e)) == 1) {
        if (over(d, &view.r))
            return SOURCE_END;
        if (view.r.index < d->from || !selected(d, &view.r))
            continue;
        trail_reader_place(d->reader, &place);
        v->r = view.r;
        v->header = view.header;
        v->payload = view.dropped ? NULL : view.payload;
        v->pruned = view.dropped;
        v->segment_first = place.segment_first;
        v->offset = view.offset;
        remember_place(d, v);
        note_end(d, &view.r);
        return SOURCE_RECORD;
    }
    if (r < 0) {
        trail_reader_place(d->reader, &place);
        return err_wrap(e, "%s at byte %" PRIu64, place.segment, place.offset);
    }
    return SOURCE_END;
}

int source_dir_next(struct source_dir *d, struct source_record *v, int timeout_ms, struct err *e)
{
    const uint64_t until = clock_mono_ms() + (uint64_t)(timeout_ms < 0 ? 0 : timeout_ms);

    for (;;) {
        uint64_t now;
        int r = next_selected(d, v, e);

        if (r != SOURCE_END || !d->selection.follow || followed_to_the_end(d))
            return r;
        now = clock_mono_ms();
        if (timeout_ms >= 0 && now >= until)
            return SOURCE_WAIT;
        (void)poll(NULL, 0,
                   timeout_ms >= 0 && until - now < LOOK_MS ? (int)(until - now) : LOOK_MS);
    }
}

int source_dir_seek(struct source_dir *d, uint64_t index, struct err *e)
{
    struct place near = {0, 0, 0};
    struct trail_reader *reader = NULL;
    size_t i = d->place_count;
    int r = 0;

    if (index < d->session.first)
        index = d->session.first;
    while (i > 0 && d->places[i - 1].index > index)
        i--;
    if (i > 0) {
        near = d->places[i - 1];
        r = trail_reader_jump(d->reader, near.segment_first, near.offset, near.index, e);
    } else {
        r = trail_reader_new(&reader, d->dir, index, e);
        if (r == 0) {
            trail_reader_free(d->reader);
            d->reader = reader;
        }
    }
    if (r < 0)
        return r;
    d->from = index;
    d->bare = d->bare_wanted;
    d->end_seen_ms = 0;
    d->verdict_seen = false;
    trail_reader_choose(d->reader, wants, d);
    return 0;
}

void source_dir_bare(struct source_dir *d, bool bare)
{
    d->bare_wanted = bare;
}

const struct source_session *source_dir_session(const struct source_dir *d)
{
    return d->selection.what == SOURCE_SESSION ? &d->session : NULL;
}

int source_dir_note(struct source_dir *d, unsigned note, struct buf *out, struct err *e)
{
    int r = 0,
        fd = openat(d->dir, source_notes[note], O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t n = 1;

    if (fd < 0)
        return err_set(e, ERR_NOT_FOUND, "the log has no %s", source_notes[note]);
    for (size_t total = 0; r == 0 && n > 0 && total <= NOTE_FILE_MAX; total += (size_t)n) {
        uint8_t bytes[4096];

        n = read(fd, bytes, sizeof bytes);
        if (n < 0)
            r = err_errno(e, "cannot read %s", source_notes[note]);
        else if (total + (size_t)n > NOTE_FILE_MAX || buf_put(out, bytes, (size_t)n) < 0)
            r = err_set(e, ERR_INPUT, "%s is too long", source_notes[note]);
    }
    close(fd);
    return r;
}
