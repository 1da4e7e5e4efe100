/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes tiles: a new file, then its name. Runs in auditd and in `init`. */
#include "audit/tile_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/tiles.h"

#define NEW_FILE "tile/new"

static int make_parents(int dir, const char *path, struct err *e)
{
    char part[TILE_PATH_MAX];

    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        memcpy(part, path, (size_t)(slash - path));
        part[slash - path] = '\0';
        if (mkdirat(dir, part, 0700) < 0 && errno != EEXIST)
            return err_errno(e, "cannot make %s", part);
    }
    return 0;
}

static int write_new(int dir, const void *p, size_t len, struct err *e)
{
    int r = 0, failed,
        fd = openat(dir, NEW_FILE, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return err_errno(e, "cannot make %s", NEW_FILE);
    for (size_t done = 0; r == 0 && done < len;) {
        ssize_t n = write(fd, (const uint8_t *)p + done, len - done);

        if (n < 0 && errno != EINTR)
            r = err_errno(e, "cannot write %s", NEW_FILE);
        else if (n > 0)
            done += (size_t)n;
    }
    failed = errno;
    close(fd);
    if (r < 0)
        (void)unlinkat(dir, NEW_FILE, 0);
    errno = failed;
    return r;
}

int tile_file_write(int dir, int level, uint64_t n, unsigned width, const void *p, size_t len,
                    struct err *e)
{
    char path[TILE_PATH_MAX];
    int r;

    tile_path(path, level, n, width);
    r = write_new(dir, p, len, NULL);
    if (r < 0 && errno == ENOENT) {
        r = make_parents(dir, path, e);
        if (r < 0)
            return r;
        r = write_new(dir, p, len, e);
    } else if (r < 0) {
        return err_errno(e, "cannot write %s", path);
    }
    if (r < 0 || renameat(dir, NEW_FILE, dir, path) == 0)
        return r;
    if (errno != ENOENT)
        return err_errno(e, "cannot name %s", path);
    r = make_parents(dir, path, e);
    if (r == 0 && renameat(dir, NEW_FILE, dir, path) < 0)
        r = err_errno(e, "cannot name %s", path);
    return r;
}

bool tile_file_is_whole(int dir, int level, uint64_t n)
{
    char path[TILE_PATH_MAX];
    struct stat st;

    tile_path(path, level, n, TILE_WIDTH);
    return fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
           st.st_size == (off_t)(level == TILE_ENTRIES ? TILE_BUNDLE_BYTES : TILE_BYTES);
}

void tile_file_drop_partials(int dir, int level, uint64_t n)
{
    char path[TILE_PATH_MAX];
    struct dirent *entry;
    DIR *d;
    int fd;

    tile_path(path, level, n, 1);
    *strrchr(path, '/') = '\0';
    fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return; /* the usual case in a log that grows fast */
    d = fdopendir(fd);
    if (!d) {
        close(fd);
        return;
    }
    while ((entry = readdir(d)))
        if (entry->d_name[0] != '.')
            (void)unlinkat(fd, entry->d_name, 0);
    closedir(d);
    (void)unlinkat(dir, path, AT_REMOVEDIR);
}
