/* SPDX-License-Identifier: Apache-2.0
 *
 * sallyportd's own life: options and checks, then the order of the start (the trail, then authd and
 * its policy, then those whom strangers reach), the loop, and the order of the end (strangers
 * first, the trail last). Every step is taken in advance(), whenever something changed. Run as
 * root. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "audit/record.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "gateway/supervisor.h"

/* While ending: sessions get so long to say good-bye, programs so long to exit, auditd so long to
 * make everything durable. */
#define SESSIONS_MS 5000u
#define PROGRAMS_MS 2000u
#define TRAIL_MS    30000u

static const char usage[] =
    "usage: sallyportd [-c CONFDIR] [--libexec DIR] [--ready-fd N]\n"
    "       sallyportd [-c CONFDIR] --check | --dump\n"
    "\n"
    "The Sallyport gateway, in the foreground; it logs on standard error.\n"
    "  -c, --config CONFDIR  where sallyport.yaml, operators.yaml, targets.yaml and roles.d are\n"
    "      --check           check the configuration and the policy set, and end\n"
    "      --dump            print the configuration in force, with all defaults, and end\n"
    "      --libexec DIR     where the gateway's other programs are\n"
    "      --ready-fd N      write \"ready\" to this descriptor when operators can log in\n"
    "SIGHUP loads the policy set and the list of reviewers again; SIGTERM ends the gateway.\n";

void supervisor_progress(struct supervisor *s)
{
    event_active(s->progress, EV_TIMEOUT, 1);
}

void supervisor_fatal(struct supervisor *s, const char *what, const char *text)
{
    log_error("fatal", "what=\"%s\" error=\"%s\"", what, text);
    if (s->started || s->exit_status)
        return;
    fprintf(stderr, "sallyportd: %s: %s\n", what, text);
    s->exit_status = EXIT_FAILURE;
    event_base_loopbreak(s->base);
}

static bool slot_wanted(const struct slot *slot)
{
    return program_wanted(slot->s, slot->kind);
}

static bool all_running(const struct supervisor *s)
{
    for (size_t i = 0; i < s->slot_count; i++) {
        if (!s->slots[i].running && slot_wanted(&s->slots[i]))
            return false;
    }
    return s->authd_has_policy;
}

/* Fills an empty slot for the first time; later ones are the restart timer's. */
static void start_slots(struct supervisor *s, enum program_kind from)
{
    struct err e = ERR_INIT;

    for (size_t i = from; i < s->slot_count; i++) {
        struct slot *slot = &s->slots[i];
        if (slot->generation == 0 && slot_wanted(slot) && program_start(s, slot, &e) < 0) {
            supervisor_fatal(s, program_name(slot->kind), e.text);
            return;
        }
    }
}

/* What a fresh authd needs before it can judge: the trail, the policy, and who is logged in. */
static void introduce_authd(struct supervisor *s, struct program *authd)
{
    const struct auditd_producer producer = {.kind = PRODUCER_AUTHD};
    const struct authd_trail trail = {0};
    struct program *auditd = program_of(s, PROGRAM_AUDITD);
    const struct connection *c;
    struct err e = ERR_INIT;
    int pair[2];

    if (link_pair(pair, 2u * 1024 * 1024, &e) < 0) {
        log_error("authd-trail", "error=\"%s\"", e.text);
        return;
    }
    program_sent(auditd, auditd_producer_send(auditd->link, &producer, &pair[0], &e), &e);
    program_sent(authd, authd_trail_send(authd->link, &trail, &pair[1], &e), &e);
    close(pair[0]);
    close(pair[1]);
    if (s->authd_introduced == authd->generation) /* only auditd is new */
        return;
    s->authd_introduced = authd->generation;
    policy_give(s);
    admission_give(s);
    TAILQ_FOREACH(c, &s->connections, entry)
    {
        struct authd_live m = {.conn = c->number};
        if (c->backend.state != SIDE_RUNNING)
            continue;
        memcpy(m.session, c->session, sizeof m.session);
        memcpy(m.address, c->address_text, sizeof m.address);
        memcpy(m.operator_name, c->operator_name, sizeof m.operator_name);
        memcpy(m.target_name, c->target_name, sizeof m.target_name);
        m.again = (struct bytes){c->again, c->again_len};
        program_sent(authd, authd_live_send(authd->link, &m, &c->grant_fd, &e), &e);
    }
}

static void record_start(struct supervisor *s)
{
    struct json_out *j = records_begin(s, "start");

    json_str(j, "version", SALLYPORT_VERSION);
    json_i64(j, "pid", getpid());
    json_str(j, "gateway", s->config.gateway);
    json_hex(j, "policy", s->current.hash, sizeof s->current.hash);
    records_end(s, RECORD_ACCESS);
}

static void advance_running(struct supervisor *s)
{
    struct program *auditd = program_of(s, PROGRAM_AUDITD), *authd = program_of(s, PROGRAM_AUTHD);

    if (auditd)
        start_slots(s, PROGRAM_AUTHD);
    /* The generations tell which pair of the two knows each other. */
    if (auditd && authd &&
        (s->authd_introduced != authd->generation || s->authd_trail != auditd->generation)) {
        s->authd_trail = auditd->generation;
        introduce_authd(s, authd);
    }
    courier_introduce(s);
    if (all_running(s) && !s->started) {
        s->started = true;
        record_start(s);
        log_info("ready", "gateway=%s", s->config.gateway);
        sockets_accepting(s, true);
        sockets_notify(s, "READY=1");
    } else if (s->started) {
        sockets_accepting(
            s, auditd && authd && s->authd_has_policy && program_of(s, PROGRAM_FRONTEND) &&
                   program_of(s, PROGRAM_BACKEND) && program_listener(s) && firewall_in_force(s));
    }
    if (s->accepting)
        begin_waiting(s);
}

static void enter_phase(struct supervisor *s, int phase, uint64_t now_ms, uint64_t ms)
{
    s->phase = phase;
    s->phase_until_ms = now_ms + ms;
    supervisor_progress(s);
}

/* The recorder's last checkpoint still has to go elsewhere. */
static bool ends_after_auditd(enum program_kind kind)
{
    return kind == PROGRAM_COURIER;
}

static void end_programs(struct supervisor *s, uint64_t now_ms)
{
    readers_end(s);
    for (int kind = PROGRAM_AUTHD; kind < PROGRAM_KINDS; kind++)
        if (!ends_after_auditd((enum program_kind)kind))
            programs_dismiss(s, (enum program_kind)kind);
    enter_phase(s, ENDING_PROGRAMS, now_ms, PROGRAMS_MS);
}

static void end_trail(struct supervisor *s, uint64_t now_ms)
{
    const struct auditd_shutdown m = {0};
    struct program *auditd = program_of(s, PROGRAM_AUDITD), *p;
    struct err e = ERR_INIT;

    TAILQ_FOREACH(p, &s->programs, entry)
    {
        if (p->slot->kind != PROGRAM_AUDITD && !ends_after_auditd(p->slot->kind))
            kill(p->pid, SIGKILL);
    }
    records_flush(s, now_ms, true);
    records_begin(s, "stop");
    records_end(s, RECORD_ACCESS);
    records_detach(s);
    if (auditd)
        program_sent(auditd, auditd_shutdown_send(auditd->link, &m, NULL, &e), &e);
    enter_phase(s, ENDING_TRAIL, now_ms, TRAIL_MS);
}

static bool only_trail(const struct supervisor *s)
{
    for (int kind = PROGRAM_AUTHD; kind < PROGRAM_KINDS; kind++) {
        if (!ends_after_auditd((enum program_kind)kind) && programs_any(s, (enum program_kind)kind))
            return false;
    }
    return true;
}

/* The next step that is due. */
static void advance(evutil_socket_t fd, short what, void *arg)
{
    struct supervisor *s = arg;
    const uint64_t now_ms = clock_mono_ms();
    const bool late = now_ms >= s->phase_until_ms;

    (void)fd;
    (void)what;
    switch (s->phase) {
    case RUNNING:
        advance_running(s);
        break;
    case ENDING_SESSIONS:
        if (late || TAILQ_EMPTY(&s->connections))
            end_programs(s, now_ms);
        break;
    case ENDING_PROGRAMS:
        if (late || only_trail(s))
            end_trail(s, now_ms);
        break;
    case ENDING_TRAIL:
        if (programs_any(s, PROGRAM_AUDITD) && late) {
            log_error("stop", "error=\"auditd does not end\"");
            s->exit_status = EXIT_FAILURE;
        }
        /* It waited for the courier; what is left of the courier's work is not worth a wait. */
        if (late || !programs_any(s, PROGRAM_AUDITD)) {
            programs_kill_all(s);
            event_base_loopbreak(s->base);
        }
        break;
    }
}

static void stop(struct supervisor *s)
{
    const struct authd_shutdown m = {.reason = "the gateway is shutting down"};
    struct program *authd = program_of(s, PROGRAM_AUTHD);
    struct connection *c;
    struct err e = ERR_INIT;

    if (s->phase != RUNNING)
        return;
    log_info("stop", "connections=%zu", acceptance_connections(s->acceptance));
    sockets_notify(s, "STOPPING=1");
    sockets_close(s);
    gate_close(s);
    if (authd)
        program_sent(authd, authd_shutdown_send(authd->link, &m, NULL, &e), &e);
    TAILQ_FOREACH(c, &s->connections, entry)
    {
        if (c->frontend.state != SIDE_RUNNING || !authd)
            connection_drop(c);
    }
    enter_phase(s, ENDING_SESSIONS, clock_mono_ms(), SESSIONS_MS);
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
    struct supervisor *s = arg;

    (void)what;
    switch (number) {
    case SIGCHLD:
        programs_reap(s);
        break;
    case SIGHUP:
        if (s->phase == RUNNING)
            policy_reload(s, "SIGHUP");
        break;
    default:
        if (!s->started) {
            programs_kill_all(s);
            event_base_loopbreak(s->base);
        }
        stop(s);
        break;
    }
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct supervisor *s = arg;
    const uint64_t now_ms = clock_mono_ms();

    (void)fd;
    (void)what;
    programs_tick(s, now_ms);
    connections_tick(s, now_ms);
    firewall_tick(s, now_ms);
    gate_tick(s, now_ms);
    penalties_tick(s, now_ms);
    records_flush(s, now_ms, false);
    supervisor_progress(s);
}

static int set_up_loop(struct supervisor *s, struct err *e)
{
    static const int numbers[] = {SIGCHLD, SIGHUP, SIGTERM, SIGINT};
    const struct timeval second = {.tv_sec = 1};
    struct event_config *options = event_config_new();

    if (options)
        s->base = event_base_new_with_config(options);
    event_config_free(options);
    if (!s->base)
        return err_set(e, ERR_MEMORY, "event loop");
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        s->signals[i] = evsignal_new(s->base, numbers[i], on_signal, s);
        if (!s->signals[i] || event_add(s->signals[i], NULL) < 0)
            return err_set(e, ERR_MEMORY, "signals");
    }
    s->progress = event_new(s->base, -1, 0, advance, s);
    s->tick = event_new(s->base, -1, EV_PERSIST, on_tick, s);
    if (!s->progress || !s->tick || event_add(s->tick, &second) < 0)
        return err_set(e, ERR_MEMORY, "timers");
    return 0;
}

/* Each connection costs three or four descriptors for an instant, one while it connects, and one as
 * long as its backend runs (grant_fd). */
static void raise_limits(const struct supervisor *s)
{
    struct rlimit files = {.rlim_cur = 1024 + 8 * s->config.connections};

    files.rlim_max = files.rlim_cur;
    if (setrlimit(RLIMIT_NOFILE, &files) < 0)
        log_warn("limits", "error=\"%s\"", strerror(errno));
}

static int serve(struct supervisor *s, struct err *e)
{
    int rc;

    signal(SIGPIPE, SIG_IGN);
    raise_limits(s);
    rc = penalties_start(s, e);
    if (rc == 0)
        s->acceptance = acceptance_new(&s->config, s->penalties);
    if (rc == 0 && !s->acceptance)
        rc = err_set(e, ERR_MEMORY, "acceptance");
    if (rc == 0)
        rc = spawn_check(s, e);
    if (rc == 0)
        rc = sockets_lock(s, e);
    if (rc == 0)
        rc = set_up_loop(s, e);
    if (rc == 0)
        rc = sockets_open(s, e);
    if (rc == 0)
        rc = records_init(s);
    if (rc == 0)
        rc = sandbox_seal(SANDBOX_SUPERVISOR, e);
    if (rc < 0)
        return rc;
    connections_init(s);
    programs_init(s);
    rc = program_start(s, &s->slots[PROGRAM_AUDITD], e);
    if (rc < 0)
        return rc;
    event_base_dispatch(s->base);
    sockets_close(s);
    programs_kill_all(s);
    return 0;
}

static int run(struct supervisor *s, bool check, bool dump, struct err *e)
{
    char path[512];
    struct buf text;
    int rc;

    snprintf(path, sizeof path, "%s/" CONFIG_FILE, s->confdir);
    rc = config_load_text(path, &s->config, &s->config_text, e);
    if (rc == 0 && dump) {
        buf_init(&text, 1u << 20);
        rc = config_dump(&s->config, &text);
        printf("%.*s", (int)buf_len(&text), (const char *)buf_head(&text));
        buf_clear(&text);
        return rc;
    }
    if (rc == 0)
        rc = config_users(&s->config, e);
    if (rc == 0)
        rc = reviewers_start(s, e);
    if (rc == 0 && check)
        return policy_check(s, e);
    if (rc == 0 && geteuid() != 0)
        rc = err_set(e, ERR_DENIED, "sallyportd has to be started by root");
    return rc < 0 ? rc : serve(s, e);
}

int supervisor_run(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},   {"check", no_argument, NULL, 'k'},
        {"dump", no_argument, NULL, 'd'},           {"libexec", required_argument, NULL, 'l'},
        {"ready-fd", required_argument, NULL, 'r'}, {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},        {NULL, 0, NULL, 0}};
    static struct supervisor supervisor = {.ready_fd = -1, .lock_fd = -1, .control_fd = -1};
    struct supervisor *s = &supervisor;
    bool check = false, dump = false;
    struct err e = ERR_INIT;
    int option;

    log_init("sallyportd");
    s->confdir = config_default_dir();
    s->libexecdir = SALLYPORT_LIBEXECDIR;
    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            s->confdir = optarg;
            break;
        case 'k':
            check = true;
            break;
        case 'd':
            dump = true;
            break;
        case 'l':
            s->libexecdir = optarg;
            break;
        case 'r':
            s->ready_fd = atoi(optarg);
            break;
        case 'h':
            printf("%s", usage);
            return EXIT_SUCCESS;
        case 'V':
            printf("sallyportd %s\n", SALLYPORT_VERSION);
            return EXIT_SUCCESS;
        default:
            fprintf(stderr, "%s", usage);
            return 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "%s", usage);
        return 2;
    }
    if (run(s, check, dump, &e) < 0) {
        fprintf(stderr, "sallyportd: %s\n", e.text);
        return EXIT_FAILURE;
    }
    return s->exit_status;
}
