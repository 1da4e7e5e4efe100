/* SPDX-License-Identifier: Apache-2.0
 *
 * The device's own key and certificate (auth/device_key.h). */
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "auth/device_key.h"
#include "base/secret.h"
#include "gateway/cli.h"

static EVP_PKEY *read_key(const char *path)
{
    BIO *bio = BIO_new_file(path, "r");
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    return key;
}

static int make_key(const char *path, EVP_PKEY **out, struct err *e)
{
    char *bytes = NULL;
    int r;
    BIO *bio = BIO_new(BIO_s_secmem());
    *out = EVP_EC_gen("P-256");
    if (!bio || !*out || PEM_write_bio_PrivateKey(bio, *out, NULL, NULL, 0, NULL, NULL) != 1) {
        r = err_set(e, ERR_CRYPTO, "cannot make a key");
    } else {
        long len = BIO_get_mem_data(bio, &bytes);
        r = cli_replace_file(path, bytes, (size_t)len, 0600, e);
    }
    BIO_free(bio);
    return r;
}

int device_key_request(const char *dir, char **csr, struct err *e)
{
    char *path = cli_printf("%s/device.key", dir), *bytes = NULL;
    EVP_PKEY *key = NULL;
    X509_REQ *request = X509_REQ_new();
    BIO *bio = BIO_new(BIO_s_mem());
    int r = 0;
    *csr = NULL;
    if (access(path, F_OK) == 0) {
        if (!(key = read_key(path)))
            r = err_set(e, ERR_CRYPTO,
                        "cannot read the device's key %s; `sallyport login --forget` removes it",
                        path);
    } else {
        r = make_key(path, &key, e);
    }
    if (r == 0 &&
        (!request || !bio || X509_REQ_set_version(request, X509_REQ_VERSION_1) != 1 ||
         X509_REQ_set_pubkey(request, key) != 1 || X509_REQ_sign(request, key, EVP_sha256()) <= 0 ||
         PEM_write_bio_X509_REQ(bio, request) != 1))
        r = err_set(e, ERR_CRYPTO, "cannot make a certificate request");
    if (r == 0) {
        long len = BIO_get_mem_data(bio, &bytes);
        *csr = cli_printf("%.*s", (int)len, bytes);
    }
    BIO_free(bio);
    X509_REQ_free(request);
    EVP_PKEY_free(key);
    free(path);
    return r;
}

int device_key_store(const char *dir, const char *pem, char until[40], struct err *e)
{
    char *key_path = cli_printf("%s/device.key", dir), *path = cli_printf("%s/device.pem", dir);
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    EVP_PKEY *key = read_key(key_path);
    struct tm end;
    int r;
    if (!certificate || !key || X509_check_private_key(certificate, key) != 1 ||
        ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) != 1) {
        r = err_set(e, ERR_CRYPTO,
                    "the gateway's answer is not a certificate for this device's key");
    } else {
        strftime(until, 40, "%Y-%m-%d %H:%M UTC", &end);
        r = cli_replace_file(path, pem, strlen(pem), 0600, e);
    }
    BIO_free(bio);
    X509_free(certificate);
    EVP_PKEY_free(key);
    free(key_path);
    free(path);
    return r;
}

int device_key_forget(const char *dir)
{
    static const char *const names[] = {"device.pem", "device.key"};
    int found = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *path = cli_printf("%s/%s", dir, names[i]);
        if (unlink(path) == 0)
            found = 1;
        free(path);
    }
    return found;
}
