/* SPDX-License-Identifier: Apache-2.0
 *
 * Fills in the texts of gateway/setup_clients.def (gateway/setup_clients.h). The device directory
 * is the operator's own; still each value is looked at before it is printed, since what is printed
 * is meant to be run. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/yaml_tree.h"
#include "gateway/cli.h"
#include "gateway/device.h"
#include "gateway/setup_clients.h"

#define FILE_MAX 65536

static const struct client {
    const char *name, *package, *title, *text;
} clients[] = {
#define CLIENT(name, package, title, text) {name, package, title, text},
#include "gateway/setup_clients.def"
#undef CLIENT
};

#define CLIENTS (sizeof clients / sizeof clients[0])

/* What the words in braces stand for. */
enum value {
    DIR_,
    PROGRAM,
    GATEWAY,
    HOST,
    PORT,
    IDENTITY,
    USER,
    TARGET,
    HOSTKEY,
    FINGERPRINT,
    VALUES
};

static const char *const words[VALUES] = {[DIR_] = "{DIR}",        [PROGRAM] = "{PROGRAM}",
                                          [GATEWAY] = "{GATEWAY}", [HOST] = "{HOST}",
                                          [PORT] = "{PORT}",       [IDENTITY] = "{IDENTITY}",
                                          [USER] = "{USER}",       [TARGET] = "{TARGET}",
                                          [HOSTKEY] = "{HOSTKEY}", [FINGERPRINT] = "{FINGERPRINT}"};

bool setup_plain(const char *text, const char *also)
{
    if (!*text)
        return false;
    for (; *text; text++)
        if (!((*text >= '0' && *text <= '9') || (*text >= 'a' && *text <= 'z') ||
              (*text >= 'A' && *text <= 'Z') || strchr(also, *text)))
            return false;
    return true;
}

char *setup_path(const char *path, const char *what, struct err *e)
{
    char cwd[PATH_MAX];
    if (path[0] != '/' && !getcwd(cwd, sizeof cwd)) {
        err_errno(e, "cannot tell the working directory");
        return NULL;
    }
    char *full = path[0] == '/' ? cli_printf("%s", path) : cli_printf("%s/%s", cwd, path);
    if (!setup_plain(full, "/._-+@ ")) {
        err_set(e, ERR_INPUT, "%s has characters that ssh_config cannot hold: %s", what, full);
        free(full);
        return NULL;
    }
    return full;
}

int setup_program(char out[PATH_MAX], struct err *e)
{
    ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 1);
    if (n <= 0)
        return err_errno(e, "cannot tell where this program is");
    out[n] = '\0';
    return setup_plain(out, "/._-+")
               ? 0
               : err_set(e, ERR_INPUT, "this program's path has unusual characters: %s", out);
}

static void fill(const char *text, char *const values[VALUES], FILE *out)
{
    while (*text) {
        size_t v = 0;
        while (v < VALUES && strncmp(text, words[v], strlen(words[v])) != 0)
            v++;
        if (v < VALUES) {
            fputs(values[v], out);
            text += strlen(words[v]);
        } else {
            putc(*text++, out);
        }
    }
}

static char *file_in(const char *dir, const char *name, struct err *e)
{
    char *path = cli_printf("%s/%s", dir, name), *text = NULL;
    struct buf file;
    if (cli_read_file(path, FILE_MAX, &file, e) == 0) {
        text = buf_string(&file);
        buf_clear(&file);
        if (!text)
            err_set(e, ERR_MEMORY, "no memory");
    }
    free(path);
    return text;
}

/* The value of a line `    KEYWORD VALUE` or `    KEYWORD "VALUE"` that `sallyport setup` wrote. */
static char *said_in(const char *config, const char *keyword)
{
    char *wanted = cli_printf("\n    %s ", keyword);
    const char *at = strstr(config, wanted);
    char *value = NULL;
    if (at) {
        at += strlen(wanted);
        const bool quoted = *at == '"';
        at += quoted;
        value = cli_printf("%.*s", (int)strcspn(at, quoted ? "\"\n" : "\n"), at);
    }
    free(wanted);
    return value;
}

/* The gateway's key of known_hosts, and its SHA-256 as OpenSSH prints it. */
static int read_host_key(const char *dir, const char *gateway, char *values[VALUES], struct err *e)
{
    char *text = file_in(dir, "known_hosts", e);
    if (!text)
        return e->code;
    const size_t name = strlen(gateway);
    uint8_t blob[3072], digest[32];
    char encoded[64];
    int len = -1;
    if (strncmp(text, gateway, name) == 0 && text[name] == ' ') {
        values[HOSTKEY] = cli_printf("%.*s", (int)strcspn(text + name + 1, "\n"), text + name + 1);
        const char *key = strchr(values[HOSTKEY], ' ');
        /* EVP_DecodeBlock leaves the padding in as zeros. */
        if (key && setup_plain(values[HOSTKEY], " +/=-@.") && strlen(++key) <= 4096)
            len = EVP_DecodeBlock(blob, (const uint8_t *)key, (int)strlen(key));
        for (size_t n = key ? strlen(key) : 0; len > 0 && n > 0 && key[n - 1] == '='; n--)
            len--;
    }
    free(text);
    if (len <= 0)
        return err_set(e, ERR_SYNTAX, "%s/known_hosts has no key of %s (run `sallyport setup`)",
                       dir, gateway);
    if (EVP_Digest(blob, (size_t)len, digest, NULL, EVP_sha256(), NULL) != 1)
        return err_set(e, ERR_CRYPTO, "SHA-256 failed");
    EVP_EncodeBlock((uint8_t *)encoded, digest, sizeof digest);
    values[FINGERPRINT] = cli_printf("%.43s", encoded);
    return 0;
}

static int read_gateway(const char *dir, char *values[VALUES], struct err *e)
{
    struct device d;
    int r = device_read(dir, &d, e);
    if (r == 0 &&
        (!setup_plain(d.host, ".-:") || !setup_plain(d.port, "") || !setup_plain(d.name, ".-")))
        r = err_set(e, ERR_SYNTAX, "%s/gateway.conf is damaged (run `sallyport setup`)", dir);
    if (r == 0) {
        values[HOST] = cli_printf(strchr(d.host, ':') ? "[%s]" : "%s", d.host);
        values[PORT] = cli_printf("%s", d.port);
        values[GATEWAY] = cli_printf("%s", d.name);
        r = read_host_key(dir, d.name, values, e);
    }
    device_clear(&d);
    return r;
}

/* What was asked for, else what the device's ssh_config says, else a default. */
static int choose_names(const struct setup_client *wanted, char *values[VALUES], struct err *e)
{
    char *config = file_in(values[DIR_], "ssh_config", e), *identity;
    const char *home = getenv("HOME");
    if (!config)
        return e->code;
    values[USER] = wanted->user ? cli_printf("%s", wanted->user) : said_in(config, "User");
    if (!values[USER])
        values[USER] = cli_printf("root");
    identity =
        wanted->identity ? cli_printf("%s", wanted->identity) : said_in(config, "IdentityFile");
    free(config);
    if (!identity && !(home && home[0] == '/'))
        return err_set(e, ERR_NOT_FOUND, "HOME does not say where your key is; use --identity");
    if (!identity)
        identity = cli_printf("%s/.ssh/id_ed25519", home);
    values[IDENTITY] = setup_path(identity, "the identity", e);
    free(identity);
    if (!values[IDENTITY])
        return e->code;
    values[TARGET] = cli_printf("%s", wanted->target ? wanted->target : "hv1");
    if (!setup_plain(values[USER], "._-@+") || values[USER][0] == '-')
        return err_set(e, ERR_USAGE, "the account is not a name");
    if (!setup_plain(values[TARGET], "._-") || values[TARGET][0] == '-')
        return err_set(e, ERR_USAGE, "--target is not a name");
    return 0;
}

static const struct client *client_named(const char *name, struct err *e)
{
    const char *names[CLIENTS + 1] = {0};
    for (size_t i = 0; i < CLIENTS; i++) {
        names[i] = clients[i].name;
        if (strcmp(clients[i].name, name) == 0)
            return &clients[i];
    }
    const char *nearest = nearest_word(name, names);
    char shown[128];
    escape_text(shown, sizeof shown, name, strlen(name));
    if (nearest)
        err_set(e, ERR_USAGE, "no client \"%s\" is known (did you mean \"%s\"?)", shown, nearest);
    else
        err_set(e, ERR_USAGE, "no client \"%s\" is known; `--for list` lists them", shown);
    return NULL;
}

int setup_client_print(const struct setup_client *wanted, struct err *e)
{
    if (strcmp(wanted->client, "list") == 0) {
        for (size_t i = 0; i < CLIENTS; i++)
            printf("%-10s %s\n", clients[i].name, clients[i].title);
        return 0;
    }
    const struct client *c = client_named(wanted->client, e);
    if (!c)
        return e->code;
    char *values[VALUES] = {0}, program[PATH_MAX], *dir = device_choose(wanted->dir, e);
    int r = dir && (values[DIR_] = setup_path(dir, "the directory", e)) ? 0 : e->code;
    if (r == 0)
        r = setup_program(program, e);
    if (r == 0) {
        values[PROGRAM] = cli_printf("%s", program);
        r = read_gateway(values[DIR_], values, e);
    }
    if (r == 0)
        r = choose_names(wanted, values, e);
    if (r == 0) {
        printf("# %s (Debian package %s)\n", c->title, c->package);
        fill(c->text, values, stdout);
    }
    free(dir);
    for (size_t i = 0; i < VALUES; i++)
        free(values[i]);
    return r;
}
