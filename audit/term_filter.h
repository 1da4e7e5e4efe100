/* SPDX-License-Identifier: Apache-2.0
 *
 * What of a recorded terminal's bytes may reach a reviewer's terminal. Drawing passes: printable
 * UTF-8, cursor movement, erasing, colours, scroll regions, the alternate screen. Everything that
 * makes a terminal answer, change its title or keyboard, copy to a clipboard, or run anything (OSC,
 * DCS, APC, PM, SOS, queries, mouse and keyboard modes) is left out. Sequences are written anew,
 * never copied, so that a malformed one cannot pass. Used by `sallyport audit play`; the input is
 * hostile; no I/O. Source: ECMA-48, xterm's ctlseqs; threats CVE-2023-28486, CVE-2023-28487. */
#ifndef SALLYPORT_AUDIT_TERM_FILTER_H
#define SALLYPORT_AUDIT_TERM_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

enum term_mode {
    TERM_DRAW, /* for a terminal */
    TERM_TEXT, /* for a file: no control sequence at all, only text, newline and tab */
};

/* 16 parameters of 4 digits and their separators; longer ones draw nothing anybody needs. */
#define TERM_PARAMS_MAX 80

struct term_filter {
    enum term_mode mode;
    int state;
    char params[TERM_PARAMS_MAX];
    unsigned params_len;
    char prefix;       /* one of < = > ? or 0 */
    char intermediate; /* the only one, or 0 */
    bool too_much;     /* the sequence under way is over a bound: left out */
    uint8_t utf8[4];
    unsigned utf8_have, utf8_need;
    bool string_c2;       /* in a string, first half of ST in UTF-8 (C2 9C) */
    bool carriage_return; /* TERM_TEXT: one is held back */
    bool alternate;       /* the alternate screen was switched on */
    uint64_t left_out;    /* sequences and control characters that did not pass */
};

void term_filter_init(struct term_filter *f, enum term_mode mode);
/* Appends what passes to out. 0, ERR_FULL or ERR_MEMORY. out needs room for 3 * len + 128 bytes. */
MUST_CHECK int term_filter_put(struct term_filter *f, const void *bytes, size_t len,
                               struct buf *out);
/* What puts a terminal back in order after a replay was drawn on it. */
const char *term_filter_reset(const struct term_filter *f);

#endif
