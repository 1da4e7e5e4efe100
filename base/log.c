/* SPDX-License-Identifier: Apache-2.0
 *
 * Log lines on descriptor 2 (base/log.h), each one write. A line that cannot be written is lost:
 * the log is not the evidence, and no process may stop for it. */
#include "base/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/utf8.h"

/* An error text (ERR_TEXT_MAX) and room for names; below PIPE_BUF, so that lines of several
 * processes do not mix in a pipe. */
#define LINE_MAX_BYTES 4000

static const char *const level_names[] = {"error", "warn", "info", "debug"};

static const char *program_name = "sallyport";
static enum log_level level_max = LOG_LEVEL_INFO;
static uint64_t connection;

void log_init(const char *program)
{
    const char *wanted = getenv("SALLYPORT_LOG");

    program_name = program;
    level_max = LOG_LEVEL_INFO;
    for (unsigned i = 0; wanted && i < sizeof level_names / sizeof level_names[0]; i++)
        if (!strcmp(wanted, level_names[i]))
            level_max = (enum log_level)i;
}

void log_connection(uint64_t conn)
{
    connection = conn;
}

void log_line(enum log_level level, const char *event, const char *format, ...)
{
    char line[LINE_MAX_BYTES];
    size_t len;
    int n;
    va_list ap;

    if (level > level_max)
        return;
    n = snprintf(line, sizeof line, "%s %s %s", level_names[level], program_name, event);
    len = n < 0 ? 0 : (size_t)n < sizeof line ? (size_t)n : sizeof line - 1;
    if (connection) {
        n = snprintf(line + len, sizeof line - len, " conn=%" PRIu64, connection);
        len = (size_t)n < sizeof line - len ? len + (size_t)n : sizeof line - 1;
    }
    if (format[0] && len < sizeof line - 1) {
        line[len++] = ' ';
        va_start(ap, format);
        n = vsnprintf(line + len, sizeof line - len, format, ap);
        va_end(ap);
        if (n > 0)
            len = (size_t)n < sizeof line - len ? len + (size_t)n : sizeof line - 1;
    }
    /* The callers escape what a peer sent; whatever they missed must not forge a line. */
    for (size_t i = 0; i < len;) {
        uint32_t c;
        size_t seen = utf8_next((const uint8_t *)line + i, len - i, &c);
        if (!seen || !utf8_visible(c))
            memset(line + i, '?', seen ? seen : 1);
        i += seen ? seen : 1;
    }
    line[len++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, len);
    (void)written;
}

const char *escape_text(char *out, size_t cap, const void *bytes, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    const uint8_t *p = bytes;
    size_t at = 0;

    if (!cap)
        return out;
    for (size_t i = 0; i < len;) {
        uint32_t c;
        size_t n = utf8_next(p + i, len - i, &c);

        if (n && utf8_visible(c)) {
            int quoted = c == '"' || c == '\\';
            if (at + n + (size_t)quoted >= cap)
                break;
            if (quoted)
                out[at++] = '\\';
            memcpy(out + at, p + i, n);
            at += n;
            i += n;
            continue;
        }
        if (at + 4 >= cap)
            break;
        out[at++] = '\\';
        out[at++] = 'x';
        out[at++] = hex[p[i] >> 4];
        out[at++] = hex[p[i] & 15];
        i++;
    }
    out[at] = '\0';
    return out;
}
