/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport user password`: an operator's password. It is hashed here, in the administrator's own
 * process, so that nothing but the hash crosses the control socket. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "auth/cli_admin.h"
#include "auth/control_client.h"
#include "auth/password.h"
#include "base/secret.h"
#include "gateway/cli.h"

/* With room to see that there is more than is permitted. */
#define INPUT_MAX (PASSWORD_MAX + 2)

struct arguments {
    const char *confdir, *name;
    bool remove, json;
};

static int parse(int argc, char **argv, struct arguments *a, int *status)
{
    static const struct option options[] = {{"remove", no_argument, NULL, 'r'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"config", required_argument, NULL, 'c'},
                                            {0}};
    memset(a, 0, sizeof *a);
    optind = 1;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":c:", options, NULL)) != -1;) {
        if (c == 'r') {
            a->remove = true;
        } else if (c == 'j') {
            a->json = true;
        } else if (c == 'c') {
            a->confdir = optarg;
        } else {
            *status = cli_bad_option("user", c, argv);
            return -1;
        }
    }
    a->confdir = cli_confdir(a->confdir);
    if (optind < argc)
        a->name = argv[optind++];
    if (!a->name)
        *status = cli_usage("user", "expected the operator's name");
    else if (optind != argc)
        *status = cli_usage("user", "found \"%s\", expected no more words", argv[optind]);
    else
        return 0;
    return -1;
}

/* The first line of stdin. */
static int read_stdin(char *out, size_t *len, struct err *e)
{
    *len = 0;
    while (*len < INPUT_MAX) {
        ssize_t n = read(STDIN_FILENO, out + *len, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(e, "reading the password from stdin");
        if (n == 0 || out[*len] == '\n')
            break;
        (*len)++;
    }
    if (*len > 0 && out[*len - 1] == '\r')
        (*len)--;
    return 0;
}

static int ask_twice(const char *name, char *out, size_t *len, struct err *e)
{
    char again[INPUT_MAX + 1], prompt[160];

    snprintf(prompt, sizeof prompt, "New password of %.64s: ", name);
    int r = cli_ask(prompt, true, out, INPUT_MAX, e);
    *len = strlen(out);
    /* The second question only when the first answer will do. */
    if (r == 0)
        r = password_acceptable(out, *len, e);
    if (r == 0)
        r = cli_ask("The same again: ", true, again, sizeof again, e);
    if (r == 0 && strcmp(out, again) != 0)
        r = err_set(e, ERR_INPUT, "the two are not the same; nothing is changed");
    wipe(again, sizeof again);
    return r;
}

static int hash_it(const char *name, char hash[PASSWORD_HASH + 1], struct err *e)
{
    struct secret *password = secret_new(INPUT_MAX + 1);
    char setting[PASSWORD_SETTING + 1];
    size_t len = 0;

    if (!password)
        return err_set(e, ERR_MEMORY, "no locked memory for a password");
    char *text = (char *)secret_bytes(password);
    int r = isatty(STDIN_FILENO) ? ask_twice(name, text, &len, e) : read_stdin(text, &len, e);
    if (r == 0)
        r = password_acceptable(text, len, e);
    text[len] = '\0';
    if (r == 0)
        r = password_setting(setting, e);
    if (r == 0)
        r = password_hash(text, setting, hash, e);
    secret_free(password);
    return r;
}

int cli_user_password(int argc, char **argv)
{
    struct arguments a;
    struct err e = ERR_INIT;
    char hash[PASSWORD_HASH + 1] = "";
    json_t *reply = NULL;
    int status;

    if (parse(argc, argv, &a, &status) != 0)
        return status;
    int r = a.remove ? 0 : secret_process_protect(&e);
    if (r == 0 && !a.remove)
        r = hash_it(a.name, hash, &e);
    if (r == 0)
        r = control_once(
            a.confdir,
            a.remove ? json_pack("{s:s, s:s}", "verb", "user-password-remove", "operator", a.name)
                     : json_pack("{s:s, s:s, s:s}", "verb", "user-password", "operator", a.name,
                                 "hash", hash),
            &reply, &e);
    wipe(hash, sizeof hash);
    if (r != 0)
        return cli_fail("%s", e.text);
    if (a.json) {
        cli_print_json(reply);
    } else {
        printf("%s: the password is %s; sessions ended: %lld, remembered logins ended: %lld\n",
               a.name, a.remove ? "removed" : "set",
               (long long)json_integer_value(json_object_get(reply, "sessions")),
               (long long)json_integer_value(json_object_get(reply, "certificates")));
        if (!a.remove)
            printf("It counts where a role says `factors: [password, totp]` or `[key, password, "
                   "totp]`. With it\nthe user name is %s+ACCOUNT, as in `ssh %s+root@TARGET`.\n",
                   a.name, a.name);
    }
    json_decref(reply);
    return CLI_DONE;
}
