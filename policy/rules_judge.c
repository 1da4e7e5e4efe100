/* SPDX-License-Identifier: Apache-2.0
 *
 * Command rules applied to a request: denies first, through wrappers; then allows, of the argv as
 * it was sent; then what an open set leaves. Whatever goes wrong on the way is a refusal. Used by
 * the backend (hostile requests) and by authd for questions about policy. Pure. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "policy/rules_inside.h"
#include "policy/wrappers.h"

/* Rules that a refused operator is shown. */
#define HINT_RULES 5

static int malformed(struct err *e)
{
    return err_set(e, ERR_PROTOCOL, "the command rules are malformed");
}

/* The command line that argv becomes: path (may be NULL) in the program's place. */
static int forward_words(const struct words *argv, const char *path, struct buf *forward,
                         struct err *e)
{
    struct words run = *argv;
    struct err why = ERR_INIT;

    if (path)
        run.word[0] = (char *)(uintptr_t)path; /* only read */
    int rc = words_quote(&run, forward, &why);
    if (rc < 0)
        buf_clear(forward);
    return rc < 0 ? err_set(e, rc == ERR_INPUT ? ERR_DENIED : (enum err_code)rc, "%s", why.text)
                  : 0;
}

/* ---- deny ---- */

struct denying {
    const struct rule_set *set;
    struct rule_verdict *out;
    struct err *e;
};

static void decided_by(struct rule_verdict *out, const struct rule_set *set,
                       const struct rule *rule)
{
    const char *name = rule->bit ? packs_class_name(set->packs, rule->bit) : NULL;

    snprintf(out->rule, sizeof out->rule, "%s", rule->name);
    snprintf(out->class_name, sizeof out->class_name, "%s", name ? name : "");
}

/* Of one command that was found in the argv. */
static int deny_one(void *arg, const struct words *inner, unsigned depth)
{
    const struct denying *d = arg;
    struct classification c = {0};
    struct wire_reader r;
    struct rule rule;

    (void)depth;
    if (d->set->classes) {
        int rc = packs_classify(d->set->packs, inner, &c, d->e);
        if (rc < 0)
            return rc;
    }
    wire_reader_init(&r, buf_head(&d->set->bytes), buf_len(&d->set->bytes));
    while (r.left) {
        if (!rule_get(&r, &rule))
            return malformed(d->e);
        if (rule.kind == RULE_ALLOW)
            continue;
        if (rule.kind == RULE_DENY ? pattern_denies(&rule.pattern, inner)
                                   : (c.classes & rule.bit) != 0) {
            decided_by(d->out, d->set, &rule);
            return ERR_DENIED;
        }
    }
    return 0;
}

static void first_deny(const struct rule_set *set, struct rule_verdict *out)
{
    struct wire_reader r;
    struct rule rule;

    wire_reader_init(&r, buf_head(&set->bytes), buf_len(&set->bytes));
    while (r.left && rule_get(&r, &rule)) {
        if (rule.kind != RULE_ALLOW) {
            decided_by(out, set, &rule);
            return;
        }
    }
}

static int judge_denies(const struct rule_set *set, const struct words *argv,
                        struct rule_verdict *out, struct err *e)
{
    struct denying d = {set, out, e};
    char why[WRAPPER_WHY_MAX], shown[4 * WRAPPER_WHY_MAX];

    if (!set->denies)
        return 0;
    int rc = wrappers_walk_why(argv, deny_one, &d, why, e);
    if (rc == 0 && !why[0])
        return 0;
    if (rc < 0 && rc != ERR_DENIED)
        return rc;
    if (rc == 0)
        first_deny(set, out);
    const char *class_open = out->class_name[0] ? " (class " : "";
    const char *class_end = out->class_name[0] ? ")" : "";
    if (rc == 0)
        return err_set(e, ERR_DENIED,
                       "denied by %s%s%s%s, which cannot see what this command would run: %.500s",
                       out->rule, class_open, out->class_name, class_end,
                       escape_text(shown, sizeof shown, why, strlen(why)));
    return err_set(e, ERR_DENIED, "denied by %s%s%s%s", out->rule, class_open, out->class_name,
                   class_end);
}

/* ---- allow ---- */

/* The first rule that matches says what runs; all that match have a say in what is kept. */
static int judge_allows(const struct rule_set *set, const struct words *argv,
                        struct rule_verdict *out, struct buf *forward, struct err *e)
{
    unsigned flags = RULE_STDIN_DIGEST;
    struct wire_reader r;
    struct rule rule;
    int rc = ERR_DENIED;

    wire_reader_init(&r, buf_head(&set->bytes), buf_len(&set->bytes));
    while (r.left) {
        if (!rule_get(&r, &rule))
            return malformed(e);
        if (rule.kind != RULE_ALLOW || !pattern_allows(&rule.pattern, rule.path, argv))
            continue;
        flags &= rule.flags;
        if (rc == 0)
            continue;
        rc = forward_words(argv, rule.path, forward, e);
        if (rc < 0)
            return rc;
        snprintf(out->rule, sizeof out->rule, "%s", rule.name);
    }
    const bool open = set->flags & RULES_OPEN;
    if (rc == 0)
        out->stdin_digest = (flags & RULE_STDIN_DIGEST) && !open;
    else if (open)
        rc = forward_words(argv, NULL, forward, e);
    return rc;
}

/* ---- what the operator is told ---- */

/* The first allow rules, as far as there is room; and whether one fails for an option only. */
static void hint(const struct rule_set *set, const struct words *argv, bool *options, char *out,
                 size_t cap)
{
    struct wire_reader r;
    struct rule rule;
    size_t at = 0;
    unsigned n = 0;

    out[0] = 0;
    *options = false;
    wire_reader_init(&r, buf_head(&set->bytes), buf_len(&set->bytes));
    while (r.left && rule_get(&r, &rule)) {
        if (rule.kind != RULE_ALLOW)
            continue;
        *options = *options || pattern_allows_but_for_options(&rule.pattern, rule.path, argv);
        if (n++ > HINT_RULES || at + 8 >= cap)
            continue;
        const size_t before = at;
        at += (size_t)snprintf(out + at, cap - at, "%s", n > 1 ? "; " : "");
        if (n <= HINT_RULES && at < cap) {
            pattern_text(&rule.pattern, out + at, cap - at);
            at += strlen(out + at);
        }
        if (n > HINT_RULES || at + 8 >= cap) {
            at = before < cap - 8 ? before : cap - 8;
            snprintf(out + at, 8, "; ...");
            n = HINT_RULES + 1;
        }
    }
    if (!n)
        snprintf(out, cap, "none");
}

static int judge_words(const struct rule_set *set, const struct words *argv, const char *shown,
                       struct rule_verdict *out, struct buf *forward, struct err *e)
{
    char allowed[400];
    bool options;
    int rc = judge_denies(set, argv, out, e);

    if (rc < 0)
        return rc;
    struct err why = ERR_INIT;
    rc = judge_allows(set, argv, out, forward, &why);
    if (rc == 0)
        return 0;
    out->rule[0] = 0;
    if (rc != ERR_DENIED || why.text[0])
        return err_set(e, (enum err_code)rc, "%s", why.text);
    hint(set, argv, &options, allowed, sizeof allowed);
    return err_set(e, ERR_DENIED, "\"%s\" is not among the commands that your roles allow (%s)%s",
                   shown, allowed, options ? "; * and ** take no word that begins with -" : "");
}

int rule_set_judge(const struct rule_set *set, const void *command, size_t len,
                   struct rule_verdict *out, struct buf *forward, struct err *e)
{
    struct words argv;
    /* All of a refusal and whom to ask fit the 1000 bytes that messages carry to the operator. */
    char shown[330];

    memset(out, 0, sizeof *out);
    if (!set)
        return err_set(e, ERR_DENIED, "no command rules were given");
    if (!set->restricts) {
        int rc = buf_put(forward, command, len);
        return rc < 0
                   ? err_set(e, rc == ERR_MEMORY ? ERR_MEMORY : ERR_FULL, "the command is too long")
                   : 0;
    }
    const size_t show = len < 80 ? len : 80;
    escape_text(shown, sizeof shown, command, show);
    if (show < len)
        strcat(shown, "...");
    struct err why = ERR_INIT;
    int rc = words_split(command, len, &argv, &why);
    if (rc < 0) {
        if (rc != ERR_SYNTAX)
            return err_set(e, (enum err_code)rc, "%s", why.text);
        return err_set(e, ERR_DENIED,
                       "your roles allow single commands only, and \"%s\" is none (%.400s)", shown,
                       why.text);
    }
    rc = judge_words(set, &argv, shown, out, forward, e);
    words_clear(&argv);
    return rc;
}

int rule_set_apply(const struct rule_set *set, const void *command, size_t len, char name[128],
                   bool *stdin_digest, struct buf *forward, struct err *e)
{
    struct rule_verdict v;
    int rc = rule_set_judge(set, command, len, &v, forward, e);

    snprintf(name, 128, "%s", v.rule);
    if (stdin_digest)
        *stdin_digest = v.stdin_digest;
    return rc;
}
