/* SPDX-License-Identifier: Apache-2.0
 *
 * See auth/seal.h. NIST SP 800-38D: 96-bit random nonces are safe below 2^32 sealings under one
 * key; the store seals one value per enrolment or vault key. */
#include "auth/seal.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#define SEAL_VERSION 1
#define NONCE_BYTES  12
#define TAG_BYTES    16

struct seal {
    struct secret *key;
};

struct seal *seal_new(struct secret *key, struct err *e)
{
    if (!key || secret_len(key) != SEAL_KEY_BYTES) {
        err_set(e, ERR_INPUT, "the store key is not %d bytes long", SEAL_KEY_BYTES);
        secret_free(key);
        return NULL;
    }
    struct seal *s = calloc(1, sizeof *s);
    if (!s) {
        err_set(e, ERR_MEMORY, "store key");
        secret_free(key);
        return NULL;
    }
    s->key = key;
    return s;
}

void seal_free(struct seal *s)
{
    if (!s)
        return;
    secret_free(s->key);
    free(s);
}

int seal_close(const struct seal *s, const char *name, const void *plain, size_t len, uint8_t *out,
               struct err *e)
{
    uint8_t *nonce = out + 1, *text = nonce + NONCE_BYTES;
    int n = 0, ok = 0;
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();

    out[0] = SEAL_VERSION;
    if (c && len <= INT32_MAX && RAND_bytes(nonce, NONCE_BYTES) == 1 &&
        EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, secret_view(s->key), nonce) == 1 &&
        EVP_EncryptUpdate(c, NULL, &n, (const uint8_t *)name, (int)strlen(name)) == 1 &&
        EVP_EncryptUpdate(c, text, &n, plain, (int)len) == 1 &&
        EVP_EncryptFinal_ex(c, text + len, &n) == 1 &&
        EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, text + len) == 1)
        ok = 1;
    EVP_CIPHER_CTX_free(c);
    return ok ? 0 : err_set(e, ERR_CRYPTO, "sealing %s failed", name);
}

struct secret *seal_open(const struct seal *s, const char *name, const void *sealed, size_t len,
                         struct err *e)
{
    const uint8_t *in = sealed;
    if (len < SEAL_OVERHEAD || len > INT32_MAX || in[0] != SEAL_VERSION) {
        err_set(e, ERR_TAMPERED, "the sealed value of %s is malformed", name);
        return NULL;
    }
    size_t plain_len = len - SEAL_OVERHEAD;
    const uint8_t *nonce = in + 1, *text = nonce + NONCE_BYTES;
    uint8_t tag[TAG_BYTES];
    memcpy(tag, text + plain_len, TAG_BYTES);
    struct secret *plain = secret_new(plain_len ? plain_len : 1);
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n = 0, ok = 0;

    if (plain && c && plain_len &&
        EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, secret_view(s->key), nonce) == 1 &&
        EVP_DecryptUpdate(c, NULL, &n, (const uint8_t *)name, (int)strlen(name)) == 1 &&
        EVP_DecryptUpdate(c, secret_bytes(plain), &n, text, (int)plain_len) == 1 &&
        EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, tag) == 1 &&
        EVP_DecryptFinal_ex(c, secret_bytes(plain) + n, &n) == 1)
        ok = 1;
    EVP_CIPHER_CTX_free(c);
    if (!ok) {
        secret_free(plain);
        err_set(e, ERR_TAMPERED, "the sealed value of %s does not open with this store key", name);
        return NULL;
    }
    return plain;
}
