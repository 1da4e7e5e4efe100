/* SPDX-License-Identifier: Apache-2.0
 *
 * The scenarios of backend_harness.c in which somebody ends: by a limit, by a process's or the
 * target's death. */
#include "backend_world.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

void test_grant_end(struct world *w)
{
    struct err e = ERR_INIT;
    struct grant_end m = {.text = "your login was locked", .token = "locked"};
    uint32_t n;
    run(w, "cat", &n);
    CHECK(grant_end_send(w->authd, &m, NULL, &e) == 0);
    world_wait_end(w);
    CHECK(w->ended && strcmp(w->end.text, "your login was locked") == 0 && w->end.status == 77);
    CHECK(world_record(w, RECORD_SESSION_END, "\"reason\":\"locked\"", 0) != NULL);
}

void test_authd_dies(struct world *w)
{
    uint32_t n, m;
    struct channel *c = run(w, "cat", &n), *other;
    link_free(w->authd);
    w->authd = NULL;
    world_input(w, n, "on", 2);
    UNTIL(w, c->out[0].bytes == 2);
    other = world_open(w, &m);
    UNTIL(w, other->open_failed);
    CHECK(strstr(other->text, "the login service restarted; please connect again") != NULL);
    world_eof(w, n);
    finish(w, c, n);
}

/* The supervisor says that authd died; its successor has the same end of the link. */
void test_authd_away(struct world *w)
{
    const struct grant_away away = {0};
    const struct grant_back back = {0};
    struct grant_narrow again = {
        .abilities = w->grant.abilities, .record = w->grant.record, .files = w->grant.files};
    struct err e = ERR_INIT;
    uint32_t n, m;
    struct channel *c = run(w, "cat", &n), *other;
    CHECK(grant_away_send(w->authd, &away, NULL, &e) == 0);
    other = world_open(w, &m);
    UNTIL(w, other->open_failed);
    CHECK(strstr(other->text, "the login service restarts; please try again in a moment") != NULL);
    world_input(w, n, "on", 2);
    UNTIL(w, c->out[0].bytes == 2);
    CHECK(grant_narrow_send(w->authd, &again, NULL, &e) == 0);
    CHECK(grant_back_send(w->authd, &back, NULL, &e) == 0);
    UNTIL(w, world_record(w, RECORD_GRANT, "\"abilities\":[\"shell\",\"exec\"", 0) != NULL);
    CHECK(world_record(w, RECORD_GRANT, "\"text\"", 0) == NULL);
    CHECK(c->out[1].bytes == 0); /* what is as before is not told */
    other = world_open(w, &m);
    UNTIL(w, other->opened);
    world_close(w, m);
    world_eof(w, n);
    finish(w, c, n);
}

/* It died before it gave the grant. */
void test_authd_away_at_first(struct world *w)
{
    world_wait_end(w);
    CHECK(w->ended &&
          strcmp(w->end.text, "the login service restarted; please connect again") == 0 &&
          w->end.status == EXIT_TRY_AGAIN);
    CHECK(world_record(w, RECORD_SESSION_START, "", 0) == NULL);
}

void test_trail_stops(struct world *w)
{
    struct err e = ERR_INIT;
    struct trail_stop m = {.text = "No space left on device"};
    uint32_t n;
    struct channel *c = run(w, "cat", &n);
    w->answer_up_to = w->told;
    world_input(w, n, "lost", 4);
    UNTIL(w, c->recorded[0].bytes == 4);
    CHECK(trail_stop_send(w->trail, &m, NULL, &e) == 0);
    world_wait_end(w);
    CHECK(w->ended && w->end.status == EXIT_TRAIL && c->out[0].bytes == 0);
    CHECK(strcmp(w->end.text, "No space left on device; nothing more was "
                              "forwarded") == 0);
}

void test_trail_dies(struct world *w)
{
    uint32_t n;
    run(w, "cat", &n);
    link_free(w->trail);
    w->trail = NULL;
    world_wait_end(w);
    CHECK(w->ended && w->end.status == EXIT_TRAIL && strstr(w->end.text, "the recorder stopped"));
}

void test_frontend_dies(struct world *w)
{
    uint32_t n;
    run(w, "cat", &n);
    link_free(w->relay);
    w->relay = NULL;
    world_wait_end(w);
    CHECK(world_record(w, RECORD_SESSION_END, "\"frontend-died\"", 0) != NULL);
}

void test_target_dies(struct world *w)
{
    uint32_t n;
    struct channel *c = run(w, "echo last; sleep 0.2; kill -9 $PPID; sleep 5", &n);
    UNTIL(w, w->ended);
    CHECK(strcmp(c->out[0].head, "last\n") == 0);
    printf("%s\n", w->end.text);
    CHECK(strstr(w->end.text, "hv1 closed the connection") != NULL);
    world_wait_end(w);
    CHECK(world_record(w, RECORD_SESSION_END, "\"target-closed\"", 0) != NULL);
}

void test_idle(struct world *w)
{
    uint32_t n;
    run(w, "cat", &n);
    uint64_t from = clock_mono_ms();
    world_wait_end(w);
    CHECK(w->ended && clock_mono_ms() - from < 3000);
    printf("%s\n", w->end.text);
    CHECK(world_record(w, RECORD_SESSION_END, argument, 0) != NULL);
}

/* A terminal that only shows, such as top's, is nobody at work. */
void test_idle_terminal(struct world *w)
{
    struct err e = ERR_INIT;
    uint32_t n;
    UNTIL(w, w->ready);
    struct channel *c = world_open(w, &n);
    UNTIL(w, c->opened);
    struct relay_pty pty = {.channel = n, .term = "xterm", .columns = 80, .rows = 24};
    CHECK(relay_pty_send(w->relay, &pty, NULL, &e) == 0);
    world_start_on(w, n, START_EXEC, "for i in $(seq 100); do echo $i; sleep 0.1; done");
    world_wait_end(w);
    CHECK(w->ended && strstr(c->out[0].head, "1\r\n2\r\n") != NULL);
    CHECK(strstr(c->out[0].head, "\r\n99\r\n") == NULL);
    CHECK(world_record(w, RECORD_SESSION_END, argument, 0) != NULL);
}

/* The operator leaves with input on its way: it arrives. */
void test_bye_drains(struct world *w)
{
    uint32_t n;
    char command[200];
    snprintf(command, sizeof command, "cat >%.150s", argument);
    run(w, command, &n);
    for (int i = 0; i < 20; i++)
        CHECK(world_input(w, n, "0123456789", 10) == 10);
    world_eof(w, n);
    world_bye(w);
}
