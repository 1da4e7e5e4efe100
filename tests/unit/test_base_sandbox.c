/* SPDX-License-Identifier: Apache-2.0
 *
 * The sandbox, with the real kernel: what is forbidden ends the process with its name told, what is
 * refused fails, what is allowed works. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/landlock.h"
#include "base/sandbox.h"
#include "base/sandbox_table.h"

struct outcome {
    int status; /* exit status, or 1000 + signal */
    char text[400];
};

/* Runs act in a child whose descriptor 2 is a pipe. */
static struct outcome in_child(int (*act)(const void *), const void *argument)
{
    struct outcome o = {0};
    int p[2], status;
    pid_t pid;
    size_t len = 0;
    ssize_t n;

    cr_assert(pipe(p) == 0);
    pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0) {
        dup2(p[1], 2);
        _exit(act(argument));
    }
    close(p[1]);
    while ((n = read(p[0], o.text + len, sizeof o.text - 1 - len)) > 0)
        len += (size_t)n;
    close(p[0]);
    cr_assert(waitpid(pid, &status, 0) == pid);
    o.status = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
    return o;
}

Test(base_sandbox, every_filter_compiles)
{
    for (int i = 0; i < SANDBOX_PROGRAMS; i++) {
        struct sandbox_filter f;
        struct err e = ERR_INIT;
        cr_expect(sandbox_compile((enum sandbox_program)i, &f, &e) == 0, "%s", e.text);
        cr_expect(f.count > 3);
        free(f.code);
    }
}

static int enter_with(const void *argument)
{
    const char *const *argv = argument;
    struct err e = ERR_INIT;
    int argc = 0;

    while (argv[argc])
        argc++;
    return sandbox_enter(SANDBOX_FRONTEND_SERVER, argc, (char **)argv, &e) == ERR_USAGE ? 77 : 1;
}

Test(base_sandbox, arguments_are_refused)
{
    static const char *const rows[][9] = {
        {"p", NULL},
        {"p", "--uid", "1000", "--gid", "1000", NULL},
        {"p", "--uid", "0", "--gid", "1000", "--root", "/", NULL},
        {"p", "--uid", "1000", "--gid", "0", "--root", "/", NULL},
        {"p", "--uid", "1000", "--gid", "1000", "--root", "relative", NULL},
        {"p", "--uid", "4294967295", "--gid", "1000", "--root", "/", NULL},
        {"p", "--uid", "4294968296", "--gid", "1000", "--root", "/", NULL},
        {"p", "--uid", " 1000", "--gid", "1000", "--root", "/", NULL},
        {"p", "--uid", "-1", "--gid", "1000", "--root", "/", NULL},
        {"p", "--uid", "1000x", "--gid", "1000", "--root", "/", NULL},
        {"p", "--uid", "1000", "--uid", "1000", "--root", "/", NULL},
        {"p", "--uid", "1000", "--gid", "1000", "--ruut", "/", NULL},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_expect(in_child(enter_with, rows[i]).status == 77, "row %zu", i);
}

static int enter_and_look(const void *argument)
{
    static char *argv[] = {"p", "--uid", "12345", "--gid", "23456", "--root", "/usr/lib", NULL};
    struct err e = ERR_INIT;
    struct rlimit r;
    int pair[2];

    (void)argument;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair))
        return 2;
    if (pair[0] == SANDBOX_LINK_FD) /* keep the other end out of the way of dup2 */
        pair[0] = fcntl(pair[0], F_DUPFD, 20);
    /* the other end must survive close_range: hold it in a child that lives on */
    if (fork() == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(2);
        close(pair[0]);
        sleep(20);
        _exit(0);
    }
    if (dup2(pair[0], SANDBOX_LINK_FD) < 0)
        return 3;
    if (sandbox_enter(SANDBOX_FRONTEND_SERVER, 7, argv, &e)) {
        fprintf(stderr, "%s", e.text);
        return 4;
    }
    if (getuid() != 12345 || getegid() != 23456)
        return 5;
    if (access("/x86_64-linux-gnu", F_OK) && access("/os-release", F_OK))
        return 6;
    if (fcntl(4, F_GETFD) >= 0 || fcntl(20, F_GETFD) >= 0)
        return 7;
    if (getrlimit(RLIMIT_CORE, &r) || r.rlim_max != 0)
        return 8;
    if (open("/x", O_CREAT | O_WRONLY, 0600) >= 0)
        return 9;
    return 0;
}

Test(base_sandbox, enter_gives_everything_up)
{
    struct outcome o;

    if (geteuid() != 0)
        cr_skip_test("only root can change its root directory");
    o = in_child(enter_and_look, NULL);
    cr_expect(o.status == 0, "status %d: %s", o.status, o.text);
}

#ifndef SALLYPORT_SANITIZERS

struct forbidden {
    enum sandbox_program program;
    long number;
    long arguments[4];
    const char *line; /* NULL: allowed or refused, returns `result` */
    long result;
};

static int call_sealed(const void *argument)
{
    const struct forbidden *f = argument;
    struct err e = ERR_INIT;
    long rc;

    if (sandbox_seal(f->program, &e)) {
        dprintf(2, "%s", e.text);
        return 3;
    }
    rc = syscall(f->number, f->arguments[0], f->arguments[1], f->arguments[2], f->arguments[3], 0,
                 0);
    if (rc < 0)
        rc = -errno;
    return rc == f->result ? 0 : 4;
}

static const struct forbidden calls[] = {
    {SANDBOX_FRONTEND,
     SYS_connect,
     {0},
     "error sallyport-frontend seccomp-denied syscall=connect number=42\n",
     0},
    {SANDBOX_FRONTEND,
     SYS_execve,
     {0},
     "error sallyport-frontend seccomp-denied syscall=execve number=59\n",
     0},
    {SANDBOX_FRONTEND,
     SYS_clone,
     {0},
     "error sallyport-frontend seccomp-denied syscall=clone number=56\n",
     0},
    {SANDBOX_FRONTEND,
     SYS_prctl,
     {0},
     "error sallyport-frontend seccomp-denied syscall=prctl number=157\n",
     0},
    {SANDBOX_FRONTEND, SYS_openat, {0}, NULL, -EACCES},
    {SANDBOX_FRONTEND, SYS_socket, {0}, NULL, -EACCES},
    {SANDBOX_FRONTEND,
     SYS_mmap,
     {0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE},
     "error sallyport-frontend seccomp-denied syscall=mmap number=9\n",
     0},
    {SANDBOX_FRONTEND,
     SYS_fcntl,
     {2, F_SETOWN},
     "error sallyport-frontend seccomp-denied syscall=fcntl number=72\n",
     0},
    {SANDBOX_BACKEND,
     SYS_ptrace,
     {0},
     "error sallyport-backend seccomp-denied syscall=ptrace number=101\n",
     0},
    {SANDBOX_BACKEND_SERVER,
     SYS_clone,
     {0x10000000 /* CLONE_NEWUSER */},
     "error sallyport-backend seccomp-denied syscall=clone number=56\n",
     0},
    {SANDBOX_BACKEND_SERVER, SYS_clone3, {0}, NULL, -ENOSYS},
    {SANDBOX_LISTENER, SYS_openat, {0}, NULL, -EACCES},
    {SANDBOX_LISTENER,
     SYS_bind,
     {0},
     "error sallyport-listener seccomp-denied syscall=bind number=49\n",
     0},
    {SANDBOX_AUTHD,
     SYS_connect,
     {0},
     "error sallyport-authd seccomp-denied syscall=connect number=42\n",
     0},
    {SANDBOX_AUTHD, SYS_openat, {AT_FDCWD, 0}, NULL, -EFAULT},
    {SANDBOX_AUTHD,
     SYS_socketpair,
     {AF_INET},
     "error sallyport-authd seccomp-denied syscall=socketpair number=53\n",
     0},
    {SANDBOX_AUTHD, SYS_socketpair, {AF_UNIX, SOCK_SEQPACKET, 0, 0}, NULL, -EFAULT},
    {SANDBOX_POLICY_LOADER, SYS_openat, {AT_FDCWD, 0}, NULL, -EACCES},
    {SANDBOX_HASHER,
     SYS_openat,
     {AT_FDCWD, 0},
     "error sallyport-authd-hasher seccomp-denied syscall=openat number=257\n",
     0},
    {SANDBOX_HASHER,
     SYS_clone,
     {0},
     "error sallyport-authd-hasher seccomp-denied syscall=clone number=56\n",
     0},
    {SANDBOX_FIREWALL,
     SYS_socket,
     {AF_NETLINK, SOCK_RAW, 99 << 8 | 12},
     "error sallyport-firewall seccomp-denied syscall=socket number=41\n",
     0},
    {SANDBOX_FIREWALL,
     SYS_socket,
     {AF_NETLINK, SOCK_RAW, 0 /* NETLINK_ROUTE */},
     "error sallyport-firewall seccomp-denied syscall=socket number=41\n",
     0},
    {SANDBOX_FIREWALL,
     SYS_socket,
     {AF_UNIX, SOCK_STREAM, 12 /* netfilter */},
     NULL,
     -EPROTONOSUPPORT},
    {SANDBOX_FIREWALL,
     SYS_ioctl,
     {0},
     "error sallyport-firewall seccomp-denied syscall=ioctl number=16\n",
     0},
    {SANDBOX_FIREWALL,
     SYS_bind,
     {0},
     "error sallyport-firewall seccomp-denied syscall=bind number=49\n",
     0},
    {SANDBOX_FIREWALL,
     SYS_connect,
     {0},
     "error sallyport-firewall seccomp-denied syscall=connect number=42\n",
     0},
    {SANDBOX_FIREWALL, SYS_openat, {AT_FDCWD, 0}, NULL, -EACCES},
    {SANDBOX_AUDITD,
     SYS_accept4,
     {0},
     "error sallyport-auditd seccomp-denied syscall=accept4 number=288\n",
     0},
    {SANDBOX_AUDITD, SYS_fdatasync, {-1}, NULL, -EBADF},
    {SANDBOX_SUPERVISOR,
     SYS_ptrace,
     {0},
     "error sallyportd seccomp-denied syscall=ptrace number=101\n",
     0},
    {SANDBOX_SUPERVISOR, SYS_connect, {-1}, NULL, -EBADF},
};

Test(base_sandbox, calls)
{
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        struct outcome o = in_child(call_sealed, &calls[i]);
        if (calls[i].line) {
            cr_expect(o.status == SANDBOX_EXIT_DENIED, "row %zu: status %d", i, o.status);
            cr_expect(strcmp(o.text, calls[i].line) == 0, "row %zu: %s", i, o.text);
        } else {
            cr_expect(o.status == 0, "row %zu: status %d: %s", i, o.status, o.text);
        }
    }
}

/* A fork server's child: forks under the first filter, cannot any more under the second. */
static int seal_twice(const void *argument)
{
    struct err e = ERR_INIT;
    int status;
    pid_t pid;

    (void)argument;
    if (sandbox_seal(SANDBOX_FRONTEND_SERVER, &e))
        return 3;
    pid = fork();
    if (pid < 0)
        return 4;
    if (pid == 0) {
        void *p;
        if (sandbox_seal(SANDBOX_FRONTEND, &e)) {
            dprintf(2, "%s", e.text);
            _exit(5);
        }
        p = malloc(100000);
        free(p);
        if (open("/etc/passwd", O_RDONLY) >= 0 || errno != EACCES)
            _exit(6);
        fork();
        _exit(7);
    }
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        return 8;
    return WEXITSTATUS(status);
}

Test(base_sandbox, child_of_a_fork_server)
{
    struct outcome o = in_child(seal_twice, NULL);

    cr_expect(o.status == SANDBOX_EXIT_DENIED, "status %d: %s", o.status, o.text);
    cr_expect(strcmp(o.text, "error sallyport-frontend seccomp-denied syscall=clone number=56\n") ==
                  0,
              "%s", o.text);
}

static int abort_sealed(const void *argument)
{
    struct err e = ERR_INIT;

    (void)argument;
    if (sandbox_seal(SANDBOX_FRONTEND, &e))
        return 3;
    INVARIANT(0 == 1);
}

Test(base_sandbox, a_broken_invariant_aborts)
{
    struct outcome o = in_child(abort_sealed, NULL);

    cr_expect(o.status > 1000, "ended by no signal, status %d: %s", o.status, o.text);
    cr_expect(strstr(o.text, "0 == 1") != NULL);
    cr_expect(strstr(o.text, "seccomp-denied") == NULL, "%s", o.text);
}

/* Frontends share a uid: one that was taken over may not end the others. */
static int abort_another(const void *program)
{
    struct err e = ERR_INIT;
    pid_t other = fork();

    if (other == 0) {
        close(2);
        alarm(5);
        pause();
        _exit(0);
    }
    if (other < 0 || sandbox_seal(*(const enum sandbox_program *)program, &e))
        return 3;
    return syscall(SYS_tgkill, other, other, SIGABRT) == -1 && errno == EACCES ? 0 : 4;
}

Test(base_sandbox, no_signal_to_another_process)
{
    static const enum sandbox_program programs[] = {SANDBOX_FRONTEND, SANDBOX_BACKEND,
                                                    SANDBOX_LISTENER, SANDBOX_POLICY_LOADER};

    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        struct outcome o = in_child(abort_another, &programs[i]);
        cr_expect(o.status == 0, "%s: status %d: %s", sandbox_name(programs[i]), o.status, o.text);
    }
}

#endif

/* --- one directory */

static int behind_the_wall(const void *dir)
{
    int fd, there = open(dir, O_PATH | O_DIRECTORY), r;
    struct err e = ERR_INIT;

    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    r = landlock_only(there, &e);
    if (r < 1)
        return r < 0 ? 2 : 77;
    fd = openat(there, "new", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, "x", 1) != 1 || renameat(there, "new", there, "kept") < 0 ||
        openat(there, "kept", O_RDONLY) < 0)
        return 3;
    if (open("/etc/passwd", O_RDONLY) >= 0 || errno != EACCES)
        return 4;
    if (openat(there, "../passwd", O_WRONLY | O_CREAT, 0600) >= 0 || errno != EACCES)
        return 5;
    if (mkdirat(there, "sub", 0700) == 0 || linkat(there, "kept", AT_FDCWD, "/tmp/kept", 0) == 0)
        return 6;
    return unlinkat(there, "kept", 0) == 0 ? 0 : 7;
}

Test(base_sandbox, a_wall_around_one_directory)
{
    char dir[] = "/tmp/sallyport-wall-XXXXXX";
    struct outcome o;

    cr_assert(mkdtemp(dir) != NULL);
    o = in_child(behind_the_wall, dir);
    rmdir(dir);
    if (o.status == 77)
        cr_skip_test("no Landlock in this kernel, or sanitizers");
    cr_expect(o.status == 0, "%d", o.status);
}
