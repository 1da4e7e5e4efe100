/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a set of packs, apart from its loading: the backend has sets and no YAML. Pure. */
#include <stdlib.h>

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
