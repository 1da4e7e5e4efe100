/* SPDX-License-Identifier: Apache-2.0
 *
 * What a supervisor kept of a session for authd's successor: what is taken is written again as it
 * was. */
#include <string.h>

#include "auth/again.h"
#include "base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct again_session s;
    struct err e = ERR_INIT;
    struct buf out;

    if (again_decode((struct bytes){data, size}, &s, &e) < 0)
        return 0;
    buf_init(&out, AGAIN_ENCODED_MAX);
    INVARIANT(again_encode(&s, &out) == 0);
    INVARIANT(buf_len(&out) == size && memcmp(buf_head(&out), data, size) == 0);
    buf_clear(&out);
    return 0;
}
