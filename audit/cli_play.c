/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport audit play`: the command line of a replay (audit/play.h). */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/cli_audit.h"
#include "audit/play.h"
#include "audit/pruned_by.h"
#include "audit/time_text.h"
#include "gateway/cli.h"

static const char help[] =
    "usage: sallyport audit play [OPTION]... SESSION\n\n"
    "Replays what the operator saw. On a terminal with the recording's timing; otherwise as text "
    "without\n"
    "timing. Control sequences that do more than draw (titles, clipboard, queries, modes of mouse "
    "and\n"
    "keyboard) are left out. Keys: space pauses, right and left jump 10 s, `.` steps, + and - "
    "change the\n"
    "speed, q ends.\n\n" AUDIT_SOURCE_HELP AUDIT_READ_HELP UNSEAL_HELP
    "  --from TIME     begin there: 1m20s, 80, 1:20 since the session's start\n"
    "  --at RECORD     begin at the record with this index\n"
    "  --follow        a session that runs: go on until it ends\n"
    "  --channel N     this channel (default: the first with a terminal, else all)\n"
    "  --speed X       X times as fast (default 1), or max\n"
    "  --idle-limit T  pauses are this long at most (default 2s)\n"
    "  --keystrokes    also what was typed: in a line at the bottom, or marked in the text\n"
    "  --raw           leave nothing out: only into a file, or a terminal that you can lose\n";

static int parse_speed(struct play_options *o, const char *text, struct err *e)
{
    char *end;

    errno = 0;
    o->at_once = strcmp(text, "max") == 0;
    o->speed = o->at_once ? 1 : strtod(text, &end);
    if (!o->at_once &&
        (errno || end == text || *end || !isfinite(o->speed) || o->speed < 0.001 || o->speed > 1e6))
        return err_set(e, ERR_USAGE, "--speed %s: expected a number above 0, or max", text);
    return 0;
}

static int parse_number(uint64_t *out, const char *name, const char *text, uint64_t most,
                        struct err *e)
{
    char *end;

    errno = 0;
    *out = strtoull(text, &end, 10);
    if (errno || end == text || *end || text[0] == '-' || *out > most)
        return err_set(e, ERR_USAGE, "%s %s: expected a number", name, text);
    return 0;
}

static int take_option(struct play_options *o, struct unseal *u, int c, const char *value,
                       struct err *e)
{
    uint64_t number;
    int r;

    switch (c) {
    case 'i':
        return unseal_add_identity(u, value, e);
    case 'n':
        r = parse_number(&number, "--channel", value, UINT32_MAX, e);
        o->one_channel = true;
        o->channel = (uint32_t)number;
        return r;
    case 's':
        return parse_speed(o, value, e);
    case 'm':
        return time_length_parse(value, &o->idle_ns, e);
    case 'a':
        return time_length_parse(value, &o->from_ns, e);
    case 'R':
        return parse_number(&o->at_record, "--at", value, UINT64_MAX, e);
    case 'F':
        o->follow = true;
        return 0;
    case 'k':
        o->keystrokes = true;
        return 0;
    default:
        o->raw = true;
        return 0;
    }
}

static int run(struct audit_source *s, struct unseal *u, const struct play_options *o,
               const char *session, struct err *e)
{
    struct source_selection selection;
    struct record_source *source = NULL;
    int r = audit_selection(&selection, session, e);

    if (r == 0 && selection.what != SOURCE_SESSION)
        r = err_set(e, ERR_USAGE, "the gateway itself has nothing to play");
    selection.follow = o->follow;
    if (r == 0 && !unseal_has_identity(u))
        r = unseal_add_default(u, e);
    if (r == 0)
        r = audit_source_open_any(s, e);
    if (r == 0)
        r = audit_source_records(s, &selection, "play", &source, e);
    if (r == 0)
        r = play_run(source, u, o, e);
    record_source_free(source);
    return r;
}

int audit_play(int argc, char **argv)
{
    static const struct option options[] = {AUDIT_SOURCE_OPTIONS,
                                            AUDIT_READ_OPTIONS,
                                            UNSEAL_OPTION,
                                            {"channel", required_argument, NULL, 'n'},
                                            {"speed", required_argument, NULL, 's'},
                                            {"idle-limit", required_argument, NULL, 'm'},
                                            {"from", required_argument, NULL, 'a'},
                                            {"at", required_argument, NULL, 'R'},
                                            {"follow", no_argument, NULL, 'F'},
                                            {"keystrokes", no_argument, NULL, 'k'},
                                            {"raw", no_argument, NULL, 'r'},
                                            {NULL, 0, NULL, 0}};
    struct play_options play = {.speed = 1, .idle_ns = 2000000000u};
    struct audit_options o = {"audit play", help, "i:", options, -1};
    struct audit_source s;
    struct err e = ERR_INIT;
    struct unseal *u = unseal_new(&e);
    int c, r = 0;

    if (!u)
        return cli_fail("%s", e.text);
    audit_source_init(&s);
    play.pruned_by = pruned_by_new(audit_gateway_records, &s);
    if (!play.pruned_by)
        r = err_set(&e, ERR_MEMORY, "no memory to play");
    while (r == 0 && (c = audit_next_option(&o, &s, argc, argv)) != -1)
        r = take_option(&play, u, c, optarg, &e);
    if (r == 0 && o.status < 0 && optind + 1 != argc)
        r = err_set(&e, ERR_USAGE, "which session? `sallyport audit list` has them");
    if (r == 0 && o.status < 0)
        r = run(&s, u, &play, argv[optind], &e);
    if (r == ERR_USAGE || r == ERR_SYNTAX)
        o.status = cli_usage("audit play", "%s", e.text);
    else if (o.status < 0)
        o.status = r < 0 ? cli_fail("%s", e.text) : CLI_DONE;
    audit_source_close(&s);
    pruned_by_free(play.pruned_by);
    unseal_free(u);
    return o.status;
}
