/* SPDX-License-Identifier: Apache-2.0
 *
 * Fork and exec of one program, with nothing of ours in it: its own session (a Ctrl-C in the
 * supervisor's terminal is for the supervisor), /dev/null, the log, one link, no environment but
 * the log level, no argument but whom to become. Run by the supervisor, as root. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/sandbox.h"
#include "gateway/supervisor.h"

/* Frames wait here while a program is busy: 512 connections' worth of the largest message that a
 * connection costs (listener.ready, 4.5 KiB). */
#define LINK_SNDBUF (2u * 1024 * 1024)

/* What each kind is: file name, user, root below STATE. */
static const struct {
    const char *file, *root;
    enum config_user_index user;
} programs[PROGRAM_KINDS] = {
    [PROGRAM_AUDITD] = {"sallyport-auditd", "trail", CONFIG_USER_AUDITD},
    [PROGRAM_AUTHD] = {"sallyport-authd", "auth", CONFIG_USER_AUTHD},
    [PROGRAM_FRONTEND] = {"sallyport-frontend", "empty", CONFIG_USER_FRONTEND},
    [PROGRAM_BACKEND] = {"sallyport-backend", "empty", CONFIG_USER_BACKEND},
    [PROGRAM_COURIER] = {"sallyport-courier", "empty", CONFIG_USER_COURIER},
    [PROGRAM_FIREWALL] = {"sallyport-firewall", "empty", CONFIG_USER_FIREWALL},
    [PROGRAM_LISTENER] = {"sallyport-listener", "empty", CONFIG_USER_LISTENER},
    [PROGRAM_READER] = {"sallyport-reader", "trail", CONFIG_USER_READER},
};

struct command {
    char path[512], uid[16], gid[16], root[CONFIG_PATH_MAX + 16], log[32];
    char *argv[8], *envp[2];
};

const char *program_name(enum program_kind kind)
{
    return programs[kind].file;
}

static void fill_command(const struct supervisor *s, enum program_kind kind, struct command *c)
{
    static char uid_option[] = "--uid", gid_option[] = "--gid", root_option[] = "--root";
    const struct config_user *user = &s->config.users[programs[kind].user];
    const char *level = getenv("SALLYPORT_LOG");

    snprintf(c->path, sizeof c->path, "%s/%s", s->libexecdir, programs[kind].file);
    snprintf(c->uid, sizeof c->uid, "%u", (unsigned)user->uid);
    snprintf(c->gid, sizeof c->gid, "%u", (unsigned)user->gid);
    snprintf(c->root, sizeof c->root, "%s/%s", s->config.state, programs[kind].root);
    snprintf(c->log, sizeof c->log, "SALLYPORT_LOG=%.16s", level ? level : "info");
    c->argv[0] = c->path;
    c->argv[1] = uid_option;
    c->argv[2] = c->uid;
    c->argv[3] = gid_option;
    c->argv[4] = c->gid;
    c->argv[5] = root_option;
    c->argv[6] = c->root;
    c->argv[7] = NULL;
    c->envp[0] = c->log;
    c->envp[1] = NULL;
}

bool program_wanted(const struct supervisor *s, enum program_kind kind)
{
    switch (kind) {
    case PROGRAM_COURIER:
        return courier_wanted(s);
    case PROGRAM_FIREWALL:
        return s->config.firewall;
    default:
        return true;
    }
}

int spawn_check(const struct supervisor *s, struct err *e)
{
    struct command c;

    for (int kind = 0; kind < PROGRAM_KINDS; kind++) {
        if (!program_wanted(s, (enum program_kind)kind))
            continue;
        fill_command(s, (enum program_kind)kind, &c);
        if (access(c.path, X_OK) < 0)
            return err_errno(e, "cannot execute %s", c.path);
        if (access(c.root, X_OK) < 0)
            return err_errno(e, "%s (`sallyport init` makes it)", c.root);
    }
    return 0;
}

static _Noreturn void become(const struct command *c, int link_fd, pid_t supervisor)
{
    sigset_t none;
    int null;

    setsid();
    /* First out of the way of 0 to 3, then to their places. */
    link_fd = fcntl(link_fd, F_DUPFD, 10);
    null = open("/dev/null", O_RDWR);
    if (link_fd < 0 || null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 ||
        dup2(link_fd, SANDBOX_LINK_FD) < 0 || close_range(SANDBOX_LINK_FD + 1, ~0u, 0) < 0)
        _exit(126);
    sigemptyset(&none);
    signal(SIGPIPE, SIG_DFL);
    if (sigprocmask(SIG_SETMASK, &none, NULL) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
        getppid() != supervisor)
        _exit(126);
    execve(c->path, c->argv, c->envp);
    _exit(127);
}

int spawn_program(const struct supervisor *s, enum program_kind kind, pid_t *pid, int *link_fd,
                  struct err *e)
{
    const pid_t supervisor = getpid();
    struct command c;
    int pair[2], rc;

    fill_command(s, kind, &c);
    rc = link_pair(pair, LINK_SNDBUF, e);
    if (rc < 0)
        return rc;
    *pid = fork();
    if (*pid == 0)
        become(&c, pair[1], supervisor);
    close(pair[1]);
    if (*pid < 0) {
        rc = err_errno(e, "fork");
        close(pair[0]);
        return rc;
    }
    *link_fd = pair[0];
    return 0;
}
