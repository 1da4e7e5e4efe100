/* SPDX-License-Identifier: Apache-2.0
 *
 * See auth/authd.h: start, the loop, and what its modules share. At start everything that needs a
 * file is opened; then the system calls are confined; then the first byte from a peer is read. */
#include "auth/authd.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/rand.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/authd_state.h"
#include "auth/connection.h"
#include "auth/control.h"
#include "auth/hasher.h"
#include "auth/live.h"
#include "auth/policy_set.h"
#include "auth/totp.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "base/log.h"
#include "base/sandbox.h"

/* start_backend messages of all connections at once, and answers. */
#define SUPERVISOR_QUEUE_MAX (4u * 1024 * 1024)
#define PEM_FILE_MAX         16384

uint64_t authd_now_s(const struct authd *a)
{
    return a->real_ns() / 1000000000ull;
}

void authd_stop(struct authd *a, int result)
{
    a->result = result;
    event_base_loopbreak(a->base);
}

void authd_end_connection(struct authd *a, uint64_t conn, const char *reason)
{
    struct authd_end m = {.conn = conn};
    struct err e = ERR_INIT;
    size_t len = strnlen(reason, sizeof m.reason - 1);
    memcpy(m.reason, reason, len);
    m.reason[len] = '\0';
    watch_sent(a->supervisor, authd_end_send(watch_link(a->supervisor), &m, NULL, &e), &e);
}

int authd_record(struct authd *a, enum record_type type, struct buf *payload, trail_done done,
                 uint64_t id)
{
    /* An empty payload is one that did not fit or found no memory. */
    int rc =
        buf_len(payload) ? trail_client_record(a->trail, type, payload, done, a, id) : ERR_TRAIL;
    buf_wipe(payload);
    return rc;
}

void authd_alarm(struct authd *a, uint64_t conn, const char *operator_name, const char *event,
                 const char *text)
{
    struct buf payload;
    struct json_out j;
    buf_init(&payload, TRAIL_PAYLOAD_MAX);
    json_begin(&j, &payload);
    json_str(&j, "event", event);
    json_u64(&j, "connection", conn);
    json_str(&j, "operator", operator_name);
    json_bytes(&j, "text", text, strlen(text));
    if (json_end(&j) < 0)
        buf_clear(&payload);
    if (authd_record(a, RECORD_ALARM, &payload, NULL, 0) < 0)
        log_error("alarm-not-recorded", "conn=%llu event=%s", (unsigned long long)conn, event);
}

/* ---- deadlines ---- */

static const struct timeval tick = {AUTHD_TICK_MS / 1000, AUTHD_TICK_MS % 1000 * 1000};

void authd_tick_soon(struct authd *a)
{
    if (!a->ticking && event_add(a->ticker, &tick) == 0)
        a->ticking = true;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct authd *a = arg;
    uint64_t now_ms = clock_mono_ms();
    struct buf payload;
    (void)fd, (void)what;

    a->ticking = false;
    bool more = connection_tick_all(a, now_ms);
    more = control_tick(a->control, now_ms) || more;
    buf_init(&payload, TRAIL_PAYLOAD_MAX);
    while (refusals_due(a->refusals, now_ms, &payload))
        if (authd_record(a, RECORD_AUTHENTICATION, &payload, NULL, 0) < 0)
            log_warn("refusals-not-recorded", "recorder=%d", trail_client_open(a->trail));
    buf_clear(&payload);
    if (more || refusals_waiting(a->refusals))
        authd_tick_soon(a);
}

/* ---- start ---- */

/* In the child that hashes passwords: the operator CA's key is OpenSSL's, in ordinary memory. */
static void forget_in_child(void *arg)
{
    struct authd *a = arg;

    device_ca_free((struct device_ca *)(uintptr_t)a->world.ca);
    a->world.ca = NULL;
}

static const struct hasher_handler hasher_handler = {connection_password_hashed,
                                                     connection_hasher_died, forget_in_child};

/* The supervisor's first message, waited for without the loop. */
static int receive_start(struct link *l, struct frame *f, struct authd_start *m, struct err *e)
{
    struct pollfd p = {.fd = link_fd(l), .events = POLLIN};
    int rc;
    while ((rc = link_recv(l, f, e)) == 0)
        if (poll(&p, 1, -1) < 0 && errno != EINTR)
            return err_errno(e, "waiting for the supervisor");
    if (rc < 0)
        return rc;
    if (f->spec->number != authd_start_NUMBER)
        return err_set(e, ERR_PROTOCOL, "link authd: %s before start", f->spec->name);
    return authd_start_decode(f, m, e);
}

static int open_store(struct authd *a, const char *path, int key_fd, struct err *e)
{
    struct secret *key = secret_read(key_fd, SEAL_KEY_BYTES + 1, e);
    struct seal *seal = key ? seal_new(key, e) : NULL;
    if (!seal)
        return e->code;
    a->world.store = store_open(path, seal, e);
    return a->world.store ? 0 : e->code;
}

static int open_ca(struct authd *a, int key_fd, int certificate_fd, struct err *e)
{
    struct secret *key = secret_read(key_fd, PEM_FILE_MAX, e);
    struct secret *certificate = key ? secret_read(certificate_fd, PEM_FILE_MAX, e) : NULL;
    struct device_ca *ca = certificate ? device_ca_new(key, certificate, e) : NULL;
    secret_free(key);
    secret_free(certificate);
    a->world.ca = ca;
    return ca ? 0 : e->code;
}

static int start_modules(struct authd *a, struct frame *f, const struct authd_start *m,
                         const struct authd_options *o, struct err *e)
{
    int control_fd = frame_take_fd(f, 0), store_fd = frame_take_fd(f, 1);
    int key_fd = frame_take_fd(f, 2), certificate_fd = frame_take_fd(f, 3);
    size_t seed = 0;

    strcpy(a->gateway, m->gateway);
    strcpy(a->gateway_from, m->gateway_from);
    strcpy(a->break_glass, m->break_glass);
    a->login_ms = m->login_ms;
    a->enrol_s = m->enrol_s;
    a->world.lockout = (struct lockout_rule){m->totp_failures, m->lock_s};
    a->sealed = o->sealed;
    int rc = totp_init(e);
    /* Also the first use of OpenSSL's generator: it opens what it needs now. */
    if (rc == 0 && RAND_bytes((unsigned char *)&seed, sizeof seed) != 1)
        rc = err_set(e, ERR_CRYPTO, "no random bytes");
    json_object_seed(seed | 1);
    json_set_alloc_funcs(malloc, wipe_free); /* administrators send tokens and hashes */
    if (rc == 0)
        rc = open_store(a, o->store_path, store_fd, e);
    if (rc == 0)
        rc = open_ca(a, key_fd, certificate_fd, e);
    close(store_fd);
    close(key_fd);
    close(certificate_fd);
    if (rc == 0 && (!(a->trail = trail_client_new(a->base)) || !(a->policies = policy_set_new(a)) ||
                    !(a->refusals = refusals_new()) || !(a->live = live_new(a))))
        rc = err_set(e, ERR_MEMORY, "start");
    if (rc == 0 && !(a->hasher = hasher_new(a->base, o->sealed, &hasher_handler, a, e)))
        rc = e->code;
    if (rc < 0) {
        close(control_fd);
        return rc;
    }
    a->control = control_new(a, control_fd, m->people, e);
    return a->control ? 0 : e->code;
}

static int start(struct authd *a, const struct authd_options *o, struct err *e)
{
    struct authd_start m;
    struct authd_started started = {0};
    struct frame f;
    int rc;

    a->real_ns = o->real_ns ? o->real_ns : clock_real_ns;
    a->base = event_base_new();
    a->ticker = a->base ? evtimer_new(a->base, on_tick, a) : NULL;
    a->supervisor = a->ticker ? watch_new(a->base, o->link_fd, &link_authd, LINK_SECOND,
                                          SUPERVISOR_QUEUE_MAX, &authd_supervisor_handler, a)
                              : NULL;
    if (!a->supervisor)
        return err_set(e, ERR_MEMORY, "start");
    struct link *l = watch_link(a->supervisor);
    link_enter(l, authd_STATE_STARTING);
    if ((rc = receive_start(l, &f, &m, e)) < 0 || (rc = start_modules(a, &f, &m, o, e)) < 0)
        return rc;
    if (o->sealed && (rc = sandbox_seal(SANDBOX_AUTHD, e)) < 0)
        return rc;
    rc = authd_started_send(l, &started, NULL, e);
    watch_sent(a->supervisor, rc, e);
    link_enter(l, authd_STATE_RUNNING);
    log_info("started", "gateway=%s", a->gateway);
    return rc;
}

static void forget_one(struct connection *c, void *arg)
{
    (void)arg;
    connection_forget(c);
}

static void stop(struct authd *a)
{
    connection_each(a, forget_one, NULL);
    control_free(a->control);
    policy_set_free(a->policies);
    live_free(a->live);
    hasher_free(a->hasher);
    refusals_free(a->refusals);
    trail_client_free(a->trail);
    device_ca_free((struct device_ca *)(uintptr_t)a->world.ca);
    store_close(a->world.store);
    watch_free(a->supervisor);
    if (a->ticker)
        event_free(a->ticker);
    if (a->base)
        event_base_free(a->base);
}

int authd_run(const struct authd_options *options, struct err *e)
{
    static struct authd a; /* one a process; large */
    memset(&a, 0, sizeof a);
    int rc = start(&a, options, e);
    if (rc == 0 && event_base_dispatch(a.base) < 0)
        rc = err_set(e, ERR_SYSTEM, "event loop");
    if (rc == 0 && a.result < 0)
        rc = err_set(e, (enum err_code)a.result, "%s", err_text((enum err_code)a.result));
    stop(&a);
    return rc;
}
