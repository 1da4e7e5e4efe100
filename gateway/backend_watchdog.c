/* SPDX-License-Identifier: Apache-2.0
 *
 * libssh waits for an agent's answer without a limit. One that does not come is met by closing the
 * agent's descriptor, after which the login fails with a text. Runs in the backend. */
#include <errno.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include "gateway/backend_session.h"

static volatile sig_atomic_t agent_fd = -1;

static void on_agent_time(int number)
{
    int saved = errno;
    (void)number;
    if (agent_fd >= 0)
        close(agent_fd);
    agent_fd = -1;
    errno = saved;
}

int watchdog_agent_start(struct err *e)
{
    /* No SA_RESTART: libssh's poll has to come back. */
    const struct sigaction a = {.sa_handler = on_agent_time};

    return sigaction(SIGALRM, &a, NULL) == 0 ? 0 : err_errno(e, "sigaction");
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
