/* SPDX-License-Identifier: Apache-2.0
 *
 * The command-line tool `sallyport VERB`: what its verbs share. It runs as whoever called it; what
 * files and the control socket give it counts as input, its arguments as the caller's wish.
 * Exit statuses: 0 done, 1 failed (and said why on stderr), 2 wrong usage. */
#ifndef SALLYPORT_GATEWAY_CLI_H
#define SALLYPORT_GATEWAY_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

enum cli_exit { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

/* Each verb gets its own name as argv[0] and returns the exit status. */
int cli_init(int argc, char **argv);
int cli_status(int argc, char **argv);
int cli_user(int argc, char **argv);
int cli_target(int argc, char **argv);
int cli_setup(int argc, char **argv);
int cli_login(int argc, char **argv);
int cli_whoami(int argc, char **argv);
int cli_connect(int argc, char **argv);
int cli_audit(int argc, char **argv);
int cli_policy(int argc, char **argv);

/* "sallyport: TEXT" on stderr; returns CLI_FAILED. */
int cli_fail(const char *format, ...) PRINTF_LIKE(1, 2);
/* "sallyport VERB: TEXT" and where to read more, on stderr; returns CLI_USAGE. */
int cli_usage(const char *verb, const char *format, ...) PRINTF_LIKE(2, 3);
/* What getopt_long (opterr = 0, optstring starting with ':') found wrong: c is '?' or ':'. */
int cli_bad_option(const char *verb, int c, char **argv);

/* The configuration directory: what -c gave, else $SALLYPORT_CONF, else the built-in one. */
const char *cli_confdir(const char *given);

/* Formatted text that the caller frees. Aborts when memory is out: the tool has nothing to lose. */
char *cli_printf(const char *format, ...) PRINTF_LIKE(1, 2);

/* Reads a whole regular file of at most max bytes; "-" is standard input. */
MUST_CHECK int cli_read_file(const char *path, size_t max, struct buf *out, struct err *e);
/* Makes a file that must not exist yet. */
MUST_CHECK int cli_create_file(const char *path, const void *bytes, size_t len, mode_t mode,
                               struct err *e);
/* Puts a file in the place of whatever was there: a new one beside it, fsync, rename. An existing
 * file's owner is kept, and its mode when mode is 0. */
MUST_CHECK int cli_replace_file(const char *path, const void *bytes, size_t len, mode_t mode,
                                struct err *e);
/* Makes a directory and those above it; those that exist are left as they are. */
MUST_CHECK int cli_make_dirs(const char *path, mode_t mode, struct err *e);

/* Asks on the terminal, without echo when hidden; with SSH_ASKPASS_REQUIRE=force by $SSH_ASKPASS,
 * as ssh does. The answer without its newline; ERR_CLOSED when there is nobody to ask. */
MUST_CHECK int cli_ask(const char *prompt, bool hidden, char *out, size_t cap, struct err *e);

/* Runs a program found by PATH, without a shell; descriptors 0 to 2 are inherited. Its exit status
 * (128 + signal), or a negative error. */
MUST_CHECK int cli_run(char *const argv[], struct err *e);

#endif
