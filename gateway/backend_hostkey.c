/* SPDX-License-Identifier: Apache-2.0
 *
 * The target's host key: one of those that the inventory pins, or no connection. Only algorithms of
 * the pinned keys' types are offered, and the key that came is compared byte by byte as it stands
 * on the wire (RFC 4253, 6.6). Runs in the backend; the pinned keys are authd's, the key that came
 * is hostile. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/backend_session.h"

/* The key's own name and the signature algorithms for it, best first. */
static const struct {
    const char *name, *algorithms;
} types[] = {
    {"ssh-ed25519", "ssh-ed25519"},
    {"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256"},
    {"ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384"},
    {"ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521"},
    {"ssh-rsa", "rsa-sha2-512,rsa-sha2-256"},
};

static bool is_named(struct bytes blob, const char *name)
{
    struct wire_reader r;
    wire_reader_init(&r, blob.p, blob.len);
    struct bytes type = wire_get_data(&r, 64);
    return !r.failed && type.len == strlen(name) && memcmp(type.p, name, type.len) == 0;
}

static bool next_blob(struct wire_reader *r, struct bytes *blob)
{
    if (r->failed || r->left == 0)
        return false;
    *blob = wire_get_data(r, 16384);
    return !r->failed;
}

int hostkey_algorithms(struct bytes pinned, struct buf *out, struct err *e)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct wire_reader r;
        struct bytes blob;
        wire_reader_init(&r, pinned.p, pinned.len);
        while (next_blob(&r, &blob)) {
            if (!is_named(blob, types[i].name))
                continue;
            int rc = buf_printf(out, "%s%s", buf_len(out) > 0 ? "," : "", types[i].algorithms);
            if (rc != 0)
                return err_set(e, rc, "host key algorithms");
            break;
        }
    }
    if (buf_len(out) == 0)
        return err_set(e, ERR_INPUT, "no host key is pinned");
    return 0;
}

void fingerprint(const void *blob, size_t len, char out[64])
{
    unsigned char digest[EVP_MAX_MD_SIZE], text[64];
    unsigned int n = 0;

    if (EVP_Digest(blob, len, digest, &n, EVP_sha256(), NULL) != 1 || n != 32) {
        snprintf(out, 64, "unknown");
        return;
    }
    EVP_EncodeBlock(text, digest, 32); /* 44 characters, the last one padding */
    snprintf(out, 64, "SHA256:%.43s", (const char *)text);
}

void hostkey_fingerprints(struct bytes pinned, char *out, size_t cap)
{
    struct wire_reader r;
    struct bytes blob;
    size_t used = 0;

    out[0] = '\0';
    wire_reader_init(&r, pinned.p, pinned.len);
    while (next_blob(&r, &blob)) {
        char print[64];
        fingerprint(blob.p, blob.len, print);
        int n = snprintf(out + used, cap - used, "%s%s", used > 0 ? ", " : "", print);
        if (n < 0 || (size_t)n >= cap - used)
            return;
        used += (size_t)n;
    }
}

/* Decodes libssh's base64 form into out; 0 when it does not fit. */
static size_t decode(const char *text, uint8_t *out, size_t cap)
{
    size_t len = strlen(text), pad = 0;
    if (len == 0 || len % 4 != 0 || len / 4 * 3 > cap)
        return 0;
    while (pad < 2 && text[len - 1 - pad] == '=')
        pad++;
    int n = EVP_DecodeBlock(out, (const unsigned char *)text, (int)len);
    return n < (int)pad ? 0 : (size_t)n - pad;
}

bool hostkey_pinned(ssh_session ssh, struct bytes pinned, char found[64])
{
    uint8_t key[16384];
    ssh_key shown = NULL;
    char *text = NULL;
    size_t len = 0;
    bool same = false;
    struct wire_reader r;
    struct bytes blob;

    found[0] = '\0';
    if (ssh_get_server_publickey(ssh, &shown) != SSH_OK)
        return false;
    if (ssh_pki_export_pubkey_base64(shown, &text) == SSH_OK)
        len = decode(text, key, sizeof key);
    if (len > 0) {
        fingerprint(key, len, found);
        wire_reader_init(&r, pinned.p, pinned.len);
        while (next_blob(&r, &blob))
            same |= blob.len == len && memcmp(blob.p, key, len) == 0;
    }
    ssh_string_free_char(text);
    ssh_key_free(shown);
    return same;
}
