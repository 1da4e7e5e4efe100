/* SPDX-License-Identifier: Apache-2.0
 *
 * Logs for engineers, on descriptor 2: one line an event, `LEVEL program key=value ...`; the trail,
 * not the log, is the evidence. Values are escaped; secrets never get here.
 * Used by every process; writes descriptor 2 only. */
#ifndef SALLYPORT_BASE_LOG_H
#define SALLYPORT_BASE_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* program stays referenced. Level: environment SALLYPORT_LOG=error|warn|info|debug, default info.
 */
void log_init(const char *program);
/* The connection that all following lines of this process are about (0: none). */
void log_connection(uint64_t conn);

void log_line(enum log_level level, const char *event, const char *format, ...) PRINTF_LIKE(3, 4);
#define log_error(event, ...) log_line(LOG_LEVEL_ERROR, event, __VA_ARGS__)
#define log_warn(event, ...)  log_line(LOG_LEVEL_WARN, event, __VA_ARGS__)
#define log_info(event, ...)  log_line(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_debug(event, ...) log_line(LOG_LEVEL_DEBUG, event, __VA_ARGS__)

/* Escapes bytes that a peer sent: printable ASCII and valid UTF-8 letters stay, the rest becomes
 * \xHH, quote and backslash get a backslash. Writes at most cap bytes with the NUL; returns out. */
const char *escape_text(char *out, size_t cap, const void *bytes, size_t len);

#endif
