/* SPDX-License-Identifier: Apache-2.0
 *
 * What the recorder reaches on this machine: the time of one durable keystroke, small records with
 * group commit from several producers, bulk output, the verifier over both, proofs from a log of 10
 * million records; and beside them, in the same run, what the machine can do at all: SHA-256,
 * AES-256-GCM, fdatasync. Usage: bench_trail DIR [PRODUCERS [PARTS]]; DIR is made anew on the disk
 * to be measured; PARTS: letters out of l(imits), s(mall), b(ulk), p(roofs). Prints one line of
 * JSON a measurement. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
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
#include "audit/digest_many.h"
#include "audit/proof.h"
#include "audit/tile_file.h"
#include "audit/trail_create.h"
#include "audit/verify.h"
#include "gateway/messages.h"

#define KEYSTROKES   2000
#define SMALL        200000u
#define BULK         20000u
#define PROOF_LEAVES 10000000u
#define PROOFS       500u
/* Somebody to seal for; nobody has the identity. */
#define REVIEWER "keystrokes age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj bench\n"
#define WINDOW   64u /* small records that a producer has under way */

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Of this process: what one core does, whatever else the machine is busy with. */
static double cpu(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Of the recorder, which is a process of its own, with both of its threads. */
static clockid_t recorder;

static double recorder_cpu(void)
{
    struct timespec ts;

    if (clock_gettime(recorder, &ts) < 0)
        return 0;
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
    struct auditd_start m = {.origin = "bench/sallyport/0",
                             .reviewers = {(const uint8_t *)REVIEWER, sizeof REVIEWER - 1}};
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
    if (pid < 0 || clock_getcpuclockid(pid, &recorder) != 0) {
        perror("fork");
        exit(EXIT_FAILURE);
    }
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
        if (f.spec->number == trail_stop_NUMBER) {
            struct trail_stop stop;

            must(trail_stop_decode(&f, &stop, &e), &e, "stop");
            err_set(&e, ERR_TRAIL, "%s", stop.text);
            must(ERR_TRAIL, &e, "the recorder stopped");
        }
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
    double used;

    put(l, RECORD_SESSION_START, WANT_DURABLE, "{}", 2);
    await(l, 1, true);
    used = recorder_cpu();
    for (unsigned i = 0; i < KEYSTROKES; i++) {
        double begun = now();

        put(l, RECORD_INPUT, WANT_DURABLE, "k", 1);
        await(l, i + 2, true);
        took[i] = now() - begun;
    }
    used = recorder_cpu() - used;
    qsort(took, KEYSTROKES, sizeof *took, compare);
    printf("{\"bench\":\"durable keystroke\",\"p50_us\":%.1f,\"p99_us\":%.1f,"
           "\"recorder_us\":%.1f}\n",
           took[KEYSTROKES / 2] * 1e6, took[KEYSTROKES * 99 / 100] * 1e6, used / KEYSTROKES * 1e6);
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
    double begun, used, mb = (double)BULK * sizeof chunk / 1e6;

    put(l, RECORD_SESSION_START, WANT_DURABLE, "{}", 2);
    await(l, 1, true);
    used = recorder_cpu();
    begun = now();
    for (unsigned i = 1; i <= BULK; i++) {
        put(l, RECORD_OUTPUT, WANT_ACCEPTED, chunk, sizeof chunk);
        if (i % 32 == 0) /* the relay's window of 1 MiB */
            await(l, i + 1 - 16, false);
    }
    await(l, BULK + 1, false);
    begun = now() - begun;
    used = recorder_cpu() - used;
    printf("{\"bench\":\"bulk, %zu KiB records\",\"mb_per_s\":%.0f,\"mb_per_recorder_s\":%.0f}\n",
           sizeof chunk / 1024, mb / begun, mb / used);
}

/* What sealing costs: records of a type that is sealed beside those of one that is in the clear, by
 * turns, in one session. */
static void sealing(struct link *l, size_t len, unsigned count)
{
    static const uint8_t types[2] = {RECORD_ALARM, RECORD_STDERR};
    static uint8_t text[RELAY_CHUNK];
    double took[2] = {0, 0}, used[2] = {0, 0};
    uint64_t sent = 1;

    memset(text, ' ', len);
    text[0] = '{';
    text[len - 1] = '}';
    put(l, RECORD_SESSION_START, WANT_DURABLE, "{}", 2);
    await(l, 1, true);
    for (unsigned round = 0; round < 20; round++) {
        double begun = now(), before = recorder_cpu();

        for (unsigned i = 1; i <= count / 10; i++) {
            sent++;
            put(l, types[round % 2], i % 16 == 0 ? WANT_ACCEPTED : WANT_NOTHING, text, len);
            if (i % 16 == 0)
                await(l, sent, false);
        }
        put(l, types[round % 2], WANT_DURABLE, text, len);
        await(l, ++sent, true);
        took[round % 2] += now() - begun;
        used[round % 2] += recorder_cpu() - before;
    }
    for (int i = 0; i < 2; i++)
        printf("{\"bench\":\"records of %zu bytes, %s\",\"records_per_s\":%.0f,\"mb_per_s\":%.1f,"
               "\"recorder_us\":%.2f}\n",
               len, i ? "sealed" : "in the clear", count / took[i],
               (double)count * (double)len / 1e6 / took[i], used[i] / count * 1e6);
}

/* Each producer is a process of its own, as a backend is. Only what was durable counts, and the
 * clock stops with the last. */
static void many(struct link *supervisor, unsigned first, unsigned producers)
{
    pid_t children[200];
    double begun = now(), used = recorder_cpu();

    for (unsigned n = 0; n < producers; n++) {
        struct link *l = producer(supervisor, first + n);

        children[n] = fork();
        if (children[n] == 0) {
            small_records(l, SMALL / producers);
            _exit(0);
        }
        link_free(l);
    }
    for (unsigned n = 0; n < producers; n++) {
        int status = -1;

        if (children[n] < 0 || waitpid(children[n], &status, 0) < 0 || status != 0) {
            fprintf(stderr, "bench_trail: a producer failed\n");
            exit(EXIT_FAILURE);
        }
    }
    begun = now() - begun;
    used = recorder_cpu() - used;
    printf("{\"bench\":\"small durable records, %u producers\",\"records_per_s\":%.0f,"
           "\"recorder_us\":%.2f}\n",
           producers, SMALL / producers * producers / begun,
           used / (SMALL / producers * producers) * 1e6);
}

static void verify(const char *state, const char *what)
{
    struct verify_options o = {0};
    struct verify_result v;
    struct err e = ERR_INIT;
    char path[512];
    double begun;

    snprintf(path, sizeof path, "%s/trail", state);
    o.dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    begun = cpu();
    must(trail_verify(&o, &v, &e), &e, "verify");
    begun = cpu() - begun;
    printf("{\"bench\":\"verify, %s, a core\",\"records\":%llu,\"mb\":%.0f,\"records_per_s\":%.0f,"
           "\"mb_per_s\":%.0f}\n",
           what, (unsigned long long)v.records, (double)v.bytes / 1e6, (double)v.records / begun,
           (double)v.bytes / 1e6 / begun);
    close(o.dir);
}

/* The tiles of a log whose leaves are made up, in DIR/proofs. */
static uint64_t make_tiles(int dir)
{
    static uint8_t level[2][PROOF_LEAVES / TILE_WIDTH + 1][RECORD_HASH_SIZE];
    static uint8_t tile[TILE_BYTES];
    struct digest *d = digest_new();
    struct err e = ERR_INIT;

    for (int l = 0; l < 3; l++)
        for (uint64_t n = 0; tile_width(PROOF_LEAVES, l, n) > 0; n++) {
            unsigned width = tile_width(PROOF_LEAVES, l, n);

            if (l == 0)
                for (unsigned i = 0; i < width; i++) {
                    uint64_t number = n * TILE_WIDTH + i;

                    memcpy(tile + i * RECORD_HASH_SIZE, &number, sizeof number);
                }
            else
                memcpy(tile, level[(l + 1) % 2][n * TILE_WIDTH], width * RECORD_HASH_SIZE);
            must(tile_file_write(dir, l, n, width, tile, width * RECORD_HASH_SIZE, &e), &e, "tile");
            if (width == TILE_WIDTH)
                digest_subtree(d, tile, TILE_WIDTH, level[l % 2][n]);
        }
    digest_free(d);
    return PROOF_LEAVES;
}

static void proofs(const char *state)
{
    static double took[PROOFS];
    struct err e = ERR_INIT;
    uint8_t root[RECORD_HASH_SIZE];
    struct tile_reader *t;
    struct proof p;
    uint64_t size;
    char path[512];
    int dir;

    snprintf(path, sizeof path, "%s/proofs", state);
    if (mkdir(path, 0700) < 0 || (dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    size = make_tiles(dir);
    for (unsigned i = 0; i < PROOFS; i++) {
        uint64_t index = (uint64_t)random() % size, leaf[4] = {index, 0, 0, 0};
        double begun = now();

        must(tile_reader_new(&t, dir, size, &e), &e, "tiles");
        must(proof_inclusion(t, index, size, &p, &e), &e, "proof");
        must(proof_root(t, size, root, &e), &e, "root");
        must(proof_check_inclusion(&p, index, size, (const uint8_t *)leaf, root, &e), &e, "check");
        tile_reader_free(t);
        took[i] = now() - begun;
    }
    qsort(took, PROOFS, sizeof *took, compare);
    printf("{\"bench\":\"inclusion proof of %u, made and checked\",\"p50_ms\":%.2f,\"p99_ms\":"
           "%.2f}\n",
           PROOF_LEAVES, took[PROOFS / 2] * 1e3, took[PROOFS * 99 / 100] * 1e3);
    close(dir);
}

/* What there is to reach: one core, blocks of 32 KiB. */
static void limits(const char *state)
{
    static uint8_t block[64][32768], out[64][RECORD_HASH_SIZE];
    static const uint8_t key[32], nonce[12];
    struct digest *d = digest_new();
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    struct digest_job jobs[64];
    double begun, took;
    unsigned n = 0;
    char path[512];
    int fd, len;

    for (begun = cpu(); (took = cpu() - begun) < 0.5; n++)
        digest_bytes(d, block[n % 64], sizeof block[0], out[0]);
    printf("{\"limit\":\"SHA-256, OpenSSL\",\"mb_per_s\":%.0f}\n", n * 0.032768 / took);
    for (unsigned i = 0; i < 64; i++)
        jobs[i] = (struct digest_job){DIGEST_PLAIN, block[i], sizeof block[i], out[i]};
    for (n = 0, begun = cpu(); (took = cpu() - begun) < 0.5; n += 64)
        digest_many(d, jobs, 64);
    printf("{\"limit\":\"SHA-256, many%s\",\"mb_per_s\":%.0f}\n",
           digest_many_is_wide() ? " side by side" : "", n * 0.032768 / took);
    for (n = 0, begun = cpu(); c && (took = cpu() - begun) < 0.5; n++)
        if (EVP_EncryptInit_ex2(c, EVP_aes_256_gcm(), key, nonce, NULL) != 1 ||
            EVP_EncryptUpdate(c, block[1], &len, block[0], sizeof block[0]) != 1)
            break;
    printf("{\"limit\":\"AES-256-GCM\",\"mb_per_s\":%.0f}\n", n * 0.032768 / took);
    snprintf(path, sizeof path, "%s/fdatasync", state);
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    for (n = 0, begun = now(); (took = now() - begun) < 1; n++)
        if (write(fd, block[0], 512) != 512 || fdatasync(fd) < 0)
            break;
    printf("{\"limit\":\"write of 512 bytes and fdatasync\",\"per_s\":%.0f}\n", n / took);
    close(fd);
    EVP_CIPHER_CTX_free(c);
    digest_free(d);
}

static void end(struct link *supervisor, pid_t pid)
{
    struct auditd_shutdown m = {0};
    struct err e = ERR_INIT;
    int status;

    must(auditd_shutdown_send(supervisor, &m, NULL, &e), &e, "shutdown");
    waitpid(pid, &status, 0);
    link_free(supervisor);
    if (status != 0) {
        fprintf(stderr, "bench_trail: the recorder failed\n");
        exit(EXIT_FAILURE);
    }
}

static pid_t begin(const char *dir, const char *name, char state[512], struct link **supervisor)
{
    struct trail_created created;
    struct err e = ERR_INIT;

    snprintf(state, 512, "%s/%s", dir, name);
    if (mkdir(state, 0700) < 0) {
        perror(state);
        exit(EXIT_FAILURE);
    }
    must(trail_create(state, "bench", getuid(), getgid(), &created, &e), &e, "create");
    return start(state, supervisor);
}

int main(int argc, char **argv)
{
    unsigned producers = argc > 2 ? (unsigned)atoi(argv[2]) : 8;
    const char *what = argc > 3 ? argv[3] : "lsbp";
    struct link *supervisor, *l;
    char state[512];
    pid_t pid;

    if (argc < 2 || producers < 1 || producers > 200) {
        fprintf(stderr, "usage: bench_trail DIR [PRODUCERS [PARTS]]\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (mkdir(argv[1], 0700) < 0) {
        perror(argv[1]);
        return EXIT_FAILURE;
    }
    if (strchr(what, 'l'))
        limits(argv[1]);
    if (strchr(what, 's')) {
        pid = begin(argv[1], "small", state, &supervisor);
        l = producer(supervisor, 0);
        keystrokes(l);
        link_free(l);
        many(supervisor, 10, 1);
        many(supervisor, 20, producers);
        end(supervisor, pid);
        verify(state, "small records");
    }
    if (strchr(what, 'b')) {
        pid = begin(argv[1], "bulk", state, &supervisor);
        l = producer(supervisor, 1);
        bulk(l);
        link_free(l);
        l = producer(supervisor, 2);
        sealing(l, RELAY_CHUNK, 10000);
        link_free(l);
        l = producer(supervisor, 3);
        sealing(l, 32, 100000);
        link_free(l);
        end(supervisor, pid);
        verify(state, "bulk records");
    }
    if (strchr(what, 'p'))
        proofs(argv[1]);
    return EXIT_SUCCESS;
}
