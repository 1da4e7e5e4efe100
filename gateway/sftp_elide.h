/* SPDX-License-Identifier: Apache-2.0
 *
 * The recorded form of one direction of an SFTP channel: every packet as it crossed, but for the
 * contents of files. What is left out is, in the operator's direction, each WRITE's data, with its
 * SHA-256 in its place; in the target's direction each DATA's data, with nothing in its place. So
 * the trail has each request word for word, a few bytes for each block of a file, and nothing of
 * what was in it. Lengths are as they crossed:
 *
 * - WRITE: uint32 length, byte 6, uint32 id, string handle, uint64 offset, uint32 data length,
 *   SHA-256 of the data (32 bytes), what follows the data up to length
 * - DATA: uint32 length, byte 103, uint32 id, uint32 data length, what follows the data up to
 * length
 *
 * A stream that is not of this form (a packet of no byte or of more than SFTP_PACKET_MAX, a WRITE
 * or DATA whose parts do not fit into its length, a handle longer than SFTP_HANDLE_MAX) is recorded
 * verbatim from that packet on. The form of a stream's beginning is a beginning of its form: each
 * byte stands there as soon as it crossed, each SHA-256 with its data's last byte; so it does not
 * depend on how the stream is cut. The frontend and the backend make this form each for itself, so
 * the frontend's attestation covers every request of an operator and the contents that he sent.
 * State is bounded, the bytes are hostile, no I/O. Source: draft-ietf-secsh-filexfer-02;
 * docs/FORMAT.md, "The recorded form of SFTP". */
#ifndef SALLYPORT_GATEWAY_SFTP_ELIDE_H
#define SALLYPORT_GATEWAY_SFTP_ELIDE_H

#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/sha256.h"

#define SFTP_PACKET_MAX (256u * 1024) /* OpenSSH's SFTP_MAX_MSG_LENGTH */
#define SFTP_HANDLE_MAX 256u          /* the draft's own maximum */

enum sftp_side { SFTP_REQUESTS, SFTP_RESPONSES };

struct sftp_elider; /* opaque */

/* sha256 as EVP_MD_fetch gave it, borrowed; SFTP_RESPONSES takes NULL. NULL when memory is out. */
struct sftp_elider *sftp_elider_new(enum sftp_side side, const EVP_MD *sha256);
void sftp_elider_free(struct sftp_elider *s);
/* Calls put with pieces of the recorded form, in order, none empty and none larger than the larger
 * of len and 32 bytes; all of them together are at most len + SFTP_ELIDE_GROWTH(len) bytes. put's
 * failure is returned, and the elider is of no use after it. */
typedef int (*sftp_elider_put)(void *arg, const void *p, size_t len);
MUST_CHECK int sftp_elide(struct sftp_elider *s, const void *p, size_t len, sftp_elider_put put,
                          void *arg);
/* For SFTP_REQUESTS, before anything came: the data of WRITEs that follow one another in a file are
 * hashed as one stream too, where that costs nothing (base/sha256.h). Does nothing elsewhere. */
void sftp_elide_along(struct sftp_elider *s);
/* What that stream was after one WRITE's data. */
struct sftp_along {
    uint64_t at;     /* where the data began, in bytes of the whole direction */
    uint64_t before; /* the `at` of the data that came before them in the stream; 0: none did */
    uint32_t len;
    struct sha256 after;
};
/* Of the data that began there; NULL: it is not known (any more). Ask in ascending order. */
const struct sftp_along *sftp_elided_along(struct sftp_elider *s, uint64_t at);
/* How much longer the form of len bytes can be: 32 for each WRITE, which has at least 25 bytes of
 * its own when it is empty, and the one that began before. */
#define SFTP_ELIDE_GROWTH(len) (((len) / 25 + 1) * 32)

#endif
