/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening a log that exists, and beginning one that does not. Runs in auditd, and in `init`.
 * Whoever opens writes a record and makes it durable first: a trail that cannot be written is found
 * out before anybody relies on it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "audit/tiles.h"
#include "audit/trail_end.h"
#include "audit/trail_state.h"
#include "audit/trail_verdict.h"

static const uint8_t gateway[RECORD_SESSION_ID];

static struct trail *trail_new(int dir, const char *origin, EVP_PKEY *log_key, uint64_t segment_max,
                               struct err *e)
{
    struct trail *t = calloc(1, sizeof *t);

    if (!t || batch_init(&t->batch, e) < 0) {
        free(t);
        err_set(e, ERR_MEMORY, "no memory for the trail");
        return NULL;
    }
    t->dir = dir;
    t->lock = t->fd = -1;
    space_init(&t->space, dir);
    t->seal_shown = true;
    t->clock_ns = (int64_t)(clock_real_ns() - clock_boot_ns());
    t->log_key = log_key;
    t->segment_max = segment_max ? segment_max : TRAIL_SEGMENT_MAX;
    t->epoch_max = EPOCH_RECORDS_MAX;
    INVARIANT(strlen(origin) <= NOTE_NAME_MAX);
    strcpy(t->origin, origin);
    buf_init(&t->checkpoint_note, NOTE_MAX);
    buf_init(&t->sync.job.checkpoint, NOTE_MAX);
    return t;
}

void trail_close(struct trail *t)
{
    if (!t)
        return;
    trail_sync_stop(&t->sync);
    buf_clear(&t->sync.job.checkpoint);
    tiles_free(t->sync.job.tiles);
    chain_clear(&t->chain);
    epoch_keys_free(t->keys);
    buf_clear(&t->checkpoint_note);
    space_clear(&t->space);
    if (t->fd >= 0) {
        /* Behind an orderly end nothing more is written: a crash leaves it for the recovery. */
        if (t->chain.last_type == RECORD_SHUTDOWN || t->chain.last_type == RECORD_SEAL)
            space_give_back(t->fd);
        close(t->fd);
    }
    if (t->lock >= 0)
        close(t->lock);
    batch_clear(&t->batch);
    free(t);
}

static int lock_directory(struct trail *t, struct err *e)
{
    t->lock = openat(t->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (t->lock < 0)
        return err_errno(e, "cannot open the trail's lock");
    if (flock(t->lock, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK)
            return err_set(e, ERR_BUSY, "another process has the trail");
        return err_errno(e, "cannot lock the trail");
    }
    return 0;
}

static int append_recovery(struct trail *t, const struct trail_report *report, struct err *e)
{
    struct json_out j;
    struct buf payload;
    int r;

    buf_init(&payload, RECORD_PAYLOAD_MAX);
    json_begin(&j, &payload);
    json_str(&j, "reason", "no-shutdown-record");
    json_u64(&j, "size", report->size);
    json_u64(&j, "checkpoint", report->checkpoint);
    json_u64(&j, "torn_bytes", report->torn_bytes);
    json_str(&j, "torn_file", report->torn_bytes ? report->torn_file : NULL);
    json_str(&j, "forwarding", "unknown");
    r = trail_append_json(t, RECORD_RECOVERY, gateway, &j, e);
    buf_clear(&payload);
    return r;
}

static void put_previous(struct json_out *j, const struct trail_previous *p)
{
    json_str(j, "reason", p->reason);
    json_open_object(j, "previous");
    json_str(j, "origin", p->origin);
    if (p->linked) {
        json_u64(j, "size", p->size);
        json_hex(j, "root", p->root, sizeof p->root);
        json_hex(j, "head", p->head, sizeof p->head);
    }
    json_bool(j, "unlinked", !p->linked);
    json_bool(j, "closed", p->closed);
    if (p->trouble)
        json_bytes(j, "trouble", p->trouble, strlen(p->trouble));
    json_close(j);
}

/* previous: NULL but at the birth of a log that follows another. */
static int append_key(struct trail *t, const char *event, const struct trail_previous *previous,
                      struct err *e)
{
    char log_text[VKEY_MAX], epoch_text[VKEY_MAX];
    struct vkey log;
    struct json_out j;
    struct buf payload;
    int r;

    r = vkey_from_private(&log, t->origin, t->log_key, e);
    if (r < 0)
        return trail_fail(t, e);
    vkey_text(&log, log_text);
    vkey_text(&t->chain.epoch.key, epoch_text);
    buf_init(&payload, RECORD_PAYLOAD_MAX);
    json_begin(&j, &payload);
    json_str(&j, "event", event);
    json_str(&j, "log_key", log_text);
    json_u64(&j, "epoch", t->chain.epoch.number);
    json_str(&j, "epoch_key", epoch_text);
    if (previous)
        put_previous(&j, previous);
    r = trail_append_json(t, RECORD_KEY, gateway, &j, e);
    buf_clear(&payload);
    return r;
}

static int append_shutdown(struct trail *t, const char *reason, struct err *e)
{
    struct json_out j;
    struct buf payload;
    int r;

    buf_init(&payload, RECORD_PAYLOAD_MAX);
    json_begin(&j, &payload);
    json_str(&j, "reason", reason);
    json_u64(&j, "records", t->chain.next + 1);
    r = trail_append_json(t, RECORD_SHUTDOWN, gateway, &j, e);
    buf_clear(&payload);
    return r;
}

int trail_append_shutdown(struct trail *t, const char *reason, struct err *e)
{
    int r = append_shutdown(t, reason, e);

    return r < 0 ? r : trail_seal(t, NULL, e);
}

int trail_append_end(struct trail *t, const struct session_state *s, const char *reason,
                     const char *text, uint64_t now_ns, struct err *e)
{
    struct json_out j;
    struct buf payload;
    int r;

    buf_init(&payload, RECORD_PAYLOAD_MAX);
    json_begin(&j, &payload);
    json_str(&j, "reason", reason);
    json_str(&j, "text", text);
    json_u64(&j, "seconds", now_ns > s->start_ns ? (now_ns - s->start_ns) / 1000000000u : 0);
    json_u64(&j, "bytes_in", s->bytes_in);
    json_u64(&j, "bytes_out", s->bytes_out);
    json_str(&j, "forwarding", "unknown");
    r = trail_append_json(t, RECORD_SESSION_END, s->id, &j, e);
    buf_clear(&payload);
    return r;
}

/* Sessions that were under way when the recorder ended have no writer any more. */
static int end_orphans(struct trail *t, struct trail_report *report, uint64_t now_ns, struct err *e)
{
    for (struct session_state *s = sessions_first(t->chain.sessions); s; s = s->newer) {
        int r;

        if (!s->started || s->judged)
            continue;
        report->orphans += !s->ended;
        r = s->ended ? 0
                     : trail_append_end(t, s, "recorder-died",
                                        "the recorder ended before this session did; what was "
                                        "forwarded after the last record is unknown",
                                        now_ns, e);
        if (r == 0)
            r = trail_append_orphan_verdict(t, s, e);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The first records of this run, durable, under a new checkpoint. */
static int say_opened(struct trail *t, struct trail_report *report, struct err *e)
{
    int r = 0;

    if (t->fd < 0)
        r = trail_new_segment(t, e);
    else
        space_begin(&t->space, t->fd, t->segment_bytes, t->segment_max);
    if (r == 0 && !report->clean)
        r = append_recovery(t, report, e);
    if (r == 0)
        r = append_key(t, "opened", NULL, e);
    if (r == 0)
        r = end_orphans(t, report, clock_real_ns(), e);
    if (r == 0)
        r = trail_want_checkpoint(t, e);
    if (r == 0)
        r = trail_sync_now(t, e);
    return r;
}

int trail_take_keys(struct trail *t, struct err *e)
{
    int r = epoch_keys_open(&t->keys, t->dir, e);

    if (r == 0)
        r = epoch_keys_fit(t->keys, t->chain.epoch.number, &t->chain.epoch.key, e);
    if (r < 0)
        return r;
    /* The next synchronisation makes the last seal durable, if it is not yet. */
    t->destroy_due = r == 1;
    t->seal_end = t->chain.next;
    return 0;
}

/* The checkpoints that are kept besides the log's own. */
static int read_known(struct trail *t, const struct vkey *log, struct err *e)
{
    struct buf text;
    int r = 0;

    if (t->high_mark)
        r = high_mark_read(t->high_mark, log, &t->known[0], &t->mark_slot, e);
    if (r < 0)
        return r;
    buf_init(&text, NOTE_MAX);
    /* Not this log's, or not there: it says nothing. */
    if (note_file_read(t->dir, CHECKPOINT_WITNESSED_FILE, &text, NULL) < 0 ||
        checkpoint_open(&t->known[1], (const char *)buf_head(&text), buf_len(&text), log, NULL) < 0)
        t->known[1].size = 0;
    buf_clear(&text);
    return 0;
}

int trail_open(struct trail **out, const struct trail_options *o, struct trail_report *report,
               struct err *e)
{
    struct trail *t = trail_new(o->dir, o->origin, o->log_key, o->segment_max, e);
    struct vkey log;
    struct anchor a;
    struct checkpoint c;
    int r;

    *out = NULL;
    memset(report, 0, sizeof *report);
    if (!t)
        return ERR_MEMORY;
    r = lock_directory(t, e);
    if (r == 0)
        r = vkey_from_private(&log, o->origin, o->log_key, e);
    if (r == 0)
        r = anchor_read(&a, o->dir, NULL, e);
    if (r < 0)
        goto out;
    if (strcmp(a.log.name, log.name) != 0 || memcmp(a.log.key, log.key, sizeof log.key) != 0) {
        r = err_set(e, ERR_INPUT, "the log key and origin %s are not those of this trail",
                    o->origin);
        goto out;
    }
    r = checkpoint_read(&c, o->dir, &log, e);
    if (r == ERR_NOT_FOUND)
        r = err_set(e, ERR_TAMPERED, "the checkpoint is not there");
    t->high_mark = o->high_mark;
    if (o->epoch_max)
        t->epoch_max = o->epoch_max;
    if (r == 0)
        r = read_known(t, &log, e);
    if (r == 0)
        r = trail_recover(t, &a, &c, report, e);
    if (r == 0 && t->chain.closed)
        r = err_set(e, ERR_INPUT, "this log is closed: it ends with the seal that names the next");
    if (r == 0)
        r = trail_take_keys(t, e);
    if (r < 0)
        goto out;
    t->accepted = t->durable = t->chain.next;
    t->checkpointed = c.size;
    r = tiles_new(&t->sync.job.tiles, t->dir, e);
    if (r < 0)
        goto out;
    report->tiles = tiles_load(t->sync.job.tiles, &c);
    r = say_opened(t, report, e);
    if (r < 0)
        goto out;
    r = trail_sync_start(&t->sync, e);
    if (r == 0) {
        *out = t;
        t = NULL;
    }
out:
    trail_close(t);
    return r;
}

int trail_close_log(struct trail *t, const struct vkey *next_log, struct trail_previous *p,
                    struct err *e)
{
    int r = append_shutdown(t, "new-log", e);

    if (r == 0)
        r = trail_seal(t, next_log, e);
    if (r == 0)
        r = trail_want_checkpoint(t, e);
    if (r == 0)
        r = trail_settle(t, e);
    if (r < 0)
        return r;
    p->linked = p->closed = true;
    p->size = t->chain.next;
    merkle_root(&t->chain.merkle, t->chain.digest, p->root);
    memcpy(p->head, t->chain.leaf, sizeof p->head);
    return 0;
}

int trail_begin(int dir, const struct anchor *a, EVP_PKEY *log_key,
                const struct trail_previous *previous, struct err *e)
{
    struct trail *t = trail_new(dir, a->log.name, log_key, 0, e);
    int r;

    if (!t)
        return ERR_MEMORY;
    r = lock_directory(t, e);
    if (r == 0)
        r = tiles_new(&t->sync.job.tiles, dir, e);
    if (r == 0)
        r = chain_init(&t->chain, a, e);
    if (r == 0)
        r = trail_take_keys(t, e);
    if (r == 0)
        r = trail_new_segment(t, e);
    if (r == 0)
        r = append_key(t, "begin", previous, e);
    if (r == 0)
        r = trail_append_shutdown(t, "created", e);
    if (r == 0)
        r = trail_want_checkpoint(t, e);
    if (r == 0)
        r = trail_sync_now(t, e);
    if (r == 0 && t->checkpointed != t->durable)
        r = err_set(e, ERR_TRAIL, "there is no room for the log's first checkpoint");
    trail_close(t);
    return r;
}
