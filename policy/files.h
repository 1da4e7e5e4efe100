/* SPDX-License-Identifier: Apache-2.0
 *
 * File rules: which paths of a target may be read and written by SFTP. A path is judged in its
 * canonical form: absolute, without ".", ".." and empty parts. What is canonical on the target (its
 * symlinks) is the backend's to ask for; nothing here does I/O.
 *
 *     pattern   = "/" [part *("/" part)]
 *     part      = "**" (any number of parts, none too) | text with "*" (any bytes of one part, none
 *                 too) and "?" (one byte); "\" before one of * ? \ takes it as it is
 *
 * The pattern that is "/tmp" and then "**" matches /tmp itself and all below it; "/" is the root
 * alone. No part is empty, "." or "..", or has two "*" side by side; no byte is a control
 * character. Bytes are compared: no character set is assumed, a leading "." is nothing special.
 * Matching takes time in proportion to pattern times path at most.
 * Used by authd (encodes them into the grant) and by the backend (decodes, applies to hostile
 * requests). Pure. */
#ifndef SALLYPORT_POLICY_FILES_H
#define SALLYPORT_POLICY_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

#define FILE_PATH_MAX      4096 /* PATH_MAX of Linux */
#define FILE_PATTERN_MAX   1024
#define FILES_ENCODED_MAX  65536 /* auth/grant.def; what a grant's rules have together */
#define FILE_RULE_NAME_MAX 127

/* Bits. */
enum file_access { FILE_READ = 1, FILE_WRITE = 2 };

struct file_rules;

/* A pattern by itself, for others who compare paths (policy/pattern.h). ERR_INPUT with what is
 * wrong with it and at which byte (from 1); e may be NULL. */
MUST_CHECK int file_glob_check(const char *pattern, size_t len, struct err *e);
/* pattern was checked. False for any path that is not canonical. */
bool file_glob_matches(const char *pattern, size_t len, const char *path, size_t path_len);
/* Absolute, without empty parts, "." and "..", without NUL, at most FILE_PATH_MAX bytes. */
bool file_path_is_canonical(const char *path, size_t len);

/* An empty set permits nothing. NULL when memory is out. */
struct file_rules *file_rules_new(void);
void file_rules_free(struct file_rules *rules);
/* name is for records and refusals ("bob/sftp.write[0]"). ERR_INPUT with what is wrong with the
 * pattern and at which byte (from 1), ERR_FULL. Of an error nothing is added. */
MUST_CHECK int file_rules_add(struct file_rules *rules, const char *name, unsigned access,
                              const char *pattern, struct err *e);
/* Adds all rules of other: what either permits is permitted. ERR_FULL, ERR_MEMORY. */
MUST_CHECK int file_rules_merge(struct file_rules *rules, const struct file_rules *other,
                                struct err *e);
/* A NULL set is encoded as nothing, as an empty one. */
MUST_CHECK int file_rules_encode(const struct file_rules *rules, struct buf *out);
/* NULL on error. len 0: a set that permits nothing. */
struct file_rules *file_rules_decode(const void *bytes, size_t len, struct err *e);

/* All that is permitted at this canonical path, wanted or not: bits of enum file_access. name (may
 * be NULL) gets the first rule that gives a bit of wanted; "" when none does. A path that is not
 * canonical gets 0, as anything does from a NULL set. */
unsigned file_rules_access(const struct file_rules *rules, const char *path, size_t len,
                           unsigned wanted, char name[128]);
/* Whether its attributes may be asked for: something is permitted at this path, or it is a folder
 * above what a pattern's parts before its first "**" lead to ("/", "/srv" and "/srv/a" where
 * "/srv/?/log" may be read; what a "**" in the middle runs over is not visible by that). */
bool file_rules_visible(const struct file_rules *rules, const char *path, size_t len);
/* Everything may be read and written: no path needs to be looked at on the target. */
bool file_rules_unrestricted(const struct file_rules *rules);

/* Calls each with every pattern and its bits of enum file_access, in order. */
void file_rules_each(const struct file_rules *rules,
                     void (*each)(void *arg, unsigned access, const char *pattern), void *arg);

/* Joins base (canonical; not looked at when path is absolute) and path (as a client sent it) to a
 * canonical path by its text alone: ".." takes the part before it away (at the root: nothing), "."
 * and empty parts mean nothing, so a trailing slash is lost. ERR_INPUT: empty, or with a NUL;
 * ERR_FULL: longer than FILE_PATH_MAX, at the end or on the way. *out is "" on error. */
MUST_CHECK int file_path_join(const char *base, const void *path, size_t len,
                              char out[FILE_PATH_MAX + 1], struct err *e);

#endif
