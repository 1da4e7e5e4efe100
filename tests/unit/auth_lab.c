/* SPDX-License-Identifier: Apache-2.0
 *
 * See tests/unit/auth_lab.h. */
#include "tests/unit/auth_lab.h"

#include <criterion/criterion.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/totp.h"
#include "tests/unit/policy_fixture.h"

const char lab_role[] = "role: lab\nmembers: [group:ops]\ntargets: {env: lab}\naccounts: [root]\n"
                        "remember: 1h\nallow: {shell: true, exec: true}\n";

static char *take_pem(BIO *bio)
{
    char *p;
    long n = BIO_get_mem_data(bio, &p);
    char *text = strndup(p, (size_t)n);
    BIO_free(bio);
    return text;
}

static void add_extension(X509 *x, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    cr_assert(ext && X509_add_ext(x, ext, -1));
    X509_EXTENSION_free(ext);
}

static void make_ca(struct auth_lab *lab)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    BIO *key_bio = BIO_new(BIO_s_mem()), *bio = BIO_new(BIO_s_mem());
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 86400);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const uint8_t *)"operators of the lab", -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    add_extension(x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
    add_extension(x, NID_key_usage, "critical,keyCertSign");
    add_extension(x, NID_subject_key_identifier, "hash");
    cr_assert(X509_sign(x, key, EVP_sha256()));
    cr_assert(PEM_write_bio_PKCS8PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL));
    cr_assert(PEM_write_bio_X509(bio, x));
    char *key_pem = take_pem(key_bio), *pem = take_pem(bio);
    lab->ca_key = secret_copy(key_pem, strlen(key_pem));
    lab->ca_certificate = secret_copy(pem, strlen(pem));
    free(key_pem);
    free(pem);
    X509_free(x);
    EVP_PKEY_free(key);
}

static void write_file(const char *path, const struct secret *content)
{
    FILE *f = fopen(path, "w");
    cr_assert(f && fwrite(secret_view(content), secret_len(content), 1, f) == 1);
    fclose(f);
}

void lab_make_files(struct auth_lab *lab)
{
    static const uint8_t store_key[SEAL_KEY_BYTES] = {1, 2, 3};
    memset(lab, 0, sizeof *lab);
    strcpy(lab->dir, "/tmp/sallyport-auth-XXXXXX");
    cr_assert_not_null(mkdtemp(lab->dir));
    snprintf(lab->store_path, sizeof lab->store_path, "%s/store.db", lab->dir);
    snprintf(lab->key_path, sizeof lab->key_path, "%s/store.key", lab->dir);
    snprintf(lab->ca_key_path, sizeof lab->ca_key_path, "%s/ca.key", lab->dir);
    snprintf(lab->ca_path, sizeof lab->ca_path, "%s/ca.pem", lab->dir);
    make_ca(lab);
    struct secret *key = secret_copy(store_key, sizeof store_key);
    write_file(lab->key_path, key);
    write_file(lab->ca_key_path, lab->ca_key);
    write_file(lab->ca_path, lab->ca_certificate);
    secret_free(key);
}

void lab_reopen(struct auth_lab *lab)
{
    static const uint8_t store_key[SEAL_KEY_BYTES] = {1, 2, 3};
    struct err e = ERR_INIT;
    store_close(lab->world.store);
    lab->world.store =
        store_open(lab->store_path, seal_new(secret_copy(store_key, sizeof store_key), &e), &e);
    cr_assert_not_null(lab->world.store, "%s", e.text);
}

void lab_bundle(struct buf *out, const char *operators)
{
    static const char *const roles[] = {lab_role};

    lab_bundle_roles(out, operators, roles, 1);
}

void lab_bundle_roles(struct buf *out, const char *operators, const char *const *roles,
                      size_t count)
{
    static const char *const names[] = {"roles.d/1.yaml", "roles.d/2.yaml", "roles.d/3.yaml",
                                        "roles.d/4.yaml", "roles.d/5.yaml", "roles.d/6.yaml",
                                        "roles.d/7.yaml", "roles.d/8.yaml", "roles.d/9.yaml"};
    struct fixture_file files[11] = {{"operators.yaml", operators}};

    cr_assert_leq(count, 9);
    for (size_t i = 0; i < count; i++)
        files[1 + i] = (struct fixture_file){names[i], roles[i]};
    files[1 + count] = (struct fixture_file){"targets.yaml", fixture_targets};
    fixture_put(out, files, 2 + count);
}

void lab_set_up(struct auth_lab *lab)
{
    struct err e = ERR_INIT;
    lab_make_files(lab);
    lab_reopen(lab);
    lab->policy = fixture_load_with(NULL, NULL, lab_role, &e);
    cr_assert_not_null(lab->policy, "%s", e.text);
    lab->world.policy = lab->policy;
    lab->world.ca = device_ca_new(lab->ca_key, lab->ca_certificate, &e);
    cr_assert_not_null(lab->world.ca, "%s", e.text);
    lab->world.lockout = (struct lockout_rule){5, 1800};
    cr_assert_eq(totp_init(&e), 0, "%s", e.text);
}

void lab_tear_down(struct auth_lab *lab)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal", ".reserve"};
    char path[128];
    store_close(lab->world.store);
    device_ca_free((struct device_ca *)lab->world.ca);
    policy_free(lab->policy);
    secret_free(lab->ca_key);
    secret_free(lab->ca_certificate);
    for (size_t i = 0; i < 5; i++) {
        snprintf(path, sizeof path, "%s%s", lab->store_path, suffixes[i]);
        unlink(path);
    }
    unlink(lab->key_path);
    unlink(lab->ca_key_path);
    unlink(lab->ca_path);
    snprintf(path, sizeof path, "%s/control", lab->dir);
    unlink(path);
    cr_expect_eq(rmdir(lab->dir), 0, "files are left in %s", lab->dir);
}

struct bytes lab_key(const struct auth_lab *lab, const char *operator_name)
{
    const struct policy_operator *op = policy_operator_named(lab->policy, operator_name);
    cr_assert(op && op->key_count);
    return (struct bytes){op->keys[0].blob, op->keys[0].len};
}

struct secret *lab_enrol(struct auth_lab *lab, const char *operator_name)
{
    struct err e = ERR_INIT;
    struct secret *totp = secret_random(TOTP_SECRET_BYTES);
    cr_assert_eq(store_operator_set_totp(lab->world.store, operator_name, totp, 0, &e), 0, "%s",
                 e.text);
    return totp;
}

void lab_login(struct login *l, const char *target)
{
    struct authd_connection m = {.conn = 7, .address = "10.1.2.3", .port = 40000};
    struct err e = ERR_INIT;
    strcpy(m.target, target);
    cr_assert_eq(login_init(l, &m, &e), 0, "%s", e.text);
}

void lab_remember(struct auth_lab *lab, struct login *l, const char *operator_name,
                  uint64_t issued_s, uint64_t life_s)
{
    struct device_certificate c;
    struct store_certificate row = {
        .issued_s = issued_s, .expires_s = issued_s + life_s, .factors = FACTOR_KEY};
    struct err e = ERR_INIT;
    struct buf pem;
    char *request = lab_request("P-256");
    buf_init(&pem, DEVICE_PEM_MAX);
    cr_assert_eq(device_ca_issue(lab->world.ca, request, strlen(request), operator_name, issued_s,
                                 life_s, &c, &pem, &e),
                 0, "%s", e.text);
    strcpy(row.operator_name, operator_name);
    strcpy(row.fingerprint, policy_operator_named(lab->policy, operator_name)->keys[0].fingerprint);
    cr_assert_eq(store_certificate_put(lab->world.store, c.serial, &row, &e), 0, "%s", e.text);
    BIO *bio = BIO_new_mem_buf(buf_head(&pem), (int)buf_len(&pem));
    X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    int len = i2d_X509(x, &l->certificate_der);
    cr_assert_gt(len, 0);
    l->certificate_len = (size_t)len;
    l->certificate = CERTIFICATE_VALID;
    X509_free(x);
    BIO_free(bio);
    buf_clear(&pem);
    free(request);
}

char *lab_request(const char *curve)
{
    EVP_PKEY *key = EVP_EC_gen(curve);
    X509_REQ *request = X509_REQ_new();
    BIO *bio = BIO_new(BIO_s_mem());
    cr_assert(key && request && bio);
    X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(request), "CN", MBSTRING_ASC,
                               (const uint8_t *)"root", -1, -1, 0);
    cr_assert(X509_REQ_set_pubkey(request, key));
    cr_assert(X509_REQ_sign(request, key, EVP_sha256()));
    cr_assert(PEM_write_bio_X509_REQ(bio, request));
    X509_REQ_free(request);
    EVP_PKEY_free(key);
    return take_pem(bio);
}
