/* SPDX-License-Identifier: Apache-2.0
 *
 * A machine over the bytes of one direction (gateway/sftp_elide.h). It keeps no byte: what it has
 * to know of a packet are numbers of 32 bits, and each is looked at when its last byte has passed.
 * Runs in the frontend and in the backend; the bytes are hostile. Pure. */
#include "gateway/sftp_elide.h"

#include <stdbool.h>
#include <stdlib.h>

#define TYPE_WRITE 6
#define TYPE_DATA  103
#define HASH_SIZE  32

#define MIN(a, b)  ((a) < (b) ? (a) : (b))

/* Which number is complete when `wait` more bytes have passed; or what the bytes are. */
enum place {
    AT_LENGTH,    /* the packet's */
    AT_TYPE,      /* the byte */
    AT_HANDLE,    /* WRITE: id, then the handle's length */
    AT_DATA_SIZE, /* WRITE: handle, offset, then the data's length; DATA: id, then that */
    IN_DATA,      /* left out */
    IN_REST,      /* of the packet */
    IN_VERBATIM,  /* for good */
};

struct sftp_elider {
    enum sftp_side side;
    enum place place;
    uint32_t number; /* the last four bytes */
    uint32_t wait;
    uint32_t left; /* bytes of the packet that are still to come, without those of its data */
    uint32_t data; /* bytes of the data that are still to come */
    const EVP_MD *sha256;
    EVP_MD_CTX *digest; /* of the data; NULL for SFTP_RESPONSES */
};

static void next(struct sftp_elider *s, enum place place, uint32_t wait)
{
    s->place = place;
    s->wait = wait;
}

struct sftp_elider *sftp_elider_new(enum sftp_side side, const EVP_MD *sha256)
{
    struct sftp_elider *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->side = side;
    next(s, AT_LENGTH, 4);
    if (side == SFTP_REQUESTS) {
        s->sha256 = sha256;
        s->digest = EVP_MD_CTX_new();
        if (!s->digest) {
            free(s);
            return NULL;
        }
    }
    return s;
}

void sftp_elider_free(struct sftp_elider *s)
{
    if (!s)
        return;
    EVP_MD_CTX_free(s->digest);
    free(s);
}

static void to_rest(struct sftp_elider *s)
{
    if (s->left > 0)
        next(s, IN_REST, 0);
    else
        next(s, AT_LENGTH, 4);
}

/* The number that was waited for is there. */
static void decide(struct sftp_elider *s)
{
    const uint32_t number = s->number;

    switch (s->place) {
    case AT_LENGTH:
        s->left = number;
        next(s, number > 0 && number <= SFTP_PACKET_MAX ? AT_TYPE : IN_VERBATIM, 1);
        return;
    case AT_TYPE:
        if ((number & 0xff) != (s->side == SFTP_REQUESTS ? TYPE_WRITE : TYPE_DATA))
            to_rest(s);
        else if (s->left < 8)
            next(s, IN_VERBATIM, 0);
        else
            next(s, s->side == SFTP_REQUESTS ? AT_HANDLE : AT_DATA_SIZE, 8);
        return;
    case AT_HANDLE:
        if (number > SFTP_HANDLE_MAX || number + 12 > s->left)
            next(s, IN_VERBATIM, 0);
        else
            next(s, AT_DATA_SIZE, number + 12);
        return;
    case AT_DATA_SIZE:
        if (number > s->left) {
            next(s, IN_VERBATIM, 0);
            return;
        }
        s->data = number;
        s->left -= number;
        next(s, IN_DATA, 0);
        if (s->digest)
            INVARIANT(EVP_DigestInit_ex(s->digest, s->sha256, NULL) == 1);
        return;
    case IN_DATA:
    case IN_REST:
    case IN_VERBATIM:
        return;
    }
}

/* Bytes of p that pass, up to where data begins; whether it begins there. */
static bool pass(struct sftp_elider *s, const uint8_t *p, size_t len, size_t *passed)
{
    size_t i = 0;

    while (i < len && s->place != IN_DATA) {
        if (s->place == IN_VERBATIM) {
            i = len;
        } else if (s->place == IN_REST) {
            size_t n = MIN(len - i, (size_t)s->left);

            i += n;
            s->left -= (uint32_t)n;
            to_rest(s);
        } else {
            s->number = s->number << 8 | p[i++];
            if (s->place != AT_LENGTH)
                s->left--;
            if (--s->wait == 0)
                decide(s);
        }
    }
    *passed = i;
    return s->place == IN_DATA;
}

int sftp_elide(struct sftp_elider *s, const void *bytes, size_t len, sftp_elider_put put, void *arg)
{
    const uint8_t *p = bytes;
    uint8_t hash[HASH_SIZE];
    size_t n;
    int rc;

    while (len > 0) {
        bool data = pass(s, p, len, &n);

        rc = n > 0 ? put(arg, p, n) : 0;
        if (rc != 0 || !data)
            return rc;
        p += n;
        len -= n;
        n = MIN(len, (size_t)s->data);
        if (s->digest && n > 0)
            INVARIANT(EVP_DigestUpdate(s->digest, p, n) == 1);
        p += n;
        len -= n;
        s->data -= (uint32_t)n;
        if (s->data > 0)
            return 0;
        to_rest(s);
        if (s->digest) {
            INVARIANT(EVP_DigestFinal_ex(s->digest, hash, NULL) == 1);
            rc = put(arg, hash, sizeof hash);
            if (rc != 0)
                return rc;
        }
    }
    return 0;
}
