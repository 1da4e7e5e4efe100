/* SPDX-License-Identifier: Apache-2.0
 *
 * The watchdog of a turn (gateway/watchdog.h). Its handler only counts, writes and ends. */
#include "gateway/watchdog.h"

#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

/* A turn moves a few MiB, which takes some 10 ms: it is stuck after two looks at the same one. */
#define LOOK_CPU_S 1
#define LOOKS      2
#define EXIT_STUCK 70 /* EX_SOFTWARE */

static volatile sig_atomic_t turn_now, turn_seen, looks;

static void on_cpu_time(int number)
{
    static const char line[] = "error watchdog the loop did not go round during 2 s of CPU time\n";

    (void)number;
    if (turn_now != turn_seen) {
        turn_seen = turn_now;
        looks = 0;
    } else if (++looks >= LOOKS) {
        ssize_t n = write(STDERR_FILENO, line, sizeof line - 1);
        (void)n;
        _exit(EXIT_STUCK);
    }
}

void watchdog_turn(void)
{
    turn_now = (sig_atomic_t)(((unsigned)turn_now + 1) & 0xffff);
}

int watchdog_start(struct err *e)
{
    struct sigaction a = {.sa_handler = on_cpu_time, .sa_flags = SA_RESTART};
    const struct itimerval every = {{LOOK_CPU_S, 0}, {LOOK_CPU_S, 0}};

    turn_seen = -1;
    if (sigaction(SIGPROF, &a, NULL) != 0 || setitimer(ITIMER_PROF, &every, NULL) != 0)
        return err_errno(e, "the watchdog's timer");
    return 0;
}
