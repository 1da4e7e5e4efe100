/* SPDX-License-Identifier: Apache-2.0
 *
 * See auth/again.h. */
#include "auth/again.h"

#include <inttypes.h>
#include <openssl/sha.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

/* Of windows that follow one another: so many of their ends are looked at ahead. */
#define AHEAD_MAX 16
/* Of what is kept with the supervisor; another version of authd may read it. */
#define ENCODED_VERSION 1
/* What a session is for; a terminal alone is nothing. */
#define USEFUL ((uint32_t)(ABILITY_SHELL | ABILITY_EXEC | ABILITY_SFTP | ABILITY_FORWARD))

/* ---- terms ---- */

static void terms_of(const struct policy_decision *d, const struct buf *rules,
                     const struct buf *files, const struct buf *forwards, struct again_terms *out)
{
    /* Rules of what is not permitted anyway make no difference. */
    const size_t rules_len = d->abilities & ABILITY_EXEC ? buf_len(rules) : 0;
    const size_t files_len = d->abilities & ABILITY_SFTP ? buf_len(files) : 0;
    const size_t forwards_len = d->abilities & ABILITY_FORWARD ? buf_len(forwards) : 0;

    memset(out, 0, sizeof *out);
    out->abilities = d->abilities;
    out->record = d->record;
    out->bulk = d->bulk;
    out->idle_s = d->idle_s;
    out->max_s = d->max_s;
    out->max_bytes = d->max_bytes;
    out->bulk_after = d->bulk_after;
    out->keep_max = d->keep_max;
    SHA256(buf_head(rules), rules_len, out->rules);
    SHA256(buf_head(files), files_len, out->files);
    SHA256(buf_head(forwards), forwards_len, out->forwards);
}

static uint64_t smaller_limit(uint64_t a, uint64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Of two decisions: what both permit, under the limits of both, recorded as the stricter one says.
 * Rules are not joined here: whoever applies them asks both. */
static void limit(struct again_terms *now, const struct again_terms *began)
{
    now->abilities &= began->abilities;
    if (began->record > now->record)
        now->record = began->record;
    now->idle_s = smaller_limit(now->idle_s, began->idle_s);
    now->max_s = smaller_limit(now->max_s, began->max_s);
    now->max_bytes = smaller_limit(now->max_bytes, began->max_bytes);
    if (now->bulk != BULK_DIGEST || began->bulk != BULK_DIGEST) {
        now->bulk = BULK_FULL;
        now->bulk_after = 0;
    } else {
        now->bulk_after = larger(now->bulk_after, began->bulk_after);
    }
    now->keep_max = now->abilities & ABILITY_SFTP ? larger(now->keep_max, began->keep_max) : 0;
    /* What was taken away takes its rules along. */
    if (!(now->abilities & ABILITY_EXEC))
        SHA256((const uint8_t *)"", 0, now->rules);
    if (!(now->abilities & ABILITY_SFTP))
        SHA256((const uint8_t *)"", 0, now->files);
    if (!(now->abilities & ABILITY_FORWARD))
        SHA256((const uint8_t *)"", 0, now->forwards);
}

bool again_terms_same(const struct again_terms *a, const struct again_terms *b)
{
    return a->abilities == b->abilities && a->record == b->record && a->bulk == b->bulk &&
           a->idle_s == b->idle_s && a->max_s == b->max_s && a->max_bytes == b->max_bytes &&
           a->bulk_after == b->bulk_after && a->keep_max == b->keep_max &&
           memcmp(a->rules, b->rules, sizeof a->rules) == 0 &&
           memcmp(a->files, b->files, sizeof a->files) == 0 &&
           memcmp(a->forwards, b->forwards, sizeof a->forwards) == 0;
}

/* ---- the decision ---- */

void again_session_of(const struct login *l, const struct decision *d, uint64_t started_s,
                      struct again_session *out)
{
    memset(out, 0, sizeof *out);
    snprintf(out->operator_name, sizeof out->operator_name, "%s", l->operator_name);
    snprintf(out->fingerprint, sizeof out->fingerprint, "%s", l->fingerprint);
    snprintf(out->target, sizeof out->target, "%s", d->target);
    snprintf(out->account, sizeof out->account, "%s", l->destination.account);
    out->source = l->source;
    out->factors = l->factors;
    if (l->factors & FACTOR_REMEMBERED && started_s > l->remembered_issued_s)
        out->remembered_age_s = started_s - l->remembered_issued_s;
    out->started_s = started_s;
    terms_of(&d->policy, &d->rules, &d->files, &d->forwards, &out->began);
    out->held = out->began;
}

static void deny(const struct again_session *s, struct again *out, const char *token,
                 const char *format, ...) PRINTF_LIKE(4, 5);

static void deny(const struct again_session *s, struct again *out, const char *token,
                 const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    vsnprintf(out->why, sizeof out->why, format, ap);
    va_end(ap);
    out->allowed = false;
    snprintf(out->token, sizeof out->token, "%s", token);
    snprintf(out->text, sizeof out->text, "Your access to %s ended: %s", s->target, out->why);
}

/* The operator, and the key that he came with. */
static bool still_known(const struct policy *p, const struct again_session *s)
{
    const struct policy_operator *op = policy_operator_named(p, s->operator_name);

    for (size_t i = 0; op && *s->fingerprint && i < op->key_count; i++)
        if (strcmp(op->keys[i].fingerprint, s->fingerprint) == 0)
            return true;
    return op && !*s->fingerprint;
}

static void take_terms(const struct again_session *s, const struct policy_decision *d,
                       struct again *out)
{
    int rc = d->rules ? rule_set_encode(d->rules, &out->rules) : 0;

    if (rc == 0)
        rc = file_rules_encode(d->files, &out->files);
    if (rc == 0)
        rc = forward_rules_encode(d->forwards, &out->forwards);
    if (rc < 0) {
        deny(s, out, err_token((enum err_code)rc), "its rules cannot be applied: %s.",
             err_text((enum err_code)rc));
        return;
    }
    terms_of(d, &out->rules, &out->files, &out->forwards, &out->terms);
    limit(&out->terms, &s->began);
    if (!(out->terms.abilities & ABILITY_EXEC))
        buf_clear(&out->rules);
    if (!(out->terms.abilities & ABILITY_SFTP))
        buf_clear(&out->files);
    if (!(out->terms.abilities & ABILITY_FORWARD))
        buf_clear(&out->forwards);
    if (out->terms.abilities & USEFUL)
        out->allowed = true;
    else
        deny(s, out, "no-ability",
             "nothing is left of what your roles permitted there when this session began; connect "
             "again for what they permit now.");
}

void again_decide(const struct policy *p, const struct again_session *s, uint64_t now_s,
                  struct again *out)
{
    const struct policy_request q = {.operator_name = s->operator_name,
                                     .target = s->target,
                                     .account = s->account,
                                     .source = s->source,
                                     .now_s = now_s,
                                     .factors = s->factors,
                                     .remembered_age_s = s->remembered_age_s};
    struct policy_decision d;
    struct err e = ERR_INIT;

    memset(out, 0, sizeof *out);
    buf_init(&out->rules, RULES_ENCODED_MAX);
    buf_init(&out->files, FILES_ENCODED_MAX);
    buf_init(&out->forwards, FORWARDS_ENCODED_MAX);
    memcpy(out->policy, policy_hash(p), sizeof out->policy);
    if (!still_known(p, s)) {
        deny(s, out, "no-operator",
             "you, or the key you came with, are not in the policy any more.");
        return;
    }
    int rc = policy_decide(p, &q, &d, &e);
    snprintf(out->path, sizeof out->path, "%s", d.path);
    snprintf(out->because, sizeof out->because, "%s", d.because);
    snprintf(out->contact, sizeof out->contact, "%s", d.contact);
    out->until_s = d.until_s;
    if (rc < 0)
        deny(s, out, err_token((enum err_code)rc), "no decision could be made: %s.",
             err_text((enum err_code)rc));
    else if (!d.allowed)
        deny(s, out, d.token, "%s", d.reason);
    else
        take_terms(s, &d, out);
    policy_decision_clear(&d);
}

void again_clear(struct again *a)
{
    buf_clear(&a->rules);
    buf_clear(&a->files);
    buf_clear(&a->forwards);
}

uint64_t again_ends_s(const struct policy *p, const struct again_session *s, uint64_t until_s,
                      char why[AGAIN_WHY])
{
    uint64_t ends_s = 0;

    for (int i = 0; i < AHEAD_MAX && until_s && !ends_s; i++) {
        struct again then;
        again_decide(p, s, until_s, &then);
        if (!then.allowed) {
            ends_s = until_s;
            snprintf(why, AGAIN_WHY, "%s", then.why);
        }
        /* A decision that does not look ahead of its own time is none to wait for. */
        until_s = then.until_s > until_s ? then.until_s : 0;
        again_clear(&then);
    }
    return ends_s;
}

uint64_t again_clock_s(uint64_t began_s, uint64_t began_ms, uint64_t real_s, uint64_t mono_ms)
{
    const uint64_t passed_s = mono_ms > began_ms ? (mono_ms - began_ms) / 1000 : 0;

    return larger(real_s, began_s + passed_s);
}

/* ---- words ---- */

struct words_out {
    char *out;
    size_t cap, len;
};

static void say(struct words_out *w, const char *format, ...) PRINTF_LIKE(2, 3);

static void say(struct words_out *w, const char *format, ...)
{
    va_list ap;

    if (w->len > 0 && w->len + 2 < w->cap)
        w->len += (size_t)snprintf(w->out + w->len, w->cap - w->len, "; ");
    va_start(ap, format);
    int n = vsnprintf(w->out + w->len, w->cap - w->len, format, ap);
    va_end(ap);
    if (n > 0)
        w->len += (size_t)n < w->cap - w->len ? (size_t)n : w->cap - w->len - 1;
}

static void say_duration(struct words_out *w, const char *what, uint64_t seconds)
{
    if (seconds == 0)
        say(w, "no limit %s", what);
    else if (seconds % 3600 == 0)
        say(w, "at most %" PRIu64 " h %s", seconds / 3600, what);
    else if (seconds % 60 == 0)
        say(w, "at most %" PRIu64 " min %s", seconds / 60, what);
    else
        say(w, "at most %" PRIu64 " s %s", seconds, what);
}

void again_words(const struct again_terms *before, const struct again_terms *now, char *out,
                 size_t cap)
{
    static const struct {
        uint32_t ability;
        const char *name;
    } names[] = {{ABILITY_SHELL, "shell"},
                 {ABILITY_EXEC, "commands"},
                 {ABILITY_PTY, "terminal"},
                 {ABILITY_SFTP, "file transfer"},
                 {ABILITY_FORWARD, "forwards"}};
    const uint32_t gone = before->abilities & ~now->abilities,
                   back = now->abilities & ~before->abilities;
    struct words_out w = {out, cap, 0};

    out[0] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (gone & names[i].ability)
            say(&w, "no %s any more", names[i].name);
        if (back & names[i].ability)
            say(&w, "%s again", names[i].name);
    }
    if (now->abilities & ABILITY_EXEC && memcmp(before->rules, now->rules, sizeof now->rules) != 0)
        say(&w, "other command rules");
    if (now->abilities & ABILITY_SFTP && memcmp(before->files, now->files, sizeof now->files) != 0)
        say(&w, "other file rules");
    if (now->abilities & ABILITY_FORWARD &&
        memcmp(before->forwards, now->forwards, sizeof now->forwards) != 0)
        say(&w, "other forward rules");
    if (before->idle_s != now->idle_s)
        say_duration(&w, "idle", now->idle_s);
    if (before->max_s != now->max_s)
        say_duration(&w, "from its beginning", now->max_s);
    if (before->max_bytes != now->max_bytes)
        say(&w, "at most %" PRIu64 " MiB recorded", now->max_bytes / (1024 * 1024));
    if (before->record != now->record || before->bulk != now->bulk ||
        before->bulk_after != now->bulk_after || before->keep_max != now->keep_max)
        say(&w, "recorded in another way");
}

/* ---- for a successor ---- */

static void put_terms(struct wire_writer *w, const struct again_terms *t)
{
    wire_put_u32(w, t->abilities);
    wire_put_u8(w, (uint8_t)t->record);
    wire_put_u8(w, (uint8_t)t->bulk);
    wire_put_u64(w, t->idle_s);
    wire_put_u64(w, t->max_s);
    wire_put_u64(w, t->max_bytes);
    wire_put_u64(w, t->bulk_after);
    wire_put_u64(w, t->keep_max);
    wire_put_raw(w, t->rules, sizeof t->rules);
    wire_put_raw(w, t->files, sizeof t->files);
    wire_put_raw(w, t->forwards, sizeof t->forwards);
}

static void get_terms(struct wire_reader *r, struct again_terms *t)
{
    t->abilities = wire_get_u32(r);
    const uint8_t record = wire_get_u8(r), bulk = wire_get_u8(r);
    r->failed = r->failed || record > RECORD_SYNC_ALL || bulk > BULK_DIGEST;
    t->record = (enum record_mode)record;
    t->bulk = (enum bulk_mode)bulk;
    t->idle_s = wire_get_u64(r);
    t->max_s = wire_get_u64(r);
    t->max_bytes = wire_get_u64(r);
    t->bulk_after = wire_get_u64(r);
    t->keep_max = wire_get_u64(r);
    wire_get_raw(r, t->rules, sizeof t->rules);
    wire_get_raw(r, t->files, sizeof t->files);
    wire_get_raw(r, t->forwards, sizeof t->forwards);
}

int again_encode(const struct again_session *s, struct buf *out)
{
    uint8_t bytes[AGAIN_ENCODED_MAX];
    struct err e = ERR_INIT;
    struct wire_writer w;

    wire_writer_init(&w, bytes, sizeof bytes);
    wire_put_u8(&w, ENCODED_VERSION);
    wire_put_str(&w, s->operator_name, OPERATOR_NAME_MAX);
    wire_put_str(&w, s->fingerprint, sizeof s->fingerprint - 1);
    wire_put_str(&w, s->target, TARGET_NAME_MAX);
    wire_put_str(&w, s->account, ACCOUNT_NAME_MAX);
    wire_put_u8(&w, s->source.family);
    wire_put_raw(&w, s->source.bytes, sizeof s->source.bytes);
    wire_put_u32(&w, s->factors);
    wire_put_u64(&w, s->remembered_age_s);
    wire_put_u64(&w, s->started_s);
    put_terms(&w, &s->began);
    put_terms(&w, &s->held);
    int rc = wire_put_end(&w, &e);
    return rc == 0 ? buf_put(out, bytes, w.len) : rc;
}

int again_decode(struct bytes encoded, struct again_session *out, struct err *e)
{
    struct wire_reader r;

    memset(out, 0, sizeof *out);
    wire_reader_init(&r, encoded.p, encoded.len);
    if (wire_get_u8(&r) != ENCODED_VERSION)
        return err_set(e, ERR_PROTOCOL, "a session in another version's form");
    wire_get_str(&r, out->operator_name, OPERATOR_NAME_MAX);
    wire_get_str(&r, out->fingerprint, sizeof out->fingerprint - 1);
    wire_get_str(&r, out->target, TARGET_NAME_MAX);
    wire_get_str(&r, out->account, ACCOUNT_NAME_MAX);
    out->source.family = wire_get_u8(&r);
    r.failed = r.failed || (out->source.family != 4 && out->source.family != 6);
    wire_get_raw(&r, out->source.bytes, sizeof out->source.bytes);
    out->factors = wire_get_u32(&r);
    out->remembered_age_s = wire_get_u64(&r);
    out->started_s = wire_get_u64(&r);
    get_terms(&r, &out->began);
    get_terms(&r, &out->held);
    return wire_get_end(&r, e);
}
