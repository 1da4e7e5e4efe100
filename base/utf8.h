/* SPDX-License-Identifier: Apache-2.0
 *
 * One UTF-8 sequence at a time, strictly (RFC 3629, section 4: no overlong forms, no surrogates,
 * nothing above U+10FFFF). Used where a peer's bytes are shown; does no I/O. */
#ifndef SALLYPORT_BASE_UTF8_H
#define SALLYPORT_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* The length (1 to 4) of the well-formed sequence at p[0 .. len), its character in *c; 0 when
 * there is none. */
size_t utf8_next(const uint8_t *p, size_t len, uint32_t *c);

/* Whether a person sees c as itself wherever it is shown: false for controls (C0, DEL, C1), line
 * and paragraph separators, invisible and direction-changing format characters, and non-characters.
 */
int utf8_visible(uint32_t c);

#endif
