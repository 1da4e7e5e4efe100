/* SPDX-License-Identifier: Apache-2.0
 *
 * See auth/login.h. Texts before both factors are the same whether an operator is enrolled, locked
 * or neither: only the verdict of the code differs. */
#include "auth/login_steps.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/break_glass.h"
#include "auth/second_factor.h"
#include "auth/vault.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "base/log.h"

/* How far in the future a certificate may have been issued: a clock set back by more ends it. */
#define CLOCK_SLACK_S 5

void login_reply(struct login_reply *r, enum login_verdict verdict, const char *reason,
                 const char *format, ...)
{
    va_list ap;
    r->verdict = verdict;
    r->reason = reason;
    va_start(ap, format);
    vsnprintf(r->text, sizeof r->text, format, ap);
    va_end(ap);
}

int login_init(struct login *l, const struct authd_connection *m, struct err *e)
{
    memset(l, 0, sizeof *l);
    int rc = address_parse(m->address, &l->source, e);
    if (rc < 0)
        return rc;
    l->conn = m->conn;
    address_text(&l->source, l->source_text);
    l->port = m->port;
    strcpy(l->proxy, m->proxy);
    strcpy(l->connect_target, m->target);
    if ((m->certificate == CERTIFICATE_VALID || m->certificate == CERTIFICATE_EXPIRED) &&
        m->certificate_der.len > 0) {
        if (!(l->certificate_der = malloc(m->certificate_der.len)))
            return err_set(e, ERR_MEMORY, "certificate");
        memcpy(l->certificate_der, m->certificate_der.p, m->certificate_der.len);
        l->certificate_len = m->certificate_der.len;
        l->certificate = (enum client_certificate)m->certificate;
    }
    return 0;
}

void login_clear(struct login *l)
{
    free(l->certificate_der);
    l->certificate_der = NULL;
}

bool login_probe(struct login *l, const struct login_world *w, struct bytes key)
{
    bool known = w->policy && policy_operator_of_key(w->policy, key.p, key.len);
    if (!known && l->unknown_probes < 1000)
        l->unknown_probes++;
    return known;
}

/* May a login with this remembered age go where it wants to? When the answer is no for another
 * reason than its age, a code would not help: that is told at `open`. */
static bool young_enough(const struct login *l, const struct login_world *w, uint64_t now_s,
                         uint64_t age_s)
{
    struct err e = ERR_INIT;
    struct policy_decision d;
    struct policy_request q = {.operator_name = l->operator_name,
                               .target = l->destination.target,
                               .account = l->destination.account,
                               .source = l->source,
                               .now_s = now_s,
                               .factors = l->factors | FACTOR_REMEMBERED,
                               .remembered_age_s = age_s};
    if (l->destination.gateway || !l->destination.valid)
        return true;
    bool ok = policy_decide(w->policy, &q, &d, &e) == 0 &&
              (d.allowed || strcmp(d.token, "remembered-too-old") != 0);
    policy_decision_clear(&d);
    return ok;
}

/* Does the certificate that the listener verified stand in for a code? If not, why says so to the
 * operator (it may stay empty). */
static bool remembered(struct login *l, const struct login_world *w, uint64_t now_s,
                       struct login_reply *r, char why[501])
{
    struct device_certificate c;
    struct store_certificate row;
    struct err e = ERR_INIT;
    char when[CLOCK_TEXT];

    if (l->certificate == CERTIFICATE_NONE)
        return false;
    if (device_ca_verify(w->ca, l->certificate_der, l->certificate_len, &c, &e) < 0 ||
        store_certificate_read(w->store, c.serial, &row, &e) < 0 ||
        strcmp(c.operator_name, row.operator_name) != 0) {
        log_warn("certificate-not-ours", "conn=%llu text=\"%s\"", (unsigned long long)l->conn,
                 e.text);
        r->reason = "certificate-unknown";
        return false;
    }
    if (strcmp(c.operator_name, l->operator_name) != 0) {
        strcpy(l->foreign_operator, c.operator_name);
        r->reason = "certificate-of-another";
        return false;
    }
    if (l->certificate == CERTIFICATE_EXPIRED || now_s >= row.expires_s) {
        r->reason = "certificate-expired";
        snprintf(why, 501, "Your remembered login ended at %s; `sallyport login` renews it.",
                 clock_iso_seconds(when, row.expires_s * 1000000000ull));
        return false;
    }
    if (row.ended_s) {
        r->reason = "certificate-ended";
        snprintf(why, 501, "Your remembered login was ended; `sallyport login` makes a new one.");
        return false;
    }
    if (row.factors & ~l->factors) {
        r->reason = "certificate-of-other-factors";
        snprintf(why, 501, "Your remembered login was made with another factor than this one.");
        return false;
    }
    if (row.issued_s > now_s + CLOCK_SLACK_S) {
        r->reason = "certificate-from-the-future";
        return false;
    }
    uint64_t age_s = now_s > row.issued_s ? now_s - row.issued_s : 0;
    if (!young_enough(l, w, now_s, age_s)) {
        r->reason = "remembered-too-old";
        snprintf(why, 501, "Your remembered login is too old for this target.");
        return false;
    }
    if (break_glass_named(w, l)) {
        r->reason = "break-glass";
        return false; /* BREAK_GLASS_PROMPT says it */
    }
    l->remembered_issued_s = row.issued_s;
    return true;
}

void login_first_factor(struct login *l, const struct login_world *w, uint64_t now_s,
                        struct login_reply *r)
{
    char why[501] = "";

    destination_parse(l->connect_target, l->user, &l->destination);
    r->reason = "code-wanted";
    if (remembered(l, w, now_s, r, why)) {
        l->phase = LOGIN_DONE;
        l->factors |= FACTOR_REMEMBERED;
        r->record = true;
        login_reply(r, LOGIN_SUCCESS, "remembered", "%s", "");
        return;
    }
    l->phase = LOGIN_WANTS_CODE;
    /* A certificate that did not count is worth a record of its own. */
    r->record = strcmp(r->reason, "code-wanted") != 0;
    if (break_glass_named(w, l))
        snprintf(why, sizeof why, "%s", BREAK_GLASS_PROMPT);
    login_reply(r, LOGIN_ASK_CODE, r->reason, "%s%s%s", why, *why ? "\n" : "",
                "Enter the current code of your authenticator, or your enrolment token.");
}

void login_claim(struct login *l, const struct login_world *w, const char *user, struct bytes key,
                 uint64_t now_s, struct login_reply *r)
{
    const struct policy_operator *op = NULL;
    struct store_operator row;
    struct err e = ERR_INIT;
    char named[OPERATOR_NAME_MAX + 1];

    memset(r, 0, sizeof *r);
    r->reason = "unknown-key";
    l->unknown_probes = 0;
    snprintf(l->user, sizeof l->user, "%s", user);
    vault_fingerprint(key.p, key.len, l->fingerprint);
    if (l->phase != LOGIN_WANTS_KEY || ++l->claims > LOGIN_CLAIMS_MAX) {
        l->phase = LOGIN_OVER;
        login_reply(r, LOGIN_FAILED, "too-many-keys", "%s", "");
        r->summed = true;
        return;
    }
    named[0] = '\0';
    if (w->policy)
        op = policy_operator_of_key(w->policy, key.p, key.len);
    /* The same work in the store whether there is such an operator or not. */
    int rc = store_operator_read(w->store, op ? op->name : "", &row, &e);
    store_operator_clear(&row);
    if (rc < 0) {
        log_error("store", "conn=%llu text=\"%s\"", (unsigned long long)l->conn, e.text);
        op = NULL;
        r->reason = "store-failed";
    }
    /* The key of one is no factor of another. */
    if (op && destination_operator(user, named) && strcmp(op->name, named) != 0) {
        op = NULL;
        r->reason = "key-of-another";
    }
    if (!op) {
        r->summed = true;
        login_reply(r, LOGIN_FAILED, r->reason, "%s", "");
        return;
    }
    snprintf(l->operator_name, sizeof l->operator_name, "%s", op->name);
    l->factors = FACTOR_KEY;
    if (*named) {
        l->phase = LOGIN_WANTS_PASSWORD;
        login_reply(r, LOGIN_ASK_PASSWORD, "password-wanted", "%s", "");
        return;
    }
    login_first_factor(l, w, now_s, r);
}

static void answer_wrong(struct login *l, struct login_reply *r, const char *reason,
                         const char *text)
{
    if (l->codes >= LOGIN_CODES_MAX) {
        l->phase = LOGIN_OVER;
        login_reply(r, LOGIN_FAILED, reason, "%s", text);
    } else {
        login_reply(r, LOGIN_ASK_CODE, reason, "%s", text);
    }
}

static int check_token(struct login *l, const struct login_world *w, const char *token,
                       uint64_t now_s, struct code_outcome *out, struct err *e)
{
    uint8_t hash[ENROL_HASH_BYTES] = {0};
    int rc = enrol_token_hash(token, hash);
    memset(out, 0, sizeof *out);
    if (rc == 0)
        rc = store_enrolment_try(w->store, l->operator_name, hash, now_s, e);
    if (rc == 0) {
        out->verdict = CODE_RIGHT;
        memcpy(l->enrolment_hash, hash, sizeof l->enrolment_hash);
        return 0;
    }
    if (rc != ERR_DENIED && rc != ERR_SYNTAX)
        return rc;
    return second_factor_failed(w->store, l->operator_name, now_s, &w->lockout, out, e);
}

/* Authenticators show "123 456". */
static void without_blanks(char *out, size_t cap, const char *in)
{
    size_t n = 0;
    for (; *in && n + 1 < cap; in++)
        if (!isspace((unsigned char)*in))
            out[n++] = *in;
    out[n] = '\0';
}

void login_code(struct login *l, const struct login_world *w, const char *answer, uint64_t now_s,
                struct login_reply *r)
{
    struct code_outcome o;
    struct err e = ERR_INIT;
    char code[129];

    memset(r, 0, sizeof *r);
    if (l->phase != LOGIN_WANTS_CODE) {
        login_reply(r, LOGIN_FAILED, "login-over", "%s", "");
        return;
    }
    l->codes++;
    without_blanks(code, sizeof code, answer);
    bool token = enrol_token_looks(code);
    int rc =
        token ? check_token(l, w, code, now_s, &o, &e)
              : second_factor_check(w->store, l->operator_name, code, now_s, &w->lockout, &o, &e);
    wipe(code, sizeof code);
    r->record = true;
    if (rc < 0) {
        log_error("second-factor", "conn=%llu text=\"%s\"", (unsigned long long)l->conn, e.text);
        l->phase = LOGIN_OVER;
        login_reply(r, LOGIN_FAILED, "store-failed", "The gateway cannot check codes now.");
        return;
    }
    r->has_step = !token && o.verdict != CODE_WRONG;
    r->step = o.step;
    r->lock_began = o.lock_began;
    r->locked_until_s = o.lockout.locked_until_s;
    if (o.verdict == CODE_RIGHT) {
        l->phase = LOGIN_DONE;
        l->enrolment = token;
        l->code_s = now_s;
        l->factors |= token ? 0 : FACTOR_TOTP;
        login_reply(r, LOGIN_SUCCESS, token ? "enrolment" : "code", "%s", "");
    } else if (o.verdict == CODE_USED) {
        answer_wrong(l, r, "code-used", "That code was used already; wait for the next one.");
    } else {
        answer_wrong(l, r, token ? "wrong-token" : "wrong-code", "That code is not right.");
    }
}

const char *login_factors_text(const struct login *l, char out[100])
{
    const bool both = (l->factors & FACTOR_KEY) && (l->factors & FACTOR_PASSWORD);

    snprintf(out, 100, "%s%s%s%s%s%s", l->factors & FACTOR_KEY ? "key" : "", both ? "," : "",
             l->factors & FACTOR_PASSWORD ? "password" : "",
             l->factors & FACTOR_TOTP ? ",totp" : "",
             l->factors & FACTOR_REMEMBERED ? ",remembered" : "", l->enrolment ? ",enrolment" : "");
    return out;
}

int login_record(const struct login *l, const struct login_reply *r, struct buf *out)
{
    struct json_out j;
    char factors[100], when[CLOCK_TEXT];
    static const char *const results[] = {[LOGIN_FAILED] = "refused",
                                          [LOGIN_ASK_CODE] = "refused",
                                          [LOGIN_SUCCESS] = "logged-in",
                                          [LOGIN_ASK_PASSWORD] = "refused"};

    json_begin(&j, out);
    json_str(&j, "event", "login");
    json_str(&j, "result", results[r->verdict]);
    json_str(&j, "reason", r->reason);
    json_str(&j, "operator", *l->operator_name ? l->operator_name : NULL);
    json_str(&j, "source", l->source_text);
    json_u64(&j, "port", l->port);
    if (*l->proxy)
        json_str(&j, "proxy", l->proxy);
    json_u64(&j, "connection", l->conn);
    json_bytes(&j, "user", l->user, strlen(l->user));
    json_bytes(&j, "asked_for", l->connect_target, strlen(l->connect_target));
    json_str(&j, "key", *l->fingerprint ? l->fingerprint : NULL);
    json_str(&j, "factors", login_factors_text(l, factors));
    if (r->has_step)
        json_u64(&j, "step", r->step);
    if (l->factors & FACTOR_REMEMBERED)
        json_str(&j, "remembered_since",
                 clock_iso_seconds(when, l->remembered_issued_s * 1000000000ull));
    if (*l->foreign_operator)
        json_str(&j, "certificate_of", l->foreign_operator);
    if (r->lock_began)
        json_str(&j, "locked_until", clock_iso_seconds(when, r->locked_until_s * 1000000000ull));
    return json_end(&j);
}
