/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether a set may follow the one in force: real signatures by ssh-keygen, over a real block, and
 * everything that must not count. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/approval.h"
#include "tests/unit/policy_fixture.h"

static char dir[64];
/* Lines of the keys: alice, alice's other one, bob, carol, mallory. */
static const char *const keys[] = {"alice", "alice2", "bob", "carol", "mallory"};
static char public_key[5][200];

static void run(const char *command)
{
    cr_assert_eq(system(command), 0, "%s", command);
}

static size_t load(const char *name, char *out, size_t cap)
{
    char path[200];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "rb");
    cr_assert(f, "%s", path);
    size_t n = fread(out, 1, cap - 1, f);
    out[n] = '\0';
    fclose(f);
    return n;
}

static void setup(void)
{
    char command[300];

    strcpy(dir, "/tmp/approval-XXXXXX");
    cr_assert(mkdtemp(dir));
    for (size_t i = 0; i < 5; i++) {
        snprintf(command, sizeof command, "cd %s && ssh-keygen -q -t ed25519 -N '' -C %s -f %s",
                 dir, keys[i], keys[i]);
        run(command);
        snprintf(command, sizeof command, "%s.pub", keys[i]);
        public_key[i][load(command, public_key[i], sizeof public_key[i]) - 1] = '\0';
    }
}

static void teardown(void)
{
    char command[128];

    snprintf(command, sizeof command, "rm -rf %s", dir);
    run(command);
}

TestSuite(policy_approval, .init = setup, .fini = teardown);

/* The signature by this key; its text stays until the test ends. */
static const char *sign(const char *key, const char *space, const char *manifest)
{
    static char out[16][2048];
    static unsigned next;
    char command[300], path[200];
    char *text = out[next++ % 16];

    snprintf(path, sizeof path, "%s/m", dir);
    FILE *f = fopen(path, "wb");
    cr_assert(f);
    fputs(manifest, f);
    fclose(f);
    snprintf(command, sizeof command,
             "cd %s && ssh-keygen -q -Y sign -f %s -n %s <m >s 2>/dev/null", dir, key, space);
    run(command);
    load("s", text, 2048);
    return text;
}

/* --- a set */

static char approvers_text[2048];

/* needed, people as numbers of keys; alice has both of hers. */
static const char *approvers_of(unsigned needed, const char *people)
{
    int n = snprintf(approvers_text, sizeof approvers_text, "approvers: %u\npeople:\n", needed);

    for (const char *p = people; *p; p++) {
        const size_t i = (size_t)(*p - '0');
        n += snprintf(approvers_text + n, sizeof approvers_text - (size_t)n,
                      "  %s: {keys: [\"%s\"%s%s%s]}\n", keys[i], public_key[i],
                      i == 0 ? ", \"" : "", i == 0 ? public_key[1] : "", i == 0 ? "\"" : "");
    }
    return approvers_text;
}

/* signatures: words, "@KEY" of the author, "NAME:KEY" for approvals/NAME.sig; "/SPACE" behind one
 * is another name space than what belongs there. */
struct scenario {
    const char *what;
    uint64_t serial;       /* of the manifest */
    char previous;         /* 's'tate's, 'n'one, 'o'ther */
    const char *approvers; /* "" of the state; NULL: the set has none; else people, 1 needed */
    const char *signatures, *error; /* error NULL: approved */
    enum approval_kind kind;
    const char *change; /* a file that changes after signing: "roles.d/a.yaml" */
};

#define GOOD   "@alice bob:bob"
#define CHANGE NULL, APPROVAL_CHANGE, NULL
#define NOT    APPROVAL_NONE, NULL
#define NOBODY "found a signature by a key of nobody's"

/* In force: serial 5, alice, bob and carol, one approval. */
static const struct scenario scenarios[] = {
    {"two persons", 6, 's', "", GOOD, CHANGE},
    {"three", 6, 's', "", "@alice bob:bob carol:carol", CHANGE},
    {"a gap in the serials", 99, 's', "", "@bob carol:carol", CHANGE},
    {"the spare key", 6, 's', "", "@bob alice:alice2", CHANGE},
    {"new approvers", 6, 's', "34", GOOD, CHANGE},
    {"the end", 6, 's', NULL, GOOD, NULL, APPROVAL_END, NULL},
    {"no signatures", 6, 's', "", "", "manifest.author.sig: not in the policy set", NOT},
    {"no author", 6, 's', "", "bob:bob carol:carol", "manifest.author.sig: not in", NOT},
    {"no approval", 6, 's', "", "@alice", "found 0 approvals, expected at least 1 of others", NOT},
    {"self-approval", 6, 's', "", "@alice alice:alice", "alice is the author, and nobody", NOT},
    {"by the spare key", 6, 's', "", "@alice alice:alice2", "alice is the author", NOT},
    {"beside a right one", 6, 's', "", GOOD " alice:alice", "alice is the author", NOT},
    {"as bob", 6, 's', "", "@alice bob:alice2", "of alice, expected it in approvals/alice.sig",
     NOT},
    {"under two names", 6, 's', "", GOOD " carol:bob", "carol.sig: found the signature of bob",
     NOT},
    {"another's name", 6, 's', "", "@alice bobby:bob", "bobby.sig: found the signature of bob",
     NOT},
    {"a part of a name", 6, 's', "", "@alice bo:bob", "bo.sig: found the signature of bob", NOT},
    {"nobody's author", 6, 's', "", "@mallory bob:bob", "manifest.author.sig: " NOBODY, NOT},
    {"nobody's", 6, 's', "", "@alice mallory:mallory", "approvals/mallory.sig: " NOBODY, NOT},
    {"nobody's, too", 6, 's', "", GOOD " mallory:mallory", "approvals/mallory.sig: " NOBODY, NOT},
    {"the set's own approvers", 6, 's', "04", "@alice mallory:mallory", NOBODY, NOT},
    {"the author's name space twice", 6, 's', "", "@alice bob:bob/" MANIFEST_AUTHOR,
     "approvals/bob.sig: the signature was not made for sallyport-approve", NOT},
    {"an approval as author", 6, 's', "", "@alice/" MANIFEST_APPROVE " bob:bob",
     "manifest.author.sig: the signature was not made for sallyport-author", NOT},
    {"another use of ssh-keygen", 6, 's', "", "@alice bob:bob/file", "not made for", NOT},
    {"the serial in force", 5, 's', "", GOOD, "2:8: found serial 5, expected one above 5", NOT},
    {"an old serial", 4, 's', "", GOOD, "2:8: found serial 4, expected one above 5", NOT},
    {"another set before", 6, 'o', "", GOOD, "this set was made for another one", NOT},
    {"a first set", 6, 'n', "", GOOD, "manifest:3:10: found none", NOT},
    {"edited", 6, 's', "", GOOD, "roles.d/a.yaml: was changed since", APPROVAL_NONE,
     "roles.d/a.yaml"},
    {"without a file", 6, 's', "", GOOD, "operators.yaml: is listed", APPROVAL_NONE,
     "operators.yaml"},
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct fixture_file *)a)->name, ((const struct fixture_file *)b)->name);
}

/* The block of a set with this manifest (NULL: none) and these signatures (NULL-terminated names).
 */
static void compose(struct buf *out, const char *approvers, const char *manifest,
                    const struct fixture_file *signatures, const char *change)
{
    struct fixture_file files[16] = {
        {"roles.d/a.yaml", "a"}, {"sallyport.yaml", "c"}, {"targets.yaml", "t"}};
    size_t n = 3;

    if (change && strcmp(change, "roles.d/a.yaml") == 0)
        files[0].text = "b";
    if (!change || strcmp(change, "operators.yaml") != 0)
        files[n++] = (struct fixture_file){"operators.yaml", "o"};
    if (approvers)
        files[n++] = (struct fixture_file){"approvers.yaml", approvers};
    if (manifest)
        files[n++] = (struct fixture_file){"manifest", manifest};
    for (; signatures && signatures->name; signatures++)
        files[n++] = *signatures;
    qsort(files, n, sizeof *files, by_name);
    buf_init(out, 1 << 20);
    fixture_put(out, files, n);
}

static char *manifest_of(const struct buf *block, uint64_t serial, const uint8_t *previous)
{
    struct err e = ERR_INIT;
    struct buf text;

    buf_init(&text, MANIFEST_MAX);
    cr_assert_eq(manifest_write(serial, previous, buf_head(block), buf_len(block), &text, &e), 0,
                 "%s", e.text);
    char *out = buf_string(&text);
    buf_clear(&text);
    return out;
}

static void in_force(struct approval_state *state, struct approvers **list)
{
    struct err e = ERR_INIT;
    const char *text = approvers_of(1, "023");

    *list = approvers_parse("approvers.yaml", text, strlen(text), &e);
    cr_assert(*list, "%s", e.text);
    *state = (struct approval_state){.serial = 5, .approvers = *list};
    memset(state->manifest, 0x5a, sizeof state->manifest);
}

static void make_signatures(const char *words, const char *text, struct fixture_file out[6])
{
    static char names[6][100];
    char copy[200], *rest = copy;
    size_t n = 0;

    snprintf(copy, sizeof copy, "%s", words);
    for (char *word; (word = strsep(&rest, " "));) {
        char *space = strchr(word, '/'), *key = strchr(word, ':');
        const bool author = *word == '@';

        if (!*word)
            continue;
        cr_assert_lt(n, 5);
        if (space)
            *space++ = '\0';
        if (key)
            *key++ = '\0';
        snprintf(names[n], sizeof names[n], author ? MANIFEST_AUTHOR_FILE : "approvals/%s.sig",
                 word);
        out[n] = (struct fixture_file){names[n], sign(author ? word + 1 : key,
                                                      space    ? space
                                                      : author ? MANIFEST_AUTHOR
                                                               : MANIFEST_APPROVE,
                                                      text)};
        n++;
    }
}

static int check(const struct scenario *s, const struct approval_state *state,
                 const char *signed_text, struct approval *out, struct err *e)
{
    uint8_t other[MANIFEST_HASH] = {1};
    const char *approvers = !s->approvers   ? NULL
                            : *s->approvers ? approvers_of(1, s->approvers)
                                            : approvers_of(1, "023");
    struct fixture_file signatures[6] = {{NULL, NULL}};
    struct buf block;

    compose(&block, approvers, NULL, NULL, NULL);
    char *manifest = manifest_of(&block, s->serial,
                                 s->previous == 'n'   ? NULL
                                 : s->previous == 's' ? state->manifest
                                                      : other);
    buf_clear(&block);
    make_signatures(s->signatures, signed_text ? signed_text : manifest, signatures);
    compose(&block, approvers, manifest, signatures, s->change);
    int rc = approval_check(buf_head(&block), buf_len(&block), state, out, e);
    buf_clear(&block);
    free(manifest);
    return rc;
}

Test(policy_approval, scenarios)
{
    struct approval_state state;
    struct approvers *list;

    in_force(&state, &list);
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        const struct scenario *s = &scenarios[i];
        struct approval result;
        struct err e = ERR_INIT;
        int rc = check(s, &state, NULL, &result, &e);

        cr_expect_eq(rc == 0, !s->error, "%s: %s", s->what, e.text);
        if (s->error)
            cr_expect(strstr(e.text, s->error), "%s: found %s, expected %s", s->what, e.text,
                      s->error);
        else
            cr_expect(result.kind == s->kind && result.serial == s->serial &&
                          result.author.name[0] && result.approved_count >= 1,
                      "%s", s->what);
    }
    approvers_free(list);
}

Test(policy_approval, a_signature_of_another_manifest)
{
    struct approval_state state;
    struct approvers *list;
    struct approval result;
    struct err e = ERR_INIT;

    in_force(&state, &list);
    cr_expect_eq(check(&scenarios[0], &state, "sallyport-policy-manifest 1\n", &result, &e),
                 ERR_DENIED);
    cr_expect(strstr(e.text, "manifest.author.sig: the signature is not one of this text"), "%s",
              e.text);
    approvers_free(list);
}

/* Whatever becomes of a signature's file: it does not count, or it still is one. */
Test(policy_approval, damaged_signatures)
{
    struct approval_state state;
    struct approvers *list;
    struct buf block;

    in_force(&state, &list);
    const char *approvers = approvers_of(1, "023");
    compose(&block, approvers, NULL, NULL, NULL);
    char *manifest = manifest_of(&block, 6, state.manifest);
    buf_clear(&block);
    const char *author = sign("alice", MANIFEST_AUTHOR, manifest),
               *good = sign("bob", MANIFEST_APPROVE, manifest);
    for (size_t at = 0; at <= strlen(good); at++) {
        for (int flip = 0; flip < 2; flip++) {
            char text[2048];
            struct approval result;
            struct err e = ERR_INIT;

            strcpy(text, good);
            if (flip && at < strlen(good))
                text[at] = text[at] == 'A' ? 'B' : 'A';
            else
                text[at] = '\0';
            const struct fixture_file signatures[] = {
                {"approvals/bob.sig", text}, {"manifest.author.sig", author}, {NULL, NULL}};
            compose(&block, approvers, manifest, signatures, NULL);
            int rc = approval_check(buf_head(&block), buf_len(&block), &state, &result, &e);
            /* Cut, it is one without its last newline; the newline at the very end means nothing.
             */
            cr_expect(rc < 0 || at + 1 >= strlen(good), "at %zu", at);
            cr_expect_eq(rc < 0, e.text[0] != '\0');
            buf_clear(&block);
        }
    }
    free(manifest);
    approvers_free(list);
}

Test(policy_approval, the_set_in_force_needs_nothing_more)
{
    struct approval_state state;
    struct approvers *list;
    struct approval result;
    struct err e = ERR_INIT;
    struct buf block;

    in_force(&state, &list);
    const char *approvers = approvers_of(1, "023");
    compose(&block, approvers, NULL, NULL, NULL);
    char *manifest = manifest_of(&block, 5, NULL);
    manifest_hash(manifest, strlen(manifest), state.manifest);
    buf_clear(&block);
    compose(&block, approvers, manifest, NULL, NULL);
    cr_expect_eq(approval_check(buf_head(&block), buf_len(&block), &state, &result, &e), 0, "%s",
                 e.text);
    cr_expect_eq(result.kind, APPROVAL_SAME);
    buf_clear(&block);
    compose(&block, approvers, manifest, NULL, "roles.d/a.yaml");
    cr_expect_eq(approval_check(buf_head(&block), buf_len(&block), &state, &result, &e),
                 ERR_TAMPERED);
    buf_clear(&block);
    compose(&block, approvers, NULL, NULL, NULL);
    cr_expect_eq(approval_check(buf_head(&block), buf_len(&block), &state, &result, &e),
                 ERR_DENIED);
    cr_expect(strstr(e.text, "manifest: not in the policy set. Approvers are in force"), "%s",
              e.text);
    buf_clear(&block);
    free(manifest);
    approvers_free(list);
}

/* The block comes from elsewhere, and nothing has looked at it before. */
Test(policy_approval, a_block_with_a_file_twice)
{
    static const struct fixture_file blocks[][2] = {
        {{"manifest", "a"}, {"manifest", "b"}},
        {{"operators.yaml", "o"}, {"manifest", "b"}},
        {{"approvers.yaml", "a"}, {"approvers.yaml", ""}}};
    const struct approval_state none = {0};
    struct approval result;

    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        struct err e = ERR_INIT;
        struct buf block;

        buf_init(&block, 1 << 20);
        fixture_put(&block, blocks[i], 2);
        cr_expect_eq(approval_check(buf_head(&block), buf_len(&block), &none, &result, &e),
                     ERR_PROTOCOL, "%zu: %s", i, e.text);
        cr_expect_lt(approval_check(buf_head(&block), buf_len(&block) - 1, &none, &result, &e), 0);
        buf_clear(&block);
    }
}

Test(policy_approval, beginning)
{
    static const struct scenario begin[] = {
        {"by themselves", 6, 'n', "02", GOOD, NULL, APPROVAL_BEGIN, NULL},
        {"by one of them", 6, 'n', "02", "@alice", "found 0 approvals", NOT},
        {"by strangers", 6, 'n', "02", "@mallory bob:bob", NOBODY, NOT},
        {"an old serial", 5, 'n', "02", GOOD, "found serial 5", NOT},
        {"of another gateway", 6, 'o', "02", GOOD, "no approvers are in force on this", NOT},
    };
    const struct approval_state none = {.serial = 5};
    struct approval result;
    struct err e = ERR_INIT;
    struct buf block;

    for (size_t i = 0; i < sizeof begin / sizeof *begin; i++) {
        struct err why = ERR_INIT;
        int rc = check(&begin[i], &none, NULL, &result, &why);
        cr_expect_eq(rc == 0, !begin[i].error, "%s: %s", begin[i].what, why.text);
        if (begin[i].error)
            cr_expect(strstr(why.text, begin[i].error), "%s: %s", begin[i].what, why.text);
        else
            cr_expect_eq(result.kind, APPROVAL_BEGIN);
    }
    compose(&block, approvers_of(1, "02"), NULL, NULL, NULL);
    cr_expect_eq(approval_check(buf_head(&block), buf_len(&block), &none, &result, &e), ERR_DENIED);
    buf_clear(&block);
    /* Without approvers before and after, nothing is asked, and a manifest means nothing. */
    compose(&block, NULL, NULL, NULL, NULL);
    cr_expect_eq(approval_check(buf_head(&block), buf_len(&block), &none, &result, &e), 0);
    cr_expect(result.kind == APPROVAL_NONE && !result.unchecked);
    buf_clear(&block);
    compose(&block, NULL, "nonsense", NULL, NULL);
    cr_expect_eq(approval_check(buf_head(&block), buf_len(&block), &none, &result, &e), 0);
    cr_expect(result.kind == APPROVAL_NONE && result.unchecked);
    buf_clear(&block);
}

Test(policy_approval, two_approvals)
{
    static const struct scenario two[] = {
        {"too few", 6, 's', "", GOOD, "found 1 approval, expected at least 2", NOT},
        {"two", 6, 's', "", GOOD " carol:carol", CHANGE},
    };
    struct approval_state state;
    struct approvers *list;
    struct approval result;

    in_force(&state, &list);
    list->needed = 2;
    for (size_t i = 0; i < 2; i++) {
        struct err e = ERR_INIT;
        int rc = check(&two[i], &state, NULL, &result, &e);
        cr_expect_eq(rc == 0, !two[i].error, "%s: %s", two[i].what, e.text);
        if (two[i].error)
            cr_expect(strstr(e.text, two[i].error), "%s", e.text);
    }
    approvers_free(list);
}
