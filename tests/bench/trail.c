/* SPDX-License-Identifier: Apache-2.0
 *
 * What the recorder reaches on this machine: the time of one durable keystroke, small records with
 * group commit from several producers, and bulk output. Usage: bench_trail DIR [PRODUCERS]; DIR is
 * made anew on the disk to be measured. Prints one line of JSON a measurement. */
#include <fcntl.h>
#include <openssl/pem.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "audit/auditd.h"
#include "audit/trail_create.h"
#include "audit/verify.h"
#include "gateway/messages.h"

#define KEYSTROKES 2000
#define SMALL      200000u
#define BULK       20000u
#define WINDOW     64u /* small records that a producer has under way */

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void must(int r, const struct err *e, const char *what)
{
    if (r >= 0)
        return;
    fprintf(stderr, "bench_trail: %s: %s\n", what, e->text);
    exit(EXIT_FAILURE);
}

static pid_t start(const char *state, struct link **supervisor)
{
    struct auditd_start m = {.origin = "bench/sallyport/0"};
    struct err e = ERR_INIT;
    char path[512];
    struct pollfd p;
    struct frame f;
    int fds[2], key, r;
    pid_t pid;

    must(link_pair(fds, 65536, &e), &e, "link");
    pid = fork();
    if (pid == 0) {
        struct auditd_options o = {.link_fd = fds[1]};

        snprintf(path, sizeof path, "%s/trail", state);
        o.dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        close(fds[0]);
        _exit(auditd_run(&o));
    }
    close(fds[1]);
    *supervisor = link_new(fds[0], &link_auditd, LINK_FIRST, 65536);
    snprintf(path, sizeof path, "%s/keys/log.key", state);
    key = open(path, O_RDONLY | O_CLOEXEC);
    must(auditd_start_send(*supervisor, &m, &key, &e), &e, "start");
    close(key);
    p = (struct pollfd){.fd = fds[0], .events = POLLIN};
    while ((r = link_recv(*supervisor, &f, &e)) == 0)
        (void)poll(&p, 1, -1);
    must(r, &e, "started");
    return pid;
}

static struct link *producer(struct link *supervisor, unsigned n)
{
    struct auditd_producer m = {.kind = PRODUCER_BACKEND, .conn = n};
    struct err e = ERR_INIT;
    int fds[2];

    memset(m.session, (int)n + 1, sizeof m.session);
    must(link_pair(fds, 1 << 20, &e), &e, "link");
    must(auditd_producer_send(supervisor, &m, &fds[1], &e), &e, "producer");
    close(fds[1]);
    return link_new(fds[0], &link_trail, LINK_FIRST, 1 << 20);
}

static void put(struct link *l, uint8_t type, enum trail_want want, const void *p, size_t len)
{
    struct trail_record m = {
        .type = type, .channel = 1, .want = (uint8_t)want, .payload = {p, len}};
    struct pollfd wait = {.fd = link_fd(l), .events = POLLOUT};
    struct err e = ERR_INIT;

    while (link_pending(l) > 0) {
        (void)poll(&wait, 1, -1);
        must(link_flush(l, &e), &e, "flush");
    }
    must(trail_record_send(l, &m, NULL, &e), &e, "record");
}

/* Waits for an ack of `count` records, durable or accepted. */
static void await(struct link *l, uint64_t count, bool durable)
{
    struct pollfd p = {.fd = link_fd(l), .events = POLLIN};
    struct trail_ack ack = {0, 0};
    struct err e = ERR_INIT;
    struct frame f;

    while ((durable ? ack.durable : ack.accepted) < count) {
        int r = link_recv(l, &f, &e);

        if (r == 0) {
            p.events = link_pending(l) ? POLLIN | POLLOUT : POLLIN;
            (void)poll(&p, 1, -1);
            must(link_flush(l, &e), &e, "flush");
            continue;
        }
        must(r, &e, "ack");
        must(trail_ack_decode(&f, &ack, &e), &e, "ack");
    }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void keystrokes(struct link *l)
{
    static double took[KEYSTROKES];

    put(l, RECORD_SESSION_START, WANT_DURABLE, "{}", 2);
    await(l, 1, true);
    for (unsigned i = 0; i < KEYSTROKES; i++) {
        double begun = now();

        put(l, RECORD_INPUT, WANT_DURABLE, "k", 1);
        await(l, i + 2, true);
        took[i] = now() - begun;
    }
    qsort(took, KEYSTROKES, sizeof *took, compare);
    printf("{\"bench\":\"durable keystroke\",\"p50_us\":%.1f,\"p99_us\":%.1f}\n",
           took[KEYSTROKES / 2] * 1e6, took[KEYSTROKES * 99 / 100] * 1e6);
}

static void small_records(struct link *l, unsigned n)
{
    put(l, RECORD_SESSION_START, WANT_DURABLE, "{}", 2);
    for (unsigned i = 1; i <= n; i++) {
        put(l, RECORD_INPUT, i % WINDOW == 0 || i == n ? WANT_DURABLE : WANT_NOTHING, "keystroke",
            9);
        if (i % WINDOW == 0 || i == n)
            await(l, i + 1, true);
    }
}

static void bulk(struct link *l)
{
    static uint8_t chunk[RELAY_CHUNK];
    double begun;

    put(l, RECORD_SESSION_START, WANT_DURABLE, "{}", 2);
    await(l, 1, true);
    begun = now();
    for (unsigned i = 1; i <= BULK; i++) {
        put(l, RECORD_OUTPUT, WANT_ACCEPTED, chunk, sizeof chunk);
        if (i % 32 == 0) /* the relay's window of 1 MiB */
            await(l, i + 1 - 16, false);
    }
    await(l, BULK + 1, false);
    printf("{\"bench\":\"bulk, 32 KiB records\",\"mb_per_s\":%.0f}\n",
           (double)BULK * sizeof chunk / 1e6 / (now() - begun));
}

/* Each producer is a process of its own, as a backend is. */
static void many(struct link *supervisor, unsigned first, unsigned producers)
{
    double begun = now();

    for (unsigned n = 0; n < producers; n++) {
        struct link *l = producer(supervisor, first + n);

        if (fork() == 0) {
            small_records(l, SMALL / producers);
            _exit(0);
        }
        link_free(l);
    }
    for (unsigned n = 0; n < producers; n++)
        (void)wait(NULL);
    printf("{\"bench\":\"small durable records, %u producers\",\"records_per_s\":%.0f}\n",
           producers, SMALL / (now() - begun));
}

static void verify(const char *state)
{
    struct verify_options o = {0};
    struct verify_result v;
    struct err e = ERR_INIT;
    char path[512];
    double begun;

    snprintf(path, sizeof path, "%s/trail", state);
    o.dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    begun = now();
    must(trail_verify(&o, &v, &e), &e, "verify");
    begun = now() - begun;
    printf("{\"bench\":\"verify\",\"records\":%llu,\"mb\":%.0f,\"records_per_s\":%.0f,\"mb_per_s\":"
           "%.0f}\n",
           (unsigned long long)v.records, (double)v.bytes / 1e6, (double)v.records / begun,
           (double)v.bytes / 1e6 / begun);
    close(o.dir);
}

int main(int argc, char **argv)
{
    unsigned producers = argc > 2 ? (unsigned)atoi(argv[2]) : 8;
    struct auditd_shutdown shutdown_message = {0};
    struct trail_created created;
    struct link *supervisor, *l;
    struct err e = ERR_INIT;
    int status;
    pid_t pid;

    if (argc < 2 || producers < 1 || producers > 200) {
        fprintf(stderr, "usage: bench_trail DIR [PRODUCERS]\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (mkdir(argv[1], 0700) < 0) {
        perror(argv[1]);
        return EXIT_FAILURE;
    }
    must(trail_create(argv[1], "bench", getuid(), getgid(), &created, &e), &e, "create");
    pid = start(argv[1], &supervisor);
    l = producer(supervisor, 0);
    keystrokes(l);
    link_free(l);
    many(supervisor, 10, 1);
    many(supervisor, 20, producers);
    l = producer(supervisor, 1);
    bulk(l);
    link_free(l);
    must(auditd_shutdown_send(supervisor, &shutdown_message, NULL, &e), &e, "shutdown");
    waitpid(pid, &status, 0);
    verify(argv[1]);
    return status;
}
