/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport audit play`: a channel's output again, with its timing, through the escape filter
 * (audit/term_filter.h). Runs in the reviewer's terminal, on hostile bytes. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "audit/cli_audit.h"
#include "audit/term_filter.h"
#include "audit/trail_read.h"
#include "audit/unseal.h"
#include "gateway/cli.h"

static const char help[] =
    "usage: sallyport audit play [OPTION]... SESSION\n\n"
    "Replays what the operator saw. On a terminal with the recording's timing; otherwise as text "
    "without\n"
    "timing. Control sequences that do more than draw (titles, clipboard, queries, modes of mouse "
    "and\n"
    "keyboard) are left out.\n\n" AUDIT_SOURCE_HELP UNSEAL_HELP
    "  --channel N     this channel (default: the first with a terminal, else all)\n"
    "  --speed X       X times as fast (default 1)\n"
    "  --idle-max S    pauses are S seconds at most (default 2)\n"
    "  --raw           leave nothing out: only into a file, or a terminal that you can lose\n";

struct play {
    uint8_t session[RECORD_SESSION_ID];
    uint64_t from;
    bool one_channel, raw, terminal;
    uint32_t channel;
    double speed, idle_max_s;
    uint64_t last_ns;
    struct term_filter filter;
    struct buf out;
    struct unseal *unseal;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

static void wait_ns(uint64_t ns)
{
    struct timespec ts = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};

    while (!interrupted && nanosleep(&ts, &ts) < 0 && errno == EINTR)
        ;
}

static int write_out(const uint8_t *p, size_t len, struct err *e)
{
    while (len > 0 && !interrupted) {
        ssize_t n = write(STDOUT_FILENO, p, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EPIPE ? ERR_CLOSED : err_errno(e, "cannot write");
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

static int put_output(struct play *p, const struct trail_view *v, struct bytes plain, struct err *e)
{
    int r;

    if (p->terminal && p->last_ns && v->r.real_ns > p->last_ns) {
        double pause = (double)(v->r.real_ns - p->last_ns) / 1e9 / p->speed;

        wait_ns((uint64_t)((pause > p->idle_max_s ? p->idle_max_s : pause) * 1e9));
    }
    p->last_ns = v->r.real_ns;
    if (p->raw)
        return write_out(plain.p, plain.len, e);
    r = term_filter_put(&p->filter, plain.p, plain.len, &p->out);
    if (r < 0)
        return err_set(e, (enum err_code)r, "no memory to filter the output");
    r = write_out(buf_head(&p->out), buf_len(&p->out), e);
    buf_consume(&p->out, buf_len(&p->out));
    return r;
}

/* The recording's terminal is larger than this one: say so, once, before it draws. */
static void note_size(const struct play *p, struct bytes plain)
{
    json_t *j = json_loadb((const char *)plain.p, plain.len, 0, NULL);
    json_int_t columns = json_integer_value(json_object_get(j, "columns"));
    json_int_t rows = json_integer_value(json_object_get(j, "rows"));
    struct winsize size;

    if (p->terminal && p->last_ns == 0 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 &&
        size.ws_col > 0 && (columns > size.ws_col || rows > size.ws_row))
        fprintf(stderr,
                "(recorded on %" JSON_INTEGER_FORMAT " x %" JSON_INTEGER_FORMAT
                "; this terminal is %u x %u)\r\n",
                columns, rows, size.ws_col, size.ws_row);
    json_decref(j);
}

static int play_record(struct play *p, const struct trail_view *v, struct err *e)
{
    struct bytes plain;

    if (v->r.type == RECORD_KEY)
        return unseal_note(p->unseal, &v->r, v->payload, e);
    if (v->r.type != RECORD_OUTPUT && v->r.type != RECORD_STDERR && v->r.type != RECORD_RESIZE)
        return 0;
    switch (unseal_record(p->unseal, &v->r, v->header, v->payload, &plain, e)) {
    case UNSEAL_CLEAR:
    case UNSEAL_OPENED:
        break;
    default:
        return err_wrap(e, "record %" PRIu64, v->r.index);
    }
    if (v->r.type != RECORD_RESIZE)
        return put_output(p, v, plain, e);
    note_size(p, plain);
    return 0;
}

static int play_records(const struct audit_source *s, struct play *p, struct err *e)
{
    struct trail_reader *reader;
    struct trail_view v;
    enum fault fault;
    uint64_t unfinished;
    int r = trail_reader_new(&reader, s->dir, p->from, e);

    if (r < 0)
        return r;
    while (!interrupted && (r = trail_reader_next(reader, &v, &unfinished, &fault, e)) == 1) {
        if (memcmp(v.r.session, p->session, RECORD_SESSION_ID) != 0 ||
            (p->one_channel && v.r.channel != p->channel && v.r.type != RECORD_SESSION_END &&
             v.r.type != RECORD_KEY))
            continue;
        if (v.r.type == RECORD_SESSION_END)
            break;
        r = play_record(p, &v, e);
        if (r < 0)
            break;
    }
    trail_reader_free(reader);
    return r < 0 && r != ERR_CLOSED ? r : 0;
}

static int find(const struct audit_source *s, const char *name, struct play *p, struct err *e)
{
    const struct session_summary *found;
    struct session_list list;
    int r = session_scan(s->dir, &list, e);

    if (r < 0)
        return r;
    found = session_named(&list, name, e);
    if (found) {
        memcpy(p->session, found->id, RECORD_SESSION_ID);
        p->from = found->first;
        if (!p->one_channel && found->has_pty) {
            p->one_channel = true;
            p->channel = found->pty_channel;
        }
        if (found->bytes_out == 0)
            fputs("(this session printed nothing)\n", stderr);
    }
    session_list_clear(&list);
    return found ? 0 : e->code;
}

static int parse_positive(const char *text, double *out)
{
    char *end;

    errno = 0;
    *out = strtod(text, &end);
    return errno || end == text || *end || !isfinite(*out) || *out <= 0 || *out > 1e6 ? ERR_SYNTAX
                                                                                      : 0;
}

static int parse_channel(const char *text, struct play *p)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (end == text || *end || text[0] == '-' || value > UINT32_MAX)
        return ERR_SYNTAX;
    p->one_channel = true;
    p->channel = (uint32_t)value;
    return 0;
}

static int run(struct audit_source *s, struct play *p, const char *name, struct err *e)
{
    struct sigaction action = {.sa_handler = on_signal};
    int r = find(s, name, p, e);

    if (r < 0)
        return r;
    p->terminal = isatty(STDOUT_FILENO);
    term_filter_init(&p->filter, p->terminal ? TERM_DRAW : TERM_TEXT);
    /* One record at a time; each of its bytes becomes three at most. */
    buf_init(&p->out, 4 * (size_t)RECORD_PAYLOAD_MAX);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    r = play_records(s, p, e);
    interrupted = 0; /* what puts the terminal in order is written in any case */
    if (p->terminal) {
        const char *reset = term_filter_reset(&p->filter);

        if (write_out((const uint8_t *)reset, strlen(reset), e) < 0 && r == 0)
            r = ERR_SYSTEM;
    }
    if (p->filter.left_out && !p->raw)
        fprintf(stderr, "(%" PRIu64 " control sequences that do not draw were left out)\n",
                p->filter.left_out);
    buf_clear(&p->out);
    return r;
}

int audit_play(int argc, char **argv)
{
    static const struct option options[] = {AUDIT_SOURCE_OPTIONS,
                                            {"channel", required_argument, NULL, 'n'},
                                            {"speed", required_argument, NULL, 's'},
                                            {"idle-max", required_argument, NULL, 'm'},
                                            {"raw", no_argument, NULL, 'r'},
                                            UNSEAL_OPTION,
                                            {NULL, 0, NULL, 0}};
    struct play p = {.speed = 1, .idle_max_s = 2};
    struct audit_options o = {"audit play", help, "i:", options, -1};
    struct audit_source s;
    struct err e = ERR_INIT;
    int c, r = 0;

    audit_source_init(&s);
    p.unseal = unseal_new(&e);
    if (!p.unseal)
        return cli_fail("%s", e.text);
    while ((c = audit_next_option(&o, &s, argc, argv)) != -1) {
        if (c == 'n' && parse_channel(optarg, &p) < 0)
            return cli_usage("audit play", "--channel %s: expected a number", optarg);
        if (c == 's' && parse_positive(optarg, &p.speed) < 0)
            return cli_usage("audit play", "--speed %s: expected a number above 0", optarg);
        if (c == 'm' && parse_positive(optarg, &p.idle_max_s) < 0)
            return cli_usage("audit play", "--idle-max %s: expected seconds above 0", optarg);
        if (c == 'r')
            p.raw = true;
        if (c == 'i' && r == 0)
            r = unseal_add_identity(p.unseal, optarg, &e);
    }
    if (o.status >= 0)
        return o.status;
    if (optind + 1 != argc)
        return cli_usage("audit play", "which session? `sallyport audit list` has them");
    if (r == 0 && !unseal_has_identity(p.unseal))
        r = unseal_add_default(p.unseal, &e);
    if (r == 0)
        r = audit_source_open(&s, false, &e);
    if (r == 0)
        r = run(&s, &p, argv[optind], &e);
    audit_source_close(&s);
    unseal_free(p.unseal);
    return r < 0 ? cli_fail("%s", e.text) : CLI_DONE;
}
