/* SPDX-License-Identifier: Apache-2.0
 *
 * The walk through an argv's wrappers (policy/wrappers.h). Every command that is found is looked at
 * again; depth, commands and bytes are bounded, and a bound exceeded is one more thing that cannot
 * be seen. Used by the backend on hostile argv. Pure. */
#include "policy/wrappers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/files.h"
#include "policy/shell_text.h"
#include "policy/wrappers_options.h"
#include "policy/wrappers_table.h"

/* Texts within texts: what all of them may have together. */
#define TEXT_BYTES_MAX (4 * WORDS_TEXT_MAX)

struct walk {
    wrapper_found found;
    void *arg;
    char *why;
    unsigned commands, depth;
    size_t text_bytes;
    struct err *e;
};

static int visit(struct walk *w, char *const *word, size_t count);

/* Remembers the first thing that cannot be seen. */
static int opaque(struct walk *w, const char *program, const char *why)
{
    if (!w->why[0])
        snprintf(w->why, WRAPPER_WHY_MAX, "%.60s: %s", program, why);
    return 0;
}

static int visit_deeper(struct walk *w, char *const *word, size_t count)
{
    if (!count)
        return 0;
    w->depth++;
    int rc = visit(w, word, count);
    w->depth--;
    return rc;
}

/* ---- texts ---- */

static int command_of_text(void *arg, const struct words *command)
{
    return visit_deeper(arg, command->word, command->count);
}

static int visit_text(struct walk *w, const char *program, const char *text)
{
    const char *why = NULL;
    const size_t len = strlen(text);

    if (w->depth == WRAPPER_DEPTH_MAX || len > TEXT_BYTES_MAX - w->text_bytes)
        return opaque(w, program, "nested too deep to be looked through");
    w->text_bytes += len;
    int rc = shell_text_walk(text, len, command_of_text, w, &why, w->e);
    if (rc == 0 && why)
        opaque(w, program, why);
    return rc;
}

/* The words as one text, parted by blanks. */
static int visit_joined(struct walk *w, const char *program, char *const *word, size_t count)
{
    size_t len = 1;

    for (size_t i = 0; i < count; i++)
        len += strlen(word[i]) + 1;
    char *text = malloc(len), *to = text;
    if (!text)
        return err_set(w->e, ERR_MEMORY, "out of memory");
    *to = 0;
    for (size_t i = 0; i < count; i++)
        to += sprintf(to, "%s%s", i ? " " : "", word[i]);
    int rc = visit_text(w, program, text);
    free(text);
    return rc;
}

/* ---- words ---- */

/* Variables that decide of language and looks only. */
static bool is_harmless_assignment(const char *word)
{
    static const char *const names[] = {"LANG=", "LC_", "TZ=", "TERM=", "COLUMNS=", "LINES=", NULL};

    for (size_t i = 0; names[i]; i++) {
        if (strncmp(word, names[i], strlen(names[i])) == 0)
            return true;
    }
    return false;
}

static int visit_env_split(struct walk *w, const char *text, char *const *word, size_t count)
{
    struct err why = ERR_INIT;
    struct words split, *all = malloc(sizeof *all);
    int rc;

    if (!all)
        return err_set(w->e, ERR_MEMORY, "out of memory");
    rc = words_split(text, strlen(text), &split, &why);
    if (rc < 0) {
        free(all);
        return rc == ERR_SYNTAX ? opaque(w, "env", "its -S text is more than plain words")
                                : err_set(w->e, (enum err_code)rc, "%s", why.text);
    }
    static char env[] = "env";
    all->word[0] = env;
    all->count = 1;
    for (size_t i = 0; i < split.count && all->count < WORDS_MAX; i++)
        all->word[all->count++] = split.word[i];
    for (size_t i = 0; i < count && all->count < WORDS_MAX; i++)
        all->word[all->count++] = word[i];
    if (all->count == WORDS_MAX)
        rc = opaque(w, "env", "its -S text makes too many words");
    else
        rc = visit_deeper(w, all->word, all->count);
    words_clear(&split);
    free(all);
    return rc;
}

/* Options, assignments, operands, and then a command. */
static int visit_prefix(struct walk *w, const struct wrapper *p, char *const *word, size_t count)
{
    struct options_seen seen;
    size_t i = 1;

    if (!options_skip(p->options, word, count, &i, &seen))
        return opaque(w, word[0], "has an option that leaves open what runs");
    if (seen.split && p->kind == WRAPPER_ENV)
        return visit_env_split(w, seen.split, word + i, count - i);
    if (p->kind == WRAPPER_ENV && i < count && strcmp(word[i], "-") == 0)
        i++;
    for (; p->assigns && i < count && strchr(word[i], '='); i++) {
        if (!is_harmless_assignment(word[i]))
            opaque(w, word[0], "a variable that it sets may change what runs");
    }
    for (size_t k = i; p->expands && k < count; k++) {
        if (strpbrk(word[k], "$%"))
            opaque(w, word[0], "expands $ and % in the words");
    }
    if (p->operands > count - i)
        return p->needs ? opaque(w, word[0], "names no command") : 0;
    i += p->operands;
    if (p->kind == WRAPPER_FLOCK && i + 1 < count &&
        (strcmp(word[i], "-c") == 0 || strncmp(word[i], "--comm", 6) == 0))
        return visit_text(w, word[0], word[i + 1]);
    if (p->ends_with)
        opaque(w, word[0], p->risk);
    if (i == count)
        return p->needs || p->ends_with
                   ? opaque(w, word[0], "without a command it runs a shell, or reads commands")
                   : 0;
    if (p->kind == WRAPPER_WATCH && !seen.exec)
        return visit_joined(w, word[0], word + i, count - i);
    return visit_deeper(w, word + i, count - i);
}

/* sh [-lex] [-o x] -c TEXT [$0 ...] */
static int visit_shell(struct walk *w, char *const *word, size_t count)
{
    bool text = false;
    size_t i = 1;

    while (i < count && (word[i][0] == '-' || word[i][0] == '+') && word[i][1]) {
        const char *option = word[i++];
        if (strcmp(option, "--") == 0)
            break;
        if (option[1] == '-') {
            if (strcmp(option, "--login") != 0 && strcmp(option, "--norc") != 0 &&
                strcmp(option, "--noprofile") != 0 && strcmp(option, "--posix") != 0)
                opaque(w, word[0], "has an option that leaves open what runs");
            continue;
        }
        for (const char *c = option + 1; *c; c++) {
            text = text || (*c == 'c' && option[0] == '-');
            if (*c == 's')
                opaque(w, word[0], "reads commands from its standard input");
            if (*c == 'o' || *c == 'O')
                i++;
        }
    }
    if (!text || i >= count)
        return opaque(w, word[0], "runs a script, or reads commands from its standard input");
    return visit_text(w, word[0], word[i]);
}

/* su, runuser, sg, script: a text behind -c, wherever it stands; runuser -u USER command. */
static int visit_su(struct walk *w, char *const *word, size_t count)
{
    bool found = false;
    int rc = 0;

    for (size_t i = 1; i < count && rc == 0; i++) {
        const char *equals = strchr(word[i], '=');
        const bool is_long = strncmp(word[i], "--c", 3) == 0 || strncmp(word[i], "--se", 4) == 0;
        if (word[i][0] != '-' || (word[i][1] == '-' && !is_long))
            continue;
        if (word[i][1] == '-' && equals) {
            rc = visit_text(w, word[0], equals + 1);
            found = true;
        } else if ((word[i][1] == '-' || strchr(word[i], 'c')) && i + 1 < count) {
            const char *attached = word[i][1] == '-' ? "" : strchr(word[i], 'c') + 1;
            rc = visit_text(w, word[0], *attached ? attached : word[i + 1]);
            found = true;
            if (*attached)
                opaque(w, word[0], "has an option that leaves open what runs");
        }
    }
    if (rc == 0 && !found)
        opaque(w, word[0], "runs a shell, or its words as another user");
    /* What stands behind the options may be a command, as with runuser -u and sg. */
    for (size_t i = 1; i < count && rc == 0 && !found; i++) {
        if (word[i][0] != '-')
            rc = visit_deeper(w, word + i, count - i);
    }
    return rc;
}

static int visit_find(struct walk *w, char *const *word, size_t count)
{
    int rc = 0;

    for (size_t i = 1; i < count && rc == 0; i++) {
        if (strcmp(word[i], "-exec") != 0 && strcmp(word[i], "-execdir") != 0 &&
            strcmp(word[i], "-ok") != 0 && strcmp(word[i], "-okdir") != 0)
            continue;
        size_t end = ++i;
        for (; end < count && strcmp(word[end], ";") != 0 && strcmp(word[end], "+") != 0; end++) {
            if (strstr(word[end], "{}"))
                opaque(w, word[0], "puts names of files into a command");
        }
        rc = visit_deeper(w, word + i, end - i);
        i = end;
    }
    return rc;
}

/* ip -n x netns exec NAME command: its words may be shortened. */
static int visit_ip(struct walk *w, char *const *word, size_t count)
{
    int rc = 0;

    for (size_t i = 1; i < count && rc == 0; i++) {
        const size_t len = strlen(word[i]);
        if (len > 1 && word[i][0] == '-' && strncmp("-batch", word[i], len) == 0)
            opaque(w, word[0], "reads commands from a file");
        if (!len || strncmp("exec", word[i], len) != 0)
            continue;
        opaque(w, word[0], "runs a command in a namespace");
        rc = visit_deeper(w, word + i + 1, count - i - 1);
        if (rc == 0 && i + 2 < count)
            rc = visit_deeper(w, word + i + 2, count - i - 2);
    }
    return rc;
}

/* ---- virsh: its own language ---- */

/* A command of virsh's one-word list, with virsh before it. */
static int visit_virsh_command(struct walk *w, char *program, char **word, size_t count)
{
    if (!count)
        return 0;
    word[0] = program;
    return visit_deeper(w, word, count + 1);
}

/* vshCommandStringParse of libvirt (tools/vsh.c): blanks part words, ; and newlines part commands,
 * # begins a comment, quotes and a backslash as in a shell. */
static int visit_virsh_list(struct walk *w, char *program, const char *text)
{
    struct words *command = malloc(sizeof *command);
    char *copy = malloc(2 * strlen(text) + 2), *to = copy, quote = 0;
    bool in_word = false;
    size_t count = 0;
    int rc = 0;

    if (!command || !copy) {
        rc = err_set(w->e, ERR_MEMORY, "out of memory");
        goto out;
    }
    for (const char *p = text; rc == 0; p++) {
        const bool ends = !*p || (!quote && strchr(" \t\r\n;", *p));
        if (ends) {
            if (in_word)
                *to++ = 0;
            in_word = false;
            if (!*p || *p == ';' || *p == '\n') {
                rc = visit_virsh_command(w, program, command->word, count);
                count = 0;
                to = copy;
            }
        } else if (!in_word && !quote && *p == '#') {
            p += strcspn(p, "\n");
            p--;
        } else {
            if (!in_word && count + 1 < WORDS_MAX)
                command->word[++count] = to;
            else if (!in_word)
                opaque(w, program, "a command in it has too many words");
            in_word = true;
            if (*p == '\\' && quote != '\'' && p[1])
                *to++ = *++p;
            else if (quote ? *p == quote : *p == '\'' || *p == '"')
                quote = quote ? 0 : *p;
            else
                *to++ = *p;
        }
        if (!*p)
            break;
    }
    if (quote)
        opaque(w, program, "a quote in it does not end");
out:
    free(copy);
    free(command);
    return rc;
}

static int visit_virsh(struct walk *w, char *const *word, size_t count)
{
    static const char options[] =
        "-c: -d: -e: -h -k: -K: -l: -q -r -t -v -V --connect= --debug= --escape= --help "
        "--keepalive-interval= --keepalive-count= --log= --quiet --readonly --timing "
        "--version?";
    struct options_seen seen;
    size_t i = 1;

    for (size_t k = 1; k < count; k++) {
        /* libvirt's remote URIs name the program that connects. */
        if (strstr(word[k], "command=") || strstr(word[k], "netcat=") || strstr(word[k], "+ext"))
            opaque(w, word[0], "its URI names a program");
    }
    if (!options_skip(options, word, count, &i, &seen))
        return opaque(w, word[0], "has an option that leaves open what runs");
    if (i == count)
        return opaque(w, word[0], "reads commands from its standard input");
    return i + 1 == count && strpbrk(word[i], " \t\r\n;#'\"\\")
               ? visit_virsh_list(w, word[0], word[i])
               : 0;
}

/* ---- the walk ---- */

/* printf -v, test -v and ksh's test evaluate what stands in brackets, and so $(...) there. */
static int visit_test(struct walk *w, char *const *word, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (strpbrk(word[i], "$`") || (strcmp(word[0], "printf") != 0 && strpbrk(word[i], "[(")) ||
            (strcmp(word[0], "printf") == 0 && word[i][0] == '-'))
            return opaque(w, word[0], "evaluates its words");
    }
    return 0;
}

/* `service ../../tmp/x`, `systemctl enable /tmp/x.service`. */
static bool leads_to_a_path(const char *behind, char *const *word, size_t count)
{
    size_t i = 1;

    if (!*behind)
        return count > 1 && strchr(word[1], '/');
    while (i < count && !options_have(behind, word + i - 1, 2))
        i++;
    for (; i < count; i++) {
        if (word[i][0] != '-' && strchr(word[i], '/'))
            return true;
    }
    return false;
}

static int visit_options(struct walk *w, const struct wrapper *p, char *const *word, size_t count)
{
    bool found = p->ever && options_have(p->ever, word, count);

    if (!(count > 1 && p->unless && strcmp(word[1], p->unless) == 0))
        found = found || options_have(p->options, word, count);
    if (p->bundles && count > 1 && word[1][0] != '-')
        found = found || options_in_bundle(p->options, word[1]);
    found =
        found || (p->needs && count == 1) || (p->paths && leads_to_a_path(p->paths, word, count));
    return found ? opaque(w, word[0], p->risk) : 0;
}

static int look_into(struct walk *w, const struct wrapper *p, char *const *word, size_t count)
{
    switch (p->kind) {
    case WRAPPER_PREFIX:
    case WRAPPER_ENV:
    case WRAPPER_WATCH:
    case WRAPPER_FLOCK:
        return visit_prefix(w, p, word, count);
    case WRAPPER_SHELL:
        return visit_shell(w, word, count);
    case WRAPPER_SU:
        return visit_su(w, word, count);
    case WRAPPER_EVAL: {
        const size_t skip = count > 1 && strcmp(word[1], "--") == 0 ? 2 : 1;
        return visit_joined(w, word[0], word + skip, count - skip);
    }
    case WRAPPER_TRAP:
        if (count > 1 && word[1][0] == '-' && word[1][1])
            return opaque(w, word[0], "has an option that leaves open what runs");
        return count > 1 ? visit_text(w, word[0], word[1]) : 0;
    case WRAPPER_FIND:
        return visit_find(w, word, count);
    case WRAPPER_APPLET:
        if (count > 1 && word[1][0] == '-')
            return opaque(w, word[0], "has an option that leaves open what runs");
        return visit_deeper(w, word + 1, count - 1);
    case WRAPPER_IP:
        return visit_ip(w, word, count);
    case WRAPPER_VIRSH:
        return visit_virsh(w, word, count);
    case WRAPPER_TEST:
        return visit_test(w, word, count);
    case WRAPPER_OPTIONS:
        return visit_options(w, p, word, count);
    case WRAPPER_OPAQUE:
        return opaque(w, word[0], p->risk);
    }
    return opaque(w, word[0], "is not known");
}

static const char *base_name(const char *program)
{
    const char *slash = strrchr(program, '/');

    return slash ? slash + 1 : program;
}

/* Files that are whatever some process has open or runs: /proc/self/exe is the shell itself. */
static bool is_nameless(const char *program)
{
    char path[FILE_PATH_MAX + 1];

    if (!base_name(program)[0])
        return true;
    if (!strchr(program, '/'))
        return false;
    if (file_path_join("/", program, strlen(program), path, NULL) < 0)
        return true;
    return strncmp(path, "/proc/", 6) == 0 || strncmp(path, "/dev/", 5) == 0 ||
           (program[0] != '/' && (strstr(program, "proc/") || strstr(program, "dev/")));
}

static int visit(struct walk *w, char *const *word, size_t count)
{
    struct words view;

    if (w->depth > WRAPPER_DEPTH_MAX || w->commands == WRAPPER_COMMANDS_MAX)
        return opaque(w, word[0], "nested too deep, or too many commands, to be looked through");
    w->commands++;
    view.text = NULL;
    view.count = count;
    memcpy(view.word, word, count * sizeof *word);
    int rc = w->found(w->arg, &view, w->depth);
    if (rc != 0)
        return rc;
    if (is_nameless(word[0]))
        return opaque(w, word[0], "is no name of a program");
    const struct wrapper *p = wrapper_named(base_name(word[0]));
    if (!p)
        return 0;
    /* Its own name, so that no path is taken for one. */
    view.word[0] = (char *)(uintptr_t)p->name;
    return look_into(w, p, view.word, count);
}

int wrappers_walk_why(const struct words *argv, wrapper_found found, void *arg,
                      char why[WRAPPER_WHY_MAX], struct err *e)
{
    struct walk w = {.found = found, .arg = arg, .why = why, .e = e};

    why[0] = 0;
    return argv->count ? visit(&w, argv->word, argv->count) : 0;
}

int wrappers_walk(const struct words *argv, wrapper_found found, void *arg, bool *opaque_out,
                  struct err *e)
{
    char why[WRAPPER_WHY_MAX];
    int rc = wrappers_walk_why(argv, found, arg, why, e);

    *opaque_out = why[0] != 0;
    return rc;
}

const char *wrapper_risk(const char *program, bool *always)
{
    const struct wrapper *p = wrapper_named(base_name(program));

    *always = p && p->always;
    return p ? p->risk : NULL;
}
