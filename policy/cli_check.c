/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport policy check`: every mistake of a set that one reading can find. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/cli.h"
#include "policy/cli_policy.h"
#include "policy/findings.h"
#include "policy/policy_tests.h"

static const char help[] =
    "usage: sallyport policy check [OPTION]... [DIR]\n\n"
    "Reads the policy set in DIR and tells every mistake, a line each:\n\n"
    "  FILE:LINE:COLUMN: error|warning: TEXT\n\n"
    "Of each operator, target and role the first mistake is told. When there is none, the set's "
    "tests\n"
    "run. Without DIR it is the configuration directory ($SALLYPORT_CONF, else " SALLYPORT_CONFDIR
    "),\n"
    "whose files must belong to root and be writable by root alone, as for the gateway; a DIR "
    "that is\n"
    "named may belong to anybody.\n\n"
    "  --no-tests      do not run the set's tests\n"
    "  --strict        warnings count as findings\n"
    "  --json          print JSON: a list of {file, line, column, severity, text}\n\n"
    "Exit status: 0 no finding, 1 findings, 2 wrong usage, or the set cannot be read.\n\n"
    "Examples:\n"
    "  sallyport policy check\n"
    "  sallyport policy check conf/policy\n"
    "  sallyport policy check --strict --json . | jq '.[] | select(.severity == \"error\")'\n";

struct arguments {
    const char *dir;
    bool json, strict, no_tests;
};

/* As the shell of the caller finds it. */
static char *path_of(const struct policy_source *s, const struct finding *f)
{
    if (!f->file[0])
        return cli_printf("%s", s->given);
    if (strcmp(s->given, ".") == 0)
        return cli_printf("%s", f->file);
    const size_t len = strlen(s->given);
    return cli_printf("%s%s%s", s->given, len && s->given[len - 1] == '/' ? "" : "/", f->file);
}

static void print_json(const struct policy_source *s, const struct findings *f)
{
    json_t *list = json_array();

    for (size_t i = 0; i < f->count; i++) {
        const struct finding *found = &f->at[i];
        char *path = path_of(s, found);
        json_t *entry = json_pack("{s:s, s:s, s:s}", "file", path, "severity",
                                  found->warning ? "warning" : "error", "text", found->text);
        if (found->line && entry) {
            json_object_set_new(entry, "line", json_integer(found->line));
            json_object_set_new(entry, "column", json_integer(found->column));
        }
        json_array_append_new(list, entry);
        free(path);
    }
    policy_print_json(list);
}

static void print_lines(const struct policy_source *s, const struct findings *f)
{
    for (size_t i = 0; i < f->count; i++) {
        const struct finding *found = &f->at[i];
        char *path = path_of(s, found);
        if (found->line)
            printf("%s:%u:%u: ", path, found->line, found->column);
        else
            printf("%s: ", path);
        printf("%s: %s\n", found->warning ? "warning" : "error", found->text);
        free(path);
    }
}

/* A test that fails is a finding. */
static int take_test(void *arg, const struct policy_test_result *r)
{
    char line[2200];

    if (r->passed)
        return 0;
    snprintf(line, sizeof line, "%s:%u:%u: the test fails: %s: %s", r->file, r->line, r->column,
             r->asked, r->found);
    return findings_add(arg, line, false);
}

static int run_tests(const struct policy_source *s, struct findings *f, size_t *run)
{
    struct err e = ERR_INIT;
    size_t failed;
    int rc = policy_tests_run(s->policy, buf_head(&s->block), buf_len(&s->block), take_test, f, run,
                              &failed, &e);

    return rc < 0 && rc != ERR_MEMORY ? findings_add(f, e.text, false) : rc;
}

/* Everything that is found out about the set, into f. *read: the files could be read, so that it is
 * about the set. */
static int examine(struct policy_source *s, const struct arguments *a, struct findings *f,
                   bool *read, size_t *tests)
{
    struct buf errors, warnings;
    struct err e = ERR_INIT;

    buf_init(&errors, 16u << 20);
    buf_init(&warnings, 16u << 20);
    int rc = policy_source_read(s, a->dir, NULL, false, &e);
    *read = rc != ERR_SYSTEM && rc != ERR_MEMORY && rc != ERR_BUSY;
    if (rc == 0)
        s->policy =
            policy_load_gather(buf_head(&s->block), buf_len(&s->block), &warnings, &errors, &e);
    rc = findings_add_lines(f, &errors, false);
    if (rc == 0)
        rc = findings_add_lines(f, &warnings, true);
    if (rc == 0 && !s->policy && e.text[0])
        rc = findings_add(f, e.text, false);
    if (rc == 0 && s->policy && !a->no_tests)
        rc = run_tests(s, f, tests);
    buf_clear(&errors);
    buf_clear(&warnings);
    findings_sort(f);
    return rc;
}

static bool parse(int argc, char **argv, struct policy_options *o, struct arguments *a)
{
    *a = (struct arguments){0};
    policy_options_begin(o);
    for (int c; (c = policy_next_option(o, argc, argv)) != -1;) {
        if (c == 'j')
            a->json = true;
        else if (c == 's')
            a->strict = true;
        else if (c == 't')
            a->no_tests = true;
    }
    if (policy_words(o, argc, argv, 1, "one directory") && optind < argc)
        a->dir = argv[optind];
    return o->status < 0;
}

int cli_policy_check(int argc, char **argv)
{
    static const struct option table[] = {{"json", no_argument, NULL, 'j'},
                                          {"strict", no_argument, NULL, 's'},
                                          {"no-tests", no_argument, NULL, 't'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    struct policy_options o = {.verb = "policy check", .help = help, .table = table};
    struct policy_source s;
    struct findings f = {0};
    struct arguments a;
    size_t tests = 0;
    bool read;
    int status;

    if (!parse(argc, argv, &o, &a))
        return o.status;
    if (examine(&s, &a, &f, &read, &tests) < 0) {
        status = policy_trouble("out of memory");
        goto out;
    }
    if (a.json)
        print_json(&s, &f);
    else
        print_lines(&s, &f);
    if (!a.json && s.policy)
        printf("%s: %zu operators, %zu targets, %zu roles, %zu tests\n", s.given,
               policy_operator_count(s.policy), policy_target_count(s.policy),
               policy_role_count(s.policy), tests);
    status = !read                               ? POLICY_TROUBLE
             : f.errors || (a.strict && f.count) ? POLICY_FINDINGS
                                                 : POLICY_FINE;
out:
    findings_clear(&f);
    policy_source_clear(&s);
    return status;
}
