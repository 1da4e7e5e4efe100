/* SPDX-License-Identifier: Apache-2.0
 *
 * What the fork server prepares once, so that a child opens nothing and shares the pages: libssh
 * and OpenSSL loaded and warm, the host key imported, the algorithms chosen. The host key is all
 * that a frontend holds; a leak within one generation of children is a stated limit.
 *
 * Algorithms: no DH group exchange (it opens the moduli file), AEAD and CTR only (Terrapin needs
 * ChaCha20 or CBC with encrypt-then-MAC; strict key exchange is offered besides), no SHA-1, no
 * compression. Runs in the fork server, before it is sealed; reads the host key's descriptor, no
 * peer. */
#include "gateway/frontend.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "base/secret.h"

#define HOST_KEY_FILE_MAX 16384
/* Bulk buffers (1 MiB and libssh's) come from the heap, not each time fresh from the system;
 * frontend.c trims when it is quiet. */
#define HEAP_CHUNK_MAX (8 * 1024 * 1024)

#define KEY_EXCHANGES                                                                              \
    "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-"   \
    "sha2-nistp521"
#define CIPHERS "aes256-gcm@openssh.com,aes128-gcm@openssh.com,aes256-ctr,aes128-ctr"
#define MACS                                                                                       \
    "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512"
#define OPERATOR_KEYS                                                                              \
    "ssh-ed25519,sk-ssh-ed25519@openssh.com,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,"              \
    "ecdsa-sha2-nistp521,sk-ecdsa-sha2-nistp256@openssh.com,rsa-sha2-512,rsa-sha2-256"

/* The comment (RFC 4253, 4.2) is for SFTP clients. OpenSSH takes SYMLINK's two paths the other way
 * round than the draft, and so does the gateway, whatever is behind it; libssh and asyncssh do as
 * OpenSSH where the identification has its name, and mix the paths up where it has not. libssh
 * reads the version after it. */
#define BANNER "Sallyport (SFTP as OpenSSH_9.2)"

static ssh_key import_host_key(int fd, struct err *e)
{
    struct secret *file = secret_read(fd, HOST_KEY_FILE_MAX, e);
    struct secret *text = file ? secret_new(secret_len(file) + 1) : NULL;
    ssh_key key = NULL;

    if (!text) {
        if (file)
            err_set(e, ERR_MEMORY, "the host key");
        goto out;
    }
    memcpy(secret_bytes(text), secret_view(file), secret_len(file));
    if (ssh_pki_import_privkey_base64((const char *)secret_view(text), NULL, NULL, NULL, &key) !=
        SSH_OK)
        err_set(e, ERR_INPUT, "the host key is not a private key that libssh can read");
    else if (ssh_key_type(key) != SSH_KEYTYPE_ED25519) {
        err_set(e, ERR_INPUT, "the host key is of type %s, expected ssh-ed25519",
                ssh_key_type_to_char(ssh_key_type(key)));
        ssh_key_free(key);
        key = NULL;
    }
out:
    secret_free(text);
    secret_free(file);
    return key;
}

static int choose(ssh_bind bind, ssh_key key, struct err *e)
{
    bool no = false;
    const struct {
        enum ssh_bind_options_e option;
        const void *value;
    } options[] = {
        {SSH_BIND_OPTIONS_PROCESS_CONFIG, &no},
        {SSH_BIND_OPTIONS_KEY_EXCHANGE, KEY_EXCHANGES},
        {SSH_BIND_OPTIONS_CIPHERS_C_S, CIPHERS},
        {SSH_BIND_OPTIONS_CIPHERS_S_C, CIPHERS},
        {SSH_BIND_OPTIONS_HMAC_C_S, MACS},
        {SSH_BIND_OPTIONS_HMAC_S_C, MACS},
        {SSH_BIND_OPTIONS_HOSTKEY_ALGORITHMS, "ssh-ed25519"},
        {SSH_BIND_OPTIONS_PUBKEY_ACCEPTED_KEY_TYPES, OPERATOR_KEYS},
        {SSH_BIND_OPTIONS_BANNER, BANNER},
        {SSH_BIND_OPTIONS_IMPORT_KEY, key}, /* owned by the bind from here on */
    };

    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        if (ssh_bind_options_set(bind, options[i].option, options[i].value) != SSH_OK)
            return err_set(e, ERR_INPUT, "libssh refused option %d: %s", (int)options[i].option,
                           ssh_get_error(bind));
    return 0;
}

/* OpenSSL finds algorithms when they are first used; here, once, rather than in each child. */
static int warm_up(struct frontend_server *s, struct err *e)
{
    static const char *const ciphers[] = {"AES-256-GCM", "AES-128-GCM", "AES-256-CTR",
                                          "AES-128-CTR"};
    static const char *const digests[] = {"SHA256", "SHA384", "SHA512"};
    unsigned char byte;

    for (size_t i = 0; i < sizeof ciphers / sizeof ciphers[0]; i++)
        EVP_CIPHER_free(EVP_CIPHER_fetch(NULL, ciphers[i], NULL));
    for (size_t i = 0; i < sizeof digests / sizeof digests[0]; i++)
        EVP_MD_free(EVP_MD_fetch(NULL, digests[i], NULL));
    EVP_MAC_free(EVP_MAC_fetch(NULL, "HMAC", NULL));
    EVP_PKEY_free(EVP_PKEY_Q_keygen(NULL, NULL, "X25519"));
    EVP_PKEY_free(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
    EVP_PKEY_free(EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"));
    s->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!s->sha256 || RAND_bytes(&byte, 1) != 1) /* the first use reads openssl.cnf */
        return err_set(e, ERR_CRYPTO, "OpenSSL has no SHA-256 or no random bytes");
    return 0;
}

int frontend_server_start(struct frontend_server *s, int host_key_fd, uint32_t login_ms,
                          struct err *e)
{
    ssh_key key;
    int rc;

    *s = (struct frontend_server){.login_ms = login_ms};
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_MMAP_THRESHOLD, HEAP_CHUNK_MAX);
    mallopt(M_TRIM_THRESHOLD, HEAP_CHUNK_MAX);
    if (ssh_init() != SSH_OK)
        return err_set(e, ERR_CRYPTO, "libssh did not start");
    rc = warm_up(s, e);
    if (rc != 0)
        return rc;
    key = import_host_key(host_key_fd, e);
    if (!key)
        return e->code;
    s->bind = ssh_bind_new();
    if (!s->bind)
        return err_set(e, ERR_MEMORY, "ssh_bind_new");
    return choose(s->bind, key, e);
}
