/* SPDX-License-Identifier: Apache-2.0
 *
 * The armour, the blob, and the signature; see sshsig.h. */
#include "base/sshsig.h"

#include <string.h>

#include <openssl/evp.h>

#include "base/sshsig_internal.h"

#define BEGIN        "-----BEGIN SSH SIGNATURE-----\n"
#define END          "-----END SSH SIGNATURE-----"
#define MAGIC        "SSHSIG"
#define DIGEST_MAX   64u
#define USER_PRESENT 1u

/* What is signed: "SSHSIG", four strings. The digest, two short names and an empty string. */
#define SIGNED_MAX 512u

struct parts {
    struct bytes key, name_space, hash, signature;
};

static bool equal(struct bytes b, const char *text)
{
    return b.len == strlen(text) && memcmp(b.p, text, b.len) == 0;
}

int sshsig_base64(const char *text, size_t len, uint8_t *out, size_t cap, size_t *out_len)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    unsigned count = 0, padding = 0;
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        const char *at;

        if (text[i] == '\n' || text[i] == '\r')
            continue;
        if (text[i] == '=') {
            padding++;
            continue;
        }
        at = text[i] ? strchr(alphabet, text[i]) : NULL;
        if (!at || padding)
            return ERR_SYNTAX;
        bits = bits << 6 | (uint32_t)(at - alphabet);
        if (++count % 4 == 0) {
            if (n + 3 > cap)
                return ERR_SYNTAX;
            out[n++] = (uint8_t)(bits >> 16);
            out[n++] = (uint8_t)(bits >> 8);
            out[n++] = (uint8_t)bits;
        }
    }
    if (count % 4 == 1 || (count + padding) % 4 != 0 || padding > 2 || n + 2 > cap)
        return ERR_SYNTAX;
    /* One text for one signature: what the last digit has over must be zero. */
    if ((count % 4 == 2 && (bits & 0xf)) || (count % 4 == 3 && (bits & 0x3)))
        return ERR_SYNTAX;
    if (count % 4 == 2)
        out[n++] = (uint8_t)(bits >> 4);
    if (count % 4 == 3) {
        out[n++] = (uint8_t)(bits >> 10);
        out[n++] = (uint8_t)(bits >> 2);
    }
    *out_len = n;
    return 0;
}

static int parse(const uint8_t *blob, size_t len, struct parts *p)
{
    struct wire_reader r;
    struct bytes reserved;
    struct err e = ERR_INIT;
    char magic[sizeof MAGIC];

    wire_reader_init(&r, blob, len);
    wire_get_raw(&r, magic, sizeof MAGIC - 1);
    if (memcmp(magic, MAGIC, sizeof MAGIC - 1) != 0 || wire_get_u32(&r) != 1)
        return ERR_SYNTAX;
    p->key = wire_get_data(&r, SSHSIG_KEY_MAX);
    p->name_space = wire_get_data(&r, 256);
    reserved = wire_get_data(&r, 256);
    p->hash = wire_get_data(&r, 16);
    p->signature = wire_get_data(&r, SSHSIG_MAX);
    return wire_get_end(&r, &e) < 0 || reserved.len > 0 ? ERR_SYNTAX : 0;
}

static const EVP_MD *hash_of(const struct parts *p)
{
    if (equal(p->hash, "sha512"))
        return EVP_sha512();
    return equal(p->hash, "sha256") ? EVP_sha256() : NULL;
}

/* The bytes that the key signed. */
static int compose(const struct parts *p, const void *message, size_t len, uint8_t out[SIGNED_MAX],
                   size_t *out_len)
{
    const EVP_MD *md = hash_of(p);
    uint8_t digest[DIGEST_MAX];
    unsigned digest_len = 0;
    struct wire_writer w;
    struct err e = ERR_INIT;

    if (!md)
        return ERR_SYNTAX;
    if (EVP_Digest(message, len, digest, &digest_len, md, NULL) != 1)
        return ERR_CRYPTO;
    wire_writer_init(&w, out, SIGNED_MAX);
    wire_put_raw(&w, MAGIC, sizeof MAGIC - 1);
    wire_put_data(&w, p->name_space.p, p->name_space.len, 256);
    wire_put_data(&w, "", 0, 0);
    wire_put_data(&w, p->hash.p, p->hash.len, 16);
    wire_put_data(&w, digest, digest_len, DIGEST_MAX);
    *out_len = w.len;
    return wire_put_end(&w, &e) < 0 ? ERR_SYNTAX : 0;
}

/* A security key signs SHA-256(application), flags, counter, SHA-256 of what another would sign. */
static int compose_sk(struct wire_reader *signature, struct bytes application, uint8_t *data,
                      size_t *len)
{
    uint8_t flags = wire_get_u8(signature), composed[2 * 32 + 5];
    uint32_t counter = wire_get_u32(signature);

    if (!(flags & USER_PRESENT))
        return ERR_DENIED;
    if (EVP_Digest(application.p, application.len, composed, NULL, EVP_sha256(), NULL) != 1 ||
        EVP_Digest(data, *len, composed + 37, NULL, EVP_sha256(), NULL) != 1)
        return ERR_CRYPTO;
    composed[32] = flags;
    wire_store_u32(composed + 33, counter);
    memcpy(data, composed, sizeof composed);
    *len = sizeof composed;
    return 0;
}

static int check(const struct parts *p, uint8_t *data, size_t len)
{
    struct sshsig_public key;
    struct wire_reader r;
    struct bytes algorithm, raw;
    struct err e = ERR_INIT;
    uint8_t der[SSHSIG_DER_MAX];
    EVP_MD_CTX *ctx = NULL;
    int rc = sshsig_public(p->key, &key);

    if (rc < 0)
        return rc;
    wire_reader_init(&r, p->signature.p, p->signature.len);
    algorithm = wire_get_data(&r, 64);
    raw = wire_get_data(&r, SSHSIG_MAX);
    rc = equal(algorithm, key.algorithm) ? 0 : ERR_SYNTAX;
    if (rc == 0 && key.is_sk)
        rc = compose_sk(&r, key.application, data, &len);
    if (rc == 0 && wire_get_end(&r, &e) < 0)
        rc = ERR_SYNTAX;
    if (rc == 0 && key.is_ecdsa)
        rc = sshsig_ecdsa_der(&raw, der);
    ctx = EVP_MD_CTX_new();
    if (rc == 0 && (!ctx || EVP_DigestVerifyInit(ctx, NULL, key.md, NULL, key.key) != 1))
        rc = ERR_CRYPTO;
    if (rc == 0 && EVP_DigestVerify(ctx, raw.p, raw.len, data, len) != 1)
        rc = ERR_DENIED;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key.key);
    return rc;
}

/* The base64 between the two lines. */
static int unarmor(const char *text, size_t len, uint8_t *out, size_t cap, size_t *out_len)
{
    const char *end;

    if (len > SSHSIG_MAX || len < sizeof BEGIN || memcmp(text, BEGIN, sizeof BEGIN - 1) != 0)
        return ERR_SYNTAX;
    text += sizeof BEGIN - 1;
    len -= sizeof BEGIN - 1;
    end = memmem(text, len, END, sizeof END - 1);
    if (!end)
        return ERR_SYNTAX;
    for (const char *p = end + sizeof END - 1; p < text + len; p++)
        if (*p != '\n' && *p != '\r')
            return ERR_SYNTAX;
    return sshsig_base64(text, (size_t)(end - text), out, cap, out_len);
}

int sshsig_verify(const char *armored, size_t len, const char *name_space, const void *message,
                  size_t message_len, struct sshsig_key *by, struct err *e)
{
    uint8_t blob[SSHSIG_MAX], data[SIGNED_MAX];
    size_t blob_len = 0, data_len = 0;
    struct parts p;
    int r = unarmor(armored, len, blob, sizeof blob, &blob_len);

    if (r == 0)
        r = parse(blob, blob_len, &p);
    if (r == 0 && !equal(p.name_space, name_space))
        return err_set(e, ERR_DENIED, "the signature was not made for %s (ssh-keygen -n)",
                       name_space);
    if (r == 0)
        r = compose(&p, message, message_len, data, &data_len);
    if (r == 0)
        r = check(&p, data, data_len);
    if (r == ERR_DENIED)
        return err_set(e, ERR_DENIED, "the signature is not one of this text");
    if (r == ERR_SYNTAX)
        return err_set(e, ERR_SYNTAX, "this is no SSH signature of a kind that is taken");
    if (r < 0)
        return err_set(e, (enum err_code)r, "cannot check the signature");
    memcpy(by->blob, p.key.p, p.key.len);
    by->len = p.key.len;
    return 0;
}
