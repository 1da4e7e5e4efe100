/* SPDX-License-Identifier: Apache-2.0
 *
 * authd's state: one SQLite database (WAL, synchronous=FULL, so a commit is durable), opened
 * exclusively by authd alone. Secrets in it are sealed (auth/seal.h), tokens are hashed. Every
 * function is a transaction of its own unless store_begin was called. Trusts its own file only as
 * far as the seals go. Nothing here decides: see second_factor.h, enrol.h, gateway commands. Unless
 * said otherwise: 0, or ERR_SYSTEM when SQLite fails. */
#ifndef SALLYPORT_AUTH_STORE_H
#define SALLYPORT_AUTH_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/lockout.h"
#include "auth/seal.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/secret.h"
#include "base/wire.h"

#define STORE_REASON_MAX      200
#define STORE_HASH_BYTES      32
#define STORE_SERIAL_BYTES    16
#define STORE_PUBLIC_MAX      4096
#define STORE_FINGERPRINT_MAX 63

struct store;

/* Creates the file when it is not there. Takes the seal (also on failure). NULL on error: not a
 * database, a schema of a newer version, in use by another process. */
struct store *store_open(const char *path, struct seal *seal, struct err *e);
void store_close(struct store *s);

MUST_CHECK int store_begin(struct store *s, struct err *e);
MUST_CHECK int store_commit(struct store *s, struct err *e);
/* After a failure inside a transaction; harmless outside. */
void store_rollback(struct store *s);

/* ---- operators (auth/store_operator.c) ---- */
struct store_operator {
    struct secret *totp; /* NULL: not enrolled. Freed by store_operator_clear. */
    uint64_t last_step;
    struct lockout lockout;
    bool admin_locked;
    char lock_reason[STORE_REASON_MAX + 1];
};
/* An operator without a row reads as all zero: the same work as for one with a row. ERR_TAMPERED.
 */
MUST_CHECK int store_operator_read(struct store *s, const char *name, struct store_operator *out,
                                   struct err *e);
void store_operator_clear(struct store_operator *o);
/* Marks the step as used if it is above the last one. ERR_DENIED: it is not. */
MUST_CHECK int store_operator_take_step(struct store *s, const char *name, uint64_t step,
                                        struct err *e);
MUST_CHECK int store_operator_set_lockout(struct store *s, const char *name,
                                          const struct lockout *l, struct err *e);
/* reason NULL: unlock. */
MUST_CHECK int store_operator_set_admin_lock(struct store *s, const char *name, const char *reason,
                                             struct err *e);
/* A new TOTP secret; step is the one whose code confirmed it. Failures start anew. */
MUST_CHECK int store_operator_set_totp(struct store *s, const char *name, const struct secret *totp,
                                       uint64_t step, struct err *e);

/* ---- passwords (auth/store_password.c) ---- */
/* hash: auth/password.h, as text with a NUL; sealed like the rest. For who has none a hash comes
 * that is nobody's, by the same work, and *has is false. ERR_TAMPERED: what is stored is no hash of
 * ours. The caller frees *hash. */
MUST_CHECK int store_password_read(struct store *s, const char *name, struct secret **hash,
                                   bool *has, struct err *e);
MUST_CHECK int store_password_put(struct store *s, const char *name, const char *hash,
                                  struct err *e);
/* ERR_NOT_FOUND: there was none. */
MUST_CHECK int store_password_remove(struct store *s, const char *name, struct err *e);
/* Has he one? Without opening it. */
MUST_CHECK int store_password_has(struct store *s, const char *name, bool *has, struct err *e);
/* Has anybody one? */
MUST_CHECK int store_password_any(struct store *s, bool *any, struct err *e);

/* ---- enrolment tokens (auth/store_operator.c) ---- */
/* Replaces the operator's earlier token. */
MUST_CHECK int store_enrolment_put(struct store *s, const char *name,
                                   const uint8_t hash[STORE_HASH_BYTES], uint64_t expires_s,
                                   unsigned tries, struct err *e);
/* One of its tries, counted before the comparison. ERR_DENIED: no token, another one, expired, or
 * no tries left. */
MUST_CHECK int store_enrolment_try(struct store *s, const char *name,
                                   const uint8_t hash[STORE_HASH_BYTES], uint64_t now_s,
                                   struct err *e);
/* Ends this very token, which a login was let in by. ERR_DENIED: it has ended meanwhile. */
MUST_CHECK int store_enrolment_redeem(struct store *s, const char *name,
                                      const uint8_t hash[STORE_HASH_BYTES], uint64_t now_s,
                                      struct err *e);
/* *expires_s 0: none pending. */
MUST_CHECK int store_enrolment_read(struct store *s, const char *name, uint64_t now_s,
                                    uint64_t *expires_s, struct err *e);

/* ---- device certificates (auth/store_keys.c) ---- */
struct store_certificate {
    char operator_name[65];
    char fingerprint[STORE_FINGERPRINT_MAX + 1]; /* of the SSH key that it was issued beside */
    uint64_t issued_s, expires_s, ended_s;       /* ended 0: not */
    uint32_t factors; /* bits of enum factor: the first factors that it was issued beside */
};
MUST_CHECK int store_certificate_put(struct store *s, const uint8_t serial[STORE_SERIAL_BYTES],
                                     const struct store_certificate *c, struct err *e);
/* ERR_NOT_FOUND. */
MUST_CHECK int store_certificate_read(struct store *s, const uint8_t serial[STORE_SERIAL_BYTES],
                                      struct store_certificate *out, struct err *e);
/* Ends all live ones of the operator; *count: how many. why: a token for the row. */
MUST_CHECK int store_certificates_end(struct store *s, const char *name, const char *why,
                                      uint64_t now_s, unsigned *count, struct err *e);
/* Of those only the ones that were issued beside any of these first factors. */
MUST_CHECK int store_certificates_end_beside(struct store *s, const char *name, uint32_t factors,
                                             const char *why, uint64_t now_s, unsigned *count,
                                             struct err *e);
/* Ends the live ones for which keep says no; *count: how many. */
MUST_CHECK int store_certificates_sweep(struct store *s,
                                        bool (*keep)(void *arg, const struct store_certificate *c),
                                        void *arg, const char *why, uint64_t now_s, unsigned *count,
                                        struct err *e);
/* How many are live, and when the last of them ends (0: none). */
MUST_CHECK int store_certificates_live(struct store *s, const char *name, uint64_t now_s,
                                       unsigned *count, uint64_t *until_s, struct err *e);

/* ---- vault keys (auth/store_keys.c) ---- */
/* *len in: room, out: length of the SSH public key blob. ERR_NOT_FOUND. */
MUST_CHECK int store_vault_public(struct store *s, const char *target, const char *account,
                                  uint8_t *blob, size_t *len, struct err *e);
/* NULL on error. */
struct secret *store_vault_private(struct store *s, const char *target, const char *account,
                                   struct err *e);
MUST_CHECK int store_vault_put(struct store *s, const char *target, const char *account,
                               const uint8_t *blob, size_t len, const struct secret *private_key,
                               uint64_t now_s, struct err *e);
MUST_CHECK int store_vault_each(struct store *s, const char *target,
                                int (*each)(void *arg, const char *account, const uint8_t *blob,
                                            size_t len),
                                void *arg, struct err *e);
/* ---- the policy's approvers (auth/store_approval.c) ---- */
/* The last set that was approved. */
struct store_approval {
    uint64_t serial; /* 0: there was none yet */
    uint8_t manifest[STORE_HASH_BYTES];
    struct buf approvers; /* approvers.yaml in force; empty: none are. buf_clear it. */
};
#define STORE_APPROVERS_MAX (256u * 1024) /* APPROVERS_FILE_MAX */
/* ERR_TAMPERED: the row is malformed. */
MUST_CHECK int store_approval_read(struct store *s, struct store_approval *out, struct err *e);
/* Replaces it, durably. approvers.len 0: none are in force from now on. */
MUST_CHECK int store_approval_put(struct store *s, uint64_t serial,
                                  const uint8_t manifest[STORE_HASH_BYTES], struct bytes approvers,
                                  struct err *e);

#endif
