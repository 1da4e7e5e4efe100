/* SPDX-License-Identifier: Apache-2.0
 *
 * What retention reads: orders ('o'), which have exactly one written form, and pruned segments
 * ('s') from a hostile copy of a trail. The first byte says which. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/prune_order.h"
#include "audit/trail_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int dir = -1;
static char path[64];

static void remove_dir(void)
{
    char name[SEGMENT_NAME_MAX];

    segment_pruned_name(0, name);
    (void)unlinkat(dir, name, 0);
    (void)rmdir(path);
}

static void make_dir(void)
{
    snprintf(path, sizeof path, "%s/fuzz-prune-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(path) || (dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        abort();
    atexit(remove_dir);
}

static void order(const uint8_t *text, size_t len)
{
    struct prune_order o;
    struct err e = ERR_INIT;
    struct buf again;

    buf_init(&again, PRUNE_ORDER_MAX);
    if (prune_order_read(text, len, &o, &e) == 0 &&
        (prune_order_write(&o, &again, &e) < 0 || buf_len(&again) != len ||
         memcmp(buf_head(&again), text, len) != 0))
        abort();
    buf_clear(&again);
}

static void segment(const uint8_t *bytes, size_t len)
{
    char name[SEGMENT_NAME_MAX];
    struct trail_reader *reader = NULL;
    struct trail_view v;
    struct err e = ERR_INIT;
    uint64_t unfinished = 0, read = SEGMENT_PRUNED_MAGIC_SIZE;
    enum fault fault;
    int fd, r;

    segment_pruned_name(0, name);
    fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, bytes, len) != (ssize_t)len)
        abort();
    close(fd);
    r = trail_reader_new(&reader, dir, 0, &e);
    while (r >= 0 && (r = trail_reader_next(reader, &v, &unfinished, &fault, &e)) == 1) {
        read += 1 + RECORD_HEADER_SIZE + (v.dropped ? 0 : v.r.payload_len);
        for (size_t i = 0; v.dropped && i < v.r.payload_len; i++)
            if (v.payload[i])
                abort();
    }
    /* All of it was taken, or said to be unfinished. */
    if (r == 0 && read + unfinished != len)
        abort();
    trail_reader_free(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (dir < 0)
        make_dir();
    if (size > 0 && data[0] == 'o')
        order(data + 1, size - 1);
    else if (size > 0 && data[0] == 's')
        segment(data + 1, size - 1);
    return 0;
}
