/* SPDX-License-Identifier: Apache-2.0
 *
 * The recorder as its producers see it: over socketpairs, in a child process, without its sandbox.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "audit/auditd.h"
#include "audit/session_list.h"
#include "gateway/messages.h"
#include "tests/unit/audit_lab.h"

#define WAIT_MS 120000

struct recorder {
    struct audit_lab lab;
    struct link *link;
    pid_t pid;
    uint64_t file_limit; /* RLIMIT_FSIZE of the child, 0: none */
};

/* The next message of a link; false when it closed. */
static bool await(struct link *l, struct frame *f)
{
    struct pollfd p = {.fd = link_fd(l), .events = POLLIN};
    struct err e = ERR_INIT;
    int r;

    while ((r = link_recv(l, f, &e)) == 0)
        cr_assert_eq(poll(&p, 1, WAIT_MS), 1, "nothing came");
    cr_assert(r == 1 || r == ERR_CLOSED, "%s", e.text);
    return r == 1;
}

/* What the recorder says of its disk comes between. */
static void await_message(struct link *l, uint16_t number, struct frame *f)
{
    do
        cr_assert(await(l, f), "closed before message %u", number);
    while (f->spec->number != number);
}

static void spawn(struct recorder *rec)
{
    static const char reviewers[] = "keystrokes " LAB_RECIPIENT " first\n";
    struct auditd_start start = {.origin = LAB_ORIGIN,
                                 .reviewers = {(const uint8_t *)reviewers, sizeof reviewers - 1}};
    struct err e = ERR_INIT;
    char path[128];
    int fds[2], key;

    cr_assert_eq(link_pair(fds, 65536, &e), 0);
    rec->pid = fork();
    cr_assert_geq(rec->pid, 0);
    if (rec->pid == 0) {
        struct auditd_options o = {.link_fd = fds[1], .dir = rec->lab.dir};
        struct rlimit limit = {rec->file_limit, rec->file_limit};

        close(fds[0]);
        if (rec->file_limit)
            setrlimit(RLIMIT_FSIZE, &limit);
        close(STDERR_FILENO);
        open("/dev/null", O_WRONLY);
        _exit(auditd_run(&o));
    }
    close(fds[1]);
    rec->link = link_new(fds[0], &link_auditd, LINK_FIRST, 65536);
    snprintf(path, sizeof path, "%s/keys/log.key", rec->lab.state);
    key = open(path, O_RDONLY | O_CLOEXEC);
    cr_assert_eq(auditd_start_send(rec->link, &start, &key, &e), 0);
    close(key);
}

static void start(struct recorder *rec)
{
    struct auditd_refused refused;
    struct err e = ERR_INIT;
    struct frame f;

    spawn(rec);
    cr_assert(await(rec->link, &f));
    if (f.spec->number == auditd_refused_NUMBER) {
        cr_assert_eq(auditd_refused_decode(&f, &refused, &e), 0);
        cr_assert(false, "refused: %s", refused.text);
    }
    cr_assert_eq(f.spec->number, auditd_started_NUMBER);
}

static int finish(struct recorder *rec)
{
    int status = 0;

    cr_assert_eq(waitpid(rec->pid, &status, 0), rec->pid);
    link_free(rec->link);
    return status;
}

static int shut_down(struct recorder *rec)
{
    struct auditd_shutdown m = {0};
    struct err e = ERR_INIT;

    cr_assert_eq(auditd_shutdown_send(rec->link, &m, NULL, &e), 0);
    return finish(rec);
}

static struct link *producer(struct recorder *rec, enum trail_producer kind, uint64_t conn,
                             uint8_t session)
{
    struct auditd_producer m = {.kind = (uint8_t)kind, .conn = conn};
    struct err e = ERR_INIT;
    struct link *l;
    int fds[2];

    memset(m.session, session, sizeof m.session);
    cr_assert_eq(link_pair(fds, 1 << 20, &e), 0);
    cr_assert_eq(auditd_producer_send(rec->link, &m, &fds[1], &e), 0);
    close(fds[1]);
    l = link_new(fds[0], &link_trail, LINK_FIRST, 1 << 20);
    cr_assert(l);
    return l;
}

static void send_record(struct link *l, uint8_t type, enum trail_want want, const void *p,
                        size_t len)
{
    struct trail_record m = {
        .type = type, .channel = 1, .want = (uint8_t)want, .payload = {p, len}};
    struct err e = ERR_INIT;
    int r;

    while ((r = trail_record_send(l, &m, NULL, &e)) == ERR_FULL) {
        struct pollfd wait = {.fd = link_fd(l), .events = POLLOUT};

        (void)poll(&wait, 1, WAIT_MS);
        cr_assert_eq(link_flush(l, &e), 0);
    }
    cr_assert_eq(r, 0, "%s", e.text);
}

static void send_text(struct link *l, uint8_t type, enum trail_want want, const char *text)
{
    send_record(l, type, want, text, strlen(text));
}

/* Waits until `accepted` and `durable` records are told. */
static void await_ack(struct link *l, uint64_t accepted, uint64_t durable)
{
    struct trail_ack ack = {0, 0};
    struct err e = ERR_INIT;
    struct frame f;

    while (ack.accepted < accepted || ack.durable < durable) {
        cr_assert(await(l, &f), "closed at %lu/%lu", (unsigned long)ack.accepted,
                  (unsigned long)ack.durable);
        cr_assert_eq(f.spec->number, trail_ack_NUMBER);
        cr_assert_eq(trail_ack_decode(&f, &ack, &e), 0);
        cr_assert_leq(ack.durable, ack.accepted);
    }
}

static void await_close(struct link *l)
{
    struct frame f;

    while (await(l, &f))
        ;
}

/* Counts the records of a type, and copies the last one's payload. */
static unsigned count_records(struct audit_lab *lab, uint8_t type, char *last, size_t cap)
{
    struct trail_reader *reader;
    struct trail_view v;
    struct err e = ERR_INIT;
    enum fault fault;
    uint64_t unfinished;
    unsigned count = 0;

    cr_assert_eq(trail_reader_new(&reader, lab->dir, 0, &e), 0);
    while (trail_reader_next(reader, &v, &unfinished, &fault, &e) == 1) {
        if (v.r.type != type)
            continue;
        count++;
        if (last)
            snprintf(last, cap, "%.*s", (int)v.r.payload_len, (const char *)v.payload);
    }
    trail_reader_free(reader);
    return count;
}

static void expect_verified(struct recorder *rec)
{
    struct verify_result v;
    struct err e = ERR_INIT;

    cr_expect_eq(lab_verify(&rec->lab, &v, &e), 0, "%s", e.text);
}

/* Of channel 1, on which "ls\n" was sent. */
#define ATTESTED_LS                                                                                \
    "{\"channel\":1,\"bytes\":3,\"sha256\":"                                                       \
    "\"e9fe7e88e89d532379960402db8f9458194dae772aa5fda5a12806c22215f0ff\",\"final\":true}"

Test(auditd, a_session)
{
    struct recorder rec = {0};
    struct link *supervisor, *authd, *backend, *frontend;
    struct auditd_bind bind = {.conn = 7};
    struct err e = ERR_INIT;
    struct session_list *list;
    char last[400];

    lab_make(&rec.lab);
    start(&rec);
    supervisor = producer(&rec, PRODUCER_SUPERVISOR, 0, 0);
    authd = producer(&rec, PRODUCER_AUTHD, 0, 0);
    frontend = producer(&rec, PRODUCER_FRONTEND, 7, 0);
    send_text(supervisor, RECORD_ACCESS, WANT_NOTHING, "{\"event\":\"started\"}");
    send_text(authd, RECORD_AUTHENTICATION, WANT_DURABLE, "{\"operator\":\"alice\"}");
    await_ack(authd, 1, 1);
    memset(bind.session, 9, sizeof bind.session);
    cr_assert_eq(auditd_bind_send(rec.link, &bind, NULL, &e), 0);
    backend = producer(&rec, PRODUCER_BACKEND, 7, 9);
    send_text(backend, RECORD_SESSION_START, WANT_DURABLE, "{\"operator\":\"alice\"}");
    await_ack(backend, 1, 1);
    send_text(backend, RECORD_INPUT, WANT_DURABLE, "ls\n");
    await_ack(backend, 2, 2);
    send_text(backend, RECORD_OUTPUT, WANT_ACCEPTED, "file\r\n");
    await_ack(backend, 3, 2);
    send_text(frontend, RECORD_ATTESTATION, WANT_DURABLE, ATTESTED_LS);
    await_ack(frontend, 1, 1);
    send_text(backend, RECORD_SESSION_END, WANT_DURABLE, "{\"reason\":\"closed\"}");
    await_ack(backend, 4, 4);
    link_free(backend);
    link_free(frontend);
    link_free(authd);
    link_free(supervisor);
    cr_expect_eq(shut_down(&rec), 0);
    expect_verified(&rec);
    list = lab_sessions(&rec.lab);
    cr_expect_eq(session_list_count(list), 1);
    cr_expect_eq(session_list_at(list, 0)->records,
                 7); /* with the keys, the attestation and the verdict */
    cr_expect_not(session_list_at(list, 0)->verdict != VERDICT_AGREED);
    cr_expect_eq(count_records(&rec.lab, RECORD_VERDICT, last, sizeof last), 1);
    cr_expect(strstr(last, "\"verdict\":\"agreed\",\"recorded\":3,\"agreed\":3"), "%s", last);
    cr_expect_eq(count_records(&rec.lab, RECORD_ALARM, NULL, 0), 0);
    cr_expect_eq(count_records(&rec.lab, RECORD_SESSION_END, NULL, 0), 1);
    session_list_free(list);
    lab_remove(&rec.lab);
}

/* A backend that records what was never sent: told at once, and at the session's end again. */
Test(auditd, disputed_input)
{
    struct recorder rec = {0};
    struct auditd_bind bind = {.conn = 7};
    struct link *frontend, *backend;
    struct err e = ERR_INIT;
    struct verify_result v;
    struct session_list *list;
    char last[600];

    lab_make(&rec.lab);
    start(&rec);
    frontend = producer(&rec, PRODUCER_FRONTEND, 7, 0);
    memset(bind.session, 9, sizeof bind.session);
    cr_assert_eq(auditd_bind_send(rec.link, &bind, NULL, &e), 0);
    backend = producer(&rec, PRODUCER_BACKEND, 7, 9);
    send_text(backend, RECORD_SESSION_START, WANT_DURABLE, "{\"operator\":\"alice\"}");
    await_ack(backend, 1, 1);
    send_text(frontend, RECORD_ATTESTATION, WANT_DURABLE, ATTESTED_LS);
    await_ack(frontend, 1, 1);
    send_text(backend, RECORD_INPUT, WANT_DURABLE, "ls\nrm -rf /\n");
    await_ack(backend, 2, 2);
    cr_expect_eq(count_records(&rec.lab, RECORD_ALARM, last, sizeof last), 1, "not at once");
    cr_expect(strstr(last, "\"alarm\":\"disputed-input\""), "%s", last);
    cr_expect_eq(count_records(&rec.lab, RECORD_VERDICT, NULL, 0), 1);
    send_text(backend, RECORD_INPUT, WANT_DURABLE, "more");
    await_ack(backend, 3, 3);
    link_free(backend);
    link_free(frontend);
    cr_expect_eq(shut_down(&rec), 0);
    cr_expect_eq(count_records(&rec.lab, RECORD_ALARM, NULL, 0), 1);
    cr_expect_eq(count_records(&rec.lab, RECORD_VERDICT, last, sizeof last), 2);
    cr_expect(strstr(last, "\"verdict\":\"disputed\",\"recorded\":16,\"agreed\":3"), "%s", last);
    cr_expect_eq(lab_verify(&rec.lab, &v, &e), 0, "%s", e.text);
    cr_expect_eq(v.disputed, 1);
    cr_expect_arr_eq(v.disputed_ids[0], bind.session, sizeof bind.session);
    list = lab_sessions(&rec.lab);
    cr_expect_eq(session_list_at(list, 0)->verdict, VERDICT_DISPUTED);
    session_list_free(list);
    lab_remove(&rec.lab);
}

/* Nobody's share counts what a frontend writes, so that is bounded by what its backend writes. */
Test(auditd, a_flood_of_attestations)
{
    struct recorder rec = {0};
    struct auditd_bind bind = {.conn = 7};
    struct link *frontend, *backend;
    struct err e = ERR_INIT;
    char last[600], text[8000];
    unsigned sent = 0;
    int r = 0;

    lab_make(&rec.lab);
    start(&rec);
    frontend = producer(&rec, PRODUCER_FRONTEND, 7, 0);
    memset(bind.session, 9, sizeof bind.session);
    cr_assert_eq(auditd_bind_send(rec.link, &bind, NULL, &e), 0);
    backend = producer(&rec, PRODUCER_BACKEND, 7, 9);
    send_text(backend, RECORD_SESSION_START, WANT_DURABLE, "{\"operator\":\"alice\"}");
    await_ack(backend, 1, 1);
    snprintf(text, sizeof text, "%.*sfalse,\"more\":\"%07000u\"}", (int)strlen(ATTESTED_LS) - 5,
             ATTESTED_LS, 0u);
    for (; sent < 10000 && (r == 0 || r == ERR_FULL); sent++) {
        struct trail_record m = {.type = RECORD_ATTESTATION,
                                 .channel = 1,
                                 .payload = {(const uint8_t *)text, strlen(text)}};
        struct pollfd wait = {.fd = link_fd(frontend), .events = POLLOUT};

        r = trail_record_send(frontend, &m, NULL, &e);
        if (r == ERR_FULL || link_pending(frontend) > 0) {
            (void)poll(&wait, 1, WAIT_MS);
            r = link_flush(frontend, &e);
        }
    }
    cr_expect_eq(r, ERR_CLOSED, "%d", r);
    cr_expect_gt(sent, 1000);
    cr_expect_lt(sent, 3000);
    send_text(backend, RECORD_OUTPUT, WANT_DURABLE, "goes on");
    await_ack(backend, 2, 2);
    cr_expect_eq(count_records(&rec.lab, RECORD_ALARM, last, sizeof last), 1);
    cr_expect(strstr(last, "more attestations than a session has"), "%s", last);
    link_free(backend);
    link_free(frontend);
    cr_expect_eq(shut_down(&rec), 0);
    lab_remove(&rec.lab);
}

/* A recorder that was killed has forgotten what it compared. */
Test(auditd, orphans_are_unattested)
{
    struct recorder rec = {0};
    struct link *backend;
    char last[400];

    lab_make(&rec.lab);
    start(&rec);
    backend = producer(&rec, PRODUCER_BACKEND, 1, 5);
    send_text(backend, RECORD_SESSION_START, WANT_DURABLE, "{\"operator\":\"alice\"}");
    send_text(backend, RECORD_INPUT, WANT_DURABLE, "x");
    await_ack(backend, 2, 2);
    kill(rec.pid, SIGKILL);
    (void)finish(&rec);
    link_free(backend);
    for (int i = 0; i < 2; i++) { /* said once */
        start(&rec);
        cr_expect_eq(shut_down(&rec), 0);
    }
    expect_verified(&rec);
    cr_expect_eq(count_records(&rec.lab, RECORD_SESSION_END, NULL, 0), 1);
    cr_expect_eq(count_records(&rec.lab, RECORD_VERDICT, last, sizeof last), 1);
    cr_expect(strstr(last, "\"verdict\":\"unattested\",\"reason\":\"recorder-died\""), "%s", last);
    lab_remove(&rec.lab);
}

Test(auditd, dead_backend_gets_its_end_record)
{
    struct recorder rec = {0};
    struct link *backend;
    char last[400];

    lab_make(&rec.lab);
    start(&rec);
    backend = producer(&rec, PRODUCER_BACKEND, 1, 5);
    send_text(backend, RECORD_SESSION_START, WANT_DURABLE, "{\"operator\":\"alice\"}");
    send_text(backend, RECORD_INPUT, WANT_NOTHING, "last words");
    await_ack(backend, 1, 1);
    link_free(backend);
    cr_expect_eq(shut_down(&rec), 0);
    expect_verified(&rec);
    cr_expect_eq(count_records(&rec.lab, RECORD_INPUT, NULL, 0), 1);
    cr_expect_eq(count_records(&rec.lab, RECORD_SESSION_END, last, sizeof last), 1);
    cr_expect(strstr(last, "\"reason\":\"backend-died\""), "%s", last);
    cr_expect(strstr(last, "\"bytes_in\":10"), "%s", last);
    lab_remove(&rec.lab);
}

#define START "{\"operator\":\"alice\"}"

/* What a producer of a kind may not do: an alarm, and its link is closed. */
static const struct {
    enum trail_producer kind;
    const char *what;
    uint8_t first, second; /* types sent; 0: none */
    const char *payload;   /* of the second */
    uint8_t session;       /* named by the second */
} violations[] = {
    {PRODUCER_FRONTEND, "frontend: input", 0, RECORD_INPUT, "x", 0},
    {PRODUCER_FRONTEND, "frontend: session start", 0, RECORD_SESSION_START, START, 0},
    {PRODUCER_FRONTEND, "frontend: session end", 0, RECORD_SESSION_END, START, 0},
    {PRODUCER_FRONTEND, "frontend: names a session", 0, RECORD_ATTESTATION, START, 3},
    {PRODUCER_FRONTEND, "frontend: attests nonsense", 0, RECORD_ATTESTATION, START, 0},
    {PRODUCER_SUPERVISOR, "supervisor: authentication", 0, RECORD_AUTHENTICATION, START, 0},
    {PRODUCER_AUTHD, "authd: output", 0, RECORD_OUTPUT, "x", 0},
    {PRODUCER_AUTHD, "authd: shutdown", 0, RECORD_SHUTDOWN, START, 0},
    {PRODUCER_AUTHD, "authd: segment", 0, RECORD_SEGMENT, START, 0},
    {PRODUCER_AUTHD, "authd: unknown type", 0, 200, "x", 0},
    {PRODUCER_AUTHD, "authd: not JSON", 0, RECORD_ADMIN, "x", 0},
    {PRODUCER_BACKEND, "backend: before its start", 0, RECORD_INPUT, "x", 0},
    {PRODUCER_BACKEND, "backend: two starts", RECORD_SESSION_START, RECORD_SESSION_START, START, 0},
    {PRODUCER_BACKEND, "backend: after its end", RECORD_SESSION_START, RECORD_INPUT, "x", 0},
    {PRODUCER_BACKEND, "backend: another's session", RECORD_SESSION_START, RECORD_INPUT, "x", 3},
    {PRODUCER_BACKEND, "backend: recovery", RECORD_SESSION_START, RECORD_RECOVERY, START, 0},
    {PRODUCER_BACKEND, "backend: attestation", RECORD_SESSION_START, RECORD_ATTESTATION, START, 0},
};

Test(auditd, violations_end_the_producer)
{
    struct recorder rec = {0};
    unsigned count = sizeof violations / sizeof *violations;

    lab_make(&rec.lab);
    start(&rec);
    for (unsigned i = 0; i < count; i++) {
        bool backend = violations[i].kind == PRODUCER_BACKEND;
        struct link *l = producer(&rec, violations[i].kind, i, backend ? (uint8_t)(i + 100) : 0);
        struct trail_record m = {.type = violations[i].second, .channel = 1};
        struct err e = ERR_INIT;

        if (violations[i].first)
            send_text(l, violations[i].first, WANT_NOTHING, START);
        if (strstr(violations[i].what, "after its end"))
            send_text(l, RECORD_SESSION_END, WANT_NOTHING, START);
        m.payload =
            (struct bytes){(const uint8_t *)violations[i].payload, strlen(violations[i].payload)};
        memset(m.session, violations[i].session, sizeof m.session);
        cr_assert_eq(trail_record_send(l, &m, NULL, &e), 0);
        await_close(l);
        link_free(l);
    }
    cr_expect_eq(shut_down(&rec), 0);
    expect_verified(&rec);
    cr_expect_eq(count_records(&rec.lab, RECORD_ALARM, NULL, 0), count);
    cr_expect_eq(count_records(&rec.lab, RECORD_SESSION_START, NULL, 0), 5);
    cr_expect_eq(count_records(&rec.lab, RECORD_SESSION_END, NULL, 0), 5);
    lab_remove(&rec.lab);
}

/* A file limit stands in for a full disk: the write fails, every producer is told to stop, the
 * supervisor is told, and no new producer is taken. */
Test(auditd, stops_when_the_trail_cannot_be_written)
{
    struct recorder rec = {.file_limit = 65536};
    struct trail_stop stop;
    struct auditd_failing failing;
    struct link *backend, *other, *late;
    struct err e = ERR_INIT;
    struct frame f;
    struct trail *t;
    struct trail_report report;
    struct verify_result v;
    static uint8_t chunk[32768];

    lab_make(&rec.lab);
    start(&rec);
    other = producer(&rec, PRODUCER_BACKEND, 2, 2);
    send_text(other, RECORD_SESSION_START, WANT_DURABLE, START);
    await_ack(other, 1, 1);
    backend = producer(&rec, PRODUCER_BACKEND, 1, 1);
    send_text(backend, RECORD_SESSION_START, WANT_DURABLE, START);
    for (int i = 0; i < 3; i++)
        send_record(backend, RECORD_OUTPUT, WANT_ACCEPTED, chunk, sizeof chunk);
    do
        cr_assert(await(backend, &f));
    while (f.spec->number == trail_ack_NUMBER);
    cr_expect_eq(f.spec->number, trail_stop_NUMBER);
    cr_assert_eq(trail_stop_decode(&f, &stop, &e), 0);
    cr_expect(strstr(stop.text, "cannot write the trail"), "%s", stop.text);
    cr_assert(await(other, &f));
    cr_expect_eq(f.spec->number, trail_stop_NUMBER);
    await_message(rec.link, auditd_failing_NUMBER, &f);
    cr_expect_eq(auditd_failing_decode(&f, &failing, &e), 0);
    late = producer(&rec, PRODUCER_BACKEND, 3, 3);
    cr_assert(await(late, &f));
    cr_expect_eq(f.spec->number, trail_stop_NUMBER);
    link_free(late);
    link_free(other);
    link_free(backend);
    cr_expect_neq(shut_down(&rec), 0);
    /* With room again, recovery cuts what was written half, and ends both sessions. */
    cr_assert_eq(lab_open(&rec.lab, &t, 0, &report, &e), 0, "%s", e.text);
    cr_expect_eq(report.orphans, 2);
    cr_expect_gt(report.torn_bytes, 0);
    lab_shut_down(t);
    cr_expect_eq(lab_verify(&rec.lab, &v, &e), 0, "%s", e.text);
    lab_remove(&rec.lab);
}

Test(auditd, refuses_to_start_when_it_cannot_write)
{
    struct recorder rec = {.file_limit = 10};
    struct auditd_refused refused;
    struct err e = ERR_INIT;
    struct frame f;

    lab_make(&rec.lab);
    spawn(&rec);
    cr_assert(await(rec.link, &f));
    cr_assert_eq(f.spec->number, auditd_refused_NUMBER);
    cr_assert_eq(auditd_refused_decode(&f, &refused, &e), 0);
    cr_expect(strstr(refused.text, "cannot write the trail"), "%s", refused.text);
    cr_expect_neq(finish(&rec), 0);
    lab_remove(&rec.lab);
}

Test(auditd, refuses_to_start_on_a_tampered_trail)
{
    struct recorder rec = {0};
    struct auditd_refused refused;
    struct err e = ERR_INIT;
    struct frame f;
    struct blob b;

    lab_make(&rec.lab);
    b = lab_read(&rec.lab, "0000000000000000.spa");
    b.p[200] ^= 1;
    lab_write(&rec.lab, "0000000000000000.spa", b.p, b.len);
    free(b.p);
    spawn(&rec);
    cr_assert(await(rec.link, &f));
    cr_assert_eq(f.spec->number, auditd_refused_NUMBER);
    cr_assert_eq(auditd_refused_decode(&f, &refused, &e), 0);
    cr_expect(strstr(refused.text, "0000000000000000.spa at 0, record 0"), "%s", refused.text);
    cr_expect_neq(finish(&rec), 0);
    lab_remove(&rec.lab);
}

/* Nothing that was acknowledged is lost when the recorder is killed. */
Test(auditd, killed_under_load)
{
    struct recorder rec = {0};
    uint64_t accepted[3] = {0, 0, 0};

    lab_make(&rec.lab);
    for (uint8_t round = 0; round < 3; round++) {
        struct link *backend;
        struct frame f;
        struct err e = ERR_INIT;

        start(&rec);
        backend = producer(&rec, PRODUCER_BACKEND, 1, (uint8_t)(round + 1));
        send_text(backend, RECORD_SESSION_START, WANT_DURABLE, START);
        await_ack(backend, 1, 1);
        for (int i = 0; i < 2000; i++)
            send_text(backend, RECORD_INPUT, WANT_ACCEPTED, "k");
        while (accepted[round] < 500) {
            struct trail_ack ack;

            cr_assert(await(backend, &f));
            cr_assert_eq(trail_ack_decode(&f, &ack, &e), 0);
            accepted[round] = ack.accepted;
        }
        kill(rec.pid, SIGKILL);
        finish(&rec);
        link_free(backend);
    }
    start(&rec);
    cr_expect_eq(shut_down(&rec), 0);
    expect_verified(&rec);
    cr_expect_geq(count_records(&rec.lab, RECORD_INPUT, NULL, 0),
                  accepted[0] + accepted[1] + accepted[2] - 3);
    cr_expect_eq(count_records(&rec.lab, RECORD_SESSION_END, NULL, 0), 3);
    cr_expect_eq(count_records(&rec.lab, RECORD_RECOVERY, NULL, 0), 3);
    lab_remove(&rec.lab);
}
