/* SPDX-License-Identifier: Apache-2.0
 *
 * See auth/agent.h.
 *
 *     message          = uint32 length, byte type, contents
 *     identities       = type 11, empty         answer: type 12, uint32 1, string key, string
 * comment sign             = type 13, string key, string data, uint32 flags answer: type 14, string
 * signature failure          = type 5 data             = string session id, byte 50, string
 * account, string "ssh-connection", string "publickey", boolean 1, string algorithm, string key */
#include "auth/agent.h"

#include <string.h>

#include "auth/vault.h"

enum {
    AGENT_FAILURE = 5,
    AGENT_REQUEST_IDENTITIES = 11,
    AGENT_IDENTITIES_ANSWER = 12,
    AGENT_SIGN_REQUEST = 13,
    AGENT_SIGN_RESPONSE = 14,
    MSG_USERAUTH_REQUEST = 50,
};

/* The exchange hash: SHA-1 (20) to SHA-512 (64). */
#define SESSION_ID_MIN 20
#define SESSION_ID_MAX 64

void agent_init(struct agent *a, const uint8_t *identity, size_t len, const char *account)
{
    memset(a, 0, sizeof *a);
    INVARIANT(len <= sizeof a->identity && strlen(account) < sizeof a->account);
    memcpy(a->identity, identity, len);
    a->identity_len = len;
    strcpy(a->account, account);
}

static bool equal(struct bytes b, const void *p, size_t len)
{
    return b.len == len && memcmp(b.p, p, len) == 0;
}

static bool equal_text(struct bytes b, const char *text)
{
    return equal(b, text, strlen(text));
}

/* NULL: the bytes are what the grant permits to be signed. */
static const char *check_data(const struct agent *a, struct bytes data)
{
    struct wire_reader r;
    wire_reader_init(&r, data.p, data.len);
    struct bytes session_id = wire_get_data(&r, SESSION_ID_MAX);
    uint8_t type = wire_get_u8(&r);
    struct bytes account = wire_get_data(&r, AGENT_MESSAGE_MAX);
    struct bytes service = wire_get_data(&r, AGENT_MESSAGE_MAX);
    struct bytes method = wire_get_data(&r, AGENT_MESSAGE_MAX);
    uint8_t has_signature = wire_get_u8(&r);
    struct bytes algorithm = wire_get_data(&r, AGENT_MESSAGE_MAX);
    struct bytes key = wire_get_data(&r, AGENT_MESSAGE_MAX);

    if (wire_get_end(&r, NULL) < 0 || session_id.len < SESSION_ID_MIN ||
        type != MSG_USERAUTH_REQUEST || has_signature != 1)
        return "a signature over something that is no authentication request";
    if (!equal_text(account, a->account))
        return "a signature for another account";
    if (!equal_text(service, "ssh-connection"))
        return "a signature for another service";
    if (!equal_text(method, "publickey"))
        return "a signature for another method";
    if (!equal_text(algorithm, VAULT_ALGORITHM) || !equal(key, a->identity, a->identity_len))
        return "a signature that names another key";
    return NULL;
}

static const char *check_sign(const struct agent *a, struct wire_reader *r, struct bytes *data)
{
    struct bytes key = wire_get_data(r, AGENT_MESSAGE_MAX);
    *data = wire_get_data(r, AGENT_MESSAGE_MAX);
    wire_get_u32(r); /* flags choose RSA hashes; nothing to choose for Ed25519 */
    if (wire_get_end(r, NULL) < 0)
        return "a malformed signing request";
    if (!equal(key, a->identity, a->identity_len))
        return "a signature with another key";
    const char *why = check_data(a, *data);
    if (!why && a->signed_once)
        why = "a second signature";
    return why;
}

static int answer_identities(const struct agent *a, struct buf *out)
{
    uint8_t message[4 + 1 + 4 + 4 + sizeof a->identity + 4];
    struct wire_writer w;
    wire_writer_init(&w, message, sizeof message);
    wire_put_u32(&w, (uint32_t)(1 + 4 + 4 + a->identity_len + 4));
    wire_put_u8(&w, AGENT_IDENTITIES_ANSWER);
    wire_put_u32(&w, 1);
    wire_put_data(&w, a->identity, a->identity_len, sizeof a->identity);
    wire_put_u32(&w, 0); /* no comment */
    int rc = wire_put_end(&w, NULL);
    return rc < 0 ? rc : buf_put(out, message, w.len);
}

static int put_failure(struct buf *out)
{
    static const uint8_t failure[5] = {0, 0, 0, 1, AGENT_FAILURE};
    return buf_put(out, failure, sizeof failure);
}

static size_t message_len(const struct buf *in)
{
    return 4 + (size_t)wire_load_u32(buf_head(in));
}

int agent_step(struct agent *a, struct buf *in, struct buf *out, struct bytes *data,
               const char **why)
{
    struct wire_reader r;
    int rc;

    *why = NULL;
    if (buf_len(in) < 4)
        return AGENT_MORE;
    size_t len = message_len(in);
    if (len < 5 || len > AGENT_MESSAGE_MAX) {
        *why = "a message of an impossible length";
        rc = put_failure(out);
        return rc < 0 ? rc : ERR_PROTOCOL;
    }
    if (buf_len(in) < len)
        return AGENT_MORE;
    if (++a->requests > AGENT_REQUESTS_MAX) {
        *why = "requests without end";
        rc = put_failure(out);
        return rc < 0 ? rc : ERR_PROTOCOL;
    }
    wire_reader_init(&r, buf_head(in) + 4, len - 4);
    uint8_t type = wire_get_u8(&r);
    if (type == AGENT_REQUEST_IDENTITIES && wire_get_end(&r, NULL) == 0) {
        rc = answer_identities(a, out);
        buf_consume(in, len);
        return rc < 0 ? rc : AGENT_ANSWERED;
    }
    if (type == AGENT_SIGN_REQUEST) {
        *why = check_sign(a, &r, data);
        if (!*why) {
            a->signed_once = true;
            return AGENT_SIGN;
        }
    } else {
        *why = "an agent request of another kind";
    }
    rc = put_failure(out);
    buf_consume(in, len);
    return rc < 0 ? rc : AGENT_BREACH;
}

int agent_signed(struct buf *in, struct buf *out, const uint8_t *signature, size_t len)
{
    uint8_t head[9];
    wire_store_u32(head, (uint32_t)(1 + 4 + len));
    head[4] = AGENT_SIGN_RESPONSE;
    wire_store_u32(head + 5, (uint32_t)len);
    buf_consume(in, message_len(in));
    int rc = buf_put(out, head, sizeof head);
    return rc < 0 ? rc : buf_put(out, signature, len);
}

int agent_refused(struct buf *in, struct buf *out)
{
    buf_consume(in, message_len(in));
    return put_failure(out);
}
