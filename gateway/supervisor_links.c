/* SPDX-License-Identifier: Apache-2.0
 *
 * The supervisor's side of its links: the first words to each program, with the files that it needs
 * already open, and the way of what programs say to the function that acts on it. Key files are
 * opened here and never read: the programs that hold them get descriptors. Run by the supervisor.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "gateway/supervisor.h"

/* Frames of one program that are taken before others get their turn. */
#define FRAMES_AT_ONCE 64

/* Whoever may write a key chooses it. */
static int open_key(const struct supervisor *s, const char *file, struct err *e)
{
    char path[CONFIG_PATH_MAX + 64];
    struct stat st;
    int fd;

    snprintf(path, sizeof path, "%s/keys/%s", s->config.state, file);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno == ELOOP)
        return err_set(e, ERR_INPUT, "%s: found a symbolic link, expected a plain file", path);
    if (fd < 0)
        return err_errno(e, "%s", path);
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
        !(st.st_mode & (S_IWGRP | S_IWOTH)))
        return fd;
    close(fd);
    return err_set(e, ERR_DENIED, "%s: expected a plain file of root's that nobody else may write",
                   path);
}

static int open_keys(const struct supervisor *s, const char *const *files, int *fds, size_t count,
                     struct err *e)
{
    for (size_t i = 0; i < count; i++) {
        fds[i] = open_key(s, files[i], e);
        if (fds[i] < 0) {
            while (i > 0)
                close(fds[--i]);
            return ERR_SYSTEM;
        }
    }
    return 0;
}

static void put_amount(const struct config_amount *a, uint8_t *percent, uint64_t *value)
{
    *percent = a->percent;
    *value = a->value;
}

int read_origin(const struct supervisor *s, char *out, size_t cap, struct err *e)
{
    char path[CONFIG_PATH_MAX + 64], line[512] = "", want[300];
    size_t len;
    FILE *f;

    snprintf(path, sizeof path, "%s/public/log.pub", s->config.state);
    f = fopen(path, "re");
    if (!f)
        return err_errno(e, "%s", path);
    if (!fgets(line, sizeof line, f))
        line[0] = '\0';
    fclose(f);
    len = strcspn(line, "+\n");
    line[len] = '\0';
    snprintf(want, sizeof want, "%.230s/sallyport/", s->config.gateway);
    if (strncmp(line, want, strlen(want)) != 0 || len >= cap || len == strlen(want) ||
        strspn(line + strlen(want), "0123456789") != len - strlen(want))
        return err_set(e, ERR_INPUT, "%s: expected the key of a log %sN, found \"%s\"", path, want,
                       line);
    memcpy(out, line, len + 1);
    return 0;
}

/* The file outside of the trail that remembers how long the log was. */
static int send_mark(struct program *p, struct err *e)
{
    const struct auditd_mark m = {0};
    char path[CONFIG_PATH_MAX + 64];
    int fd, rc;

    snprintf(path, sizeof path, "%s/trail.mark", p->s->config.state);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0)
        return err_errno(e, "%s", path);
    rc = auditd_mark_send(p->link, &m, &fd, e);
    close(fd);
    return rc;
}

static int start_auditd(struct program *p, struct err *e)
{
    static const char *const files[] = {"log.key"};
    const struct config *c = &p->s->config;
    struct auditd_start m;
    struct buf lines;
    int fd, rc = open_keys(p->s, files, &fd, 1, e);

    if (rc < 0)
        return rc;
    put_amount(&c->disk_soft, &m.soft_percent, &m.soft);
    put_amount(&c->disk_hard, &m.hard_percent, &m.hard);
    put_amount(&c->disk_share, &m.share_percent, &m.share);
    m.slow_ms = (uint32_t)c->disk_slow_ms;
    m.glass_percent = c->glass_reserve.percent;
    m.glass = c->glass_operators.count > 0 ? c->glass_reserve.value : 0;
    buf_init(&lines, REVIEWERS_TEXT_MAX);
    rc = reviewers_encode(&lines, &p->s->reviewers);
    m.reviewers = (struct bytes){buf_head(&lines), buf_len(&lines)};
    if (rc < 0)
        err_set(e, (enum err_code)rc, "the list of reviewers");
    if (rc == 0)
        rc = read_origin(p->s, m.origin, sizeof m.origin, e);
    if (rc == 0)
        rc = send_mark(p, e);
    if (rc == 0)
        rc = auditd_start_send(p->link, &m, &fd, e);
    buf_clear(&lines);
    close(fd);
    return rc;
}

#define PEOPLE_MAX (2 * CONFIG_ADMINS_MAX * (4 + 1 + 2 + sizeof((struct config_user *)0)->name))

static void put_some(struct wire_writer *w, const struct config_people *people, uint8_t right)
{
    for (size_t i = 0; i < people->count; i++) {
        wire_put_u32(w, (uint32_t)people->at[i].uid);
        wire_put_u8(w, right);
        wire_put_str(w, people->at[i].name, sizeof people->at[i].name);
    }
}

/* Who may use the control socket; the length. */
static size_t put_people(uint8_t out[PEOPLE_MAX], const struct config *c)
{
    struct wire_writer w;

    wire_writer_init(&w, out, PEOPLE_MAX);
    put_some(&w, &c->admins, CONTROL_ADMIN);
    put_some(&w, &c->readers, CONTROL_READER);
    INVARIANT(!w.failed);
    return w.len;
}

/* The operators of `break-glass`, one a line. */
static void put_glass(char *out, size_t cap, const struct config *c)
{
    size_t len = 0;

    for (size_t i = 0; i < c->glass_operators.count; i++)
        len += (size_t)snprintf(out + len, cap - len, "%s\n", c->glass_operators.at[i]);
    INVARIANT(len < cap);
}

static int start_authd(struct program *p, struct err *e)
{
    static const char *const files[] = {"store.key", "operator-ca.key", "operator-ca.pem"};
    const struct config *c = &p->s->config;
    uint8_t people[PEOPLE_MAX];
    struct authd_start m = {.login_ms = (uint32_t)c->login_ms,
                            .totp_failures = (uint32_t)c->lockout_failures,
                            .lock_s = (uint32_t)(c->lockout_ms / 1000),
                            .enrol_s = (uint32_t)(c->enrolment_ms / 1000),
                            .people = {.p = people}};
    int fds[4], rc = open_keys(p->s, files, fds + 1, 3, e);

    if (rc < 0)
        return rc;
    fds[0] = p->s->control_fd;
    m.people.len = put_people(people, c);
    snprintf(m.gateway, sizeof m.gateway, "%s", c->gateway);
    put_glass(m.break_glass, sizeof m.break_glass, c);
    snprintf(m.gateway_from, sizeof m.gateway_from, "%s", c->vault_from);
    rc = authd_start_send(p->link, &m, fds, e);
    for (size_t i = 1; i < 4; i++)
        close(fds[i]);
    return rc;
}

static int start_frontend(struct program *p, struct err *e)
{
    static const char *const files[] = {"ssh_host_ed25519_key"};
    const struct forks_start_frontend m = {.login_ms = (uint32_t)p->s->config.login_ms};
    int fd, rc = open_keys(p->s, files, &fd, 1, e);

    if (rc < 0)
        return rc;
    rc = forks_start_frontend_send(p->link, &m, &fd, e);
    close(fd);
    return rc;
}

static int start_backend(struct program *p, struct err *e)
{
    const struct forks_start_backend m = {.connect_ms = (uint32_t)p->s->config.connect_ms};

    return forks_start_backend_send(p->link, &m, NULL, e);
}

static int start_listener(struct program *p, struct err *e)
{
    static const char *const files[] = {"tls.key", "tls.pem", "operator-ca.pem"};
    const struct listener_start m = {.handshake_ms = (uint32_t)p->s->config.handshake_ms,
                                     .connections_max = (uint32_t)p->s->config.connections};
    int fds[3], rc = open_keys(p->s, files, fds, 3, e);

    if (rc < 0)
        return rc;
    rc = listener_start_send(p->link, &m, fds, e);
    for (size_t i = 0; i < 3; i++)
        close(fds[i]);
    return rc;
}

int link_start(struct program *p, struct err *e)
{
    static int (*const starts[PROGRAM_KINDS])(struct program *, struct err *) = {
        [PROGRAM_AUDITD] = start_auditd,     [PROGRAM_AUTHD] = start_authd,
        [PROGRAM_FRONTEND] = start_frontend, [PROGRAM_BACKEND] = start_backend,
        [PROGRAM_COURIER] = start_courier,   [PROGRAM_FIREWALL] = start_firewall,
        [PROGRAM_LISTENER] = start_listener};
    struct err own = ERR_INIT;

    e = e ? e : &own;
    return program_sent(p, starts[p->slot->kind](p, e), e);
}

static int on_auditd(struct program *p, struct frame *f, struct err *e)
{
    struct supervisor *s = p->s;
    int rc;

    switch (f->spec->number) {
    case auditd_started_NUMBER: {
        struct auditd_started m;
        rc = auditd_started_decode(f, &m, e);
        if (rc < 0)
            return rc;
        log_info("trail", "records=%llu", (unsigned long long)m.size);
        s->trail_failing[0] = 0;
        /* What closed the gate was the one before; this one says so again if it is so. */
        for (int i = 0; i < ADMISSION_REASONS; i++)
            admission_set(s, (enum admission_reason)i, NULL, false);
        program_running(p);
        reviewers_tell(s);
        records_attach(s);
        return 0;
    }
    case auditd_refused_NUMBER: {
        struct auditd_refused m;
        rc = auditd_refused_decode(f, &m, e);
        if (rc == 0)
            supervisor_fatal(s, "the trail", m.text);
        return rc;
    }
    case auditd_admission_NUMBER: {
        struct auditd_admission m;
        rc = auditd_admission_decode(f, &m, e);
        if (rc < 0)
            return rc;
        if (m.reason >= ADMISSION_REASONS)
            return err_set(e, ERR_PROTOCOL, "admission: reason %u is not known", m.reason);
        admission_set(s, (enum admission_reason)m.reason, m.open ? NULL : m.text, m.glass);
        return 0;
    }
    case auditd_pruned_NUMBER:
        return retention_from_auditd(p, f, e);
    case auditd_disk_NUMBER: {
        struct auditd_disk m;
        rc = auditd_disk_decode(f, &m, e);
        if (rc < 0)
            return rc;
        s->disk.level = m.level > DISK_EXHAUSTED ? DISK_EXHAUSTED : m.level;
        s->disk.available = m.available;
        s->disk.total = m.total;
        s->disk.glass = m.glass < GLASS_STATES ? m.glass : GLASS_ABSENT;
        s->disk.glass_bytes = m.glass_bytes;
        return 0;
    }
    case auditd_failing_NUMBER: {
        struct auditd_failing m;
        rc = auditd_failing_decode(f, &m, e);
        if (rc < 0)
            return rc;
        snprintf(s->trail_failing, sizeof s->trail_failing, "%s", m.text);
        log_error("trail-failing", "error=\"%s\"", m.text);
        return 0;
    }
    }
    return err_set(e, ERR_PROTOCOL, "%s is not handled", f->spec->name);
}

static int on_stats_ask(struct program *p, struct frame *f, struct err *e)
{
    struct authd_stats_ask m;
    struct authd_stats answer;
    struct buf json;
    int rc = authd_stats_ask_decode(f, &m, e);

    if (rc < 0)
        return rc;
    buf_init(&json, 32768);
    rc = stats_write(p->s, &json);
    answer.json = (struct bytes){.p = buf_head(&json), .len = buf_len(&json)};
    if (rc == 0)
        rc = program_sent(p, authd_stats_send(p->link, &answer, NULL, e), e);
    buf_clear(&json);
    return rc < 0 ? err_set(e, ERR_FULL, "stats") : 0;
}

static int on_authd_end(struct program *p, struct frame *f, struct err *e)
{
    struct authd_end m;
    struct connection *c;
    int rc = authd_end_decode(f, &m, e);

    if (rc < 0)
        return rc;
    c = connection_find(p->s, m.conn);
    if (c) {
        log_info("connection-ended", "conn=%llu reason=\"%s\"", (unsigned long long)m.conn,
                 m.reason);
        connection_kill(c);
    }
    return 0;
}

static int on_authd(struct program *p, struct frame *f, struct err *e)
{
    switch (f->spec->number) {
    case authd_started_NUMBER: {
        struct authd_started m;
        int rc = authd_started_decode(f, &m, e);
        if (rc == 0)
            program_running(p);
        return rc;
    }
    case authd_loaded_NUMBER:
        return on_loaded(p, f, e);
    case authd_load_refused_NUMBER:
        return on_load_refused(p, f, e);
    case authd_start_backend_NUMBER:
        return on_start_backend(p, f, e);
    case authd_end_NUMBER:
        return on_authd_end(p, f, e);
    case authd_narrowed_NUMBER:
        return on_narrowed(p, f, e);
    case authd_read_NUMBER:
        return on_read(p, f, e);
    case authd_stats_ask_NUMBER:
        return on_stats_ask(p, f, e);
    case authd_failure_NUMBER:
        return on_failure(p, f, e);
    case authd_sources_ask_NUMBER:
        return on_sources_ask(p, f, e);
    case authd_source_lift_NUMBER:
        return on_source_lift(p, f, e);
    case authd_prune_NUMBER:
        return retention_from_authd(p, f, e);
    case authd_reload_NUMBER: {
        struct authd_reload m;
        int rc = authd_reload_decode(f, &m, e);
        if (rc == 0)
            policy_reload(p->s, "admin");
        return rc;
    }
    }
    return err_set(e, ERR_PROTOCOL, "%s is not handled", f->spec->name);
}

static int on_forks(struct program *p, struct frame *f, struct err *e)
{
    switch (f->spec->number) {
    case forks_started_NUMBER: {
        struct forks_started m;
        int rc = forks_started_decode(f, &m, e);
        if (rc == 0)
            program_running(p);
        return rc;
    }
    case forks_forked_NUMBER:
        return on_forked(p, f, e);
    case forks_ended_NUMBER:
        return on_ended(p, f, e);
    }
    return err_set(e, ERR_PROTOCOL, "%s is not handled", f->spec->name);
}

static int on_listener(struct program *p, struct frame *f, struct err *e)
{
    switch (f->spec->number) {
    case listener_started_NUMBER: {
        struct listener_started m;
        int rc = listener_started_decode(f, &m, e);
        if (rc == 0)
            program_running(p);
        return rc;
    }
    case listener_proxied_NUMBER:
        return on_listener_proxied(p, f, e);
    case listener_ready_NUMBER:
        return on_listener_ready(p, f, e);
    case listener_failed_NUMBER:
        return on_listener_failed(p, f, e);
    case listener_closed_NUMBER:
        return on_listener_closed(p, f, e);
    }
    return err_set(e, ERR_PROTOCOL, "%s is not handled", f->spec->name);
}

int link_drain(struct program *p, bool all, struct err *e)
{
    static int (*const handlers[PROGRAM_KINDS])(struct program *, struct frame *, struct err *) = {
        [PROGRAM_AUDITD] = on_auditd,    [PROGRAM_AUTHD] = on_authd,
        [PROGRAM_FRONTEND] = on_forks,   [PROGRAM_BACKEND] = on_forks,
        [PROGRAM_COURIER] = on_courier,  [PROGRAM_FIREWALL] = on_firewall,
        [PROGRAM_LISTENER] = on_listener};
    struct frame f;
    int rc;

    /* The event is level-triggered: what is left comes with the next turn. */
    for (unsigned i = 0; i < FRAMES_AT_ONCE || all; i++) {
        rc = link_recv(p->link, &f, e);
        if (rc <= 0)
            return rc;
        rc = handlers[p->slot->kind](p, &f, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}
