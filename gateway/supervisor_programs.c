/* SPDX-License-Identifier: Apache-2.0
 *
 * The other programs: a slot for each that has to run, filled again when its program dies, sooner
 * or later by how often that happened (0, 1, 2, 4 ... 30 s). Fork servers are renewed every
 * FORKS_PER_SERVER forks and after a child's crash, so that nobody can guess twice at one layout of
 * the address space. Run by the supervisor. */
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "audit/record.h"
#include "base/clock.h"
#include "base/log.h"
#include "gateway/supervisor.h"

#define QUICK_DEATH_MS 10000u
#define BACKOFF_MAX_S  30u
#define START_MS       30000u /* all but auditd, which may have a long trail to recover */
#define DYING_MS       10000u
/* Beyond what the socket holds; a program that is this far behind is not going to read. */
#define QUEUE_MAX (8u * 1024 * 1024)

static void restart_later(struct slot *slot, unsigned seconds)
{
    const struct timeval delay = {.tv_sec = seconds};

    event_add(slot->restart, &delay);
}

static void on_restart(evutil_socket_t fd, short what, void *arg)
{
    struct slot *slot = arg;
    struct err e = ERR_INIT;

    (void)fd;
    (void)what;
    if (slot->starting || slot->s->phase != RUNNING)
        return;
    if (program_start(slot->s, slot, &e) < 0) {
        log_error("program-start", "program=%s error=\"%s\"", program_name(slot->kind), e.text);
        restart_later(slot, BACKOFF_MAX_S);
    }
}

static void add_slot(struct supervisor *s, enum program_kind kind, unsigned index)
{
    struct slot *slot = &s->slots[s->slot_count++];

    *slot = (struct slot){.s = s, .kind = kind, .index = index};
    slot->restart = evtimer_new(s->base, on_restart, slot);
    INVARIANT(slot->restart);
}

void programs_init(struct supervisor *s)
{
    unsigned listeners = (unsigned)s->config.listeners;

    if (listeners == 0) {
        const long cores = sysconf(_SC_NPROCESSORS_ONLN);
        listeners = cores < 1                      ? 1
                    : cores > CONFIG_LISTENERS_MAX ? CONFIG_LISTENERS_MAX
                                                   : (unsigned)cores;
    }
    TAILQ_INIT(&s->programs);
    for (int kind = PROGRAM_AUDITD; kind < PROGRAM_LISTENER; kind++)
        add_slot(s, (enum program_kind)kind, 0);
    for (unsigned i = 0; i < listeners; i++)
        add_slot(s, PROGRAM_LISTENER, i);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct program *p = arg;
    struct err e = ERR_INIT;
    int rc = link_drain(p, false, &e);

    (void)fd;
    (void)what;
    if (rc < 0 && rc != ERR_CLOSED) {
        program_violated(p, e.text);
    } else if (rc < 0) {
        p->broken = true; /* SIGCHLD comes next */
        event_del(p->readable);
        event_del(p->writable);
    }
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct program *p = arg;
    struct err e = ERR_INIT;

    (void)fd;
    (void)what;
    program_sent(p, link_flush(p->link, &e), &e);
}

int program_start(struct supervisor *s, struct slot *slot, struct err *e)
{
    struct program *p = calloc(1, sizeof *p);
    int rc, fd = -1;

    if (!p)
        return err_set(e, ERR_MEMORY, "%s", program_name(slot->kind));
    rc = spawn_program(s, slot->kind, &p->pid, &fd, e);
    if (rc < 0) {
        free(p);
        return rc;
    }
    p->s = s;
    p->slot = slot;
    p->generation = ++slot->generation;
    p->started_ms = clock_mono_ms();
    p->started_real_ns = clock_real_ns();
    p->link = NULL;
    static const struct link_spec *const tables[PROGRAM_KINDS] = {
        [PROGRAM_AUDITD] = &link_auditd,    [PROGRAM_AUTHD] = &link_authd,
        [PROGRAM_FRONTEND] = &link_forks,   [PROGRAM_BACKEND] = &link_forks,
        [PROGRAM_COURIER] = &link_courier,  [PROGRAM_FIREWALL] = &link_firewall,
        [PROGRAM_LISTENER] = &link_listener};
    p->link = link_new(fd, tables[slot->kind], LINK_FIRST, QUEUE_MAX);
    INVARIANT(p->link);
    link_enter(p->link, 1u << 0); /* STARTING is state 0 of all four tables */
    p->readable = event_new(s->base, fd, EV_READ | EV_PERSIST, on_readable, p);
    p->writable = event_new(s->base, fd, EV_WRITE | EV_PERSIST, on_writable, p);
    INVARIANT(p->readable && p->writable);
    event_add(p->readable, NULL);
    TAILQ_INSERT_TAIL(&s->programs, p, entry);
    slot->starting = p;
    log_info("program-start", "program=%s index=%u pid=%d generation=%llu",
             program_name(slot->kind), slot->index, (int)p->pid, (unsigned long long)p->generation);
    rc = link_start(p, e);
    if (rc < 0)
        program_violated(p, e ? e->text : "");
    return rc;
}

static void retire(struct program *p)
{
    const struct forks_retire m = {0};
    struct err e = ERR_INIT;

    p->state = PROGRAM_RETIRED;
    if (!p->broken)
        program_sent(p, forks_retire_send(p->link, &m, NULL, &e), &e);
}

void program_running(struct program *p)
{
    struct slot *slot = p->slot;

    INVARIANT(slot->starting == p);
    if (slot->running)
        retire(slot->running);
    slot->starting = NULL;
    slot->running = p;
    p->state = PROGRAM_RUNNING;
    link_enter(p->link, 1u << 1);
    log_debug("program-ready", "program=%s index=%u pid=%d", program_name(slot->kind), slot->index,
              (int)p->pid);
    supervisor_progress(p->s);
}

void slot_renew(struct slot *slot, bool at_once)
{
    if (at_once && slot->running) {
        retire(slot->running);
        slot->running = NULL;
    }
    if (!slot->starting && !event_pending(slot->restart, EV_TIMEOUT, NULL))
        restart_later(slot, 0);
    supervisor_progress(slot->s);
}

int program_sent(struct program *p, int rc, const struct err *e)
{
    if (p->broken)
        return rc;
    if (rc == ERR_CLOSED) {
        p->broken = true;
        event_del(p->writable);
    } else if (rc < 0) {
        program_violated(p, e->text);
    } else if (link_pending(p->link) > 0) {
        event_add(p->writable, NULL);
    } else {
        event_del(p->writable);
    }
    return rc;
}

void program_violated(struct program *p, const char *text)
{
    struct json_out *j;

    if (p->broken)
        return;
    p->broken = true;
    event_del(p->readable);
    event_del(p->writable);
    kill(p->pid, SIGKILL);
    log_error("program-ended", "program=%s pid=%d error=\"%s\"", program_name(p->slot->kind),
              (int)p->pid, text);
    j = records_begin(p->s, "program-violation");
    json_str(j, "program", program_name(p->slot->kind));
    json_i64(j, "pid", p->pid);
    json_str(j, "error", text);
    records_end(p->s, RECORD_ALARM);
}

static void record_death(const struct program *p, int status, uint64_t lived_ms)
{
    struct json_out *j = records_begin(p->s, "program-died");

    json_str(j, "program", program_name(p->slot->kind));
    json_u64(j, "index", p->slot->index);
    json_i64(j, "pid", p->pid);
    json_u64(j, "generation", p->generation);
    if (WIFSIGNALED(status))
        json_i64(j, "signal", WTERMSIG(status));
    else
        json_i64(j, "status", WEXITSTATUS(status));
    json_u64(j, "lived_ms", lived_ms);
    records_end(p->s, RECORD_ALARM);
}

/* The delay before the next try in this slot. */
static unsigned backoff_s(struct slot *slot, uint64_t lived_ms)
{
    slot->quick_deaths = lived_ms < QUICK_DEATH_MS ? slot->quick_deaths + 1 : 0;
    if (slot->quick_deaths < 2)
        return 0;
    if (slot->quick_deaths > 6)
        return BACKOFF_MAX_S;
    return 1u << (slot->quick_deaths - 2);
}

static void program_died(struct program *p, int status)
{
    struct supervisor *s = p->s;
    struct slot *slot = p->slot;
    const bool wanted = p == slot->running || p == slot->starting;
    const bool told = p->state == PROGRAM_RETIRED || s->phase > ENDING_SESSIONS;
    const uint64_t lived_ms = clock_mono_ms() - p->started_ms;

    TAILQ_REMOVE(&s->programs, p, entry);
    if (slot->running == p)
        slot->running = NULL;
    if (slot->starting == p)
        slot->starting = NULL;
    if (slot->kind == PROGRAM_AUDITD)
        records_detach(s);
    if (!told || status != 0) {
        log_warn("program-died", "program=%s index=%u pid=%d %s=%d lived_ms=%llu",
                 program_name(slot->kind), slot->index, (int)p->pid,
                 WIFSIGNALED(status) ? "signal" : "status",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
                 (unsigned long long)lived_ms);
        record_death(p, status, lived_ms);
        slot->deaths++;
    }
    connections_program_died(p);
    if (slot->kind == PROGRAM_AUTHD)
        policy_authd_died(s);
    if (wanted && s->phase <= ENDING_SESSIONS) {
        if (!s->started)
            supervisor_fatal(s, program_name(slot->kind), "it ended before it was ready");
        else
            restart_later(slot, backoff_s(slot, lived_ms));
    }
    event_free(p->readable);
    event_free(p->writable);
    link_free(p->link);
    free(p);
    supervisor_progress(s);
}

void programs_reap(struct supervisor *s)
{
    struct program *p;
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        TAILQ_FOREACH(p, &s->programs, entry)
        {
            if (p->pid == pid)
                break;
        }
        if (!p) {
            readers_reaped(s, pid, status);
            continue;
        }
        if (!p->broken) {
            struct err e = ERR_INIT;
            int rc = link_drain(p, true, &e); /* its last words */
            if (rc < 0 && rc != ERR_CLOSED)
                log_error("program-words", "program=%s error=\"%s\"", program_name(p->slot->kind),
                          e.text);
            p->broken = true;
        }
        program_died(p, status);
    }
}

void programs_dismiss(struct supervisor *s, enum program_kind kind)
{
    struct program *p;

    TAILQ_FOREACH(p, &s->programs, entry)
    {
        if (p->slot->kind == kind && !p->broken) {
            p->state = PROGRAM_RETIRED;
            shutdown(link_fd(p->link), SHUT_WR);
        }
    }
}

void programs_kill_all(struct supervisor *s)
{
    struct program *p;

    TAILQ_FOREACH(p, &s->programs, entry)
    kill(p->pid, SIGKILL);
}

bool programs_any(const struct supervisor *s, enum program_kind kind)
{
    const struct program *p;

    TAILQ_FOREACH(p, &s->programs, entry)
    {
        if (p->slot->kind == kind)
            return true;
    }
    return false;
}

void programs_tick(struct supervisor *s, uint64_t now_ms)
{
    struct program *old;

    /* A link that closed is a death that did not happen yet; auditd may have much to write. */
    TAILQ_FOREACH(old, &s->programs, entry)
    {
        if (!old->broken || old->slot->kind == PROGRAM_AUDITD)
            old->broken_ms = now_ms;
        else if (now_ms - old->broken_ms > DYING_MS)
            kill(old->pid, SIGKILL);
    }
    for (size_t i = 0; i < s->slot_count; i++) {
        struct program *p = s->slots[i].starting;
        if (p && p->slot->kind != PROGRAM_AUDITD && now_ms - p->started_ms > START_MS)
            program_violated(p, "it did not get ready in 30 s");
    }
}

struct program *program_of(struct supervisor *s, enum program_kind kind)
{
    struct program *p = s->slots[kind].running;

    return p && !p->broken ? p : NULL;
}

struct program *program_listener(struct supervisor *s)
{
    struct program *best = NULL;

    for (size_t i = PROGRAM_LISTENER; i < s->slot_count; i++) {
        struct program *p = s->slots[i].running;
        if (p && !p->broken && (!best || p->connections < best->connections))
            best = p;
    }
    return best;
}
