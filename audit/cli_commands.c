/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport audit commands`: what was run, one line each, with how it ended, out of one session or
 * all since a time. The commands are sealed: the reviewer's identity opens them. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/cli_audit.h"
#include "audit/opened_records.h"
#include "audit/session_names.h"
#include "audit/when.h"
#include "base/clock.h"
#include "base/log.h"
#include "gateway/cli.h"

static const char help[] =
    "usage: sallyport audit commands [OPTION]... SESSION\n"
    "       sallyport audit commands [OPTION]... --since TIME\n\n"
    "The commands, shells and services (sftp) that were started: time, session, operator, target, "
    "how it ended, "
    "command.\n\n" AUDIT_SOURCE_HELP AUDIT_READ_HELP UNSEAL_HELP
    "  --since TIME         of all sessions, not before; YYYY-MM-DD[THH:MM[:SS]] in UTC, or 2h, "
    "3d\n"
    "  --until TIME         not after\n"
    "  --operator NAME      only this operator's\n"
    "  --target NAME        only those on this target\n"
    "  --json               print JSON, an object a line\n";

enum { OPT_SINCE = OPT_FIRST_OWN, OPT_UNTIL };

struct commands {
    const char *operator_name, *target;
    uint64_t since_ns, until_ns;
    bool json, identity_given;
    struct unseal *unseal;
    struct session_names names;
    uint64_t shown;
};

static bool wanted(const struct commands *c, const struct export_record *v,
                   const struct session_name *m)
{
    return session_name_matches(m, c->operator_name, c->target) && v->r->real_ns >= c->since_ns &&
           (!c->until_ns || v->r->real_ns <= c->until_ns);
}

static void print_json(const struct export_record *v, const struct session_name *m, const json_t *j,
                       const char *what)
{
    char time[CLOCK_TEXT], id[2 * RECORD_SESSION_ID + 1];
    json_t *line;

    hex_encode(id, v->r->session, RECORD_SESSION_ID);
    line = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:s, s:O*}", "time",
                     clock_iso(time, v->r->real_ns), "session", id, "operator",
                     m ? m->operator_name : "", "account", m ? m->account : "", "target",
                     m ? m->target : "", "record", (json_int_t)v->r->index, "channel",
                     (json_int_t)v->r->channel, "what", what, "details", j);
    json_dumpf(line, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
    putchar('\n');
    json_decref(line);
}

static void print_line(const struct export_record *v, const struct session_name *m,
                       const char *what, const char *detail)
{
    char time[CLOCK_TEXT], id[2 * RECORD_SESSION_ID + 1], whose[SESSION_NAME_TEXT];
    size_t cap = 4 * strlen(detail) + 1;
    char *escaped = malloc(cap);

    hex_encode(id, v->r->session, RECORD_SESSION_ID);
    printf("%.12s  %s  %s  %-7s %s\n", id, clock_iso_seconds(time, v->r->real_ns),
           session_name_text(whose, m), what,
           escaped ? escape_text(escaped, cap, detail, strlen(detail)) : "");
    free(escaped);
}

/* What a record has to say in the list; NULL: nothing. */
static const char *what_of(const struct record *r, const json_t *j, const char **detail,
                           char number[32])
{
    const char *event = text_member(j, "event");

    *detail = text_member(j, "command");
    if (r->type == RECORD_COMMAND)
        return "typed";
    if (r->type == RECORD_SUBSYSTEM) {
        *detail = text_member(j, "subsystem");
        return "service";
    }
    if (strcmp(event, "start") == 0)
        return strcmp(text_member(j, "kind"), "shell") == 0 ? "shell" : "command";
    if (strcmp(event, "exit") != 0)
        return NULL;
    *detail = text_member(j, "signal");
    if (!(*detail)[0]) {
        snprintf(number, 32, "%" JSON_INTEGER_FORMAT,
                 json_integer_value(json_object_get(j, "status")));
        *detail = number;
    }
    return "ended";
}

static int take(struct commands *c, const struct export_record *v, struct err *e)
{
    const struct session_name *m;
    const char *what, *detail;
    char number[32];
    json_t *j;

    if (!v->payload || (v->r->type != RECORD_SESSION_START && v->r->type != RECORD_EXEC &&
                        v->r->type != RECORD_COMMAND && v->r->type != RECORD_SUBSYSTEM))
        return 0;
    if (v->r->type == RECORD_SESSION_START)
        return session_names_note(&c->names, v, e);
    j = json_loadb((const char *)v->payload, v->len, 0, NULL);
    m = session_names_find(&c->names, v->r->session);
    if (wanted(c, v, m) && (what = what_of(v->r, j, &detail, number))) {
        c->shown++;
        if (c->json)
            print_json(v, m, j, what);
        else
            print_line(v, m, what, detail);
    }
    json_decref(j);
    return 0;
}

static int run(struct commands *c, struct audit_source *s, const char *name, struct err *e)
{
    struct source_selection which = {.what = name ? SOURCE_SESSION : SOURCE_EVERYTHING};
    struct opened_records in = {.unseal = c->unseal};
    struct export_record v;
    int r = name ? source_name_check(name, e) : 0;

    if (r < 0)
        return r;
    if (name)
        snprintf(which.session, sizeof which.session, "%s", name);
    r = c->identity_given ? 0 : unseal_add_default(c->unseal, e);
    if (r == 0)
        r = audit_source_records(s, &which, "commands", &in.source, e);
    while (r == 0 && (r = opened_next(&in, &v, e)) == 1)
        r = take(c, &v, e);
    session_names_clear(&c->names);
    record_source_free(in.source);
    if (r == 0 && !c->json && c->shown == 0)
        puts("(no command)");
    return r < 0 ? r : opened_report(&in, false, e);
}

int audit_commands(int argc, char **argv)
{
    static const struct option options[] = {AUDIT_SOURCE_OPTIONS,
                                            AUDIT_READ_OPTIONS,
                                            UNSEAL_OPTION,
                                            {"since", required_argument, NULL, OPT_SINCE},
                                            {"until", required_argument, NULL, OPT_UNTIL},
                                            {"operator", required_argument, NULL, 'o'},
                                            {"target", required_argument, NULL, 't'},
                                            {"json", no_argument, NULL, 'j'},
                                            {NULL, 0, NULL, 0}};
    struct audit_options o = {"audit commands", help, "i:", options, -1};
    struct commands c = {.operator_name = NULL};
    struct audit_source s;
    struct err e = ERR_INIT;
    int letter, r = 0, status;

    audit_source_init(&s);
    session_names_init(&c.names);
    c.unseal = unseal_new(&e);
    if (!c.unseal)
        return cli_fail("%s", e.text);
    while (r == 0 && (letter = audit_next_option(&o, &s, argc, argv)) != -1) {
        if (letter == 'o')
            c.operator_name = optarg;
        else if (letter == 't')
            c.target = optarg;
        else if (letter == 'j')
            c.json = true;
        else if (letter == 'i')
            r = unseal_add_identity(c.unseal, optarg, &e);
        else
            r = when_parse(optarg, clock_real_ns(), letter == OPT_SINCE ? &c.since_ns : &c.until_ns,
                           &e);
        c.identity_given = c.identity_given || letter == 'i';
    }
    status = o.status;
    if (r == 0 && status < 0 && (optind + 1 < argc || (optind == argc && !c.since_ns)))
        status = cli_usage("audit commands", "which session? or --since TIME");
    if (status < 0) {
        if (r == 0)
            r = audit_source_open_any(&s, &e);
        if (r == 0)
            r = run(&c, &s, optind < argc ? argv[optind] : NULL, &e);
        status = r < 0 ? cli_fail("%s", e.text) : CLI_DONE;
        audit_source_close(&s);
    }
    unseal_free(c.unseal);
    return status;
}
