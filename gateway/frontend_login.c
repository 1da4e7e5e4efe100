/* SPDX-License-Identifier: Apache-2.0
 *
 * The login of one connection: a public key, then a code by keyboard-interactive; where the user
 * name names an operator a password before the code, with a key or instead of one. This state
 * machine, not libssh's, is what opens channels (CVE-2018-10933 was a server that trusted the
 * library's).
 *
 *     KEY -probe-> PROBING -> KEY               (agents ask before they sign)
 *     KEY -verified signature-> PROBING -> CLAIMING -> ASK | DONE | KEY
 *     KEY -request, the user name names an operator-> PROMPTED
 *     ASK -request-> PROMPTED -answer-> CHECKING -> PROMPTED | DONE | OVER
 *
 * - Whether a password is asked for depends on the user name alone, before and after a key: it
 * tells nobody whether there is such an operator, or what his roles want.
 * - Only a signature that libssh verified with the key of the same request is claimed, and only one
 *   key a connection; authd counts it as a claim, and wants more than it.
 * - The first user name is bound: another one ends the connection.
 * - One request to keyboard-interactive is one prompt is one answer. libssh lets several responses
 *   to one request through, with any number of answers and without a user name: each is counted,
 *   and any but the one expected ends the connection.
 * - Anything that is no part of a login ends the connection.
 * - A bad signature gets no answer and no message from libssh: the deadline ends it.
 * Runs in the frontend; everything the client sends is hostile until checked. */
#include "gateway/frontend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/destination.h"
#include "base/log.h"
#include "base/secret.h"

/* An agent may hold a dozen keys; each is a probe and perhaps a signature. */
#define PROBES_MAX    24
#define MESSAGES_MAX  64
#define RESPONSES_MAX 8    /* authd ends the login earlier */
#define KEY_MAX       4096 /* login.claim */

void login_clear(struct frontend_login *l)
{
    ssh_message_free(l->kept);
    l->kept = NULL;
    free(l->key);
    l->key = NULL;
    l->key_len = 0;
}

bool login_busy(const struct frontend *f)
{
    return f->log_in.kept != NULL;
}

/* "Try again", naming what may be tried. */
static void refuse(struct frontend_login *l, ssh_message m)
{
    bool key = l->step == LOGIN_STEP_KEY || l->step == LOGIN_STEP_PROBING ||
               l->step == LOGIN_STEP_CLAIMING;
    int methods = key ? SSH_AUTH_METHOD_PUBLICKEY : SSH_AUTH_METHOD_INTERACTIVE;

    if (l->named)
        methods |= SSH_AUTH_METHOD_INTERACTIVE;
    ssh_message_auth_set_methods(m, methods);
    ssh_message_reply_default(m);
}

static void refuse_free(struct frontend_login *l, ssh_message m)
{
    refuse(l, m);
    ssh_message_free(m);
}

/* --- keys */

/* The key of m in wire format (RFC 4253 6.6). libssh gives it in base64 only. */
static int key_of(ssh_message m, uint8_t **key, size_t *key_len)
{
    char *text = NULL;
    size_t len, padding = 0;
    int n, rc = ERR_INPUT;

    *key = NULL;
    if (ssh_pki_export_pubkey_base64(ssh_message_auth_pubkey(m), &text) != SSH_OK)
        return ERR_INPUT;
    len = strlen(text);
    if (len == 0 || len % 4 != 0 || len / 4 * 3 > KEY_MAX)
        goto out;
    while (padding < 2 && text[len - 1 - padding] == '=')
        padding++;
    *key = malloc(len / 4 * 3);
    if (!*key)
        goto out;
    n = EVP_DecodeBlock(*key, (const unsigned char *)text, (int)len);
    if (n <= (int)padding) {
        free(*key);
        *key = NULL;
        goto out;
    }
    *key_len = (size_t)n - padding;
    rc = 0;
out:
    ssh_string_free_char(text);
    return rc;
}

static void claim(struct frontend *f)
{
    struct frontend_login *l = &f->log_in;
    struct login_claim m = {.key = {l->key, l->key_len}};
    struct err e = ERR_INIT;

    strcpy(m.user, l->user); /* of the same size */
    l->claimed = true;
    l->step = LOGIN_STEP_CLAIMING;
    if (login_claim_send(f->login, &m, NULL, &e) != 0)
        frontend_link_failed(f, "login", &e);
}

/* Probes and signatures alike are first asked about, so that the one claim of a connection is for a
 * key that may log in. */
static void public_key(struct frontend *f, ssh_message m)
{
    struct frontend_login *l = &f->log_in;
    enum ssh_publickey_state_e state = ssh_message_auth_publickey_state(m);
    struct login_probe probe = {0};
    struct err e = ERR_INIT;

    if (l->step != LOGIN_STEP_KEY || l->claimed ||
        (state != SSH_PUBLICKEY_STATE_NONE && state != SSH_PUBLICKEY_STATE_VALID)) {
        refuse_free(l, m);
        return;
    }
    if (++l->probes > PROBES_MAX) {
        ssh_message_free(m);
        frontend_leave(f, "too many keys were tried");
        return;
    }
    login_clear(l);
    if (key_of(m, &l->key, &l->key_len) != 0) {
        refuse_free(l, m);
        return;
    }
    l->kept = m;
    l->kept_signed = state == SSH_PUBLICKEY_STATE_VALID;
    l->step = LOGIN_STEP_PROBING;
    probe.key = (struct bytes){l->key, l->key_len};
    if (login_probe_send(f->login, &probe, NULL, &e) != 0)
        frontend_link_failed(f, "login", &e);
}

void login_probed(struct frontend *f, const struct login_probed *m)
{
    struct frontend_login *l = &f->log_in;

    if (l->step != LOGIN_STEP_PROBING || !l->kept)
        return;
    if (m->known && l->kept_signed) {
        claim(f);
        return;
    }
    l->step = LOGIN_STEP_KEY;
    if (m->known)
        ssh_message_auth_reply_pk_ok_simple(l->kept);
    else
        refuse(l, l->kept);
    login_clear(l);
    f->again = true;
}

/* --- passwords and codes */

static void prompt(struct frontend *f, ssh_message m)
{
    struct frontend_login *l = &f->log_in;
    const char *prompts[1] = {l->password ? "Password: " : "Code: "};
    char echo[1] = {0};

    if (ssh_message_auth_interactive_request(m, "Sallyport", l->instruction, 1, prompts, echo) !=
        SSH_OK) {
        frontend_leave(f, "the prompt could not be sent");
        return;
    }
    l->step = LOGIN_STEP_PROMPTED;
}

static int pass_on_code(struct frontend *f, const char *text, struct err *e)
{
    struct login_code m = {.answer = ""};
    int rc;

    /* What is too long is a wrong answer, and counts as one. */
    if (strlen(text) < sizeof m.answer)
        strcpy(m.answer, text);
    rc = login_code_send(f->login, &m, NULL, e);
    wipe(&m, sizeof m);
    return rc;
}

static int pass_on_password(struct frontend *f, const char *text, struct err *e)
{
    struct login_password m = {.password = ""};
    int rc;

    strcpy(m.user, f->log_in.user); /* of the same size */
    if (strlen(text) < sizeof m.password)
        strcpy(m.password, text);
    link_enter(f->login, login_STATE_PASSWORD);
    rc = login_password_send(f->login, &m, NULL, e);
    wipe(&m, sizeof m);
    return rc;
}

/* The answer of the one response that was asked for. Owns m. */
static void response(struct frontend *f, ssh_message m)
{
    struct frontend_login *l = &f->log_in;
    const char *text;
    struct err e = ERR_INIT;

    if (++l->responses > RESPONSES_MAX || l->step != LOGIN_STEP_PROMPTED ||
        ssh_userauth_kbdint_getnanswers(f->ssh) != 1) {
        ssh_message_free(m);
        frontend_leave(f, "an answer that nobody asked for");
        return;
    }
    text = ssh_userauth_kbdint_getanswer(f->ssh, 0);
    if (!text)
        text = "";
    l->kept = m;
    l->step = LOGIN_STEP_CHECKING;
    if ((l->password ? pass_on_password(f, text, &e) : pass_on_code(f, text, &e)) != 0)
        frontend_link_failed(f, "login", &e);
    /* libssh keeps it until the next answer or the session's end. */
    wipe((void *)(uintptr_t)text, strlen(text));
}

static void interactive(struct frontend *f, ssh_message m)
{
    struct frontend_login *l = &f->log_in;

    if (ssh_message_auth_kbdint_is_response(m) == 1) {
        response(f, m);
        return;
    }
    if (l->step == LOGIN_STEP_KEY && l->named) {
        l->password = true;
        l->step = LOGIN_STEP_ASK;
    }
    if (l->step == LOGIN_STEP_ASK || l->step == LOGIN_STEP_PROMPTED) {
        prompt(f, m);
        ssh_message_free(m);
        return;
    }
    refuse_free(l, m);
}

/* --- authd's verdicts */

static void logged_in(struct frontend *f)
{
    struct login_open open = {0};
    struct err e = ERR_INIT;
    char user[1100];

    f->log_in.step = LOGIN_STEP_DONE;
    f->phase = PHASE_DECISION;
    f->deadline_ms = 0;
    link_enter(f->login, login_STATE_LOGGED_IN);
    log_info("logged-in", "user=\"%s\"",
             escape_text(user, sizeof user, f->log_in.user, strlen(f->log_in.user)));
    if (ssh_message_auth_reply_success(f->log_in.kept, 0) != SSH_OK) {
        frontend_leave(f, "the login could not be answered");
        return;
    }
    if (login_open_send(f->login, &open, NULL, &e) != 0)
        frontend_link_failed(f, "login", &e);
}

static void answered_key(struct frontend *f, const struct login_answer *m)
{
    struct frontend_login *l = &f->log_in;

    switch ((enum login_verdict)m->verdict) {
    case LOGIN_SUCCESS:
        logged_in(f);
        return;
    case LOGIN_ASK_PASSWORD:
    case LOGIN_ASK_CODE:
        l->step = LOGIN_STEP_ASK;
        l->password = m->verdict == LOGIN_ASK_PASSWORD;
        link_enter(f->login, l->password ? login_STATE_PASSWORD : login_STATE_CODE);
        ssh_message_auth_set_methods(l->kept, SSH_AUTH_METHOD_INTERACTIVE);
        ssh_message_auth_reply_success(l->kept, 1);
        return;
    case LOGIN_FAILED:
        break;
    }
    /* The one claim of this connection is spent: further keys are refused, the client gives up. */
    l->step = LOGIN_STEP_KEY;
    if (m->text[0] != '\0') /* no fault of the key's: the recorder is missing */
        frontend_end(f, m->text, EXIT_TRY_AGAIN);
    refuse(l, l->kept);
}

static void answered_response(struct frontend *f, const struct login_answer *m)
{
    struct frontend_login *l = &f->log_in;

    switch ((enum login_verdict)m->verdict) {
    case LOGIN_SUCCESS:
        logged_in(f);
        return;
    case LOGIN_ASK_PASSWORD:
    case LOGIN_ASK_CODE:
        l->password = m->verdict == LOGIN_ASK_PASSWORD;
        link_enter(f->login, l->password ? login_STATE_PASSWORD : login_STATE_CODE);
        prompt(f, l->kept);
        return;
    case LOGIN_FAILED:
        break;
    }
    l->step = LOGIN_STEP_OVER;
    refuse(l, l->kept);
    frontend_leave(f, m->text[0] != '\0' ? m->text : "the login failed");
}

void login_answered(struct frontend *f, const struct login_answer *m)
{
    struct frontend_login *l = &f->log_in;
    enum login_step step = l->step;

    if ((step != LOGIN_STEP_CLAIMING && step != LOGIN_STEP_CHECKING) || !l->kept)
        return;
    snprintf(l->instruction, sizeof l->instruction, "%s", m->text);
    if (step == LOGIN_STEP_CLAIMING)
        answered_key(f, m);
    else
        answered_response(f, m);
    login_clear(l);
    f->again = true;
}

/* --- what the client sends */

/* false: the connection has ended over it. */
static bool bind_user(struct frontend *f, ssh_message m)
{
    struct frontend_login *l = &f->log_in;
    const char *user = ssh_message_auth_user(m);
    char operator_name[65];

    if (!user || strlen(user) >= sizeof l->user) {
        frontend_leave(f, "a user name that cannot be");
        return false;
    }
    if (!l->user_bound) {
        strcpy(l->user, user); /* the length was checked */
        l->user_bound = true;
        l->named = destination_operator(user, operator_name) > 0;
    } else if (strcmp(l->user, user) != 0) {
        frontend_leave(f, "the user name changed");
        return false;
    }
    return true;
}

static void authentication(struct frontend *f, ssh_message m)
{
    bool is_response = ssh_message_subtype(m) == SSH_AUTH_METHOD_INTERACTIVE &&
                       ssh_message_auth_kbdint_is_response(m) == 1;

    /* A response carries no user name; it belongs to the request that was answered by the prompt.
     */
    if (!is_response && !bind_user(f, m)) {
        ssh_message_free(m);
        return;
    }
    switch (ssh_message_subtype(m)) {
    case SSH_AUTH_METHOD_PUBLICKEY:
        public_key(f, m);
        return;
    case SSH_AUTH_METHOD_INTERACTIVE:
        interactive(f, m);
        return;
    default: /* none, password, ... */
        refuse_free(&f->log_in, m);
        return;
    }
}

void login_message(struct frontend *f, ssh_message m)
{
    const char *service;

    if (++f->log_in.messages > MESSAGES_MAX) {
        ssh_message_free(m);
        frontend_leave(f, "too many messages before the login");
        return;
    }
    switch (ssh_message_type(m)) {
    case SSH_REQUEST_SERVICE:
        service = ssh_message_service_service(m);
        if (service && strcmp(service, "ssh-userauth") == 0)
            ssh_message_service_reply_success(m);
        else
            frontend_leave(f, "an unknown service was asked for");
        ssh_message_free(m);
        return;
    case SSH_REQUEST_AUTH:
        authentication(f, m);
        return;
    default:
        ssh_message_free(m);
        frontend_leave(f, "a request before the login");
        return;
    }
}
