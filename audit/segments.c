/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists segment files. Runs in auditd and in the reading tools. A name that is not exactly a
 * segment's is another file's and is passed over. */
#include "audit/segments.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void segment_name(uint64_t first, char out[SEGMENT_NAME_MAX])
{
    snprintf(out, SEGMENT_NAME_MAX, "%016" PRIx64 ".spa", first);
}

void segment_pruned_name(uint64_t first, char out[SEGMENT_NAME_MAX])
{
    snprintf(out, SEGMENT_NAME_MAX, "%016" PRIx64 ".spp", first);
}

static int parse_name(const char *name, uint64_t *first)
{
    char again[SEGMENT_NAME_MAX];

    if (strlen(name) != SEGMENT_NAME_MAX - 1 || strspn(name, "0123456789abcdef") != 16)
        return ERR_SYNTAX;
    *first = strtoull(name, NULL, 16);
    segment_name(*first, again);
    if (strcmp(name, again) == 0)
        return 0;
    segment_pruned_name(*first, again);
    return strcmp(name, again) == 0 ? 0 : ERR_SYNTAX;
}

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static void sort(struct segments *s)
{
    size_t kept = 1;

    qsort(s->first, s->count, sizeof *s->first, compare);
    for (size_t i = 1; i < s->count; i++)
        if (s->first[i] != s->first[kept - 1])
            s->first[kept++] = s->first[i];
    s->count = kept;
}

int segments_list(struct segments *s, int dir, struct err *e)
{
    size_t room = 0;
    struct dirent *entry;
    DIR *d = NULL;
    int r = 0, fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    s->first = NULL;
    s->count = 0;
    if (fd < 0 || !(d = fdopendir(fd))) {
        r = err_errno(e, "cannot list the trail's directory");
        if (fd >= 0)
            close(fd);
        return r;
    }
    for (errno = 0; (entry = readdir(d)); errno = 0) {
        uint64_t first;

        if (parse_name(entry->d_name, &first) < 0)
            continue;
        if (s->count == room) {
            size_t more = room ? room * 2 : 64;
            uint64_t *grown = more <= SEGMENTS_MAX ? realloc(s->first, more * sizeof *grown) : NULL;

            if (!grown) {
                r = err_set(e, ERR_MEMORY, "too many segments");
                goto out;
            }
            s->first = grown;
            room = more;
        }
        s->first[s->count++] = first;
    }
    if (errno)
        r = err_errno(e, "cannot list the trail's directory");
    else if (s->count)
        sort(s);
out:
    closedir(d);
    if (r < 0)
        segments_clear(s);
    return r;
}

void segments_clear(struct segments *s)
{
    free(s->first);
    s->first = NULL;
    s->count = 0;
}
