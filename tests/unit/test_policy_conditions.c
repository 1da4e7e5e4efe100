/* SPDX-License-Identifier: Apache-2.0
 *
 * What decides whether a role matches: site.yaml and what roles inherit, hours, factors, the
 * operator's own addresses; and properties of decisions over random sets: an explanation is the
 * decision, and no key that is added gives anybody more. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/explain.h"
#include "tests/unit/policy_fixture.h"

#define HEAD(name) "role: " name "\nmembers: [alice]\ntargets: {env: lab}\naccounts: [root]\n"
#define EXEC       "allow: {exec: true}\n"

static struct policy *load(const struct fixture_file *files, size_t count)
{
    struct err e = ERR_INIT;
    struct policy *p = fixture_load_files(files, count, NULL, &e);

    cr_assert_not_null(p, "%s", e.text);
    return p;
}

static struct policy_request request(const struct policy *p, const char *from, const char *at)
{
    struct policy_request r = {.operator_name = "alice",
                               .target = "hv1",
                               .account = "root",
                               .factors = FACTOR_KEY | FACTOR_TOTP};
    struct err e = ERR_INIT;

    cr_assert_eq(address_parse(from, &r.source, NULL), 0);
    cr_assert_eq(policy_moment(p, at, &r.now_s, &e), 0, "%s", e.text);
    return r;
}

static const char site[] = "contact: group:policy-admins\nfrom: [10.0.0.0/8]\n"
                           "when: [\"Mon-Fri 08:00-20:00 Asia/Seoul\"]\n";

Test(policy_conditions, site_is_inherited)
{
    static const struct {
        const char *role, *from, *at;
        const char *because, *token; /* token "": allowed */
        const char *until;           /* NULL: never */
    } cases[] = {
        {HEAD("r") EXEC, "10.1.1.1", "2026-03-02 10:00 Asia/Seoul", "r", "",
         "2026-03-02 20:00 Asia/Seoul"},
        {HEAD("r") EXEC, "11.1.1.1", "2026-03-02 10:00 Asia/Seoul", "r/from", "address", NULL},
        {HEAD("r") EXEC, "10.1.1.1", "2026-03-02 20:00 Asia/Seoul", "r/when", "when",
         "2026-03-03 08:00 Asia/Seoul"},
        {HEAD("r") EXEC, "10.1.1.1", "2026-03-06 20:00 Asia/Seoul", "r/when", "when",
         "2026-03-09 08:00 Asia/Seoul"},
        {HEAD("r") EXEC "from: [11.0.0.0/8]\n", "11.1.1.1", "2026-03-02 10:00 Asia/Seoul", "r", "",
         "2026-03-02 20:00 Asia/Seoul"},
        {HEAD("r") EXEC "from: [11.0.0.0/8]\n", "10.1.1.1", "2026-03-02 10:00 Asia/Seoul", "r/from",
         "address", NULL},
        {HEAD("r") EXEC "when: [\"Sat 00:00-24:00 UTC\"]\n", "10.1.1.1", "2026-03-07 10:00 UTC",
         "r", "", "2026-03-08 00:00 UTC"},
        {HEAD("r") EXEC "when: [\"Sat 00:00-24:00 UTC\"]\n", "10.1.1.1",
         "2026-03-02 10:00 Asia/Seoul", "r/when", "when", "2026-03-07 00:00 UTC"},
        {HEAD("r") EXEC "when: [\"Mon-Sun 00:00-24:00 UTC\"]\n", "10.1.1.1", "2026-03-07 10:00 UTC",
         "r", "", NULL},
        {HEAD("r") EXEC "factors: [key, password, totp]\n", "10.1.1.1",
         "2026-03-02 10:00 Asia/Seoul", "r/factors", "factors", NULL},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct fixture_file files[] = {
            {"roles.d/r.yaml", cases[i].role}, {"site.yaml", site}, {"zoneinfo/Asia/Seoul", NULL}};
        struct policy *p = load(files, 3);
        struct policy_request r = request(p, cases[i].from, cases[i].at);
        struct policy_decision d;
        uint64_t until = 0;
        char said[200];

        if (cases[i].until)
            cr_assert_eq(policy_moment(p, cases[i].until, &until, NULL), 0);
        cr_assert_eq(policy_decide(p, &r, &d, NULL), 0);
        cr_expect_str_eq(d.because, cases[i].because, "case %zu: %s", i, d.reason);
        cr_expect_str_eq(d.token, cases[i].token);
        cr_expect_eq(d.allowed, !cases[i].token[0]);
        cr_expect_eq(d.until_s, until, "case %zu: %llu", i, (unsigned long long)d.until_s);
        cr_expect_str_eq(d.contact, "group:policy-admins");
        if (!d.allowed) {
            snprintf(said, sizeof said, ": denied by %s; ask group:policy-admins",
                     cases[i].because);
            cr_expect(strlen(d.reason) > strlen(said) &&
                          strcmp(d.reason + strlen(d.reason) - strlen(said), said) == 0,
                      "%s", d.reason);
        }
        policy_decision_clear(&d);
        policy_free(p);
    }
}

Test(policy_conditions, site_mistakes)
{
    static const struct {
        const char *site, *says; /* NULL: good */
    } cases[] = {
        {"", NULL},
        {"{}\n", NULL},
        {"contact: \"group:policy-admins (tel. 110)\"\n", NULL},
        {"factors: [key, totp]\n", NULL},
        {"- a\n", "1:1: found a list, expected a map"},
        {"contcat: x\n", "1:1: unknown key \"contcat\" (did you mean \"contact\"?)"},
        {"role: x\n", "1:1: unknown key \"role\""},
        {"contact: \"\"\n", "1:10: found \"\", expected whom to ask"},
        {"contact: [a]\n", "1:10: found a list, expected whom to ask"},
        {"contact: \"a\\\\b\"\n", "1:10: found \"a\\\\b\", expected printable text"},
        {"contact: \"\\u202egro.elpmaxe\"\n", "1:10: found \"\\xe2\\x80\\xae"},
        {"factors: [totp]\n", "1:10: found totp alone, expected two factors"},
        {"factors: [key]\n", "1:10: found key alone, expected two factors"},
        {"factors: [key, password]\n", "1:10: found no totp, expected two factors"},
        {"from: [10.0.0.1/8]\n", "1:8: found \"10.0.0.1/8\", which has bits set"},
        {"when: [\"Mon 08:00-20:00 Asia/Soul\"]\n", "1:8: unknown time zone \"Asia/Soul\""},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct fixture_file files[] = {{"site.yaml", cases[i].site}};
        struct err e = ERR_INIT;
        struct policy *p = fixture_load_files(files, 1, NULL, &e);
        cr_expect_eq(p == NULL, cases[i].says != NULL, "%s: %s", cases[i].site, e.text);
        if (!p) {
            cr_expect_eq(strncmp(e.text, "site.yaml:", 10), 0, "%s", e.text);
            cr_expect_eq(strncmp(e.text + 10, cases[i].says, strlen(cases[i].says)), 0,
                         "got: %s\nnot: %s", e.text, cases[i].says);
        }
        policy_free(p);
    }
    /* 121 bytes */
    char text[200];
    snprintf(text, sizeof text, "contact: %0121d\n", 7);
    const struct fixture_file files[] = {{"site.yaml", text}};
    struct err e = ERR_INIT;
    cr_expect_null(fixture_load_files(files, 1, NULL, &e));
    cr_expect(strstr(e.text, "found 121 bytes, expected whom to ask"), "%s", e.text);
}

Test(policy_conditions, password_as_first_factor)
{
    static const struct {
        const char *factors;
        uint32_t used;
        bool allowed;
    } cases[] = {
        {"factors: [key, totp]\n", FACTOR_KEY | FACTOR_TOTP, true},
        {"factors: [key, totp]\n", FACTOR_PASSWORD | FACTOR_TOTP, false},
        {"factors: [password, totp]\n", FACTOR_PASSWORD | FACTOR_TOTP, true},
        {"factors: [password, totp]\n", FACTOR_KEY | FACTOR_TOTP, false},
        {"factors: [key, password, totp]\n", FACTOR_KEY | FACTOR_TOTP, false},
        {"factors: [key, password, totp]\n", FACTOR_KEY | FACTOR_PASSWORD | FACTOR_TOTP, true},
        {"factors: [key, password, totp]\n", FACTOR_KEY | FACTOR_PASSWORD, false},
        {"factors: [password, totp]\n", FACTOR_PASSWORD, false},
        {"factors: [password, totp]\n", FACTOR_TOTP, false},
        {"", FACTOR_KEY | FACTOR_PASSWORD | FACTOR_TOTP, true},
        {"", FACTOR_PASSWORD | FACTOR_TOTP, false},
        {"", FACTOR_KEY | FACTOR_PASSWORD, false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[300];
        snprintf(text, sizeof text, HEAD("r") EXEC "%s", cases[i].factors);
        /* The same whether the role says it or the site. */
        for (int of_site = 0; of_site < 2; of_site++) {
            const struct fixture_file files[] = {
                {"roles.d/r.yaml", of_site ? HEAD("r") EXEC : text},
                {"site.yaml", of_site ? cases[i].factors : ""}};
            struct policy *p = load(files, 2);
            struct policy_request r = request(p, "10.0.0.1", "2026-03-02 10:00 UTC");
            struct policy_decision d;
            r.factors = cases[i].used;
            cr_assert_eq(policy_decide(p, &r, &d, NULL), 0);
            cr_expect_eq(d.allowed, cases[i].allowed, "case %zu: %s", i, d.reason);
            cr_expect_str_eq(d.because, cases[i].allowed ? "r" : "r/factors");
            policy_decision_clear(&d);
            policy_free(p);
        }
    }
}

Test(policy_conditions, operators_own_addresses)
{
    static const char operators[] =
        "operators:\n  alice: {keys: [\"" KEY_A "\"], from: [10.1.0.0/16, \"2001:db8::/32\"]}\n";
    static const struct {
        const char *from, *target;
        const char *because;
    } cases[] = {
        {"10.1.2.3", "hv1", "r"},
        {"::ffff:10.1.2.3", "hv1", "r"},
        {"2001:db8::9", "hv1", "r"},
        {"10.2.0.1", "hv1", "operator:alice/from"},
        {"2001:db9::9", "hv1", "operator:alice/from"},
        {"10.2.0.1", "hv9", "operator:alice/from"}, /* before anything about targets */
        {"10.2.0.1", "gateway", "operator:alice/from"},
        {"10.1.2.3", "hv9", "unknown-target"},
    };
    const struct fixture_file files[] = {{"operators.yaml", operators},
                                         {"roles.d/r.yaml", HEAD("r") EXEC}};
    struct policy *p = load(files, 2);

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct policy_request r = request(p, cases[i].from, "2026-03-02 10:00 UTC");
        struct policy_explanation x;
        struct policy_decision d;
        r.target = cases[i].target;
        cr_assert_eq(policy_decide(p, &r, &d, NULL), 0);
        cr_expect_str_eq(d.because, cases[i].because);
        cr_expect_eq(d.allowed, strcmp(cases[i].because, "r") == 0);
        cr_expect_eq(policy_operator_may_come_from(p, "alice", &r.source),
                     strncmp(cases[i].because, "operator:", 9) != 0);
        cr_assert_eq(policy_explain(p, &r, NULL, &x, NULL), 0);
        cr_expect_str_eq(x.decision.because, d.because);
        cr_expect_str_eq(x.decision.reason, d.reason);
        cr_expect_eq(x.role_count, x.target_known ? 1 : 0);
        cr_expect_eq(x.operator_from.fits, !strstr(d.because, "operator:") && x.target_known);
        policy_explanation_clear(&x);
        policy_decision_clear(&d);
    }
    cr_expect(!policy_operator_may_come_from(p, "nobody", &(struct address){.family = 4}));
    policy_free(p);
}

/* The next look at a decision is due when a role that is not yet in it could come to it. */
Test(policy_conditions, until_of_several_roles)
{
    static const struct {
        const char *at, *until;
        uint32_t abilities;
    } cases[] = {
        {"2026-03-02 07:00 UTC", "2026-03-02 08:00 UTC", ABILITY_EXEC | ABILITY_PTY},
        {"2026-03-02 08:00 UTC", "2026-03-02 12:00 UTC",
         ABILITY_EXEC | ABILITY_PTY | ABILITY_SHELL},
        {"2026-03-02 12:00 UTC", "2026-03-03 08:00 UTC", ABILITY_EXEC | ABILITY_PTY},
    };
    const struct fixture_file files[] = {
        {"roles.d/a.yaml", HEAD("a") EXEC},
        {"roles.d/b.yaml", HEAD("b") "allow: {shell: true}\nwhen: [\"Mon-Sun 08:00-12:00 UTC\"]\n"},
        /* never comes to it, whatever the time: */
        {"roles.d/c.yaml",
         "role: c\nmembers: [alice]\ntargets: {env: lab}\naccounts: [admin]\n" EXEC
         "when: [\"Mon-Sun 07:30-12:00 UTC\"]\n"},
        {"roles.d/d.yaml", HEAD("d") EXEC "from: [11.0.0.0/8]\n"
                                          "when: [\"Mon-Sun 07:30-12:00 UTC\"]\n"},
        {"roles.d/e.yaml", HEAD("e") EXEC "factors: [password, totp]\n"
                                          "when: [\"Mon-Sun 07:30-12:00 UTC\"]\n"},
    };
    struct policy *p = load(files, 5);

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct policy_request r = request(p, "10.0.0.1", cases[i].at);
        struct policy_decision d;
        uint64_t until;
        cr_assert_eq(policy_moment(p, cases[i].until, &until, NULL), 0);
        cr_assert_eq(policy_decide(p, &r, &d, NULL), 0);
        cr_expect(d.allowed);
        cr_expect_eq(d.until_s, until, "case %zu", i);
        cr_expect_eq(d.abilities, cases[i].abilities, "case %zu", i);
        policy_decision_clear(&d);
    }
    policy_free(p);
}

Test(policy_conditions, explanation)
{
    const struct fixture_file files[] = {
        {"roles.d/a.yaml", HEAD("a") EXEC "session: {idle: 15m, max-bytes: 20GiB}\nremember: 8h\n"},
        {"roles.d/b.yaml",
         HEAD("b") "allow: {shell: true}\nfrom: [10.0.0.0/8, \"2001:db8::/32\", 192.0.2.7]\n"
                   "when: [\"Mon-Fri 08:00-20:00 Asia/Seoul\", \"Sat 08:00-09:00 UTC\"]\n"
                   "session: {idle: 10m}\nremember: 1h\n"},
        {"roles.d/c.yaml", "role: c\nmembers: [group:net]\ntargets: {kind: [xen, kvm], name: hv2}\n"
                           "accounts: [a, b]\nallow: {sftp: true}\n"},
        {"site.yaml", "\nfrom: [172.16.0.0/12]\n"},
        {"zoneinfo/Asia/Seoul", NULL}};
    const struct policy_ask shell = {.kind = ASK_SHELL};
    struct policy *p = load(files, 5);
    struct policy_request r = request(p, "172.16.1.1", "2026-03-02 10:00 Asia/Seoul");
    struct policy_explanation x;

    cr_assert_eq(policy_explain(p, &r, &shell, &x, NULL), 0);
    cr_expect(x.decision.allowed && x.operator_known && x.target_known && x.asked);
    cr_expect(!x.answer.allowed);
    cr_expect_str_eq(x.answer.because, "a/allow");
    cr_assert_eq(x.role_count, 3);
    cr_expect(x.roles[0].matches && !x.roles[1].matches && !x.roles[2].matches);
    const struct explained_key *b = x.roles[1].keys, *c = x.roles[2].keys;
    cr_expect_str_eq(x.roles[0].keys[3].file, "site.yaml");
    cr_expect_eq(x.roles[0].keys[3].line, 2);
    cr_expect_str_eq(x.roles[0].keys[3].asked, "172.16.0.0/12");
    cr_expect_str_eq(b[3].name, "from");
    cr_expect(!b[3].fits && b[4].fits && b[5].fits && b[1].fits && b[2].fits);
    cr_expect_str_eq(b[3].asked, "10.0.0.0/8, 2001:db8::/32, 192.0.2.7");
    cr_expect_str_eq(b[3].found, "172.16.1.1");
    cr_expect_str_eq(b[3].file, "roles.d/b.yaml");
    cr_expect_eq(b[3].line, 6);
    cr_expect_eq(b[3].column, 7);
    cr_expect_str_eq(b[5].asked, "Mon-Fri 08:00-20:00 Asia/Seoul, Sat 08:00-09:00 UTC");
    cr_expect_str_eq(b[5].found, "Mon 2026-03-02 01:00 UTC");
    cr_expect_str_eq(b[4].asked, "key, totp");
    cr_expect_null(b[4].file);
    cr_expect_str_eq(c[0].asked, "group:net");
    cr_expect_str_eq(c[1].asked, "kind: xen|kvm, name: hv2");
    cr_expect_str_eq(c[1].found, "name: hv1, env: lab, kind: libvirt");
    cr_expect_str_eq(c[2].asked, "a, b");
    cr_expect_str_eq(c[5].asked, "always");
    for (size_t i = 0; i < x.part_count; i++)
        cr_expect_str_eq(x.parts[i].role, "a");
    policy_explanation_clear(&x);

    /* From where both match, the narrower limits are b's. */
    static const struct {
        const char *what, *value, *role;
    } parts[] = {{"shell", "true", "b"},      {"exec", "true", "a"},     {"idle", "10m", "b"},
                 {"max-bytes", "20GiB", "a"}, {"record", "strict", "a"}, {"bulk", "full", "a"},
                 {"remember", "1h", "b"}};
    const struct fixture_file open[] = {files[0], files[1], files[2], files[4]};
    policy_free(p);
    p = load(open, 4);
    r = request(p, "10.0.0.1", "2026-03-02 10:00 Asia/Seoul");
    cr_assert_eq(policy_explain(p, &r, NULL, &x, NULL), 0);
    cr_assert_eq(x.part_count, sizeof parts / sizeof *parts);
    for (size_t i = 0; i < x.part_count; i++) {
        cr_expect_str_eq(x.parts[i].what, parts[i].what);
        cr_expect_str_eq(x.parts[i].value, parts[i].value);
        cr_expect_str_eq(x.parts[i].role, parts[i].role, "%s", parts[i].what);
    }
    policy_explanation_clear(&x);
    r.operator_name = "dave";
    cr_assert_eq(policy_explain(p, &r, NULL, &x, NULL), 0);
    cr_expect(!x.operator_known && !x.role_count && !x.decision.allowed);
    policy_explanation_clear(&x);
    policy_explanation_clear(NULL);
    policy_free(p);
}

/* ---- properties ---- */

static unsigned seed;

static unsigned pick(unsigned count)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 16) % count;
}

#define PICK(list) list[pick(sizeof list / sizeof *list)]

static const char *const members[] = {"alice", "bob", "group:ops", "group:net"};
static const char *const targets[] = {"{all: true}",        "{env: lab}",
                                      "{env: prod}",        "{kind: [xen, libvirt]}",
                                      "{name: [hv1, sw1]}", "{env: lab, name: hv2}"};
static const char *const accounts[] = {"[root]", "[admin]", "[root, admin]"};
static const char *const abilities[] = {"{exec: true}",
                                        "{shell: true}",
                                        "{shell: true, exec: true}",
                                        "{sftp: {read: [/var/**]}}",
                                        "{sftp: true}",
                                        "{}"};
static const char *const conditions[] = {
    "from: [10.0.0.0/8]\n", "from: [\"2001:db8::/32\", 11.0.0.0/8]\n",
    "when: [\"Mon-Fri 08:00-20:00 UTC\"]\n", "when: [\"Sat-Sun 22:00-04:00 UTC\"]\n",
    "factors: [password, totp]\n"};

static void random_role(char *out, size_t cap, unsigned number, const char *condition)
{
    snprintf(out, cap, "role: r%u\nmembers: [%s]\ntargets: %s\naccounts: %s\nallow: %s\n%s", number,
             PICK(members), PICK(targets), PICK(accounts), PICK(abilities), condition);
}

static struct policy_request random_request(void)
{
    static const char *const who[] = {"alice", "bob", "carol", "dave"};
    static const char *const where[] = {"hv1", "hv2", "sw1", "hv1.lan", "nowhere"};
    static const char *const as[] = {"root", "admin", "other"};
    static const char *const from[] = {"10.1.1.1", "11.1.1.1", "2001:db8::1", "192.0.2.1"};
    static const uint32_t factors[] = {FACTOR_KEY | FACTOR_TOTP, FACTOR_PASSWORD | FACTOR_TOTP,
                                       FACTOR_KEY, FACTOR_KEY | FACTOR_PASSWORD | FACTOR_TOTP,
                                       FACTOR_KEY | FACTOR_REMEMBERED};
    struct policy_request r = {
        .operator_name = PICK(who), .target = PICK(where), .account = PICK(as)};

    cr_assert_eq(address_parse(PICK(from), &r.source, NULL), 0);
    r.now_s = 1772323200 + pick(7 * 24) * 3600;
    r.factors = PICK(factors);
    return r;
}

/* Everything that more permits, less permitted too, or less was not allowed. */
static void expect_subset(const struct policy_decision *less, const struct policy_decision *more,
                          const char *why)
{
    cr_expect(!less->allowed || more->allowed, "%s: %s", why, more->reason);
    cr_expect_eq(less->abilities & ~more->abilities, 0, "%s: %x, %x", why, less->abilities,
                 more->abilities);
    static const char *const paths[] = {"/var/log/x", "/etc/passwd"};
    for (size_t i = 0; i < 2; i++) {
        const size_t len = strlen(paths[i]);
        cr_expect_eq(file_rules_access(less->files, paths[i], len, 0, NULL) &
                         ~file_rules_access(more->files, paths[i], len, 0, NULL),
                     0);
    }
}

static void compare_sets(const struct policy *less, const struct policy *more, const char *why)
{
    for (int i = 0; i < 40; i++) {
        struct policy_request r = random_request();
        struct policy_decision a, b;
        struct policy_explanation x;
        cr_assert_eq(policy_decide(less, &r, &a, NULL), 0);
        cr_assert_eq(policy_decide(more, &r, &b, NULL), 0);
        expect_subset(&a, &b, why);
        cr_assert_eq(policy_explain(more, &r, NULL, &x, NULL), 0);
        cr_expect_eq(x.decision.allowed, b.allowed);
        cr_expect_eq(x.decision.abilities, b.abilities);
        cr_expect_eq(x.decision.until_s, b.until_s);
        cr_expect_str_eq(x.decision.because, b.because);
        cr_expect_str_eq(x.decision.reason, b.reason);
        cr_expect_str_eq(x.decision.path, b.path);
        cr_expect_str_eq(x.decision.token, b.token);
        size_t matching = 0;
        for (size_t k = 0; k < x.role_count; k++)
            matching += x.roles[k].matches;
        cr_expect(!b.allowed || matching > 0);
        policy_explanation_clear(&x);
        policy_decision_clear(&a);
        policy_decision_clear(&b);
    }
}

/* Without deny rules and limits one more role never takes anything away, and one more condition on
 * a role never gives anything. */
Test(policy_conditions, more_roles_more_conditions)
{
    static char text[8][600];
    struct fixture_file files[9];

    for (seed = 1; seed < 400; seed = seed % 1000 + 1) {
        const unsigned start = seed, count = 2 + pick(6);
        static const char *const names[] = {"roles.d/0.yaml", "roles.d/1.yaml", "roles.d/2.yaml",
                                            "roles.d/3.yaml", "roles.d/4.yaml", "roles.d/5.yaml",
                                            "roles.d/6.yaml", "roles.d/7.yaml"};
        for (unsigned i = 0; i < count; i++) {
            random_role(text[i], sizeof text[i], i, pick(2) ? PICK(conditions) : "");
            files[i] = (struct fixture_file){names[i], text[i]};
        }
        struct policy *all = load(files, count), *fewer = load(files, count - 1);
        compare_sets(fewer, all, "a role more");
        policy_free(fewer);
        if (!strstr(text[0], "from:") && !strstr(text[0], "when:") &&
            !strstr(text[0], "factors:")) {
            strcat(text[0], PICK(conditions));
            /* [password, totp] is another condition than [key, totp], not a narrower one. */
            if (!strstr(text[0], "factors:")) {
                struct policy *narrower = load(files, count);
                compare_sets(narrower, all, "a condition more");
                policy_free(narrower);
            }
        }
        policy_free(all);
        seed = start;
    }
}

/* Conditions of the site make other roles narrower; a deny they would make miss. */
Test(policy_conditions, a_role_that_only_denies_inherits_nothing)
{
#define MINE "members: [alice]\ntargets: {env: lab}\naccounts: [root]\n"
    static const struct {
        const char *site, *permits, *denies; /* keys of the roles */
        bool allowed, shell;
        const char *because;
    } cases[] = {
        {"from: [10.9.0.0/16]\n", "from: [10.0.0.0/8]\n", "", true, false, "permits"},
        {"when: [\"Mon 00:00-00:01 UTC\"]\n", "when: [\"Mon-Sun 00:00-24:00 UTC\"]\n", "", true,
         false, "permits"},
        {"factors: [password, totp]\n", "factors: [key, totp]\n", "", true, false, "permits"},
        /* its own hold */
        {"{}\n", "", "from: [10.9.0.0/16]\n", true, true, "permits"},
        {"{}\n", "", "when: [\"Mon 00:00-00:01 UTC\"]\n", true, true, "permits"},
        {"{}\n", "", "factors: [password, totp]\n", true, true, "permits"},
        /* where nothing else matches, that is what is told */
        {"from: [10.9.0.0/16]\n", "", "", false, false, "permits/from"},
        {"when: [\"Mon 00:00-00:01 UTC\"]\n", "", "", false, false, "permits/when"},
        {"{}\n", "from: [10.9.0.0/16]\n", "when: [\"Mon 00:00-00:01 UTC\"]\n", false, false,
         "permits/from"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char permits[400], denies[400];
        snprintf(permits, sizeof permits,
                 "role: permits\n" MINE "allow: {shell: true, exec: true}\n%s", cases[i].permits);
        snprintf(denies, sizeof denies,
                 "role: denies\n" MINE "allow: {}\ncommands: [{deny: rm}]\n%s", cases[i].denies);
        const struct fixture_file files[] = {{"site.yaml", cases[i].site},
                                             {"roles.d/denies.yaml", denies},
                                             {"roles.d/permits.yaml", permits}};
        struct policy_request r = {.operator_name = "alice",
                                   .target = "hv1",
                                   .account = "root",
                                   .now_s = 1772445600, /* a Monday, 10:00 UTC */
                                   .factors = FACTOR_KEY | FACTOR_TOTP};
        struct err e = ERR_INIT;
        struct policy_decision d;
        struct policy *p = fixture_load_files(files, 3, NULL, &e);

        cr_assert_not_null(p, "%zu: %s", i, e.text);
        cr_assert_eq(address_parse("10.1.2.3", &r.source, NULL), 0);
        cr_assert_eq(policy_decide(p, &r, &d, &e), 0);
        cr_expect_eq(d.allowed, cases[i].allowed, "%zu: %s", i, d.reason);
        cr_expect_eq((d.abilities & ABILITY_SHELL) != 0, cases[i].shell, "%zu: %s", i, d.path);
        cr_expect_eq(rule_set_denies(d.rules, NULL), cases[i].allowed && !cases[i].shell, "%zu", i);
        cr_expect_str_eq(d.because, cases[i].because, "%zu", i);
        policy_decision_clear(&d);
        policy_free(p);
    }
#undef MINE
}
