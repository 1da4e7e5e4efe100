/* SPDX-License-Identifier: Apache-2.0
 *
 * One connection of the courier: a socket that the supervisor connected, with or without TLS, and
 * bounded buffers. What comes in is hostile and goes to the destination's parser. Run by the
 * courier. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "audit/http.h"
#include "base/log.h"
#include "gateway/courier.h"

#define READ_MAX 16384u
/* The longest answer, and what a read takes beyond it. */
#define IN_MAX  (HTTP_HEAD_MAX + HTTP_BODY_MAX + READ_MAX)
#define OUT_MAX 65536u
/* A chain of a few certificates. */
#define CERTIFICATES_MAX 65536

static void tls_failed(const struct peer *p, char *out, size_t cap)
{
    const long verdict = p->ssl ? SSL_get_verify_result(p->ssl) : X509_V_OK;
    const char *text = ERR_reason_error_string(ERR_peek_last_error());

    if (verdict != X509_V_OK)
        snprintf(out, cap, "its certificate: %s", X509_verify_cert_error_string(verdict));
    else
        snprintf(out, cap, "TLS: %s", text ? text : "the connection broke");
    ERR_clear_error();
}

/* --- reading and writing; each returns bytes, 0: later, -1: over (and destination_failed) */

static ssize_t later(struct peer *p, int error)
{
    switch (error) {
    case SSL_ERROR_WANT_READ:
        return 0;
    case SSL_ERROR_WANT_WRITE:
        event_add(p->writable, NULL);
        return 0;
    default:
        return -1;
    }
}

static ssize_t read_some(struct peer *p, uint8_t *room, char *why, size_t cap)
{
    ssize_t n;

    if (p->ssl) {
        int r = SSL_read(p->ssl, room, READ_MAX);

        if (r > 0)
            return r;
        n = later(p, SSL_get_error(p->ssl, r));
        if (n < 0)
            tls_failed(p, why, cap);
        return n;
    }
    n = recv(p->fd, room, READ_MAX, MSG_DONTWAIT);
    if (n > 0)
        return n;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    snprintf(why, cap, "%s", n == 0 ? "it closed the connection" : strerror(errno));
    return -1;
}

static ssize_t write_some(struct peer *p, char *why, size_t cap)
{
    ssize_t n;

    if (p->ssl) {
        int r = SSL_write(p->ssl, buf_head(&p->out), (int)buf_len(&p->out));

        if (r > 0)
            return r;
        n = later(p, SSL_get_error(p->ssl, r));
        if (n < 0)
            tls_failed(p, why, cap);
        return n;
    }
    n = send(p->fd, buf_head(&p->out), buf_len(&p->out), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0)
        return n;
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        event_add(p->writable, NULL);
        return 0;
    }
    snprintf(why, cap, "%s", strerror(errno));
    return -1;
}

/* 1: done, 0: later, -1: over. */
static int handshake(struct peer *p, char *why, size_t cap)
{
    int r;

    if (!p->ssl || p->handshaken)
        return 1;
    r = SSL_do_handshake(p->ssl);
    if (r == 1) {
        p->handshaken = true;
        return 1;
    }
    r = (int)later(p, SSL_get_error(p->ssl, r));
    if (r < 0)
        tls_failed(p, why, cap);
    return r;
}

static void pump(struct peer *p)
{
    struct destination *d = p->d;
    char why[160] = "";
    ssize_t n;
    int r;

    ERR_clear_error();
    r = handshake(p, why, sizeof why);
    if (r <= 0) {
        if (r < 0)
            destination_failed(d, why);
        return;
    }
    while (buf_len(&p->out) > 0) {
        n = write_some(p, why, sizeof why);
        if (n < 0) {
            destination_failed(d, why);
            return;
        }
        if (n == 0)
            break;
        buf_consume(&p->out, (size_t)n);
    }
    for (;;) {
        uint8_t *room = buf_reserve(&p->in, READ_MAX);

        if (!room) {
            destination_failed(d, "it sends more than any answer has");
            return;
        }
        n = read_some(p, room, why, sizeof why);
        if (n < 0) {
            /* What came before the end still counts. */
            if (buf_len(&p->in) > 0 && d->number > 0)
                witness_input(d);
            if (p->fd >= 0)
                destination_failed(d, why);
            return;
        }
        if (n == 0)
            break;
        buf_commit(&p->in, (size_t)n);
    }
    if (d->number == 0) {
        buf_consume(&p->in, buf_len(&p->in)); /* syslog has no answers */
        syslog_written(d);
    } else if (buf_len(&p->in) > 0) {
        witness_input(d);
    }
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    pump(arg);
}

void peer_wake(struct peer *p)
{
    if (p->fd >= 0)
        event_active(p->writable, EV_WRITE, 1);
}

bool peer_drained(const struct peer *p)
{
    int left = 0;

    if (p->fd < 0 || buf_len(&p->out) > 0 || (p->ssl && !p->handshaken))
        return false;
    return ioctl(p->fd, TIOCOUTQ, &left) == 0 && left == 0;
}

int peer_open(struct peer *p, struct destination *d, int fd, SSL_CTX *tls, const char *name,
              struct err *e)
{
    struct courier *c = d->c;

    *p = (struct peer){.d = d, .fd = fd};
    buf_init(&p->in, IN_MAX);
    buf_init(&p->out, OUT_MAX);
    p->readable = event_new(c->base, fd, EV_READ | EV_PERSIST, on_ready, p);
    p->writable = event_new(c->base, fd, EV_WRITE, on_ready, p);
    if (!p->readable || !p->writable || event_add(p->readable, NULL) < 0)
        return err_set(e, ERR_MEMORY, "connection");
    if (!name)
        return 0;
    p->ssl = SSL_new(tls);
    if (!p->ssl || SSL_set_fd(p->ssl, fd) != 1 || SSL_set1_host(p->ssl, name) != 1)
        return err_set(e, ERR_MEMORY, "TLS");
    /* An address is no server name (RFC 6066); SSL_set1_host compares addresses too. */
    if (strspn(name, "0123456789.:abcdefABCDEF") != strlen(name))
        (void)SSL_set_tlsext_host_name(p->ssl, name);
    SSL_set_connect_state(p->ssl);
    return 0;
}

void peer_close(struct peer *p)
{
    if (p->fd < 0)
        return;
    if (p->readable)
        event_free(p->readable);
    if (p->writable)
        event_free(p->writable);
    if (p->ssl && p->handshaken)
        (void)SSL_shutdown(p->ssl); /* close_notify, as far as it goes */
    SSL_free(p->ssl);
    ERR_clear_error();
    close(p->fd);
    buf_clear(&p->in);
    buf_clear(&p->out);
    *p = (struct peer){.d = p->d, .fd = -1};
}

/* --- the rules */

static int wrong(struct err *e, const char *what)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());

    err_set(e, ERR_CRYPTO, "%s: %s", what, text ? text : "failed");
    ERR_clear_error();
    return ERR_CRYPTO;
}

static int load_ca(SSL_CTX *ctx, int fd, struct err *e)
{
    BIO *bio = BIO_new_fd(fd, BIO_NOCLOSE);
    unsigned count = 0;
    X509 *cert;
    int rc = 0;

    while (rc == 0 && bio && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        if (X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), cert) != 1)
            rc = wrong(e, "syslog.ca");
        X509_free(cert);
        count++;
    }
    if (rc == 0 && count == 0)
        rc = wrong(e, "syslog.ca has no certificate");
    ERR_clear_error();
    BIO_free(bio);
    return rc;
}

static int load_own(SSL_CTX *ctx, int chain_fd, int key_fd, struct err *e)
{
    BIO *chain = BIO_new_fd(chain_fd, BIO_NOCLOSE), *key_bio = BIO_new_fd(key_fd, BIO_NOCLOSE);
    X509 *cert = chain ? PEM_read_bio_X509(chain, NULL, NULL, NULL) : NULL;
    EVP_PKEY *key = key_bio ? PEM_read_bio_PrivateKey(key_bio, NULL, NULL, NULL) : NULL;
    int rc = 0;

    if (!cert || SSL_CTX_use_certificate(ctx, cert) != 1)
        rc = wrong(e, "syslog.certificate");
    X509_free(cert);
    while (rc == 0 && (cert = PEM_read_bio_X509(chain, NULL, NULL, NULL))) {
        if (SSL_CTX_add1_chain_cert(ctx, cert) != 1)
            rc = wrong(e, "syslog.certificate");
        X509_free(cert);
    }
    ERR_clear_error();
    if (rc == 0 && (!key || SSL_CTX_use_PrivateKey(ctx, key) != 1))
        rc = wrong(e, "syslog.key");
    if (rc == 0 && SSL_CTX_check_private_key(ctx) != 1)
        rc = wrong(e, "syslog.key does not belong to syslog.certificate");
    EVP_PKEY_free(key);
    BIO_free(chain);
    BIO_free(key_bio);
    return rc;
}

SSL_CTX *peer_tls(int ca_fd, int chain_fd, int key_fd, struct err *e)
{
    SSL_CTX *ctx = NULL;
    int rc = 0;

    /* Without openssl.cnf: what is accepted stands here. */
    if (OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1 ||
        !(ctx = SSL_CTX_new(TLS_client_method()))) {
        wrong(e, "OpenSSL");
        return NULL;
    }
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_max_cert_list(ctx, CERTIFICATES_MAX);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM") != 1)
        rc = wrong(e, "TLS 1.2");
    if (rc == 0)
        rc = load_ca(ctx, ca_fd, e);
    if (rc == 0 && chain_fd >= 0)
        rc = load_own(ctx, chain_fd, key_fd, e);
    if (rc == 0)
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}
