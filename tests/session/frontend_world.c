/* SPDX-License-Identifier: Apache-2.0
 *
 * The neighbours of one frontend in frontend_harness: authd, auditd and a backend that runs
 * commands on this machine, in one process and one loop. Not part of a gateway. */
#include "tests/session/frontend_world.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "gateway/messages.h"

#define CHANNELS 32
#define CODE     "123456"
#define POINTS   4096

struct channel {
    bool used, started, closed, eof_up;
    uint32_t number;
    pid_t pid;
    int in, out[2]; /* the command's stdin, stdout, stderr */
    bool pty;
    unsigned columns, rows;
    uint32_t credit; /* for output */
    struct buf input;
    bool input_eof;
    bool exited;
    int status;
    EVP_MD_CTX *digest; /* of the input */
    uint64_t bytes;
    struct {
        uint64_t bytes;
        char sha256[65];
    } points[POINTS]; /* the last ones; frames and attestations come by links of their own */
    unsigned point_count;
    char owed[600]; /* an attestation of more than has come yet */
};

struct connection {
    struct link *login, *trail, *relay;
    struct channel channels[CHANNELS];
    char user[256];
    uint64_t ready_at;
    unsigned codes;
    bool ready;
};

uint8_t operator_key[4096];
size_t operator_key_len;
static struct err e;

/* --- authd */

static void open_session(struct connection *c)
{
    int pair[2];
    struct login_granted granted = {.target = "stub"};

    if (strcmp(c->user, "gateway") == 0) {
        struct login_gateway m = {0};
        CHECK(login_gateway_send(c->login, &m, NULL, &e) == 0);
        return;
    }
    if (strcmp(c->user, "refused") == 0) {
        struct login_refused m = {.text = "There is no target named hv9.", .status = EXIT_REFUSED};
        CHECK(login_refused_send(c->login, &m, NULL, &e) == 0);
        return;
    }
    CHECK(link_pair(pair, 262144, &e) == 0);
    CHECK(login_granted_send(c->login, &granted, &pair[0], &e) == 0);
    close(pair[0]);
    c->relay = link_new(pair[1], &link_relay, LINK_SECOND, 8 << 20);
    CHECK(c->relay);
    link_enter(c->relay, relay_STATE_CONNECTING);
    c->ready_at = clock_mono_ms() + (strcmp(c->user, "slow") == 0 ? 700 : 5);
}

static void from_frontend_login(struct connection *c, struct frame *f)
{
    if (f->spec->number == login_probe_NUMBER) {
        struct login_probe m;
        struct login_probed r = {0};
        CHECK(login_probe_decode(f, &m, &e) == 0);
        r.known = m.key.len == operator_key_len && memcmp(m.key.p, operator_key, m.key.len) == 0;
        CHECK(login_probed_send(c->login, &r, NULL, &e) == 0);
    } else if (f->spec->number == login_claim_NUMBER) {
        struct login_claim m;
        struct login_answer r = {.verdict = LOGIN_ASK_CODE, .text = "Your code, please."};
        CHECK(login_claim_decode(f, &m, &e) == 0);
        CHECK(m.key.len == operator_key_len && memcmp(m.key.p, operator_key, m.key.len) == 0);
        strcpy(c->user, m.user);
        if (strcmp(c->user, "remembered") == 0)
            r.verdict = LOGIN_SUCCESS;
        CHECK(login_answer_send(c->login, &r, NULL, &e) == 0);
    } else if (f->spec->number == login_code_NUMBER) {
        struct login_code m;
        struct login_answer r = {.verdict = LOGIN_ASK_CODE, .text = "That code is not right."};
        CHECK(login_code_decode(f, &m, &e) == 0);
        fprintf(stderr, "harness: code %u\n", ++c->codes);
        if (strcmp(m.answer, CODE) == 0)
            r = (struct login_answer){.verdict = LOGIN_SUCCESS};
        else if (c->codes == 3)
            r.verdict = LOGIN_FAILED;
        CHECK(login_answer_send(c->login, &r, NULL, &e) == 0);
    } else if (f->spec->number == login_open_NUMBER) {
        open_session(c);
    } else if (f->spec->number == login_command_NUMBER) {
        struct login_command m;
        struct login_command_output r = {0};
        CHECK(login_command_decode(f, &m, &e) == 0);
        r.channel = m.channel;
        strcat(m.command, "\n");
        r.bytes = (struct bytes){(const uint8_t *)m.command, strlen(m.command)};
        CHECK(login_command_output_send(c->login, &r, NULL, &e) == 0);
        if (strcmp(m.command, "help\n") == 0) {
            struct login_command_exit x = {.channel = m.channel};
            CHECK(login_command_exit_send(c->login, &x, NULL, &e) == 0);
        }
    } else if (f->spec->number == login_command_input_NUMBER) {
        struct login_command_input m;
        CHECK(login_command_input_decode(f, &m, &e) == 0);
        struct login_command_output r = {.channel = m.channel, .stream = 0, .bytes = m.bytes};
        CHECK(login_command_output_send(c->login, &r, NULL, &e) == 0);
    } else if (f->spec->number == login_command_eof_NUMBER) {
        struct login_command_eof m;
        CHECK(login_command_eof_decode(f, &m, &e) == 0);
        struct login_command_exit x = {.channel = m.channel, .status = 3};
        CHECK(login_command_exit_send(c->login, &x, NULL, &e) == 0);
    }
}

/* --- auditd */

static struct channel *find(struct connection *c, uint32_t number)
{
    for (unsigned i = 0; i < CHANNELS; i++)
        if (c->channels[i].used && c->channels[i].number == number)
            return &c->channels[i];
    return NULL;
}

static void add_point(struct channel *ch)
{
    unsigned char digest[32];
    EVP_MD_CTX *copy = EVP_MD_CTX_new();
    unsigned at = ch->point_count++ % POINTS;

    CHECK(copy && EVP_MD_CTX_copy_ex(copy, ch->digest) && EVP_DigestFinal_ex(copy, digest, NULL));
    EVP_MD_CTX_free(copy);
    ch->points[at].bytes = ch->bytes;
    for (unsigned i = 0; i < 32; i++)
        sprintf(ch->points[at].sha256 + 2 * i, "%02x", digest[i]);
}

/* In one piece: other processes write to the same log. */
static void say(const char *text, const char *verdict)
{
    fprintf(stderr, "harness: attestation %.300s%s\n", text, verdict);
}

/* What the backend got up to the same count, which may still be on its way. */
static void compare(struct channel *ch, const char *text)
{
    uint64_t bytes = strtoull(strstr(text, "\"bytes\":") + strlen("\"bytes\":"), NULL, 10);
    char want[120];

    if (bytes > ch->bytes && ch->owed[0] == '\0') {
        snprintf(ch->owed, sizeof ch->owed, "%s", text);
        return;
    }
    for (unsigned i = 0; i < ch->point_count && i < POINTS; i++) {
        snprintf(want, sizeof want, "\"bytes\":%llu,\"sha256\":\"%s\"",
                 (unsigned long long)ch->points[i].bytes, ch->points[i].sha256);
        if (ch->points[i].bytes == bytes && strstr(text, want)) {
            say(text, " agreed");
            return;
        }
    }
    say(text, " DISPUTED");
}

static void got_input(struct channel *ch, struct bytes bytes)
{
    ch->bytes += bytes.len;
    if (!ch->digest)
        return;
    EVP_DigestUpdate(ch->digest, bytes.p, bytes.len);
    add_point(ch);
    if (ch->owed[0] != '\0') {
        char text[sizeof ch->owed];
        memcpy(text, ch->owed, sizeof text);
        ch->owed[0] = '\0';
        compare(ch, text);
    }
}

static void from_frontend_trail(struct connection *c, struct frame *f)
{
    struct trail_record m;
    char text[600];
    struct channel *ch;

    CHECK(trail_record_decode(f, &m, &e) == 0);
    snprintf(text, sizeof text, "%.*s", (int)m.payload.len, (const char *)m.payload.p);
    ch = find(c, m.channel);
    if (ch && ch->digest && strstr(text, "\"bytes\":") && strstr(text, "\"final\":"))
        compare(ch, text);
    else
        say(text, "");
}

/* --- the backend */

static void spawn(struct channel *ch, const char *command)
{
    int in[2], out[2], errs[2], master;

    if (ch->pty) {
        struct winsize w = {.ws_col = (unsigned short)ch->columns,
                            .ws_row = (unsigned short)ch->rows};
        ch->pid = forkpty(&master, NULL, NULL, &w);
        CHECK(ch->pid >= 0);
        if (ch->pid == 0) {
            execl("/bin/sh", "sh", "-c", command, (char *)NULL);
            _exit(127);
        }
        ch->in = master;
        ch->out[0] = dup(master);
        ch->out[1] = -1;
    } else {
        CHECK(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0 &&
              pipe2(errs, O_CLOEXEC) == 0);
        ch->pid = fork();
        CHECK(ch->pid >= 0);
        if (ch->pid == 0) {
            setpgid(0, 0);
            signal(SIGINT, SIG_DFL); /* ignored where the tests run in the background */
            dup2(in[0], 0);
            dup2(out[1], 1);
            dup2(errs[1], 2);
            execl("/bin/sh", "sh", "-c", command, (char *)NULL);
            _exit(127);
        }
        close(in[0]);
        close(out[1]);
        close(errs[1]);
        ch->in = in[1];
        ch->out[0] = out[0];
        ch->out[1] = errs[0];
    }
    fcntl(ch->in, F_SETFL, O_NONBLOCK);
    ch->started = true;
}

static void start(struct connection *c, struct channel *ch, const struct relay_start *m)
{
    struct relay_started r = {.channel = ch->number, .ok = 1};
    char command[70000];

    snprintf(command, sizeof command, "%.*s", (int)m->command.len, (const char *)m->command.p);
    if (m->kind == START_SHELL)
        strcpy(command, "exec /bin/sh");
    if (m->kind == START_SUBSYSTEM && strcmp(command, "sftp") == 0) {
        /* What is attested then is not what came: test_frontend.py looks at it. */
        EVP_MD_CTX_free(ch->digest);
        ch->digest = NULL;
        strcpy(command, "exec cat");
    } else if (strcmp(command, "!refuse") == 0 || m->kind == START_SUBSYSTEM) {
        r = (struct relay_started){
            .channel = ch->number, .text = "denied by ops/exec", .status = EXIT_REFUSED};
    } else if (strcmp(command, "!die") == 0) {
        link_free(c->relay);
        c->relay = NULL;
        return;
    } else if (strcmp(command, "!garbage") == 0) {
        struct relay_output_eof g = {.channel = 4000};
        CHECK(relay_output_eof_send(c->relay, &g, NULL, &e) == 0);
        return;
    } else if (strcmp(command, "!end") == 0) {
        struct relay_end end = {.text = "Your login is locked.", .status = EXIT_REFUSED};
        CHECK(relay_started_send(c->relay, &r, NULL, &e) == 0);
        CHECK(relay_end_send(c->relay, &end, NULL, &e) == 0);
        return;
    }
    CHECK(relay_started_send(c->relay, &r, NULL, &e) == 0);
    if (r.ok)
        spawn(ch, command);
}

static void close_channel(struct connection *c, struct channel *ch)
{
    struct relay_close_up up = {.channel = ch->number};

    if (!ch->closed)
        CHECK(relay_close_up_send(c->relay, &up, NULL, &e) == 0);
    ch->closed = true;
}

static void drop_channel(struct channel *ch)
{
    if (ch->started) {
        if (!ch->exited)
            kill(ch->pty ? ch->pid : -ch->pid, SIGHUP);
        if (ch->in >= 0)
            close(ch->in);
        for (unsigned s = 0; s < 2; s++)
            if (ch->out[s] >= 0)
                close(ch->out[s]);
    }
    buf_clear(&ch->input);
    if (ch->owed[0] != '\0') /* what it is of never came */
        say(ch->owed, "");
    ch->owed[0] = '\0';
    ch->started = false;
    ch->exited = true;
}

static int signal_number(const char *name)
{
    return strcmp(name, "INT") == 0 ? SIGINT : strcmp(name, "TERM") == 0 ? SIGTERM : SIGHUP;
}

#define DECODE(name)                                                                               \
    struct relay_##name m;                                                                         \
    CHECK(relay_##name##_decode(f, &m, &e) == 0);                                                  \
    struct channel *ch = find(c, m.channel);                                                       \
    (void)ch

static void from_frontend_relay(struct connection *c, struct frame *f)
{
    switch (f->spec->number) {
    case relay_open_NUMBER: {
        DECODE(open);
        CHECK(!ch && m.channel < CHANNELS * 100);
        struct relay_opened r = {.channel = m.channel, .ok = 1};
        for (ch = c->channels; ch->used && !(ch->closed && ch->exited); ch++)
            CHECK(ch < c->channels + CHANNELS - 1);
        EVP_MD_CTX_free(ch->digest);
        *ch = (struct channel){.used = true, .number = m.channel, .credit = RELAY_WINDOW};
        ch->digest = EVP_MD_CTX_new();
        EVP_DigestInit_ex(ch->digest, EVP_sha256(), NULL);
        add_point(ch);
        buf_init(&ch->input, 2 * RELAY_WINDOW);
        CHECK(relay_opened_send(c->relay, &r, NULL, &e) == 0);
        break;
    }
    case relay_forward_NUMBER: {
        DECODE(forward);
        CHECK(!ch);
        struct relay_opened r = {.channel = m.channel, .status = EXIT_REFUSED, .text = "not here"};
        fprintf(stderr, "harness: forward to %s port %u\n", m.host, m.port);
        CHECK(relay_opened_send(c->relay, &r, NULL, &e) == 0);
        break;
    }
    case relay_pty_NUMBER: {
        DECODE(pty);
        ch->pty = true;
        ch->columns = m.columns;
        ch->rows = m.rows;
        break;
    }
    case relay_env_NUMBER: {
        DECODE(env);
        fprintf(stderr, "harness: env %s=%s\n", m.name, m.value);
        break;
    }
    case relay_start_NUMBER: {
        DECODE(start);
        start(c, ch, &m);
        break;
    }
    case relay_resize_NUMBER: {
        DECODE(resize);
        struct winsize w = {.ws_col = (unsigned short)m.columns, .ws_row = (unsigned short)m.rows};
        fprintf(stderr, "harness: size %ux%u\n", m.columns, m.rows);
        if (ch->pty && ch->started)
            ioctl(ch->in, TIOCSWINSZ, &w);
        break;
    }
    case relay_signal_NUMBER: {
        DECODE(signal);
        fprintf(stderr, "harness: signal %s\n", m.name);
        if (ch->started)
            kill(-ch->pid, signal_number(m.name));
        break;
    }
    case relay_refused_NUMBER: {
        DECODE(refused);
        fprintf(stderr, "harness: refused kind=%u %s\n", m.kind, m.detail);
        break;
    }
    case relay_input_NUMBER: {
        DECODE(input);
        CHECK(ch && buf_put(&ch->input, m.bytes.p, m.bytes.len) == 0);
        got_input(ch, m.bytes);
        break;
    }
    case relay_input_eof_NUMBER: {
        DECODE(input_eof);
        ch->input_eof = true;
        break;
    }
    case relay_output_credit_NUMBER: {
        DECODE(output_credit);
        ch->credit += m.bytes;
        CHECK(ch->credit <= RELAY_WINDOW);
        break;
    }
    case relay_close_down_NUMBER: {
        DECODE(close_down);
        close_channel(c, ch);
        drop_channel(ch);
        break;
    }
    case relay_bye_NUMBER: {
        struct relay_bye m;
        CHECK(relay_bye_decode(f, &m, &e) == 0);
        fprintf(stderr, "harness: bye %s\n", m.reason);
        break;
    }
    }
}

static void feed(struct connection *c, struct channel *ch)
{
    struct relay_input_credit m = {.channel = ch->number};
    ssize_t n;

    if (ch->in < 0 || !ch->started)
        return;
    while (buf_len(&ch->input) > 0) {
        n = write(ch->in, buf_head(&ch->input), buf_len(&ch->input));
        if (n < 0 && errno != EAGAIN)
            n = (ssize_t)buf_len(&ch->input);
        if (n < 0)
            break;
        buf_consume(&ch->input, (size_t)n);
        m.bytes += (uint32_t)n;
    }
    if (m.bytes > 0 && c->relay)
        CHECK(relay_input_credit_send(c->relay, &m, NULL, &e) == 0);
    if (ch->input_eof && buf_len(&ch->input) == 0) {
        if (ch->pty)
            CHECK(write(ch->in, "\4", 1) == 1);
        close(ch->in);
        ch->in = -1;
    }
}

static void drain(struct connection *c, struct channel *ch, unsigned s)
{
    static uint8_t chunk[RELAY_CHUNK];
    struct relay_output m = {.channel = ch->number, .stream = (uint8_t)s};
    size_t want = ch->credit < sizeof chunk ? ch->credit : sizeof chunk;
    ssize_t n = read(ch->out[s], chunk, want);

    if (n > 0) {
        m.bytes = (struct bytes){chunk, (size_t)n};
        ch->credit -= (uint32_t)n;
        CHECK(relay_output_send(c->relay, &m, NULL, &e) == 0);
        return;
    }
    if (n < 0 && errno == EINTR)
        return;
    close(ch->out[s]);
    ch->out[s] = -1;
}

static void finish(struct connection *c, struct channel *ch)
{
    int status;

    if (!ch->started || ch->closed || !c->relay)
        return;
    if (!ch->exited && waitpid(ch->pid, &status, WNOHANG) == ch->pid) {
        ch->exited = true;
        ch->status = status;
        if (WIFSIGNALED(status)) {
            struct relay_exit_signal m = {.channel = ch->number, .text = "killed"};
            strcpy(m.name, WTERMSIG(status) == SIGTERM ? "TERM" : "KILL");
            CHECK(relay_exit_signal_send(c->relay, &m, NULL, &e) == 0);
        } else {
            struct relay_exit_status m = {.channel = ch->number,
                                          .status = (uint32_t)WEXITSTATUS(status)};
            CHECK(relay_exit_status_send(c->relay, &m, NULL, &e) == 0);
        }
    }
    if (ch->exited && ch->out[0] < 0 && ch->out[1] < 0 && !ch->eof_up) {
        struct relay_output_eof m = {.channel = ch->number};
        ch->eof_up = true;
        CHECK(relay_output_eof_send(c->relay, &m, NULL, &e) == 0);
        close_channel(c, ch);
    }
}

/* --- one connection */

static bool pump(struct connection *c, struct link *l,
                 void (*take)(struct connection *, struct frame *))
{
    struct frame f;
    int rc = 0;

    if (!l)
        return true;
    if (link_pending(l) > 0 && link_flush(l, &e) != 0)
        return false;
    for (unsigned n = 0; n < 64 && (rc = link_recv(l, &f, &e)) == 1; n++) {
        take(c, &f);
        if (l == c->login)
            link_enter(l, link_state(l));
        else if (!c->relay && take == from_frontend_relay)
            return true;
    }
    if (rc < 0 && rc != ERR_CLOSED)
        fprintf(stderr, "harness: LINK ERROR %s\n", e.text);
    return rc >= 0;
}

int world_play(int login, int trail)
{
    static struct connection played; /* one a process, held until its exit */
    struct connection *c = &played;

    c->login = link_new(login, &link_login, LINK_SECOND, 1 << 20);
    c->trail = link_new(trail, &link_trail, LINK_SECOND, 1 << 20);
    for (;;) {
        struct pollfd p[3 + 3 * CHANNELS];
        unsigned n = 3;
        struct link *links[3] = {c->login, c->trail, c->relay};

        for (unsigned i = 0; i < 3; i++) {
            p[i] = (struct pollfd){.fd = links[i] ? link_fd(links[i]) : -1, .events = POLLIN};
            if (links[i] && link_pending(links[i]) > 0)
                p[i].events |= POLLOUT;
        }
        for (unsigned i = 0; i < CHANNELS; i++) {
            struct channel *ch = &c->channels[i];
            if (!ch->used || !ch->started || !c->relay)
                continue;
            for (unsigned s = 0; s < 2; s++)
                if (ch->out[s] >= 0 && ch->credit > 0 && link_pending(c->relay) < 1 << 20)
                    p[n++] = (struct pollfd){.fd = ch->out[s], .events = POLLIN};
            if (ch->in >= 0 && buf_len(&ch->input) > 0)
                p[n++] = (struct pollfd){.fd = ch->in, .events = POLLOUT};
        }
        poll(p, n, 20);
        if (c->relay && !c->ready && clock_mono_ms() >= c->ready_at) {
            struct relay_ready m = {0};
            struct relay_end end = {.text = "hv1 cannot be reached: Connection refused.",
                                    .status = EXIT_TARGET_DOWN};
            c->ready = true;
            if (strcmp(c->user, "end-early") == 0)
                CHECK(relay_end_send(c->relay, &end, NULL, &e) == 0);
            else
                CHECK(relay_ready_send(c->relay, &m, NULL, &e) == 0);
            link_enter(c->relay, relay_STATE_READY);
        }
        if (c->relay && !pump(c, c->relay, from_frontend_relay)) {
            link_free(c->relay);
            c->relay = NULL;
        }
        pump(c, c->trail, from_frontend_trail);
        if (!pump(c, c->login, from_frontend_login))
            break;
        for (unsigned i = 0; i < CHANNELS; i++) {
            struct channel *ch = &c->channels[i];
            if (!ch->used || ch->closed)
                continue;
            feed(c, ch);
            for (unsigned j = 3; j < n; j++)
                for (unsigned s = 0; s < 2; s++)
                    if (ch->started && c->relay && ch->out[s] >= 0 && p[j].fd == ch->out[s] &&
                        (p[j].revents & (POLLIN | POLLHUP)))
                        drain(c, ch, s);
            finish(c, ch);
        }
    }
    for (unsigned i = 0; i < CHANNELS; i++)
        if (c->channels[i].used)
            drop_channel(&c->channels[i]);
    return 0;
}
