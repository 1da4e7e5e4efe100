/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs age(1), without a shell. Its prompts go to the terminal by themselves; what else it tells is
 * passed on line by line, but for its errors, which become ours. Runs in the reading tools. */
#include "audit/unseal_age.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS_MAX 1000u

/* What it says on its standard error, one line at a time. */
struct words {
    char line[WORDS_MAX + 1];
    size_t len;
    char error[WORDS_MAX + 1];
};

static bool begins(const char *line, const char *with)
{
    return strncmp(line, with, strlen(with)) == 0;
}

static void end_line(struct words *w)
{
    w->line[w->len] = '\0';
    w->len = 0;
    if (begins(w->line, "age: error: ") && !w->error[0])
        memcpy(w->error, w->line, sizeof w->error);
    else if (!begins(w->line, "age: report unexpected") && !begins(w->line, "age: error: "))
        fprintf(stderr, "%s\n", w->line);
}

static void take_words(struct words *w, const char *p, size_t len)
{
    for (; len > 0; p++, len--) {
        if (*p == '\n' || w->len == WORDS_MAX)
            end_line(w);
        if (*p != '\n')
            w->line[w->len++] = *p;
    }
}

/* Reads both until they close. */
static int collect(int output, int words_fd, struct words *w, uint8_t *out, size_t cap,
                   size_t *out_len)
{
    struct pollfd at[2] = {{.fd = output, .events = POLLIN}, {.fd = words_fd, .events = POLLIN}};
    int r = 0;

    *out_len = 0;
    while (at[0].fd >= 0 || at[1].fd >= 0) {
        char text[512];
        ssize_t n;

        if (poll(at, 2, -1) < 0) {
            if (errno != EINTR)
                return ERR_SYSTEM;
            continue;
        }
        if (at[1].fd >= 0 && at[1].revents) {
            n = read(words_fd, text, sizeof text);
            if (n > 0)
                take_words(w, text, (size_t)n);
            else if (n == 0 || errno != EINTR)
                at[1].fd = -1;
        }
        if (at[0].fd >= 0 && at[0].revents) {
            uint8_t over[1];
            size_t room = cap - *out_len;

            n = room > 0 ? read(output, out + *out_len, room) : read(output, over, sizeof over);
            if (n > 0 && room == 0)
                r = ERR_FULL;
            else if (n > 0)
                *out_len += (size_t)n;
            if (r < 0 || n == 0 || (n < 0 && errno != EINTR))
                at[0].fd = -1;
        }
    }
    if (w->len > 0)
        end_line(w);
    return r;
}

static void become(char *const argv[], int in, int out, int words_fd)
{
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(words_fd, STDERR_FILENO);
    execvp(argv[0], argv);
    _exit(127);
}

static int make_pipes(int pipes[3][2], struct err *e)
{
    for (int i = 0; i < 3; i++)
        pipes[i][0] = pipes[i][1] = -1;
    for (int i = 0; i < 3; i++)
        if (pipe2(pipes[i], O_CLOEXEC) < 0)
            return err_errno(e, "cannot make a pipe");
    return 0;
}

static void close_end(int pipes[3][2], int i, int end)
{
    if (pipes[i][end] >= 0)
        close(pipes[i][end]);
    pipes[i][end] = -1;
}

/* At once: it is less than the pipe holds. When the program ended without reading it, its exit
 * status says so, and not a signal. */
static void give(int fd, const void *input, size_t len)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before;

    sigaction(SIGPIPE, &ignore, &before);
    while (len > 0 && write(fd, input, len) < 0 && errno == EINTR)
        ;
    sigaction(SIGPIPE, &before, NULL);
}

static int judge(int status, int r, const struct words *w, struct err *e)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        return err_set(e, ERR_SYSTEM,
                       "cannot run age(1), which opens this kind of identity: install age");
    if (strstr(w->error, "no identity matched"))
        return err_set(e, ERR_NOT_FOUND, "not for this identity");
    if (status != 0)
        return err_set(e, ERR_SYSTEM, "%s", w->error[0] ? w->error : "age(1) failed");
    return r < 0 ? err_set(e, (enum err_code)r, "age(1) printed more than was expected") : 0;
}

static int run(char *const argv[], const void *input, size_t input_len, uint8_t *out, size_t cap,
               size_t *out_len, struct err *e)
{
    int pipes[3][2], status = 0, r = make_pipes(pipes, e);
    struct words w = {.len = 0};
    pid_t pid = -1;

    if (r == 0) {
        fflush(stdout);
        pid = fork();
        if (pid == 0)
            become(argv, pipes[0][0], pipes[1][1], pipes[2][1]);
        if (pid < 0)
            r = err_errno(e, "cannot start age");
    }
    close_end(pipes, 0, 0);
    close_end(pipes, 1, 1);
    close_end(pipes, 2, 1);
    if (pid > 0) {
        give(pipes[0][1], input, input_len);
        close_end(pipes, 0, 1);
        r = collect(pipes[1][0], pipes[2][0], &w, out, cap, out_len);
        close_end(pipes, 1, 0);
        close_end(pipes, 2, 0);
        while (waitpid(pid, &status, 0) < 0)
            if (errno != EINTR)
                break;
        r = judge(status, r, &w, e);
    }
    for (int i = 0; i < 3; i++) {
        close_end(pipes, i, 0);
        close_end(pipes, i, 1);
    }
    return r;
}

int age_run_decrypt(const char *identity, const void *file, size_t len, uint8_t *out, size_t cap,
                    size_t *out_len, struct err *e)
{
    char *argv[] = {"age", "--decrypt", "-i", (char *)identity, NULL};

    if (len > AGE_INPUT_MAX)
        return err_set(e, ERR_FULL, "an age file of %zu bytes is no wrapped key", len);
    return run(argv, file, len, out, cap, out_len, e);
}

int age_run_open(const char *path, uint8_t *out, size_t cap, size_t *out_len, struct err *e)
{
    char *argv[] = {"age", "--decrypt", (char *)path, NULL};

    return run(argv, NULL, 0, out, cap, out_len, e);
}
