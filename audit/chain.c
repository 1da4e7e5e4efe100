/* SPDX-License-Identifier: Apache-2.0
 *
 * One step of the hash chain, for the writer and for the verifier. Runs in auditd and in the
 * reading tools; the record checked is hostile. Format: docs/FORMAT.md, "Links". */
#include "audit/chain.h"

#include <inttypes.h>
#include <string.h>

const char *fault_name(enum fault fault)
{
    switch (fault) {
    case FAULT_EDITED:
        return "edited";
    case FAULT_CUT:
        return "cut";
    case FAULT_MISSING:
        return "missing";
    case FAULT_REORDERED:
        return "reordered";
    case FAULT_UNSIGNED:
        return "not signed";
    case FAULT_NONE:
        break;
    }
    return "none";
}

int chain_init(struct chain *c, const uint8_t genesis[RECORD_HASH_SIZE], struct err *e)
{
    memset(c, 0, sizeof *c);
    memcpy(c->leaf, genesis, RECORD_HASH_SIZE);
    merkle_init(&c->merkle);
    c->digest = digest_new();
    c->sessions = sessions_new();
    if (!c->digest || !c->sessions) {
        chain_clear(c);
        return err_set(e, ERR_MEMORY, "no memory for the chain");
    }
    return 0;
}

void chain_clear(struct chain *c)
{
    digest_free(c->digest);
    sessions_free(c->sessions);
    c->digest = NULL;
    c->sessions = NULL;
}

int chain_place(struct chain *c, struct record *r, struct err *e)
{
    struct session_state *state = sessions_get(c->sessions, r->session);

    if (!state)
        return err_set(e, ERR_MEMORY, "no memory for a session");
    r->index = c->next;
    r->epoch = c->epoch;
    r->sequence = state->next_sequence;
    memcpy(r->previous, c->leaf, RECORD_HASH_SIZE);
    memcpy(r->session_previous, state->leaf, RECORD_HASH_SIZE);
    return 0;
}

int chain_advance(struct chain *c, const struct record *r, const uint8_t header[RECORD_HEADER_SIZE],
                  struct err *e)
{
    struct session_state *state = sessions_get(c->sessions, r->session);

    if (!state)
        return err_set(e, ERR_MEMORY, "no memory for a session");
    digest_leaf(c->digest, header, c->leaf);
    merkle_add(&c->merkle, c->digest, c->leaf);
    c->next++;
    c->last_type = r->type;
    state->next_sequence++;
    memcpy(state->leaf, c->leaf, RECORD_HASH_SIZE);
    switch (r->type) {
    case RECORD_SESSION_START:
        state->started = true;
        state->start_ns = r->real_ns;
        break;
    case RECORD_SESSION_END:
        state->ended = true;
        break;
    case RECORD_INPUT:
        state->bytes_in += r->payload_len;
        break;
    case RECORD_OUTPUT:
    case RECORD_STDERR:
        state->bytes_out += r->payload_len;
        break;
    default:
        break;
    }
    return 0;
}

static int found(enum fault *fault, enum fault kind, struct err *e, const char *text)
{
    *fault = kind;
    return err_set(e, ERR_TAMPERED, "%s", text);
}

int chain_check(struct chain *c, const struct record *r, const uint8_t header[RECORD_HEADER_SIZE],
                const void *payload, enum fault *fault, struct err *e)
{
    static const uint8_t zero[RECORD_HASH_SIZE];
    struct session_state *state;
    uint8_t hash[RECORD_HASH_SIZE];

    *fault = FAULT_NONE;
    if (r->index != c->next) {
        /* Where the chain goes on all the same, only the number was changed. */
        *fault = memcmp(r->previous, c->leaf, RECORD_HASH_SIZE) == 0 ? FAULT_EDITED
                 : r->index > c->next                                ? FAULT_MISSING
                                                                     : FAULT_REORDERED;
        return err_set(e, ERR_TAMPERED, "record %" PRIu64 " stands where record %" PRIu64 " should",
                       r->index, c->next);
    }
    if (memcmp(r->previous, c->leaf, RECORD_HASH_SIZE) != 0)
        return found(fault, FAULT_EDITED, e,
                     c->next == 0 ? "the first record does not follow from the log's keys (genesis)"
                                  : "the link to the previous record is broken: this header or the "
                                    "one before it was altered");
    digest_bytes(c->digest, payload, r->payload_len, hash);
    if (memcmp(hash, r->payload_hash, sizeof hash) != 0)
        return found(fault, FAULT_EDITED, e, "the payload does not have the hash in its header");
    state = sessions_find(c->sessions, r->session);
    if (r->sequence != (state ? state->next_sequence : 0))
        return found(fault, FAULT_EDITED, e, "the session's sequence number is not the next one");
    if (memcmp(r->session_previous, state ? state->leaf : zero, RECORD_HASH_SIZE) != 0)
        return found(fault, FAULT_EDITED, e, "the link to the session's previous record is broken");
    if (r->epoch != c->epoch)
        return found(fault, FAULT_EDITED, e, "the epoch's number is not the current one");
    return chain_advance(c, r, header, e);
}
