/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport target ...`: the hypervisors. `add` scans a host key, has a person compare its
 * fingerprint, and pins it in targets.yaml; nobody is asked again afterwards. The vault's key for
 * the account is made by authd; only its public half comes here. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/cli_admin.h"
#include "auth/control_client.h"
#include "auth/host_scan.h"
#include "auth/yaml_edit.h"
#include "gateway/cli.h"

#define LABELS_MAX   32
#define ACCOUNTS_MAX 16

static const char help[] =
    "usage: sallyport target add NAME ADDRESS[:PORT] [--account ACCOUNT]... [--label "
    "KEY=VALUE]...\n"
    "                            [--fingerprint SHA256:...]\n"
    "       sallyport target key NAME ACCOUNT [--json]\n"
    "       sallyport target list [--json]\n\n"
    "  add    shows the host key that ADDRESS has and, when you have compared its fingerprint with "
    "what\n"
    "         `ssh-keygen -lf` says on the hypervisor, pins it in targets.yaml. Prints the line "
    "that\n"
    "         lets the gateway in, for each account's authorized_keys (default: root). Where "
    "approvers\n"
    "         are set, prints the entry to be committed and writes nothing\n"
    "  key    prints that line again, or makes the key for another account\n"
    "  list   the inventory\n\n"
    "  --fingerprint F  do not ask: the key must have this fingerprint\n"
    "  -c DIR           the configuration directory (default: " SALLYPORT_CONFDIR ")\n"
    "  --json           print JSON\n";

struct arguments {
    const char *confdir, *fingerprint;
    const char *labels[LABELS_MAX], *accounts[ACCOUNTS_MAX];
    size_t label_count, account_count;
    bool json;
    const char *words[2];
};

static int parse(int argc, char **argv, int words, struct arguments *a, int *status)
{
    static const struct option options[] = {
        {"fingerprint", required_argument, NULL, 'f'}, {"label", required_argument, NULL, 'l'},
        {"account", required_argument, NULL, 'a'},     {"json", no_argument, NULL, 'j'},
        {"config", required_argument, NULL, 'c'},      {0}};
    memset(a, 0, sizeof *a);
    optind = 1;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":c:", options, NULL)) != -1;) {
        if (c == 'f') {
            a->fingerprint = optarg;
        } else if (c == 'l' && a->label_count < LABELS_MAX) {
            a->labels[a->label_count++] = optarg;
        } else if (c == 'a' && a->account_count < ACCOUNTS_MAX) {
            a->accounts[a->account_count++] = optarg;
        } else if (c == 'j') {
            a->json = true;
        } else if (c == 'c') {
            a->confdir = optarg;
        } else {
            *status = c == 'l' || c == 'a' ? cli_usage("target", "too many labels or accounts")
                                           : cli_bad_option("target", c, argv);
            return -1;
        }
    }
    a->confdir = cli_confdir(a->confdir);
    if (argc - optind != words) {
        *status = cli_usage("target", "expected %d words, found %d", words, argc - optind);
        return -1;
    }
    for (int i = 0; i < words; i++)
        a->words[i] = argv[optind + i];
    return 0;
}

/* "10.0.0.1", "10.0.0.1:2222", "[fe80::1]:22", "host". host is the caller's buffer. */
static int split_address(const char *text, char host[256], unsigned *port, struct err *e)
{
    const char *colon = strrchr(text, ':');
    *port = 22;
    if (text[0] == '[') {
        const char *close = strchr(text, ']');
        if (!close || (close[1] && close[1] != ':') || close - text > 255)
            return err_set(e, ERR_SYNTAX, "\"%s\" is not [ADDRESS]:PORT", text);
        snprintf(host, 256, "%.*s", (int)(close - text - 1), text + 1);
        colon = close[1] ? close + 1 : NULL;
    } else if (colon && strchr(text, ':') == colon) {
        snprintf(host, 256, "%.*s", (int)(colon - text), text);
    } else {
        snprintf(host, 256, "%s", text); /* a name, an address, or IPv6 without a port */
        colon = NULL;
    }
    if (colon) {
        char *end;
        long value = strtol(colon + 1, &end, 10);
        if (*end || end == colon + 1 || value < 1 || value > 65535)
            return err_set(e, ERR_SYNTAX, "\"%s\" is not a port", colon + 1);
        *port = (unsigned)value;
    }
    return host[0] ? 0 : err_set(e, ERR_SYNTAX, "expected an address");
}

static int confirm(const struct arguments *a, const struct host_scan *scan, unsigned port,
                   struct err *e)
{
    char answer[128];
    if (a->fingerprint) {
        if (strcmp(a->fingerprint, scan->fingerprint) == 0)
            return 0;
        return err_set(e, ERR_TAMPERED, "%s port %u shows the key %s, not %s: nothing was added",
                       scan->address, port, scan->fingerprint, a->fingerprint);
    }
    printf("%s port %u shows this host key:\n\n    %s\n    %s\n\n"
           "Compare it with what the hypervisor itself says:\n\n"
           "    ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub\n\n",
           scan->address, port, scan->fingerprint, scan->key);
    int r = cli_ask("Is it the same (yes, or the fingerprint)? ", false, answer, sizeof answer, e);
    if (r != 0)
        return err_wrap(e, "give --fingerprint %s when you have compared it", scan->fingerprint);
    if (strcmp(answer, "yes") == 0 || strcmp(answer, scan->fingerprint) == 0)
        return 0;
    return err_set(e, ERR_DENIED, "not confirmed: nothing was added");
}

static int make_entry(const struct arguments *a, const struct host_scan *scan, unsigned port,
                      struct buf *out, struct err *e)
{
    int r =
        buf_printf(out, "%s:\n  address: \"%s\"\n  port: %u\n", a->words[0], scan->address, port);
    for (size_t i = 0; r == 0 && i < a->label_count; i++) {
        const char *equals = strchr(a->labels[i], '=');
        if (!equals || equals == a->labels[i])
            return err_set(e, ERR_SYNTAX, "found --label %s, expected KEY=VALUE", a->labels[i]);
        r = buf_printf(out, "%s%.*s: ", i ? ", " : "  labels: {", (int)(equals - a->labels[i]),
                       a->labels[i]);
        if (r == 0)
            r = yaml_edit_quote(equals + 1, out, e);
        if (r == 0 && i + 1 == a->label_count)
            r = buf_printf(out, "}\n");
    }
    return r == 0 ? buf_printf(out, "  host-keys: [\"%s\"]\n", scan->key) : r;
}

static int print_key(const char *confdir, const char *target, const char *account, bool json)
{
    struct err e = ERR_INIT;
    json_t *reply;
    if (control_once(confdir,
                     json_pack("{s:s, s:s, s:s}", "verb", "target-key", "target", target, "account",
                               account),
                     &reply, &e) != 0)
        return cli_fail("%s", e.text);
    if (json)
        cli_print_json(reply);
    else
        printf("%s\n", control_text(reply, "line", control_text(reply, "public_key", "")));
    json_decref(reply);
    return CLI_DONE;
}

static int target_add(int argc, char **argv)
{
    struct arguments a;
    struct err e = ERR_INIT;
    struct host_scan scan;
    struct buf entry;
    char host[256], *text = NULL;
    unsigned port;
    bool running = false;
    int status;
    if (parse(argc, argv, 2, &a, &status) != 0)
        return status;
    buf_init(&entry, 65536);
    int r = split_address(a.words[1], host, &port, &e);
    if (r == 0)
        r = host_scan(host, port, &scan, &e);
    if (r == 0)
        r = confirm(&a, &scan, port, &e);
    if (r == 0)
        r = make_entry(&a, &scan, port, &entry, &e);
    int approval = r == 0 ? cli_wants_approval(a.confdir, &e) : 0;
    if (approval < 0)
        r = approval;
    if (r == 0 && approval == 1 && (text = buf_string(&entry))) {
        cli_print_entry("targets.yaml", "targets", text);
        printf("When it is in force, `sallyport target key %s root` makes the key that lets the "
               "gateway in.\n",
               a.words[0]);
        free(text);
        buf_clear(&entry);
        return CLI_DONE;
    }
    if (r == 0)
        r = (text = buf_string(&entry)) ? cli_add_entry(a.confdir, "targets.yaml", "targets",
                                                        a.words[0], text, &running, &e)
                                        : err_set(&e, ERR_MEMORY, "no memory");
    buf_clear(&entry);
    if (r != 0) {
        free(text);
        return cli_fail("%s", e.code ? e.text : "the entry is too long");
    }
    printf("Added to %s/targets.yaml:\n\n%s\n", a.confdir, text);
    free(text);
    if (!running) {
        printf("sallyportd does not run; when it does, `sallyport target key %s root` makes the "
               "key that lets it in.\n",
               a.words[0]);
        return CLI_DONE;
    }
    if (a.account_count == 0)
        a.accounts[a.account_count++] = "root";
    status = CLI_DONE;
    for (size_t i = 0; i < a.account_count && status == CLI_DONE; i++) {
        printf("Put this line into ~%s/.ssh/authorized_keys on it:\n\n", a.accounts[i]);
        status = print_key(a.confdir, a.words[0], a.accounts[i], false);
        putchar('\n');
    }
    return status;
}

static int target_key(int argc, char **argv)
{
    struct arguments a;
    int status;
    if (parse(argc, argv, 2, &a, &status) != 0)
        return status;
    return print_key(a.confdir, a.words[0], a.words[1], a.json);
}

static int target_list(int argc, char **argv)
{
    struct arguments a;
    struct err e = ERR_INIT;
    json_t *reply, *target;
    size_t i;
    int status;
    if (parse(argc, argv, 0, &a, &status) != 0)
        return status;
    if (control_once(a.confdir, json_pack("{s:s}", "verb", "target-list"), &reply, &e) != 0)
        return cli_fail("%s", e.text);
    const json_t *targets = json_object_get(reply, "targets");
    if (a.json) {
        cli_print_json(targets);
        json_decref(reply);
        return CLI_DONE;
    }
    printf("%-24s  %-28s  %s\n", "TARGET", "ADDRESS", "HOST KEYS");
    json_array_foreach(targets, i, target)
    {
        char where[128], keys[32];
        const json_t *pinned = json_object_get(target, "host_keys");
        snprintf(where, sizeof where, "%s port %lld", control_text(target, "address", "?"),
                 (long long)json_integer_value(json_object_get(target, "port")));
        snprintf(keys, sizeof keys, "%lld",
                 json_is_array(pinned) ? (long long)json_array_size(pinned)
                                       : (long long)json_integer_value(pinned));
        cli_print_cell(control_text(target, "target", control_text(target, "name", "?")), 24);
        cli_print_cell(where, 28);
        cli_print_cell(strcmp(keys, "0") == 0 ? "none: no connection is made" : keys, 0);
        putchar('\n');
    }
    json_decref(reply);
    return CLI_DONE;
}

int cli_target(int argc, char **argv)
{
    static const struct cli_subcommand table[] = {
        {"add", target_add}, {"key", target_key}, {"list", target_list}, {NULL, NULL}};
    return cli_subcommand("target", help, table, argc, argv);
}
