/* SPDX-License-Identifier: Apache-2.0
 *
 * The comparison; see attest.h. Runs in auditd.
 *
 * A claim that is ahead of the backend waits, and is compared exactly at its count, also inside a
 * record. One that is behind is compared where a remembered record ended at its count: records end
 * where frames end, so that this is the rule. Claims name what was sent before they were made, so
 * recording more than a final claim is a dispute, recording less is not: the rest was on its way.
 */
#include "audit/attest.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

/* A final claim with its points, and periodic ones of a channel that stands still; when there are
 * more, the smallest are not compared. */
#define WAITING_MAX (2u * ATTEST_POINTS)

/* What comparing needs; freed when nothing more can be compared. */
struct compare {
    struct sha256 running;
    unsigned end_count; /* ever; the ring holds the newest */
    struct attest_point ends[ATTEST_POINTS];
    unsigned waiting_count;
    struct attest_point waiting[WAITING_MAX]; /* ascending, all beyond `recorded` */
};

struct channel {
    bool used;
    uint32_t number;
    uint64_t recorded, agreed; /* agreed: the largest count where both were the same */
    bool claimed, final;
    uint64_t attested; /* of the newest claim */
    bool digested;     /* only digests of its input are recorded */
    bool disputed;
    uint64_t disputed_at; /* a count where they differ, or the final one that was exceeded */
    uint64_t order;
    struct compare *compare;
};

struct attest {
    struct channel channels[ATTEST_CHANNELS];
    uint64_t made; /* channels, for their order */
    /* those that made room */
    struct channel_set gone_numbers;
    uint64_t gone, gone_recorded, gone_agreed;
    bool gone_unfinished; /* one of them might still have had input */
    uint64_t uncompared;  /* bytes recorded where there was no room to compare */
    bool ended;           /* the frontend said its last word */
    uint64_t channel_limit;
    bool disputed;
    unsigned told;
    struct attest_starts starts;
    bool complete; /* the backend wrote the session's end */
};

struct attest *attest_new(void)
{
    return calloc(1, sizeof(struct attest));
}

static void compare_free(struct compare *c)
{
    if (!c)
        return;
    sha256_clear(&c->running);
    free(c);
}

void attest_free(struct attest *a)
{
    if (!a)
        return;
    for (unsigned i = 0; i < ATTEST_CHANNELS; i++)
        compare_free(a->channels[i].compare);
    attest_starts_clear(&a->starts);
    free(a);
}

static struct compare *compare_new(void)
{
    struct compare *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    if (sha256_init(&c->running, EVP_sha256()) != 0) {
        free(c);
        return NULL;
    }
    return c;
}

/* --- the table of channels */

static bool is_done(const struct channel *c)
{
    return c->final && !c->disputed && c->recorded == c->attested && c->agreed == c->recorded;
}

/* The oldest that is done, or at least will have no more claims; never one that is disputed. */
static struct channel *oldest(struct attest *a, bool done)
{
    struct channel *found = NULL;

    for (unsigned i = 0; i < ATTEST_CHANNELS; i++) {
        struct channel *c = &a->channels[i];

        if (c->used && (done ? is_done(c) : c->final && !c->disputed) &&
            (!found || c->order < found->order))
            found = c;
    }
    return found;
}

static struct channel *make_room(struct attest *a)
{
    struct channel *c = oldest(a, true);

    if (!c && (c = oldest(a, false)))
        a->gone_unfinished = true;
    if (!c)
        return NULL;
    a->gone++;
    a->gone_recorded += c->recorded;
    a->gone_agreed += c->agreed;
    channel_set_add(&a->gone_numbers, c->number);
    compare_free(c->compare);
    *c = (struct channel){0};
    return c;
}

static struct channel *find(struct attest *a, uint32_t number)
{
    for (unsigned i = 0; i < ATTEST_CHANNELS; i++)
        if (a->channels[i].used && a->channels[i].number == number)
            return &a->channels[i];
    return NULL;
}

static struct channel *add(struct attest *a, uint32_t number)
{
    struct compare *compare = compare_new();
    struct channel *c = NULL;

    for (unsigned i = 0; i < ATTEST_CHANNELS && !c; i++)
        if (!a->channels[i].used)
            c = &a->channels[i];
    if (!compare || (!c && !(c = make_room(a)))) {
        compare_free(compare);
        return NULL;
    }
    *c = (struct channel){.used = true, .number = number, .order = a->made++, .compare = compare};
    return c;
}

/* --- comparing */

static void dispute(struct attest *a, struct channel *c, uint64_t at)
{
    a->disputed = true;
    if (c->disputed)
        return;
    c->disputed = true;
    c->disputed_at = at;
}

static void compare_at(struct attest *a, struct channel *c, const uint8_t ours[RECORD_HASH_SIZE],
                       const struct attest_point *theirs)
{
    if (memcmp(ours, theirs->sha256, RECORD_HASH_SIZE) != 0)
        dispute(a, c, theirs->bytes);
    else if (theirs->bytes > c->agreed)
        c->agreed = theirs->bytes;
}

/* Nothing more can change: the memory is given back. */
static void settle(struct channel *c)
{
    if (!is_done(c) && !c->disputed)
        return;
    compare_free(c->compare);
    c->compare = NULL;
}

/* The claims that waited for what is recorded by now. */
static void drop_waiting(struct compare *k, unsigned reached)
{
    k->waiting_count -= reached;
    memmove(k->waiting, k->waiting + reached, k->waiting_count * sizeof *k->waiting);
}

/* One record's bytes: up to each claim that waits, then to the record's end. */
static void take(struct attest *a, struct channel *c, const uint8_t *p, size_t len,
                 struct sha256_beside *beside)
{
    struct compare *k = c->compare;
    struct attest_point *end;
    unsigned reached = 0;
    uint8_t now[RECORD_HASH_SIZE];

    while (reached < k->waiting_count && k->waiting[reached].bytes <= c->recorded + len) {
        size_t n = (size_t)(k->waiting[reached].bytes - c->recorded);

        sha256_update_beside(&k->running, p, n, beside);
        p += n;
        len -= n;
        c->recorded += n;
        sha256_value(&k->running, now);
        compare_at(a, c, now, &k->waiting[reached]);
        reached++;
    }
    drop_waiting(k, reached);
    if (len > 0 || reached == 0) {
        sha256_update_beside(&k->running, p, len, beside);
        c->recorded += len;
        sha256_value(&k->running, now);
    }
    end = &k->ends[k->end_count++ % ATTEST_POINTS];
    end->bytes = c->recorded;
    memcpy(end->sha256, now, sizeof now);
}

/* Only the record's end has a digest: what claims name before it cannot be compared. */
static void take_digest(struct attest *a, struct channel *c, const struct attest_point *total)
{
    struct compare *k = c->compare;
    unsigned reached = 0;

    for (; reached < k->waiting_count && k->waiting[reached].bytes <= total->bytes; reached++)
        if (k->waiting[reached].bytes == total->bytes)
            compare_at(a, c, total->sha256, &k->waiting[reached]);
    drop_waiting(k, reached);
    k->ends[k->end_count++ % ATTEST_POINTS] = *total;
}

/* The channel that a record of input belongs to; NULL: its len bytes are not compared. */
static struct channel *of_input(struct attest *a, uint32_t channel, uint64_t len)
{
    struct channel *c = find(a, channel);

    if (!c && channel_set_has(&a->gone_numbers, channel)) {
        if (a->gone_unfinished)
            a->uncompared += len;
        else
            a->disputed = true; /* all of them had had their last byte */
        a->gone_recorded += len;
        return NULL;
    }
    if (!c && !(c = add(a, channel)))
        a->uncompared += len;
    return c;
}

/* After each record: the claims that it goes beyond. */
static void judge(struct attest *a, struct channel *c)
{
    if ((c->final && c->recorded > c->attested) || (a->ended && c->number >= a->channel_limit))
        dispute(a, c, c->final ? c->attested : 0);
    settle(c);
}

void attest_recorded(struct attest *a, uint32_t channel, const void *p, size_t len,
                     struct sha256_beside *beside)
{
    struct channel *c = of_input(a, channel, len);

    if (!c)
        return;
    if (c->digested)
        dispute(a, c, c->recorded);
    if (c->compare && !c->digested)
        take(a, c, p, len, beside);
    else
        c->recorded += len;
    judge(a, c);
}

void attest_recorded_digest(struct attest *a, uint32_t channel, const struct attest_point *total)
{
    struct channel *c = of_input(a, channel, total->bytes);

    if (!c)
        return;
    if (total->bytes <= c->recorded || (c->recorded > 0 && !c->digested)) {
        dispute(a, c, c->recorded);
    } else {
        c->digested = true;
        if (c->compare)
            take_digest(a, c, total);
        c->recorded = total->bytes;
    }
    judge(a, c);
}

/* A claim beyond what is recorded waits; one at a remembered end is compared now. */
static void place(struct attest *a, struct channel *c, const struct attest_point *claim)
{
    struct compare *k = c->compare;

    if (!k)
        return;
    if (claim->bytes == 0) {
        uint8_t empty[RECORD_HASH_SIZE];

        INVARIANT(EVP_Digest("", 0, empty, NULL, EVP_sha256(), NULL) == 1);
        compare_at(a, c, empty, claim);
    } else if (claim->bytes > c->recorded) {
        if (k->waiting_count > 0 && k->waiting[k->waiting_count - 1].bytes >= claim->bytes)
            return;
        if (k->waiting_count == WAITING_MAX)
            memmove(k->waiting, k->waiting + 1, --k->waiting_count * sizeof *k->waiting);
        k->waiting[k->waiting_count++] = *claim;
    } else {
        unsigned kept = k->end_count < ATTEST_POINTS ? k->end_count : ATTEST_POINTS;

        for (unsigned i = 0; i < kept; i++)
            if (k->ends[i].bytes == claim->bytes)
                compare_at(a, c, k->ends[i].sha256, claim);
    }
}

static int end_claimed(struct attest *a, const struct attest_claim *claim, struct err *e)
{
    if (a->ended)
        return err_set(e, ERR_PROTOCOL, "a second end of the attestations");
    a->ended = true;
    attest_starts_end(&a->starts);
    a->channel_limit = claim->channels;
    for (unsigned i = 0; i < ATTEST_CHANNELS; i++) {
        struct channel *c = &a->channels[i];

        if (!c->used || c->number < claim->channels)
            continue;
        if (c->claimed)
            return err_set(e, ERR_PROTOCOL, "attestations of more channels than there were");
        if (c->recorded > 0)
            dispute(a, c, 0);
    }
    return 0;
}

int attest_claimed(struct attest *a, const struct attest_claim *claim, struct err *e)
{
    struct channel *c;

    if (claim->is_end)
        return end_claimed(a, claim, e);
    if (claim->is_start)
        return attest_start_claimed(&a->starts, claim->channel, &claim->start, e);
    c = find(a, claim->channel);
    if (a->ended || (c ? c->final || claim->at.bytes < c->attested
                       : channel_set_has(&a->gone_numbers, claim->channel)))
        return err_set(e, ERR_PROTOCOL, "an attestation of channel %u after its last",
                       claim->channel);
    if (claim->final)
        attest_start_final(&a->starts, claim->channel, claim->answered);
    if (!c && !(c = add(a, claim->channel)))
        return 0; /* its input is not compared either */
    c->claimed = true;
    c->final = claim->final;
    c->attested = claim->at.bytes;
    for (unsigned i = 0; i < claim->point_count; i++)
        place(a, c, &claim->points[i]);
    place(a, c, &claim->at);
    if (c->final && c->recorded > c->attested)
        dispute(a, c, c->attested);
    settle(c);
    return 0;
}

int attest_recorded_start(struct attest *a, uint32_t channel, const struct attest_start *start,
                          struct err *e)
{
    return attest_start_recorded(&a->starts, channel, start, e);
}

void attest_recorded_end(struct attest *a)
{
    a->complete = true;
}

void attest_conclude(struct attest *a)
{
    attest_starts_conclude(&a->starts, a->complete);
}

unsigned attest_became_disputed(struct attest *a)
{
    unsigned all = (a->disputed ? ATTEST_DISPUTE_INPUT : 0u) |
                   (a->starts.disputed > 0 ? ATTEST_DISPUTE_START : 0u);
    unsigned became = all & ~a->told;

    a->told = all;
    return became;
}

const char *attest_dispute_token(enum attest_dispute one)
{
    return one == ATTEST_DISPUTE_START ? "disputed-start" : "disputed-input";
}

/* --- the verdict */

const char *attest_verdict_name(enum attest_verdict verdict)
{
    static const char *const names[] = {"agreed", "disputed", "unattested"};

    return names[verdict];
}

struct sums {
    uint64_t recorded, agreed, attested;
    bool claimed, final; /* any; all that have input */
};

static struct sums sum_up(const struct attest *a)
{
    struct sums s = {.final = true};

    if (!a)
        return s;
    s.recorded = a->gone_recorded + a->uncompared;
    s.agreed = a->gone_agreed;
    s.claimed = a->ended || a->gone > 0 || a->starts.attested > 0;
    for (unsigned i = 0; i < ATTEST_CHANNELS; i++) {
        const struct channel *c = &a->channels[i];

        if (!c->used)
            continue;
        s.recorded += c->recorded;
        s.agreed += c->agreed;
        s.claimed |= c->claimed;
        s.final &= c->final || c->recorded == 0;
    }
    return s;
}

enum attest_verdict attest_verdict(const struct attest *a)
{
    struct sums s = sum_up(a);

    if (a && (a->disputed || a->starts.disputed > 0))
        return ATTEST_DISPUTED;
    return s.agreed < s.recorded || (a && a->starts.uncompared > 0) ? ATTEST_UNATTESTED
                                                                    : ATTEST_AGREED;
}

static const char *reason_of(const struct attest *a, const struct sums *s)
{
    if (!s->claimed)
        return "no-attestation";
    if (!s->final || !a->ended)
        return "no-final-attestation";
    if (s->agreed == s->recorded)
        return a->starts.cut_short ? "cut-short" : "too-many-channels";
    return a->uncompared || a->gone_unfinished ? "too-many-channels" : "no-common-count";
}

static void write_channel(const struct channel *c, struct json_out *j)
{
    json_open_object(j, NULL);
    json_u64(j, "channel", c->number);
    json_u64(j, "recorded", c->recorded);
    json_u64(j, "agreed", c->agreed);
    if (c->claimed) {
        json_u64(j, "attested", c->attested);
        json_bool(j, "final", c->final);
    }
    if (c->disputed)
        json_u64(j, "disputed_at", c->disputed_at);
    json_close(j);
}

void attest_write(const struct attest *a, const char *reason, struct json_out *j)
{
    enum attest_verdict verdict = attest_verdict(a);
    struct sums s = sum_up(a);

    json_str(j, "verdict", attest_verdict_name(verdict));
    json_u64(j, "recorded", s.recorded);
    json_u64(j, "agreed", s.agreed);
    if (verdict == ATTEST_UNATTESTED) {
        json_u64(j, "unattested", s.recorded - s.agreed);
        json_str(j, "reason", reason ? reason : reason_of(a, &s));
    }
    if (a)
        attest_starts_write(&a->starts, j);
    json_open_array(j, "channels");
    for (unsigned i = 0; a && i < ATTEST_CHANNELS; i++)
        if (a->channels[i].used)
            write_channel(&a->channels[i], j);
    json_close(j);
    if (a && a->gone > 0) {
        json_open_object(j, "others");
        json_u64(j, "channels", a->gone);
        json_u64(j, "recorded", a->gone_recorded);
        json_u64(j, "agreed", a->gone_agreed);
        json_close(j);
    }
}
