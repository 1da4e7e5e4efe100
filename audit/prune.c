/* SPDX-License-Identifier: Apache-2.0
 *
 * One order from its coming to its end; see prune.h. Runs in auditd. */
#include "audit/prune.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/prune_state.h"
#include "audit/trail_state.h"

static const uint8_t gateway[RECORD_SESSION_ID];

void prune_free(struct prune *p)
{
    if (!p)
        return;
    trail_reader_free(p->reader);
    digest_free(p->digest);
    sessions_free(p->sessions);
    free(p->segments);
    if (p->out)
        fclose(p->out);
    free(p);
}

static int make(struct prune **out, struct trail *t, int dir, const void *order, size_t len,
                struct err *e)
{
    struct prune *p = calloc(1, sizeof *p);
    int r;

    *out = NULL;
    if (!p || !(p->digest = digest_new()) || !(p->sessions = sessions_new())) {
        prune_free(p);
        return err_set(e, ERR_MEMORY, "no memory to carry out an order");
    }
    p->t = t;
    p->dir = dir;
    r = prune_order_read(order, len, &p->order, e);
    if (r == 0 && strcmp(p->order.origin, t->origin) != 0)
        r = err_set(e, ERR_DENIED, "the order is one for the log %s", p->order.origin);
    if (r < 0) {
        prune_free(p);
        return r;
    }
    memcpy(p->text, order, len);
    p->text_len = len;
    digest_bytes(p->digest, order, len, p->hash);
    *out = p;
    return 0;
}

int prune_new(struct prune **out, struct trail *t, int dir, const void *order, size_t len,
              char names[PRUNE_SIGNERS][SSHSIG_NAME_MAX + 1], struct err *e)
{
    int r = make(out, t, dir, order, len, e);

    if (r < 0)
        return r;
    memcpy((*out)->names, names, sizeof(*out)->names);
    /* What is written now is no order's: it can destroy what was recorded until now. */
    r = trail_rotate(t, e);
    if (r == 0)
        r = trail_flush(t, e);
    (*out)->upto = trail_accepted(t);
    if (r < 0) {
        prune_free(*out);
        *out = NULL;
    }
    return r;
}

int prune_resume(struct prune **out, struct trail *t, int dir, struct err *e)
{
    char text[PRUNE_ORDER_MAX];
    ssize_t n;
    int r, fd = openat(dir, PRUNE_MARK, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    *out = NULL;
    if (fd < 0)
        return errno == ENOENT ? 0 : err_errno(e, "cannot open %s", PRUNE_MARK);
    n = read(fd, text, sizeof text);
    close(fd);
    if (n < 0)
        return err_errno(e, "cannot read %s", PRUNE_MARK);
    r = make(out, t, dir, text, (size_t)n, e);
    if (r < 0)
        return r;
    (*out)->resumed = true;
    r = trail_flush(t, e);
    (*out)->upto = trail_accepted(t);
    return r;
}

static void write_order(const struct prune *p, struct json_out *j)
{
    json_hex(j, "order", p->hash, sizeof p->hash);
    json_str(j, "act", prune_act_name(p->order.act));
    if (p->order.act == PRUNE_BEFORE)
        json_u64(j, "before_ns", p->order.before_ns);
    else
        json_hex(j, "session", p->order.session, sizeof p->order.session);
    json_open_array(j, "signers");
    for (unsigned i = 0; i < PRUNE_SIGNERS; i++)
        json_bytes(j, NULL, p->names[i], strlen(p->names[i]));
    json_close(j);
    json_bytes(j, "reason", p->order.reason, strlen(p->order.reason));
}

/* What is going to be destroyed, before it is. */
static int record(struct prune *p, struct err *e)
{
    uint64_t records = 0, bytes = 0, segments = 0;
    struct json_out j;
    struct buf payload;
    int r;

    for (size_t i = 0; i < p->cut; i++) {
        records += p->segments[i].records;
        bytes += p->segments[i].bytes;
        segments += p->segments[i].records > 0;
    }
    snprintf(p->summary, sizeof p->summary,
             "%" PRIu64 " payloads of %" PRIu64 " bytes in %" PRIu64 " segments are destroyed",
             records, bytes, segments);
    if (p->recorded)
        return 0;
    if (p->resumed)
        return err_set(e, ERR_DENIED, "the order had not begun");
    if (p->disturbed)
        return err_set(e, ERR_DENIED,
                       "a session was held meanwhile: see whether the order still stands");
    if (records == 0)
        return err_set(e, ERR_DENIED, "there is nothing that this order destroys");
    if (segments > PRUNE_SEGMENTS_MAX)
        return err_set(e, ERR_DENIED, "more than %u segments in one order", PRUNE_SEGMENTS_MAX);
    r = prune_write_mark(p, e);
    if (r < 0)
        return r;
    buf_init(&payload, RECORD_PAYLOAD_MAX);
    json_begin(&j, &payload);
    write_order(p, &j);
    json_u64(&j, "records", records);
    json_u64(&j, "bytes", bytes);
    json_open_array(&j, "segments");
    for (size_t i = 0; i < p->cut; i++) {
        if (p->segments[i].records == 0)
            continue;
        json_open_object(&j, NULL);
        json_u64(&j, "first", p->segments[i].first);
        json_u64(&j, "records", p->segments[i].records);
        json_u64(&j, "bytes", p->segments[i].bytes);
        json_close(&j);
    }
    json_close(&j);
    r = trail_append_json(p->t, RECORD_PRUNE, gateway, &j, e);
    buf_clear(&payload);
    return r == 0 ? trail_settle(p->t, e) : r;
}

static int release(struct prune *p, struct err *e)
{
    struct json_out j;
    struct buf payload;
    int r;

    buf_init(&payload, PRUNE_ORDER_MAX * 2);
    json_begin(&j, &payload);
    json_str(&j, "event", "release");
    write_order(p, &j);
    r = trail_append_json(p->t, RECORD_HOLD, gateway, &j, e);
    buf_clear(&payload);
    snprintf(p->summary, sizeof p->summary, "the session is not held any more");
    return r == 0 ? trail_settle(p->t, e) : r;
}

static void next_phase(struct prune *p, enum prune_phase phase)
{
    trail_reader_free(p->reader);
    p->reader = NULL;
    p->at = 0;
    p->phase = phase;
}

int prune_step(struct prune *p, struct err *e)
{
    int r = 0;

    switch (p->phase) {
    case PRUNE_LOOK:
        r = prune_look(p, e);
        if (r == 0 && p->order.act == PRUNE_RELEASE) {
            r = release(p, e);
            p->phase = PRUNE_DONE;
            return r;
        }
        if (r == 0)
            next_phase(p, PRUNE_COUNT);
        break;
    case PRUNE_COUNT:
        r = prune_count(p, e);
        if (r == 0)
            next_phase(p, PRUNE_RECORD);
        break;
    case PRUNE_RECORD:
        r = record(p, e);
        if (r == 0)
            next_phase(p, PRUNE_WRITE);
        break;
    case PRUNE_WRITE:
        r = prune_write(p, e);
        if (r == 0) {
            next_phase(p, PRUNE_DONE);
            return prune_remove_mark(p, e);
        }
        break;
    case PRUNE_DONE:
        return 0;
    }
    /* An order that never began leaves nothing behind. */
    if (r == ERR_DENIED && p->resumed && prune_remove_mark(p, e) < 0)
        r = e->code;
    return r < 0 ? r : 1;
}

void prune_disturb(struct prune *p)
{
    p->disturbed = true;
}

const char *prune_summary(const struct prune *p)
{
    return p->summary;
}
