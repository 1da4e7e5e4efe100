/* SPDX-License-Identifier: Apache-2.0
 *
 * Windows, one a line, and after a NUL the TZif file of their zone (without: UTC): what is taken
 * for a window is open or not until the instant that it says, and then the other. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy/when.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(const struct when *when, uint64_t t)
{
    for (int i = 0; i < 20; i++) {
        uint64_t until, later;
        const bool open = when_open(when, t, &until);
        if (!until)
            return;
        if (until <= t || when_open(when, until, &later) == open ||
            when_open(when, until - 1, &later) != open || later != until ||
            when_open(when, t + (until - t) / 2, &later) != open)
            abort();
        t = until;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct when_window windows[WHEN_WINDOWS_MAX];
    struct when_span spans[WHEN_WINDOWS_MAX * 14];
    const uint8_t *end = memchr(data, 0, size);
    const size_t len = end ? (size_t)(end - data) : size;
    char *text = malloc(len + 1), *save = NULL;
    struct zone *zone = NULL;
    size_t count = 0;

    if (!text)
        abort();
    if (len)
        memcpy(text, data, len);
    text[len] = 0;
    for (char *line = strtok_r(text, "\n", &save); line && count < WHEN_WINDOWS_MAX;
         line = strtok_r(NULL, "\n", &save)) {
        struct err e = ERR_INIT;
        if (when_window_parse(line, &windows[count], &e) == 0)
            count++;
        else if (!e.text[0])
            abort();
    }
    if (end)
        zone = zone_parse(end + 1, size - len - 1, NULL);
    if (count) {
        const struct when_zone one = {zone, spans, when_spans(windows, count, spans)};
        const struct when when = {&one, 1, text};
        if (!one.count || one.count > count * 14)
            abort();
        for (size_t i = 0; i < one.count; i++) {
            if (spans[i].from >= spans[i].to || spans[i].to > WEEK_MINUTES ||
                (i && spans[i].from <= spans[i - 1].to))
                abort();
        }
        look(&when, 1772323200);
        look(&when, 547000000);
        look(&when, 4000000000);
    }
    zone_free(zone);
    free(text);
    return 0;
}
