/* SPDX-License-Identifier: Apache-2.0
 *
 * A policy set from texts, for the unit tests of policy/. */
#ifndef SALLYPORT_TESTS_POLICY_FIXTURE_H
#define SALLYPORT_TESTS_POLICY_FIXTURE_H

#include "base/buf.h"
#include "policy/policy.h"

#define KEY_A "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIN5DFjQgTKttNilRUj1cT3zNREuCY+3BLLSkDZ6rrWfG"
#define KEY_B                                                                                      \
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBLLWNgMy"             \
    "YlXnSfU6zjTKzfoNmYnJmv9+PfJekN9yUfEVGB90bCFxNgzBE0sDnBP2rRKNrZ7S9cyDDMsStcuMf2w="
#define KEY_H1 "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK8ifJ70JjEVwWlj6ySkpa4I1vWC8F/S/qREvLf9xmUr"
#define KEY_RSA_2048                                                                               \
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDIQW9rMQ+svv7xhEok5J1qr2AyH6AhUqx2sXOFgGR1"             \
    "UQjvAbGBHz4YYD30lNS8dP9YMOdNU6xEtACt3PGhbCQRQL1mIeYn+eohvHu66s1YG6Dq7zhxglONiv2k"             \
    "DiPadR/2FTCVNvJe2uScp0nL7UKrgzsUutVr2ACj9o3xaEWuGzLLggPE1IGKUNhQvUh9+FUn6s3gqnZr"             \
    "8y2I2pSuoMqSp19mnV7GHwU2qfJlsPUv1phRQPk95ephg8b/RE9hLwAL8rIebDMxJSVReblgz5G6xhl/"             \
    "6xVbf/OQ+mVUXZLmTBCHxFWADlw0JlQsRPsugVu1NhYK3V7Ee73wIb8KUc7r"
#define KEY_RSA_3072                                                                               \
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQDXr2msM4FNlujfKMwfbG8ONjMUzUzgI3HTZFdKkBr3"             \
    "vsCN5uKf1tEYuVihI1QpW8R89IdRowr2S5iJYAxvjreMzLd/s7dJlxVHbTtco/LIJUjK6Db8RR37FvCV"             \
    "oVkyXX3LFtgGQQAOtyc1+4OVPy63XWn0zZTJCzhyPOKiQ0jP38BWle6H3Ru1nbbg5hkr+1s/KVIWrS/z"             \
    "iN5+TYWdU1xYq4tIZ4wVJMBUWrrJvSAUAkk7WcI//5JZDRvaTrOm0pe4TFfbxzqfDZ/PbpyfwkQ048iH"             \
    "h5bJqQi0YcB2Srg3dwOU/RDmLTUaC4+HZicg16zs7X+GDi4YtZwNQNpvoUAKZeLDPRqzHaj8izuluOxX"             \
    "GAaCrag4rsgOaGJbTA7ZgiGeAuJvKKCb312Q66ptSKwE+l7G2458/QWGcaf1KeIB11PHJKRBdQOCNzzQ"             \
    "rro5+9v5Cq/DkWk8SxKvpU7PmvHjr+Bq/+NU2hpiMwS+eSjmoH7+PmT31zuNq4dUHr4Ojx8="
#define FINGERPRINT_A "SHA256:MA0tWn87xdw/7vAJLS68+xrq10sXNjAoOkVIVUCGr54"
#define FINGERPRINT_B "SHA256:F2Jqn1eYTA7S+qvneGlphVycQV+QoGwb2iaJDSZaojc"

/* alice (KEY_A, groups ops and net), bob (KEY_B, group ops), carol (no key). */
extern const char fixture_operators[];
/* hv1 (alias hv1.lan; env: lab, kind: libvirt; 10.0.0.1), hv2 (env: lab, kind: xen; 10.0.0.2:2222),
 * sw1 (env: prod, 2001:db8::1). */
extern const char fixture_targets[];

struct fixture_file {
    const char *name, *text; /* text NULL: "zoneinfo/...", the file of this machine */
};
/* Appends the files as a block; they must be in order. */
void fixture_put(struct buf *out, const struct fixture_file *files, size_t count);
/* A set of fixture_operators, fixture_targets and these files, in any order (at most 40); a file of
 * the same name takes the place of those two. *bundle (may be NULL) gets the block, for the caller
 * to clear. NULL and warnings as fixture_load. */
struct policy *fixture_load_files(const struct fixture_file *files, size_t count,
                                  struct buf *bundle, struct err *e);
/* A set of fixture_operators, fixture_targets and these role texts, roles.d/1.yaml, roles.d/2.yaml,
 * ... (at most 9). NULL as policy_load. Warnings are kept in fixture_warnings until the next load.
 */
struct policy *fixture_load(const char *const *roles, size_t count, struct err *e);
/* What the default operators and targets give. */
#define FIXTURE_WARNINGS                                                                           \
    "operators.yaml:4:3: warning: carol has no public key and cannot log in but with a password\n" \
    "targets.yaml:4:3: warning: sw1 has no host key, so that nobody can be connected to it\n"

extern char fixture_warnings[8192];
/* As fixture_load, with other operators or targets where not NULL, and one role or NULL. */
struct policy *fixture_load_with(const char *operators, const char *targets, const char *role,
                                 struct err *e);

#endif
