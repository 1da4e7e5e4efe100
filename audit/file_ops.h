/* SPDX-License-Identifier: Apache-2.0
 *
 * File operations out of FILE records: each request with its result, and what an opened file moved
 * when it was closed, joined by session, channel and number. Used by the reading tools, as the
 * reviewer; the records come from a process that may have been taken over, so nothing in them is
 * believed to be there, in order or of a length. Pure. Format: docs/FORMAT.md, "File operations".
 *
 * Operations come out in the order of their requests, as far as memory goes: FILE_OPS_WAITING_MAX
 * without an outcome and FILE_OPS_BYTES_MAX of text and ranges are held; beyond, those that have
 * an outcome come out before older ones that have none, and then the oldest comes out without. */
#ifndef SALLYPORT_AUDIT_FILE_OPS_H
#define SALLYPORT_AUDIT_FILE_OPS_H

#include <stdbool.h>
#include <sys/queue.h>

#include "audit/export.h"
#include "base/wire.h"

/* A channel has 1024 requests under way and 256 files open at most. */
#define FILE_OPS_WAITING_MAX 65536u
/* With an outcome, behind one that has none. */
#define FILE_OPS_READY_MAX 16384u
#define FILE_OPS_BYTES_MAX (64u << 20)
/* Of a path: 4,096 bytes, each of them two in UTF-8 where it is none. */
#define FILE_OP_PATH_MAX 8192u
#define FILE_OP_RANGES   64u

enum file_direction { FILE_OP_READ, FILE_OP_WRITTEN, FILE_DIRECTIONS };
enum file_outcome {
    FILE_OP_UNKNOWN, /* no result was recorded: the session ended, or too much was under way */
    FILE_OP_ANSWERED,
    FILE_OP_REFUSED,
    FILE_OP_TWICE, /* a request whose number another one has, which waits for its result */
};

struct file_range {
    uint64_t from, to; /* behind its last byte */
    uint8_t sha256[RECORD_HASH_SIZE];
};

/* What crossed, one way. */
struct file_moved {
    bool there;
    bool has_kept;
    uint64_t bytes, failed, more, kept; /* more: ranges that are not among these */
    unsigned ranges;
    struct file_range *range;
};

/* A number that may be missing. */
struct file_number {
    bool there;
    uint64_t value;
};

struct file_op {
    TAILQ_ENTRY(file_op) order;
    struct file_op *slot_next;
    uint8_t session[RECORD_SESSION_ID];
    uint32_t channel;
    uint64_t n;
    uint64_t record, time_ns; /* of the request */
    enum file_outcome outcome;
    char op[72], status[40], why[40];
    char flags[128], mode[16]; /* "write,creat,trunc"; "0644" */
    char close_status[40], closed_by[16];
    struct file_number size, uid, gid, atime, mtime, entries;
    struct file_number from, bytes, to_offset; /* of copy-data */
    struct bytes path, to, asked, asked_to;    /* p NULL: there is none; bytes as they crossed */
    struct bytes rule, text;
    bool closed;
    uint64_t closed_ns;
    struct file_moved moved[FILE_DIRECTIONS];
    bool ready; /* nothing more is expected */
    size_t held;
    void *attached; /* the caller's, NULL at first; he frees it when the operation comes out */
};

/* An operation comes out. It is freed afterwards. */
typedef int file_op_fn(void *arg, struct file_op *op, struct err *e);

struct file_ops; /* opaque */

/* NULL when memory is out. */
struct file_ops *file_ops_new(file_op_fn *out, void *arg);
/* What has not come out by then does not. NULL-safe. */
void file_ops_free(struct file_ops *o);
/* The next record, of any type and session. ERR_MEMORY, and what the callback gives. */
MUST_CHECK int file_ops_put(struct file_ops *o, const struct export_record *v, struct err *e);
/* There are no more records. */
MUST_CHECK int file_ops_end(struct file_ops *o, struct err *e);
/* The operation that waits under this number; NULL. */
struct file_op *file_ops_find(struct file_ops *o, const uint8_t session[RECORD_SESSION_ID],
                              uint32_t channel, uint64_t n);
/* FILE records that are not of their form, or do not fit to those before them. *first: the index
 * of the first. */
uint64_t file_ops_odd(const struct file_ops *o, uint64_t *first);
/* FILE records whose payload was not there, by why: sealed, or destroyed. */
uint64_t file_ops_sealed(const struct file_ops *o);
uint64_t file_ops_destroyed(const struct file_ops *o);

/* One sequential transfer from the beginning, or of nothing: its hash is that of all that was
 * moved. */
bool file_moved_whole(const struct file_moved *m, uint8_t sha256[RECORD_HASH_SIZE]);
/* "read" or "written" */
const char *file_direction_text(enum file_direction d);
/* Whether the path (or its last part, where the pattern has no slash) is one of the pattern: `*`
 * any bytes, `?` one byte, `\` takes the next as it is. */
bool file_pattern_matches(const char *pattern, struct bytes path);

#endif
