/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport setup SETUPFILE`: prepares an operator's device for a gateway. The setup file is what
 * `sallyport init` wrote to STATE/public/gateway.setup; it holds no secret, but it decides whom
 * this device trusts, so it should come from the administrator by a way that nobody else can write
 * to. */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/cli.h"
#include "gateway/device.h"
#include "gateway/setup_clients.h"

#define SETUP_MAX 65536

static const char help[] =
    "usage: sallyport setup SETUPFILE [OPTION]...\n"
    "       sallyport setup --for CLIENT [OPTION]...\n\n"
    "Prepares this device for a gateway, from the file that its administrator gave you\n"
    "(STATE/public/gateway.setup on the gateway). Run again, it brings the files up to date and "
    "keeps\n"
    "the device's own key.\n\n"
    "  --hosts PATTERN   the hosts to reach through the gateway, as in ssh_config (default: none "
    "but the\n"
    "                    gateway itself; e.g. \"hv* *.virt.example\")\n"
    "  --user ACCOUNT    the account on them (default: what you say, as ever). With a password "
    "instead of\n"
    "                    a key: OPERATOR+ACCOUNT, your name on the gateway before it\n"
    "  --identity FILE   the SSH key to show to the gateway (default: ssh's own)\n"
    "  --dir DIR         where to put it (default: ~/.config/sallyport/GATEWAY)\n\n"
    "With --for it changes nothing, and prints what another client needs to go through the "
    "gateway\n"
    "of this device: PuTTY, sshfs, rsync, Ansible and others. docs/CLIENTS.md says how each "
    "does.\n\n"
    "  --for CLIENT      which one; `--for list` lists them\n"
    "  --target HOST     the host in its examples (default: hv1)\n"
    "  --user, --identity (default: as set up) and --dir are taken, too.\n";

struct setup {
    char name[256], host[256], port[8], host_key[1024];
    char *ca; /* points into the file's text */
};

static void take(char *out, size_t cap, const char *value)
{
    if (strlen(value) < cap)
        strcpy(out, value);
}

/* key=value lines, then the CA certificate in PEM. text is changed. */
static int parse_setup(const char *path, char *text, struct setup *s, struct err *e)
{
    memset(s, 0, sizeof *s);
    s->ca = strstr(text, "-----BEGIN CERTIFICATE-----");
    if (!s->ca || !strstr(s->ca, "-----END CERTIFICATE-----"))
        return err_set(e, ERR_SYNTAX, "%s is not a setup file: it has no certificate", path);
    char *rest = text;
    for (char *line; rest < s->ca && (line = strsep(&rest, "\n")) && line < s->ca;) {
        char *value = strchr(line, '=');
        if (line[0] == '#' || line[0] == '\0' || line[0] == '-')
            continue;
        if (!value)
            return err_set(e, ERR_SYNTAX,
                           "%s is not a setup file: found \"%.60s\", expected key=value", path,
                           line);
        *value++ = '\0';
        if (strcmp(line, "name") == 0)
            take(s->name, sizeof s->name, value);
        else if (strcmp(line, "host") == 0)
            take(s->host, sizeof s->host, value);
        else if (strcmp(line, "port") == 0)
            take(s->port, sizeof s->port, value);
        else if (strcmp(line, "ssh-host-key") == 0)
            take(s->host_key, sizeof s->host_key, value);
    }
    /* They go into files that ssh parses: nothing but what names are made of. */
    if (!setup_plain(s->name, ".-") || s->name[0] == '.' || s->name[0] == '-')
        return err_set(e, ERR_SYNTAX, "%s: name= is missing or not a host name", path);
    if (!setup_plain(s->host, ".-:"))
        return err_set(e, ERR_SYNTAX, "%s: host= is missing or not a host name or address", path);
    long port = strtol(s->port, NULL, 10);
    if (!setup_plain(s->port, "") || port < 1 || port > 65535)
        return err_set(e, ERR_SYNTAX, "%s: port= is missing or not a port", path);
    char *comment =
        strchr(s->host_key + strcspn(s->host_key, " ") + (strchr(s->host_key, ' ') != NULL), ' ');
    if (comment)
        *comment = '\0';
    if (strncmp(s->host_key, "ssh-", 4) != 0 || !setup_plain(s->host_key, "+/= -"))
        return err_set(e, ERR_SYNTAX, "%s: ssh-host-key= is missing or not a key", path);
    return 0;
}

static int write_beside(const char *dir, const char *name, const char *text, struct err *e)
{
    char *path = cli_printf("%s/%s", dir, name);
    int r = cli_replace_file(path, text, strlen(text), 0644, e);
    free(path);
    return r;
}

static char *ssh_config(const struct setup *s, const char *dir, const char *program,
                        const char *hosts, const char *user, const char *identity)
{
    char *user_line = user ? cli_printf("    User %s\n", user) : cli_printf("%s", "");
    char *identity_line =
        identity ? cli_printf("    IdentityFile \"%s\"\n", identity) : cli_printf("%s", "");
    char *text = cli_printf(
        "# Written by `sallyport setup`; run it again rather than editing this.\n"
        "Host gateway%s%s\n"
        "%s%s"
        "    ProxyCommand %s connect --dir \"%s\" %%h:%%p\n"
        "    # Every host shows the gateway's key: it ends the connection and opens its own.\n"
        "    HostKeyAlias %s\n"
        "    UserKnownHostsFile \"%s/known_hosts\"\n"
        "    GlobalKnownHostsFile /dev/null\n"
        "    StrictHostKeyChecking yes\n"
        "    CheckHostIP no\n"
        "    IdentitiesOnly yes\n"
        "    ForwardAgent no\n"
        "    # Several times faster here than the AES-CTR with HMAC that ssh would take first.\n"
        "    Ciphers ^aes256-gcm@openssh.com,aes128-gcm@openssh.com\n"
        "    PreferredAuthentications publickey,keyboard-interactive\n",
        hosts ? " " : "", hosts ? hosts : "", user_line, identity_line, program, dir, s->name, dir);
    free(user_line);
    free(identity_line);
    return text;
}

static int write_device(const struct setup *s, const char *dir, const char *hosts, const char *user,
                        const char *identity, struct err *e)
{
    char program[PATH_MAX];
    int r = setup_program(program, e);
    if (r == 0)
        r = cli_make_dirs(dir, 0700, e);
    char *conf = cli_printf("host=%s\nport=%s\nname=%s\n", s->host, s->port, s->name);
    char *known = cli_printf("%s %s\n", s->name, s->host_key);
    char *config = ssh_config(s, dir, program, hosts, user, identity);
    if (r == 0)
        r = write_beside(dir, "ca.pem", s->ca, e);
    if (r == 0)
        r = write_beside(dir, "known_hosts", known, e);
    if (r == 0)
        r = write_beside(dir, "ssh_config", config, e);
    if (r == 0)
        r = write_beside(dir, "gateway.conf", conf, e);
    free(conf);
    free(known);
    free(config);
    return r;
}

static void tell_next(const struct setup *s, const char *dir, const char *hosts)
{
    printf("This device is set up for %s (%s:%s).\n\n"
           "1. Put this line at the top of ~/.ssh/config:\n\n       Include \"%s/ssh_config\"\n\n"
           "2. Log in once:\n\n       sallyport login\n\n"
           "   It asks for a code of your authenticator; the first time, for the enrolment token "
           "that\n"
           "   your administrator gave you. With a password instead of a key: `sallyport login\n"
           "   --operator NAME`, and `ssh NAME+ACCOUNT@HOST` afterwards.\n\n",
           s->name, s->host, s->port, dir);
    if (hosts)
        printf("Then ssh reaches these hosts through the gateway: %s\n", hosts);
    else
        puts("So far ssh reaches only the gateway itself by it: say which hosts are behind it with "
             "--hosts,\nfor example: sallyport setup FILE --hosts 'hv* *.virt.example'");
}

static int tell_client(const char *client, const char *dir, const char *identity, const char *user,
                       const char *target)
{
    const struct setup_client wanted = {client, dir, identity, user, target};
    struct err e = ERR_INIT;
    int r = setup_client_print(&wanted, &e);
    if (r == ERR_USAGE)
        return cli_usage("setup", "%s", e.text);
    return r == 0 ? CLI_DONE : cli_fail("%s", e.text);
}

int cli_setup(int argc, char **argv)
{
    static const struct option options[] = {
        {"hosts", required_argument, NULL, 'H'},    {"user", required_argument, NULL, 'u'},
        {"identity", required_argument, NULL, 'i'}, {"dir", required_argument, NULL, 'd'},
        {"for", required_argument, NULL, 'f'},      {"target", required_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},           {0}};
    const char *hosts = NULL, *user = NULL, *identity = NULL, *given = NULL, *target = NULL,
               *client = NULL;
    struct err e = ERR_INIT;
    optind = 1;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":hi:d:u:", options, NULL)) != -1;) {
        switch (c) {
        case 'H':
            hosts = optarg;
            break;
        case 'u':
            user = optarg;
            break;
        case 'i':
            identity = optarg;
            break;
        case 'd':
            given = optarg;
            break;
        case 'f':
            client = optarg;
            break;
        case 't':
            target = optarg;
            break;
        case 'h':
            fputs(help, stdout);
            return CLI_DONE;
        default:
            return cli_bad_option("setup", c, argv);
        }
    }
    if (client)
        return optind == argc && !hosts
                   ? tell_client(client, given, identity, user, target)
                   : cli_usage("setup", "--for goes with --dir, --identity, --user and --target");
    if (optind + 1 != argc || target)
        return cli_usage("setup", target ? "--target goes with --for" : "expected one setup file");
    if (hosts && !setup_plain(hosts, " .-*?!:_"))
        return cli_usage("setup", "--hosts has characters that ssh_config cannot hold");
    if (user && !setup_plain(user, "._-@+"))
        return cli_usage("setup", "--user is not an account name");

    struct buf file;
    struct setup s;
    char *text = NULL, *base = NULL, *dir = NULL, *key = NULL;
    int r = cli_read_file(argv[optind], SETUP_MAX, &file, &e);
    if (r == 0) {
        text = buf_string(&file);
        buf_clear(&file);
        r = text ? parse_setup(argv[optind], text, &s, &e) : err_set(&e, ERR_MEMORY, "no memory");
    }
    if (r == 0 && !given && !(base = device_base(&e)))
        r = e.code;
    if (r == 0) {
        char *wanted = given ? cli_printf("%s", given) : cli_printf("%s/%s", base, s.name);
        if (!(dir = setup_path(wanted, "the directory", &e)))
            r = e.code;
        free(wanted);
    }
    if (r == 0 && identity && !(key = setup_path(identity, "--identity", &e)))
        r = e.code;
    if (r == 0)
        r = write_device(&s, dir, hosts, user, key, &e);
    if (r == 0)
        tell_next(&s, dir, hosts);
    free(text);
    free(base);
    free(dir);
    free(key);
    return r == 0 ? CLI_DONE : cli_fail("%s", e.text);
}
