/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions to the person at the terminal. Where ssh would run an askpass program, so do we, with
 * the same variables, so that desktop dialogues and scripted logins work for both. Who interrupts a
 * question, or stops it, gets the terminal back as it was: what he types next is shown. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "gateway/cli.h"

/* What ends a program or stops it from the keyboard, or by a line that is cut. */
static const int signals[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGTSTP};
#define SIGNALS (sizeof signals / sizeof *signals)

static volatile sig_atomic_t caught; /* 0: none */

static void on_signal(int number)
{
    caught = number;
}

/* Reads up to the first newline; the rest of the line is dropped. mask: signals are blocked but for
 * the time that it waits, so that none comes unseen before it; NULL: they are not. */
static int read_line(int fd, const sigset_t *mask, char *out, size_t cap, struct err *e)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    size_t n = 0;
    for (;;) {
        char c;
        int ready = mask ? ppoll(&p, 1, NULL, mask) : 1;
        if (caught)
            return err_set(e, ERR_CLOSED, "interrupted");
        ssize_t got = ready < 0 ? ready : read(fd, &c, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0 && n == 0)
            return err_set(e, ERR_CLOSED, "nobody answered");
        if (got <= 0 || c == '\n')
            break;
        if (c != '\r' && n + 1 < cap)
            out[n++] = c;
    }
    out[n] = '\0';
    return 0;
}

static int ask_hidden(int fd, const char *prompt, char *out, size_t cap, struct err *e)
{
    const struct sigaction handler = {.sa_handler = on_signal};
    struct sigaction old[SIGNALS];
    sigset_t blocked, mask;
    struct termios before, now;
    bool changed = false;

    caught = 0;
    sigemptyset(&blocked);
    for (size_t i = 0; i < SIGNALS; i++)
        sigaddset(&blocked, signals[i]);
    sigprocmask(SIG_BLOCK, &blocked, &mask);
    for (size_t i = 0; i < SIGNALS; i++) {
        sigaction(signals[i], NULL, &old[i]);
        if (old[i].sa_handler != SIG_IGN)
            sigaction(signals[i], &handler, NULL);
    }
    if (tcgetattr(fd, &before) == 0) {
        now = before;
        now.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK);
        now.c_lflag |= ECHONL;
        changed = tcsetattr(fd, TCSAFLUSH, &now) == 0;
    }
    dprintf(fd, "%s", prompt);
    int r = read_line(fd, &mask, out, cap, e);
    if (changed)
        tcsetattr(fd, TCSAFLUSH, &before);
    for (size_t i = 0; i < SIGNALS; i++)
        sigaction(signals[i], &old[i], NULL);
    sigprocmask(SIG_SETMASK, &mask, NULL); /* what came after the answer does now what it does */
    return r;
}

static int ask_terminal(const char *prompt, bool hidden, char *out, size_t cap, struct err *e)
{
    int r, number, fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return err_set(e, ERR_CLOSED, "there is no terminal to ask \"%s\" on", prompt);
    do {
        if (hidden) {
            r = ask_hidden(fd, prompt, out, cap, e);
        } else {
            dprintf(fd, "%s", prompt);
            r = read_line(fd, NULL, out, cap, e);
        }
        number = caught;
        caught = 0;
        if (number) {
            dprintf(fd, "\n");
            raise(number); /* now it does what it is there for */
        }
    } while (number == SIGTSTP); /* it goes on: the question again */
    close(fd);
    return r;
}

static int ask_program(const char *program, const char *prompt, char *out, size_t cap,
                       struct err *e)
{
    int pipes[2];
    if (pipe2(pipes, O_CLOEXEC) != 0)
        return err_errno(e, "pipe");
    pid_t pid = fork();
    if (pid == 0) {
        if (dup2(pipes[1], 1) == 1)
            execlp(program, program, prompt, (char *)NULL);
        _exit(127);
    }
    close(pipes[1]);
    int r =
        pid < 0 ? err_errno(e, "cannot run %s", program) : read_line(pipes[0], NULL, out, cap, e);
    close(pipes[0]);
    int status = 0;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (r == 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
        r = err_set(e, ERR_CLOSED, "%s gave no answer", program);
    return r;
}

int cli_ask(const char *prompt, bool hidden, char *out, size_t cap, struct err *e)
{
    const char *askpass = getenv("SSH_ASKPASS"), *require = getenv("SSH_ASKPASS_REQUIRE");
    fflush(stdout);
    if (askpass && askpass[0] && require && strcmp(require, "force") == 0)
        return ask_program(askpass, prompt, out, cap, e);
    return ask_terminal(prompt, hidden, out, cap, e);
}
