/* SPDX-License-Identifier: Apache-2.0
 *
 * Secrets (base/secret.h). Each has pages of its own: locked, not dumped, wiped in forked children.
 * The length and bookkeeping lie outside them. Runs in the processes that hold secrets. */
#include "base/secret.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

struct secret {
    uint8_t *bytes;
    size_t len;
    size_t mapped;
    pid_t owner; /* in any other process the pages read as zeroes: never a key */
};

#define PAGE 4096u

void wipe(void *p, size_t len)
{
    if (p && len)
        explicit_bzero(p, len);
}

void wipe_free(void *p)
{
    if (p)
        explicit_bzero(p, malloc_usable_size(p));
    free(p);
}

struct secret *secret_new(size_t len)
{
    struct secret *s;

    if (len > SIZE_MAX - PAGE)
        return NULL;
    s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->len = len;
    s->mapped = len ? (len + PAGE - 1) / PAGE * PAGE : PAGE;
    s->owner = getpid();
    s->bytes = mmap(NULL, s->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (s->bytes == MAP_FAILED) {
        free(s);
        return NULL;
    }
    if (mlock(s->bytes, s->mapped) || madvise(s->bytes, s->mapped, MADV_DONTDUMP) ||
        madvise(s->bytes, s->mapped, MADV_WIPEONFORK)) {
        munmap(s->bytes, s->mapped);
        free(s);
        return NULL;
    }
    return s;
}

struct secret *secret_copy(const void *bytes, size_t len)
{
    struct secret *s = secret_new(len);

    if (s && len)
        memcpy(s->bytes, bytes, len);
    return s;
}

struct secret *secret_random(size_t len)
{
    struct secret *s = secret_new(len);
    size_t done = 0;

    while (s && done < len) {
        ssize_t n = getrandom(s->bytes + done, len - done, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            secret_free(s);
            return NULL;
        }
        done += (size_t)n;
    }
    return s;
}

struct secret *secret_read(int fd, size_t max, struct err *e)
{
    struct secret *all = NULL, *out = NULL;
    size_t done = 0;

    if (max == SIZE_MAX || !(all = secret_new(max + 1))) {
        err_set(e, ERR_MEMORY, "no locked memory for a secret");
        goto out;
    }
    while (done < all->len) {
        ssize_t n = pread(fd, all->bytes + done, all->len - done, (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            err_errno(e, "a secret cannot be read");
            goto out;
        }
        if (n == 0)
            break;
        done += (size_t)n;
    }
    if (done > max) {
        err_set(e, ERR_INPUT, "a secret is longer than %zu bytes", max);
        goto out;
    }
    out = secret_copy(all->bytes, done);
    if (!out)
        err_set(e, ERR_MEMORY, "no locked memory for a secret");
out:
    secret_free(all);
    return out;
}

void secret_free(struct secret *s)
{
    if (!s)
        return;
    wipe(s->bytes, s->mapped);
    munmap(s->bytes, s->mapped);
    free(s);
}

uint8_t *secret_bytes(struct secret *s)
{
    INVARIANT(s->owner == getpid());
    return s->bytes;
}

const uint8_t *secret_view(const struct secret *s)
{
    INVARIANT(s->owner == getpid());
    return s->bytes;
}

size_t secret_len(const struct secret *s)
{
    return s->len;
}

bool secret_equal(const struct secret *a, const void *bytes, size_t len)
{
    const volatile uint8_t *x = secret_view(a), *y = bytes;
    volatile uint8_t differs = 0;

    if (a->len != len)
        return false;
    for (size_t i = 0; i < len; i++)
        differs = (uint8_t)(differs | (x[i] ^ y[i]));
    return differs == 0;
}

int secret_process_protect(struct err *e)
{
    const struct rlimit none = {0, 0};

    if (setrlimit(RLIMIT_CORE, &none))
        return err_errno(e, "setrlimit(RLIMIT_CORE)");
#ifdef SALLYPORT_SANITIZERS /* the leak checker traces its own process */
    const unsigned long dumpable = 1;
#else
    const unsigned long dumpable = 0;
#endif
    if (prctl(PR_SET_DUMPABLE, dumpable, 0, 0, 0))
        return err_errno(e, "prctl(PR_SET_DUMPABLE)");
    return 0;
}
