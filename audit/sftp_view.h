/* SPDX-License-Identifier: Apache-2.0
 *
 * Which channels of a session are SFTP, and how many packets of which kind are in a piece of their
 * recorded form (docs/FORMAT.md, "File operations"): for readers, to whom that form is noise. Used
 * by the reading tools; the bytes are hostile. Pure, bounded. */
#ifndef SALLYPORT_AUDIT_SFTP_VIEW_H
#define SALLYPORT_AUDIT_SFTP_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/record.h"
#include "base/buf.h"

/* A session has so many over its time; a further one is shown as the bytes that it is. */
#define SFTP_VIEW_CHANNELS 256u

/* One direction. */
struct sftp_form {
    bool responses;
    bool lost; /* a record is missing, or it is not of the form: nothing is counted any more */
    uint8_t place;
    uint8_t type;
    uint32_t number, wait, left;
};

struct sftp_counts {
    bool lost;
    uint32_t packets;
    uint32_t of[256]; /* by type */
};

struct sftp_channel {
    uint32_t id;
    struct sftp_form requests, responses;
};

struct sftp_channels {
    unsigned count;
    struct sftp_channel at[SFTP_VIEW_CHANNELS];
};

/* Any record of the session; takes the start of an SFTP channel. payload NULL: it stayed sealed; no
 * other subsystem than sftp is ever permitted. */
void sftp_channels_note(struct sftp_channels *c, const struct record *r, const void *payload,
                        size_t len);
/* NULL: it is none, as far as is known. */
struct sftp_channel *sftp_channels_find(struct sftp_channels *c, uint32_t id);
/* Whether the record holds the recorded form: input or output of an SFTP channel. */
bool sftp_channels_form(struct sftp_channels *c, const struct record *r);

/* Packets that have their type in these bytes; p NULL: they are not known. */
void sftp_form_count(struct sftp_form *f, const void *p, size_t len, struct sftp_counts *counts);
/* "12 requests (10 read, 2 write), 340 B, recorded form" */
MUST_CHECK int sftp_counts_text(const struct sftp_counts *counts, bool responses, size_t bytes,
                                struct buf *out);
/* "write"; "type 99". */
const char *sftp_type_text(uint8_t type, char out[16]);

#endif
