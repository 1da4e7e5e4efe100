/* SPDX-License-Identifier: Apache-2.0
 *
 * See auth/enrol.h. 120 random bits need no slow hash. */
#include "auth/enrol.h"

#include <ctype.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <string.h>

#include "base/secret.h"

#define TOKEN_CHARS 24 /* 120 bits, 5 a character */

static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";

int enrol_token_make(char out[ENROL_TOKEN_TEXT], struct err *e)
{
    uint8_t random[TOKEN_CHARS];
    char *p = out;

    if (RAND_priv_bytes(random, sizeof random) != 1)
        return err_set(e, ERR_CRYPTO, "no random bytes");
    memcpy(p, "spe", 3);
    p += 3;
    for (size_t i = 0; i < TOKEN_CHARS; i++) {
        if (i % 4 == 0)
            *p++ = '-';
        *p++ = alphabet[random[i] & 31];
    }
    *p = '\0';
    wipe(random, sizeof random);
    return 0;
}

bool enrol_token_looks(const char *answer)
{
    return strncasecmp(answer, "spe-", 4) == 0;
}

int enrol_token_hash(const char *answer, uint8_t out[ENROL_HASH_BYTES])
{
    char normal[TOKEN_CHARS];
    size_t n = 0;
    int rc = 0;

    if (!enrol_token_looks(answer))
        return ERR_SYNTAX;
    for (const char *p = answer + 4; *p && rc == 0; p++) {
        int c = tolower((unsigned char)*p);
        if (c == '-' || c == ' ')
            continue;
        if (!strchr(alphabet, c) || n == sizeof normal)
            rc = ERR_SYNTAX;
        else
            normal[n++] = (char)c;
    }
    if (n != sizeof normal)
        rc = ERR_SYNTAX;
    if (rc == 0)
        SHA256((const uint8_t *)normal, sizeof normal, out);
    wipe(normal, sizeof normal);
    return rc;
}
