/* SPDX-License-Identifier: Apache-2.0
 *
 * See auth/totp.h. liboath computes, we compare: every call costs the same three HMACs. */
#include "auth/totp.h"

#include <ctype.h>
#include <liboath/oath.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

int totp_init(struct err *e)
{
    int rc = oath_init();
    return rc == OATH_OK ? 0 : err_set(e, ERR_CRYPTO, "liboath: %s", oath_strerror(rc));
}

int totp_code(const struct secret *key, uint64_t step, char out[TOTP_DIGITS + 1])
{
    int rc = oath_hotp_generate((const char *)secret_view(key), secret_len(key), step, TOTP_DIGITS,
                                false, OATH_HOTP_DYNAMIC_TRUNCATION, out);
    return rc == OATH_OK ? 0 : ERR_CRYPTO;
}

int totp_match(const struct secret *key, uint64_t now_s, const char *code, uint64_t *step)
{
    char padded[TOTP_DIGITS] = {0}, expected[TOTP_DIGITS + 1];
    size_t len = strnlen(code, TOTP_DIGITS + 1);
    uint64_t now_step = now_s / TOTP_STEP_S, first = now_step ? now_step - 1 : 0;
    bool found = false;

    memcpy(padded, code, len < TOTP_DIGITS ? len : TOTP_DIGITS);
    for (uint64_t s = first; s <= now_step + 1; s++) {
        if (totp_code(key, s, expected) < 0)
            continue;
        if (CRYPTO_memcmp(padded, expected, TOTP_DIGITS) == 0) {
            found = true;
            *step = s;
        }
    }
    wipe(expected, sizeof expected);
    wipe(padded, sizeof padded);
    return found && len == TOTP_DIGITS ? 0 : ERR_DENIED;
}

/* RFC 3986 percent encoding of whatever is not unreserved. */
static int put_encoded(struct buf *out, const char *text)
{
    int rc = 0;
    for (const unsigned char *p = (const unsigned char *)text; *p && rc == 0; p++) {
        if (isalnum(*p) || strchr("-._~", *p))
            rc = buf_put(out, p, 1);
        else
            rc = buf_printf(out, "%%%02X", *p);
    }
    return rc;
}

int totp_uri(const struct secret *key, const char *gateway, const char *operator_name,
             struct buf *out, struct err *e)
{
    char *base32 = NULL;
    size_t base32_len = 0;
    int rc;

    if (oath_base32_encode((const char *)secret_view(key), secret_len(key), &base32, &base32_len) !=
        OATH_OK)
        return err_set(e, ERR_MEMORY, "otpauth URI");
    if ((rc = buf_printf(out, "otpauth://totp/")) < 0 || (rc = put_encoded(out, gateway)) < 0 ||
        (rc = buf_printf(out, ":")) < 0 || (rc = put_encoded(out, operator_name)) < 0 ||
        (rc = buf_printf(out, "?secret=")) < 0 ||
        (rc = buf_put(out, base32, strcspn(base32, "="))) < 0 ||
        (rc = buf_printf(out, "&issuer=")) < 0 || (rc = put_encoded(out, gateway)) < 0 ||
        (rc = buf_printf(out, "&algorithm=SHA1&digits=%d&period=%d", TOTP_DIGITS, TOTP_STEP_S)) < 0)
        err_set(e, (enum err_code)rc, "otpauth URI");
    wipe(base32, base32_len);
    free(base32);
    return rc;
}
