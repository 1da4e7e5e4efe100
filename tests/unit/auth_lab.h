/* SPDX-License-Identifier: Apache-2.0
 *
 * What the unit tests of auth/ stand on: a store in a directory of its own, an operator CA, a
 * policy set, certificate requests. */
#ifndef SALLYPORT_TESTS_AUTH_LAB_H
#define SALLYPORT_TESTS_AUTH_LAB_H

#include "auth/login.h"
#include "auth/store.h"
#include "base/buf.h"

/* 2026-03-02 10:00:00 UTC, the beginning of a TOTP step. */
#define LAB_NOW UINT64_C(1772445600)

struct auth_lab {
    char dir[64], store_path[96], key_path[96], ca_key_path[96], ca_path[96];
    struct secret *ca_key, *ca_certificate;
    struct policy *policy;
    struct login_world world;
};

/* Everything open; world.lockout is 5 failures, 30 minutes. */
void lab_set_up(struct auth_lab *lab);
/* Without opening the store: another process does. */
void lab_make_files(struct auth_lab *lab);
void lab_tear_down(struct auth_lab *lab);
/* Closes the store and opens it again. */
void lab_reopen(struct auth_lab *lab);

/* The policy set's block: fixture_operators, fixture_targets and lab_role. */
void lab_bundle(struct buf *out, const char *operators);
/* With these roles instead, nine at most. */
void lab_bundle_roles(struct buf *out, const char *operators, const char *const *roles,
                      size_t count);
extern const char lab_role[];

/* The public key blob of an operator of the set. */
struct bytes lab_key(const struct auth_lab *lab, const char *operator_name);
/* Gives the operator this second factor; the caller frees the secret. */
struct secret *lab_enrol(struct auth_lab *lab, const char *operator_name);
/* A connection from 10.1.2.3. */
void lab_login(struct login *l, const char *target);
/* Issues a device certificate as after a code, and gives it to the connection. */
void lab_remember(struct auth_lab *lab, struct login *l, const char *operator_name,
                  uint64_t issued_s, uint64_t life_s);
/* A certificate request in PEM for a new key on this curve, signed with it; free it. */
char *lab_request(const char *curve);

#endif
