/* SPDX-License-Identifier: Apache-2.0
 *
 * The shipped packs, loaded, and packs from text, for the unit tests. */
#ifndef SALLYPORT_TESTS_PACKS_FIXTURE_H
#define SALLYPORT_TESTS_PACKS_FIXTURE_H

#include "policy/packs.h"

/* All files of conf/packs; the same set each time. Aborts when they do not load. */
const struct packs *fixture_packs(void);
/* One file from text; NULL and e->text when it does not load. */
struct packs *fixture_pack_text(const char *text, struct err *e);
/* "memory,cpu", in the order of the names' alphabet; "-" for none. */
const char *fixture_class_names(const struct packs *packs, uint32_t classes, char out[256]);

struct packs_case {
    const char *command; /* split by words_split; "\x01" stands for a newline */
    const char *classes; /* as fixture_class_names says them */
    const char *vm;      /* of the first entry that has one; NULL: not looked at */
    const char *value;   /* "2147483648", "+10", "-10", "?" for a text that is no number; NULL */
};
#define PACKS_CASES_DECLARE(name)                                                                  \
    extern const struct packs_case name[];                                                         \
    extern const size_t name##_count
PACKS_CASES_DECLARE(packs_cases_hypervisors);
PACKS_CASES_DECLARE(packs_cases_clouds);
PACKS_CASES_DECLARE(packs_cases_host);

#endif
