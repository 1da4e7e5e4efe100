/* SPDX-License-Identifier: Apache-2.0
 *
 * What a backend may send to the agent that signs for it: at most one request is let through to a
 * signature, every answer is a whole message of the protocol, every refusal has a reason. The
 * account is "root", the identity's key is 32 bytes of zero. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "auth/agent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t identity[51] = {0,   0,   0,   11,  's', 's', 'h', '-', 'e', 'd',
                                     '2', '5', '5', '1', '9', 0,   0,   0,   32};

/* Answers are SSH_AGENT_FAILURE, ..._IDENTITIES_ANSWER, ..._SIGN_RESPONSE, each with its length. */
static void check_answers(struct buf *out)
{
    while (buf_len(out) > 0) {
        const uint8_t *p = buf_head(out);
        uint32_t len;

        if (buf_len(out) < 5)
            abort();
        len = wire_load_u32(p);
        if (len == 0 || len > buf_len(out) - 4 || (p[4] != 5 && p[4] != 12 && p[4] != 14))
            abort();
        buf_consume(out, 4 + (size_t)len);
    }
}

/* One message; false when the stream is over. */
static bool step(struct agent *a, struct buf *in, struct buf *out, unsigned *signatures)
{
    static const uint8_t signature[64];
    struct bytes to_sign = {0};
    const char *why = NULL;
    int event = agent_step(a, in, out, &to_sign, &why);

    if (event < 0 || event == AGENT_MORE)
        return false;
    if (event == AGENT_BREACH && !why)
        abort();
    if (event == AGENT_SIGN) {
        if (++*signatures > 1 || to_sign.len == 0 || to_sign.len > AGENT_MESSAGE_MAX)
            abort();
        if (agent_signed(in, out, signature, sizeof signature) != 0)
            abort();
    }
    check_answers(out);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct agent a;
    struct buf in, out;
    unsigned signatures = 0;
    size_t taken = 0;
    bool alive = true;

    agent_init(&a, identity, sizeof identity, "root");
    buf_init(&in, 2 * AGENT_MESSAGE_MAX);
    buf_init(&out, 2 * AGENT_MESSAGE_MAX);
    while (taken < size && alive) {
        size_t n = size - taken < 700 ? size - taken : 700;
        if (buf_put(&in, data + taken, n) != 0)
            break;
        taken += n;
        for (unsigned i = 0; i <= 2 * AGENT_REQUESTS_MAX && step(&a, &in, &out, &signatures); i++)
            ;
        alive = buf_len(&in) <= AGENT_MESSAGE_MAX + 4;
    }
    buf_clear(&in);
    buf_clear(&out);
    return 0;
}
