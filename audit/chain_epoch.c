/* SPDX-License-Identifier: Apache-2.0
 *
 * The order that a log has beyond its links: epochs, each ended by one seal of its own key, and the
 * recorder's starts and ends. Runs in auditd and in the reading tools; what is checked is hostile.
 * Format: docs/FORMAT.md, "Epochs and seals". */
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "audit/chain.h"

static const uint8_t gateway[RECORD_SESSION_ID];

static const char *const run_names[] = {
    [RUN_BORN] = "born",   [RUN_GOING] = "going",         [RUN_SHUTDOWN] = "shutdown",
    [RUN_ENDED] = "ended", [RUN_RECOVERED] = "recovered",
};

const char *chain_run_name(enum chain_run run)
{
    return run_names[run];
}

int chain_run_parse(const char *name, enum chain_run *run)
{
    for (size_t i = 0; name && i < sizeof run_names / sizeof *run_names; i++)
        if (strcmp(name, run_names[i]) == 0) {
            *run = (enum chain_run)i;
            return 0;
        }
    return ERR_SYNTAX;
}

/* The key record that a recorder begins its run with. */
static bool opens(const struct record *r, const void *payload)
{
    json_t *root;
    const char *event;
    bool is;

    if (r->type != RECORD_KEY || memcmp(r->session, gateway, sizeof gateway) != 0 || !payload)
        return false;
    root = json_loadb(payload, r->payload_len, JSON_REJECT_DUPLICATES, NULL);
    event = json_string_value(json_object_get(root, "event"));
    is = event && (strcmp(event, "opened") == 0 || strcmp(event, "begin") == 0);
    json_decref(root);
    return is;
}

enum chain_run chain_run_after(enum chain_run run, const struct record *r, const void *payload)
{
    switch (r->type) {
    case RECORD_SHUTDOWN:
        return RUN_SHUTDOWN;
    case RECORD_RECOVERY:
        return RUN_RECOVERED;
    case RECORD_SEAL:
        return run == RUN_SHUTDOWN ? RUN_ENDED : run;
    case RECORD_SEGMENT:
        return run;
    default:
        return run == RUN_GOING || opens(r, payload) ? RUN_GOING : run;
    }
}

static int found(enum fault *fault, enum fault kind, struct err *e, const char *text)
{
    *fault = kind;
    return err_set(e, ERR_TAMPERED, "%s", text);
}

static int check_epoch(const struct chain *c, const struct record *r, enum fault *fault,
                       struct err *e)
{
    if (r->epoch > c->epoch.number) {
        *fault = FAULT_UNSEALED;
        return err_set(e, ERR_TAMPERED,
                       "a record of epoch %" PRIu32 ", and epoch %" PRIu32 " has no seal before it",
                       r->epoch, c->epoch.number);
    }
    if (r->epoch < c->epoch.number) {
        *fault = FAULT_EDITED;
        return err_set(e, ERR_TAMPERED, "a record of epoch %" PRIu32 " after that epoch's seal",
                       r->epoch);
    }
    if (r->type != RECORD_SEAL && c->next - c->epoch.first >= EPOCH_RECORDS_MAX - 1)
        return found(fault, FAULT_UNSEALED, e,
                     "the epoch has more records than one may have, and no seal");
    return 0;
}

int chain_check_order(const struct chain *c, const struct record *r, const void *payload,
                      enum fault *fault, struct err *e)
{
    int rc;

    if (c->closed)
        return found(fault, FAULT_EDITED, e,
                     "a record after the log's last seal, which named the log that follows");
    rc = check_epoch(c, r, fault, e);
    if (rc < 0 || r->type == RECORD_SEGMENT || r->type == RECORD_RECOVERY)
        return rc;
    switch (c->run) {
    case RUN_SHUTDOWN:
        if (r->type == RECORD_SEAL)
            return 0;
        return found(fault, FAULT_MISSING, e,
                     "neither a seal nor a recovery follows the shutdown record");
    case RUN_BORN:
    case RUN_ENDED:
        /* Closing a log that ended in order is one more seal. */
        if (r->type == RECORD_SEAL || opens(r, payload))
            return 0;
        return found(fault, FAULT_MISSING, e, "the log goes on, but no recorder opened it");
    case RUN_GOING:
        if (opens(r, payload))
            return found(fault, FAULT_MISSING, e,
                         "a recorder opened the log, and neither a shutdown nor a recovery record "
                         "is before that");
        return 0;
    case RUN_RECOVERED:
        break;
    }
    return 0;
}

void chain_next_seal(struct chain *c, struct seal *s, uint64_t real_ns, uint64_t boot_ns)
{
    INVARIANT(chain_is_linked(c));
    memset(s, 0, sizeof *s);
    memcpy(s->origin, c->origin, sizeof s->origin);
    s->epoch = c->epoch.number;
    s->first = c->epoch.first;
    s->size = c->next;
    merkle_root(&c->merkle, c->digest, s->root);
    /* A log's first record is never a seal, so the first epoch's start is known. */
    s->start_real_ns = c->epoch.real_ns;
    s->start_boot_ns = c->epoch.boot_ns;
    s->end_real_ns = real_ns;
    s->end_boot_ns = boot_ns;
}

int chain_check_seal(struct chain *c, const struct record *r, const void *payload, struct seal *s,
                     enum fault *fault, struct err *e)
{
    char name[NOTE_NAME_MAX + 1];
    struct seal want;
    int rc;

    if (memcmp(r->session, gateway, sizeof gateway) != 0 || !payload)
        return found(fault, FAULT_EDITED, e, "a seal that is not the gateway's own record");
    rc = seal_open(s, payload, r->payload_len, &c->epoch.key, e);
    if (rc < 0) {
        *fault = rc == ERR_TAMPERED ? FAULT_UNSIGNED : FAULT_EDITED;
        if (rc == ERR_SYNTAX && e)
            e->code = ERR_TAMPERED;
        return rc == ERR_SYNTAX ? ERR_TAMPERED : rc;
    }
    chain_next_seal(c, &want, r->real_ns, r->boot_ns);
    if (c->epoch.number == UINT32_MAX)
        return found(fault, FAULT_EDITED, e, "a seal of the last epoch that there can be");
    epoch_key_name(name, c->origin, c->epoch.number + 1);
    if (strcmp(s->origin, want.origin) != 0 || s->epoch != want.epoch || s->first != want.first ||
        s->size != want.size || s->start_real_ns != want.start_real_ns ||
        s->start_boot_ns != want.start_boot_ns || s->end_real_ns != want.end_real_ns ||
        s->end_boot_ns != want.end_boot_ns || strcmp(s->next.name, name) != 0)
        return found(fault, FAULT_EDITED, e, "the seal is not that of the epoch that ends here");
    if (memcmp(s->root, want.root, sizeof want.root) != 0)
        return found(fault, FAULT_EDITED, e,
                     "the records before do not give the root that the seal signs");
    return 0;
}

void chain_take_seal(struct chain *c, const struct seal *s)
{
    c->epoch.number++;
    c->epoch.key = s->next;
    c->epoch.first = c->next;
    c->epoch.real_ns = s->end_real_ns;
    c->epoch.boot_ns = s->end_boot_ns;
    c->closed = s->closes;
    if (s->closes)
        c->next_log = s->next_log;
}
