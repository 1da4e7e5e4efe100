/* SPDX-License-Identifier: Apache-2.0
 *
 * What the reading commands are made of: record sources from a directory and from a reader, the
 * list of sessions, moments of a replay, times as people type them. */
#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "audit/play_index.h"
#include "audit/play_terminal.h"
#include "audit/reader.h"
#include "audit/reader_stream.h"
#include "audit/session_list.h"
#include "audit/time_text.h"
#include "tests/unit/audit_lab.h"

#define SECOND 1000000000ull

Test(time_text, lengths)
{
    static const struct {
        const char *text;
        uint64_t ms; /* UINT64_MAX: refused */
    } cases[] = {
        {"1m20s", 80000},
        {"80", 80000},
        {"1:20", 80000},
        {"1:02:03", 3723000},
        {"2h", 7200000},
        {"1.5s", 1500},
        {"0", 0},
        {"1h5", 3605000},
        {"3d", 259200000},
        {"", UINT64_MAX},
        {"x", UINT64_MAX},
        {"1m1m", UINT64_MAX},
        {"1s1m", UINT64_MAX},
        {"-1", UINT64_MAX},
        {"1:60", UINT64_MAX},
        {"1:2:3:4", UINT64_MAX},
        {"1.", UINT64_MAX},
        {"1e5", UINT64_MAX},
        {"9999999999d", UINT64_MAX},
        {"999999999d", UINT64_MAX},
        {"nan", UINT64_MAX},
        {"1 s", UINT64_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = ERR_INIT;
        uint64_t ns = 0;
        int r = time_length_parse(cases[i].text, &ns, &e);

        cr_expect_eq(r, cases[i].ms == UINT64_MAX ? ERR_SYNTAX : 0, "%s", cases[i].text);
        if (r == 0)
            cr_expect_eq(ns, cases[i].ms * 1000000u, "%s", cases[i].text);
    }
}

Test(time_text, moments)
{
    const uint64_t now = 1772445600ull * SECOND; /* 2026-03-02T10:00:00Z */
    static const struct {
        const char *text;
        uint64_t s; /* 0: refused */
    } cases[] = {
        {"2026-03-02", 1772409600},
        {"2026-03-02T10:00:00Z", 1772445600},
        {"2026-03-02 09:30", 1772443800},
        {"09:30", 1772443800},
        {"today", 1772409600},
        {"yesterday", 1772323200},
        {"2h", 1772438400},
        {"1d12h", 1772316000},
        {"2026-13-02", 0},
        {"tomorrow", 0},
        {"25:00", 0},
        {"90", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = ERR_INIT;
        uint64_t ns = 0;
        int r = time_moment_parse(cases[i].text, now, &ns, &e);

        cr_expect_eq(r, cases[i].s ? 0 : ERR_SYNTAX, "%s", cases[i].text);
        if (r == 0)
            cr_expect_eq(ns / SECOND, cases[i].s, "%s", cases[i].text);
    }
}

Test(play_index, leads_to_what_the_screen_needs)
{
    struct play_index ix;

    play_index_init(&ix);
    cr_expect_eq(play_index_lead(&ix, 5 * SECOND), 0);
    /* A record a second, of 64 KiB each. */
    for (uint64_t i = 0; i < 100; i++)
        cr_assert_eq(play_index_add(&ix, 1000 + i, (10 + i) * SECOND, 65536), 0);
    cr_expect_eq(play_index_length_ns(&ix), 99 * SECOND);
    cr_expect_eq(play_index_lead(&ix, 9 * SECOND), 0);
    cr_expect_eq(play_index_lead(&ix, 12 * SECOND), 0);
    cr_expect_eq(play_index_lead(&ix, 60 * SECOND), 1046);
    /* The same again changes nothing. */
    cr_assert_eq(play_index_add(&ix, 1050, 60 * SECOND, 65536), 0);
    cr_expect_eq(ix.bytes, 100 * 65536u);
    play_index_clear(&ix);
}

Test(play_index, stays_small)
{
    struct play_index ix;

    play_index_init(&ix);
    for (uint64_t i = 0; i < 3000000; i++)
        cr_assert_eq(play_index_add(&ix, i, i * 1000000u + 1, 1000), 0);
    cr_expect_leq(ix.count, PLAY_POINTS_MAX);
    for (uint64_t ms = 1000; ms < 3000000; ms += 123457) {
        uint64_t lead = play_index_lead(&ix, ms * 1000000u);

        /* 262 records of 1000 bytes lead up to it, and a stride before and after at most. */
        cr_expect_lt(lead, ms);
        cr_expect_gt(lead + 263 + 2 * ix.stride, ms);
    }
    play_index_clear(&ix);
}

Test(play_terminal, keys)
{
    static const struct {
        const char *typed;
        size_t used;
        enum play_key key;
    } cases[] = {
        {"", 0, KEY_NONE},          {" ", 1, KEY_PAUSE},     {"x x", 2, KEY_PAUSE},
        {"\033[C", 3, KEY_FORWARD}, {"\033OD", 3, KEY_BACK}, {"\033[", 0, KEY_NONE},
        {"\033", 0, KEY_NONE},      {"\033x.", 3, KEY_STEP}, {"\033[A+", 4, KEY_FASTER},
        {"-", 1, KEY_SLOWER},       {"q ", 1, KEY_QUIT},     {"abc", 3, KEY_NONE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t used;

        cr_expect_eq(
            play_key_parse((const unsigned char *)cases[i].typed, strlen(cases[i].typed), &used),
            cases[i].key, "%zu", i);
        cr_expect_eq(used, cases[i].used, "%zu", i);
    }
}

/* --- sources: 20 sessions, over several segments, two of which do not end */

static struct audit_lab lab;
static struct trail *the_trail;

static void make_trail(void)
{
    lab_make(&lab);
    the_trail = lab_trail(&lab, 20000);
    for (uint8_t i = 1; i <= 20; i++)
        lab_session(the_trail, i, 40, i % 10 != 0);
    lab_shut_down(the_trail);
}

static void remove_trail(void)
{
    lab_remove(&lab);
}

TestSuite(source, .init = make_trail, .fini = remove_trail);
TestSuite(session_list, .init = make_trail, .fini = remove_trail);

static struct source_selection of_session(const char *name)
{
    struct source_selection s = {.what = SOURCE_SESSION};

    strcpy(s.session, name);
    return s;
}

/* All records in order, all of session n; the count. */
static size_t check_session(struct record_source *s, uint8_t n)
{
    uint8_t id[RECORD_SESSION_ID];
    struct source_record v;
    struct err e = ERR_INIT;
    size_t count = 0;
    int r;

    memset(id, n, sizeof id);
    while ((r = record_source_next(s, &v, -1, &e)) == SOURCE_RECORD) {
        cr_assert_arr_eq(v.r.session, id, sizeof id);
        cr_assert_eq(v.r.sequence, count);
        cr_assert(v.payload || v.r.payload_len == 0);
        count++;
    }
    cr_assert_eq(r, SOURCE_END, "%s", e.text);
    return count;
}

Test(source, a_session_by_its_name)
{
    static const struct {
        const char *name;
        uint8_t n; /* 0: an error */
        int error;
    } cases[] = {{"0707", 7, 0},
                 {"070707070707", 7, 0},
                 {"14141414141414141414141414141414", 20, 0},
                 {"last", 20, 0},
                 {"0708", 0, ERR_NOT_FOUND},
                 {"070", 0, ERR_USAGE},
                 {"07zz", 0, ERR_USAGE},
                 {"../../keys", 0, ERR_USAGE}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct source_selection selection = of_session(cases[i].name);
        struct record_source *s;
        struct err e = ERR_INIT;
        int r = record_source_dir(&s, lab.dir, &selection, &e);

        cr_assert_eq(r, cases[i].error, "%s: %s", cases[i].name, e.text);
        if (r == 0)
            cr_expect_eq(check_session(s, cases[i].n), record_source_session(s, &e)->records);
        record_source_free(s);
    }
}

Test(source, selections)
{
    size_t counts[SOURCE_WHATS] = {0}, without = 0;

    for (unsigned what = SOURCE_CLEAR; what < SOURCE_WHATS; what++) {
        const struct source_selection selection = {.what = (enum source_what)what};
        struct record_source *s;
        struct source_record v;
        struct err e = ERR_INIT;

        cr_assert_eq(record_source_dir(&s, lab.dir, &selection, &e), 0);
        while (record_source_next(s, &v, -1, &e) == SOURCE_RECORD) {
            cr_assert(v.payload || what == SOURCE_CLEAR);
            without += !v.payload;
            cr_assert_eq(v.payload == NULL, what == SOURCE_CLEAR && v.r.flags & RECORD_FLAG_SEALED);
            counts[what]++;
        }
        record_source_free(s);
    }
    cr_expect_eq(counts[SOURCE_CLEAR], counts[SOURCE_EVERYTHING]);
    cr_expect_gt(counts[SOURCE_EVERYTHING], 20 * 40u);
    cr_expect_lt(counts[SOURCE_GATEWAY], counts[SOURCE_EVERYTHING] / 2);
}

Test(source, seeks)
{
    const struct source_selection selection = {.what = SOURCE_EVERYTHING};
    struct record_source *s;
    struct source_record v;
    struct err e = ERR_INIT;

    cr_assert_eq(record_source_dir(&s, lab.dir, &selection, &e), 0);
    while (record_source_next(s, &v, -1, &e) == SOURCE_RECORD)
        ;
    for (uint64_t index = 800; index > 13; index -= 13) {
        cr_assert_eq(record_source_seek(s, index, &e), 0, "%s", e.text);
        cr_assert_eq(record_source_next(s, &v, -1, &e), SOURCE_RECORD);
        cr_expect_eq(v.r.index, index);
    }
    record_source_free(s);
}

static pid_t serve(const struct source_selection *selection, int *ours)
{
    int pair[2];
    pid_t pid;

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        struct err e = ERR_INIT;

        close(pair[0]);
        _exit(reader_serve(lab.dir, pair[1], -1, selection, &e) == 0 ? 0 : 1);
    }
    close(pair[1]);
    *ours = pair[0];
    return pid;
}

Test(source, a_reader_says_the_same)
{
    const struct source_selection selection = of_session("0303");
    struct record_source *s;
    struct source_record v;
    struct err e = ERR_INIT;
    struct buf note;
    const struct source_session *session;
    int fd, status;
    pid_t pid = serve(&selection, &fd);

    cr_assert_eq(record_source_stream(&s, fd, &e), 0);
    session = record_source_session(s, &e);
    cr_assert(session, "%s", e.text);
    cr_expect_eq(session->id[0], 3);
    cr_expect_eq(check_session(s, 3), session->records);
    /* Again from the middle; the answers to the requests before are passed over. */
    for (uint64_t i = session->first; i <= session->last; i += 5) {
        cr_assert_eq(record_source_seek(s, session->first, &e), 0);
        cr_assert_eq(record_source_seek(s, i, &e), 0);
        cr_assert_eq(record_source_next(s, &v, -1, &e), SOURCE_RECORD, "%s", e.text);
        cr_expect_geq(v.r.index, i);
        cr_expect_eq(v.r.session[0], 3);
    }
    buf_init(&note, 65536);
    cr_expect_eq(record_source_note(s, "checkpoint", &note, &e), 0, "%s", e.text);
    cr_expect_gt(buf_len(&note), 100);
    buf_clear(&note);
    cr_expect_eq(record_source_note(s, "epoch.keys", &note, &e), ERR_NOT_FOUND);
    cr_expect_eq(record_source_note(s, "checkpoint.witnessed", &note, &e), ERR_NOT_FOUND);
    record_source_free(s);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_expect_eq(status, 0);
}

/* A reviewer's command that asks and asks, and reads nothing, costs no time. */
Test(source, a_reader_waits_for_who_does_not_read)
{
    const struct source_selection selection = of_session("0303");
    uint8_t request[READER_REQUEST_SIZE] = {READER_ASK_NOTE};
    struct rusage used;
    uint64_t us;
    int fd, status;
    pid_t pid = serve(&selection, &fd);

    for (unsigned i = 0; i < 4096; i++)
        if (send(fd, request, sizeof request, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
            usleep(1000);
    sleep(2);
    close(fd);
    cr_assert_eq(wait4(pid, &status, 0, &used), pid);
    us = (uint64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000u +
         (uint64_t)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
    cr_expect_lt(us, 1000000, "%d us", (int)us);
}

Test(source, a_reader_s_errors_and_broken_requests)
{
    const struct source_selection selection = of_session("0708");
    static const uint8_t bad[16] = {'X'};
    struct record_source *s;
    struct source_record v;
    struct err e = ERR_INIT;
    int fd, status;
    pid_t pid = serve(&selection, &fd);

    cr_assert_eq(record_source_stream(&s, fd, &e), 0);
    cr_expect_eq(record_source_next(s, &v, -1, &e), ERR_NOT_FOUND);
    cr_expect(strstr(e.text, "no session begins with 0708"), "%s", e.text);
    cr_assert_eq(write(fd, bad, sizeof bad), (ssize_t)sizeof bad);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    record_source_free(s);
}

Test(source, a_stream_that_is_no_reader)
{
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {{"\0\0\0\0", 4},   {"\xff\xff\xff\xff", 4}, {"\0\0\0\1Z", 5},  {"\0\0\0\3Rxx", 7},
                 {"\0\0\0\2M0", 6}, {"\0\0\0\2Sx", 6},       {"\0\0\0\2Ex", 6}, {"", 0}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct record_source *s;
        struct source_record v;
        struct err e = ERR_INIT;
        int pair[2];

        cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        cr_assert_eq(write(pair[1], cases[i].bytes, cases[i].len), (ssize_t)cases[i].len);
        close(pair[1]);
        cr_assert_eq(record_source_stream(&s, pair[0], &e), 0);
        cr_expect_lt(record_source_next(s, &v, -1, &e), 0, "%zu", i);
        record_source_free(s);
    }
}

static size_t listed(const struct session_filter *filter)
{
    const struct source_selection clear = {.what = SOURCE_CLEAR};
    struct record_source *s;
    struct session_list *list;
    struct err e = ERR_INIT;
    size_t count;

    cr_assert_eq(record_source_dir(&s, lab.dir, &clear, &e), 0);
    cr_assert_eq(session_list_read(&list, s, filter, &e), 0, "%s", e.text);
    count = session_list_count(list);
    for (size_t i = 1; i < count; i++)
        cr_expect_leq(session_list_at(list, i - 1)->start_ns, session_list_at(list, i)->start_ns);
    session_list_free(list);
    record_source_free(s);
    return count;
}

Test(session_list, filters)
{
    static const struct {
        struct session_filter filter;
        size_t count;
    } cases[] = {
        {{.operator_name = NULL}, 20},
        {{.limit = 3}, 3},
        {{.operator_name = "nobody"}, 0},
        {{.target = "nowhere"}, 0},
        {{.since_ns = UINT64_MAX}, 0},
        {{.until_ns = 1}, 0},
        {{.decision = -1}, 0},
        {{.decision = 1}, 20},
        {{.classes = CLASS_SUBSYSTEM}, 0},
        {{.disputed = true}, 0},
        {{.live = true}, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect_eq(listed(&cases[i].filter), cases[i].count, "%zu", i);
}
