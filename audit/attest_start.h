/* SPDX-License-Identifier: Apache-2.0
 *
 * What a session's backend recorded as started (a shell, a command, a subsystem, a forward; also
 * those that it refused), beside what its frontend says that it passed on. On each channel there is
 * one start at most, and both sides must name the same one: kind, the bytes of the command or name,
 * whether a terminal was asked for. The recorder takes the words that the record shows, never a
 * digest that stands beside them. Part of audit/attest.h, of which the same holds: both sides are
 * hostile, memory is bounded. Used by auditd; does no I/O. Format: docs/FORMAT.md, "Attestations".
 */
#ifndef SALLYPORT_AUDIT_ATTEST_START_H
#define SALLYPORT_AUDIT_ATTEST_START_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/channel_set.h"
#include "audit/record.h"
#include "base/json_out.h"

/* Of the words of a refused start so many stand in its record; longer ones are attested by the
 * digest of these too, because the recorder sees no more of them. */
#define ATTEST_START_SHOWN 4096u
/* Channels with a start that only one side named yet. The relay has ten channels, and refused
 * starts that the backend sent and the recorder did not read yet are some 150 of them (a socket's
 * buffer). */
#define ATTEST_START_OPEN 256u
/* So many disputed ones are named; further ones are disputed as well. */
#define ATTEST_START_NAMED 8u

enum attest_kind { ATTEST_SHELL, ATTEST_EXEC, ATTEST_SUBSYSTEM, ATTEST_FORWARD, ATTEST_KINDS };
static inline const char *attest_kind_name(enum attest_kind kind)
{
    static const char *const names[] = {"shell", "exec", "subsystem", "forward"};

    return names[kind];
}

/* What was started, as either side names it. */
struct attest_start {
    enum attest_kind kind;
    bool pty;       /* a terminal was asked for */
    uint64_t bytes; /* of the command or name, or of the forward's host and port */
    uint8_t sha256[RECORD_HASH_SIZE];
    uint8_t head[RECORD_HASH_SIZE]; /* of the first 4096 bytes, when there are more; else zero */
};

/* The start that a backend's record shows: 1; 0: it shows none. ERR_PROTOCOL: it is not of its
 * format, so that two readers might see two commands in it; ERR_MEMORY. */
MUST_CHECK int attest_start_read(unsigned type, const void *payload, size_t len,
                                 struct attest_start *out, struct err *e);

/* One session's; all zero: nothing yet. */
struct attest_starts {
    struct attest_start_entry {
        uint32_t channel;
        bool used, recorded; /* else: attested */
        bool answered;       /* attested, and the backend answered it */
        uint64_t order;      /* of the attestation */
        uint8_t is[RECORD_HASH_SIZE];
    } * open;                /* ATTEST_START_OPEN of them, once there was a start */
    struct channel_set over; /* channels that will have no start any more */
    uint64_t recorded, attested, agreed;
    uint64_t uncompared; /* recorded where there was no room, or no frontend any more */
    uint64_t order, newest_agreed;
    bool ended; /* the frontend said its last word */
    bool cut_short;
    uint64_t disputed;
    struct attest_start_dispute {
        uint32_t channel;
        const char *why;
    } named[ATTEST_START_NAMED];
};

void attest_starts_clear(struct attest_starts *s);
/* ERR_MEMORY. */
MUST_CHECK int attest_start_recorded(struct attest_starts *s, uint32_t channel,
                                     const struct attest_start *start, struct err *e);
/* ERR_PROTOCOL when the channel cannot have a start any more; ERR_MEMORY. */
MUST_CHECK int attest_start_claimed(struct attest_starts *s, uint32_t channel,
                                    const struct attest_start *start, struct err *e);
/* The frontend's last word on this channel. answered: it had an answer to the start. */
void attest_start_final(struct attest_starts *s, uint32_t channel, bool answered);
/* The frontend's last word of all. */
void attest_starts_end(struct attest_starts *s);
/* Both processes are gone. complete: the backend wrote the session's end itself, so that all that
 * it ever recorded was read. */
void attest_starts_conclude(struct attest_starts *s, bool complete);

/* Adds the member `starts` of a verdict record, when there was any. */
void attest_starts_write(const struct attest_starts *s, struct json_out *j);

#endif
