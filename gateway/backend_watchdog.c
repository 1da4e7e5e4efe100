/* SPDX-License-Identifier: Apache-2.0
 *
 * Two ways in which a peer could keep libssh busy without our loop getting a turn: a maximum packet
 * of ten bytes makes a write loop over one-byte packets, and the agent's answer is waited for
 * without a limit (design/libssh.md). The first is met by a timer of CPU time: a process whose loop
 * has not gone round during two seconds of it ends, as a crash. The second by closing the agent's
 * descriptor, after which the login fails with a text. Runs in the backend. */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "gateway/backend_session.h"

#define EXIT_WATCHDOG 70 /* EX_SOFTWARE */

static volatile sig_atomic_t turns;
static volatile sig_atomic_t agent_fd = -1;

static void on_cpu_time(int number)
{
    static const char line[] = "error sallyport-backend watchdog the loop did not go round during "
                               "2 s of CPU time\n";
    static sig_atomic_t seen = -1, strikes;
    (void)number;

    if (turns != seen) {
        seen = turns;
        strikes = 0;
    } else if (++strikes >= 2) {
        ssize_t n = write(2, line, sizeof line - 1);
        (void)n;
        _exit(EXIT_WATCHDOG);
    }
}

static void on_agent_time(int number)
{
    int saved = errno;
    (void)number;
    if (agent_fd >= 0)
        close(agent_fd);
    agent_fd = -1;
    errno = saved;
}

static int on_signal(int number, void (*handler)(int), struct err *e)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    sigemptyset(&action.sa_mask);
    if (sigaction(number, &action, NULL) != 0)
        return err_errno(e, "sigaction");
    return 0;
}

int watchdog_start(struct err *e)
{
    const struct itimerval every = {{1, 0}, {1, 0}};
    int rc = on_signal(SIGPROF, on_cpu_time, e);

    if (rc == 0)
        rc = on_signal(SIGALRM, on_agent_time, e);
    if (rc == 0 && setitimer(ITIMER_PROF, &every, NULL) != 0)
        rc = err_errno(e, "setitimer");
    return rc;
}

void watchdog_turn(void)
{
    turns = (turns + 1) & 0xffff;
}

void watchdog_agent(int fd, uint32_t ms)
{
    /* Again every second: a signal between libssh's look and its poll must not be the last. */
    struct itimerval timer = {{1, 0}, {ms / 1000, (ms % 1000) * 1000}};

    if (ms == 0) {
        timer = (struct itimerval){{0, 0}, {0, 0}};
        fd = -1;
    }
    if (ms == 0 || agent_fd < 0)
        agent_fd = fd;
    (void)setitimer(ITIMER_REAL, &timer, NULL);
}
