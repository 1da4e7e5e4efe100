/* SPDX-License-Identifier: Apache-2.0
 *
 * Entry of sallyport-auditd. Its root and working directory are the trail's. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "audit/auditd.h"
#include "base/log.h"
#include "base/sandbox.h"

static int seal(struct err *e)
{
    return sandbox_seal(SANDBOX_AUDITD, e);
}

int main(int argc, char **argv)
{
    struct auditd_options o = {.link_fd = SANDBOX_LINK_FD, .seal = seal};
    struct err e = ERR_INIT;

    log_init("auditd");
    if (sandbox_enter(SANDBOX_AUDITD, argc, argv, &e) < 0) {
        log_error("sandbox", "error=\"%s\"", e.text);
        return EXIT_FAILURE;
    }
    /* What is made 0640 is for the readers' group (audit/trail_create.h); the rest is made 0600. */
    umask(027);
    o.dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (o.dir < 0) {
        err_errno(&e, "cannot open the trail's directory");
        log_error("start", "error=\"%s\"", e.text);
        return EXIT_FAILURE;
    }
    return auditd_run(&o);
}
