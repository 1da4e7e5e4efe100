/* SPDX-License-Identifier: Apache-2.0
 *
 * Orders of custodians on their way from authd to auditd, with the list of who may sign them:
 * root's file CONFDIR/custodians, read for each. The supervisor judges nothing of it. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "gateway/supervisor.h"

#define CUSTODIANS_FILE "custodians"
#define CUSTODIANS_MAX  32768u

static void answer(struct supervisor *s, uint64_t client, bool ok, const char *text)
{
    struct program *authd = program_of(s, PROGRAM_AUTHD);
    struct authd_pruned m = {.client = client, .ok = ok};
    struct err e = ERR_INIT;

    snprintf(m.text, sizeof m.text, "%s", text);
    if (authd)
        program_sent(authd, authd_pruned_send(authd->link, &m, NULL, &e), &e);
}

/* Only root's own file says who may have recordings destroyed. */
static ssize_t read_custodians(const struct supervisor *s, char out[CUSTODIANS_MAX], struct err *e)
{
    char path[600];
    struct stat st;
    ssize_t n = -1;
    int fd;

    snprintf(path, sizeof path, "%s/" CUSTODIANS_FILE, s->confdir);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT
                   ? err_set(e, ERR_NOT_FOUND, "there are no custodians: %s does not exist", path)
                   : err_errno(e, "%s", path);
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
        (st.st_mode & 022) || st.st_size > CUSTODIANS_MAX)
        err_set(e, ERR_INPUT, "%s is not a file that only its owner root can write", path);
    else if ((n = read(fd, out, CUSTODIANS_MAX)) < 0)
        err_errno(e, "%s", path);
    close(fd);
    return n < 0 ? e->code : n;
}

int retention_from_authd(struct program *p, const struct frame *f, struct err *e)
{
    struct program *auditd = program_of(p->s, PROGRAM_AUDITD);
    char custodians[CUSTODIANS_MAX];
    struct auditd_prune m;
    struct authd_prune asked;
    struct err why = ERR_INIT;
    ssize_t n;
    int rc = authd_prune_decode(f, &asked, e);

    if (rc < 0)
        return rc;
    n = read_custodians(p->s, custodians, &why);
    if (n >= 0 && !auditd)
        n = err_set(&why, ERR_CLOSED, "the recorder is not there");
    if (n < 0) {
        answer(p->s, asked.client, false, why.text);
        return 0;
    }
    m = (struct auditd_prune){.client = asked.client,
                              .order = asked.order,
                              .first = asked.first,
                              .second = asked.second,
                              .custodians = {(const uint8_t *)custodians, (size_t)n}};
    program_sent(auditd, auditd_prune_send(auditd->link, &m, NULL, &why), &why);
    return 0;
}

int retention_from_auditd(struct program *p, const struct frame *f, struct err *e)
{
    struct auditd_pruned m;
    int rc = auditd_pruned_decode(f, &m, e);

    if (rc == 0)
        answer(p->s, m.client, m.ok, m.text);
    return rc;
}
