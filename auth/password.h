/* SPDX-License-Identifier: Apache-2.0
 *
 * Passwords as they are kept: yescrypt by libxcrypt, crypt(5), always with the same cost. So what
 * is asked about an operator who has none costs what any other costs, and a hash of any other form
 * is none of ours. Made by `sallyport user password`, checked by authd (auth/hasher.h). Pure but
 * for the random salt.
 *
 *     setting = "$y$j9T$" 22salt         N = 4096, r = 32: 16 MiB; 18 ms on the build machines
 *     hash    = setting "$" 43digest     both of [./0-9A-Za-z] */
#ifndef SALLYPORT_AUTH_PASSWORD_H
#define SALLYPORT_AUTH_PASSWORD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* In bytes, when it is set. */
#define PASSWORD_MIN 8
/* Also the longest that a login takes (auth/login.def); libxcrypt hashes no longer ones. */
#define PASSWORD_MAX     511

#define PASSWORD_SETTING 29 /* characters */
#define PASSWORD_HASH    73

/* One with a new salt. */
MUST_CHECK int password_setting(char out[PASSWORD_SETTING + 1], struct err *e);
/* Is it one of ours? text: any string. */
bool password_setting_is(const char *text);
bool password_hash_is(const char *text);
/* What a person may choose. ERR_INPUT: too short, too long, or has a NUL. */
MUST_CHECK int password_acceptable(const void *bytes, size_t len, struct err *e);
/* ERR_CRYPTO: the setting is none of ours, or memory is out. */
MUST_CHECK int password_hash(const char *password, const char *setting, char out[PASSWORD_HASH + 1],
                             struct err *e);

#endif
