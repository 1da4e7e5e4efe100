/* SPDX-License-Identifier: Apache-2.0
 *
 * File rules: which paths of a target may be read and written by SFTP. A path is judged in its
 * canonical form: absolute, without ".", ".." and empty parts. What is canonical on the target (its
 * symlinks) is the backend's to ask for; nothing here does I/O.
 *
 *     pattern   = "/" [part *("/" part)]
 *     part      = "**" (any number of parts, none too) | text with "*" (any bytes of one part) and
 *                 "?" (one byte); "\" before one of * ? \ takes it as it is
 *
 * The pattern that is "/tmp" and then "**" matches /tmp itself and all below it. Bytes are
 * compared, no character set is assumed. Matching takes time in proportion to pattern times path.
 * Used by authd (encodes them into the grant) and by the backend (decodes, applies to hostile
 * requests). Pure. */
#ifndef SALLYPORT_POLICY_FILES_H
#define SALLYPORT_POLICY_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

#define FILE_PATH_MAX     4096 /* PATH_MAX of Linux */
#define FILE_PATTERN_MAX  1024
#define FILES_ENCODED_MAX 65536 /* auth/grant.def */

/* Bits. */
enum file_access { FILE_READ = 1, FILE_WRITE = 2 };

struct file_rules;

/* An empty set permits nothing. NULL when memory is out. */
struct file_rules *file_rules_new(void);
void file_rules_free(struct file_rules *rules);
/* name is for records and refusals ("bob/sftp.write[0]"). ERR_INPUT with what is wrong with the
 * pattern and at which byte, ERR_FULL. */
MUST_CHECK int file_rules_add(struct file_rules *rules, const char *name, unsigned access,
                              const char *pattern, struct err *e);
MUST_CHECK int file_rules_merge(struct file_rules *rules, const struct file_rules *other,
                                struct err *e);
MUST_CHECK int file_rules_encode(const struct file_rules *rules, struct buf *out);
/* NULL on error. len 0: a set that permits nothing. */
struct file_rules *file_rules_decode(const void *bytes, size_t len, struct err *e);

/* What is permitted at this canonical path: bits of enum file_access. name (may be NULL) gets the
 * first rule that gives a bit of wanted; "" when none does. A path that is not canonical gets 0. */
unsigned file_rules_access(const struct file_rules *rules, const char *path, size_t len,
                           unsigned wanted, char name[128]);
/* Whether its attributes may be asked for: something is permitted at this path, or it is a folder
 * on the way to where a pattern begins to be one ("/var" where /var/log may be read). */
bool file_rules_visible(const struct file_rules *rules, const char *path, size_t len);
/* Everything may be read and written: no path needs to be looked at on the target. */
bool file_rules_unrestricted(const struct file_rules *rules);

/* Joins base (canonical) and path (as a client sent it) to a canonical path by its text alone: ".."
 * takes the part before it away. ERR_INPUT: empty, or with a NUL; ERR_FULL: longer than
 * FILE_PATH_MAX. */
MUST_CHECK int file_path_join(const char *base, const void *path, size_t len,
                              char out[FILE_PATH_MAX + 1], struct err *e);

#endif
