/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes beside, renames at the end (audit/export_output.h). */
#include "audit/export_output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/cli.h"

int export_output_open(struct export_output *o, const char *path, bool force, struct err *e)
{
    struct stat st;

    *o = (struct export_output){.fd = STDOUT_FILENO, .force = force};
    if (!path || strcmp(path, "-") == 0)
        return 0;
    if (!force && lstat(path, &st) == 0)
        return err_set(e, ERR_INPUT, "%s is there already; --force puts the export in its place",
                       path);
    o->path = cli_printf("%s", path);
    o->beside = cli_printf("%s.%ld.part", path, (long)getpid());
    o->fd = open(o->beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (o->fd < 0) {
        err_errno(e, "cannot make %s", o->beside);
        export_output_clear(o);
        return e->code;
    }
    return 0;
}

int export_output_write(struct export_output *o, struct buf *b, struct err *e)
{
    while (buf_len(b) > 0) {
        ssize_t n = write(o->fd, buf_head(b), buf_len(b));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EPIPE
                       ? err_set(e, ERR_CLOSED, "nobody reads any more")
                       : err_errno(e, "cannot write %s", o->path ? o->path : "the output");
        buf_consume(b, (size_t)n);
    }
    return 0;
}

int export_output_commit(struct export_output *o, struct err *e)
{
    if (!o->path)
        return 0;
    if (fsync(o->fd) != 0)
        return err_errno(e, "cannot write %s", o->path);
    if (renameat2(AT_FDCWD, o->beside, AT_FDCWD, o->path, o->force ? 0 : RENAME_NOREPLACE) != 0)
        return err_errno(e, "cannot name the export %s", o->path);
    free(o->beside);
    o->beside = NULL;
    return 0;
}

void export_output_clear(struct export_output *o)
{
    if (o->beside)
        unlink(o->beside);
    if (o->path && o->fd >= 0)
        close(o->fd);
    free(o->path);
    free(o->beside);
    *o = (struct export_output){.fd = -1};
}
