/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport audit list`: the sessions, one line each, from what is clear in the trail. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "audit/cli_audit.h"
#include "audit/digest.h"
#include "audit/session_list.h"
#include "audit/time_text.h"
#include "base/clock.h"
#include "base/log.h"
#include "gateway/cli.h"

static const char help[] =
    "usage: sallyport audit list [OPTION]...\n\n"
    "The sessions in the trail, oldest first. Sizes and classes come from clear records: no "
    "identity is\n"
    "needed. The mark says whether the operator's side attests what was recorded: `=` agreed, "
    "`!` disputed,\n"
    "`?` not attested, `*` the session runs. `pruned`: recordings of it were "
    "destroyed, `audit\n"
    "show` says by whose order.\n\n" AUDIT_SOURCE_HELP AUDIT_READ_HELP
    "  --operator NAME, --target NAME\n"
    "  --since TIME, --until TIME   by the session's start: 2026-03-02, \"2026-03-02 14:05\", "
    "14:05, yesterday,\n"
    "                  or 2h (ago); UTC\n"
    "  --decision allowed|denied    with nothing refused; with something refused, also openings\n"
    "  --class shell|exec|sftp|subsystem|forward   may be repeated\n"
    "  --disputed      whose input or starts and attestations differ\n"
    "  --live          that run now\n"
    "  --limit N       the newest N\n"
    "  --json          print JSON, one session a line, with everything that is known\n";

/* Names are shown escaped; a long one is cut. */
#define CELL_MAX 41
/* From here on there is room for the source and the record mark. */
#define NARROW 70u
#define WIDE   118

struct list_options {
    struct session_filter filter;
    bool json;
};

static const char *cell(char out[CELL_MAX], const char *text, size_t most)
{
    escape_text(out, most < CELL_MAX ? most + 1 : CELL_MAX, text, strlen(text));
    return out;
}

static char mark_of(const struct session_entry *s)
{
    static const char marks[] = {' ', '=', '!', '?'};

    return !s->ended && s->started ? '*' : marks[s->verdict];
}

/* What a reviewer wants first: what is disputed, refusals; then how it ended. */
static void outcome(const struct session_entry *s, char out[100])
{
    const bool plain = strcmp(s->reason, "client-closed") == 0;
    size_t n = 0;

    out[0] = 0;
    if (!s->started) {
        snprintf(out, 100, "refused: %s", s->refused);
        return;
    }
    if (s->verdict == VERDICT_DISPUTED)
        n += (size_t)snprintf(out, 100, "DISPUTED, ");
    if (s->pruned)
        n += (size_t)snprintf(out + n, 100 - n, "pruned, ");
    if (s->denied)
        n += (size_t)snprintf(out + n, 100 - n, "%u refused, ", s->denied);
    if (s->narrowed)
        n += (size_t)snprintf(out + n, 100 - n, "narrowed, ");
    snprintf(out + n, 100 - n, "%s", !s->ended ? "running" : plain ? "closed" : s->reason);
}

/* "950", "1.4k", "23M": five characters at most. */
static const char *short_size(char out[16], uint64_t bytes)
{
    static const char units[] = "kMGTP";
    double value = (double)bytes;
    size_t unit = 0;

    if (bytes < 1000) {
        snprintf(out, 16, "%" PRIu64, bytes);
        return out;
    }
    for (value /= 1000; value >= 999.5 && units[unit + 1]; value /= 1000)
        unit++;
    snprintf(out, 16, value < 9.95 ? "%.1f%c" : "%.0f%c", value, units[unit]);
    return out;
}

/* "5s", "3m02", "1h02m" */
static const char *short_duration(char out[24], const struct session_entry *s, uint64_t now_ns)
{
    const uint64_t end = s->ended ? s->end_ns : now_ns;
    const uint64_t t = (end > s->start_ns ? end - s->start_ns : 0) / 1000000000u;

    if (t < 60)
        snprintf(out, 24, "%" PRIu64 "s", t);
    else if (t < 3600)
        snprintf(out, 24, "%" PRIu64 "m%02" PRIu64, t / 60, t % 60);
    else
        snprintf(out, 24, "%" PRIu64 "h%02" PRIu64 "m", t / 3600, t / 60 % 60);
    return out;
}

static void print_line(const struct session_entry *s, unsigned width, uint64_t now_ns)
{
    char id[2 * RECORD_SESSION_ID + 1], time[CLOCK_TEXT], in[16], bytes[40], out[16];
    char a[CELL_MAX], b[CELL_MAX], c[CELL_MAX], d[100], e[100], to[120], kind[40], length[24];
    const bool wide = width == 0 || width >= WIDE;
    /* The columns before it, with their blanks: 8 11 8 13 6 6 9 1. */
    const size_t room = width > NARROW + 10 ? width - NARROW : 10;

    hex_encode(id, s->id, RECORD_SESSION_ID);
    clock_iso_seconds(time, s->start_ns);
    snprintf(to, sizeof to, "%s@%s", cell(a, s->account, 30), cell(b, s->target, 40));
    snprintf(bytes, sizeof bytes, "%s/%s", short_size(in, s->bytes_in),
             short_size(out, s->bytes_out));
    outcome(s, d);
    escape_text(e, sizeof e, d, strlen(d));
    session_class_text(s->classes, kind);
    short_duration(length, s, now_ns);
    if (wide)
        printf("%.12s  %s  %-12s %-15s %-22s %-10s %7s %11s %c %s\n", id, time,
               cell(c, s->operator_name, 40), s->source, to, kind, s->started ? length : "-", bytes,
               mark_of(s), e);
    else
        printf("%.8s %.5s %.5s %-8.8s %-13.13s %-6.6s %6.6s %9.9s %c %.*s%s\n", id, time + 5,
               time + 11, cell(c, s->operator_name, 8), to, kind, s->started ? length : "-", bytes,
               mark_of(s), (int)(strlen(e) > room ? room - 1 : room), e,
               strlen(e) > room ? "\xe2\x80\xa6" : "");
}

static void print_head(unsigned width)
{
    if (width == 0 || width >= WIDE)
        printf("%-12s  %-20s  %-12s %-15s %-22s %-10s %7s %11s   %s\n", "SESSION", "START (UTC)",
               "OPERATOR", "SOURCE", "ACCOUNT@TARGET", "CLASS", "LENGTH", "IN/OUT", "END");
    else
        printf("%-8s %-11s %-8s %-13s %-6s %6s %9s   %s\n", "SESSION", "START (UTC)", "OPERATOR",
               "TARGET", "CLASS", "LENGTH", "IN/OUT", "END");
}

static void print_json(const struct session_entry *s)
{
    char id[2 * RECORD_SESSION_ID + 1], start[CLOCK_TEXT], end[CLOCK_TEXT];
    json_t *kinds = json_array(), *j;

    hex_encode(id, s->id, RECORD_SESSION_ID);
    for (unsigned bit = 1; bit <= CLASS_SFTP; bit <<= 1) {
        char text[40];

        if (s->classes & bit)
            json_array_append_new(kinds, json_string(session_class_text(bit, text)));
    }
    j = json_pack(
        "{s:s, s:s, s:o, s:b, s:b, s:b, s:f, s:s, s:s, s:s, s:s, s:o, s:b, s:I, s:I, s:I, "
        "s:I, s:I, s:I, s:I}",
        "session", id, "start", clock_iso(start, s->start_ns), "end",
        s->ended ? json_string(clock_iso(end, s->end_ns)) : json_null(), "started", s->started,
        "ended", s->ended, "sealed", s->sealed, "seconds",
        s->end_ns > s->start_ns ? (double)(s->end_ns - s->start_ns) / 1e9 : 0.0, "operator",
        s->operator_name, "source", s->source, "target", s->target, "account", s->account, "class",
        kinds, "pty", s->pty, "allowed", (json_int_t)s->allowed, "denied", (json_int_t)s->denied,
        "bytes_in", (json_int_t)s->bytes_in, "bytes_out", (json_int_t)s->bytes_out, "first_record",
        (json_int_t)s->first, "records", (json_int_t)s->records, "pruned", (json_int_t)s->pruned);
    json_object_set_new(j, "proxy", s->proxy[0] ? json_string(s->proxy) : json_null());
    json_object_set_new(j, "narrowed", json_integer((json_int_t)s->narrowed));
    json_object_set_new(j, "verdict",
                        s->verdict ? json_string(session_verdict_text(s->verdict)) : json_null());
    json_object_set_new(j, "reason", s->reason[0] ? json_string(s->reason) : json_null());
    json_object_set_new(j, "refused", s->refused[0] ? json_string(s->refused) : json_null());
    json_dumpf(j, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
    putchar('\n');
    json_decref(j);
}

/* 0: no terminal, nothing is cut. */
static unsigned width_of_terminal(void)
{
    struct winsize size;

    if (!isatty(STDOUT_FILENO))
        return 0;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

static void print_all(const struct session_list *list, const struct list_options *o)
{
    const unsigned width = width_of_terminal();
    const uint64_t now_ns = clock_real_ns();
    const size_t count = session_list_count(list);

    if (!o->json && count > 0)
        print_head(width);
    for (size_t i = 0; i < count; i++) {
        if (o->json)
            print_json(session_list_at(list, i));
        else
            print_line(session_list_at(list, i), width, now_ns);
    }
    if (!o->json && count == 0)
        puts("(no session)");
}

/* 0, or the usage text's error in e. */
static int take_option(struct list_options *o, int c, const char *value, struct err *e)
{
    unsigned long limit;
    unsigned bit;
    char *end;

    switch (c) {
    case 'o':
        o->filter.operator_name = value;
        return 0;
    case 't':
        o->filter.target = value;
        return 0;
    case 's':
        return time_moment_parse(value, clock_real_ns(), &o->filter.since_ns, e);
    case 'u':
        return time_moment_parse(value, clock_real_ns(), &o->filter.until_ns, e);
    case 'd':
        o->filter.decision = strcmp(value, "allowed") == 0  ? 1
                             : strcmp(value, "denied") == 0 ? -1
                                                            : 0;
        return o->filter.decision
                   ? 0
                   : err_set(e, ERR_USAGE, "--decision %s: expected allowed or denied", value);
    case 'k':
        bit = session_class_parse(value);
        o->filter.classes |= bit;
        return bit ? 0
                   : err_set(e, ERR_USAGE,
                             "--class %s: expected shell, exec, sftp, subsystem or forward", value);
    case 'n':
        limit = strtoul(value, &end, 10);
        o->filter.limit = limit;
        return *end || value[0] == '-' || limit == 0
                   ? err_set(e, ERR_USAGE, "--limit %s: expected a number above 0", value)
                   : 0;
    case 'D':
        o->filter.disputed = true;
        return 0;
    case 'l':
        o->filter.live = true;
        return 0;
    default:
        o->json = true;
        return 0;
    }
}

static int list_sessions(struct audit_source *s, const struct list_options *o, struct err *e)
{
    const struct source_selection clear = {.what = SOURCE_CLEAR};
    struct record_source *source = NULL;
    struct session_list *list = NULL;
    int r = audit_source_open_any(s, e);

    if (r == 0)
        r = audit_source_records(s, &clear, "list", &source, e);
    if (r == 0)
        r = session_list_read(&list, source, &o->filter, e);
    if (r == 0)
        print_all(list, o);
    session_list_free(list);
    record_source_free(source);
    return r;
}

int audit_list(int argc, char **argv)
{
    static const struct option options[] = {AUDIT_SOURCE_OPTIONS,
                                            AUDIT_READ_OPTIONS,
                                            {"operator", required_argument, NULL, 'o'},
                                            {"target", required_argument, NULL, 't'},
                                            {"since", required_argument, NULL, 's'},
                                            {"until", required_argument, NULL, 'u'},
                                            {"decision", required_argument, NULL, 'd'},
                                            {"class", required_argument, NULL, 'k'},
                                            {"disputed", no_argument, NULL, 'D'},
                                            {"live", no_argument, NULL, 'l'},
                                            {"limit", required_argument, NULL, 'n'},
                                            {"json", no_argument, NULL, 'j'},
                                            {NULL, 0, NULL, 0}};
    struct list_options list = {.json = false};
    struct audit_options o = {"audit list", help, "", options, -1};
    struct audit_source s;
    struct err e = ERR_INIT;
    int c, r;

    audit_source_init(&s);
    while ((c = audit_next_option(&o, &s, argc, argv)) != -1)
        if (take_option(&list, c, optarg, &e) < 0)
            return cli_usage("audit list", "%s", e.text);
    if (o.status >= 0)
        return o.status;
    if (optind < argc)
        return cli_usage("audit list", "there is no argument \"%s\"", argv[optind]);
    r = list_sessions(&s, &list, &e);
    audit_source_close(&s);
    return r < 0 ? cli_fail("%s", e.text) : CLI_DONE;
}
