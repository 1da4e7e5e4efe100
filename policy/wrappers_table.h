/* SPDX-License-Identifier: Apache-2.0
 *
 * What is known of programs that run other programs: the table that policy/wrappers.c walks by.
 * Pure.
 */
#ifndef SALLYPORT_POLICY_WRAPPERS_TABLE_H
#define SALLYPORT_POLICY_WRAPPERS_TABLE_H

#include <stdbool.h>
#include <stddef.h>

enum wrapper_kind {
    WRAPPER_PREFIX = 1, /* options, operands, then the command as words */
    WRAPPER_SHELL,      /* sh -c TEXT; else a script or standard input */
    WRAPPER_SU,         /* -c TEXT anywhere; else a shell */
    WRAPPER_EVAL,       /* its words joined are a text */
    WRAPPER_TRAP,       /* its first word is a text */
    WRAPPER_ENV,        /* a prefix, and -S */
    WRAPPER_WATCH,      /* options, then words joined to a text */
    WRAPPER_FLOCK,      /* a prefix, or -c TEXT behind its operand */
    WRAPPER_FIND,       /* -exec ... ; */
    WRAPPER_APPLET,     /* its first word is the program */
    WRAPPER_IP,         /* netns exec NAME command */
    WRAPPER_VIRSH,      /* one word is a list of commands */
    WRAPPER_TEST,       /* fine without what a shell's own test and printf evaluate */
    WRAPPER_OPTIONS,    /* opaque with one of these options, else itself alone */
    WRAPPER_OPAQUE      /* runs, or may run, what its words do not say */
};

struct wrapper {
    const char *name;
    enum wrapper_kind kind;
    /* Of a prefix: its options, parted by blanks: "-n" alone, "-u:" with an argument, "-m?" with
     * one that is attached only, "--user=" "--mount?" the same, "-s!" makes it opaque. "-#": a
     * number. WRAPPER_OPTIONS: what makes it opaque; long ones shortened too. */
    const char *options;
    const char *unless; /* WRAPPER_OPTIONS: as the first word, they do no harm */
    const char *ever;   /* WRAPPER_OPTIONS: opaque even then */
    /* WRAPPER_OPTIONS: opaque with a path, which has a "/", as the first word; not empty: anywhere
     * behind one of these words. */
    const char *paths;
    unsigned operands; /* words before the command */
    bool needs;   /* without a command (WRAPPER_OPTIONS: word) it runs a shell, or reads commands */
    bool assigns; /* VAR=value may stand before the command */
    bool expands; /* expands $ and % in the words */
    bool bundles; /* WRAPPER_OPTIONS: the first word may be a cluster without its dash */
    bool ends_with;   /* opaque even though its command is looked at (words from elsewhere) */
    const char *risk; /* why it is opaque; for warnings of rules that name it */
    bool always;      /* a risk whatever the words are */
};

/* By the name without its path; a version at its end ("python3.11", "bash-5.2") is passed over.
 * NULL: it runs nothing that is known of. */
const struct wrapper *wrapper_named(const char *name);

#endif
