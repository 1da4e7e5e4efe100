/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport policy test`: runs the set's tests (policy/policy_tests.h), as the gateway does before
 * a set comes into force. */
#include <stdio.h>
#include <string.h>

#include "gateway/cli.h"
#include "policy/cli_policy.h"
#include "policy/policy_tests.h"

static const char help[] =
    "usage: sallyport policy test [OPTION]... [DIR]\n\n"
    "Runs the tests of the policy set in DIR (default: the configuration directory): "
    "roles.d/tests/*.yaml,\n"
    "questions with the answers that are expected. A set that fails one does not come into "
    "force.\n\n"
    "  --verbose       print the tests that pass too\n"
    "  --json          print JSON: {run, failed, tests: [{file, line, column, passed, asked, "
    "found}]}\n\n"
    "Exit status: 0 all pass, 1 one fails, 2 wrong usage, or the tests cannot be run because the\n"
    "set or a test has a mistake (`sallyport policy check` tells each).\n\n"
    "Examples:\n"
    "  sallyport policy test\n"
    "  sallyport policy test --verbose conf/policy\n";

struct output {
    json_t *list; /* NULL: text */
    bool verbose;
};

static int report(void *arg, const struct policy_test_result *r)
{
    const struct output *out = arg;

    if (out->list)
        json_array_append_new(out->list, json_pack("{s:s, s:I, s:I, s:b, s:s, s:s}", "file",
                                                   r->file, "line", (json_int_t)r->line, "column",
                                                   (json_int_t)r->column, "passed", (int)r->passed,
                                                   "asked", r->asked, "found", r->found));
    else if (!r->passed)
        printf("%s:%u:%u: failed: %s: %s\n", r->file, r->line, r->column, r->asked, r->found);
    else if (out->verbose)
        printf("%s:%u:%u: passed: %s\n", r->file, r->line, r->column, r->asked);
    return 0;
}

int cli_policy_test(int argc, char **argv)
{
    static const struct option table[] = {{"verbose", no_argument, NULL, 'v'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    struct policy_options o = {.verb = "policy test", .help = help, .table = table};
    struct policy_source s = {0};
    struct output out = {0};
    struct err e = ERR_INIT;
    size_t run = 0, failed = 0;
    bool json = false;

    policy_options_begin(&o);
    for (int c; (c = policy_next_option(&o, argc, argv)) != -1;) {
        json = json || c == 'j';
        out.verbose = out.verbose || c == 'v';
    }
    if (!policy_words(&o, argc, argv, 1, "one directory"))
        return o.status;
    out.list = json ? json_array() : NULL;
    int rc = policy_source_load(&s, optind < argc ? argv[optind] : NULL, NULL, false, &e);
    if (rc == 0)
        rc = policy_tests_run(s.policy, buf_head(&s.block), buf_len(&s.block), report, &out, &run,
                              &failed, &e);
    if (rc == 0 && json)
        policy_print_json(json_pack("{s:I, s:I, s:O}", "run", (json_int_t)run, "failed",
                                    (json_int_t)failed, "tests", out.list));
    else if (rc == 0)
        printf("%s: %zu tests, %zu failed\n", s.given, run, failed);
    json_decref(out.list);
    policy_source_clear(&s);
    return rc < 0 ? policy_trouble("%s", e.text) : failed ? POLICY_FINDINGS : POLICY_FINE;
}
