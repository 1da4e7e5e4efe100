/* SPDX-License-Identifier: Apache-2.0
 *
 * The command rules of a role: programs and commands (policy/role_allow.c says what they mean). An
 * allow's program is an absolute path or a bare name that `programs` maps to one; a deny's is
 * compared by its last part. Used by authd's loader. Pure. */
#include "policy/set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/pattern.h"

/* One role's rules while they are loaded. */
struct commands {
    struct loading *l;
    struct role *role;
    const struct yaml_node *programs;
    bool used[COMMANDS_MAX]; /* of programs */
    bool allows;
    struct buf pattern;    /* of the rule at hand */
    struct pattern parsed; /* views of it */
};

/* "/", no empty part, no "." or "..", printable without blanks, quotes or backslash. */
static bool is_absolute(const char *path)
{
    const char *part = path;

    if (path[0] != '/' || strlen(path) > 4096)
        return false;
    for (const char *p = path + 1;; p++) {
        if (*p == '/' || !*p) {
            const size_t len = (size_t)(p - part) - 1;
            if (!len || (part[1] == '.' && (len == 1 || (len == 2 && part[2] == '.'))))
                return false;
            part = p;
        } else if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f ||
                   strchr("'\\!\"`$", *p)) {
            return false;
        }
        if (!*p)
            return true;
    }
}

static int check_programs(struct loading *l, const struct yaml_node *programs)
{
    char found[YAML_FOUND_MAX];
    int rc = yaml_is(l->doc, programs, YAML_MAP, "a map such as {virsh: /usr/bin/virsh}", l->e);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < programs->count; i++) {
        const struct yaml_node *key = programs->keys[i], *path = programs->items[i];
        if (!key->text[0] || strpbrk(key->text, "/ ='\"\\") || strlen(key->text) > 255)
            return yaml_error(l->doc, key, l->e, "found %s, expected a program's bare name",
                              yaml_found(key, found));
        if (path->kind != YAML_SCALAR || !is_absolute(path->text))
            return yaml_error(
                l->doc, path, l->e,
                "found %s, expected the program's absolute path, as in /usr/bin/virsh",
                yaml_found(path, found));
    }
    return 0;
}

/* The path that runs for an allow's first word. */
static int program_path(struct commands *c, const struct yaml_node *at, const char *word,
                        const char **path)
{
    const struct yaml_node *programs = c->programs;
    struct loading *l = c->l;

    if (word[0] == '/') {
        if (!is_absolute(word))
            return yaml_error(l->doc, at, l->e,
                              "found \"%s\", expected an absolute path without . .. // and quotes",
                              word);
        *path = word;
        return 0;
    }
    if (strchr(word, '/'))
        return yaml_error(
            l->doc, at, l->e,
            "found the relative path \"%s\", expected an absolute path or a bare name", word);
    for (size_t i = 0; programs && i < programs->count; i++) {
        if (strcmp(programs->keys[i]->text, word) == 0) {
            c->used[i] = true;
            *path = programs->items[i]->text;
            return 0;
        }
    }
    return yaml_error(
        l->doc, at, l->e,
        "found the bare name \"%s\", expected its absolute path under programs:, as in "
        "programs: {%s: /usr/bin/%s}",
        word, word, word);
}

static int bad_pattern(struct loading *l, const struct yaml_node *n, const char *why)
{
    return yaml_error(l->doc, n, l->e, "found \"%.300s\", expected one plain command (%s)", n->text,
                      why);
}

/* Leaves the rule's pattern in c->pattern and c->parsed. */
static int load_pattern(struct commands *c, const struct yaml_node *n)
{
    struct err why = ERR_INIT;
    struct wire_reader r;

    buf_clear(&c->pattern);
    if (pattern_parse(n->text, strlen(n->text), &c->pattern, &why) < 0)
        return bad_pattern(c->l, n, why.text);
    wire_reader_init(&r, buf_head(&c->pattern), buf_len(&c->pattern));
    INVARIANT(pattern_get(&r, &c->parsed) && !r.left);
    return 0;
}

static int load_allow(struct commands *c, const struct yaml_node *n, const char *name,
                      unsigned flags)
{
    const struct bytes bytes = {buf_head(&c->pattern), buf_len(&c->pattern)};
    const struct bytes program = pattern_program(&c->parsed);
    struct err why = ERR_INIT;
    const char *path = NULL;

    c->allows = true;
    if (!c->role->exec)
        return yaml_error(
            c->l->doc, n, c->l->e,
            "found commands that are allowed without exec: true, expected allow: {exec: "
            "true} (rules that deny may stand without it)");
    if (!program.p)
        return yaml_error(
            c->l->doc, n, c->l->e,
            "found \"%.300s\", expected one program as its first word: each program is a "
            "rule of its own",
            n->text);
    char *word = strndup((const char *)program.p, program.len);
    if (!word)
        return policy_no_memory(c->l);
    int rc = !word[0] || strchr(word, '=') ? bad_pattern(c->l, n, "its first word is no program")
                                           : program_path(c, n, word, &path);
    if (rc == 0 && rule_set_allow(c->role->rules, name, bytes, path, flags, &why) < 0)
        rc = yaml_error(c->l->doc, n, c->l->e, "%s", why.text);
    free(word);
    return rc;
}

static int load_deny(struct commands *c, const struct yaml_node *n, const char *name)
{
    const struct pattern_word *program = &c->parsed.word[0];
    const struct bytes bytes = {buf_head(&c->pattern), buf_len(&c->pattern)};
    struct err why = ERR_INIT;
    bool fits = program->kind == PATTERN_LITERAL || program->kind == PATTERN_ANY;

    for (unsigned i = 0; i < program->count; i++) {
        const struct bytes text = pattern_alternative(program, i);
        fits = fits && text.len && text.p[text.len - 1] != '/';
    }
    if (!fits)
        return yaml_error(c->l->doc, n, c->l->e,
                          "found \"%.300s\", expected programs as its first word, as in virsh, "
                          "reboot|poweroff, or * for any",
                          n->text);
    if (rule_set_deny(c->role->rules, name, bytes, &why) < 0)
        return yaml_error(c->l->doc, n, c->l->e, "%s", why.text);
    return 0;
}

static int load_deny_class(struct commands *c, const struct yaml_node *n, const char *name)
{
    const char *classes[CLASSES_MAX + 1] = {NULL}, *word = n->text + strlen("class:");
    const struct packs *packs = c->l->p->packs;
    const uint32_t bit = packs_class(packs, word);
    struct buf encoded;
    struct err why = ERR_INIT;
    size_t count = 0;

    if (!bit && c->l->incomplete)
        return 0; /* the pack that has it may be the one that could not be read */
    if (!bit) {
        for (uint32_t b = 1; b; b <<= 1) {
            const char *known = packs_class_name(packs, b);
            if (known)
                classes[count++] = known;
        }
        const char *near = nearest_word(word, classes);
        return yaml_error(
            c->l->doc, n, c->l->e,
            "found the class \"%.100s\"%s%s%s, expected one that a file of packs/ has%s", word,
            near ? " (did you mean \"" : "", near ? near : "", near ? "\"?)" : "",
            count ? "" : " (there is none)");
    }
    int rc = rule_set_deny_class(c->role->rules, name, packs, bit, &why);
    /* What one role needs must leave room for others' rules in a grant. */
    buf_init(&encoded, RULES_ENCODED_MAX / 2);
    if (rc == 0)
        rc = packs_encode(packs, bit, &encoded);
    buf_clear(&encoded);
    return rc < 0
               ? yaml_error(c->l->doc, n, c->l->e,
                            "found a class whose packs are too large for a grant (%s), expected at "
                            "most %d bytes",
                            why.text[0] ? why.text : err_text((enum err_code)rc),
                            RULES_ENCODED_MAX / 2)
               : 0;
}

static int load_rule(struct commands *c, const struct yaml_node *item, size_t number)
{
    static const char *const known[] = {"allow", "deny", "stdin", NULL};
    static const char *const modes[] = {[BULK_FULL] = "full", [BULK_DIGEST] = "digest", NULL};
    struct loading *l = c->l;
    char name[RULE_NAME_MAX + 1];
    size_t mode = BULK_FULL;
    const char *text;
    int rc = policy_check_keys(l, item, known);

    if (rc < 0)
        return rc;
    const struct yaml_node *allow = yaml_get(item, "allow"), *deny = yaml_get(item, "deny"),
                           *n = allow ? allow : deny, *in = yaml_get(item, "stdin");
    if (!n || (allow && deny))
        return yaml_error(
            l->doc, item, l->e,
            "found %s allow %s deny, expected one of them, as in - allow: \"virsh list\"",
            n ? "both" : "neither", n ? "and" : "nor");
    rc = yaml_text(l->doc, n, 4096, "a command", &text, l->e);
    if (rc == 0 && in && deny)
        rc = yaml_error(l->doc, in, l->e, "found stdin beside deny, expected it beside allow");
    else if (rc == 0 && in)
        rc = yaml_word(l->doc, in, modes, &mode, l->e);
    if (rc < 0)
        return rc;
    snprintf(name, sizeof name, "%s/commands[%zu]", c->role->name, number);
    if (strncmp(text, "class:", 6) == 0)
        return deny ? load_deny_class(c, n, name)
                    : yaml_error(
                          l->doc, n, l->e,
                          "found allow: %.100s, expected the words of a command: what is allowed "
                          "is compared as it was sent, a class is for deny",
                          text);
    rc = load_pattern(c, n);
    if (rc < 0)
        return rc;
    return deny ? load_deny(c, n, name)
                : load_allow(c, n, name, mode == BULK_DIGEST ? RULE_STDIN_DIGEST : 0);
}

int policy_load_role_commands(struct loading *l, const struct yaml_node *root, struct role *role)
{
    const struct yaml_node *commands = yaml_get(root, "commands");
    const struct yaml_node *programs = yaml_get(root, "programs");
    struct yaml_node *const *items;
    struct commands *c;
    size_t count;
    int rc = programs ? check_programs(l, programs) : 0;

    if (rc < 0)
        return rc;
    if (programs && programs->count > COMMANDS_MAX)
        return yaml_error(l->doc, programs, l->e, "found %zu programs, expected at most %d",
                          programs->count, COMMANDS_MAX);
    if (!commands) {
        if (programs)
            policy_warn(l, programs, "programs is of no use without commands");
        return 0;
    }
    if (role->shell)
        return yaml_error(
            l->doc, commands, l->e,
            "found commands beside shell: true, expected one of them: a shell would run "
            "anything (give the shell in a role of its own, or say shell: false)");
    rc = policy_list(l, commands, 1, COMMANDS_MAX, "rules such as - allow: \"virsh list\"", &items,
                     &count);
    if (rc < 0)
        return rc;
    role->rules = rule_set_new();
    c = calloc(1, sizeof *c);
    if (!role->rules || !c) {
        free(c);
        return policy_no_memory(l);
    }
    *c = (struct commands){.l = l, .role = role, .programs = programs};
    buf_init(&c->pattern, 4 * WORDS_TEXT_MAX);
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = load_rule(c, items[i], i);
    for (size_t i = 0; programs && i < programs->count && rc == 0; i++) {
        if (!c->used[i])
            policy_warn(l, programs->keys[i], "no command uses the program %s",
                        programs->keys[i]->text);
    }
    if (rc == 0 && !rule_set_fits(role->rules))
        rc =
            yaml_error(l->doc, commands, l->e,
                       "found commands that take more than the %d bytes of a grant, with the packs "
                       "of the classes that they deny, expected fewer",
                       RULES_ENCODED_MAX);
    if (rc == 0 && role->exec && !c->allows)
        rule_set_open(role->rules);
    if (rc == 0 && l->warnings)
        rc = policy_warn_of_commands(l, commands, role);
    buf_clear(&c->pattern);
    free(c);
    return rc;
}
