/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport audit list`: the sessions, one line each. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "audit/cli_audit.h"
#include "audit/digest.h"
#include "base/clock.h"
#include "base/log.h"
#include "gateway/cli.h"

static const char help[] = "usage: sallyport audit list [OPTION]...\n\n"
                           "The sessions in the trail, oldest first.\n\n" AUDIT_SOURCE_HELP
                           "  --operator NAME   only this operator's\n"
                           "  --target NAME     only those to this target\n"
                           "  --disputed        only those whose recorded input is disputed\n"
                           "  --json            print JSON\n";

/* Names and commands are shown escaped; a long one is cut. */
#define CELL_MAX 41

struct filter {
    const char *operator_name, *target;
    bool disputed;
};

static bool wanted(const struct session_summary *s, const struct filter *f)
{
    if (!s->start)
        return false; /* a login or decision that led to no session */
    if (f->operator_name && strcmp(text_member(s->start, "operator"), f->operator_name) != 0)
        return false;
    if (f->disputed && !s->disputed)
        return false;
    return !f->target || strcmp(text_member(s->start, "target"), f->target) == 0;
}

static const char *kind_text(const struct session_summary *s)
{
    if (s->shell && s->exec)
        return "shell,exec";
    return s->shell ? "shell" : s->exec ? "exec" : "-";
}

static const char *result_text(const struct session_summary *s)
{
    const char *reason = s->ended ? text_member(s->finish, "reason") : "";

    return !s->ended ? "open" : reason[0] ? reason : "ended";
}

static const char *verdict_text(const struct session_summary *s)
{
    return s->disputed ? "DISPUTED" : s->unattested ? "unattested" : "";
}

/* What a reviewer wants first: how the command ended; how the session did, where that was not the
 * operator's own closing; what was refused; and whether its input is disputed. */
static void outcome(const struct session_summary *s, char *out, size_t cap)
{
    const char *reason = result_text(s);
    size_t n = 0;

    out[0] = 0;
    if (s->exits && s->exit_signal[0])
        n = (size_t)snprintf(out, cap, "SIG%s", s->exit_signal);
    else if (s->exits)
        n = (size_t)snprintf(out, cap, "exit %" PRIu32, s->exit_status);
    if (n < cap && (!s->ended || strcmp(reason, "client-closed") != 0 || (!s->exits && !s->denied)))
        n += (size_t)snprintf(out + n, cap - n, "%s%s", n ? ", " : "", reason);
    if (n < cap && s->denied)
        n += (size_t)snprintf(out + n, cap - n, "%s%u refused", n ? ", " : "", s->denied);
    if (n < cap && (s->disputed || s->unattested))
        snprintf(out + n, cap - n, "%s%s", n ? ", " : "", verdict_text(s));
}

static const char *cell(char out[CELL_MAX], const char *text)
{
    return escape_text(out, CELL_MAX, text, strlen(text));
}

static void print_line(const struct session_summary *s)
{
    char id[2 * RECORD_SESSION_ID + 1], time[CLOCK_TEXT], duration[DURATION_TEXT],
        target[CELL_MAX * 2];
    char a[CELL_MAX], b[CELL_MAX], c[CELL_MAX], d[CELL_MAX], result[2 * CELL_MAX];

    hex_encode(id, s->id, RECORD_SESSION_ID);
    snprintf(target, sizeof target, "%s@%s", cell(a, text_member(s->start, "account")),
             cell(b, text_member(s->start, "target")));
    outcome(s, result, sizeof result);
    printf("%.12s  %s  %9s  %-10s %-15s %-14s %-6s %s", id, clock_iso_seconds(time, s->start_ns),
           s->ended
               ? duration_text(duration, s->last_ns > s->start_ns ? s->last_ns - s->start_ns : 0)
               : "-",
           cell(b, text_member(s->start, "operator")), cell(c, text_member(s->start, "source")),
           target, kind_text(s), cell(a, result));
    if (s->command)
        printf("  %s", cell(d, s->command));
    putchar('\n');
}

static json_t *to_json(const struct session_summary *s)
{
    char id[2 * RECORD_SESSION_ID + 1], time[CLOCK_TEXT], last[CLOCK_TEXT];
    json_t *j;

    hex_encode(id, s->id, RECORD_SESSION_ID);
    j = json_pack(
        "{s:s, s:s, s:s, s:b, s:f, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:b}", "session", id, "start",
        clock_iso(time, s->start_ns), "last", clock_iso(last, s->last_ns), "ended", s->ended,
        "seconds", s->last_ns > s->start_ns ? (double)(s->last_ns - s->start_ns) / 1e9 : 0.0,
        "kind", kind_text(s), "result", result_text(s), "first_record", (json_int_t)s->first,
        "records", (json_int_t)s->records, "bytes_in", (json_int_t)s->bytes_in, "bytes_out",
        (json_int_t)s->bytes_out, "refused", (json_int_t)s->denied, "pty", s->has_pty);
    json_object_set_new(j, "disputed", json_boolean(s->disputed));
    json_object_set_new(j, "unattested", json_boolean(s->unattested));
    json_object_set_new(j, "exit_status",
                        s->exits && !s->exit_signal[0] ? json_integer(s->exit_status)
                                                       : json_null());
    json_object_set_new(j, "exit_signal",
                        s->exit_signal[0] ? json_string(s->exit_signal) : json_null());
    json_object_set(j, "started_with", s->start);
    json_object_set_new(j, "ended_with", s->finish ? json_incref(s->finish) : json_null());
    json_object_set_new(j, "command", s->command ? json_string(s->command) : json_null());
    return j;
}

static void print_all(const struct session_list *list, const struct filter *f, bool json)
{
    json_t *array = json ? json_array() : NULL;
    size_t shown = 0;

    if (!json)
        printf("%-12s  %-20s  %9s  %-10s %-15s %-14s %-6s %s\n", "SESSION", "START (UTC)",
               "DURATION", "OPERATOR", "SOURCE", "TARGET", "KIND", "RESULT");
    for (size_t i = 0; i < list->count; i++) {
        if (!wanted(&list->at[i], f))
            continue;
        shown++;
        if (json)
            json_array_append_new(array, to_json(&list->at[i]));
        else
            print_line(&list->at[i]);
    }
    if (json) {
        json_dumpf(array, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
        putchar('\n');
        json_decref(array);
    } else if (shown == 0) {
        puts("(no session)");
    }
}

int audit_list(int argc, char **argv)
{
    static const struct option options[] = {AUDIT_SOURCE_OPTIONS,
                                            {"operator", required_argument, NULL, 'o'},
                                            {"target", required_argument, NULL, 't'},
                                            {"disputed", no_argument, NULL, 'd'},
                                            {"json", no_argument, NULL, 'j'},
                                            {NULL, 0, NULL, 0}};
    struct filter f = {NULL, NULL, false};
    struct session_list list;
    struct audit_options o = {"audit list", help, "", options, -1};
    struct audit_source s;
    struct err e = ERR_INIT;
    bool json = false;
    int c, r;

    audit_source_init(&s);
    while ((c = audit_next_option(&o, &s, argc, argv)) != -1) {
        if (c == 'o')
            f.operator_name = optarg;
        else if (c == 't')
            f.target = optarg;
        else if (c == 'd')
            f.disputed = true;
        else if (c == 'j')
            json = true;
    }
    if (o.status >= 0)
        return o.status;
    if (optind < argc)
        return cli_usage("audit list", "there is no argument \"%s\"", argv[optind]);
    r = audit_source_open(&s, false, &e);
    if (r == 0)
        r = session_scan(s.dir, &list, &e);
    if (r == 0) {
        print_all(&list, &f, json);
        session_list_clear(&list);
    }
    audit_source_close(&s);
    return r < 0 ? cli_fail("%s", e.text) : CLI_DONE;
}
