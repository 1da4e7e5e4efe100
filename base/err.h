/* SPDX-License-Identifier: Apache-2.0
 *
 * Error codes and the context that gathers around them on the way out.
 * Used by every process; trusts nothing; does no I/O. */
#ifndef SALLYPORT_BASE_ERR_H
#define SALLYPORT_BASE_ERR_H

#include <stddef.h>

#define MUST_CHECK              __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))

enum err_code {
    ERR_OK = 0,
    ERR_BASE_ = -1000, /* codes count down from here, so that no one mistakes them for -errno */
#define ERROR(name, text, token) ERR_##name,
#include "base/err.def"
#undef ERROR
    ERR_END_
};

/* 2000 bytes hold a path (256), a position, a 255-byte name shown escaped (x4) and a sentence. */
#define ERR_TEXT_MAX 2000

struct err {
    int code; /* 0 or a negative enum err_code */
    char text[ERR_TEXT_MAX];
};

/* clang-format off */
#define ERR_INIT {0, {0}}
/* clang-format on */

/* Sets code and text (what is too long is cut, always NUL-terminated). Returns code, so that
 * `return err_set(e, ERR_INPUT, ...)` reads well. e may be NULL. */
int err_set(struct err *e, enum err_code code, const char *format, ...) PRINTF_LIKE(3, 4);

/* As err_set, with ": " and strerror(errno) appended; the code is ERR_SYSTEM. */
int err_errno(struct err *e, const char *format, ...) PRINTF_LIKE(2, 3);

/* Puts "CONTEXT: " before the text that is there. Returns e->code. */
int err_wrap(struct err *e, const char *format, ...) PRINTF_LIKE(2, 3);

/* The text for people, and the token that records carry. Never NULL. */
const char *err_text(enum err_code code);
const char *err_token(enum err_code code);

/* Prints and aborts: a broken invariant of ours, in release builds too. */
#define INVARIANT(condition)                                                                       \
    do {                                                                                           \
        if (!(condition))                                                                          \
            invariant_failed(__FILE__, __LINE__, #condition);                                      \
    } while (0)
_Noreturn void invariant_failed(const char *file, int line, const char *condition);

#endif
