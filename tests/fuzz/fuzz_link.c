/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzes the decoder and the printer of every message of every link: the first byte chooses the
 * link, the second the message, the rest is its fields. A decoder must refuse or take every byte;
 * what it took must print, without the secrets.
 *
 *     ./configure --enable-fuzzers CC=clang && make fuzz_link && ./fuzz_link -max_total_time=60 */
#include "gateway/messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct link_spec *const links[] = {
        &link_listener, &link_forks, &link_relay, &link_authd,
        &link_login,    &link_grant, &link_trail, &link_auditd,
    };
    const struct link_spec *spec;
    struct frame f = {0};
    struct buf out;
    int rc;

    if (size < 2)
        return 0;
    spec = links[data[0] % (sizeof links / sizeof links[0])];
    f.spec = &spec->messages[data[1] % spec->count];
    f.fields = (struct bytes){data + 2, size - 2};
    buf_init(&out, 65536);
    rc = link_print(&f, &out);
    INVARIANT(rc == 0 || rc == ERR_PROTOCOL || rc == ERR_FULL);
    buf_clear(&out);
    return 0;
}
