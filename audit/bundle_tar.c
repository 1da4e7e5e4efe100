/* SPDX-License-Identifier: Apache-2.0
 *
 * A bundle as one file: uncompressed tar, POSIX.1-1988 ustar (pax(1), "ustar Interchange Format").
 * The bundle's names are short and its files below 8 GiB, which that format can say. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/bundle.h"

#define BLOCK 512u
/* What eleven octal digits say. */
#define SIZE_MAX_USTAR 077777777777ll

static int put(int out, const void *p, size_t len, struct err *e)
{
    const uint8_t *at = p;

    while (len > 0) {
        ssize_t n = write(out, at, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(e, "cannot write the tar file");
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

static int put_head(int out, const char *name, const struct stat *st, struct err *e)
{
    char block[BLOCK] = {0};
    unsigned sum = 0;
    bool directory = S_ISDIR(st->st_mode);

    if (strlen(name) > 99 || st->st_size > SIZE_MAX_USTAR)
        return err_set(e, ERR_INPUT, "%s is too long or too large for tar: export a directory",
                       name);
    memcpy(block, name, strlen(name));
    snprintf(block + 100, 8, "%07o", directory ? 0700 : 0600);
    snprintf(block + 108, 8, "%07o", 0);
    snprintf(block + 116, 8, "%07o", 0);
    snprintf(block + 124, 12, "%011llo", directory ? 0ull : (unsigned long long)st->st_size);
    snprintf(block + 136, 12, "%011llo", (unsigned long long)st->st_mtime);
    memset(block + 148, ' ', 8);
    block[156] = directory ? '5' : '0';
    memcpy(block + 257, "ustar\00000", 8);
    for (size_t i = 0; i < sizeof block; i++)
        sum += (uint8_t)block[i];
    snprintf(block + 148, 8, "%06o", sum);
    return put(out, block, sizeof block, e);
}

static int put_file(int dir, const char *file, const char *name, int out, struct err *e)
{
    static const char zero[BLOCK];
    int fd = openat(dir, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), r = 0;
    char block[65536];
    uint64_t all = 0;
    struct stat st;
    ssize_t n;

    if (fd < 0 || fstat(fd, &st) != 0)
        r = err_errno(e, "cannot read %s", file);
    if (r == 0)
        r = put_head(out, name, &st, e);
    while (r == 0 && (n = read(fd, block, sizeof block)) > 0) {
        all += (uint64_t)n;
        r = put(out, block, (size_t)n, e);
    }
    if (r == 0 && (n < 0 || all != (uint64_t)st.st_size))
        r = err_errno(e, "cannot read %s", file);
    if (r == 0 && all % BLOCK)
        r = put(out, zero, BLOCK - all % BLOCK, e);
    if (fd >= 0)
        close(fd);
    return r;
}

static int put_directory(int dir, const char *name, int out, unsigned depth, struct err *e)
{
    DIR *d = fdopendir(openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct dirent *entry;
    char path[256];
    struct stat st;
    int r = 0;

    if (!d || fstat(dir, &st) != 0)
        r = err_errno(e, "cannot read %s", name);
    snprintf(path, sizeof path, "%s/", name);
    if (r == 0)
        r = put_head(out, path, &st, e);
    while (r == 0 && (entry = readdir(d))) {
        if (entry->d_name[0] == '.')
            continue;
        if (snprintf(path, sizeof path, "%s/%s", name, entry->d_name) >= (int)sizeof path)
            r = err_set(e, ERR_INPUT, "%s is too long a name for tar", entry->d_name);
        else if (fstatat(dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            r = err_errno(e, "cannot read %s", entry->d_name);
        else if (S_ISDIR(st.st_mode) && depth < 2) {
            int below = openat(dir, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

            r = below < 0 ? err_errno(e, "cannot read %s", entry->d_name)
                          : put_directory(below, path, out, depth + 1, e);
            if (below >= 0)
                close(below);
        } else {
            r = put_file(dir, entry->d_name, path, out, e);
        }
    }
    if (d)
        closedir(d);
    return r;
}

int bundle_tar(int dir, const char *name, int out, struct err *e)
{
    static const char end[2 * BLOCK];
    int r = put_directory(dir, name, out, 0, e);

    if (r == 0)
        r = put(out, end, sizeof end, e);
    return r == 0 && fsync(out) != 0 ? err_errno(e, "cannot write the tar file") : r;
}
