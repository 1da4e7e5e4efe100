/* SPDX-License-Identifier: Apache-2.0
 *
 * sallyport-reader: gives a reviewer the records that he asked for, and that the trail says he
 * asked for: it is started when the record of that is durable. One process for one request, with a
 * uid of its own, in the trail's directory, where it may read what its group may: segments and
 * signed notes, no key. Trusts the supervisor; the reviewer's command and the trail's bytes are
 * hostile. It holds no key and opens no payload. */
#ifndef SALLYPORT_AUDIT_READER_H
#define SALLYPORT_AUDIT_READER_H

#include <stdint.h>

#include "audit/record_source.h"

struct reader_options {
    int link_fd;
    int (*seal)(struct err *e); /* confines the process; NULL: tests */
};

/* The process: waits for `start`, answers, returns the exit status. */
int reader_run(const struct reader_options *o);

/* The answering alone, on the stream; link_fd: ends when it closes, -1: none. 0, or the error that
 * ended it. Closes nothing. */
MUST_CHECK int reader_serve(int dir, int stream, int link_fd,
                            const struct source_selection *selection, struct err *e);

#endif
