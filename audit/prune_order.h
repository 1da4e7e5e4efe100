/* SPDX-License-Identifier: Apache-2.0
 *
 * An order to destroy or release recordings: a text that two custodians sign with their SSH keys
 * (`ssh-keygen -Y sign -n sallyport-retention`). It names the log, what is to be done, why, and the
 * log's size and root when it was made, so that it belongs to this history and no other; it is
 * carried out once. Written by the tool, judged by auditd. Does no I/O. Format: docs/FORMAT.md,
 * "Retention". */
#ifndef SALLYPORT_AUDIT_PRUNE_ORDER_H
#define SALLYPORT_AUDIT_PRUNE_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/note.h"
#include "audit/record.h"
#include "base/buf.h"
#include "base/sshsig.h"
#include "base/wire.h"

#define PRUNE_NAME_SPACE "sallyport-retention"
#define PRUNE_ORDER_MAX  4096u
#define PRUNE_REASON_MAX 500u
#define PRUNE_SIGNERS    2u

enum prune_act {
    PRUNE_BEFORE,  /* all that is sealed in segments that ended before a time */
    PRUNE_SESSION, /* one session's keys: what is sealed under them stays, and is noise */
    PRUNE_RELEASE, /* a hold ends */
};

struct prune_order {
    char origin[NOTE_NAME_MAX + 1];
    enum prune_act act;
    uint64_t before_ns;                 /* PRUNE_BEFORE */
    uint8_t session[RECORD_SESSION_ID]; /* the others */
    uint64_t size;                      /* of the log when the order was made */
    uint8_t root[RECORD_HASH_SIZE];
    char reason[PRUNE_REASON_MAX + 1];
};

const char *prune_act_name(enum prune_act act);

/* ERR_FULL, ERR_MEMORY; ERR_INPUT: the reason has control characters, or is empty. */
MUST_CHECK int prune_order_write(const struct prune_order *o, struct buf *out, struct err *e);
/* ERR_SYNTAX: not exactly what prune_order_write writes. */
MUST_CHECK int prune_order_read(const void *text, size_t len, struct prune_order *o, struct err *e);

/* That two different persons of the list, with two different keys, signed this text; their names.
 * ERR_DENIED, ERR_SYNTAX. signatures: the files that ssh-keygen wrote. */
MUST_CHECK int prune_order_signed(const void *text, size_t len, const struct bytes signatures[2],
                                  const char *custodians, size_t custodians_len,
                                  char names[PRUNE_SIGNERS][SSHSIG_NAME_MAX + 1], struct err *e);

#endif
