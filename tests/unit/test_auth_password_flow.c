/* SPDX-License-Identifier: Apache-2.0
 *
 * Passwords with authd as it runs: the administrator's verbs, logins over the link `login`, what
 * counts against a source, what a changed password ends. */
#include <criterion/criterion.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/password.h"
#include "tests/unit/auth_running.h"

#define RIGHT "correct horse battery"

static struct auth_world world; /* large */

/* The request that sets it; hash: for the test to look for. */
static void password_request(const char *who, char request[300], char hash[PASSWORD_HASH + 1])
{
    char setting[PASSWORD_SETTING + 1];
    struct err e = ERR_INIT;
    cr_assert_eq(password_setting(setting, &e), 0);
    cr_assert_eq(password_hash(RIGHT, setting, hash, &e), 0);
    snprintf(request, 300, "{\"verb\":\"user-password\",\"operator\":\"%s\",\"hash\":\"%s\"}", who,
             hash);
}

static void set_password(struct auth_world *w, const char *who)
{
    char request[300], hash[PASSWORD_HASH + 1];
    password_request(who, request, hash);
    control_ok(w, request);
}

static void send_password(struct link *l, const char *user, const char *password)
{
    struct login_password m;
    struct err e = ERR_INIT;
    snprintf(m.user, sizeof m.user, "%s", user);
    snprintf(m.password, sizeof m.password, "%s", password);
    cr_assert_eq(login_password_send(l, &m, NULL, &e), 0);
}

static int answer(struct auth_world *w, struct link *l)
{
    struct login_answer m;
    struct err e = ERR_INIT;
    struct frame f;
    world_expect(w, l, &f, login_answer);
    cr_assert_eq(login_answer_decode(&f, &m, &e), 0);
    return m.verdict;
}

static int give(struct auth_world *w, struct link *l, const char *user, const char *password)
{
    send_password(l, user, password);
    return answer(w, l);
}

static void refused(struct auth_world *w, const char *request, const char *says)
{
    char *reply = world_control(w, request);
    cr_expect(strstr(reply, "\"ok\":false") && strstr(reply, says), "%s: %s", request, reply);
    free(reply);
}

static bool listed(struct auth_world *w, const char *text)
{
    char *reply = world_control(w, "{\"verb\":\"user-list\"}");
    bool found = strstr(reply, text) != NULL;
    free(reply);
    return found;
}

Test(password_flow, verbs, .timeout = 60)
{
    struct auth_world *w = &world;
    char request[300], hash[PASSWORD_HASH + 1];

    world_set_up(w);
    refused(w, "{\"verb\":\"user-password\",\"operator\":\"alice\"}", "hash is not one");
    refused(w, "{\"verb\":\"user-password\",\"operator\":\"alice\",\"hash\":\"" RIGHT "\"}",
            "hash is not one");
    refused(w,
            "{\"verb\":\"user-password\",\"operator\":\"alice\",\"hash\":"
            "\"$y$j75$8BIIyHXOfaInVG4x0Xo4L.$obmG7o6xQzJT.tJEAXy4/yTFO27liO4l6R6wwjddFI3\"}",
            "hash is not one");
    password_request("nobody", request, hash);
    refused(w, request, "not-found");
    refused(w, "{\"verb\":\"user-password-remove\",\"operator\":\"nobody\"}", "not-found");
    refused(w, "{\"verb\":\"user-password-remove\",\"operator\":\"alice\"}", "has no password");
    cr_expect(!listed(w, "\"password\":true"));
    cr_expect_null(strstr(w->log, "user-password"), "%s", w->log);

    password_request("alice", request, hash);
    control_ok(w, request);
    cr_expect(listed(w, "\"password\":true"));
    cr_expect(strstr(w->log, "\"event\":\"user-password-set\""));
    cr_expect(strstr(w->log, "\"operator\":\"alice\""));
    control_ok(w, "{\"verb\":\"user-password-remove\",\"operator\":\"alice\"}");
    cr_expect(!listed(w, "\"password\":true"));
    cr_expect(strstr(w->log, "\"event\":\"user-password-removed\""));
    cr_expect_null(strstr(w->log, "$y$"), "a hash is in the trail");
    /* Also of somebody who is gone from the policy. */
    control_ok(w, request);
    cr_assert(world_load(w, "operators:\n  bob: {name: Bob}\n", NULL));
    control_ok(w, "{\"verb\":\"user-password-remove\",\"operator\":\"alice\"}");
    world_tear_down(w);
}

/* Without a key at all: a password and a token enrol, and the device is remembered beside it. */
Test(password_flow, of_an_operator_without_key, .timeout = 60)
{
    struct login_command command = {.channel = 1, .command = "login"};
    struct auth_world *w = &world;
    struct err e = ERR_INIT;
    struct frame f;
    char token[40], text[16384], code[8];

    world_set_up(w);
    set_password(w, "carol");
    world_token(w, "carol", token);
    struct link *l = world_connect(w, 2, "gateway:22", NULL);
    cr_expect_eq(give(w, l, "carol+", "wrong horse battery"), LOGIN_ASK_PASSWORD);
    cr_expect_eq(give(w, l, "carol+", RIGHT), LOGIN_ASK_CODE);
    cr_expect_eq(world_code(w, l, token, NULL), LOGIN_SUCCESS);
    cr_expect(strstr(w->log, "\"key\":null,\"factors\":\"password,enrolment\""), "%s", w->log);
    open_message(l);
    world_expect(w, l, &f, login_gateway);
    cr_assert_eq(login_command_send(l, &command, NULL, &e), 0);
    cr_assert_eq(world_output(w, l, text, sizeof text), -1);
    struct secret *totp = world_secret(text);
    char *csr = lab_request("P-256");
    world_input(l, csr);
    world_input(l, world_totp(w, totp, 0, code));
    world_input(l, "\n");
    cr_assert_eq(world_output(w, l, text, sizeof text), 0, "%s", text);
    cr_expect(strncmp(text, "ok\n", 3) == 0, "%s", text);
    free(csr);
    link_free(l);
    *w->clock_s += 60;
    l = world_connect(w, 3, "gateway:22", NULL);
    cr_expect_eq(give(w, l, "carol+", RIGHT), LOGIN_ASK_CODE);
    cr_expect_eq(world_code(w, l, world_totp(w, totp, 0, code), NULL), LOGIN_SUCCESS);
    cr_expect(strstr(w->log, "\"factors\":\"password,totp\""));
    link_free(l);
    secret_free(totp);
    world_tear_down(w);
}

/* Each wrong password is a failure of its source, and none of the operator's. */
Test(password_flow, failures, .timeout = 60)
{
    static const struct {
        const char *what, *steps; /* w: wrong, r: right, 0: a wrong code */
        const char *user;
        unsigned failures;
    } rows[] = {
        {"it left before a password", "", "alice+root", 1}, /* as who offers no key */
        {"one wrong password", "w", "alice+root", 1},
        {"three wrong ones", "www", "alice+root", 3},
        {"of nobody", "www", "nobody+root", 3},
        {"a wrong one, then the right one", "wr", "alice+root", 1},
        {"the right one, and it left before a code", "r", "alice+root", 0},
        {"wrong codes lock the operator, not the source", "r000", "alice+root", 0},
        {"no name", "w", "root", 1},
    };
    struct auth_world *w = &world;

    world_set_up(w);
    struct secret *totp = world_enrol(w, "alice", 1, NULL);
    set_password(w, "alice");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct link *l = world_connect(w, 100 + i, "hv1:22", NULL);
        w->failures = 0;
        for (const char *p = rows[i].steps; *p; p++) {
            if (*p == '0')
                world_code(w, l, "000000", NULL);
            else
                give(w, l, rows[i].user, *p == 'r' ? RIGHT : "wrong horse battery");
        }
        link_free(l);
        world_quiet(w, w->supervisor);
        cr_expect_eq(w->failures, rows[i].failures, "%s: %u", rows[i].what, w->failures);
        if (*rows[i].steps && rows[i].failures)
            cr_expect_eq(w->failure_kind, FAILURE_FIRST_FACTOR, "%s", rows[i].what);
    }
    cr_expect_null(strstr(w->log, "horse"), "a password is in the trail");
    secret_free(totp);
    world_tear_down(w);
}

/* A frontend that does not wait is not ahead of the answer; one that goes back is ended. */
Test(password_flow, a_frontend_that_hurries, .timeout = 60)
{
    struct login_claim claim = {.user = "alice+root"};
    struct auth_world *w = &world;
    struct authd_end m;
    struct err e = ERR_INIT;
    struct frame f;

    world_set_up(w);
    set_password(w, "alice");
    struct link *l = world_connect(w, 7, "hv1:22", NULL);
    for (int i = 0; i < 5; i++)
        send_password(l, "alice+root", i == 1 ? RIGHT : "wrong horse battery");
    cr_expect_eq(answer(w, l), LOGIN_ASK_PASSWORD);
    cr_expect_eq(answer(w, l), LOGIN_ASK_CODE);
    world_expect(w, w->supervisor, &f, authd_end); /* a password where a code is wanted */
    cr_assert_eq(authd_end_decode(&f, &m, &e), 0);
    cr_expect_eq(m.conn, 7);
    link_free(l);

    l = world_connect(w, 8, "hv1:22", NULL);
    cr_expect_eq(give(w, l, "alice+root", "wrong horse battery"), LOGIN_ASK_PASSWORD);
    claim.key = lab_key(&w->lab, "alice");
    cr_assert_eq(login_claim_send(l, &claim, NULL, &e), 0);
    world_expect(w, w->supervisor, &f, authd_end); /* a key where a password is wanted */
    link_free(l);

    /* It is gone before its hash is there: that is a failure all the same, and the next one's turn.
     */
    w->failures = 0;
    l = world_connect(w, 9, "hv1:22", NULL);
    send_password(l, "alice+root", "wrong horse battery");
    link_free(l);
    free(world_control(w, "{\"verb\":\"user-list\"}")); /* it has been read by now */
    struct authd_gone gone = {.conn = 9};
    cr_assert_eq(authd_gone_send(w->supervisor, &gone, NULL, &e), 0);
    l = world_connect(w, 10, "hv1:22", NULL);
    cr_expect_eq(give(w, l, "alice+root", RIGHT), LOGIN_ASK_CODE);
    link_free(l);
    world_quiet(w, w->supervisor);
    cr_expect_eq(w->failures, 1);
    cr_expect_eq(w->failure_kind, FAILURE_FIRST_FACTOR);
    world_tear_down(w);
}

/* authd's only child: the hasher. */
static pid_t hasher_of(const struct auth_world *w)
{
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)w->pid, (int)w->pid);
    FILE *f = fopen(path, "r");
    if (f && !fgets(text, sizeof text, f))
        text[0] = '\0';
    if (f)
        fclose(f);
    return (pid_t)atoi(text);
}

/* Whose password it had when the hasher died has failed, and that is an alarm: bytes of a stranger
 * may have done it. */
Test(password_flow, the_hasher_dies, .timeout = 60)
{
    struct auth_world *w = &world;

    world_set_up(w);
    set_password(w, "alice");
    struct link *l = world_connect(w, 11, "hv1:22", NULL);
    cr_expect_eq(give(w, l, "alice+root", "wrong horse battery"), LOGIN_ASK_PASSWORD);
    const pid_t hasher = hasher_of(w);
    cr_assert_gt(hasher, 0);
    world_quiet(w, w->supervisor);
    w->failures = 0;
    cr_assert_eq(kill(hasher, SIGTERM), 0); /* that is authd's to follow */
    cr_assert_eq(kill(hasher, SIGSTOP), 0); /* so that it has the next one */
    send_password(l, "alice+root", RIGHT);
    free(world_control(w, "{\"verb\":\"user-list\"}"));
    cr_assert_eq(kill(hasher, SIGUSR1), 0);
    cr_assert_eq(kill(hasher, SIGCONT), 0);
    cr_expect_eq(answer(w, l), LOGIN_ASK_PASSWORD);
    cr_expect(strstr(w->log, "\"event\":\"hasher-ended\",\"connection\":11"), "%s", w->log);
    cr_expect(strstr(w->log, "(signal 10)"), "%s", w->log);
    cr_expect_eq(give(w, l, "alice+root", RIGHT), LOGIN_ASK_CODE, "there is another one");
    world_quiet(w, w->supervisor);
    cr_expect_eq(w->failures, 1);
    link_free(l);
    world_tear_down(w);
}

/* What a password opened ends with it; what a key opened goes on. */
Test(password_flow, a_change_ends_what_it_opened, .timeout = 60)
{
    struct auth_world *w = &world;
    struct running key;
    struct secret *totp;
    struct bytes der;
    struct frame f;
    char code[8], request[300], hash[PASSWORD_HASH + 1];

    prepare(w, &totp, &der);
    set_password(w, "alice");
    begin_session(w, &key, 2, &der);
    struct link *l = world_connect(w, 3, "gateway:22", NULL);
    *w->clock_s += 60;
    cr_expect_eq(give(w, l, "alice+x", RIGHT), LOGIN_ASK_CODE);
    cr_expect_eq(world_code(w, l, world_totp(w, totp, 0, code), NULL), LOGIN_SUCCESS);
    struct link *half = world_connect(w, 4, "hv1:22", NULL);
    cr_expect_eq(give(w, half, "alice+root", RIGHT), LOGIN_ASK_CODE);

    password_request("alice", request, hash);
    char *reply = world_control(w, request);
    cr_expect(strstr(reply, "\"sessions\":2,\"certificates\":0"), "%s", reply);
    free(reply);
    world_expect(w, l, &f, login_end);
    world_expect(w, half, &f, login_end);
    cr_expect(world_quiet(w, key.backend), "the key's session goes on");
    link_free(l);
    link_free(half);
    end_running(&key);
    finish(w, totp, &der);
}
