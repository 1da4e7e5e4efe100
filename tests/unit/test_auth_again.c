/* SPDX-License-Identifier: Apache-2.0
 *
 * A session decided again: what is left of it under another set, what its operator is told, what a
 * successor of authd reads. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "auth/again.h"
#include "tests/unit/auth_lab.h"
#include "tests/unit/policy_fixture.h"

#define ROLE(rest)                                                                                 \
    "role: lab\nmembers: [group:ops]\ntargets: {env: lab}\naccounts: [root]\nremember: 8h\n" rest

static struct policy *policy_of(const char *role)
{
    struct err e = ERR_INIT;
    struct policy *p = fixture_load_with(NULL, NULL, role, &e);

    cr_assert_not_null(p, "%s", e.text);
    return p;
}

/* alice, root on hv1, with a key and a code. */
static struct again_session session_under(const struct policy *p)
{
    struct again_session s = {.operator_name = "alice",
                              .target = "hv1",
                              .account = "root",
                              .factors = FACTOR_KEY | FACTOR_TOTP,
                              .started_s = LAB_NOW};
    struct err e = ERR_INIT;
    struct again again;

    cr_assert_eq(address_parse("10.1.2.3", &s.source, &e), 0);
    s.began.abilities = UINT32_MAX;
    s.began.bulk = BULK_DIGEST;
    again_decide(p, &s, LAB_NOW, &again);
    cr_assert(again.allowed, "%s", again.text);
    s.began = s.held = again.terms;
    again_clear(&again);
    return s;
}

Test(again, what_is_left)
{
    static const struct {
        const char *began, *now, *words; /* words: of what is other; NULL: it ends */
        uint32_t abilities;
    } cases[] = {
        {"allow: {exec: true}\n", "allow: {exec: true}\n", "", ABILITY_EXEC | ABILITY_PTY},
        {"allow: {exec: true}\n", "allow: {shell: true, exec: true, sftp: true}\n", "",
         ABILITY_EXEC | ABILITY_PTY},
        {"allow: {shell: true, exec: true}\n", "allow: {shell: true}\n", "no commands any more",
         ABILITY_SHELL | ABILITY_PTY},
        {"allow: {shell: true, sftp: true}\n", "allow: {sftp: true}\n",
         "no shell any more; no terminal any more", ABILITY_SFTP},
        {"allow: {shell: true}\n", "allow: {sftp: true}\n", NULL, 0},
        {"allow: {exec: true}\n", "allow: {exec: true}\ncommands: [{allow: /bin/true}]\n",
         "no terminal any more; other command rules", ABILITY_EXEC},
        {"allow: {exec: true}\ncommands: [{allow: /bin/true}]\n",
         "allow: {exec: true}\ncommands: [{allow: /bin/false}]\n", "other command rules",
         ABILITY_EXEC},
        {"allow: {sftp: {read: [/a]}}\n", "allow: {sftp: {read: [/b]}}\n", "other file rules",
         ABILITY_SFTP},
        {"allow: {forward: [\"localhost:1\", \"localhost:2\"]}\n",
         "allow: {forward: [\"localhost:1\"]}\n", "other forward rules", ABILITY_FORWARD},
        {"allow: {exec: true, forward: [\"localhost:1\"]}\n", "allow: {exec: true}\n",
         "no forwards any more", ABILITY_EXEC | ABILITY_PTY},
        /* rules of what is taken away are no news */
        {"allow: {shell: true, sftp: {read: [/a]}}\n", "allow: {shell: true}\n",
         "no file transfer any more", ABILITY_SHELL | ABILITY_PTY},
        {"allow: {exec: true}\nsession: {idle: 10m}\n", "allow: {exec: true}\n", "",
         ABILITY_EXEC | ABILITY_PTY},
        {"allow: {exec: true}\nsession: {idle: 10m}\n",
         "allow: {exec: true}\nsession: {idle: 1h}\n", "", ABILITY_EXEC | ABILITY_PTY},
        {"allow: {exec: true}\n", "allow: {exec: true}\nsession: {idle: 90s}\n",
         "at most 90 s idle", ABILITY_EXEC | ABILITY_PTY},
        {"allow: {exec: true}\n", "allow: {exec: true}\nsession: {max: 2h}\n",
         "at most 2 h from its beginning", ABILITY_EXEC | ABILITY_PTY},
        {"allow: {exec: true}\nsession: {record: sync-all}\n", "allow: {exec: true}\n", "",
         ABILITY_EXEC | ABILITY_PTY},
        {"allow: {exec: true}\nsession: {bulk: digest, bulk-after: 1MiB}\n",
         "allow: {exec: true}\n", "recorded in another way", ABILITY_EXEC | ABILITY_PTY},
        {"allow: {exec: true}\n",
         "allow: {exec: true}\nsession: {bulk: digest, bulk-after: 1MiB}\n", "",
         ABILITY_EXEC | ABILITY_PTY},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char began[600], now[600], words[900];
        struct again again;
        snprintf(began, sizeof began, ROLE("%s"), cases[i].began);
        snprintf(now, sizeof now, ROLE("%s"), cases[i].now);
        struct policy *before = policy_of(began), *after = policy_of(now);
        struct again_session s = session_under(before);
        again_decide(after, &s, LAB_NOW, &again);
        cr_expect_eq(again.allowed, cases[i].words != NULL, "%zu: %s", i, again.text);
        if (cases[i].words && again.allowed) {
            again_words(&s.held, &again.terms, words, sizeof words);
            cr_expect_str_eq(words, cases[i].words, "%zu: %s", i, words);
            cr_expect_eq(again_terms_same(&s.held, &again.terms), *cases[i].words == '\0', "%zu",
                         i);
            cr_expect_eq(again.terms.abilities, cases[i].abilities, "%zu", i);
        }
        again_clear(&again);
        policy_free(before);
        policy_free(after);
    }
}

/* The role is the same; what another file says of it changes what is left. */
Test(again, what_other_files_change)
{
#define PACK(verb)                                                                                 \
    "family: libvirt\nclasses: [snapshot]\nprograms:\n  - names: [virsh]\n    entries:\n"          \
    "      - {verbs: [" verb "], class: snapshot}\n"
#define GUARD                                                                                      \
    "role: guard\nmembers: [alice]\ntargets: {all: true}\naccounts: [root]\nallow: {}\n"           \
    "commands: [{deny: 'class:snapshot'}]\n"
    static const char lab[] = ROLE("allow: {exec: true, sftp: true}\n"),
                      shell[] = ROLE("allow: {shell: true}\n"), none[] = "{}\n";
    static const struct {
        const char *role, *began[2], *now[2]; /* site.yaml, another role (NULL: none) */
        const char *pack[2];
        const char *words; /* NULL: it ends */
        const char *why;   /* then */
    } cases[] = {
        {lab, {none, NULL}, {none, NULL}, {PACK("save"), PACK("dump")}, "", NULL},
        {lab, {none, GUARD}, {none, GUARD}, {PACK("save"), PACK("save")}, "", NULL},
        {lab,
         {none, GUARD},
         {none, GUARD},
         {PACK("save"), PACK("save, dump")},
         "other command rules",
         NULL},
        {lab,
         {none, NULL},
         {none, GUARD},
         {PACK("save"), PACK("save")},
         "no terminal any more; other command rules",
         NULL},
        {shell,
         {none, NULL},
         {none, GUARD},
         {PACK("save"), PACK("save")},
         NULL,
         "guard/commands[0] denies commands"},
        /* a deny that goes gives nothing back: the rules of the beginning hold beside */
        {lab,
         {none, GUARD},
         {none, NULL},
         {PACK("save"), PACK("save")},
         "other command rules",
         NULL},
        {lab,
         {none, NULL},
         {"from: [10.9.0.0/16]\n", NULL},
         {PACK("save"), PACK("save")},
         NULL,
         "denied by lab/from; ask your policy administrators"},
        {lab,
         {none, NULL},
         {"factors: [key, password, totp]\ncontact: group:admins\n", NULL},
         {PACK("save"), PACK("save")},
         NULL,
         "denied by lab/factors; ask group:admins"},
        {lab,
         {none, NULL},
         {"contact: group:admins\n", NULL},
         {PACK("save"), PACK("save")},
         "",
         NULL},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct policy *p[2];
        char words[900];
        struct again again;
        for (int k = 0; k < 2; k++) {
            const char *const *texts = k ? cases[i].now : cases[i].began;
            const struct fixture_file files[] = {{"packs/virsh.yaml", cases[i].pack[k]},
                                                 {"roles.d/lab.yaml", cases[i].role},
                                                 {"site.yaml", texts[0]},
                                                 {"roles.d/guard.yaml", texts[1]}};
            struct err e = ERR_INIT;
            p[k] = fixture_load_files(files, texts[1] ? 4 : 3, NULL, &e);
            cr_assert_not_null(p[k], "%zu: %s", i, e.text);
        }
        struct again_session s = session_under(p[0]);
        policy_free(p[0]); /* nothing of a session is the set's that it began under */
        again_decide(p[1], &s, LAB_NOW, &again);
        cr_expect_eq(again.allowed, cases[i].words != NULL, "%zu: %s", i, again.text);
        if (cases[i].words && again.allowed) {
            again_words(&s.held, &again.terms, words, sizeof words);
            cr_expect_str_eq(words, cases[i].words, "%zu", i);
            cr_expect_eq(again_terms_same(&s.held, &again.terms), *cases[i].words == '\0', "%zu",
                         i);
            cr_expect_eq(again.terms.abilities & ~s.began.abilities, 0, "%zu", i);
            cr_expect_str_eq(again.because, "lab", "%zu", i);
        } else if (!again.allowed) {
            cr_expect(strstr(again.text, cases[i].why), "%zu: %s", i, again.text);
        }
        again_clear(&again);
        policy_free(p[1]);
    }
#undef PACK
#undef GUARD
}

Test(again, limits_are_never_more_than_at_the_beginning)
{
    static const uint64_t values[] = {0, 1, 60, 3600};
    struct policy *p[4];

    for (size_t i = 0; i < 4; i++) {
        char role[400];
        snprintf(role, sizeof role, ROLE("allow: {exec: true}\nsession: {record: strict%s}\n"),
                 i == 0   ? ""
                 : i == 1 ? ", idle: 1s, max: 1s"
                 : i == 2 ? ", idle: 1m, max: 1m"
                          : ", idle: 1h, max: 1h");
        p[i] = policy_of(role);
    }
    for (size_t i = 0; i < 4; i++)
        for (size_t j = 0; j < 4; j++) {
            struct again_session s = session_under(p[i]);
            struct again again;
            again_decide(p[j], &s, LAB_NOW, &again);
            uint64_t want =
                !values[i] || (values[j] && values[j] < values[i]) ? values[j] : values[i];
            cr_expect_eq(again.terms.idle_s, want, "%zu %zu", i, j);
            cr_expect_eq(again.terms.max_s, want, "%zu %zu", i, j);
            again_clear(&again);
        }
    for (size_t i = 0; i < 4; i++)
        policy_free(p[i]);
}

Test(again, who_is_gone)
{
    struct policy *p = policy_of(ROLE("allow: {exec: true}\n"));
    const struct again_session began = session_under(p);
    struct again again;

    for (int i = 0; i < 4; i++) {
        static const char *const tokens[] = {"no-operator", "no-operator", "unknown-target",
                                             "account"};
        struct again_session s = began;
        if (i == 0)
            strcpy(s.operator_name, "mallory");
        else if (i == 1)
            strcpy(s.fingerprint, "SHA256:of-a-key-that-was-removed");
        else if (i == 2)
            strcpy(s.target, "hv9");
        else
            strcpy(s.account, "nobody");
        again_decide(p, &s, LAB_NOW, &again);
        cr_expect(!again.allowed, "%d", i);
        cr_expect_str_eq(again.token, tokens[i], "%d: %s", i, again.token);
        cr_expect_eq(strncmp(again.text, "Your access to hv", 17), 0, "%s", again.text);
        again_clear(&again);
    }
    policy_free(p);
}

Test(again, ends_that_the_clock_brings)
{
    static const struct {
        const char *when;
        uint64_t ends_s; /* after LAB_NOW, Monday 10:00 UTC; 0: none */
    } cases[] = {
        {"\"Mon 09:00-10:30 UTC\"", 1800},
        {"\"Mon 09:00-10:30 UTC\", \"Mon 10:30-11:00 UTC\"", 3600},
        {"\"Mon 09:00-10:30 UTC\", \"Mon 10:20-11:00 UTC\", \"Mon 10:50-12:00 UTC\"", 7200},
        {"\"Mon 09:00-10:30 UTC\", \"Mon 10:31-12:00 UTC\"", 1800},
        {"\"Mon-Sun 00:00-24:00 UTC\"", 0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char role[400], why[AGAIN_WHY] = "";
        struct again again;
        snprintf(role, sizeof role, ROLE("when: [%s]\nallow: {exec: true}\n"), cases[i].when);
        struct policy *p = policy_of(role);
        struct again_session s = session_under(p);
        again_decide(p, &s, LAB_NOW, &again);
        uint64_t ends_s = again_ends_s(p, &s, again.until_s, why);
        cr_expect_eq(ends_s, cases[i].ends_s ? LAB_NOW + cases[i].ends_s : 0, "%zu: %llu", i,
                     (unsigned long long)(ends_s - LAB_NOW));
        cr_expect_eq(*why != '\0', cases[i].ends_s != 0);
        again_clear(&again);
        policy_free(p);
    }
}

Test(again, time_does_not_go_back)
{
    static const struct {
        uint64_t began_s, began_ms, real_s, mono_ms, is;
    } cases[] = {
        {1000, 5000, 1000, 5000, 1000},  {1000, 5000, 1010, 15000, 1010},
        {1000, 5000, 900, 15000, 1010},  /* set back */
        {1000, 5000, 4600, 15000, 4600}, /* set forward */
        {1000, 5000, 1009, 15999, 1010}, {1000, 5000, 1000, 4000, 1000},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect_eq(
            again_clock_s(cases[i].began_s, cases[i].began_ms, cases[i].real_s, cases[i].mono_ms),
            cases[i].is, "%zu", i);
}

Test(again, what_a_successor_reads)
{
    struct policy *p = policy_of(ROLE("allow: {exec: true, sftp: {read: [/a]}}\n"
                                      "session: {idle: 1h, max: 2h, max-bytes: 7MiB}\n"));
    struct again_session s = session_under(p), read;
    struct err e = ERR_INIT;
    struct buf encoded;

    s.remembered_age_s = 17;
    s.held.abilities = ABILITY_EXEC;
    strcpy(s.fingerprint, "SHA256:x");
    memset(s.target, 'a', TARGET_NAME_MAX);
    memset(s.account, 'b', ACCOUNT_NAME_MAX);
    memset(s.operator_name, 'c', OPERATOR_NAME_MAX);
    buf_init(&encoded, AGAIN_ENCODED_MAX);
    cr_assert_eq(again_encode(&s, &encoded), 0);
    cr_assert_eq(again_decode((struct bytes){buf_head(&encoded), buf_len(&encoded)}, &read, &e), 0);
    cr_expect_str_eq(read.operator_name, s.operator_name);
    cr_expect_str_eq(read.target, s.target);
    cr_expect_str_eq(read.account, s.account);
    cr_expect_str_eq(read.fingerprint, s.fingerprint);
    cr_expect_eq(memcmp(&read.source, &s.source, sizeof s.source), 0);
    cr_expect_eq(read.remembered_age_s, 17);
    cr_expect_eq(read.started_s, LAB_NOW);
    cr_expect(again_terms_same(&read.began, &s.began));
    cr_expect(again_terms_same(&read.held, &s.held));
    for (size_t len = 0; len < buf_len(&encoded); len++)
        cr_expect_lt(again_decode((struct bytes){buf_head(&encoded), len}, &read, &e), 0, "%zu",
                     len);
    uint8_t junk[AGAIN_ENCODED_MAX];
    memcpy(junk, buf_head(&encoded), buf_len(&encoded));
    cr_expect_lt(again_decode((struct bytes){junk, buf_len(&encoded) + 1}, &read, &e), 0);
    junk[0]++;
    cr_expect_lt(again_decode((struct bytes){junk, buf_len(&encoded)}, &read, &e), 0);
    buf_clear(&encoded);
    policy_free(p);
}
