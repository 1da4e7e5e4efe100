/* SPDX-License-Identifier: Apache-2.0
 *
 * Public keys of SSH as OpenSSL takes them, and who has them; see sshsig.h. */
#include "base/sshsig_internal.h"

#include <stdio.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>

#define RSA_BITS_MIN 2048
#define POINT_LEN    65u /* of P-256, not compressed */

static bool equal(struct bytes b, const char *text)
{
    return b.len == strlen(text) && memcmp(b.p, text, b.len) == 0;
}

static int build(const char *type, OSSL_PARAM_BLD *b, EVP_PKEY **out)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(b);
    int r = 0;

    if (!ctx || !params || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, out, EVP_PKEY_PUBLIC_KEY, params) != 1)
        r = ERR_SYNTAX;
    OSSL_PARAM_free(params);
    EVP_PKEY_CTX_free(ctx);
    return r;
}

static int ecdsa(struct wire_reader *r, EVP_PKEY **out)
{
    struct bytes curve = wire_get_data(r, 16), point = wire_get_data(r, POINT_LEN);
    OSSL_PARAM_BLD *b;
    int rc;

    if (r->failed || !equal(curve, "nistp256") || point.len != POINT_LEN || point.p[0] != 4)
        return ERR_SYNTAX;
    b = OSSL_PARAM_BLD_new();
    rc = b && OSSL_PARAM_BLD_push_utf8_string(b, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) &&
                 OSSL_PARAM_BLD_push_octet_string(b, OSSL_PKEY_PARAM_PUB_KEY, point.p, point.len)
             ? build("EC", b, out)
             : ERR_CRYPTO;
    OSSL_PARAM_BLD_free(b);
    return rc;
}

static int rsa(struct wire_reader *r, EVP_PKEY **out)
{
    struct bytes e = wire_get_data(r, 16), n = wire_get_data(r, SSHSIG_KEY_MAX);
    BIGNUM *be = NULL, *bn = NULL;
    OSSL_PARAM_BLD *b = NULL;
    int rc = ERR_SYNTAX;

    if (r->failed || e.len == 0 || n.len == 0)
        return ERR_SYNTAX;
    be = BN_bin2bn(e.p, (int)e.len, NULL);
    bn = BN_bin2bn(n.p, (int)n.len, NULL);
    b = OSSL_PARAM_BLD_new();
    if (!be || !bn || !b)
        rc = ERR_CRYPTO;
    else if (BN_num_bits(bn) >= RSA_BITS_MIN && BN_is_odd(bn) && BN_is_odd(be) && !BN_is_one(be) &&
             OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_E, be) &&
             OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_N, bn))
        rc = build("RSA", b, out);
    OSSL_PARAM_BLD_free(b);
    BN_free(be);
    BN_free(bn);
    return rc;
}

static int ed25519(struct wire_reader *r, EVP_PKEY **out)
{
    struct bytes key = wire_get_data(r, 32);

    if (r->failed || key.len != 32)
        return ERR_SYNTAX;
    *out = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key.p, key.len);
    return *out ? 0 : ERR_SYNTAX;
}

int sshsig_public(struct bytes blob, struct sshsig_public *out)
{
    struct wire_reader r;
    struct bytes type;
    struct err e = ERR_INIT;
    int rc = ERR_SYNTAX;

    memset(out, 0, sizeof *out);
    wire_reader_init(&r, blob.p, blob.len);
    type = wire_get_data(&r, 64);
    if (equal(type, "ssh-ed25519")) {
        out->algorithm = "ssh-ed25519";
        rc = ed25519(&r, &out->key);
    } else if (equal(type, "sk-ssh-ed25519@openssh.com")) {
        out->algorithm = "sk-ssh-ed25519@openssh.com";
        out->is_sk = true;
        rc = ed25519(&r, &out->key);
        out->application = wire_get_data(&r, 256);
    } else if (equal(type, "ecdsa-sha2-nistp256")) {
        out->algorithm = "ecdsa-sha2-nistp256";
        out->md = EVP_sha256();
        out->is_ecdsa = true;
        rc = ecdsa(&r, &out->key);
    } else if (equal(type, "ssh-rsa")) {
        out->algorithm = "rsa-sha2-512";
        out->md = EVP_sha512();
        rc = rsa(&r, &out->key);
    }
    if (rc == 0 && wire_get_end(&r, &e) < 0)
        rc = ERR_SYNTAX;
    if (rc < 0) {
        EVP_PKEY_free(out->key);
        out->key = NULL;
    }
    return rc;
}

/* An mpint of SSH is the content of a DER INTEGER, as long as it is a positive one. */
static size_t put_integer(uint8_t *out, struct bytes value)
{
    if (value.len == 0 || value.len > 33 || (value.p[0] & 0x80) ||
        (value.len > 1 && value.p[0] == 0 && !(value.p[1] & 0x80)))
        return 0;
    out[0] = 2;
    out[1] = (uint8_t)value.len;
    memcpy(out + 2, value.p, value.len);
    return 2 + value.len;
}

int sshsig_ecdsa_der(struct bytes *raw, uint8_t der[SSHSIG_DER_MAX])
{
    struct wire_reader reader;
    struct bytes r, s;
    struct err e = ERR_INIT;
    size_t a, b;

    wire_reader_init(&reader, raw->p, raw->len);
    r = wire_get_data(&reader, 33);
    s = wire_get_data(&reader, 33);
    if (wire_get_end(&reader, &e) < 0)
        return ERR_SYNTAX;
    a = put_integer(der + 2, r);
    b = a ? put_integer(der + 2 + a, s) : 0;
    if (!b)
        return ERR_SYNTAX;
    der[0] = 0x30;
    der[1] = (uint8_t)(a + b);
    *raw = (struct bytes){der, 2 + a + b};
    return 0;
}

/* --- the list */

static struct bytes next_word(struct bytes *line)
{
    struct bytes word;

    while (line->len > 0 && (*line->p == ' ' || *line->p == '\t'))
        line->p++, line->len--;
    word = (struct bytes){line->p, 0};
    while (line->len > 0 && *line->p != ' ' && *line->p != '\t')
        line->p++, line->len--, word.len++;
    return word;
}

/* Whether `namespaces="A,B"` has the name. -1: it is another option. */
static int permits(struct bytes option, const char *name)
{
    static const char begin[] = "namespaces=\"";
    const char *p, *end;

    if (option.len < sizeof begin || memcmp(option.p, begin, sizeof begin - 1) != 0 ||
        option.p[option.len - 1] != '"')
        return -1;
    p = (const char *)option.p + sizeof begin - 1;
    end = (const char *)option.p + option.len - 1;
    while (p < end) {
        const char *comma = memchr(p, ',', (size_t)(end - p));
        size_t n = (size_t)((comma ? comma : end) - p);

        if (n == strlen(name) && memcmp(p, name, n) == 0)
            return 1;
        p += n + 1;
    }
    return 0;
}

/* 1: the line is this key's; *name is its first name. */
static int read_line(struct bytes line, const struct sshsig_key *key, const char *name_space,
                     struct bytes *name, bool *permitted)
{
    struct bytes type, text;
    uint8_t blob[SSHSIG_KEY_MAX + 4];
    size_t len;
    int may = 1;

    *name = next_word(&line);
    if (name->len == 0 || name->p[0] == '#')
        return 0;
    type = next_word(&line);
    if (type.len > 0 && memchr(type.p, '"', type.len)) {
        may = permits(type, name_space);
        type = next_word(&line);
    }
    text = next_word(&line);
    if (may < 0 || type.len == 0 ||
        sshsig_base64((const char *)text.p, text.len, blob, sizeof blob, &len) < 0 ||
        len < 4 + type.len || wire_load_u32(blob) != type.len ||
        memcmp(blob + 4, type.p, type.len) != 0)
        return ERR_SYNTAX;
    *permitted = may == 1;
    return len == key->len && memcmp(blob, key->blob, len) == 0;
}

int sshsig_signer(const char *list, size_t len, const struct sshsig_key *key,
                  const char *name_space, char name[SSHSIG_NAME_MAX + 1], struct err *e)
{
    bool found = false, permitted = false;
    unsigned number = 0;

    while (len > 0) {
        const char *end = memchr(list, '\n', len);
        size_t n = end ? (size_t)(end - list) : len;
        struct bytes who;
        bool may = false;
        int r = read_line((struct bytes){(const uint8_t *)list, n}, key, name_space, &who, &may);

        number++;
        if (r < 0 || (r == 1 && who.len > SSHSIG_NAME_MAX))
            return err_set(e, ERR_SYNTAX, "line %u of the custodians is not one of a key", number);
        if (r == 1 && !found) {
            const uint8_t *comma = memchr(who.p, ',', who.len);

            found = true;
            permitted = may;
            snprintf(name, SSHSIG_NAME_MAX + 1, "%.*s", (int)(comma ? comma - who.p : (int)who.len),
                     (const char *)who.p);
        }
        list += n + (end != NULL);
        len -= n + (end != NULL);
    }
    if (!found)
        return err_set(e, ERR_DENIED, "the signature is by a key that no custodian has");
    if (!permitted)
        return err_set(e, ERR_DENIED, "%s may not sign for %s", name, name_space);
    return 0;
}
