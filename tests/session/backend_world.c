/* SPDX-License-Identifier: Apache-2.0
 *
 * Plays supervisor, frontend, authd and auditd around one backend; see backend_world.h. */
#include "backend_world.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/sandbox.h"

#define NOBODY "65534"

void world_init(struct world *w)
{
    *w = (struct world){.connect_ms = 5000, .answer_up_to = UINT64_MAX};
    w->channels = calloc(WORLD_CHANNELS, sizeof *w->channels);
    CHECK(w->channels != NULL);
    snprintf(w->grant.operator_name, sizeof w->grant.operator_name, "alice");
    snprintf(w->grant.address, sizeof w->grant.address, "192.0.2.7");
    snprintf(w->grant.target, sizeof w->grant.target, "hv1");
    snprintf(w->grant.target_address, sizeof w->grant.target_address, "127.0.0.1");
    snprintf(w->grant.account, sizeof w->grant.account, "root");
    snprintf(w->grant.factors, sizeof w->grant.factors, "key, totp");
    snprintf(w->grant.path, sizeof w->grant.path, "role ops");
    w->grant.abilities = ABILITY_SHELL | ABILITY_EXEC | ABILITY_PTY;
    memset(w->grant.session, 7, sizeof w->grant.session);
}

static int connect_target(uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static int connect_agent(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0);
    return fd;
}

static char root[] = "/tmp/backend-root-XXXXXX";

static void remove_root(void)
{
    char proc[sizeof root + 5];

    snprintf(proc, sizeof proc, "%s/proc", root); /* base/sandbox.c: for the leak checker */
    rmdir(proc);
    rmdir(root);
}

static void start_server(struct world *w, const char *program)
{
    int pair[2];
    struct err e = ERR_INIT;

    CHECK(mkdtemp(root) != NULL && chmod(root, 0755) == 0 && atexit(remove_root) == 0);
    CHECK(link_pair(pair, 65536, &e) == 0);
    w->server = fork();
    CHECK(w->server >= 0);
    if (w->server == 0) {
        CHECK(dup2(pair[1], SANDBOX_LINK_FD) == SANDBOX_LINK_FD);
        execl(program, program, "--uid", NOBODY, "--gid", NOBODY, "--root", root, (char *)NULL);
        _exit(127);
    }
    close(pair[1]);
    w->forks = link_new(pair[0], &link_forks, LINK_FIRST, 65536);
    CHECK(w->forks != NULL);
    link_enter(w->forks, forks_STATE_STARTING);
    struct forks_start_backend start = {.connect_ms = w->connect_ms};
    CHECK(forks_start_backend_send(w->forks, &start, NULL, &e) == 0);
    struct pollfd p = {.fd = link_fd(w->forks), .events = POLLIN};
    struct frame f;
    CHECK(poll(&p, 1, 10000) == 1);
    CHECK(link_recv(w->forks, &f, &e) == 1 && f.spec->number == forks_started_NUMBER);
    link_enter(w->forks, forks_STATE_RUNNING);
    rmdir(root);
}

void world_start(struct world *w, const char *program, const char *agent)
{
    int relay[2], authd[2], trail[2], target = connect_target(w->port), key = connect_agent(agent);
    struct forks_fork_backend m = {.conn = 42};
    const struct grant_away away = {0};
    struct err e = ERR_INIT;

    start_server(w, program);
    CHECK(link_pair(relay, 1 << 20, &e) == 0 && link_pair(authd, 1 << 18, &e) == 0 &&
          link_pair(trail, 1 << 20, &e) == 0);
    int fds[] = {target, relay[1], authd[1], key, trail[0]};
    CHECK(forks_fork_backend_send(w->forks, &m, fds, &e) == 0);
    for (size_t i = 0; i < 5; i++)
        close(fds[i]);
    w->relay = link_new(relay[0], &link_relay, LINK_FIRST, 1 << 21);
    w->authd = link_new(authd[0], &link_grant, LINK_FIRST, 1 << 18);
    w->trail = link_new(trail[1], &link_trail, LINK_SECOND, 1 << 18);
    CHECK(w->relay != NULL && w->authd != NULL && w->trail != NULL);
    link_enter(w->relay, relay_STATE_CONNECTING);
    link_enter(w->authd, grant_STATE_GRANTED);
    w->grant.target_port = w->port;
    if (w->no_grant)
        CHECK(grant_away_send(w->authd, &away, NULL, &e) == 0);
    else
        CHECK(grant_grant_send(w->authd, &w->grant, NULL, &e) == 0);
}

void stream_add(struct stream *s, const void *bytes, size_t len)
{
    if (s->plain) {
        s->bytes += len;
        return;
    }
    if (s->digest == NULL) {
        s->digest = EVP_MD_CTX_new();
        CHECK(s->digest != NULL && EVP_DigestInit_ex(s->digest, EVP_sha256(), NULL) == 1);
    }
    CHECK(EVP_DigestUpdate(s->digest, bytes, len) == 1);
    if (s->bytes < KEEP)
        memcpy(s->head + s->bytes, bytes, len > KEEP - s->bytes ? KEEP - s->bytes : len);
    s->bytes += len;
}

void stream_hex(struct stream *s, char out[65])
{
    unsigned char digest[32];
    EVP_MD_CTX *copy = EVP_MD_CTX_new();

    if (s->digest == NULL)
        stream_add(s, "", 0);
    CHECK(EVP_MD_CTX_copy_ex(copy, s->digest) == 1 && EVP_DigestFinal_ex(copy, digest, NULL) == 1);
    EVP_MD_CTX_free(copy);
    for (int i = 0; i < 32; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

/* --- auditd */

static void take_record(struct world *w, const struct frame *f)
{
    struct trail_record m;
    struct err e = ERR_INIT;

    CHECK(trail_record_decode(f, &m, &e) == 0);
    if (w->record_count % 1024 == 0) {
        w->records = realloc(w->records, (w->record_count + 1024) * sizeof *w->records);
        CHECK(w->records != NULL);
    }
    struct kept_record *r = &w->records[w->record_count++];
    *r = (struct kept_record){.type = m.type, .want = m.want, .channel = m.channel};
    r->at_ms = clock_mono_ms();
    if (m.type == RECORD_INPUT || m.type == RECORD_OUTPUT || m.type == RECORD_STDERR) {
        CHECK(m.channel < RELAY_CHANNELS_MAX + 6 && m.payload.len > 0);
        stream_add(&w->channels[m.channel].recorded[m.type - RECORD_INPUT], m.payload.p,
                   m.payload.len);
    } else {
        r->text = strndup((const char *)m.payload.p, m.payload.len);
    }
}

static void answer_records(struct world *w)
{
    uint64_t now = clock_mono_ms(), upto = w->told;
    struct err e = ERR_INIT;

    while (upto < w->record_count && upto < w->answer_up_to &&
           w->records[upto].at_ms + w->answer_after_ms <= now)
        upto++;
    if (upto == w->told || w->trail == NULL)
        return;
    struct trail_ack ack = {.accepted = upto, .durable = upto};
    w->told = upto;
    if (trail_ack_send(w->trail, &ack, NULL, &e) != 0) {
        link_free(w->trail);
        w->trail = NULL;
    }
}

static void turn_trail(struct world *w)
{
    struct err e = ERR_INIT;
    struct frame f;
    int rc = 0;

    for (int i = 0; i < 64 && w->trail != NULL && (rc = link_recv(w->trail, &f, &e)) == 1; i++)
        take_record(w, &f);
    if (rc < 0) {
        CHECK(rc == ERR_CLOSED);
        link_free(w->trail);
        w->trail = NULL;
    }
    answer_records(w);
}

/* --- the frontend */

static void give_credit(struct world *w, uint32_t number)
{
    struct channel *c = &w->channels[number];
    struct relay_output_credit m = {.channel = number, .bytes = c->unacknowledged};
    struct err e = ERR_INIT;

    if (w->slow_reader || c->unacknowledged < RELAY_WINDOW / 8 || c->closed || w->relay == NULL)
        return;
    c->unacknowledged = 0;
    if (relay_output_credit_send(w->relay, &m, NULL, &e) != 0)
        w->relay_closed = true;
}

static void take_output(struct world *w, const struct frame *f)
{
    struct relay_output m;
    struct err e = ERR_INIT;

    CHECK(relay_output_decode(f, &m, &e) == 0 && m.stream <= 1);
    struct channel *c = &w->channels[m.channel];
    CHECK(c->started && !c->eof && !c->closed);
    stream_add(&c->out[m.stream], m.bytes.p, m.bytes.len);
    c->unacknowledged += (uint32_t)m.bytes.len;
    CHECK(c->unacknowledged <= RELAY_WINDOW);
    /* Nothing comes that was not recorded before. */
    CHECK(c->out[m.stream].bytes <= c->recorded[1 + m.stream].bytes);
    give_credit(w, m.channel);
}

#define ON(name)                                                                                   \
    case relay_##name##_NUMBER: {                                                                  \
        struct relay_##name m;                                                                     \
        CHECK(relay_##name##_decode(f, &m, &e) == 0);
#define END                                                                                        \
    break;                                                                                         \
    }

static void take_frame(struct world *w, const struct frame *f)
{
    struct err e = ERR_INIT;

    switch (f->spec->number) {
    case relay_ready_NUMBER:
        w->ready = true;
        link_enter(w->relay, relay_STATE_READY);
        break;
    case relay_output_NUMBER:
        take_output(w, f);
        break;
    case relay_end_NUMBER:
        CHECK(relay_end_decode(f, &w->end, &e) == 0);
        w->ended = true;
        break;
        ON(notice) snprintf(w->notice, sizeof w->notice, "%s", m.text);
        END ON(opened) if (m.channel >= WORLD_CHANNELS) break; /* a flood of opens */
        w->channels[m.channel].opened = m.ok;
        w->channels[m.channel].open_failed = !m.ok;
        w->channels[m.channel].status = m.status;
        snprintf(w->channels[m.channel].text, 1001, "%s", m.text);
        END ON(started) w->channels[m.channel].started = m.ok;
        w->channels[m.channel].start_failed = !m.ok;
        w->channels[m.channel].status = m.status;
        snprintf(w->channels[m.channel].text, 1001, "%s", m.text);
        END ON(input_credit) w->channels[m.channel].input_credit += m.bytes;
        CHECK(w->channels[m.channel].input_credit <= RELAY_WINDOW);
        END ON(output_eof) w->channels[m.channel].eof = true;
        END ON(exit_status) w->channels[m.channel].exited = true;
        w->channels[m.channel].status = m.status;
        END ON(exit_signal) w->channels[m.channel].exited = true;
        snprintf(w->channels[m.channel].signal, 33, "%s", m.name);
        END ON(close_up) w->channels[m.channel].closed = true;
        END default : CHECK(!"a message of the table");
    }
}

static void turn_relay(struct world *w)
{
    struct err e = ERR_INIT;
    struct frame f;
    int rc = 0;

    if (w->relay == NULL)
        return;
    if (link_pending(w->relay) > 0 && link_flush(w->relay, &e) != 0)
        rc = ERR_CLOSED;
    for (int i = 0; i < 64 && rc >= 0 && (rc = link_recv(w->relay, &f, &e)) == 1; i++)
        take_frame(w, &f);
    if (rc < 0) {
        CHECK(rc == ERR_CLOSED);
        w->relay_closed = true;
        link_free(w->relay);
        w->relay = NULL;
    }
    for (uint32_t i = 0; i < w->opened; i++)
        give_credit(w, i);
}

static void turn_others(struct world *w)
{
    struct err e = ERR_INIT;
    struct frame f;

    while (w->authd != NULL && link_recv(w->authd, &f, &e) == 1) {
        struct grant_state m;
        CHECK(grant_state_decode(&f, &m, &e) == 0);
        w->state = m.state;
        snprintf(w->state_text, sizeof w->state_text, "%s", m.text);
    }
    while (link_recv(w->forks, &f, &e) == 1) {
        if (f.spec->number == forks_forked_NUMBER) {
            struct forks_forked m;
            CHECK(forks_forked_decode(&f, &m, &e) == 0 && m.pid != 0);
            w->child = (pid_t)m.pid;
        } else {
            struct forks_ended m;
            CHECK(forks_ended_decode(&f, &m, &e) == 0);
            w->child_ended = true;
            w->wait_status = m.wait_status;
        }
    }
}

void world_turn(struct world *w, int ms)
{
    struct pollfd p[4] = {{.fd = link_fd(w->forks), .events = POLLIN},
                          {.fd = -1, .events = POLLIN},
                          {.fd = -1, .events = POLLIN},
                          {.fd = -1, .events = POLLIN}};

    if (w->relay != NULL) {
        p[1].fd = link_fd(w->relay);
        if (link_pending(w->relay) > 0)
            p[1].events |= POLLOUT;
    }
    if (w->trail != NULL)
        p[2].fd = link_fd(w->trail);
    if (w->authd != NULL && w->state != BACKEND_ENDED)
        p[3].fd = link_fd(w->authd);
    if (w->told < w->record_count && w->told < w->answer_up_to && ms > 1)
        ms = 1;
    poll(p, 4, ms);
    turn_trail(w);
    turn_relay(w);
    turn_others(w);
}

struct channel *world_open(struct world *w, uint32_t *number)
{
    struct relay_open m = {.channel = w->opened++};
    struct err e = ERR_INIT;

    *number = m.channel;
    w->channels[m.channel].input_credit = RELAY_WINDOW;
    CHECK(relay_open_send(w->relay, &m, NULL, &e) == 0);
    return &w->channels[m.channel];
}

void world_start_on(struct world *w, uint32_t number, enum start_kind kind, const char *command)
{
    struct relay_start m = {
        .channel = number,
        .kind = (uint8_t)kind,
        .command = {(const uint8_t *)command, command != NULL ? strlen(command) : 0},
    };
    struct err e = ERR_INIT;
    CHECK(relay_start_send(w->relay, &m, NULL, &e) == 0);
}

size_t world_input(struct world *w, uint32_t number, const void *bytes, size_t len)
{
    struct channel *c = &w->channels[number];
    struct err e = ERR_INIT;

    if (len > c->input_credit)
        len = c->input_credit;
    if (len > RELAY_CHUNK)
        len = RELAY_CHUNK;
    if (len == 0 || link_pending(w->relay) > 0)
        return 0;
    struct relay_input m = {.channel = number, .bytes = {bytes, len}};
    CHECK(relay_input_send(w->relay, &m, NULL, &e) == 0);
    c->input_credit -= (uint32_t)len;
    return len;
}

void world_eof(struct world *w, uint32_t number)
{
    struct relay_input_eof m = {.channel = number};
    struct err e = ERR_INIT;
    CHECK(relay_input_eof_send(w->relay, &m, NULL, &e) == 0);
}

void world_close(struct world *w, uint32_t number)
{
    struct relay_close_down m = {.channel = number};
    struct err e = ERR_INIT;
    if (w->relay != NULL)
        CHECK(relay_close_down_send(w->relay, &m, NULL, &e) == 0);
}

const struct kept_record *world_record(const struct world *w, enum record_type type,
                                       const char *text, unsigned n)
{
    for (size_t i = 0; i < w->record_count; i++)
        if (w->records[i].type == type &&
            (text == NULL || strstr(w->records[i].text, text) != NULL) && n-- == 0)
            return &w->records[i];
    return NULL;
}

void world_wait_end(struct world *w)
{
    int status;

    UNTIL(w, w->child_ended);
    world_turn(w, 0);
    CHECK(w->wait_status == 0);
    link_free(w->forks);
    w->forks = NULL;
    CHECK(waitpid(w->server, &status, 0) == w->server);
}

void world_bye(struct world *w)
{
    struct relay_bye m = {.reason = "left"};
    struct err e = ERR_INIT;

    CHECK(relay_bye_send(w->relay, &m, NULL, &e) == 0);
    world_wait_end(w);
    CHECK(world_record(w, RECORD_SESSION_END, "\"client-closed\"", 0) != NULL);
}

void world_print(const struct world *w)
{
    fprintf(stderr, "ready %d ended %d (%s) state %d child ended %d status %x\n", w->ready,
            w->ended, w->end.text, w->state, w->child_ended, w->wait_status);
    for (size_t i = 0; i < w->record_count && i < 60; i++)
        fprintf(stderr, "  %zu %s %u %s\n", i + 1, w->records[i].text != NULL ? "json" : "bytes",
                w->records[i].type, w->records[i].text != NULL ? w->records[i].text : "");
    for (uint32_t i = 0; i < w->opened; i++)
        fprintf(stderr,
                "  channel %u opened %d started %d eof %d exited %d closed %d out %lu/%lu %s\n", i,
                w->channels[i].opened, w->channels[i].started, w->channels[i].eof,
                w->channels[i].exited, w->channels[i].closed,
                (unsigned long)w->channels[i].out[0].bytes,
                (unsigned long)w->channels[i].out[1].bytes, w->channels[i].text);
}

struct channel *run(struct world *w, const char *command, uint32_t *number)
{
    UNTIL(w, w->ready || w->ended);
    struct channel *c = world_open(w, number);
    UNTIL(w, c->opened || c->open_failed);
    world_start_on(w, *number, command != NULL ? START_EXEC : START_SHELL, command);
    UNTIL(w, c->started || c->start_failed || w->ended);
    return c;
}

void finish(struct world *w, struct channel *c, uint32_t number)
{
    UNTIL(w, c->closed);
    world_close(w, number);
    world_bye(w);
}
