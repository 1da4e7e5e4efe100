/* SPDX-License-Identifier: Apache-2.0
 *
 * Ends a process whose loop does not come round: a peer can make libssh loop (a maximum packet of
 * 10 bytes makes a write loop until memory ends). A timer of the process's own CPU time looks
 * whether the turn it saw last is still the same; waiting costs no CPU, so an idle or slow session
 * is never hit. Exit status 70 is a crash to the supervisor, which penalises the source. Runs in
 * the frontend. */
#include "gateway/frontend.h"

#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#define TURN_CPU_S 2  /* a turn moves a few MiB: some 10 ms */
#define EXIT_STUCK 70 /* EX_SOFTWARE */

static volatile sig_atomic_t turn_now, turn_seen;

static void on_timer(int number)
{
    static const char line[] = "error frontend watchdog one turn took too long\n";

    (void)number;
    if (turn_now == turn_seen) {
        ssize_t n = write(2, line, sizeof line - 1);

        (void)n;
        _exit(EXIT_STUCK);
    }
    turn_seen = turn_now;
}

void watchdog_turn(void)
{
    turn_now = (sig_atomic_t)(((unsigned)turn_now + 1) & 0xffff);
}

int watchdog_arm(struct err *e)
{
    struct sigaction a = {.sa_handler = on_timer, .sa_flags = SA_RESTART};
    struct itimerval t = {{TURN_CPU_S, 0}, {TURN_CPU_S, 0}};

    turn_seen = -1;
    if (sigaction(SIGPROF, &a, NULL) != 0 || setitimer(ITIMER_PROF, &t, NULL) != 0)
        return err_errno(e, "the watchdog's timer");
    return 0;
}
