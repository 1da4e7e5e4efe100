/* SPDX-License-Identifier: Apache-2.0
 *
 * The disk ahead of the trail's writer. The blocks of the segment in use are allocated before they
 * are needed (fallocate, the file's size stays what is written), and behind all that ordinary
 * records may use there is always a reserve: from it sessions that cannot go on get their end
 * record, and the recorder its seals and its shutdown record. A segment may grow beyond its maximum
 * by that reserve, when the disk has no room for the next one. Runs in auditd.
 *
 *     |<- written ->|<- room for sessions ->|<- small records ->|<- ends, seals, shutdown ->|
 *
 * Where the file system cannot allocate ahead, what it says is free counts instead. */
#ifndef SALLYPORT_AUDIT_TRAIL_SPACE_H
#define SALLYPORT_AUDIT_TRAIL_SPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* 4096 end records of 600 bytes, seals of a day (0.5 KiB every 10 s), a torn tail's recovery. */
#define SPACE_ENDS (6ull * 1024 * 1024)
/* What authd, supervisor and frontends still record when sessions may not: some 8000 refusals. */
#define SPACE_SMALL (4ull * 1024 * 1024)
/* Allocated at once; on a small disk less (1/16 of what is free), so that its marks mean something.
 */
#define SPACE_STEP     (16ull * 1024 * 1024)
#define SPACE_STEP_MIN (1024ull * 1024)

/* The next segment, made and allocated before the one in use is left. */
#define SPACE_NEXT_FILE "segment.next"
/* The reserve for break-glass sessions (auditd_glass.c). */
#define SPACE_GLASS_FILE "glass.reserve"

/* Who wants to write, and so how much of the reserve stays behind it: all of it, or what ends
 * need. End records themselves ask nobody. */
enum space_use { SPACE_SESSION, SPACE_GATEWAY };

struct trail_space {
    int dir;
    int fd;                /* the segment; the trail's */
    int next_fd;           /* allocated; -1: none */
    const char *next_name; /* its file's */
    uint64_t allocated;    /* bytes of the segment that surely have blocks */
    bool no_fallocate;     /* the file system cannot */
    bool unsure;           /* it failed for another reason than a full disk: what is free counts */
    bool said;
    uint64_t retry_ms; /* after a refusal the file system is not asked again before */
};

struct space_free {
    uint64_t available, total;
};

/* Once, before the others. */
void space_init(struct trail_space *s, int dir);
/* Closes and removes what was prepared. */
void space_clear(struct trail_space *s);
/* The segment in use is this one now, with so many bytes; tries to allocate ahead. Never fails: too
 * little room shows in space_room. */
void space_begin(struct trail_space *s, int fd, uint64_t bytes, uint64_t segment_max);
/* Allocates further when less than a step is left. `bytes` as written. */
void space_ahead(struct trail_space *s, uint64_t bytes, uint64_t segment_max);
/* How many bytes behind `bytes` this use may take. */
uint64_t space_room(const struct trail_space *s, enum space_use use, uint64_t bytes);
/* Makes and allocates the next segment's file. False: there is no room for it, the segment in use
 * goes on. */
bool space_prepare(struct trail_space *s);
/* This file is the next segment's, in the place of one that was prepared. Owns fd; name stays. */
void space_take(struct trail_space *s, int fd, const char *name);
/* The file that space_prepare made, under this name, or a new one. A descriptor to append with. */
MUST_CHECK int space_open(struct trail_space *s, const char *name, struct err *e);
/* Blocks behind the end of a segment that is left go back to the file system. */
void space_give_back(int fd);

MUST_CHECK int space_look(int dir, struct space_free *out, struct err *e);

#endif
