/* SPDX-License-Identifier: Apache-2.0
 *
 * What administrators who asked for a policy set are told (auth/control.h): its hash, what became
 * of the sessions that run, and what the set's checks warn of; or why the old one stays. */
#include <stdio.h>
#include <string.h>

#include "auth/control.h"
#include "auth/live.h"

static json_t *lines_of(const char *text)
{
    json_t *list = json_array();

    while (text && *text) {
        size_t len = strcspn(text, "\n");
        json_t *line = json_stringn(text, len);

        /* A warning quotes what stands in a file, which need not be UTF-8. */
        json_array_append_new(list, line ? line : json_string("(a warning that is no UTF-8)"));
        text += len + (text[len] == '\n');
    }
    return list;
}

struct loaded {
    char hex[65];
    uint64_t generation;
    const struct live_counts *counts;
    const char *warnings;
};

static void tell_loaded(struct control_client *client, void *arg)
{
    const struct loaded *l = arg;

    control_reply(client,
                  json_pack("{s:b, s:s, s:I, s:I, s:I, s:I, s:o}", "ok", 1, "hash", l->hex,
                            "generation", (json_int_t)l->generation, "sessions",
                            (json_int_t)l->counts->sessions, "ended", (json_int_t)l->counts->ended,
                            "narrowed", (json_int_t)l->counts->narrowed, "warnings",
                            lines_of(l->warnings)));
}

void control_policy_loaded(struct control *c, uint64_t generation, const uint8_t hash[32],
                           const struct live_counts *counts, const char *warnings)
{
    struct loaded l = {.generation = generation, .counts = counts, .warnings = warnings};

    for (int i = 0; i < 32; i++)
        snprintf(l.hex + 2 * i, 3, "%02x", hash[i]);
    control_each_waiting(c, CONTROL_POLICY, tell_loaded, &l);
}

static void tell_refused(struct control_client *client, void *arg)
{
    control_refuse(client, "input", "%s", (const char *)arg);
}

void control_policy_refused(struct control *c, const char *text)
{
    control_each_waiting(c, CONTROL_POLICY, tell_refused, (void *)(uintptr_t)text);
}
