/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport status`: what authd and the supervisor say of themselves, by the control socket. */
#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "auth/cli_admin.h"
#include "auth/control_client.h"
#include "base/log.h"
#include "gateway/cli.h"

static const char help[] =
    "usage: sallyport status [-c CONFDIR] [--sessions] [--json]\n\n"
    "What the gateway is doing: its processes, the policy in force, sessions.\n\n"
    "  --sessions   list the sessions that run now\n"
    "  -c DIR       the configuration directory (default: " SALLYPORT_CONFDIR ")\n"
    "  --json       print JSON\n";

/* A cell of a table: the member's text, or its number, "-" when it is not there. */
static const char *cell(const json_t *object, const char *name, char out[256])
{
    const json_t *value = json_object_get(object, name);

    if (json_is_string(value))
        escape_text(out, 256, json_string_value(value), json_string_length(value));
    else if (json_is_integer(value))
        snprintf(out, 256, "%lld", (long long)json_integer_value(value));
    else
        snprintf(out, 256, "-");
    return out;
}

struct column {
    const char *title, *member;
};

/* As wide as what stands in it; the last column has no blanks after it. */
static void print_table(const json_t *rows, const struct column *columns, size_t count)
{
    size_t width[8], i;
    const json_t *row;
    char text[256];

    for (size_t c = 0; c < count; c++) {
        width[c] = strlen(columns[c].title);
        json_array_foreach(rows, i, row)
        {
            const size_t len = strlen(cell(row, columns[c].member, text));
            if (len > width[c])
                width[c] = len;
        }
        printf("%-*s%s", c + 1 < count ? (int)width[c] : 0, columns[c].title,
               c + 1 < count ? "  " : "\n");
    }
    json_array_foreach(rows, i, row)
    {
        for (size_t c = 0; c < count; c++)
            printf("%-*s%s", c + 1 < count ? (int)width[c] : 0, cell(row, columns[c].member, text),
                   c + 1 < count ? "  " : "\n");
    }
}

static long long number(const json_t *object, const char *name)
{
    return (long long)json_integer_value(json_object_get(object, name));
}

static void print_sessions(const json_t *sessions)
{
    static const struct column columns[] = {{"OPERATOR", "operator"},     {"SOURCE", "source"},
                                            {"TARGET", "target"},         {"ACCOUNT", "account"},
                                            {"FACTORS", "factors"},       {"STATE", "state"},
                                            {"STARTED (UTC)", "started"}, {"SESSION", "session"}};

    if (json_array_size(sessions) == 0)
        puts("no session runs");
    else
        print_table(sessions, columns, sizeof columns / sizeof *columns);
}

/* What is wrong comes first, in words. */
static void print_health(const json_t *status, const json_t *supervisor)
{
    const json_t *disk = json_object_get(supervisor, "trail_disk");
    char text[256];

    printf("%s: %s\n", cell(status, "gateway", text),
           json_is_true(json_object_get(supervisor, "accepting"))
               ? "operators can log in"
               : "no operator can log in: a program is being started, or the gateway is ending");
    if (json_is_false(json_object_get(status, "recorder")))
        puts("  the recorder is not there: no session runs without it");
    if (json_object_get(supervisor, "trail_failing"))
        printf("  the trail cannot be written: %s\n", cell(supervisor, "trail_failing", text));
    if (json_object_get(supervisor, "no_new_sessions"))
        printf("  no new session starts: %s\n", cell(supervisor, "no_new_sessions", text));
    if (json_object_get(disk, "level") &&
        strcmp(json_string_value(json_object_get(disk, "level")), "normal") != 0)
        printf("  the trail's disk is %s: %lld of %lld MiB are free\n", cell(disk, "level", text),
               number(disk, "available") >> 20, number(disk, "total") >> 20);
    if (json_object_get(disk, "break_glass"))
        printf("  the break-glass reserve of %lld MiB is %s\n",
               number(disk, "break_glass_reserve") >> 20, cell(disk, "break_glass", text));
    if (json_object_get(supervisor, "reviewers_warning"))
        printf("  %s\n", cell(supervisor, "reviewers_warning", text));
    if (number(status, "generation") == 0)
        puts("  no policy set is in force");
}

/* Where checkpoints go, and whether they arrive. */
static void print_elsewhere(const json_t *rows)
{
    static const struct column columns[] = {{"CHECKPOINTS AT", "destination"},
                                            {"KIND", "kind"},
                                            {"SIZE", "size"},
                                            {"TAKEN (UTC)", "taken"},
                                            {"ERROR", "error"}};

    if (json_array_size(rows) == 0)
        return;
    puts("");
    print_table(rows, columns, sizeof columns / sizeof *columns);
}

static void print_firewall(const json_t *wall)
{
    char text[256];

    if (!wall)
        return;
    printf("\nfirewall     the table inet sallyport is %s%s; %lld %s blocked\n",
           strcmp(cell(wall, "table", text), "in-force") == 0 ? "in force" : "not in force",
           json_is_true(json_object_get(wall, "close")) ? ", this machine is closed" : "",
           number(wall, "sources_blocked"),
           number(wall, "sources_blocked") == 1 ? "source is" : "sources are");
    printf(
        "             connections admitted %lld, of blocked sources %lld; packets refused %lld, to "
        "what is closed %lld\n",
        number(wall, "admitted"), number(wall, "blocked"), number(wall, "refused"),
        number(wall, "closed"));
    if (json_object_get(wall, "error"))
        printf("             %s\n", cell(wall, "error", text));
}

/* Who is kept out, if anybody is. */
static void print_penalties(const json_t *penalties)
{
    static const struct column columns[] = {{"SOURCE", "source"},     {"STATE", "state"},
                                            {"UNTIL (UTC)", "until"}, {"FAILURES", "failures"},
                                            {"REFUSED", "refused"},   {"LAST FAILURE", "reason"}};
    const json_t *sources = json_object_get(penalties, "sources");

    if (number(penalties, "blocks"))
        printf("\nsources      %lld blocked now, %lld slowed; %lld blocks since the start, %lld "
               "connections refused by them\n",
               number(penalties, "blocked"), number(penalties, "slowed"),
               number(penalties, "blocks"), number(penalties, "refused"));
    if (json_array_size(sources) == 0)
        return;
    puts("");
    print_table(sources, columns, sizeof columns / sizeof *columns);
    if (number(penalties, "blocked") + number(penalties, "slowed") >
        (long long)json_array_size(sources))
        puts("and others: `sallyport source list`");
}

static void print_overview(const json_t *status)
{
    static const struct column columns[] = {{"PROGRAM", "program"}, {"PID", "pid"},
                                            {"STATE", "state"},     {"SINCE (UTC)", "started"},
                                            {"DEATHS", "deaths"},   {"CONNECTIONS", "connections"}};
    const json_t *supervisor = json_object_get(status, "supervisor");
    const json_t *connections = json_object_get(supervisor, "connections");
    char text[256];

    print_health(status, supervisor);
    printf("\nconnections  %lld now (%lld with a session, %lld logging in) of %lld at most; %lld "
           "since the start\n",
           number(connections, "now"), number(connections, "session"),
           number(connections, "tls") + number(connections, "waiting") +
               number(connections, "login") + number(connections, "connecting"),
           number(connections, "max"), number(connections, "ever"));
    printf("policy set   %.12s, number %lld since the start; operators %lld, targets %lld, roles "
           "%lld\n\n",
           cell(status, "policy", text), number(status, "generation"), number(status, "operators"),
           number(status, "targets"), number(status, "roles"));
    print_table(json_object_get(supervisor, "processes"), columns,
                sizeof columns / sizeof *columns);
    print_elsewhere(json_object_get(supervisor, "elsewhere"));
    print_firewall(json_object_get(supervisor, "firewall"));
    print_penalties(json_object_get(supervisor, "penalties"));
    if (number(status, "sessions"))
        printf("\n%lld %s: `sallyport status --sessions`\n", number(status, "sessions"),
               number(status, "sessions") == 1 ? "session runs" : "sessions run");
}

int cli_status(int argc, char **argv)
{
    static const struct option options[] = {{"sessions", no_argument, NULL, 's'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"config", required_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const char *confdir = NULL;
    bool sessions = false, json = false;
    struct err e = ERR_INIT;
    json_t *reply;
    optind = 1;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":hc:", options, NULL)) != -1;) {
        switch (c) {
        case 's':
            sessions = true;
            break;
        case 'j':
            json = true;
            break;
        case 'c':
            confdir = optarg;
            break;
        case 'h':
            fputs(help, stdout);
            return CLI_DONE;
        default:
            return cli_bad_option("status", c, argv);
        }
    }
    if (optind != argc)
        return cli_usage("status", "found \"%s\", expected no more words", argv[optind]);
    if (control_once(cli_confdir(confdir),
                     json_pack("{s:s}", "verb", sessions ? "session-list" : "status"), &reply,
                     &e) != 0)
        return cli_fail("%s", e.text);
    json_object_del(reply, "ok");
    if (json)
        cli_print_json(reply);
    else if (sessions)
        print_sessions(json_object_get(reply, "sessions"));
    else
        print_overview(reply);
    json_decref(reply);
    return CLI_DONE;
}
