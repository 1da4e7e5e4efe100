/* SPDX-License-Identifier: Apache-2.0
 *
 * Error codes and their context (base/err.h). Used by every process; does no I/O but the last words
 * of invariant_failed. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *text, *token;
} codes[] = {
#define ERROR(name, text, token) {text, token},
#include "base/err.def"
#undef ERROR
};

#define CODES (sizeof(codes) / sizeof(codes[0]))
_Static_assert(ERR_END_ - ERR_BASE_ - 1 == (int)CODES, "one row per code");

static int index_of(enum err_code code)
{
    int i = (int)code - ERR_BASE_ - 1;
    return i >= 0 && i < (int)CODES ? i : -1;
}

const char *err_text(enum err_code code)
{
    int i = index_of(code);
    return code == ERR_OK ? "no error" : i < 0 ? "unknown error" : codes[i].text;
}

const char *err_token(enum err_code code)
{
    int i = index_of(code);
    return code == ERR_OK ? "ok" : i < 0 ? "unknown" : codes[i].token;
}

int err_set(struct err *e, enum err_code code, const char *format, ...)
{
    /* An argument may be e->text itself, so the new text is made aside. */
    char text[ERR_TEXT_MAX];
    va_list ap;

    if (!e)
        return code;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    e->code = code;
    memcpy(e->text, text, strlen(text) + 1);
    return code;
}

/* strerror is not safe with threads; strerrordesc_np returns constants. */
static const char *errno_text(int number)
{
    const char *s = strerrordesc_np(number);
    return s ? s : "unknown error";
}

int err_errno(struct err *e, const char *format, ...)
{
    int number = errno;
    char text[ERR_TEXT_MAX];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    err_set(e, ERR_SYSTEM, "%s: %s", text, errno_text(number));
    errno = number;
    return ERR_SYSTEM;
}

int err_wrap(struct err *e, const char *format, ...)
{
    char context[ERR_TEXT_MAX];
    va_list ap;

    if (!e)
        return ERR_SYSTEM;
    va_start(ap, format);
    vsnprintf(context, sizeof context, format, ap);
    va_end(ap);
    return err_set(e, e->code, "%s: %s", context, e->text);
}

void invariant_failed(const char *file, int line, const char *condition)
{
    char text[512];
    int n =
        snprintf(text, sizeof text, "error invariant failed at %s:%d: %s\n", file, line, condition);

    if (n > 0) {
        size_t len = (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
        ssize_t written = write(STDERR_FILENO, text, len);
        (void)written; /* about to abort: nothing better can be done */
    }
    abort();
}
