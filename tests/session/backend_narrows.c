/* SPDX-License-Identifier: Apache-2.0
 *
 * The scenarios of backend_harness.c in which authd says that less is left of the grant. */
#include "backend_world.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"

static struct grant_narrow narrow_of(const struct world *w, uint32_t abilities)
{
    struct grant_narrow m = {.abilities = abilities,
                             .record = w->grant.record,
                             .path = "role other",
                             .text = "your access to hv1 changed: for a test"};

    memset(m.policy_hash, 0xab, sizeof m.policy_hash);
    m.files = w->grant.files;
    return m;
}

static void narrow(struct world *w, const struct grant_narrow *m)
{
    struct err e = ERR_INIT;
    CHECK(grant_narrow_send(w->authd, m, NULL, &e) == 0);
}

static void pause_turns(struct world *w)
{
    for (int i = 0; i < 6; i++)
        world_turn(w, 50);
}

/* What is no longer permitted is closed, with all that was to come; the rest goes on. */
void test_narrow(struct world *w)
{
    uint32_t n[3];
    struct channel *cat, *shell;

    cat = run(w, "cat; echo end", &n[0]);
    shell = run(w, NULL, &n[1]);
    world_input(w, n[1], "echo th''ere\n", 13);
    UNTIL(w, strstr(shell->out[0].head, "there") != NULL);
    struct grant_narrow m = narrow_of(w, ABILITY_EXEC);
    m.idle_s = 3600;
    narrow(w, &m);
    UNTIL(w, shell->closed && shell->exited);
    CHECK(shell->status == EXIT_REFUSED);
    CHECK(world_record(w, RECORD_GRANT, "\"policy\":\"abababab", 0) != NULL);
    CHECK(world_record(w, RECORD_GRANT, "\"abilities\":[\"exec\"]", 0) != NULL);
    CHECK(world_record(w, RECORD_GRANT, "\"idle_s\":3600", 0) != NULL);
    CHECK(world_record(w, RECORD_EXEC, "\"by\":\"policy\"", 0) != NULL);
    world_close(w, n[1]);
    world_input(w, n[0], "on", 2);
    UNTIL(w, cat->out[0].bytes == 2);
    struct channel *other = world_open(w, &n[2]);
    UNTIL(w, other->opened);
    world_start_on(w, n[2], START_SHELL, NULL);
    UNTIL(w, other->start_failed);
    CHECK(strstr(other->text, "does not permit a shell") != NULL);
    m = narrow_of(w, ABILITY_SFTP);
    narrow(w, &m);
    UNTIL(w, cat->closed && cat->exited);
    CHECK(cat->status == EXIT_REFUSED);
    /* The frontend did not know yet. */
    uint64_t recorded = cat->recorded[0].bytes;
    world_input(w, n[0], "late", 4);
    pause_turns(w);
    CHECK(cat->recorded[0].bytes == recorded && cat->out[0].bytes == 2);
    world_close(w, n[0]);
    world_close(w, n[2]);
    world_bye(w);
}

/* What was permitted and did not begin yet does not begin. */
void test_narrow_start(struct world *w)
{
    char command[200];
    uint32_t n;

    snprintf(command, sizeof command, "touch %s", argument);
    UNTIL(w, w->ready);
    struct channel *c = world_open(w, &n);
    UNTIL(w, c->opened);
    size_t before = w->record_count;
    w->answer_up_to = before;
    world_start_on(w, n, START_EXEC, command);
    UNTIL(w, w->record_count == before + 2);
    struct grant_narrow m = narrow_of(w, ABILITY_SHELL | ABILITY_PTY);
    narrow(w, &m);
    UNTIL(w, c->start_failed);
    CHECK(strstr(c->text, "no longer permits this command") != NULL);
    w->answer_up_to = UINT64_MAX;
    UNTIL(w, c->closed);
    pause_turns(w);
    CHECK(access(argument, F_OK) != 0);
    world_close(w, n);
    world_bye(w);
}

/* Output that waited for less does not wait for ever for more. */
void test_narrow_sync(struct world *w)
{
    uint32_t n;
    struct channel *c = run(w, "cat", &n);

    pause_turns(w);
    w->answer_up_to = w->record_count + 1; /* the input, and not the output */
    world_input(w, n, "abc", 3);
    UNTIL(w, c->recorded[1].bytes == 3);
    struct grant_narrow m = narrow_of(w, w->grant.abilities);
    m.record = RECORD_SYNC_ALL;
    narrow(w, &m);
    UNTIL(w, world_record(w, RECORD_GRANT, "sync-all", 0) != NULL);
    CHECK(c->out[0].bytes == 0);
    w->answer_up_to = UINT64_MAX;
    UNTIL(w, c->out[0].bytes == 3);
    world_eof(w, n);
    finish(w, c, n);
}

/* More than the grant said is not given, whatever authd says. */
void test_narrow_more(struct world *w)
{
    uint32_t n;
    struct grant_narrow m = narrow_of(w, ABILITY_SHELL | ABILITY_EXEC | ABILITY_PTY | ABILITY_SFTP);

    UNTIL(w, w->ready);
    narrow(w, &m);
    UNTIL(w, world_record(w, RECORD_GRANT, "\"abilities\":[\"exec\"]", 0) != NULL);
    struct channel *c = world_open(w, &n);
    UNTIL(w, c->opened);
    world_start_on(w, n, START_SHELL, NULL);
    UNTIL(w, c->start_failed);
    world_close(w, n);
    /* What nobody heard, the next channel does. */
    c = run(w, "cat", &n);
    UNTIL(w, strstr(w->notice, "for a test") != NULL);
    world_eof(w, n);
    finish(w, c, n);
}

/* What cannot be applied may be what was to be taken away. */
void test_narrow_junk(struct world *w)
{
    static const uint8_t junk[] = {1, 2, 3};
    struct grant_narrow m = narrow_of(w, ABILITY_EXEC);
    uint32_t n;

    run(w, "cat", &n);
    m.rules = (struct bytes){junk, sizeof junk};
    narrow(w, &m);
    world_wait_end(w);
    CHECK(w->ended && w->end.status == EXIT_TRY_AGAIN);
    CHECK(world_record(w, RECORD_SESSION_END, "\"reason\":\"no-grant\"", 0) != NULL);
}
