/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport audit index`: brings the reviewer's own index up to date with the trail. Where it
 * stopped it goes on, after it saw that the log is the same one. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/cli_index.h"
#include "audit/opened_records.h"
#include "gateway/cli.h"

static const char help[] =
    "usage: sallyport audit index [OPTION]...\n\n"
    "Makes what sessions printed and ran searchable, for `sallyport audit search`: an index in "
    "your "
    "own\n"
    "directory, from the sessions that your identities open. It goes on where it stopped, and can "
    "be\n"
    "interrupted. It holds recordings in the clear: keep it like them.\n\n" AUDIT_SOURCE_HELP
        AUDIT_READ_HELP UNSEAL_HELP
    "  --database FILE      the index (default: $XDG_DATA_HOME/sallyport/index-LOG.db)\n"
    "  --rebuild            begin anew\n"
    "  --keystrokes         what operators typed, too\n"
    "  -q                   no progress\n";

enum { OPT_DATABASE = OPT_FIRST_OWN, OPT_REBUILD, OPT_KEYSTROKES };

/* A transaction holds so much text at most. */
#define COMMIT_BYTES   (32u * 1024 * 1024)
#define COMMIT_RECORDS 200000u

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

struct index_line {
    const char *database;
    bool rebuild, keystrokes, quiet, identity_given;
    struct unseal *unseal;
};

char *index_directory(void)
{
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");

    if (data && data[0] == '/')
        return cli_printf("%s/sallyport", data);
    return cli_printf("%s/.local/share/sallyport", home ? home : ".");
}

/* The log's name as a file's name. */
static char *index_path(const char *origin, struct err *e)
{
    char *directory = index_directory(), *name = cli_printf("%s", origin), *path = NULL;

    for (char *p = name; *p; p++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-", *p))
            *p = '_';
    if (cli_make_dirs(directory, 0700, e) == 0)
        path = cli_printf("%s/" INDEX_PREFIX "%s" INDEX_SUFFIX, directory, name);
    free(directory);
    free(name);
    return path;
}

static int note_key(void *arg, const uint8_t *header, const void *payload, size_t len,
                    struct err *e)
{
    struct unseal *u = arg;
    struct record r;
    int code = record_decode(header, &r, e);

    if (code == 0 && r.payload_len == len)
        code = unseal_note(u, &r, payload, e);
    return code == ERR_MEMORY ? code : 0; /* another one just opens nothing */
}

/* The record before the first new one must be the one that the index ends with. */
static int check_same(struct record_source *source, const struct text_index_state *state,
                      const uint8_t genesis[RECORD_HASH_SIZE], struct err *e)
{
    struct digest *d = digest_new();
    uint8_t leaf[RECORD_HASH_SIZE] = {0};
    struct source_record v;
    int r = d ? record_source_seek(source, state->next - 1, e)
              : err_set(e, ERR_MEMORY, "no memory for SHA-256");

    if (r == 0 && memcmp(genesis, state->genesis, RECORD_HASH_SIZE) != 0)
        r = err_set(e, ERR_INPUT, "the index was made from another log: --rebuild makes it anew");
    if (r == 0)
        r = record_source_next(source, &v, -1, e);
    if (r == SOURCE_RECORD) {
        digest_leaf(d, v.header, leaf);
        r = v.r.index == state->next - 1 && memcmp(leaf, state->leaf, sizeof leaf) == 0
                ? 0
                : err_set(e, ERR_TAMPERED,
                          "record %" PRIu64 " of the log is not the one that was indexed: verify "
                          "the trail; --rebuild makes the index anew",
                          state->next - 1);
    } else if (r == 0) {
        r = err_set(e, ERR_TAMPERED,
                    "the log is shorter than it was when it was indexed (%" PRIu64 " records): "
                    "verify the trail",
                    state->next);
    }
    digest_free(d);
    return r;
}

static int fill(const struct index_line *line, struct opened_records *in, struct text_index *x,
                struct text_index_state *state, struct err *e)
{
    struct digest *d = digest_new();
    struct export_record v;
    uint64_t since_commit = 0;
    bool show = !line->quiet && isatty(STDERR_FILENO);
    char size[SIZE_TEXT];
    int r = d ? 1 : err_set(e, ERR_MEMORY, "no memory for SHA-256");

    while (r == 1 && !interrupted && (r = opened_next(in, &v, e)) == 1) {
        r = text_index_put(x, &v, line->keystrokes, e);
        if (r < 0)
            break;
        digest_leaf(d, v.header, state->leaf);
        state->next = v.r->index + 1;
        r = 1;
        if (text_index_pending(x) > COMMIT_BYTES || ++since_commit >= COMMIT_RECORDS) {
            r = text_index_commit(x, state, e) == 0 ? 1 : e->code;
            since_commit = 0;
        }
        if (show && in->records % 4096 == 0)
            fprintf(stderr, "\r%" PRIu64 " records, %s ", in->records, size_text(size, in->bytes));
    }
    if (show)
        fputs("\r\x1b[K", stderr);
    if (r >= 0 && in->records > 0)
        r = text_index_commit(x, state, e);
    digest_free(d);
    return r < 0 ? r : 0;
}

static int update(const struct index_line *line, struct record_source *source,
                  const struct anchor *anchor, const char *path, struct err *e)
{
    struct opened_records in = {.source = source, .unseal = line->unseal};
    struct text_index_state state = {.keystrokes = line->keystrokes};
    struct text_index *x = NULL;
    int r;

    if (line->rebuild && unlink(path) != 0 && errno != ENOENT)
        return err_errno(e, "cannot remove %s", path);
    r = text_index_open(&x, path, true, e);
    if (r == 0)
        r = text_index_state(x, &state, e);
    if (r == 1) {
        r = state.keystrokes == line->keystrokes
                ? check_same(source, &state, anchor->genesis, e)
                : err_set(e, ERR_INPUT,
                          "the index was made %s keystrokes: the same again, or --rebuild",
                          state.keystrokes ? "with" : "without");
        if (r == 0)
            r = text_index_keys(x, note_key, line->unseal, e);
    } else if (r == 0) {
        memcpy(state.genesis, anchor->genesis, RECORD_HASH_SIZE);
        r = record_source_seek(source, 0, e);
    }
    if (r == 0)
        r = fill(line, &in, x, &state, e);
    if (r == 0)
        printf("%" PRIu64 " records indexed, to record %" PRIu64 "%s, in %s\n", in.records,
               state.next, interrupted ? " (interrupted; the next run goes on from there)" : "",
               path);
    text_index_close(x);
    return r < 0 ? r : opened_report(&in, line->keystrokes, e);
}

static int run(const struct index_line *line, struct audit_source *s, struct err *e)
{
    struct source_selection which = {.what = SOURCE_EVERYTHING};
    struct sigaction action = {.sa_handler = on_signal};
    struct record_source *source = NULL;
    struct anchor anchor;
    struct buf note;
    char *path = NULL;
    int r = line->identity_given ? 0 : unseal_add_default(line->unseal, e);

    buf_init(&note, NOTE_MAX);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (r == 0)
        r = audit_source_records(s, &which, "index", &source, e);
    if (r == 0)
        r = record_source_note(source, ANCHOR_FILE, &note, e);
    if (r == 0)
        r = anchor_open(&anchor, (const char *)buf_head(&note), buf_len(&note), NULL, e);
    if (r == 0) {
        path = line->database ? cli_printf("%s", line->database) : index_path(anchor.log.name, e);
        r = path ? update(line, source, &anchor, path, e) : e->code;
    }
    free(path);
    buf_clear(&note);
    record_source_free(source);
    return r;
}

int audit_index(int argc, char **argv)
{
    static const struct option options[] = {
        AUDIT_SOURCE_OPTIONS,
        AUDIT_READ_OPTIONS,
        UNSEAL_OPTION,
        {"database", required_argument, NULL, OPT_DATABASE},
        {"rebuild", no_argument, NULL, OPT_REBUILD},
        {"keystrokes", no_argument, NULL, OPT_KEYSTROKES},
        {"quiet", no_argument, NULL, 'q'},
        {NULL, 0, NULL, 0},
    };
    struct audit_options o = {"audit index", help, "i:q", options, -1};
    struct index_line line = {.database = NULL};
    struct audit_source s;
    struct err e = ERR_INIT;
    int c, r = 0, status;

    audit_source_init(&s);
    line.unseal = unseal_new(&e);
    if (!line.unseal)
        return cli_fail("%s", e.text);
    while (r == 0 && (c = audit_next_option(&o, &s, argc, argv)) != -1) {
        if (c == OPT_DATABASE) {
            line.database = optarg;
        } else if (c == OPT_REBUILD) {
            line.rebuild = true;
        } else if (c == OPT_KEYSTROKES) {
            line.keystrokes = true;
        } else if (c == 'q') {
            line.quiet = true;
        } else if (c == 'i') {
            line.identity_given = true;
            r = unseal_add_identity(line.unseal, optarg, &e);
        }
    }
    status = o.status;
    if (r == 0 && status < 0 && optind < argc)
        status = cli_usage("audit index", "there is no argument \"%s\"", argv[optind]);
    if (status < 0) {
        if (r == 0)
            r = audit_source_open_any(&s, &e);
        if (r == 0)
            r = run(&line, &s, &e);
        status = r < 0 ? cli_fail("%s", e.text) : CLI_DONE;
        audit_source_close(&s);
    }
    unseal_free(line.unseal);
    return status;
}
