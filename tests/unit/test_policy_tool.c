/* SPDX-License-Identifier: Apache-2.0
 *
 * What `policy check` and `policy diff` stand on: all mistakes of a set at once, lines taken apart,
 * sets out of git revisions; and what diff says of a few changes word by word. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/cli.h"
#include "policy/bundle.h"
#include "policy/cli_policy.h"
#include "policy/diff.h"
#include "policy/findings.h"
#include "tests/unit/policy_fixture.h"

static const struct {
    const char *line, *file, *text;
    unsigned at_line, column;
    bool warning;
} lines[] = {
    {"roles.d/a.yaml:3:5: found x", "roles.d/a.yaml", "found x", 3, 5, false},
    {"targets.yaml:1:2: warning: y: z", "targets.yaml", "y: z", 1, 2, true},
    {"operators.yaml: found owner 5", "operators.yaml", "found owner 5", 0, 0, false},
    {"the set: is odd", "", "the set: is odd", 0, 0, false},
    {"a.yaml:3: found x", "", "a.yaml:3: found x", 0, 0, false},
    {"out of memory", "", "out of memory", 0, 0, false},
};

Test(policy_findings, lines)
{
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct findings f = {0};
        cr_assert_eq(findings_add(&f, lines[i].line, false), 0);
        cr_expect_str_eq(f.at[0].file, lines[i].file, "case %zu", i);
        cr_expect_str_eq(f.at[0].text, lines[i].text, "case %zu", i);
        cr_expect_eq(f.at[0].line, lines[i].at_line, "case %zu", i);
        cr_expect_eq(f.at[0].column, lines[i].column, "case %zu", i);
        cr_expect_eq(f.at[0].warning, lines[i].warning, "case %zu", i);
        cr_expect_eq(f.errors, lines[i].warning ? 0 : 1);
        findings_clear(&f);
    }
}

Test(policy_findings, sorted_and_once)
{
    struct findings f = {0};

    cr_assert_eq(findings_add(&f, "roles.d/b.yaml:10:1: x", false), 0);
    cr_assert_eq(findings_add(&f, "roles.d/b.yaml:9:1: x", false), 0);
    cr_assert_eq(findings_add(&f, "roles.d/a.yaml:1:1: warning: w", false), 0);
    cr_assert_eq(findings_add(&f, "roles.d/b.yaml:9:1: x", false), 0);
    findings_sort(&f);
    cr_assert_eq(f.count, 3);
    cr_expect_eq(f.errors, 2);
    cr_expect_str_eq(f.at[0].file, "roles.d/a.yaml");
    cr_expect_eq(f.at[1].line, 9);
    cr_expect_eq(f.at[2].line, 10);
    findings_clear(&f);
}

/* ---- all mistakes ---- */

#define ROLE(name, rest)                                                                           \
    "role: " name "\nmembers: [alice]\ntargets: {all: true}\naccounts: [root]\n" rest

static char *gather(const struct fixture_file *files, size_t count)
{
    struct buf block, errors;
    struct err e = ERR_INIT;

    buf_init(&block, 1u << 20);
    buf_init(&errors, 1u << 20);
    fixture_put(&block, files, count);
    struct policy *p = policy_load_gather(buf_head(&block), buf_len(&block), NULL, &errors, &e);
    cr_expect_eq(p == NULL, buf_len(&errors) > 0, "%s", e.text);
    policy_free(p);
    char *text = buf_string(&errors);
    buf_clear(&block);
    buf_clear(&errors);
    return text;
}

Test(policy_gather, the_first_mistake_of_each)
{
    static const struct fixture_file files[] = {
        {"operators.yaml", "operators:\n  alice: {keys: 1}\n  Bob: {}\n  carol: {}\n"},
        {"packs/f.yaml", "family: [x]\n"},
        {"roles.d/a.yaml", ROLE("a", "allow: {exec: perhaps}\n")},
        {"roles.d/b.yaml", ROLE("b", "allow: {exec: true}\n")},
        {"roles.d/c.yaml", "role: c\nmembers: [Bob]\n"},
        {"roles.d/d.yaml", "role: d\n  x: [\n"},
        {"roles.d/e.yaml", ROLE("e", "allow: {}\ncommands: [{deny: class:snapshot}]\n")},
        {"roles.d/f.yaml", "role: f\nmembers: [missing]\ntargets: {name: gone}\naccounts: [root]\n"
                           "allow: {shell: 1}\n"},
        {"site.yaml", "contct: x\n"},
        {"targets.yaml",
         "targets:\n  hv1: {address: nowhere}\n  hv2: {address: 10.0.0.1, port: 0}\n"},
    };
    /* Of each its own: no name is missed because the file that has it is broken. */
    static const char *const expected[] = {
        "site.yaml:1:1: unknown key \"contct\" (did you mean \"contact\"?)",
        "operators.yaml:2:17: ",
        "operators.yaml:3:3: ",
        "targets.yaml:2:18: ",
        "targets.yaml:3:34: ",
        "packs/f.yaml:1:1: ",
        "roles.d/a.yaml:5:15: ",
        "roles.d/c.yaml:2:11: ",
        "roles.d/d.yaml:2:",
        "roles.d/f.yaml:5:16: ",
    };
    char *text = gather(files, sizeof files / sizeof *files), *rest = text;

    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        const char *line = strsep(&rest, "\n");
        cr_assert(line && strncmp(line, expected[i], strlen(expected[i])) == 0,
                  "line %zu is %s, not %s", i, line ? line : "none", expected[i]);
    }
    cr_expect(!rest || !*rest, "%s", rest);
    free(text);
}

Test(policy_gather, unknown_names_where_the_others_are_right)
{
    static const struct fixture_file files[] = {
        {"operators.yaml", "operators: {alice: {}}\n"},
        {"roles.d/a.yaml", "role: a\nmembers: [alcie]\n"},
        {"roles.d/b.yaml", ROLE("b", "allow: {exec: 1}\n")},
        {"targets.yaml", "targets: {}\n"},
    };
    char *text = gather(files, 4);

    cr_expect(strstr(text, "unknown operator \"alcie\" (did you mean \"alice\"?)"), "%s", text);
    cr_expect(strstr(text, "roles.d/b.yaml:5:15"), "%s", text);
    free(text);
}

/* ---- git ---- */

static void run(const char *const *words)
{
    struct err e = ERR_INIT;

    cr_assert_eq(cli_run((char *const *)(uintptr_t)words, &e), 0, "%s %s", words[1], e.text);
}

static void git(const char *a, const char *b, const char *c)
{
    const char *words[] = {"git", "-c", "user.name=x", "-c", "user.email=x@example.org", a,
                           b,     c,    NULL};

    run(words);
}

static void write_text(const char *name, const char *text)
{
    struct err e = ERR_INIT;

    cr_assert_eq(cli_replace_file(name, text, strlen(text), 0644, &e), 0, "%s", e.text);
}

static void make_repository(char *dir)
{
    cr_assert(mkdtemp(dir) && chdir(dir) == 0);
    setenv("GIT_CONFIG_GLOBAL", "/dev/null", 1);
    setenv("GIT_CONFIG_SYSTEM", "/dev/null", 1);
    git("init", "-q", ".");
    cr_assert_eq(mkdir("policy", 0755) | mkdir("policy/roles.d", 0755) |
                     mkdir("policy/roles.d/tests", 0755) | mkdir("policy/other", 0755),
                 0);
    write_text("policy/operators.yaml", "operators: {alice: {}}\n");
    write_text("policy/targets.yaml", "targets: {hv1: {address: 10.0.0.1}}\n");
    write_text("policy/roles.d/a.yaml", ROLE("a", "allow: {exec: true}\nwhen: [\"Mon-Fri "
                                                  "08:00-20:00 Asia/Seoul\"]\n"));
    write_text("policy/roles.d/a.yaml~", "left alone");
    write_text("policy/other/b.yaml", "left alone");
    git("add", "-A", ".");
    git("commit", "-qm", "one");
}

static void remove_dir(const char *dir)
{
    const char *words[] = {"rm", "-rf", dir, NULL};

    cr_assert_eq(chdir("/"), 0);
    run(words);
}

/* A revision and the same directory are the same block. */
Test(policy_git, a_revision_is_read_as_a_directory_is)
{
    char dir[] = "/tmp/unit-policy-XXXXXX";
    struct policy_source a, b;
    struct err e = ERR_INIT;

    make_repository(dir);
    cr_assert_eq(policy_source_load(&a, "policy", NULL, true, &e), 0, "%s", e.text);
    cr_assert_eq(policy_source_load(&b, "HEAD:policy", NULL, true, &e), 0, "%s", e.text);
    cr_expect(b.revision && !a.revision);
    cr_assert_eq(buf_len(&a.block), buf_len(&b.block));
    cr_expect_eq(memcmp(buf_head(&a.block), buf_head(&b.block), buf_len(&a.block)), 0);
    policy_source_clear(&b);
    /* REV alone is the current directory at REV. */
    cr_assert_eq(chdir("policy"), 0);
    cr_assert_eq(policy_source_load(&b, "HEAD", NULL, true, &e), 0, "%s", e.text);
    cr_expect_eq(buf_len(&a.block), buf_len(&b.block));
    policy_source_clear(&b);
    /* What is changed and not committed is not in it. */
    write_text("operators.yaml", "operators: {alice: {}, bob: {}}\n");
    cr_assert_eq(policy_source_load(&b, "HEAD", NULL, true, &e), 0, "%s", e.text);
    cr_expect_eq(policy_operator_count(b.policy), 1);
    policy_source_clear(&b);
    policy_source_clear(&a);
    remove_dir(dir);
}

Test(policy_git, what_is_no_revision)
{
    static const struct {
        const char *word, *says;
    } cases[] = {
        {"nothing", "neither a directory nor a revision"},
        {"HEAD:nowhere", "neither a directory nor a revision"},
        {"--version", "neither a directory nor a revision"},
        {"HEAD:policy/operators.yaml", "git: "},
    };
    char dir[] = "/tmp/unit-policy-XXXXXX";

    make_repository(dir);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct policy_source s;
        struct err e = ERR_INIT;
        cr_expect_lt(policy_source_load(&s, cases[i].word, NULL, true, &e), 0, "%s", cases[i].word);
        cr_expect(strstr(e.text, cases[i].says), "%s: %s", cases[i].word, e.text);
        policy_source_clear(&s);
    }
    remove_dir(dir);
}

Test(policy_git, a_link_is_no_file_of_a_set)
{
    char dir[] = "/tmp/unit-policy-XXXXXX";
    struct policy_source s;
    struct err e = ERR_INIT;

    make_repository(dir);
    cr_assert_eq(symlink("a.yaml", "policy/roles.d/b.yaml"), 0);
    git("add", "-A", ".");
    git("commit", "-qm", "two");
    cr_expect_lt(policy_source_load(&s, "HEAD:policy", NULL, true, &e), 0);
    cr_expect(strstr(e.text, "roles.d/b.yaml: found something else"), "%s", e.text);
    policy_source_clear(&s);
    remove_dir(dir);
}

Test(policy_git, many_files)
{
    char dir[] = "/tmp/unit-policy-XXXXXX", name[64], text[4096];
    struct policy_source s;
    struct err e = ERR_INIT;

    make_repository(dir);
    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof name, "policy/roles.d/r%d.yaml", i);
        snprintf(text, sizeof text, "role: r%d\n%s# %02000d\n", i,
                 strchr(ROLE("", "allow: {exec: true}\n"), '\n') + 1, i);
        write_text(name, text);
    }
    git("add", "-A", ".");
    git("commit", "-qm", "two");
    cr_assert_eq(policy_source_load(&s, "HEAD:policy", NULL, true, &e), 0, "%s", e.text);
    cr_expect_eq(policy_role_count(s.policy), 3001);
    policy_source_clear(&s);
    remove_dir(dir);
}

/* ---- what diff says ---- */

struct told {
    char text[4000];
};

static void tell(struct told *t, const char *what)
{
    cr_assert_lt(strlen(t->text) + strlen(what), sizeof t->text);
    strcat(t->text, what);
}

static void tell_list(struct told *t, const char *sign, char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        tell(t, sign);
        tell(t, texts[i]);
    }
}

/* Every item as "subject kind -old +new; ". */
static void tell_diff(struct told *t, const struct diff *d)
{
    t->text[0] = 0;
    for (size_t i = 0; i < d->group_count; i++) {
        for (size_t k = 0; k < d->groups[i].change->count; k++) {
            const struct diff_item *item = &d->groups[i].change->items[k];
            tell(t, item->subject);
            tell(t, " ");
            tell(t, diff_kind_text(item->kind));
            tell_list(t, " -", item->old, item->old_count);
            tell_list(t, " +", item->new, item->new_count);
            tell(t, "; ");
        }
    }
    for (size_t i = 0; i < d->identity_count; i++) {
        tell(t, diff_identity_text(d->identities[i].kind));
        tell(t, " ");
        tell(t, d->identities[i].name);
        tell(t, "; ");
    }
}

#define HEAD   "role: 1\nmembers: [alice]\ntargets: {env: lab}\naccounts: [root]\n"
#define ALWAYS "from anywhere; key and code; a code each time"
static const struct {
    const char *old, *new, *says;
} changes[] = {
    {HEAD "allow: {exec: true}\n", HEAD "allow: {exec: true}\n", ""},
    /* what changes nothing */
    {HEAD "allow: {exec: true}\n", HEAD "allow: {exec: true, shell: false}\ndescription: x\n", ""},
    {"role: 1\nmembers: [alice]\ntargets: {env: lab}\naccounts: [root]\nallow: {exec: true}\n",
     "role: 2\nmembers: [group:net]\ntargets: {name: [hv1, hv2]}\naccounts: [root]\nallow: {exec: "
     "true}\n",
     ""},
    {HEAD "allow: {exec: true}\nfrom: [0.0.0.0/0, \"::/0\"]\n", HEAD "allow: {exec: true}\n", ""},
    /* abilities */
    {HEAD "allow: {exec: true}\n", HEAD "allow: {exec: true, shell: true}\n",
     "shell newly allowed +" ALWAYS "; "},
    {HEAD "allow: {exec: true, sftp: true}\n", HEAD "allow: {exec: true}\n",
     "sftp newly denied -" ALWAYS "; "},
    {HEAD "allow: {exec: true}\n", HEAD "allow: {exec: true}\nfrom: [10.0.0.0/8]\n",
     "exec narrowed -" ALWAYS " +from 10.0.0.0/8; key and code; a code each time; "},
    {HEAD "allow: {exec: true}\nremember: 1h\n", HEAD "allow: {exec: true}\nremember: 2h\n",
     "exec widened -from anywhere; key and code; remembered 1h +from anywhere; key and code; "
     "remembered 2h; "},
    {HEAD "allow: {exec: true}\nfrom: [10.0.0.0/8]\n",
     HEAD "allow: {exec: true}\nfrom: [10.1.0.0/16, 192.0.2.0/24]\n",
     "exec changed -from 10.0.0.0/8; key and code; a code each time +from 10.1.0.0/16, "
     "192.0.2.0/24; key and code; a code each time; "},
    {HEAD "allow: {exec: true}\nwhen: [\"Mon-Fri 08:00-20:00 UTC\"]\n",
     HEAD "allow: {exec: true}\nwhen: [\"Mon-Fri 08:00-20:01 UTC\"]\n",
     "exec widened -from anywhere; Mon-Fri 08:00-20:00 UTC; key and code; a code each time +from "
     "anywhere; Mon-Fri 08:00-20:01 UTC; key and code; a code each time; "},
    /* what rules permit */
    {HEAD "allow: {exec: true}\ncommands: [{allow: /bin/a}]\n",
     HEAD "allow: {exec: true}\ncommands: [{allow: /bin/a}, {allow: /bin/b}]\n",
     "commands widened +allow /bin/b (/bin/b); "},
    {HEAD "allow: {exec: true}\ncommands: [{allow: /bin/a}]\n", HEAD "allow: {exec: true}\n",
     "commands widened +allow anything; "},
    {HEAD "allow: {exec: true}\n", HEAD "allow: {exec: true}\ncommands: [{deny: reboot}]\n",
     "commands narrowed +deny reboot; "},
    {HEAD "allow: {exec: true}\ncommands: [{deny: a}, {deny: b}]\n",
     HEAD "allow: {exec: true}\ncommands: [{deny: b}]\n", "commands widened -deny a; "},
    {HEAD "allow: {exec: true}\ncommands: [{allow: /bin/a}]\n",
     HEAD "allow: {exec: true}\ncommands: [{allow: /bin/a, stdin: digest}]\n",
     "commands changed -allow /bin/a (/bin/a) +allow /bin/a (/bin/a, stdin: digest); "},
    {HEAD "allow: {sftp: {read: [/a, /b]}}\n", HEAD "allow: {sftp: {read: [/b], write: [/c]}}\n",
     "sftp.read narrowed -/a; sftp.write widened +/c; "},
    {HEAD "allow: {forward: [\"a:1\"]}\n", HEAD "allow: {forward: [\"b:1\"]}\n",
     "forwards changed -a:1 +b:1; "},
    /* limits */
    {HEAD "allow: {exec: true}\nsession: {idle: 15m}\n",
     HEAD "allow: {exec: true}\nsession: {max: 8h}\n",
     "idle widened -15m +none; max narrowed -none "
     "+8h; "},
    {HEAD "allow: {exec: true}\n", HEAD "allow: {exec: true}\nsession: {record: sync-all}\n",
     "record changed -strict +sync-all; "},
};

Test(policy_diff, word_by_word)
{
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        for (enum diff_how how = DIFF_BOUNDED; how <= DIFF_ROLES; how++) {
            struct fixture_file files[] = {{"roles.d/1.yaml", changes[i].old}};
            struct buf blocks[2];
            struct policy *sets[2];
            struct told told;
            struct err e = ERR_INIT;
            struct diff d;
            sets[0] = fixture_load_files(files, 1, &blocks[0], &e);
            cr_assert(sets[0], "case %zu: %s", i, e.text);
            files[0].text = changes[i].new;
            sets[1] = fixture_load_files(files, 1, &blocks[1], &e);
            cr_assert(sets[1], "case %zu: %s", i, e.text);
            const struct diff_input inputs[] = {
                {sets[0], buf_head(&blocks[0]), buf_len(&blocks[0])},
                {sets[1], buf_head(&blocks[1]), buf_len(&blocks[1])}};
            cr_assert_eq(policy_diff(&inputs[0], &inputs[1], 1772000000, how, &d, &e), 0, "%s",
                         e.text);
            tell_diff(&told, &d);
            /* Role by role, another name is another role. */
            if (how != DIFF_ROLES || !strstr(changes[i].new, "role: 2"))
                cr_expect_str_eq(told.text, changes[i].says, "case %zu, %d: %s", i, how, told.text);
            diff_clear(&d);
            for (int s = 0; s < 2; s++) {
                policy_free(sets[s]);
                buf_clear(&blocks[s]);
            }
        }
    }
}

/* Who a name is. */
Test(policy_diff, identities)
{
    static const struct fixture_file before[] = {
        {"operators.yaml", "operators:\n  a: {keys: [\"" KEY_A "\"]}\n  b: {}\n  c: {from: "
                           "[10.0.0.0/8]}\n"},
        {"packs/f.yaml", "family: f\nprograms: [{names: [p], entries: [{class: raw}]}]\n"},
        {"reviewers.yaml", "reviewers: []\n"},
        {"targets.yaml", "targets:\n  t: {address: 10.0.0.1}\n  u: {address: 10.0.0.2, aliases: "
                         "[v]}\n  w: {address: 10.0.0.3}\n"}};
    static const struct fixture_file after[] = {
        {"operators.yaml",
         "operators:\n  a: {keys: [\"" KEY_B "\"]}\n  c: {}\n  d: {keys: [\"" KEY_A "\"]}\n"},
        {"packs/f.yaml", "family: f\nprograms: [{names: [p], entries: [{class: read}]}]\n"},
        {"targets.yaml",
         "targets:\n  t: {address: 10.0.0.9}\n  u: {address: 10.0.0.2}\n  x: "
         "{address: 10.0.0.4}\n  w: {address: 10.0.0.3, host-keys: [\"" KEY_H1 "\"]}\n"}};
    struct buf blocks[2];
    struct told told;
    struct err e = ERR_INIT;
    struct diff d;
    struct policy *old = fixture_load_files(before, 4, &blocks[0], &e),
                  *new = fixture_load_files(after, 3, &blocks[1], &e);

    cr_assert(old && new, "%s", e.text);
    const struct diff_input inputs[] = {{old, buf_head(&blocks[0]), buf_len(&blocks[0])},
                                        {new, buf_head(&blocks[1]), buf_len(&blocks[1])}};
    cr_assert_eq(policy_diff(&inputs[0], &inputs[1], 1772000000, DIFF_BOUNDED, &d, &e), 0);
    tell_diff(&told, &d);
    cr_expect_str_eq(
        told.text,
        "operator added d; operator removed b; operator's keys a; operator's addresses "
        "c; target added x; target's address t; target's host keys w; target's aliases "
        "u; rule pack packs/f.yaml; file reviewers.yaml; ",
        "%s", told.text);
    diff_clear(&d);
    policy_free(old);
    policy_free(new);
    buf_clear(&blocks[0]);
    buf_clear(&blocks[1]);
}
