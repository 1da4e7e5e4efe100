/* SPDX-License-Identifier: Apache-2.0
 *
 * audit/witnessed_file.h. The file is replaced whole, by a rename, so that a crash leaves the one
 * before. Runs in auditd. */
#include "audit/witnessed_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "audit/checkpoint.h"
#include "audit/cosignature.h"

#define NEW CHECKPOINT_WITNESSED_FILE ".new"

static int replace(int dir, const struct buf *text, struct err *e)
{
    int r = 0, fd = openat(dir, NEW, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);

    if (fd < 0)
        return err_errno(e, "cannot make " NEW);
    /* A few hundred bytes to a plain file: all or nothing. */
    if (write(fd, buf_head(text), buf_len(text)) != (ssize_t)buf_len(text) || fdatasync(fd) < 0)
        r = err_errno(e, "cannot write " NEW);
    close(fd);
    if (r == 0 && (renameat(dir, NEW, dir, CHECKPOINT_WITNESSED_FILE) < 0 || fsync(dir) < 0))
        r = err_errno(e, "cannot rename " NEW);
    return r;
}

/* A note's text ends with its last line's newline, before the empty line. */
static size_t text_length(const char *note, size_t len)
{
    for (size_t i = 1; i < len; i++)
        if (note[i] == '\n' && note[i - 1] == '\n')
            return i;
    return 0;
}

int witnessed_file_add(int dir, const struct vkey *log, const struct vkey *const *others,
                       size_t count, uint64_t size, const struct buf *checkpoint, const char *line,
                       size_t line_len, struct err *e)
{
    const char *note = (const char *)buf_head(checkpoint);
    const size_t note_len = buf_len(checkpoint), text_len = text_length(note, note_len);
    const char *before_at;
    struct checkpoint old;
    struct buf text, before;
    struct err ignored = ERR_INIT;
    int r = 0;

    buf_init(&text, NOTE_MAX);
    buf_init(&before, NOTE_MAX);
    if (note_file_read(dir, CHECKPOINT_WITNESSED_FILE, &before, &ignored) < 0 ||
        checkpoint_open(&old, (const char *)buf_head(&before), buf_len(&before), log, &ignored) < 0)
        old.size = 0;
    if (old.size > size) /* a slower witness */
        goto out;
    before_at = (const char *)buf_head(&before);
    r = buf_put(&text, note, note_len);
    for (size_t i = 0; r == 0 && i < count && old.size == size; i++) {
        const char *kept;
        size_t kept_len;
        uint64_t time_s;

        if (buf_len(&before) < note_len || memcmp(before_at, note, note_len) != 0)
            break;
        if (cosignature_verify(note, text_len, before_at + note_len, buf_len(&before) - note_len,
                               others[i], &time_s, &kept, &kept_len, &ignored) == 0)
            r = buf_put(&text, kept, kept_len);
    }
    if (r == 0)
        r = buf_put(&text, line, line_len);
    r = r < 0 ? err_set(e, (enum err_code)r, "no memory") : replace(dir, &text, e);
out:
    buf_clear(&text);
    buf_clear(&before);
    return r;
}
