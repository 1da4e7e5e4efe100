/* SPDX-License-Identifier: Apache-2.0
 *
 * The checkpoint outside of the trail. Runs in auditd, in the synchronising thread when it writes.
 * A slot that a crash tore is no note, and the other one counts. */
#include "audit/high_mark.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

int trail_refuse_shorter(uint64_t size, uint64_t known, const char *where, struct err *e)
{
    return err_set(e, ERR_TAMPERED,
                   "the log has %" PRIu64 " records, but a checkpoint of %" PRIu64
                   " is known (%s): the log was cut, or an older copy of it was put back; look at "
                   "it, then `sallyport audit new-log --reason TEXT` begins another. If another "
                   "copy ran meanwhile, and this is the one to go on with: sallyport(1), RESTORED "
                   "COPIES",
                   size, known, where);
}

int high_mark_read(int fd, const struct vkey *log, struct checkpoint *c, unsigned *slot,
                   struct err *e)
{
    c->size = 0;
    *slot = 0;
    for (unsigned i = 0; i < 2; i++) {
        char note[HIGH_MARK_SLOT_SIZE];
        struct checkpoint found;
        ssize_t n = pread(fd, note, sizeof note, (off_t)(i * HIGH_MARK_SLOT_SIZE));

        if (n < 0)
            return err_errno(e, "cannot read " HIGH_MARK_FILE);
        if (checkpoint_open(&found, note, strnlen(note, (size_t)n), log, NULL) < 0 ||
            found.size <= c->size)
            continue;
        *c = found;
        *slot = !i;
    }
    return 0;
}

int high_mark_write(int fd, unsigned slot, const void *note, size_t len, struct err *e)
{
    char text[HIGH_MARK_SLOT_SIZE] = {0};
    ssize_t n;

    if (len >= sizeof text)
        return err_set(e, ERR_INPUT, "a checkpoint of %zu bytes", len);
    memcpy(text, note, len);
    do
        n = pwrite(fd, text, sizeof text, (off_t)(slot * HIGH_MARK_SLOT_SIZE));
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_errno(e, "cannot write " HIGH_MARK_FILE);
    if (n != sizeof text)
        return err_set(e, ERR_SYSTEM, "cannot write all of " HIGH_MARK_FILE);
    return fdatasync(fd) < 0 ? err_errno(e, "cannot synchronise " HIGH_MARK_FILE) : 0;
}
