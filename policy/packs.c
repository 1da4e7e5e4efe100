/* SPDX-License-Identifier: Apache-2.0
 *
 * A set of rule packs, however it came to be: loaded (policy/packs_load.c) or decoded
 * (policy/packs_decode.c). Nothing here needs YAML, so that the backend does without it. Used by
 * authd and the backend. Pure. */
#include <stdlib.h>
#include <string.h>

#include "policy/packs_set.h"

struct packs *packs_new(void)
{
    return calloc(1, sizeof(struct packs));
}

void packs_free(struct packs *packs)
{
    if (!packs)
        return;
    pool_clear(&packs->pool);
    free(packs);
}

uint32_t packs_class(const struct packs *packs, const char *name)
{
    for (size_t i = 0; i < CLASSES_MAX; i++) {
        if (packs->classes[i] && strcmp(packs->classes[i], name) == 0)
            return UINT32_C(1) << i;
    }
    return 0;
}

const char *packs_class_name(const struct packs *packs, uint32_t bit)
{
    for (size_t i = 0; i < CLASSES_MAX; i++) {
        if (bit == UINT32_C(1) << i)
            return packs->classes[i];
    }
    return NULL;
}

size_t packs_class_count(const struct packs *packs)
{
    size_t n = 0;

    for (size_t i = 0; i < CLASSES_MAX; i++)
        n += packs->classes[i] != NULL;
    return n;
}

bool pack_glob(const char *glob, const char *text, size_t len)
{
    const char *star = NULL, *end = text + len, *retry = NULL;

    while (text < end) {
        if (*glob == '*') {
            star = ++glob;
            retry = text;
        } else if (*glob && *glob == *text) {
            glob++;
            text++;
        } else if (star) {
            glob = star;
            text = ++retry;
        } else {
            return false;
        }
    }
    while (*glob == '*')
        glob++;
    return !*glob;
}
