/* SPDX-License-Identifier: Apache-2.0
 *
 * The sums; see verify_pruned.h. */
#include "audit/verify_pruned.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

static int add_segment(struct verify_pruned *p, uint64_t first, struct err *e)
{
    if (p->count == p->room) {
        size_t room = p->room ? 2 * p->room : 64;
        struct verify_pruned_segment *grown = realloc(p->segments, room * sizeof *grown);

        if (!grown)
            return err_set(e, ERR_MEMORY, "no memory for the segments");
        p->segments = grown;
        p->room = room;
    }
    p->segments[p->count++] = (struct verify_pruned_segment){.first = first};
    return 0;
}

static struct verify_pruned_segment *find(struct verify_pruned *p, uint64_t first)
{
    size_t low = 0, high = p->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (p->segments[middle].first < first)
            low = middle + 1;
        else
            high = middle;
    }
    return low < p->count && p->segments[low].first == first ? &p->segments[low] : NULL;
}

static int take_prune(struct verify_pruned *p, const struct trail_view *v, struct err *e)
{
    json_t *root = json_loadb((const char *)v->payload, v->r.payload_len, 0, NULL);
    json_t *list = json_object_get(root, "segments"), *item;
    int r = json_is_array(list) ? 0 : ERR_TAMPERED;
    size_t i;

    json_array_foreach(list, i, item)
    {
        json_int_t first = json_integer_value(json_object_get(item, "first")),
                   records = json_integer_value(json_object_get(item, "records"));
        struct verify_pruned_segment *s = first < 0 ? NULL : find(p, (uint64_t)first);

        if (first < 0 || records < 0)
            r = ERR_TAMPERED;
        else if (s) /* else: before the record that verifying began with */
            s->allowed += (uint64_t)records;
    }
    json_decref(root);
    return r < 0 ? err_set(e, ERR_TAMPERED, "a prune record does not say which segments") : 0;
}

int verify_pruned_take(struct verify_pruned *p, const struct trail_view *v, struct err *e)
{
    int r = v->first_of_segment ? add_segment(p, v->r.index, e) : 0;

    if (r < 0)
        return r;
    if (v->dropped && p->count > 0) {
        p->segments[p->count - 1].dropped++;
        p->dropped++;
    }
    return v->r.type == RECORD_PRUNE ? take_prune(p, v, e) : 0;
}

int verify_pruned_end(const struct verify_pruned *p, uint64_t *first, struct err *e)
{
    for (size_t i = 0; i < p->count; i++) {
        const struct verify_pruned_segment *s = &p->segments[i];

        if (s->dropped <= s->allowed)
            continue;
        *first = s->first;
        return err_set(e, ERR_TAMPERED,
                       "%" PRIu64 " payloads of this segment are not there, and orders of pruning "
                       "account for %" PRIu64,
                       s->dropped, s->allowed);
    }
    return 0;
}

uint64_t verify_pruned_open(const struct verify_pruned *p)
{
    uint64_t open = 0;

    for (size_t i = 0; i < p->count; i++)
        if (p->segments[i].dropped > p->segments[i].allowed)
            open += p->segments[i].dropped - p->segments[i].allowed;
    return open;
}

void verify_pruned_clear(struct verify_pruned *p)
{
    free(p->segments);
    *p = (struct verify_pruned){0};
}
