/* SPDX-License-Identifier: Apache-2.0
 *
 * Rule packs: which commands of which family of tools belong to which class (memory, disk, cpu,
 * snapshot, read, isolation, destroy, raw), and where in them the VM and the new value stand. Files
 * packs/NAME.yaml of the policy set; conf/packs/ has the shipped ones, sallyport-packs(5) the
 * format. Used by authd (loads, encodes into grants), the backend (decodes, classifies hostile
 * argv) and `policy classify`. Pure. */
#ifndef SALLYPORT_POLICY_PACKS_H
#define SALLYPORT_POLICY_PACKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/yaml_tree.h"
#include "policy/rules.h"

#define CLASS_NAME_MAX  32
#define CLASSES_MAX     32 /* of all packs together: a class is a bit */
#define FAMILY_NAME_MAX 32

/* All shipped packs with all classes take less than half of it; a grant's rules have
 * RULES_ENCODED_MAX together. */
#define PACKS_ENCODED_MAX 98304

struct packs;

struct packs *packs_new(void);
void packs_free(struct packs *packs);
/* Adds one file. ERR_SYNTAX with file, line, column; of an error the set is of no use any more. */
MUST_CHECK int packs_load(struct packs *packs, struct yaml_doc *doc, struct err *e);
/* The class's bit, 0: no pack has it. Bits are stable within one set only. */
uint32_t packs_class(const struct packs *packs, const char *name);
/* The name of one bit, NULL: no such class. */
const char *packs_class_name(const struct packs *packs, uint32_t bit);
size_t packs_class_count(const struct packs *packs);

struct classification {
    uint32_t classes; /* bits; 0: none */
    char family[FAMILY_NAME_MAX + 1];
    char vm[256];         /* the VM, volume or device, as written; "" where none or unknown */
    char value_text[64];  /* the new value as written; "" */
    uint64_t value;       /* in bytes (memory, disk) or a count (cpu) */
    bool value_known;     /* value is that of value_text */
    bool value_relative;  /* as in +10G */
    bool value_negative;  /* as in -10G; relative too */
    bool value_count;     /* a count, not bytes */
    unsigned secret_word; /* the word of argv that holds a password, 0: none is known of */
    char entry[160];      /* which entry of which file: "libvirt.yaml:42" */
};
/* Of one command, its wrappers already looked through (policy/wrappers.h). The first word's path is
 * stripped. Unknown programs have no class; a known program whose words do not parse is `raw`. Of
 * several entries that match (`qm set 100 -memory 4096 -cores 4`), *out has all classes and the
 * rest from the first one. */
MUST_CHECK int packs_classify(const struct packs *packs, const struct words *argv,
                              struct classification *out, struct err *e);

/* Called for each entry that matches, in the order of the words, then of the file; `one` has that
 * entry's classes alone. Returning other than 0 ends it with that value. */
typedef int (*packs_found)(void *arg, const struct classification *one);
/* At most PACKS_FOUND_MAX calls for one argv: more than that is ERR_FULL, and counts as all classes
 * for packs_classify. */
#define PACKS_FOUND_MAX 256
MUST_CHECK int packs_each(const struct packs *packs, const struct words *argv, packs_found found,
                          void *arg, struct err *e);

/* Appends what is needed to find these classes, as a grant carries it. Whoever classifies with it
 * finds of these classes what the whole set finds. ERR_FULL: more than PACKS_ENCODED_MAX, or than
 * out takes; ERR_MEMORY. */
MUST_CHECK int packs_encode(const struct packs *packs, uint32_t classes, struct buf *out);
/* Once all files are loaded: how long packs_encode can become, so that decisions need not encode to
 * know. Fewer classes never need more than all. ERR_MEMORY. */
MUST_CHECK int packs_measure(struct packs *packs, struct err *e);
/* Bytes that these classes take at most; more than PACKS_ENCODED_MAX: they may not fit. exact: as
 * packs_encode makes it, at its cost. */
size_t packs_encoded_size(const struct packs *packs, uint32_t classes, bool exact);
/* NULL on error. The bits are those of the set that encoded. */
struct packs *packs_decode(const void *bytes, size_t len, struct err *e);

#endif
