/* SPDX-License-Identifier: Apache-2.0
 *
 * authd's live sessions when the policy set or the hour changes: what its backends, its supervisor
 * and the trail are told, in which order. */
#include <criterion/criterion.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/auth_running.h"
#include "tests/unit/policy_fixture.h"

#define ROLE(rest)                                                                                 \
    "role: lab\nmembers: [group:ops]\ntargets: {env: lab}\naccounts: [root]\nremember: 8h\n" rest

static struct auth_world world; /* large */

static void load(struct auth_world *w, const char *role)
{
    char text[2000] = "";

    cr_assert(world_load_roles(w, fixture_operators, &role, role ? 1 : 0, text), "%s", text);
}

static void expect_narrow(struct auth_world *w, struct link *backend, struct grant_narrow *m)
{
    struct err e = ERR_INIT;
    struct frame f;

    world_expect(w, backend, &f, grant_narrow);
    cr_assert_eq(grant_narrow_decode(&f, m, &e), 0, "%s", e.text);
}

static void expect_end(struct auth_world *w, struct link *backend, const char *token,
                       const char *says)
{
    struct grant_end m;
    struct err e = ERR_INIT;
    struct frame f;

    world_expect(w, backend, &f, grant_end);
    cr_assert_eq(grant_end_decode(&f, &m, &e), 0);
    cr_expect_str_eq(m.token, token);
    cr_expect(strstr(m.text, says), "%s", m.text);
}

static void expect_notice(struct auth_world *w, struct link *backend, const char *says)
{
    struct grant_notice m;
    struct err e = ERR_INIT;
    struct frame f;

    world_expect(w, backend, &f, grant_notice);
    cr_assert_eq(grant_notice_decode(&f, &m, &e), 0);
    cr_expect(strstr(m.text, says), "%s", m.text);
}

/* What the supervisor keeps now. */
static void expect_narrowed(struct auth_world *w, struct running *s, uint64_t conn,
                            uint64_t max_bytes)
{
    struct authd_narrowed m;
    struct err e = ERR_INIT;
    struct frame f;

    world_expect(w, w->supervisor, &f, authd_narrowed);
    cr_assert_eq(authd_narrowed_decode(&f, &m, &e), 0);
    cr_expect_eq(m.conn, conn);
    cr_expect_eq(m.max_bytes, max_bytes);
    memcpy(s->again, m.again.p, m.again.len);
    s->again_len = m.again.len;
}

/* authd's successor is told of it, with an end of a link; the other one is the backend's from now
 * on. */
static void live(struct auth_world *w, struct running *s, uint64_t conn)
{
    struct authd_live m = {
        .conn = conn, .address = "10.1.2.3", .operator_name = "alice", .target_name = "hv1"};
    struct err e = ERR_INIT;
    int pair[2];

    cr_assert_eq(link_pair(pair, 1 << 20, &e), 0);
    link_free(s->backend);
    s->backend = link_new(pair[1], &link_grant, LINK_SECOND, 1 << 20);
    link_enter(s->backend, grant_STATE_GRANTED);
    m.again = (struct bytes){s->again, s->again_len};
    cr_assert_eq(authd_live_send(w->supervisor, &m, &pair[0], &e), 0);
    close(pair[0]);
}

static void expect_back(struct auth_world *w, struct link *backend)
{
    struct grant_back m;
    struct err e = ERR_INIT;
    struct frame f;

    world_expect(w, backend, &f, grant_back);
    cr_assert_eq(grant_back_decode(&f, &m, &e), 0);
}

static unsigned count(const char *text, const char *what)
{
    unsigned n = 0;

    for (const char *p = text; (p = strstr(p, what)); p++)
        n++;
    return n;
}

/* ---- a new set ---- */

Test(live, less_is_narrowed_and_nothing_is_ended, .timeout = 300)
{
    struct auth_world *w = &world;
    struct grant_narrow m;
    struct running s;
    struct secret *totp;
    struct bytes der;

    prepare(w, &totp, &der);
    begin_session(w, &s, 2, &der);
    load(w, ROLE("allow: {exec: true}\ncommands: [{allow: /bin/true}]\n"
                 "session: {idle: 5m, max: 1h, max-bytes: 3MiB, record: sync-all}\n"));
    expect_narrow(w, s.backend, &m);
    cr_expect_eq(m.abilities, ABILITY_EXEC);
    cr_expect_eq(m.idle_s, 300);
    cr_expect_eq(m.max_s, 3600);
    cr_expect_eq(m.record, RECORD_SYNC_ALL);
    cr_expect_gt(m.rules.len, 0);
    cr_expect(strstr(m.text, "your access to hv1 changed: no shell any more; no terminal any more; "
                             "other command rules; at most 5 min idle; at most 1 h from its "
                             "beginning; at most 3 MiB recorded; recorded in another way"),
              "%s", m.text);
    cr_expect_neq(memcmp(m.policy_hash, s.grant.policy_hash, 32), 0);
    expect_narrowed(w, &s, 2, 3 << 20);
    cr_expect_eq(
        count(w->log, "\"event\":\"decision-again\",\"cause\":\"policy\",\"allowed\":true"), 1);
    /* The same again changes nothing. */
    load(w, ROLE("description: other words\nallow: {exec: true}\ncommands: [{allow: /bin/true}]\n"
                 "session: {idle: 5m, max: 1h, max-bytes: 3MiB, record: sync-all}\n"));
    cr_expect(world_quiet(w, s.backend));
    /* More than ever: what it had. */
    load(w, ROLE("allow: {shell: true, exec: true, sftp: true}\n"));
    expect_narrow(w, s.backend, &m);
    cr_expect_eq(m.abilities, ABILITY_SHELL | ABILITY_EXEC | ABILITY_PTY);
    cr_expect_eq(m.idle_s, 0);
    cr_expect_eq(m.record, RECORD_STRICT);
    cr_expect_eq(m.rules.len, 0);
    cr_expect_eq(m.files.len, 0);
    expect_narrowed(w, &s, 2, 0);
    load(w, NULL);
    expect_end(w, s.backend, "no-role", "Your access to hv1 ended: ");
    end_running(&s);
    finish(w, totp, &der);
}

Test(live, more_is_not_given, .timeout = 300)
{
    struct auth_world *w = &world;
    struct running s;
    struct secret *totp;
    struct bytes der;

    prepare(w, &totp, &der);
    load(w, ROLE("allow: {exec: true}\nsession: {idle: 5m}\n"));
    begin_session(w, &s, 2, &der);
    load(w, ROLE("allow: {shell: true, exec: true, sftp: true}\n"));
    cr_expect(world_quiet(w, s.backend));
    cr_expect_eq(count(w->log, "decision-again"), 0);
    /* Nothing of it is left. */
    load(w, ROLE("allow: {sftp: true}\n"));
    expect_end(w, s.backend, "no-ability", "nothing is left of what your roles permitted");
    end_running(&s);
    finish(w, totp, &der);
}

Test(live, what_the_login_was_is_what_counts, .timeout = 300)
{
    struct auth_world *w = &world;
    struct running s;
    struct secret *totp;
    struct bytes der;

    prepare(w, &totp, &der);
    *w->clock_s += 1000;
    begin_session(w, &s, 2, &der);
    /* The session is older now than its remembered login may be; the login was not. */
    *w->clock_s += 2600;
    load(w, ROLE("description: same\nallow: {shell: true, exec: true}\n"));
    load(w, "role: lab\nmembers: [group:ops]\ntargets: {env: lab}\naccounts: [root]\nremember: "
            "30m\nallow: {shell: true, exec: true}\n");
    cr_expect(world_quiet(w, s.backend));
    load(w, "role: lab\nmembers: [group:ops]\ntargets: {env: lab}\naccounts: [root]\nremember: "
            "15m\nallow: {shell: true, exec: true}\n");
    expect_end(w, s.backend, "remembered-too-old", "Your access to hv1 ended: ");
    end_running(&s);
    finish(w, totp, &der);
}

Test(live, the_record_comes_first_but_is_not_waited_for_long, .timeout = 300)
{
    struct auth_world *w = &world;
    struct trail_stop stop = {"no space left"};
    struct grant_narrow m;
    struct running s, other;
    struct secret *totp;
    struct err e = ERR_INIT;
    struct bytes der;

    prepare(w, &totp, &der);
    begin_session(w, &s, 2, &der);
    load(w, ROLE("allow: {exec: true}\n"));
    expect_narrow(w, s.backend, &m);
    expect_narrowed(w, &s, 2, 0);
    cr_expect(strstr(w->log, "decision-again"), "before its effect");
    /* A new set needs a recorder; what it does to sessions goes on without one. */
    begin_session(w, &other, 3, &der);
    *w->clock_s += 3000;
    load(w, ROLE("when: [\"Mon 10:00-11:00 UTC\"]\nallow: {exec: true}\n"));
    cr_expect(world_quiet(w, s.backend), "it is open");
    w->hold = true;
    *w->clock_s += 3000;
    expect_end(w, s.backend, "when", "Your access to hv1 ended: ");
    expect_end(w, other.backend, "when", "Your access to hv1 ended: ");
    cr_expect_eq(count(w->log, "\"cause\":\"window\",\"allowed\":false"), 2);
    w->hold = false;
    cr_assert_eq(trail_stop_send(w->trail, &stop, NULL, &e), 0);
    end_running(&s);
    end_running(&other);
    finish(w, totp, &der);
}

Test(live, a_set_that_comes_before_the_backend, .timeout = 300)
{
    struct auth_world *w = &world;
    struct grant_narrow m;
    struct login_refused refused;
    struct running s, other;
    struct err e = ERR_INIT;
    struct secret *totp;
    struct bytes der;
    struct frame f;

    prepare(w, &totp, &der);
    ask_session(w, &s, 2, &der);
    load(w, ROLE("allow: {exec: true}\n"));
    give_backend(w, &s, 2);
    cr_expect(s.grant.abilities & ABILITY_SHELL, "as it was decided");
    expect_narrow(w, s.backend, &m);
    cr_expect_eq(m.abilities, ABILITY_EXEC | ABILITY_PTY);
    expect_narrowed(w, &s, 2, 0);
    end_running(&s);
    ask_session(w, &other, 3, &der);
    load(w, NULL);
    /* Its backend is not used at all. */
    struct authd_backend backend = {.conn = 3};
    int pair[3][2];
    for (int i = 0; i < 3; i++)
        cr_assert_eq(link_pair(pair[i], 65536, &e), 0);
    const int fds[3] = {pair[0][1], pair[1][1], pair[2][1]};
    cr_assert_eq(authd_backend_send(w->supervisor, &backend, fds, &e), 0);
    world_expect(w, other.frontend, &f, login_refused);
    cr_assert_eq(login_refused_decode(&f, &refused, &e), 0);
    cr_expect(strstr(refused.text, "Your access to hv1 ended: "), "%s", refused.text);
    for (int i = 0; i < 3; i++) {
        close(pair[i][0]);
        close(pair[i][1]);
    }
    link_free(other.frontend);
    finish(w, totp, &der);
}

Test(live, many_at_once, .timeout = 300)
{
    enum { SESSIONS = 600 };
    static struct running s[SESSIONS];
    struct auth_world *w = &world;
    struct secret *totp;
    struct bytes der;

    prepare(w, &totp, &der);
    for (unsigned i = 0; i < SESSIONS; i++)
        ask_session(w, &s[i], 10 + i, &der);
    load(w, NULL);
    uint64_t end = clock_mono_ms() + 240000;
    while (count(w->log, "decision-again") < SESSIONS && clock_mono_ms() < end)
        world_quiet(w, w->supervisor);
    cr_expect_eq(
        count(w->log, "\"event\":\"decision-again\",\"cause\":\"policy\",\"allowed\":false"),
        SESSIONS);
    for (unsigned i = 0; i < SESSIONS; i++)
        link_free(s[i].frontend);
    finish(w, totp, &der);
}

/* ---- hours ---- */

#define WINDOW(times) ROLE("when: [\"Mon " times " UTC\"]\nallow: {shell: true, exec: true}\n")

/* LAB_NOW is Monday, 10:00:00. */
Test(live, a_window_ends_and_is_announced, .timeout = 300)
{
    struct auth_world *w = &world;
    struct running s, late;
    struct secret *totp;
    struct bytes der;

    prepare(w, &totp, &der);
    load(w, WINDOW("09:00-10:30"));
    begin_session(w, &s, 2, &der);
    *w->clock_s = LAB_NOW + 24 * 60;
    cr_expect(world_quiet(w, s.backend), "six minutes are long");
    *w->clock_s = LAB_NOW + 25 * 60;
    expect_notice(w, s.backend, "your access to hv1 ends at 2026-03-02T10:30:00Z, in 5 minutes: ");
    *w->clock_s = LAB_NOW + 28 * 60 + 10;
    begin_session(w, &late, 3, &der);
    expect_notice(w, late.backend, "in 2 minutes: ");
    cr_expect(world_quiet(w, s.backend), "once");
    *w->clock_s = LAB_NOW + 30 * 60;
    expect_end(w, s.backend, "when", "lab/when");
    expect_end(w, late.backend, "when", "lab/when");
    cr_expect_eq(count(w->log, "\"cause\":\"window\",\"allowed\":false,\"reason\":\"when\""), 2);
    end_running(&s);
    end_running(&late);
    finish(w, totp, &der);
}

Test(live, a_window_that_is_moved_is_announced_anew, .timeout = 300)
{
    struct auth_world *w = &world;
    struct running s;
    struct secret *totp;
    struct bytes der;

    prepare(w, &totp, &der);
    load(w, WINDOW("09:00-10:04"));
    begin_session(w, &s, 2, &der);
    expect_notice(w, s.backend, "ends at 2026-03-02T10:04:00Z, in 4 minutes: ");
    load(w, WINDOW("09:00-10:33"));
    *w->clock_s = LAB_NOW + 10 * 60;
    cr_expect(world_quiet(w, s.backend), "it goes on");
    *w->clock_s = LAB_NOW + 29 * 60;
    expect_notice(w, s.backend, "ends at 2026-03-02T10:33:00Z, in 4 minutes: ");
    load(w, ROLE("allow: {shell: true, exec: true}\n"));
    *w->clock_s = LAB_NOW + 60 * 60;
    cr_expect(world_quiet(w, s.backend), "there is no window any more");
    end_running(&s);
    finish(w, totp, &der);
}

Test(live, what_another_role_gives_stays_when_a_window_ends, .timeout = 300)
{
    static const char *const roles[] = {
        ROLE("allow: {exec: true}\n"),
        "role: shells\nmembers: [group:ops]\ntargets: {env: lab}\naccounts: [root]\nremember: 8h\n"
        "when: [\"Mon 09:00-10:04 UTC\", \"Mon 10:20-10:30 UTC\"]\nallow: {shell: true}\n"};
    struct auth_world *w = &world;
    struct grant_narrow m;
    struct running s;
    struct secret *totp;
    struct bytes der;
    char text[2000] = "";

    prepare(w, &totp, &der);
    cr_assert(world_load_roles(w, fixture_operators, roles, 2, text), "%s", text);
    begin_session(w, &s, 2, &der);
    cr_expect(world_quiet(w, s.backend), "it will not end");
    *w->clock_s = LAB_NOW + 4 * 60;
    expect_narrow(w, s.backend, &m);
    cr_expect_eq(m.abilities, ABILITY_EXEC | ABILITY_PTY);
    expect_narrowed(w, &s, 2, 0);
    *w->clock_s = LAB_NOW + 20 * 60;
    expect_narrow(w, s.backend, &m);
    cr_expect_eq(m.abilities, ABILITY_SHELL | ABILITY_EXEC | ABILITY_PTY);
    end_running(&s);
    finish(w, totp, &der);
}

Test(live, a_clock_that_is_set_back, .timeout = 300)
{
    struct auth_world *w = &world;
    struct running s;
    struct secret *totp;
    struct bytes der;

    prepare(w, &totp, &der);
    load(w, WINDOW("09:00-10:30"));
    begin_session(w, &s, 2, &der);
    *w->clock_s = LAB_NOW - 30 * 60;
    cr_expect(world_quiet(w, s.backend), "it is open then as well");
    for (int i = 0; i < 5; i++)
        cr_expect(world_quiet(w, s.backend));
    *w->clock_s = LAB_NOW - 2 * 3600;
    expect_end(w, s.backend, "when", "lab/when");
    cr_expect_eq(count(w->log, "\"cause\":\"clock\",\"allowed\":false"), 1);
    end_running(&s);
    finish(w, totp, &der);
}

/* ---- after a restart ---- */

static void restart(struct auth_world *w, const char *role)
{
    world_kill(w);
    world_start(w);
    load(w, role);
}

Test(live, a_successor_decides_about_what_it_was_told, .timeout = 300)
{
    struct auth_world *w = &world;
    struct grant_narrow m;
    struct running s;
    struct secret *totp;
    struct bytes der;

    prepare(w, &totp, &der);
    begin_session(w, &s, 2, &der);
    restart(w, lab_role);
    live(w, &s, 2);
    expect_back(w, s.backend);
    cr_expect(world_quiet(w, s.backend), "it may go on");
    char *reply = world_control(w, "{\"verb\":\"session-list\"}");
    cr_expect(strstr(reply, "\"account\":\"root\",\"factors\":\"key,remembered\""), "%s", reply);
    free(reply);
    load(w, ROLE("allow: {shell: true, exec: true}\nsession: {idle: 1h}\n"));
    expect_narrow(w, s.backend, &m);
    cr_expect_str_eq(m.text, "your access to hv1 changed: at most 1 h idle");
    expect_narrowed(w, &s, 2, 0);
    /* What was on its way when authd died is not known: less than at first is said once more, as
     * it is now, and before the backend may open anything. */
    restart(w, ROLE("allow: {shell: true, exec: true}\nsession: {idle: 1h}\n"));
    live(w, &s, 2);
    expect_narrow(w, s.backend, &m);
    cr_expect_eq(m.idle_s, 3600);
    cr_expect_str_eq(m.text, "");
    expect_narrowed(w, &s, 2, 0);
    expect_back(w, s.backend);
    cr_expect(strstr(w->log, "\"text\":\"as before; said once more after a restart\""));
    /* It gets back what it had, also from a successor. */
    restart(w, lab_role);
    live(w, &s, 2);
    expect_narrow(w, s.backend, &m);
    cr_expect_eq(m.idle_s, 0);
    cr_expect_str_eq(m.text, "your access to hv1 changed: no limit idle");
    expect_narrowed(w, &s, 2, 0);
    expect_back(w, s.backend);
    load(w, ROLE("allow: {shell: true, exec: true, sftp: true, forward: [\"localhost:1\"]}\n"));
    cr_expect(world_quiet(w, s.backend), "and no more");
    load(w, NULL);
    expect_end(w, s.backend, "no-role", "Your access to hv1 ended: ");
    end_running(&s);
    finish(w, totp, &der);
}

Test(live, a_successor_heeds_windows_and_ends_what_it_does_not_understand, .timeout = 300)
{
    struct auth_world *w = &world;
    struct running s;
    struct authd_end end;
    struct secret *totp;
    struct err e = ERR_INIT;
    struct bytes der;
    struct frame f;

    prepare(w, &totp, &der);
    load(w, WINDOW("09:00-10:30"));
    begin_session(w, &s, 2, &der);
    *w->clock_s = LAB_NOW + 20 * 60;
    restart(w, WINDOW("09:00-10:30"));
    live(w, &s, 2);
    expect_back(w, s.backend);
    *w->clock_s = LAB_NOW + 26 * 60;
    expect_notice(w, s.backend, "ends at 2026-03-02T10:30:00Z, in 4 minutes: ");
    *w->clock_s = LAB_NOW + 31 * 60;
    expect_end(w, s.backend, "when", "lab/when");
    /* A process that does not obey is ended. */
    world_expect(w, w->supervisor, &f, authd_end);
    cr_assert_eq(authd_end_decode(&f, &end, &e), 0);
    cr_expect_eq(end.conn, 2);
    const size_t len = s.again_len;
    s.again_len = 0;
    live(w, &s, 4);
    expect_end(w, s.backend, "no-grant", "cannot watch this session");
    s.again_len = len - 1;
    live(w, &s, 5);
    expect_end(w, s.backend, "no-grant", "cannot watch this session");
    end_running(&s);
    finish(w, totp, &der);
}

Test(live, what_ended_before_its_successor_came, .timeout = 60)
{
    struct auth_world *w = &world;
    struct running s;
    struct secret *totp;
    struct bytes der;

    prepare(w, &totp, &der);
    begin_session(w, &s, 2, &der);
    restart(w, lab_role);
    live(w, &s, 2);
    link_free(s.backend);
    s.backend = NULL;
    const uint64_t until_ms = clock_mono_ms() + 30000;
    char *reply = world_control(w, "{\"verb\":\"session-list\"}");
    while (strstr(reply, "\"alice\"") && clock_mono_ms() < until_ms) {
        free(reply);
        reply = world_control(w, "{\"verb\":\"session-list\"}");
    }
    cr_expect(!strstr(reply, "\"alice\""), "%s", reply);
    free(reply);
    end_running(&s);
    finish(w, totp, &der);
}

Test(live, locks_and_forgotten_devices, .timeout = 300)
{
    struct auth_world *w = &world;
    struct running s;
    struct secret *totp;
    struct bytes der;

    prepare(w, &totp, &der);
    begin_session(w, &s, 2, &der);
    restart(w, lab_role);
    live(w, &s, 77);
    expect_back(w, s.backend);
    control_ok(w, "{\"verb\":\"user-lock\",\"operator\":\"alice\",\"reason\":\"x\"}");
    expect_end(w, s.backend, "locked", "");
    /* A lock that was stored, and authd died before the session ended. */
    restart(w, lab_role);
    live(w, &s, 79);
    expect_back(w, s.backend);
    expect_end(w, s.backend, "locked", "Your login was locked by an administrator: x");
    control_ok(w, "{\"verb\":\"user-unlock\",\"operator\":\"alice\"}");
    live(w, &s, 78);
    expect_back(w, s.backend);
    char *reply = world_control(w, "{\"verb\":\"user-forget\",\"operator\":\"alice\"}");
    cr_expect(strstr(reply, "\"sessions\":1"), "%s", reply);
    free(reply);
    expect_end(w, s.backend, "forgotten", "");
    end_running(&s);
    finish(w, totp, &der);
}
