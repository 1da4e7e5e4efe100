/* SPDX-License-Identifier: Apache-2.0
 *
 * The scenarios of backend_harness.c that move much, wait long or measure. */
#include "backend_world.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define BIG (200u * 1024u * 1024u)
#define MAKE                                                                                       \
    "openssl enc -aes-128-ctr -K 00 -iv 00 -nosalt -in /dev/zero 2>/dev/null | head -c 209715200"

static void local_digest(char out[65])
{
    FILE *f = popen(MAKE " | sha256sum", "r");
    CHECK(f != NULL && fread(out, 1, 64, f) == 64);
    out[64] = '\0';
    pclose(f);
}

void test_download(struct world *w)
{
    char expected[65], got[65], recorded[65];
    uint32_t n;
    local_digest(expected);
    struct channel *c = run(w, MAKE, &n);
    uint64_t from = clock_mono_ms();
    while (!c->closed)
        world_turn(w, 1000);
    double s = (double)(clock_mono_ms() - from) / 1000;
    stream_hex(&c->out[0], got);
    stream_hex(&c->recorded[1], recorded);
    CHECK(c->out[0].bytes == BIG && strcmp(got, expected) == 0 && strcmp(recorded, expected) == 0);
    printf("download %.0f MB/s (with hashing here twice), %zu records\n", BIG / 1e6 / s,
           w->record_count);
    finish(w, c, n);
}

void test_upload(struct world *w)
{
    static uint8_t bytes[RELAY_CHUNK];
    char expected[65];
    uint32_t n;
    local_digest(expected);
    FILE *f = popen(MAKE, "r");
    CHECK(f != NULL);
    struct channel *c = run(w, "sha256sum", &n);
    uint64_t from = clock_mono_ms();
    size_t have = 0, sent = 0;
    for (;;) {
        if (sent == have) {
            have = fread(bytes, 1, sizeof bytes, f);
            sent = 0;
            if (have == 0)
                break;
        }
        size_t k = world_input(w, n, bytes + sent, have - sent);
        sent += k;
        world_turn(w, k > 0 ? 0 : 50);
    }
    pclose(f);
    world_eof(w, n);
    UNTIL(w, c->closed);
    double s = (double)(clock_mono_ms() - from) / 1000;
    CHECK(c->recorded[0].bytes == BIG && strncmp(c->out[0].head, expected, 64) == 0);
    printf("upload %.0f MB/s (with hashing here and there), %zu records\n", BIG / 1e6 / s,
           w->record_count);
    finish(w, c, n);
}

static double cpu_s(pid_t pid)
{
    char path[64];
    unsigned long user = 0, kernel = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    CHECK(f != NULL);
    CHECK(fscanf(f, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                 &kernel) == 2);
    fclose(f);
    return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

/* Figures without hashing; not tests. */
void test_speed_down(struct world *w)
{
    uint32_t n;
    w->channels[0].out[0].plain = w->channels[0].recorded[1].plain = true;
    struct channel *c = run(w, "head -c 1000000000 /dev/zero", &n);
    uint64_t from = clock_mono_ms();
    while (!c->closed)
        world_turn(w, 1000);
    double s = (double)(clock_mono_ms() - from) / 1000;
    printf("download %.0f MB/s, %.2f s CPU a GB, %zu records\n", 1000 / s, cpu_s(w->child),
           w->record_count);
    finish(w, c, n);
}

void test_speed_up(struct world *w)
{
    static uint8_t zeros[RELAY_CHUNK];
    uint32_t n;
    w->channels[0].recorded[0].plain = true;
    struct channel *c = run(w, "cat >/dev/null", &n);
    uint64_t from = clock_mono_ms();
    for (size_t left = 1000000000; left > 0;) {
        size_t k = world_input(w, n, zeros, left < sizeof zeros ? left : sizeof zeros);
        left -= k;
        if (k == 0 || left % (8 * sizeof zeros) == 0)
            world_turn(w, k > 0 ? 0 : 50);
    }
    world_eof(w, n);
    UNTIL(w, c->closed);
    double s = (double)(clock_mono_ms() - from) / 1000;
    printf("upload %.0f MB/s, %.2f s CPU a GB, %zu records\n", 1000 / s, cpu_s(w->child),
           w->record_count);
    finish(w, c, n);
}

/* AddressSanitizer keeps freed memory back and pads what is in use: no bound says anything there.
 */
#ifdef SALLYPORT_SANITIZERS
#define MEMORY_BELOW(kib, bound) ((kib) > 0)
#else
#define MEMORY_BELOW(kib, bound) ((kib) < (bound))
#endif

/* Without what it maps from files: such a page is its alone as soon as all others that had it have
 * ended. */
static unsigned long private_kib(pid_t pid)
{
    char path[64], line[200];
    unsigned long kib = 0, n;
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    FILE *f = fopen(path, "r");
    CHECK(f != NULL);
    while (fgets(line, sizeof line, f) != NULL)
        if (sscanf(line, "Private_Dirty: %lu", &n) == 1)
            kib += n;
    fclose(f);
    return kib;
}

void test_slow_reader(struct world *w)
{
    char expected[65], got[65];
    uint32_t n, m;
    unsigned long most = 0;
    local_digest(expected);
    w->slow_reader = true;
    struct channel *c = run(w, "(" MAKE ") | tee /dev/stderr", &n);
    UNTIL(w, c->out[0].bytes + c->out[1].bytes == RELAY_WINDOW);
    for (uint64_t until = clock_mono_ms() + 1500; clock_mono_ms() < until;) {
        world_turn(w, 20);
        unsigned long now = private_kib(w->child);
        most = now > most ? now : most;
    }
    /* A stalled channel does not hold up another. */
    struct channel *other = run(w, "echo here", &m);
    UNTIL(w, other->closed);
    w->slow_reader = false;
    while (!c->closed) {
        world_turn(w, 100);
        unsigned long now = private_kib(w->child);
        most = now > most ? now : most;
    }
    stream_hex(&c->out[0], got);
    CHECK(strcmp(got, expected) == 0);
    stream_hex(&c->out[1], got);
    CHECK(strcmp(got, expected) == 0);
    printf("slow reader: %lu KiB private at most\n", most);
    CHECK(MEMORY_BELOW(most, 8 * 1024));
    world_close(w, m);
    finish(w, c, n);
}

void test_memory(struct world *w)
{
    uint32_t n;
    struct channel *c = run(w, "cat", &n);
    printf("idle: %lu KiB private with one channel\n", private_kib(w->child));
    world_eof(w, n);
    UNTIL(w, c->closed);
    world_close(w, n);
    c = run(w, "head -c 20000000 /dev/zero", &n);
    UNTIL(w, c->closed);
    world_close(w, n);
    /* What it does not need any more it gives back when it is quiet. */
    UNTIL(w, MEMORY_BELOW(private_kib(w->child), 900));
    printf("idle after 20 MB: %lu KiB private\n", private_kib(w->child));
    world_bye(w);
}

void test_latency(struct world *w)
{
    uint32_t n;
    struct channel *c = run(w, "cat", &n);
    uint64_t from = clock_mono_ms();
    for (unsigned i = 1; i <= 2000; i++) {
        CHECK(world_input(w, n, "x", 1) == 1);
        while (c->out[0].bytes < i)
            world_turn(w, 50);
    }
    printf("echo %.0f us\n", (double)(clock_mono_ms() - from) / 2000 * 1000);
    world_eof(w, n);
    finish(w, c, n);
}
