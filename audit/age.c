/* SPDX-License-Identifier: Apache-2.0
 *
 * age v1 files for X25519 recipients. Runs in auditd (writing) and in the reading tools (reading).
 * Source: C2SP age.md, whose words the names here are. The reader takes nothing on trust: the
 * grammar is checked to the byte, and nothing of the content is given out before its tag. */
#include "audit/age.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdbool.h>
#include <string.h>

#include "audit/note.h"

#define FILE_KEY 16u
#define MAC_SIZE 32u
#define TAG_SIZE 16u
#define NONCE    16u
#define LINE     64u
/* 32 bytes in base64, with its padding character, which the format leaves out. */
#define BASE64_32 44u

static const char version_line[] = "age-encryption.org/v1\n";
static const char x25519_info[] = "age-encryption.org/v1/X25519";

/* HKDF-SHA-256, 32 bytes: RFC 5869 with one step of its expansion. */
static int hkdf(const uint8_t *key, size_t key_len, const uint8_t *salt, size_t salt_len,
                const char *info, uint8_t out[32])
{
    uint8_t prk[32], input[64];
    size_t len = strlen(info);
    bool good;

    memcpy(input, info, len);
    input[len] = 1;
    good = HMAC(EVP_sha256(), salt, (int)salt_len, key, key_len, prk, NULL) &&
           HMAC(EVP_sha256(), prk, sizeof prk, input, len + 1, out, NULL);
    OPENSSL_cleanse(prk, sizeof prk);
    return good ? 0 : ERR_CRYPTO;
}

/* ChaCha20-Poly1305 without additional data; out has len + TAG_SIZE bytes. */
static int seal(const uint8_t key[32], const uint8_t nonce[12], const void *plain, size_t len,
                uint8_t *out)
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n;
    bool good = c && EVP_EncryptInit_ex(c, EVP_chacha20_poly1305(), NULL, key, nonce) == 1 &&
                (len == 0 || EVP_EncryptUpdate(c, out, &n, plain, (int)len) == 1) &&
                EVP_EncryptFinal_ex(c, out + len, &n) == 1 &&
                EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, TAG_SIZE, out + len) == 1;

    EVP_CIPHER_CTX_free(c);
    return good ? 0 : ERR_CRYPTO;
}

/* The reverse: len bytes with their tag become len - TAG_SIZE. ERR_TAMPERED. */
static int open_sealed(const uint8_t key[32], const uint8_t nonce[12], const uint8_t *sealed,
                       size_t len, uint8_t *out)
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    uint8_t tag[TAG_SIZE];
    size_t plain = len - TAG_SIZE;
    int n;
    bool good;

    memcpy(tag, sealed + plain, sizeof tag);
    good = c && EVP_DecryptInit_ex(c, EVP_chacha20_poly1305(), NULL, key, nonce) == 1 &&
           (plain == 0 || EVP_DecryptUpdate(c, out, &n, sealed, (int)plain) == 1) &&
           EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, TAG_SIZE, tag) == 1 &&
           EVP_DecryptFinal_ex(c, out + plain, &n) == 1;
    EVP_CIPHER_CTX_free(c);
    return good ? 0 : ERR_TAMPERED;
}

/* X25519; OpenSSL refuses a result of zeroes. */
static int exchange(const uint8_t own[32], const uint8_t peer[32], uint8_t out[32])
{
    EVP_PKEY *a = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, own, 32);
    EVP_PKEY *b = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, peer, 32);
    EVP_PKEY_CTX *c = a ? EVP_PKEY_CTX_new(a, NULL) : NULL;
    size_t len = 32;
    bool good = b && c && EVP_PKEY_derive_init(c) == 1 && EVP_PKEY_derive_set_peer(c, b) == 1 &&
                EVP_PKEY_derive(c, out, &len) == 1 && len == 32;

    EVP_PKEY_CTX_free(c);
    EVP_PKEY_free(a);
    EVP_PKEY_free(b);
    return good ? 0 : ERR_CRYPTO;
}

int age_identity_new(uint8_t identity[AGE_KEY_SIZE], struct err *e)
{
    return RAND_priv_bytes(identity, AGE_KEY_SIZE) == 1
               ? 0
               : err_set(e, ERR_CRYPTO, "no random bytes for an identity");
}

int age_identity_recipient(const uint8_t identity[AGE_KEY_SIZE], uint8_t recipient[AGE_KEY_SIZE],
                           struct err *e)
{
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, identity, AGE_KEY_SIZE);
    size_t len = AGE_KEY_SIZE;
    bool good = key && EVP_PKEY_get_raw_public_key(key, recipient, &len) == 1;

    EVP_PKEY_free(key);
    return good ? 0 : err_set(e, ERR_CRYPTO, "cannot compute a recipient");
}

int age_recipient_check(const uint8_t key[AGE_KEY_SIZE], struct err *e)
{
    static const uint8_t one[AGE_KEY_SIZE] = {1};
    uint8_t shared[32];

    return exchange(one, key, shared) == 0
               ? 0
               : err_set(e, ERR_INPUT, "a recipient whose key protects nothing");
}

/* The key that wraps the file key between this share and this recipient. */
static int wrap_key(const uint8_t own[32], const uint8_t peer[32], const uint8_t share[32],
                    const uint8_t recipient[32], uint8_t out[32])
{
    uint8_t shared[32], salt[64];
    int r = exchange(own, peer, shared);

    memcpy(salt, share, 32);
    memcpy(salt + 32, recipient, 32);
    if (r == 0)
        r = hkdf(shared, sizeof shared, salt, sizeof salt, x25519_info, out);
    OPENSSL_cleanse(shared, sizeof shared);
    return r;
}

static int header_mac(const uint8_t file_key[FILE_KEY], const uint8_t *header, size_t len,
                      uint8_t out[MAC_SIZE])
{
    uint8_t key[32];
    int r = hkdf(file_key, FILE_KEY, (const uint8_t *)"", 0, "header", key);

    if (r == 0 && !HMAC(EVP_sha256(), key, sizeof key, header, len, out, NULL))
        r = ERR_CRYPTO;
    OPENSSL_cleanse(key, sizeof key);
    return r;
}

/* 43 characters. */
static void base64_32(char out[BASE64_32 + 1], const uint8_t bytes[32])
{
    base64_encode(out, bytes, 32);
    out[BASE64_32 - 1] = '\0';
}

static int put_stanza(struct buf *out, const uint8_t recipient[32],
                      const uint8_t file_key[FILE_KEY])
{
    static const uint8_t nonce[12];
    uint8_t secret[32], share[32], key[32], body[FILE_KEY + TAG_SIZE];
    char share_text[BASE64_32 + 1], body_text[BASE64_32 + 1];
    struct err ignored = ERR_INIT;
    int r = age_identity_new(secret, &ignored);

    if (r == 0)
        r = age_identity_recipient(secret, share, &ignored);
    if (r == 0)
        r = wrap_key(secret, recipient, share, recipient, key);
    if (r == 0)
        r = seal(key, nonce, file_key, FILE_KEY, body);
    if (r == 0) {
        base64_32(share_text, share);
        base64_32(body_text, body);
        r = buf_printf(out, "-> X25519 %s\n%s\n", share_text, body_text);
    }
    OPENSSL_cleanse(secret, sizeof secret);
    OPENSSL_cleanse(key, sizeof key);
    return r;
}

static int put_header(struct buf *out, const uint8_t (*recipients)[AGE_KEY_SIZE], size_t count,
                      const uint8_t file_key[FILE_KEY])
{
    size_t begin = buf_len(out);
    uint8_t mac[MAC_SIZE];
    char text[BASE64_32 + 1];
    int r = buf_put(out, version_line, sizeof version_line - 1);

    for (size_t i = 0; r == 0 && i < count; i++)
        r = put_stanza(out, recipients[i], file_key);
    if (r == 0)
        r = buf_put(out, "---", 3);
    if (r == 0)
        r = header_mac(file_key, buf_head(out) + begin, buf_len(out) - begin, mac);
    if (r < 0)
        return r;
    base64_32(text, mac);
    return buf_printf(out, " %s\n", text);
}

int age_encrypt(struct buf *out, const uint8_t (*recipients)[AGE_KEY_SIZE], size_t count,
                const void *plain, size_t len, struct err *e)
{
    /* The first chunk is the last one: counter 0, and the mark of the last. */
    static const uint8_t chunk[12] = {[11] = 1};
    uint8_t file_key[FILE_KEY], nonce[NONCE], key[32], *body;
    int r = 0;

    if (count == 0 || count > AGE_RECIPIENTS_MAX || len > AGE_PLAIN_MAX)
        return err_set(e, ERR_INPUT, "%zu recipients, %zu bytes: not what an age file is made for",
                       count, len);
    if (RAND_priv_bytes(file_key, sizeof file_key) != 1 || RAND_bytes(nonce, sizeof nonce) != 1)
        return err_set(e, ERR_CRYPTO, "no random bytes for an age file");
    r = put_header(out, recipients, count, file_key);
    if (r == 0)
        r = buf_put(out, nonce, sizeof nonce);
    if (r == 0)
        r = hkdf(file_key, sizeof file_key, nonce, sizeof nonce, "payload", key);
    body = r == 0 ? buf_reserve(out, len + TAG_SIZE) : NULL;
    if (r == 0)
        r = body ? seal(key, chunk, plain, len, body) : ERR_FULL;
    if (r == 0)
        buf_commit(out, len + TAG_SIZE);
    OPENSSL_cleanse(file_key, sizeof file_key);
    OPENSSL_cleanse(key, sizeof key);
    return r < 0 ? err_set(e, (enum err_code)r, "cannot make an age file") : 0;
}

struct reading {
    const uint8_t *at, *end, *begin;
};

struct line {
    const char *p;
    size_t len;
};

/* The next line without its end; false: there is none within the header's bounds. */
static bool take_line(struct reading *in, struct line *line)
{
    const uint8_t *end = memchr(in->at, '\n', (size_t)(in->end - in->at));

    if (!end || end - in->begin > AGE_HEADER_MAX)
        return false;
    line->p = (const char *)in->at;
    line->len = (size_t)(end - in->at);
    in->at = end + 1;
    return true;
}

static int digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) : -1;
}

/* Base64 without padding characters, and in the one form that its bytes have. */
static bool canonical(const struct line *line)
{
    size_t over = line->len % 4;

    for (size_t i = 0; i < line->len; i++)
        if (digit(line->p[i]) < 0)
            return false;
    if (over == 0)
        return true;
    return over != 1 && (digit(line->p[line->len - 1]) & (over == 2 ? 15 : 3)) == 0;
}

static bool decode_32(const char *text, size_t len, uint8_t out[32])
{
    char padded[BASE64_32];

    if (len != BASE64_32 - 1)
        return false;
    memcpy(padded, text, len);
    padded[len] = '=';
    return base64_decode(padded, sizeof padded, out, 32) == 0;
}

struct stanza {
    struct line arguments[3]; /* the first of them */
    size_t count;             /* of all */
    struct line body;         /* its last line */
    size_t lines;             /* of the body */
};

/* The line behind "-> ". */
static bool take_arguments(struct stanza *s, struct line line)
{
    s->count = 0;
    while (true) {
        size_t n = 0;

        while (n < line.len && line.p[n] > ' ' && line.p[n] <= '~')
            n++;
        if (n == 0 || (n < line.len && line.p[n] != ' '))
            return false;
        if (s->count < 3)
            s->arguments[s->count] = (struct line){line.p, n};
        s->count++;
        if (n == line.len)
            return true;
        line.p += n + 1;
        line.len -= n + 1;
    }
}

static bool take_body(struct reading *in, struct stanza *s)
{
    s->lines = 0;
    do {
        if (!take_line(in, &s->body) || s->body.len > LINE || !canonical(&s->body))
            return false;
        s->lines++;
    } while (s->body.len == LINE);
    return true;
}

static bool is_x25519(const struct stanza *s)
{
    return s->arguments[0].len == 6 && memcmp(s->arguments[0].p, "X25519", 6) == 0;
}

/* 0: the file key. ERR_NOT_FOUND: it is wrapped for somebody else. ERR_TAMPERED. */
static int unwrap(const struct stanza *s, const uint8_t identity[32], const uint8_t recipient[32],
                  uint8_t file_key[FILE_KEY])
{
    static const uint8_t nonce[12];
    uint8_t share[32], body[32], key[32];
    int r;

    if (s->count != 2 || !decode_32(s->arguments[1].p, s->arguments[1].len, share) ||
        s->lines != 1 || !decode_32(s->body.p, s->body.len, body))
        return ERR_TAMPERED;
    if (wrap_key(identity, share, share, recipient, key) < 0)
        return ERR_TAMPERED;
    r = open_sealed(key, nonce, body, sizeof body, file_key);
    OPENSSL_cleanse(key, sizeof key);
    return r < 0 ? ERR_NOT_FOUND : 0;
}

/* Reads the header to its end. */
static int take_header(struct reading *in, const uint8_t identity[32], uint8_t file_key[FILE_KEY])
{
    uint8_t recipient[32], mac[MAC_SIZE], expected[MAC_SIZE];
    struct err ignored = ERR_INIT;
    struct line line;
    bool found = false;

    if (age_identity_recipient(identity, recipient, &ignored) < 0)
        return ERR_CRYPTO;
    if (!take_line(in, &line) || line.len != sizeof version_line - 2 ||
        memcmp(line.p, version_line, line.len) != 0)
        return ERR_TAMPERED;
    for (size_t stanzas = 0; take_line(in, &line); stanzas++) {
        struct stanza s;

        if (line.len > 4 && memcmp(line.p, "--- ", 4) == 0) {
            if (stanzas == 0 || !decode_32(line.p + 4, line.len - 4, mac))
                return ERR_TAMPERED;
            if (!found)
                return ERR_NOT_FOUND;
            if (header_mac(file_key, in->begin, (size_t)((const uint8_t *)line.p + 3 - in->begin),
                           expected) < 0)
                return ERR_CRYPTO;
            return CRYPTO_memcmp(mac, expected, sizeof mac) == 0 ? 0 : ERR_TAMPERED;
        }
        if (line.len < 4 || memcmp(line.p, "-> ", 3) != 0 ||
            !take_arguments(&s, (struct line){line.p + 3, line.len - 3}) || !take_body(in, &s))
            return ERR_TAMPERED;
        if (is_x25519(&s) && !found) {
            int r = unwrap(&s, identity, recipient, file_key);

            if (r == ERR_TAMPERED)
                return r;
            found = r == 0;
        }
    }
    return ERR_TAMPERED;
}

static int take_content(struct buf *out, const struct reading *in, const uint8_t file_key[FILE_KEY])
{
    static const uint8_t chunk[12] = {[11] = 1};
    size_t len = (size_t)(in->end - in->at);
    uint8_t key[32], *plain;
    int r;

    if (len < NONCE + TAG_SIZE)
        return ERR_TAMPERED;
    len -= NONCE;
    if (len > AGE_PLAIN_MAX + TAG_SIZE)
        return ERR_FULL;
    plain = buf_reserve(out, len); /* the tag's bytes too, which the cipher does not write */
    if (!plain)
        return ERR_FULL;
    r = hkdf(file_key, FILE_KEY, in->at, NONCE, "payload", key);
    if (r == 0)
        r = open_sealed(key, chunk, in->at + NONCE, len, plain);
    if (r == 0)
        buf_commit(out, len - TAG_SIZE);
    OPENSSL_cleanse(key, sizeof key);
    return r;
}

int age_decrypt(struct buf *out, const uint8_t identity[AGE_KEY_SIZE], const void *file, size_t len,
                struct err *e)
{
    struct reading in = {file, (const uint8_t *)file + len, file};
    uint8_t file_key[FILE_KEY];
    int r = take_header(&in, identity, file_key);

    if (r == 0)
        r = take_content(out, &in, file_key);
    OPENSSL_cleanse(file_key, sizeof file_key);
    switch (r) {
    case 0:
        return 0;
    case ERR_NOT_FOUND:
        return err_set(e, ERR_NOT_FOUND, "the age file is not for this identity");
    case ERR_FULL:
        return err_set(e, ERR_FULL, "the age file is longer than a key");
    case ERR_CRYPTO:
        return err_set(e, ERR_CRYPTO, "cannot open an age file");
    default:
        return err_set(e, ERR_TAMPERED, "not an age file, or not as it was written");
    }
}
