/* SPDX-License-Identifier: Apache-2.0
 *
 * See auth/device_ca.h. */
#include "auth/device_ca.h"

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct device_ca {
    EVP_PKEY *key;
    X509 *certificate;
};

static int no_passphrase(char *out, int size, int writing, void *arg)
{
    (void)out, (void)size, (void)writing, (void)arg;
    return -1;
}

struct device_ca *device_ca_new(const struct secret *key_pem, const struct secret *certificate_pem,
                                struct err *e)
{
    struct device_ca *ca = calloc(1, sizeof *ca);
    BIO *key = BIO_new_mem_buf(secret_view(key_pem), (int)secret_len(key_pem));
    BIO *certificate =
        BIO_new_mem_buf(secret_view(certificate_pem), (int)secret_len(certificate_pem));

    if (ca && key && certificate) {
        ca->key = PEM_read_bio_PrivateKey(key, NULL, no_passphrase, NULL);
        ca->certificate = PEM_read_bio_X509(certificate, NULL, no_passphrase, NULL);
    }
    BIO_free(key);
    BIO_free(certificate);
    if (!ca || !ca->key || !ca->certificate) {
        err_set(e, ERR_INPUT, "the operator CA's key or certificate is not PEM");
    } else if (X509_check_private_key(ca->certificate, ca->key) != 1) {
        err_set(e, ERR_INPUT, "the operator CA's key and certificate do not belong together");
    } else if (X509_check_ca(ca->certificate) != 1) {
        err_set(e, ERR_INPUT, "the operator CA's certificate is not a CA's");
    } else {
        return ca;
    }
    device_ca_free(ca);
    return NULL;
}

void device_ca_free(struct device_ca *ca)
{
    if (!ca)
        return;
    EVP_PKEY_free(ca->key);
    X509_free(ca->certificate);
    free(ca);
}

/* The request's public key, when all is well with it. */
static EVP_PKEY *request_key(const void *csr_pem, size_t len, struct err *e)
{
    EVP_PKEY *key = NULL;
    X509_REQ *request = NULL;
    char group[32] = "";
    BIO *in = len <= DEVICE_CSR_MAX ? BIO_new_mem_buf(csr_pem, (int)len) : NULL;

    if (in)
        request = PEM_read_bio_X509_REQ(in, NULL, no_passphrase, NULL);
    BIO_free(in);
    if (!request) {
        err_set(e, ERR_INPUT, "this is not a certificate request in PEM (at most %d bytes)",
                DEVICE_CSR_MAX);
        return NULL;
    }
    key = X509_REQ_get_pubkey(request);
    if (!key || !EVP_PKEY_is_a(key, "EC") ||
        EVP_PKEY_get_group_name(key, group, sizeof group, NULL) != 1 ||
        strcmp(group, SN_X9_62_prime256v1) != 0)
        err_set(e, ERR_INPUT, "the certificate request's key is not an EC key on P-256");
    else if (X509_REQ_verify(request, key) != 1)
        err_set(e, ERR_INPUT, "the certificate request is not signed with its own key");
    else
        goto out;
    EVP_PKEY_free(key);
    key = NULL;
out:
    X509_REQ_free(request);
    return key;
}

static int add_extension(X509 *x, const X509V3_CTX *ctx, int nid, const char *value)
{
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, (X509V3_CTX *)ctx, nid, value);
    int ok = ext && X509_add_ext(x, ext, -1);
    X509_EXTENSION_free(ext);
    return ok;
}

static int set_serial(X509 *x, uint8_t serial[DEVICE_SERIAL_BYTES])
{
    if (RAND_bytes(serial, DEVICE_SERIAL_BYTES) != 1)
        return 0;
    /* Positive, and always 16 bytes long (RFC 5280, 4.1.2.2: at most 20). */
    serial[0] = (uint8_t)((serial[0] & 0x7f) | 0x40);
    BIGNUM *n = BN_bin2bn(serial, DEVICE_SERIAL_BYTES, NULL);
    int ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x));
    BN_free(n);
    return ok;
}

static int fill(const struct device_ca *ca, X509 *x, EVP_PKEY *key, struct device_certificate *c)
{
    X509V3_CTX ctx;
    X509_NAME *name = X509_get_subject_name(x);
    X509V3_set_ctx(&ctx, ca->certificate, x, NULL, NULL, 0);
    return X509_set_version(x, X509_VERSION_3) && set_serial(x, c->serial) &&
           X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                      (const uint8_t *)c->operator_name, -1, -1, 0) &&
           X509_set_issuer_name(x, X509_get_subject_name(ca->certificate)) &&
           ASN1_TIME_set(X509_getm_notBefore(x), (time_t)c->issued_s) &&
           ASN1_TIME_set(X509_getm_notAfter(x), (time_t)c->expires_s) && X509_set_pubkey(x, key) &&
           add_extension(x, &ctx, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(x, &ctx, NID_key_usage, "critical,digitalSignature") &&
           add_extension(x, &ctx, NID_ext_key_usage, "clientAuth") &&
           add_extension(x, &ctx, NID_subject_key_identifier, "hash") &&
           add_extension(x, &ctx, NID_authority_key_identifier, "keyid");
}

/* Ed25519 and Ed448 sign without a digest. */
static const EVP_MD *signing_digest(EVP_PKEY *key)
{
    return EVP_PKEY_is_a(key, "ED25519") || EVP_PKEY_is_a(key, "ED448") ? NULL : EVP_sha256();
}

int device_ca_issue(const struct device_ca *ca, const void *csr_pem, size_t len,
                    const char *operator_name, uint64_t now_s, uint64_t life_s,
                    struct device_certificate *out, struct buf *pem, struct err *e)
{
    EVP_PKEY *key = request_key(csr_pem, len, e);
    if (!key)
        return ERR_INPUT;
    X509 *x = X509_new();
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    int rc = ERR_CRYPTO;

    memset(out, 0, sizeof *out);
    if (strlen(operator_name) >= sizeof out->operator_name)
        goto out;
    strcpy(out->operator_name, operator_name);
    out->issued_s = now_s;
    out->expires_s = now_s + life_s;
    if (!x || !bio || !fill(ca, x, key, out) || !X509_sign(x, ca->key, signing_digest(ca->key)) ||
        !PEM_write_bio_X509(bio, x))
        goto out;
    long n = BIO_get_mem_data(bio, &text);
    rc = n > 0 ? buf_put(pem, text, (size_t)n) : ERR_CRYPTO;
out:
    if (rc < 0)
        err_set(e, (enum err_code)rc, "the device's certificate could not be made");
    BIO_free(bio);
    X509_free(x);
    EVP_PKEY_free(key);
    return rc;
}

static int read_time(const ASN1_TIME *t, uint64_t *out_s)
{
    struct tm tm;
    if (!t || ASN1_TIME_to_tm(t, &tm) != 1)
        return 0;
    time_t s = timegm(&tm);
    if (s < 0)
        return 0;
    *out_s = (uint64_t)s;
    return 1;
}

static int read_name(const X509 *x, char out[65])
{
    const X509_NAME *name = X509_get_subject_name(x);
    if (X509_NAME_entry_count(name) != 1)
        return 0;
    const X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, 0);
    const ASN1_STRING *value = X509_NAME_ENTRY_get_data(entry);
    int len = ASN1_STRING_length(value);
    const unsigned char *p = ASN1_STRING_get0_data(value);
    if (OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry)) != NID_commonName || len < 1 || len > 64 ||
        memchr(p, 0, (size_t)len))
        return 0;
    memcpy(out, p, (size_t)len);
    out[len] = '\0';
    return 1;
}

static int read_serial(const X509 *x, uint8_t out[DEVICE_SERIAL_BYTES])
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(x);
    if (ASN1_STRING_type(serial) != V_ASN1_INTEGER ||
        ASN1_STRING_length(serial) != DEVICE_SERIAL_BYTES)
        return 0;
    memcpy(out, ASN1_STRING_get0_data(serial), DEVICE_SERIAL_BYTES);
    return 1;
}

int device_ca_verify(const struct device_ca *ca, const void *der, size_t len,
                     struct device_certificate *out, struct err *e)
{
    const unsigned char *p = der;
    X509 *x = len <= DEVICE_DER_MAX ? d2i_X509(NULL, &p, (long)len) : NULL;
    int rc = 0;

    memset(out, 0, sizeof *out);
    if (!x || p != (const unsigned char *)der + len)
        rc = err_set(e, ERR_INPUT, "the client certificate is not DER");
    else if (X509_NAME_cmp(X509_get_issuer_name(x), X509_get_subject_name(ca->certificate)) != 0 ||
             X509_verify(x, ca->key) != 1)
        rc = err_set(e, ERR_TAMPERED, "the client certificate was not issued by the operator CA");
    else if (X509_check_ca(x) != 0 || !(X509_get_extension_flags(x) & EXFLAG_XKUSAGE) ||
             X509_get_extended_key_usage(x) != XKU_SSL_CLIENT)
        rc = err_set(e, ERR_INPUT, "the client certificate is not for client authentication");
    else if (!read_name(x, out->operator_name) || !read_serial(x, out->serial) ||
             !read_time(X509_get0_notBefore(x), &out->issued_s) ||
             !read_time(X509_get0_notAfter(x), &out->expires_s))
        rc = err_set(e, ERR_INPUT, "the client certificate's fields are not as we write them");
    X509_free(x);
    return rc;
}
