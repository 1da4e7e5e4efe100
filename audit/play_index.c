/* SPDX-License-Identifier: Apache-2.0
 *
 * See audit/play_index.h. When the table is full every other point is given up and the stride
 * doubles. */
#include "audit/play_index.h"

#include <stdlib.h>
#include <string.h>

void play_index_init(struct play_index *ix)
{
    memset(ix, 0, sizeof *ix);
    ix->stride = 1;
}

void play_index_clear(struct play_index *ix)
{
    free(ix->points);
    play_index_init(ix);
}

void play_index_extend(struct play_index *ix, uint64_t ns)
{
    if (!ix->start_ns)
        ix->start_ns = ns;
    if (ns > ix->end_ns)
        ix->end_ns = ns;
}

static int make_room(struct play_index *ix)
{
    size_t room = ix->room ? ix->room * 2 : 1024;
    struct play_point *points;

    if (ix->count < ix->room)
        return 0;
    if (room > PLAY_POINTS_MAX) {
        for (size_t i = 0; i < ix->count / 2; i++)
            ix->points[i] = ix->points[2 * i];
        ix->count /= 2;
        ix->stride *= 2;
        return 0;
    }
    points = realloc(ix->points, room * sizeof *points);
    if (!points)
        return ERR_MEMORY;
    ix->points = points;
    ix->room = room;
    return 0;
}

int play_index_add(struct play_index *ix, uint64_t record, uint64_t ns, uint32_t len)
{
    if (record < ix->upto)
        return 0;
    ix->upto = record + 1;
    play_index_extend(ix, ns);
    if (ix->seen++ % ix->stride == 0) {
        if (make_room(ix) < 0)
            return ERR_MEMORY;
        if ((ix->seen - 1) % ix->stride == 0)
            ix->points[ix->count++] = (struct play_point){record, ns, ix->bytes};
    }
    ix->bytes += len;
    return 0;
}

uint64_t play_index_lead(const struct play_index *ix, uint64_t ns)
{
    size_t low = 0, high = ix->count;

    /* The real clock may have stepped back within a session; then this finds one of the moments. */
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (ix->points[middle].ns <= ns)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return 0;
    for (high = low - 1; high > 0; high--)
        if (ix->points[low - 1].bytes - ix->points[high].bytes >= PLAY_LEAD_BYTES)
            return ix->points[high].record;
    return 0;
}

uint64_t play_index_length_ns(const struct play_index *ix)
{
    return ix->end_ns > ix->start_ns ? ix->end_ns - ix->start_ns : 0;
}
