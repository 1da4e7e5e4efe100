/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys and certificates of a new gateway, made with OpenSSL and libssh (gateway/init_keys.h). */
#include <arpa/inet.h>
#include <libssh/libssh.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/secret.h"
#include "gateway/cli.h"
#include "gateway/init_keys.h"

/* A certificate authority lives as long as an installation may; the TLS certificate as long as two
 * yearly maintenance windows may be apart. */
#define AUTHORITY_DAYS 3650
#define TLS_DAYS       730
/* Not valid before an hour ago, for devices whose clock is behind. */
#define BEFORE_SECONDS 3600

static int crypto_failed(struct err *e, const char *what)
{
    unsigned long code = ERR_get_error();
    ERR_clear_error();
    return err_set(e, ERR_CRYPTO, "%s: %s", what, code ? ERR_reason_error_string(code) : "failed");
}

static int write_bio(const char *path, BIO *bio, mode_t mode, struct err *e)
{
    char *bytes = NULL;
    long len = BIO_get_mem_data(bio, &bytes);
    if (len <= 0)
        return crypto_failed(e, path);
    return cli_create_file(path, bytes, (size_t)len, mode, e);
}

static int write_private(const char *dir, const char *name, EVP_PKEY *key, struct err *e)
{
    char *path = cli_printf("%s/%s.key", dir, name);
    BIO *bio = BIO_new(BIO_s_secmem());
    int r = bio && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1
                ? write_bio(path, bio, 0600, e)
                : crypto_failed(e, path);
    BIO_free(bio);
    free(path);
    return r;
}

static int write_certificate(const char *dir, const char *name, X509 *certificate, struct err *e)
{
    char *path = cli_printf("%s/%s.pem", dir, name);
    BIO *bio = BIO_new(BIO_s_mem());
    int r = bio && PEM_write_bio_X509(bio, certificate) == 1 ? write_bio(path, bio, 0644, e)
                                                             : crypto_failed(e, path);
    BIO_free(bio);
    free(path);
    return r;
}

static int add_extension(X509 *c, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, c, NULL, NULL, 0);
    X509_EXTENSION *x = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    int ok = x && X509_add_ext(c, x, -1) == 1;
    X509_EXTENSION_free(x);
    return ok;
}

/* Version, a random 127-bit positive serial (CA/Browser Forum: at least 64 bits), subject, dates,
 * key. */
static X509 *new_certificate(const char *subject, EVP_PKEY *key, int days)
{
    X509 *c = X509_new();
    unsigned char serial[16];
    BIGNUM *number = NULL;
    X509_NAME *name = c ? X509_get_subject_name(c) : NULL;
    int ok =
        c && RAND_bytes(serial, sizeof serial) == 1 && X509_set_version(c, X509_VERSION_3) == 1;
    serial[0] = (serial[0] & 0x7f) | 0x40;
    ok = ok && (number = BN_bin2bn(serial, sizeof serial, NULL)) &&
         BN_to_ASN1_INTEGER(number, X509_get_serialNumber(c)) &&
         X509_gmtime_adj(X509_getm_notBefore(c), -BEFORE_SECONDS) &&
         X509_gmtime_adj(X509_getm_notAfter(c), (long)days * 86400) &&
         X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)subject, -1,
                                    -1, 0) &&
         X509_set_pubkey(c, key) == 1;
    BN_free(number);
    if (!ok) {
        X509_free(c);
        return NULL;
    }
    return c;
}

int init_authority(const char *dir, const char *name, const char *subject, struct err *e)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *c = key ? new_certificate(subject, key, AUTHORITY_DAYS) : NULL;
    int r = c && X509_set_issuer_name(c, X509_get_subject_name(c)) == 1 &&
                    add_extension(c, c, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
                    add_extension(c, c, NID_key_usage, "critical,keyCertSign,cRLSign") &&
                    add_extension(c, c, NID_subject_key_identifier, "hash") &&
                    X509_sign(c, key, EVP_sha256()) > 0
                ? 0
                : crypto_failed(e, name);
    if (r == 0)
        r = write_private(dir, name, key, e);
    if (r == 0)
        r = write_certificate(dir, name, c, e);
    X509_free(c);
    EVP_PKEY_free(key);
    return r;
}

/* One entry of subjectAltName: an address literal is an IP entry, all else a DNS entry. */
static void append_name(struct buf *out, const char *name, int *failed)
{
    unsigned char binary[16];
    bool literal = inet_pton(AF_INET, name, binary) == 1 || inet_pton(AF_INET6, name, binary) == 1;
    if (buf_printf(out, "%s%s:%s", buf_len(out) ? "," : "", literal ? "IP" : "DNS", name) != 0)
        *failed = 1;
}

static int read_authority(const char *dir, EVP_PKEY **key, X509 **certificate, struct err *e)
{
    char *key_path = cli_printf("%s/gateway-ca.key", dir),
         *path = cli_printf("%s/gateway-ca.pem", dir);
    BIO *bio = BIO_new_file(key_path, "r");
    *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    bio = BIO_new_file(path, "r");
    *certificate = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    int r = *key && *certificate ? 0 : crypto_failed(e, path);
    free(key_path);
    free(path);
    return r;
}

int init_tls(const char *dir, const char *gateway, const char *const *more, struct err *e)
{
    EVP_PKEY *ca_key = NULL, *key = NULL;
    X509 *ca = NULL, *c = NULL;
    struct buf names;
    char *names_text = NULL;
    int failed = 0, r;
    buf_init(&names, 4096);
    append_name(&names, gateway, &failed);
    for (size_t i = 0; more && more[i]; i++)
        append_name(&names, more[i], &failed);
    names_text = buf_string(&names);
    if (failed || !names_text) {
        r = err_set(e, ERR_FULL, "too many names for one certificate");
        goto out;
    }
    if ((r = read_authority(dir, &ca_key, &ca, e)) != 0)
        goto out;
    key = EVP_EC_gen("P-256");
    c = key ? new_certificate(gateway, key, TLS_DAYS) : NULL;
    if (!c || X509_set_issuer_name(c, X509_get_subject_name(ca)) != 1 ||
        !add_extension(c, ca, NID_basic_constraints, "critical,CA:FALSE") ||
        !add_extension(c, ca, NID_key_usage, "critical,digitalSignature") ||
        !add_extension(c, ca, NID_ext_key_usage, "serverAuth") ||
        !add_extension(c, ca, NID_subject_key_identifier, "hash") ||
        !add_extension(c, ca, NID_authority_key_identifier, "keyid") ||
        !add_extension(c, ca, NID_subject_alt_name, names_text) ||
        X509_sign(c, ca_key, EVP_sha256()) <= 0) {
        r = crypto_failed(e, "the TLS certificate");
        goto out;
    }
    r = write_private(dir, "tls", key, e);
    if (r == 0)
        r = write_certificate(dir, "tls", c, e);
out:
    buf_clear(&names);
    free(names_text);
    X509_free(c);
    X509_free(ca);
    EVP_PKEY_free(key);
    EVP_PKEY_free(ca_key);
    return r;
}

int init_host_key(const char *dir, const char *comment, struct err *e)
{
    char *path = cli_printf("%s/ssh_host_ed25519_key", dir),
         *public_path = cli_printf("%s.pub", path);
    char *base64 = NULL, *line = NULL;
    ssh_key key = NULL;
    mode_t mask = umask(077);
    int r = 0;
    if (ssh_pki_generate(SSH_KEYTYPE_ED25519, 0, &key) != SSH_OK ||
        ssh_pki_export_pubkey_base64(key, &base64) != SSH_OK ||
        ssh_pki_export_privkey_file(key, NULL, NULL, NULL, path) != SSH_OK ||
        chmod(path, 0600) != 0)
        r = err_set(e, ERR_CRYPTO, "cannot make the SSH host key %s", path);
    umask(mask);
    if (r == 0) {
        line = cli_printf("ssh-ed25519 %s %s\n", base64, comment);
        r = cli_create_file(public_path, line, strlen(line), 0644, e);
    }
    ssh_key_free(key);
    ssh_string_free_char(base64);
    free(line);
    free(path);
    free(public_path);
    return r;
}

int init_store_key(const char *dir, struct err *e)
{
    char *path = cli_printf("%s/store.key", dir);
    struct secret *key = secret_random(32);
    int r = key ? cli_create_file(path, secret_view(key), secret_len(key), 0600, e)
                : err_set(e, ERR_MEMORY, "cannot make %s", path);
    secret_free(key);
    free(path);
    return r;
}
