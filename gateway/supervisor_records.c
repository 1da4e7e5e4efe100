/* SPDX-License-Identifier: Apache-2.0
 *
 * The supervisor's records: starts, deaths and crashes one by one, accepts and refusals summed up
 * per source and minute, so that a stranger who knocks a million times writes a few lines. What
 * happens while auditd is away waits in a short queue. Nothing waits for these records. Run by the
 * supervisor. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/record.h"
#include "base/clock.h"
#include "base/log.h"
#include "gateway/supervisor.h"

#define PAYLOAD_MAX 8192u /* an err text (2000 bytes), escaped at worst by 4, with its names */
/* Deaths while auditd restarts: each program can die a few times in the 30 s of the longest
 * backoff. */
#define WAITING_MAX 128u
/* (source, reason) pairs told apart in a minute; the others are summed up per reason. */
#define COUNTS_MAX 512u
#define MINUTE_MS  60000u
#define QUEUE_MAX  (1024u * 1024)

struct waiting {
    uint8_t type;
    uint8_t *payload;
    size_t len;
};

struct count {
    struct address address; /* family 0: all that did not fit */
    const char *reason;     /* static */
    uint64_t count, first_ns, last_ns;
    char detail[201];     /* the last one */
    struct address proxy; /* the last one; family 0: none */
};

struct records {
    struct supervisor *s;
    struct link *link; /* NULL: auditd is away */
    struct event *readable, *writable;
    struct buf payload;
    struct json_out json;
    struct waiting waiting[WAITING_MAX];
    size_t waiting_count, lost;
    struct count counts[COUNTS_MAX];
    size_t count_count;
    uint64_t minute_ms; /* when the counts began */
};

int records_init(struct supervisor *s)
{
    s->records = calloc(1, sizeof *s->records);
    if (!s->records)
        return ERR_MEMORY;
    s->records->s = s;
    s->records->minute_ms = clock_mono_ms();
    buf_init(&s->records->payload, PAYLOAD_MAX);
    return 0;
}

void records_detach(struct supervisor *s)
{
    struct records *r = s->records;

    if (!r->link)
        return;
    event_free(r->readable);
    event_free(r->writable);
    link_free(r->link);
    r->link = NULL;
}

/* auditd's counts of what is durable concern nobody here; its `stop` comes as auditd.failing too.
 */
static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct records *r = arg;
    struct err e = ERR_INIT;
    struct frame f;
    int rc;

    (void)fd;
    (void)what;
    while ((rc = link_recv(r->link, &f, &e)) > 0)
        continue;
    if (rc < 0)
        records_detach(r->s);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct records *r = arg;
    struct err e = ERR_INIT;

    (void)fd;
    (void)what;
    if (link_flush(r->link, &e) < 0)
        records_detach(r->s);
    else if (link_pending(r->link) == 0)
        event_del(r->writable);
}

static void send_record(struct records *r, uint8_t type, const void *payload, size_t len)
{
    struct trail_record m = {
        .type = type, .want = WANT_NOTHING, .payload = {.p = payload, .len = len}};
    struct err e = ERR_INIT;

    if (trail_record_send(r->link, &m, NULL, &e) < 0)
        log_error("record-lost", "error=\"%s\"", e.text);
    else if (link_pending(r->link) > 0)
        event_add(r->writable, NULL);
}

void records_attach(struct supervisor *s)
{
    struct program *auditd = program_of(s, PROGRAM_AUDITD);
    const struct auditd_producer m = {.kind = PRODUCER_SUPERVISOR};
    struct records *r = s->records;
    struct err e = ERR_INIT;
    int pair[2];

    records_detach(s);
    if (!auditd || link_pair(pair, QUEUE_MAX, &e) < 0)
        return;
    program_sent(auditd, auditd_producer_send(auditd->link, &m, &pair[1], &e), &e);
    close(pair[1]);
    r->link = link_new(pair[0], &link_trail, LINK_FIRST, QUEUE_MAX);
    INVARIANT(r->link);
    link_enter(r->link, trail_STATE_OPEN);
    r->readable = event_new(s->base, pair[0], EV_READ | EV_PERSIST, on_readable, r);
    r->writable = event_new(s->base, pair[0], EV_WRITE | EV_PERSIST, on_writable, r);
    INVARIANT(r->readable && r->writable);
    event_add(r->readable, NULL);
    for (size_t i = 0; i < r->waiting_count; i++) {
        send_record(r, r->waiting[i].type, r->waiting[i].payload, r->waiting[i].len);
        free(r->waiting[i].payload);
    }
    r->waiting_count = 0;
    if (r->lost > 0) {
        struct json_out *j = records_begin(s, "records-lost");
        json_u64(j, "count", r->lost);
        r->lost = 0;
        records_end(s, RECORD_ALARM);
    }
}

struct json_out *records_begin(struct supervisor *s, const char *event)
{
    struct records *r = s->records;

    buf_clear(&r->payload);
    json_begin(&r->json, &r->payload);
    json_str(&r->json, "event", event);
    return &r->json;
}

void records_end(struct supervisor *s, uint8_t type)
{
    struct records *r = s->records;
    const uint8_t *payload;
    size_t len;

    if (json_end(&r->json) < 0) {
        log_error("record-lost", "error=\"it does not fit\"");
        return;
    }
    payload = buf_head(&r->payload);
    len = buf_len(&r->payload);
    if (r->link) {
        send_record(r, type, payload, len);
    } else {
        void *kept = r->waiting_count < WAITING_MAX ? malloc(len) : NULL;
        if (!kept) {
            r->lost++;
            return;
        }
        memcpy(kept, payload, len);
        r->waiting[r->waiting_count++] =
            (struct waiting){.type = type, .payload = kept, .len = len};
    }
}

static struct count *count_of(struct records *r, const struct address *address, const char *reason)
{
    static const struct address others = {.family = 0};
    const bool full = r->count_count >= COUNTS_MAX - 16; /* reasons are fewer than 16 */
    struct count *c;

    for (size_t i = 0; i < r->count_count; i++) {
        c = &r->counts[i];
        if (strcmp(c->reason, reason) == 0 && c->address.family == address->family &&
            memcmp(c->address.bytes, address->bytes, sizeof address->bytes) == 0)
            return c;
    }
    if (full && address->family != 0)
        return count_of(r, &others, reason);
    if (r->count_count == COUNTS_MAX)
        return NULL;
    c = &r->counts[r->count_count++];
    *c = (struct count){.address = *address, .reason = reason, .first_ns = clock_real_ns()};
    return c;
}

void records_count(struct supervisor *s, const struct address *address, const struct address *proxy,
                   const char *reason, const char *detail)
{
    const struct address key = address_quota_key(address);
    struct count *c = count_of(s->records, &key, reason);

    if (!c)
        return;
    c->count++;
    c->last_ns = clock_real_ns();
    if (proxy)
        c->proxy = *proxy;
    if (detail)
        strncpy(c->detail, detail, sizeof c->detail - 1);
}

void records_flush(struct supervisor *s, uint64_t now_ms, bool now)
{
    struct records *r = s->records;
    char text[ADDRESS_TEXT], iso[CLOCK_TEXT];

    if (!now && now_ms - r->minute_ms < MINUTE_MS)
        return;
    r->minute_ms = now_ms;
    for (size_t i = 0; i < r->count_count; i++) {
        const struct count *c = &r->counts[i];
        struct json_out *j = records_begin(s, "connections");
        json_str(j, "outcome", c->reason);
        json_str(j, "source", c->address.family ? address_text(&c->address, text) : "others");
        if (c->proxy.family)
            json_str(j, "proxy", address_text(&c->proxy, text));
        json_u64(j, "count", c->count);
        json_str(j, "first", clock_iso(iso, c->first_ns));
        json_str(j, "last", clock_iso(iso, c->last_ns));
        if (c->detail[0])
            json_bytes(j, "detail", c->detail, strlen(c->detail));
        records_end(s, RECORD_ACCESS);
    }
    r->count_count = 0;
}
