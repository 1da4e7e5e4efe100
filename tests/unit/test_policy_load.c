/* SPDX-License-Identifier: Apache-2.0
 *
 * Loading: each mistake is refused with file, line, column, what was found and what was expected;
 * nothing of the design that this version lacks is passed over in silence; the shipped example
 * loads clean. */
#include <criterion/criterion.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/policy_tests.h"
#include "tests/unit/policy_fixture.h"

#define HEAD                                                                                       \
    "role: 1\nmembers: [alice]\ntargets: {env: lab}\naccounts: [root]\n" /* lines 1 to 4           \
                                                                          */
#define ALLOW "allow: {exec: true}\n"

static const struct {
    const char *role, *says; /* says NULL: good */
} role_cases[] = {
    {HEAD ALLOW, NULL},
    {"", "roles.d/1.yaml:1:1: found no key \"role\""},
    {"- a\n", "roles.d/1.yaml:1:1: found a list, expected a map"},
    {"role: 1\n", "1:1: found no key \"members\""},
    {"role: 1\nmembers: [alice]\n", "1:1: found no key \"targets\""},
    {"role: 1\nmembers: [alice]\ntargets: {env: lab}\n", "1:1: found no key \"accounts\""},
    {HEAD, "1:1: found no key \"allow\""},
    {"role: Ops\n", "1:7: found \"Ops\", expected a role's name"},
    {"role: \"a/b\"\n", "1:7: found \"a/b\", expected a role's name"},
    {HEAD ALLOW "memebers: [x]\n",
     "6:1: unknown key \"memebers\" (did you mean \"members\"?), expected role, description"},
    {HEAD ALLOW "xyz: 1\n", "6:1: unknown key \"xyz\", expected role"},
    /* forwarding */
    {HEAD "allow: {forward: [\"localhost:16509\", \"[2001:db8::1]:22\", 10.0.0.1:65535]}\n", NULL},
    {HEAD "allow: {forward: []}\n", "5:18: found an empty list, expected a list of"},
    {HEAD "allow: {forward: true}\n", "5:18: found \"true\", expected a list of"},
    {HEAD "allow: {forward: [\"*:22\"]}\n", "5:19: found \"*:22\" (a pattern or prefix), expected"},
    {HEAD "allow: {forward: [\"10.0.0.0/8:22\"]}\n", "5:19: found \"10.0.0.0/8:22\" (a pattern or"},
    {HEAD "allow: {forward: [\"a:1\", \"A:1\"]}\n", "5:26: found A:1 a second time"},
    {HEAD "allow: {forwards: [\"a:1\"]}\n",
     "5:9: unknown key \"forwards\" (did you mean \"forward\"?)"},
    {HEAD ALLOW "session: {max-bytes: 1}\n", "6:22: found 1, expected at least 1MiB"},
    {HEAD ALLOW "session: {max-bytes: much}\n", "6:22: found \"much\", expected a size"},
    /* what is recorded */
    {HEAD ALLOW "session: {bulk: digest, bulk-after: 64KiB}\n", NULL},
    {HEAD ALLOW "session: {bulk: full}\n", NULL},
    {HEAD ALLOW "session: {bulk: digets}\n",
     "6:17: unknown word \"digets\" (did you mean \"digest\"?)"},
    {HEAD ALLOW "session: {bulk: true}\n", "6:17: unknown word \"true\", expected full or digest"},
    {HEAD ALLOW "session: {bulk: [digest]}\n", "6:17: found a list"},
    {HEAD ALLOW "session: {bulk-after: 65535}\n", "6:23: found 65535, expected at least 64KiB"},
    {HEAD ALLOW "session: {bulk-after: -1}\n", "6:23: found \"-1\", expected a size"},
    {HEAD "allow: {sftp: true}\nsession: {keep: content, keep-max: 4KiB}\n", NULL},
    {HEAD ALLOW "session: {keep: contents}\n",
     "6:17: unknown word \"contents\" (did you mean \"content\"?)"},
    {HEAD ALLOW "session: {keep: content, keep-max: 0}\n", "6:36: found 0, expected at least 4KiB"},
    {HEAD ALLOW "session: {keepmax: 1MiB}\n", "6:11: unknown key \"keepmax\""},
    {HEAD ALLOW "commands: [{allow: /bin/cat, stdin: digest}]\n", NULL},
    {HEAD ALLOW "commands: [{allow: /bin/cat, stdin: full}]\n", NULL},
    {HEAD ALLOW "commands: [{allow: /bin/cat, stdin: none}]\n",
     "6:37: unknown word \"none\", expected full or digest"},
    {HEAD ALLOW "commands: [{stdin: digest}]\n", "6:12: found neither allow nor deny"},
    {HEAD ALLOW "commands: [{allow: /bin/cat, stdout: digest}]\n", "6:30: unknown key \"stdout\""},
    /* file transfer */
    {HEAD "allow: {sftp: true}\n", NULL},
    {HEAD "allow: {exec: true, sftp: false}\n", NULL},
    {HEAD "allow: {sftp: {read: [\"/**\"]}}\n", NULL},
    {HEAD "allow: {sftp: {read: [/var/log/**], write: ['/srv/*/in', '/', '/a\\*']}}\n", NULL},
    {HEAD "allow: {sftp: yes}\n", "5:15: found \"yes\", expected true, false or a map"},
    {HEAD "allow: {sftp: \"true\"}\n", "5:15: found \"true\", expected true, false or a map"},
    {HEAD "allow: {sftp: [/tmp]}\n", "5:15: found a list, expected a map"},
    {HEAD "allow: {sftp: {raed: [/tmp]}}\n",
     "5:16: unknown key \"raed\" (did you mean \"read\"?), expected read or write"},
    {HEAD "allow: {sftp: {read: /tmp}}\n", "5:22: found \"/tmp\", expected a list of patterns"},
    {HEAD "allow: {sftp: {read: [[/tmp]]}}\n", "5:23: found a list, expected a pattern"},
    {HEAD "allow: {sftp: {read: [\"\"]}}\n", "5:23: found"},
    {HEAD "allow: {sftp: {read: [tmp/**]}}\n", "5:23: found a path that does not begin with /"},
    {HEAD "allow: {sftp: {read: [~/x]}}\n", "5:23: found a path that does not begin with /"},
    {HEAD "allow: {sftp: {read: [/tmp/]}}\n", "5:23: found an empty part at byte 6"},
    {HEAD "allow: {sftp: {write: [/a, /tmp/../etc]}}\n", "5:28: found .. at byte 6"},
    {HEAD "allow: {sftp: {write: [/a/x**]}}\n", "5:24: found ** beside other text at byte 5"},
    /* hours */
    {HEAD ALLOW "when: [\"Mon-Fri 08:00-20:00 UTC\"]\n", NULL},
    {HEAD ALLOW "when: [\"Fri-Mon,Wed 22:00-06:00 UTC\", \"Sun 00:00-24:00 UTC\"]\n", NULL},
    {HEAD ALLOW "when: []\n", "6:7: found an empty list, expected a list of windows"},
    {HEAD ALLOW "when: always\n", "6:7: found \"always\", expected a list of windows"},
    {HEAD ALLOW "when: [\"\"]\n", "6:8: found \"\", expected a window such as"},
    {HEAD ALLOW "when: [Mon]\n", "6:8: found"},
    {HEAD ALLOW "when: [\"mon 08:00-20:00 UTC\"]\n",
     "6:8: unknown day \"mon\" (did you mean \"Mon\"?)"},
    {HEAD ALLOW "when: [\"Monday 08:00-20:00 UTC\"]\n", "6:8: found \"Monday\" where a day is due"},
    {HEAD ALLOW "when: [\"Mon,Mon 08:00-20:00 UTC\"]\n", "6:8: found Mon a second time"},
    {HEAD ALLOW "when: [\"Fri-Mon,Sun 08:00-20:00 UTC\"]\n", "6:8: found Sun a second time"},
    {HEAD ALLOW "when: [\"Mon 8:00-20:00 UTC\"]\n",
     "6:8: found \"8:00-20:00 UTC\" where times are due"},
    {HEAD ALLOW "when: [\"Mon 08:00-24:01 UTC\"]\n", "6:8: found \"08:00-24:01 UTC\" where times"},
    {HEAD ALLOW "when: [\"Mon 24:00-08:00 UTC\"]\n", "6:8: found \"24:00-08:00 UTC\" where times"},
    {HEAD ALLOW "when: [\"Mon 08:60-20:00 UTC\"]\n", "6:8: found \"08:60-20:00 UTC\" where times"},
    {HEAD ALLOW "when: [\"Mon 08:00-00:00 UTC\"]\n",
     "6:8: found 00:00 as the end of a window, expected 24:00"},
    {HEAD ALLOW "when: [\"Mon 08:00-08:00 UTC\"]\n",
     "6:8: found a window that ends when it begins"},
    {HEAD ALLOW "when: [\"Mon 08:00-20:00\"]\n", "6:8: found no time zone"},
    {HEAD ALLOW "when: [\"Mon 08:00-20:00 ../etc\"]\n",
     "6:8: found \"../etc\" where a time zone is due"},
    {HEAD ALLOW "when: [\"Mon 08:00-20:00 UTC UTC\"]\n",
     "6:8: found \"UTC UTC\" where a time zone"},
    {HEAD ALLOW "when: [\"Mon 08:00-20:00 UTC\", \"Mon 08:00-20:00 Asia/Soul\"]\n",
     "6:31: unknown time zone \"Asia/Soul\" (did you mean \"Asia/Seoul\"?)"},
    {HEAD ALLOW "when: [\"Mon 08:00-20:00 Asia/Seoul\"]\n",
     "6:8: unknown time zone \"Asia/Seoul\", expected a name below /usr/share/zoneinfo"},
    {HEAD ALLOW "whne: [\"Mon 08:00-20:00 UTC\"]\n",
     "6:1: unknown key \"whne\" (did you mean \"when\"?)"},
    /* factors: never one */
    {HEAD ALLOW "factors: [key, totp]\n", NULL},
    {HEAD ALLOW "factors: [totp, key]\n", NULL},
    {HEAD ALLOW "factors: [password]\n", "6:10: found password alone, expected two factors"},
    {HEAD ALLOW "factors: [key, password]\n", "6:10: found no totp, expected two factors"},
    {HEAD ALLOW "factors: [key, totp, key, totp]\n", "6:10: found a list of 4, expected at most 3"},
    {HEAD ALLOW "factors: [key]\n", "6:10: found key alone, expected two factors: [key, totp]"},
    {HEAD ALLOW "factors: [totp]\n", "6:10: found totp alone, expected two factors"},
    {HEAD ALLOW "factors: [key, key]\n", "6:16: found key a second time"},
    {HEAD ALLOW "factors: []\n", "6:10: found an empty list, expected a list of factors"},
    {HEAD ALLOW "factors: key\n", "6:10: found \"key\", expected a list of factors"},
    {HEAD ALLOW "factors: [key, topt]\n", "6:16: unknown word \"topt\" (did you mean \"totp\"?)"},
    /* members */
    {"role: 1\nmembers: []\n", "2:10: found an empty list, expected a list of operators"},
    {"role: 1\nmembers: alice\n", "2:10: found \"alice\", expected a list of operators"},
    {"role: 1\nmembers: [alise]\n", "2:11: unknown operator \"alise\" (did you mean "
                                    "\"alice\"?), expected one of operators.yaml"},
    {"role: 1\nmembers: [\"*\"]\n", "2:11: found \"*\", expected an operator's name"},
    {"role: 1\nmembers: [Alice]\n", "2:11: found \"Alice\", expected an operator's name"},
    {"role: 1\nmembers: [\"group:\"]\n", "2:11: found \"\", expected a group's name"},
    {"role: 1\nmembers: [alice, alice]\n", "2:18: found \"alice\" a second time"},
    {"role: 1\nmembers: [[alice]]\n", "2:11: found a list, expected an operator's name"},
    /* targets */
    {"role: 1\nmembers: [alice]\ntargets: {}\n",
     "3:10: found an empty selector, expected labels, name: or, for every target, {all: true}"},
    {"role: 1\nmembers: [alice]\ntargets:\n", "3:9: found nothing, expected a map of labels"},
    {"role: 1\nmembers: [alice]\ntargets: {all: false}\n", "3:16: found all: false"},
    {"role: 1\nmembers: [alice]\ntargets: {all: true, env: lab}\n",
     "3:16: found all beside other keys"},
    {"role: 1\nmembers: [alice]\ntargets: {all: yes}\n",
     "3:16: found \"yes\", expected true or false"},
    {"role: 1\nmembers: [alice]\ntargets: {name: hv3}\n",
     "3:17: unknown target \"hv3\" (did you mean \"hv1\"?), expected one of targets.yaml"},
    {"role: 1\nmembers: [alice]\ntargets: {name: [hv1, \"hv*\"]}\n",
     "3:23: found \"hv*\", expected a target's"},
    {"role: 1\nmembers: [alice]\ntargets: {env: \"*\"}\n",
     "3:16: found \"*\" (a pattern), expected a label's exact value"},
    {"role: 1\nmembers: [alice]\ntargets: {env: []}\n",
     "3:16: found an empty list, expected a list of a label"},
    {"role: 1\nmembers: [alice]\ntargets: {env: {a: b}}\n",
     "3:16: found a map, expected a label's value"},
    /* accounts, from */
    {"role: 1\nmembers: [alice]\ntargets: {env: lab}\naccounts: []\n", "4:11: found an empty list"},
    {"role: 1\nmembers: [alice]\ntargets: {env: lab}\naccounts: [\"*\"]\n",
     "4:12: found \"*\", expected an account's name"},
    {"role: 1\nmembers: [alice]\ntargets: {env: lab}\naccounts: [\"root \"]\n",
     "4:12: found \"root \", expected an account's name"},
    {HEAD ALLOW "from: []\n", "6:7: found an empty list, expected a list of addresses"},
    {HEAD ALLOW "from: [10.0.0.0/8, 10.1.2.3/8]\n",
     "6:20: found \"10.1.2.3/8\", which has bits set after "
     "its prefix, expected 10.0.0.0/8"},
    {HEAD ALLOW "from: [example.org]\n", "6:8: found \"example.org\", expected an address"},
    {HEAD ALLOW "from: 10.0.0.0/8\n", "6:7: found \"10.0.0.0/8\", expected a list of addresses"},
    /* allow, commands */
    {HEAD "allow: {shell: yes}\n", "5:16: found \"yes\", expected true or false"},
    {HEAD "allow: true\n", "5:8: found \"true\", expected a map"},
    {HEAD "allow: {shel: true}\n", "5:9: unknown key \"shel\" (did you mean \"shell\"?)"},
    {HEAD "allow: {shell: true, exec: true}\ncommands:\n  - allow: /bin/ls\n",
     "7:3: found commands beside shell: true, expected one of them"},
    {HEAD "allow: {exec: false}\ncommands:\n  - allow: /bin/ls\n",
     "7:12: found commands that are allowed without exec: true"},
    {HEAD ALLOW "commands: []\n", "6:11: found an empty list, expected a list of rules"},
    {HEAD ALLOW "commands: [ls]\n", "6:12: found \"ls\", expected a map"},
    {HEAD ALLOW "commands:\n  - allow: [ls]\n", "7:12: found a list, expected a command"},
    {HEAD ALLOW "commands:\n  - allow: ls\n",
     "7:12: found the bare name \"ls\", expected its absolute path under programs:"},
    {HEAD ALLOW "programs: {ls: /bin/ls}\ncommands:\n  - allow: ls\n", NULL},
    {HEAD ALLOW "commands:\n  - allow: /bin/ls -l\n", NULL},
    {HEAD ALLOW "commands:\n  - allow: bin/ls\n", "7:12: found the relative path \"bin/ls\""},
    {HEAD ALLOW "commands:\n  - allow: /bin/../ls\n",
     "7:12: found \"/bin/../ls\", expected an absolute path"},
    {HEAD ALLOW "commands:\n  - allow: \"/bin/ls; id\"\n",
     "7:12: found \"/bin/ls; id\", expected one plain "
     "command (column 8: found ;"},
    {HEAD ALLOW "commands:\n  - allow: \"/bin/echo \\\"it's\\\"\"\n", "7:12: word 2: found '"},
    {HEAD ALLOW "programs: {ls: bin/ls}\n",
     "6:16: found \"bin/ls\", expected the program's absolute path"},
    {HEAD ALLOW "programs: {ls: \"/bin/ls -l\"}\n",
     "6:16: found \"/bin/ls -l\", expected the program's"},
    {HEAD ALLOW "programs: {/bin/ls: /bin/ls}\n",
     "6:12: found \"/bin/ls\", expected a program's bare name"},
    /* session, remember */
    {HEAD ALLOW "session: {idle: 15m, max: 8h, record: sync-all}\nremember: 8h\n", NULL},
    {HEAD ALLOW "session: {idle: 15}\n", "6:17: found \"15\", expected a duration such as"},
    {HEAD ALLOW "session: {max: 0s}\n", "6:16: found \"0s\", expected a duration from 1s to 30d"},
    {HEAD ALLOW "session: {record: strickt}\n",
     "6:19: unknown word \"strickt\" (did you mean \"strict\"?), expected strict or sync-all"},
    {HEAD ALLOW "remember: 31d\n", "6:11: found \"31d\", expected a duration from 1s to 30d"},
    {HEAD ALLOW "description: [x]\n", "6:14: found a list, expected a text"},
    {HEAD ALLOW "description: |\n  two\n  lines\n", NULL},
};

Test(policy_load, roles)
{
    for (size_t i = 0; i < sizeof role_cases / sizeof *role_cases; i++) {
        struct err e = ERR_INIT;
        struct policy *p = fixture_load_with(NULL, NULL, role_cases[i].role, &e);
        if (role_cases[i].says) {
            cr_expect_null(p, "%s", role_cases[i].role);
            cr_expect(strncmp(e.text, "roles.d/1.yaml:", 15) == 0, "%s", e.text);
            cr_expect(strstr(e.text, role_cases[i].says), "%s\ngot: %s\nnot: %s",
                      role_cases[i].role, e.text, role_cases[i].says);
        } else {
            cr_expect_not_null(p, "%s: %s", role_cases[i].role, e.text);
            cr_expect_str_eq(fixture_warnings, FIXTURE_WARNINGS);
        }
        policy_free(p);
    }
}

Test(policy_load, warnings)
{
    static const struct {
        const char *role, *says;
    } cases[] = {
        {"role: other\nmembers: [alice]\ntargets: {env: lab}\naccounts: [root]\n" ALLOW,
         "roles.d/1.yaml:1:7: warning: the role other is in the file 1.yaml, expected "
         "other.yaml\n"},
        {"role: 1\nmembers: [group:opps]\ntargets: {env: lab}\naccounts: [root]\n" ALLOW,
         "roles.d/1.yaml:2:11: warning: no operator is in the group opps (did you mean "
         "\"ops\"?)\n"},
        {"role: 1\nmembers: [alice]\ntargets: {env: labb}\naccounts: [root]\n" ALLOW,
         "roles.d/1.yaml:3:16: warning: no target has the label env: labb\n"},
        {HEAD ALLOW "factors: [key, totp, password]\n", ""},
        {HEAD ALLOW "factors: [password, totp]\n", ""},
        {HEAD "allow: {}\n", "roles.d/1.yaml:5:8: warning: the role 1 allows neither shell nor "
                             "exec nor sftp nor forward\n"},
        {HEAD "allow: {exec: true, sftp: {}}\n",
         "roles.d/1.yaml:5:27: warning: sftp permits no path: file transfer stays refused\n"},
        {HEAD "allow: {exec: true, sftp: {read: [], write: [/tmp]}}\n",
         "roles.d/1.yaml:5:34: warning: an empty list: nothing may be read\n"},
        {HEAD "allow: {sftp: {read: ['/srv/[ab]']}}\n",
         "roles.d/1.yaml:5:23: warning: /srv/[ab]: only * ** and ? are patterns, [ means "
         "itself\n"},
        {HEAD "allow: {sftp: true}\nsession: {keep: content, bulk: full}\n", ""},
        {HEAD "allow: {sftp: true}\nsession: {bulk: digest}\n",
         "roles.d/1.yaml:6:17: warning: bulk: digest is of no use without allow: {exec: true}\n"},
        {HEAD ALLOW "session: {keep: content}\n",
         "roles.d/1.yaml:6:17: warning: keep: content is of no use without allow: {sftp: ...}\n"},
        {HEAD ALLOW "session: {keep-max: 1MiB}\n",
         "roles.d/1.yaml:6:21: warning: keep-max is of no use without keep: content\n"},
        {HEAD ALLOW "session: {bulk-after: 1MiB}\n",
         "roles.d/1.yaml:6:23: warning: bulk-after is of no use without bulk: digest\n"},
        {HEAD ALLOW "programs: {ls: /bin/ls}\n",
         "roles.d/1.yaml:6:11: warning: programs is of no use without commands\n"},
        {HEAD ALLOW "programs: {ls: /bin/ls}\ncommands: [{allow: /bin/ls}]\n",
         "roles.d/1.yaml:6:12: warning: no command uses the program ls\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = ERR_INIT;
        struct policy *p = fixture_load_with(
            "operators:\n  alice: {keys: [\"" KEY_A "\"], groups: [ops]}\n",
            "targets:\n  hv1: {address: 10.0.0.1, labels: {env: lab}, host-keys: [\"" KEY_H1
            "\"]}\n",
            cases[i].role, &e);
        cr_expect_not_null(p, "%s", e.text);
        cr_expect_str_eq(fixture_warnings, cases[i].says);
        policy_free(p);
    }
}

Test(policy_load, operators)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "operators.yaml:1:1: found no key \"operators\""},
        {"operators: []\n", "1:12: found a list, expected a map from operators' names"},
        {"operators: {}\nx: 1\n", "2:1: unknown key \"x\", expected operators"},
        {"operators:\n  Alice: {}\n", "2:3: found \"Alice\", expected an operator's name"},
        {"operators:\n  alice:\n", "2:9: found nothing, expected a map"},
        {"operators:\n  alice: {}\n  alice: {}\n", "3:3: found the key \"alice\" a second time"},
        {"operators:\n  alice: {kees: []}\n",
         "2:11: unknown key \"kees\" (did you mean \"keys\"?)"},
        {"operators:\n  alice: {password: x}\n",
         "2:11: unknown key \"password\", expected name, keys, groups or from"},
        {"operators:\n  alice: {from: []}\n",
         "2:17: found an empty list, expected a list of addresses"},
        {"operators:\n  alice: {from: [10.0.0.1/8]}\n",
         "2:18: found \"10.0.0.1/8\", which has bits"},
        {"operators:\n  alice: {groups: ops}\n",
         "2:19: found \"ops\", expected a list of group names"},
        {"operators:\n  alice: {groups: [ops, ops]}\n", "2:25: found the group ops a second time"},
        {"operators:\n  alice: {groups: [\"a b\"]}\n",
         "2:20: found \"a b\", expected a group's name"},
        {"operators:\n  alice: {keys: [x]}\n",
         "2:18: found a key of type \"x\", expected ssh-ed25519"},
        {"operators:\n  alice: {keys: [ssh-ed25518 AAAA]}\n", "(did you mean \"ssh-ed25519\"?)"},
        {"operators:\n  alice: {keys: [ssh-ed25519]}\n", "found \"ssh-ed25519\" alone"},
        {"operators:\n  alice: {keys: [ssh-ed25519 AAAA]}\n",
         "found base64 text that is not of a ssh-ed25519 key"},
        {"operators:\n  alice: {keys: [ssh-ed25519 AA?A]}\n", "that is not base64"},
        {"operators:\n  alice: {keys: [\"" KEY_A "=\"]}\n", "that is not base64"},
        {"operators:\n  alice: {keys: [\"" KEY_A "AAAA\"]}\n", "found a damaged ssh-ed25519 key"},
        {"operators:\n  alice: {keys: [\"from=\\\"::1\\\" " KEY_A "\"]}\n",
         "an option of authorized_keys"},
        {"operators:\n  alice: {keys: [\"restrict " KEY_A "\"]}\n", "an option of authorized_keys"},
        {"operators:\n  alice: {keys: [ssh-dss AAAA]}\n",
         "found a key of type ssh-dss (DSA is too weak)"},
        {"operators:\n  alice: {keys: [rsa-sha2-512 AAAA]}\n", "the key's type is ssh-rsa"},
        {"operators:\n  alice: {keys: [sk-ssh-ed25519@openssh.com AAAA]}\n",
         "keys of security tokens are not supported"},
        {"operators:\n  alice: {keys: [ssh-ed25519-cert-v01@openssh.com AAAA]}\n",
         "found an SSH certificate"},
        {"operators:\n  alice: {keys: [\"" KEY_RSA_2048 "\"]}\n",
         "2:18: found an RSA key of 2048 bits, expected 3072 to 16384"},
        {"operators:\n  alice: {keys: [\"" KEY_A "\"]}\n  bob:\n    keys:\n      - \"" KEY_A
         " again\"\n",
         "operators.yaml:5:9: found the key " FINGERPRINT_A
         " of bob, which is also the key of alice at operators.yaml:2:18"},
        {"operators:\n  alice: {keys: [\"" KEY_A "\", \"" KEY_A "\"]}\n",
         "which is also the key of alice at"},
        {"operators:\n  alice: {name: \"a\\nb\"}\n", "2:17: found text of several lines"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = ERR_INIT;
        cr_expect_null(fixture_load_with(cases[i].text, NULL, NULL, &e), "%s", cases[i].text);
        cr_expect(strncmp(e.text, "operators.yaml:", 15) == 0, "%s", e.text);
        cr_expect(strstr(e.text, cases[i].says), "got: %s\nnot: %s", e.text, cases[i].says);
    }
}

Test(policy_load, targets)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "targets.yaml:1:1: found no key \"targets\""},
        {"targets:\n  HV1: {address: 10.0.0.1}\n", "2:3: found \"HV1\", expected a target's name"},
        {"targets:\n  hv1.: {address: 10.0.0.1}\n",
         "2:3: found \"hv1.\", expected a target's name"},
        {"targets:\n  -hv1: {address: 10.0.0.1}\n",
         "2:3: found \"-hv1\", expected a target's name"},
        {"targets:\n  a..b: {address: 10.0.0.1}\n", "2:3: found \"a..b\""},
        {"targets:\n  a_b: {address: 10.0.0.1}\n", "2:3: found \"a_b\""},
        {"targets:\n  \"h\xc3\xb6\": {address: 10.0.0.1}\n", "2:3: found \"h"},
        {"targets:\n  \"../../x\": {address: 10.0.0.1}\n", "2:3: found \"../../x\""},
        {"targets:\n  gateway: {address: 10.0.0.1}\n",
         "2:3: found \"gateway\", which is the gateway itself"},
        {"targets:\n  a: {address: 10.0.0.1, aliases: [gateway]}\n",
         "2:36: found \"gateway\", which is"},
        {"targets:\n  a: {address: 10.0.0.1, aliases: [b]}\n  b: {address: 10.0.0.1}\n",
         "3:3: found \"b\", which is already a name of the target a"},
        {"targets:\n  a: {address: 10.0.0.1, aliases: [a]}\n",
         "2:36: found \"a\", which is already a name of"},
        {"targets:\n  a: {}\n", "2:6: found no key \"address\""},
        {"targets:\n  a: {address: example.org}\n",
         "2:16: found \"example.org\", expected an address"},
        {"targets:\n  a: {address: \"fe80::1%eth0\"}\n", "expected an address without a zone"},
        {"targets:\n  a: {address: 10.0.0.1/8}\n", "2:16: found \"10.0.0.1/8\""},
        {"targets:\n  a: {address: 10.0.0.1, port: 0}\n",
         "2:32: found \"0\", expected a number from 1 to 65535"},
        {"targets:\n  a: {address: 10.0.0.1, port: 65536}\n", "expected a number from 1 to 65535"},
        {"targets:\n  a: {address: 10.0.0.1, adress: 10.0.0.1}\n",
         "2:26: unknown key \"adress\" (did you mean \"address\"?)"},
        {"targets:\n  a: {address: 10.0.0.1, labels: [x]}\n",
         "2:34: found a list, expected a map of labels"},
        {"targets:\n  a: {address: 10.0.0.1, labels: {name: x}}\n",
         "2:35: found the label \"name\""},
        {"targets:\n  a: {address: 10.0.0.1, labels: {all: x}}\n", "2:35: found the label \"all\""},
        {"targets:\n  a: {address: 10.0.0.1, labels: {env: }}\n",
         "found nothing, expected a label's value"},
        {"targets:\n  a: {address: 10.0.0.1, host-keys: [x]}\n", "2:38: found a key of type \"x\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = ERR_INIT;
        cr_expect_null(fixture_load_with(NULL, cases[i].text, NULL, &e), "%s", cases[i].text);
        cr_expect(strncmp(e.text, "targets.yaml:", 13) == 0, "%s", e.text);
        cr_expect(strstr(e.text, cases[i].says), "got: %s\nnot: %s", e.text, cases[i].says);
    }
}

Test(policy_load, two_roles_of_one_name)
{
    static const char *const roles[] = {HEAD ALLOW, HEAD ALLOW};
    struct err e = ERR_INIT;

    cr_expect_null(fixture_load(roles, 2, &e));
    cr_expect_str_eq(e.text,
                     "roles.d/2.yaml:1:7: found the role 1, which is also at roles.d/1.yaml:1, "
                     "expected each name once");
}

Test(policy_load, lookups)
{
    struct err e = ERR_INIT;
    struct policy *p = fixture_load(NULL, 0, &e);
    cr_assert_not_null(p, "%s", e.text);
    const struct policy_operator *alice = policy_operator_named(p, "alice");
    const struct policy_target *hv1 = policy_target_named(p, "hv1"),
                               *hv2 = policy_target_named(p, "hv2");

    cr_expect_eq(policy_operator_count(p), 3);
    cr_assert_not_null(alice);
    cr_expect_str_eq(alice->full_name, "Alice");
    cr_assert_eq(alice->key_count, 1);
    cr_expect_str_eq(alice->keys[0].fingerprint, FINGERPRINT_A);
    cr_expect_eq(alice->group_count, 2);
    cr_expect_str_eq(alice->groups[1], "net");
    cr_expect_eq(policy_operator_of_key(p, alice->keys[0].blob, alice->keys[0].len), alice);
    cr_expect_null(policy_operator_of_key(p, alice->keys[0].blob, alice->keys[0].len - 1));
    cr_expect_str_eq(policy_operator_named(p, "bob")->keys[0].fingerprint, FINGERPRINT_B);
    cr_expect_null(policy_operator_named(p, "Alice"));
    cr_expect_null(policy_operator_at(p, 3));
    cr_expect_eq(policy_target_named(p, "hv1.lan"), hv1);
    cr_expect_eq(hv1->port, 22);
    cr_expect_eq(hv2->port, 2222);
    cr_expect_eq(hv2->index, 1);
    cr_expect_eq(policy_target_at(p, 1), hv2);
    cr_expect_null(policy_target_at(p, 3));
    cr_expect_null(policy_target_named(p, "hv1."));
    cr_expect_null(policy_target_named(p, "HV1"));
    cr_expect_null(policy_target_named(p, "gateway"));
    policy_free(p);
    policy_free(NULL);
}

Test(policy_load, rsa_of_3072_bits)
{
    struct err e = ERR_INIT;
    struct policy *p =
        fixture_load_with("operators:\n  a: {keys: [\"" KEY_RSA_3072 "\"]}\n", NULL, NULL, &e);

    cr_expect_not_null(p, "%s", e.text);
    policy_free(p);
}

#define EXAMPLE_FILES_MAX 40

/* Adds the files that fit the pattern, by their names in a set. */
static size_t read_example(const char *dir, const char *prefix, const char *pattern,
                           struct fixture_file *files, size_t count)
{
    char path[1000];
    glob_t found;

    snprintf(path, sizeof path, "%s/%s", dir, pattern);
    cr_assert_eq(glob(path, GLOB_ERR, NULL, &found), 0, "%s", path);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        char *text = calloc(1, 65536), *name;
        FILE *f = fopen(found.gl_pathv[i], "r");
        cr_assert(f && text, "%s", found.gl_pathv[i]);
        const size_t len = fread(text, 1, 65535, f);
        cr_assert(len > 0 && len < 65535, "%s", found.gl_pathv[i]);
        fclose(f);
        cr_assert_gt(asprintf(&name, "%s%s", prefix, found.gl_pathv[i] + strlen(dir) + 1), 0);
        cr_assert_lt(count, EXAMPLE_FILES_MAX);
        files[count++] = (struct fixture_file){name, text};
    }
    globfree(&found);
    return count;
}

static int print_failed(void *arg, const struct policy_test_result *result)
{
    (void)arg;
    cr_expect(result->passed, "%s:%u: %s: %s", result->file, result->line, result->asked,
              result->found);
    return 0;
}

/* conf/example as it is shipped, with the packs: no error, no warning, and its tests pass. */
Test(policy_load, shipped_example)
{
    static const char *const patterns[] = {"*.yaml", "roles.d/*.yaml", "roles.d/tests/*.yaml"};
    struct fixture_file files[EXAMPLE_FILES_MAX + 1];
    size_t count = 0, run = 0, failed = 0;
    struct err e = ERR_INIT;
    struct buf block;

    for (size_t i = 0; i < 3; i++)
        count = read_example(EXAMPLE_DIR, "", patterns[i], files, count);
    count = read_example(PACKS_DIR, "packs/", "*.yaml", files, count);
    const size_t read = count;
    files[count++] = (struct fixture_file){"zoneinfo/Asia/Seoul", NULL};
    struct policy *p = fixture_load_files(files, count, &block, &e);
    cr_assert_not_null(p, "%s", e.text);
    cr_expect_str_empty(fixture_warnings);
    cr_expect_eq(policy_role_count(p), 6);
    cr_assert_eq(policy_tests_run(p, buf_head(&block), buf_len(&block), print_failed, NULL, &run,
                                  &failed, &e),
                 0, "%s", e.text);
    cr_expect_eq(failed, 0);
    cr_expect_eq(run, 38);
    policy_free(p);
    buf_clear(&block);
    for (size_t i = 0; i < read; i++) {
        free((void *)(uintptr_t)files[i].name);
        free((void *)(uintptr_t)files[i].text);
    }
}
