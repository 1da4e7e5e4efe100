/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzes where a connection wants to go: the CONNECT line's target, a zero byte, the user name.
 * What is taken must be exactly what the grammar permits, and the frontend and authd must agree
 * about who is named. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "auth/destination.h"

#define HOST    "abcdefghijklmnopqrstuvwxyz0123456789.-"
#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void check_operator(const char *user)
{
    char name[65];
    const size_t len = destination_operator(user, name);

    require((len == 0) == (name[0] == '\0') && len <= 65);
    if (len == 0)
        return;
    require(strncmp(user, name, len - 1) == 0 && user[len - 1] == '+' && strlen(name) == len - 1);
    require(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_.-") == len - 1);
    require(!strchr("0123456789.-", name[0]));
    /* The first plus, before any at, and the only one before it. */
    const char *rest = user + len;
    require(!memchr(rest, '+', strcspn(rest, "@")));
}

static void check_parse(const char *target, const char *user)
{
    struct destination d;
    char name[65];

    destination_parse(target, user, &d);
    require(memchr(d.target, 0, sizeof d.target) && memchr(d.account, 0, sizeof d.account) &&
            memchr(d.problem, 0, sizeof d.problem) && memchr(d.token, 0, sizeof d.token));
    require(d.valid == (d.token[0] == '\0'));
    for (const char *p = d.problem; *p; p++)
        require((unsigned char)*p >= 0x20 && *p != 0x7f);
    if (!d.valid) {
        require(!d.gateway && !d.target[0] && !d.account[0]);
        return;
    }
    require(d.target[0] && strspn(d.target, HOST) == strlen(d.target));
    require(d.gateway == (strcmp(d.target, "gateway") == 0));
    if (d.gateway) {
        require(!d.account[0]);
        return;
    }
    require(d.account[0] && strchr(LETTERS "_", d.account[0]));
    require(strspn(d.account, LETTERS "0123456789_.-") == strlen(d.account));
    /* The account is what stands behind the name, and before the target in plain SSH. */
    const char *account = user + destination_operator(user, name);
    const size_t len = strlen(d.account);
    require(strncmp(account, d.account, len) == 0);
    require(*target ? account[len] == '\0' : account[len] == '@');
    require(*target || strcmp(account + len + 1, d.target) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char target[261] = "", user[256] = "";
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    const size_t first = zero ? (size_t)(zero - data) : size;

    if (first >= sizeof target || (zero && size - first - 1 >= sizeof user))
        return 0;
    if (first)
        memcpy(target, data, first);
    if (zero)
        memcpy(user, zero + 1, size - first - 1); /* up to the next zero byte */
    check_operator(user);
    check_parse(target, user);
    check_parse("", user);
    return 0;
}
