/* SPDX-License-Identifier: Apache-2.0
 *
 * See auth/password.h. */
#include "auth/password.h"

#include <crypt.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"

#define METHOD "$y$j9T$"
#define COST   5 /* what libxcrypt turns into METHOD */
#define DIGITS "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

bool password_setting_is(const char *text)
{
    return strlen(text) == PASSWORD_SETTING && strncmp(text, METHOD, strlen(METHOD)) == 0 &&
           strspn(text + strlen(METHOD), DIGITS) == PASSWORD_SETTING - strlen(METHOD);
}

bool password_hash_is(const char *text)
{
    char setting[PASSWORD_SETTING + 1] = "";

    if (strlen(text) != PASSWORD_HASH || text[PASSWORD_SETTING] != '$')
        return false;
    memcpy(setting, text, PASSWORD_SETTING);
    return password_setting_is(setting) &&
           strspn(text + PASSWORD_SETTING + 1, DIGITS) == PASSWORD_HASH - PASSWORD_SETTING - 1;
}

int password_setting(char out[PASSWORD_SETTING + 1], struct err *e)
{
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];

    if (!crypt_gensalt_rn("$y$", COST, NULL, 0, setting, sizeof setting) ||
        !password_setting_is(setting))
        return err_set(e, ERR_CRYPTO, "libxcrypt makes no salt for yescrypt");
    strcpy(out, setting);
    return 0;
}

int password_acceptable(const void *bytes, size_t len, struct err *e)
{
    if (len && memchr(bytes, '\0', len))
        return err_set(e, ERR_INPUT, "a password has no byte that is zero");
    if (len < PASSWORD_MIN || len > PASSWORD_MAX)
        return err_set(e, ERR_INPUT, "the password has %zu bytes, expected %d to %d", len,
                       PASSWORD_MIN, PASSWORD_MAX);
    return 0;
}

int password_hash(const char *password, const char *setting, char out[PASSWORD_HASH + 1],
                  struct err *e)
{
    _Static_assert(PASSWORD_MAX < CRYPT_MAX_PASSPHRASE_SIZE, "libxcrypt refuses what is longer");
    struct crypt_data *data; /* 32 KiB */
    const char *hash;
    int rc = 0;

    if (strnlen(password, PASSWORD_MAX + 1) > PASSWORD_MAX || !password_setting_is(setting))
        return err_set(e, ERR_CRYPTO, "not a password and a setting of ours");
    if (!(data = calloc(1, sizeof *data)))
        return err_set(e, ERR_MEMORY, "hashing a password");
    hash = crypt_rn(password, setting, data, sizeof *data);
    if (!hash || !password_hash_is(hash))
        rc = err_set(e, ERR_CRYPTO, "libxcrypt makes no yescrypt hash");
    else
        strcpy(out, hash);
    wipe(data, sizeof *data);
    free(data);
    return rc;
}
