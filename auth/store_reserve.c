/* SPDX-License-Identifier: Apache-2.0
 *
 * See auth/store_reserve.h. */
#include "auth/store_reserve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define AGAIN_MS 10000u
/* More than a transaction of the store adds to its log. */
#define TRANSACTION_BYTES (256u * 1024)

static bool fill(struct store_reserve *r)
{
    int rc = posix_fallocate(r->fd, 0, STORE_RESERVE_BYTES);

    r->again_ms = clock_mono_ms() + AGAIN_MS;
    r->full = rc == 0;
    /* A part of it would only be in the way of whoever needs the disk. */
    if (rc != 0 && ftruncate(r->fd, 0) < 0)
        log_warn("store-reserve", "errno=%d", errno);
    return r->full;
}

void store_reserve_open(struct store_reserve *r, const char *store_path)
{
    struct stat st;
    char path[512];

    r->full = false;
    r->again_ms = 0;
    snprintf(path, sizeof path, "%s" STORE_RESERVE_SUFFIX, store_path);
    r->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (r->fd < 0)
        log_warn("store-reserve", "errno=%d", errno);
    else if (fstat(r->fd, &st) == 0 && st.st_blocks * 512 >= STORE_RESERVE_BYTES)
        r->full = true;
    else if (!fill(r))
        log_warn("store-reserve", "error=\"there is no room for it\"");
}

void store_reserve_close(struct store_reserve *r)
{
    if (r->fd >= 0)
        close(r->fd);
    r->fd = -1;
}

bool store_reserve_is_needed(const struct store_reserve *r)
{
    struct statvfs v;

    return r->fd >= 0 && r->full && fstatvfs(r->fd, &v) == 0 &&
           (uint64_t)v.f_bavail * v.f_frsize < TRANSACTION_BYTES;
}

bool store_reserve_give(struct store_reserve *r)
{
    if (r->fd < 0 || !r->full || ftruncate(r->fd, 0) < 0)
        return false;
    r->full = false;
    r->again_ms = clock_mono_ms() + AGAIN_MS;
    log_error("store-full", "error=\"the disk of the state store is full: its reserve is used\"");
    return true;
}

void store_reserve_refill(struct store_reserve *r)
{
    if (r->fd >= 0 && !r->full && clock_mono_ms() >= r->again_ms && fill(r))
        log_info("store-reserve", "filled=1");
}
