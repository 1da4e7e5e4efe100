/* SPDX-License-Identifier: Apache-2.0
 *
 * An SFTP packet (without its length): of the operator where the first byte is even, of the target
 * where it is odd. What is well-formed is written again as it was, byte for byte, so nothing of it
 * is overlooked and there is one reading of it; of what is malformed nothing but type and id is
 * left. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/sftp_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The packet that was written is the one that was read. */
static void same(struct buf *out, int rc, const uint8_t *p, size_t len)
{
    struct bytes packet;

    if (rc != 0 || sftp_packet_first(buf_head(out), buf_len(out), &packet, NULL) != 1 ||
        packet.len != len || packet.len + 4 != buf_len(out) || memcmp(packet.p, p, len) != 0)
        abort();
}

static size_t pairs(struct bytes rest)
{
    struct bytes name, value;
    size_t n = 0;

    while (sftp_pair_next(&rest, &name, &value))
        n++;
    if (rest.len > 0)
        abort();
    return n;
}

static void request(const uint8_t *p, size_t len, struct buf *out)
{
    struct sftp_request r;
    char name[64];
    int rc = sftp_request_parse(p, len, &r, NULL);

    sftp_operation_name(&r, name);
    if (strnlen(name, sizeof name) == sizeof name)
        abort();
    if (rc != 0) {
        const struct sftp_request bare = {.type = r.type, .id = r.id};

        if ((rc != ERR_PROTOCOL && rc != ERR_INPUT) || r.path.p || r.handle.p || r.data.p ||
            r.rest.p || r.offset || r.length || r.attrs.flags || r.extension != bare.extension)
            abort();
        return;
    }
    if (r.handle.len > SFTP_HANDLE_MAX || r.to_handle.len > SFTP_HANDLE_MAX)
        abort();
    if (r.type == SFTP_INIT)
        (void)pairs(r.rest);
    if (pairs(r.attrs.extended) != r.attrs.extended_count)
        abort();
    same(out, sftp_request_put(&r, out), p, len);
}

static void response(const uint8_t *p, size_t len, struct buf *out)
{
    struct sftp_response r;
    struct sftp_name entry;
    size_t n = 0;

    if (sftp_response_parse(p, len, &r, NULL) != 0)
        return;
    if (r.type == SFTP_VERSION_REPLY)
        (void)pairs(r.rest);
    if (pairs(r.attrs.extended) != r.attrs.extended_count)
        abort();
    for (struct bytes rest = r.rest; r.type == SFTP_NAME && sftp_name_next(&rest, &entry); n++)
        if (pairs(entry.attrs.extended) != entry.attrs.extended_count)
            abort();
    if (n != r.count)
        abort();
    same(out, sftp_response_put(&r, out), p, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf out;
    uint8_t *p; /* exactly so long, for AddressSanitizer */

    if (size < 1)
        return 0;
    p = malloc(size);
    if (!p)
        abort();
    memcpy(p, data + 1, size - 1);
    p = realloc(p, size > 1 ? size - 1 : 1);
    buf_init(&out, SFTP_PACKET_MAX + 4);
    if (data[0] & 1)
        response(p, size - 1, &out);
    else
        request(p, size - 1, &out);
    buf_clear(&out);
    free(p);
    return 0;
}
