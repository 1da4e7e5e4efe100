/* SPDX-License-Identifier: Apache-2.0
 *
 * Asking an SSH server for its host key (auth/host_scan.h), with libssh as a client that stops
 * after the key exchange. */
#include <libssh/libssh.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "auth/host_scan.h"

/* A hypervisor on the same site answers in milliseconds; one that needs longer than this is down.
 */
#define SCAN_SECONDS 10L

static int resolve(const char *host, char out[64], struct err *e)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG}, *found = NULL;
    struct addrinfo literal = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    int r = getaddrinfo(host, NULL, &literal, &found);
    if (r != 0)
        r = getaddrinfo(host, NULL, &hints, &found);
    if (r != 0)
        return err_set(e, ERR_NOT_FOUND, "cannot find %s: %s", host, gai_strerror(r));
    r = getnameinfo(found->ai_addr, found->ai_addrlen, out, 64, NULL, 0, NI_NUMERICHOST);
    freeaddrinfo(found);
    if (r != 0)
        return err_set(e, ERR_NOT_FOUND, "cannot find %s: %s", host, gai_strerror(r));
    return 0;
}

static int take_key(ssh_session s, struct host_scan *out, struct err *e)
{
    ssh_key key = NULL;
    unsigned char *hash = NULL;
    size_t hash_len = 0;
    char *base64 = NULL, *fingerprint = NULL;
    int r = 0;
    if (ssh_get_server_publickey(s, &key) != SSH_OK ||
        ssh_pki_export_pubkey_base64(key, &base64) != SSH_OK ||
        ssh_get_publickey_hash(key, SSH_PUBLICKEY_HASH_SHA256, &hash, &hash_len) != 0 ||
        !(fingerprint = ssh_get_fingerprint_hash(SSH_PUBLICKEY_HASH_SHA256, hash, hash_len)))
        r = err_set(e, ERR_CRYPTO, "cannot read the host key: %s", ssh_get_error(s));
    else if (snprintf(out->key, sizeof out->key, "%s %s", ssh_key_type_to_char(ssh_key_type(key)),
                      base64) >= (int)sizeof out->key ||
             snprintf(out->fingerprint, sizeof out->fingerprint, "%s", fingerprint) >=
                 (int)sizeof out->fingerprint)
        r = err_set(e, ERR_INPUT, "the host key is too long");
    /* An ECDSA key's name carries its curve, which ssh_key_type_to_char leaves to another call. */
    const char *curve = r == 0 ? ssh_pki_key_ecdsa_name(key) : NULL;
    if (curve && strncmp(curve, "ecdsa-sha2-", 11) == 0)
        snprintf(out->key, sizeof out->key, "%s %s", curve, base64);
    ssh_clean_pubkey_hash(&hash);
    ssh_string_free_char(fingerprint);
    ssh_string_free_char(base64);
    ssh_key_free(key);
    return r;
}

int host_scan(const char *host, unsigned port, struct host_scan *out, struct err *e)
{
    long timeout = SCAN_SECONDS;
    int off = 0;
    memset(out, 0, sizeof *out);
    int r = resolve(host, out->address, e);
    if (r != 0)
        return r;
    ssh_session s = ssh_new();
    if (!s)
        return err_set(e, ERR_MEMORY, "no memory");
    if (ssh_options_set(s, SSH_OPTIONS_PROCESS_CONFIG, &off) != SSH_OK ||
        ssh_options_set(s, SSH_OPTIONS_HOST, out->address) != SSH_OK ||
        ssh_options_set(s, SSH_OPTIONS_PORT, &port) != SSH_OK ||
        ssh_options_set(s, SSH_OPTIONS_USER, "sallyport-scan") != SSH_OK ||
        ssh_options_set(s, SSH_OPTIONS_KNOWNHOSTS, "/dev/null") != SSH_OK ||
        ssh_options_set(s, SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/dev/null") != SSH_OK ||
        ssh_options_set(s, SSH_OPTIONS_HOSTKEYS,
                        "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,"
                        "rsa-sha2-512,rsa-sha2-256") != SSH_OK ||
        ssh_options_set(s, SSH_OPTIONS_TIMEOUT, &timeout) != SSH_OK)
        r = err_set(e, ERR_SYSTEM, "libssh: %s", ssh_get_error(s));
    else if (ssh_connect(s) != SSH_OK)
        r = err_set(e, ERR_SYSTEM, "no SSH server answers at %s port %u: %s", out->address, port,
                    ssh_get_error(s));
    if (r == 0)
        r = take_key(s, out, e);
    ssh_disconnect(s);
    ssh_free(s);
    return r;
}
