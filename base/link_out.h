/* SPDX-License-Identifier: Apache-2.0
 *
 * How the senders made by base/msg_define.h put a message together: integers and strings into a
 * small array of theirs, views (DATA) as pieces of their own, so that bulk data is copied by the
 * kernel only. Nothing else includes this. */
#ifndef SALLYPORT_BASE_LINK_OUT_H
#define SALLYPORT_BASE_LINK_OUT_H

#include "base/link.h"

struct link_out {
    struct wire_writer w;
    size_t piece_start; /* where in w the open piece begins */
    struct iovec pieces[LINK_PIECES_MAX];
    unsigned count;
};

/* fixed: LINK_HEAD bytes and all fields but the views' bytes. */
void link_out_init(struct link_out *o, uint8_t *fixed, size_t size);
void link_out_data(struct link_out *o, struct bytes view, size_t max);
/* table: of the message; that l is a link of this table is an invariant. */
MUST_CHECK int link_out_send(struct link_out *o, struct link *l, const struct link_spec *table,
                             uint16_t number, const int *fds, struct err *e);

/* Printing of one field, for the printers made from the tables. Bytes are shown escaped, views by
 * their length. */
MUST_CHECK int link_print_u64(struct buf *out, const char *name, uint64_t v);
MUST_CHECK int link_print_str(struct buf *out, const char *name, const char *s);
MUST_CHECK int link_print_hex(struct buf *out, const char *name, const uint8_t *p, size_t len);
MUST_CHECK int link_print_data(struct buf *out, const char *name, struct bytes view);
MUST_CHECK int link_print_secret(struct buf *out, const char *name);

/* Puts "link LINK, message NAME" before the error of a decoder. */
int link_bad_message(struct err *e, const char *link_name, const char *message);

#endif
