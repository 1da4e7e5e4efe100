/* SPDX-License-Identifier: Apache-2.0
 *
 * A direction of SFTP on its way to the trail. The first byte says which, the second how long the
 * pieces are: their form is that of the whole, as is that of its beginning; and what is recorded
 * of a stream of well-formed packets is what gateway/sftp_wire.h reads in them. */
#include <openssl/evp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "gateway/sftp_elide.h"
#include "gateway/sftp_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SIZE_MAX_IN 16384
#define FORM_MAX    (SIZE_MAX_IN + SFTP_ELIDE_GROWTH(SIZE_MAX_IN))

static EVP_MD *sha256;

static int take(void *arg, const void *p, size_t len)
{
    if (len == 0)
        abort();
    return buf_put(arg, p, len);
}

/* In pieces of n bytes, each in memory of its own. */
static void form(enum sftp_side side, const uint8_t *p, size_t len, size_t n, struct buf *out)
{
    struct sftp_elider *s = sftp_elider_new(side, side == SFTP_REQUESTS ? sha256 : NULL);

    if (!s)
        abort();
    while (len > 0) {
        size_t now = len < n ? len : n, before = buf_len(out);
        uint8_t *copy = malloc(now);

        if (!copy)
            abort();
        memcpy(copy, p, now);
        if (sftp_elide(s, copy, now, take, out) != 0 ||
            buf_len(out) - before > now + SFTP_ELIDE_GROWTH(now))
            abort();
        free(copy);
        p += now;
        len -= now;
    }
    sftp_elider_free(s);
}

/* Takes len bytes off the form and says whether they are these. */
static void expect(struct buf *b, const void *p, size_t len)
{
    if (buf_len(b) < len || (len > 0 && memcmp(buf_head(b), p, len) != 0))
        abort();
    buf_consume(b, len);
}

/* Packet by packet, as long as they are well-formed, against the form of the whole stream. */
static void compare(enum sftp_side side, const uint8_t *p, size_t len, struct buf *whole)
{
    struct bytes packet, contents;
    uint8_t hash[32];

    while (sftp_packet_first(p, len, &packet, NULL) == 1) {
        struct sftp_request q = {0};
        struct sftp_response r = {0};
        bool left_out;

        if (side == SFTP_REQUESTS ? sftp_request_parse(packet.p, packet.len, &q, NULL) != 0
                                  : sftp_response_parse(packet.p, packet.len, &r, NULL) != 0)
            return;
        left_out = q.type == SFTP_WRITE || r.type == SFTP_DATA;
        contents = side == SFTP_REQUESTS ? q.data : r.data;
        expect(whole, p, packet.len + 4 - (left_out ? contents.len : 0));
        if (q.type == SFTP_WRITE) {
            if (EVP_Digest(contents.p, contents.len, hash, NULL, sha256, NULL) != 1)
                abort();
            expect(whole, hash, sizeof hash);
        }
        p += packet.len + 4;
        len -= packet.len + 4;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum sftp_side side;
    struct buf whole, pieces, begin;

    if (!sha256)
        sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!sha256 || size < 2 || size > SIZE_MAX_IN)
        return 0;
    side = data[0] & 1 ? SFTP_RESPONSES : SFTP_REQUESTS;
    buf_init(&whole, FORM_MAX);
    buf_init(&pieces, FORM_MAX);
    buf_init(&begin, FORM_MAX);
    form(side, data + 2, size - 2, size, &whole);
    form(side, data + 2, size - 2, 1 + data[1], &pieces);
    form(side, data + 2, (size - 2) / 2, 1, &begin);
    if (buf_len(&whole) != buf_len(&pieces) || buf_len(&begin) > buf_len(&whole) ||
        memcmp(buf_head(&whole), buf_head(&pieces), buf_len(&whole)) != 0 ||
        memcmp(buf_head(&whole), buf_head(&begin), buf_len(&begin)) != 0)
        abort();
    compare(side, data + 2, size - 2, &whole);
    buf_clear(&whole);
    buf_clear(&pieces);
    buf_clear(&begin);
    return 0;
}
