/* SPDX-License-Identifier: Apache-2.0
 *
 * AES-256-GCM over single records. Runs in auditd and in the reading tools. Invariant: a nonce is
 * the sequence number of a record in its session, and a key belongs to one session and one number,
 * so no nonce comes twice under a key. */
#include "audit/data_key.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire.h"

#define NONCE_SIZE 12
/* Bytes of the header that are authenticated: all before the hashes. */
#define AUTHENTICATED ((int)RECORD_AT_PREVIOUS)

struct data_key {
    EVP_CIPHER_CTX *seal, *open;
    uint8_t commitment[RECORD_HASH_SIZE];
};

/* HMAC-SHA256(secret, label || session || number) */
static int derive(const uint8_t secret[DATA_KEY_SIZE], const char *label,
                  const uint8_t session[RECORD_SESSION_ID], uint32_t number,
                  uint8_t out[RECORD_HASH_SIZE])
{
    uint8_t input[64];
    size_t len = strlen(label);

    memcpy(input, label, len);
    memcpy(input + len, session, RECORD_SESSION_ID);
    wire_store_u32(input + len + RECORD_SESSION_ID, number);
    return HMAC(EVP_sha256(), secret, DATA_KEY_SIZE, input, len + RECORD_SESSION_ID + 4, out, NULL)
               ? 0
               : ERR_CRYPTO;
}

struct data_key *data_key_new(const uint8_t secret[DATA_KEY_SIZE],
                              const uint8_t session[RECORD_SESSION_ID], uint32_t number,
                              struct err *e)
{
    struct data_key *k = calloc(1, sizeof *k);
    uint8_t key[RECORD_HASH_SIZE];

    if (!k || !(k->seal = EVP_CIPHER_CTX_new()) || !(k->open = EVP_CIPHER_CTX_new())) {
        err_set(e, ERR_MEMORY, "no memory for a data key");
        data_key_free(k);
        return NULL;
    }
    if (derive(secret, "spa1-seal\n", session, number, key) < 0 ||
        derive(secret, "spa1-commitment\n", session, number, k->commitment) < 0 ||
        EVP_EncryptInit_ex(k->seal, EVP_aes_256_gcm(), NULL, key, NULL) != 1 ||
        EVP_DecryptInit_ex(k->open, EVP_aes_256_gcm(), NULL, key, NULL) != 1) {
        err_set(e, ERR_CRYPTO, "cannot make a data key");
        data_key_free(k);
        k = NULL;
    }
    OPENSSL_cleanse(key, sizeof key);
    return k;
}

void data_key_free(struct data_key *k)
{
    if (!k)
        return;
    EVP_CIPHER_CTX_free(k->seal); /* wipes the key schedule */
    EVP_CIPHER_CTX_free(k->open);
    free(k);
}

const uint8_t *data_key_commitment(const struct data_key *k)
{
    return k->commitment;
}

int data_key_seal(struct data_key *k, uint64_t sequence, const uint8_t header[RECORD_HEADER_SIZE],
                  const void *plain, size_t len, uint8_t *out, struct err *e)
{
    uint8_t nonce[NONCE_SIZE] = {0};
    int n;

    wire_store_u64(nonce + 4, sequence);
    if (EVP_EncryptInit_ex(k->seal, NULL, NULL, NULL, nonce) != 1 ||
        EVP_EncryptUpdate(k->seal, NULL, &n, header, AUTHENTICATED) != 1 ||
        (len > 0 && EVP_EncryptUpdate(k->seal, out, &n, plain, (int)len) != 1) ||
        EVP_EncryptFinal_ex(k->seal, out + len, &n) != 1 ||
        EVP_CIPHER_CTX_ctrl(k->seal, EVP_CTRL_GCM_GET_TAG, DATA_KEY_TAG, out + len) != 1)
        return err_set(e, ERR_CRYPTO, "cannot seal a record");
    return 0;
}

int data_key_open(struct data_key *k, uint64_t sequence, const uint8_t header[RECORD_HEADER_SIZE],
                  const void *sealed, size_t len, uint8_t *out, struct err *e)
{
    const uint8_t *in = sealed;
    uint8_t nonce[NONCE_SIZE] = {0}, tag[DATA_KEY_TAG];
    size_t plain = len - DATA_KEY_TAG;
    int n;

    if (len < DATA_KEY_TAG)
        return err_set(e, ERR_TAMPERED, "a sealed payload is shorter than its tag");
    memcpy(tag, in + plain, sizeof tag);
    wire_store_u64(nonce + 4, sequence);
    if (EVP_DecryptInit_ex(k->open, NULL, NULL, NULL, nonce) != 1 ||
        EVP_DecryptUpdate(k->open, NULL, &n, header, AUTHENTICATED) != 1 ||
        (plain > 0 && EVP_DecryptUpdate(k->open, out, &n, in, (int)plain) != 1) ||
        EVP_CIPHER_CTX_ctrl(k->open, EVP_CTRL_GCM_SET_TAG, DATA_KEY_TAG, tag) != 1)
        return err_set(e, ERR_CRYPTO, "cannot open a record");
    if (EVP_DecryptFinal_ex(k->open, out + plain, &n) != 1)
        return err_set(e, ERR_TAMPERED,
                       "a sealed payload does not open: it, its header or the key "
                       "is not what it was");
    return 0;
}
