/* SPDX-License-Identifier: Apache-2.0
 *
 * What an authd that is started anew needs of the sessions that run: what each was when it began,
 * in authd's words, which mean nothing to the supervisor, and authd's end of the link to its
 * backend. While there is no authd each backend knows it. That a session may fill less of the trail
 * than before goes on to the recorder. Run by the supervisor, which trusts authd about the
 * connections that it knows. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* Of a link to a backend: it has room for what authd sends, so this one goes out at once or the
 * backend does not read. */
#define GRANT_QUEUE_MAX 1024u

void live_away(struct connection *c)
{
    int fd = fcntl(c->grant_fd, F_DUPFD_CLOEXEC, 0);
    struct link *l = fd >= 0 ? link_new(fd, &link_grant, LINK_FIRST, GRANT_QUEUE_MAX) : NULL;
    const struct grant_away m = {0};
    struct err e = ERR_INIT;

    if (!l && fd >= 0)
        close(fd);
    if (!l || grant_away_send(l, &m, NULL, &e) != 0 || link_pending(l) > 0) {
        log_warn("away-not-told", "conn=%llu", (unsigned long long)c->number);
        connection_kill(c);
    }
    link_free(l);
}
