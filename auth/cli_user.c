/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport user ...`: the operators. Names and keys stand in operators.yaml, which is root's to
 * write; second factors, locks and remembered logins are authd's, by the control socket. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/cli_admin.h"
#include "auth/control_client.h"
#include "auth/yaml_edit.h"
#include "gateway/cli.h"

#define KEY_FILE_MAX 65536
#define GROUPS_MAX   32

static const char help[] =
    "usage: sallyport user add NAME --key KEY [--key KEY]... [--name TEXT] [--group GROUP]...\n"
    "       sallyport user enroll NAME [--json]\n"
    "       sallyport user password NAME [--remove] [--json]\n"
    "       sallyport user list [--json]\n"
    "       sallyport user lock NAME --reason TEXT\n"
    "       sallyport user unlock NAME\n"
    "       sallyport user forget NAME\n\n"
    "  add      writes the operator with the SSH public keys into operators.yaml. KEY is the "
    "key's\n"
    "           line, as in 'ssh-ed25519 AAAA... alice@laptop', or a file of such lines (- for "
    "stdin).\n"
    "           Where approvers are set, prints the entry to be committed and writes nothing\n"
    "  enroll   gives a one-time token for the second factor; the operator redeems it with\n"
    "           `sallyport login`. An authenticator and the remembered logins from before end "
    "then\n"
    "  password sets the operator's password: asks for it twice, or takes a line of stdin. "
    "--remove\n"
    "           takes it away. Either ends the sessions and remembered logins that the old one "
    "opened\n"
    "  list     operators, their factors, locks and remembered logins\n"
    "  lock     ends the operator's sessions and lets in no new ones\n"
    "  unlock   ends a lock, also one that wrong codes brought about\n"
    "  forget   ends the operator's remembered logins on all devices, and what they opened\n\n"
    "  -c DIR   the configuration directory (default: " SALLYPORT_CONFDIR ")\n"
    "  --json   print JSON\n\n"
    "You must be one of the admins in sallyport.yaml. Each act is recorded before it takes "
    "effect.\n";

struct arguments {
    const char *confdir, *name, *full_name, *reason;
    const char *keys[GROUPS_MAX], *groups[GROUPS_MAX];
    size_t key_count, group_count;
    bool json;
};

/* 0, or an exit status in *status. named: one word is wanted. */
static int parse(int argc, char **argv, const char *verb, bool named, struct arguments *a,
                 int *status)
{
    static const struct option options[] = {{"key", required_argument, NULL, 'k'},
                                            {"name", required_argument, NULL, 'n'},
                                            {"group", required_argument, NULL, 'g'},
                                            {"reason", required_argument, NULL, 'r'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"config", required_argument, NULL, 'c'},
                                            {0}};
    bool adds = strcmp(verb, "user add") == 0, locks = strcmp(verb, "user lock") == 0;
    memset(a, 0, sizeof *a);
    optind = 1;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":c:k:", options, NULL)) != -1;) {
        if (c == 'k' && adds && a->key_count < GROUPS_MAX) {
            a->keys[a->key_count++] = optarg;
        } else if (c == 'g' && adds && a->group_count < GROUPS_MAX) {
            a->groups[a->group_count++] = optarg;
        } else if (c == 'n' && adds) {
            a->full_name = optarg;
        } else if (c == 'r' && locks) {
            a->reason = optarg;
        } else if (c == 'j') {
            a->json = true;
        } else if (c == 'c') {
            a->confdir = optarg;
        } else if (c == ':' || c == '?') {
            *status = cli_bad_option("user", c, argv);
            return -1;
        } else {
            *status = cli_usage("user", "an option here does not belong to `sallyport %s`", verb);
            return -1;
        }
    }
    a->confdir = cli_confdir(a->confdir);
    if (named && optind < argc)
        a->name = argv[optind++];
    if (named && !a->name)
        *status = cli_usage("user", "expected the operator's name");
    else if (optind != argc)
        *status = cli_usage("user", "found \"%s\", expected no more words", argv[optind]);
    else
        return 0;
    return -1;
}

/* No file's name begins like this: a type, a blank and the key. */
static bool is_key_line(const char *text)
{
    return (strncmp(text, "ssh-", 4) == 0 || strncmp(text, "ecdsa-", 6) == 0 ||
            strncmp(text, "sk-", 3) == 0) &&
           strchr(text, ' ');
}

/* Each key line of an OpenSSH public key file becomes an item of the YAML list. */
static int append_keys(const char *key, struct buf *out, size_t *count, struct err *e)
{
    const char *path = is_key_line(key) ? "--key" : key;
    char *text, *rest;
    struct buf file;
    int r = 0;
    if (is_key_line(key)) {
        text = strdup(key);
    } else {
        r = cli_read_file(path, KEY_FILE_MAX, &file, e);
        if (r != 0)
            return r;
        text = buf_string(&file);
        buf_clear(&file);
    }
    rest = text;
    if (!text)
        return err_set(e, ERR_MEMORY, "no memory");
    size_t had = *count;
    for (char *line; r == 0 && (line = strsep(&rest, "\n"));) {
        line[strcspn(line, "\r")] = '\0';
        line += strspn(line, " \t");
        if (line[0] == '\0' || line[0] == '#')
            continue;
        if (strncmp(line, "-----BEGIN", 10) == 0)
            r = err_set(e, ERR_INPUT, "%s is a private key; give the public one (%s.pub)", path,
                        path);
        if (r == 0)
            r = buf_printf(out, "    - ");
        if (r == 0)
            r = yaml_edit_quote(line, out, e);
        if (r == 0)
            r = buf_put(out, "\n", 1);
        (*count)++;
    }
    if (r == 0 && *count == had)
        r = err_set(e, ERR_INPUT, "%s holds no key", path);
    free(text);
    return r;
}

static int user_add(int argc, char **argv)
{
    struct arguments a;
    struct err e = ERR_INIT;
    struct buf entry;
    size_t keys = 0;
    bool running = false;
    int status;
    if (parse(argc, argv, "user add", true, &a, &status) != 0)
        return status;
    if (a.key_count == 0)
        return cli_usage("user", "expected --key with the operator's public key");
    buf_init(&entry, 65536);
    int r = buf_printf(&entry, "%s:\n", a.name);
    if (r == 0 && a.full_name) {
        r = buf_printf(&entry, "  name: ");
        if (r == 0)
            r = yaml_edit_quote(a.full_name, &entry, &e);
        if (r == 0)
            r = buf_put(&entry, "\n", 1);
    }
    if (r == 0)
        r = buf_printf(&entry, "  keys:\n");
    for (size_t i = 0; r == 0 && i < a.key_count; i++)
        r = append_keys(a.keys[i], &entry, &keys, &e);
    for (size_t i = 0; r == 0 && i < a.group_count; i++)
        r = buf_printf(&entry, "%s%s%s", i ? ", " : "  groups: [", a.groups[i],
                       i + 1 == a.group_count ? "]\n" : "");
    char *text = r == 0 ? buf_string(&entry) : NULL;
    int approval = r == 0 ? cli_wants_approval(a.confdir, &e) : 0;
    if (approval < 0)
        r = approval;
    if (r == 0 && approval == 1 && text) {
        cli_print_entry("operators.yaml", "operators", text);
        free(text);
        buf_clear(&entry);
        return CLI_DONE;
    }
    if (r == 0)
        r = text ? cli_add_entry(a.confdir, "operators.yaml", "operators", a.name, text, &running,
                                 &e)
                 : err_set(&e, ERR_MEMORY, "no memory");
    if (r == 0) {
        printf("Added to %s/operators.yaml:\n\n%s\n", a.confdir, text);
        if (running)
            printf("It is in force. Next: `sallyport user enroll %s` gives the token for the "
                   "second factor.\n",
                   a.name);
        else
            puts("sallyportd does not run; it will read this when it starts.");
    }
    free(text);
    buf_clear(&entry);
    return r == 0 ? CLI_DONE : cli_fail("%s", e.code ? e.text : "too many keys");
}

/* The verbs that name one operator and get a plain answer. */
static int act(const struct arguments *a, const char *verb, json_t **reply)
{
    struct err e = ERR_INIT;
    json_t *request = json_pack("{s:s, s:s}", "verb", verb, "operator", a->name);
    if (request && a->reason &&
        json_object_set_new(request, "reason", json_string(a->reason)) != 0) {
        json_decref(request);
        request = NULL;
    }
    if (control_once(a->confdir, request, reply, &e) != 0)
        return cli_fail("%s", e.text);
    return CLI_DONE;
}

static int user_enroll(int argc, char **argv)
{
    struct arguments a;
    json_t *reply;
    int status;
    if (parse(argc, argv, "user enroll", true, &a, &status) != 0 ||
        (status = act(&a, "user-enroll", &reply)) != 0)
        return status;
    const char *token = control_text(reply, "token", NULL);
    if (!token) {
        status = cli_fail("sallyportd gave no token");
    } else if (a.json) {
        cli_print_json(reply);
    } else {
        printf("Token for %s, good until %s, once:\n\n    %s\n\n"
               "Give it to them in person or by a way that only they read. They run `sallyport "
               "login` and\n"
               "type it where a code is asked for.\n",
               a.name, control_text(reply, "expires", "it expires"), token);
    }
    json_decref(reply);
    return status;
}

static int simple(int argc, char **argv, const char *verb, const char *control, const char *done)
{
    struct arguments a;
    json_t *reply;
    int status;
    if (parse(argc, argv, verb, true, &a, &status) != 0)
        return status;
    if (strcmp(verb, "user lock") == 0 && !a.reason)
        return cli_usage("user",
                         "expected --reason TEXT: it is recorded, and the operator is told");
    if ((status = act(&a, control, &reply)) != 0)
        return status;
    if (a.json)
        cli_print_json(reply);
    else
        printf("%s: %s\n", a.name, done);
    json_decref(reply);
    return CLI_DONE;
}

static int user_lock(int argc, char **argv)
{
    return simple(argc, argv, "user lock", "user-lock", "locked; live sessions are ended");
}

static int user_unlock(int argc, char **argv)
{
    return simple(argc, argv, "user unlock", "user-unlock", "not locked any more");
}

static int user_forget(int argc, char **argv)
{
    return simple(argc, argv, "user forget", "user-forget", "all remembered logins have ended");
}

static int user_list(int argc, char **argv)
{
    struct arguments a;
    struct err e = ERR_INIT;
    json_t *reply, *user;
    size_t i;
    int status;
    if (parse(argc, argv, "user list", false, &a, &status) != 0)
        return status;
    if (control_once(a.confdir, json_pack("{s:s}", "verb", "user-list"), &reply, &e) != 0)
        return cli_fail("%s", e.text);
    const json_t *users = json_object_get(reply, "users");
    if (a.json) {
        cli_print_json(users);
        json_decref(reply);
        return CLI_DONE;
    }
    printf("%-16s  %-24s  %-8s  %-8s  %-10s  %s\n", "OPERATOR", "NAME", "ENROLLED", "PASSWORD",
           "REMEMBERED", "LOCKED");
    json_array_foreach(users, i, user)
    {
        char remembered[32];
        snprintf(remembered, sizeof remembered, "%lld",
                 (long long)json_integer_value(json_object_get(user, "remembered")));
        cli_print_cell(control_text(user, "operator", "?"), 16);
        cli_print_cell(control_text(user, "name", ""), 24);
        cli_print_cell(json_is_true(json_object_get(user, "enrolled")) ? "yes" : "no", 8);
        cli_print_cell(json_is_true(json_object_get(user, "password")) ? "yes" : "no", 8);
        cli_print_cell(remembered, 10);
        cli_print_cell(control_text(user, "locked", "no"), 0);
        putchar('\n');
    }
    json_decref(reply);
    return CLI_DONE;
}

int cli_user(int argc, char **argv)
{
    static const struct cli_subcommand table[] = {
        {"add", user_add},
        {"enroll", user_enroll},
        {"list", user_list},
        {"lock", user_lock},
        {"unlock", user_unlock},
        {"forget", user_forget},
        {"password", cli_user_password},
        {NULL, NULL},
    };
    return cli_subcommand("user", help, table, argc, argv);
}
