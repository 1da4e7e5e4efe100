/* SPDX-License-Identifier: Apache-2.0
 *
 * For component tests of sallyport-frontend alone (tests/session/test_frontend.py): plays everything
 * around it. Starts the real program as the supervisor would (its own uid, sandbox enforcing), listens
 * on a loopback port, and for each connection plays authd (one key, the code 123456), auditd (the
 * attestations) and a backend that runs commands on this machine. Not part of a gateway.
 *
 *     frontend_harness PROGRAM HOST_KEY_FILE OPERATOR_KEY_BASE64
 *
 * Prints "port N". User names choose what authd does: `gateway`, `refused`, `end-early`, `slow`,
 * `remembered`; any other is granted. Commands that begin with `!` choose what the backend does:
 * `!end`, `!die`, `!refuse`, `!garbage`. Log lines of what was reported go to stderr. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/clock.h"
#include "gateway/messages.h"

#define CHANNELS 32
#define CODE     "123456"
#define CHECK(x)                                                                                   \
    do {                                                                                           \
        if (!(x)) {                                                                                \
            fprintf(stderr, "harness: %s:%d: %s\n", __FILE__, __LINE__, #x);                       \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

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
};

struct connection {
    struct link *login, *trail, *relay;
    struct channel channels[CHANNELS];
    char user[256];
    uint64_t ready_at;
    unsigned codes;
    bool ready;
};

static uint8_t operator_key[4096];
static size_t operator_key_len;
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

/* Every attestation is compared with what the backend got, when both are at the same count. */
static void from_frontend_trail(struct connection *c, struct frame *f)
{
    struct trail_record m;
    char text[600], want[600], hex[65];
    unsigned char digest[32];
    struct channel *ch;
    EVP_MD_CTX *copy;

    CHECK(trail_record_decode(f, &m, &e) == 0);
    snprintf(text, sizeof text, "%.*s", (int)m.payload.len, (const char *)m.payload.p);
    ch = find(c, m.channel);
    fprintf(stderr, "harness: attestation %s", text);
    if (ch && ch->digest) {
        copy = EVP_MD_CTX_new();
        EVP_MD_CTX_copy_ex(copy, ch->digest);
        EVP_DigestFinal_ex(copy, digest, NULL);
        EVP_MD_CTX_free(copy);
        for (unsigned i = 0; i < 32; i++)
            sprintf(hex + 2 * i, "%02x", digest[i]);
        snprintf(want, sizeof want, "\"bytes\":%llu,\"sha256\":\"%s\"", (unsigned long long)ch->bytes, hex);
        fprintf(stderr, " %s", strstr(text, want) ? "agreed" : "DISPUTED");
    }
    fprintf(stderr, "\n");
}

/* --- the backend */

static void spawn(struct channel *ch, const char *command)
{
    int in[2], out[2], errs[2], master;

    if (ch->pty) {
        struct winsize w = {.ws_col = (unsigned short)ch->columns, .ws_row = (unsigned short)ch->rows};
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
        CHECK(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0 && pipe2(errs, O_CLOEXEC) == 0);
        ch->pid = fork();
        CHECK(ch->pid >= 0);
        if (ch->pid == 0) {
            setpgid(0, 0);
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
    if (strcmp(command, "!refuse") == 0 || m->kind == START_SUBSYSTEM) {
        r = (struct relay_started){.channel = ch->number, .text = "denied by ops/exec", .status = EXIT_REFUSED};
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
        buf_init(&ch->input, 2 * RELAY_WINDOW);
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
        EVP_DigestUpdate(ch->digest, m.bytes.p, m.bytes.len);
        ch->bytes += m.bytes.len;
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
            struct relay_exit_status m = {.channel = ch->number, .status = (uint32_t)WEXITSTATUS(status)};
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

static bool pump(struct connection *c, struct link *l, void (*take)(struct connection *, struct frame *))
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

static int play(int login, int trail)
{
    struct connection *c = calloc(1, sizeof *c);

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
            struct relay_end end = {.text = "hv1 cannot be reached: Connection refused.", .status = EXIT_TARGET_DOWN};
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
                    if (ch->started && c->relay && ch->out[s] >= 0 && p[j].fd == ch->out[s] && (p[j].revents & (POLLIN | POLLHUP)))
                        drain(c, ch, s);
            finish(c, ch);
        }
    }
    for (unsigned i = 0; i < CHANNELS; i++)
        if (c->channels[i].used)
            drop_channel(&c->channels[i]);
    return 0;
}

/* --- the supervisor */

static struct link *start_program(char **argv, pid_t *pid)
{
    int pair[2], key = open(argv[2], O_RDONLY);
    struct forks_start_frontend m = {.login_ms = 20000};
    struct frame f;
    struct link *l;
    int rc;

    CHECK(key >= 0 && link_pair(pair, 262144, &e) == 0);
    *pid = fork();
    CHECK(*pid >= 0);
    if (*pid == 0) {
        char *env[] = {"SALLYPORT_LOG=debug", NULL};
        char *args[] = {argv[1], "--uid", "65534", "--gid", "65534", "--root", "/var/empty", NULL};
        mkdir("/var/empty", 0755);
        dup2(pair[1], 3);
        execve(argv[1], args, env);
        perror(argv[1]);
        _exit(1);
    }
    close(pair[1]);
    l = link_new(pair[0], &link_forks, LINK_FIRST, 1 << 20);
    link_enter(l, forks_STATE_STARTING);
    CHECK(forks_start_frontend_send(l, &m, &key, &e) == 0);
    while ((rc = link_recv(l, &f, &e)) == 0)
        poll(&(struct pollfd){.fd = link_fd(l), .events = POLLIN}, 1, 1000);
    if (rc != 1)
        fprintf(stderr, "harness: %s\n", e.text);
    CHECK(rc == 1 && f.spec->number == forks_started_NUMBER);
    link_enter(l, forks_STATE_RUNNING);
    return l;
}

static void accepted(struct link *forks, int fd, int listener, uint64_t conn)
{
    struct forks_fork_frontend m = {.conn = conn};
    int login[2], trail[2];

    CHECK(link_pair(login, 65536, &e) == 0 && link_pair(trail, 65536, &e) == 0);
    CHECK(forks_fork_frontend_send(forks, &m, (int[]){fd, login[0], trail[0]}, &e) == 0);
    if (fork() == 0) {
        close(listener);
        close(fd);
        close(login[0]);
        close(trail[0]);
        close(link_fd(forks));
        signal(SIGPIPE, SIG_IGN);
        signal(SIGCHLD, SIG_DFL);
        exit(play(login[1], trail[1]));
    }
    close(fd);
    close(login[0]);
    close(login[1]);
    close(trail[0]);
    close(trail[1]);
}

int main(int argc, char **argv)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    struct link *forks;
    pid_t pid;
    int listener;
    size_t n;

    CHECK(argc == 4);
    n = strlen(argv[3]);
    operator_key_len = (size_t)EVP_DecodeBlock(operator_key, (unsigned char *)argv[3], (int)n);
    for (size_t i = n; argv[3][i - 1] == '='; i--)
        operator_key_len--;
    forks = start_program(argv, &pid);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(listener, (struct sockaddr *)&a, len) == 0 && listen(listener, 64) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&a, &len) == 0);
    signal(SIGCHLD, SIG_IGN);
    printf("port %u pid %d\n", ntohs(a.sin_port), (int)pid);
    fflush(stdout);
    for (uint64_t conn = 1;;) {
        struct pollfd p[3] = {{.fd = listener, .events = POLLIN},
                              {.fd = link_fd(forks), .events = POLLIN},
                              {.fd = 0, .events = POLLIN}};
        struct frame f;
        int rc;

        poll(p, 3, -1);
        if (p[2].revents)
            return 0; /* the test closed our stdin */
        if (p[0].revents)
            accepted(forks, accept4(listener, NULL, NULL, SOCK_CLOEXEC), listener, conn++);
        while ((rc = link_recv(forks, &f, &e)) == 1)
            if (f.spec->number == forks_ended_NUMBER) {
                struct forks_ended m;
                CHECK(forks_ended_decode(&f, &m, &e) == 0);
                fprintf(stderr, "harness: ended conn=%u status=%u\n", (unsigned)m.conn, m.wait_status);
            }
        CHECK(rc == 0);
    }
}
