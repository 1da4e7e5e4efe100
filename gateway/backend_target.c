/* SPDX-License-Identifier: Apache-2.0
 *
 * The SSH session with the target, over a socket that the supervisor connected: key exchange,
 * pinned host key, login by authd's agent, packets. libssh's client, driven without blocking. The
 * target is hostile until its key is checked, and may be after. */
#include <fcntl.h>
#include <libssh/server.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "gateway/backend_session.h"

/* No group exchange (it opens the moduli file), nothing with SHA-1. */
#define KEX                                                                                        \
    "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,"        \
    "ecdh-sha2-nistp521,diffie-hellman-group16-sha512,diffie-hellman-group18-sha512,"              \
    "diffie-hellman-group14-sha256"
/* No CBC and no ChaCha20 (CVE-2023-48795). */
#define CIPHERS "aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-ctr,aes256-ctr"
#define MACS                                                                                       \
    "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512"

/* libssh reads 4 KiB a time: so much is taken before the other descriptors get their turn, and so
 * often within it what was read is recorded, answers of auditd are taken and output goes on. */
#define PUMP_READS 256u
#define PUMP_GROUP 16u

/* What waits in libssh for a target that does not read. Of ours that is one write, RELAY_CHUNK at
 * most; beyond come answers to what the target itself asks, on and on, without taking them. */
#define UNSENT_MAX (1024u * 1024u)
/* What encryption adds to a packet's payload, about: length, padding, tag. */
#define PACKET_OVERHEAD 32u

/* authd answers at once; this is for one that hangs. */
#define AGENT_MS 10000u

static bool option(struct backend *b, enum ssh_options_e type, const void *value)
{
    return ssh_options_set(b->ssh, type, value) >= 0;
}

static bool set_options(struct backend *b, const char *algorithms)
{
    const int off = 0;
    return option(b, SSH_OPTIONS_PROCESS_CONFIG, &off) &&
           option(b, SSH_OPTIONS_SSH_DIR, "/nonexistent") &&
           option(b, SSH_OPTIONS_KNOWNHOSTS, "/nonexistent/known_hosts") &&
           option(b, SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/nonexistent/known_hosts") &&
           option(b, SSH_OPTIONS_HOST, b->granted.target) &&
           option(b, SSH_OPTIONS_USER, b->granted.account) &&
           option(b, SSH_OPTIONS_FD, &b->target_fd) && option(b, SSH_OPTIONS_KEY_EXCHANGE, KEX) &&
           option(b, SSH_OPTIONS_HOSTKEYS, algorithms) &&
           option(b, SSH_OPTIONS_CIPHERS_C_S, CIPHERS) &&
           option(b, SSH_OPTIONS_CIPHERS_S_C, CIPHERS) && option(b, SSH_OPTIONS_HMAC_C_S, MACS) &&
           option(b, SSH_OPTIONS_HMAC_S_C, MACS) && option(b, SSH_OPTIONS_COMPRESSION, "none");
}

/* A channel, or a forward, that the target asks for: libssh's default answer refuses it. */
static int refuse_message(ssh_session ssh, ssh_message message, void *user)
{
    struct backend *b = user;
    (void)ssh;
    if (ssh_message_type(message) == SSH_REQUEST_CHANNEL_OPEN && b->target_opens < 10) {
        b->target_opens++;
        record_alarm(b, "target-opens-channel",
                     "the target tried to open a channel to the operator; it was refused");
    }
    return 1;
}

void target_begin(struct backend *b)
{
    struct err e = ERR_INIT;
    struct buf algorithms;
    char *list = NULL;

    buf_init(&algorithms, 1024);
    if (hostkey_algorithms(b->granted.host_keys, &algorithms, &e) != 0 ||
        (list = buf_string(&algorithms)) == NULL) {
        end_begin(b, "host-key", EXIT_TARGET_DOWN,
                  "no host key is pinned for %s: there is no connection without one; tell your "
                  "administrators (sallyport target add)",
                  b->granted.target);
        goto out;
    }
    b->ssh = ssh_new();
    b->event = ssh_event_new();
    if (b->ssh == NULL || b->event == NULL || !set_options(b, list)) {
        log_error("target", "options: %s", b->ssh != NULL ? ssh_get_error(b->ssh) : "memory");
        end_begin(b, "internal", EXIT_TRY_AGAIN,
                  "the gateway could not prepare the connection to %s", b->granted.target);
        goto out;
    }
    ssh_set_blocking(b->ssh, 0);
    ssh_set_message_callback(b->ssh, refuse_message, b);
    ssh_set_counters(b->ssh, &b->sent, &b->packed);
    b->connect_deadline_ms = b->now_ms + b->connect_ms;
    b->phase = PHASE_CONNECT;
    target_step(b);
out:
    free(list);
    buf_clear(&algorithms);
}

/* What libssh says holds the target's own words: escaped, for the operator's terminal. */
static const char *reason(struct backend *b, char out[400])
{
    const char *text = ssh_get_error(b->ssh);
    return escape_text(out, 400, text, strlen(text));
}

static void connect_failed(struct backend *b)
{
    const char *target = b->granted.target;
    char text[400], pinned[500];

    reason(b, text);
    if (ssh_get_serverbanner(b->ssh) == NULL) {
        if (end_begin(b, "target-not-ssh", EXIT_TARGET_DOWN, "%s did not speak SSH", target))
            end_quote(b, text);
    } else if (strstr(text, "server host key algo") != NULL) {
        hostkey_fingerprints(b->granted.host_keys, pinned, sizeof pinned);
        end_begin(
            b, "host-key", EXIT_TARGET_DOWN,
            "%s's host key is not the pinned one: the connection was refused (found no key of "
            "that type, pinned %s); tell your administrators",
            target, pinned);
    } else {
        /* sshd may hang up before libssh compares the lists: then the socket's end is all there is.
         */
        hostkey_fingerprints(b->granted.host_keys, pinned, sizeof pinned);
        if (end_begin(b, "target-handshake", EXIT_TARGET_DOWN,
                      "%s broke off the key exchange (a target without a host key of a pinned type "
                      "does so too, pinned %s)",
                      target, pinned))
            end_quote(b, text);
    }
}

static void check_host_key(struct backend *b)
{
    char found[64], pinned[500];
    struct json_record r;

    if (!hostkey_pinned(b->ssh, b->granted.host_keys, found)) {
        hostkey_fingerprints(b->granted.host_keys, pinned, sizeof pinned);
        record_alarm(b, "host-key", found);
        end_begin(
            b, "host-key", EXIT_TARGET_DOWN,
            "%s's host key is not the pinned one: the connection was refused (found %s, pinned "
            "%s); tell your administrators",
            b->granted.target, found[0] != '\0' ? found : "none", pinned);
        return;
    }
    record_begin(&r);
    json_bool(&r.json, "allowed", true);
    json_str(&r.json, "what", "target-host-key");
    json_str(&r.json, "host_key", found);
    if (record_end(b, &r, RECORD_DECISION, 0, WANT_NOTHING, NULL) != 0)
        return;
    if (ssh_set_agent_socket(b->ssh, b->agent_fd) != SSH_OK) {
        end_begin(b, "internal", EXIT_TRY_AGAIN, "the gateway could not prepare the login to %s",
                  b->granted.target);
        return;
    }
    b->phase = PHASE_LOGIN;
}

static void connect_step(struct backend *b)
{
    int rc = ssh_connect(b->ssh);
    b->connecting = true;
    /* ssh_connect makes the descriptor blocking. */
    if (fcntl(b->target_fd, F_SETFL, O_NONBLOCK) != 0)
        rc = SSH_ERROR;
    if (rc == SSH_ERROR)
        connect_failed(b);
    else if (rc == SSH_OK)
        check_host_key(b);
}

static void login_done(struct backend *b)
{
    struct relay_ready m = {0};
    struct err e = ERR_INIT;

    if (ssh_event_add_session(b->event, b->ssh) != SSH_OK) {
        end_begin(b, "internal", EXIT_TRY_AGAIN, "the gateway could not prepare the session");
        return;
    }
    b->phase = PHASE_READY;
    log_info("logged-in", "target=%s account=%s", b->granted.target, b->granted.account);
    grant_tell(b, BACKEND_LOGGED_IN, "");
    if (b->relay == NULL)
        return;
    link_enter(b->relay, relay_STATE_READY);
    int rc = relay_ready_send(b->relay, &m, NULL, &e);
    if (rc != 0)
        relay_failed(b, rc);
}

/* The login failed; who said no? The target answers "Access denied"; without that it was never
 * asked, because authd gave no key or no signature. */
static void login_failed(struct backend *b, int rc)
{
    const char *target = b->granted.target, *account = b->granted.account;
    bool denied = strstr(ssh_get_error(b->ssh), "Access denied") != NULL;
    char text[400];

    if (rc == SSH_AUTH_PARTIAL)
        end_begin(b, "target-login", EXIT_TARGET_DOWN,
                  "%s wants more than the gateway's key for account %s; tell your administrators",
                  target, account);
    else if (!target_alive(b)) {
        if (end_begin(b, "target-login", EXIT_TARGET_DOWN, "the login to %s as %s failed", target,
                      account))
            end_quote(b, reason(b, text));
    } else if (rc == SSH_AUTH_DENIED && denied)
        end_begin(b, "target-login", EXIT_TARGET_DOWN,
                  "%s refused the gateway's key for account %s: it has to be in that account's "
                  "authorized_keys; tell your administrators (sallyport target key %s %s)",
                  target, account, target, account);
    else
        end_begin(b, "no-signature", EXIT_TRY_AGAIN,
                  "the login service did not sign the login to %s as %s; please connect again",
                  target, account);
}

static void login_step(struct backend *b)
{
    watchdog_agent(b->agent_fd, AGENT_MS);
    int rc = ssh_userauth_agent(b->ssh, NULL);
    watchdog_agent(b->agent_fd, 0);
    if (rc == SSH_AUTH_SUCCESS)
        login_done(b);
    else if (rc != SSH_AUTH_AGAIN)
        login_failed(b, rc);
}

void target_step(struct backend *b)
{
    if (b->phase != PHASE_CONNECT && b->phase != PHASE_LOGIN)
        return;
    if (b->phase == PHASE_CONNECT)
        connect_step(b);
    if (b->phase == PHASE_LOGIN)
        login_step(b);
    if ((b->phase == PHASE_CONNECT || b->phase == PHASE_LOGIN) &&
        b->now_ms >= b->connect_deadline_ms)
        end_begin(b, "target-timeout", EXIT_TARGET_DOWN, "%s did not answer in time",
                  b->granted.target);
}

bool target_alive(const struct backend *b)
{
    return b->ssh != NULL && b->connecting && ssh_is_connected(b->ssh) &&
           (ssh_get_status(b->ssh) & (SSH_CLOSED | SSH_CLOSED_ERROR)) == 0;
}

bool target_unsent(struct backend *b)
{
    if ((ssh_get_status(b->ssh) & SSH_WRITE_PENDING) != 0)
        return true;
    b->sent_then = b->sent.out_bytes;
    b->packed_then = b->packed.out_bytes;
    b->packets_then = b->packed.out_packets;
    return false;
}

/* Bytes are counted when they are packed, and when the socket took them. */
static bool too_much_unsent(struct backend *b)
{
    uint64_t packets, packed;

    if (!target_unsent(b))
        return false;
    packets = b->packed.out_packets - b->packets_then;
    packed = b->packed.out_bytes - b->packed_then + packets * PACKET_OVERHEAD;
    return packed > b->sent.out_bytes - b->sent_then + UNSENT_MAX;
}

short target_events(const struct backend *b)
{
    short events = 0;

    if (b->ssh == NULL || !b->connecting || !target_alive(b))
        return 0;
    if (!flow_stopped(b))
        events |= POLLIN;
    if (ssh_get_poll_flags(b->ssh) & SSH_WRITE_PENDING)
        events |= POLLOUT;
    return events;
}

static void gone(struct backend *b)
{
    char text[400];
    const char *message = ssh_get_disconnect_message(b->ssh);

    if (end_begin(b, "target-closed", EXIT_TARGET_DOWN, "%s closed the connection",
                  b->granted.target) &&
        message != NULL)
        end_quote(b, escape_text(text, sizeof text, message, strlen(message)));
    end_draining(b, true, false);
}

static void pump(struct backend *b)
{
    for (unsigned i = 0; i < PUMP_READS && !flow_stopped(b) && !record_busy(b); i++) {
        int rc = ssh_event_dopoll(b->event, 0);
        if (rc == SSH_ERROR || !target_alive(b))
            break;
        if (too_much_unsent(b)) {
            end_begin(b, "target-stalled", EXIT_TARGET_DOWN, "%s asks without taking the answers",
                      b->granted.target);
            return;
        }
        if (rc == SSH_AGAIN)
            return;
        if (i % PUMP_GROUP == PUMP_GROUP - 1) {
            flow_record_full(b);
            record_step(b);
            flow_deliver(b);
        }
    }
}

void target_pump(struct backend *b)
{
    if ((b->phase == PHASE_READY || b->phase == PHASE_DRAIN) && target_alive(b))
        pump(b);
    /* Also when it went while something was written to it. */
    if (b->phase == PHASE_READY && !target_alive(b))
        gone(b);
    b->heard_then = b->packed.in_packets;
}

bool target_heard(const struct backend *b)
{
    return (b->phase == PHASE_READY || b->phase == PHASE_DRAIN) &&
           (b->packed.in_packets != b->heard_then || (b->phase == PHASE_READY && !target_alive(b)));
}

void target_close(struct backend *b)
{
    /* ssh_disconnect frees the channels. */
    for (size_t i = 0; i < RELAY_CHANNELS_MAX; i++) {
        struct channel *ch = &b->channels[i];
        if (ch->state != CHANNEL_FREE && ch->ssh != NULL)
            ssh_remove_channel_callbacks(ch->ssh, &ch->callbacks);
        ch->ssh = NULL;
    }
    late_forget(b);
    if (target_alive(b))
        ssh_disconnect(b->ssh);
    b->connecting = false;
}

void target_clear(struct backend *b)
{
    if (b->event != NULL && b->ssh != NULL)
        ssh_event_remove_session(b->event, b->ssh);
    ssh_event_free(b->event);
    ssh_free(b->ssh);
    b->event = NULL;
    b->ssh = NULL;
}
