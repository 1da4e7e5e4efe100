/* SPDX-License-Identifier: Apache-2.0
 *
 * Certificate requests and device certificates: hostile bytes from operators' devices. */
#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/auth_lab.h"

static int issue(struct auth_lab *lab, const char *request, struct buf *pem, struct err *e)
{
    struct device_certificate c;
    return device_ca_issue(lab->world.ca, request, strlen(request), "alice", LAB_NOW, 3600, &c, pem,
                           e);
}

Test(device_ca, issues_and_verifies_its_own)
{
    struct auth_lab lab, other;
    struct login l = {0};
    struct device_certificate c;
    struct err e = ERR_INIT;
    lab_set_up(&lab);
    lab_set_up(&other);
    secret_free(lab_enrol(&lab, "alice"));
    lab_remember(&lab, &l, "alice", LAB_NOW, 3600);
    cr_assert_eq(device_ca_verify(lab.world.ca, l.certificate_der, l.certificate_len, &c, &e), 0,
                 "%s", e.text);
    cr_expect_str_eq(c.operator_name, "alice", "not the name in the request");
    cr_expect(c.issued_s == LAB_NOW && c.expires_s == LAB_NOW + 3600);
    cr_expect_eq(device_ca_verify(other.world.ca, l.certificate_der, l.certificate_len, &c, &e),
                 ERR_TAMPERED, "another CA's");
    for (size_t len = 0; len < l.certificate_len; len++)
        cr_expect_lt(device_ca_verify(lab.world.ca, l.certificate_der, len, &c, &e), 0);
    for (size_t i = 0; i < l.certificate_len; i++) {
        l.certificate_der[i] ^= 0x01;
        cr_expect_lt(device_ca_verify(lab.world.ca, l.certificate_der, l.certificate_len, &c, &e),
                     0, "byte %zu", i);
        l.certificate_der[i] ^= 0x01;
    }
    login_clear(&l);
    lab_tear_down(&lab);
    lab_tear_down(&other);
}

Test(device_ca, does_not_take_its_own_ca_certificate_for_a_device)
{
    struct auth_lab lab;
    struct device_certificate c;
    struct err e = ERR_INIT;
    uint8_t *der = NULL;
    lab_set_up(&lab);
    BIO *bio =
        BIO_new_mem_buf(secret_view(lab.ca_certificate), (int)secret_len(lab.ca_certificate));
    X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    int len = i2d_X509(x, &der);
    cr_expect_eq(device_ca_verify(lab.world.ca, der, (size_t)len, &c, &e), ERR_INPUT);
    OPENSSL_free(der);
    X509_free(x);
    BIO_free(bio);
    lab_tear_down(&lab);
}

Test(device_ca, refuses_other_requests)
{
    struct auth_lab lab;
    struct err e = ERR_INIT;
    struct buf pem;
    lab_set_up(&lab);
    buf_init(&pem, DEVICE_PEM_MAX);
    char *good = lab_request("P-256"), *curve = lab_request("P-384");
    cr_expect_eq(issue(&lab, good, &pem, &e), 0, "%s", e.text);
    buf_clear(&pem);
    cr_expect_eq(issue(&lab, curve, &pem, &e), ERR_INPUT);
    cr_expect_eq(issue(&lab, "", &pem, &e), ERR_INPUT);
    cr_expect_eq(issue(&lab, "-----BEGIN CERTIFICATE REQUEST-----\n", &pem, &e), ERR_INPUT);
    /* Its key exchanged for another's: not signed with its own key any more. */
    char *other = lab_request("P-256");
    BIO *bio = BIO_new_mem_buf(good, -1), *bio2 = BIO_new_mem_buf(other, -1);
    X509_REQ *a = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
    X509_REQ *b = PEM_read_bio_X509_REQ(bio2, NULL, NULL, NULL);
    EVP_PKEY *key = X509_REQ_get_pubkey(b);
    BIO *out = BIO_new(BIO_s_mem());
    cr_assert(X509_REQ_set_pubkey(a, key) && PEM_write_bio_X509_REQ(out, a));
    char *text;
    long n = BIO_get_mem_data(out, &text);
    char *stolen = strndup(text, (size_t)n);
    cr_expect_eq(issue(&lab, stolen, &pem, &e), ERR_INPUT);
    cr_expect(strstr(e.text, "signed"), "%s", e.text);
    cr_expect_eq(buf_len(&pem), 0);
    BIO_free(bio);
    BIO_free(bio2);
    BIO_free(out);
    X509_REQ_free(a);
    X509_REQ_free(b);
    EVP_PKEY_free(key);
    free(good);
    free(curve);
    free(other);
    free(stolen);
    lab_tear_down(&lab);
}
