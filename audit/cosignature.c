/* SPDX-License-Identifier: Apache-2.0
 *
 * Cosignatures, byte for byte as C2SP tlog-cosignature has them (audit/cosignature.h). What it
 * verifies came from a remote peer. */
#include "audit/cosignature.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "audit/digest.h"
#include "base/wire.h"

#define SIGNATURE_SIZE 64
/* key id, timestamp, signature */
#define BLOB_SIZE   (4 + 8 + SIGNATURE_SIZE)
#define BLOB_BASE64 (4 * ((BLOB_SIZE + 2) / 3))
/* "cosignature/v1\ntime 18446744073709551615\n" */
#define HEAD_MAX 48

static const char prefix[] = "\xe2\x80\x94 "; /* em dash, blank */
#define PREFIX_LEN (sizeof prefix - 1)

int witness_key_make(struct vkey *v, const char *name, const uint8_t key[NOTE_KEY_SIZE],
                     struct err *e)
{
    return typed_key_make(v, SIGNATURE_COSIGNATURE, name, key, e);
}

int witness_key_from_private(struct vkey *v, const char *name, EVP_PKEY *key, struct err *e)
{
    return typed_key_from_private(v, SIGNATURE_COSIGNATURE, name, key, e);
}

void witness_key_text(const struct vkey *v, char out[VKEY_MAX])
{
    typed_key_text(v, SIGNATURE_COSIGNATURE, out);
}

int witness_key_parse(struct vkey *v, const char *text, struct err *e)
{
    return typed_key_parse(v, SIGNATURE_COSIGNATURE, text, e);
}

/* What is signed. ERR_FULL. */
static int signed_message(struct buf *out, const char *text, size_t len, uint64_t time_s)
{
    int r = buf_printf(out, "cosignature/v1\ntime %" PRIu64 "\n", time_s);

    return r < 0 ? r : buf_put(out, text, len);
}

int cosignature_sign(struct buf *out, const char *text, size_t len, const char *name, EVP_PKEY *key,
                     uint64_t time_s, struct err *e)
{
    struct vkey v;
    uint8_t blob[BLOB_SIZE];
    char encoded[BLOB_BASE64 + 1];
    size_t signature_len = SIGNATURE_SIZE;
    EVP_MD_CTX *ctx = NULL;
    struct buf message;
    int r = witness_key_from_private(&v, name, key, e);

    if (r < 0)
        return r;
    buf_init(&message, NOTE_MAX + HEAD_MAX);
    if (signed_message(&message, text, len, time_s) < 0) {
        r = err_set(e, ERR_FULL, "a checkpoint is too long to be cosigned");
        goto out;
    }
    memcpy(blob, v.id, sizeof v.id);
    wire_store_u64(blob + 4, time_s);
    ctx = EVP_MD_CTX_new();
    if (!ctx || EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) != 1 ||
        EVP_DigestSign(ctx, blob + 12, &signature_len, buf_head(&message), buf_len(&message)) !=
            1) {
        r = err_set(e, ERR_CRYPTO, "cannot sign as %s", name);
        goto out;
    }
    base64_encode(encoded, blob, sizeof blob);
    r = buf_printf(out, "%s%s %s\n", prefix, name, encoded);
    if (r < 0)
        err_set(e, (enum err_code)r, "a cosignature does not fit its buffer");
out:
    EVP_MD_CTX_free(ctx);
    buf_clear(&message);
    return r;
}

static int check(const char *text, size_t len, const struct vkey *v, const uint8_t blob[BLOB_SIZE],
                 uint64_t *time_s, struct err *e)
{
    const uint64_t time = wire_load_u64(blob + 4);
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, v->key, sizeof v->key);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    struct buf message;
    int r = 0;

    buf_init(&message, NOTE_MAX + HEAD_MAX);
    if (time == 0 || time > INT64_MAX)
        r = err_set(e, ERR_TAMPERED, "the cosignature of %s has no time", v->name);
    else if (!key || !ctx || EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) != 1 ||
             signed_message(&message, text, len, time) < 0)
        r = err_set(e, ERR_CRYPTO, "cannot verify with the key of %s", v->name);
    else if (EVP_DigestVerify(ctx, blob + 12, SIGNATURE_SIZE, buf_head(&message),
                              buf_len(&message)) != 1)
        r = err_set(e, ERR_TAMPERED, "the cosignature of %s is wrong", v->name);
    else
        *time_s = time;
    buf_clear(&message);
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    return r;
}

int cosignature_verify(const char *text, size_t len, const char *lines, size_t lines_len,
                       const struct vkey *witness, uint64_t *time_s, const char **line,
                       size_t *line_len, struct err *e)
{
    const size_t name_len = strlen(witness->name), at = PREFIX_LEN + name_len + 1;
    const char *end = lines + lines_len;

    for (const char *p = lines; p < end;) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        const size_t n = newline ? (size_t)(newline - p) : 0;
        uint8_t blob[BLOB_SIZE];

        if (n < PREFIX_LEN || memcmp(p, prefix, PREFIX_LEN) != 0)
            return err_set(e, ERR_SYNTAX, "found a line that is no signature");
        if (n == at + BLOB_BASE64 && memcmp(p + PREFIX_LEN, witness->name, name_len) == 0 &&
            p[at - 1] == ' ' && base64_decode(p + at, BLOB_BASE64, blob, sizeof blob) == 0 &&
            memcmp(blob, witness->id, sizeof witness->id) == 0) {
            *line = p;
            *line_len = n + 1;
            return check(text, len, witness, blob, time_s, e);
        }
        p = newline + 1;
    }
    return err_set(e, ERR_TAMPERED, "there is no cosignature of %s", witness->name);
}

int cosigned_note_verify(const char *note, size_t len, const struct vkey *witness, uint64_t *time_s,
                         struct err *e)
{
    const char *line;
    size_t line_len;

    for (size_t i = len; i > 1; i--)
        if (note[i - 1] == '\n' && note[i - 2] == '\n')
            return cosignature_verify(note, i - 1, note + i, len - i, witness, time_s, &line,
                                      &line_len, e);
    return err_set(e, ERR_SYNTAX, "not a signed note: no empty line before signatures");
}
