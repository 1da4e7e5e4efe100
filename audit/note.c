/* SPDX-License-Identifier: Apache-2.0
 *
 * Signed notes, byte for byte as C2SP signed-note has them. Runs in auditd (signing), in `init` and
 * in the reading tools (verifying what anybody may have altered). Source: c2sp.org/signed-note. */
#include "audit/note.h"

#include <string.h>

#include "audit/digest.h"

#define SIGNATURE_SIZE 64
/* key id and signature */
#define BLOB_SIZE 68
/* The longest thing that is base64 here is a record header of 176 bytes, in a proof. */
#define BASE64_MAX 236

static const char signature_prefix[] = "\xe2\x80\x94 "; /* em dash, blank */

void base64_encode(char *out, const uint8_t *p, size_t len)
{
    EVP_EncodeBlock((unsigned char *)out, p, (int)len);
}

int base64_decode(const char *text, size_t text_len, uint8_t *out, size_t len)
{
    uint8_t bytes[BASE64_MAX];
    char again[BASE64_MAX + 1];

    if (text_len != 4 * ((len + 2) / 3) || text_len > BASE64_MAX)
        return ERR_SYNTAX;
    if (EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)text_len) < 0)
        return ERR_SYNTAX;
    /* One value has one spelling: padding bits and characters that a decoder forgives are not. */
    base64_encode(again, bytes, len);
    if (memcmp(again, text, text_len) != 0)
        return ERR_SYNTAX;
    memcpy(out, bytes, len);
    return 0;
}

int note_check_name(const char *name, struct err *e)
{
    size_t len = strlen(name);

    if (len == 0 || len > NOTE_NAME_MAX)
        return err_set(e, ERR_SYNTAX, "a key's name has 1 to %d characters", NOTE_NAME_MAX);
    for (size_t i = 0; i < len; i++)
        if (name[i] <= ' ' || name[i] > '~' || name[i] == '+')
            return err_set(e, ERR_SYNTAX,
                           "a key's name has printable ASCII characters only, no "
                           "blank and no plus");
    return 0;
}

int typed_key_make(struct vkey *v, enum signature_type type, const char *name,
                   const uint8_t key[NOTE_KEY_SIZE], struct err *e)
{
    uint8_t input[NOTE_NAME_MAX + 2 + NOTE_KEY_SIZE], hash[RECORD_HASH_SIZE];
    size_t len = strlen(name);
    int r = note_check_name(name, e);

    if (r < 0)
        return r;
    memcpy(v->name, name, len + 1);
    memcpy(v->key, key, NOTE_KEY_SIZE);
    memcpy(input, name, len);
    input[len] = '\n';
    input[len + 1] = (uint8_t)type;
    memcpy(input + len + 2, key, NOTE_KEY_SIZE);
    if (!EVP_Digest(input, len + 2 + NOTE_KEY_SIZE, hash, NULL, EVP_sha256(), NULL))
        return err_set(e, ERR_CRYPTO, "cannot hash a key");
    memcpy(v->id, hash, sizeof v->id);
    return 0;
}

int typed_key_from_private(struct vkey *v, enum signature_type type, const char *name,
                           EVP_PKEY *key, struct err *e)
{
    uint8_t raw[NOTE_KEY_SIZE];
    size_t len = sizeof raw;

    if (EVP_PKEY_get_id(key) != EVP_PKEY_ED25519 ||
        EVP_PKEY_get_raw_public_key(key, raw, &len) != 1 || len != sizeof raw)
        return err_set(e, ERR_CRYPTO, "the key of %s is not an Ed25519 key", name);
    return typed_key_make(v, type, name, raw, e);
}

void typed_key_text(const struct vkey *v, enum signature_type type, char out[VKEY_MAX])
{
    uint8_t blob[1 + NOTE_KEY_SIZE];
    size_t len = strlen(v->name);

    memcpy(out, v->name, len);
    out[len++] = '+';
    hex_encode(out + len, v->id, sizeof v->id);
    len += 2 * sizeof v->id;
    out[len++] = '+';
    blob[0] = (uint8_t)type;
    memcpy(blob + 1, v->key, NOTE_KEY_SIZE);
    base64_encode(out + len, blob, sizeof blob);
}

int typed_key_parse(struct vkey *v, enum signature_type type, const char *text, struct err *e)
{
    char name[NOTE_NAME_MAX + 1], again[VKEY_MAX];
    uint8_t blob[1 + NOTE_KEY_SIZE];
    size_t len = strcspn(text, "\n"), name_len = strcspn(text, "+\n");
    const char *encoded = text + name_len + 10; /* "+", 8 digits, "+" */
    int r;

    if ((text[len] == '\n' && text[len + 1]) || name_len > NOTE_NAME_MAX || len < name_len + 10)
        return err_set(e, ERR_SYNTAX, "not a verifier key (NAME+ID+KEY)");
    memcpy(name, text, name_len);
    name[name_len] = '\0';
    if (base64_decode(encoded, len - name_len - 10, blob, sizeof blob) < 0)
        return err_set(e, ERR_SYNTAX,
                       "not a verifier key: its last part is not 33 bytes in base64");
    if (blob[0] != type)
        return err_set(e, ERR_SYNTAX, "not %s verifier key: found signature type %u, expected %u",
                       type == SIGNATURE_NOTE ? "an Ed25519" : "a witness's", blob[0], type);
    r = typed_key_make(v, type, name, blob + 1, e);
    if (r < 0)
        return r;
    typed_key_text(v, type, again);
    if (strlen(again) != len || memcmp(again, text, len) != 0)
        return err_set(e, ERR_SYNTAX,
                       "not a verifier key: its id does not belong to its name and key");
    return 0;
}

int vkey_make(struct vkey *v, const char *name, const uint8_t key[NOTE_KEY_SIZE], struct err *e)
{
    return typed_key_make(v, SIGNATURE_NOTE, name, key, e);
}

int vkey_from_private(struct vkey *v, const char *name, EVP_PKEY *key, struct err *e)
{
    return typed_key_from_private(v, SIGNATURE_NOTE, name, key, e);
}

void vkey_text(const struct vkey *v, char out[VKEY_MAX])
{
    typed_key_text(v, SIGNATURE_NOTE, out);
}

int vkey_parse(struct vkey *v, const char *text, struct err *e)
{
    return typed_key_parse(v, SIGNATURE_NOTE, text, e);
}

int note_sign(struct buf *out, const char *text, const char *name, EVP_PKEY *key, struct err *e)
{
    struct vkey v;
    uint8_t blob[BLOB_SIZE];
    char encoded[BASE64_MAX + 1];
    size_t len = strlen(text), signature_len = SIGNATURE_SIZE;
    EVP_MD_CTX *ctx = NULL;
    int r = vkey_from_private(&v, name, key, e);

    if (r < 0)
        return r;
    INVARIANT(len > 0 && text[len - 1] == '\n');
    memcpy(blob, v.id, sizeof v.id);
    ctx = EVP_MD_CTX_new();
    if (!ctx || EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) != 1 ||
        EVP_DigestSign(ctx, blob + sizeof v.id, &signature_len, (const uint8_t *)text, len) != 1) {
        r = err_set(e, ERR_CRYPTO, "cannot sign as %s", name);
        goto out;
    }
    base64_encode(encoded, blob, sizeof blob);
    r = buf_put(out, text, len);
    if (r == 0)
        r = buf_printf(out, "\n%s%s %s\n", signature_prefix, name, encoded);
    if (r < 0)
        err_set(e, (enum err_code)r, "a note does not fit its buffer");
out:
    EVP_MD_CTX_free(ctx);
    return r;
}

static int check_signature(const struct vkey *v, const char *text, size_t text_len,
                           const uint8_t signature[SIGNATURE_SIZE], struct err *e)
{
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, v->key, sizeof v->key);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int r = 0;

    if (!key || !ctx || EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) != 1)
        r = err_set(e, ERR_CRYPTO, "cannot verify with the key of %s", v->name);
    else if (EVP_DigestVerify(ctx, signature, SIGNATURE_SIZE, (const uint8_t *)text, text_len) != 1)
        r = err_set(e, ERR_TAMPERED, "the signature of %s is wrong", v->name);
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    return r;
}

/* The last "\n\n" splits text and signatures; ends right behind the first newline. */
static int find_split(const char *note, size_t len, size_t *text_len, struct err *e)
{
    if (len == 0 || len > NOTE_MAX || note[len - 1] != '\n')
        return err_set(e, ERR_SYNTAX, "not a signed note");
    for (size_t i = 0; i < len; i++)
        if ((uint8_t)note[i] < 0x20 && note[i] != '\n')
            return err_set(e, ERR_SYNTAX, "not a signed note: a control character");
    for (size_t i = len - 1; i > 0; i--)
        if (note[i] == '\n' && note[i - 1] == '\n') {
            *text_len = i;
            return 0;
        }
    return err_set(e, ERR_SYNTAX, "not a signed note: no empty line before signatures");
}

int note_verify(const char *note, size_t len, const struct vkey *v, size_t *text_len, struct err *e)
{
    const size_t prefix_len = sizeof signature_prefix - 1, name_len = strlen(v->name);
    const char *line, *end = note + len;
    int r = find_split(note, len, text_len, e);

    if (r < 0)
        return r;
    for (line = note + *text_len + 1; line < end;) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        size_t line_len = (size_t)(newline - line), at = prefix_len + name_len + 1;
        uint8_t blob[BLOB_SIZE];

        if (line_len < prefix_len || memcmp(line, signature_prefix, prefix_len) != 0)
            return err_set(e, ERR_SYNTAX, "not a signed note: a line that is no signature");
        if (line_len > at && memcmp(line + prefix_len, v->name, name_len) == 0 &&
            line[at - 1] == ' ' &&
            base64_decode(line + at, line_len - at, blob, sizeof blob) == 0 &&
            memcmp(blob, v->id, sizeof v->id) == 0)
            return check_signature(v, note, *text_len, blob + sizeof v->id, e);
        line = newline + 1;
    }
    return err_set(e, ERR_TAMPERED, "there is no signature of %s", v->name);
}
