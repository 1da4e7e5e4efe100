/* SPDX-License-Identifier: Apache-2.0
 *
 * Entry bundles from the newest to the oldest. Runs in the reading tools; the bundles are hostile.
 */
#include "audit/entry_scan.h"

#include <stdbool.h>
#include <string.h>

struct search {
    const char *name; /* NULL: the session whose start is the newest */
    size_t len;
    bool found;
    uint8_t *header;
};

static void session_of(const uint8_t *header, uint8_t id[RECORD_SESSION_ID], uint8_t *type)
{
    struct record r;

    memset(id, 0, RECORD_SESSION_ID);
    *type = 0;
    if (record_decode(header, &r, NULL) < 0)
        return;
    memcpy(id, r.session, RECORD_SESSION_ID);
    *type = r.type;
}

/* 1: nothing older has to be looked at. */
static int look(struct search *s, const uint8_t *header, struct err *e)
{
    static const uint8_t gateway[RECORD_SESSION_ID];
    uint8_t id[RECORD_SESSION_ID], found[RECORD_SESSION_ID], type;
    char text[2 * RECORD_SESSION_ID + 1];

    session_of(header, id, &type);
    if (memcmp(id, gateway, sizeof id) == 0 || (!s->name && type != RECORD_SESSION_START))
        return 0;
    hex_encode(text, id, sizeof id);
    if (s->name && strncmp(text, s->name, s->len) != 0)
        return 0;
    if (s->found) {
        session_of(s->header, found, &type);
        if (memcmp(found, id, sizeof id) != 0)
            return err_set(e, ERR_INPUT, "several sessions begin with %s: give more digits",
                           s->name);
        return 0;
    }
    memcpy(s->header, header, RECORD_HEADER_SIZE);
    s->found = true;
    return !s->name || s->len >= ENTRY_NAME_WHOLE;
}

static int search(struct tile_reader *t, struct search *s, struct err *e)
{
    uint8_t bundle[TILE_BUNDLE_BYTES];
    uint64_t n = (tile_reader_size(t) + TILE_WIDTH - 1) / TILE_WIDTH;
    int r = 0;

    while (r == 0 && n-- > 0) {
        unsigned width = 0;

        r = tile_bundle(t, n, bundle, &width, e);
        for (unsigned i = width; r == 0 && i-- > 0;)
            r = look(s, bundle + i * TILE_ENTRY + 2, e);
    }
    return r < 0 ? r : 0;
}

int entry_last_of(struct tile_reader *t, const char *name, uint8_t header[RECORD_HEADER_SIZE],
                  struct err *e)
{
    bool last = strcmp(name, "last") == 0;
    struct search s = {.name = last ? NULL : name, .len = strlen(name), .header = header};
    char text[2 * RECORD_SESSION_ID + 1];
    uint8_t id[RECORD_SESSION_ID], type;
    int r;

    if (!last &&
        (s.len < 4 || s.len > 2 * RECORD_SESSION_ID || strspn(name, "0123456789abcdef") != s.len))
        return err_set(e, ERR_USAGE,
                       "a session is named by 4 to 32 digits of its id (0-9, a-f), or `last`");
    r = search(t, &s, e);
    if (r == 0 && last && s.found) {
        session_of(header, id, &type);
        hex_encode(text, id, sizeof id);
        s = (struct search){.name = text, .len = sizeof text - 1, .header = header};
        r = search(t, &s, e);
    }
    if (r < 0 || s.found)
        return r;
    if (last)
        return err_set(e, ERR_NOT_FOUND, "there is no session under the checkpoint yet");
    return err_set(e, ERR_NOT_FOUND, "no session under the checkpoint begins with %s", name);
}
