/* SPDX-License-Identifier: Apache-2.0
 *
 * Which SSH public keys may stand in a policy set: Ed25519, ECDSA on the NIST curves, RSA of at
 * least 3072 bits. The blob must be exactly what its type says, with no byte left over, so that one
 * key has one blob and keys can be compared as bytes. That a point lies on its curve is checked
 * when a signature is. Used by the loaders; the line comes from a file of root's and may still be
 * wrong. Pure. */
#include "policy/pubkey.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/yaml_tree.h"

#define SK_ED25519 "sk-ssh-ed25519@openssh.com"
#define BLOB_MAX   4096 /* DATA(key, 4096) of auth/login.def; RSA of 16384 bits has 2071 bytes */

/* The types that may stand in one place. */
struct key_types {
    const char *const *good; /* NULL-terminated */
    const char *expected;
};

static const char *const login_types[] = {
    "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa",
    NULL};
static const struct key_types login_keys = {
    login_types,
    "ssh-ed25519, ecdsa-sha2-nistp256, ecdsa-sha2-nistp384, ecdsa-sha2-nistp521 or ssh-rsa"};

/* What base/sshsig.h verifies. */
static const char *const signer_types[] = {"ssh-ed25519", SK_ED25519, "ecdsa-sha2-nistp256",
                                           "ssh-rsa", NULL};
static const struct key_types signer_keys = {signer_types, "ssh-ed25519, " SK_ED25519
                                                           ", ecdsa-sha2-nistp256 or ssh-rsa"};

static int base64_value(unsigned char c)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *p = c ? strchr(alphabet, c) : NULL;

    return p ? (int)(p - alphabet) : -1;
}

/* RFC 4648 with padding, canonical (no stray bits). Bytes written, or -1. */
static long base64_decode(const char *in, size_t len, uint8_t *out)
{
    size_t n = 0, pad = 0;

    if (!len || len % 4)
        return -1;
    while (pad < 2 && in[len - 1 - pad] == '=')
        pad++;
    for (size_t i = 0; i < len; i += 4) {
        uint32_t group = 0;
        const size_t use = i + 4 == len ? 4 - pad : 4;
        for (size_t k = 0; k < 4; k++) {
            const int v = k < use ? base64_value((unsigned char)in[i + k]) : 0;
            if (v < 0)
                return -1;
            group = group << 6 | (uint32_t)v;
        }
        if ((use == 3 && (group & 0xff)) || (use == 2 && (group & 0xffff)))
            return -1;
        for (size_t k = 0; k + 1 < use; k++)
            out[n++] = (uint8_t)(group >> (16 - 8 * k));
    }
    return (long)n;
}

static struct bytes get_string(struct wire_reader *r)
{
    return wire_get_data(r, BLOB_MAX);
}

static bool is_text(struct bytes b, const char *text)
{
    return b.len == strlen(text) && memcmp(b.p, text, b.len) == 0;
}

/* A positive mpint in its shortest form; returns its bits, 0 when it is not one. */
static size_t mpint_bits(struct bytes b)
{
    if (b.len && b.p[0] == 0) {
        if (b.len < 2 || !(b.p[1] & 0x80))
            return 0;
        b.p++;
        b.len--;
    } else if (b.len && (b.p[0] & 0x80)) {
        return 0;
    }
    if (!b.len)
        return 0;
    size_t bits = b.len * 8;
    for (unsigned mask = 0x80; !(b.p[0] & mask); mask >>= 1)
        bits--;
    return bits;
}

static int check_rsa(struct wire_reader *r, struct err *e)
{
    const struct bytes exponent = get_string(r), modulus = get_string(r);

    if (r->failed)
        return 0; /* the caller says so */
    const size_t bits = mpint_bits(modulus);
    if (!mpint_bits(exponent) || !(exponent.p[exponent.len - 1] & 1) || mpint_bits(exponent) < 2 ||
        !bits || !(modulus.p[modulus.len - 1] & 1))
        return err_set(e, ERR_SYNTAX,
                       "found an RSA key with impossible numbers, expected a right one");
    if (bits < 3072 || bits > 16384)
        return err_set(e, ERR_SYNTAX, "found an RSA key of %zu bits, expected 3072 to 16384", bits);
    return 0;
}

static int check_blob(const char *type, const uint8_t *blob, size_t len, struct err *e)
{
    static const struct {
        const char *type, *curve;
        size_t point;
    } curves[] = {
        {"ecdsa-sha2-nistp256", "nistp256", 65},
        {"ecdsa-sha2-nistp384", "nistp384", 97},
        {"ecdsa-sha2-nistp521", "nistp521", 133},
    };
    struct wire_reader r;
    bool good = true;

    wire_reader_init(&r, blob, len);
    const struct bytes inner = get_string(&r);
    if (r.failed || !is_text(inner, type))
        return err_set(e, ERR_SYNTAX,
                       "found base64 text that is not of a %s key, expected the whole line of a "
                       "public key file",
                       type);
    if (strcmp(type, "ssh-ed25519") == 0) {
        good = get_string(&r).len == 32;
    } else if (strcmp(type, SK_ED25519) == 0) {
        good = get_string(&r).len == 32 && get_string(&r).len > 0;
    } else if (strcmp(type, "ssh-rsa") == 0) {
        int rc = check_rsa(&r, e);
        if (rc < 0)
            return rc;
    } else {
        for (size_t i = 0; i < sizeof curves / sizeof *curves; i++) {
            if (strcmp(type, curves[i].type) != 0)
                continue;
            const struct bytes curve = get_string(&r), point = get_string(&r);
            good = !r.failed && is_text(curve, curves[i].curve) && point.len == curves[i].point &&
                   point.p[0] == 4;
        }
    }
    if (!good || wire_get_end(&r, NULL) < 0)
        return err_set(e, ERR_SYNTAX,
                       "found a damaged %s key, expected the whole line of a public "
                       "key file",
                       type);
    return 0;
}

static int check_type(const char *type, const struct key_types *types, struct err *e)
{
    static const struct {
        const char *type, *why;
    } refused[] = {
        {"ssh-dss", "DSA is too weak"},
        {"rsa-sha2-256", "that names a signature; the key's type is ssh-rsa"},
        {"rsa-sha2-512", "that names a signature; the key's type is ssh-rsa"},
        {"ecdsa-sha2-nistp384", "no curve but P-256 is supported"},
        {"ecdsa-sha2-nistp521", "no curve but P-256 is supported"},
        {SK_ED25519, "keys of security tokens are not supported"},
        {"sk-ecdsa-sha2-nistp256@openssh.com", "keys of security tokens are not supported"},
    };
    char shown[200];

    escape_text(shown, sizeof shown, type, strnlen(type, 60));
    for (size_t i = 0; types->good[i]; i++) {
        if (strcmp(type, types->good[i]) == 0)
            return 0;
    }
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        if (strcmp(type, refused[i].type) == 0)
            return err_set(e, ERR_SYNTAX, "found a key of type %s (%s), expected %s", shown,
                           refused[i].why, types->expected);
    }
    if (strstr(type, "-cert-v01@"))
        return err_set(e, ERR_SYNTAX, "found an SSH certificate (%s), expected a plain public key",
                       shown);
    if (strchr(type, '=') || strncmp(type, "no-", 3) == 0 || strcmp(type, "restrict") == 0)
        return err_set(e, ERR_SYNTAX,
                       "found \"%s\", an option of authorized_keys, expected the key alone", shown);
    if (strncmp(type, "-----BEGIN", 10) == 0)
        return err_set(e, ERR_SYNTAX, "found a PEM file, expected the line of a .pub file");
    const char *near = nearest_word(type, types->good);
    if (near)
        return err_set(e, ERR_SYNTAX,
                       "found a key of type \"%s\" (did you mean \"%s\"?), expected %s", shown,
                       near, types->expected);
    return err_set(e, ERR_SYNTAX, "found a key of type \"%s\", expected %s", shown,
                   types->expected);
}

static void set_fingerprint(struct policy_key *key)
{
    uint8_t hash[32];
    unsigned char text[48]; /* 4 * ceil(32 / 3) = 44 and the NUL */

    SHA256(key->blob, key->len, hash);
    EVP_EncodeBlock(text, hash, sizeof hash);
    text[43] = 0; /* OpenSSH leaves the padding out */
    memcpy(key->fingerprint, "SHA256:", 7);
    memcpy(key->fingerprint + 7, text, 44);
}

static int parse(struct pool *pool, const char *line, const struct key_types *types,
                 struct policy_key *out, struct err *e)
{
    char type[64];
    uint8_t blob[BLOB_MAX + 4];

    memset(out, 0, sizeof *out);
    line += strspn(line, " ");
    const size_t type_len = strcspn(line, " ");
    if (!type_len)
        return err_set(e, ERR_SYNTAX,
                       "found nothing, expected a public key: TYPE BASE64 [COMMENT]");
    const size_t keep = type_len < sizeof type ? type_len : sizeof type - 1;
    memcpy(type, line, keep);
    type[keep] = 0;
    int rc = check_type(type, types, e);
    if (rc < 0)
        return rc;
    line += type_len;
    line += strspn(line, " ");
    const size_t len = strcspn(line, " ");
    if (!len)
        return err_set(e, ERR_SYNTAX, "found \"%s\" alone, expected the key's base64 text after it",
                       type);
    if (len / 4 * 3 > BLOB_MAX)
        return err_set(e, ERR_SYNTAX, "found a key of %zu bytes, expected at most %d", len / 4 * 3,
                       BLOB_MAX);
    const long blob_len = base64_decode(line, len, blob);
    if (blob_len < 0)
        return err_set(e, ERR_SYNTAX,
                       "found text after \"%s\" that is not base64, expected the "
                       "whole line of a public key file",
                       type);
    rc = check_blob(type, blob, (size_t)blob_len, e);
    if (rc < 0)
        return rc;
    out->blob = pool_copy(pool, blob, (size_t)blob_len);
    if (!out->blob)
        return err_set(e, ERR_MEMORY, "out of memory");
    out->len = (size_t)blob_len;
    set_fingerprint(out);
    return 0;
}

int pubkey_parse(struct pool *pool, const char *line, struct policy_key *out, struct err *e)
{
    return parse(pool, line, &login_keys, out, e);
}

int pubkey_parse_signer(struct pool *pool, const char *line, struct policy_key *out, struct err *e)
{
    return parse(pool, line, &signer_keys, out, e);
}
