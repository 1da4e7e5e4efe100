/* SPDX-License-Identifier: Apache-2.0
 *
 * Exact rules as a boundary: what they allow, what is sent then, and everything near it that they
 * do not. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/rules_fixture.h"

static void add(struct rule_set *set, const char *name, const char *command, const char *path)
{
    struct words w;
    struct err e = ERR_INIT;

    cr_assert_eq(words_split(command, strlen(command), &w, &e), 0, "%s", e.text);
    cr_assert_eq(rule_set_add(set, name, &w, path, 0, &e), 0, "%s", e.text);
    words_clear(&w);
}

static struct rule_set *example(void)
{
    struct rule_set *set = rule_set_new();

    add(set, "bob/commands[0]", "virsh -c test:///default list", "/usr/bin/virsh");
    add(set, "bob/commands[1]", "/usr/bin/virsh dominfo 'my vm'", "/usr/bin/virsh");
    add(set, "bob/commands[2]", "uptime", "/usr/bin/uptime");
    return set;
}

Test(policy_rules, allow)
{
    static const struct {
        const char *command, *forward, *name; /* forward NULL: denied */
    } cases[] = {
        {"virsh -c test:///default list", "/usr/bin/virsh -c test:///default list",
         "bob/commands[0]"},
        {"/usr/bin/virsh -c test:///default list", "/usr/bin/virsh -c test:///default list",
         "bob/commands[0]"},
        {"  virsh  '-c'  \"test:///default\" li'st'", "/usr/bin/virsh -c test:///default list",
         "bob/commands[0]"},
        {"'virsh' -c test:///default list", "/usr/bin/virsh -c test:///default list",
         "bob/commands[0]"},
        {"/usr/bin/virsh dominfo \"my vm\"", "/usr/bin/virsh dominfo 'my vm'", "bob/commands[1]"},
        {"uptime", "/usr/bin/uptime", "bob/commands[2]"},
        /* nothing near it */
        {"virsh -c test:///default list --all", NULL, NULL},
        {"virsh -c test:///default", NULL, NULL},
        {"virsh list -c test:///default", NULL, NULL},
        {"virsh -c test:///default list ''", NULL, NULL},
        {"virsh -c test:///default 'list '", NULL, NULL},
        {"virsh -c test:///defaul list", NULL, NULL},
        {"virsh -c test:///default List", NULL, NULL},
        {"VIRSH -c test:///default list", NULL, NULL},
        {"virsh '-c test:///default' list", NULL, NULL},
        {"virsh dominfo 'my vm'", NULL, NULL}, /* written with its path only */
        {"/usr/bin/virsh dominfo my vm", NULL, NULL},
        {"/bin/virsh -c test:///default list", NULL, NULL},
        {"/usr/bin/../bin/virsh -c test:///default list", NULL, NULL},
        {"//usr/bin/virsh -c test:///default list", NULL, NULL},
        {"./virsh -c test:///default list", NULL, NULL},
        {"bin/virsh -c test:///default list", NULL, NULL},
        {"sudo virsh -c test:///default list", NULL, NULL},
        {"env virsh -c test:///default list", NULL, NULL},
        {"env LD_PRELOAD=/tmp/x.so virsh -c test:///default list", NULL, NULL},
        {"nohup virsh -c test:///default list", NULL, NULL},
        {"timeout 5 virsh -c test:///default list", NULL, NULL},
        {"sh -c 'virsh -c test:///default list'", NULL, NULL},
        {"exec virsh -c test:///default list", NULL, NULL},
        {"command virsh -c test:///default list", NULL, NULL},
        {"eval virsh -c test:///default list", NULL, NULL},
        {"virsh -c test:///default list; id", NULL, NULL},
        {"virsh -c test:///default list;id", NULL, NULL},
        {"virsh -c test:///default list && id", NULL, NULL},
        {"virsh -c test:///default list | sh", NULL, NULL},
        {"virsh -c test:///default list\nid", NULL, NULL},
        {"virsh -c test:///default list\r", NULL, NULL},
        {"virsh -c test:///default list #", NULL, NULL},
        {"virsh -c test:///default list > /tmp/x", NULL, NULL},
        {"virsh -c test:///default list &", NULL, NULL},
        {"virsh -c test:///default `id`", NULL, NULL},
        {"virsh -c test:///default $(echo list)", NULL, NULL},
        {"virsh -c test:///default li\\st", NULL, NULL},
        {"v\\irsh -c test:///default list", NULL, NULL},
        {"PATH=/tmp virsh -c test:///default list", NULL, NULL},
        {"virsh\t-c\ttest:///default\tlist", NULL, NULL},
        {"$0 virsh -c test:///default list", NULL, NULL},
        {"virsh -c test:///default lis?", NULL, NULL},
        {"scp -t /tmp/x; sh", NULL, NULL},
        {"scp -t /tmp/x", NULL, NULL},
        {"uptime -p", NULL, NULL},
        {"", NULL, NULL},
        {" ", NULL, NULL},
    };
    struct rule_set *set = fixture_sent(example());

    cr_expect(rule_set_restricts(set));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = ERR_INIT;
        struct buf forward;
        char name[128];
        buf_init(&forward, 4096);
        int rc = rule_set_apply(set, cases[i].command, strlen(cases[i].command), name, NULL,
                                &forward, &e);
        char *text = buf_string(&forward);
        if (cases[i].forward) {
            cr_expect_eq(rc, 0, "%s: %s", cases[i].command, e.text);
            cr_expect_str_eq(text, cases[i].forward);
            cr_expect_str_eq(name, cases[i].name);
        } else {
            cr_expect_eq(rc, ERR_DENIED, "%s", cases[i].command);
            cr_expect_str_eq(text ? text : "", "", "%s", cases[i].command);
            cr_expect_gt(strlen(e.text), 0);
            cr_expect_leq(strlen(e.text), RULE_TEXT_MAX);
        }
        free(text);
        buf_clear(&forward);
    }
    rule_set_free(set);
}

Test(policy_rules, a_zero_byte_hides_nothing)
{
    struct rule_set *set = fixture_sent(example());
    struct buf forward;
    char name[128];

    buf_init(&forward, 4096);
    cr_expect_eq(rule_set_apply(set, "uptime\0; id", 11, name, NULL, &forward, NULL), ERR_DENIED);
    cr_expect_eq(buf_len(&forward), 0);
    buf_clear(&forward);
    rule_set_free(set);
}

Test(policy_rules, the_operator_is_told)
{
    struct rule_set *set = fixture_sent(example());
    struct err e = ERR_INIT;
    struct buf forward;
    char name[128];

    buf_init(&forward, 4096);
    cr_expect_eq(rule_set_apply(set, "reboot\x1b[2J", 10, name, NULL, &forward, &e), ERR_DENIED);
    cr_expect(strstr(e.text, "column 7"), "%s", e.text);
    cr_expect(!strchr(e.text, 0x1b));
    cr_expect_eq(rule_set_apply(set, "reboot", 6, name, NULL, &forward, &e), ERR_DENIED);
    cr_expect(strstr(e.text, "\"reboot\" is not among the commands"), "%s", e.text);
    cr_expect(
        strstr(e.text, "virsh -c test:///default list; /usr/bin/virsh dominfo 'my vm'; uptime"),
        "%s", e.text);
    /* Whatever was sent, the end of the text is not cut: messages carry 1000 bytes. */
    static char command[5000];
    memset(command, 0x1b, sizeof command);
    cr_expect_eq(rule_set_apply(set, command, sizeof command, name, NULL, &forward, &e),
                 ERR_DENIED);
    cr_expect_leq(strlen(e.text), 1000);
    cr_expect(strstr(e.text, "...\" is none"), "%s", e.text);
    memset(command, 'a', sizeof command);
    cr_expect_eq(rule_set_apply(set, command, sizeof command, name, NULL, &forward, &e),
                 ERR_DENIED);
    cr_expect_leq(strlen(e.text), 1000);
    buf_clear(&forward);
    rule_set_free(set);
}

Test(policy_rules, without_rules)
{
    static const char script[] = "for i in 1 2; do echo $i; done\n";
    struct err e = ERR_INIT;
    struct rule_set *set = rule_set_decode(NULL, 0, &e);
    struct buf forward;
    char name[128], *text;

    cr_assert_not_null(set);
    cr_expect(!rule_set_restricts(set));
    buf_init(&forward, 4096);
    cr_expect_eq(rule_set_apply(set, script, strlen(script), name, NULL, &forward, &e), 0);
    text = buf_string(&forward);
    cr_expect_str_eq(text, script);
    cr_expect_str_eq(name, "");
    free(text);
    rule_set_free(set);

    /* No set at all, and a set that came to nothing, allow nothing. */
    buf_clear(&forward);
    cr_expect(rule_set_restricts(NULL));
    cr_expect_eq(rule_set_apply(NULL, "ls", 2, name, NULL, &forward, &e), ERR_DENIED);
    set = rule_set_new();
    cr_expect_eq(rule_set_apply(set, "ls", 2, name, NULL, &forward, &e), ERR_DENIED);
    cr_expect_lt(rule_set_encode(set, &forward), 0);
    cr_expect_eq(buf_len(&forward), 0);
    rule_set_free(set);
    rule_set_free(NULL);
    buf_clear(&forward);
}

/* Every cut of an encoded set but at a rule's end is refused, and no changed byte makes it crash.
 */
Test(policy_rules, malformed)
{
    struct rule_set *set = example();
    struct buf bytes;
    size_t ends = 0;

    buf_init(&bytes, RULES_ENCODED_MAX);
    cr_assert_eq(rule_set_encode(set, &bytes), 0);
    rule_set_free(set);
    for (size_t len = 1; len < buf_len(&bytes); len++) {
        set = rule_set_decode(buf_head(&bytes), len, NULL);
        ends += set != NULL;
        rule_set_free(set);
    }
    cr_expect_eq(ends, 2);
    uint8_t *copy = malloc(buf_len(&bytes));
    for (size_t i = 0; i < buf_len(&bytes); i++) {
        struct buf forward;
        char name[128];
        memcpy(copy, buf_head(&bytes), buf_len(&bytes));
        copy[i] ^= 0xff;
        set = rule_set_decode(copy, buf_len(&bytes), NULL);
        buf_init(&forward, 4096);
        if (set && rule_set_apply(set, "uptime", 6, name, NULL, &forward, NULL) == 0)
            cr_expect(memchr("/'", buf_head(&forward)[0], 2)); /* changed: in quotes */
        buf_clear(&forward);
        rule_set_free(set);
    }
    free(copy);
    buf_clear(&bytes);
}

Test(policy_rules, bounded)
{
    struct rule_set *set = rule_set_new();
    static char text[4002];
    struct words w;
    struct err e = ERR_INIT;
    int rc = 0;

    memset(text, 'x', sizeof text - 1);
    text[2] = ' ';
    cr_assert_eq(words_split(text, strlen(text), &w, &e), 0);
    for (int i = 0; i < 100 && rc == 0; i++)
        rc = rule_set_add(set, "r", &w, "/bin/x", 0, &e);
    cr_expect_eq(rc, ERR_FULL);
    words_clear(&w);
    rule_set_free(set);
}

Test(policy_rules, what_cannot_be_forwarded)
{
    struct rule_set *set = rule_set_new();
    struct words w;
    struct err e = ERR_INIT;

    cr_assert_eq(words_split("a \"'\"", 5, &w, &e), 0);
    cr_expect_eq(rule_set_add(set, "r", &w, "/bin/a", 0, &e), ERR_INPUT);
    words_clear(&w);
    cr_assert_eq(words_split("a b", 3, &w, &e), 0);
    cr_expect_eq(rule_set_add(set, "r", &w, "bin/a", 0, &e), ERR_INPUT);
    words_clear(&w);
    rule_set_free(set);
}
