/* SPDX-License-Identifier: Apache-2.0
 *
 * The loop of one connection: it wires the operator's byte stream (libssh) and the links to authd,
 * the backend and auditd to the steps in the other frontend files, and keeps the deadlines.
 *
 * A turn: what came from the client, what came on the links, requests, input, output, ends. libssh
 * polls and dispatches inside many of its calls (each write does), so a turn that called one is
 * followed by another before the process sleeps; otherwise a message could lie in libssh's
 * queue with nothing on the descriptor to wake it up.
 *
 * Every end that a client or another process can cause is an orderly exit (0); only our own
 * failures are not. Runs in the frontend. */
#include "gateway/frontend.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "gateway/forkserver.h"
#include "gateway/watchdog.h"

/* libssh reads 4 KiB at once: 512 KiB a turn, to be sent on in full frames. */
#define POLLS_PER_TURN    128
#define MESSAGES_PER_TURN 64
/* Before the login: a key exchange and some thirty requests are below 64 KiB and 200 packets. */
#define LOGIN_BYTES_MAX   (256u * 1024)
#define LOGIN_PACKETS_MAX 1000u
/* For the first channel to be opened, so that somebody can be told why there is no session. */
#define TELL_MS 10000u
/* After that, for the client to leave by itself: OpenSSH then exits with the status it was given.
 */
#define GRACE_MS 2000u
/* For the last bytes and the disconnect message. */
#define LEAVE_MS 3000u
/* For the last messages on the links. */
#define FLUSH_MS 1000
/* Memory goes back to the system when this much was moved, and a second passed without traffic. */
#define TRIM_BYTES     (256u * 1024)
#define TRIM_MS        1000u
#define LINK_QUEUE_MAX (256u * 1024)

/* --- ends */

void frontend_leave(struct frontend *f, const char *reason)
{
    if (f->phase >= PHASE_LEAVING)
        return;
    snprintf(f->reason, sizeof f->reason, "%.200s", reason);
    snprintf(f->parting, sizeof f->parting, "%.400s", reason);
    f->phase = PHASE_LEAVING;
    f->deadline_ms = f->now_ms + LEAVE_MS;
    f->again = true;
}

void frontend_part(struct frontend *f, const char *reason, const char *text)
{
    if (f->phase >= PHASE_LEAVING)
        return;
    frontend_leave(f, reason);
    snprintf(f->parting, sizeof f->parting, "%.400s", text);
}

static void send_banner(struct frontend *f, const char *text)
{
    char line[1100];
    ssh_string s;

    snprintf(line, sizeof line, "sallyport: %s\r\n", text);
    s = ssh_string_from_char(line);
    if (s && f->phase == PHASE_LOGIN)
        ssh_send_issue_banner(f->ssh, s);
    ssh_string_free(s);
}

void frontend_end(struct frontend *f, const char *text, uint8_t status)
{
    if (f->phase >= PHASE_TELLING)
        return;
    if (f->phase < PHASE_DECISION) {
        send_banner(f, text);
        frontend_leave(f, text);
        return;
    }
    snprintf(f->end_text, sizeof f->end_text, "%.1000s", text);
    f->end_status = status;
    f->phase = PHASE_TELLING;
    f->deadline_ms = f->now_ms + TELL_MS;
    f->again = true;
    link_free(f->relay);
    f->relay = NULL;
    for (unsigned i = 0; i < RELAY_CHANNELS_MAX; i++) {
        struct frontend_channel *c = &f->channels[i];

        if (!c->used || c->close_sent)
            continue;
        c->relayed = false;
        if (c->open) {
            if (forward_is_alone(c))
                frontend_part(f, "the session ended", f->end_text);
            else
                forward_give_up(c);
            continue;
        }
        if (c->close_seen) { /* it takes no more words */
            c->close_wanted = true;
            continue;
        }
        if (c->stage == CHANNEL_OPENING)
            c->stage = CHANNEL_OPEN; /* told when it starts something */
        if (c->stage == CHANNEL_STARTING || (c->stage == CHANNEL_RUNNING && !c->close_wanted)) {
            refusal_tell(c, f->end_text, status);
            f->told = true; /* or has nothing to be told on */
        }
    }
}

/* --- steps of a turn */

static void client_gone(struct frontend *f)
{
    if (f->phase < PHASE_LEAVING)
        snprintf(f->reason, sizeof f->reason, "%s", "the operator's client disconnected");
    f->client_gone = true;
    f->phase = PHASE_DONE;
}

static void step_key_exchange(struct frontend *f)
{
    int rc = ssh_handle_key_exchange(f->ssh);
    const char *why;
    char reason[1024];

    if (rc == SSH_AGAIN)
        return;
    if (rc != SSH_OK || ssh_event_add_session(f->event, f->ssh) != SSH_OK) {
        why = ssh_get_error(f->ssh); /* quotes what the client sent */
        log_info("key-exchange-failed", "reason=\"%s\"",
                 escape_text(reason, sizeof reason, why, strlen(why)));
        client_gone(f);
        return;
    }
    f->phase = PHASE_LOGIN;
    f->again = true;
}

static void fetch_messages(struct frontend *f)
{
    if (f->packets.in_packets == f->packets_fetched && f->queue_empty)
        return;
    f->queue_empty = false;
    for (unsigned n = 0; n < MESSAGES_PER_TURN; n++) {
        ssh_message m;

        if (f->phase >= PHASE_LEAVING || (f->phase == PHASE_LOGIN && login_busy(f)) ||
            f->waiting_count == FRONTEND_WAITING_MAX)
            return;
        f->packets_fetched = f->packets.in_packets;
        m = ssh_message_get(f->ssh);
        if (!m) {
            /* It polled, too: empty only if nothing came with that. */
            f->queue_empty = f->packets.in_packets == f->packets_fetched;
            f->again = f->again || !f->queue_empty;
            return;
        }
        if (f->phase == PHASE_LOGIN)
            login_message(f, m);
        else
            f->waiting[f->waiting_count++] = m;
    }
    f->again = true;
}

static void step_client(struct frontend *f)
{
    for (unsigned n = 0; f->waiting_count < FRONTEND_WAITING_MAX; n++) {
        int rc;

        if (n == POLLS_PER_TURN) {
            f->again = true;
            break;
        }
        rc = ssh_event_dopoll(f->event, 0);
        if (rc == SSH_ERROR || (ssh_get_status(f->ssh) & (SSH_CLOSED | SSH_CLOSED_ERROR))) {
            client_gone(f);
            return;
        }
        if (f->phase == PHASE_LOGIN &&
            (f->packets.in_bytes > LOGIN_BYTES_MAX || f->packets.in_packets > LOGIN_PACKETS_MAX)) {
            frontend_leave(f, "too much before the login");
            return;
        }
        if (rc == SSH_AGAIN)
            break;
    }
    fetch_messages(f);
}

static void step_telling(struct frontend *f)
{
    if (f->phase == PHASE_TELLING && f->told && channels_count(f) == 0 &&
        f->deadline_ms > f->now_ms + GRACE_MS)
        f->deadline_ms = f->now_ms + GRACE_MS;
}

static void step_leaving(struct frontend *f)
{
    if (f->phase != PHASE_LEAVING)
        return;
    if ((ssh_get_status(f->ssh) & SSH_WRITE_PENDING) && f->now_ms < f->deadline_ms)
        return;
    ssh_session_set_disconnect_message(f->ssh, f->parting);
    ssh_disconnect(f->ssh);
    f->phase = PHASE_DONE;
}

static void step_deadline(struct frontend *f)
{
    if (f->deadline_ms == 0 || f->now_ms < f->deadline_ms)
        return;
    if (f->phase == PHASE_KEX)
        client_gone(f);
    else if (f->phase == PHASE_LOGIN)
        frontend_leave(f, "the login took too long");
    else if (f->phase == PHASE_TELLING)
        frontend_part(f, "the session ended", f->end_text);
}

static void step_attest(struct frontend *f)
{
    if (f->now_ms < f->attest_ms)
        return;
    f->attest_ms = f->now_ms + FRONTEND_ATTEST_MS;
    for (unsigned i = 0; i < RELAY_CHANNELS_MAX; i++)
        if (f->channels[i].used)
            attest_report(f, &f->channels[i], false);
}

/* What bulk traffic left in the allocator, once it is quiet. */
static void step_trim(struct frontend *f)
{
    if (f->bulk < TRIM_BYTES) {
        f->trim_ms = 0;
        return;
    }
    if (!flow_idle(f) || f->trim_ms == 0)
        f->trim_ms = f->now_ms + TRIM_MS;
    else if (f->now_ms >= f->trim_ms) {
        channels_release(f);
        malloc_trim(0);
        f->bulk = 0;
        f->trim_ms = 0;
    }
}

static void flush_link(struct frontend *f, struct link *l, const char *name)
{
    struct err e = ERR_INIT;

    if (l && link_pending(l) > 0 && link_flush(l, &e) != 0)
        frontend_link_failed(f, name, &e);
}

static void turn(struct frontend *f)
{
    f->now_ms = clock_mono_ms();
    f->again = false;
    watchdog_turn();
    if (f->phase == PHASE_KEX)
        step_key_exchange(f);
    else
        step_client(f);
    if (f->phase == PHASE_DONE)
        return;
    flush_link(f, f->relay, "relay");
    flush_link(f, f->login, "login");
    flush_link(f, f->trail, "trail");
    frontend_links_receive(f);
    if (f->phase >= PHASE_DECISION && f->phase <= PHASE_TELLING) {
        channels_messages(f);
        flow_input(f);
        flow_output(f);
        channels_step(f);
        channels_reap(f);
    }
    step_attest(f);
    step_trim(f);
    step_telling(f);
    step_deadline(f);
    step_leaving(f);
}

/* --- waiting */

/* The earlier of two times, 0 being never. */
static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

static int wait_ms(const struct frontend *f)
{
    uint64_t at = earlier(f->deadline_ms, f->trim_ms);

    if (f->again)
        return 0;
    if (f->phase == PHASE_SESSION)
        at = earlier(at, f->attest_ms);
    if (f->phase == PHASE_SESSION || f->phase == PHASE_GATEWAY)
        at = earlier(at, channels_next_ms(f));
    if (at == 0)
        return -1;
    return at > f->now_ms ? (int)(at - f->now_ms) : 0;
}

static void watch(struct pollfd *p, const struct link *l)
{
    *p = (struct pollfd){.fd = l ? link_fd(l) : -1, .events = POLLIN};
    if (l && link_pending(l) > 0)
        p->events |= POLLOUT;
}

static int wait_for_work(struct frontend *f)
{
    struct pollfd p[4];

    p[0] = (struct pollfd){.fd = f->fd, .events = POLLIN};
    if (f->waiting_count == FRONTEND_WAITING_MAX)
        p[0].events = 0;
    if (ssh_get_status(f->ssh) & SSH_WRITE_PENDING)
        p[0].events |= POLLOUT;
    watch(&p[1], f->login);
    watch(&p[2], f->trail);
    watch(&p[3], f->relay);
    if (poll(p, 4, wait_ms(f)) < 0 && errno != EINTR)
        return -1;
    /* Requests wait and the client is not read: only its end is looked for. */
    if (p[0].events == 0 && (p[0].revents & (POLLHUP | POLLERR)))
        client_gone(f);
    return 0;
}

/* --- the connection */

static int session_start(struct frontend *f, const int *fds)
{
    bool no = false;

    f->fd = fds[FRONTEND_STREAM];
    f->ssh = ssh_new();
    f->event = ssh_event_new();
    f->login = link_new(fds[FRONTEND_LOGIN], &link_login, LINK_FIRST, LINK_QUEUE_MAX);
    f->trail = link_new(fds[FRONTEND_TRAIL], &link_trail, LINK_FIRST, LINK_QUEUE_MAX);
    if (!f->ssh || !f->event || !f->login || !f->trail || fcntl(f->fd, F_SETFL, O_NONBLOCK) != 0)
        return -1;
    link_enter(f->login, login_STATE_KEY);
    link_enter(f->trail, trail_STATE_OPEN);
    if (ssh_options_set(f->ssh, SSH_OPTIONS_PROCESS_CONFIG, &no) != SSH_OK ||
        ssh_options_set(f->ssh, SSH_OPTIONS_COMPRESSION_C_S, "none") != SSH_OK ||
        ssh_options_set(f->ssh, SSH_OPTIONS_COMPRESSION_S_C, "none") != SSH_OK ||
        ssh_bind_accept_fd(f->server->bind, f->ssh, f->fd) != SSH_OK)
        return -1;
    ssh_set_blocking(f->ssh, 0);
    ssh_set_counters(f->ssh, NULL, &f->packets);
    ssh_set_auth_methods(f->ssh, SSH_AUTH_METHOD_PUBLICKEY);
    return 0;
}

/* The last words on the links: attestations, and good-bye to the backend. */
static void say_goodbye(struct frontend *f)
{
    struct relay_bye bye;
    struct err e = ERR_INIT;

    for (unsigned i = 0; i < RELAY_CHANNELS_MAX; i++)
        if (f->channels[i].used)
            attest_report(f, &f->channels[i], true);
    attest_end(f);
    if (f->relay) {
        memcpy(bye.reason, f->reason, sizeof bye.reason);
        if (relay_bye_send(f->relay, &bye, NULL, &e) != 0)
            log_debug("bye-not-sent", "reason=\"%s\"", e.text);
    }
    for (uint64_t end = clock_mono_ms() + FLUSH_MS; clock_mono_ms() < end;) {
        struct pollfd p[2] = {{.fd = -1}, {.fd = -1}};

        if (f->relay && link_pending(f->relay) > 0 && link_flush(f->relay, &e) == 0 &&
            link_pending(f->relay) > 0)
            p[0] = (struct pollfd){.fd = link_fd(f->relay), .events = POLLOUT};
        if (f->trail && link_pending(f->trail) > 0 && link_flush(f->trail, &e) == 0 &&
            link_pending(f->trail) > 0)
            p[1] = (struct pollfd){.fd = link_fd(f->trail), .events = POLLOUT};
        if (p[0].fd < 0 && p[1].fd < 0)
            return;
        if (poll(p, 2, FLUSH_MS) < 0 && errno != EINTR)
            return;
    }
}

static void session_end(struct frontend *f)
{
    login_clear(&f->log_in);
    channels_clear(f);
    if (f->event && f->ssh && f->phase > PHASE_KEX)
        ssh_event_remove_session(f->event, f->ssh);
    ssh_event_free(f->event);
    ssh_free(f->ssh);
    link_free(f->login);
    link_free(f->trail);
    link_free(f->relay);
}

int frontend_run(uint64_t conn, const int *fds, const struct frontend_server *server)
{
    struct frontend *f = calloc(1, sizeof *f);
    struct err e = ERR_INIT;
    char reason[900];
    int status = 1;

    if (!f || watchdog_start(&e) != 0) {
        log_error("frontend-start", "reason=\"%s\"", f ? e.text : "out of memory");
        free(f);
        return 1;
    }
    f->conn = conn;
    f->server = server;
    f->now_ms = clock_mono_ms();
    f->deadline_ms = f->now_ms + server->login_ms;
    f->attest_ms = f->now_ms + FRONTEND_ATTEST_MS;
    if (session_start(f, fds) != 0) {
        log_error("frontend-start", "reason=\"%s\"",
                  f->ssh ? ssh_get_error(f->ssh) : "out of memory");
        goto out;
    }
    f->again = true;
    while (f->phase != PHASE_DONE) {
        if (!f->again && wait_for_work(f) != 0) {
            log_error("frontend-poll", "errno=%d", errno);
            goto out;
        }
        if (f->phase != PHASE_DONE)
            turn(f);
    }
    say_goodbye(f);
    log_info("frontend-end", "reason=\"%s\"",
             escape_text(reason, sizeof reason, f->reason, strlen(f->reason)));
    status = 0;
out:
    session_end(f);
    free(f);
    return status;
}
