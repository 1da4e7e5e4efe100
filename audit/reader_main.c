/* SPDX-License-Identifier: Apache-2.0
 *
 * Entry of sallyport-reader. Its root is the trail's directory, so that the descriptor of it leads
 * nowhere else. */
#include <stdlib.h>

#include "audit/reader.h"
#include "base/log.h"
#include "base/sandbox.h"

static int seal(struct err *e)
{
    return sandbox_seal(SANDBOX_READER, e);
}

int main(int argc, char **argv)
{
    struct reader_options o = {.link_fd = SANDBOX_LINK_FD, .seal = seal};
    struct err e = ERR_INIT;

    log_init("reader");
    if (sandbox_enter(SANDBOX_READER, argc, argv, &e) < 0) {
        log_error("sandbox", "error=\"%s\"", e.text);
        return EXIT_FAILURE;
    }
    return reader_run(&o);
}
