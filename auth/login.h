/* SPDX-License-Identifier: Apache-2.0
 *
 * The login of one connection: what the frontend claims, against what authd and the listener
 * verified themselves. Step functions; the time is passed in; the only I/O is the store's. A
 * frontend is hostile: a claim alone never gets further than being asked for a code. Whether a
 * password is asked for is said by the user name alone ("operator+account"), so that being asked
 * tells nobody anything.
 *
 *     WANTS_KEY --claim of a known key--------------------------> WANTS_CODE
 *     WANTS_KEY --the same, with a remembered login that holds--> DONE
 *     WANTS_KEY --the same, and the user name names its operator> WANTS_PASSWORD
 *     WANTS_KEY, WANTS_PASSWORD --wrong password----------------> WANTS_PASSWORD
 *     WANTS_KEY, WANTS_PASSWORD --right password----------------> WANTS_CODE, or DONE as above
 *     WANTS_PASSWORD --third wrong one--------------------------> OVER
 *     WANTS_CODE --right code, or enrolment token---------------> DONE
 *     WANTS_CODE --third wrong one------------------------------> OVER (every answer: failed) */
#ifndef SALLYPORT_AUTH_LOGIN_H
#define SALLYPORT_AUTH_LOGIN_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/destination.h"
#include "auth/device_ca.h"
#include "auth/enrol.h"
#include "auth/lockout.h"
#include "auth/password.h"
#include "auth/store.h"
#include "base/err.h"
#include "base/wire.h"
#include "gateway/messages.h"
#include "policy/policy.h"

#define LOGIN_CLAIMS_MAX    6 /* as many keys as sshd takes by default (MaxAuthTries) */
#define LOGIN_CODES_MAX     3
#define LOGIN_PASSWORDS_MAX 3

/* What logins are judged by. policy is NULL until the first set is loaded: nobody logs in. */
struct login_world {
    const struct policy *policy;
    struct store *store;
    const struct device_ca *ca;
    struct lockout_rule lockout;
    const char
        *break_glass; /* who may get in although no session starts; NULL: all may, or nobody */
};

enum login_phase {
    LOGIN_WANTS_KEY,
    LOGIN_WANTS_PASSWORD,
    LOGIN_WANTS_CODE,
    LOGIN_DONE,
    LOGIN_OVER
};

struct login {
    enum login_phase phase;

    /* The connection, from the supervisor. */
    uint64_t conn;
    struct address source;
    char source_text[ADDRESS_TEXT + 1]; /* as long as a message's */
    uint16_t port;
    char proxy[ADDRESS_TEXT + 1]; /* who named source and port; empty: TCP itself */
    char connect_target[261];
    enum client_certificate certificate;
    uint8_t *certificate_der; /* owned */
    size_t certificate_len;

    /* From the claim. operator_name is empty before. */
    char user[256];
    char operator_name[OPERATOR_NAME_MAX + 1];
    char fingerprint[64];                  /* empty: a password alone */
    char candidate[OPERATOR_NAME_MAX + 1]; /* who the password is said to be of; not who it is */
    struct destination destination;

    /* What was verified. */
    uint32_t factors; /* bits of enum factor */
    bool enrolment;   /* by an enrolment token: it opens nothing but the enrolment */
    uint8_t enrolment_hash[ENROL_HASH_BYTES]; /* of that token: it is redeemed once */
    uint64_t code_s; /* when the code was taken; a device's certificate counts from then */
    uint64_t remembered_issued_s;
    char foreign_operator[65]; /* whose certificate this device presented instead, or empty */

    unsigned claims, passwords, codes, unknown_probes;
};

/* What to answer, and what to record before. */
struct login_reply {
    enum login_verdict verdict;
    char text[501];
    bool record;        /* an AUTHENTICATION record is due before the answer */
    bool summed;        /* a refusal of somebody unknown: summed up (auth/refusals.h) */
    bool source_failed; /* a wrong password: a failure of the source, each of them */
    bool our_fault;     /* what comes of it is no failure of the source */
    const char *reason; /* a token, static */
    bool has_step;
    uint64_t step;
    bool lock_began;
    uint64_t locked_until_s;
};

/* m: as the supervisor sent it. ERR_SYNTAX: its address is none. */
MUST_CHECK int login_init(struct login *l, const struct authd_connection *m, struct err *e);
void login_clear(struct login *l);

/* Is it the key of an operator? No failure if not: agents ask before they sign. */
bool login_probe(struct login *l, const struct login_world *w, struct bytes key);
/* The signature of this key was right, says the frontend. */
void login_claim(struct login *l, const struct login_world *w, const char *user, struct bytes key,
                 uint64_t now_s, struct login_reply *r);
/* A password was given, of `user`. True: its hash with this setting is what login_password_hashed
 * wants next; whoever it is of, the work is the same. False: *r is the answer already. */
bool login_password(struct login *l, const struct login_world *w, const char *user,
                    char setting[PASSWORD_SETTING + 1], struct login_reply *r);
/* hash NULL: none could be made. */
void login_password_hashed(struct login *l, const struct login_world *w, const char *hash,
                           uint64_t now_s, struct login_reply *r);
/* A password that could not be checked, for the gateway's own reasons; nobody's failure. */
void login_password_busy(struct login *l, struct login_reply *r);
/* answer: a code or an enrolment token; the caller wipes it. */
void login_code(struct login *l, const struct login_world *w, const char *answer, uint64_t now_s,
                struct login_reply *r);

/* "key,totp", "password,totp", "key,password,remembered", "key,enrolment". out has room for 100
 * bytes. */
const char *login_factors_text(const struct login *l, char out[100]);

/* The payload of the AUTHENTICATION record. */
MUST_CHECK int login_record(const struct login *l, const struct login_reply *r, struct buf *out);

#endif
