/* SPDX-License-Identifier: Apache-2.0
 *
 * See tests/unit/auth_world.h. */
#include "tests/unit/auth_world.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <liboath/oath.h>
#include <openssl/pem.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "auth/authd.h"
#include "auth/totp.h"
#include "base/clock.h"
#include "policy/bundle.h"
#include "tests/unit/policy_fixture.h"

#define WAIT_MS   120000
#define QUEUE_MAX (1u << 20)

static uint64_t *shared_clock_s;

static uint64_t fake_real_ns(void)
{
    return *(volatile uint64_t *)shared_clock_s * 1000000000ull;
}

/* ---- records ---- */

static void take_record(struct auth_world *w, const struct frame *f)
{
    struct trail_record m;
    struct err e = ERR_INIT;
    cr_assert_eq(trail_record_decode(f, &m, &e), 0, "%s", e.text);
    w->records++;
    w->log_len += (size_t)snprintf(w->log + w->log_len, sizeof w->log - w->log_len, "%u %.*s\n",
                                   m.type, (int)m.payload.len, (const char *)m.payload.p);
}

static void acknowledge(struct auth_world *w)
{
    struct trail_ack m = {w->records, w->records};
    struct err e = ERR_INIT;
    struct frame f;
    int rc = 0;
    while (w->trail && (rc = link_recv(w->trail, &f, &e)) == 1)
        take_record(w, &f);
    if (rc == ERR_CLOSED) {
        link_free(w->trail);
        w->trail = NULL;
        return;
    }
    if (w->trail && !w->hold && m.durable != w->records) {
        m.accepted = m.durable = w->records;
        cr_assert_eq(trail_ack_send(w->trail, &m, NULL, &e), 0);
    }
}

/* Waits for fd; records are served meanwhile. False: time is over. */
static bool wait_for(struct auth_world *w, int fd, int wait_ms)
{
    uint64_t end = clock_mono_ms() + (uint64_t)wait_ms;
    for (;;) {
        struct pollfd p[2] = {{.fd = fd, .events = POLLIN},
                              {.fd = w->trail ? link_fd(w->trail) : -1, .events = POLLIN}};
        uint64_t now = clock_mono_ms();
        if (now >= end)
            return false;
        poll(p, 2, (int)(end - now));
        if (p[1].revents)
            acknowledge(w);
        if (p[0].revents)
            return true;
    }
}

/* Whether it was a failure, which is noted. */
static bool take_failure(struct auth_world *w, const struct link *l, const struct frame *f)
{
    struct authd_failure m;
    struct err e = ERR_INIT;
    if (l != w->supervisor || f->spec->number != authd_failure_NUMBER)
        return false;
    cr_assert_eq(authd_failure_decode(f, &m, &e), 0, "%s", e.text);
    w->failures++;
    w->failure_kind = m.kind;
    w->failure_proxied = m.proxied;
    strcpy(w->failure_address, m.address);
    return true;
}

bool world_await(struct auth_world *w, struct link *l, struct frame *f)
{
    struct err e = ERR_INIT;
    int rc;
    while ((rc = link_recv(l, f, &e)) == 0 || (rc == 1 && take_failure(w, l, f)))
        cr_assert(rc == 1 || wait_for(w, link_fd(l), WAIT_MS), "nothing came; records:\n%s",
                  w->log);
    cr_assert(rc == 1 || rc == ERR_CLOSED, "%s", e.text);
    return rc == 1;
}

bool world_quiet(struct auth_world *w, struct link *l)
{
    struct err e = ERR_INIT;
    struct frame f;
    /* A reply to anything: what authd had to do before, it has done, however slow the machine. */
    free(world_control(w, "{\"verb\":\"nothing\"}"));
    if (l != w->supervisor)
        return !wait_for(w, link_fd(l), 200);
    while (wait_for(w, link_fd(l), 200)) {
        int rc = link_recv(l, &f, &e);
        if (rc < 0 || (rc == 1 && !take_failure(w, l, &f)))
            return false;
    }
    return true;
}

void world_expect_number(struct auth_world *w, struct link *l, struct frame *f, unsigned number,
                         const char *name)
{
    cr_assert(world_await(w, l, f), "%s: the link closed", name);
    cr_assert_eq(f->spec->number, number, "found %s, expected %s; records:\n%s", f->spec->name,
                 name, w->log);
}

/* ---- the process ---- */

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    unlink(path);
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(listen(fd, 16), 0);
    return fd;
}

void world_attach_trail(struct auth_world *w)
{
    struct authd_trail m = {0};
    struct err e = ERR_INIT;
    int fds[2];
    link_free(w->trail);
    w->records = 0;
    cr_assert_eq(link_pair(fds, 1 << 20, &e), 0);
    w->trail = link_new(fds[0], &link_trail, LINK_SECOND, QUEUE_MAX);
    cr_assert_eq(authd_trail_send(w->supervisor, &m, &fds[1], &e), 0);
    close(fds[1]);
}

bool world_load(struct auth_world *w, const char *operators, char text[2000])
{
    static const char *const roles[] = {lab_role};

    return world_load_roles(w, operators, roles, 1, text);
}

bool world_load_roles(struct auth_world *w, const char *operators, const char *const *roles,
                      size_t count, char text[2000])
{
    struct authd_load m = {.generation = ++w->generation, .why = "test"};
    struct authd_load_refused refused;
    struct err e = ERR_INIT;
    struct frame f;
    struct buf block;
    buf_init(&block, 1 << 20);
    lab_bundle_roles(&block, operators, roles, count);
    int fd = bundle_memfd(&block, &e);
    cr_assert_geq(fd, 0, "%s", e.text);
    cr_assert_eq(authd_load_send(w->supervisor, &m, &fd, &e), 0);
    close(fd);
    buf_clear(&block);
    cr_assert(world_await(w, w->supervisor, &f));
    if (f.spec->number == authd_loaded_NUMBER)
        return true;
    cr_assert_eq(f.spec->number, authd_load_refused_NUMBER);
    cr_assert_eq(authd_load_refused_decode(&f, &refused, &e), 0);
    if (text)
        strcpy(text, refused.text);
    return false;
}

static void run_authd(struct auth_world *w, int fd)
{
    struct err e = ERR_INIT;
    const struct authd_options o = {
        .link_fd = fd, .store_path = w->lab.store_path, .real_ns = fake_real_ns};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* What it logs about hostile peers is no news; AUTH_TEST_LOG shows it. */
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (!getenv("AUTH_TEST_LOG"))
        dup2(null, STDERR_FILENO);
    int rc = authd_run(&o, &e);
    if (rc < 0)
        fprintf(stderr, "authd: %s\n", e.text);
    _exit(rc < 0);
}

void world_start(struct auth_world *w)
{
    struct authd_start m = {.gateway = "gw.example",
                            .login_ms = w->login_ms ? w->login_ms : 60000,
                            .totp_failures = 5,
                            .lock_s = 1800,
                            .enrol_s = 86400,
                            .gateway_from = "192.0.2.1",
                            .break_glass = "nobody\nalice\n"};
    struct err e = ERR_INIT;
    struct frame f;
    uint8_t admin[12];
    char path[96];
    int fds[2];

    snprintf(path, sizeof path, "%s/control", w->lab.dir);
    wire_store_u32(admin, (uint32_t)getuid());
    memcpy(admin + 4, "\1\0\5tester", 8);
    m.people = (struct bytes){admin, sizeof admin};
    cr_assert_eq(link_pair(fds, 1 << 20, &e), 0);
    w->pid = fork();
    cr_assert_geq(w->pid, 0);
    if (w->pid == 0) {
        close(fds[0]);
        run_authd(w, fds[1]);
    }
    close(fds[1]);
    w->supervisor = link_new(fds[0], &link_authd, LINK_FIRST, QUEUE_MAX);
    const int files[4] = {listen_at(path), open(w->lab.key_path, O_RDONLY | O_CLOEXEC),
                          open(w->lab.ca_key_path, O_RDONLY | O_CLOEXEC),
                          open(w->lab.ca_path, O_RDONLY | O_CLOEXEC)};
    cr_assert_eq(authd_start_send(w->supervisor, &m, files, &e), 0, "%s", e.text);
    for (int i = 0; i < 4; i++)
        close(files[i]);
    world_expect(w, w->supervisor, &f, authd_started);
    world_attach_trail(w);
    w->generation = 0;
    char text[2000] = "";
    cr_assert(world_load(w, fixture_operators, text), "%s", text);
}

void world_set_up(struct auth_world *w)
{
    struct err e = ERR_INIT;
    lab_make_files(&w->lab);
    w->lab.policy = fixture_load_with(NULL, NULL, lab_role, &e);
    cr_assert_not_null(w->lab.policy, "%s", e.text);
    cr_assert_eq(totp_init(&e), 0);
    shared_clock_s = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(shared_clock_s, MAP_FAILED);
    w->clock_s = shared_clock_s;
    *w->clock_s = LAB_NOW;
    world_start(w);
}

void world_kill(struct auth_world *w)
{
    kill(w->pid, SIGKILL);
    waitpid(w->pid, NULL, 0);
    link_free(w->supervisor);
    link_free(w->trail);
    w->supervisor = w->trail = NULL;
}

void world_tear_down(struct auth_world *w)
{
    int status = 0;
    /* authd ends by itself, in order, when the supervisor is gone. */
    link_free(w->supervisor);
    waitpid(w->pid, &status, 0);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "authd ended with %x", status);
    link_free(w->trail);
    munmap(w->clock_s, 4096);
    lab_tear_down(&w->lab);
}

/* ---- frontends ---- */

struct link *world_connect(struct auth_world *w, uint64_t conn, const char *target,
                           const struct bytes *certificate_der)
{
    struct authd_connection m = {
        .conn = conn, .address = "10.1.2.3", .port = 40000, .proxy = "192.0.2.9"};
    struct err e = ERR_INIT;
    int fds[2];
    strcpy(m.target, target);
    if (certificate_der) {
        m.certificate = CERTIFICATE_VALID;
        m.certificate_der = *certificate_der;
    }
    cr_assert_eq(link_pair(fds, 65536, &e), 0);
    cr_assert_eq(authd_connection_send(w->supervisor, &m, &fds[1], &e), 0, "%s", e.text);
    close(fds[1]);
    return link_new(fds[0], &link_login, LINK_FIRST, QUEUE_MAX);
}

static int answer(struct auth_world *w, struct link *l, char text[501])
{
    struct login_answer m;
    struct err e = ERR_INIT;
    struct frame f;
    world_expect(w, l, &f, login_answer);
    cr_assert_eq(login_answer_decode(&f, &m, &e), 0);
    if (text)
        strcpy(text, m.text);
    return m.verdict;
}

int world_claim(struct auth_world *w, struct link *l, const char *who, char text[501])
{
    struct login_claim m = {.user = "root", .key = lab_key(&w->lab, who)};
    struct err e = ERR_INIT;
    cr_assert_eq(login_claim_send(l, &m, NULL, &e), 0);
    return answer(w, l, text);
}

int world_code(struct auth_world *w, struct link *l, const char *code, char text[501])
{
    struct login_code m;
    struct err e = ERR_INIT;
    snprintf(m.answer, sizeof m.answer, "%s", code);
    cr_assert_eq(login_code_send(l, &m, NULL, &e), 0);
    return answer(w, l, text);
}

const char *world_totp(struct auth_world *w, const struct secret *totp, int steps, char out[8])
{
    cr_assert_eq(totp_code(totp, *w->clock_s / 30 + (uint64_t)(int64_t)steps, out), 0);
    return out;
}

/* ---- administrators, enrolment ---- */

char *world_control(struct auth_world *w, const char *request)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char *line = calloc(1, 65536);
    size_t len = 0;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/control", w->lab.dir);
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(write(fd, request, strlen(request)), (ssize_t)strlen(request));
    cr_assert_eq(write(fd, "\n", 1), 1);
    while (!memchr(line, '\n', len)) {
        cr_assert(wait_for(w, fd, WAIT_MS), "no reply to %s", request);
        ssize_t n = read(fd, line + len, 65535 - len);
        cr_assert_gt(n, 0, "no reply to %s", request);
        len += (size_t)n;
    }
    close(fd);
    return line;
}

struct secret *world_secret(const char *uri)
{
    char base32[64], *bin = NULL;
    size_t len = 0;
    const char *p = strstr(uri, "secret=");
    cr_assert_not_null(p, "%s", uri);
    snprintf(base32, sizeof base32, "%.*s", (int)strcspn(p + 7, "&"), p + 7);
    cr_assert_eq(oath_base32_decode(base32, strlen(base32), &bin, &len), OATH_OK);
    struct secret *s = secret_copy(bin, len);
    free(bin);
    return s;
}

static void der_of(const char *pem, struct bytes *der)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    cr_assert_not_null(x, "%s", pem);
    uint8_t *out = NULL;
    der->len = (size_t)i2d_X509(x, &out);
    der->p = out;
    X509_free(x);
    BIO_free(bio);
}

void world_input(struct link *l, const char *text)
{
    struct login_command_input m = {1, {(const uint8_t *)text, strlen(text)}};
    struct err e = ERR_INIT;
    cr_assert_eq(login_command_input_send(l, &m, NULL, &e), 0);
}

/* Collects output until the command's end or until it contains a line's end; returns the exit
 * status or -1. */
int world_output(struct auth_world *w, struct link *l, char *out, size_t cap)
{
    struct err e = ERR_INIT;
    struct frame f;
    size_t len = 0;
    out[0] = '\0';
    for (;;) {
        cr_assert(world_await(w, l, &f));
        if (f.spec->number == login_command_exit_NUMBER) {
            struct login_command_exit m;
            cr_assert_eq(login_command_exit_decode(&f, &m, &e), 0);
            return m.status;
        }
        struct login_command_output m;
        cr_assert_eq(f.spec->number, login_command_output_NUMBER);
        cr_assert_eq(login_command_output_decode(&f, &m, &e), 0);
        cr_assert_lt(len + m.bytes.len, cap);
        memcpy(out + len, m.bytes.p, m.bytes.len);
        len += m.bytes.len;
        out[len] = '\0';
        if (strncmp(out, "enroll ", 7) == 0 || strncmp(out, "wrong ", 6) == 0)
            return -1;
    }
}

void world_token(struct auth_world *w, const char *who, char token[40])
{
    char request[100];

    snprintf(request, sizeof request, "{\"verb\":\"user-enroll\",\"operator\":\"%s\"}", who);
    char *reply = world_control(w, request);
    const char *at = strstr(reply, "spe-");
    cr_assert_not_null(at, "%s", reply);
    snprintf(token, 40, "%.33s", at);
    free(reply);
}

struct link *world_login_command(struct auth_world *w, const char *who, uint64_t conn,
                                 const char *code, struct secret **totp)
{
    struct login_open open_message = {0};
    struct login_command command = {.channel = 1, .command = "login"};
    struct err e = ERR_INIT;
    struct frame f;
    char text[16384];
    struct link *l = world_connect(w, conn, "gateway:22", NULL);

    cr_assert_eq(world_claim(w, l, who, NULL), LOGIN_ASK_CODE);
    cr_assert_eq(world_code(w, l, code, NULL), LOGIN_SUCCESS);
    cr_assert_eq(login_open_send(l, &open_message, NULL, &e), 0);
    world_expect(w, l, &f, login_gateway);
    if (!totp)
        return l;
    cr_assert_eq(login_command_send(l, &command, NULL, &e), 0);
    cr_assert_eq(world_output(w, l, text, sizeof text), -1);
    *totp = world_secret(text);
    return l;
}

struct secret *world_enrol(struct auth_world *w, const char *who, uint64_t conn, struct bytes *der)
{
    struct secret *totp;
    char token[40], text[16384], code[8];

    world_token(w, who, token);
    struct link *l = world_login_command(w, who, conn, token, &totp);
    char *csr = lab_request("P-256");
    world_input(l, csr);
    world_input(l, "000\n");
    cr_assert_eq(world_output(w, l, text, sizeof text), -1);
    cr_expect_str_eq(text, "wrong 4\n");
    world_input(l, world_totp(w, totp, 0, code));
    world_input(l, "\n");
    cr_assert_eq(world_output(w, l, text, sizeof text), 0, "%s", text);
    cr_assert_eq(strncmp(text, "ok\n-----BEGIN CERTIFICATE", 25), 0, "%s", text);
    if (der)
        der_of(text, der);
    free(csr);
    link_free(l);
    return totp;
}
