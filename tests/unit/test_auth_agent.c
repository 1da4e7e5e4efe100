/* SPDX-License-Identifier: Apache-2.0
 *
 * The agent protocol: one signature, over one kind of data; whatever else comes is refused. */
#include <criterion/criterion.h>
#include <string.h>

#include "auth/agent.h"
#include "auth/vault.h"
#include "base/secret.h"

struct conversation {
    struct agent agent;
    struct buf in, out;
    uint8_t identity[VAULT_PUBLIC_BYTES];
};

static void begin(struct conversation *c)
{
    struct secret *seed = NULL;
    cr_assert_eq(vault_generate(&seed, c->identity, NULL), 0);
    secret_free(seed);
    agent_init(&c->agent, c->identity, sizeof c->identity, "root");
    buf_init(&c->in, 2 * AGENT_MESSAGE_MAX);
    buf_init(&c->out, 2 * AGENT_MESSAGE_MAX);
}

static void end(struct conversation *c)
{
    buf_clear(&c->in);
    buf_clear(&c->out);
}

/* What the bytes to sign are made of; NULL and 0 take what is right. */
struct request {
    const char *account, *service, *method, *algorithm;
    uint8_t type, has_signature;
    size_t session_id;
    bool other_key, other_inner_key, left_over;
};

static void put_request(struct conversation *c, const struct request *r)
{
    uint8_t data[1024], message[2048], id[80] = {0}, key[VAULT_PUBLIC_BYTES];
    struct wire_writer w;
    wire_writer_init(&w, data, sizeof data);
    wire_put_data(&w, id, r->session_id ? r->session_id : 32, 80);
    wire_put_u8(&w, r->type ? r->type : 50);
    const char *texts[] = {r->account ? r->account : "root",
                           r->service ? r->service : "ssh-connection",
                           r->method ? r->method : "publickey"};
    for (int i = 0; i < 3; i++)
        wire_put_data(&w, texts[i], strlen(texts[i]), 100);
    wire_put_u8(&w, r->has_signature ? r->has_signature : 1);
    const char *algorithm = r->algorithm ? r->algorithm : "ssh-ed25519";
    wire_put_data(&w, algorithm, strlen(algorithm), 100);
    memcpy(key, c->identity, sizeof key);
    key[sizeof key - 1] ^= r->other_inner_key;
    wire_put_data(&w, key, sizeof key, 100);
    if (r->left_over)
        wire_put_u8(&w, 0);
    size_t len = w.len;
    memcpy(key, c->identity, sizeof key);
    key[sizeof key - 1] ^= r->other_key;
    wire_writer_init(&w, message, sizeof message);
    wire_put_u32(&w, 0);
    wire_put_u8(&w, 13);
    wire_put_data(&w, key, sizeof key, 100);
    wire_put_data(&w, data, len, sizeof data);
    wire_put_u32(&w, 0);
    cr_assert_eq(wire_put_end(&w, NULL), 0);
    wire_store_u32(message, (uint32_t)w.len - 4);
    cr_assert_eq(buf_put(&c->in, message, w.len), 0);
}

static void expect_failure(struct conversation *c, size_t i)
{
    static const uint8_t failure[] = {0, 0, 0, 1, 5};
    cr_expect(buf_len(&c->out) == 5 && memcmp(buf_head(&c->out), failure, 5) == 0, "case %zu", i);
    buf_clear(&c->out);
}

Test(agent, identities)
{
    static const uint8_t ask[] = {0, 0, 0, 1, 11};
    struct conversation c;
    struct bytes data;
    const char *why;
    begin(&c);
    for (size_t n = 1; n < sizeof ask; n++) {
        cr_assert_eq(buf_put(&c.in, ask + n - 1, 1), 0);
        cr_expect_eq(agent_step(&c.agent, &c.in, &c.out, &data, &why), AGENT_MORE);
    }
    cr_assert_eq(buf_put(&c.in, ask + 4, 1), 0);
    cr_expect_eq(agent_step(&c.agent, &c.in, &c.out, &data, &why), AGENT_ANSWERED);
    cr_expect_eq(buf_len(&c.out), 4 + 1 + 4 + 4 + VAULT_PUBLIC_BYTES + 4);
    cr_expect_eq(buf_head(&c.out)[4], 12);
    end(&c);
}

Test(agent, asks_are_counted)
{
    static const uint8_t ask[] = {0, 0, 0, 1, 11};
    struct conversation c;
    struct bytes data;
    const char *why;
    begin(&c);
    for (unsigned i = 0; i < AGENT_REQUESTS_MAX; i++) {
        cr_assert_eq(buf_put(&c.in, ask, sizeof ask), 0);
        cr_expect_eq(agent_step(&c.agent, &c.in, &c.out, &data, &why), AGENT_ANSWERED);
        buf_clear(&c.out);
    }
    cr_assert_eq(buf_put(&c.in, ask, sizeof ask), 0);
    cr_expect_eq(agent_step(&c.agent, &c.in, &c.out, &data, &why), ERR_PROTOCOL);
    cr_expect_not_null(why);
    end(&c);
}

Test(agent, signs_once)
{
    const struct request right = {0};
    struct conversation c;
    struct bytes data;
    const char *why;
    begin(&c);
    put_request(&c, &right);
    cr_assert_eq(agent_step(&c.agent, &c.in, &c.out, &data, &why), AGENT_SIGN);
    cr_expect_gt(data.len, 100);
    cr_assert_eq(agent_signed(&c.in, &c.out, (const uint8_t *)"signature", 9), 0);
    cr_expect_eq(buf_len(&c.in), 0);
    cr_expect_eq(buf_len(&c.out), 4 + 1 + 4 + 9);
    cr_expect_eq(buf_head(&c.out)[4], 14);
    buf_clear(&c.out);
    put_request(&c, &right);
    cr_expect_eq(agent_step(&c.agent, &c.in, &c.out, &data, &why), AGENT_BREACH);
    expect_failure(&c, 0);
    end(&c);
}

Test(agent, refuses_what_was_not_granted)
{
    static const struct request cases[] = {
        {.account = "admin"},
        {.account = "roo"},
        {.account = ""},
        {.service = "ssh-userauth"},
        {.method = "hostbased"},
        {.algorithm = "ssh-rsa"},
        {.type = 51},
        {.type = 80},
        {.has_signature = 2},
        {.session_id = 8},
        {.session_id = 65},
        {.other_key = true},
        {.other_inner_key = true},
        {.left_over = true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct request right = {0};
        struct conversation c;
        struct bytes data;
        const char *why;
        begin(&c);
        put_request(&c, &cases[i]);
        cr_expect_eq(agent_step(&c.agent, &c.in, &c.out, &data, &why), AGENT_BREACH, "case %zu", i);
        cr_expect_not_null(why);
        expect_failure(&c, i);
        /* It was not used up by that. */
        put_request(&c, &right);
        cr_expect_eq(agent_step(&c.agent, &c.in, &c.out, &data, &why), AGENT_SIGN, "case %zu", i);
        end(&c);
    }
}

Test(agent, other_messages_are_refused)
{
    for (unsigned type = 0; type < 256; type++) {
        struct conversation c;
        struct bytes data;
        const char *why;
        uint8_t message[] = {0, 0, 0, 1, (uint8_t)type};
        if (type == 11)
            continue;
        begin(&c);
        cr_assert_eq(buf_put(&c.in, message, sizeof message), 0);
        cr_expect_eq(agent_step(&c.agent, &c.in, &c.out, &data, &why), AGENT_BREACH, "%u", type);
        expect_failure(&c, type);
        end(&c);
    }
}

Test(agent, impossible_lengths_end_it)
{
    static const uint32_t lengths[] = {0, AGENT_MESSAGE_MAX - 3, 0x7fffffff, 0xffffffff};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct conversation c;
        struct bytes data;
        const char *why;
        uint8_t head[4];
        begin(&c);
        wire_store_u32(head, lengths[i]);
        cr_assert_eq(buf_put(&c.in, head, sizeof head), 0);
        cr_expect_eq(agent_step(&c.agent, &c.in, &c.out, &data, &why), ERR_PROTOCOL, "%zu", i);
        expect_failure(&c, i);
        end(&c);
    }
}
