/* SPDX-License-Identifier: Apache-2.0
 *
 * What crosses the socket between sallyport-reader and the reviewer's command (docs/PROTOCOL.md,
 * "Reading through the gateway"). The reader answers with frames; the command sends requests of one
 * size. Both sides check what they get: the reader's peer is any local reviewer. */
#ifndef SALLYPORT_AUDIT_READER_STREAM_H
#define SALLYPORT_AUDIT_READER_STREAM_H

#include "audit/record.h"

/* A frame: u32 length of what follows it, u8 kind, body. */
#define READER_FRAME_HEAD 5u
enum reader_frame {
    READER_SESSION = 'S', /* id[16], u64 first, last, records, u8 ended: once, before all others */
    READER_RECORD =
        'R', /* u64 segment's first index, u64 offset in it, u8 flags, header[176], payload */
    READER_WAIT = 'W', /* following: all that there is was sent */
    READER_END = 'E',  /* token and text of an error, each u16 length and bytes; empty: none */
    READER_NOTE = 'N', /* u8 found, the bytes of a public text of the log */
    READER_MARK = 'M', /* u32: the number of a request that is being answered from here on */
};
/* Flags of a record. */
#define READER_HAS_PAYLOAD  1u
#define READER_PRUNED       2u

#define READER_SESSION_BODY (RECORD_SESSION_ID + 3 * 8 + 1)
#define READER_RECORD_BODY  (8 + 8 + 1 + RECORD_HEADER_SIZE) /* and the payload */
#define READER_FRAME_MAX    (1 + READER_RECORD_BODY + RECORD_PAYLOAD_MAX)

/* A request: u8 kind, u8 argument, u16 zero, u32 number, u64 index. */
#define READER_REQUEST_SIZE 16u
enum reader_request {
    READER_ASK_FROM =
        'F', /* from the record with this index on; argument 1: sealed ones without payload */
    READER_ASK_NOTE = 'T', /* argument: position in source_notes */
};

#endif
