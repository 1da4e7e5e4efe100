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
    case FAULT_UNSEALED:
        return "unsealed";
    case FAULT_UNSIGNED:
        return "not signed";
    case FAULT_NONE:
        break;
    }
    return "none";
}

int chain_init(struct chain *c, const struct anchor *a, struct err *e)
{
    memset(c, 0, sizeof *c);
    memcpy(c->leaf, a->genesis, RECORD_HASH_SIZE);
    memcpy(c->origin, a->log.name, sizeof c->origin);
    c->epoch.key = a->epoch;
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

/* What a record changes that does not depend on hashes. */
static void count(struct chain *c, struct session_state *state, const struct record *r,
                  const void *payload)
{
    if (c->next == 0) {
        c->epoch.real_ns = r->real_ns;
        c->epoch.boot_ns = r->boot_ns;
    }
    c->next++;
    c->last_type = r->type;
    c->run = chain_run_after(c->run, r, payload);
    state->next_sequence++;
    switch (r->type) {
    case RECORD_SESSION_START:
        state->started = true;
        state->start_ns = r->real_ns;
        break;
    case RECORD_SESSION_END:
        state->ended = true;
        break;
    case RECORD_VERDICT: /* one that comes before the end says that it is disputed already */
        state->judged = state->ended;
        break;
    case RECORD_INPUT:
        state->bytes_in += record_plain_len(r);
        break;
    case RECORD_OUTPUT:
    case RECORD_STDERR:
    case RECORD_FORWARD_DATA:
        state->bytes_out += record_plain_len(r);
        break;
    default:
        break;
    }
}

/* c->leaf is the record's. */
static void take_leaf(struct chain *c, struct session_state *state)
{
    merkle_add(&c->merkle, c->digest, c->leaf);
    memcpy(state->leaf, c->leaf, RECORD_HASH_SIZE);
}

int chain_place(struct chain *c, struct record *r, const void *payload,
                struct session_state **state, struct err *e)
{
    *state = sessions_get(c->sessions, r->session);
    if (!*state)
        return err_set(e, ERR_MEMORY, "no memory for a session");
    r->index = c->next;
    r->epoch = c->epoch.number;
    r->sequence = (*state)->next_sequence;
    count(c, *state, r, payload);
    (*state)->unlinked++;
    return 0;
}

void chain_link(struct chain *c, struct session_state *state, uint8_t header[RECORD_HEADER_SIZE])
{
    INVARIANT(state->unlinked > 0 && !chain_is_linked(c));
    memcpy(header + RECORD_AT_PREVIOUS, c->leaf, RECORD_HASH_SIZE);
    memcpy(header + RECORD_AT_SESSION_PREVIOUS, state->leaf, RECORD_HASH_SIZE);
    digest_leaf(c->digest, header, c->leaf);
    take_leaf(c, state);
    state->unlinked--;
}

bool chain_is_linked(const struct chain *c)
{
    return c->merkle.size == c->next;
}

/* A record that was checked. */
static int advance(struct chain *c, const struct record *r,
                   const uint8_t header[RECORD_HEADER_SIZE], const void *payload, struct err *e)
{
    struct session_state *state = sessions_get(c->sessions, r->session);

    if (!state)
        return err_set(e, ERR_MEMORY, "no memory for a session");
    if (c->known)
        memcpy(c->leaf, c->known->leaf, RECORD_HASH_SIZE);
    else
        digest_leaf(c->digest, header, c->leaf);
    take_leaf(c, state);
    count(c, state, r, payload);
    return 0;
}

static int found(enum fault *fault, enum fault kind, struct err *e, const char *text)
{
    *fault = kind;
    return err_set(e, ERR_TAMPERED, "%s", text);
}

/* Nothing that others in the log are judged by may be dropped. */
static bool may_be_dropped(const struct record *r)
{
    static const uint8_t gateway[RECORD_SESSION_ID];

    return (r->flags & RECORD_FLAG_SEALED) ||
           (r->type == RECORD_KEY && memcmp(r->session, gateway, sizeof gateway) != 0);
}

static int check_payload(struct chain *c, const struct record *r, const void *payload,
                         enum fault *fault, struct err *e)
{
    uint8_t hash[RECORD_HASH_SIZE];

    if (!payload)
        return may_be_dropped(r)
                   ? 0
                   : found(fault, FAULT_EDITED, e,
                           "the payload is not there, and was none that may be pruned");
    if (c->known)
        memcpy(hash, c->known->payload, sizeof hash);
    else
        digest_bytes(c->digest, payload, r->payload_len, hash);
    if (memcmp(hash, r->payload_hash, sizeof hash) != 0)
        return found(fault, FAULT_EDITED, e, "the payload does not have the hash in its header");
    return 0;
}

static int check_links(struct chain *c, const struct record *r, const void *payload,
                       enum fault *fault, struct err *e)
{
    static const uint8_t zero[RECORD_HASH_SIZE];
    struct session_state *state;
    int rc;

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
    rc = check_payload(c, r, payload, fault, e);
    if (rc < 0)
        return rc;
    state = sessions_find(c->sessions, r->session);
    if (r->sequence != (state ? state->next_sequence : 0))
        return found(fault, FAULT_EDITED, e, "the session's sequence number is not the next one");
    if (memcmp(r->session_previous, state ? state->leaf : zero, RECORD_HASH_SIZE) != 0)
        return found(fault, FAULT_EDITED, e, "the link to the session's previous record is broken");
    return 0;
}

int chain_check(struct chain *c, const struct record *r, const uint8_t header[RECORD_HEADER_SIZE],
                const void *payload, enum fault *fault, struct err *e)
{
    struct seal seal;
    int rc;

    *fault = FAULT_NONE;
    rc = check_links(c, r, payload, fault, e);
    if (rc == 0)
        rc = chain_check_order(c, r, payload, fault, e);
    if (rc == 0 && r->type == RECORD_SEAL)
        rc = chain_check_seal(c, r, payload, &seal, fault, e);
    if (rc < 0)
        return rc;
    rc = advance(c, r, header, payload, e);
    if (rc == 0 && r->type == RECORD_SEAL)
        chain_take_seal(c, &seal);
    return rc;
}
