/* SPDX-License-Identifier: Apache-2.0
 *
 * For component tests of sallyport-frontend alone (tests/session/test_frontend.py): plays
 * everything around it. Starts the real program as the supervisor would (its own uid, sandbox
 * enforcing), listens on a loopback port, and for each connection plays authd (one key, the code
 * 123456), auditd (the attestations) and a backend that runs commands on this machine. Not part of
 * a gateway.
 *
 *     frontend_harness PROGRAM HOST_KEY_FILE OPERATOR_KEY_BASE64
 *
 * Prints "port N". User names choose what authd does: `gateway`, `refused`, `end-early`, `slow`,
 * `remembered`; any other is granted. Commands that begin with `!` choose what the backend does:
 * `!end`, `!die`, `!refuse`, `!garbage`. Log lines of what was reported go to stderr. */
#include "tests/session/frontend_world.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gateway/messages.h"

static struct err e;

static struct link *start_program(char **argv, pid_t *pid)
{
    int pair[2], key = open(argv[2], O_RDONLY);
    struct forks_start_frontend m = {.login_ms = 20000};
    struct frame f;
    struct link *l;
    int rc;

    CHECK(key >= 0 && link_pair(pair, 262144, &e) == 0);
    *pid = fork();
    CHECK(*pid >= 0);
    if (*pid == 0) {
        char *env[] = {"SALLYPORT_LOG=debug", NULL};
        char *args[] = {argv[1], "--uid", "65534", "--gid", "65534", "--root", "/var/empty", NULL};
        mkdir("/var/empty", 0755);
        dup2(pair[1], 3);
        execve(argv[1], args, env);
        perror(argv[1]);
        _exit(1);
    }
    close(pair[1]);
    l = link_new(pair[0], &link_forks, LINK_FIRST, 1 << 20);
    link_enter(l, forks_STATE_STARTING);
    CHECK(forks_start_frontend_send(l, &m, &key, &e) == 0);
    while ((rc = link_recv(l, &f, &e)) == 0)
        poll(&(struct pollfd){.fd = link_fd(l), .events = POLLIN}, 1, 1000);
    if (rc != 1)
        fprintf(stderr, "harness: %s\n", e.text);
    CHECK(rc == 1 && f.spec->number == forks_started_NUMBER);
    link_enter(l, forks_STATE_RUNNING);
    return l;
}

static void accepted(struct link *forks, int fd, int listener, uint64_t conn)
{
    struct forks_fork_frontend m = {.conn = conn};
    int login[2], trail[2];

    CHECK(link_pair(login, 65536, &e) == 0 && link_pair(trail, 65536, &e) == 0);
    CHECK(forks_fork_frontend_send(forks, &m, (int[]){fd, login[0], trail[0]}, &e) == 0);
    if (fork() == 0) {
        close(listener);
        close(fd);
        close(login[0]);
        close(trail[0]);
        close(link_fd(forks));
        signal(SIGPIPE, SIG_IGN);
        signal(SIGCHLD, SIG_DFL);
        exit(world_play(login[1], trail[1]));
    }
    close(fd);
    close(login[0]);
    close(login[1]);
    close(trail[0]);
    close(trail[1]);
}

int main(int argc, char **argv)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    struct link *forks;
    pid_t pid;
    int listener;
    size_t n;

    CHECK(argc == 4);
    n = strlen(argv[3]);
    operator_key_len = (size_t)EVP_DecodeBlock(operator_key, (unsigned char *)argv[3], (int)n);
    for (size_t i = n; argv[3][i - 1] == '='; i--)
        operator_key_len--;
    forks = start_program(argv, &pid);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(listener, (struct sockaddr *)&a, len) == 0 && listen(listener, 64) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&a, &len) == 0);
    signal(SIGCHLD, SIG_IGN);
    printf("port %u pid %d\n", ntohs(a.sin_port), (int)pid);
    fflush(stdout);
    for (uint64_t conn = 1;;) {
        struct pollfd p[3] = {{.fd = listener, .events = POLLIN},
                              {.fd = link_fd(forks), .events = POLLIN},
                              {.fd = 0, .events = POLLIN}};
        struct frame f;
        int rc;

        poll(p, 3, -1);
        if (p[2].revents) { /* the test closed our stdin */
            link_free(forks);
            while (wait(NULL) > 0) /* all of them: SIGCHLD is ignored */
                ;
            return 0;
        }
        if (p[0].revents)
            accepted(forks, accept4(listener, NULL, NULL, SOCK_CLOEXEC), listener, conn++);
        while ((rc = link_recv(forks, &f, &e)) == 1)
            if (f.spec->number == forks_ended_NUMBER) {
                struct forks_ended m;
                CHECK(forks_ended_decode(&f, &m, &e) == 0);
                fprintf(stderr, "harness: ended conn=%u status=%u\n", (unsigned)m.conn,
                        m.wait_status);
            }
        CHECK(rc == 0);
    }
}
