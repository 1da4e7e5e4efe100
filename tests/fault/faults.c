/* SPDX-License-Identifier: Apache-2.0
 *
 * A library for tests alone (LD_PRELOAD): makes the nth call that writes to a disk fail, write
 * less, or take long. It is told what to do by a file of rules that it maps when it is loaded,
 * before the program confines itself: environment SALLYPORT_FAULTS names it,
 * tests/session/faults.py writes it while the program runs. Calls on descriptors 0 to 2, sockets
 * and pipes are let through. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* In the order of faults.py. SEGMENT: a write to a file with blocks ahead; the recorder bears with
 * it when a tile or a checkpoint finds no room. */
enum operation { WRITE, FDATASYNC, FSYNC, RENAME, FALLOCATE, FTRUNCATE, SEGMENT, OPERATIONS };
#define SEGMENT_BLOCKS 2048

/* Applies to calls nth to nth + count - 1 (counted from 1 since `seen` was set to 0). */
struct rule {
    uint64_t seen, nth, count;
    uint32_t error;    /* an errno; 0: the call is made */
    uint32_t delay_ms; /* before that */
    uint32_t most;     /* bytes of a write; 0: all */
    uint32_t zero;
};

static struct rule *rules;

__attribute__((constructor)) static void load(void)
{
    const char *path = getenv("SALLYPORT_FAULTS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *at = MAP_FAILED;

    if (fd >= 0) {
        at =
            mmap(NULL, sizeof(struct rule) * OPERATIONS, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
    }
    if (at == MAP_FAILED) {
        fprintf(stderr, "faults: no rules in %s\n", path ? path : "SALLYPORT_FAULTS");
        _exit(125);
    }
    rules = at;
}

static void *next(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);

    if (!found)
        abort();
    return found;
}

/* As long as the rule says, and no longer than it is there. */
static void delay(const struct rule *r)
{
    const uint32_t delay_ms = r->delay_ms;

    for (uint32_t waited = 0; waited < delay_ms; waited += 10) {
        if (__atomic_load_n(&r->nth, __ATOMIC_SEQ_CST) == 0)
            return;
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
}

/* The rule when this call is one that it is for, having waited; else NULL. */
static const struct rule *applies(enum operation o)
{
    struct rule *r = &rules[o];
    uint64_t seen = __atomic_add_fetch(&r->seen, 1, __ATOMIC_SEQ_CST);

    if (r->nth == 0 || seen < r->nth || seen >= r->nth + r->count)
        return NULL;
    delay(r);
    return r;
}

static int fails(enum operation o)
{
    const struct rule *r = applies(o);

    if (!r || !r->error)
        return 0;
    errno = (int)r->error;
    return 1;
}

ssize_t write(int fd, const void *p, size_t len)
{
    static ssize_t (*real)(int, const void *, size_t);
    const struct rule *r = NULL;
    struct stat st = {0};

    if (!real)
        real = (ssize_t(*)(int, const void *, size_t))next("write");
    if (fd > 2 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        r = applies(WRITE);
    if (!r && st.st_blocks >= SEGMENT_BLOCKS)
        r = applies(SEGMENT);
    if (r && r->most && len > r->most)
        len = r->most;
    /* A rule with both: the first call writes less, those after it fail. */
    if (r && r->error && !(r->most && r->seen == r->nth)) {
        errno = (int)r->error;
        return -1;
    }
    return real(fd, p, len);
}

int fdatasync(int fd)
{
    static int (*real)(int);

    if (!real)
        real = (int (*)(int))next("fdatasync");
    return fails(FDATASYNC) ? -1 : real(fd);
}

int fsync(int fd)
{
    static int (*real)(int);

    if (!real)
        real = (int (*)(int))next("fsync");
    return fails(FSYNC) ? -1 : real(fd);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    static int (*real)(int, const char *, int, const char *);

    if (!real)
        real = (int (*)(int, const char *, int, const char *))next("renameat");
    /* Tiles have names of their own. */
    return strcmp(to, "checkpoint") == 0 && fails(RENAME) ? -1 : real(from_dir, from, to_dir, to);
}

int fallocate(int fd, int mode, off_t offset, off_t len)
{
    static int (*real)(int, int, off_t, off_t);

    if (!real)
        real = (int (*)(int, int, off_t, off_t))next("fallocate");
    return fails(FALLOCATE) ? -1 : real(fd, mode, offset, len);
}

int ftruncate(int fd, off_t len)
{
    static int (*real)(int, off_t);

    if (!real)
        real = (int (*)(int, off_t))next("ftruncate");
    return fails(FTRUNCATE) ? -1 : real(fd, len);
}
