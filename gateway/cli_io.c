/* SPDX-License-Identifier: Apache-2.0
 *
 * What the verbs of the command-line tool share: messages, files, questions, programs. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gateway/cli.h"

int cli_fail(const char *format, ...)
{
    va_list ap;
    fflush(stdout);
    fputs("sallyport: ", stderr);
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputc('\n', stderr);
    return CLI_FAILED;
}

int cli_usage(const char *verb, const char *format, ...)
{
    va_list ap;
    fprintf(stderr, "sallyport %s: ", verb);
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fprintf(stderr, "\n`sallyport %s --help` shows how it is used.\n", verb);
    return CLI_USAGE;
}

int cli_bad_option(const char *verb, int c, char **argv)
{
    if (c == ':')
        return cli_usage(verb, "%s needs a value", argv[optind - 1]);
    if (optopt > 0 && optopt < 128)
        return cli_usage(verb, "there is no option -%c", optopt);
    return cli_usage(verb, "there is no option %s", argv[optind - 1]);
}

const char *cli_confdir(const char *given)
{
    const char *from_environment = getenv("SALLYPORT_CONF");
    if (given)
        return given;
    return from_environment && from_environment[0] ? from_environment : SALLYPORT_CONFDIR;
}

char *cli_printf(const char *format, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, format);
    int n = vasprintf(&text, format, ap);
    va_end(ap);
    if (n < 0) {
        fputs("sallyport: out of memory\n", stderr);
        abort();
    }
    return text;
}

int cli_read_file(const char *path, size_t max, struct buf *out, struct err *e)
{
    int fd = strcmp(path, "-") == 0 ? dup(0) : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return err_errno(e, "cannot read %s", path);
    int r = 0;
    buf_init(out, max + 1);
    for (;;) {
        char block[8192];
        ssize_t n = read(fd, block, sizeof block);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            r = err_errno(e, "cannot read %s", path);
        if (n <= 0)
            break;
        if (buf_len(out) + (size_t)n > max || buf_put(out, block, (size_t)n) != 0) {
            r = err_set(e, ERR_INPUT, "%s is larger than %zu bytes", path, max);
            break;
        }
    }
    close(fd);
    if (r != 0)
        buf_wipe(out);
    return r;
}

static int write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        bytes += n;
        len -= (size_t)n;
    }
    return 0;
}

int cli_create_file(const char *path, const void *bytes, size_t len, mode_t mode, struct err *e)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode & 0700);
    if (fd < 0)
        return err_errno(e, "cannot make %s", path);
    int r = 0;
    if (fchmod(fd, mode) != 0 || write_all(fd, bytes, len) != 0 || fsync(fd) != 0)
        r = err_errno(e, "cannot write %s", path);
    if (close(fd) != 0 && r == 0)
        r = err_errno(e, "cannot write %s", path);
    return r;
}

int cli_replace_file(const char *path, const void *bytes, size_t len, mode_t mode, struct err *e)
{
    struct stat st;
    bool exists = stat(path, &st) == 0;
    char *beside = cli_printf("%s.%ld.new", path, (long)getpid());
    if (mode == 0)
        mode = exists ? st.st_mode & 07777 : 0644;
    int r = cli_create_file(beside, bytes, len, mode, e);
    if (r == 0 && exists && (st.st_uid != geteuid() || st.st_gid != getegid()) &&
        chown(beside, st.st_uid, st.st_gid) != 0)
        r = err_errno(e, "cannot give %s the owner of %s", beside, path);
    if (r == 0 && rename(beside, path) != 0)
        r = err_errno(e, "cannot replace %s", path);
    if (r != 0)
        unlink(beside);
    free(beside);
    return r;
}

int cli_make_dirs(const char *path, mode_t mode, struct err *e)
{
    char *copy = cli_printf("%s", path);
    int r = 0;
    for (char *p = copy + 1; r == 0; p++) {
        char here = *p;
        if (here != '/' && here != '\0')
            continue;
        *p = '\0';
        if (mkdir(copy, mode) != 0 && errno != EEXIST)
            r = err_errno(e, "cannot make the directory %s", copy);
        *p = here;
        if (here == '\0')
            break;
    }
    struct stat st;
    if (r == 0 && (stat(copy, &st) != 0 || !S_ISDIR(st.st_mode)))
        r = err_set(e, ERR_INPUT, "%s is not a directory", copy);
    free(copy);
    return r;
}

int cli_run(char *const argv[], struct err *e)
{
    fflush(stdout); /* what was said before comes before what the program says */
    pid_t pid = fork();
    if (pid < 0)
        return err_errno(e, "cannot start %s", argv[0]);
    if (pid == 0) {
        execvp(argv[0], argv);
        fprintf(stderr, "sallyport: cannot run %s: %s\n", argv[0], strerror(errno));
        _exit(127);
    }
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return err_errno(e, "waiting for %s", argv[0]);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
