/* SPDX-License-Identifier: Apache-2.0
 *
 * What the loaders of operators, targets and roles have in common: names and their grammars,
 * keys, lists, warnings. A name is checked here once, so that nothing later has to
 * quote it. Used by authd's loader; the files are root's, but may hold any mistake. Pure. */
#include "policy/set.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void policy_warn(struct loading *l, const struct yaml_node *at, const char *format, ...)
{
    char text[1000];
    va_list args;

    if (!l->warnings)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    /* A full buffer ends the list of warnings, never the load. */
    if (buf_printf(l->warnings, "%s:%u:%u: warning: %s\n", yaml_name(l->doc), at->line, at->column,
                   text) < 0)
        l->warnings = NULL;
}

bool policy_gather(struct loading *l)
{
    if (!l->errors || l->e->code == ERR_MEMORY || buf_printf(l->errors, "%s\n", l->e->text) < 0)
        return false;
    memset(l->e, 0, sizeof *l->e);
    return true;
}

int policy_no_memory(struct loading *l)
{
    return err_set(l->e, ERR_MEMORY, "%s: out of memory", yaml_name(l->doc));
}

struct place policy_place(const char *file, const struct yaml_node *n)
{
    return (struct place){file, n->line, n->column};
}

const char *policy_did_you_mean(const char *text, const char **names, char out[300])
{
    const char *near = names ? nearest_word(text, names) : NULL;

    out[0] = 0;
    if (near)
        snprintf(out, 300, " (did you mean \"%.255s\"?)", near);
    return out;
}

int policy_unknown_operator(struct loading *l, const struct yaml_node *n, const char *name,
                            const char *others)
{
    const struct policy *p = l->p;
    const char **names = calloc(p->operator_count + 1, sizeof *names);
    char near[300];

    for (size_t i = 0; names && i < p->operator_count; i++)
        names[i] = p->operators[i].pub.name;
    yaml_error(l->doc, n, l->e, "unknown operator \"%s\"%s, expected one of operators.yaml%s", name,
               policy_did_you_mean(name, names, near), others);
    free(names);
    return ERR_SYNTAX;
}

int policy_unknown_target(struct loading *l, const struct yaml_node *n, const char *name)
{
    const struct policy *p = l->p;
    const char **names = calloc(p->target_count + 1, sizeof *names);
    char near[300];

    for (size_t i = 0; names && i < p->target_count; i++)
        names[i] = p->targets[i].pub.name;
    yaml_error(l->doc, n, l->e, "unknown target \"%s\"%s, expected one of targets.yaml", name,
               policy_did_you_mean(name, names, near));
    free(names);
    return ERR_SYNTAX;
}

int policy_check_keys(struct loading *l, const struct yaml_node *map, const char *const *known)
{
    int rc = yaml_is(l->doc, map, YAML_MAP, "a map", l->e);

    return rc == 0 ? yaml_only_keys(l->doc, map, known, l->e) : rc;
}

struct grammar {
    const char *what, *rule;
    size_t max;
    bool upper;       /* capital letters too */
    bool digit_first; /* may begin with a digit, may not begin with "_" */
    bool host;        /* only letters, digits, "." and "-", no empty part, no "-" at an end */
};

static const struct grammar grammars[] = {
    [NAME_OPERATOR] = {"an operator's name", "[a-z_][a-z0-9_.-]*", OPERATOR_NAME_MAX, false, false,
                       false},
    [NAME_ACCOUNT] = {"an account's name", "[A-Za-z_][A-Za-z0-9_.-]*", ACCOUNT_NAME_MAX, true,
                      false, false},
    [NAME_GROUP] = {"a group's name", "[a-z0-9][a-z0-9_.-]*", OPERATOR_NAME_MAX, false, true,
                    false},
    [NAME_ROLE] = {"a role's name", "[a-z0-9][a-z0-9_.-]*", ROLE_NAME_MAX, false, true, false},
    [NAME_TARGET] = {"a target's name",
                     "lower-case letters, digits, \".\" and \"-\", as in hv1.example.org",
                     TARGET_NAME_MAX, false, true, true},
    [NAME_LABEL] = {"a label", "[a-z_][a-z0-9_.-]*", 64, false, false, false},
};

static bool follows(const struct grammar *g, const char *s)
{
    const size_t len = strlen(s);

    if (!len || len > g->max)
        return false;
    for (size_t i = 0; i < len; i++) {
        const char c = s[i];
        const bool letter = (c >= 'a' && c <= 'z') || (g->upper && c >= 'A' && c <= 'Z');
        const bool digit = c >= '0' && c <= '9';
        if (letter || (digit && (i || g->digit_first)))
            continue;
        if (c == '_' && !g->host && (i || !g->digit_first))
            continue;
        if ((c != '.' && c != '-') || !i)
            return false;
        if (g->host && (i + 1 == len || s[i - 1] == '.' || (c == '.' && s[i - 1] == '-')))
            return false;
    }
    return true;
}

int policy_name(struct loading *l, const struct yaml_node *n, enum name_kind kind, const char **out)
{
    const struct grammar *g = &grammars[kind];
    char found[YAML_FOUND_MAX];

    if (n->kind != YAML_SCALAR || !follows(g, n->text))
        return yaml_error(l->doc, n, l->e, "found %s, expected %s: %s, at most %zu bytes",
                          yaml_found(n, found), g->what, g->rule, g->max);
    *out = n->text;
    return 0;
}

int policy_list(struct loading *l, const struct yaml_node *n, size_t min, size_t max,
                const char *expected, struct yaml_node *const **items, size_t *count)
{
    char found[YAML_FOUND_MAX];

    if (n->kind != YAML_LIST)
        return yaml_error(l->doc, n, l->e, "found %s, expected a list of %s", yaml_found(n, found),
                          expected);
    if (n->count < min)
        return yaml_error(l->doc, n, l->e, "found an empty list, expected a list of %s", expected);
    if (n->count > max)
        return yaml_error(l->doc, n, l->e, "found a list of %zu, expected at most %zu of %s",
                          n->count, max, expected);
    *items = n->items;
    *count = n->count;
    return 0;
}
