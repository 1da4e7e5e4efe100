/* SPDX-License-Identifier: Apache-2.0
 *
 * Who may read recordings: reviewers with the public halves of their age identities. The supervisor
 * reads them from reviewers.yaml (gateway/reviewers_yaml.h) and hands them to auditd as lines,
 * which auditd parses again. Does no I/O. */
#ifndef SALLYPORT_AUDIT_REVIEWERS_H
#define SALLYPORT_AUDIT_REVIEWERS_H

#include <stdbool.h>

#include "audit/age.h"

/* Each wraps two keys in each session's key record: 200 bytes. */
#define REVIEWERS_MAX     32u
#define REVIEWER_NAME_MAX 64u
/* As lines; "keystrokes " or "content " before the recipient, the name and a newline. */
#define REVIEWERS_TEXT_MAX (REVIEWERS_MAX * (REVIEWER_NAME_MAX + AGE_RECIPIENT_TEXT + 13u))

struct reviewer {
    char name[REVIEWER_NAME_MAX + 1];
    uint8_t key[AGE_KEY_SIZE];
    bool keystrokes; /* may read what was typed, not only what was shown */
};

struct reviewers {
    size_t count;
    struct reviewer at[REVIEWERS_MAX];
};

/* Letters, digits and ". _ @ -" of ASCII, 1 to REVIEWER_NAME_MAX. */
bool reviewer_name_is_good(const char *name);
/* Appends one. ERR_INPUT: a bad name, one that is there already, or a bad recipient; ERR_FULL. */
MUST_CHECK int reviewers_add(struct reviewers *list, const char *name, const char *recipient,
                             bool keystrokes, struct err *e);
/* Whether everything can be sealed for somebody. ERR_INPUT: nobody is there, or nobody for the
 * keystrokes. */
MUST_CHECK int reviewers_check(const struct reviewers *list, struct err *e);
bool reviewers_equal(const struct reviewers *a, const struct reviewers *b);

/* The list as lines, and back. ERR_SYNTAX, and the errors of both functions above. */
MUST_CHECK int reviewers_encode(struct buf *out, const struct reviewers *list);
MUST_CHECK int reviewers_decode(struct reviewers *out, const void *lines, size_t len,
                                struct err *e);

#endif
