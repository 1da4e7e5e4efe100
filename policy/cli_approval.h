/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport policy manifest`, `sign` and `verify`, and what they share. They run where the policy
 * is written, in CI, and on the gateway, as whoever called them. */
#ifndef SALLYPORT_POLICY_CLI_APPROVAL_H
#define SALLYPORT_POLICY_CLI_APPROVAL_H

#include "policy/approval.h"
#include "policy/cli_policy.h"

/* Each gets its own name as argv[0] and returns the exit status. */
int cli_policy_manifest(int argc, char **argv);
int cli_policy_sign(int argc, char **argv);
int cli_policy_verify(int argc, char **argv);

/* The words of manifest and verify. */
struct approval_arguments {
    const char *dir, *confdir, *approvers, *previous, *serial;
    bool json;
};
/* Begins with what is in w. False: the verb ends with o->status. */
bool approval_parse(int argc, char **argv, struct policy_options *o, struct approval_arguments *w);

/* A directory as the gateway would read it, sallyport.yaml with it. */
struct approval_dir {
    struct buf block;
    struct bytes manifest; /* views into it; p NULL: not there */
    struct bytes approvers;
    struct bytes author;
};
/* out is initialised in any case. */
MUST_CHECK int approval_dir_read(const char *dir, struct approval_dir *out, struct err *e);
void approval_dir_clear(struct approval_dir *d);

/* What is in force: asked, or told by options. */
struct approval_given {
    struct approval_state state;
    struct approvers *approvers; /* state.approvers */
    bool placed;                 /* serial and hash of what is in force are known */
};
void approval_given_clear(struct approval_given *g);
/* Of the gateway whose control socket confdir's sallyport.yaml names. */
MUST_CHECK int approval_ask(const char *confdir, struct approval_given *out, struct err *e);
/* The word after --previous: `none`, 64 digits, or a manifest's file, whose serial is taken too. */
MUST_CHECK int approval_previous(const char *word, struct approval_given *out, struct err *e);
MUST_CHECK int approval_approvers(const char *path, struct approval_given *out, struct err *e);
/* A decimal number of 1 to 18 digits. */
MUST_CHECK int approval_serial(const char *word, uint64_t *out, struct err *e);

#endif
