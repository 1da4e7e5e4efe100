/* SPDX-License-Identifier: Apache-2.0
 *
 * base/sandbox.def as data. Only base/sandbox*.c and the tests use it. */
#ifndef SALLYPORT_BASE_SANDBOX_TABLE_H
#define SALLYPORT_BASE_SANDBOX_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/sandbox.h"

#define SANDBOX_PROGRAMS 14

struct sandbox_limits {
    const char *name;
    enum sandbox_program child; /* what it may become with a second seal; itself: nothing */
    uint32_t open_files, address_mib, file_mib, processes, locked_kib;
};

enum sandbox_verdict { SANDBOX_ALLOW, SANDBOX_REFUSE, SANDBOX_ABSENT, SANDBOX_FORBID };

struct sandbox_rule {
    enum sandbox_verdict verdict;
    uint32_t programs; /* bit per enum sandbox_program */
    const char *calls; /* names, separated by blanks */
    int argument;      /* -1: whatever the arguments are */
    uint64_t mask, value;
};

const struct sandbox_limits *sandbox_limits(enum sandbox_program program);
/* The one capability that it keeps; -1: none. */
int sandbox_capability(enum sandbox_program program);
extern const struct sandbox_rule sandbox_rules[];
extern const size_t sandbox_rule_count;

/* A filter in the kernel's form. */
struct sock_filter;
struct sandbox_filter {
    struct sock_filter *code; /* NULL: not made yet */
    unsigned short count;
};

/* Makes a program's filter from the table; the caller frees f->code. */
MUST_CHECK int sandbox_compile(enum sandbox_program program, struct sandbox_filter *f,
                               struct err *e);

#endif
