/* SPDX-License-Identifier: Apache-2.0
 *
 * What policy_ask answers is what the backend does with the grant: random policies are asked both
 * ways, the second one through the rules' encoded form (gateway/backend_judge.c). */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/ask.h"
#include "policy/packs.h"
#include "tests/unit/policy_fixture.h"

#define POLICIES 400

static const char *const rules[] = {
    "{allow: \"virsh list|dominfo|start **\"}",
    "{allow: \"virsh snapshot-create *\"}",
    "{allow: \"/usr/bin/uptime\"}",
    "{allow: \"echo -**\"}",
    "{deny: \"class:snapshot\"}",
    "{deny: \"virsh start **\"}",
    "{deny: \"class:destroy\"}",
    "{deny: \"* -rf\"}",
};
#define ALLOWS 4

static const char *const commands[] = {
    "virsh list",
    "virsh start vm7",
    "virsh start vm7 --console",
    "sudo virsh start vm7",
    "virsh snapshot-create vm7",
    "/usr/bin/virsh snapshot-create vm7",
    "sh -c 'virsh snapshot-create vm7'",
    "virsh 'list; snapshot-create vm7'",
    "virsh undefine vm7",
    "uptime",
    "/usr/bin/uptime",
    "echo a 'b c'",
    "echo 'a\\b'",
    "rm -rf /srv",
    "rm -r /srv",
    "xargs rm",
    "id; virsh list",
    "LANG=C virsh list",
    "",
    "virsh\0list",
};

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static char *read_pack(void)
{
    static char text[262144];
    FILE *f = fopen(PACKS_DIR "/libvirt.yaml", "r");

    cr_assert_not_null(f);
    const size_t len = fread(text, 1, sizeof text - 1, f);
    cr_assert(len > 0 && len < sizeof text - 1);
    text[len] = 0;
    fclose(f);
    return text;
}

static void random_role(uint64_t *state, unsigned number, char *out)
{
    const bool exec = next_random(state) % 3 != 0;
    const bool ruled = next_random(state) % 4 != 0;
    const bool shell = !ruled && next_random(state) % 2;
    bool virsh = false, echo = false;
    char list[1000] = "";

    for (unsigned n = 1 + (unsigned)(next_random(state) % 3); ruled && n > 0; n--) {
        const size_t denies = sizeof rules / sizeof *rules - ALLOWS;
        const size_t i =
            exec ? next_random(state) % (ALLOWS + denies) : ALLOWS + next_random(state) % denies;
        sprintf(list + strlen(list), "  - %s\n", rules[i]);
        virsh = virsh || i < 2;
        echo = echo || i == 3;
    }
    sprintf(out,
            "role: r%u\nmembers: [alice]\ntargets: {env: lab}\naccounts: [root]\n"
            "allow: {shell: %s, exec: %s}\n%s%s%s%s%s%s",
            number, shell ? "true" : "false", exec ? "true" : "false",
            virsh || echo ? "programs: {" : "", virsh ? "virsh: /usr/bin/virsh" : "",
            virsh && echo ? ", " : "", echo ? "echo: /bin/echo" : "", virsh || echo ? "}\n" : "",
            ruled ? "commands:\n" : "");
    strcat(out, list);
}

/* judge_shell and judge_exec of the backend; because "" where it names no rule. */
static bool backend_does(const struct policy_decision *d, const char *command, size_t len,
                         struct rule_verdict *v, struct buf *forward)
{
    struct err e = ERR_INIT;
    struct rule_set *sent = NULL;
    struct buf bytes;
    bool done = false;

    memset(v, 0, sizeof *v);
    buf_init(&bytes, RULES_ENCODED_MAX);
    cr_assert_eq(d->rules ? rule_set_encode(d->rules, &bytes) : 0, 0);
    if (buf_len(&bytes)) {
        sent = rule_set_decode(buf_head(&bytes), buf_len(&bytes), &e);
        cr_assert_not_null(sent, "%s", e.text);
    }
    if (!command) {
        done = (d->abilities & ABILITY_SHELL) && !rule_set_denies(sent, NULL);
        if (!done && rule_set_took_shell(sent))
            (void)rule_set_denies(sent, v->rule);
    } else if (!(d->abilities & ABILITY_EXEC) || !len || memchr(command, 0, len)) {
        done = false;
    } else if (!sent || !rule_set_restricts(sent)) {
        done = buf_put(forward, command, len) == 0;
    } else {
        done = rule_set_judge(sent, command, len, v, forward, &e) == 0;
    }
    rule_set_free(sent);
    buf_clear(&bytes);
    return done;
}

static unsigned shells_taken, by_class, allowed, denied;

static void compare(const struct policy_decision *d, const char *command, size_t len)
{
    const struct policy_ask ask = {command ? ASK_EXEC : ASK_SHELL, command, len};
    struct policy_answer answer;
    struct rule_verdict v;
    struct err e = ERR_INIT;
    struct buf forward;
    char class_name[60];

    buf_init(&forward, WORDS_TEXT_MAX + 4 * WORDS_MAX);
    const bool done = backend_does(d, command, len, &v, &forward);
    cr_assert_eq(policy_ask(d, &ask, &answer, &e), 0, "%s", e.text);
    cr_expect_eq(answer.allowed, done, "%s: %s", command, d->path);
    if (v.rule[0])
        cr_expect_str_eq(answer.because, v.rule, "%s: %s", command, d->path);
    else
        cr_expect_null(strchr(answer.because, '['), "%s: %s", command, answer.because);
    snprintf(class_name, sizeof class_name, "(class %s)", v.class_name);
    if (v.class_name[0])
        cr_expect(strstr(answer.text, class_name), "%s", answer.text);
    if (!done)
        cr_expect(strstr(answer.text, "; ask group:policy-admins"), "%s", answer.text);
    else if (command && d->rules)
        cr_expect(buf_len(&forward) == strlen(answer.text) &&
                      memcmp(buf_head(&forward), answer.text, buf_len(&forward)) == 0,
                  "%s: %s", command, answer.text);
    shells_taken += !command && v.rule[0];
    by_class += v.class_name[0] != 0;
    allowed += done;
    denied += !done;
    buf_clear(&forward);
}

Test(policy_ask, as_the_backend_does)
{
    static const char site[] = "contact: group:policy-admins\n";
    const char *pack = read_pack();
    uint64_t state = 88172645463325252u;

    for (int i = 0; i < POLICIES; i++) {
        char text[4][2000];
        struct fixture_file files[6] = {{"site.yaml", site}, {"packs/libvirt.yaml", pack}};
        static const char *const names[] = {"roles.d/r0.yaml", "roles.d/r1.yaml", "roles.d/r2.yaml",
                                            "roles.d/r3.yaml"};
        const unsigned count = 1 + (unsigned)(next_random(&state) % 4);
        struct policy_request r = {.operator_name = "alice",
                                   .target = "hv1",
                                   .account = "root",
                                   .factors = FACTOR_KEY | FACTOR_TOTP};
        struct policy_decision d;
        struct err e = ERR_INIT;

        for (unsigned k = 0; k < count; k++) {
            random_role(&state, k, text[k]);
            files[2 + k] = (struct fixture_file){names[k], text[k]};
        }
        struct policy *p = fixture_load_files(files, 2 + count, NULL, &e);
        cr_assert_not_null(p, "%s\n%s", e.text, text[0]);
        cr_assert_eq(address_parse("10.0.0.9", &r.source, NULL), 0);
        cr_assert_eq(policy_decide(p, &r, &d, &e), 0);
        if (d.allowed)
            compare(&d, NULL, 0);
        for (size_t k = 0; d.allowed && k < sizeof commands / sizeof *commands; k++)
            compare(&d, commands[k],
                    k + 1 == sizeof commands / sizeof *commands ? 10 : strlen(commands[k]));
        policy_decision_clear(&d);
        policy_free(p);
    }
    cr_expect_gt(shells_taken, 5);
    cr_expect_gt(by_class, 50);
    cr_expect_gt(allowed, 500);
    cr_expect_gt(denied, 500);
}

/* What does not fit a grant is denied by the decision already, to the byte: no session of it could
 * begin, and no test of a policy may say that one does. */
Test(policy_ask, classes_and_rules_beyond_a_grant)
{
    enum { RULES = 250, LONG = 268 };
    static char text[2][120000], pad[4096];
    const char *pack = read_pack();
    int fits = 0, over = 4000;

    while (over - fits > 1) {
        const int middle = (fits + over) / 2;
        struct policy_request r = {.operator_name = "alice",
                                   .target = "hv1",
                                   .account = "root",
                                   .factors = FACTOR_KEY | FACTOR_TOTP};
        struct policy_decision d;
        struct err e = ERR_INIT;
        struct buf bytes;

        for (int k = 0; k < 2; k++) {
            size_t at =
                (size_t)sprintf(text[k],
                                "role: r%d\nmembers: [alice]\ntargets: {env: lab}\naccounts: "
                                "[root]\nallow: {exec: true}\ncommands:\n  - deny: class:snapshot\n"
                                "  - deny: class:destroy\n",
                                k);
            for (int n = 0; n < (k ? RULES : RULES - 20); n++)
                at += (size_t)sprintf(text[k] + at, "  - deny: x%0*d\n", LONG - 60 * k, n);
        }
        memset(pad, 'y', sizeof pad);
        pad[middle] = 0;
        sprintf(text[0] + strlen(text[0]), "  - deny: z%s\n", pad);
        const struct fixture_file files[] = {{"packs/libvirt.yaml", pack},
                                             {"roles.d/r0.yaml", text[0]},
                                             {"roles.d/r1.yaml", text[1]}};
        struct policy *p = fixture_load_files(files, 3, NULL, &e);
        cr_assert_not_null(p, "%s", e.text);
        cr_assert_eq(address_parse("10.0.0.9", &r.source, NULL), 0);
        cr_assert_eq(policy_decide(p, &r, &d, &e), 0);
        if (d.allowed) {
            buf_init(&bytes, RULES_ENCODED_MAX);
            cr_expect_eq(rule_set_encode(d.rules, &bytes), 0);
            cr_expect(over - middle > 1 || buf_len(&bytes) == RULES_ENCODED_MAX, "%zu",
                      buf_len(&bytes));
            buf_clear(&bytes);
            fits = middle;
        } else {
            cr_expect_str_eq(d.because, "rules");
            cr_expect(strstr(d.reason, "more rules together"), "%s", d.reason);
            over = middle;
        }
        policy_decision_clear(&d);
        policy_free(p);
    }
    cr_expect_gt(fits, 0, "the smallest was too large already");
    cr_expect_lt(over, 4000, "the largest fitted");
}
