/* SPDX-License-Identifier: Apache-2.0
 *
 * Pieces of the grammar of commands (policy/words.c) that the grammar of rules shares with it
 * (policy/pattern_parse.c), so that a literal means the same in both. Pure. */
#ifndef SALLYPORT_POLICY_WORDS_PARTS_H
#define SALLYPORT_POLICY_WORDS_PARTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "policy/rules.h"

/* [A-Za-z0-9_@%+=:,./-] */
bool words_is_safe(unsigned char c);
/* ERR_SYNTAX: why the character at in[at] may not stand there. where: "" or " in double quotes". */
int words_refuse(struct err *e, const unsigned char *in, size_t len, size_t at, const char *where);
/* Copies the inside of the quotes that open at *at to *to; leaves *at after the closing one. */
MUST_CHECK int words_quoted(const unsigned char *in, size_t len, size_t *at, char **to,
                            struct err *e);

#endif
