/* SPDX-License-Identifier: Apache-2.0
 *
 * Files that are open on one channel: what was read from and written to each of them, as runs of
 * bytes in order of arrival with their SHA-256, so that a file that was moved from its beginning to
 * its end has one run, whose digest is the file's. A file stays until its close and all that was
 * asked of it are answered. Runs in the backend. */
#include <stdlib.h>
#include <string.h>

#include "gateway/backend_sftp.h"

static void moved_clear(struct sftp_moved *m)
{
    sha256_clear(&m->digest);
    free(m->ranges);
}

void sftp_file_drop(struct sftp *s, struct sftp_file *f)
{
    for (size_t i = 0; i < SFTP_FILES_MAX; i++) {
        if (s->files[i] != f)
            continue;
        s->files[i] = NULL;
        s->file_count--;
        moved_clear(&f->read);
        moved_clear(&f->written);
        free(f->path);
        free(f);
        return;
    }
}

struct sftp_file *sftp_file_new(struct channel *ch, const char *path, bool folder, bool *full)
{
    struct sftp *s = ch->sftp;
    struct sftp_file *f;
    size_t i = 0;

    *full = s->file_count == SFTP_FILES_MAX;
    if (*full)
        return NULL;
    while (s->files[i] != NULL)
        i++;
    f = calloc(1, sizeof *f);
    if (f == NULL || (f->path = strdup(path)) == NULL) {
        free(f);
        sftp_memory_out(ch);
        return NULL;
    }
    f->folder = folder;
    s->files[i] = f;
    s->file_count++;
    return f;
}

struct sftp_file *sftp_file_find(struct sftp *s, struct bytes handle)
{
    for (size_t i = 0; i < SFTP_FILES_MAX; i++) {
        struct sftp_file *f = s->files[i];
        if (f != NULL && f->opened && !f->closing && f->handle_len == handle.len &&
            memcmp(f->handle, handle.p, handle.len) == 0)
            return f;
    }
    return NULL;
}

bool sftp_file_opened(struct sftp *s, struct sftp_file *f, struct bytes handle)
{
    if (handle.len == 0 || handle.len > sizeof f->handle || sftp_file_find(s, handle) != NULL)
        return false;
    memcpy(f->handle, handle.p, handle.len);
    f->handle_len = handle.len;
    f->opened = true;
    return true;
}

void sftp_moved_digest(const struct sftp_moved *m, uint8_t out[32])
{
    sha256_value(&m->digest, out);
}

void sftp_narrow(struct channel *ch)
{
    for (size_t i = 0; ch->sftp != NULL && i < SFTP_FILES_MAX; i++) {
        struct sftp_file *f = ch->sftp->files[i];
        if (f != NULL)
            f->access = narrow_files_access(ch->owner, f->path, strlen(f->path),
                                            FILE_READ | FILE_WRITE, NULL);
    }
}

/* The run that went on is over. */
static bool keep_run(struct sftp_moved *m)
{
    struct sftp_range *ranges;

    if (!m->running)
        return true;
    ranges = realloc(m->ranges, (m->count + 1) * sizeof *ranges);
    if (ranges == NULL)
        return false;
    m->ranges = ranges;
    ranges[m->count].from = m->from;
    ranges[m->count].to = m->to;
    sftp_moved_digest(m, ranges[m->count].sha256);
    m->count++;
    m->running = false;
    return true;
}

static bool begin_run(const struct backend *b, struct sftp_moved *m, uint64_t offset)
{
    if (!keep_run(m))
        return false;
    m->from = m->to = offset;
    if (m->count == SFTP_RANGES_MAX) {
        m->more++;
        return true;
    }
    m->along = 0;
    if (m->digest.md != NULL)
        sha256_restart(&m->digest);
    m->running = m->digest.md != NULL || sha256_init(&m->digest, b->sha256) == 0;
    return m->running;
}

/* A WRITE's data were hashed with what came before them when they were taken: that holds here when
 * what came before them is this run as it is, all of it. */
static bool take_along(struct sftp *s, struct sftp_moved *m, struct bytes data)
{
    uint64_t at = s->input_taken + (uint64_t)(data.p - buf_head(&s->input));
    const struct sftp_along *along = sftp_elided_along(s->elide_input, at);
    uint64_t before = m->along;

    m->along = 0;
    if (along == NULL || along->len != data.len || m->digest.ctx != NULL ||
        (along->before == 0 ? m->to != m->from : along->before != before))
        return false;
    m->digest = along->after;
    m->along = at;
    return true;
}

void sftp_file_moved(struct channel *ch, struct sftp_file *f, bool written, uint64_t offset,
                     struct bytes data)
{
    struct sftp_moved *m = written ? &f->written : &f->read;

    if (data.len == 0)
        return;
    if (((!m->running && m->more == 0) || offset != m->to) && !begin_run(ch->owner, m, offset)) {
        sftp_memory_out(ch);
        return;
    }
    if (m->running && !(written && take_along(ch->sftp, m, data)))
        sha256_update(&m->digest, data.p, data.len);
    m->to += data.len;
    m->bytes += data.len;
    if (ch->owner->granted.keep_max > m->kept) {
        uint64_t room = ch->owner->granted.keep_max - m->kept;
        if (data.len > room)
            data.len = (size_t)room;
        sftp_record_content(ch, f, written, offset, data);
        m->kept += data.len;
    }
}

void sftp_file_answered(struct channel *ch, struct sftp_file *f)
{
    if (!f->closed || f->pending > 0)
        return;
    sftp_record_closed(ch, f, "operator");
    sftp_file_drop(ch->sftp, f);
}
