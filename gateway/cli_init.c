/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport init`: the first run on a new gateway, by root. Makes the directories, keys,
 * authorities and the trail, and a configuration to begin with; refuses where any of that is there
 * already, because a second trail or a second host key over a first one loses what the first one
 * proved. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/age.h"
#include "audit/trail_create.h"
#include "gateway/cli.h"
#include "gateway/init_examples.h"
#include "gateway/init_keys.h"
#include "gateway/init_packs.h"
#include "gateway/init_users.h"

enum {
    USER_LISTENER,
    USER_FRONTEND,
    USER_BACKEND,
    USER_AUTHD,
    USER_AUDITD,
    USER_READER,
    USER_COURIER,
    USER_FIREWALL,
    USERS
};
static const char *const user_names[USERS] = {"listener", "frontend", "backend", "authd",
                                              "auditd",   "reader",   "courier", "firewall"};

static const char help[] =
    "usage: sallyport init --gateway NAME [OPTION]...\n\n"
    "Makes a new gateway: keys, certificate authorities, the trail, an example configuration, and "
    "the\n"
    "setup file for operators. Run once, by root; it overwrites nothing.\n\n"
    "  --gateway NAME       the name operators reach it by; its certificate has it (required)\n"
    "  --listen ADDR:PORT   where it listens (default: 0.0.0.0:443)\n"
    "  --reach HOST:PORT    what operators connect to, if not NAME and the port it listens on\n"
    "  --admin UID          the first administrator: a local uid or user (default: 0)\n"
    "  -c CONFDIR           configuration (default: " SALLYPORT_CONFDIR ")\n"
    "  --state DIR          state (default: " SALLYPORT_STATEDIR ")\n"
    "  --runtime DIR        the control socket's directory (default: /run/sallyport)\n"
    "  --packs DIR          rule packs to copy into CONFDIR/packs (default: " SALLYPORT_DATADIR
    "/packs)\n"
    "  --users BASE         run the programs under the uids BASE to BASE+7, without names; the "
    "default is\n"
    "                       system users sallyport-listener, -frontend, ..., which are made if "
    "missing\n";

struct init {
    const char *confdir, *state, *runtime, *gateway, *listen, *admin, *reach, *packs;
    unsigned packs_copied;
    char *users[USERS];
    uid_t uid[USERS];
    gid_t gid[USERS];
    char host[256], port[8];
    struct trail_created trail;
    char recipient[AGE_RECIPIENT_TEXT]; /* the first reviewer's */
};

/* A new directory, or an empty place within one: never something that is there. */
static int make_dir(const char *parent, const char *name, mode_t mode, uid_t uid, gid_t gid,
                    struct err *e)
{
    char *path = cli_printf("%s/%s", parent, name);
    int r = 0;
    if (mkdir(path, 0700) != 0 || chown(path, uid, gid) != 0 || chmod(path, mode) != 0)
        r = err_errno(e, "cannot make %s", path);
    free(path);
    return r;
}

static int refuse_existing(const struct init *in, struct err *e)
{
    static const char *const names[] = {"keys", "auth", "trail", "empty", "public"};
    char *path = cli_printf("%s/sallyport.yaml", in->confdir);
    int r = 0;
    if (access(path, F_OK) == 0)
        r = err_set(e, ERR_INPUT,
                    "%s is there already: this gateway was made before, and nothing was changed",
                    path);
    free(path);
    for (size_t i = 0; r == 0 && i < sizeof names / sizeof names[0]; i++) {
        path = cli_printf("%s/%s", in->state, names[i]);
        if (access(path, F_OK) == 0)
            r = err_set(
                e, ERR_INPUT,
                "%s is there already: this gateway was made before, and nothing was changed", path);
        free(path);
    }
    return r;
}

static int make_directories(const struct init *in, struct err *e)
{
    int r = cli_make_dirs(in->confdir, 0755, e);
    char *roles = cli_printf("%s/roles.d", in->confdir);
    if (r == 0)
        r = cli_make_dirs(roles, 0755, e);
    free(roles);
    if (r == 0)
        r = cli_make_dirs(in->state, 0755, e);
    if (r == 0)
        r = make_dir(in->state, "keys", 0700, 0, 0, e);
    if (r == 0)
        r = make_dir(in->state, "auth", 0700, in->uid[USER_AUTHD], in->gid[USER_AUTHD], e);
    if (r == 0)
        r = make_dir(in->state, "trail", TRAIL_MODE, in->uid[USER_AUDITD], in->gid[USER_READER], e);
    if (r == 0)
        r = make_dir(in->state, "empty", 0755, 0, 0, e);
    return r == 0 ? make_dir(in->state, "public", 0755, 0, 0, e) : r;
}

static int make_keys(struct init *in, struct err *e)
{
    char *keys = cli_printf("%s/keys", in->state);
    char *gateway_ca = cli_printf("Sallyport gateway CA of %s", in->gateway);
    char *operator_ca = cli_printf("Sallyport operator CA of %s", in->gateway);
    char *address = cli_printf("%.*s", (int)(strrchr(in->listen, ':') - in->listen), in->listen);
    const char *more[3] = {NULL, NULL, NULL};
    size_t n = 0;
    char *bare = address; /* "[::1]" without its brackets */
    if (bare[0] == '[') {
        bare++;
        bare[strcspn(bare, "]")] = '\0';
    }
    if (strcmp(in->host, in->gateway) != 0)
        more[n++] = in->host;
    if (strcmp(bare, "0.0.0.0") != 0 && strcmp(bare, "::") != 0 && strcmp(bare, in->host) != 0 &&
        strcmp(bare, in->gateway) != 0)
        more[n++] = bare;
    int r = init_authority(keys, "gateway-ca", gateway_ca, e);
    if (r == 0)
        r = init_authority(keys, "operator-ca", operator_ca, e);
    if (r == 0)
        r = init_tls(keys, in->gateway, more, e);
    if (r == 0)
        r = init_host_key(keys, in->gateway, e);
    if (r == 0)
        r = init_store_key(keys, e);
    free(keys);
    free(gateway_ca);
    free(operator_ca);
    free(address);
    return r;
}

static int copy_file(const char *dir, const char *from, const char *name, struct buf *out,
                     struct err *e)
{
    char *path = cli_printf("%s/%s/%s", dir, from, name);
    int r = cli_read_file(path, 65536, out, e);
    free(path);
    return r;
}

/* STATE/public: what operators and verifiers may have. */
static int make_public(const struct init *in, struct err *e)
{
    struct buf ca, host_key;
    char *text = NULL, *ca_path = cli_printf("%s/public/ca.pem", in->state);
    char *setup_path = cli_printf("%s/public/gateway.setup", in->state);
    buf_init(&host_key, 1);
    int r = copy_file(in->state, "keys", "gateway-ca.pem", &ca, e);
    if (r == 0 &&
        (r = copy_file(in->state, "keys", "ssh_host_ed25519_key.pub", &host_key, e)) == 0) {
        text = cli_printf("# Sallyport: for `sallyport setup FILE` on an operator's device. No "
                          "secret, but it decides\n"
                          "# whom the device trusts: give it to operators by a way that nobody "
                          "else can write to.\n"
                          "name=%s\nhost=%s\nport=%s\nssh-host-key=%.*s%.*s",
                          in->gateway, in->host, in->port, (int)buf_len(&host_key),
                          (const char *)buf_head(&host_key), (int)buf_len(&ca),
                          (const char *)buf_head(&ca));
        r = cli_create_file(setup_path, text, strlen(text), 0644, e);
    }
    if (r == 0)
        r = cli_create_file(ca_path, buf_head(&ca), buf_len(&ca), 0644, e);
    buf_clear(&ca);
    buf_clear(&host_key);
    free(text);
    free(ca_path);
    free(setup_path);
    return r;
}

static int write_config(const struct init *in, const char *name, const char *text, struct err *e)
{
    char *path = cli_printf("%s/%s", in->confdir, name);
    int r = access(path, F_OK) == 0 ? 0 : cli_create_file(path, text, strlen(text), 0644, e);
    free(path);
    return r;
}

static int write_reviewers(const struct init *in, struct err *e)
{
    char *text = cli_printf("%s  - {name: first, recipient: %s, keystrokes: true}\n",
                            init_reviewers_yaml, in->recipient);
    int r = write_config(in, "reviewers.yaml", text, e);
    free(text);
    return r;
}

/* sallyport.yaml comes last of all that init makes: it says that the rest is complete. */
static int make_configuration(struct init *in, struct err *e)
{
    struct init_settings s = {in->gateway,
                              in->listen,
                              in->state,
                              in->runtime,
                              in->admin,
                              {in->users[0], in->users[1], in->users[2], in->users[3], in->users[4],
                               in->users[5], in->users[6], in->users[7]}};
    struct buf yaml;
    buf_init(&yaml, 16384);
    char *text = init_sallyport_yaml(&s, &yaml) == 0 ? buf_string(&yaml) : NULL;
    int r = text ? 0 : err_set(e, ERR_FULL, "the settings are too long");
    if (r == 0)
        r = write_config(in, "operators.yaml", init_operators_yaml, e);
    if (r == 0)
        r = write_config(in, "targets.yaml", init_targets_yaml, e);
    if (r == 0)
        r = write_config(in, "roles.d/kvm-operator.yaml.example", init_role_example, e);
    if (r == 0)
        r = init_packs(in->confdir, in->packs, &in->packs_copied, e);
    if (r == 0)
        r = write_reviewers(in, e);
    if (r == 0)
        r = write_config(in, "sallyport.yaml", text, e);
    free(text);
    buf_clear(&yaml);
    return r;
}

/* The first reviewer, so that recordings can be sealed for somebody from the first one on. The same
 * as age-keygen makes. */
static int make_reviewer(struct init *in, struct err *e)
{
    char *path = cli_printf("%s/keys/reviewer.identity", in->state);
    char secret[AGE_IDENTITY_TEXT], *text = NULL;
    uint8_t identity[AGE_KEY_SIZE], recipient[AGE_KEY_SIZE];
    int r = age_identity_new(identity, e);
    if (r == 0)
        r = age_identity_recipient(identity, recipient, e);
    if (r == 0) {
        age_identity_text(identity, secret);
        age_recipient_text(recipient, in->recipient);
        text = cli_printf("# the first reviewer of %s\n# public key: %s\n%s\n", in->gateway,
                          in->recipient, secret);
        r = cli_create_file(path, text, strlen(text), 0600, e);
        explicit_bzero(text, strlen(text));
        explicit_bzero(secret, sizeof secret);
    }
    explicit_bzero(identity, sizeof identity);
    free(text);
    free(path);
    return r;
}

static void tell(const struct init *in)
{
    printf("\nA new gateway, %s.\n\n"
           "  configuration   %s\n"
           "  state           %s (keys/ is root's alone)\n"
           "  rule packs      %s/packs (%u copied)\n"
           "  setup file      %s/public/gateway.setup, for operators\n"
           "  first reviewer  %s\n"
           "                  identity in %s/keys/reviewer.identity\n\n"
           "Recordings are sealed: that identity alone opens them. Move it off this machine now, "
           "and add a\n"
           "second reviewer to %s/reviewers.yaml (age-keygen makes an identity), so that one loss "
           "is not\n"
           "the loss of every recording.\n",
           in->gateway, in->confdir, in->state, in->confdir, in->packs_copied, in->state,
           in->recipient, in->state, in->confdir);
    printf("\nKeep these where nobody who administers this machine can change them; `sallyport "
           "audit verify\n"
           "--anchor` wants the first, and without them a trail that was replaced as a whole looks "
           "right:\n\n"
           "  anchor key      %s\n"
           "  genesis         %s\n\n"
           "Next:\n"
           "  1. systemctl enable --now sallyportd, or: sallyportd -c %s\n"
           "  2. sallyport target add hv1 10.0.0.11 --label env=prod --label kind=libvirt\n"
           "  3. sallyport user add alice --key alice.pub --group kvm-ops\n"
           "  4. a role in %s/roles.d/ (copy and edit the example there), then\n"
           "     sallyportd --check and systemctl reload sallyportd, or SIGHUP\n"
           "  5. sallyport user enroll alice\n",
           in->trail.anchor, in->trail.genesis, in->confdir, in->confdir);
}

static int resolve_users(struct init *in, const char *base, struct err *e)
{
    char *end = NULL;
    unsigned long first = base ? strtoul(base, &end, 10) : 0;
    if (base && (*end || end == base || first < 1000 || first > 4000000000UL))
        return err_set(e, ERR_USAGE, "found --users %s, expected a number from 1000 to 4000000000",
                       base);
    for (int i = 0; i < USERS; i++) {
        int made = 0;
        in->users[i] = base ? cli_printf("%lu", first + (unsigned long)i)
                            : cli_printf("sallyport-%s", user_names[i]);
        int r = init_user(in->users[i], &in->uid[i], &in->gid[i], &made, e);
        if (r != 0)
            return r;
        if (made)
            printf("made the system user %s (uid %u)\n", in->users[i], (unsigned)in->uid[i]);
    }
    return 0;
}

/* What goes unquoted into YAML, certificates and ssh's files. */
static bool plain(const char *text, const char *also)
{
    if (!text[0] || text[0] == '-' || text[0] == '.')
        return false;
    for (; *text; text++)
        if (!((*text >= '0' && *text <= '9') || (*text >= 'a' && *text <= 'z') ||
              (*text >= 'A' && *text <= 'Z') || strchr(also, *text)))
            return false;
    return true;
}

static int check_arguments(struct init *in, struct err *e)
{
    const char *where = in->reach ? in->reach : in->listen, *colon = strrchr(where, ':');
    if (!in->gateway)
        return err_set(e, ERR_USAGE, "expected --gateway NAME");
    if (!plain(in->gateway, ".-") || strlen(in->gateway) > 200)
        return err_set(e, ERR_USAGE, "found --gateway %s, expected a host name", in->gateway);
    if (!plain(in->listen, ".:[]") || !strrchr(in->listen, ':'))
        return err_set(e, ERR_USAGE, "found --listen %s, expected ADDRESS:PORT", in->listen);
    if (!plain(where, ".:[]-") || !colon || colon == where || !colon[1] ||
        strlen(colon) > sizeof in->port)
        return err_set(e, ERR_USAGE, "found \"%s\", expected HOST:PORT", where);
    if (!plain(in->admin, "._-"))
        return err_set(e, ERR_USAGE, "found --admin %s, expected a uid or a user", in->admin);
    if (in->state[0] != '/' || in->runtime[0] != '/' || !plain(in->state + 1, "/._-+") ||
        !plain(in->runtime + 1, "/._-+"))
        return err_set(e, ERR_USAGE,
                       "--state and --runtime must be absolute paths of plain characters");
    strcpy(in->port, colon + 1);
    if (in->reach)
        snprintf(in->host, sizeof in->host, "%.*s", (int)(colon - where), where);
    else
        snprintf(in->host, sizeof in->host, "%s", in->gateway);
    return 0;
}

static int make_all(struct init *in, struct err *e)
{
    int r = make_directories(in, e);
    if (r == 0)
        r = make_keys(in, e);
    if (r == 0)
        r = trail_create(in->state, in->gateway, in->uid[USER_AUDITD], in->gid[USER_READER],
                         &in->trail, e);
    if (r == 0)
        r = make_public(in, e);
    if (r == 0)
        r = make_reviewer(in, e);
    if (r == 0)
        r = make_configuration(in, e);
    return r == 0 ? 0
                  : err_wrap(e,
                             "the gateway is not complete; remove what this run made below %s and "
                             "%s and run it again",
                             in->state, in->confdir);
}

int cli_init(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"state", required_argument, NULL, 's'},
                                            {"runtime", required_argument, NULL, 'R'},
                                            {"listen", required_argument, NULL, 'l'},
                                            {"gateway", required_argument, NULL, 'g'},
                                            {"reach", required_argument, NULL, 'r'},
                                            {"admin", required_argument, NULL, 'a'},
                                            {"users", required_argument, NULL, 'u'},
                                            {"packs", required_argument, NULL, 'p'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    struct init in = {.listen = "0.0.0.0:443",
                      .admin = "0",
                      .state = SALLYPORT_STATEDIR,
                      .runtime = "/run/sallyport"};
    const char *base = NULL;
    struct err e = ERR_INIT;
    optind = 1;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":hc:", options, NULL)) != -1;) {
        switch (c) {
        case 'c':
            in.confdir = optarg;
            break;
        case 's':
            in.state = optarg;
            break;
        case 'R':
            in.runtime = optarg;
            break;
        case 'l':
            in.listen = optarg;
            break;
        case 'g':
            in.gateway = optarg;
            break;
        case 'r':
            in.reach = optarg;
            break;
        case 'a':
            in.admin = optarg;
            break;
        case 'u':
            base = optarg;
            break;
        case 'p':
            in.packs = optarg;
            break;
        case 'h':
            fputs(help, stdout);
            return CLI_DONE;
        default:
            return cli_bad_option("init", c, argv);
        }
    }
    if (optind != argc)
        return cli_usage("init", "found \"%s\", expected no more words", argv[optind]);
    in.confdir = cli_confdir(in.confdir);
    if (check_arguments(&in, &e) != 0)
        return cli_usage("init", "%s", e.text);
    if (geteuid() != 0)
        return cli_fail("init makes files for several users: run it as root");
    umask(022);
    int r = refuse_existing(&in, &e);
    if (r == 0)
        r = resolve_users(&in, base, &e);
    if (r == 0)
        r = make_all(&in, &e);
    if (r == 0)
        tell(&in);
    for (int i = 0; i < USERS; i++)
        free(in.users[i]);
    if (r == ERR_USAGE)
        return cli_usage("init", "%s", e.text);
    return r == 0 ? CLI_DONE : cli_fail("%s", e.text);
}
