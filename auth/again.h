/* SPDX-License-Identifier: Apache-2.0
 *
 * A live session decided again: by the policy in force now, with what its operator logged in with
 * then. What comes of it is the policy's decision, limited to what the session began with: a policy
 * that permits more gives it to those who connect anew. So what a session holds depends on its
 * beginning and on the set in force alone, not on the sets between them. Used by authd; pure, the
 * time is passed in. */
#ifndef SALLYPORT_AUTH_AGAIN_H
#define SALLYPORT_AUTH_AGAIN_H

#include "auth/decision.h"

/* What a grant permits, as far as it can be compared. */
struct again_terms {
    uint32_t abilities; /* bits of enum ability */
    enum record_mode record;
    enum bulk_mode bulk;
    uint64_t idle_s, max_s, max_bytes; /* 0: no limit */
    uint64_t bulk_after, keep_max;
    uint8_t rules[32], files[32], forwards[32]; /* SHA-256 of what is encoded of them */
};

/* What a session began with. */
struct again_session {
    char operator_name[OPERATOR_NAME_MAX + 1];
    char fingerprint[64];             /* of the key; empty: not known */
    char target[TARGET_NAME_MAX + 1]; /* the inventory's name */
    char account[ACCOUNT_NAME_MAX + 1];
    struct address source;
    uint32_t factors;
    uint64_t remembered_age_s; /* at that time: it does not grow meanwhile */
    uint64_t started_s;
    struct again_terms began, held; /* with what, and what is left of it */
};

/* A sentence of 1000 bytes has room for it and for a target's name. */
#define AGAIN_WHY 640

struct again {
    bool allowed; /* something is left of what the session began with */
    /* If not: for its end record; why; the same as a sentence for the operator. */
    char token[32], why[AGAIN_WHY], text[1001];
    char path[1000], because[128], contact[121]; /* struct policy_decision */
    uint8_t policy[32];
    struct again_terms terms;
    struct buf rules, files, forwards; /* the policy's, encoded */
    uint64_t until_s;                  /* struct policy_decision */
};

/* d: a decision that allows; started_s: its time. */
void again_session_of(const struct login *l, const struct decision *d, uint64_t started_s,
                      struct again_session *out);
/* Always fills *out (whatever fails is a denial); the caller clears it. held does not matter. */
void again_decide(const struct policy *p, const struct again_session *s, uint64_t now_s,
                  struct again *out);
void again_clear(struct again *a);
bool again_terms_same(const struct again_terms *a, const struct again_terms *b);
/* What is other than before, as words for the operator: "no shell; at most 15 minutes idle". */
void again_words(const struct again_terms *before, const struct again_terms *now, char *out,
                 size_t cap);
/* When the clock alone will end what is allowed until until_s, as far as that can be foreseen; 0:
 * not. why has room for AGAIN_WHY bytes. */
uint64_t again_ends_s(const struct policy *p, const struct again_session *s, uint64_t until_s,
                      char why[AGAIN_WHY]);

/* The time by which a session is judged: the clock's, but never less than what has passed since it
 * began, so that a clock that is set back prolongs no window. began_s, began_ms: the clock and the
 * monotonic one at its beginning. */
uint64_t again_clock_s(uint64_t began_s, uint64_t began_ms, uint64_t real_s, uint64_t mono_ms);

/* For the supervisor, which keeps it and gives it to authd's successor. */
#define AGAIN_ENCODED_MAX 1024
MUST_CHECK int again_encode(const struct again_session *s, struct buf *out);
/* ERR_PROTOCOL: it is none of ours. */
MUST_CHECK int again_decode(struct bytes encoded, struct again_session *out, struct err *e);

#endif
