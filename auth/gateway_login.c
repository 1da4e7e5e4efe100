/* SPDX-License-Identifier: Apache-2.0
 *
 * See auth/gateway_login.h. */
#include "auth/gateway_login.h"

#include <stdlib.h>
#include <string.h>

#include "auth/device_ca.h"
#include "auth/totp.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "base/log.h"

#define CODES_MAX   5
#define LINE_MAX_   512
#define PEM_BEGIN   "-----BEGIN "
#define PEM_END     "-----END "
#define NO_REMEMBER "none of your roles allows a remembered login: a code is asked for every time"
#define OLD_CODE    "this login's code is too old for a remembered login: connect again"

struct gateway_login {
    struct buf line;    /* what has come of the line under way */
    struct buf request; /* the certificate request, line by line */
    bool in_request, has_request, finishing, eof;
    struct secret *totp; /* an enrolment's new secret */
    uint64_t step;       /* whose code confirmed it */
    unsigned codes;
    struct buf pem; /* the certificate, until its record is durable */
    struct device_certificate certificate;
};

void gateway_login_free(struct gateway_login *login)
{
    if (!login)
        return;
    buf_wipe(&login->line);
    buf_clear(&login->request);
    buf_clear(&login->pem);
    secret_free(login->totp);
    free(login);
}

static void fail(struct gateway_channel *ch, uint8_t status, const char *text)
{
    gateway_print(ch, 1, "sallyport: %s\n", text);
    gateway_exit(ch, status);
}

static uint64_t remember_s(const struct connection *c)
{
    return policy_remember_s(c->a->world.policy, c->login.operator_name);
}

/* When the code was taken from which a remembered login counts: a connection that is kept open does
 * not make it younger. */
static uint64_t code_s(const struct gateway_channel *ch)
{
    const struct connection *c = ch->g->c;
    return c->login.enrolment ? authd_now_s(c->a) : c->login.code_s;
}

static void offer_secret(struct gateway_channel *ch)
{
    const struct connection *c = ch->g->c;
    struct err e = ERR_INIT;
    struct buf uri;

    buf_init(&uri, 2048);
    ch->login->totp = secret_random(TOTP_SECRET_BYTES);
    if (!ch->login->totp || buf_printf(&uri, "enroll ") < 0 ||
        totp_uri(ch->login->totp, c->a->gateway, c->login.operator_name, &uri, &e) < 0 ||
        buf_put(&uri, "\n", 1) < 0)
        fail(ch, EXIT_TRY_AGAIN, "no secret could be made");
    else
        gateway_output(ch, 0, buf_head(&uri), buf_len(&uri));
    buf_wipe(&uri);
}

void gateway_login_start(struct gateway_channel *ch)
{
    struct connection *c = ch->g->c;
    if (!c->login.enrolment && !(c->login.factors & FACTOR_TOTP)) {
        fail(ch, EXIT_REFUSED,
             "a remembered login does not renew itself: connect without the device's certificate"
             " (as `sallyport login` does) and give a code");
        return;
    }
    if (!c->login.enrolment && remember_s(c) == 0) {
        fail(ch, EXIT_REFUSED, NO_REMEMBER);
        return;
    }
    if (!c->login.enrolment && c->login.code_s + remember_s(c) <= authd_now_s(c->a)) {
        fail(ch, EXIT_REFUSED, OLD_CODE);
        return;
    }
    if (!(ch->login = calloc(1, sizeof *ch->login))) {
        fail(ch, EXIT_TRY_AGAIN, "out of memory");
        return;
    }
    buf_init(&ch->login->line, LINE_MAX_);
    buf_init(&ch->login->request, DEVICE_CSR_MAX);
    buf_init(&ch->login->pem, DEVICE_PEM_MAX);
    if (c->login.enrolment)
        offer_secret(ch);
}

/* ---- the end: certificate, second factor, records, store ---- */

static int make_certificate(struct gateway_channel *ch, struct err *e)
{
    struct gateway_login *login = ch->login;
    struct connection *c = ch->g->c;
    uint64_t life_s = remember_s(c);
    if (!login->has_request || life_s == 0)
        return 0;
    return device_ca_issue(c->a->world.ca, buf_head(&login->request), buf_len(&login->request),
                           c->login.operator_name, code_s(ch), life_s, &login->certificate,
                           &login->pem, e);
}

static int put_certificate(struct connection *c, const struct gateway_login *login, struct err *e)
{
    struct store_certificate row = {.issued_s = login->certificate.issued_s,
                                    .expires_s = login->certificate.expires_s,
                                    .factors = c->login.factors & (FACTOR_KEY | FACTOR_PASSWORD)};
    if (buf_len(&login->pem) == 0)
        return 0;
    strcpy(row.operator_name, login->certificate.operator_name);
    memcpy(row.fingerprint, c->login.fingerprint, sizeof row.fingerprint);
    row.fingerprint[sizeof row.fingerprint - 1] = '\0';
    return store_certificate_put(c->a->world.store, login->certificate.serial, &row, e);
}

/* All or nothing. The token that let this login in is redeemed once, though several connections may
 * have come with it. A new second factor ends what the old one had opened. */
static int store_all(struct connection *c, const struct gateway_login *login, struct err *e)
{
    struct store *s = c->a->world.store;
    const char *name = c->login.operator_name;
    unsigned count;
    int rc = store_begin(s, e);
    if (rc == 0 && login->totp) {
        rc = store_enrolment_redeem(s, name, c->login.enrolment_hash, authd_now_s(c->a), e);
        if (rc == 0)
            rc = store_operator_set_totp(s, name, login->totp, login->step, e);
        if (rc == 0)
            rc = store_certificates_end(s, name, "re-enrolled", authd_now_s(c->a), &count, e);
    }
    if (rc == 0)
        rc = put_certificate(c, login, e);
    if (rc == 0)
        rc = store_commit(s, e);
    if (rc < 0)
        store_rollback(s);
    return rc;
}

static void finish_recorded(void *arg, uint64_t conn, int rc)
{
    struct gateway_channel *ch = gateway_resume(arg, conn, rc);
    struct err e = ERR_INIT;
    if (!ch)
        return;
    struct gateway_login *login = ch->login;
    struct connection *c = ch->g->c;
    rc = store_all(c, login, &e);
    if (rc == ERR_DENIED) {
        authd_alarm(c->a, conn, c->login.operator_name, "enrolment-refused", e.text);
        fail(ch, EXIT_REFUSED, "this enrolment token was redeemed, replaced, or has expired");
        return;
    }
    if (rc < 0) {
        log_error("store", "conn=%llu text=\"%s\"", (unsigned long long)conn, e.text);
        fail(ch, EXIT_TRY_AGAIN, "the gateway's state cannot be written now");
        return;
    }
    if (login->totp) {
        c->login.enrolment = false;
        c->login.code_s = authd_now_s(c->a);
        c->login.factors |= FACTOR_TOTP;
        gateway_print(ch, 0, "ok\n");
    }
    gateway_output(ch, 0, buf_head(&login->pem), buf_len(&login->pem));
    gateway_exit(ch, 0);
}

static void finish(struct gateway_channel *ch)
{
    struct gateway_login *login = ch->login;
    struct connection *c = ch->g->c;
    struct err e = ERR_INIT;
    struct buf payload;
    struct json_out j;
    char when[CLOCK_TEXT], text[300];

    if (make_certificate(ch, &e) < 0) {
        fail(ch, EXIT_GATEWAY_DATA, escape_text(text, sizeof text, e.text, strlen(e.text)));
        return;
    }
    login->finishing = true;
    buf_init(&payload, TRAIL_PAYLOAD_MAX);
    json_begin(&j, &payload);
    json_str(&j, "event", login->totp ? "second-factor-enrolled" : "device-remembered");
    json_str(&j, "operator", c->login.operator_name);
    json_str(&j, "source", c->login.source_text);
    if (*c->login.proxy)
        json_str(&j, "proxy", c->login.proxy);
    json_u64(&j, "connection", c->conn);
    json_str(&j, "key", *c->login.fingerprint ? c->login.fingerprint : NULL);
    if (login->totp)
        json_u64(&j, "step", login->step);
    if (buf_len(&login->pem) > 0) {
        json_hex(&j, "certificate", login->certificate.serial, DEVICE_SERIAL_BYTES);
        json_str(&j, "until",
                 clock_iso_seconds(when, login->certificate.expires_s * 1000000000ull));
    }
    if (json_end(&j) < 0)
        buf_clear(&payload);
    gateway_record(ch, RECORD_KEY, &payload, finish_recorded);
}

/* ---- input ---- */

static void take_code(struct gateway_channel *ch, const char *line)
{
    struct gateway_login *login = ch->login;
    const struct authd *a = ch->g->c->a;
    if (totp_match(login->totp, authd_now_s(a), line, &login->step) == 0) {
        finish(ch);
        return;
    }
    unsigned left = CODES_MAX - ++login->codes;
    gateway_print(ch, 0, "wrong %u\n", left);
    if (left == 0)
        fail(ch, EXIT_REFUSED, "the enrolment is not finished: no code was right");
}

static void take_line(struct gateway_channel *ch, const char *line)
{
    struct gateway_login *login = ch->login;
    if (login->in_request || (!login->has_request && strncmp(line, PEM_BEGIN, 11) == 0)) {
        login->in_request = true;
        if (buf_printf(&login->request, "%s\n", line) < 0) {
            fail(ch, EXIT_GATEWAY_DATA, "the certificate request is too long");
        } else if (strncmp(line, PEM_END, 9) == 0) {
            login->in_request = false;
            login->has_request = true;
            if (!login->totp)
                finish(ch);
        }
    } else if (login->totp && *line) {
        take_code(ch, line);
    } else if (*line) {
        fail(ch, EXIT_GATEWAY_DATA, "expected a certificate request in PEM");
    }
}

void gateway_login_input(struct gateway_channel *ch, struct bytes input)
{
    char line[LINE_MAX_ + 1];
    for (size_t i = 0; i < input.len && ch->used && ch->login && !ch->login->finishing; i++) {
        struct buf *b = &ch->login->line;
        char byte = (char)input.p[i];
        if (byte == '\r' || byte == '\0')
            continue;
        if (byte != '\n') {
            if (buf_put(b, &byte, 1) < 0)
                fail(ch, EXIT_GATEWAY_DATA, "a line is too long");
            continue;
        }
        size_t len = buf_len(b);
        memcpy(line, buf_head(b), len);
        line[len] = '\0';
        buf_wipe(b);
        take_line(ch, line);
    }
    wipe(line, sizeof line);
}

void gateway_login_eof(struct gateway_channel *ch)
{
    struct gateway_login *login = ch->login;
    if (login->finishing || login->eof)
        return;
    login->eof = true;
    static const uint8_t newline[] = {'\n'};
    gateway_login_input(ch, (struct bytes){newline, 1}); /* a last line without its end */
    if (!ch->used || !ch->login || ch->login->finishing)
        return;
    fail(ch, EXIT_GATEWAY_DATA,
         login->totp ? "the enrolment is not finished: no code came"
                     : "no certificate request came");
}
