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
#define HASH_SIZE  SHA256_SIZE
/* What a window holds of WRITEs of 32 KiB, twice. */
#define ALONG_KEPT 64u

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
    struct sha256 digest; /* of the data; SFTP_REQUESTS */
    uint64_t earlier;     /* the eight bytes before `number` */
    uint64_t position;    /* in the direction, of the piece that is looked at */
    struct along *along;  /* NULL: not asked for */
};

/* The data of one WRITE after the other. */
struct along {
    struct sha256 stream;
    uint64_t next;         /* where a WRITE goes on with it */
    struct sftp_along now; /* the data that come */
    uint64_t last;         /* the newest that are in the stream */
    unsigned first, count; /* of kept, a ring */
    struct sftp_along kept[ALONG_KEPT];
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
        if (sha256_init(&s->digest, sha256) != 0) {
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
    sha256_clear(&s->digest);
    free(s->along);
    free(s);
}

static void to_rest(struct sftp_elider *s)
{
    if (s->left > 0)
        next(s, IN_REST, 0);
    else
        next(s, AT_LENGTH, 4);
}

/* --- the stream that goes along */

void sftp_elide_along(struct sftp_elider *s)
{
    struct along *a;

    if (s->side != SFTP_REQUESTS || s->digest.ctx || !sha256_pairs())
        return;
    a = calloc(1, sizeof *a);
    if (!a) /* whoever wants the stream hashes it */
        return;
    if (sha256_init(&a->stream, s->digest.md) != 0) {
        free(a);
        return;
    }
    s->along = a;
}

static void along_begin(struct along *a, uint64_t offset)
{
    if (offset != a->next || a->last == 0) {
        sha256_restart(&a->stream);
        a->last = 0;
        a->next = offset;
    }
    a->now = (struct sftp_along){.before = a->last};
}

static void along_end(struct along *a)
{
    if (a->now.len == 0)
        return;
    a->now.after = a->stream;
    a->next += a->now.len;
    a->last = a->now.at;
    if (a->count == ALONG_KEPT) {
        a->first = (a->first + 1) % ALONG_KEPT;
        a->count--;
    }
    a->kept[(a->first + a->count++) % ALONG_KEPT] = a->now;
}

const struct sftp_along *sftp_elided_along(struct sftp_elider *s, uint64_t at)
{
    struct along *a = s->along;

    while (a && a->count > 0 && a->kept[a->first].at < at) {
        a->first = (a->first + 1) % ALONG_KEPT;
        a->count--;
    }
    return a && a->count > 0 && a->kept[a->first].at == at ? &a->kept[a->first] : NULL;
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
        if (s->side == SFTP_REQUESTS)
            sha256_restart(&s->digest);
        if (s->along)
            along_begin(s->along, s->earlier);
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
            s->earlier = s->earlier << 8 | s->number >> 24;
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

/* n bytes of data, at s->position. */
static void hash(struct sftp_elider *s, const uint8_t *p, size_t n)
{
    struct along *a = s->along;

    if (s->side != SFTP_REQUESTS || n == 0)
        return;
    if (!a) {
        sha256_update(&s->digest, p, n);
        return;
    }
    sha256_update_two(&s->digest, p, n, &a->stream, p, n);
    if (a->now.len == 0)
        a->now.at = s->position;
    a->now.len += (uint32_t)n;
}

int sftp_elide(struct sftp_elider *s, const void *bytes, size_t len, sftp_elider_put put, void *arg)
{
    const uint8_t *p = bytes;
    uint8_t value[HASH_SIZE];
    size_t n;
    int rc;

    while (len > 0) {
        bool data = pass(s, p, len, &n);

        s->position += n;
        rc = n > 0 ? put(arg, p, n) : 0;
        if (rc != 0 || !data)
            return rc;
        p += n;
        len -= n;
        n = MIN(len, (size_t)s->data);
        hash(s, p, n);
        s->position += n;
        p += n;
        len -= n;
        s->data -= (uint32_t)n;
        if (s->data > 0)
            return 0;
        to_rest(s);
        if (s->side == SFTP_REQUESTS) {
            sha256_value(&s->digest, value);
            if (s->along)
                along_end(s->along);
            rc = put(arg, value, sizeof value);
            if (rc != 0)
                return rc;
        }
    }
    return 0;
}
