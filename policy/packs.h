/* SPDX-License-Identifier: Apache-2.0
 *
 * Rule packs: which commands of which family of tools belong to which class (memory, disk, cpu,
 * snapshot, read, isolation, destroy, raw), and where in them the VM and the new value stand. Files
 * packs/NAME.yaml of the policy set; conf/packs/ has the shipped ones. Used by authd (loads,
 * encodes into grants), the backend (decodes, classifies hostile argv) and `policy classify`. Pure.
 */
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

struct packs;

struct packs *packs_new(void);
void packs_free(struct packs *packs);
/* Adds one file. ERR_SYNTAX with file, line, column; of an error the set is of no use any more. */
MUST_CHECK int packs_load(struct packs *packs, struct yaml_doc *doc, struct err *e);
/* The class's bit, 0: no pack has it. */
uint32_t packs_class(const struct packs *packs, const char *name);
const char *packs_class_name(const struct packs *packs, uint32_t bit);
size_t packs_class_count(const struct packs *packs);

struct classification {
    uint32_t classes; /* bits; 0: none */
    char family[FAMILY_NAME_MAX + 1];
    char vm[256];                     /* as written; "" where none or unknown */
    char value_text[64];              /* the new value as written; "" */
    uint64_t value;                   /* in bytes (memory, disk) or a count (cpu) */
    bool value_known, value_relative; /* relative: as in +10G */
    char entry[160];                  /* which entry of which file: "libvirt.yaml:42" */
};
/* Of one command, its wrappers already looked through (policy/wrappers.h). The first word's path is
 * stripped. Unknown programs have no class; a known program whose words do not parse is `raw`. */
MUST_CHECK int packs_classify(const struct packs *packs, const struct words *argv,
                              struct classification *out, struct err *e);

/* Only the entries of these classes, as a grant carries them. */
MUST_CHECK int packs_encode(const struct packs *packs, uint32_t classes, struct buf *out);
/* NULL on error. The bits are those of the set that encoded. */
struct packs *packs_decode(const void *bytes, size_t len, struct err *e);

#endif
