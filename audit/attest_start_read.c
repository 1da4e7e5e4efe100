/* SPDX-License-Identifier: Apache-2.0
 *
 * What a backend's record shows as started. Runs in auditd; the record is hostile: the words are
 * those that every reader will see, so the digest is made here from them, and a record that might
 * be read in two ways (members twice, words that are not those of their raw bytes) is none. */
#include "audit/attest_start.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <string.h>

#include "audit/digest.h"
#include "audit/shown_bytes.h"
#include "base/buf.h"

static void digest(const void *p, size_t len, uint8_t out[RECORD_HASH_SIZE])
{
    INVARIANT(EVP_Digest(p, len, out, NULL, EVP_sha256(), NULL) == 1);
}

/* A backend composes its records in this much; what is longer is not parsed. */
#define RECORD_MAX 65536u

/* Whether a flag that may be missing is set. */
static int add_flag(const json_t *record, const char *name, bool *flag)
{
    const json_t *value = json_object_get(record, name);

    if (value && !json_is_boolean(value))
        return ERR_SYNTAX;
    *flag = *flag || json_is_true(value);
    return 0;
}

/* A refused start whose words are longer than what its record shows of them. */
static int cut_words(const json_t *record, const struct buf *shown, struct attest_start *out)
{
    const json_t *bytes = json_object_get(record, "bytes");
    const char *sha256 = json_string_value(json_object_get(record, "sha256"));

    if (buf_len(shown) != ATTEST_START_SHOWN || !json_is_integer(bytes) ||
        json_integer_value(bytes) <= (json_int_t)ATTEST_START_SHOWN || !sha256)
        return ERR_SYNTAX;
    out->bytes = (uint64_t)json_integer_value(bytes);
    digest(buf_head(shown), ATTEST_START_SHOWN, out->head);
    return hex_decode(sha256, out->sha256, sizeof out->sha256);
}

static int read_words(const json_t *record, const char *name, bool may_be_cut,
                      struct attest_start *out)
{
    struct buf shown;
    int r;

    buf_init(&shown, RECORD_PAYLOAD_MAX);
    r = shown_bytes(record, name, &shown);
    r = r < 0 ? r : 0;
    if (r == 0 && may_be_cut && json_object_get(record, "bytes")) {
        r = cut_words(record, &shown, out);
    } else if (r == 0) {
        out->bytes = buf_len(&shown);
        digest(out->bytes > 0 ? buf_head(&shown) : (const uint8_t *)"", (size_t)out->bytes,
               out->sha256);
        if (out->bytes > ATTEST_START_SHOWN)
            digest(buf_head(&shown), ATTEST_START_SHOWN, out->head);
    }
    buf_clear(&shown);
    if (r == 0)
        r = add_flag(record, "pty", &out->pty);
    if (r == 0)
        r = add_flag(record, "pty_asked", &out->pty);
    return r;
}

static bool has_kind(const json_t *record, const char *name, enum attest_kind *kind)
{
    const char *text = json_string_value(json_object_get(record, name));

    for (int i = ATTEST_SHELL; text && i < ATTEST_KINDS; i++) {
        if (strcmp(text, attest_kind_name((enum attest_kind)i)) == 0) {
            *kind = (enum attest_kind)i;
            return true;
        }
    }
    return false;
}

static int read_start(unsigned type, const json_t *record, struct attest_start *out)
{
    const char *event = json_string_value(json_object_get(record, "event"));
    int r;

    switch (type) {
    case RECORD_EXEC:
        if (!event)
            return ERR_SYNTAX;
        if (strcmp(event, "start") != 0)
            return 0;
        if (!has_kind(record, "kind", &out->kind) || out->kind > ATTEST_EXEC)
            return ERR_SYNTAX;
        r = read_words(record, "command", false, out);
        break;
    case RECORD_SUBSYSTEM:
        out->kind = ATTEST_SUBSYSTEM;
        r = json_object_get(record, "subsystem") ? read_words(record, "subsystem", false, out)
                                                 : ERR_SYNTAX;
        break;
    case RECORD_FORWARD_OPEN: /* one that the frontend refused unseen has another name */
        if (!has_kind(record, "what", &out->kind) || out->kind != ATTEST_FORWARD)
            return 0;
        r = read_words(record, "detail", false, out);
        break;
    default:
        if (!has_kind(record, "what", &out->kind) || out->kind == ATTEST_FORWARD)
            return 0;
        r = read_words(record, "detail", true, out);
        break;
    }
    return r < 0 ? r : 1;
}

int attest_start_read(unsigned type, const void *payload, size_t len, struct attest_start *out,
                      struct err *e)
{
    json_t *record;
    int r = 0;

    *out = (struct attest_start){0};
    if (type != RECORD_EXEC && type != RECORD_SUBSYSTEM && type != RECORD_REQUEST &&
        type != RECORD_FORWARD_OPEN)
        return 0;
    record = len > RECORD_MAX
                 ? NULL
                 : json_loadb(payload, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    r = json_is_object(record) ? read_start(type, record, out) : ERR_SYNTAX;
    json_decref(record);
    if (r == ERR_MEMORY)
        return err_set(e, ERR_MEMORY, "no memory to read what was started");
    return r < 0 ? err_set(e, ERR_PROTOCOL, "a %s record does not say plainly what was started",
                           record_token((uint8_t)type))
                 : r;
}
