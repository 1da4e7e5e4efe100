/* SPDX-License-Identifier: Apache-2.0
 *
 * What a role permits: allow, programs, commands. A command rule is written as an operator would
 * type it and is split by the same grammar as his requests; its program is an absolute path or a
 * bare name that `programs` maps to one. allow.sftp is read by policy/role_files.c,
 * allow.forward by policy/role_forwards.c.
 *
 *     allow: {shell: false, exec: true}
 *     programs: {virsh: /usr/bin/virsh, tar: /usr/bin/tar}
 *     commands:
 *       - allow: "virsh -c test:///default list"
 *       - {allow: "tar -xf - -C /srv", stdin: digest}
 *
 * Used by authd's loader. Pure. */
#include "policy/set.h"

#include <stdio.h>
#include <string.h>

static int load_abilities(struct loading *l, const struct yaml_node *root, struct role *role)
{
    static const char *const known[] = {"shell", "exec", "sftp", "forward", NULL};
    const struct yaml_node *n, *value;
    int rc = yaml_require(l->doc, root, "allow", &n, l->e);

    if (rc == 0)
        rc = policy_check_keys(l, n, known, NULL);
    if (rc == 0 && (value = yaml_get(n, "shell")))
        rc = yaml_bool(l->doc, value, &role->shell, l->e);
    if (rc == 0 && (value = yaml_get(n, "exec")))
        rc = yaml_bool(l->doc, value, &role->exec, l->e);
    if (rc == 0 && (value = yaml_get(n, "sftp")))
        rc = policy_load_role_files(l, value, role);
    if (rc == 0 && (value = yaml_get(n, "forward")))
        rc = policy_load_role_forwards(l, value, role);
    if (rc == 0 && !role->shell && !role->exec && !role->files && !role->forwards)
        policy_warn(l, n, "the role %s allows neither shell nor exec nor sftp nor forward",
                    role->name);
    return rc;
}

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

/* The path that runs for a rule's first word; bit i of used says that programs' entry i is. */
static int program_path(struct loading *l, const struct yaml_node *at, const char *word,
                        const struct yaml_node *programs, bool *used, const char **path)
{
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
            used[i] = true;
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

/* A rule that is no plain command: most often someone wants a pattern. */
static int not_plain(struct loading *l, const struct yaml_node *n, const char *why)
{
    const char *pattern = strpbrk(n->text, "*?|[{");

    if (pattern)
        return yaml_error(
            l->doc, n, l->e,
            "found \"%.300s\", where %c makes a pattern, which is not supported in this "
            "version, expected the exact words of one command (%s)",
            n->text, *pattern, why);
    return yaml_error(l->doc, n, l->e, "found \"%.300s\", expected one plain command (%s)", n->text,
                      why);
}

static int load_rule(struct loading *l, const struct yaml_node *item, size_t number,
                     const struct yaml_node *programs, bool *used, struct role *role)
{
    static const char *const known[] = {"allow", "stdin", NULL};
    static const struct later_key later[] = {{"deny", "deny rules"}, {NULL, NULL}};
    static const char *const modes[] = {[BULK_FULL] = "full", [BULK_DIGEST] = "digest", NULL};
    const struct yaml_node *n, *value;
    size_t mode = BULK_FULL;
    const char *text, *path = NULL;
    char name[RULE_NAME_MAX + 1];
    struct err why = ERR_INIT;
    struct words argv;
    int rc = policy_check_keys(l, item, known, later);

    if (rc == 0)
        rc = yaml_require(l->doc, item, "allow", &n, l->e);
    if (rc == 0)
        rc = yaml_text(l->doc, n, 4096, "a command", &text, l->e);
    if (rc == 0 && (value = yaml_get(item, "stdin")))
        rc = yaml_word(l->doc, value, modes, &mode, l->e);
    if (rc < 0)
        return rc;
    if (strncmp(text, "class:", 6) == 0)
        return yaml_error(l->doc, n, l->e,
                          "found \"%.200s\" (a class of commands), which is not supported in this "
                          "version, expected the exact words of one command",
                          text);
    if (words_split(text, strlen(text), &argv, &why) < 0)
        return not_plain(l, n, why.text);
    rc = program_path(l, n, argv.word[0], programs, used, &path);
    if (rc == 0) {
        snprintf(name, sizeof name, "%s/commands[%zu]", role->name, number);
        rc = rule_set_add(role->rules, name, &argv, path,
                          mode == BULK_DIGEST ? RULE_STDIN_DIGEST : 0, &why);
        if (rc < 0)
            rc = yaml_error(l->doc, n, l->e, "%s", why.text);
    }
    words_clear(&argv);
    return rc;
}

static int load_commands(struct loading *l, const struct yaml_node *root, struct role *role)
{
    const struct yaml_node *commands = yaml_get(root, "commands");
    const struct yaml_node *programs = yaml_get(root, "programs");
    struct yaml_node *const *items;
    bool used[COMMANDS_MAX] = {false};
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
    if (!role->exec)
        return yaml_error(l->doc, commands, l->e,
                          "found commands without exec: true, expected allow: {exec: true}");
    rc = policy_list(l, commands, 1, COMMANDS_MAX, "rules such as - allow: \"virsh list\"", &items,
                     &count);
    if (rc < 0)
        return rc;
    role->rules = rule_set_new();
    if (!role->rules)
        return policy_no_memory(l);
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = load_rule(l, items[i], i, programs, used, role);
    for (size_t i = 0; programs && i < programs->count && rc == 0; i++) {
        if (!used[i])
            policy_warn(l, programs->keys[i], "no command uses the program %s",
                        programs->keys[i]->text);
    }
    return rc;
}

int policy_load_role_allow(struct loading *l, const struct yaml_node *root, struct role *role)
{
    int rc = load_abilities(l, root, role);

    if (rc == 0)
        rc = load_commands(l, root, role);
    if (rc == 0)
        rc = policy_load_role_session(l, root, role);
    return rc;
}
