/* SPDX-License-Identifier: Apache-2.0
 *
 * The watchdog of a turn: a loop that does not come round ends, one that does goes on. */
#include <criterion/criterion.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "gateway/watchdog.h"

/* A child that uses so many seconds of CPU time; its exit status, 0 where it came to the end. */
static int spin(int seconds, bool turns)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        if (watchdog_start(NULL) != 0)
            _exit(1);
        while (clock() < (clock_t)seconds * CLOCKS_PER_SEC)
            if (turns)
                watchdog_turn();
        _exit(0);
    }
    cr_assert(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    return WEXITSTATUS(status);
}

Test(watchdog, a_loop_that_does_not_come_round_ends)
{
    cr_expect_eq(spin(20, false), 70);
}

Test(watchdog, a_loop_that_comes_round_goes_on)
{
    cr_expect_eq(spin(4, true), 0);
}
