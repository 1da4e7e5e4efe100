/* SPDX-License-Identifier: Apache-2.0
 *
 * Policy tests: loader and runner. A file is a list of maps with these keys, and no others:
 *
 *     as           operator, required     must exist
 *     on           target, required       name or alias, must exist
 *     account      account, required
 *     from         address                required where the operator or one of the roles that
 *                                         select the target has from; else 192.0.2.1
 *     at           "2026-03-02 10:00 Asia/Seoul"    required where one of those roles has when;
 *                                         else 2026-01-07 12:00 UTC, a Wednesday
 *     factors      list of key, password, totp      default [key, totp]; with remembered [key]
 *     remembered   duration, none         a remembered login of this age; 0s to 30d
 *     run          text                   of these at most one (none: a login); a command as the
 *     shell        true                   client sends it; a shell; a canonical path to read or
 *     sftp-read    path                   write; "host:port"
 *     sftp-write   path
 *     forward      text
 *     expect       allow or deny, required
 *     because      text, none             what decides: "kvm-operator/commands[0]", "no-role"
 *     what-runs    text, none             with run and allow: the command that is sent
 *
 * Used by authd's loader after policy_load. Pure. */
#include "policy/policy_tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "policy/ask.h"
#include "policy/bundle.h"
#include "policy/files.h"
#include "policy/forwards.h"
#include "policy/role_walk.h"

#define TESTS_PREFIX   "roles.d/tests/"
#define COMMAND_MAX    65536
#define REMEMBERED_MAX (UINT64_C(30) * 86400000)
#define DEFAULT_SOURCE "192.0.2.1" /* RFC 5737: nobody's */
#define DEFAULT_TIME   UINT64_C(1767787200)

struct test {
    const struct yaml_node *node;
    struct policy_request request;
    struct policy_ask ask;
    bool allowed;
    const char *because, *runs; /* NULL: any */
};

struct running {
    struct loading l;
    policy_test_report report;
    void *arg;
    size_t run, failed;
};

static int load_names(struct loading *l, const struct yaml_node *map, struct test *t)
{
    const struct yaml_node *n;
    uint32_t index;
    int rc = yaml_require(l->doc, map, "as", &n, l->e);

    if (rc == 0)
        rc = policy_name(l, n, NAME_OPERATOR, &t->request.operator_name);
    if (rc == 0 && !policy_operator_named(l->p, t->request.operator_name))
        rc = policy_unknown_operator(l, n, t->request.operator_name, "");
    if (rc == 0)
        rc = yaml_require(l->doc, map, "on", &n, l->e);
    if (rc == 0)
        rc = policy_name(l, n, NAME_TARGET, &t->request.target);
    if (rc == 0 &&
        !table_get(&l->p->target_by_name, t->request.target, strlen(t->request.target), &index))
        rc = policy_unknown_target(l, n, t->request.target);
    if (rc == 0)
        rc = yaml_require(l->doc, map, "account", &n, l->e);
    if (rc == 0)
        rc = policy_name(l, n, NAME_ACCOUNT, &t->request.account);
    return rc;
}

/* A test that says nothing of the source or the time must not depend on it. */
static int check_default(struct loading *l, const struct yaml_node *map, const struct test *t,
                         bool from, bool at)
{
    const struct policy *p = l->p;
    uint32_t op, target;
    struct role_filter filter;
    struct role_walk w;
    const char *via;

    if (!table_get(&p->operator_by_name, t->request.operator_name, strlen(t->request.operator_name),
                   &op) ||
        !table_get(&p->target_by_name, t->request.target, strlen(t->request.target), &target))
        return err_set(l->e, ERR_INPUT, "a test's names are gone");
    if (!from && p->operators[op].from_count)
        return yaml_error(l->doc, map, l->e,
                          "found no key \"from\", expected it here: the operator %s has one",
                          t->request.operator_name);
    role_filter_begin(&filter, p, &p->targets[target]);
    role_walk_begin(&w, p, &p->operators[op], &filter);
    for (const struct role *role; (role = role_walk_next(&w, &via));) {
        if (!from && role->from_count)
            return yaml_error(l->doc, map, l->e,
                              "found no key \"from\", expected it here: the role %s has one",
                              role->name);
        if (!at && role->when.count)
            return yaml_error(l->doc, map, l->e,
                              "found no key \"at\", expected it here: the role %s has hours",
                              role->name);
    }
    return 0;
}

static int load_circumstances(struct loading *l, const struct yaml_node *map, struct test *t)
{
    const struct yaml_node *from = yaml_get(map, "from"), *at = yaml_get(map, "at");
    const char *text = DEFAULT_SOURCE;
    struct err why = ERR_INIT;
    int rc = check_default(l, map, t, from, at);

    if (rc == 0 && from)
        rc = yaml_text(l->doc, from, ADDRESS_TEXT, "an address", &text, l->e);
    if (rc == 0 && address_parse(text, &t->request.source, &why) < 0)
        rc = from ? yaml_error(l->doc, from, l->e, "%s", why.text) : ERR_INPUT;
    t->request.now_s = DEFAULT_TIME;
    if (rc == 0 && at) {
        rc = yaml_text(l->doc, at, WHEN_TEXT_MAX, "a time such as \"2026-03-02 10:00 Asia/Seoul\"",
                       &text, l->e);
        if (rc == 0 && policy_moment(l->p, text, &t->request.now_s, &why) < 0)
            rc = yaml_error(l->doc, at, l->e, "%s", why.text);
    }
    return rc;
}

/* Unlike a role's, a test's factors may be too few: that this denies is worth a test. */
static int load_factors(struct loading *l, const struct yaml_node *map, struct test *t)
{
    static const char *const words[] = {"key", "password", "totp", NULL};
    static const uint32_t bits[] = {FACTOR_KEY, FACTOR_PASSWORD, FACTOR_TOTP};
    const struct yaml_node *n = yaml_get(map, "factors"), *age = yaml_get(map, "remembered");
    struct yaml_node *const *items = NULL;
    size_t count = 0, word = 0;
    uint64_t ms;
    int rc = n ? policy_list(l, n, 0, 3, "factors such as [key, totp]", &items, &count) : 0;

    t->request.factors = n ? 0 : FACTOR_KEY | (age ? 0 : FACTOR_TOTP);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = yaml_word(l->doc, items[i], words, &word, l->e);
        if (rc == 0 && (t->request.factors & bits[word]))
            rc = yaml_error(l->doc, items[i], l->e, "found %s a second time, expected it once",
                            words[word]);
        t->request.factors |= bits[word];
    }
    if (rc == 0 && age) {
        rc = yaml_duration(l->doc, age, 0, REMEMBERED_MAX, &ms, l->e);
        if (rc == 0) {
            t->request.factors |= FACTOR_REMEMBERED;
            t->request.remembered_age_s = ms / 1000;
        }
    }
    return rc;
}

/* Here and not where it is asked: a test whose login is denied already would pass with any text. */
static int check_asked(struct loading *l, const struct yaml_node *n, const struct policy_ask *ask)
{
    char canonical[FILE_PATH_MAX + 1], host[FORWARD_HOST_MAX + 1];
    struct err why = ERR_INIT;
    uint16_t port;
    int rc;

    if (ask->kind == ASK_FORWARD)
        rc = ask->len > FORWARD_TEXT_MAX ? err_set(&why, ERR_INPUT, "found no \"host:port\"")
                                         : forward_parse(ask->text, host, &port, &why);
    else
        rc = file_path_join("/", ask->text, ask->len, canonical, &why);
    if (rc == 0 && ask->kind != ASK_FORWARD && strcmp(canonical, ask->text) != 0)
        rc = err_set(&why, ERR_INPUT,
                     "found a path that is not canonical, expected an absolute one without ., .. "
                     "and //, as %.900s",
                     canonical);
    return rc < 0 ? yaml_error(l->doc, n, l->e, "%s", why.text) : 0;
}

static int load_ask(struct loading *l, const struct yaml_node *map, struct test *t)
{
    static const struct {
        const char *key;
        enum ask_kind kind;
        const char *expected;
    } kinds[] = {{"run", ASK_EXEC, "a command"},
                 {"shell", ASK_SHELL, "true"},
                 {"sftp-read", ASK_SFTP_READ, "a path"},
                 {"sftp-write", ASK_SFTP_WRITE, "a path"},
                 {"forward", ASK_FORWARD, "\"host:port\""}};
    const struct yaml_node *first = NULL, *n;
    bool shell;
    int rc = 0;

    t->ask.kind = ASK_LOGIN;
    for (size_t i = 0; rc == 0 && i < sizeof kinds / sizeof *kinds; i++) {
        if (!(n = yaml_get(map, kinds[i].key)))
            continue;
        if (first)
            return yaml_error(l->doc, n, l->e,
                              "found %s beside another question, expected one of run, shell, "
                              "sftp-read, sftp-write and forward",
                              kinds[i].key);
        first = n;
        t->ask.kind = kinds[i].kind;
        if (t->ask.kind == ASK_SHELL) {
            rc = yaml_bool(l->doc, n, &shell, l->e);
            if (rc == 0 && !shell)
                rc = yaml_error(l->doc, n, l->e, "found false, expected shell: true, or no shell");
        } else if (t->ask.kind == ASK_EXEC) {
            /* A command may have several lines; that is what one wants to see denied. */
            rc = yaml_is(l->doc, n, YAML_SCALAR, kinds[i].expected, l->e);
            t->ask.text = n->text;
            if (rc == 0 && strlen(n->text) > COMMAND_MAX)
                rc = yaml_error(l->doc, n, l->e, "found a command that is too long");
        } else {
            rc = yaml_text(l->doc, n, FILE_PATH_MAX, kinds[i].expected, &t->ask.text, l->e);
        }
        t->ask.len = t->ask.text ? strlen(t->ask.text) : 0;
        if (rc == 0 && t->ask.kind != ASK_SHELL && t->ask.kind != ASK_EXEC)
            rc = check_asked(l, n, &t->ask);
    }
    return rc;
}

static int check_because(struct loading *l, const struct yaml_node *n, const char *because)
{
    static const char *const words[] = {"no-role", "rules", "factors", NULL};
    const struct policy *p = l->p;
    char role[ROLE_NAME_MAX + 1], near[300];
    const size_t len = strcspn(because, "/");
    uint32_t index;

    for (size_t i = 0; words[i]; i++) {
        if (strcmp(words[i], because) == 0)
            return 0;
    }
    if (strncmp(because, "operator:", 9) == 0 ||
        (len < sizeof role && table_get(&p->role_by_name, because, len, &index)))
        return 0;
    const char **names = calloc(p->role_count + 1, sizeof *names);
    for (size_t i = 0; names && i < p->role_count; i++)
        names[i] = p->roles[i].name;
    snprintf(role, sizeof role, "%.*s", (int)(len < ROLE_NAME_MAX ? len : ROLE_NAME_MAX), because);
    yaml_error(
        l->doc, n, l->e,
        "unknown role \"%s\"%s, expected what decides, as kvm-operator/commands[0] or no-role",
        role, policy_did_you_mean(role, names, near));
    free(names);
    return ERR_SYNTAX;
}

static int load_expected(struct loading *l, const struct yaml_node *map, struct test *t)
{
    static const char *const words[] = {"deny", "allow", NULL};
    const struct yaml_node *n;
    size_t word = 0;
    int rc = yaml_require(l->doc, map, "expect", &n, l->e);

    if (rc == 0)
        rc = yaml_word(l->doc, n, words, &word, l->e);
    t->allowed = word == 1;
    if (rc == 0 && (n = yaml_get(map, "because"))) {
        rc = yaml_text(l->doc, n, 127, "what decides", &t->because, l->e);
        if (rc == 0)
            rc = check_because(l, n, t->because);
    }
    if (rc == 0 && (n = yaml_get(map, "what-runs"))) {
        rc = yaml_text(l->doc, n, 1000, "a command", &t->runs, l->e);
        if (rc == 0 && (!t->allowed || t->ask.kind != ASK_EXEC))
            rc = yaml_error(l->doc, n, l->e,
                            "found what-runs, which needs run: ... and expect: allow");
    }
    return rc;
}

static int load_test(struct loading *l, const struct yaml_node *map, struct test *t)
{
    static const char *const known[] = {
        "as",    "on",        "account",    "from",    "at",     "factors", "remembered", "run",
        "shell", "sftp-read", "sftp-write", "forward", "expect", "because", "what-runs",  NULL};
    int rc = policy_check_keys(l, map, known);

    memset(t, 0, sizeof *t);
    t->node = map;
    if (rc == 0)
        rc = load_names(l, map, t);
    if (rc == 0)
        rc = load_circumstances(l, map, t);
    if (rc == 0)
        rc = load_factors(l, map, t);
    if (rc == 0)
        rc = load_ask(l, map, t);
    return rc == 0 ? load_expected(l, map, t) : rc;
}

static void describe(const struct test *t, char *out, size_t cap)
{
    static const char *const verbs[] = {
        [ASK_LOGIN] = "log in",    [ASK_SHELL] = "shell",       [ASK_EXEC] = "run ",
        [ASK_SFTP_READ] = "read ", [ASK_SFTP_WRITE] = "write ", [ASK_FORWARD] = "forward to "};
    char text[200] = "";

    if (t->ask.text)
        escape_text(text, sizeof text, t->ask.text, strnlen(t->ask.text, 150));
    snprintf(out, cap, "%s as %s on %.80s: %s%s", t->request.operator_name, t->request.account,
             t->request.target, verbs[t->ask.kind], text);
}

static void judge(const struct test *t, const struct policy_answer *answer,
                  struct policy_test_result *out)
{
    char runs[1001] = "";

    if (t->runs) /* as policy_ask shows what runs */
        escape_text(runs, sizeof runs, t->runs, strlen(t->runs));
    out->passed = answer->allowed == t->allowed &&
                  (!t->because || strcmp(t->because, answer->because) == 0) &&
                  (!t->runs || strcmp(runs, answer->text) == 0);
    snprintf(out->found, sizeof out->found, "found %s because %s%s%.600s, expected %s%s%s%s%.400s",
             answer->allowed ? "allow" : "deny", answer->because, *answer->text ? ": " : "",
             answer->text, t->allowed ? "allow" : "deny", t->because ? " because " : "",
             t->because ? t->because : "", t->runs ? ": " : "", runs);
}

static int run_test(struct running *r, const struct yaml_node *node)
{
    struct policy_test_result result = {.file = yaml_name(r->l.doc)};
    struct policy_decision d;
    struct policy_answer answer;
    struct err why = ERR_INIT;
    struct test t;
    int rc = load_test(&r->l, node, &t);

    if (rc < 0)
        return rc;
    rc = policy_decide(r->l.p, &t.request, &d, r->l.e);
    if (rc == 0 && policy_ask(&d, &t.ask, &answer, &why) < 0)
        rc = yaml_error(r->l.doc, node, r->l.e, "%s", why.text);
    policy_decision_clear(&d);
    if (rc < 0)
        return rc;
    result.line = node->line;
    result.column = node->column;
    describe(&t, result.asked, sizeof result.asked);
    judge(&t, &answer, &result);
    r->run++;
    r->failed += !result.passed;
    return r->report ? r->report(r->arg, &result) : 0;
}

static int run_file(struct running *r, const struct bundle_file *file)
{
    struct yaml_node *const *items = NULL;
    size_t count = 0;
    int rc = 0;

    r->l.doc = yaml_parse(file->name, file->bytes.p, file->bytes.len, r->l.e);
    if (!r->l.doc)
        return ERR_SYNTAX;
    const struct yaml_node *root = yaml_root(r->l.doc);
    if (root->kind != YAML_MAP || root->count) /* an empty file is one of no tests */
        rc = policy_list(&r->l, root, 0, POLICY_TESTS_MAX, "tests", &items, &count);
    if (rc == 0 && count > POLICY_TESTS_MAX - r->run)
        rc = err_set(r->l.e, ERR_FULL, "%s: the set has more than %d tests", file->name,
                     POLICY_TESTS_MAX);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = run_test(r, items[i]);
    yaml_doc_free(r->l.doc);
    return rc;
}

int policy_tests_run(const struct policy *p, const void *bundle, size_t len,
                     policy_test_report report, void *arg, size_t *run, size_t *failed,
                     struct err *e)
{
    /* The loaders' helpers only read the set here. */
    struct running r = {
        .l = {.p = (struct policy *)(uintptr_t)p, .e = e}, .report = report, .arg = arg};
    struct bundle_file file;
    struct wire_reader in;
    int rc = 0;

    wire_reader_init(&in, bundle, len);
    while (rc == 0 && (rc = bundle_next(&in, &file, e)) > 0)
        rc = strncmp(file.name, TESTS_PREFIX, sizeof TESTS_PREFIX - 1) == 0 ? run_file(&r, &file)
                                                                            : 0;
    *run = r.run;
    *failed = r.failed;
    return rc;
}

static int first_failure(void *arg, const struct policy_test_result *result)
{
    if (result->passed)
        return 0;
    return err_set(arg, ERR_INPUT, "%s:%u:%u: the test fails (%s): %s", result->file, result->line,
                   result->column, result->asked, result->found);
}

int policy_tests_check(const struct policy *p, const void *bundle, size_t len, struct err *e)
{
    struct err own = ERR_INIT;
    size_t run, failed;

    if (!e)
        e = &own;
    return policy_tests_run(p, bundle, len, first_failure, e, &run, &failed, e);
}
