/* SPDX-License-Identifier: Apache-2.0
 *
 * Denies by class: the shipped packs within a role's rules, through a grant, to a refusal. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/packs.h"
#include "policy/rules.h"
#include "tests/unit/packs_fixture.h"

static struct rule_set *class_set(struct buf *bytes)
{
    const struct packs *packs = fixture_packs();
    struct rule_set *set = rule_set_new();
    struct err e = ERR_INIT;

    cr_assert_eq(
        rule_set_deny_class(set, "guard/commands[0]", packs, packs_class(packs, "snapshot"), &e), 0,
        "%s", e.text);
    cr_assert_eq(
        rule_set_deny_class(set, "guard/commands[1]", packs, packs_class(packs, "destroy"), &e), 0,
        "%s", e.text);
    rule_set_open(set);
    cr_assert_eq(rule_set_encode(set, bytes), 0);
    rule_set_free(set);
    struct rule_set *sent = rule_set_decode(buf_head(bytes), buf_len(bytes), &e);
    cr_assert_not_null(sent, "%s", e.text);
    return sent;
}

Test(policy_rules_class, through_a_grant)
{
    static const struct {
        const char *command, *rule, *class_name; /* rule NULL: allowed */
    } cases[] = {
        {"virsh snapshot-create vm7", "guard/commands[0]", "snapshot"},
        {"virsh -c qemu:///system snapshot-create-as vm7 x", "guard/commands[0]", "snapshot"},
        {"virsh 'list; snapshot-create vm7'", "guard/commands[0]", "snapshot"},
        {"sudo -u root sh -c 'id && virsh snapshot-create vm7'", "guard/commands[0]", "snapshot"},
        {"/usr/bin/../bin/virsh snapshot-create vm7", "guard/commands[0]", "snapshot"},
        {"qm snapshot 100 x", "guard/commands[0]", "snapshot"},
        {"zfs snapshot tank/vm@s", "guard/commands[0]", "snapshot"},
        {"find / -exec shred /dev/sdb ';'", "guard/commands[1]", "destroy"},
        {"xargs virsh list", "guard/commands[0]", "snapshot"}, /* nobody can see */
        {"virsh list", NULL, NULL},
        {"virsh snapshot-list vm7", NULL, NULL},
        {"virsh setmem vm7 1G", NULL, NULL},
        {"sudo virsh dominfo vm7", NULL, NULL},
    };
    struct buf bytes;

    buf_init(&bytes, RULES_ENCODED_MAX);
    struct rule_set *set = class_set(&bytes);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rule_verdict v;
        struct err e = ERR_INIT;
        struct buf out;
        char want[200];
        buf_init(&out, 4096);
        int rc = rule_set_judge(set, cases[i].command, strlen(cases[i].command), &v, &out, &e);
        cr_expect_eq(rc, cases[i].rule ? ERR_DENIED : 0, "%s: %s", cases[i].command, e.text);
        cr_expect_str_eq(v.rule, cases[i].rule ? cases[i].rule : "");
        cr_expect_str_eq(v.class_name, cases[i].rule ? cases[i].class_name : "");
        if (cases[i].rule) {
            snprintf(want, sizeof want, "denied by %s (class %s)", cases[i].rule,
                     cases[i].class_name);
            cr_expect(strncmp(e.text, want, strlen(want)) == 0, "%s", e.text);
        }
        buf_clear(&out);
    }
    rule_set_free(set);
    buf_clear(&bytes);
}

/* No cut of it decodes: rules that lost their packs would deny less. */
Test(policy_rules_class, cuts)
{
    struct buf bytes;

    buf_init(&bytes, RULES_ENCODED_MAX);
    struct rule_set *set = class_set(&bytes);
    rule_set_free(set);
    for (size_t len = 1; len < buf_len(&bytes); len += len < 100 ? 1 : 37) {
        set = rule_set_decode(buf_head(&bytes), len, NULL);
        cr_expect_null(set, "%zu", len);
        rule_set_free(set);
    }
    buf_clear(&bytes);
}
