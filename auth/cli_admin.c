/* SPDX-License-Identifier: Apache-2.0
 *
 * What the administrators' verbs share (auth/cli_admin.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/cli_admin.h"
#include "auth/control_client.h"
#include "auth/yaml_edit.h"
#include "base/log.h"
#include "base/yaml_tree.h"
#include "gateway/cli.h"

int cli_subcommand(const char *verb, const char *help, const struct cli_subcommand *table, int argc,
                   char **argv)
{
    const char *words[16];
    size_t n = 0;
    if (argc < 2) {
        fputs(help, stderr);
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        fputs(help, stdout);
        return CLI_DONE;
    }
    for (; table[n].name && n < 15; n++) {
        if (strcmp(table[n].name, argv[1]) != 0) {
            words[n] = table[n].name;
            continue;
        }
        for (int i = 2; i < argc; i++) {
            if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
                fputs(help, stdout);
                return CLI_DONE;
            }
        }
        return table[n].run(argc - 1, argv + 1);
    }
    words[n] = NULL;
    const char *nearest = nearest_word(argv[1], words);
    if (nearest)
        return cli_usage(verb, "there is no \"%s\" (did you mean \"%s\"?)", argv[1], nearest);
    return cli_usage(verb, "there is no \"%s\"", argv[1]);
}

static int load_policy(struct control *control, struct err *e)
{
    json_t *reply;
    int r = control_ask(control, json_pack("{s:s}", "verb", "policy-load"), &reply, e);
    json_decref(reply);
    return r;
}

static int record_act(struct control *control, const char *what, const char *detail, struct err *e)
{
    json_t *reply;
    int r = control_ask(control,
                        json_pack("{s:s, s:s, s:s}", "verb", "act", "what", what, "detail", detail),
                        &reply, e);
    json_decref(reply);
    return r == 0 ? 0 : err_wrap(e, "the change was not made, because it could not be recorded");
}

int cli_add_entry(const char *confdir, const char *file, const char *section, const char *name,
                  const char *entry, bool *running, struct err *e)
{
    char *path = cli_printf("%s/%s", confdir, file), *socket = NULL,
         *what = cli_printf("add to %s", file);
    struct buf before, after;
    struct control *control = NULL;
    *running = false;
    int r = cli_read_file(path, YAML_FILE_MAX, &before, e);
    if (r != 0)
        goto out_paths;
    r = yaml_edit_add(path, &before, section, name, entry, &after, e);
    if (r != 0)
        goto out_before;
    socket = control_path(confdir, e);
    control = socket ? control_open(socket, e) : NULL;
    *running = control != NULL;
    if (!control && e->code != ERR_NOT_FOUND) {
        r = e->code;
        goto out;
    }
    if (control && (r = record_act(control, what, entry, e)) != 0)
        goto out;
    if ((r = cli_replace_file(path, buf_head(&after), buf_len(&after), 0, e)) != 0)
        goto out;
    if (control && (r = load_policy(control, e)) != 0) {
        err_wrap(e, "the gateway refused it, and %s is as before", path);
        struct err again = ERR_INIT;
        if (cli_replace_file(path, buf_head(&before), buf_len(&before), 0, &again) != 0)
            err_wrap(e, "%s", again.text);
    }
out:
    buf_clear(&after);
out_before:
    buf_clear(&before);
out_paths:
    control_free(control);
    free(path);
    free(socket);
    free(what);
    return r;
}

int cli_wants_approval(const char *confdir, struct err *e)
{
    char *path = cli_printf("%s/approvers.yaml", confdir);
    const bool there = access(path, F_OK) == 0;
    struct control *control = NULL;
    json_t *reply = NULL;
    int r = 0;

    free(path);
    if (there)
        return 1;
    path = control_path(confdir, e);
    control = path ? control_open(path, e) : NULL;
    free(path);
    if (!control && e->code == ERR_NOT_FOUND) {
        *e = (struct err)ERR_INIT;
        return 0;
    }
    r = control ? control_ask(control, json_pack("{s:s}", "verb", "policy-approvals"), &reply, e)
                : e->code;
    if (r == 0)
        r = json_integer_value(json_object_get(reply, "needed")) > 0;
    json_decref(reply);
    control_free(control);
    return r;
}

void cli_print_entry(const char *file, const char *section, const char *entry)
{
    printf("Approvers are set (approvers.yaml), so nothing was written. Commit this below "
           "`%s:` in %s:\n\n%s\n"
           "Then `sallyport policy manifest` lists the new set, its author and the approvers sign "
           "it\n(`sallyport policy sign`), and the gateway loads it.\n",
           section, file, entry);
}

void cli_print_json(const json_t *value)
{
    char *text = json_dumps(value, JSON_INDENT(2) | JSON_ENCODE_ANY);
    puts(text ? text : "null");
    free(text);
}

void cli_print_cell(const char *text, int width)
{
    char shown[1024];
    printf(width ? "%-*s  " : "%*s", width, escape_text(shown, sizeof shown, text, strlen(text)));
}
