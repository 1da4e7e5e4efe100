/* SPDX-License-Identifier: Apache-2.0
 *
 * FILE records: what was asked for, refused, answered, and what moved (docs/FORMAT.md, "Files").
 * Runs in the backend; the words in them are the operator's and the target's, and sealed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/backend_sftp.h"

/* Results in one record: some 60 bytes each. */
#define RESULTS_MAX 500u
/* u64 n, u8 direction, u64 offset */
#define CONTENT_HEAD 17u
/* Words of a path where there is no room for all of it. */
#define CUT_MAX 1000u

static bool sent(struct channel *ch, struct json_record *r, enum trail_want want)
{
    return record_end(ch->owner, r, RECORD_FILE, ch->id, want, NULL) == 0;
}

static void put_flags(struct json_out *j, uint32_t flags)
{
    static const char *const names[] = {"read", "write", "append", "creat", "trunc", "excl"};

    json_open_array(j, "flags");
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        if (flags & 1u << i)
            json_str(j, NULL, names[i]);
    json_close(j);
}

static void put_attrs(struct json_out *j, const struct sftp_attrs *a)
{
    char mode[16];

    json_open_object(j, "attrs");
    if (a->flags & SFTP_ATTR_SIZE)
        json_u64(j, "size", a->size);
    if (a->flags & SFTP_ATTR_UIDGID) {
        json_u64(j, "uid", a->uid);
        json_u64(j, "gid", a->gid);
    }
    if (a->flags & SFTP_ATTR_PERMISSIONS) {
        snprintf(mode, sizeof mode, "%04o", a->permissions);
        json_str(j, "mode", mode);
    }
    if (a->flags & SFTP_ATTR_TIMES) {
        json_u64(j, "atime", a->atime);
        json_u64(j, "mtime", a->mtime);
    }
    json_close(j);
}

static void put_path(struct json_out *j, const char *name, const char *asked_name, const char *path,
                     struct bytes asked)
{
    if (path != NULL)
        json_bytes(j, name, path, strlen(path));
    if (asked.p != NULL &&
        (path == NULL || asked.len != strlen(path) || memcmp(asked.p, path, asked.len) != 0))
        json_bytes(j, asked_name, asked.p, asked.len);
}

bool sftp_record_request(struct channel *ch, const struct sftp_request *r,
                         const struct sftp_paths *paths, uint64_t *n)
{
    char name[64];
    struct json_record rec;

    record_begin(&rec);
    json_str(&rec.json, "event", "request");
    json_u64(&rec.json, "n", ch->sftp->next_n);
    json_str(&rec.json, "op", sftp_operation_name(r, name));
    put_path(&rec.json, "path", "asked", paths->path, r->path);
    if (r->type == SFTP_SYMLINK)
        json_bytes(&rec.json, "to", r->to.p, r->to.len);
    else
        put_path(&rec.json, "to", "asked_to", paths->to, r->to);
    if (r->type == SFTP_OPEN)
        put_flags(&rec.json, r->pflags);
    if (r->attrs.flags != 0)
        put_attrs(&rec.json, &r->attrs);
    if (r->type == SFTP_EXTENDED && r->extension == SFTP_EXT_COPY_DATA) {
        json_u64(&rec.json, "from", r->offset);
        json_u64(&rec.json, "bytes", r->copy_bytes);
        json_u64(&rec.json, "to_offset", r->to_offset);
    }
    if (paths->rule[0] != '\0')
        json_str(&rec.json, "rule", paths->rule);
    *n = ch->sftp->next_n;
    if (!sent(ch, &rec, WANT_DURABLE))
        return false;
    ch->sftp->next_n++;
    return true;
}

void sftp_record_refused(struct channel *ch, const struct sftp_request *r, const char *path,
                         const char *why, const char *text)
{
    struct bytes asked = r != NULL ? r->path : (struct bytes){0};
    struct json_record rec;
    char name[64];

    /* A path that no record has room for is in the input record. */
    if (asked.len > CUT_MAX)
        asked.len = CUT_MAX;
    record_begin(&rec);
    json_str(&rec.json, "event", "refused");
    json_u64(&rec.json, "n", ch->sftp->next_n++);
    if (r != NULL)
        json_str(&rec.json, "op", sftp_operation_name(r, name));
    put_path(&rec.json, "path", "asked", path, asked);
    if (r != NULL && r->to.p != NULL)
        json_bytes(&rec.json, "asked_to", r->to.p, r->to.len > CUT_MAX ? CUT_MAX : r->to.len);
    json_str(&rec.json, "why", why);
    json_bytes(&rec.json, "text", text, strlen(text));
    if (sent(ch, &rec, WANT_DURABLE))
        record_refused(ch->owner, ch->id, "file", why, 0);
}

void sftp_record_result(struct channel *ch, uint64_t n, uint32_t status)
{
    struct sftp *s = ch->sftp;
    struct json_out *j = &s->results.json;
    char name[24];

    if (s->result_count == 0) {
        record_begin(&s->results);
        json_str(j, "event", "results");
        json_open_array(j, "results");
    }
    json_open_object(j, NULL);
    json_u64(j, "n", n);
    json_str(j, "status", status == SFTP_FX_OK ? "ok" : sftp_status_name(status, name));
    json_close(j);
    if (++s->result_count == RESULTS_MAX)
        sftp_record_results(ch);
}

void sftp_record_results(struct channel *ch)
{
    struct sftp *s = ch->sftp;

    if (s->result_count == 0)
        return;
    s->result_count = 0;
    json_close(&s->results.json);
    (void)sent(ch, &s->results, ch->owner->output_want);
}

static void put_range(struct json_out *j, uint64_t from, uint64_t to, const uint8_t sha256[32])
{
    json_open_object(j, NULL);
    json_u64(j, "from", from);
    json_u64(j, "to", to);
    json_hex(j, "sha256", sha256, 32);
    json_close(j);
}

static void put_moved(struct channel *ch, struct json_out *j, const char *name,
                      const struct sftp_moved *m)
{
    uint8_t sha256[32];

    json_open_object(j, name);
    json_u64(j, "bytes", m->bytes);
    if (m->failed > 0)
        json_u64(j, "failed", m->failed);
    json_open_array(j, "ranges");
    for (unsigned i = 0; i < m->count; i++)
        put_range(j, m->ranges[i].from, m->ranges[i].to, m->ranges[i].sha256);
    if (m->running) {
        sftp_moved_digest(m, sha256);
        put_range(j, m->from, m->to, sha256);
    }
    json_close(j);
    if (m->more > 0)
        json_u64(j, "more", m->more);
    if (ch->owner->granted.keep_max > 0)
        json_u64(j, "kept", m->kept);
    json_close(j);
}

void sftp_record_closed(struct channel *ch, struct sftp_file *f, const char *by)
{
    struct json_record rec;
    char name[24];

    sftp_record_results(ch); /* in the order in which it happened */
    record_begin(&rec);
    json_str(&rec.json, "event", "closed");
    json_u64(&rec.json, "n", f->n);
    json_bytes(&rec.json, "path", f->path, strlen(f->path));
    if (f->closed)
        json_str(&rec.json, "status",
                 f->status == SFTP_FX_OK ? "ok" : sftp_status_name(f->status, name));
    json_str(&rec.json, "by", by);
    if (f->folder) {
        json_u64(&rec.json, "entries", f->entries);
    } else {
        if (f->pflags & SFTP_OPEN_READ || f->read.bytes > 0)
            put_moved(ch, &rec.json, "read", &f->read);
        if (f->pflags & (SFTP_OPEN_WRITE | SFTP_OPEN_APPEND))
            put_moved(ch, &rec.json, "written", &f->written);
    }
    (void)sent(ch, &rec, ch->owner->output_want);
}

void sftp_record_content(struct channel *ch, const struct sftp_file *f, bool written,
                         uint64_t offset, struct bytes data)
{
    enum trail_want want = written ? WANT_DURABLE : ch->owner->output_want;
    struct buf payload;

    buf_init(&payload, RELAY_CHUNK);
    while (data.len > 0) {
        size_t n = data.len < RELAY_CHUNK - CONTENT_HEAD ? data.len : RELAY_CHUNK - CONTENT_HEAD;
        uint8_t *p = buf_reserve(&payload, CONTENT_HEAD + n);
        if (p == NULL) {
            sftp_memory_out(ch);
            break;
        }
        wire_store_u64(p, f->n);
        p[8] = written ? 2 : 1;
        wire_store_u64(p + 9, offset);
        memcpy(p + CONTENT_HEAD, data.p, n);
        buf_commit(&payload, CONTENT_HEAD + n);
        if (record_bytes(ch->owner, RECORD_FILE_CONTENT, ch->id, want, buf_head(&payload),
                         buf_len(&payload), NULL) != 0)
            break;
        buf_consume(&payload, CONTENT_HEAD + n);
        offset += n;
        data.p += n;
        data.len -= n;
    }
    buf_clear(&payload);
}
