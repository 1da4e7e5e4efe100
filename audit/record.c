/* SPDX-License-Identifier: Apache-2.0
 *
 * Record headers to bytes and back, and the table of types. Runs in auditd and in the reading
 * tools; decodes bytes that anybody may have altered. Format: docs/FORMAT.md, "Record". */
#include "audit/record.h"

#include <string.h>

#include "base/wire.h"
#include "gateway/messages.h"

static const uint8_t record_magic[4] = {'S', 'P', 'A', '1'};

enum payload_kind { PAYLOAD_JSON, PAYLOAD_BYTES };

struct type_row {
    const char *token;
    unsigned producers;
    enum payload_kind payload;
    enum record_sealing sealing;
};

#define SUPERVISOR PRODUCER_SUPERVISOR
#define AUTHD      PRODUCER_AUTHD
#define BACKEND    PRODUCER_BACKEND
#define FRONTEND   PRODUCER_FRONTEND
#define AUDITD     PRODUCER_AUDITD
#define JSON       PAYLOAD_JSON
#define BYTES      PAYLOAD_BYTES
#define CLEAR      SEALING_CLEAR
#define CONTENT    SEALING_CONTENT
#define KEYSTROKES SEALING_KEYSTROKES
static const struct type_row types[256] = {
#define RECORD(number, name, token, producers, payload, sealing, meaning)                          \
    [number] = {token, producers, payload, sealing},
#include "audit/record.def"
#undef RECORD
};
#undef SUPERVISOR
#undef AUTHD
#undef BACKEND
#undef FRONTEND
#undef AUDITD
#undef JSON
#undef BYTES
#undef CLEAR
#undef CONTENT
#undef KEYSTROKES

const char *record_token(uint8_t type)
{
    return types[type].token;
}

unsigned record_producers(uint8_t type)
{
    return types[type].producers;
}

enum record_sealing record_sealing(uint8_t type)
{
    return types[type].sealing;
}

uint32_t record_plain_len(const struct record *r)
{
    uint32_t added = r->flags & RECORD_FLAG_SEALED ? RECORD_TAG_SIZE : 0;

    return r->payload_len > added ? r->payload_len - added : 0;
}

bool record_is_json(uint8_t type)
{
    return types[type].token && types[type].payload == PAYLOAD_JSON;
}

void record_encode(uint8_t out[RECORD_HEADER_SIZE], const struct record *r)
{
    memcpy(out, record_magic, sizeof record_magic);
    out[4] = r->type;
    out[5] = r->flags;
    wire_store_u16(out + 6, RECORD_HEADER_SIZE);
    wire_store_u64(out + 8, r->index);
    wire_store_u64(out + 16, r->real_ns);
    wire_store_u64(out + 24, r->boot_ns);
    memcpy(out + 32, r->session, RECORD_SESSION_ID);
    wire_store_u64(out + 48, r->sequence);
    wire_store_u32(out + 56, r->channel);
    wire_store_u32(out + 60, r->payload_len);
    wire_store_u32(out + 64, r->epoch);
    wire_store_u32(out + 68, r->data_key);
    memset(out + 72, 0, 8);
    memcpy(out + RECORD_AT_PREVIOUS, r->previous, RECORD_HASH_SIZE);
    memcpy(out + RECORD_AT_PAYLOAD_HASH, r->payload_hash, RECORD_HASH_SIZE);
    memcpy(out + RECORD_AT_SESSION_PREVIOUS, r->session_previous, RECORD_HASH_SIZE);
}

int record_decode(const uint8_t in[RECORD_HEADER_SIZE], struct record *r, struct err *e)
{
    if (memcmp(in, record_magic, sizeof record_magic) != 0)
        return err_set(e, ERR_TAMPERED, "no record begins here (wrong magic)");
    if (wire_load_u16(in + 6) != RECORD_HEADER_SIZE)
        return err_set(e, ERR_TAMPERED, "the header's length is not %u", RECORD_HEADER_SIZE);
    if (wire_load_u64(in + 72) != 0)
        return err_set(e, ERR_TAMPERED, "the header's reserved bytes are not zero");
    if (in[5] & ~RECORD_FLAG_SEALED)
        return err_set(e, ERR_TAMPERED, "the header has an unknown flag");
    r->type = in[4];
    r->flags = in[5];
    r->index = wire_load_u64(in + 8);
    r->real_ns = wire_load_u64(in + 16);
    r->boot_ns = wire_load_u64(in + 24);
    memcpy(r->session, in + 32, RECORD_SESSION_ID);
    r->sequence = wire_load_u64(in + 48);
    r->channel = wire_load_u32(in + 56);
    r->payload_len = wire_load_u32(in + 60);
    r->epoch = wire_load_u32(in + 64);
    r->data_key = wire_load_u32(in + 68);
    memcpy(r->previous, in + RECORD_AT_PREVIOUS, RECORD_HASH_SIZE);
    memcpy(r->payload_hash, in + RECORD_AT_PAYLOAD_HASH, RECORD_HASH_SIZE);
    memcpy(r->session_previous, in + RECORD_AT_SESSION_PREVIOUS, RECORD_HASH_SIZE);
    if (r->payload_len > RECORD_PAYLOAD_MAX)
        return err_set(e, ERR_TAMPERED, "the payload's length %u is over the maximum of %u",
                       r->payload_len, RECORD_PAYLOAD_MAX);
    return 0;
}
