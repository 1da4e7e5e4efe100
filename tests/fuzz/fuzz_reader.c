/* SPDX-License-Identifier: Apache-2.0
 *
 * The stream of a reader process, as the reviewer's command takes it. */
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "audit/record_source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct record_source *source;
    struct source_record v;
    struct buf note;
    struct err e = ERR_INIT;
    int pair[2], r = SOURCE_RECORD;

    /* What the socket takes at once. */
    if (size < 1 || size > 100000)
        return 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        abort();
    if (send(pair[1], data + 1, size - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        data = (const uint8_t *)"";
    shutdown(pair[1], SHUT_WR);
    if (record_source_stream(&source, pair[0], &e) == 0) {
        if (data[0] & 1)
            (void)!record_source_session(source, &e);
        buf_init(&note, 65536);
        if (data[0] & 2)
            (void)!record_source_note(source, "checkpoint", &note, &e);
        buf_clear(&note);
        for (int i = 0; i < STEPS_MAX && r == SOURCE_RECORD; i++) {
            r = record_source_next(source, &v, 0, &e);
            if (r == SOURCE_RECORD && v.r.payload_len > RECORD_PAYLOAD_MAX)
                abort();
            if (i == 1 && data[0] & 4 && record_source_seek(source, 0, &e) < 0)
                break;
        }
        record_source_free(source);
    }
    close(pair[1]);
    return 0;
}
