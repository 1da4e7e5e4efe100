/* SPDX-License-Identifier: Apache-2.0
 *
 * Command rules in role files: each wrong form and where it is, each warning; and what several
 * roles' rules come to in one decision. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/policy.h"
#include "tests/unit/policy_fixture.h"

#define HEAD  "role: 1\nmembers: [alice]\ntargets: {env: lab}\naccounts: [root]\n"
#define EXEC  HEAD "allow: {exec: true}\nprograms: {virsh: /usr/bin/virsh}\ncommands:\n  - "
#define VIRSH "{allow: virsh list}\n  - "

Test(policy_commands, wrong_forms)
{
    static const struct {
        const char *rule, *says; /* NULL: accepted */
    } cases[] = {
        {"allow: \"virsh list|dominfo|start|shutdown **\"", NULL},
        {"allow: \"virsh setvcpus <name> <int:1-64> --live\"", NULL},
        {"allow: \"virsh define <path:/srv/**>\"", NULL},
        {"allow: \"virsh define <path:/srv/my files/*.xml>\"", NULL},
        {"allow: \"virsh 'a*b|c' '<int>'\"", NULL},
        {"allow: \"virsh echo '**' x\"", NULL},
        {VIRSH "deny: \"virsh destroy|undefine **\"", NULL},
        {VIRSH "deny: \"/usr/bin/virsh destroy\"", NULL},
        {VIRSH "deny: \"* destroy\"", NULL},
        {VIRSH "deny: \"reboot|poweroff|/sbin/halt\"", NULL},
        {"allow: \"virsh start vm*\"",
         "8:12: found \"virsh start vm*\", expected one plain command (column 15: found * beside "
         "other text, expected * or ** as a word of its own (quote a literal one))"},
        {"allow: \"virsh start *vm\"", "column 13: found * beside other text"},
        {"allow: \"virsh start ***\"", "column 13: found * beside other text"},
        {"allow: \"virsh start -***\"", "column 14: found * beside other text"},
        {"allow: \"virsh *|list\"", "column 7: found * beside other text"},
        {"allow: \"virsh ** list\"", "column 10: found a word behind **, expected ** at the end"},
        {"allow: \"virsh -** list\"", "column 11: found a word behind **"},
        {"allow: \"virsh list|\"", "column 12: found nothing beside |, expected words on both"},
        {"allow: \"virsh |list\"", "column 7: found nothing beside |"},
        {"allow: \"virsh list||dominfo\"", "column 12: found nothing beside |"},
        {"allow: \"virsh list | sh\"", "column 12: found nothing beside |"},
        {"allow: \"virsh <int:64-1>\"",
         "column 7: found <int:64-1>, expected a range such as <int:1-64>, its low end first"},
        {"allow: \"virsh <int:1>\"", "found <int:1>, expected a range"},
        {"allow: \"virsh <int:-1-5>\"", "found <int:-1-5>, expected a range"},
        {"allow: \"virsh <int:1-0x5>\"", "found <int:1-0x5>, expected a range"},
        {"allow: \"virsh <int:1-9223372036854775808>\"", "expected a range"},
        {"allow: \"virsh <int:>\"", "found <int:>, expected a range"},
        {"allow: \"virsh <itn>\"", "column 7: found <itn> (did you mean <int>?), expected <int>"},
        {"allow: \"virsh <name:x>\"", "found <name> (did you mean <name>?)"},
        {"allow: \"virsh <>\"", "column 7: found <>, expected <int>"},
        {"allow: \"virsh <int\"", "column 7: found < without its end"},
        {"allow: \"virsh <int>x\"", "column 12: found x behind >, expected <...> to be a word"},
        {"allow: \"virsh x<int>\"", "column 8: found < beside other text"},
        {"allow: \"virsh --n=<int>\"", "column 11: found < beside other text"},
        {"allow: \"virsh list > /tmp/x\"", "column 12: found > beside other text"},
        {"allow: \"virsh <path:srv>\"",
         "column 7: in <path:srv>: found a path that does not begin with /"},
        {"allow: \"virsh <path:/a/../b>\"", "column 7: in <path:/a/../b>: found .. at byte 4"},
        {"allow: \"virsh list; id\"", "column 11: found ;"},
        {"allow: \"virsh $(id)\"", "column 7: found $"},
        {"allow: \"virsh list\\tid\"", "8:12: found the control character 0x09"},
        {"allow: \"virsh l\xc3\xadst\"", "column 8: found \"\xc3\xad\", which is not ASCII"},
        {"allow: \"virsh 'list\"", "column 7: found ' without its end"},
        {"allow: \"\"", "8:12: found \"\""},
        {"allow: \" \"", "found nothing, expected a command"},
        {"allow: \"'' x\"", "its first word is no program"},
        {"allow: \"A=b virsh\"", "its first word is no program"},
        {"allow: \"virsh|virt-admin list\"", "expected one program as its first word"},
        {"allow: \"* list\"", "expected one program as its first word"},
        {"allow: \"**\"", "expected one program as its first word"},
        {"allow: \"<path> list\"", "expected one program as its first word"},
        {"allow: \"virsh \\\"it's\\\"\"", "word 2: found ' \\ or !"},
        {"allow: \"virsh list|'a!b'\"", "word 2: found ' \\ or !"},
        {"allow: class:snapshot",
         "8:12: found allow: class:snapshot, expected the words of a command: what is allowed"},
        {VIRSH "deny: class:nosuchclass",
         "9:11: found the class \"nosuchclass\", expected one that a file of packs/ has"},
        {VIRSH "deny: \"<name> list\"", "expected programs as its first word"},
        {VIRSH "deny: \"** list\"", "column 4: found a word behind **"},
        {VIRSH "deny: \"/usr/bin/ list\"", "expected programs as its first word"},
        {VIRSH "{deny: virsh list, stdin: digest}", "9:31: found stdin beside deny"},
        {"{allow: virsh list, deny: virsh list}", "8:5: found both allow and deny"},
        {"{stdin: digest}", "8:5: found neither allow nor deny"},
        {"{alow: virsh list}", "8:6: unknown key \"alow\" (did you mean \"allow\"?)"},
        {"{deny: [virsh]}", "8:12: found a list, expected a command"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = ERR_INIT;
        char role[2000];
        snprintf(role, sizeof role, EXEC "%s\n", cases[i].rule);
        struct policy *p = fixture_load_with(NULL, NULL, role, &e);
        if (cases[i].says) {
            cr_expect_null(p, "%s", cases[i].rule);
            cr_expect(strncmp(e.text, "roles.d/1.yaml:", 15) == 0 && strstr(e.text, cases[i].says),
                      "%s\ngot: %s\nnot: %s", cases[i].rule, e.text, cases[i].says);
        } else {
            cr_expect_not_null(p, "%s: %s", cases[i].rule, e.text);
        }
        policy_free(p);
    }
}

/* What --check says of rules, without "roles.d/1.yaml:"; the role's name gives one more line. */
Test(policy_commands, warnings)
{
    static const struct {
        const char *rules, *says;
    } cases[] = {
        {"allow: virsh list", ""},
        {"allow: \"virsh list|dominfo **\"", ""},
        {"allow: \"virsh -c test:///default list\"", ""},
        {"allow: \"virsh **\"", "8:12: warning: the command of /usr/bin/virsh is left open"},
        {"allow: \"virsh -c <path> *\"", "is left open"},
        {"allow: \"virsh list -*\"", "8:12: warning: -* lets any option through"},
        {"allow: \"virsh list -**\"", "8:12: warning: -** lets any option through"},
        {"allow: /bin/sh", "8:12: warning: /bin/sh is a shell: the rule allows more than it says"},
        {"allow: \"/bin/bash <path>\"", "/bin/bash is a shell"},
        {"allow: \"/bin/bash /opt/x.sh\"", ""},
        {"allow: \"/usr/bin/python3.11 *\"", "/usr/bin/python3.11 is an interpreter"},
        {"allow: \"/usr/bin/vim /etc/motd\"", "/usr/bin/vim is an editor"},
        {"allow: \"/usr/bin/less /etc/motd\"", "/usr/bin/less is a pager"},
        {"allow: \"/usr/bin/find <path>\"", "/usr/bin/find runs commands (-exec)"},
        {"allow: \"/bin/tar -xf - -C <path>\"", "/bin/tar runs commands by options"},
        {"allow: \"/bin/tar -xf - -C /srv\"", ""},
        {"allow: \"/usr/bin/awk -f /x\"", "/usr/bin/awk is an interpreter"},
        {"allow: \"/usr/bin/git pull *\"", "/usr/bin/git runs commands by aliases"},
        {"allow: \"/usr/bin/ssh hv2 *\"", "/usr/bin/ssh runs commands elsewhere"},
        {"allow: \"/usr/bin/rsync *\"", "/usr/bin/rsync runs commands by options"},
        {"allow: \"/usr/bin/xargs rm\"", ""},
        {"allow: \"/usr/bin/xargs *\"", "/usr/bin/xargs adds words"},
        {"allow: \"/usr/bin/sudo virsh list\"", ""},
        {"allow: \"/usr/bin/sudo virsh *\"", "/usr/bin/sudo runs the command"},
        {"allow: \"/usr/bin/env *\"", "/usr/bin/env runs the command"},
        {"allow: \"/bin/busybox *\"", "/bin/busybox is every program"},
        {"allow: \"virsh list|start **\"\n  - allow: virsh start vm7",
         "9:12: warning: 1/commands[0] already allows all that this rule does"},
        {"allow: virsh list\n  - allow: virsh list", "9:12: warning: 1/commands[0] already allows"},
        {"allow: virsh start vm7\n  - allow: \"virsh list|start **\"", ""},
        {"allow: \"virsh start <int:1-9>\"\n  - allow: virsh start 5", "already allows"},
        {"allow: \"virsh start <int:1-9>\"\n  - allow: virsh start 10", ""},
        {"allow: \"virsh start|destroy **\"\n  - deny: virsh destroy", ""},
        {"allow: \"virsh destroy|undefine <name>\"\n  - deny: virsh destroy\n  - deny: virsh "
         "undefine",
         "8:12: warning: 1/commands[2] denies all that this rule allows"},
        {"allow: /usr/bin/sudo virsh destroy vm7\n  - deny: virsh destroy",
         "1/commands[1] denies all that this rule allows"},
        {"allow: /bin/bash /opt/x.sh\n  - deny: virsh destroy",
         "1/commands[1] denies all that this rule allows"},
        {"allow: virsh list\n  - deny: virsh destroy\n  - deny: virsh destroy",
         "10:11: warning: 1/commands[1] already denies"},
        {"allow: virsh list\n  - deny: rm -r", "a deny of -r misses the option's other names"},
        {"allow: virsh list\n  - deny: rm -r|-R|--recursive", ""},
        {"deny: virsh destroy", "8:3: warning: a role with denies alone lets everything else run"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = ERR_INIT;
        char role[2000];
        snprintf(role, sizeof role, HEAD "allow: {exec: true}\n%scommands:\n  - %s\n",
                 strstr(cases[i].rules, "allow: virsh") || strstr(cases[i].rules, "allow: \"virsh")
                     ? "programs: {virsh: /usr/bin/virsh}\n"
                     : "# no program\n",
                 cases[i].rules);
        struct policy *p = fixture_load_with(NULL, NULL, role, &e);
        cr_assert_not_null(p, "%s: %s", cases[i].rules, e.text);
        const char *rest = fixture_warnings + strlen(FIXTURE_WARNINGS);
        cr_expect(strncmp(fixture_warnings, FIXTURE_WARNINGS, strlen(FIXTURE_WARNINGS)) == 0);
        if (cases[i].says[0])
            cr_expect(strstr(rest, cases[i].says), "%s\ngot: %s\nnot: %s", cases[i].rules, rest,
                      cases[i].says);
        else
            cr_expect_str_eq(rest, "", "%s", cases[i].rules);
        policy_free(p);
    }
}

Test(policy_commands, warning_of_a_deny_by_class_without_raw)
{
    static const struct {
        const char *rules;
        bool warned;
    } cases[] = {
        {"deny: class:snapshot", true},
        {"deny: virsh destroy\n  - deny: class:snapshot", true},
        {"deny: class:snapshot\n  - deny: class:raw", false},
        {"deny: class:raw", false},
        {"deny: virsh destroy", false},
        {"allow: virsh list\n  - deny: class:snapshot", false}, /* what runs is listed */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = ERR_INIT;
        char role[1000];

        snprintf(role, sizeof role,
                 HEAD "allow: {exec: true}\nprograms: {virsh: /usr/bin/virsh}\ncommands:\n  - %s\n",
                 cases[i].rules);
        const struct fixture_file files[] = {
            {"packs/p.yaml", "family: p\nprograms:\n  - names: [p]\n    entries: [{class: "
                             "[snapshot, raw]}]\n"},
            {"roles.d/1.yaml", role},
        };
        struct policy *p = fixture_load_files(files, 2, NULL, &e);
        cr_assert_not_null(p, "%s: %s", cases[i].rules, e.text);
        const char *said = strstr(fixture_warnings, "commands whose effect cannot be told");
        cr_expect_eq(said != NULL, cases[i].warned, "%s\n%s", cases[i].rules, fixture_warnings);
        policy_free(p);
    }
}

/* ---- several roles ---- */

#define ROLE(name, more)                                                                           \
    "role: " name "\nmembers: [alice]\ntargets: {env: lab}\naccounts: [root]\n" more

#define ALLOWS(name)                                                                               \
    ROLE(name, "allow: {exec: true}\ncommands: [{allow: /bin/ls **}, {allow: /bin/rm *}]\n")
#define GUARD(name)    ROLE(name, "allow: {}\ncommands: [{deny: rm}, {deny: virsh destroy}]\n")
#define SHELL(name)    ROLE(name, "allow: {shell: true}\n")
#define ANYTHING(name) ROLE(name, "allow: {exec: true}\n")
#define FILES(name)    ROLE(name, "allow: {sftp: true}\n")
#define OPEN(name)     ROLE(name, "allow: {exec: true}\ncommands: [{deny: virsh destroy}]\n")

static const struct {
    const char *roles[3];
    uint32_t abilities;
    const char *token;                        /* denied */
    const char *ls, *rm, *id, *list, *script; /* forwarded; NULL: refused; "-": no rules at all */
} several[] = {
    {{ALLOWS("1")}, ABILITY_EXEC, NULL, "/bin/ls x", "/bin/rm x", NULL, NULL, NULL},
    {{ALLOWS("1"), GUARD("2")}, ABILITY_EXEC, NULL, "/bin/ls x", NULL, NULL, NULL, NULL},
    {{GUARD("1"), ALLOWS("2")}, ABILITY_EXEC, NULL, "/bin/ls x", NULL, NULL, NULL, NULL},
    {{GUARD("1"), ANYTHING("2")}, ABILITY_EXEC, NULL, "/bin/ls x", NULL, "id", "virsh list", NULL},
    {{ANYTHING("1"), ALLOWS("2")}, ABILITY_EXEC | ABILITY_PTY, NULL, "-", "-", "-", "-", "-"},
    {{OPEN("1")}, ABILITY_EXEC, NULL, "/bin/ls x", "/bin/rm x", "id", "virsh list", NULL},
    {{OPEN("1"), GUARD("2")}, ABILITY_EXEC, NULL, "/bin/ls x", NULL, "id", "virsh list", NULL},
    {{OPEN("1"), ALLOWS("2")},
     ABILITY_EXEC,
     NULL,
     "/bin/ls x",
     "/bin/rm x",
     "id",
     "virsh list",
     NULL},
    {{OPEN("1"), ANYTHING("2")},
     ABILITY_EXEC,
     NULL,
     "/bin/ls x",
     "/bin/rm x",
     "id",
     "virsh list",
     NULL},
    /* a deny takes the shell away, and says so */
    {{SHELL("1"), GUARD("2")}, 0, "no-ability", NULL, NULL, NULL, NULL, NULL},
    {{SHELL("1"), GUARD("2"), FILES("3")}, ABILITY_SFTP, NULL, NULL, NULL, NULL, NULL, NULL},
    {{SHELL("1"), GUARD("2"), ALLOWS("3")},
     ABILITY_EXEC,
     NULL,
     "/bin/ls x",
     NULL,
     NULL,
     NULL,
     NULL},
    {{SHELL("1"), ALLOWS("2")},
     ABILITY_SHELL | ABILITY_PTY | ABILITY_EXEC,
     NULL,
     "/bin/ls x",
     "/bin/rm x",
     NULL,
     NULL,
     NULL},
    {{GUARD("1")}, 0, "no-ability", NULL, NULL, NULL, NULL, NULL},
    {{GUARD("1"), FILES("2")}, ABILITY_SFTP, NULL, NULL, NULL, NULL, NULL, NULL},
};

static void expect_forward(const struct rule_set *set, const char *command, const char *forward,
                           size_t i)
{
    struct rule_verdict v;
    struct buf out;

    buf_init(&out, 4096);
    int rc = rule_set_judge(set, command, strlen(command), &v, &out, NULL);
    char *got = buf_string(&out);
    cr_expect_eq(rc, forward ? 0 : ERR_DENIED, "case %zu: %s", i, command);
    cr_expect_str_eq(got, forward ? forward : "", "case %zu: %s", i, command);
    free(got);
    buf_clear(&out);
}

Test(policy_commands, roles_together)
{
    for (size_t i = 0; i < sizeof several / sizeof *several; i++) {
        size_t count = 1;
        struct err e = ERR_INIT;
        struct policy_decision d;
        struct policy_request r = {.operator_name = "alice",
                                   .target = "hv1",
                                   .account = "root",
                                   .factors = FACTOR_KEY | FACTOR_TOTP};
        while (count < 3 && several[i].roles[count])
            count++;
        struct policy *p = fixture_load(several[i].roles, count, &e);
        cr_assert_not_null(p, "%s", e.text);
        cr_assert_eq(address_parse("10.0.0.9", &r.source, NULL), 0);
        cr_assert_eq(policy_decide(p, &r, &d, &e), 0);
        cr_expect_eq(d.allowed, !several[i].token, "case %zu: %s", i, d.reason);
        cr_expect_eq(d.abilities, several[i].abilities, "case %zu: %x", i, d.abilities);
        cr_expect_str_eq(d.token, several[i].token ? several[i].token : "");
        if (!d.allowed || !(d.abilities & ABILITY_EXEC)) {
            cr_expect(!several[i].ls);
        } else if (several[i].ls[0] == '-') {
            cr_expect_null(d.rules);
        } else {
            /* As the backend gets it. */
            struct buf bytes;
            buf_init(&bytes, RULES_ENCODED_MAX);
            cr_assert_eq(rule_set_encode(d.rules, &bytes), 0);
            struct rule_set *sent = rule_set_decode(buf_head(&bytes), buf_len(&bytes), &e);
            cr_assert_not_null(sent, "%s", e.text);
            expect_forward(sent, "/bin/ls x", several[i].ls, i);
            expect_forward(sent, "/bin/rm x", several[i].rm, i);
            expect_forward(sent, "id", several[i].id, i);
            expect_forward(sent, "virsh list", several[i].list, i);
            expect_forward(sent, "virsh destroy vm7", NULL, i);
            expect_forward(sent, "id; id", several[i].script, i);
            rule_set_free(sent);
            buf_clear(&bytes);
        }
        policy_decision_clear(&d);
        policy_free(p);
    }
}

Test(policy_commands, the_shell_that_a_deny_takes)
{
    static const char *const texts[] = {SHELL("1"), GUARD("guard"), ALLOWS("3")};
    struct err e = ERR_INIT;
    struct policy_decision d;
    struct policy_request r = {.operator_name = "alice",
                               .target = "hv1",
                               .account = "root",
                               .factors = FACTOR_KEY | FACTOR_TOTP};
    char rule[128];

    for (size_t count = 2; count <= 3; count++) {
        struct policy *p = fixture_load(texts, count, &e);
        cr_assert_not_null(p, "%s", e.text);
        cr_assert_eq(address_parse("10.0.0.9", &r.source, NULL), 0);
        cr_assert_eq(policy_decide(p, &r, &d, &e), 0);
        if (count == 2) {
            cr_expect(strstr(d.reason, "guard/commands[0] denies commands, which no shell would"),
                      "%s", d.reason);
        } else {
            cr_expect(strstr(d.path, "; no shell, because guard/commands[0] denies commands"), "%s",
                      d.path);
            cr_expect(rule_set_took_shell(d.rules));
            cr_expect(rule_set_denies(d.rules, rule));
            cr_expect_str_eq(rule, "guard/commands[0]");
        }
        policy_decision_clear(&d);
        policy_free(p);
    }
}
