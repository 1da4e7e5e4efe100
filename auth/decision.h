/* SPDX-License-Identifier: Apache-2.0
 *
 * From a login that has its factors to a grant or a refusal: locks, whose certificate it was, the
 * policy's decision, what the target needs (host keys, a vault key). Copies what a grant carries,
 * so that a policy set loaded meanwhile does not matter. Used by authd alone; the time is passed
 * in; the only I/O is the store's. */
#ifndef SALLYPORT_AUTH_DECISION_H
#define SALLYPORT_AUTH_DECISION_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/login.h"
#include "auth/vault.h"
#include "base/buf.h"

struct decision {
    bool allowed;
    bool gateway;     /* allowed: the gateway's own commands, no target */
    bool break_glass; /* allowed although no session starts: an alarm */
    bool alarm;       /* refused, and somebody should look at it */
    uint8_t status;   /* refused: the exit status (enum gateway_exit) */
    char token[32];   /* refused: for the record */
    char text[1001];  /* refused: for the operator */

    struct policy_decision policy; /* path and abilities; path may be empty */
    uint8_t policy_hash[32];
    uint32_t target_index;
    char target[TARGET_NAME_MAX + 1]; /* the inventory's name, also when an alias was asked for */
    char target_address[ADDRESS_TEXT];
    uint16_t target_port;
    uint8_t identity[VAULT_PUBLIC_BYTES];
    struct buf host_keys, rules, files, forwards; /* as the grant carries them */
};

/* Always fills *out (whatever fails is a refusal); the caller clears it. */
void decision_make(const struct login_world *w, const struct login *l, uint64_t now_s,
                   struct decision *out);
void decision_clear(struct decision *d);

/* The payload of the DECISION record; session may be NULL. */
MUST_CHECK int decision_record(const struct decision *d, const struct login *l,
                               const uint8_t session[16], struct buf *out);

#endif
