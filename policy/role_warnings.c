/* SPDX-License-Identifier: Apache-2.0
 *
 * What the author of command rules may not have meant: rules that allow more than they say, that
 * others make useless, that miss what they name. Warnings only; nothing is decided by them. Used by
 * --check and `sallyport policy check`. Pure. */
#include "policy/set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/rules_inside.h"
#include "policy/wrappers.h"

static bool is_option(struct bytes text)
{
    return text.len > 1 && text.p[0] == '-';
}

static bool is_virsh(const char *program)
{
    const char *slash = strrchr(program, '/'), *name = slash ? slash + 1 : program;

    return strcmp(name, "virsh") == 0 || strcmp(name, "virt-admin") == 0;
}

/* virsh's own command is no literal: then it may be any, and several in one word. */
static bool leaves_command_open(const struct pattern *p)
{
    size_t i = 1;

    while (i < p->count && p->word[i].kind == PATTERN_LITERAL &&
           is_option(pattern_alternative(&p->word[i], 0)))
        i++;
    return i < p->count && p->word[i].kind != PATTERN_LITERAL;
}

static void warn_of_allow(struct loading *l, const struct yaml_node *n, const struct rule *rule)
{
    const struct pattern *p = &rule->pattern;
    bool always, open = false;

    for (size_t i = 1; i < p->count; i++) {
        const enum pattern_kind kind = p->word[i].kind;
        open = open || kind != PATTERN_LITERAL || p->word[i].count > 1;
        if (kind == PATTERN_OPTION || kind == PATTERN_REST_OPTIONS)
            policy_warn(l, n, "%s lets any option through, expected the options that are needed",
                        kind == PATTERN_OPTION ? "-*" : "-**");
    }
    const char *risk = wrapper_risk(rule->path, &always);
    if (risk && (always || open || p->count == 1))
        policy_warn(l, n, "%s %s: the rule allows more than it says", rule->path, risk);
    if (is_virsh(rule->path) && leaves_command_open(p))
        policy_warn(l, n,
                    "the command of %s is left open: any of them, and several in one word, as in "
                    "'list; destroy vm7'",
                    rule->path);
}

static void warn_of_deny(struct loading *l, const struct yaml_node *n, const struct rule *rule)
{
    for (size_t i = 1; i < rule->pattern.count; i++) {
        const struct pattern_word *w = &rule->pattern.word[i];
        if (w->kind == PATTERN_LITERAL && w->count == 1 && is_option(pattern_alternative(w, 0))) {
            const struct bytes text = pattern_alternative(w, 0);
            policy_warn(
                l, n,
                "a deny of %.*s misses the option's other names, expected all of them, as in "
                "-r|--recursive, or a deny of the command",
                (int)(text.len > 100 ? 100 : text.len), (const char *)text.p);
            return;
        }
    }
}

/* One command that the rule allows, with the k-th of each word's alternatives. */
static int sample(const struct rule *rule, unsigned k, struct buf *line, struct err *e)
{
    static char word[] = "any-word", option[] = "-o", number[24], path[] = "/any/path";
    struct words w = {0};
    int rc = 0;

    for (size_t i = 0; i < rule->pattern.count && rc == 0; i++) {
        const struct pattern_word *p = &rule->pattern.word[i];
        struct bytes text;
        switch (p->kind) {
        case PATTERN_LITERAL:
            text = pattern_alternative(p, k % p->count);
            w.word[w.count] = strndup((const char *)text.p, text.len);
            break;
        case PATTERN_INT:
            snprintf(number, sizeof number, "%llu", (unsigned long long)p->low);
            w.word[w.count] = strdup(number);
            break;
        case PATTERN_REST:
        case PATTERN_REST_OPTIONS:
            continue;
        default:
            w.word[w.count] = strdup(p->kind == PATTERN_OPTION ? option
                                     : p->kind == PATTERN_PATH ? path
                                                               : word);
        }
        if (!w.word[w.count])
            rc = err_set(e, ERR_MEMORY, "out of memory");
        else
            w.count++;
    }
    if (rc == 0)
        rc = words_quote(&w, line, e);
    for (size_t i = 0; i < w.count; i++)
        free(w.word[i]);
    return rc;
}

/* Whether denies of the same role leave anything of an allow: asked of the rules themselves. */
static int warn_of_denied(struct loading *l, const struct yaml_node *n, const struct role *role,
                          const struct rule *rule)
{
    struct rule_verdict v = {.rule = ""};
    struct buf line, forward;
    unsigned most = 1;
    int rc = 0;

    if (!rule_set_denies(role->rules, NULL))
        return 0;
    for (size_t i = 0; i < rule->pattern.count; i++)
        most = rule->pattern.word[i].count > most ? rule->pattern.word[i].count : most;
    buf_init(&line, WORDS_TEXT_MAX + 4 * WORDS_MAX);
    buf_init(&forward, WORDS_TEXT_MAX + 4 * WORDS_MAX);
    bool all = true;
    for (unsigned k = 0; k < most && rc == 0 && all; k++) {
        buf_clear(&line);
        buf_clear(&forward);
        rc = sample(rule, k, &line, l->e);
        if (rc == 0)
            rc = rule_set_judge(role->rules, buf_head(&line), buf_len(&line), &v, &forward, NULL);
        all = rc == ERR_DENIED && v.rule[0];
        rc = rc == ERR_MEMORY ? rc : 0;
    }
    if (rc == 0 && all)
        policy_warn(l, n, "%s denies all that this rule allows", v.rule);
    buf_clear(&line);
    buf_clear(&forward);
    return rc;
}

/* The rule number k of the set again; they were all read before. */
static void nth(const struct rule_set *set, size_t k, struct rule *rule)
{
    struct wire_reader r;

    wire_reader_init(&r, buf_head(&set->bytes), buf_len(&set->bytes));
    for (size_t i = 0; i <= k; i++)
        INVARIANT(rule_get(&r, rule));
}

static void warn_of_repeated(struct loading *l, const struct yaml_node *n, const struct role *role,
                             const struct rule *rule, size_t number)
{
    struct rule *other = malloc(sizeof *other);

    for (size_t k = 0; other && k < number; k++) {
        nth(role->rules, k, other);
        if (other->kind != rule->kind || other->bit != rule->bit ||
            (rule->kind != RULE_DENY_CLASS && !pattern_covers(&other->pattern, &rule->pattern)))
            continue;
        policy_warn(l, n, "%s already %s all that this rule does", other->name,
                    rule->kind == RULE_ALLOW ? "allows" : "denies");
        break;
    }
    free(other);
}

/* Rules of classes, of a role that denies alone. What is raw cannot be told: `virsh
 * qemu-monitor-command` makes snapshots too. */
static void warn_of_raw(struct loading *l, const struct yaml_node *commands,
                        const struct rule_set *set, struct rule *rule)
{
    const uint32_t raw = set->packs ? packs_class(set->packs, "raw") : 0;
    const struct yaml_node *first = NULL;

    for (size_t i = 0; i < commands->count; i++) {
        nth(set, i, rule);
        if (rule->kind == RULE_ALLOW || (rule->kind == RULE_DENY_CLASS && rule->bit == raw))
            return;
        if (rule->kind == RULE_DENY_CLASS && !first)
            first = yaml_get(commands->items[i], "deny");
    }
    if (raw && first)
        policy_warn(l, first,
                    "commands whose effect cannot be told (class:raw, as virsh "
                    "qemu-monitor-command) may do the same: expected a deny of class:raw too");
}

int policy_warn_of_commands(struct loading *l, const struct yaml_node *commands,
                            const struct role *role)
{
    struct rule *rule = malloc(sizeof *rule);
    int rc = 0;

    if (!rule)
        return policy_no_memory(l);
    for (size_t i = 0; i < commands->count && rc == 0; i++) {
        const struct yaml_node *allow = yaml_get(commands->items[i], "allow");
        const struct yaml_node *n = allow ? allow : yaml_get(commands->items[i], "deny");
        nth(role->rules, i, rule);
        if (rule->kind == RULE_ALLOW) {
            warn_of_allow(l, n, rule);
            rc = warn_of_denied(l, n, role, rule);
        } else if (rule->kind == RULE_DENY) {
            warn_of_deny(l, n, rule);
        }
        warn_of_repeated(l, n, role, rule, i);
    }
    if (rc == 0)
        warn_of_raw(l, commands, role->rules, rule);
    if (rc == 0 && rule_set_is_open(role->rules))
        policy_warn(l, commands,
                    "a role with denies alone lets everything else run, other programs that do the "
                    "same too: expected allow rules, or no exec in this role");
    free(rule);
    return rc;
}
