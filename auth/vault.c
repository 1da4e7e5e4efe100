/* SPDX-License-Identifier: Apache-2.0
 *
 * See auth/vault.h. */
#include "auth/vault.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <string.h>

#include "base/secret.h"
#include "base/wire.h"

#define SEED_BYTES      32
#define KEY_BYTES       32
#define SIGNATURE_BYTES 64
#define NAME_BYTES      (sizeof VAULT_ALGORITHM - 1)

/* string algorithm, string payload: the form of both public keys and signatures. */
static void put_blob(uint8_t *out, const uint8_t *payload, size_t len)
{
    wire_store_u32(out, NAME_BYTES);
    memcpy(out + 4, VAULT_ALGORITHM, NAME_BYTES);
    wire_store_u32(out + 4 + NAME_BYTES, (uint32_t)len);
    memcpy(out + 8 + NAME_BYTES, payload, len);
}

int vault_generate(struct secret **private_key, uint8_t blob[VAULT_PUBLIC_BYTES], struct err *e)
{
    uint8_t public_key[KEY_BYTES];
    size_t public_len = sizeof public_key;
    struct secret *seed = secret_random(SEED_BYTES);
    EVP_PKEY *key =
        seed ? EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret_view(seed), SEED_BYTES)
             : NULL;
    int ok = key && EVP_PKEY_get_raw_public_key(key, public_key, &public_len) == 1 &&
             public_len == KEY_BYTES;
    EVP_PKEY_free(key);
    if (!ok) {
        secret_free(seed);
        return err_set(e, ERR_CRYPTO, "no key could be made");
    }
    put_blob(blob, public_key, KEY_BYTES);
    *private_key = seed;
    return 0;
}

int vault_public(struct store *s, const char *target, const char *account,
                 uint8_t blob[VAULT_PUBLIC_BYTES], struct err *e)
{
    size_t len = VAULT_PUBLIC_BYTES;
    int rc = store_vault_public(s, target, account, blob, &len, e);
    if (rc == 0 && len != VAULT_PUBLIC_BYTES)
        rc = err_set(e, ERR_TAMPERED, "store: the public key of %s@%s is malformed", account,
                     target);
    return rc;
}

int vault_sign(struct store *s, const char *target, const char *account, const void *data,
               size_t len, uint8_t out[VAULT_SIGNATURE_BYTES], struct err *e)
{
    struct secret *seed = store_vault_private(s, target, account, e);
    if (!seed)
        return e && e->code ? e->code : ERR_SYSTEM;
    uint8_t signature[SIGNATURE_BYTES];
    size_t signature_len = sizeof signature;
    EVP_PKEY *key =
        secret_len(seed) == SEED_BYTES
            ? EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret_view(seed), SEED_BYTES)
            : NULL;
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    int ok = key && c && EVP_DigestSignInit(c, NULL, NULL, NULL, key) == 1 &&
             EVP_DigestSign(c, signature, &signature_len, data, len) == 1 &&
             signature_len == SIGNATURE_BYTES;
    EVP_MD_CTX_free(c);
    EVP_PKEY_free(key);
    secret_free(seed);
    if (!ok)
        return err_set(e, ERR_CRYPTO, "signing for %s@%s failed", account, target);
    put_blob(out, signature, SIGNATURE_BYTES);
    return 0;
}

/* Base64 of at most 4 KiB; NUL-terminated. */
static int put_base64(struct buf *out, const uint8_t *p, size_t len)
{
    uint8_t *room = len <= STORE_PUBLIC_MAX ? buf_reserve(out, (len + 2) / 3 * 4 + 1) : NULL;
    if (!room)
        return ERR_FULL;
    buf_commit(out, (size_t)EVP_EncodeBlock(room, p, (int)len));
    return 0;
}

int vault_public_text(const uint8_t *blob, size_t len, struct buf *out)
{
    int rc = buf_printf(out, VAULT_ALGORITHM " ");
    return rc < 0 ? rc : put_base64(out, blob, len);
}

struct permitopen {
    struct buf *out;
    int rc;
};

static void put_permitopen(void *arg, const char *name, const char *text)
{
    struct permitopen *p = arg;

    (void)name;
    if (p->rc == 0)
        p->rc = buf_printf(p->out, ",permitopen=\"%s\"", text);
}

static int put_forwards(const struct forward_rules *forwards, struct buf *out)
{
    struct permitopen p = {.out = out};

    if (!forwards)
        return 0;
    p.rc = buf_printf(out, ",port-forwarding");
    forward_rules_each(forwards, put_permitopen, &p);
    return p.rc;
}

int vault_authorized_line(const uint8_t *blob, size_t len, const char *from, const char *target,
                          const char *account, const struct forward_rules *forwards,
                          struct buf *out)
{
    int rc = buf_printf(out, "restrict,pty");
    if (rc == 0)
        rc = put_forwards(forwards, out);
    if (rc == 0 && *from)
        rc = buf_printf(out, ",from=\"%s\"", from);
    if (rc == 0)
        rc = buf_printf(out, " ");
    if (rc == 0)
        rc = vault_public_text(blob, len, out);
    if (rc == 0)
        rc = buf_printf(out, " sallyport:%s@%s", account, target);
    return rc;
}

void vault_fingerprint(const void *blob, size_t len, char out[64])
{
    uint8_t hash[32];
    char base64[45];
    SHA256(blob, len, hash);
    EVP_EncodeBlock((uint8_t *)base64, hash, sizeof hash);
    base64[strcspn(base64, "=")] = '\0';
    memcpy(out, "SHA256:", 7);
    strcpy(out + 7, base64);
}
