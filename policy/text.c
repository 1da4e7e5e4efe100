/* SPDX-License-Identifier: Apache-2.0
 *
 * See policy/text.h. */
#include "policy/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void text_append(char *text, size_t cap, const char *format, ...)
{
    const size_t at = strlen(text);
    va_list args;

    if (at + 1 >= cap)
        return;
    va_start(args, format);
    const int n = vsnprintf(text + at, cap - at, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= cap - at)
        memcpy(text + cap - 4, "...", 4);
}
