/* SPDX-License-Identifier: Apache-2.0
 *
 * What SFTP's requests and responses are made of, shared by their codecs. Private to
 * gateway/sftp_{wire,request,response}.c. Errors stick in the reader or writer (base/wire.h). */
#ifndef SALLYPORT_GATEWAY_SFTP_FIELDS_H
#define SALLYPORT_GATEWAY_SFTP_FIELDS_H

#include "gateway/sftp_wire.h"

/* Every count is checked by what stands behind it: an entry takes its bytes or the reader fails, so
 * no loop is longer than the packet. */
struct sftp_attrs sftp_get_attrs(struct wire_reader *r);
void sftp_put_attrs(struct wire_writer *w, const struct sftp_attrs *a);
/* Pairs of strings up to the end of the packet. */
struct bytes sftp_get_pairs(struct wire_reader *r);
/* count entries of NAME. */
struct bytes sftp_get_names(struct wire_reader *r, uint32_t count);
/* Everything that is left. */
struct bytes sftp_get_rest(struct wire_reader *r);

/* A packet at out's tail: its length and type are written by begin and end. strings: the sum of the
 * lengths of all that is of no fixed size. */
MUST_CHECK int sftp_put_begin(struct wire_writer *w, struct buf *out, uint8_t type, size_t strings);
MUST_CHECK int sftp_put_end(const struct wire_writer *w, struct buf *out);

#endif
