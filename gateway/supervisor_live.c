/* SPDX-License-Identifier: Apache-2.0
 *
 * What authd says of sessions that run: that one has less than before, or shall end although authd
 * has no link to its backend any more. The recorder knows every backend, so both go on to it. What
 * a session was when it began is kept here for an authd that is started anew; it means nothing to
 * the supervisor. Run by the supervisor, which trusts authd about the connections that it knows. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "gateway/supervisor.h"

int live_keep(struct connection *c, struct bytes again, struct err *e)
{
    uint8_t *copy = malloc(again.len ? again.len : 1);

    if (!copy)
        return err_set(e, ERR_MEMORY, "a session");
    memcpy(copy, again.p, again.len);
    free(c->again);
    c->again = copy;
    c->again_len = again.len;
    return 0;
}

/* NULL: it went away in the meantime, and `gone` is on its way. */
static struct connection *with_backend(struct program *authd, uint64_t number)
{
    struct connection *c = connection_find(authd->s, number);

    return c && c->known_to_authd &&
                   (c->backend.state == SIDE_RUNNING || c->backend.state == SIDE_FORKING)
               ? c
               : NULL;
}

int on_narrowed(struct program *authd, struct frame *f, struct err *e)
{
    struct program *auditd = program_of(authd->s, PROGRAM_AUDITD);
    struct authd_narrowed m;
    int rc = authd_narrowed_decode(f, &m, e);
    struct connection *c = rc == 0 ? with_backend(authd, m.conn) : NULL;

    if (!c)
        return rc;
    rc = live_keep(c, m.again, e);
    if (rc == 0 && m.max_bytes != c->max_bytes && auditd) {
        const struct auditd_limit limit = {.conn = m.conn, .max_bytes = m.max_bytes};
        struct err own = ERR_INIT;

        program_sent(auditd, auditd_limit_send(auditd->link, &limit, NULL, &own), &own);
    }
    c->max_bytes = m.max_bytes;
    return rc;
}

int on_authd_stop(struct program *authd, struct frame *f, struct err *e)
{
    struct program *auditd = program_of(authd->s, PROGRAM_AUDITD);
    struct auditd_stop stop = {0};
    struct err own = ERR_INIT;
    struct authd_stop m;
    int rc = authd_stop_decode(f, &m, e);

    if (rc < 0 || !with_backend(authd, m.conn) || !auditd)
        return rc;
    log_info("connection-stopped", "conn=%llu reason=%s", (unsigned long long)m.conn, m.token);
    stop.conn = m.conn;
    memcpy(stop.token, m.token, sizeof stop.token);
    memcpy(stop.text, m.text, sizeof stop.text);
    program_sent(auditd, auditd_stop_send(auditd->link, &stop, NULL, &own), &own);
    return 0;
}
