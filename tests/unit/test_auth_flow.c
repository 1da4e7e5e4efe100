/* SPDX-License-Identifier: Apache-2.0
 *
 * authd as its peers see it, the whole way: connection, claim, code, open, backend, grant,
 * signature; and the ways that it is to end. */
#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "auth/vault.h"
#include "base/clock.h"
#include "tests/unit/auth_running.h"
#include "tests/unit/auth_world.h"
#include "tests/unit/policy_fixture.h"

static struct auth_world world; /* large */

static void expect_refused(struct auth_world *w, struct link *l, const char *says, unsigned status)
{
    struct login_refused m;
    struct err e = ERR_INIT;
    struct frame f;
    world_expect(w, l, &f, login_refused);
    cr_assert_eq(login_refused_decode(&f, &m, &e), 0);
    cr_expect(strstr(m.text, says), "%s", m.text);
    cr_expect_eq(m.status, status);
}

static void expect_end(struct auth_world *w, uint64_t conn)
{
    struct authd_end m;
    struct err e = ERR_INIT;
    struct frame f;
    world_expect(w, w->supervisor, &f, authd_end);
    cr_assert_eq(authd_end_decode(&f, &m, &e), 0);
    cr_expect_eq(m.conn, conn);
}

/* ---- signatures ---- */

static size_t sign_request(const struct running *s, const char *account, uint8_t *out, size_t *data,
                           size_t *data_len)
{
    struct wire_writer w;
    uint8_t id[32] = {7}, body[512];
    wire_writer_init(&w, body, sizeof body);
    wire_put_data(&w, id, sizeof id, 32);
    wire_put_u8(&w, 50);
    wire_put_data(&w, account, strlen(account), 64);
    wire_put_data(&w, "ssh-connection", 14, 64);
    wire_put_data(&w, "publickey", 9, 64);
    wire_put_u8(&w, 1);
    wire_put_data(&w, "ssh-ed25519", 11, 64);
    wire_put_data(&w, s->identity, sizeof s->identity, 256);
    *data_len = w.len;
    wire_writer_init(&w, out, 1024);
    wire_put_u32(&w, 0);
    wire_put_u8(&w, 13);
    wire_put_data(&w, s->identity, sizeof s->identity, 256);
    *data = w.len + 4;
    wire_put_data(&w, body, *data_len, sizeof body);
    wire_put_u32(&w, 0);
    wire_store_u32(out, (uint32_t)w.len - 4);
    return w.len;
}

/* Reads one whole answer; returns its type. */
static int agent_answer(struct auth_world *w, const struct running *s, uint8_t *out, size_t cap)
{
    size_t len = 0;
    while (len < 4 || len < 4 + wire_load_u32(out)) {
        struct pollfd p[2] = {{.fd = s->agent, .events = POLLIN},
                              {.fd = link_fd(w->trail), .events = POLLIN}};
        cr_assert_gt(poll(p, 2, 120000), 0, "the agent gave no answer");
        if (p[1].revents)
            world_quiet(w, w->supervisor);
        if (p[0].revents) {
            ssize_t n = read(s->agent, out + len, cap - len);
            cr_assert_gt(n, 0);
            len += (size_t)n;
        }
    }
    return out[4];
}

static bool signature_right(const struct running *s, const uint8_t *data, size_t len,
                            const uint8_t *answer)
{
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL,
                                                s->identity + VAULT_PUBLIC_BYTES - 32, 32);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    const uint8_t *signature = answer + 9 + VAULT_SIGNATURE_BYTES - 64;
    int ok = EVP_DigestVerifyInit(c, NULL, NULL, NULL, key) == 1 &&
             EVP_DigestVerify(c, signature, 64, data, len) == 1;
    EVP_MD_CTX_free(c);
    EVP_PKEY_free(key);
    return ok;
}

Test(authd, from_connection_to_signature, .timeout = 300)
{
    struct auth_world *w = &world;
    struct running s;
    struct secret *totp;
    struct bytes der;
    uint8_t request[1024], answer[1024];
    size_t data, data_len;
    prepare(w, &totp, &der);
    begin_session(w, &s, 2, &der);
    cr_expect_str_eq(s.grant.operator_name, "alice");
    cr_expect_str_eq(s.grant.account, "root");
    cr_expect_str_eq(s.grant.target_address, "10.0.0.1");
    cr_expect_str_eq(s.grant.factors, "key,remembered");
    size_t len = sign_request(&s, "root", request, &data, &data_len);
    cr_assert_eq(write(s.agent, request, len), (ssize_t)len);
    cr_assert_eq(agent_answer(w, &s, answer, sizeof answer), 14);
    cr_expect(signature_right(&s, request + data, data_len, answer));
    cr_expect(strstr(w->log, "18 {\"event\":\"vault-key-used\""));
    /* A second one, and one for another account: refused, with alarms. */
    cr_assert_eq(write(s.agent, request, len), (ssize_t)len);
    cr_expect_eq(agent_answer(w, &s, answer, sizeof answer), 5);
    len = sign_request(&s, "admin", request, &data, &data_len);
    cr_assert_eq(write(s.agent, request, len), (ssize_t)len);
    cr_expect_eq(agent_answer(w, &s, answer, sizeof answer), 5);
    world_quiet(w, w->supervisor);
    cr_expect(strstr(w->log, "26 {\"event\":\"agent-breach\""));
    cr_expect(strstr(w->log, "a second signature"));
    end_running(&s);
    finish(w, totp, &der);
}

Test(authd, records_come_before_effects, .timeout = 300)
{
    struct auth_world *w = &world;
    struct login_claim m = {.user = "root"};
    struct err e = ERR_INIT;
    struct secret *totp;
    struct bytes der;
    struct frame f;
    prepare(w, &totp, &der);
    struct link *l = world_connect(w, 2, "hv1:22", &der);
    m.key = lab_key(&w->lab, "alice");
    w->hold = true;
    cr_assert_eq(login_claim_send(l, &m, NULL, &e), 0);
    cr_expect(world_quiet(w, l), "no answer before the record is durable");
    w->hold = false;
    world_attach_trail(w);
    world_expect(w, l, &f, login_answer);
    struct login_answer a;
    cr_assert_eq(login_answer_decode(&f, &a, &e), 0);
    cr_expect_eq(a.verdict, LOGIN_FAILED, "its record was lost with the recorder");
    link_free(l);
    /* The decision. */
    l = world_connect(w, 3, "hv1:22", &der);
    cr_assert_eq(world_claim(w, l, "alice", NULL), LOGIN_SUCCESS);
    w->hold = true;
    open_message(l);
    cr_expect(world_quiet(w, w->supervisor), "no backend before the record is durable");
    w->hold = false;
    world_attach_trail(w);
    expect_refused(w, l, "recorder is not available", EXIT_TRAIL);
    link_free(l);
    finish(w, totp, &der);
}

Test(authd, a_code_counts_once, .timeout = 300)
{
    enum { RACERS = 8 };
    struct auth_world *w = &world;
    struct link *l[RACERS];
    struct login_code m;
    struct err e = ERR_INIT;
    struct secret *totp;
    struct bytes der;
    int won = 0;
    char code[8], text[501];
    prepare(w, &totp, &der);
    *w->clock_s += 30;
    for (int i = 0; i < RACERS; i++) {
        l[i] = world_connect(w, 10 + (uint64_t)i, "hv1:22", NULL);
        cr_assert_eq(world_claim(w, l[i], "alice", NULL), LOGIN_ASK_CODE);
    }
    strcpy(m.answer, world_totp(w, totp, 0, code));
    for (int i = 0; i < RACERS; i++)
        cr_assert_eq(login_code_send(l[i], &m, NULL, &e), 0);
    for (int i = 0; i < RACERS; i++) {
        struct login_answer a;
        struct frame f;
        world_expect(w, l[i], &f, login_answer);
        cr_assert_eq(login_answer_decode(&f, &a, &e), 0);
        won += a.verdict == LOGIN_SUCCESS;
        link_free(l[i]);
    }
    cr_expect_eq(won, 1);
    /* Nor after kill -9 and a clock set back. */
    world_kill(w);
    *w->clock_s -= 30;
    world_start(w);
    l[0] = world_connect(w, 30, "hv1:22", NULL);
    cr_assert_eq(world_claim(w, l[0], "alice", NULL), LOGIN_ASK_CODE);
    cr_expect_eq(world_code(w, l[0], code, text), LOGIN_ASK_CODE);
    cr_expect_str_eq(text, "That code was used already; wait for the next one.");
    link_free(l[0]);
    finish(w, totp, &der);
}

static void admission(struct auth_world *w, struct authd_admission m)
{
    struct err e = ERR_INIT;

    strcpy(m.text, "The disk is full.");
    cr_assert_eq(authd_admission_send(w->supervisor, &m, NULL, &e), 0);
    world_quiet(w, w->supervisor);
}

Test(authd, break_glass_wants_a_code_of_now, .timeout = 300)
{
    const struct authd_admission shut = {.open = 0}, glass = {.glass = 1}, open = {.open = 1};
    struct auth_world *w = &world;
    struct authd_start_backend m;
    struct err e = ERR_INIT;
    struct secret *totp;
    struct bytes der;
    struct running s;
    struct frame f;
    struct link *l;
    char code[8], text[501];
    prepare(w, &totp, &der);
    /* Logged in before the gate closed: remembered, so he is told to come again. */
    l = world_connect(w, 2, "hv1:22", &der);
    cr_assert_eq(world_claim(w, l, "alice", text), LOGIN_SUCCESS);
    admission(w, glass);
    open_message(l);
    expect_refused(w, l, "The disk is full. You may get in all the same: log in again", 75);
    link_free(l);
    /* Where no reserve is there, or something else closes the gate as well: nobody. */
    admission(w, shut);
    l = world_connect(w, 3, "hv1:22", &der);
    cr_assert_eq(world_claim(w, l, "alice", text), LOGIN_SUCCESS);
    open_message(l);
    expect_refused(w, l, "The disk is full.", 75);
    link_free(l);
    admission(w, glass);
    s.frontend = world_connect(w, 4, "hv1:22", &der);
    cr_assert_eq(world_claim(w, s.frontend, "alice", text), LOGIN_ASK_CODE);
    cr_expect(strstr(text, "A remembered login does not count"), "%s", text);
    *w->clock_s += 30;
    cr_assert_eq(world_code(w, s.frontend, world_totp(w, totp, 0, code), text), LOGIN_SUCCESS);
    open_message(s.frontend);
    world_expect(w, w->supervisor, &f, authd_start_backend);
    cr_assert_eq(authd_start_backend_decode(&f, &m, &e), 0);
    cr_expect_eq(m.break_glass, 1);
    give_backend(w, &s, 4);
    cr_expect_eq(s.grant.break_glass, 1);
    cr_expect_str_eq(s.grant.factors, "key,totp");
    cr_expect(strstr(w->log, "26 {\"event\":\"break-glass\""));
    cr_expect(strstr(w->log, "\"break_glass\":true"));
    end_running(&s);
    /* The gate is open again. */
    admission(w, open);
    begin_session(w, &s, 5, &der);
    cr_expect_eq(s.grant.break_glass, 0);
    end_running(&s);
    finish(w, totp, &der);
}

Test(authd, lock_ends_sessions_and_is_told, .timeout = 300)
{
    struct auth_world *w = &world;
    struct running s;
    struct grant_end end;
    struct err e = ERR_INIT;
    struct secret *totp;
    struct bytes der;
    struct frame f;
    char code[8];
    prepare(w, &totp, &der);
    begin_session(w, &s, 2, &der);
    uint64_t before = clock_mono_ms();
    control_ok(w, "{\"verb\":\"user-lock\",\"operator\":\"alice\",\"reason\":\"left\"}");
    cr_expect(strstr(w->log, "20 {\"event\":\"user-lock\",\"admin_uid\":"));
    world_expect(w, s.backend, &f, grant_end);
    cr_assert_eq(grant_end_decode(&f, &end, &e), 0);
    cr_expect_str_eq(end.text, "Your login was locked by an administrator: left");
    cr_expect_str_eq(end.token, "locked");
    /* This backend does not obey. */
    expect_end(w, 2);
    cr_expect_geq(clock_mono_ms() - before, 2000);
    end_running(&s);
    /* The certificate has ended; the code is right, and consumed; the lock is told after it. */
    *w->clock_s += 60;
    struct link *l = world_connect(w, 3, "hv1:22", &der);
    cr_expect_eq(world_claim(w, l, "alice", NULL), LOGIN_ASK_CODE);
    cr_expect_eq(world_code(w, l, world_totp(w, totp, 0, code), NULL), LOGIN_SUCCESS);
    open_message(l);
    expect_refused(w, l, "locked by an administrator: left", EXIT_REFUSED);
    cr_expect(strstr(w->log, "5 {\"event\":\"decision\",\"allowed\":false,\"reason\":\"locked\""));
    link_free(l);
    control_ok(w, "{\"verb\":\"user-unlock\",\"operator\":\"alice\"}");
    *w->clock_s += 60;
    l = world_connect(w, 4, "hv1:22", NULL);
    cr_expect_eq(world_claim(w, l, "alice", NULL), LOGIN_ASK_CODE);
    cr_expect_eq(world_code(w, l, world_totp(w, totp, 0, code), NULL), LOGIN_SUCCESS);
    open_message(l);
    world_expect(w, w->supervisor, &f, authd_start_backend);
    struct authd_backend_failed failed = {4, "Connection refused"};
    cr_assert_eq(authd_backend_failed_send(w->supervisor, &failed, NULL, &e), 0);
    expect_refused(w, l, "hv1 cannot be reached: Connection refused", EXIT_TARGET_DOWN);
    link_free(l);
    finish(w, totp, &der);
}

Test(authd, sets_are_loaded_whole_or_not_at_all, .timeout = 300)
{
    struct auth_world *w = &world;
    struct running s;
    struct grant_end end;
    struct err e = ERR_INIT;
    struct secret *totp;
    struct bytes der;
    struct frame f;
    char text[2000] = "";
    prepare(w, &totp, &der);
    begin_session(w, &s, 2, &der);
    cr_expect(!world_load(w, "operators:\n  alice: {kees: []}\n", text));
    cr_expect(strstr(text, "operators.yaml:2:"), "%s", text);
    cr_expect(strstr(w->log, "19 {\"event\":\"refused\""));
    cr_expect(world_quiet(w, s.backend), "the old set is in force");
    cr_expect(world_load(w, "operators:\n  bob: {keys: [\"" KEY_B "\"], groups: [ops]}\n", text),
              "%s", text);
    world_expect(w, s.backend, &f, grant_end);
    cr_assert_eq(grant_end_decode(&f, &end, &e), 0);
    cr_expect_str_eq(end.token, "no-operator");
    end_running(&s);
    struct link *l = world_connect(w, 3, "hv1:22", &der);
    cr_expect_eq(world_claim(w, l, "alice", text), LOGIN_FAILED);
    cr_expect_str_eq(text, "");
    link_free(l);
    /* Back again: the certificate ended with the key. */
    cr_expect(world_load(w, fixture_operators, text), "%s", text);
    l = world_connect(w, 4, "hv1:22", &der);
    cr_expect_eq(world_claim(w, l, "alice", NULL), LOGIN_ASK_CODE);
    link_free(l);
    finish(w, totp, &der);
}

Test(authd, hostile_frontends_are_ended, .timeout = 300)
{
    static const uint8_t junk[] = {0, 99, 1, 2, 3}, early_code[] = {0, 4, 0, 0};
    static const uint8_t truncated_claim[] = {0, 3, 0, 200, 'r'};
    static const struct bytes frames[] = {{junk, sizeof junk},
                                          {early_code, sizeof early_code},
                                          {truncated_claim, sizeof truncated_claim},
                                          {(const uint8_t *)"\0\6", 2},     /* open */
                                          {(const uint8_t *)"\0\5\0\0", 4}, /* wrong direction */
                                          {(const uint8_t *)"\0", 1}};
    struct auth_world *w = &world;
    world_set_up(w);
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        struct link *l = world_connect(w, 10 + i, "hv1:22", NULL);
        cr_assert_eq(send(link_fd(l), frames[i].p, frames[i].len, 0), (ssize_t)frames[i].len);
        expect_end(w, 10 + i);
        link_free(l);
    }
    world_quiet(w, w->supervisor);
    cr_expect(strstr(w->log, "26 {\"event\":\"protocol-broken\""));
    world_tear_down(w);
}

Test(authd, login_deadline, .timeout = 300)
{
    struct auth_world *w = &world;
    w->login_ms = 4000;
    world_set_up(w);
    struct link *l = world_connect(w, 5, "hv1:22", NULL);
    cr_assert_eq(world_claim(w, l, "alice", NULL), LOGIN_ASK_CODE);
    expect_end(w, 5);
    link_free(l);
    world_tear_down(w);
}

Test(authd, without_recorder_nobody_logs_in, .timeout = 300)
{
    struct auth_world *w = &world;
    struct trail_stop stop = {"no space left"};
    struct err e = ERR_INIT;
    struct secret *totp;
    struct bytes der;
    char text[501];
    prepare(w, &totp, &der);
    cr_assert_eq(trail_stop_send(w->trail, &stop, NULL, &e), 0);
    world_quiet(w, w->supervisor);
    struct link *l = world_connect(w, 2, "hv1:22", &der);
    cr_expect_eq(world_claim(w, l, "alice", text), LOGIN_FAILED);
    cr_expect(strstr(text, "recorder is not available"), "%s", text);
    char *reply =
        world_control(w, "{\"verb\":\"user-lock\",\"operator\":\"alice\",\"reason\":\"x\"}");
    cr_expect(strstr(reply, "\"code\":\"trail\""), "%s", reply);
    free(reply);
    world_attach_trail(w);
    cr_expect_eq(world_claim(w, l, "alice", text), LOGIN_SUCCESS);
    link_free(l);
    finish(w, totp, &der);
}

Test(authd, control_refuses_what_is_wrong, .timeout = 300)
{
    static const struct {
        const char *request, *says;
    } cases[] = {
        {"hello", "\"code\":\"syntax\""},
        {"[]", "\"code\":\"syntax\""},
        {"{\"verb\":\"status\",\"verb\":\"x\"}", "\"code\":\"syntax\""},
        {"{}", "there is no verb"},
        {"{\"verb\":\"nonsense\"}", "there is no verb \\\"nonsense\\\""},
        {"{\"verb\":\"user-lock\",\"operator\":\"nobody\",\"reason\":\"x\"}", "not-found"},
        {"{\"verb\":\"user-lock\",\"operator\":\"alice\"}", "a lock wants a reason"},
        {"{\"verb\":\"target-key\",\"target\":\"hv1\",\"account\":\"$(id)\"}", "not an account"},
        {"{\"verb\":\"target-key\",\"target\":\"hv9\",\"account\":\"root\"}", "not-found"},
        {"{\"verb\":\"user-list\"}", "\"operator\":\"alice\""},
        {"{\"verb\":\"target-list\"}", "\"target\":\"hv2\""},
    };
    struct auth_world *w = &world;
    world_set_up(w);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *reply = world_control(w, cases[i].request);
        cr_expect(strstr(reply, cases[i].says), "%s: %s", cases[i].request, reply);
        free(reply);
    }
    world_tear_down(w);
}
