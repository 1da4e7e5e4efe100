/* SPDX-License-Identifier: Apache-2.0
 *
 * Link `authd`: what the supervisor tells. The supervisor is root and trusted; what it passes on
 * from a listener (target, certificate) is not, and is judged where it is used. */
#include <string.h>
#include <unistd.h>

#include "auth/authd_state.h"
#include "auth/connection.h"
#include "auth/control.h"
#include "auth/policy_set.h"
#include "auth/session.h"
#include "auth/sessions.h"
#include "base/log.h"
#include "gateway/messages.h"

static int on_trail(struct authd *a, struct frame *f, struct err *e)
{
    struct authd_trail m;
    int rc = authd_trail_decode(f, &m, e);
    return rc < 0 ? rc : trail_client_attach(a->trail, frame_take_fd(f, 0), e);
}

static int on_load(struct authd *a, struct frame *f, struct err *e)
{
    struct authd_load m;
    int rc = authd_load_decode(f, &m, e);
    if (rc == 0)
        policy_set_load(a->policies, m.generation, m.why, frame_take_fd(f, 0));
    return rc;
}

static int on_connection(struct authd *a, struct frame *f, struct err *e)
{
    struct authd_connection m;
    int rc = authd_connection_decode(f, &m, e);
    if (rc == 0)
        connection_begin(a, &m, frame_take_fd(f, 0));
    return rc;
}

static int on_gone(struct authd *a, const struct frame *f, struct err *e)
{
    struct authd_gone m;
    int rc = authd_gone_decode(f, &m, e);
    struct connection *c = rc == 0 ? connection_find(a, m.conn) : NULL;
    if (c)
        connection_forget(c);
    if (rc == 0 && a->stopping && a->connections == 0)
        authd_stop(a, 0);
    return rc;
}

static int on_backend(struct authd *a, struct frame *f, struct err *e)
{
    struct authd_backend m;
    int rc = authd_backend_decode(f, &m, e);
    if (rc < 0)
        return rc;
    struct connection *c = connection_find(a, m.conn);
    const int fds[3] = {frame_take_fd(f, 0), frame_take_fd(f, 1), frame_take_fd(f, 2)};
    if (c) {
        session_backend(c, fds);
        return 0;
    }
    /* The connection is gone: the backend sees that by its closed links. */
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    return 0;
}

static int on_backend_failed(struct authd *a, const struct frame *f, struct err *e)
{
    struct authd_backend_failed m;
    int rc = authd_backend_failed_decode(f, &m, e);
    struct connection *c = rc == 0 ? connection_find(a, m.conn) : NULL;
    if (c)
        session_backend_failed(c, m.reason);
    return rc;
}

static int on_live(struct authd *a, struct frame *f, struct err *e)
{
    struct authd_live m;
    int rc = authd_live_decode(f, &m, e);
    if (rc == 0)
        connection_live(a, &m, frame_take_fd(f, 0));
    return rc;
}

static int on_stats(struct authd *a, const struct frame *f, struct err *e)
{
    struct authd_stats m;
    int rc = authd_stats_decode(f, &m, e);
    if (rc == 0)
        control_stats(a->control, m.json);
    return rc;
}

static int on_reload_failed(struct authd *a, const struct frame *f, struct err *e)
{
    struct authd_reload_failed m;
    int rc = authd_reload_failed_decode(f, &m, e);
    if (rc == 0)
        control_policy_refused(a->control, m.text);
    return rc;
}

static int on_admission(struct authd *a, const struct frame *f, struct err *e)
{
    struct authd_admission m;
    int rc = authd_admission_decode(f, &m, e);
    if (rc < 0)
        return rc;
    strcpy(a->no_sessions, m.open ? "" : *m.text ? m.text : "No session can start now.");
    a->world.break_glass = !m.open && m.glass ? a->break_glass : NULL;
    return 0;
}

static int on_pruned(struct authd *a, const struct frame *f, struct err *e)
{
    struct authd_pruned m;
    int rc = authd_pruned_decode(f, &m, e);
    if (rc == 0)
        control_pruned(a->control, m.client, m.ok, m.text);
    return rc;
}

static int on_sources(struct authd *a, const struct frame *f, struct err *e)
{
    struct authd_sources m;
    int rc = authd_sources_decode(f, &m, e);
    if (rc == 0)
        control_sources(a->control, m.client, m.json);
    return rc;
}

static int on_source_lifted(struct authd *a, const struct frame *f, struct err *e)
{
    struct authd_source_lifted m;
    int rc = authd_source_lifted_decode(f, &m, e);
    if (rc == 0)
        control_source_lifted(a->control, m.client, m.count);
    return rc;
}

static int on_shutdown(struct authd *a, const struct frame *f, struct err *e)
{
    struct authd_shutdown m;
    int rc = authd_shutdown_decode(f, &m, e);
    if (rc < 0)
        return rc;
    a->stopping = true;
    strcpy(a->stop_reason, m.reason);
    sessions_end_all(a, a->stop_reason, "shutdown");
    if (a->connections == 0)
        authd_stop(a, 0);
    return 0;
}

static int on_reading(struct authd *a, struct frame *f, struct err *e)
{
    struct authd_reading m;
    int rc = authd_reading_decode(f, &m, e);
    if (rc == 0)
        control_reading(a->control, m.request, frame_take_fd(f, 0));
    return rc;
}

static int on_read_failed(struct authd *a, const struct frame *f, struct err *e)
{
    struct authd_read_failed m;
    int rc = authd_read_failed_decode(f, &m, e);
    if (rc == 0)
        control_read_failed(a->control, m.request, m.text);
    return rc;
}

static int on_frame(void *arg, struct frame *f, struct err *e)
{
    struct authd *a = arg;
    switch (f->spec->number) {
    case authd_trail_NUMBER:
        return on_trail(a, f, e);
    case authd_load_NUMBER:
        return on_load(a, f, e);
    case authd_connection_NUMBER:
        return on_connection(a, f, e);
    case authd_gone_NUMBER:
        return on_gone(a, f, e);
    case authd_backend_NUMBER:
        return on_backend(a, f, e);
    case authd_backend_failed_NUMBER:
        return on_backend_failed(a, f, e);
    case authd_live_NUMBER:
        return on_live(a, f, e);
    case authd_stats_NUMBER:
        return on_stats(a, f, e);
    case authd_reload_failed_NUMBER:
        return on_reload_failed(a, f, e);
    case authd_admission_NUMBER:
        return on_admission(a, f, e);
    case authd_reading_NUMBER:
        return on_reading(a, f, e);
    case authd_read_failed_NUMBER:
        return on_read_failed(a, f, e);
    case authd_pruned_NUMBER:
        return on_pruned(a, f, e);
    case authd_sources_NUMBER:
        return on_sources(a, f, e);
    case authd_source_lifted_NUMBER:
        return on_source_lifted(a, f, e);
    case authd_shutdown_NUMBER:
        return on_shutdown(a, f, e);
    default:
        return err_set(e, ERR_PROTOCOL, "link authd: unexpected message %s", f->spec->name);
    }
}

static void on_ended(void *arg, int code, const struct err *e)
{
    if (code != ERR_CLOSED)
        log_error("supervisor-link", "code=%s text=\"%s\"", err_token((enum err_code)code),
                  e->text);
    authd_stop(arg, code == ERR_CLOSED ? 0 : code);
}

const struct watch_handler authd_supervisor_handler = {on_frame, on_ended};
