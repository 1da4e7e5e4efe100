/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzes what a process does with what another one sends: the first byte chooses the link. Where it
 * is even, the second chooses the message and the rest is its fields: a decoder must refuse or take
 * every byte; what it took must print, without the secrets. Where it is odd, the second says who
 * receives and in which state, and the rest are frames, each after a byte with its length: what is
 * received is in the table and permitted there, and after a violation comes nothing more.
 *
 *     ./configure --enable-fuzzers CC=clang && make fuzz_link && ./fuzz_link -max_total_time=60 */
#include <unistd.h>

#include "gateway/messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fields(const struct link_spec *spec, const uint8_t *data, size_t size)
{
    struct frame f = {.spec = &spec->messages[data[0] % spec->count]};
    struct buf out;
    int rc;

    f.fields = (struct bytes){data + 1, size - 1};
    buf_init(&out, 65536);
    rc = link_print(&f, &out);
    INVARIANT(rc == 0 || rc == ERR_PROTOCOL || rc == ERR_FULL);
    buf_clear(&out);
}

static void receive(struct link *l, enum link_side side, unsigned *once)
{
    struct frame f;
    struct buf out;
    int rc = link_recv(l, &f, NULL);

    if (rc != 1) {
        INVARIANT(rc == ERR_PROTOCOL && link_recv(l, &f, NULL) == ERR_PROTOCOL);
        *once = UINT32_MAX;
        return;
    }
    INVARIANT(f.spec->direction == (side == LINK_FIRST ? UP : DOWN));
    INVARIANT(f.spec->states & link_state(l));
    INVARIANT(f.fields.len <= f.spec->max && f.spec->fds == 0);
    if (f.spec->times == ONCE) {
        INVARIANT(!(*once >> f.spec->number % 32 & 1) || f.spec->number >= 32);
        if (f.spec->number < 32)
            *once |= 1u << f.spec->number;
    }
    buf_init(&out, 65536);
    rc = link_print(&f, &out);
    INVARIANT(rc == 0 || rc == ERR_PROTOCOL || rc == ERR_FULL);
    buf_clear(&out);
}

static void frames(const struct link_spec *spec, const uint8_t *data, size_t size)
{
    enum link_side side = data[0] & 1 ? LINK_SECOND : LINK_FIRST;
    unsigned once = 0;
    struct link *l;
    int pair[2];

    INVARIANT(link_pair(pair, 65536, NULL) == 0);
    l = link_new(pair[0], spec, side, 65536);
    INVARIANT(l);
    link_enter(l, spec->states[(data[0] >> 1) % spec->state_count].bit);
    for (data++, size--; size > 0 && once != UINT32_MAX;) {
        size_t len = data[0] < size ? data[0] : size - 1;

        /* A frame of no byte would be taken for the end. */
        if (len > 0) {
            if (write(pair[1], data + 1, len) != (ssize_t)len)
                break;
            receive(l, side, &once);
        }
        data += 1 + len;
        size -= 1 + len;
    }
    link_free(l);
    close(pair[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct link_spec *const links[] = {
        &link_listener, &link_forks,    &link_relay,  &link_authd,   &link_login,
        &link_grant,    &link_trail,    &link_auditd, &link_courier, &link_elsewhere,
        &link_reader,   &link_firewall, &link_hash, /* seeds name links by their place: new ones at
                                                       the end */
    };
    const struct link_spec *spec;

    if (size < 2)
        return 0;
    spec = links[(data[0] >> 1) % (sizeof links / sizeof links[0])];
    if (data[0] & 1)
        frames(spec, data + 1, size - 1);
    else
        fields(spec, data + 1, size - 1);
    return 0;
}
