/* SPDX-License-Identifier: Apache-2.0
 *
 * The operator's SFTP requests, one by one in the order in which they came: what each of them
 * needs, whether it is permitted, under which id of our own it goes to the target. A refusal is
 * recorded and answered here, and the channel goes on. Runs in the backend; the requests are
 * hostile. */
#include <stdio.h>
#include <string.h>

#include "gateway/backend_sftp.h"

/* Which request needs what. A symlink's end is followed by those that open what is there. */
static const struct sftp_operation operations[] = {
    [SFTP_OPEN] = {SFTP_NEEDS_FLAGS, true, false, SFTP_HANDLE},
    [SFTP_CLOSE] = {SFTP_NEEDS_NOTHING, false, true, SFTP_STATUS},
    [SFTP_READ] = {SFTP_NEEDS_NOTHING, false, true, SFTP_DATA},
    [SFTP_WRITE] = {SFTP_NEEDS_NOTHING, false, true, SFTP_STATUS},
    [SFTP_LSTAT] = {SFTP_NEEDS_SIGHT, false, false, SFTP_ATTRS},
    [SFTP_FSTAT] = {SFTP_NEEDS_NOTHING, false, true, SFTP_ATTRS},
    [SFTP_SETSTAT] = {SFTP_NEEDS_WRITE, true, false, SFTP_STATUS},
    [SFTP_FSETSTAT] = {SFTP_NEEDS_WRITE, false, true, SFTP_STATUS},
    [SFTP_OPENDIR] = {SFTP_NEEDS_READ, true, false, SFTP_HANDLE},
    [SFTP_READDIR] = {SFTP_NEEDS_NOTHING, false, true, SFTP_NAME},
    [SFTP_REMOVE] = {SFTP_NEEDS_WRITE, false, false, SFTP_STATUS},
    [SFTP_MKDIR] = {SFTP_NEEDS_WRITE, false, false, SFTP_STATUS},
    [SFTP_RMDIR] = {SFTP_NEEDS_WRITE, false, false, SFTP_STATUS},
    [SFTP_REALPATH] = {SFTP_NEEDS_SIGHT, true, false, SFTP_NAME},
    [SFTP_STAT] = {SFTP_NEEDS_SIGHT, true, false, SFTP_ATTRS},
    [SFTP_RENAME] = {SFTP_NEEDS_WRITE, false, false, SFTP_STATUS},
    [SFTP_READLINK] = {SFTP_NEEDS_READ, false, false, SFTP_NAME},
    [SFTP_SYMLINK] = {SFTP_NEEDS_WRITE, false, false, SFTP_STATUS},
};

static const struct sftp_operation extensions[SFTP_EXTENSIONS] = {
    [SFTP_EXT_NONE] = {SFTP_UNKNOWN, false, false, SFTP_STATUS},
    [SFTP_EXT_POSIX_RENAME] = {SFTP_NEEDS_WRITE, false, false, SFTP_STATUS},
    [SFTP_EXT_HARDLINK] = {SFTP_NEEDS_WRITE, false, false, SFTP_STATUS},
    [SFTP_EXT_STATVFS] = {SFTP_NEEDS_SIGHT, true, false, SFTP_EXTENDED_REPLY},
    [SFTP_EXT_FSTATVFS] = {SFTP_NEEDS_NOTHING, false, true, SFTP_EXTENDED_REPLY},
    [SFTP_EXT_FSYNC] = {SFTP_NEEDS_NOTHING, false, true, SFTP_STATUS},
    [SFTP_EXT_LSETSTAT] = {SFTP_NEEDS_WRITE, false, false, SFTP_STATUS},
    [SFTP_EXT_LIMITS] = {SFTP_NEEDS_NOTHING, false, false, SFTP_EXTENDED_REPLY},
    [SFTP_EXT_EXPAND_PATH] = {SFTP_NEEDS_SIGHT, true, false, SFTP_NAME},
    [SFTP_EXT_COPY_DATA] = {SFTP_NEEDS_NOTHING, false, true, SFTP_STATUS},
    [SFTP_EXT_HOME_DIRECTORY] = {SFTP_NEEDS_ALL, false, false, SFTP_NAME},
    [SFTP_EXT_USERS_GROUPS] = {SFTP_NEEDS_NOTHING, false, false, SFTP_EXTENDED_REPLY},
};

const struct sftp_operation *sftp_operation(const struct sftp_request *r)
{
    if (r->type == SFTP_EXTENDED)
        return &extensions[r->extension];
    INVARIANT(r->type < sizeof operations / sizeof operations[0]);
    return &operations[r->type];
}

/* --- ids of our own */

struct sftp_pending *sftp_pending_new(struct sftp *s)
{
    if (s->pending_count == SFTP_PENDING_MAX)
        return NULL;
    while (s->pending[s->next_id % SFTP_PENDING_MAX].used)
        s->next_id++;
    struct sftp_pending *p = &s->pending[s->next_id % SFTP_PENDING_MAX];
    *p = (struct sftp_pending){.used = true, .id = s->next_id++};
    s->pending_count++;
    return p;
}

void sftp_pending_free(struct sftp *s, struct sftp_pending *p)
{
    p->used = false;
    s->pending_count--;
}

/* --- refusals */

/* Most clients show no more than "Permission denied" of a status: its text goes to stderr as well,
 * once where a client asks several times, and no more often than an operator would read. */
static void tell(struct channel *ch, const char *text)
{
    struct sftp *s = ch->sftp;

    if (s->told == SFTP_TOLD_MAX || strcmp(text, s->last_told) == 0)
        return;
    snprintf(s->last_told, sizeof s->last_told, "%s", text);
    relay_notice_text(ch->owner, ch->id, text);
    if (++s->told == SFTP_TOLD_MAX)
        relay_notice_text(ch->owner, ch->id, "further refusals are recorded and not shown here");
}

static bool refuse(struct channel *ch, const struct sftp_request *r, const char *path,
                   uint32_t status, const char *why, const char *text)
{
    sftp_record_refused(ch, r, path, why, text);
    if (status == SFTP_FX_PERMISSION_DENIED)
        tell(ch, text);
    (void)sftp_send_status(ch, r->id, status, text);
    return true;
}

static bool stop(struct channel *ch, const struct sftp_request *r, const char *why,
                 const char *text)
{
    sftp_record_refused(ch, r, NULL, why, text);
    sftp_stop(ch, text);
    return true;
}

/* Not understood. What has an id is answered; after what has not, no packet can be trusted. */
static bool not_understood(struct channel *ch, const uint8_t *packet, size_t len, int rc,
                           const struct err *e)
{
    struct sftp_request r = {.type = packet[0]};
    char text[400];

    if (rc == ERR_INPUT && len >= 5) {
        r.id = wire_load_u32(packet + 1);
        return refuse(ch, &r, NULL, SFTP_FX_OP_UNSUPPORTED, "form",
                      "the gateway does not know this type of request");
    }
    snprintf(text, sizeof text, "a malformed SFTP request, so the channel was closed: %.250s",
             e->text);
    return stop(ch, &r, "form", text);
}

/* --- the beginning */

static bool begin(struct channel *ch, const struct sftp_request *r)
{
    struct sftp_request init = {.type = SFTP_INIT, .id = SFTP_VERSION};

    if (r->type != SFTP_INIT)
        return stop(ch, r, "version", "the SFTP client did not begin with its version");
    if (r->id < SFTP_VERSION)
        return stop(ch, r, "version", "the gateway speaks version 3 of SFTP");
    ch->sftp->stage = SFTP_STARTED;
    (void)sftp_send_request(ch, &init);
    return true;
}

/* --- to the target */

static struct sftp_pending *pass_on(struct channel *ch, struct sftp_request *r, struct sftp_file *f)
{
    struct sftp_pending *p = sftp_pending_new(ch->sftp);

    INVARIANT(p != NULL); /* may_judge left two */
    p->client_id = r->id;
    p->type = r->type;
    p->extension = r->extension;
    p->answer = sftp_operation(r)->answer;
    p->offset = r->offset;
    p->length = r->type == SFTP_WRITE ? (uint32_t)r->data.len : r->length;
    p->file = f;
    if (f != NULL)
        f->pending++;
    r->id = p->id;
    (void)sftp_send_request(ch, r);
    return p;
}

static bool unknown_handle(struct channel *ch, const struct sftp_request *r)
{
    return refuse(ch, r, NULL, SFTP_FX_FAILURE, "handle", "no file is open under this handle");
}

static bool no_write(struct channel *ch, const struct sftp_request *r, const struct sftp_file *f)
{
    char text[300];

    snprintf(text, sizeof text, "your role does not permit to change this file; ask %s",
             grant_contact(ch->owner));
    return refuse(ch, r, f->path, SFTP_FX_PERMISSION_DENIED, "path", text);
}

static bool no_read(struct channel *ch, const struct sftp_request *r, const struct sftp_file *f)
{
    char text[300];

    snprintf(text, sizeof text, "your role does not permit to read this file; ask %s",
             grant_contact(ch->owner));
    return refuse(ch, r, f->path, SFTP_FX_PERMISSION_DENIED, "path", text);
}

/* From one open file to another, on the target. */
static bool copy_data(struct channel *ch, struct sftp_request *r, struct sftp_file *f)
{
    struct sftp_file *to = sftp_file_find(ch->sftp, r->to_handle);
    struct sftp_paths paths = {.path = f->path};
    uint64_t n;

    if (to == NULL)
        return unknown_handle(ch, r);
    if (!(f->access & FILE_READ))
        return no_read(ch, r, f);
    if (!(to->access & FILE_WRITE))
        return no_write(ch, r, to);
    paths.to = to->path;
    if (!sftp_record_request(ch, r, &paths, &n))
        return refuse(ch, r, NULL, SFTP_FX_FAILURE, "limit", "the paths are too long to record");
    struct sftp_pending *p = pass_on(ch, r, f);
    p->recorded = true;
    p->n = n;
    return true;
}

static bool judge_handle(struct channel *ch, struct sftp_request *r)
{
    struct sftp_file *f = sftp_file_find(ch->sftp, r->handle);

    if (f == NULL)
        return unknown_handle(ch, r);
    /* Its rules may be others than when it was opened. */
    if (f->access == 0 && r->type != SFTP_CLOSE)
        return no_read(ch, r, f);
    switch (r->type) {
    case SFTP_CLOSE:
        f->closing = true;
        break;
    case SFTP_READ:
    case SFTP_READDIR:
        if (f->folder != (r->type == SFTP_READDIR))
            return unknown_handle(ch, r);
        if (!(f->access & FILE_READ))
            return no_read(ch, r, f);
        break;
    case SFTP_WRITE:
        if (!(f->pflags & (SFTP_OPEN_WRITE | SFTP_OPEN_APPEND)) || !(f->access & FILE_WRITE))
            return no_write(ch, r, f);
        sftp_file_moved(ch, f, true, r->offset, r->data);
        break;
    case SFTP_FSETSTAT: {
        struct sftp_paths paths = {.path = f->path, .access = f->access};
        uint64_t n;
        if (!(f->access & FILE_WRITE))
            return no_write(ch, r, f);
        if (!sftp_record_request(ch, r, &paths, &n))
            return refuse(ch, r, NULL, SFTP_FX_FAILURE, "limit", "the path is too long to record");
        struct sftp_pending *p = pass_on(ch, r, f);
        p->recorded = true;
        p->n = n;
        return true;
    }
    case SFTP_EXTENDED:
        if (r->extension == SFTP_EXT_COPY_DATA)
            return copy_data(ch, r, f);
        break;
    default:
        break;
    }
    (void)pass_on(ch, r, f);
    return true;
}

/* The paths are known and permitted. */
static bool judge_permitted(struct channel *ch, struct sftp_request *r, struct sftp_paths *paths)
{
    struct sftp *s = ch->sftp;
    struct sftp_file *f = NULL;
    uint64_t n;
    bool full;

    if ((r->type == SFTP_OPEN || r->type == SFTP_OPENDIR) && !s->asked.failed) {
        f = sftp_file_new(ch, paths->path, r->type == SFTP_OPENDIR, &full);
        if (f == NULL && full)
            return refuse(ch, r, paths->path, SFTP_FX_FAILURE, "limit", "too many open files");
        if (f == NULL)
            return true;
        f->pflags = r->pflags;
        f->access = paths->access;
    }
    if (!sftp_record_request(ch, r, paths, &n)) {
        if (f != NULL)
            sftp_file_drop(s, f);
        return refuse(ch, r, NULL, SFTP_FX_FAILURE, "limit", "the path is too long to be recorded");
    }
    if (f != NULL)
        f->n = n;
    /* The target's error to the gateway's own question is the answer to the operator's. */
    if (s->asked.failed) {
        sftp_record_result(ch, n, s->asked.status);
        sftp_record_results(ch);
        (void)sftp_send_status(ch, r->id, s->asked.status, s->asked.text);
        return true;
    }
    if (r->type == SFTP_SYMLINK) {
        r->path = (struct bytes){(const uint8_t *)paths->path, strlen(paths->path)};
    } else {
        if (paths->path != NULL)
            r->path = (struct bytes){(const uint8_t *)paths->path, strlen(paths->path)};
        if (paths->to != NULL)
            r->to = (struct bytes){(const uint8_t *)paths->to, strlen(paths->to)};
    }
    struct sftp_pending *p = pass_on(ch, r, f);
    p->recorded = true;
    p->n = n;
    return true;
}

static bool judge_path(struct channel *ch, struct sftp_request *r)
{
    struct sftp *s = ch->sftp;
    struct sftp_paths paths = {0};
    const char *why = "path";
    char text[1001];
    bool done = true;

    if (r->type == SFTP_REALPATH && r->path.len == 0)
        r->path = (struct bytes){(const uint8_t *)".", 1};
    switch (sftp_judge_paths(ch, r, &paths, &why, text)) {
    case SFTP_WAITS:
        return false;
    case SFTP_REFUSED:
        done = refuse(ch, r, paths.path,
                      strcmp(why, "path") == 0 ? SFTP_FX_PERMISSION_DENIED : SFTP_FX_FAILURE, why,
                      text);
        break;
    case SFTP_FAILED:
    case SFTP_PERMITTED:
        done = judge_permitted(ch, r, &paths);
        break;
    }
    s->asked = (struct sftp_asked){0};
    return done;
}

bool sftp_judge(struct channel *ch, const uint8_t *packet, size_t len)
{
    const char *wrong;
    const struct sftp_operation *op;
    struct sftp_request r;
    struct err e = ERR_INIT;

    int rc = sftp_request_parse(packet, len, &r, &e);
    if (rc != 0)
        return not_understood(ch, packet, len, rc, &e);
    if (ch->sftp->stage == SFTP_NEW)
        return begin(ch, &r);
    if (r.type == SFTP_INIT)
        return stop(ch, &r, "version", "the SFTP client began a second time");
    op = sftp_operation(&r);
    if (op->need == SFTP_UNKNOWN)
        return refuse(ch, &r, NULL, SFTP_FX_OP_UNSUPPORTED, "extension",
                      "the gateway does not know this extension");
    if ((wrong = sftp_request_unsound(&r)) != NULL)
        return refuse(ch, &r, NULL, SFTP_FX_FAILURE, "form", wrong);
    if (op->handle)
        return judge_handle(ch, &r);
    if (op->need == SFTP_NEEDS_NOTHING) {
        (void)pass_on(ch, &r, NULL);
        return true;
    }
    return judge_path(ch, &r);
}
