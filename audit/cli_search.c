/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport audit search`: words in the reviewer's index. What is found is shown escaped: it came
 * from operators and targets. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/cli_index.h"
#include "audit/when.h"
#include "base/clock.h"
#include "base/log.h"
#include "gateway/cli.h"

static const char help[] =
    "usage: sallyport audit search [OPTION]... WORD...\n\n"
    "Where the words were printed, run or names of files, oldest first: session, time, and the "
    "place in its "
    "recording.\n"
    "All words must be near each other; WORD* stands for any ending. It looks in the index that\n"
    "`sallyport audit index` makes; the trail itself is not read, and nothing is proved.\n\n"
    "  --operator NAME      only this operator's sessions\n"
    "  --target NAME        only those to this target\n"
    "  --session SESSION    only this one, by the beginning of its id\n"
    "  --since TIME         not before; YYYY-MM-DD[THH:MM[:SS]] in UTC, or 90m, 2h, 3d ago\n"
    "  --until TIME         not after\n"
    "  --limit N            so many at most (default 100; 0: all)\n"
    "  --database FILE      the index (default: the one in $XDG_DATA_HOME/sallyport)\n"
    "  --json               print JSON\n";

enum { OPT_DATABASE = OPT_FIRST_OWN, OPT_SINCE, OPT_UNTIL, OPT_LIMIT, OPT_SESSION };

struct search {
    struct text_query q;
    const char *database;
    bool json, color;
    json_t *array;
};

/* The only index in the directory. */
static char *only_index(struct err *e)
{
    char *directory = index_directory(), *found = NULL;
    DIR *d = opendir(directory);
    struct dirent *entry;
    unsigned count = 0;

    while (d && (entry = readdir(d))) {
        size_t len = strlen(entry->d_name), suffix = strlen(INDEX_SUFFIX);

        if (strncmp(entry->d_name, INDEX_PREFIX, strlen(INDEX_PREFIX)) != 0 || len < suffix ||
            strcmp(entry->d_name + len - suffix, INDEX_SUFFIX) != 0)
            continue;
        free(found);
        found = cli_printf("%s/%s", directory, entry->d_name);
        count++;
    }
    if (d)
        closedir(d);
    if (count != 1) {
        err_set(e, count ? ERR_USAGE : ERR_NOT_FOUND,
                count ? "there are several indexes in %s: say which with --database"
                      : "there is no index in %s: `sallyport audit index` makes it",
                directory);
        free(found);
        found = NULL;
    }
    free(directory);
    return found;
}

static double offset_of(const struct text_match *m)
{
    return m->real_ns > m->session_ns ? (double)(m->real_ns - m->session_ns) / 1e9 : 0;
}

/* The snippet in one line, escaped, the words marked. */
static void print_snippet(const struct search *s, const char *text)
{
    char part[8192];

    while (*text) {
        size_t n = strcspn(text, "\001\002\n\t");

        fputs(escape_text(part, sizeof part, text, n), stdout);
        text += n;
        if (*text == '\001')
            fputs(s->color ? "\x1b[1;31m" : "[", stdout);
        else if (*text == '\002')
            fputs(s->color ? "\x1b[0m" : "]", stdout);
        else if (*text)
            fputs(" ", stdout);
        text += *text != 0;
    }
    putchar('\n');
}

static void add_json(struct search *s, const struct text_match *m)
{
    char time[CLOCK_TEXT];

    json_array_append_new(
        s->array, json_pack("{s:s, s:s, s:s, s:s, s:s, s:f, s:I, s:I, s:s, s:s}", "session",
                            m->session, "operator", m->operator_name, "account", m->account,
                            "target", m->target, "time", clock_iso(time, m->real_ns), "offset",
                            offset_of(m), "record", (json_int_t)m->record, "channel",
                            (json_int_t)m->channel, "kind", m->kind, "snippet", m->snippet));
}

static int print_match(void *arg, const struct text_match *m)
{
    char time[CLOCK_TEXT], a[128], b[128], c[128];
    struct search *s = arg;

    if (s->json) {
        add_json(s, m);
        return 0;
    }
    printf("%.12s  %s  +%.1f s  %s: %s@%s  %s\n    ", m->session,
           clock_iso_seconds(time, m->real_ns), offset_of(m),
           escape_text(a, sizeof a, m->operator_name, strlen(m->operator_name)),
           escape_text(b, sizeof b, m->account, strlen(m->account)),
           escape_text(c, sizeof c, m->target, strlen(m->target)), m->kind);
    print_snippet(s, m->snippet);
    if (strcmp(m->kind, "file") == 0)
        printf("    sallyport audit files %.12s\n", m->session);
    else
        printf("    sallyport audit play %.12s --from %.0f\n", m->session,
               offset_of(m) > 1 ? offset_of(m) - 1 : 0);
    return ferror(stdout) ? -1 : 0;
}

static int run(struct search *s, char *const *words, int count, struct err *e)
{
    char *path = s->database ? cli_printf("%s", s->database) : only_index(e), *query = NULL;
    struct text_index *x = NULL;
    int r = path ? text_index_open(&x, path, false, e) : e->code;

    if (r == 0) {
        query = text_query_words(words, count);
        s->q.words = query;
        s->array = s->json ? json_array() : NULL;
        s->color = isatty(STDOUT_FILENO);
        r = query ? text_index_search(x, &s->q, print_match, s, e)
                  : err_set(e, ERR_MEMORY, "no memory for the words");
    }
    if (r >= 0 && s->json) {
        json_dumpf(s->array, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
        putchar('\n');
    } else if (r == 0) {
        puts("(found nowhere)");
    } else if (r > 0 && (unsigned)r == s->q.limit) {
        fprintf(stderr, "(the first %u; --limit shows more)\n", s->q.limit);
    }
    json_decref(s->array);
    text_index_close(x);
    free(query);
    free(path);
    return r < 0 ? r : 0;
}

static int take_option(struct search *s, int c, struct err *e)
{
    uint64_t now = clock_real_ns();
    char *end;

    switch (c) {
    case 'o':
        s->q.operator_name = optarg;
        return 0;
    case 't':
        s->q.target = optarg;
        return 0;
    case 'j':
        s->json = true;
        return 0;
    case OPT_DATABASE:
        s->database = optarg;
        return 0;
    case OPT_SESSION:
        s->q.session = optarg;
        return 0;
    case OPT_SINCE:
        return when_parse(optarg, now, &s->q.since_ns, e);
    case OPT_UNTIL:
        return when_parse(optarg, now, &s->q.until_ns, e);
    case OPT_LIMIT:
        s->q.limit = (unsigned)strtoul(optarg, &end, 10);
        return end == optarg || *end || optarg[0] == '-'
                   ? err_set(e, ERR_SYNTAX, "--limit %s: expected a number", optarg)
                   : 0;
    default:
        return 0;
    }
}

int audit_search(int argc, char **argv)
{
    static const struct option options[] = {
        AUDIT_SOURCE_OPTIONS,
        {"database", required_argument, NULL, OPT_DATABASE},
        {"operator", required_argument, NULL, 'o'},
        {"target", required_argument, NULL, 't'},
        {"session", required_argument, NULL, OPT_SESSION},
        {"since", required_argument, NULL, OPT_SINCE},
        {"until", required_argument, NULL, OPT_UNTIL},
        {"limit", required_argument, NULL, OPT_LIMIT},
        {"json", no_argument, NULL, 'j'},
        {NULL, 0, NULL, 0},
    };
    struct audit_options o = {"audit search", help, "", options, -1};
    struct search s = {.q.limit = 100};
    struct audit_source source;
    struct err e = ERR_INIT;
    int c;

    audit_source_init(&source);
    while ((c = audit_next_option(&o, &source, argc, argv)) != -1)
        if (take_option(&s, c, &e) < 0)
            return cli_usage("audit search", "%s", e.text);
    if (o.status >= 0)
        return o.status;
    if (optind >= argc)
        return cli_usage("audit search", "which words?");
    return run(&s, argv + optind, argc - optind, &e) < 0 ? cli_fail("%s", e.text) : CLI_DONE;
}
