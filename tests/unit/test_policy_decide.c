/* SPDX-License-Identifier: Apache-2.0
 *
 * Decisions: who gets what by which roles, what the narrowest limits are, and what a refused
 * operator is told. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "policy/policy.h"
#include "tests/unit/policy_fixture.h"

static const char *const roles[] = {
    /* 1 */ "role: base\nmembers: [group:ops]\ntargets: {env: lab, kind: [libvirt, "
            "kvm]}\naccounts: [root, libvirt]\n"
            "remember: 8h\nallow: {exec: true}\nprograms: {virsh: /usr/bin/virsh}\n"
            "commands: [{allow: virsh list}]\nsession: {idle: 15m, max: 8h}\n",
    /* 2 */
    "role: shell\nmembers: [alice]\ntargets: {name: hv1}\naccounts: [root]\nremember: 1h\n"
    "allow: {shell: true}\nsession: {idle: 10m, max: 12h, record: sync-all}\n",
    /* 3 */
    "role: two\nmembers: [bob, group:net]\ntargets: {name: [hv2, sw1]}\naccounts: [root]\n"
    "from: [10.1.0.0/16, \"2001:db8:9::/48\"]\nallow: {exec: true}\n",
    /* 4 */
    "role: more\nmembers: [bob, group:ops]\ntargets: {env: lab, kind: libvirt}\naccounts: "
    "[root]\nremember: 2h\n"
    "allow: {exec: true}\ncommands: [{allow: /usr/bin/uptime}]\n",
    /* 5 */ "role: none\nmembers: [carol]\ntargets: {all: true}\naccounts: [backup]\nallow: {}\n",
};

static struct policy *load(void)
{
    struct err e = ERR_INIT;
    struct policy *p = fixture_load(roles, sizeof roles / sizeof *roles, &e);

    cr_assert_not_null(p, "%s", e.text);
    return p;
}

static struct policy_request request(const char *who, const char *target, const char *account,
                                     const char *from)
{
    struct policy_request r = {.operator_name = who,
                               .target = target,
                               .account = account,
                               .factors = FACTOR_KEY | FACTOR_TOTP};

    cr_assert_eq(address_parse(from, &r.source, NULL), 0);
    return r;
}

Test(policy_decide, table)
{
    static const struct {
        const char *who, *target, *account, *from;
        uint32_t abilities; /* of an allowed one */
        const char *token;  /* of a denied one */
        const char *says;   /* in path or reason */
    } cases[] = {
        {"bob", "hv1", "root", "10.0.0.9", ABILITY_EXEC, NULL,
         "role base (roles.d/1.yaml:1): group:ops, target, account match; "
         "role more (roles.d/4.yaml:1): members, target, account match"},
        {"bob", "hv1", "libvirt", "10.0.0.9", ABILITY_EXEC, NULL, "role base (roles.d/1.yaml:1)"},
        {"alice", "hv1", "root", "10.0.0.9", ABILITY_EXEC | ABILITY_SHELL | ABILITY_PTY, NULL,
         "role shell"},
        {"alice", "hv1.lan", "root", "10.0.0.9", ABILITY_EXEC | ABILITY_SHELL | ABILITY_PTY, NULL,
         ""},
        {"alice", "hv1", "libvirt", "10.0.0.9", ABILITY_EXEC, NULL, "role base"},
        {"bob", "hv2", "root", "10.1.2.3", ABILITY_EXEC | ABILITY_PTY, NULL, "account, from match"},
        {"bob", "hv2", "root", "::ffff:10.1.2.3", ABILITY_EXEC | ABILITY_PTY, NULL, "role two"},
        {"alice", "sw1", "root", "2001:db8:9::1", ABILITY_EXEC | ABILITY_PTY, NULL, "group:net"},
        {"carol", "sw1", "backup", "10.0.0.9", 0, "no-ability",
         "Your role none matches backup on sw1, but permits nothing there"},

        {"bob", "hv2", "root", "10.2.0.1", 0, "address",
         "Your role two does not permit logins to hv2 from 10.2.0.1: denied by two/from; ask your "
         "policy administrators"},
        {"bob", "sw1", "root", "2001:db8:8::1", 0, "address", "from 2001:db8:8::1"},
        {"bob", "hv1", "admin", "10.0.0.9", 0, "account",
         "None of your roles permits the account admin on hv1 (permitted: root, libvirt): denied "
         "by "
         "base/accounts; ask your policy administrators"},
        {"bob", "hv1", "ROOT", "10.0.0.9", 0, "account", "the account ROOT on hv1"},
        {"bob", "hv1", "root ", "10.0.0.9", 0, "account", ""},
        {"bob", "hv1", "x\x1b[2J", "10.0.0.9", 0, "account", "x\\x1b[2J"},
        {"alice", "hv2", "backup", "10.1.0.1", 0, "account", "(permitted: root)"},
        {"carol", "hv1", "root", "10.0.0.9", 0, "account", "(permitted: backup)"},
        {"dave", "hv1", "root", "10.0.0.9", 0, "unknown-operator", "has no operator dave"},
        {"", "hv1", "root", "10.0.0.9", 0, "unknown-operator", ""},
        {"bob", "hv9", "root", "10.0.0.9", 0, "unknown-target", "There is no target named hv9"},
        {"bob", "HV1", "root", "10.0.0.9", 0, "unknown-target", ""},
        {"bob", "hv1.", "root", "10.0.0.9", 0, "unknown-target", ""},
        {"bob", "", "root", "10.0.0.9", 0, "unknown-target", ""},
        {"bob", "gateway", "root", "10.0.0.9", 0, "unknown-target", ""},
    };
    struct policy *p = load();

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct policy_request r =
            request(cases[i].who, cases[i].target, cases[i].account, cases[i].from);
        struct policy_decision d;
        struct err e = ERR_INIT;
        cr_assert_eq(policy_decide(p, &r, &d, &e), 0, "%s", e.text);
        cr_expect_eq(d.allowed, cases[i].token == NULL, "case %zu: %s", i, d.reason);
        if (cases[i].token) {
            cr_expect_str_eq(d.token, cases[i].token);
            cr_expect_eq(d.abilities, 0);
            cr_expect_null(d.rules);
            cr_expect(strstr(d.reason, cases[i].says), "case %zu: %s", i, d.reason);
        } else {
            cr_expect_eq(d.abilities, cases[i].abilities, "case %zu: %u", i, d.abilities);
            cr_expect(strstr(d.path, cases[i].says), "case %zu: %s", i, d.path);
        }
        policy_decision_clear(&d);
    }
    policy_free(p);
}

Test(policy_decide, limits_are_the_narrowest)
{
    struct policy *p = load();
    struct policy_request r = request("alice", "hv1", "root", "10.0.0.9");
    struct policy_decision d;

    cr_assert_eq(policy_decide(p, &r, &d, NULL), 0);
    cr_expect_eq(d.idle_s, 600);
    cr_expect_eq(d.max_s, 8 * 3600);
    cr_expect_eq(d.record, RECORD_SYNC_ALL);
    policy_decision_clear(&d);
    r = request("bob", "hv2", "root", "10.1.0.1");
    cr_assert_eq(policy_decide(p, &r, &d, NULL), 0);
    cr_expect_eq(d.idle_s, 0);
    cr_expect_eq(d.max_s, 0);
    cr_expect_eq(d.record, RECORD_STRICT);
    policy_decision_clear(&d);
    policy_free(p);
}

static int apply(const struct rule_set *set, const char *command)
{
    struct buf forward;
    char name[128];

    buf_init(&forward, 4096);
    int rc = rule_set_apply(set, command, strlen(command), name, NULL, &forward, NULL);
    buf_clear(&forward);
    return rc;
}

Test(policy_decide, rules_add_up)
{
    struct policy *p = load();
    struct policy_request r = request("bob", "hv1", "root", "10.0.0.9");
    struct policy_decision d;

    cr_assert_eq(policy_decide(p, &r, &d, NULL), 0);
    cr_assert_not_null(d.rules);
    cr_expect_eq(apply(d.rules, "virsh list"), 0);
    cr_expect_eq(apply(d.rules, "/usr/bin/uptime"), 0);
    cr_expect_eq(apply(d.rules, "uptime"), ERR_DENIED);
    cr_expect_eq(apply(d.rules, "id"), ERR_DENIED);
    policy_decision_clear(&d);
    policy_decision_clear(NULL);
    policy_free(p);
}

/* A role whose exec has no rules frees exec, but only where it matches. */
Test(policy_decide, exec_without_rules_wins)
{
    static const char *const both[] = {
        "role: 1\nmembers: [alice]\ntargets: {env: lab}\naccounts: [root]\nallow: {exec: true}\n"
        "commands: [{allow: /bin/true}]\n",
        "role: 2\nmembers: [alice]\ntargets: {kind: xen}\naccounts: [root]\nallow: {exec: true}\n"};
    struct err e = ERR_INIT;
    struct policy *p = fixture_load(both, 2, &e);
    struct policy_decision d;
    cr_assert_not_null(p, "%s", e.text);

    struct policy_request r = request("alice", "hv1", "root", "10.0.0.9");
    cr_assert_eq(policy_decide(p, &r, &d, NULL), 0);
    cr_expect_not_null(d.rules);
    cr_expect_eq(d.abilities, ABILITY_EXEC);
    policy_decision_clear(&d);
    r.target = "hv2";
    cr_assert_eq(policy_decide(p, &r, &d, NULL), 0);
    cr_expect_null(d.rules);
    cr_expect_eq(d.abilities, ABILITY_EXEC | ABILITY_PTY);
    policy_decision_clear(&d);
    policy_free(p);
}

Test(policy_decide, factors)
{
    static const struct {
        const char *who, *target;
        uint32_t factors;
        uint64_t age_s;
        const char *token; /* NULL: allowed */
    } cases[] = {
        {"bob", "hv1", FACTOR_KEY | FACTOR_TOTP, 0, NULL},
        {"bob", "hv1", FACTOR_KEY | FACTOR_REMEMBERED, 0, NULL},
        {"bob", "hv1", FACTOR_KEY | FACTOR_REMEMBERED, 7199, NULL},
        {"bob", "hv1", FACTOR_KEY | FACTOR_REMEMBERED, 7200,
         "remembered-too-old"}, /* more: 2h, base: 8h */
        {"alice", "hv1", FACTOR_KEY | FACTOR_REMEMBERED, 3600,
         "remembered-too-old"}, /* shell: 1h */
        {"alice", "hv1", FACTOR_KEY | FACTOR_REMEMBERED, 3599, NULL},
        {"alice", "hv1", FACTOR_KEY | FACTOR_REMEMBERED | FACTOR_TOTP, 999999, NULL},
        {"bob", "hv2", FACTOR_KEY | FACTOR_REMEMBERED, 0, "remembered-too-old"}, /* two: none */
        {"bob", "hv1", FACTOR_KEY, 0, "factors"},
        {"bob", "hv1", FACTOR_TOTP, 0, "factors"},
        {"bob", "hv1", FACTOR_REMEMBERED, 0, "factors"},
        {"bob", "hv1", 0, 0, "factors"},
    };
    struct policy *p = load();

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct policy_request r = request(cases[i].who, cases[i].target, "root", "10.1.0.9");
        struct policy_decision d;
        r.factors = cases[i].factors;
        r.remembered_age_s = cases[i].age_s;
        cr_assert_eq(policy_decide(p, &r, &d, NULL), 0);
        cr_expect_eq(d.allowed, cases[i].token == NULL, "case %zu: %s", i, d.reason);
        cr_expect_str_eq(d.token, cases[i].token ? cases[i].token : "");
        cr_expect(d.allowed || !d.rules);
        policy_decision_clear(&d);
    }
    cr_expect_eq(policy_remember_s(p, "bob"), 8 * 3600);
    cr_expect_eq(policy_remember_s(p, "carol"), 0);
    cr_expect_eq(policy_remember_s(p, "nobody"), 0);
    policy_free(p);
}

Test(policy_decide, roles_of_an_operator)
{
    const char *names[2] = {NULL, NULL};
    struct policy *p = load();
    size_t count = policy_roles_of(p, "bob", names, 2);

    cr_expect_eq(policy_roles_of(p, "bob", NULL, 0), count);
    cr_assert_eq(count, 3);
    cr_expect_str_eq(names[0], "base");
    cr_expect_str_eq(names[1], "two");
    names[1] = NULL;
    cr_expect_eq(policy_roles_of(p, "bob", names, 1), count);
    cr_expect_null(names[1]);
    cr_expect_eq(policy_roles_of(p, "carol", names, 2), 1);
    cr_expect_eq(policy_roles_of(p, "nobody", names, 2), 0);
    policy_free(p);
}

Test(policy_decide, no_role)
{
    struct err e = ERR_INIT;
    struct policy *p = fixture_load(NULL, 0, &e);
    struct policy_request r = request("alice", "hv1", "root", "10.0.0.9");
    struct policy_decision d;

    cr_assert_eq(policy_decide(p, &r, &d, &e), 0);
    cr_expect(!d.allowed);
    cr_expect_str_eq(d.token, "no-role");
    cr_expect_str_eq(d.reason,
                     "None of your roles permits the target hv1; ask your policy administrators");
    policy_free(p);
}

/* Rules of many roles that do not fit into one grant deny, they are not cut. */
Test(policy_decide, too_many_rules)
{
    const char *texts[4];
    char *made[4];
    struct err e = ERR_INIT;
    struct policy_decision d;

    for (int i = 0; i < 4; i++) {
        size_t at = 0;
        made[i] = malloc(70000);
        at += (size_t)sprintf(made[i],
                              "role: r%d\nmembers: [alice]\ntargets: {env: lab}\naccounts: [root]\n"
                              "allow: {exec: true}\ncommands:\n",
                              i);
        for (int k = 0; k < 40; k++)
            at += (size_t)sprintf(made[i] + at, "  - allow: \"/bin/x %01000d\"\n", k);
        texts[i] = made[i];
    }
    struct policy *p = fixture_load(texts, 4, &e);
    cr_assert_not_null(p, "%s", e.text);
    struct policy_request r = request("alice", "hv1", "root", "10.0.0.9");
    cr_expect_eq(policy_decide(p, &r, &d, &e), 0);
    cr_expect(!d.allowed);
    cr_expect_str_eq(d.token, "rules");
    cr_expect(strstr(d.reason, "ask your policy administrators"));
    cr_expect_null(d.rules);
    policy_decision_clear(&d);
    policy_free(p);
    for (int i = 0; i < 4; i++)
        free(made[i]);
}

/* The same for file rules, at the byte: what fits is granted whole, one more denies all. */
Test(policy_decide, too_many_file_rules)
{
    /* U8 and two lengths, "big/sftp.read[NNN]" */
    enum { RULE = 9 + 1001, FIT = FILES_ENCODED_MAX / RULE };
    static char text[2][80000];
    const char *texts[2] = {text[0], text[1]};
    struct err e = ERR_INIT;
    struct policy_decision d;

    for (int over = 0; over < 2; over++) {
        size_t at = (size_t)sprintf(text[0], "role: big\nmembers: [alice]\ntargets: {env: lab}\n"
                                             "accounts: [root]\nallow:\n  sftp:\n    read:\n");
        for (int k = 0; k < FIT; k++)
            at += (size_t)sprintf(text[0] + at, "      - /%0*d\n",
                                  1000 - (int)strlen("big/sftp.read[0]") - (k > 9), k);
        const int left = FILES_ENCODED_MAX - FIT * RULE - 9 - (int)strlen("small/sftp.write[0]");
        cr_assert_gt(left, 2);
        sprintf(text[1],
                "role: small\nmembers: [alice]\ntargets: {env: lab}\naccounts: [root]\n"
                "allow: {sftp: {write: [/%0*d]}}\n",
                left - 1 + over, 7);
        struct policy *p = fixture_load(texts, 2, &e);
        cr_assert_not_null(p, "%s", e.text);
        struct policy_request r = request("alice", "hv1", "root", "10.0.0.9");
        cr_assert_eq(policy_decide(p, &r, &d, &e), 0);
        cr_expect_eq(d.allowed, !over);
        cr_expect_str_eq(d.token, over ? "rules" : "");
        cr_expect_eq(d.abilities, over ? 0 : ABILITY_SFTP);
        cr_expect_eq(d.files == NULL, over);
        if (over) {
            cr_expect(strstr(d.reason, "more rules together"));
        } else {
            struct buf bytes;
            buf_init(&bytes, FILES_ENCODED_MAX);
            cr_expect_eq(file_rules_encode(d.files, &bytes), 0);
            cr_expect_eq(buf_len(&bytes), FILES_ENCODED_MAX);
            struct file_rules *got = file_rules_decode(buf_head(&bytes), buf_len(&bytes), &e);
            cr_expect_not_null(got, "%s", e.text);
            file_rules_free(got);
            buf_clear(&bytes);
        }
        policy_decision_clear(&d);
        policy_free(p);
    }
}

#define ROLE(name, targets)                                                                        \
    "role: " name "\nmembers: [alice]\ntargets: {" targets "}\naccounts: [root]\n"

/* What roles permit of files adds up; of what is recorded the most is. */
Test(policy_decide, files_and_recording)
{
    static const char *const texts[] = {
        ROLE("1", "all: true") "allow: {exec: true, sftp: {read: [/var/log/**]}}\n"
                               "session: {bulk: digest, bulk-after: 1MiB, keep: content}\n",
        ROLE("2", "env: lab") "allow: {exec: true, sftp: {write: [/var/log/x]}}\n"
                              "session: {bulk: digest, bulk-after: 2MiB, keep: content, "
                              "keep-max: 1GiB}\n",
        ROLE("3", "kind: xen") "allow: {exec: true, sftp: false}\n",
    };
    static const struct {
        const char *target;
        unsigned access; /* at /var/log/x */
        enum bulk_mode bulk;
        uint64_t after, keep;
    } cases[] = {
        {"sw1", FILE_READ, BULK_DIGEST, 1 << 20, 16 << 20},
        {"hv1", FILE_READ | FILE_WRITE, BULK_DIGEST, 2 << 20, 1 << 30},
        {"hv2", FILE_READ | FILE_WRITE, BULK_FULL, 0, 1 << 30},
    };
    struct err e = ERR_INIT;
    struct policy *p = fixture_load(texts, 3, &e);
    cr_assert_not_null(p, "%s", e.text);

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct policy_request r = request("alice", cases[i].target, "root", "10.0.0.9");
        struct policy_decision d;
        cr_assert_eq(policy_decide(p, &r, &d, NULL), 0);
        cr_expect_eq(d.abilities, ABILITY_EXEC | ABILITY_PTY | ABILITY_SFTP);
        cr_expect_eq(file_rules_access(d.files, "/var/log/x", 10, 0, NULL), cases[i].access);
        cr_expect(!file_rules_unrestricted(d.files));
        cr_expect_eq(d.bulk, cases[i].bulk, "case %zu", i);
        cr_expect_eq(d.bulk_after, cases[i].after, "case %zu", i);
        cr_expect_eq(d.keep_max, cases[i].keep, "case %zu", i);
        policy_decision_clear(&d);
        r.factors = FACTOR_KEY;
        cr_assert_eq(policy_decide(p, &r, &d, NULL), 0);
        cr_expect(!d.allowed && !d.files && !d.abilities);
        policy_decision_clear(&d);
    }
    policy_free(p);
}

/* Of a command's input digests are kept only where every rule that allows it says so. */
Test(policy_decide, stdin_digest)
{
    static const char *const texts[] = {
        ROLE("1", "all: true") "allow: {exec: true}\n"
                               "commands: [{allow: /bin/cat, stdin: digest}, {allow: /bin/tac}]\n",
        ROLE("2", "env: lab") "allow: {exec: true}\ncommands: [{allow: /bin/cat}]\n",
    };
    static const struct {
        const char *target, *command;
        bool digest;
    } cases[] = {{"sw1", "/bin/cat", true}, {"sw1", "/bin/tac", false}, {"hv1", "/bin/cat", false}};
    struct err e = ERR_INIT;
    struct policy *p = fixture_load(texts, 2, &e);
    cr_assert_not_null(p, "%s", e.text);

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct policy_request r = request("alice", cases[i].target, "root", "10.0.0.9");
        struct policy_decision d;
        struct buf forward;
        char name[128];
        bool digest = !cases[i].digest;
        buf_init(&forward, 4096);
        cr_assert_eq(policy_decide(p, &r, &d, NULL), 0);
        cr_expect_eq(rule_set_apply(d.rules, cases[i].command, 8, name, &digest, &forward, &e), 0);
        cr_expect_eq(digest, cases[i].digest, "case %zu", i);
        cr_expect_eq(buf_len(&forward), 8);
        cr_expect(strncmp(name, "1/commands[", 11) == 0);
        digest = true;
        cr_expect_eq(rule_set_apply(d.rules, "/bin/dog", 8, name, &digest, &forward, &e),
                     ERR_DENIED);
        cr_expect(!digest);
        buf_clear(&forward);
        policy_decision_clear(&d);
    }
    policy_free(p);
}

/* A login that nothing could come of is told so, and not let in to be refused at each step. */
Test(policy_decide, no_ability)
{
    static const char *const texts[] = {
        ROLE("1", "env: lab") "allow: {shell: false, sftp: {write: []}}\n",
        ROLE("2", "kind: libvirt") "allow: {}\n",
        ROLE("3", "kind: xen") "allow: {sftp: {write: [/tmp/x]}}\n",
    };
    static const struct {
        const char *target, *reason; /* NULL: allowed */
    } cases[] = {
        {"hv1", "Your role 1, as others of yours, matches root on hv1, but permits nothing there: "
                "no shell, no commands, no file transfer, no forwarding: denied by 1/allow; ask "
                "your policy "
                "administrators"},
        {"hv2", NULL},
    };
    struct err e = ERR_INIT;
    struct policy *p = fixture_load(texts, 3, &e);
    cr_assert_not_null(p, "%s", e.text);

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct policy_request r = request("alice", cases[i].target, "root", "10.0.0.9");
        struct policy_decision d;
        cr_assert_eq(policy_decide(p, &r, &d, NULL), 0);
        cr_expect_eq(d.allowed, !cases[i].reason);
        cr_expect_str_eq(d.token, cases[i].reason ? "no-ability" : "");
        cr_expect_str_eq(d.reason, cases[i].reason ? cases[i].reason : "");
        cr_expect_eq(d.abilities, cases[i].reason ? 0 : ABILITY_SFTP);
        policy_decision_clear(&d);
    }
    policy_free(p);
}

/* A role that only denies gives nothing to be remembered for; unless it says how long. */
/* What a role that only denies names is no account that somebody could take instead. */
Test(policy_decide, accounts_of_roles_that_only_deny)
{
    static const char *const two[] = {
        "role: one\nmembers: [alice]\ntargets: {env: lab}\naccounts: [backup]\nallow: {exec: "
        "true}\n",
        "role: two\nmembers: [alice]\ntargets: {env: lab}\naccounts: [root, backup]\nallow: {}\n"
        "commands: [{deny: virsh undefine}]\n"};
    struct err e = ERR_INIT;
    struct policy *p = fixture_load(two, 2, &e);
    struct policy_request r = {.operator_name = "alice",
                               .target = "hv1",
                               .account = "admin",
                               .factors = FACTOR_KEY | FACTOR_TOTP};
    struct policy_decision d;

    cr_assert_not_null(p, "%s", e.text);
    cr_assert_eq(address_parse("10.0.0.9", &r.source, &e), 0);
    cr_assert_eq(policy_decide(p, &r, &d, &e), 0);
    cr_expect_not(d.allowed);
    cr_expect_not_null(strstr(d.reason, "(permitted: backup)"), "%s", d.reason);
    policy_decision_clear(&d);
    policy_free(p);
}

Test(policy_decide, remember_of_roles_that_only_deny)
{
#define MINE "members: [alice]\ntargets: {env: lab}\naccounts: [root]\n"
    static const struct {
        const char *roles[2];
        uint64_t remember_s;
        const char *because; /* of a login of 1000 s; "": allowed */
    } cases[] = {
        {{"role: one\n" MINE "remember: 1h\nallow: {exec: true}\n",
          "role: two\n" MINE "allow: {}\ncommands: [{deny: virsh undefine}]\n"},
         3600,
         ""},
        {{"role: one\n" MINE "allow: {}\ncommands: [{deny: virsh undefine}]\n",
          "role: two\n" MINE "remember: 1h\nallow: {exec: true}\n"},
         3600,
         ""},
        {{"role: one\n" MINE "remember: 1h\nallow: {exec: true}\n",
          "role: two\n" MINE "remember: 5m\nallow: {}\ncommands: [{deny: virsh undefine}]\n"},
         300,
         "two/remember"},
        {{"role: one\n" MINE "remember: 1h\nallow: {exec: true}\n",
          "role: two\n" MINE "allow: {exec: true}\ncommands: [{deny: virsh undefine}]\n"},
         0,
         "two/remember"},
        {{"role: one\n" MINE "remember: 1h\nallow: {exec: true}\n",
          "role: two\n" MINE "allow: {forward: [\"localhost:22\"]}\n"},
         0,
         "two/remember"},
        {{"role: one\n" MINE "allow: {}\ncommands: [{deny: virsh undefine}]\n",
          "role: two\n" MINE "allow: {}\n"},
         0,
         "one/allow"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = ERR_INIT;
        struct policy *p = fixture_load(cases[i].roles, 2, &e);
        struct policy_request r = request("alice", "hv1", "root", "10.0.0.9");
        struct policy_decision d;

        cr_assert_not_null(p, "%s", e.text);
        cr_assert_eq(policy_decide(p, &r, &d, &e), 0);
        cr_expect_eq(d.remember_s, cases[i].remember_s, "%zu", i);
        policy_decision_clear(&d);
        r.factors = FACTOR_KEY | FACTOR_REMEMBERED;
        r.remembered_age_s = 1000;
        cr_assert_eq(policy_decide(p, &r, &d, &e), 0);
        cr_expect_eq(d.allowed, !cases[i].because[0], "%zu: %s", i, d.reason);
        cr_expect_str_eq(d.allowed ? "" : d.because, cases[i].because, "%zu", i);
        policy_decision_clear(&d);
        policy_free(p);
    }
#undef MINE
}
