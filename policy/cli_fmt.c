/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport policy fmt`: one layout for the files of a set (policy/fmt.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/yaml_tree.h"
#include "gateway/cli.h"
#include "policy/bundle.h"
#include "policy/cli_policy.h"
#include "policy/fmt.h"

static const char help[] =
    "usage: sallyport policy fmt [OPTION]... FILE...\n\n"
    "Prints the files in one layout: two blanks a level, one blank after : and , and -, lists and "
    "maps\n"
    "in brackets on one line where they fit 100 columns and have no comment within, at most one "
    "empty\n"
    "line. Comments, the order of keys, the quotes of values and the lines of those that have "
    "several are\n"
    "kept; what the file says is the same, which is checked by reading both. FILE - is standard "
    "input.\n\n"
    "  --check         print the names of files that would change, and change nothing\n"
    "  --write         write the files that change\n"
    "  --json          print JSON: a list of {file, changed} or {file, error}\n\n"
    "Exit status: 0 fine, 1 with --check: a file would change, 2 wrong usage, or a file that "
    "cannot be\n"
    "formatted.\n\n"
    "Examples:\n"
    "  sallyport policy fmt --check roles.d/*.yaml roles.d/tests/*.yaml\n"
    "  sallyport policy fmt --write operators.yaml\n";

struct arguments {
    bool check, write, json;
    json_t *list;
};

static int format_file(const char *path, const struct arguments *a, bool *changed, struct err *e)
{
    struct buf before, after;
    struct stat st;
    int rc;

    /* Whatever * stood for, in somebody's working copy. */
    if (!bundle_name_visible(path))
        return err_set(e, ERR_INPUT, "found a file name with characters that cannot be shown");
    if (a->write && lstat(path, &st) == 0 && S_ISLNK(st.st_mode))
        return err_set(e, ERR_INPUT, "%s: found a symbolic link, expected a regular file", path);
    buf_init(&before, 1);
    buf_init(&after, 4u * YAML_FILE_MAX);
    rc = cli_read_file(path, YAML_FILE_MAX, &before, e);
    if (rc < 0)
        return rc;
    rc = policy_fmt(path, buf_head(&before), buf_len(&before), &after, e);
    if (rc == 0) {
        *changed =
            buf_len(&before) != buf_len(&after) ||
            (buf_len(&after) && memcmp(buf_head(&before), buf_head(&after), buf_len(&after)) != 0);
        if (a->write && *changed)
            rc = strcmp(path, "-") == 0
                     ? err_set(e, ERR_INPUT, "standard input cannot be written")
                     : cli_replace_file(path, buf_head(&after), buf_len(&after), 0, e);
        else if (!a->check && !a->write && !a->json)
            fwrite(buf_head(&after), 1, buf_len(&after), stdout);
    }
    buf_clear(&before);
    buf_clear(&after);
    return rc;
}

static int one(const char *path, const struct arguments *a)
{
    struct err e = ERR_INIT;
    char shown[4096];
    bool changed = false;
    int rc = format_file(path, a, &changed, &e);

    if (!bundle_name_visible(path)) {
        path = escape_text(shown, sizeof shown, path, strlen(path));
        err_wrap(&e, "%s", path);
    }
    if (a->list)
        json_array_append_new(
            a->list, rc < 0 ? json_pack("{s:s, s:s}", "file", path, "error", e.text)
                            : json_pack("{s:s, s:b}", "file", path, "changed", (int)changed));
    else if (rc < 0)
        cli_fail("%s", e.text);
    else if (changed && (a->check || a->write))
        printf("%s\n", path);
    return rc < 0 ? POLICY_TROUBLE : a->check && changed ? POLICY_FINDINGS : POLICY_FINE;
}

int cli_policy_fmt(int argc, char **argv)
{
    static const struct option table[] = {{"check", no_argument, NULL, 'k'},
                                          {"write", no_argument, NULL, 'w'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    struct policy_options o = {.verb = "policy fmt", .help = help, .table = table};
    struct arguments a = {0};
    int status = CLI_DONE;

    policy_options_begin(&o);
    for (int c; (c = policy_next_option(&o, argc, argv)) != -1;) {
        a.check = a.check || c == 'k';
        a.write = a.write || c == 'w';
        a.json = a.json || c == 'j';
    }
    if (o.status >= 0)
        return o.status;
    if (optind == argc)
        return policy_usage(&o, "expected one file or more");
    if (a.check && a.write)
        return policy_usage(&o, "found --check and --write, expected one of them");
    if (a.json)
        a.list = json_array();
    for (int i = optind; i < argc; i++) {
        const int rc = one(argv[i], &a);
        status = rc > status ? rc : status;
    }
    if (a.list)
        policy_print_json(a.list);
    return status;
}
