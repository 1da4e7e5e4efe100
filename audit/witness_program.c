/* SPDX-License-Identifier: Apache-2.0
 *
 * sallyport-witness's options, its key, the list of logs, and how it confines itself. It needs no
 * root and refuses it; its directory is its own alone. After the start it opens files in that
 * directory only, and accepts on the one socket that it has. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/cosignature.h"
#include "audit/witness_server.h"
#include "base/landlock.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/secret.h"
#include "policy/address.h"

#define KEY_FILE  "key.pem"
#define VKEY_FILE "witness.pub"
#define LOGS_FILE "logs"
/* 256 clients and what the program has open itself */
#define OPEN_FILES 320
#define BACKLOG    64

static const char usage[] =
    "usage: sallyport-witness --init --name NAME --state DIR\n"
    "       sallyport-witness --state DIR --listen ADDRESS:PORT [--log VKEY]...\n\n"
    "Cosigns checkpoints of logs that it knows, each only when it continues the one before.\n\n"
    "  --init             make the witness's key in DIR and print its verifier key\n"
    "  --name NAME        the witness's name, such as witness.example.org/w1\n"
    "  --state DIR        its key, and the newest checkpoint of each log\n"
    "  --listen ADDR:PORT where logs reach it (HTTP)\n"
    "  --log VKEY         a log that it knows; more stand in DIR/logs, one a line, which is read\n"
    "                     again when it changes\n"
    "  --help, --version\n";

struct program {
    struct witness w;
    const char *state, *name, *listen;
    bool init;
    size_t given; /* logs of the command line, the first in w.logs */
    struct timespec logs_changed;
    ino_t logs_inode;
};

/* --- making it */

static int make_key(struct program *p, struct err *e)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    char text[VKEY_MAX];
    struct vkey v;
    FILE *f = NULL;
    int fd, r;

    if (!key)
        return err_set(e, ERR_CRYPTO, "cannot make a key");
    r = witness_key_from_private(&v, p->name, key, e);
    if (r < 0)
        goto out;
    witness_key_text(&v, text);
    fd = openat(p->w.dir, KEY_FILE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        r = err_errno(e, "%s/" KEY_FILE, p->state);
        goto out;
    }
    f = fdopen(fd, "w");
    if (!f || PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) != 1 || fflush(f) != 0 ||
        fdatasync(fd) < 0)
        r = err_set(e, ERR_SYSTEM, "cannot write %s/" KEY_FILE, p->state);
    if (f)
        fclose(f);
    else
        close(fd);
    if (r < 0)
        goto out;
    fd = openat(p->w.dir, VKEY_FILE, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || dprintf(fd, "%s\n", text) < 0 || fsync(fd) < 0 || fsync(p->w.dir) < 0)
        r = err_errno(e, "%s/" VKEY_FILE, p->state);
    if (fd >= 0)
        close(fd);
    if (r == 0)
        printf("%s\n", text);
out:
    EVP_PKEY_free(key);
    return r;
}

static int open_state(struct program *p, struct err *e)
{
    struct stat st;

    if (p->init && mkdir(p->state, 0700) < 0 && errno != EEXIST)
        return err_errno(e, "%s", p->state);
    p->w.dir = open(p->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (p->w.dir < 0 || fstat(p->w.dir, &st) < 0)
        return err_errno(e, "%s (`sallyport-witness --init` makes it)", p->state);
    if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)))
        return err_set(e, ERR_DENIED,
                       "%s: expected a directory of the user who runs this, that nobody else may "
                       "write",
                       p->state);
    return 0;
}

/* --- what it knows */

static int read_key(struct program *p, struct err *e)
{
    struct vkey v, again;
    struct buf text;
    char *string = NULL;
    int fd = openat(p->w.dir, KEY_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
    int r = 0;

    if (!f)
        return err_errno(e, "%s/" KEY_FILE " (`sallyport-witness --init` makes it)", p->state);
    p->w.key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
    fclose(f);
    if (!p->w.key)
        return err_set(e, ERR_INPUT, "%s/" KEY_FILE " is not a private key in PEM", p->state);
    buf_init(&text, NOTE_MAX);
    r = note_file_read(p->w.dir, VKEY_FILE, &text, e);
    string = r == 0 ? buf_string(&text) : NULL;
    if (r == 0)
        r = string ? witness_key_parse(&v, string, e) : err_set(e, ERR_MEMORY, "out of memory");
    if (r == 0)
        r = witness_key_from_private(&again, v.name, p->w.key, e);
    if (r == 0 && memcmp(&again.id, &v.id, sizeof v.id) != 0)
        r = err_set(e, ERR_INPUT, VKEY_FILE " and " KEY_FILE " do not belong together");
    if (r == 0)
        memcpy(p->w.name, v.name, sizeof v.name);
    free(string);
    buf_clear(&text);
    return r;
}

static int add_log(struct program *p, const char *text, struct err *e)
{
    struct vkey v;
    int r = vkey_parse(&v, text, e);

    if (r < 0)
        return r;
    if (p->w.log_count == WITNESS_LOGS_MAX)
        return err_set(e, ERR_FULL, "more than %u logs", WITNESS_LOGS_MAX);
    for (size_t i = 0; i < p->w.log_count; i++)
        if (strcmp(p->w.logs[i].name, v.name) == 0)
            return memcmp(p->w.logs[i].key, v.key, sizeof v.key) == 0
                       ? 0
                       : err_set(e, ERR_INPUT, "found two keys for the log %s", v.name);
    p->w.logs[p->w.log_count++] = v;
    return 0;
}

/* DIR/logs, one verifier key a line; empty lines and those that begin with # are skipped. A line
 * that is wrong is told and skipped: the other logs go on. */
static void read_logs(void *arg)
{
    struct program *p = arg;
    struct err e = ERR_INIT;
    struct buf text;
    struct stat st;
    char *string, *rest, *line;
    unsigned number = 0;

    if (fstatat(p->w.dir, LOGS_FILE, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
        (st.st_ino == p->logs_inode && st.st_mtim.tv_sec == p->logs_changed.tv_sec &&
         st.st_mtim.tv_nsec == p->logs_changed.tv_nsec))
        return;
    buf_init(&text, NOTE_MAX);
    if (note_file_read(p->w.dir, LOGS_FILE, &text, &e) < 0 || !(string = buf_string(&text))) {
        log_error("logs", "error=\"%s\"", e.text);
        buf_clear(&text);
        return;
    }
    p->logs_inode = st.st_ino;
    p->logs_changed = st.st_mtim;
    p->w.log_count = p->given;
    for (rest = string; (line = strsep(&rest, "\n"));) {
        number++;
        e = (struct err)ERR_INIT;
        if (line[0] && line[0] != '#' && add_log(p, line, &e) < 0)
            log_error("logs", "line=%u error=\"%s\"", number, e.text);
    }
    log_info("logs", "count=%zu", p->w.log_count);
    free(string);
    buf_clear(&text);
}

/* --- the socket and the walls */

static int open_socket(const struct program *p, struct err *e)
{
    char host[ADDRESS_TEXT + 2];
    const char *text = p->listen, *colon = strrchr(text, ':');
    struct sockaddr_storage to;
    struct address address;
    const int on = 1;
    char *end;
    size_t len = colon ? (size_t)(colon - text) : 0;
    unsigned long port = colon ? strtoul(colon + 1, &end, 10) : 0;
    int fd;

    if (len > 2 && text[0] == '[' && text[len - 1] == ']')
        text++, len -= 2;
    if (len == 0 || len >= sizeof host || port == 0 || port > 65535 || *end)
        goto wrong;
    memcpy(host, text, len);
    host[len] = '\0';
    if (address_parse(host, &address, NULL) < 0)
        goto wrong;
    fd = socket(address.family == 6 ? AF_INET6 : AF_INET,
                SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_errno(e, "socket");
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&to, address_to_sockaddr(&address, (uint16_t)port, &to)) < 0 ||
        listen(fd, BACKLOG) < 0) {
        err_errno(e, "cannot listen on %s", p->listen);
        close(fd);
        return ERR_SYSTEM;
    }
    return fd;
wrong:
    return err_set(e, ERR_USAGE,
                   "found \"%s\", expected an address with a port, such as "
                   "0.0.0.0:7070 or [::]:7070",
                   p->listen);
}

static int confine(const struct witness *w, struct err *e)
{
    const struct rlimit files = {OPEN_FILES, OPEN_FILES}, none = {0, 0};
    int r = secret_process_protect(e);

    if (r == 0 && (setrlimit(RLIMIT_NOFILE, &files) < 0 || setrlimit(RLIMIT_CORE, &none) < 0))
        r = err_errno(e, "setrlimit");
    if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        r = err_errno(e, "prctl");
    if (r == 0)
        r = landlock_only(w->dir, e);
    if (r < 0)
        return r;
    log_info("confined", "landlock=%s", r ? "yes" : "no");
    return sandbox_seal(SANDBOX_WITNESS, e);
}

static int serve(struct program *p, struct err *e)
{
    int fd, r = read_key(p, e);

    if (r < 0)
        return r;
    read_logs(p);
    p->w.digest = digest_new();
    if (!p->w.digest)
        return err_set(e, ERR_MEMORY, "no SHA-256");
    fd = open_socket(p, e);
    if (fd < 0)
        return fd;
    log_info("start", "name=%s listen=%s", p->w.name, p->listen);
    r = witness_serve(&p->w, fd, read_logs, p, confine);
    close(fd);
    digest_free(p->w.digest);
    EVP_PKEY_free(p->w.key);
    return r == EXIT_SUCCESS ? 0 : err_set(e, ERR_SYSTEM, "the witness ended");
}

/* 0, 1: done, negative: wrong. */
static int parse_options(struct program *p, int argc, char **argv, struct err *e)
{
    static const struct option options[] = {
        {"init", no_argument, NULL, 'i'},        {"name", required_argument, NULL, 'n'},
        {"state", required_argument, NULL, 's'}, {"listen", required_argument, NULL, 'l'},
        {"log", required_argument, NULL, 'k'},   {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},     {NULL, 0, NULL, 0}};

    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (option) {
        case 'i':
            p->init = true;
            break;
        case 'n':
            p->name = optarg;
            break;
        case 's':
            p->state = optarg;
            break;
        case 'l':
            p->listen = optarg;
            break;
        case 'k':
            if (add_log(p, optarg, e) < 0)
                return err_wrap(e, "--log"), ERR_USAGE;
            break;
        case 'h':
            printf("%s", usage);
            return 1;
        case 'V':
            printf("sallyport-witness %s\n", SALLYPORT_VERSION);
            return 1;
        default:
            return err_set(e, ERR_USAGE, "see `sallyport-witness --help`");
        }
    }
    p->given = p->w.log_count;
    if (optind < argc)
        return err_set(e, ERR_USAGE, "found \"%s\", expected no more words", argv[optind]);
    if (!p->state || (p->init ? !p->name || p->listen || p->given : !p->listen || p->name))
        return err_set(e, ERR_USAGE,
                       "expected --init with --name and --state, or --state and --listen");
    return 0;
}

int witness_run(int argc, char **argv)
{
    static struct program program = {.w = {.dir = -1}};
    struct err e = ERR_INIT;
    int r;

    log_init("sallyport-witness");
    umask(077);
    r = parse_options(&program, argc, argv, &e);
    if (r == 1)
        return EXIT_SUCCESS;
    if (r == 0 && geteuid() == 0 && !program.init)
        r = err_set(&e, ERR_DENIED, "a witness runs as a user of its own, not as root");
    if (r == 0)
        r = open_state(&program, &e);
    if (r == 0)
        r = program.init ? make_key(&program, &e) : serve(&program, &e);
    if (r < 0)
        fprintf(stderr, "sallyport-witness: %s\n", e.text);
    return r == ERR_USAGE ? 2 : r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
