/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport audit files`: the files that operators moved and changed by SFTP, one line for each
 * operation with what came of it, out of sessions or all since a time; and the contents, where a
 * role keeps them. Runs as the reviewer, whose identity opens the records. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/cli_audit.h"
#include "audit/digest.h"
#include "audit/file_checks.h"
#include "audit/file_extract.h"
#include "audit/file_op_show.h"
#include "audit/opened_records.h"
#include "audit/session_names.h"
#include "audit/time_text.h"
#include "base/clock.h"
#include "base/log.h"
#include "gateway/cli.h"

static const char help[] =
    "usage: sallyport audit files [OPTION]... SESSION...\n"
    "       sallyport audit files [OPTION]... --since TIME\n\n"
    "What was done with files by SFTP: time, session, operator, target, operation, path, what\n"
    "came of it, and for each file that was read or written how many bytes, with their SHA-256.\n"
    "What is told is compared with the requests as they were recorded, which the operator's side\n"
    "attests; exit status 1 says that they differ.\n\n" //
    AUDIT_SOURCE_HELP AUDIT_READ_HELP UNSEAL_HELP
    "  --since TIME, --until TIME   of all sessions, by the operation's time: 2026-03-02,\n"
    "                       \"2026-03-02 14:05\", 14:05, yesterday, or 2h (ago); UTC\n"
    "  --operator NAME, --target NAME\n"
    "  --path PATTERN       whose path is one of these: * stands for any bytes, ? for one;\n"
    "                       without a slash the last part of the path\n"
    "  --op OP              this operation (open, rename, mkdir ...); may be repeated\n"
    "  --refused            only what the gateway refused\n"
    "  --check              fail also where there is nothing to compare with, because keystrokes\n"
    "                       stay sealed for you\n"
    "  --no-check           compare nothing\n"
    "  --extract DIR        write the contents that were kept of one session's files into DIR\n"
    "  --json               print JSON, an object a line\n";

enum {
    OPT_SINCE = OPT_FIRST_OWN,
    OPT_UNTIL,
    OPT_PATH,
    OPT_OP,
    OPT_REFUSED,
    OPT_EXTRACT,
    OPT_CHECK,
    OPT_NO_CHECK
};

#define OPS_MAX 32u

struct files {
    const char *operator_name, *target, *path, *extract_to;
    const char *ops[OPS_MAX];
    size_t op_count;
    uint64_t since_ns, until_ns;
    bool refused, json, check, no_check; /* check: asked for */
    struct unseal *unseal;
    struct session_names names;
    struct file_ops *join;
    struct file_extract *extract;
    struct file_checks *checks; /* NULL: --no-check */
    uint64_t shown, extracted, differing, odd, first_odd, sealed, destroyed;
};

static bool path_wanted(const struct files *f, const struct file_op *op)
{
    const struct bytes paths[] = {op->path, op->to, op->asked, op->asked_to};

    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (paths[i].p && file_pattern_matches(f->path, paths[i]))
            return true;
    return false;
}

static bool wanted(const struct files *f, const struct file_op *op, const struct session_name *m)
{
    bool named = f->op_count == 0;

    for (size_t i = 0; i < f->op_count; i++)
        named = named || strcmp(op->op, f->ops[i]) == 0;
    return named && (!f->refused || op->outcome == FILE_OP_REFUSED) && op->time_ns >= f->since_ns &&
           (!f->until_ns || op->time_ns <= f->until_ns) &&
           session_name_matches(m, f->operator_name, f->target) && (!f->path || path_wanted(f, op));
}

static int print_json(const struct file_op *op, const struct session_name *m, struct err *e)
{
    char time[CLOCK_TEXT], id[2 * RECORD_SESSION_ID + 1];
    json_t *j = file_op_json(op);

    if (!j)
        return err_set(e, ERR_MEMORY, "no memory for a file operation");
    hex_encode(id, op->session, RECORD_SESSION_ID);
    json_object_set_new(j, "time", json_string(clock_iso(time, op->time_ns)));
    json_object_set_new(j, "session", json_string(id));
    json_object_set_new(j, "operator", json_string(m ? m->operator_name : ""));
    json_object_set_new(j, "account", json_string(m ? m->account : ""));
    json_object_set_new(j, "target", json_string(m ? m->target : ""));
    /* ASCII: control characters above 127 are for terminals what those below 32 are. */
    json_dumpf(j, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
    putchar('\n');
    json_decref(j);
    return 0;
}

static int print_line(const struct file_op *op, const struct session_name *m, struct err *e)
{
    char time[CLOCK_TEXT], id[2 * RECORD_SESSION_ID + 1], whose[SESSION_NAME_TEXT];
    struct buf line;
    int r;

    buf_init(&line, FILE_OP_LINE_MAX);
    r = file_op_line(op, &line);
    hex_encode(id, op->session, RECORD_SESSION_ID);
    if (r == 0)
        printf("%.12s  %s  %s  %.*s\n", id, clock_iso_seconds(time, op->time_ns),
               session_name_text(whose, m), (int)buf_len(&line), (const char *)buf_head(&line));
    buf_clear(&line);
    return r < 0 ? err_set(e, (enum err_code)r, "no memory for a file operation") : 0;
}

static int print_extracted(void *arg, const struct file_op *op, const struct extract_result *x)
{
    static const char *const states[] = {
        [EXTRACT_COMPLETE] = "complete, with the SHA-256 that was recorded",
        [EXTRACT_PART] = "NOT COMPLETE",
        [EXTRACT_UNPROVED] = "NOT PROVED: the recording has no SHA-256 of all of it",
        [EXTRACT_DIFFERS] = "DIFFERS from the SHA-256 that was recorded"};
    struct files *f = arg;
    char name[4 * EXTRACT_NAME_MAX];

    f->extracted++;
    f->differing += x->state == EXTRACT_DIFFERS;
    fprintf(stderr, "%s  %" PRIu64 " B %s, %s",
            escape_text(name, sizeof name, x->name, strlen(x->name)), x->bytes,
            file_direction_text(x->direction), states[x->state]);
    if (x->state == EXTRACT_PART)
        fprintf(stderr, ": %" PRIu64 " B were moved", op->moved[x->direction].bytes);
    fputc('\n', stderr);
    return 0;
}

/* An operation came out of the records. */
static int take(void *arg, struct file_op *op, struct err *e)
{
    struct files *f = arg;
    const struct session_name *m = session_names_find(&f->names, op->session);
    int r = 0;

    if (wanted(f, op, m)) {
        f->shown++;
        r = f->json ? print_json(op, m, e) : print_line(op, m, e);
    }
    if (f->extract) {
        int finished = file_extract_finish(f->extract, op, print_extracted, f);

        r = r < 0 ? r : finished;
    }
    return r;
}

static int read_records(struct files *f, struct opened_records *in, struct err *e)
{
    struct export_record v;
    int r;

    while ((r = opened_next(in, &v, e)) == 1) {
        r = session_names_note(&f->names, &v, e);
        if (r == 0)
            r = file_ops_put(f->join, &v, e);
        if (r == 0 && f->checks)
            r = file_checks_put(f->checks, &v, e);
        if (r == 0 && f->extract && v.r->type == RECORD_FILE_CONTENT)
            r = file_extract_put(f->extract, f->join, &v, e);
        if (r < 0)
            return r;
    }
    return r;
}

/* One session, or everything (NULL). */
static int read_selection(struct files *f, struct audit_source *s, const char *name, struct err *e)
{
    struct source_selection which = {.what = name ? SOURCE_SESSION : SOURCE_EVERYTHING};
    struct opened_records in = {.unseal = f->unseal};
    uint64_t first = 0, odd;
    int r, ended, reported;

    if (name)
        snprintf(which.session, sizeof which.session, "%s", name);
    f->join = file_ops_new(take, f);
    r = f->join ? audit_source_records(s, &which, "files", &in.source, e)
                : err_set(e, ERR_MEMORY, "no memory to join records");
    if (r == 0)
        r = read_records(f, &in, e);
    /* What came until then is shown, and what is attached is freed. */
    if (f->join) {
        struct err later = ERR_INIT;

        ended = file_ops_end(f->join, r < 0 ? &later : e);
        r = r < 0 ? r : ended;
        odd = file_ops_odd(f->join, &first);
        if (odd && !f->odd)
            f->first_odd = first;
        f->odd += odd;
        f->sealed += file_ops_sealed(f->join);
        f->destroyed += file_ops_destroyed(f->join);
        file_ops_free(f->join);
        f->join = NULL;
    }
    record_source_free(in.source);
    if (r < 0)
        return r;
    fflush(stdout);
    reported = opened_report(&in, true, e);
    return reported;
}

/* Whether what was told is what was asked for. */
static int report_checks(const struct files *f, struct err *e)
{
    const struct file_checks_result *x = file_checks_end(f->checks);
    char id[2 * RECORD_SESSION_ID + 1];

    if (x->differing) {
        hex_encode(id, x->session, RECORD_SESSION_ID);
        return err_set(e, ERR_TAMPERED,
                       "file operations DIFFER from the requests as recorded, on %" PRIu64
                       " channels; first in session %.12s, channel %" PRIu32 ", record %" PRIu64
                       ": %s",
                       x->differing, id, x->channel, x->record, x->text);
    }
    if (x->agreed && !x->not_opened && !x->too_many)
        fprintf(stderr, "(%" PRIu64 " file operations agree with the requests as recorded)\n",
                x->agreed);
    if (x->unjudged)
        fprintf(
            stderr,
            "(%" PRIu64
            " requests were recorded, and not what came of them: their session ended before, or "
            "nobody said)\n",
            x->unjudged);
    if (!x->not_opened && !x->too_many)
        return 0;
    if (f->check)
        return err_set(e, ERR_DENIED,
                       "%" PRIu64 " channels could not be compared with the requests as recorded",
                       x->not_opened + x->too_many);
    fprintf(stderr, "(%" PRIu64 " channels were not compared with the requests as recorded: %s)\n",
            x->not_opened + x->too_many,
            x->not_opened ? "those stay sealed" : "there are too many at once");
    return 0;
}

/* What a reader of the list has to know about what is not in it. */
static int report(const struct files *f, struct err *e)
{
    if (!f->json && f->shown == 0 && !f->sealed && !f->destroyed)
        puts("(no file operation)");
    fflush(stdout);
    if (f->sealed)
        fprintf(stderr,
                "(%" PRIu64 " records of file operations are not shown: they stayed "
                "sealed)\n",
                f->sealed);
    if (f->destroyed)
        fprintf(stderr, "(%" PRIu64 " records of file operations were destroyed)\n", f->destroyed);
    if (f->extract && f->extracted == 0)
        fputs("(nothing was kept of this session's files)\n", stderr);
    if (f->extract && file_extract_odd(f->extract))
        fprintf(stderr,
                "(%" PRIu64 " pieces of contents belong to no file that was open, or are where "
                "none can have them)\n",
                file_extract_odd(f->extract));
    if (f->differing)
        return err_set(e, ERR_TAMPERED, "%" PRIu64 " files are not what was recorded of them",
                       f->differing);
    if (f->odd)
        return err_set(e, ERR_TAMPERED,
                       "%" PRIu64 " records of file operations are not of their form or contradict "
                       "others, the first of them is record %" PRIu64,
                       f->odd, f->first_odd);
    return f->checks ? report_checks(f, e) : 0;
}

static int run(struct files *f, struct audit_source *s, char **names, int count, struct err *e)
{
    int r = unseal_has_identity(f->unseal) ? 0 : unseal_add_default(f->unseal, e);

    if (r == 0)
        r = audit_source_open_any(s, e);
    if (r == 0 && f->extract_to)
        r = file_extract_new(&f->extract, f->extract_to, e);
    if (r == 0 && !f->no_check) {
        f->checks = file_checks_new();
        r = f->checks ? 0 : err_set(e, ERR_MEMORY, "no memory to compare file operations");
    }
    if (r == 0 && count == 0)
        r = read_selection(f, s, NULL, e);
    for (int i = 0; i < count && r == 0; i++)
        r = read_selection(f, s, names[i], e);
    if (r == 0)
        r = report(f, e);
    file_extract_free(f->extract);
    file_checks_free(f->checks);
    return r;
}

static int take_option(struct files *f, int c, const char *value, struct err *e)
{
    switch (c) {
    case 'i':
        return unseal_add_identity(f->unseal, value, e);
    case 'o':
        f->operator_name = value;
        return 0;
    case 't':
        f->target = value;
        return 0;
    case OPT_SINCE:
        return time_moment_parse(value, clock_real_ns(), &f->since_ns, e);
    case OPT_UNTIL:
        return time_moment_parse(value, clock_real_ns(), &f->until_ns, e);
    case OPT_PATH:
        f->path = value;
        return 0;
    case OPT_OP:
        if (f->op_count == OPS_MAX)
            return err_set(e, ERR_USAGE, "--op: %u at most", OPS_MAX);
        f->ops[f->op_count++] = value;
        return 0;
    case OPT_REFUSED:
        f->refused = true;
        return 0;
    case OPT_EXTRACT:
        f->extract_to = value;
        return 0;
    case OPT_CHECK:
    case OPT_NO_CHECK:
        f->check = c == OPT_CHECK;
        f->no_check = c == OPT_NO_CHECK;
        return 0;
    default:
        f->json = true;
        return 0;
    }
}

/* What is wrong with the words. */
static int check_words(const struct files *f, char **names, int count, struct err *e)
{
    int r = 0;

    if (count == 0 && !f->since_ns)
        return err_set(e, ERR_USAGE, "which session? or --since TIME");
    if (f->extract_to && count != 1)
        return err_set(e, ERR_USAGE, "--extract takes one session");
    for (int i = 0; i < count && r == 0; i++)
        r = source_name_check(names[i], e);
    return r;
}

int audit_files(int argc, char **argv)
{
    static const struct option options[] = {AUDIT_SOURCE_OPTIONS,
                                            AUDIT_READ_OPTIONS,
                                            UNSEAL_OPTION,
                                            {"since", required_argument, NULL, OPT_SINCE},
                                            {"until", required_argument, NULL, OPT_UNTIL},
                                            {"operator", required_argument, NULL, 'o'},
                                            {"target", required_argument, NULL, 't'},
                                            {"path", required_argument, NULL, OPT_PATH},
                                            {"op", required_argument, NULL, OPT_OP},
                                            {"refused", no_argument, NULL, OPT_REFUSED},
                                            {"extract", required_argument, NULL, OPT_EXTRACT},
                                            {"check", no_argument, NULL, OPT_CHECK},
                                            {"no-check", no_argument, NULL, OPT_NO_CHECK},
                                            {"json", no_argument, NULL, 'j'},
                                            {NULL, 0, NULL, 0}};
    struct audit_options o = {"audit files", help, "i:", options, -1};
    struct files f = {.path = NULL};
    struct audit_source s;
    struct err e = ERR_INIT;
    int c, r = 0;

    audit_source_init(&s);
    session_names_init(&f.names);
    f.unseal = unseal_new(&e);
    if (!f.unseal)
        return cli_fail("%s", e.text);
    while (r == 0 && (c = audit_next_option(&o, &s, argc, argv)) != -1)
        r = take_option(&f, c, optarg, &e);
    if (r == 0 && o.status < 0)
        r = check_words(&f, argv + optind, argc - optind, &e);
    if (r == ERR_USAGE || r == ERR_SYNTAX) {
        o.status = cli_usage("audit files", "%s", e.text);
    } else if (o.status < 0) {
        r = r < 0 ? r : run(&f, &s, argv + optind, argc - optind, &e);
        o.status = r < 0 ? cli_fail("%s", e.text) : CLI_DONE;
    }
    audit_source_close(&s);
    session_names_clear(&f.names);
    unseal_free(f.unseal);
    return o.status;
}
