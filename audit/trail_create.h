/* SPDX-License-Identifier: Apache-2.0
 *
 * The birth of a log, by `sallyport init` (root), once: keys, anchor, first segment. */
#ifndef SALLYPORT_AUDIT_TRAIL_CREATE_H
#define SALLYPORT_AUDIT_TRAIL_CREATE_H

#include <sys/types.h>

#include "audit/trail.h"

/* For safekeeping outside of the gateway: printed by init. */
struct trail_created {
    char anchor[VKEY_MAX];    /* the anchor's verifier key */
    char log[VKEY_MAX];       /* the log's */
    char genesis[DIGEST_HEX]; /* the genesis leaf in hexadecimal */
};

/* trail/ is auditd's; its group, which new files inherit, is the readers': segments and notes are
 * made 0640, keys and the rest 0600. */
#define TRAIL_MODE 02750

/* A gateway's first log has its name and this as origin. */
#define TRAIL_ORIGIN_SUFFIX "/sallyport/0"

/* In the state directory makes what is missing of keys/ (0700), public/ (0755) and trail/
 * (TRAIL_MODE), then keys/log.key (0600, PEM); in trail/, which becomes uid's and gid's,
 * anchor.note, epoch.keys, the first segment and checkpoint; and public/log.pub, public/anchor.pub,
 * public/anchor.note. The anchor's private half is wiped before this returns. ERR_INPUT when there
 * is a log key already or trail/ is not empty: nothing is changed then. */
MUST_CHECK int trail_create(const char *state, const char *gateway, uid_t uid, gid_t gid,
                            struct trail_created *out, struct err *e);

/* The same in steps, for a log that follows another: the new one's keys are durable before the old
 * one's last seal names their anchor, and that is before the new one's first record cites the old
 * one. The anchor's private half is gone when trail_birth_new returns. */
struct trail_birth;
MUST_CHECK int trail_birth_new(struct trail_birth **out, const char *origin, struct err *e);
const struct vkey *trail_birth_anchor(const struct trail_birth *b);
/* The directory DIR/NAME (0700) with what a birth is, durably and whole, or not at all. */
MUST_CHECK int trail_birth_save(struct trail_birth *b, int dir, const char *name, struct err *e);
/* ERR_INPUT: what is there is not a birth of this origin. */
MUST_CHECK int trail_birth_load(struct trail_birth **out, int dir, const char *name,
                                const char *origin, struct err *e);
/* Overwrites the first epoch's key in it, when the log has begun. 0 also when it is not there. */
MUST_CHECK int trail_birth_wipe(int dir, const char *name, struct err *e);
/* Writes all files, as trail_create. previous: NULL for a gateway's first log. */
MUST_CHECK int trail_birth_write(struct trail_birth *b, const char *state, uid_t uid, gid_t gid,
                                 const struct trail_previous *previous, struct trail_created *out,
                                 struct err *e);
void trail_birth_free(struct trail_birth *b);

/* A private key in PEM. NULL: e says why. EVP_PKEY_free. */
EVP_PKEY *trail_key_read(int dir, const char *path, struct err *e);

/* Gives a directory and all that is below it to uid and gid; follows no symbolic link. */
MUST_CHECK int trail_give_away(int dir, uid_t uid, gid_t gid, struct err *e);

#endif
