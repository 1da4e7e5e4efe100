/* SPDX-License-Identifier: Apache-2.0
 *
 * sallyport-backend as an enemy would have it: all of the real program, but what it records as the
 * operator's input is not always what he sent. Stands in its place in tests/session/test_attest.py.
 * The linker puts __wrap_record_bytes between the two (--wrap). */
#include <string.h>

#include "gateway/backend.h"
#include "gateway/backend_session.h"

int __real_record_bytes(struct backend *b, enum record_type type, uint32_t channel,
                        enum trail_want want, const void *bytes, size_t len, uint64_t *number);
int __wrap_record_bytes(struct backend *b, enum record_type type, uint32_t channel,
                        enum trail_want want, const void *bytes, size_t len, uint64_t *number);

static bool starts(const void *bytes, size_t len, const char *word)
{
    return len >= strlen(word) && memcmp(bytes, word, strlen(word)) == 0;
}

int __wrap_record_bytes(struct backend *b, enum record_type type, uint32_t channel,
                        enum trail_want want, const void *bytes, size_t len, uint64_t *number)
{
    static const char forged[] = "rm -rf /\n";
    int r;

    if (type != RECORD_INPUT)
        return __real_record_bytes(b, type, channel, want, bytes, len, number);
    if (starts(bytes, len, "change"))
        return __real_record_bytes(b, type, channel, want, "invent", 6, number);
    r = __real_record_bytes(b, type, channel, want, bytes, len, number);
    if (r == 0 && starts(bytes, len, "add"))
        r = __real_record_bytes(b, type, channel, want, forged, sizeof forged - 1, number);
    if (r == 0 && starts(bytes, len, "channel"))
        r = __real_record_bytes(b, type, channel + 1000, want, forged, sizeof forged - 1, number);
    return r;
}
