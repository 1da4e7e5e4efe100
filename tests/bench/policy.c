/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_policy: a set of the largest size that is promised (10,000 roles, 100,000 targets, 50,000
 * operators), made from a fixed seed: how long it takes to load, how much memory, and how long
 * decisions take, of anybody and of one operator with very many roles. Loading in CPU time, because
 * the machine may have other work.
 *
 *     bench_policy [--tenth] [--decisions N] [--generate DIR]
 *
 * --generate writes the set as files into the empty directory DIR, for the tools. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "policy/bundle.h"
#include "policy/policy.h"

#define GROUPS 2000
#define SITES  50
#define TEAMS  200

static size_t role_count = 10000, target_count = 100000, operator_count = 50000;
static uint64_t state = 0x5a11f0a7c0ffee11; /* the seed of everything */

static uint32_t pick(uint32_t count)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((state >> 33) % count);
}

#define PICK(list) list[pick(sizeof list / sizeof *list)]

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "bench_policy: %s\n", what);
    exit(2);
}

struct text {
    char *p;
    size_t len, cap;
};

static void put(struct text *t, const char *format, ...) PRINTF_LIKE(2, 3);

static void put(struct text *t, const char *format, ...)
{
    va_list args;

    if (t->cap - t->len < 4096) {
        t->cap = t->cap ? t->cap * 2 : 65536;
        t->p = realloc(t->p, t->cap);
        if (!t->p)
            die("out of memory");
    }
    va_start(args, format);
    t->len += (size_t)vsnprintf(t->p + t->len, t->cap - t->len, format, args);
    va_end(args);
}

static void put_key(struct text *t)
{
    uint8_t blob[51] = {0,   0,   0,   11,  's', 's', 'h', '-', 'e', 'd',
                        '2', '5', '5', '1', '9', 0,   0,   0,   32};
    unsigned char base64[80];

    for (size_t i = 19; i < sizeof blob; i++)
        blob[i] = (uint8_t)pick(256);
    EVP_EncodeBlock(base64, blob, sizeof blob);
    put(t, "ssh-ed25519 %s", (const char *)base64);
}

static void make_operators(struct text *t)
{
    put(t, "operators:\n");
    for (size_t i = 0; i < operator_count; i++) {
        put(t, "  op%zu: {name: \"Operator %zu\", keys: [\"", i, i);
        put_key(t);
        put(t, " op%zu@desk\"], groups: [g%u, g%u, g%u%s]}\n", i, pick(GROUPS / 4),
            GROUPS / 4 + pick(GROUPS / 4), GROUPS / 2 + pick(GROUPS / 2), i ? "" : ", everywhere");
    }
}

static void make_targets(struct text *t)
{
    static const char *const env[] = {"prod", "stage", "test", "lab"};
    static const char *const kind[] = {"libvirt", "proxmox", "xen", "esxi", "hyperv"};

    put(t, "targets:\n");
    for (size_t i = 0; i < target_count; i++) {
        put(t,
            "  hv%zu: {address: 10.%zu.%zu.%zu, labels: {env: %s, kind: %s, site: s%u, team: t%u}, "
            "host-keys: [\"",
            i, i >> 16 & 255, i >> 8 & 255, i & 255, PICK(env), PICK(kind), pick(SITES),
            pick(TEAMS));
        put_key(t);
        put(t, "\"]}\n");
    }
}

static void make_selector(struct text *t)
{
    static const char *const env[] = {"prod", "stage", "test", "lab"};
    static const char *const kind[] = {"libvirt", "proxmox", "xen", "esxi", "hyperv"};

    switch (pick(5)) {
    case 0:
        put(t, "{env: %s, site: s%u}", PICK(env), pick(SITES));
        break;
    case 1:
        put(t, "{kind: [%s, %s], team: t%u}", kind[pick(2)], kind[2 + pick(3)], pick(TEAMS));
        break;
    case 2:
        put(t, "{env: [prod, stage], kind: %s, site: [s%u, s%u]}", PICK(kind), pick(SITES / 2),
            SITES / 2 + pick(SITES / 2));
        break;
    case 3:
        put(t, "{name: [hv%u, hv%u, hv%u]}", pick((uint32_t)target_count),
            pick((uint32_t)target_count), pick((uint32_t)target_count));
        break;
    default:
        put(t, "{team: [t%u, t%u, t%u]}", pick(TEAMS / 2), TEAMS / 2 + pick(TEAMS / 4),
            TEAMS * 3 / 4 + pick(TEAMS / 4));
    }
}

static void make_role(struct text *t, size_t i)
{
    t->len = 0;
    put(t, "# Generated.\nrole: r%05zu\ndescription: Role %zu of the bench\nmembers: [", i, i);
    if (i % 5 == 0)
        put(t, "group:everywhere, ");
    put(t, "group:g%u, group:g%u, op%u, op%u]\ntargets: ", pick(GROUPS / 2),
        GROUPS / 2 + pick(GROUPS / 2), pick((uint32_t)operator_count / 2),
        (uint32_t)operator_count / 2 + pick((uint32_t)operator_count / 2));
    make_selector(t);
    put(t, "\naccounts: [root%s]\n", pick(3) ? "" : ", libvirt");
    if (pick(2))
        put(t, "from: [10.0.0.0/8, \"2001:db8:%x::/48\"]\n", pick(65536));
    if (!pick(4))
        put(t, "when: [\"Mon-Fri 06:00-22:00 %s\"]\n", pick(2) ? "Europe/Berlin" : "Asia/Seoul");
    put(t, "remember: 8h\nallow:\n  exec: true\n");
    if (!pick(3))
        put(t, "  sftp: {read: [\"/var/log/**\"], write: [\"/var/tmp/u%zu/**\"]}\n", i);
    put(t,
        "programs: {virsh: /usr/bin/virsh}\ncommands:\n"
        "  - allow: \"virsh list --all\"\n  - allow: \"virsh dominfo vm%u\"\n"
        "  - allow: \"virsh start vm%u\"\n  - allow: \"/usr/bin/uptime\"\n"
        "session: {idle: 15m, max: 8h, record: strict}\n",
        pick(1000), pick(1000));
}

/* A file goes into the block, or below dir. */
static void take(struct buf *block, int dir, const char *name, const char *p, size_t len)
{
    if (dir >= 0) {
        int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (fd < 0 || write(fd, p, len) != (ssize_t)len || close(fd) < 0)
            die(strerror(errno));
        return;
    }
    uint8_t *out = buf_reserve(block, 6 + strlen(name) + len);
    if (!out)
        die("out of memory");
    wire_store_u16(out, (uint16_t)strlen(name));
    memcpy(out + 2, name, strlen(name));
    wire_store_u32(out + 2 + strlen(name), (uint32_t)len);
    memcpy(out + 6 + strlen(name), p, len);
    buf_commit(block, 6 + strlen(name) + len);
}

static void take_zone(struct buf *block, const char *name)
{
    char path[200], bytes[8192];

    snprintf(path, sizeof path, "/usr/share/%s", name);
    FILE *f = fopen(path, "r");
    if (!f)
        die(path);
    take(block, -1, name, bytes, fread(bytes, 1, sizeof bytes, f));
    fclose(f);
}

static void make_set(struct buf *block, int dir)
{
    struct text t = {0};
    char name[64];

    make_operators(&t);
    take(block, dir, "operators.yaml", t.p, t.len);
    for (size_t i = 0; i < role_count; i++) {
        make_role(&t, i);
        snprintf(name, sizeof name, "roles.d/r%05zu.yaml", i);
        take(block, dir, name, t.p, t.len);
    }
    t.len = 0;
    make_targets(&t);
    take(block, dir, "targets.yaml", t.p, t.len);
    free(t.p);
    if (dir < 0) {
        take_zone(block, "zoneinfo/Asia/Seoul");
        take_zone(block, "zoneinfo/Europe/Berlin");
    }
}

static double cpu_s(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static double peak_mib(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_maxrss / 1024;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* Each with another operator and target, so that nothing is in the caches. */
static void decisions(const struct policy *p, size_t count, bool heavy)
{
    double *took = calloc(count, sizeof *took);
    size_t allowed = 0, rules = 0;

    if (!took)
        die("out of memory");
    for (size_t i = 0; i < count; i++) {
        char who[OPERATOR_NAME_MAX + 1], where[TARGET_NAME_MAX + 1];
        struct policy_request r = {.operator_name = who,
                                   .target = where,
                                   .account = "root",
                                   .now_s = 1772323200 + pick(7 * 86400),
                                   .factors = FACTOR_KEY | FACTOR_TOTP};
        /* Copies: a request's names were just read from a connection. */
        strcpy(who, policy_operator_at(p, heavy ? 0 : pick((uint32_t)operator_count))->name);
        snprintf(where, sizeof where, "hv%u", pick((uint32_t)target_count));
        struct policy_decision d;
        struct timespec a, b;
        if (address_parse("10.1.2.3", &r.source, NULL) < 0)
            die("address");
        clock_gettime(CLOCK_MONOTONIC, &a);
        if (policy_decide(p, &r, &d, NULL) < 0)
            die("decision");
        clock_gettime(CLOCK_MONOTONIC, &b);
        took[i] = (double)(b.tv_sec - a.tv_sec) * 1e6 + (double)(b.tv_nsec - a.tv_nsec) / 1e3;
        allowed += d.allowed;
        rules += d.rules != NULL;
        policy_decision_clear(&d);
    }
    qsort(took, count, sizeof *took, by_value);
    printf("%s: %zu decisions, %.1f%% allowed, us: p50 %.2f, p90 %.2f, p99 %.2f, p99.9 %.2f, most "
           "%.1f\n",
           heavy ? "one operator with many roles" : "anybody", count,
           100.0 * (double)allowed / (double)count, took[count / 2], took[count * 9 / 10],
           took[count * 99 / 100], took[count * 999 / 1000], took[count - 1]);
    free(took);
}

static void generate(const char *path)
{
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (dir < 0 || mkdirat(dir, "roles.d", 0755) < 0)
        die(strerror(errno));
    make_set(NULL, dir);
    close(dir);
}

int main(int argc, char **argv)
{
    size_t count = 100000;
    struct err e = ERR_INIT;
    struct buf block;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--tenth") == 0) {
            role_count /= 10;
            target_count /= 10;
            operator_count /= 10;
        } else if (strcmp(argv[i], "--decisions") == 0 && i + 1 < argc) {
            count = strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--generate") == 0 && i + 1 < argc) {
            generate(argv[++i]);
            return 0;
        } else {
            die("usage: bench_policy [--tenth] [--decisions N] [--generate DIR]");
        }
    }
    if (!count)
        die("--decisions: expected a number");
    buf_init(&block, BUNDLE_MAX);
    make_set(&block, -1);
    printf("%zu roles, %zu targets, %zu operators: %.1f MiB of files\n", role_count, target_count,
           operator_count, (double)buf_len(&block) / 1048576);
    const double before = peak_mib(), start = cpu_s();
    struct policy *p = policy_load(buf_head(&block), buf_len(&block), NULL, &e);
    const double took = cpu_s() - start;
    if (!p)
        die(e.text);
    printf("load: %.2f s of CPU, peak memory %.0f MiB (%.0f before, with the files)\n", took,
           peak_mib(), before);
    decisions(p, count, false);
    decisions(p, count / 10 + 1, true);
    policy_free(p);
    buf_clear(&block);
    return 0;
}
