/* SPDX-License-Identifier: Apache-2.0
 *
 * The sessions' keys, and records opened with them. Runs in the reading tools; trusts nothing that
 * it reads: a key is one only when it has the commitment in its key record, and a payload only when
 * its tag is right. */
#include "audit/unseal.h"

#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "audit/data_key.h"
#include "audit/digest.h"
#include "audit/unseal_identities.h"

#define KEYS    2u
#define BUCKETS 16384u
/* Contexts of AES that are kept ready: some 2 KB each. */
#define READY 64u
/* 64 recipients of some 100 bytes each, and as much again. */
#define WRAPPED_MAX 16384u

enum key_state { KEY_ABSENT, KEY_WRAPPED, KEY_OPEN, KEY_NOT_YOURS, KEY_TAMPERED };

struct session_key {
    enum key_state state;
    uint8_t commitment[RECORD_HASH_SIZE];
    uint8_t *wrapped; /* the age file, until it was tried */
    size_t wrapped_len;
    uint8_t secret[DATA_KEY_SIZE];
    struct data_key *ready;
    unsigned slot; /* in unseal.ready, when ready */
};

struct session_entry {
    uint8_t id[RECORD_SESSION_ID];
    struct session_key keys[KEYS];
    struct session_entry *chain, *older, *newer;
};

struct unseal {
    struct identities identities;
    struct session_entry *buckets[BUCKETS];
    struct session_entry *oldest, *newest;
    size_t count;
    struct session_key *ready[READY];
    unsigned next_ready;
    uint8_t plain[RECORD_PAYLOAD_MAX];
};

const char *unseal_result_text(enum unseal_result result)
{
    static const char *const texts[] = {
        [UNSEAL_CLEAR] = "in the clear",
        [UNSEAL_OPENED] = "opened",
        [UNSEAL_NO_IDENTITY] = "sealed; --identity opens it",
        [UNSEAL_NO_KEY] = "sealed; the session's key record is not here",
        [UNSEAL_NOT_YOURS] = "sealed, and not for this identity",
        [UNSEAL_NO_KEYSTROKES] = "keystrokes are not for this identity",
        [UNSEAL_TAMPERED] = "does not open: altered",
        [UNSEAL_FAILED] = "could not be opened",
    };

    return texts[result];
}

struct unseal *unseal_new(struct err *e)
{
    struct unseal *u = calloc(1, sizeof *u);

    if (!u)
        err_set(e, ERR_MEMORY, "no memory to open sealed records");
    return u;
}

static void forget_ready(struct unseal *u, struct session_key *k)
{
    if (!k->ready)
        return;
    u->ready[k->slot] = NULL;
    data_key_free(k->ready);
    k->ready = NULL;
}

static void clear_keys(struct unseal *u, struct session_entry *entry)
{
    for (size_t i = 0; i < KEYS; i++) {
        forget_ready(u, &entry->keys[i]);
        free(entry->keys[i].wrapped);
    }
    OPENSSL_cleanse(entry->keys, sizeof entry->keys);
}

static void unlink_used(struct unseal *u, struct session_entry *entry)
{
    if (entry->older)
        entry->older->newer = entry->newer;
    else
        u->oldest = entry->newer;
    if (entry->newer)
        entry->newer->older = entry->older;
    else
        u->newest = entry->older;
}

static void link_newest(struct unseal *u, struct session_entry *entry)
{
    entry->older = u->newest;
    entry->newer = NULL;
    if (u->newest)
        u->newest->newer = entry;
    else
        u->oldest = entry;
    u->newest = entry;
}

static struct session_entry **place_of(struct unseal *u, const uint8_t id[RECORD_SESSION_ID])
{
    struct session_entry **at = &u->buckets[wire_load_u64(id) % BUCKETS];

    while (*at && memcmp((*at)->id, id, RECORD_SESSION_ID) != 0)
        at = &(*at)->chain;
    return at;
}

static void forget(struct unseal *u, struct session_entry *entry)
{
    *place_of(u, entry->id) = entry->chain;
    unlink_used(u, entry);
    clear_keys(u, entry);
    free(entry);
    u->count--;
}

void unseal_free(struct unseal *u)
{
    if (!u)
        return;
    while (u->oldest)
        forget(u, u->oldest);
    identities_clear(&u->identities);
    OPENSSL_cleanse(u, sizeof *u);
    free(u);
}

int unseal_add_identity(struct unseal *u, const char *path, struct err *e)
{
    return identities_add(&u->identities, path, e);
}

int unseal_add_default(struct unseal *u, struct err *e)
{
    return identities_add_default(&u->identities, e);
}

bool unseal_has_identity(const struct unseal *u)
{
    return u->identities.count > 0;
}

/* Its entry, new or emptied: a session's last key record counts. */
static struct session_entry *entry_for(struct unseal *u, const uint8_t id[RECORD_SESSION_ID])
{
    struct session_entry *entry = *place_of(u, id);

    if (entry) {
        clear_keys(u, entry);
        return entry;
    }
    if (u->count >= UNSEAL_SESSIONS_MAX)
        forget(u, u->oldest);
    entry = calloc(1, sizeof *entry);
    if (!entry)
        return NULL;
    memcpy(entry->id, id, RECORD_SESSION_ID);
    *place_of(u, id) = entry;
    link_newest(u, entry);
    u->count++;
    return entry;
}

static int decode_base64(const char *text, uint8_t **out, size_t *out_len)
{
    size_t len = strlen(text), padding;
    uint8_t *bytes;
    char *again;
    int n;

    if (len == 0 || len % 4 || len > (WRAPPED_MAX + 2) / 3 * 4)
        return ERR_TAMPERED;
    padding = (size_t)(text[len - 1] == '=') + (text[len - 2] == '=');
    bytes = malloc(len / 4 * 3);
    again = malloc(len + 1);
    if (!bytes || !again) {
        free(bytes);
        free(again);
        return ERR_MEMORY;
    }
    n = EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)len);
    *out = bytes;
    *out_len = n < 0 ? 0 : (size_t)n - padding;
    /* One value has one spelling. */
    if (n >= 0)
        EVP_EncodeBlock((unsigned char *)again, bytes, (int)*out_len);
    if (n < 0 || memcmp(again, text, len) != 0) {
        free(bytes);
        *out = NULL;
        free(again);
        return ERR_TAMPERED;
    }
    free(again);
    return 0;
}

static int take_key(struct session_entry *entry, const json_t *j)
{
    json_int_t number = json_integer_value(json_object_get(j, "number"));
    const char *commitment = json_string_value(json_object_get(j, "commitment"));
    const char *age = json_string_value(json_object_get(j, "age"));
    struct session_key *k;
    int r;

    if (number < 1 || number > (json_int_t)KEYS)
        return 0; /* a key of a kind to come */
    k = &entry->keys[number - 1];
    if (k->state != KEY_ABSENT || !commitment || !age || strlen(commitment) != DIGEST_HEX - 1 ||
        hex_decode(commitment, k->commitment, sizeof k->commitment) < 0)
        return ERR_TAMPERED;
    r = decode_base64(age, &k->wrapped, &k->wrapped_len);
    if (r == 0)
        k->state = KEY_WRAPPED;
    return r;
}

static int take_keys(struct session_entry *entry, const json_t *j)
{
    const char *cipher = json_string_value(json_object_get(j, "cipher"));
    const json_t *keys = json_object_get(j, "keys"), *key;
    size_t i;
    int r = cipher && strcmp(cipher, "AES-256-GCM") == 0 && json_is_array(keys) ? 0 : ERR_TAMPERED;

    json_array_foreach((json_t *)keys, i, key)
    {
        if (r == 0)
            r = take_key(entry, key);
    }
    if (r == ERR_TAMPERED)
        for (i = 0; i < KEYS; i++)
            entry->keys[i].state = KEY_TAMPERED;
    return r;
}

int unseal_note(struct unseal *u, const struct record *r, const void *payload, struct err *e)
{
    static const uint8_t gateway[RECORD_SESSION_ID];
    struct session_entry *entry;
    const char *event;
    json_t *j;
    int rc = 0;

    if (r->type != RECORD_KEY || r->flags & RECORD_FLAG_SEALED ||
        memcmp(r->session, gateway, sizeof gateway) == 0)
        return 0;
    j = json_loadb(payload, r->payload_len, 0, NULL);
    event = json_string_value(json_object_get(j, "event"));
    if (event && strcmp(event, "session-keys") == 0) {
        entry = entry_for(u, r->session);
        rc = entry ? take_keys(entry, j) : ERR_MEMORY;
    }
    json_decref(j);
    if (rc == ERR_TAMPERED)
        return err_set(e, ERR_TAMPERED, "a session's key record is not well-formed");
    return rc < 0 ? err_set(e, (enum err_code)rc, "no memory for a session's keys") : 0;
}

/* Finds the secret in the age file. 0: k->state is final. Else it could not be tried. */
static int unwrap(struct unseal *u, const struct session_entry *entry, struct session_key *k,
                  struct err *e)
{
    struct data_key *key;
    int r = identities_unwrap(&u->identities, k->wrapped, k->wrapped_len, k->secret, e);

    if (r < 0 && r != ERR_NOT_FOUND && r != ERR_TAMPERED)
        return r;
    k->state = r == 0 ? KEY_OPEN : r == ERR_NOT_FOUND ? KEY_NOT_YOURS : KEY_TAMPERED;
    free(k->wrapped);
    k->wrapped = NULL;
    if (r < 0)
        return 0;
    key = data_key_new(k->secret, entry->id, (uint32_t)(k - entry->keys) + 1, e);
    if (!key)
        return e->code;
    if (CRYPTO_memcmp(data_key_commitment(key), k->commitment, sizeof k->commitment) != 0)
        k->state = KEY_TAMPERED;
    data_key_free(key);
    return 0;
}

static int make_ready(struct unseal *u, const struct session_entry *entry, struct session_key *k,
                      struct err *e)
{
    if (k->ready)
        return 0;
    k->ready = data_key_new(k->secret, entry->id, (uint32_t)(k - entry->keys) + 1, e);
    if (!k->ready)
        return e->code;
    k->slot = u->next_ready;
    u->next_ready = (u->next_ready + 1) % READY;
    if (u->ready[k->slot]) {
        struct session_key *other = u->ready[k->slot];

        data_key_free(other->ready);
        other->ready = NULL;
    }
    u->ready[k->slot] = k;
    return 0;
}

static enum unseal_result failed(enum unseal_result result, struct err *e)
{
    if (result != UNSEAL_FAILED)
        err_set(e, result == UNSEAL_TAMPERED ? ERR_TAMPERED : ERR_DENIED, "%s",
                unseal_result_text(result));
    return result;
}

/* UNSEAL_OPENED: the key is there, with its secret. */
static enum unseal_result find_key(struct unseal *u, struct session_entry *entry,
                                   struct session_key *k, struct err *e)
{
    if (k->state == KEY_WRAPPED && unwrap(u, entry, k, e) < 0)
        return UNSEAL_FAILED;
    switch (k->state) {
    case KEY_OPEN:
        return UNSEAL_OPENED;
    case KEY_NOT_YOURS:
        /* Whoever has the one key and not the other is a reviewer without keystrokes. */
        if (k == &entry->keys[SEALING_KEYSTROKES - 1] &&
            find_key(u, entry, &entry->keys[SEALING_CONTENT - 1], e) == UNSEAL_OPENED)
            return UNSEAL_NO_KEYSTROKES;
        return UNSEAL_NOT_YOURS;
    case KEY_TAMPERED:
        return UNSEAL_TAMPERED;
    default:
        return UNSEAL_NO_KEY;
    }
}

enum unseal_result unseal_record(struct unseal *u, const struct record *r,
                                 const uint8_t header[RECORD_HEADER_SIZE], const void *stored,
                                 struct bytes *plain, struct err *e)
{
    struct session_entry *entry;
    struct session_key *k;
    enum unseal_result result;

    *plain = (struct bytes){NULL, 0};
    if (!(r->flags & RECORD_FLAG_SEALED)) {
        *plain = (struct bytes){stored, r->payload_len};
        return UNSEAL_CLEAR;
    }
    if (!unseal_has_identity(u))
        return failed(UNSEAL_NO_IDENTITY, e);
    entry = *place_of(u, r->session);
    if (!entry || r->data_key < 1 || r->data_key > KEYS)
        return failed(UNSEAL_NO_KEY, e);
    unlink_used(u, entry);
    link_newest(u, entry);
    k = &entry->keys[r->data_key - 1];
    result = find_key(u, entry, k, e);
    if (result != UNSEAL_OPENED)
        return failed(result, e);
    if (make_ready(u, entry, k, e) < 0)
        return UNSEAL_FAILED;
    if (r->payload_len > RECORD_PAYLOAD_MAX ||
        data_key_open(k->ready, r->sequence, header, stored, r->payload_len, u->plain, e) < 0)
        return failed(UNSEAL_TAMPERED, e);
    *plain = (struct bytes){u->plain, r->payload_len - DATA_KEY_TAG};
    return UNSEAL_OPENED;
}
