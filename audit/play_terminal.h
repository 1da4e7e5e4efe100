/* SPDX-License-Identifier: Apache-2.0
 *
 * The reviewer's terminal while a replay is drawn on it: keys without Enter, signals, size, one
 * status line, and everything put back however the replay ends. One at a time. */
#ifndef SALLYPORT_AUDIT_PLAY_TERMINAL_H
#define SALLYPORT_AUDIT_PLAY_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum play_key {
    KEY_NONE,
    KEY_PAUSE, /* space */
    KEY_FORWARD,
    KEY_BACK, /* right, left: 10 s */
    KEY_STEP, /* . */
    KEY_FASTER,
    KEY_SLOWER, /* + - */
    KEY_QUIT,   /* q */
};

/* The keys in what was typed; *used bytes belong to the one that is returned (all, when there is
 * none). An arrow that is not complete uses none of its bytes. Pure. */
enum play_key play_key_parse(const unsigned char *typed, size_t len, size_t *used);

/* Standard input and output; keys only where both are terminals. Signals end the replay, and stop
 * it (Ctrl-Z), in order. */
void play_terminal_open(void);
/* Puts the terminal's modes back; what the replay drew is the caller's. Also after a signal. */
void play_terminal_close(void);
bool play_terminal_has_keys(void);
/* Standard output is a terminal: what is written is drawn, and has its timing. */
bool play_terminal_draws(void);
/* A signal asks to end. */
bool play_terminal_interrupted(void);
/* Waits until a key, a signal, fd (-1: none) is readable, or the time is over. */
enum play_key play_terminal_wait(int fd, int timeout_ms);
/* True once after the window's size changed, or the replay was stopped and goes on. */
bool play_terminal_changed(void);
/* 0 0: unknown. */
void play_terminal_size(unsigned *columns, unsigned *rows);
/* The whole of it; 0, ERR_CLOSED (nobody reads), ERR_SYSTEM. Ends early when interrupted. */
MUST_CHECK int play_terminal_write(const void *bytes, size_t len, struct err *e);

#endif
