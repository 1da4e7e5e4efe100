/* SPDX-License-Identifier: Apache-2.0
 *
 * Texts for people that may have to be cut: appends as far as there is room, and what does not fit
 * ends in "...". Inside of policy/. Pure. */
#ifndef SALLYPORT_POLICY_TEXT_H
#define SALLYPORT_POLICY_TEXT_H

#include <stddef.h>

#include "base/err.h"

/* text is NUL-terminated and has cap >= 8 bytes. */
void text_append(char *text, size_t cap, const char *format, ...) PRINTF_LIKE(3, 4);

#endif
