/* SPDX-License-Identifier: Apache-2.0
 *
 * The entry of sallyport-authd. */
#include "auth/authd.h"
#include "base/log.h"
#include "base/sandbox.h"

int main(int argc, char **argv)
{
    struct err e = ERR_INIT;
    const struct authd_options options = {
        .link_fd = SANDBOX_LINK_FD, .store_path = "/store.db", .sealed = true};

    log_init("sallyport-authd");
    int rc = sandbox_enter(SANDBOX_AUTHD, argc, argv, &e);
    if (rc == 0)
        rc = authd_run(&options, &e);
    if (rc < 0)
        log_error("stopped", "code=%s text=\"%s\"", err_token((enum err_code)rc), e.text);
    return rc < 0 ? 1 : 0;
}
