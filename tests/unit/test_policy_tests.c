/* SPDX-License-Identifier: Apache-2.0
 *
 * Policy tests: what they say of a set, each mistake in them with its place, and that a set which
 * fails one is refused with the line. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "policy/policy_tests.h"
#include "tests/unit/policy_fixture.h"

#define PLACE "roles.d/tests/t.yaml"

static const char base[] =
    "role: base\nmembers: [group:ops]\ntargets: {env: lab}\naccounts: [root]\nremember: 1h\n"
    "allow: {exec: true, sftp: {read: [/var/log/**]}, "
    "forward: [\"localhost:22\"]}\nprograms: {virsh: /usr/bin/virsh}\n"
    "commands: [{allow: virsh list}]\n";
static const char hours[] =
    "role: hours\nmembers: [carol]\ntargets: {all: true}\naccounts: [admin]\nfrom: [10.0.0.0/8]\n"
    "when: [\"Mon-Fri 08:00-20:00 Asia/Seoul\"]\nallow: {shell: true}\n";

static struct policy *load(const char *tests, struct buf *bundle)
{
    const struct fixture_file files[] = {{"roles.d/base.yaml", base},
                                         {"roles.d/hours.yaml", hours},
                                         {PLACE, tests},
                                         {"zoneinfo/Asia/Seoul", NULL}};
    struct err e = ERR_INIT;
    struct policy *p = fixture_load_files(files, sizeof files / sizeof *files, bundle, &e);

    cr_assert_not_null(p, "%s", e.text);
    return p;
}

#define BOB   "as: bob, on: hv1, account: root"
#define CAROL "as: carol, on: sw1, account: admin"

static const struct {
    const char *test, *found; /* found NULL: passes */
} cases[] = {
    {"- {" BOB ", expect: allow}\n", NULL},
    {"- {" BOB ", expect: allow, because: base}\n", NULL},
    {"- {" BOB ", expect: deny}\n", "found allow because base, expected deny"},
    {"- {" BOB ", run: virsh list, expect: allow, because: 'base/commands[0]', what-runs: "
     "/usr/bin/virsh list}\n",
     NULL},
    {"- {" BOB ", run: virsh list, expect: allow, because: 'base/commands[1]'}\n",
     "found allow because base/commands[0]: /usr/bin/virsh list, expected allow because "
     "base/commands[1]"},
    {"- {" BOB ", run: virsh list, expect: allow, what-runs: virsh list}\n",
     "expected allow: virsh list"},
    {"- {" BOB ", run: virsh list --all, expect: deny, because: base/commands}\n", NULL},
    {"- {" BOB ", run: \"virsh list\\nid\", expect: deny}\n", NULL},
    {"- {" BOB ", run: virsh list --all, expect: allow}\n",
     "found deny because base/commands: \"virsh list --all\" is not among the commands"},
    {"- {" BOB ", shell: true, expect: deny, because: base/allow}\n", NULL},
    {"- {" BOB ", shell: true, expect: allow}\n",
     "found deny because base/allow: None of your roles permits a shell here: denied by "
     "base/allow; "
     "ask your policy administrators, expected allow"},
    {"- {" BOB ", sftp-read: /var/log/x, expect: allow, because: 'base/sftp.read[0]'}\n", NULL},
    {"- {" BOB ", sftp-write: /var/log/x, expect: deny, because: base/sftp.write}\n", NULL},
    {"- {" BOB ", sftp-read: /etc/shadow, expect: deny, because: base/sftp.read}\n", NULL},
    {"- {" BOB ", forward: \"localhost:22\", expect: allow, because: \"base/forward[0]\"}\n", NULL},
    {"- {" BOB ", forward: \"127.0.0.1:22\", expect: deny, because: base/forward}\n", NULL},
    {"- {as: bob, on: hv1.lan, account: admin, expect: deny, because: base/accounts}\n", NULL},
    {"- {as: bob, on: sw1, account: root, expect: deny, because: no-role}\n", NULL},
    {"- {" BOB ", factors: [key], expect: deny, because: base/factors}\n", NULL},
    {"- {" BOB ", factors: [], expect: deny, because: base/factors}\n", NULL},
    {"- {" BOB ", factors: [password, totp], expect: deny, because: base/factors}\n", NULL},
    {"- {" BOB ", remembered: 59m, expect: allow}\n", NULL},
    {"- {" BOB ", remembered: 60m, expect: deny, because: base/remember}\n", NULL},
    {"- {" BOB ", remembered: 60m, factors: [key, totp], expect: allow}\n", NULL},
    {"- {" CAROL ", from: 10.1.1.1, at: \"2026-03-02 10:00 Asia/Seoul\", expect: allow}\n", NULL},
    {"- {" CAROL
     ", from: \"::ffff:10.1.1.1\", at: \"2026-03-02 10:00 Asia/Seoul\", expect: allow}\n",
     NULL},
    {"- {" CAROL ", from: 11.1.1.1, at: \"2026-03-02 10:00 Asia/Seoul\", expect: deny, because: "
     "hours/from}\n",
     NULL},
    {"- {" CAROL ", from: 10.1.1.1, at: \"2026-03-02 07:59 Asia/Seoul\", expect: deny, because: "
     "hours/when}\n",
     NULL},
    {"- {" CAROL ", from: 10.1.1.1, at: \"2026-03-02 10:59 UTC\", expect: allow}\n", NULL},
    {"- {" CAROL ", from: 10.1.1.1, at: \"2026-03-02 11:00 UTC\", expect: deny}\n", NULL},
    {"", NULL},
    {"[]\n", NULL},
};

Test(policy_tests, outcomes)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = ERR_INIT;
        struct buf bundle;
        struct policy *p = load(cases[i].test, &bundle);
        size_t run, failed;

        cr_expect_eq(
            policy_tests_run(p, buf_head(&bundle), buf_len(&bundle), NULL, NULL, &run, &failed, &e),
            0, "%s: %s", cases[i].test, e.text);
        cr_expect_eq(run, cases[i].test[0] == '-');
        cr_expect_eq(failed, cases[i].found != NULL, "%s", cases[i].test);
        int rc = policy_tests_check(p, buf_head(&bundle), buf_len(&bundle), &e);
        cr_expect_eq(rc, cases[i].found ? ERR_INPUT : 0, "%s: %s", cases[i].test, e.text);
        if (cases[i].found) {
            cr_expect_eq(strncmp(e.text, PLACE ":1:3: the test fails (bob as root on hv1: ", 58), 0,
                         "%s", e.text);
            cr_expect(strstr(e.text, cases[i].found), "got: %s\nnot: %s", e.text, cases[i].found);
        }
        buf_clear(&bundle);
        policy_free(p);
    }
}

static const struct {
    const char *test, *says;
} mistakes[] = {
    {"a: b\n", "1:1: found a map, expected a list of tests"},
    {"- bob\n", "1:3: found \"bob\", expected a map"},
    {"- {}\n", "1:3: found no key \"as\""},
    {"- {as: bob}\n", "1:3: found no key \"on\""},
    {"- {as: bob, on: hv1}\n", "1:3: found no key \"account\""},
    {"- {" BOB "}\n", "1:3: found no key \"expect\""},
    {"- {" BOB ", expect: allow}\n- {as: bbo, on: hv1}\n",
     "2:8: unknown operator \"bbo\" (did you mean \"bob\"?), expected one of operators.yaml"},
    {"- {as: bob, on: hv3}\n", "1:17: unknown target \"hv3\" (did you mean \"hv1\"?)"},
    {"- {as: bob, on: hv1, account: \"ro ot\"}\n", "1:31: found \"ro ot\", expected an account's"},
    {"- {as: bob, on: hv1, acount: root}\n",
     "1:22: unknown key \"acount\" (did you mean \"account\"?)"},
    {"- {" BOB ", expect: denied}\n", "1:45: unknown word \"denied\", expected deny or allow"},
    {"- {" BOB ", expect: deny, because: bases/when}\n",
     "1:60: unknown role \"bases\" (did you mean \"base\"?)"},
    {"- {" BOB ", expect: deny, what-runs: x}\n", "1:62: found what-runs, which needs"},
    {"- {" BOB ", run: id, shell: true, expect: deny}\n",
     "1:53: found shell beside another question"},
    {"- {" BOB ", shell: false, expect: deny}\n", "1:44: found false, expected shell: true"},
    {"- {" BOB ", sftp-read: /a/../b, expect: deny}\n", "1:48: found a path that is not canonical"},
    {"- {" BOB ", sftp-read: a, expect: deny}\n", "1:48: found a path that is not canonical"},
    {"- {" BOB ", forward: localhost, expect: deny}\n", "1:46: found \"localhost\" without a port"},
    /* The login alone would be denied. */
    {"- {as: bob, on: hv1, account: nobody, sftp-write: a, expect: deny}\n",
     "1:51: found a path that is not canonical"},
    {"- {as: bob, on: hv1, account: nobody, forward: \"a:0\", expect: deny}\n",
     "1:48: found \"a:0\" with the port"},
    {"- {" BOB ", from: 10.0.0.0/8, expect: deny}\n", "1:43: found \"10.0.0.0/8\""},
    {"- {" BOB ", at: now, expect: deny}\n", "1:41: found \"now\", expected a time such as"},
    {"- {" BOB ", at: \"2026-03-02 10:00\", expect: deny}\n",
     "1:41: found \"2026-03-02 10:00\" without a time zone"},
    {"- {" BOB ", at: \"2026-02-30 10:00 UTC\", expect: deny}\n", "1:41: found \"2026-02-30"},
    {"- {" BOB ", at: \"2026-03-02 10:00 Asia/Soul\", expect: deny}\n",
     "1:41: unknown time zone \"Asia/Soul\" (did you mean \"Asia/Seoul\"?)"},
    {"- {" BOB ", factors: [key, key], expect: deny}\n", "1:52: found key a second time"},
    {"- {" BOB ", factors: [keys], expect: deny}\n", "1:47: unknown word \"keys\" (did you mean"},
    {"- {" BOB ", remembered: 60, expect: deny}\n", "1:49: found \"60\", expected a duration"},
    {"- {" CAROL ", at: \"2026-03-02 10:00 UTC\", expect: deny}\n",
     "1:3: found no key \"from\", expected it here: the role hours has one"},
    {"- {" CAROL ", from: 10.0.0.1, expect: deny}\n",
     "1:3: found no key \"at\", expected it here: the role hours has hours"},
};

Test(policy_tests, mistakes)
{
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        struct err e = ERR_INIT;
        struct buf bundle;
        struct policy *p = load(mistakes[i].test, &bundle);

        cr_expect_eq(policy_tests_check(p, buf_head(&bundle), buf_len(&bundle), &e), ERR_SYNTAX,
                     "%s", mistakes[i].test);
        cr_expect_eq(strncmp(e.text, PLACE ":", sizeof PLACE), 0, "%s", e.text);
        cr_expect_eq(strncmp(e.text + sizeof PLACE, mistakes[i].says, strlen(mistakes[i].says)), 0,
                     "got: %s\nnot: %s", e.text, mistakes[i].says);
        buf_clear(&bundle);
        policy_free(p);
    }
}
