/* SPDX-License-Identifier: Apache-2.0
 *
 * The entry of sallyport-authd. OpenSSL is given an allocator that wipes what is freed: its
 * decoders leave the keys that they read in memory, of which forked children have a copy. */
#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "auth/authd.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/secret.h"

static void *allocate(size_t len, const char *file, int line)
{
    (void)file, (void)line;
    return malloc(len);
}

static void release(void *p, const char *file, int line)
{
    (void)file, (void)line;
    wipe_free(p);
}

static void *reallocate(void *p, size_t len, const char *file, int line)
{
    const size_t old = p ? malloc_usable_size(p) : 0;
    (void)file, (void)line;

    if (len == 0) {
        wipe_free(p);
        return NULL;
    }
    void *grown = malloc(len);
    if (grown && p) {
        memcpy(grown, p, old < len ? old : len);
        wipe_free(p);
    }
    return grown;
}

int main(int argc, char **argv)
{
    struct err e = ERR_INIT;
    const struct authd_options options = {
        .link_fd = SANDBOX_LINK_FD, .store_path = "/store.db", .sealed = true};

    log_init("sallyport-authd");
    /* Before OpenSSL's first use. */
    int rc = CRYPTO_set_mem_functions(allocate, reallocate, release) == 1
                 ? 0
                 : err_set(&e, ERR_CRYPTO, "OpenSSL takes no allocator");
    if (rc == 0)
        rc = sandbox_enter(SANDBOX_AUTHD, argc, argv, &e);
    if (rc == 0)
        rc = authd_run(&options, &e);
    if (rc < 0)
        log_error("stopped", "code=%s text=\"%s\"", err_token((enum err_code)rc), e.text);
    return rc < 0 ? 1 : 0;
}
