/* SPDX-License-Identifier: Apache-2.0
 *
 * A session's records in formats that other programs know: asciicast v2 and v3 (asciinema), plain
 * text, JSON lines. A writer takes one record after the other, opened where the reviewer can, and
 * appends to a buffer; it does no I/O and keeps no more than one record. Used by `sallyport audit
 * export`; the records are hostile. Sources: docs.asciinema.org/manual/asciicast/v2 and v3. */
#ifndef SALLYPORT_AUDIT_EXPORT_H
#define SALLYPORT_AUDIT_EXPORT_H

#include <stdbool.h>

#include "audit/channel_set.h"
#include "audit/not_kept.h"
#include "audit/record.h"
#include "audit/sftp_view.h"
#include "audit/term_filter.h"
#include "audit/utf8_stream.h"

enum export_format { EXPORT_CAST2, EXPORT_CAST3, EXPORT_TEXT, EXPORT_JSONL };

struct export_options {
    enum export_format format;
    bool keystrokes;  /* what the operator typed too */
    bool raw;         /* control sequences that do more than draw stay in casts */
    bool one_channel; /* else that of the session's first terminal, or all where it has none */
    uint32_t channel;
    double idle_limit; /* seconds, a wish to the player; 0: none */
};

/* One record. */
struct export_record {
    const struct record *r;
    const uint8_t *header;
    const uint8_t *payload; /* plaintext; NULL: sealed and no key for it, or destroyed */
    size_t len;
    bool pruned;
    const char *segment;
    uint64_t offset;
};

struct exporter {
    struct export_options o;
    struct buf *out;
    bool begun;        /* the header is written */
    bool bound;        /* the channel is chosen */
    bool terminal;     /* it is a terminal: its lines end as a terminal wants them */
    uint64_t start_ns; /* CLOCK_BOOTTIME and CLOCK_REALTIME of the session's first record */
    uint64_t start_real_ns;
    uint64_t last_us; /* of the last event, since the start */
    unsigned columns, rows;
    char term[64], title[256], command[1024], id[2 * RECORD_SESSION_ID + 1];
    struct term_filter filter;
    struct utf8_stream output, input;
    bool line_open; /* TEXT: a line has begun */
    bool last_cr;   /* the output's last byte was one, no terminal */
    uint64_t events;
    uint64_t locked;   /* records that stayed sealed though they were wanted */
    uint64_t left_out; /* control sequences */
    struct buf text;   /* of one record, filtered */
    struct sftp_channels sftp;
    struct channel_set forwards; /* nobody types there */
    struct not_kept not_kept;
};

/* What a writer may append for one record: each byte of a payload becomes six in JSON at most, and
 * each line of text a time of its own. */
#define EXPORT_OUT_MAX (24u * RECORD_PAYLOAD_MAX)

/* out: with room for EXPORT_OUT_MAX, emptied by the caller between calls. */
void exporter_init(struct exporter *x, const struct export_options *o, struct buf *out);
void exporter_clear(struct exporter *x);
/* Records of one session in their order. ERR_FULL, ERR_MEMORY. */
MUST_CHECK int exporter_put(struct exporter *x, const struct export_record *v, struct err *e);
MUST_CHECK int exporter_end(struct exporter *x, struct err *e);

/* Each format's own part. */
MUST_CHECK int export_cast_put(struct exporter *x, const struct export_record *v);
MUST_CHECK int export_cast_end(struct exporter *x);
MUST_CHECK int export_text_put(struct exporter *x, const struct export_record *v);
MUST_CHECK int export_text_end(struct exporter *x);
MUST_CHECK int export_json_put(struct exporter *x, const struct export_record *v);

/* Microseconds since the session's start; never less than before. */
uint64_t exporter_time_us(struct exporter *x, const struct record *r);
/* Whether a record of this channel belongs to what is shown; binds the channel when it is not. */
bool exporter_wants(struct exporter *x, const struct record *r);

#endif
