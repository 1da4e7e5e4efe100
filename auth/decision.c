/* SPDX-License-Identifier: Apache-2.0
 *
 * See auth/decision.h. */
#include "auth/decision.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/json_out.h"
#include "base/log.h"
#include "gateway/messages.h"

/* The grant's maxima (auth/grant.def). */
#define HOST_KEYS_MAX 16384
#define RULES_MAX     131072

static void refuse(struct decision *d, enum gateway_exit status, const char *token,
                   const char *format, ...) PRINTF_LIKE(4, 5);

static void refuse(struct decision *d, enum gateway_exit status, const char *token,
                   const char *format, ...)
{
    va_list ap;
    d->allowed = d->gateway = false;
    d->status = (uint8_t)status;
    snprintf(d->token, sizeof d->token, "%s", token);
    va_start(ap, format);
    vsnprintf(d->text, sizeof d->text, format, ap);
    va_end(ap);
}

/* True when the operator's own state refuses: told only now, after both factors. */
static bool refused_by_lock(const struct login_world *w, const struct login *l, uint64_t now_s,
                            struct decision *d)
{
    struct store_operator o;
    struct err e = ERR_INIT;
    char when[LOCKOUT_TIME_TEXT];
    bool refused = true;

    if (store_operator_read(w->store, l->operator_name, &o, &e) < 0) {
        log_error("store", "conn=%llu text=\"%s\"", (unsigned long long)l->conn, e.text);
        refuse(d, EXIT_TRY_AGAIN, "store-failed", "The gateway's state cannot be read now.");
    } else if (o.admin_locked) {
        char reason[4 * STORE_REASON_MAX + 1];
        refuse(d, EXIT_REFUSED, "locked",
               "Your login is locked by an administrator: %s (sallyport user unlock %s).",
               escape_text(reason, sizeof reason, o.lock_reason, strlen(o.lock_reason)),
               l->operator_name);
    } else if (lockout_holds(&o.lockout, now_s)) {
        refuse(d, EXIT_REFUSED, "locked",
               "Your login is locked until %s after %u wrong codes; ask an administrator"
               " (sallyport user unlock %s).",
               lockout_time_text(o.lockout.locked_until_s, now_s, when), w->lockout.failures,
               l->operator_name);
    } else {
        refused = false;
    }
    store_operator_clear(&o);
    return refused;
}

static int copy_host_keys(const struct policy_target *t, struct buf *out)
{
    int rc = 0;
    for (size_t i = 0; i < t->host_key_count && rc == 0; i++) {
        uint8_t len[4];
        wire_store_u32(len, (uint32_t)t->host_keys[i].len);
        rc = buf_put(out, len, sizeof len);
        if (rc == 0)
            rc = buf_put(out, t->host_keys[i].blob, t->host_keys[i].len);
    }
    return rc;
}

static void prepare_grant(const struct login_world *w, const struct login *l, struct decision *d)
{
    const struct policy_target *t = policy_target_named(w->policy, l->destination.target);
    struct err e = ERR_INIT;

    if (!t) {
        refuse(d, EXIT_REFUSED, "unknown-target", "There is no target named %s.",
               l->destination.target);
        return;
    }
    d->target_index = t->index;
    snprintf(d->target, sizeof d->target, "%s", t->name);
    address_text(&t->address, d->target_address);
    d->target_port = t->port;
    if (t->host_key_count == 0) {
        refuse(d, EXIT_TARGET_DOWN, "no-host-key",
               "No host key of %s is known, so it cannot be told from another machine; an"
               " administrator adds it to targets.yaml.",
               t->name);
        return;
    }
    int rc = vault_public(w->store, t->name, l->destination.account, d->identity, &e);
    if (rc == ERR_NOT_FOUND) {
        refuse(d, EXIT_TARGET_DOWN, "no-credential",
               "The gateway has no key for %s@%s yet; an administrator makes it with"
               " `sallyport target key %s %s`.",
               l->destination.account, t->name, t->name, l->destination.account);
        return;
    }
    if (rc == 0)
        rc = copy_host_keys(t, &d->host_keys);
    if (rc == 0 && d->policy.rules)
        rc = rule_set_encode(d->policy.rules, &d->rules);
    if (rc == 0)
        rc = file_rules_encode(d->policy.files, &d->files);
    if (rc == 0)
        rc = forward_rules_encode(d->policy.forwards, &d->forwards);
    /* They borrow the packs of a policy set that this decision may outlive. */
    rule_set_free(d->policy.rules);
    d->policy.rules = NULL;
    if (rc < 0) {
        log_error("grant", "conn=%llu code=%s text=\"%s\"", (unsigned long long)l->conn,
                  err_token((enum err_code)rc), e.text);
        refuse(d, EXIT_TRY_AGAIN, err_token((enum err_code)rc), "The grant cannot be made: %s.",
               err_text((enum err_code)rc));
    }
}

static void ask_policy(const struct login_world *w, const struct login *l, uint64_t now_s,
                       struct decision *d)
{
    struct err e = ERR_INIT;
    struct policy_request q = {.operator_name = l->operator_name,
                               .target = l->destination.target,
                               .account = l->destination.account,
                               .source = l->source,
                               .now_s = now_s,
                               .factors = l->factors};
    if (l->factors & FACTOR_REMEMBERED)
        q.remembered_age_s = now_s > l->remembered_issued_s ? now_s - l->remembered_issued_s : 0;
    int rc = policy_decide(w->policy, &q, &d->policy, &e);
    if (rc < 0) {
        refuse(d, EXIT_TRY_AGAIN, err_token((enum err_code)rc), "No decision could be made: %s.",
               err_text((enum err_code)rc));
    } else if (!d->policy.allowed) {
        refuse(d, EXIT_REFUSED, d->policy.token, "%s", d->policy.reason);
    } else {
        d->allowed = true;
        prepare_grant(w, l, d);
    }
}

void decision_make(const struct login_world *w, const struct login *l, uint64_t now_s,
                   struct decision *out)
{
    memset(out, 0, sizeof *out);
    buf_init(&out->host_keys, HOST_KEYS_MAX);
    buf_init(&out->rules, RULES_MAX);
    buf_init(&out->files, FILES_ENCODED_MAX);
    buf_init(&out->forwards, FORWARDS_ENCODED_MAX);
    snprintf(out->target, sizeof out->target, "%s", l->destination.target);
    if (w->policy)
        memcpy(out->policy_hash, policy_hash(w->policy), sizeof out->policy_hash);

    if (!w->policy || !policy_operator_named(w->policy, l->operator_name)) {
        refuse(out, EXIT_REFUSED, "no-operator", "You are not an operator of this gateway.");
    } else if (refused_by_lock(w, l, now_s, out)) {
        return;
    } else if (!policy_operator_may_come_from(w->policy, l->operator_name, &l->source)) {
        ask_policy(w, l, now_s, out); /* which says so, wherever the login wants to go */
    } else if (*l->foreign_operator) {
        out->alarm = true;
        refuse(out, EXIT_REFUSED, "certificate-of-another",
               "The certificate that this device presented belongs to another operator.");
    } else if (!l->destination.valid) {
        refuse(out, EXIT_REFUSED, l->destination.token, "%s", l->destination.problem);
    } else if (l->destination.gateway) {
        out->allowed = out->gateway = true;
    } else if (l->enrolment) {
        refuse(out, EXIT_REFUSED, "enrolment-only",
               "An enrolment token opens nothing but `sallyport login`.");
    } else {
        ask_policy(w, l, now_s, out);
    }
}

void decision_clear(struct decision *d)
{
    policy_decision_clear(&d->policy);
    buf_clear(&d->host_keys);
    buf_clear(&d->rules);
    buf_clear(&d->files);
    buf_clear(&d->forwards);
}

/* What the session-start record says of these too (gateway/backend_grant.c). */
static void put_recording(const struct policy_decision *d, struct json_out *j)
{
    if (d->abilities & ABILITY_SFTP)
        json_bool(j, "sftp", true);
    if (d->abilities & ABILITY_FORWARD)
        json_bool(j, "forward", true);
    if (d->bulk == BULK_DIGEST) {
        json_str(j, "bulk", "digest");
        json_u64(j, "bulk_after", d->bulk_after);
    }
    if (d->keep_max)
        json_u64(j, "keep_max", d->keep_max);
}

int decision_record(const struct decision *d, const struct login *l, const uint8_t session[16],
                    struct buf *out)
{
    struct json_out j;
    char factors[100];

    json_begin(&j, out);
    json_str(&j, "event", "decision");
    json_bool(&j, "allowed", d->allowed);
    if (d->break_glass)
        json_bool(&j, "break_glass", true);
    if (!d->allowed) {
        json_str(&j, "reason", d->token);
        json_bytes(&j, "text", d->text, strlen(d->text));
        json_u64(&j, "status", d->status);
    }
    json_str(&j, "operator", l->operator_name);
    json_str(&j, "source", l->source_text);
    json_u64(&j, "port", l->port);
    if (*l->proxy)
        json_str(&j, "proxy", l->proxy);
    json_u64(&j, "connection", l->conn);
    json_str(&j, "target", d->target);
    json_str(&j, "account", l->destination.account);
    json_bytes(&j, "user", l->user, strlen(l->user));
    json_bytes(&j, "asked_for", l->connect_target, strlen(l->connect_target));
    json_str(&j, "factors", login_factors_text(l, factors));
    json_str(&j, "key", *l->fingerprint ? l->fingerprint : NULL);
    json_hex(&j, "policy", d->policy_hash, sizeof d->policy_hash);
    json_bytes(&j, "path", d->policy.path, strlen(d->policy.path));
    if (d->policy.because[0])
        json_str(&j, "because", d->policy.because);
    if (d->allowed && !d->gateway)
        put_recording(&d->policy, &j);
    if (*l->foreign_operator)
        json_str(&j, "certificate_of", l->foreign_operator);
    if (session && d->allowed && !d->gateway)
        json_hex(&j, "session", session, 16);
    return json_end(&j);
}
