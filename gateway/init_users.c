/* SPDX-License-Identifier: Apache-2.0
 *
 * System users (gateway/init_users.h). */
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/cli.h"
#include "gateway/init_users.h"

static int make_user(const char *user, struct err *e)
{
    char *words[] = {cli_printf("useradd"),
                     cli_printf("--system"),
                     cli_printf("--user-group"),
                     cli_printf("--no-create-home"),
                     cli_printf("--home-dir"),
                     cli_printf("/nonexistent"),
                     cli_printf("--shell"),
                     cli_printf("/usr/sbin/nologin"),
                     cli_printf("--comment"),
                     cli_printf("Sallyport"),
                     cli_printf("--"),
                     cli_printf("%s", user),
                     NULL};
    int status = cli_run(words, e);
    for (size_t i = 0; words[i]; i++)
        free(words[i]);
    if (status < 0)
        return status;
    return status == 0
               ? 0
               : err_set(e, ERR_SYSTEM, "cannot make the user %s: useradd ended with status %d",
                         user, status);
}

int init_user(const char *user, uid_t *uid, gid_t *gid, int *made, struct err *e)
{
    char *end;
    errno = 0;
    unsigned long number = strtoul(user, &end, 10);
    if (user[0] >= '0' && user[0] <= '9') {
        if (*end || errno || number == 0 || number > 4294967294UL)
            return err_set(e, ERR_INPUT,
                           "found the uid \"%s\", expected a number from 1 to 4294967294", user);
        *uid = (uid_t)number;
        *gid = (gid_t)number;
        return 0;
    }
    const struct passwd *p = getpwnam(user);
    if (!p) {
        int r = make_user(user, e);
        if (r != 0)
            return r;
        *made = 1;
        p = getpwnam(user);
    }
    if (!p)
        return err_set(e, ERR_NOT_FOUND, "the user %s does not exist", user);
    if (p->pw_uid == 0)
        return err_set(e, ERR_INPUT, "the user %s is root", user);
    *uid = p->pw_uid;
    *gid = p->pw_gid;
    return 0;
}
