/* SPDX-License-Identifier: Apache-2.0
 *
 * What the penalties (gateway/penalties.h) do to the world: records of each block and its end, the
 * packet filter, `sallyport source`. What counts as a failure comes from the listener (TLS and the
 * request), from authd (the login) and from the supervisor's own eyes (crashes); a frontend has no
 * say in it. Run by the supervisor. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "audit/record.h"
#include "base/clock.h"
#include "base/log.h"
#include "gateway/supervisor.h"
#include "gateway/supervisor_firewall.h"

/* Alarms of blocks that are told one by one in a minute; the others are summed up, so that a crowd
 * of sources does not fill the trail. */
#define TOLD_A_MINUTE 32u
#define MINUTE_MS     60000u
/* 250 of 230 bytes fit a message. */
#define LISTED_MAX 250u

static const char *source_text(const struct penalty_source *source, char out[ADDRESS_TEXT + 4])
{
    char address[ADDRESS_TEXT];

    snprintf(out, ADDRESS_TEXT + 4, "%s/%u", address_text(&source->what.base, address),
             source->what.bits);
    return out;
}

static uint32_t seconds_of(uint64_t ms)
{
    return (uint32_t)((ms + 999) / 1000);
}

/* Whether this block or end of one has a record of its own. */
static bool told_now(struct supervisor *s, uint64_t now_ms)
{
    if (now_ms - s->penalty_minute_ms >= MINUTE_MS) {
        s->penalty_minute_ms = now_ms;
        s->penalty_told = 0;
    }
    if (s->penalty_told < TOLD_A_MINUTE) {
        s->penalty_told++;
        return true;
    }
    return false;
}

static void put_source(struct json_out *j, const struct penalty_source *source)
{
    char text[ADDRESS_TEXT + 4];

    json_str(j, "source", source_text(source, text));
    json_str(j, "reason", penalty_cause_token(source->cause));
    json_u64(j, "blocks", source->blocks);
    json_u64(j, "block_s", seconds_of(source->blocked_ms));
}

/* The kernel's table has single addresses and /64s; a /48 is refused here, as all are. */
static bool in_kernel(const struct penalty_source *source)
{
    return source->wire && source->what.bits != 48;
}

static void block_began(struct supervisor *s, const struct penalty_source *source, uint64_t now_ms)
{
    char text[ADDRESS_TEXT + 4];
    struct json_out *j;

    log_warn("source-blocked", "source=%s reason=%s failures=%u blocks=%u seconds=%u",
             source_text(source, text), penalty_cause_token(source->cause), source->failures,
             source->blocks, seconds_of(source->blocked_ms));
    if (in_kernel(source))
        firewall_block(s, &source->what.base, source->what.bits, seconds_of(source->blocked_ms));
    if (!told_now(s, now_ms)) {
        s->blocks_untold++;
        return;
    }
    j = records_begin(s, "source-blocked");
    put_source(j, source);
    json_u64(j, "failures", source->failures);
    records_end(s, RECORD_ALARM);
}

static void over(struct supervisor *s, const struct penalty_source *source, const char *why)
{
    char text[ADDRESS_TEXT + 4];
    struct json_out *j;

    log_info("source-unblocked", "source=%s why=%s refused=%llu", source_text(source, text), why,
             (unsigned long long)source->refused);
    if (in_kernel(source))
        firewall_unblock(s, &source->what.base, source->what.bits);
    if (!told_now(s, clock_mono_ms())) {
        s->ends_untold++;
        return;
    }
    j = records_begin(s, "source-unblocked");
    put_source(j, source);
    json_str(j, "why", why);
    json_u64(j, "refused", source->refused);
    records_end(s, RECORD_ACCESS);
}

static void block_ended(void *arg, const struct penalty_source *source)
{
    over(arg, source, "time");
}

int penalties_start(struct supervisor *s, struct err *e)
{
    uint64_t seed;

    if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
        return err_errno(e, "getrandom");
    s->penalties = penalties_new(&s->config, seed);
    return s->penalties ? 0 : err_set(e, ERR_MEMORY, "penalties");
}

void penalise(struct supervisor *s, const struct address *address, bool direct,
              enum penalty_cause cause)
{
    const uint64_t now_ms = clock_mono_ms();
    struct penalty_source began[2];
    const size_t count = penalties_fail(s->penalties, address, cause, direct, now_ms, began);
    char text[ADDRESS_TEXT];

    log_debug("failure", "address=%s reason=%s", address_text(address, text),
              penalty_cause_token(cause));
    for (size_t i = 0; i < count; i++)
        block_began(s, &began[i], now_ms);
}

uint64_t penalise_crash(struct supervisor *s, const struct address *address, bool direct)
{
    const uint64_t now_ms = clock_mono_ms();
    struct penalty_source began[2];
    size_t count;
    const uint64_t ms = penalties_crash(s->penalties, address, direct, now_ms, began, &count);

    for (size_t i = 0; i < count; i++)
        block_began(s, &began[i], now_ms);
    return ms;
}

void penalties_tick(struct supervisor *s, uint64_t now_ms)
{
    penalties_expire(s->penalties, now_ms, block_ended, s);
    if ((s->blocks_untold || s->ends_untold) && now_ms - s->penalty_minute_ms >= MINUTE_MS) {
        struct json_out *j = records_begin(s, "sources-blocked");
        json_u64(j, "blocked", s->blocks_untold);
        json_u64(j, "unblocked", s->ends_untold);
        records_end(s, RECORD_ALARM);
        s->blocks_untold = s->ends_untold = 0;
    }
}

/* --- what authd says and asks */

int on_failure(struct program *authd, struct frame *f, struct err *e)
{
    static const enum penalty_cause causes[] = {
        [FAILURE_NO_LOGIN] = PENALTY_NO_LOGIN,
        [FAILURE_FIRST_FACTOR] = PENALTY_FIRST_FACTOR,
        [FAILURE_LOGIN_DEADLINE] = PENALTY_LOGIN_DEADLINE,
        [FAILURE_BREACH] = PENALTY_BREACH,
    };
    struct authd_failure m;
    struct address address;
    int rc = authd_failure_decode(f, &m, e);

    if (rc == 0)
        rc = address_parse(m.address, &address, e);
    if (rc < 0)
        return rc;
    if (m.kind < FAILURE_NO_LOGIN || m.kind > FAILURE_BREACH)
        return err_set(e, ERR_PROTOCOL, "failure: kind %u", m.kind);
    penalise(authd->s, &address, !m.proxied, causes[m.kind]);
    return 0;
}

static void put_sources(struct supervisor *s, struct json_out *j, uint64_t now_ms, size_t cap)
{
    struct penalty_source *list = calloc(cap, sizeof *list);
    const size_t count = list ? penalties_list(s->penalties, now_ms, list, cap) : 0;
    char text[ADDRESS_TEXT + 4], iso[CLOCK_TEXT];

    json_open_array(j, "sources");
    for (size_t i = 0; i < count; i++) {
        json_open_object(j, NULL);
        json_str(j, "source", source_text(&list[i], text));
        json_str(j, "state", list[i].left_ms ? "blocked" : "slowed");
        json_u64(j, "failures", list[i].failures);
        json_str(j, "reason", penalty_cause_token(list[i].cause));
        json_u64(j, "blocks", list[i].blocks);
        json_u64(j, "refused", list[i].refused);
        json_str(j, "until",
                 list[i].left_ms
                     ? clock_iso_seconds(iso, clock_real_ns() + list[i].left_ms * 1000000)
                     : NULL);
        json_close(j);
    }
    json_close(j);
    free(list);
}

void penalties_stats(struct supervisor *s, struct json_out *j, size_t listed)
{
    const uint64_t now_ms = clock_mono_ms();
    struct penalty_counts counts;

    penalties_count(s->penalties, now_ms, &counts);
    json_open_object(j, "penalties");
    json_u64(j, "blocked", counts.blocked);
    json_u64(j, "slowed", counts.slowed);
    json_u64(j, "known", counts.known);
    json_u64(j, "blocks", counts.blocks);
    json_u64(j, "refused", counts.refused);
    json_u64(j, "proxy_checks", s->proxy_checks);
    put_sources(s, j, now_ms, listed);
    json_close(j);
}

int on_sources_ask(struct program *authd, struct frame *f, struct err *e)
{
    struct authd_sources_ask m;
    struct authd_sources answer;
    struct json_out j;
    struct buf json;
    int rc = authd_sources_ask_decode(f, &m, e);

    if (rc < 0)
        return rc;
    buf_init(&json, 65536);
    json_begin(&j, &json);
    penalties_stats(authd->s, &j, LISTED_MAX);
    rc = json_end(&j);
    answer.client = m.client;
    answer.json = (struct bytes){.p = buf_head(&json), .len = buf_len(&json)};
    if (rc == 0)
        rc = program_sent(authd, authd_sources_send(authd->link, &answer, NULL, e), e);
    buf_clear(&json);
    return rc < 0 ? err_set(e, ERR_FULL, "sources") : 0;
}

int on_source_lift(struct program *authd, struct frame *f, struct err *e)
{
    struct authd_source_lift m;
    struct authd_source_lifted answer;
    struct penalty_source ended[2];
    struct address address, key;
    size_t count;
    int rc = authd_source_lift_decode(f, &m, e);

    if (rc == 0)
        rc = address_parse(m.address, &address, e);
    if (rc < 0)
        return rc;
    count = penalties_lift(authd->s->penalties, &address, clock_mono_ms(), ended);
    for (size_t i = 0; i < count; i++)
        over(authd->s, &ended[i], "admin");
    /* The kernel may have one that is forgotten here, or went on for failures by a proxy. */
    key = address_quota_key(&address);
    if (firewall_unblock(authd->s, &key, key.family == 4 ? 32 : 64) && count == 0)
        count = 1;
    answer = (struct authd_source_lifted){.client = m.client, .count = (uint32_t)count};
    return program_sent(authd, authd_source_lifted_send(authd->link, &answer, NULL, e), e);
}
