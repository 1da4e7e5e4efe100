/* SPDX-License-Identifier: Apache-2.0
 *
 * The trail as its one writer sees it: append, flush (accepted), synchronise (durable), checkpoint.
 * Any failed write or fdatasync is final: every later call gives the same error, nothing is
 * retried. Runs in auditd, and in `init` for the first three records. The directory is its own
 * alone. */
#ifndef SALLYPORT_AUDIT_TRAIL_H
#define SALLYPORT_AUDIT_TRAIL_H

#include "audit/chain.h"
#include "audit/checkpoint.h"
#include "audit/data_key.h"
#include "audit/trail_space.h"
#include "base/wire.h"

struct trail;

/* A segment is small enough to copy and to prune alone. A start reads the last one: about a second
 * for this size. */
#define TRAIL_SEGMENT_MAX (256ull * 1024 * 1024)
/* An epoch is sealed after so long, also when nothing happens. */
#define TRAIL_EPOCH_NS 10000000000ull
/* The real clock steps when it moves by more than this against CLOCK_BOOTTIME between two looks. */
#define TRAIL_CLOCK_STEP_NS 2000000000ll

struct trail_options {
    int dir;              /* stays the caller's; must stay open */
    const char *origin;   /* must be what the anchor's note says */
    EVP_PKEY *log_key;    /* stays the caller's */
    uint64_t segment_max; /* bytes; 0: TRAIL_SEGMENT_MAX */
    int high_mark;        /* audit/high_mark.h; stays the caller's. 0: none */
    uint64_t epoch_max;   /* records of an epoch, for tests; 0: EPOCH_RECORDS_MAX */
};

/* What opening found; for the log and the recovery record. */
struct trail_report {
    bool clean; /* the log ended with a shutdown and its seal */
    uint64_t size;
    uint64_t checkpoint;
    uint64_t torn_bytes; /* cut off, kept aside */
    char torn_file[64];
    uint64_t tiles;   /* records whose tiles were there and right */
    unsigned orphans; /* sessions that got their end record now */
};

/* Locks the directory, checks the log from the last segment start before the checkpoint, cuts a
 * torn tail, writes what has to be told of that, and makes it durable, which proves that the trail
 * can be written. ERR_BUSY: another process has it. ERR_TAMPERED: something before the checkpoint
 * is not as it was written; e says where. ERR_TRAIL: not writable. */
MUST_CHECK int trail_open(struct trail **out, const struct trail_options *o,
                          struct trail_report *report, struct err *e);
/* What a log that follows another says of that one. */
struct trail_previous {
    char origin[NOTE_NAME_MAX + 1];
    const char *reason;  /* why there is a new log */
    const char *trouble; /* why the old one could not be closed in order; NULL: it was */
    bool linked;         /* what follows is known: */
    uint64_t size;       /* records that could be verified */
    uint8_t root[RECORD_HASH_SIZE], head[RECORD_HASH_SIZE]; /* of those; the last one's leaf */
    bool closed; /* its last seal names this log's anchor */
};

/* Makes the first segment of a new log: segment, key and shutdown record, the seal, and a
 * checkpoint. The epochs' keys are in the directory already. previous may be NULL. */
MUST_CHECK int trail_begin(int dir, const struct anchor *a, EVP_PKEY *log_key,
                           const struct trail_previous *previous, struct err *e);
/* Ends an open log for good: shutdown record, last seal, checkpoint. Fills what the next log says
 * of it. The trail can only be closed (trail_close) after that. */
MUST_CHECK int trail_close_log(struct trail *t, const struct vkey *next_log,
                               struct trail_previous *previous, struct err *e);
/* Waits for the thread; writes nothing. NULL-safe. */
void trail_close(struct trail *t);

/* One record; times are taken now. Copies the payload. It is accepted after the next trail_flush,
 * and was flushed already when the batch was full. ERR_TRAIL: final. */
MUST_CHECK int trail_append(struct trail *t, uint8_t type, const uint8_t session[RECORD_SESSION_ID],
                            uint32_t channel, const void *payload, size_t len, struct err *e);
/* The same, sealed under this key of the session, whose number is `number` (enum record_sealing);
 * len is 16 bytes less at most. */
MUST_CHECK int trail_append_sealed(struct trail *t, struct data_key *key, uint32_t number,
                                   uint8_t type, const uint8_t session[RECORD_SESSION_ID],
                                   uint32_t channel, const void *payload, size_t len,
                                   struct err *e);
/* Ends the epoch: its seal is the next record, and the key is destroyed by the synchronisation that
 * makes it durable. Waits for that of the seal before. next_log: the anchor of the log that follows
 * this one, after which nothing can be appended any more; else NULL. ERR_TRAIL. */
MUST_CHECK int trail_seal(struct trail *t, const struct vkey *next_log, struct err *e);
/* Seals when the epoch has lasted for TRAIL_EPOCH_NS; an alarm record when the real clock stepped
 * since the last call. To be called about once a second, with the times now. */
MUST_CHECK int trail_tick(struct trail *t, uint64_t real_ns, uint64_t boot_ns, struct err *e);
/* A seal was appended, and no checkpoint was signed since. */
bool trail_checkpoint_due(const struct trail *t);
/* Writes what was appended. */
MUST_CHECK int trail_flush(struct trail *t, struct err *e);

/* Whether a record with this payload may be appended for this use without touching what is reserved
 * for others; allocates further when there is room on the disk. */
bool trail_has_room(struct trail *t, enum space_use use, size_t payload_len);

/* Goes on in this file, whose blocks are allocated: it becomes the next segment, now. Owns fd; name
 * stays. ERR_TRAIL. */
MUST_CHECK int trail_go_on_in(struct trail *t, int fd, const char *name, struct err *e);

uint64_t trail_size(const struct trail *t);         /* records appended */
uint64_t trail_accepted(const struct trail *t);     /* records that write(2) took */
uint64_t trail_durable(const struct trail *t);      /* records that fdatasync(2) covered */
uint64_t trail_checkpointed(const struct trail *t); /* of the newest checkpoint that is written */
uint64_t trail_unsynced_bytes(const struct trail *t);
struct sessions *trail_sessions(struct trail *t);

/* Signs a checkpoint of all that is accepted; it is written by the next synchronisation, after the
 * records that it covers. Does nothing when the log has not grown since the last. */
MUST_CHECK int trail_want_checkpoint(struct trail *t, struct err *e);
/* One is signed and not written yet. */
bool trail_checkpoint_waits(const struct trail *t);

/* The newest record's payload as it is stored, while it waits to be hashed; false: it was hashed.
 * Whoever hashes it (along with something else) says so before anything else is appended. */
bool trail_newest_payload(const struct trail *t, struct bytes *payload);
void trail_newest_hashed(struct trail *t, const uint8_t sha256[RECORD_HASH_SIZE]);

/* In this thread, now. */
MUST_CHECK int trail_sync_now(struct trail *t, struct err *e);
/* In the other thread: one at a time; it covers what is accepted when it begins. */
MUST_CHECK int trail_sync_begin(struct trail *t, struct err *e);
bool trail_sync_busy(const struct trail *t);
/* Readable when a synchronisation ended; then call trail_sync_end. */
int trail_sync_fd(const struct trail *t);
MUST_CHECK int trail_sync_end(struct trail *t, struct err *e);
/* True once each time that the tiles begin to fail, with the reason: an alarm is due. The trail
 * goes on meanwhile; its checkpoint waits. */
bool trail_tiles_trouble(struct trail *t, char *text, size_t cap);
/* The time that the last fdatasync took. */
uint64_t trail_sync_ns(const struct trail *t);

#endif
