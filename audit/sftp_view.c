/* SPDX-License-Identifier: Apache-2.0
 *
 * SFTP channels for readers (audit/sftp_view.h). The form is walked by its lengths alone. */
#include "audit/sftp_view.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define PACKET_MAX (256u * 1024) /* gateway/sftp_elide.h; beyond, it is recorded verbatim */
#define HANDLE_MAX 256u
#define TYPE_WRITE 6
#define TYPE_DATA  103
#define HASH_SIZE  32u

/* What the number is whose last byte ends `wait`. */
enum place {
    AT_LENGTH,
    AT_TYPE,
    AT_HANDLE,    /* WRITE: id, then the handle's length */
    AT_DATA_SIZE, /* WRITE: handle, offset, then the data's length; DATA: id, then that */
    IN_REST,
};

void sftp_channels_note(struct sftp_channels *c, const struct record *r, const void *payload,
                        size_t len)
{
    json_t *j;
    const char *name;
    bool sftp;

    if (r->type != RECORD_SUBSYSTEM || sftp_channels_find(c, r->channel) ||
        c->count == SFTP_VIEW_CHANNELS)
        return;
    j = payload ? json_loadb(payload, len, 0, NULL) : NULL;
    name = json_string_value(json_object_get(j, "subsystem"));
    sftp = !payload || (name && strcmp(name, "sftp") == 0);
    json_decref(j);
    if (!sftp)
        return;
    memset(&c->at[c->count], 0, sizeof c->at[c->count]);
    c->at[c->count].id = r->channel;
    c->at[c->count].responses.responses = true;
    c->at[c->count].requests.wait = c->at[c->count].responses.wait = 4;
    c->count++;
}

struct sftp_channel *sftp_channels_find(struct sftp_channels *c, uint32_t id)
{
    for (unsigned i = 0; i < c->count; i++)
        if (c->at[i].id == id)
            return &c->at[i];
    return NULL;
}

bool sftp_channels_form(struct sftp_channels *c, const struct record *r)
{
    return (r->type == RECORD_INPUT || r->type == RECORD_OUTPUT) &&
           sftp_channels_find(c, r->channel) != NULL;
}

static void next(struct sftp_form *f, enum place place, uint32_t wait)
{
    f->place = (uint8_t)place;
    f->wait = wait;
}

/* `left` bytes of the packet follow, and so many in the place of its data. */
static void to_rest(struct sftp_form *f, uint32_t more)
{
    f->left += more;
    next(f, f->left > 0 ? IN_REST : AT_LENGTH, 4);
}

static void decide(struct sftp_form *f, struct sftp_counts *counts)
{
    const uint32_t number = f->number;

    switch (f->place) {
    case AT_LENGTH:
        f->left = number;
        f->lost = number == 0 || number > PACKET_MAX;
        next(f, AT_TYPE, 1);
        return;
    case AT_TYPE:
        f->type = (uint8_t)number;
        counts->packets++;
        counts->of[f->type]++;
        if (f->type != (f->responses ? TYPE_DATA : TYPE_WRITE))
            to_rest(f, 0);
        else if (f->left < 8)
            f->lost = true;
        else
            next(f, f->responses ? AT_DATA_SIZE : AT_HANDLE, 8);
        return;
    case AT_HANDLE:
        f->lost = number > HANDLE_MAX || number + 12 > f->left;
        next(f, AT_DATA_SIZE, number + 12);
        return;
    default:
        f->lost = number > f->left;
        if (!f->lost) {
            f->left -= number;
            to_rest(f, f->responses ? 0 : HASH_SIZE);
        }
        return;
    }
}

void sftp_form_count(struct sftp_form *f, const void *bytes, size_t len, struct sftp_counts *counts)
{
    const uint8_t *p = bytes;
    size_t i = 0;

    memset(counts, 0, sizeof *counts);
    f->lost = f->lost || !p;
    while (i < len && !f->lost) {
        if (f->place == IN_REST) {
            size_t n = len - i < f->left ? len - i : f->left;

            i += n;
            f->left -= (uint32_t)n;
            to_rest(f, 0);
            continue;
        }
        f->number = f->number << 8 | p[i++];
        if (f->place != AT_LENGTH)
            f->left--;
        if (f->place == AT_TYPE)
            f->number &= 0xff;
        if (--f->wait == 0)
            decide(f, counts);
    }
    counts->lost = f->lost;
}

const char *sftp_type_text(uint8_t type, char out[16])
{
    static const char *const names[] = {
        [1] = "init",      [2] = "version",    [3] = "open",
        [4] = "close",     [5] = "read",       [6] = "write",
        [7] = "lstat",     [8] = "fstat",      [9] = "setstat",
        [10] = "fsetstat", [11] = "opendir",   [12] = "readdir",
        [13] = "remove",   [14] = "mkdir",     [15] = "rmdir",
        [16] = "realpath", [17] = "stat",      [18] = "rename",
        [19] = "readlink", [20] = "symlink",   [101] = "status",
        [102] = "handle",  [103] = "data",     [104] = "name",
        [105] = "attrs",   [200] = "extended", [201] = "extended-reply",
    };

    if (type < sizeof names / sizeof *names && names[type])
        snprintf(out, 16, "%s", names[type]);
    else
        snprintf(out, 16, "type %u", type);
    return out;
}

int sftp_counts_text(const struct sftp_counts *counts, bool responses, size_t bytes,
                     struct buf *out)
{
    const char *what = responses ? "answer" : "request";
    const char *before = " (";
    char name[16];
    int r;

    if (counts->lost)
        return buf_printf(out, "SFTP %ss, %zu B, recorded form", what, bytes);
    r = buf_printf(out, "%" PRIu32 " %s%s", counts->packets, what, counts->packets == 1 ? "" : "s");
    for (unsigned type = 0; type < 256 && r == 0; type++) {
        if (counts->of[type] == 0)
            continue;
        r = buf_printf(out, "%s%" PRIu32 " %s", before, counts->of[type],
                       sftp_type_text((uint8_t)type, name));
        before = ", ";
    }
    if (r == 0)
        r = buf_printf(out, "%s, %zu B, recorded form", counts->packets ? ")" : "", bytes);
    return r;
}
