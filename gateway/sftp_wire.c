/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of SFTP's packets: attributes, pairs, names, the frame around them, and what statuses
 * are called (gateway/sftp_wire.h). Runs in the backend; what is read is hostile. Pure. */
#include "gateway/sftp_fields.h"

#include <stdio.h>
#include <string.h>

/* Length, type, id, a count and a status; five strings' lengths; pflags; attributes with all their
 * fields (36); three 64-bit numbers; two 32-bit ones: 117. */
#define FIXED_MAX 128u

#define ATTRS_KNOWN                                                                                \
    (SFTP_ATTR_SIZE | SFTP_ATTR_UIDGID | SFTP_ATTR_PERMISSIONS | SFTP_ATTR_TIMES |                 \
     SFTP_ATTR_EXTENDED)

static struct bytes get_string(struct wire_reader *r)
{
    return wire_get_data(r, SFTP_PACKET_MAX);
}

/* From start to where the reader is. */
static struct bytes view(const struct wire_reader *r, const uint8_t *start)
{
    return r->failed ? (struct bytes){0} : (struct bytes){start, (size_t)(r->in - start)};
}

static void skip_pair(struct wire_reader *r)
{
    (void)get_string(r);
    (void)get_string(r);
}

struct sftp_attrs sftp_get_attrs(struct wire_reader *r)
{
    struct sftp_attrs a = {.flags = wire_get_u32(r)};

    /* A bit that version 3 does not have would stand for fields that we do not see and the other
     * side perhaps does. */
    if (a.flags & ~(uint32_t)ATTRS_KNOWN)
        r->failed = true;
    if (a.flags & SFTP_ATTR_SIZE)
        a.size = wire_get_u64(r);
    if (a.flags & SFTP_ATTR_UIDGID) {
        a.uid = wire_get_u32(r);
        a.gid = wire_get_u32(r);
    }
    if (a.flags & SFTP_ATTR_PERMISSIONS)
        a.permissions = wire_get_u32(r);
    if (a.flags & SFTP_ATTR_TIMES) {
        a.atime = wire_get_u32(r);
        a.mtime = wire_get_u32(r);
    }
    if (a.flags & SFTP_ATTR_EXTENDED) {
        const uint8_t *start;

        a.extended_count = wire_get_u32(r);
        start = r->in;
        for (uint32_t i = 0; i < a.extended_count && !r->failed; i++)
            skip_pair(r);
        a.extended = view(r, start);
    }
    return a;
}

void sftp_put_attrs(struct wire_writer *w, const struct sftp_attrs *a)
{
    wire_put_u32(w, a->flags);
    if (a->flags & SFTP_ATTR_SIZE)
        wire_put_u64(w, a->size);
    if (a->flags & SFTP_ATTR_UIDGID) {
        wire_put_u32(w, a->uid);
        wire_put_u32(w, a->gid);
    }
    if (a->flags & SFTP_ATTR_PERMISSIONS)
        wire_put_u32(w, a->permissions);
    if (a->flags & SFTP_ATTR_TIMES) {
        wire_put_u32(w, a->atime);
        wire_put_u32(w, a->mtime);
    }
    if (a->flags & SFTP_ATTR_EXTENDED) {
        wire_put_u32(w, a->extended_count);
        wire_put_raw(w, a->extended.p, a->extended.len);
    }
}

struct bytes sftp_get_pairs(struct wire_reader *r)
{
    const uint8_t *start = r->in;

    while (r->left > 0 && !r->failed)
        skip_pair(r);
    return view(r, start);
}

struct bytes sftp_get_names(struct wire_reader *r, uint32_t count)
{
    const uint8_t *start = r->in;

    for (uint32_t i = 0; i < count && !r->failed; i++) {
        skip_pair(r);
        (void)sftp_get_attrs(r);
    }
    return view(r, start);
}

struct bytes sftp_get_rest(struct wire_reader *r)
{
    const uint8_t *start = r->in;

    if (!r->failed && r->left > 0) {
        r->in += r->left;
        r->left = 0;
    }
    return view(r, start);
}

bool sftp_name_next(struct bytes *rest, struct sftp_name *out)
{
    struct wire_reader r;

    wire_reader_init(&r, rest->p, rest->len);
    out->name = get_string(&r);
    out->long_name = get_string(&r);
    out->attrs = sftp_get_attrs(&r);
    if (r.failed)
        return false;
    *rest = (struct bytes){r.in, r.left};
    return true;
}

bool sftp_pair_next(struct bytes *rest, struct bytes *name, struct bytes *value)
{
    struct wire_reader r;

    wire_reader_init(&r, rest->p, rest->len);
    *name = get_string(&r);
    *value = get_string(&r);
    if (r.failed)
        return false;
    *rest = (struct bytes){r.in, r.left};
    return true;
}

int sftp_packet_first(const void *p, size_t len, struct bytes *packet, struct err *e)
{
    uint32_t size;

    *packet = (struct bytes){0};
    if (len < 4)
        return 0;
    size = wire_load_u32(p);
    if (size == 0 || size > SFTP_PACKET_MAX)
        return err_set(e, ERR_PROTOCOL, "an SFTP packet of %u bytes (at most %u)", size,
                       SFTP_PACKET_MAX);
    if (len - 4 < size)
        return 0;
    *packet = (struct bytes){(const uint8_t *)p + 4, size};
    return 1;
}

int sftp_put_begin(struct wire_writer *w, struct buf *out, uint8_t type, size_t strings)
{
    size_t room = buf_room(out);
    uint8_t *p;

    if (strings > SFTP_PACKET_MAX)
        return ERR_FULL;
    if (room > FIXED_MAX + strings)
        room = FIXED_MAX + strings;
    p = buf_reserve(out, room);
    if (!p)
        return ERR_MEMORY;
    wire_writer_init(w, p, room);
    wire_put_u32(w, 0);
    wire_put_u8(w, type);
    return 0;
}

int sftp_put_end(const struct wire_writer *w, struct buf *out)
{
    if (w->failed || w->len - 4 > SFTP_PACKET_MAX)
        return ERR_FULL;
    wire_store_u32(w->out, (uint32_t)(w->len - 4));
    buf_commit(out, w->len);
    return 0;
}

const char *sftp_status_name(uint32_t status, char out[24])
{
    static const char *const names[] = {
        [SFTP_FX_OK] = "ok",
        [SFTP_FX_EOF] = "eof",
        [SFTP_FX_NO_SUCH_FILE] = "no-such-file",
        [SFTP_FX_PERMISSION_DENIED] = "permission-denied",
        [SFTP_FX_FAILURE] = "failure",
        [SFTP_FX_BAD_MESSAGE] = "bad-message",
        [SFTP_FX_NO_CONNECTION] = "no-connection",
        [SFTP_FX_CONNECTION_LOST] = "connection-lost",
        [SFTP_FX_OP_UNSUPPORTED] = "op-unsupported",
    };

    if (status < sizeof names / sizeof names[0])
        snprintf(out, 24, "%s", names[status]);
    else
        snprintf(out, 24, "status-%u", status);
    return out;
}
