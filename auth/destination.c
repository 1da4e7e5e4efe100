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
/* policy/load.c, NAME_OPERATOR */
#define OPERATOR_FIRST "abcdefghijklmnopqrstuvwxyz_"
#define OPERATOR_CHARS OPERATOR_FIRST "0123456789.-"
#define OPERATOR_MAX   64

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

size_t destination_operator(const char *user, char out[65])
{
    const size_t whole = strcspn(user, "@"), len = strcspn(user, "+");

    out[0] = '\0';
    if (len >= whole || len == 0 || len > OPERATOR_MAX || !strchr(OPERATOR_FIRST, user[0]) ||
        strspn(user, OPERATOR_CHARS) != len || memchr(user + len + 1, '+', whole - len - 1))
        return 0;
    memcpy(out, user, len);
    out[len] = '\0';
    return len + 1;
}

void destination_parse(const char *connect_target, const char *user, struct destination *out)
{
    const char *whole = user;
    char named[OPERATOR_MAX + 1];

    memset(out, 0, sizeof *out);
    out->valid = true;
    user += destination_operator(user, named);
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
               "The user name \"%s\" does not say where to: it is ACCOUNT@TARGET here, or"
               " OPERATOR+ACCOUNT@TARGET.",
               whole, strlen(whole));
    else if (take_host(out, at + 1, strlen(at + 1)))
        take_account(out, user, (size_t)(at - user));
}
