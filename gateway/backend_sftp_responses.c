/* SPDX-License-Identifier: Apache-2.0
 *
 * The target's SFTP answers: each has to be one to a request that waits, of a type that answers it,
 * and not larger than what was asked for; anything else ends the session. Answers to the gateway's
 * own questions stay here. Runs in the backend; the target is hostile. */
#include <string.h>

#include "gateway/backend_sftp.h"

/* OpenSSH's limits@openssh.com: packet, read, write, open handles; 0: not known. */
#define LIMITS_SIZE 32u

static void version(struct channel *ch, const struct sftp_response *r)
{
    struct bytes rest = r->rest, name, value;
    struct sftp_response out = *r;
    uint8_t kept[4096];
    struct wire_writer w;

    if (ch->sftp->stage != SFTP_STARTED || r->id != SFTP_VERSION) {
        sftp_violation(ch, "VERSION %u, unasked or of another version", r->id);
        return;
    }
    wire_writer_init(&w, kept, sizeof kept);
    while (rest.len > 0 && sftp_pair_next(&rest, &name, &value)) {
        if (sftp_extension_named(name.p, name.len) == SFTP_EXT_NONE || value.len > 64)
            continue;
        struct wire_writer before = w;
        wire_put_data(&w, name.p, name.len, sizeof kept);
        wire_put_data(&w, value.p, value.len, sizeof kept);
        if (w.failed) /* the same ones again and again */
            w = before;
    }
    out.rest = (struct bytes){kept, w.len};
    if (sftp_send_response(ch, &out))
        sftp_ask_home(ch);
}

static const struct sftp_pending *find(struct sftp *s, uint32_t id)
{
    const struct sftp_pending *p = &s->pending[id % SFTP_PENDING_MAX];
    return p->used && p->id == id ? p : NULL;
}

/* Whether this is an answer to that request at all. */
static bool answers(const struct sftp_pending *p, const struct sftp_response *r)
{
    if (r->type == SFTP_STATUS)
        return p->answer == SFTP_STATUS ? r->status != SFTP_FX_EOF : r->status != SFTP_FX_OK;
    if (r->type != p->answer)
        return false;
    if (r->type == SFTP_DATA)
        return r->data.len <= p->length;
    if (r->type == SFTP_NAME && p->type != SFTP_READDIR)
        return r->count == 1;
    if (r->type == SFTP_EXTENDED_REPLY && p->extension == SFTP_EXT_LIMITS)
        return r->rest.len == LIMITS_SIZE;
    return true;
}

static void lower(uint8_t *limit, uint64_t max)
{
    uint64_t said = wire_load_u64(limit);
    if (said == 0 || said > max)
        wire_store_u64(limit, max);
}

/* The gateway's own limits are told with the target's. */
static bool send_limits(struct channel *ch, struct sftp_response *r)
{
    uint8_t limits[LIMITS_SIZE];

    memcpy(limits, r->rest.p, sizeof limits);
    lower(limits, SFTP_PACKET_MAX);
    lower(limits + 8, SFTP_PACKET_MAX - 1024);
    lower(limits + 16, SFTP_PACKET_MAX - 1024);
    lower(limits + 24, SFTP_FILES_MAX);
    r->rest = (struct bytes){limits, sizeof limits};
    return sftp_send_response(ch, r);
}

/* What the answer says of the file. False: the target broke the protocol. */
static bool note_file(struct channel *ch, const struct sftp_pending *p,
                      const struct sftp_response *r)
{
    struct sftp_file *f = p->file;

    if (f == NULL)
        return true;
    f->pending--;
    switch (p->type) {
    case SFTP_OPEN:
    case SFTP_OPENDIR:
        if (r->type == SFTP_STATUS) {
            sftp_file_drop(ch->sftp, f);
            return true;
        }
        if (sftp_file_opened(ch->sftp, f, r->handle))
            return true;
        sftp_violation(ch, "a handle that is empty, too long, or another open file's");
        return false;
    case SFTP_CLOSE:
        f->closed = true;
        f->status = r->status;
        break;
    case SFTP_READ:
        if (r->type == SFTP_DATA)
            sftp_file_moved(ch, f, false, p->offset, r->data);
        break;
    case SFTP_WRITE:
        if (r->status != SFTP_FX_OK)
            f->written.failed += p->length;
        break;
    case SFTP_READDIR:
        if (r->type == SFTP_NAME)
            f->entries += r->count;
        break;
    default:
        break;
    }
    sftp_file_answered(ch, f);
    return true;
}

void sftp_answer(struct channel *ch, const uint8_t *packet, size_t len)
{
    struct sftp *s = ch->sftp;
    const struct sftp_pending *found;
    struct sftp_response r;
    struct err e = ERR_INIT;

    if (sftp_response_parse(packet, len, &r, &e) != 0) {
        sftp_violation(ch, "%.200s", e.text);
        return;
    }
    if (r.type == SFTP_VERSION_REPLY) {
        version(ch, &r);
        return;
    }
    found = find(s, r.id);
    if (found == NULL || !answers(found, &r)) {
        sftp_violation(ch, "an answer of type %u to request %u, which does not ask for it", r.type,
                       r.id);
        return;
    }
    struct sftp_pending p = *found;
    sftp_pending_free(s, &s->pending[r.id % SFTP_PENDING_MAX]);
    if (p.own) {
        if (s->stage == SFTP_HOME)
            sftp_home_answer(ch, &r);
        else
            sftp_path_answer(ch, &r);
        return;
    }
    if (p.recorded)
        sftp_record_result(ch, p.n, r.type == SFTP_STATUS ? r.status : SFTP_FX_OK);
    if (!note_file(ch, &p, &r))
        return;
    r.id = p.client_id;
    if (r.type == SFTP_EXTENDED_REPLY && p.extension == SFTP_EXT_LIMITS)
        (void)send_limits(ch, &r);
    else
        (void)sftp_send_response(ch, &r);
}
