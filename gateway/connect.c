/* SPDX-License-Identifier: Apache-2.0
 *
 * TCP and TLS to the gateway (gateway/connect.h), and words for everything that can go wrong with
 * them, since an operator sees nothing else of it. Run on the operator's device. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "gateway/connect.h"

/* Four records at once. */
#define READ_AHEAD (4 * (16384 + 256 + 5))
#define DIAL_MS    10000
#define SHOWN_MAX  300 /* a name of 253 bytes in quotes, for a message */

static int wait_for(int fd, short events, uint64_t until_ms)
{
    for (;;) {
        const uint64_t now_ms = clock_mono_ms();
        struct pollfd p = {.fd = fd, .events = events};
        int n = now_ms >= until_ms ? 0 : poll(&p, 1, (int)(until_ms - now_ms));
        if (n < 0 && errno == EINTR)
            continue;
        return n;
    }
}

/* One address. Returns a connected descriptor, or -errno. */
static int dial_address(const struct addrinfo *a)
{
    const int on = 1;
    int error = 0, fd;
    socklen_t len = sizeof error;

    fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);
    if (fd < 0)
        return -errno;
    if (connect(fd, a->ai_addr, a->ai_addrlen) < 0) {
        error = errno;
        if (error == EINPROGRESS) {
            if (wait_for(fd, POLLOUT, clock_mono_ms() + DIAL_MS) == 0)
                error = ETIMEDOUT;
            else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
                error = errno;
        }
    }
    if (error) {
        close(fd);
        return -error;
    }
    /* It works without them too. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    return fd;
}

static int dial(const struct connect_options *o, struct err *e)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *list = NULL;
    int fd = -ENOENT, rc = getaddrinfo(o->host, o->port, &hints, &list);

    if (rc != 0)
        return err_set(e, ERR_NOT_FOUND, "the gateway %s is not found: %s", o->host,
                       rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
    for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next)
        fd = dial_address(a);
    freeaddrinfo(list);
    if (fd < 0)
        return err_set(e, ERR_CLOSED, "cannot reach the gateway %s port %s: %s", o->host, o->port,
                       strerror(-fd));
    return fd;
}

static int openssl_failed(struct err *e, const char *what)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());
    int rc = err_set(e, ERR_CRYPTO, "%s: %s", what, text ? text : "failed");

    ERR_clear_error();
    return rc;
}

/* This device's remembered login. An expired one is shown too: the gateway then says that it is. */
static int use_certificate(SSL_CTX *ctx, const struct connect_options *o, struct err *e)
{
    if (!o->certificate_file || !o->key_file || access(o->certificate_file, F_OK) != 0 ||
        access(o->key_file, F_OK) != 0)
        return 0;
    if (SSL_CTX_use_certificate_file(ctx, o->certificate_file, SSL_FILETYPE_PEM) != 1)
        return openssl_failed(e, o->certificate_file);
    if (SSL_CTX_use_PrivateKey_file(ctx, o->key_file, SSL_FILETYPE_PEM) != 1)
        return openssl_failed(e, o->key_file);
    return 0;
}

static int set_rules(SSL_CTX *ctx, const struct connect_options *o, struct err *e)
{
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_default_read_buffer_len(ctx, READ_AHEAD);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                      "TLS_CHACHA20_POLY1305_SHA256") != 1)
        return openssl_failed(e, "TLS 1.3");
    /* The hybrid group came with OpenSSL 3.5. */
    if (SSL_CTX_set1_groups_list(ctx, "X25519MLKEM768:X25519:P-256") != 1 &&
        SSL_CTX_set1_groups_list(ctx, "X25519:P-256") != 1)
        return openssl_failed(e, "TLS groups");
    ERR_clear_error();
    if (SSL_CTX_load_verify_locations(ctx, o->ca_file, NULL) != 1) {
        openssl_failed(e, "not a file of CA certificates");
        return err_wrap(e, "%s", o->ca_file);
    }
    return use_certificate(ctx, o, e);
}

static int expect_name(SSL *ssl, const struct connect_options *o, struct err *e)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    uint8_t raw[16];
    int ok;

    if (inet_pton(AF_INET, o->name, raw) == 1 || inet_pton(AF_INET6, o->name, raw) == 1) {
        ok = X509_VERIFY_PARAM_set1_ip_asc(param, o->name);
    } else {
        X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        ok = SSL_set1_host(ssl, o->name) && SSL_set_tlsext_host_name(ssl, o->name);
    }
    return ok ? 0 : openssl_failed(e, o->name);
}

/* The first DNS name of a certificate, quoted, for a message. */
static void first_name(const X509 *cert, char *out, size_t cap)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    char name[260];

    snprintf(out, cap, "no name");
    for (int i = 0; names && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
        if (n->type != GEN_DNS)
            continue;
        snprintf(out, cap, "\"%s\"",
                 escape_text(name, sizeof name, ASN1_STRING_get0_data(n->d.dNSName),
                             (size_t)ASN1_STRING_length(n->d.dNSName)));
        break;
    }
    GENERAL_NAMES_free(names);
}

/* Agrees with the verdict; keeps the name of who was there instead, which is gone afterwards. */
static int on_verify(int ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    char *shown = SSL_get_app_data(ssl);

    if (!ok && shown)
        first_name(X509_STORE_CTX_get0_cert(store), shown, SHOWN_MAX);
    return ok;
}

/* The gateway is not who it should be. */
static int not_trusted(const struct connect_options *o, const char *shown, long verdict,
                       struct err *e)
{
    if (verdict == X509_V_ERR_HOSTNAME_MISMATCH || verdict == X509_V_ERR_IP_ADDRESS_MISMATCH)
        return err_set(e, ERR_DENIED,
                       "the gateway's certificate is not trusted: it is for %s; expected \"%s\"",
                       shown, o->name);
    return err_set(e, ERR_DENIED,
                   "the gateway's certificate is not trusted: %s; expected one of the CA in %s",
                   X509_verify_cert_error_string(verdict), o->ca_file);
}

int connect_broken(const struct connect_options *o, SSL *ssl, int why, struct err *e)
{
    const unsigned long code = ERR_peek_last_error();
    const int reason = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;
    const int saved = errno;
    const char *text = ERR_reason_error_string(code);

    ERR_clear_error();
    switch (reason) {
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
        return err_set(e, ERR_DENIED,
                       "the gateway refused this device's certificate (%s); remove %s and run "
                       "`sallyport login`",
                       text, o->certificate_file ? o->certificate_file : "it");
    }
    if (why == SSL_ERROR_ZERO_RETURN || (why == SSL_ERROR_SYSCALL && saved == 0) ||
        (why == SSL_ERROR_SYSCALL && !SSL_is_init_finished(ssl)))
        return err_set(e, ERR_CLOSED,
                       "the gateway %s port %s closed the connection: this address may not be "
                       "allowed, or it has too many connections",
                       o->host, o->port);
    if (why == SSL_ERROR_SYSCALL)
        return err_set(e, ERR_CLOSED, "the connection to the gateway %s port %s broke: %s", o->host,
                       o->port, strerror(saved));
    return err_set(e, ERR_CLOSED, "TLS with %s port %s failed: %s (is it a Sallyport gateway?)",
                   o->host, o->port, text ? text : "no reason is known");
}

static int handshake(const struct connect_options *o, SSL *ssl, struct err *e)
{
    const uint64_t until_ms = clock_mono_ms() + CONNECT_TIMEOUT_MS;
    char shown[SHOWN_MAX] = "";

    SSL_set_app_data(ssl, shown);
    SSL_set_verify(ssl, SSL_VERIFY_PEER, on_verify);
    for (;;) {
        errno = 0;
        const int rc = SSL_connect(ssl);
        const int why = SSL_get_error(ssl, rc);
        const long verdict = SSL_get_verify_result(ssl);
        if (rc == 1) {
            SSL_set_app_data(ssl, NULL);
            return 0;
        }
        if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
            if (wait_for(SSL_get_fd(ssl), why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, until_ms))
                continue;
            return err_set(e, ERR_TIMEOUT, "the gateway %s port %s does not answer in TLS", o->host,
                           o->port);
        }
        if (verdict != X509_V_OK)
            return not_trusted(o, shown, verdict, e);
        return connect_broken(o, ssl, why, e);
    }
}

int connect_open(const struct connect_options *o, SSL **ssl, struct err *e)
{
    SSL_CTX *ctx = NULL;
    int rc, fd = -1;

    *ssl = NULL;
    if (OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1 ||
        !(ctx = SSL_CTX_new(TLS_client_method())))
        return openssl_failed(e, "OpenSSL");
    rc = set_rules(ctx, o, e);
    if (rc < 0)
        goto out;
    rc = fd = dial(o, e);
    if (rc < 0)
        goto out;
    *ssl = SSL_new(ctx);
    if (!*ssl || SSL_set_fd(*ssl, fd) != 1) {
        rc = openssl_failed(e, "OpenSSL");
        goto out;
    }
    rc = expect_name(*ssl, o, e);
    if (rc == 0)
        rc = handshake(o, *ssl, e);
out:
    SSL_CTX_free(ctx);
    if (rc < 0) {
        SSL_free(*ssl);
        *ssl = NULL;
        if (fd >= 0)
            close(fd);
    }
    return rc < 0 ? rc : 0;
}

void connect_close(SSL *ssl)
{
    if (!ssl)
        return;
    const int fd = SSL_get_fd(ssl);
    SSL_free(ssl);
    close(fd);
}
