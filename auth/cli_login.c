/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport login` and `sallyport whoami`: the operator's conversation with the target `gateway`,
 * over ssh like any other session, so that the login is the ordinary one. The gateway's lines are
 * shown with what is not printable escaped. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "auth/device_key.h"
#include "auth/qr_code.h"
#include "base/log.h"
#include "base/secret.h"
#include "gateway/cli.h"
#include "gateway/device.h"
#include "gateway/setup_clients.h"

static const char login_help[] =
    "usage: sallyport login [--forget] [--operator NAME] [--dir DIR]\n\n"
    "Opens this device's remembered login: asks for a code once and gets a certificate that stands "
    "for\n"
    "it as long as your roles allow. The first time, the code is the enrolment token that your\n"
    "administrator gave you; you are then shown the secret for your authenticator.\n\n"
    "  --forget         end all your remembered logins, and remove this device's certificate\n"
    "  --operator NAME  with your password, under this name (default: with your key)\n"
    "  --dir DIR        which gateway (default: the only one in ~/.config/sallyport)\n";

static const char whoami_help[] =
    "usage: sallyport whoami [--operator NAME] [--dir DIR]\n\n"
    "Tells who the gateway takes you for, your roles and how you logged in.\n\n"
    "  --operator NAME  with your password, under this name (default: with your key)\n"
    "  --dir DIR        which gateway (default: the only one in ~/.config/sallyport)\n";

struct conversation {
    pid_t pid;
    FILE *to, *from;
};

/* ssh's ProxyCommand that leaves this device's certificate out, so that a code is asked for. NULL
 * when the paths cannot stand in it: ssh hands it to a shell, after it has replaced what begins
 * with %. */
static char *proxy_without_certificate(const char *dir, struct err *e)
{
    char self[PATH_MAX], absolute[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = '\0';
    if (n <= 0 || !realpath(dir, absolute)) {
        err_errno(e, "%s", dir);
        return NULL;
    }
    if (strpbrk(self, "'%\n\\") || strpbrk(absolute, "'%\n\\")) {
        err_set(e, ERR_INPUT, "%s has characters that ssh's configuration cannot hold", dir);
        return NULL;
    }
    return cli_printf("ProxyCommand='%s' connect --no-certificate --dir '%s' %%h:%%p", self,
                      absolute);
}

/* What ssh is told beside its configuration. operator_name NULL: as the configuration says. */
static char *user_option(const char *operator_name)
{
    /* The account means nothing on the gateway itself. */
    return operator_name ? cli_printf("-oUser=%s+", operator_name) : cli_printf("-T");
}

/* Runs `ssh -F DIR/ssh_config gateway COMMAND` with pipes on its stdin and stdout. */
static int start_ssh(const char *dir, const char *operator_name, const char *command,
                     struct conversation *c, struct err *e)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1};
    char *proxy = proxy_without_certificate(dir, e);
    if (!proxy)
        return e->code;
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) {
        free(proxy);
        return err_errno(e, "pipe");
    }
    char *config = cli_printf("%s/ssh_config", dir), *user = user_option(operator_name);
    c->pid = fork();
    if (c->pid == 0) {
        if (dup2(in[0], 0) == 0 && dup2(out[1], 1) == 1)
            execlp("ssh", "ssh", "-T", "-F", config, "-o", proxy, user, "gateway", command,
                   (char *)NULL);
        fprintf(stderr, "sallyport: cannot run ssh: %s\n", strerror(errno));
        _exit(127);
    }
    free(config);
    free(proxy);
    free(user);
    close(in[0]);
    close(out[1]);
    c->to = fdopen(in[1], "w");
    c->from = fdopen(out[0], "r");
    if (c->pid < 0 || !c->to || !c->from)
        return err_errno(e, "cannot run ssh");
    return 0;
}

static int end_ssh(struct conversation *c)
{
    int status = 0;
    if (c->to)
        fclose(c->to);
    if (c->from)
        fclose(c->from);
    while (c->pid > 0 && waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* A line without its newline; false at the end. */
static bool next_line(struct conversation *c, char *line, size_t cap)
{
    if (!fgets(line, (int)cap, c->from))
        return false;
    line[strcspn(line, "\r\n")] = '\0';
    return true;
}

static int show_secret(const char *uri, struct err *e)
{
    char shown[1024];
    int r = 0;
    printf("Scan the code with your authenticator app, or type this into it. It is shown once.\n\n"
           "    %s\n\n",
           escape_text(shown, sizeof shown, uri, strlen(uri)));
    /* Last, so that a terminal of 24 lines has all of it above the question. */
    if (isatty(STDOUT_FILENO))
        r = qr_code_print(stdout, uri, e);
    fflush(stdout);
    return r;
}

/* The gateway sent an enrolment address: show it, and confirm with a code. */
static int enrol(struct conversation *c, const char *uri, struct err *e)
{
    char code[64], line[256];
    int r = show_secret(uri, e);
    while (r == 0) {
        if ((r = cli_ask("Code from your authenticator: ", false, code, sizeof code, e)) != 0)
            return err_wrap(e, "the enrolment is not finished; the token can be used again");
        if (fprintf(c->to, "%s\n", code) < 0 || fflush(c->to) != 0 ||
            !next_line(c, line, sizeof line))
            return err_set(e, ERR_CLOSED, "the gateway ended the enrolment");
        wipe(code, sizeof code);
        if (strcmp(line, "ok") == 0) {
            puts("You are enrolled.");
            return 0;
        }
        if (strncmp(line, "wrong", 5) != 0)
            return err_set(e, ERR_PROTOCOL, "the gateway gave an answer that is not understood");
        long left = strtol(line + 5, NULL, 10);
        if (left <= 0)
            return err_set(e, ERR_DENIED,
                           "that code is not right either; ask for a new token "
                           "(sallyport user enroll)");
        printf("That code is not right; %ld more %s.\n", left, left == 1 ? "try" : "tries");
    }
    return r;
}

/* Reads the gateway's lines up to the certificate's end. */
static int converse(struct conversation *c, struct buf *pem, bool *enrolled, struct err *e)
{
    char line[2048];
    bool inside = false;
    int r = 0;
    while (r == 0 && next_line(c, line, sizeof line)) {
        if (strncmp(line, "enroll otpauth://", 17) == 0) {
            r = enrol(c, line + 7, e);
            *enrolled = r == 0;
        } else if (inside || strcmp(line, "-----BEGIN CERTIFICATE-----") == 0) {
            inside = true;
            r = buf_printf(pem, "%s\n", line);
            if (strcmp(line, "-----END CERTIFICATE-----") == 0)
                break;
        } else if (line[0]) {
            char shown[4096];
            printf("%s\n", escape_text(shown, sizeof shown, line, strlen(line)));
        }
        wipe(line, sizeof line);
    }
    return r;
}

/* ssh answers a prompt that it cannot show with nothing, which counts as a wrong code. */
static int can_ask(struct err *e)
{
    const char *askpass = getenv("SSH_ASKPASS");
    int fd;
    if (askpass && askpass[0])
        return 0;
    fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return err_set(e, ERR_SYSTEM, "there is no terminal to ask for the code on");
    close(fd);
    return 0;
}

static int log_in(const char *dir, const char *operator_name)
{
    struct err e = ERR_INIT;
    struct conversation c = {0};
    struct buf pem;
    char *csr = NULL, *text = NULL, until[40];
    bool enrolled = false;
    buf_init(&pem, 16384);
    signal(SIGPIPE, SIG_IGN); /* ssh may end while it is written to; its status says why */
    int r = can_ask(&e);
    if (r == 0)
        r = device_key_request(dir, &csr, &e);
    if (r == 0)
        r = start_ssh(dir, operator_name, "login", &c, &e);
    if (r == 0) {
        if (fputs(csr, c.to) < 0 || fflush(c.to) != 0)
            clearerr(c.to);
        r = converse(&c, &pem, &enrolled, &e);
    }
    int status = end_ssh(&c);
    if (r == 0 && buf_len(&pem)) {
        text = buf_string(&pem);
        r = text ? device_key_store(dir, text, until, &e) : err_set(&e, ERR_MEMORY, "no memory");
        if (r == 0)
            printf("This device is remembered until %s.\n", until);
    } else if (r == 0 && enrolled) {
        puts("None of your roles remembers a login: a code will be asked for each time.");
    } else if (r == 0) {
        /* ssh or the gateway has said why on stderr. */
        r = err_set(&e, ERR_DENIED, "the login did not succeed (ssh ended with status %d)", status);
    }
    buf_clear(&pem);
    free(csr);
    free(text);
    return r == 0 ? CLI_DONE : cli_fail("%s", e.text);
}

static int ssh_gateway(const char *dir, const char *operator_name, const char *command)
{
    struct err e = ERR_INIT;
    char *config = cli_printf("%s/ssh_config", dir);
    char *words[] = {
        cli_printf("ssh"),          cli_printf("-T"),      cli_printf("-F"),          config,
        user_option(operator_name), cli_printf("gateway"), cli_printf("%s", command), NULL};
    int status = cli_run(words, &e);
    for (size_t i = 0; words[i]; i++)
        free(words[i]);
    return status < 0 ? cli_fail("%s", e.text) : status;
}

static int parse(int argc, char **argv, const char *verb, const char *help, bool *forget,
                 char **dir, const char **operator_name, int *status)
{
    static const struct option options[] = {{"forget", no_argument, NULL, 'f'},
                                            {"dir", required_argument, NULL, 'd'},
                                            {"operator", required_argument, NULL, 'o'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const char *given = NULL;
    struct err e = ERR_INIT;
    optind = 1;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":hd:", options, NULL)) != -1;) {
        if (c == 'h') {
            fputs(help, stdout);
            *status = CLI_DONE;
            return -1;
        }
        if (c == 'd') {
            given = optarg;
        } else if (c == 'o') {
            *operator_name = optarg;
        } else if (c == 'f' && forget) {
            *forget = true;
        } else {
            *status = cli_bad_option(verb, c, argv);
            return -1;
        }
    }
    if (optind != argc) {
        *status = cli_usage(verb, "found \"%s\", expected no more words", argv[optind]);
        return -1;
    }
    /* It goes into an option of ssh. */
    if (*operator_name && !setup_plain(*operator_name, "._-")) {
        *status = cli_usage(verb, "--operator is not an operator's name");
        return -1;
    }
    if (!(*dir = device_choose(given, &e))) {
        *status = cli_fail("%s", e.text);
        return -1;
    }
    return 0;
}

int cli_login(int argc, char **argv)
{
    const char *operator_name = NULL;
    bool forget = false;
    char *dir;
    int status;
    if (parse(argc, argv, "login", login_help, &forget, &dir, &operator_name, &status) != 0)
        return status;
    if (forget) {
        status = ssh_gateway(dir, operator_name, "forget");
        if (status == 0)
            puts(device_key_forget(dir)
                     ? "Your remembered logins have ended; this device's certificate is removed."
                     : "Your remembered logins have ended; this device had no certificate.");
        else
            cli_fail("the gateway did not confirm it (ssh ended with status %d); this device keeps "
                     "its certificate",
                     status);
    } else {
        status = log_in(dir, operator_name);
    }
    free(dir);
    return status;
}

int cli_whoami(int argc, char **argv)
{
    const char *operator_name = NULL;
    char *dir;
    int status;
    if (parse(argc, argv, "whoami", whoami_help, NULL, &dir, &operator_name, &status) != 0)
        return status;
    status = ssh_gateway(dir, operator_name, "whoami");
    free(dir);
    return status;
}
