/* SPDX-License-Identifier: Apache-2.0
 *
 * The child that hashes passwords: what it answers, how many wait, and what its end does to them.
 * The sandbox is on. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/hasher.h"
#include "auth/password.h"

static const char setting[] = "$y$j9T$0brOAikuLcAXGxlWDvZhD/";

struct world {
    struct event_base *base;
    struct hasher *h;
    unsigned answers, none, expected, deaths;
    uint64_t died_of; /* whose password it had */
    char how[300];
    uint64_t order[64];
    char last[PASSWORD_HASH + 1];
};

static void done(void *arg, uint64_t id, const char *hash)
{
    struct world *w = arg;
    w->order[w->answers++ % 64] = id;
    w->none += !hash;
    snprintf(w->last, sizeof w->last, "%s", hash ? hash : "");
    if (w->answers == w->expected)
        event_base_loopbreak(w->base);
}

/* Nothing to forget here; what authd forgets is looked for in the real child's memory by
 * tests/session/test_password.py. */
static void forked(void *arg)
{
    (void)arg;
}

static void died(void *arg, uint64_t id, const char *text)
{
    struct world *w = arg;
    w->deaths++;
    w->died_of = id;
    snprintf(w->how, sizeof w->how, "%s", text);
}

/* sealed: in a child of ours, since a filter stays; here the hasher's child alone takes it. */
static void begin(struct world *w)
{
    static const struct hasher_handler handler = {done, died, forked};
    memset(w, 0, sizeof *w);
    w->base = event_base_new();
    struct err e = ERR_INIT;
    w->h = hasher_new(w->base, true, &handler, w, &e);
    cr_assert(w->base && w->h);
}

static void end(struct world *w)
{
    hasher_free(w->h);
    event_base_free(w->base);
}

static int ask(struct world *w, uint64_t id, const char *password, unsigned source)
{
    char text[40];
    struct address address;
    struct err e = ERR_INIT;
    snprintf(text, sizeof text, "10.0.%u.%u", source / 256, source % 256);
    cr_assert_eq(address_parse(text, &address, &e), 0);
    return hasher_ask(w->h, id, &address, setting, secret_copy(password, strlen(password) + 1), &e);
}

static void run(struct world *w, unsigned answers)
{
    w->answers = w->none = 0;
    w->expected = answers;
    cr_assert_geq(event_base_dispatch(w->base), 0);
    cr_assert_eq(w->answers, answers);
}

Test(hasher, answers_in_order, .timeout = 60)
{
    struct world w;
    struct hasher_counts n;
    begin(&w);
    cr_assert_eq(ask(&w, 1, "wrong horse", 1), 0);
    cr_assert_eq(ask(&w, 2, "", 1), 0);
    cr_assert_eq(ask(&w, 3, "correct horse", 2), 0);
    cr_expect_eq(w.answers, 0, "never from within");
    hasher_count(w.h, &n);
    cr_expect(n.waiting == 3 && n.made == 0);
    run(&w, 3);
    cr_expect(w.order[0] == 1 && w.order[1] == 2 && w.order[2] == 3);
    cr_expect_eq(w.none, 0);
    cr_expect_str_eq(w.last, "$y$j9T$0brOAikuLcAXGxlWDvZhD/$"
                             "Msvw70AL0Ca9BHx73n1mAk.OCjFCh8452Gp9osMYS7.");
    hasher_count(w.h, &n);
    cr_expect(n.waiting == 0 && n.made == 3 && n.refused == 0);
    end(&w);
}

Test(hasher, so_many_wait, .timeout = 60)
{
    struct world w;
    struct hasher_counts n;
    begin(&w);
    for (unsigned i = 0; i < HASHER_SOURCE_MAX; i++)
        cr_expect_eq(ask(&w, i, "x", 1), 0);
    cr_expect_eq(ask(&w, 90, "x", 1), ERR_FULL, "of one source");
    for (unsigned i = HASHER_SOURCE_MAX; i < HASHER_WAITING_MAX; i++)
        cr_expect_eq(ask(&w, i, "x", 1 + i), 0);
    cr_expect_eq(ask(&w, 91, "x", 200), ERR_FULL, "of all");
    hasher_count(w.h, &n);
    cr_expect(n.waiting == HASHER_WAITING_MAX && n.refused == 2);
    /* Who is gone leaves his place, but for the one whose hash is under way. */
    for (unsigned i = 0; i < HASHER_WAITING_MAX - 2; i++)
        hasher_forget(w.h, i);
    hasher_forget(w.h, 12345);
    hasher_count(w.h, &n);
    cr_expect_eq(n.waiting, 3);
    cr_expect_eq(ask(&w, 92, "x", 1), 0);
    run(&w, 3);
    cr_expect(w.order[0] == HASHER_WAITING_MAX - 2 && w.order[2] == 92);
    end(&w);
}

/* A number may come again: who is forgotten is the one who waits. */
Test(hasher, forgotten_and_back, .timeout = 60)
{
    struct world w;
    begin(&w);
    cr_assert_eq(ask(&w, 7, "x", 1), 0);
    hasher_forget(w.h, 7); /* the child has it */
    cr_assert_eq(ask(&w, 7, "correct horse", 1), 0);
    hasher_forget(w.h, 7);
    cr_assert_eq(ask(&w, 7, "correct horse", 1), 0);
    cr_assert_eq(ask(&w, 8, "x", 1), 0);
    run(&w, 2);
    cr_expect(w.order[0] == 7 && w.order[1] == 8);
    end(&w);
}

/* The process's only child: the hasher's. */
static pid_t child_of_ours(void)
{
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    FILE *f = fopen(path, "r");
    if (f && !fgets(text, sizeof text, f))
        text[0] = '\0';
    if (f)
        fclose(f);
    return (pid_t)atoi(text);
}

Test(hasher, its_child_dies, .timeout = 60)
{
    struct world w;
    begin(&w);
    cr_expect_eq(child_of_ours(), 0, "none before there is a password");
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(ask(&w, i, "correct horse", i), 0);
    const pid_t first = child_of_ours();
    cr_assert_gt(first, 0);
    kill(first, SIGUSR1);
    run(&w, 3);
    cr_expect_leq(w.none, 1, "the one that it had, or none if it was quicker");
    cr_expect_eq(w.deaths, 1);
    cr_expect_lt(w.died_of, 3);
    cr_expect(strstr(w.how, "(signal 10)"), "%s", w.how);
    cr_expect_neq(child_of_ours(), first);
    cr_expect_neq(w.last[0], '\0');
    end(&w);
    cr_expect_eq(child_of_ours(), 0);
}
