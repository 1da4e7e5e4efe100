/* SPDX-License-Identifier: Apache-2.0
 *
 * See auth/live.h. A session is decided about in microseconds; what costs are the records. So
 * sessions are taken up a batch at a time, as the recorder keeps up, and their effects follow each
 * its own record. */
#include "auth/live.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/policy_set.h"
#include "auth/session.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "base/log.h"

/* Sessions a turn, and records under way above which the next turn waits: 2 KiB each, far below
 * what trail_client queues. */
#define BATCH       256u
#define PENDING_MAX 1024u
#define AGAIN_MS    5
/* A record that is not durable by then keeps nobody's access up: the trail's own failure ends
 * sessions as well, and the backend records what it is told. */
#define EFFECT_MS 500
#define CLOCK_MS  1000
#define TOLD_S    300
/* As for remembered logins (auth/login.c): less is no step of the clock. */
#define CLOCK_SLACK_S 5

struct live_work {
    struct authd *a;
    struct event *more, *clock;
    bool watching;             /* the clock */
    struct live_counts counts; /* of the reload under way */
    void (*done)(struct authd *a, const struct live_counts *counts);
    uint64_t seen_s; /* by the clock, when it was looked at last */
};

static const char by_policy[] = "policy", by_window[] = "window", by_clock[] = "clock";

/* ---- what is decided takes effect ---- */

static void forget_next(struct live *l)
{
    if (l->next)
        again_clear(l->next);
    free(l->next);
    l->next = NULL;
    l->effect_ms = 0;
}

void live_clear(struct live *l)
{
    forget_next(l);
}

static uint32_t seconds(uint64_t s)
{
    return s > UINT32_MAX ? UINT32_MAX : (uint32_t)s;
}

static void send_narrow(struct session *s, const struct again *next)
{
    const struct again_terms *t = &next->terms;
    struct grant_narrow m = {.abilities = t->abilities,
                             .record = (uint8_t)t->record,
                             .idle_s = seconds(t->idle_s),
                             .max_s = seconds(t->max_s),
                             .bulk = (uint8_t)t->bulk,
                             .bulk_after = t->bulk_after,
                             .keep_max = t->keep_max,
                             .rules = {buf_head(&next->rules), buf_len(&next->rules)},
                             .files = {buf_head(&next->files), buf_len(&next->files)},
                             .forwards = {buf_head(&next->forwards), buf_len(&next->forwards)}};
    struct err e = ERR_INIT;
    char words[AGAIN_WHY];

    snprintf(m.path, sizeof m.path, "%s", next->path);
    snprintf(m.role, sizeof m.role, "%.64s", next->because);
    snprintf(m.contact, sizeof m.contact, "%s", next->contact);
    memcpy(m.policy_hash, next->policy, sizeof m.policy_hash);
    again_words(&s->live.who.held, t, words, sizeof words);
    if (*words)
        snprintf(m.text, sizeof m.text, "your access to %s changed: %s", s->live.who.target, words);
    watch_sent(s->backend, grant_narrow_send(watch_link(s->backend), &m, NULL, &e), &e);
}

/* The set in force has decided that it goes on. */
static void tell_back(struct session *s)
{
    const struct grant_back m = {0};
    struct err e = ERR_INIT;

    if (!s->inherited || s->live.back_told)
        return;
    s->live.back_told = true;
    watch_sent(s->backend, grant_back_send(watch_link(s->backend), &m, NULL, &e), &e);
}

/* The supervisor's word for auditd and for our successor. */
static void tell_supervisor(struct connection *c)
{
    struct authd *a = c->a;
    const struct again_session *who = &c->session->live.who;
    struct authd_narrowed m = {.conn = c->conn, .max_bytes = who->held.max_bytes};
    struct err e = ERR_INIT;
    struct buf encoded;

    buf_init(&encoded, AGAIN_ENCODED_MAX);
    int rc = again_encode(who, &encoded);
    m.again = (struct bytes){buf_head(&encoded), buf_len(&encoded)};
    if (rc == 0)
        watch_sent(a->supervisor, authd_narrowed_send(watch_link(a->supervisor), &m, NULL, &e), &e);
    else
        log_error("narrowed-not-told", "conn=%llu", (unsigned long long)c->conn);
    buf_clear(&encoded);
}

static void take_effect(struct connection *c)
{
    struct session *s = c->session;
    struct live *l = &s->live;

    l->effect_ms = 0;
    if (!l->next->allowed) {
        session_end(c, l->next->text, l->next->token);
    } else if (s->backend && !s->ending) {
        send_narrow(s, l->next);
        l->who.held = l->next->terms;
        tell_supervisor(c);
        tell_back(s);
    } else {
        l->late = true; /* its backend is not there yet */
    }
    forget_next(l);
}

static void effect_recorded(void *arg, uint64_t conn, int rc)
{
    struct connection *c = connection_find(arg, conn);

    (void)rc; /* without a record too: nothing is given here, and access is not kept up for it */
    if (!c || !c->session || c->session->live.records == 0)
        return;
    if (--c->session->live.records == 0 && c->session->live.next)
        take_effect(c);
}

bool live_tick(struct connection *c, uint64_t now_ms)
{
    struct live *l = &c->session->live;

    if (l->effect_ms && now_ms >= l->effect_ms) {
        log_warn("effect-before-record", "conn=%llu", (unsigned long long)c->conn);
        take_effect(c);
    }
    return l->effect_ms != 0;
}

/* ---- its record ---- */

static void put_terms(struct json_out *j, const struct again_terms *t)
{
    json_u64(j, "abilities", t->abilities);
    json_str(j, "record", t->record == RECORD_SYNC_ALL ? "sync-all" : "strict");
    json_u64(j, "idle_s", t->idle_s);
    json_u64(j, "max_s", t->max_s);
    json_u64(j, "max_bytes", t->max_bytes);
}

static int write_record(const struct connection *c, const struct again *next, const char *cause,
                        struct buf *out)
{
    const struct again_session *who = &c->session->live.who;
    char factors[100], words[AGAIN_WHY];
    struct json_out j;

    json_begin(&j, out);
    json_str(&j, "event", "decision-again");
    json_str(&j, "cause", cause);
    json_bool(&j, "allowed", next->allowed);
    if (!next->allowed) {
        json_str(&j, "reason", next->token);
        json_bytes(&j, "text", next->text, strlen(next->text));
    } else {
        again_words(&who->held, &next->terms, words, sizeof words);
        json_str(&j, "text", *words ? words : "as before; said once more after a restart");
    }
    json_str(&j, "operator", who->operator_name);
    json_str(&j, "source", c->login.source_text);
    json_u64(&j, "connection", c->conn);
    json_str(&j, "target", who->target);
    json_str(&j, "account", who->account);
    json_str(&j, "factors", login_factors_text(&c->login, factors));
    json_str(&j, "key", who->fingerprint);
    json_hex(&j, "policy", next->policy, sizeof next->policy);
    json_bytes(&j, "path", next->path, strlen(next->path));
    if (next->because[0])
        json_str(&j, "because", next->because);
    if (next->allowed)
        put_terms(&j, &next->terms);
    json_hex(&j, "session", c->session->id, sizeof c->session->id);
    return json_end(&j);
}

/* Takes next. */
static void plan(struct connection *c, struct again *next, const char *cause)
{
    struct live *l = &c->session->live;
    struct buf payload;

    buf_init(&payload, TRAIL_PAYLOAD_MAX);
    if (write_record(c, next, cause, &payload) < 0)
        buf_clear(&payload);
    forget_next(l);
    l->next = next;
    l->effect_ms = clock_mono_ms() + EFFECT_MS;
    authd_tick_soon(c->a);
    if (authd_record(c->a, RECORD_DECISION, &payload, effect_recorded, c->conn) < 0)
        take_effect(c);
    else
        l->records++;
}

/* ---- the decision ---- */

static void watch_clock(struct live_work *work)
{
    static const struct timeval second = {CLOCK_MS / 1000, CLOCK_MS % 1000 * 1000};

    if (work->watching)
        return;
    work->watching = event_add(work->clock, &second) == 0;
    work->seen_s = authd_now_s(work->a);
}

static uint64_t session_clock_s(const struct connection *c)
{
    const struct live *l = &c->session->live;

    return again_clock_s(l->began_s, l->began_ms, authd_now_s(c->a), clock_mono_ms());
}

static void foresee(struct connection *c, uint64_t until_s)
{
    struct live *l = &c->session->live;
    const uint64_t before_s = l->ends_s;

    l->until_s = until_s;
    l->ends_s = again_ends_s(c->a->world.policy, &l->who, until_s, l->ends_text);
    if (l->ends_s != before_s)
        l->told = false;
    if (until_s)
        watch_clock(c->a->live);
}

/* Of a session from before authd's start: what was on its way to its backend when authd died is
 * not known, so all but what it began with is said once more. */
static bool certain(const struct session *s, const struct again_terms *held,
                    const struct again_terms *now)
{
    return !s->inherited || s->live.back_told ||
           (again_terms_same(held, &s->live.who.began) &&
            again_terms_same(now, &s->live.who.began));
}

/* A clock that was set back may be right now, or have been right before: what either time denies
 * is denied. */
static void decide(struct connection *c, struct again *next)
{
    const struct policy *p = c->a->world.policy;
    const struct live *l = &c->session->live;
    const uint64_t real_s = authd_now_s(c->a), now_s = session_clock_s(c);
    struct again then;

    again_decide(p, &l->who, now_s, next);
    if (!next->allowed || real_s + CLOCK_SLACK_S >= now_s)
        return;
    again_decide(p, &l->who, real_s, &then);
    if (then.allowed) {
        again_clear(&then);
        return;
    }
    again_clear(next);
    *next = then;
}

static void look(struct connection *c, const char *cause, struct live_counts *counts)
{
    struct session *s = c->session;
    struct live *l = &s->live;
    struct again *next;

    l->due = false;
    if (!l->known || s->ending || s->phase == SESSION_OVER || (l->next && !l->next->allowed))
        return;
    if (!(next = calloc(1, sizeof *next))) {
        session_end(c, "The gateway is out of memory.", "memory");
        counts->ended++;
        return;
    }
    decide(c, next);
    const struct again_terms *held = l->next ? &l->next->terms : &l->who.held;
    const bool same =
        next->allowed && again_terms_same(&next->terms, held) && certain(s, held, &next->terms);

    if (next->allowed)
        foresee(c, next->until_s);
    if (same) {
        again_clear(next);
        free(next);
        tell_back(s);
        return;
    }
    counts->ended += !next->allowed;
    counts->narrowed += next->allowed;
    plan(c, next, cause);
}

/* ---- a new set ---- */

static void mark_due(struct connection *c, void *arg)
{
    (void)arg;
    if (c->session && c->session->live.known && c->session->phase != SESSION_OVER)
        c->session->live.due = true;
}

struct batch {
    struct live_work *work;
    unsigned left;
    bool more;
};

static void look_if_due(struct connection *c, void *arg)
{
    struct batch *b = arg;

    if (!c->session || !c->session->live.due)
        return;
    if (b->left == 0) {
        b->more = true;
        return;
    }
    b->left--;
    b->work->counts.sessions++;
    look(c, by_policy, &b->work->counts);
}

static void go_on(struct live_work *work)
{
    static const struct timeval soon = {0, AGAIN_MS * 1000};
    struct batch b = {.work = work};

    do {
        bool room = trail_client_pending(work->a->trail) < PENDING_MAX;
        b = (struct batch){work, BATCH, !room};
        if (room)
            connection_each(work->a, look_if_due, &b);
        if (b.more && event_add(work->more, &soon) == 0)
            return;
        /* Without the timer: records that find no room are not waited for. */
    } while (b.more && b.left < BATCH);
    log_info("sessions-decided-again", "sessions=%u ended=%u narrowed=%u", work->counts.sessions,
             work->counts.ended, work->counts.narrowed);
    work->done(work->a, &work->counts);
}

static void on_more(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    go_on(arg);
}

void live_reload(struct authd *a, void (*done)(struct authd *a, const struct live_counts *counts))
{
    struct live_work *work = a->live;

    event_del(work->more);
    work->counts = (struct live_counts){0};
    work->done = done;
    connection_each(a, mark_due, NULL);
    go_on(work);
}

/* ---- the clock ---- */

static void announce(struct connection *c, uint64_t now_s)
{
    struct session *s = c->session;
    struct live *l = &s->live;
    struct grant_notice m;
    struct err e = ERR_INIT;
    char when[CLOCK_TEXT];

    if (l->told || now_s + TOLD_S < l->ends_s || now_s >= l->ends_s || !s->backend || s->ending)
        return;
    l->told = true;
    const uint64_t minutes = (l->ends_s - now_s + 59) / 60;
    snprintf(m.text, sizeof m.text, "your access to %s ends at %s, in %llu minute%s: %s",
             l->who.target, clock_iso_seconds(when, l->ends_s * 1000000000ull),
             (unsigned long long)minutes, minutes == 1 ? "" : "s", l->ends_text);
    watch_sent(s->backend, grant_notice_send(watch_link(s->backend), &m, NULL, &e), &e);
}

struct clock_look {
    struct live_counts counts;
    bool back, more;
};

static void look_at_clock(struct connection *c, void *arg)
{
    struct clock_look *k = arg;
    struct session *s = c->session;

    if (!s || !s->live.known || !s->live.until_s || s->phase == SESSION_OVER || s->ending)
        return;
    k->more = true;
    const uint64_t now_s = session_clock_s(c);
    if (k->back || now_s >= s->live.until_s)
        look(c, k->back ? by_clock : by_window, &k->counts);
    announce(c, now_s);
}

static void on_clock(evutil_socket_t fd, short what, void *arg)
{
    struct live_work *work = arg;
    const uint64_t now_s = authd_now_s(work->a);
    struct clock_look k = {.back = now_s + CLOCK_SLACK_S < work->seen_s};

    (void)fd, (void)what;
    work->watching = false;
    work->seen_s = now_s;
    if (k.back)
        log_warn("clock-set-back", "to=%llu", (unsigned long long)now_s);
    if (work->a->world.policy)
        connection_each(work->a, look_at_clock, &k);
    if (k.more)
        watch_clock(work);
}

/* ---- sessions ---- */

void live_begin(struct connection *c)
{
    struct session *s = c->session;

    again_session_of(&c->login, &s->decision, s->started_s, &s->live.who);
    s->live.known = true;
    s->live.began_s = s->started_s;
    s->live.began_ms = clock_mono_ms();
    foresee(c, s->decision.policy.until_s);
}

int live_inherit(struct connection *c, struct bytes encoded, struct err *e)
{
    struct live *l = &c->session->live;
    struct live_counts counts = {0};
    int rc = again_decode(encoded, &l->who, e);

    if (rc < 0)
        return rc;
    l->known = true;
    l->began_s = authd_now_s(c->a);
    l->began_ms = clock_mono_ms();
    c->session->started_s = l->who.started_s;
    c->login.factors = l->who.factors;
    snprintf(c->login.fingerprint, sizeof c->login.fingerprint, "%s", l->who.fingerprint);
    snprintf(c->login.destination.account, sizeof c->login.destination.account, "%s",
             l->who.account);
    /* The set that is being loaded looks at it itself. */
    if (c->a->world.policy)
        look(c, by_policy, &counts);
    return 0;
}

void live_before_grant(struct connection *c)
{
    struct session *s = c->session;
    struct live *l = &s->live;
    struct live_counts counts = {0};

    if (s->generation != policy_set_generation(c->a->policies) || l->late ||
        (l->until_s && session_clock_s(c) >= l->until_s))
        look(c, by_policy, &counts);
    l->late = false;
    if (l->next && !l->next->allowed)
        take_effect(c);
}

void live_granted(struct connection *c)
{
    /* Its record is on the way; nobody shall have more meanwhile. */
    if (c->session->live.next)
        take_effect(c);
    announce(c, session_clock_s(c));
}

struct live_work *live_new(struct authd *a)
{
    struct live_work *work = calloc(1, sizeof *work);

    if (!work)
        return NULL;
    work->a = a;
    work->more = evtimer_new(a->base, on_more, work);
    work->clock = evtimer_new(a->base, on_clock, work);
    if (work->more && work->clock)
        return work;
    live_free(work);
    return NULL;
}

void live_free(struct live_work *work)
{
    if (!work)
        return;
    if (work->more)
        event_free(work->more);
    if (work->clock)
        event_free(work->clock);
    free(work);
}
