/* SPDX-License-Identifier: Apache-2.0
 *
 * Signatures by SSH keys over a message, as `ssh-keygen -Y sign` makes them, and the list of who
 * may sign. Used by auditd and authd where two persons must agree. Verifies only; no private key
 * comes here. Everything but the list is hostile. Does no I/O. Sources: OpenSSH PROTOCOL.sshsig,
 * PROTOCOL.u2f, RFC 4253 6.6, RFC 5656 3.1, RFC 8332, RFC 8709; ssh-keygen(1), ALLOWED SIGNERS. */
#ifndef SALLYPORT_BASE_SSHSIG_H
#define SALLYPORT_BASE_SSHSIG_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* An RSA key of 16384 bits and its signature are 4 KiB; in PEM less than 8. */
#define SSHSIG_MAX 8192u
/* RSA of 16384 bits. */
#define SSHSIG_KEY_MAX  2200u
#define SSHSIG_NAME_MAX 100u

/* A public key as in RFC 4253 6.6. */
struct sshsig_key {
    uint8_t blob[SSHSIG_KEY_MAX];
    size_t len;
};

/* 0: `armored` (the file that ssh-keygen wrote) is a signature for this name space over this
 * message, by the key that comes out. ERR_SYNTAX: it is none, or of a kind that is not taken
 * (ed25519, ed25519-sk, ecdsa-nistp256, rsa with SHA-512 and 2048 bits at least). ERR_DENIED: it
 * does not verify, or was made for something else. ERR_MEMORY. */
MUST_CHECK int sshsig_verify(const char *armored, size_t len, const char *name_space,
                             const void *message, size_t message_len, struct sshsig_key *by,
                             struct err *e);

/* Who of the list has this key: lines `NAME[,NAME...] [namespaces="N,..."] TYPE BASE64 [COMMENT]`;
 * empty lines and lines that begin with # are passed over. The line's first name goes to `name`.
 * ERR_DENIED: nobody, or not for this name space; ERR_SYNTAX: a line that cannot be read, of
 * anybody's. */
MUST_CHECK int sshsig_signer(const char *list, size_t len, const struct sshsig_key *key,
                             const char *name_space, char name[SSHSIG_NAME_MAX + 1], struct err *e);

#endif
