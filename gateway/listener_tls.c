/* SPDX-License-Identifier: Apache-2.0
 *
 * What the gateway offers in TLS: version 1.3 alone, without tickets, resumption or early data, and
 * how it judges a client's certificate: the operator CA is the only trust anchor, straight above;
 * an expired one comes through, marked, so that the operator can be told; any other fault ends the
 * handshake. authd looks at the certificate again. Run by the listener. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "gateway/listener.h"

/* OpenSSL reads so much at once: four full records with their headers. */
#define READ_AHEAD (4 * (16384 + 256 + 5))
/* A client has no reason to send more than its one certificate. */
#define CERTIFICATES_MAX 16384

static int failed(struct err *e, const char *what)
{
    char text[256];
    const unsigned long code = ERR_peek_last_error();

    ERR_error_string_n(code, text, sizeof text);
    ERR_clear_error();
    return err_set(e, ERR_CRYPTO, "%s: %s", what, code ? text : "failed");
}

static int on_verify(int ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct peer *p = SSL_get_app_data(ssl);

    if (!ok && X509_STORE_CTX_get_error(store) == X509_V_ERR_CERT_HAS_EXPIRED &&
        X509_STORE_CTX_get_error_depth(store) == 0) {
        p->expired = true;
        return 1;
    }
    return ok;
}

static int load_key(SSL_CTX *ctx, int fd, struct err *e)
{
    BIO *bio = BIO_new_fd(fd, BIO_NOCLOSE);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    int rc = 0;

    if (!key || SSL_CTX_use_PrivateKey(ctx, key) != 1)
        rc = failed(e, "the TLS private key");
    EVP_PKEY_free(key);
    BIO_free(bio);
    return rc;
}

static int load_chain(SSL_CTX *ctx, int fd, struct err *e)
{
    BIO *bio = BIO_new_fd(fd, BIO_NOCLOSE);
    X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    int rc = 0;

    if (!cert || SSL_CTX_use_certificate(ctx, cert) != 1)
        rc = failed(e, "the TLS certificate");
    X509_free(cert);
    while (rc == 0 && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        if (SSL_CTX_add1_chain_cert(ctx, cert) != 1)
            rc = failed(e, "the TLS certificate's chain");
        X509_free(cert);
    }
    ERR_clear_error(); /* the end of the file is one */
    BIO_free(bio);
    return rc;
}

static int load_operator_ca(SSL_CTX *ctx, int fd, struct err *e)
{
    BIO *bio = BIO_new_fd(fd, BIO_NOCLOSE);
    X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    int rc = 0;

    if (!cert || X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), cert) != 1 ||
        SSL_CTX_add_client_CA(ctx, cert) != 1)
        rc = failed(e, "the operator CA's certificate");
    X509_free(cert);
    BIO_free(bio);
    return rc;
}

static int set_rules(SSL_CTX *ctx, struct err *e)
{
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_default_read_buffer_len(ctx, READ_AHEAD);
    SSL_CTX_set_max_cert_list(ctx, CERTIFICATES_MAX);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, on_verify);
    SSL_CTX_set_verify_depth(ctx, 0); /* nothing between the operator CA and a device */
    if (SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_num_tickets(ctx, 0) != 1 || SSL_CTX_set_max_early_data(ctx, 0) != 1 ||
        SSL_CTX_set_purpose(ctx, X509_PURPOSE_SSL_CLIENT) != 1)
        return failed(e, "TLS 1.3");
    /* The hybrid group came with OpenSSL 3.5. */
    if (SSL_CTX_set1_groups_list(ctx, "X25519MLKEM768:X25519:P-256") != 1 &&
        SSL_CTX_set1_groups_list(ctx, "X25519:P-256") != 1)
        return failed(e, "TLS groups");
    ERR_clear_error();
    return 0;
}

SSL_CTX *tls_context(int key_fd, int chain_fd, int ca_fd, struct err *e)
{
    SSL_CTX *ctx;
    int rc;

    /* Without openssl.cnf: what is offered stands here. */
    if (OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1 ||
        !(ctx = SSL_CTX_new(TLS_server_method()))) {
        failed(e, "OpenSSL");
        return NULL;
    }
    rc = set_rules(ctx, e);
    if (rc == 0)
        rc = load_chain(ctx, chain_fd, e);
    if (rc == 0)
        rc = load_key(ctx, key_fd, e);
    if (rc == 0 && SSL_CTX_check_private_key(ctx) != 1)
        rc = failed(e, "the TLS private key does not belong to the certificate");
    if (rc == 0)
        rc = load_operator_ca(ctx, ca_fd, e);
    if (rc == 0)
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

SSL *tls_accept(SSL_CTX *context, int fd, struct peer *p)
{
    SSL *ssl = SSL_new(context);

    if (!ssl || SSL_set_fd(ssl, fd) != 1) {
        SSL_free(ssl);
        ERR_clear_error();
        return NULL;
    }
    SSL_set_app_data(ssl, p);
    SSL_set_accept_state(ssl);
    return ssl;
}

void tls_reason(const SSL *ssl, char *out, size_t cap)
{
    const long verdict = SSL_get_verify_result(ssl);
    const char *text = ERR_reason_error_string(ERR_peek_last_error());

    if (verdict != X509_V_OK && verdict != X509_V_ERR_CERT_HAS_EXPIRED)
        snprintf(out, cap, "client certificate: %s", X509_verify_cert_error_string(verdict));
    else
        snprintf(out, cap, "%s", text ? text : "the connection broke");
    ERR_clear_error();
}
