/* SPDX-License-Identifier: Apache-2.0
 *
 * A wrapper's options (policy/wrappers_table.h has how they are written). Pure. */
#ifndef SALLYPORT_POLICY_WRAPPERS_OPTIONS_H
#define SALLYPORT_POLICY_WRAPPERS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

struct options_seen {
    const char *split; /* the argument of -S or --split-string, at which skipping stopped; NULL */
    bool exec;         /* -x or --exec */
};

/* Leaves *i at the first word that is no option. False: an option is unknown, lacks its argument or
 * makes the command opaque; *i is then of no use. */
bool options_skip(const char *options, char *const *word, size_t count, size_t *i,
                  struct options_seen *seen);
/* Whether one of the options (or plain words) is there, in any way that getopt_long accepts. */
bool options_have(const char *options, char *const *word, size_t count);
/* Whether one of the short options is among these letters, as in `tar xIf`. */
bool options_in_bundle(const char *options, const char *letters);

#endif
