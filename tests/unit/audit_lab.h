/* SPDX-License-Identifier: Apache-2.0
 *
 * A trail in a temporary directory, for the tests of audit/. Everything aborts the test on failure.
 */
#ifndef SALLYPORT_TESTS_AUDIT_LAB_H
#define SALLYPORT_TESTS_AUDIT_LAB_H

#include "audit/session_list.h"
#include "audit/trail.h"
#include "audit/trail_create.h"
#include "audit/verify.h"

#define LAB_ORIGIN "gw.test/sallyport/0"
/* The keys of the age format's own description. */
#define LAB_IDENTITY  "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
#define LAB_RECIPIENT "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"

struct audit_lab {
    char state[64]; /* state directory; the trail is in trail/ */
    int dir;        /* the trail's directory */
    EVP_PKEY *key;
    struct vkey log, anchor;
    struct trail_created created;
};

/* A whole file in memory. */
struct blob {
    uint8_t *p;
    size_t len;
};

/* An empty log, made by trail_create. In memory (/dev/shm), where there is one. */
void lab_make(struct audit_lab *lab);
/* Removes it from the disk. */
void lab_remove(struct audit_lab *lab);

int lab_open(struct audit_lab *lab, struct trail **t, uint64_t segment_max,
             struct trail_report *report, struct err *e);
/* Opens, or fails the test. */
struct trail *lab_trail(struct audit_lab *lab, uint64_t segment_max);
/* One session with `inputs` keystrokes; its id's bytes are all `n`. */
void lab_session(struct trail *t, uint8_t n, unsigned inputs, bool end);
/* Shutdown record, checkpoint, close. */
void lab_shut_down(struct trail *t);
int lab_verify(struct audit_lab *lab, struct verify_result *v, struct err *e);

/* What `sallyport audit list` would show; session_list_free. */
struct session_list *lab_sessions(struct audit_lab *lab);

struct blob lab_read(struct audit_lab *lab, const char *name);
void lab_write(struct audit_lab *lab, const char *name, const void *p, size_t len);
/* Removes what recovery put aside. */
void lab_remove_torn(struct audit_lab *lab);

/* While true the file system of all trails cannot allocate ahead. For tests that open a trail some
 * thousand times: zeroes for each segment's reserve would be most of what they do. */
extern bool lab_without_preallocation;

/* From when `at` is set: the call with this number, of those that change files (write, pwrite,
 * fsync, fdatasync, renameat, unlinkat, mkdirat), is not made. It fails with `error`; 0: the
 * process ends there, with LAB_KILLED. For a child, which sets it after it forked. */
#define LAB_KILLED 9
struct lab_fault {
    unsigned at, seen; /* at 0: none */
    int error;
    const char *file; /* NULL, or only calls on files with this name count */
};
extern struct lab_fault lab_fault;
/* Runs act(arg) in a child with this fault. Its result, or LAB_KILLED. */
int lab_child(const struct lab_fault *fault, int (*act)(void *arg), void *arg);

#endif
