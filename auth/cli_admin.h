/* SPDX-License-Identifier: Apache-2.0
 *
 * What `sallyport user` and `sallyport target` share: a change of a policy file is told to authd
 * first, which records it, then written, then loaded. */
#ifndef SALLYPORT_AUTH_CLI_ADMIN_H
#define SALLYPORT_AUTH_CLI_ADMIN_H

#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

/* One of a verb's subcommands: runs with its own name as argv[0]. */
struct cli_subcommand {
    const char *name;
    int (*run)(int argc, char **argv);
};

/* Finds argv[1] in the table (NULL-terminated by name) and runs it; help, or the nearest name. */
int cli_subcommand(const char *verb, const char *help, const struct cli_subcommand *table, int argc,
                   char **argv);

/* Adds an entry (auth/yaml_edit.h) to CONFDIR/FILE: recorded as an act by authd (when the daemon
 * runs), written, loaded. When the new set is refused, the file is put back as it was. *running:
 * the daemon runs and has it. */
MUST_CHECK int cli_add_entry(const char *confdir, const char *file, const char *section,
                             const char *name, const char *entry, bool *running, struct err *e);

/* Whether a change of the policy wants approvals, so that this tool writes none: 1 where
 * CONFDIR/approvers.yaml is there or the running gateway has approvers in force, 0 where not. */
MUST_CHECK int cli_wants_approval(const char *confdir, struct err *e);
/* Prints the entry to be committed to the section of the file instead. */
void cli_print_entry(const char *file, const char *section, const char *entry);

/* Prints a list reply: with json its member as JSON, else by print. 0 or a CLI exit status. */
void cli_print_json(const json_t *value);

/* Prints text that came from files or peers, escaped, padded to width. */
void cli_print_cell(const char *text, int width);

/* auth/cli_password.c: `sallyport user password` */
int cli_user_password(int argc, char **argv);

#endif
