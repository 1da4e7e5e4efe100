/* SPDX-License-Identifier: Apache-2.0
 *
 * See auth/destination.h. */
#include "auth/destination.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"

#define HOST_CHARS    "abcdefghijklmnopqrstuvwxyz0123456789.-"
#define LETTERS       "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define ACCOUNT_CHARS LETTERS "0123456789_.-"

static void refuse(struct destination *d, const char *token, const char *format, const char *what,
                   size_t len)
{
    char shown[600];
    d->valid = d->gateway = false;
    d->target[0] = d->account[0] = '\0';
    snprintf(d->token, sizeof d->token, "%s", token);
    escape_text(shown, sizeof shown, what, len);
    /* The format is one of this file's. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(d->problem, sizeof d->problem, format, shown);
#pragma GCC diagnostic pop
}

static bool take_host(struct destination *d, const char *host, size_t len)
{
    if (len == 0 || len >= sizeof d->target || strspn(host, HOST_CHARS) < len) {
        refuse(d, "unknown-target",
               "There is no target named \"%s\": names have lower-case letters, digits, dots and"
               " hyphens; `ssh gateway hosts` lists yours.",
               host, len);
        return false;
    }
    memcpy(d->target, host, len);
    d->target[len] = '\0';
    d->gateway = strcmp(d->target, DESTINATION_GATEWAY) == 0;
    return true;
}

static void take_account(struct destination *d, const char *account, size_t len)
{
    if (d->gateway) {
        d->account[0] = '\0';
        return;
    }
    if (len == 0 || len >= sizeof d->account || !strchr(LETTERS "_", account[0]) ||
        strspn(account, ACCOUNT_CHARS) < len) {
        refuse(d, "account", "\"%s\" is not an account's name.", account, len);
        return;
    }
    memcpy(d->account, account, len);
    d->account[len] = '\0';
}

void destination_parse(const char *connect_target, const char *user, struct destination *out)
{
    memset(out, 0, sizeof *out);
    out->valid = true;
    if (*connect_target) {
        const char *colon = strrchr(connect_target, ':');
        if (!colon || strcmp(colon, ":22") != 0)
            refuse(out, "unknown-target",
                   "\"%s\" cannot be reached: every target is asked for with port 22, the"
                   " inventory knows its real one.",
                   connect_target, strlen(connect_target));
        else if (take_host(out, connect_target, (size_t)(colon - connect_target)))
            take_account(out, user, strlen(user));
        return;
    }
    const char *at = strchr(user, '@');
    if (!at || strchr(at + 1, '@'))
        refuse(out, "unknown-target",
               "The user name \"%s\" does not say where to: it is ACCOUNT@TARGET here.", user,
               strlen(user));
    else if (take_host(out, at + 1, strlen(at + 1)))
        take_account(out, user, (size_t)(at - user));
}
