/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading verdict records; see verdict.h. */
#include "audit/verdict.h"

#include <jansson.h>
#include <string.h>

bool verdict_says(const struct json_t *payload, const char *word)
{
    const char *verdict = json_string_value(json_object_get(payload, "verdict"));

    return verdict && strcmp(verdict, word) == 0;
}

bool verdict_is_disputed(const void *payload, size_t len)
{
    json_t *j = json_loadb(payload, len, JSON_REJECT_DUPLICATES, NULL);
    bool disputed = verdict_says(j, "disputed");

    json_decref(j);
    return disputed;
}
