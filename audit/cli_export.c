/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport audit export`: one session in a format that other programs know, or as a bundle of
 * evidence. Runs as the reviewer; streams, whatever the session's size. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/bundle.h"
#include "audit/cli_audit.h"
#include "audit/export_output.h"
#include "audit/opened_records.h"
#include "gateway/cli.h"

static const char help[] =
    "usage: sallyport audit export [OPTION]... SESSION\n\n"
    "One session in a format that other programs know. It goes to standard output, or to a file "
    "that\n"
    "only you can read.\n\n" AUDIT_SOURCE_HELP AUDIT_READ_HELP UNSEAL_HELP
    "  -f, --format FORMAT  asciicast    asciinema plays it (version 2; the default)\n"
    "                       asciicast3   version 3, with the exit status\n"
    "                       text         what was on the screen, each line with its time\n"
    "                       jsonl        a JSON object a record, with all that its header says\n"
    "                       bundle       a directory with the session's records and the proofs\n"
    "                                    that they are in the log: evidence for a third party\n"
    "  -o, --output FILE    into FILE; a directory, or a file named .tar, for a bundle\n"
    "  --force              in the place of a file that is there\n"
    "  --keystrokes         with what the operator typed\n"
    "  --channel N          this channel (default: the terminal's, or all)\n"
    "  --idle-limit S       tell players to shorten pauses to S seconds (asciicast)\n"
    "  --raw                leave in control sequences that do more than draw (asciicast)\n"
    "  --with-recording     put the opened recording into the bundle too\n"
    "  -q                   no progress\n";

enum { OPT_FORCE = OPT_FIRST_OWN, OPT_KEYSTROKES, OPT_CHANNEL, OPT_IDLE, OPT_RAW, OPT_RECORDING };

struct export_line {
    struct export_options o;
    bool bundle, force, quiet, with_recording;
    const char *output;
    struct unseal *unseal;
    bool identity_given;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

static void progress(const struct opened_records *in, uint64_t all)
{
    char size[SIZE_TEXT];

    fprintf(stderr, "\r%" PRIu64 " of %" PRIu64 " records, %s ", in->records, all,
            size_text(size, in->bytes));
}

static int copy_records(struct opened_records *in, struct exporter *x, struct export_output *to,
                        struct buf *out, uint64_t show_of, struct err *e)
{
    struct export_record v;
    int r;

    while ((r = opened_next(in, &v, e)) == 1) {
        r = exporter_put(x, &v, e);
        if (r == 0 && buf_len(out) >= 65536)
            r = export_output_write(to, out, e);
        if (r == 0 && interrupted)
            r = err_set(e, ERR_CLOSED, "interrupted");
        if (r < 0)
            return r;
        if (show_of && in->records % 4096 == 0)
            progress(in, show_of);
    }
    if (r == 0)
        r = exporter_end(x, e);
    return r < 0 ? r : export_output_write(to, out, e);
}

static int export_stream(struct export_line *line, struct record_source *source, struct err *e)
{
    struct opened_records in = {.source = source, .unseal = line->unseal};
    const struct source_session *session = record_source_session(source, e);
    struct export_output to;
    struct exporter x;
    struct buf out;
    bool show = !line->quiet && isatty(STDERR_FILENO) && (line->output || !isatty(STDOUT_FILENO));
    int r, reported;

    if (!session)
        return e->code;
    r = export_output_open(&to, line->output, line->force, e);
    if (r < 0)
        return r;
    buf_init(&out, EXPORT_OUT_MAX);
    exporter_init(&x, &line->o, &out);
    r = copy_records(&in, &x, &to, &out, show ? session->records : 0, e);
    if (show)
        fputs("\r\x1b[K", stderr);
    if (r == 0)
        r = export_output_commit(&to, e);
    export_output_clear(&to);
    if (r == 0) {
        reported = opened_report(&in, line->o.keystrokes, e);
        r = reported;
        if (x.left_out)
            fprintf(stderr, "(%" PRIu64 " control sequences that do not draw were left out)\n",
                    x.left_out);
    }
    exporter_clear(&x);
    buf_clear(&out);
    return r == ERR_CLOSED && !interrupted ? 0 : r;
}

static int parse_format(const char *text, struct export_line *line)
{
    static const struct {
        const char *name;
        enum export_format format;
    } formats[] = {{"asciicast", EXPORT_CAST2},
                   {"asciicast2", EXPORT_CAST2},
                   {"asciicast3", EXPORT_CAST3},
                   {"text", EXPORT_TEXT},
                   {"jsonl", EXPORT_JSONL}};

    line->bundle = strcmp(text, "bundle") == 0;
    if (line->bundle)
        return 0;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (strcmp(text, formats[i].name) == 0) {
            line->o.format = formats[i].format;
            return 0;
        }
    return ERR_SYNTAX;
}

static int parse_number(const char *text, double max, double *out)
{
    char *end;

    errno = 0;
    *out = strtod(text, &end);
    return errno || end == text || *end || !isfinite(*out) || *out < 0 || *out > max ? ERR_SYNTAX
                                                                                     : 0;
}

/* One own option. Negative: go on; else the exit status. */
static int take_option(struct export_line *line, int c, struct err *e)
{
    double number;

    switch (c) {
    case 'f':
        if (parse_format(optarg, line) < 0)
            return cli_usage("audit export",
                             "--format %s: expected asciicast, asciicast3, text, jsonl or bundle",
                             optarg);
        break;
    case 'o':
        line->output = optarg;
        break;
    case 'i':
        line->identity_given = true;
        if (unseal_add_identity(line->unseal, optarg, e) < 0)
            return cli_fail("%s", e->text);
        break;
    case 'q':
        line->quiet = true;
        break;
    case OPT_FORCE:
        line->force = true;
        break;
    case OPT_KEYSTROKES:
        line->o.keystrokes = true;
        break;
    case OPT_CHANNEL:
        if (parse_number(optarg, UINT32_MAX, &number) < 0 || number != floor(number))
            return cli_usage("audit export", "--channel %s: expected a number", optarg);
        line->o.one_channel = true;
        line->o.channel = (uint32_t)number;
        break;
    case OPT_IDLE:
        if (parse_number(optarg, 1e6, &line->o.idle_limit) < 0 || line->o.idle_limit <= 0)
            return cli_usage("audit export", "--idle-limit %s: expected seconds above 0", optarg);
        break;
    case OPT_RAW:
        line->o.raw = true;
        break;
    case OPT_RECORDING:
        line->with_recording = true;
        break;
    default:
        break;
    }
    return -1;
}

static void bundle_progress(void *arg, uint64_t records, uint64_t bytes)
{
    char size[SIZE_TEXT];

    (void)arg;
    fprintf(stderr, "\r%" PRIu64 " records, %s ", records, size_text(size, bytes));
}

static int export_bundle(struct export_line *line, struct audit_source *s, const char *name,
                         struct err *e)
{
    struct bundle_options o = {.trail = s->dir,
                               .log = s->has_log ? &s->log : NULL,
                               .anchor = s->has_anchor ? &s->anchor : NULL,
                               .session = name,
                               .output = line->output,
                               .force = line->force,
                               .with_recording = line->with_recording,
                               .keystrokes = line->o.keystrokes,
                               .unseal = line->unseal};
    bool show = !line->quiet && isatty(STDERR_FILENO);
    int r;

    if (show)
        o.progress = bundle_progress;
    r = bundle_write(&o, e);
    if (show)
        fputs("\r\x1b[K", stderr);
    return r;
}

static int run(struct export_line *line, struct audit_source *s, const char *name, struct err *e)
{
    struct source_selection which = {.what = SOURCE_SESSION};
    struct sigaction action = {.sa_handler = on_signal};
    struct record_source *source = NULL;
    int r = source_name_check(name, e);

    if (r < 0)
        return r;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    snprintf(which.session, sizeof which.session, "%s", name);
    r = line->identity_given ? 0 : unseal_add_default(line->unseal, e);
    if (r == 0 && line->bundle)
        return export_bundle(line, s, name, e);
    if (r == 0)
        r = audit_source_records(s, &which, "export", &source, e);
    if (r == 0)
        r = export_stream(line, source, e);
    record_source_free(source);
    return r;
}

int audit_export(int argc, char **argv)
{
    static const struct option options[] = {
        AUDIT_SOURCE_OPTIONS,
        AUDIT_READ_OPTIONS,
        UNSEAL_OPTION,
        {"format", required_argument, NULL, 'f'},
        {"output", required_argument, NULL, 'o'},
        {"quiet", no_argument, NULL, 'q'},
        {"force", no_argument, NULL, OPT_FORCE},
        {"keystrokes", no_argument, NULL, OPT_KEYSTROKES},
        {"channel", required_argument, NULL, OPT_CHANNEL},
        {"idle-limit", required_argument, NULL, OPT_IDLE},
        {"raw", no_argument, NULL, OPT_RAW},
        {"with-recording", no_argument, NULL, OPT_RECORDING},
        {NULL, 0, NULL, 0},
    };
    struct audit_options o = {"audit export", help, "f:o:i:q", options, -1};
    struct export_line line = {.o.format = EXPORT_CAST2};
    struct audit_source s;
    struct err e = ERR_INIT;
    int c, r, status = -1;

    audit_source_init(&s);
    line.unseal = unseal_new(&e);
    if (!line.unseal)
        return cli_fail("%s", e.text);
    while (status < 0 && (c = audit_next_option(&o, &s, argc, argv)) != -1)
        status = take_option(&line, c, &e);
    if (status < 0)
        status = o.status;
    if (status < 0 && optind + 1 != argc)
        status = cli_usage("audit export", "which session? `sallyport audit list` has them");
    if (status < 0 && line.bundle && !line.output)
        status = cli_usage("audit export", "a bundle needs --output DIRECTORY or FILE.tar");
    if (status < 0) {
        r = line.bundle ? audit_source_open(&s, true, &e) : audit_source_open_any(&s, &e);
        if (r == 0)
            r = run(&line, &s, argv[optind], &e);
        status = r < 0 ? cli_fail("%s", e.text) : CLI_DONE;
        audit_source_close(&s);
    }
    unseal_free(line.unseal);
    return status;
}
