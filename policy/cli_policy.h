/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport policy VERB`: what its verbs share. They run as whoever called them, change nothing
 * but what `fmt --write` rewrites, and take the files of a set as input that may hold any mistake.
 * Exit statuses: see enum policy_exit. */
#ifndef SALLYPORT_POLICY_CLI_POLICY_H
#define SALLYPORT_POLICY_CLI_POLICY_H

#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "policy/address.h"
#include "policy/policy.h"

/* As diff(1) numbers them, and `audit verify`: whoever acts on findings, in CI above all, must
 * never take for one that the question could not be answered. Of every verb:
 *
 *     0  fine: no mistake, all tests pass, allowed, somebody, the same, a class, done
 *     1  findings: the verb did its work, and the answer is the other one
 *     2  trouble: wrong usage; a set, file or revision that cannot be read, or has a mistake where
 *        the verb needs one without; a name that is not in the set; no gateway; no room */
enum policy_exit { POLICY_FINE = 0, POLICY_FINDINGS = 1, POLICY_TROUBLE = 2 };
/* "sallyport: TEXT" on stderr; returns POLICY_TROUBLE. */
int policy_trouble(const char *format, ...) PRINTF_LIKE(1, 2);

/* Each gets its own name as argv[0]. */
int cli_policy_check(int argc, char **argv);
int cli_policy_diff(int argc, char **argv);
int cli_policy_explain(int argc, char **argv);
int cli_policy_fmt(int argc, char **argv);
int cli_policy_load(int argc, char **argv);
int cli_policy_test(int argc, char **argv);
int cli_policy_who_can(int argc, char **argv);

/* One verb's options. table has long names only, "help" among them with 'h'. */
struct policy_options {
    const char *verb; /* "policy check" */
    const char *help;
    const struct option *table;
    const char *shorts; /* with ':' first; NULL: -h alone */
    int status;         /* -1: go on; else the verb ends with it */
};
/* The next option, or -1 at the end; then, where o->status is not -1, the verb ends with it: help
 * was printed, or a mistake was told with the nearest option. Begin with policy_options_begin. */
void policy_options_begin(struct policy_options *o);
int policy_next_option(struct policy_options *o, int argc, char **argv);
/* As cli_usage. */
int policy_usage(const struct policy_options *o, const char *format, ...) PRINTF_LIKE(2, 3);
/* The words that are left: at most max, else false and o->status is set. */
bool policy_words(struct policy_options *o, int argc, char **argv, int max, const char *what);

/* A set as it was named on the command line. */
struct policy_source {
    const char *given; /* "conf/example", "HEAD~1", "main:policy"; the default directory's path */
    bool revision;     /* it was read from git */
    bool strict;       /* owners and modes were checked as the gateway checks them */
    struct buf block;  /* policy/bundle.h */
    struct policy *policy; /* NULL until loaded */
};
/* Reads a set. at: a time that will be asked about (policy_time), whose zone the set may not name;
 * NULL: none. given NULL: the configuration directory, as the gateway reads it; else a directory,
 * whose files may be anybody's, or, with revisions, a revision of the git repository that the
 * current directory is in: REV (the current directory at REV) or REV:PATH. */
MUST_CHECK int policy_source_read(struct policy_source *s, const char *given, const char *at,
                                  bool revisions, struct err *e);
/* Reads and loads it. */
MUST_CHECK int policy_source_load(struct policy_source *s, const char *given, const char *at,
                                  bool revisions, struct err *e);
void policy_source_clear(struct policy_source *s);

/* policy/cli_git.c: whether the current directory is in a repository that has it; the set of it as
 * a block. Runs git without a shell; nothing is checked out. */
MUST_CHECK int policy_git_read(const char *revision, struct buf *block, struct err *e);
/* 1: it names a tree here, 0: it does not, or there is no git. Negative: nobody can say. */
MUST_CHECK int policy_git_knows(const char *revision, struct err *e);

/* "2026-03-02 10:00 Asia/Seoul" (policy_moment); NULL: now. */
MUST_CHECK int policy_time(const struct policy *p, const char *text, uint64_t *now_s,
                           struct err *e);

void policy_print_json(json_t *value); /* takes it; with a newline */
/* Text of files or arguments, for a terminal. */
void policy_print_text(const char *text);

#endif
