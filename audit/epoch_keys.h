/* SPDX-License-Identifier: Apache-2.0
 *
 * The file of the epochs' private keys, trail/epoch.keys: two slots, the current epoch's key and
 * the next one's. When an epoch's seal is durable its slot is overwritten with the key after the
 * next, and that is how it is destroyed. The file says nothing of which epoch is current: the log
 * does; so every step can be repeated after a crash. Used by auditd, `init` and `new-log`; only the
 * process that has the trail's lock may write it. Format: docs/FORMAT.md, "epoch.keys". */
#ifndef SALLYPORT_AUDIT_EPOCH_KEYS_H
#define SALLYPORT_AUDIT_EPOCH_KEYS_H

#include "audit/seal.h"

#define EPOCH_KEYS_FILE "epoch.keys"
/* A slot is a page of its own: overwriting one never touches the other's block. */
#define EPOCH_SLOT_SIZE 4096u

struct epoch_keys;

/* The keys of epochs 0 and 1, in memory alone. */
MUST_CHECK int epoch_keys_new(struct epoch_keys **out, struct err *e);
/* Makes the file (0600) and its content durable; that file is the keys' from now on. ERR_INPUT: it
 * is there already. */
MUST_CHECK int epoch_keys_save(struct epoch_keys *k, int dir, struct err *e);
/* Reads the file; slots may be unreadable. ERR_TAMPERED: it is not there, or not such a file. */
MUST_CHECK int epoch_keys_open(struct epoch_keys **out, int dir, struct err *e);
/* Overwrites the file with zeroes, durably. 0 also when it is not there. */
MUST_CHECK int epoch_keys_wipe(int dir, struct err *e);
/* Wipes; NULL-safe. */
void epoch_keys_free(struct epoch_keys *k);

/* Whether these are the keys of a log whose current epoch is this. 0: yes. 1: yes, when
 * epoch_keys_replace(epoch + 1) is done (again): the seal before was durable, its key perhaps not
 * destroyed. ERR_TAMPERED: no; e says what that means. */
MUST_CHECK int epoch_keys_fit(const struct epoch_keys *k, uint32_t epoch, const struct vkey *key,
                              struct err *e);
/* The verifier key of an epoch whose key is held. */
MUST_CHECK int epoch_keys_public(const struct epoch_keys *k, const char *origin, uint32_t epoch,
                                 struct vkey *out, struct err *e);
/* Its private key, to be freed with EVP_PKEY_free (which wipes). NULL: e says why. */
EVP_PKEY *epoch_keys_private(const struct epoch_keys *k, uint32_t epoch, struct err *e);
/* Puts a new key of this epoch in its slot, durably: that of epoch - 2 is gone then. May run in the
 * synchronising thread: nobody else may use k meanwhile. */
MUST_CHECK int epoch_keys_replace(struct epoch_keys *k, uint32_t epoch, struct err *e);

#endif
