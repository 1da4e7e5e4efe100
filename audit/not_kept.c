/* SPDX-License-Identifier: Apache-2.0
 *
 * See not_kept.h. */
#include "audit/not_kept.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static uint64_t count_of(const json_t *j, const char *name)
{
    json_int_t n = json_integer_value(json_object_get(j, name));

    return n > 0 ? (uint64_t)n : 0;
}

static const char *string_of(const json_t *j, const char *name)
{
    const char *text = json_string_value(json_object_get(j, name));

    return text ? text : "";
}

static void say(char text[NOT_KEPT_TEXT], uint64_t bytes, bool input)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    const char *what = input ? "input" : "output";
    double n = (double)bytes / 1024;
    size_t unit = 0;

    if (bytes < 1024) {
        snprintf(text, NOT_KEPT_TEXT, "[%" PRIu64 " B of %s not kept; SHA-256 per MiB]", bytes,
                 what);
        return;
    }
    /* 1023.95 would be written as 1024.0 */
    while (n >= 1023.95 && unit + 1 < sizeof units / sizeof *units) {
        n /= 1024;
        unit++;
    }
    snprintf(text, NOT_KEPT_TEXT, "[%.1f %s of %s not kept; SHA-256 per MiB]", n, units[unit],
             what);
}

void not_kept_put(struct not_kept *k, uint32_t channel, const void *payload, size_t len)
{
    json_t *j = json_loadb(payload, len, 0, NULL);
    bool input = strcmp(string_of(j, "stream"), "input") == 0;
    uint64_t from = count_of(j, "from"), bytes = count_of(j, "bytes");
    struct not_kept_stream *s = NULL, *empty = NULL;

    json_decref(j);
    for (size_t i = 0; i < NOT_KEPT_STREAMS && !s; i++) {
        struct not_kept_stream *o = &k->of[i];

        if (o->used && o->channel == channel && o->input == input)
            s = o;
        else if (!o->used && !empty)
            empty = o;
    }
    if (!s && empty && bytes > 0) {
        s = empty;
        *s = (struct not_kept_stream){true, input, channel, from, from};
    }
    if (s && from <= INT64_MAX - bytes && from + bytes > s->end)
        s->end = from + bytes;
}

bool not_kept_over(struct not_kept *k, const struct record *r, const void *payload, size_t len,
                   char text[NOT_KEPT_TEXT])
{
    const bool all = !r || r->type == RECORD_SESSION_END;
    json_t *j =
        !all && r->type == RECORD_EXEC && payload ? json_loadb(payload, len, 0, NULL) : NULL;
    const bool closed = strcmp(string_of(j, "event"), "close") == 0;
    bool found = false;

    for (size_t i = 0; i < NOT_KEPT_STREAMS && !found; i++) {
        struct not_kept_stream *s = &k->of[i];
        uint64_t bytes = s->end - s->first, said;

        if (!s->used || !(all || (closed && s->channel == r->channel)))
            continue;
        /* Whoever began in the middle has not seen the first ones. */
        said = count_of(j, s->input ? "digest_in" : "digest_out");
        say(text, said > bytes ? said : bytes, s->input);
        s->used = false;
        found = true;
    }
    json_decref(j);
    return found;
}

bool not_kept_by_close(const void *payload, size_t len, char text[NOT_KEPT_TEXT])
{
    json_t *j = json_loadb(payload, len, 0, NULL);
    uint64_t bytes = strcmp(string_of(j, "event"), "close") == 0 ? count_of(j, "digest_out") : 0;

    json_decref(j);
    if (bytes > 0)
        say(text, bytes, false);
    return bytes > 0;
}
