/* SPDX-License-Identifier: Apache-2.0
 *
 * The simple commands in a text that a shell would run, leniently: lists, pipelines, groups, the
 * shell's own words, redirections, substitutions. It is for finding what a deny names, never for
 * deciding what is safe: whatever is not plain text is said to be opaque too. Used by the backend
 * on hostile text and by `policy classify`. Pure. Source: POSIX.1-2017 XCU 2; bash(1). */
#ifndef SALLYPORT_POLICY_SHELL_TEXT_H
#define SALLYPORT_POLICY_SHELL_TEXT_H

#include <stddef.h>

#include "base/err.h"
#include "policy/rules.h"

#define SHELL_TEXT_DEPTH_MAX 8

/* A command of the text; other than 0 ends the walk with that value. */
typedef int (*shell_command)(void *arg, const struct words *command);

/* *why gets a constant text that says what in it is not plain; it is left alone when all is. Memory
 * and time are in proportion to len, times SHELL_TEXT_DEPTH_MAX. ERR_MEMORY. */
MUST_CHECK int shell_text_walk(const char *text, size_t len, shell_command found, void *arg,
                               const char **why, struct err *e);

#endif
