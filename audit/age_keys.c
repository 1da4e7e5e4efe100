/* SPDX-License-Identifier: Apache-2.0
 *
 * The texts of age's X25519 keys: Bech32 (BIP 173, without its limit on length). Runs wherever such
 * a text is read from a file, also where nothing else of cryptography is; identities are secrets
 * and stay in the caller's memory. */
#include "audit/age.h"

#include <stdbool.h>
#include <string.h>

#include "base/secret.h"

#define CHECKSUM 6u
/* 32 bytes in groups of 5 bits */
#define GROUPS 52u

static const char alphabet[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
static const char recipient_hrp[] = "age", identity_hrp[] = "age-secret-key-";

static uint32_t polymod_step(uint32_t sum, uint8_t value)
{
    static const uint32_t generator[5] = {0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd,
                                          0x2a1462b3};
    uint32_t top = sum >> 25;

    sum = (sum & 0x1ffffff) << 5 ^ value;
    for (int i = 0; i < 5; i++)
        if (top >> i & 1)
            sum ^= generator[i];
    return sum;
}

static uint32_t polymod(const char *hrp, const uint8_t *values, size_t count)
{
    uint32_t sum = 1;

    for (size_t i = 0; hrp[i]; i++)
        sum = polymod_step(sum, (uint8_t)hrp[i] >> 5);
    sum = polymod_step(sum, 0);
    for (size_t i = 0; hrp[i]; i++)
        sum = polymod_step(sum, hrp[i] & 31);
    for (size_t i = 0; i < count; i++)
        sum = polymod_step(sum, values[i]);
    return sum;
}

static void encode(const char *hrp, const uint8_t key[AGE_KEY_SIZE], char *out)
{
    uint8_t values[GROUPS + CHECKSUM] = {0};
    uint32_t sum;
    size_t n = strlen(hrp);

    for (size_t bit = 0; bit < 8 * AGE_KEY_SIZE; bit++)
        if (key[bit / 8] >> (7 - bit % 8) & 1)
            values[bit / 5] |= (uint8_t)(1u << (4 - bit % 5));
    sum = polymod(hrp, values, sizeof values) ^ 1;
    for (size_t i = 0; i < CHECKSUM; i++)
        values[GROUPS + i] = sum >> 5 * (CHECKSUM - 1 - i) & 31;
    memcpy(out, hrp, n);
    out[n++] = '1';
    for (size_t i = 0; i < sizeof values; i++)
        out[n++] = alphabet[values[i]];
    out[n] = '\0';
    wipe(values, sizeof values);
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Upper or lower case, not both; the checksum is over lower case. what: for messages, which never
 * have the text itself: it may be a secret. */
static int decode(const char *text, const char *hrp, const char *what, uint8_t key[AGE_KEY_SIZE],
                  struct err *e)
{
    uint8_t values[GROUPS + CHECKSUM];
    size_t len = strlen(text), n = strlen(hrp);
    bool has_upper = false, has_lower = false, good = true;

    for (size_t i = 0; i < len; i++) {
        has_upper |= text[i] >= 'A' && text[i] <= 'Z';
        has_lower |= text[i] >= 'a' && text[i] <= 'z';
    }
    if (len != n + 1 + GROUPS + CHECKSUM || (has_upper && has_lower) || text[n] != '1')
        return err_set(e, ERR_INPUT, "not %s", what);
    for (size_t i = 0; i < n; i++)
        if (lower(text[i]) != hrp[i])
            return err_set(e, ERR_INPUT, "not %s", what);
    for (size_t i = 0; i < sizeof values; i++) {
        const char *at = strchr(alphabet, lower(text[n + 1 + i]));

        good &= at != NULL;
        values[i] = at ? (uint8_t)(at - alphabet) : 0;
    }
    good = good && polymod(hrp, values, sizeof values) == 1 && (values[GROUPS - 1] & 15) == 0;
    memset(key, 0, AGE_KEY_SIZE);
    for (size_t bit = 0; bit < 8 * AGE_KEY_SIZE; bit++)
        if (values[bit / 5] >> (4 - bit % 5) & 1)
            key[bit / 8] |= (uint8_t)(1u << (7 - bit % 8));
    wipe(values, sizeof values);
    return good ? 0 : err_set(e, ERR_INPUT, "a mistyped key: its checksum is not right");
}

int age_recipient_parse(const char *text, uint8_t key[AGE_KEY_SIZE], struct err *e)
{
    return decode(text, recipient_hrp,
                  "an X25519 recipient of age (\"age1\" and 58 characters, as age-keygen -y prints "
                  "it)",
                  key, e);
}

void age_recipient_text(const uint8_t key[AGE_KEY_SIZE], char out[AGE_RECIPIENT_TEXT])
{
    encode(recipient_hrp, key, out);
}

int age_identity_parse(const char *text, uint8_t key[AGE_KEY_SIZE], struct err *e)
{
    return decode(text, identity_hrp, "an X25519 identity of age (\"AGE-SECRET-KEY-1\"...)", key,
                  e);
}

void age_identity_text(const uint8_t key[AGE_KEY_SIZE], char out[AGE_IDENTITY_TEXT])
{
    encode(identity_hrp, key, out);
    for (size_t i = 0; out[i]; i++)
        if (out[i] >= 'a' && out[i] <= 'z')
            out[i] = (char)(out[i] - 'a' + 'A');
}
