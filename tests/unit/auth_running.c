/* SPDX-License-Identifier: Apache-2.0
 *
 * See tests/unit/auth_running.h. */
#include "tests/unit/auth_running.h"

#include <criterion/criterion.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void open_message(struct link *l)
{
    struct login_open m = {0};
    struct err e = ERR_INIT;
    cr_assert_eq(login_open_send(l, &m, NULL, &e), 0);
}

void control_ok(struct auth_world *w, const char *request)
{
    char *reply = world_control(w, request);
    cr_expect_eq(strncmp(reply, "{\"ok\":true", 10), 0, "%s: %s", request, reply);
    free(reply);
}

void give_backend(struct auth_world *w, struct running *s, uint64_t conn)
{
    struct authd_backend m = {.conn = conn};
    struct err e = ERR_INIT;
    struct frame f;
    int grant[2], agent[2], relay[2];
    cr_assert(link_pair(grant, 1 << 20, &e) == 0 && stream_pair(agent, 65536, &e) == 0 &&
              link_pair(relay, 65536, &e) == 0);
    const int fds[3] = {grant[1], agent[1], relay[1]};
    cr_assert_eq(authd_backend_send(w->supervisor, &m, fds, &e), 0);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    close(relay[0]);
    s->backend = link_new(grant[0], &link_grant, LINK_SECOND, 65536);
    s->agent = agent[0];
    world_expect(w, s->backend, &f, grant_grant);
    cr_assert_eq(grant_grant_decode(&f, &s->grant, &e), 0);
    cr_assert_eq(s->grant.identity.len, VAULT_PUBLIC_BYTES);
    memcpy(s->identity, s->grant.identity.p, VAULT_PUBLIC_BYTES);
    world_expect(w, s->frontend, &f, login_granted);
}

void ask_session(struct auth_world *w, struct running *s, uint64_t conn, const struct bytes *der)
{
    struct authd_start_backend m;
    struct err e = ERR_INIT;
    struct frame f;
    s->frontend = world_connect(w, conn, "hv1:22", der);
    cr_assert_eq(world_claim(w, s->frontend, "alice", NULL), LOGIN_SUCCESS);
    open_message(s->frontend);
    world_expect(w, w->supervisor, &f, authd_start_backend);
    cr_assert_eq(authd_start_backend_decode(&f, &m, &e), 0);
    cr_expect_eq(m.conn, conn);
    cr_expect_str_eq(m.target_name, "hv1");
    cr_assert_leq(m.again.len, sizeof s->again);
    memcpy(s->again, m.again.p, m.again.len);
    s->again_len = m.again.len;
}

void begin_session(struct auth_world *w, struct running *s, uint64_t conn, const struct bytes *der)
{
    ask_session(w, s, conn, der);
    give_backend(w, s, conn);
}

void end_running(struct running *s)
{
    link_free(s->frontend);
    link_free(s->backend);
    close(s->agent);
}

void prepare(struct auth_world *w, struct secret **totp, struct bytes *der)
{
    world_set_up(w);
    *totp = world_enrol(w, "alice", 1, der);
    control_ok(w, "{\"verb\":\"target-key\",\"target\":\"hv1\",\"account\":\"root\"}");
}

void finish(struct auth_world *w, struct secret *totp, struct bytes *der)
{
    secret_free(totp);
    OPENSSL_free((void *)der->p);
    world_tear_down(w);
}
