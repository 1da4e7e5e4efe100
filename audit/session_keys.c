/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes a session's data keys and writes them down for the reviewers alone. Runs in auditd. The
 * secrets themselves are wiped as soon as they are wrapped; what stays is the schedule of AES. */
#include "audit/session_keys.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "audit/note.h"
#include "base/json_out.h"

#define KEYS 2u
/* An age file for REVIEWERS_MAX recipients, and the key record with two of them in base64. */
#define WRAPPED_MAX 8192u
#define PAYLOAD_MAX (4u * WRAPPED_MAX)

struct session_keys {
    struct data_key *keys[KEYS];
};

static int wrap(struct buf *out, const struct reviewers *reviewers, uint32_t number,
                const uint8_t secret[DATA_KEY_SIZE], struct err *e)
{
    uint8_t recipients[REVIEWERS_MAX][AGE_KEY_SIZE];
    size_t count = 0;

    for (size_t i = 0; i < reviewers->count; i++)
        if (number == SEALING_CONTENT || reviewers->at[i].keystrokes)
            memcpy(recipients[count++], reviewers->at[i].key, AGE_KEY_SIZE);
    if (count == 0)
        return err_set(e, ERR_INPUT, "there is no reviewer to seal for");
    return age_encrypt(out, (const uint8_t(*)[AGE_KEY_SIZE])recipients, count, secret,
                       DATA_KEY_SIZE, e);
}

/* Makes key number `number` and says it in the record. */
static int make_key(struct session_keys *k, uint32_t number, const struct reviewers *reviewers,
                    const uint8_t session[RECORD_SESSION_ID], struct json_out *j, struct err *e)
{
    uint8_t secret[DATA_KEY_SIZE];
    struct buf wrapped;
    char *text = NULL;
    int r = RAND_priv_bytes(secret, sizeof secret) == 1
                ? 0
                : err_set(e, ERR_CRYPTO, "no random bytes for a data key");

    buf_init(&wrapped, WRAPPED_MAX);
    if (r == 0)
        r = wrap(&wrapped, reviewers, number, secret, e);
    if (r == 0) {
        k->keys[number - 1] = data_key_new(secret, session, number, e);
        text = malloc(4 * ((buf_len(&wrapped) + 2) / 3) + 1);
        r = !k->keys[number - 1] ? e->code : !text ? err_set(e, ERR_MEMORY, "a data key") : 0;
    }
    if (r == 0) {
        base64_encode(text, buf_head(&wrapped), buf_len(&wrapped));
        json_open_object(j, NULL);
        json_u64(j, "number", number);
        json_str(j, "for", number == SEALING_CONTENT ? "content" : "keystrokes");
        json_hex(j, "commitment", data_key_commitment(k->keys[number - 1]), RECORD_HASH_SIZE);
        json_str(j, "age", text);
        json_close(j);
    }
    OPENSSL_cleanse(secret, sizeof secret);
    buf_clear(&wrapped);
    free(text);
    return r;
}

struct session_keys *session_keys_new(struct trail *t, const struct reviewers *reviewers,
                                      const uint8_t session[RECORD_SESSION_ID], struct err *e)
{
    struct session_keys *k = calloc(1, sizeof *k);
    struct json_out j;
    struct buf payload;
    int r = k ? 0 : err_set(e, ERR_MEMORY, "no memory for data keys");

    buf_init(&payload, PAYLOAD_MAX);
    json_begin(&j, &payload);
    json_str(&j, "event", "session-keys");
    json_str(&j, "cipher", "AES-256-GCM");
    json_open_array(&j, "keys");
    for (uint32_t number = 1; r == 0 && number <= KEYS; number++)
        r = make_key(k, number, reviewers, session, &j, e);
    json_close(&j);
    if (r == 0 && (r = json_end(&j)) < 0)
        err_set(e, (enum err_code)r, "cannot compose a key record");
    if (r == 0)
        r = trail_append(t, RECORD_KEY, session, 0, buf_head(&payload), buf_len(&payload), e);
    buf_clear(&payload);
    if (r < 0) {
        session_keys_free(k);
        return NULL;
    }
    return k;
}

void session_keys_free(struct session_keys *k)
{
    if (!k)
        return;
    for (size_t i = 0; i < KEYS; i++)
        data_key_free(k->keys[i]);
    free(k);
}

struct data_key *session_keys_get(const struct session_keys *k, enum record_sealing sealing)
{
    INVARIANT(sealing == SEALING_CONTENT || sealing == SEALING_KEYSTROKES);
    return k->keys[sealing - 1];
}
