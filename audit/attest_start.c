/* SPDX-License-Identifier: Apache-2.0
 *
 * The comparison of starts; see attest_start.h. Runs in auditd.
 *
 * Both sides speak on links of their own, so either may be heard first: what one of them named
 * waits for the other. A start that agrees is forgotten but for its channel's number. A frontend
 * attests a start before it passes it on, so a recorded one without attestation is disputed when
 * the frontend had its last word about the channel. The backend records starts in the order in
 * which they were attested and before it answers, so that an attested one without a record is
 * disputed when it was answered, or when a later one was recorded; without either it was on its
 * way when the session ended.
 */
#include "audit/attest_start.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

void attest_starts_clear(struct attest_starts *s)
{
    free(s->open);
    s->open = NULL;
}

/* One value for all that must be the same. */
static void identity(const struct attest_start *start, uint8_t out[RECORD_HASH_SIZE])
{
    uint8_t all[2 + sizeof start->bytes + 2 * RECORD_HASH_SIZE] = {(uint8_t)start->kind,
                                                                   start->pty};

    memcpy(all + 2, &start->bytes, sizeof start->bytes);
    memcpy(all + 2 + sizeof start->bytes, start->sha256, RECORD_HASH_SIZE);
    memcpy(all + 2 + sizeof start->bytes + RECORD_HASH_SIZE, start->head, RECORD_HASH_SIZE);
    INVARIANT(EVP_Digest(all, sizeof all, out, NULL, EVP_sha256(), NULL) == 1);
}

static void dispute(struct attest_starts *s, uint32_t channel, const char *why)
{
    if (s->disputed < ATTEST_START_NAMED)
        s->named[s->disputed] = (struct attest_start_dispute){channel, why};
    s->disputed++;
}

static struct attest_start_entry *find(struct attest_starts *s, uint32_t channel)
{
    for (unsigned i = 0; s->open && i < ATTEST_START_OPEN; i++)
        if (s->open[i].used && s->open[i].channel == channel)
            return &s->open[i];
    return NULL;
}

/* 1, or 0 when there is no room: then it is not compared. */
static int add(struct attest_starts *s, const struct attest_start_entry *entry, struct err *e)
{
    if (!s->open && !(s->open = calloc(ATTEST_START_OPEN, sizeof *s->open)))
        return err_set(e, ERR_MEMORY, "no memory to compare what was started");
    for (unsigned i = 0; i < ATTEST_START_OPEN; i++) {
        if (s->open[i].used)
            continue;
        s->open[i] = *entry;
        s->open[i].used = true;
        return 1;
    }
    s->uncompared++;
    return 0;
}

static void over(struct attest_starts *s, struct attest_start_entry *entry, uint32_t channel)
{
    channel_set_add(&s->over, channel);
    if (entry)
        entry->used = false;
}

/* Both are there: order is the attestation's. */
static void compare(struct attest_starts *s, struct attest_start_entry *entry,
                    const uint8_t other[RECORD_HASH_SIZE], uint64_t order)
{
    if (memcmp(entry->is, other, RECORD_HASH_SIZE) == 0)
        s->agreed++;
    else
        dispute(s, entry->channel, "differs");
    if (order > s->newest_agreed)
        s->newest_agreed = order;
    over(s, entry, entry->channel);
}

int attest_start_recorded(struct attest_starts *s, uint32_t channel,
                          const struct attest_start *start, struct err *e)
{
    struct attest_start_entry new = {.channel = channel, .recorded = true};
    struct attest_start_entry *entry = find(s, channel);
    int r;

    s->recorded++;
    identity(start, new.is);
    if (entry && !entry->recorded) {
        compare(s, entry, new.is, entry->order);
        return 0;
    }
    if (entry || s->ended || channel_set_has(&s->over, channel)) {
        dispute(s, channel, "not-attested");
        return 0;
    }
    r = add(s, &new, e);
    return r < 0 ? r : 0;
}

int attest_start_claimed(struct attest_starts *s, uint32_t channel,
                         const struct attest_start *start, struct err *e)
{
    struct attest_start_entry new = {.channel = channel, .order = s->order + 1};
    struct attest_start_entry *entry = find(s, channel);
    int r;

    if (s->ended || (entry && !entry->recorded) || channel_set_has(&s->over, channel))
        return err_set(e, ERR_PROTOCOL, "an attestation of a second start on channel %u", channel);
    s->attested++;
    s->order++;
    identity(start, new.is);
    if (entry) {
        compare(s, entry, new.is, new.order);
        return 0;
    }
    r = add(s, &new, e);
    return r < 0 ? r : 0;
}

void attest_start_final(struct attest_starts *s, uint32_t channel, bool answered)
{
    struct attest_start_entry *entry = find(s, channel);

    if (entry && entry->recorded) {
        dispute(s, channel, "not-attested");
        over(s, entry, channel);
    } else if (entry) {
        entry->answered = answered;
    } else if (!channel_set_has(&s->over, channel)) {
        over(s, NULL, channel);
    }
}

void attest_starts_end(struct attest_starts *s)
{
    s->ended = true;
    for (unsigned i = 0; s->open && i < ATTEST_START_OPEN; i++)
        if (s->open[i].used && s->open[i].recorded)
            attest_start_final(s, s->open[i].channel, false);
}

void attest_starts_conclude(struct attest_starts *s, bool complete)
{
    for (unsigned i = 0; s->open && i < ATTEST_START_OPEN; i++) {
        struct attest_start_entry *entry = &s->open[i];

        if (!entry->used)
            continue;
        if (entry->recorded) {
            s->uncompared++;
        } else if (entry->order < s->newest_agreed || (entry->answered && complete)) {
            dispute(s, entry->channel, "not-recorded");
        } else if (entry->answered) {
            s->uncompared++;
            s->cut_short = true;
        }
        entry->used = false;
    }
}

void attest_starts_write(const struct attest_starts *s, struct json_out *j)
{
    if (s->recorded == 0 && s->attested == 0)
        return;
    json_open_object(j, "starts");
    json_u64(j, "recorded", s->recorded);
    json_u64(j, "attested", s->attested);
    json_u64(j, "agreed", s->agreed);
    if (s->uncompared > 0)
        json_u64(j, "unattested", s->uncompared);
    if (s->disputed > 0) {
        json_open_array(j, "disputed");
        for (uint64_t i = 0; i < s->disputed && i < ATTEST_START_NAMED; i++) {
            json_open_object(j, NULL);
            json_u64(j, "channel", s->named[i].channel);
            json_str(j, "why", s->named[i].why);
            json_close(j);
        }
        json_close(j);
    }
    json_close(j);
}
