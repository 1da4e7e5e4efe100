/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport audit VERB`: what its verbs share. It runs as whoever may read the trail's directory
 * and writes nothing; every byte of the trail is hostile to it, and to the terminal behind it. */
#ifndef SALLYPORT_AUDIT_CLI_AUDIT_H
#define SALLYPORT_AUDIT_CLI_AUDIT_H

#include <getopt.h>
#include <stdbool.h>

#include "audit/checkpoint.h"
#include "audit/record_source.h"

struct json_t;

/* Where the trail is, and the keys that it is checked with. */
struct audit_source {
    const char *trail, *state, *confdir, *log_key, *anchor_key; /* options as given */
    const char *reason; /* why, for the record of the reading */
    bool recorded;      /* through the gateway in any case */
    int dir;            /* the trail's directory; -1: it may not be opened, or --recorded */
    char *runtime;      /* the gateway's control socket's directory, where dir is -1 */
    struct vkey log, anchor;
    bool has_log, has_anchor;
    bool keys_alone; /* the trail is not wanted, and nothing but the log's key */
};

/* The options that every verb has, for its table; audit_source_option takes them. */
enum {
    OPT_TRAIL = 256,
    OPT_STATE,
    OPT_LOG_KEY,
    OPT_ANCHOR,
    OPT_REASON,
    OPT_RECORDED,
    OPT_FIRST_OWN
};
#define AUDIT_SOURCE_OPTIONS                                                                       \
    {"trail", required_argument, NULL, OPT_TRAIL}, {"state", required_argument, NULL, OPT_STATE},  \
        {"config", required_argument, NULL, 'c'},                                                  \
    {                                                                                              \
        "help", no_argument, NULL, 'h'                                                             \
    }
#define AUDIT_SOURCE_HELP                                                                          \
    "  -c DIR          the configuration directory, which names the state directory\n"             \
    "                  (default: $SALLYPORT_CONF, else " SALLYPORT_CONFDIR ")\n"                   \
    "  --state DIR     the gateway's state directory\n"                                            \
    "  --trail DIR     the trail itself, or a copy of it\n"

/* Those of the verbs that take records by audit_source_records. */
#define AUDIT_READ_OPTIONS                                                                         \
    {"reason", required_argument, NULL, OPT_REASON},                                               \
    {                                                                                              \
        "recorded", no_argument, NULL, OPT_RECORDED                                                \
    }
#define AUDIT_READ_HELP                                                                            \
    "  --reason TEXT   why you read; goes into the record of the reading\n"                        \
    "  --recorded      read through the gateway, which records it, also where the trail's files\n" \
    "                  could be read directly\n"

/* The command line of a verb. */
struct audit_options {
    const char *verb, *help;    /* "audit list", and what --help prints */
    const char *letters;        /* of its own one-letter options */
    const struct option *table; /* begins with AUDIT_SOURCE_OPTIONS */
    int status;                 /* negative: go on; else the verb ends with this (enum cli_exit) */
};

void audit_source_init(struct audit_source *s);
/* The verb's next own option, with optarg; -1 when there is none, or o->status says to end: after
 * --help, or an option that it does not have. The common ones are taken into s. */
int audit_next_option(struct audit_options *o, struct audit_source *s, int argc, char **argv);
/* Opens the directory; with keys: reads those too. */
MUST_CHECK int audit_source_open(struct audit_source *s, bool keys, struct err *e);
/* As audit_source_open, for reading through audit_source_records: where the directory of the
 * configuration's gateway may not be opened (or --recorded), the gateway itself is asked. */
MUST_CHECK int audit_source_open_any(struct audit_source *s, struct err *e);
/* The records of a selection, from wherever the source has them. use: the verb, for the record. */
MUST_CHECK int audit_source_records(struct audit_source *s,
                                    const struct source_selection *selection, const char *use,
                                    struct record_source **out, struct err *e);
/* The gateway's own records, for struct pruned_by. arg: the struct audit_source. */
MUST_CHECK int audit_gateway_records(void *arg, struct record_source **out, struct err *e);
/* A selection from a SESSION word: the beginning of an id, `last`, or `gateway`. */
MUST_CHECK int audit_selection(struct source_selection *out, const char *word, struct err *e);
void audit_source_close(struct audit_source *s);
/* A witness's verifier key, as text or in a file. */
MUST_CHECK int audit_witness_key(struct vkey *v, const char *given, struct err *e);

/* Each gets its own name as argv[0]. */
int audit_verify(int argc, char **argv);
int audit_list(int argc, char **argv);
int audit_show(int argc, char **argv);
int audit_play(int argc, char **argv);
int audit_prove(int argc, char **argv);
int audit_commands(int argc, char **argv);
int audit_files(int argc, char **argv);
int audit_search(int argc, char **argv);
int audit_index(int argc, char **argv);
int audit_export(int argc, char **argv);
int audit_reviewers(int argc, char **argv);
int audit_new_log(int argc, char **argv);
int audit_hold(int argc, char **argv);
int audit_release(int argc, char **argv);
int audit_prune(int argc, char **argv);

/* "1.4 MB" */
#define SIZE_TEXT 24
const char *size_text(char out[SIZE_TEXT], uint64_t bytes);
/* "1h 02m 03s" */
#define DURATION_TEXT 24
const char *duration_text(char out[DURATION_TEXT], uint64_t ns);
/* A JSON string value, "" for anything else. */
const char *text_member(const struct json_t *object, const char *name);

#endif
