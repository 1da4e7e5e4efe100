/* SPDX-License-Identifier: Apache-2.0
 *
 * Orders of custodians, as the recorder takes them: the supervisor brings the text, the signatures
 * and the list of who may sign; both signatures are checked here again, by the process that does
 * it. One order at a time, in steps between the other work. Runs in auditd. */
#include <string.h>

#include "audit/auditd_state.h"
#include "audit/prune.h"
#include "base/log.h"

static void answer(struct auditd *a, uint64_t client, bool ok, const char *text)
{
    struct auditd_pruned m = {.client = client, .ok = ok};
    struct err e = ERR_INIT;

    snprintf(m.text, sizeof m.text, "%s", text);
    log_info("retention", "ok=%d text=\"%s\"", ok, text);
    if (client && auditd_pruned_send(a->supervisor, &m, NULL, &e) < 0)
        log_warn("pruned-not-sent", "error=\"%s\"", e.text);
}

void retention_free(struct auditd *a)
{
    prune_free(a->prune);
    a->prune = NULL;
    if (a->prune_step)
        event_free(a->prune_step);
    a->prune_step = NULL;
}

static void again(struct auditd *a)
{
    static const struct timeval soon = {0, 1000};

    evtimer_add(a->prune_step, &soon);
}

static void on_step(evutil_socket_t fd, short what, void *arg)
{
    struct auditd *a = arg;
    struct err e = ERR_INIT;
    int r = a->failing || a->done ? 0 : prune_step(a->prune, &e);

    (void)fd;
    (void)what;
    if (r == 1) {
        again(a);
        return;
    }
    answer(a, a->prune_client, r == 0, r == 0 ? prune_summary(a->prune) : e.text);
    retention_free(a);
    if (r == ERR_TRAIL)
        auditd_fail(a, &e);
}

static int begin(struct auditd *a, uint64_t client, struct err *e)
{
    a->prune_client = client;
    a->prune_step = evtimer_new(a->base, on_step, a);
    if (!a->prune_step) {
        retention_free(a);
        return err_set(e, ERR_MEMORY, "no memory for an order");
    }
    again(a);
    return 0;
}

int retention_order(struct auditd *a, const struct frame *f, struct err *e)
{
    char names[PRUNE_SIGNERS][SSHSIG_NAME_MAX + 1];
    struct auditd_prune m;
    struct bytes signatures[PRUNE_SIGNERS];
    struct err why = ERR_INIT;
    int r = auditd_prune_decode(f, &m, e);

    if (r < 0)
        return r;
    signatures[0] = m.first;
    signatures[1] = m.second;
    if (a->failing)
        r = err_set(&why, ERR_BUSY, "the trail cannot be written: %s", a->failure);
    else if (a->prune)
        r = err_set(&why, ERR_BUSY, "another order is being carried out");
    else
        r = prune_order_signed(m.order.p, m.order.len, signatures, (const char *)m.custodians.p,
                               m.custodians.len, names, &why);
    if (r == 0)
        r = prune_new(&a->prune, a->trail, a->dir, m.order.p, m.order.len, names, &why);
    if (r == 0)
        r = begin(a, m.client, &why);
    if (r < 0)
        answer(a, m.client, false, why.text);
    if (r == ERR_TRAIL)
        auditd_fail(a, &why);
    return 0;
}

void retention_resume(struct auditd *a, int dir)
{
    struct err e = ERR_INIT;
    int r;

    a->dir = dir;
    r = prune_resume(&a->prune, a->trail, dir, &e);
    if (r == 0 && a->prune)
        r = begin(a, 0, &e);
    if (r < 0)
        log_error("retention", "error=\"%s\"", e.text);
}
