/* SPDX-License-Identifier: Apache-2.0
 *
 * Component tests of sallyport-backend alone (tests/session/test_backend.py): the real program
 * against a real sshd and a real agent; the other processes are played by backend_world.c. Not part
 * of a gateway.
 *
 *     backend_harness PROGRAM PORT HOST_KEY_BASE64[,...] AGENT_SOCKET SCENARIO [ARGUMENT]
 *
 * Exit status 0: the scenario went as it should. What it measured is printed. */
#include "backend_world.h"

#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"

const char *argument = "";

static void test_exec(struct world *w)
{
    uint32_t n;
    struct channel *c = run(w, "echo out; echo err >&2; exit 3", &n);
    UNTIL(w, c->closed);
    CHECK(c->started && c->exited && c->status == 3 && c->eof);
    printf("%s%s", c->out[0].head, c->out[1].head);
    CHECK(strcmp(c->out[0].head, "out\n") == 0 && strcmp(c->out[1].head, "err\n") == 0);
    CHECK(world_record(w, RECORD_SESSION_START, "\"operator\":\"alice\"", 0) != NULL);
    CHECK(world_record(w, RECORD_EXEC, "echo out; echo err", 0) != NULL);
    CHECK(world_record(w, RECORD_EXEC, "\"status\":3", 0) != NULL);
    CHECK(w->state == BACKEND_LOGGED_IN);
    finish(w, c, n);
    CHECK(w->state == BACKEND_ENDED);
}

static void test_stdin(struct world *w)
{
    uint32_t n;
    struct channel *c = run(w, "cat; echo after", &n);
    CHECK(world_input(w, n, "hello\0\377", 7) == 7);
    UNTIL(w, c->out[0].bytes == 7);
    CHECK(memcmp(c->out[0].head, "hello\0\377", 7) == 0 && c->recorded[0].bytes == 7);
    world_eof(w, n);
    UNTIL(w, c->closed);
    CHECK(c->out[0].bytes == 13 && c->status == 0);
    CHECK(world_record(w, RECORD_EXEC, "\"event\":\"eof\",\"by\":\"operator\"", 0) != NULL);
    finish(w, c, n);
}

/* The target ends its output; input goes on. */
static void test_half_closed(struct world *w)
{
    uint32_t n;
    struct channel *c = run(w, "exec >&- 2>&-; wc -c >/dev/null; sleep 0.1", &n);
    for (int i = 0; i < 5; i++)
        world_input(w, n, "12345", 5);
    world_eof(w, n);
    UNTIL(w, c->closed);
    CHECK(c->exited && c->status == 0 && c->recorded[0].bytes == 25);
    finish(w, c, n);
}

static void test_exit_signal(struct world *w)
{
    uint32_t n;
    struct channel *c = run(w, "kill -TERM $$", &n);
    UNTIL(w, c->closed);
    CHECK(strcmp(c->signal, "TERM") == 0);
    finish(w, c, n);
}

/* OpenSSH 9.2 acts on signals only for accounts other than root; its log shows that it got this
 * one. */
static void test_signal(struct world *w)
{
    uint32_t n;
    struct err e = ERR_INIT;
    struct channel *c = run(w, "echo ready; read x", &n);
    struct relay_signal m = {.name = "TERM"}, bad = {.name = "WINCH"};
    UNTIL(w, c->out[0].bytes == 6);
    CHECK(relay_signal_send(w->relay, &bad, NULL, &e) == 0);
    CHECK(relay_signal_send(w->relay, &m, NULL, &e) == 0);
    UNTIL(w, world_record(w, RECORD_EXEC, "\"event\":\"signal\",\"signal\":\"TERM\"", 0) != NULL);
    CHECK(world_record(w, RECORD_REQUEST, "WINCH", 0) != NULL);
    for (int i = 0; i < 6; i++)
        world_turn(w, 50);
    world_input(w, n, "\n", 1);
    UNTIL(w, c->closed);
    finish(w, c, n);
}

static void test_pty(struct world *w)
{
    struct err e = ERR_INIT;
    uint32_t n;
    UNTIL(w, w->ready);
    struct channel *c = world_open(w, &n);
    UNTIL(w, c->opened);
    struct relay_pty pty = {.channel = n, .term = "vt100", .columns = 93, .rows = 27};
    struct relay_env lang = {.channel = n, .name = "LC_TIME", .value = "de_DE.UTF-8"};
    struct relay_env preload = {.channel = n, .name = "LD_PRELOAD", .value = "x"};
    CHECK(relay_pty_send(w->relay, &pty, NULL, &e) == 0);
    CHECK(relay_env_send(w->relay, &lang, NULL, &e) == 0);
    CHECK(relay_env_send(w->relay, &preload, NULL, &e) == 0);
    world_start_on(w, n, START_SHELL, NULL);
    UNTIL(w, c->started);
    const char *line = "PS1=; stty -echo; stty size; echo $TERM; read x; stty size; exit 5\n";
    CHECK(world_input(w, n, line, strlen(line)) > 0);
    UNTIL(w, strstr(c->out[0].head, "27 93\r\nvt100\r\n") != NULL);
    struct relay_resize size = {.channel = n, .columns = 120, .rows = 40};
    CHECK(relay_resize_send(w->relay, &size, NULL, &e) == 0);
    CHECK(world_input(w, n, "\n", 1) == 1);
    UNTIL(w, c->closed);
    CHECK(strstr(c->out[0].head, "40 120\r\n") != NULL && c->status == 5);
    CHECK(world_record(w, RECORD_RESIZE, "\"term\":\"vt100\",\"columns\":93", 0) != NULL);
    CHECK(world_record(w, RECORD_RESIZE, "\"columns\":120", 0) != NULL);
    CHECK(world_record(w, RECORD_EXEC, "\"LC_TIME\":\"de_DE.UTF-8\"", 0) != NULL);
    CHECK(world_record(w, RECORD_REQUEST, "LD_PRELOAD", 0) != NULL);
    finish(w, c, n);
}

static void test_channels(struct world *w)
{
    uint32_t n[RELAY_CHANNELS_MAX + 1];
    struct channel *c[RELAY_CHANNELS_MAX + 1];
    char command[40];
    for (int i = 0; i < (int)RELAY_CHANNELS_MAX; i++) {
        snprintf(command, sizeof command, "cat; exit %d", i);
        c[i] = run(w, command, &n[i]);
        CHECK(c[i]->started);
    }
    c[RELAY_CHANNELS_MAX] = world_open(w, &n[RELAY_CHANNELS_MAX]);
    UNTIL(w, c[RELAY_CHANNELS_MAX]->open_failed);
    CHECK(strstr(c[RELAY_CHANNELS_MAX]->text, "too many channels") != NULL);
    for (uint32_t i = 0; i < RELAY_CHANNELS_MAX; i++) {
        CHECK(world_input(w, n[i], "0123456789", 1 + i % 9) > 0);
        world_eof(w, n[i]);
    }
    for (uint32_t i = 0; i < RELAY_CHANNELS_MAX; i++) {
        UNTIL(w, c[i]->closed);
        CHECK(c[i]->status == i && c[i]->out[0].bytes == 1 + i % 9);
    }
    /* Closes and an open that the backend finds together: what is closed has no place any more. */
    CHECK(kill(w->child, SIGSTOP) == 0);
    for (uint32_t i = 0; i < RELAY_CHANNELS_MAX; i++)
        world_close(w, n[i]);
    c[0] = world_open(w, &n[0]);
    CHECK(kill(w->child, SIGCONT) == 0);
    UNTIL(w, c[0]->opened || c[0]->open_failed);
    CHECK(c[0]->opened);
    world_start_on(w, n[0], START_EXEC, "echo again");
    UNTIL(w, c[0]->started || c[0]->start_failed);
    CHECK(c[0]->started);
    finish(w, c[0], n[0]);
}

/* Nothing moves before its record is durable. */
static void test_durable(struct world *w)
{
    uint32_t n;
    UNTIL(w, w->ready);
    struct channel *c = world_open(w, &n);
    UNTIL(w, c->opened);
    size_t before = w->record_count;
    w->answer_up_to = before;
    world_start_on(w, n, START_EXEC, "cat");
    UNTIL(w, w->record_count == before + 2); /* the start, and the decision about it */
    for (int answered = 0; answered < 2; answered++) {
        for (int i = 0; i < 6; i++)
            world_turn(w, 50);
        CHECK(!c->started);
        w->answer_up_to++;
    }
    UNTIL(w, c->started);
    world_input(w, n, "secret", 6);
    UNTIL(w, c->recorded[0].bytes == 6);
    for (int i = 0; i < 6; i++)
        world_turn(w, 50);
    CHECK(c->recorded[1].bytes == 0 && c->out[0].bytes == 0);
    w->answer_up_to++;
    UNTIL(w, c->recorded[1].bytes == 6);
    for (int i = 0; i < 6; i++)
        world_turn(w, 50);
    CHECK(c->out[0].bytes == 0);
    w->answer_up_to = UINT64_MAX;
    UNTIL(w, c->out[0].bytes == 6);
    world_eof(w, n);
    finish(w, c, n);
}

static void refused_login(struct world *w, const char *text, const char *token)
{
    UNTIL(w, w->ended);
    printf("%s\n", w->end.text);
    CHECK(strstr(w->end.text, text) != NULL && w->end.status == EXIT_TARGET_DOWN);
    CHECK(world_record(w, RECORD_SESSION_END, token, 0) != NULL && !w->ready);
    world_wait_end(w);
}

static void test_host_key(struct world *w)
{
    refused_login(w, "host key is not the pinned one", "\"host-key\"");
}

/* sshd hangs up as well: which side is first decides about the reason. */
static void test_host_key_kind(struct world *w)
{
    refused_login(w, "pinned SHA256:", "\"reason\"");
}

static void test_login_refused(struct world *w)
{
    refused_login(w, "refused the gateway's key for account root", "\"target-login\"");
}

static void test_agent(struct world *w)
{
    UNTIL(w, w->ended);
    CHECK(strstr(w->end.text, "the login service did not sign") != NULL);
    CHECK(w->end.status == EXIT_TRY_AGAIN);
    CHECK(world_record(w, RECORD_SESSION_END, "\"no-signature\"", 0) != NULL && !w->ready);
    world_wait_end(w);
}

static void test_not_ssh(struct world *w)
{
    refused_login(w, argument, "\"target-");
}

static void test_rules(struct world *w)
{
    uint32_t n;
    struct err e = ERR_INIT;
    struct channel *c = run(w, "echo 'a b'  c", &n);
    CHECK(c->started);
    UNTIL(w, c->closed);
    CHECK(strcmp(c->out[0].head, "a b c\n") == 0);
    CHECK(world_record(w, RECORD_EXEC, "\"rule\":\"bob/commands[0]\"", 0) != NULL);
    CHECK(world_record(w, RECORD_EXEC, "/bin/echo", 0) != NULL);
    world_close(w, n);
    c = run(w, "echo 'a b' d", &n);
    CHECK(c->start_failed && c->status == EXIT_REFUSED);
    printf("%s\n", c->text);
    CHECK(world_record(w, RECORD_REQUEST, "'a b' d", 0) != NULL);
    UNTIL(w, c->closed);
    world_close(w, n);
    c = run(w, "echo 'a b' c; id", &n);
    CHECK(c->start_failed);
    world_close(w, n);
    c = run(w, NULL, &n);
    CHECK(c->start_failed);
    printf("%s\n", c->text);
    world_close(w, n);
    c = world_open(w, &n);
    struct relay_pty pty = {.channel = n, .term = "xterm", .columns = 80, .rows = 24};
    CHECK(relay_pty_send(w->relay, &pty, NULL, &e) == 0);
    world_start_on(w, n, START_EXEC, "echo 'a b' c");
    UNTIL(w, c->closed);
    CHECK(strcmp(c->out[0].head, "a b c\n") == 0 && strstr(c->text, "without a terminal") != NULL);
    finish(w, c, n);
}

static void test_refusals(struct world *w)
{
    uint32_t n;
    struct err e = ERR_INIT;
    struct channel *c = run(w, NULL, &n);
    CHECK(c->start_failed && c->status == EXIT_REFUSED &&
          strstr(c->text, "does not permit a shell"));
    world_close(w, n);
    c = world_open(w, &n);
    world_start_on(w, n, START_SUBSYSTEM, "sftp");
    UNTIL(w, c->start_failed);
    CHECK(strstr(c->text, "sftp") != NULL && world_record(w, RECORD_REQUEST, "sftp", 0) != NULL &&
          world_record(w, RECORD_DECISION, "subsystem", 0) != NULL &&
          world_record(w, RECORD_DECISION, "sftp", 0) == NULL);
    struct relay_refused m = {.kind = REFUSED_DIRECT_TCPIP, .detail = "127.0.0.1:80"};
    CHECK(relay_refused_send(w->relay, &m, NULL, &e) == 0);
    UNTIL(w, world_record(w, RECORD_FORWARD_OPEN, "127.0.0.1:80", 0) != NULL);
    world_close(w, n);
    world_bye(w);
}

/* So many are the client's doing: the session ends, and nobody is blamed. */
static void test_many_refusals(struct world *w)
{
    struct relay_refused m = {
        .channel = UINT32_MAX, .kind = REFUSED_REQUEST, .detail = "a global request"};
    struct err e = ERR_INIT;
    uint32_t n;
    run(w, "cat", &n);
    for (unsigned i = 0; i < 10001; i++) {
        CHECK(relay_refused_send(w->relay, &m, NULL, &e) == 0);
        if (i % 64 == 63)
            UNTIL(w, link_pending(w->relay) == 0);
    }
    world_wait_end(w);
    CHECK(w->ended && w->end.status == EXIT_REFUSED &&
          strstr(w->end.text, "it asked 10000 times for what it may not have"));
    CHECK(world_record(w, RECORD_REQUEST, "a global request", 9999) != NULL);
    CHECK(world_record(w, RECORD_REQUEST, "a global request", 10000) == NULL);
    CHECK(world_record(w, RECORD_SESSION_END, "\"reason\":\"refusals\"", 0) != NULL);
    CHECK(world_record(w, RECORD_ALARM, "", 0) == NULL);
}

/* Past our own end of the link, which sends nothing that is not a frontend's to send. */
static int send_raw(struct world *w, uint16_t number)
{
    uint8_t frame[32] = {(uint8_t)(number >> 8), (uint8_t)number};

    return send(link_fd(w->relay), frame, sizeof frame, MSG_NOSIGNAL) == sizeof frame ? 0
                                                                                      : ERR_SYSTEM;
}

/* What a frontend that an intruder took over might send; channel n runs `cat`. */
static int violate(struct world *w, uint32_t n)
{
    static const uint8_t chunk[RELAY_CHUNK];
    struct relay_output_credit credit = {.channel = n, .bytes = 1};
    struct relay_input input = {.channel = n, .bytes = {chunk, sizeof chunk}};
    struct relay_input_eof eof = {.channel = n};
    struct relay_start start = {.channel = n, .kind = START_SHELL};
    struct relay_pty pty = {.channel = n, .term = "vt100"};
    struct relay_env env = {.channel = n, .name = "LANG", .value = "C"};
    struct relay_close_down close_down = {.channel = n};
    struct relay_open open = {.channel = n + 5};
    struct relay_refused refused = {.channel = n, .kind = 200};
    struct err e = ERR_INIT;
    int rc = 0;

    if (strcmp(argument, "output credit") == 0)
        return relay_output_credit_send(w->relay, &credit, NULL, &e);
    if (strcmp(argument, "input beyond the credit") == 0) {
        w->answer_up_to = w->record_count; /* no record is durable: no credit comes back */
        for (uint32_t sent = 0; rc == 0 && sent <= RELAY_WINDOW; sent += RELAY_CHUNK) {
            rc = relay_input_send(w->relay, &input, NULL, &e);
            world_turn(w, 1);
        }
        w->answer_up_to = UINT64_MAX;
        return rc == ERR_CLOSED ? 0 : rc;
    }
    if (strcmp(argument, "second start") == 0)
        return relay_start_send(w->relay, &start, NULL, &e);
    if (strcmp(argument, "terminal after the start") == 0)
        return relay_pty_send(w->relay, &pty, NULL, &e);
    if (strcmp(argument, "variable after the start") == 0)
        return relay_env_send(w->relay, &env, NULL, &e);
    if (strcmp(argument, "second end of input") == 0) {
        rc = relay_input_eof_send(w->relay, &eof, NULL, &e);
        return rc != 0 ? rc : relay_input_eof_send(w->relay, &eof, NULL, &e);
    }
    if (strcmp(argument, "input after its end") == 0) {
        rc = relay_input_eof_send(w->relay, &eof, NULL, &e);
        return rc != 0 ? rc : relay_input_send(w->relay, &input, NULL, &e);
    }
    if (strcmp(argument, "input after the close") == 0) {
        rc = relay_close_down_send(w->relay, &close_down, NULL, &e);
        return rc != 0 ? rc : relay_input_send(w->relay, &input, NULL, &e);
    }
    if (strcmp(argument, "channel out of turn") == 0)
        return relay_open_send(w->relay, &open, NULL, &e);
    if (strcmp(argument, "channel that never was") == 0) {
        input.channel = 4000000000u;
        return relay_input_send(w->relay, &input, NULL, &e);
    }
    if (strcmp(argument, "refusal of no kind") == 0)
        return relay_refused_send(w->relay, &refused, NULL, &e);
    if (strcmp(argument, "message of the backend's") == 0)
        return send_raw(w, relay_output_NUMBER);
    if (strcmp(argument, "no message at all") == 0)
        return send_raw(w, 63);
    if (strcmp(argument, "10,000 opens") == 0) {
        for (uint32_t i = n + 1; rc == 0 && i < n + 12000; i++) {
            open.channel = i;
            rc = relay_open_send(w->relay, &open, NULL, &e);
            if (i % 50 == 0)
                world_turn(w, 1);
        }
        return rc == ERR_CLOSED ? 0 : rc;
    }
    return ERR_USAGE;
}

static void test_violation(struct world *w)
{
    uint32_t n;
    run(w, "cat > /dev/null", &n);
    CHECK(violate(w, n) == 0);
    world_wait_end(w);
    CHECK(world_record(w, RECORD_ALARM, "frontend-protocol", 0) != NULL);
    CHECK(world_record(w, RECORD_SESSION_END, "frontend-protocol", 0) != NULL);
}

static void set_rules(struct world *w)
{
    struct words words;
    static struct buf text; /* the grant points into it */
    struct rule_set *set = rule_set_new();
    struct err e = ERR_INIT;

    buf_init(&text, RULES_ENCODED_MAX);
    CHECK(set != NULL && words_split("echo 'a b' c", 12, &words, &e) == 0);
    CHECK(rule_set_add(set, "bob/commands[0]", &words, "/bin/echo", 0, &e) == 0);
    CHECK(rule_set_encode(set, &text) == 0);
    w->grant.rules = (struct bytes){buf_head(&text), buf_len(&text)};
    w->grant.abilities = ABILITY_EXEC;
    rule_set_free(set);
    words_clear(&words);
}

static void set_exec_only(struct world *w)
{
    w->grant.abilities = ABILITY_EXEC;
}

static void set_sync_all(struct world *w)
{
    w->grant.record = RECORD_SYNC_ALL;
}

static void set_no_grant(struct world *w)
{
    w->no_grant = true;
}

static void set_idle(struct world *w)
{
    w->grant.idle_s = 1;
}

/* On a busy machine a shell takes its time to begin. */
static void set_idle_terminal(struct world *w)
{
    w->grant.idle_s = 3;
}

static void set_max(struct world *w)
{
    w->grant.max_s = 1;
}

static void set_short(struct world *w)
{
    w->connect_ms = 500;
}

static void set_lag(struct world *w)
{
    w->answer_after_ms = 5;
}

static const struct {
    const char *name;
    void (*run)(struct world *);
    void (*set)(struct world *);
} scenarios[] = {
    {"exec", test_exec, NULL},
    {"stdin", test_stdin, NULL},
    {"half-closed", test_half_closed, NULL},
    {"exit-signal", test_exit_signal, NULL},
    {"signal", test_signal, NULL},
    {"pty", test_pty, NULL},
    {"channels", test_channels, NULL},
    {"download", test_download, NULL},
    {"download-lag", test_download, set_lag},
    {"upload", test_upload, NULL},
    {"upload-lag", test_upload, set_lag},
    {"speed-down", test_speed_down, NULL},
    {"speed-up", test_speed_up, NULL},
    {"slow-reader", test_slow_reader, NULL},
    {"memory", test_memory, NULL},
    {"latency", test_latency, NULL},
    {"durable", test_durable, set_sync_all},
    {"host-key", test_host_key, NULL},
    {"host-key-kind", test_host_key_kind, NULL},
    {"login-refused", test_login_refused, NULL},
    {"not-ssh", test_not_ssh, set_short},
    {"agent", test_agent, NULL},
    {"rules", test_rules, set_rules},
    {"refusals", test_refusals, set_exec_only},
    {"many-refusals", test_many_refusals, NULL},
    {"violation", test_violation, NULL},
    {"grant-end", test_grant_end, NULL},
    {"authd-dies", test_authd_dies, NULL},
    {"authd-away", test_authd_away, NULL},
    {"authd-away-at-first", test_authd_away_at_first, set_no_grant},
    {"trail-stops", test_trail_stops, NULL},
    {"trail-dies", test_trail_dies, NULL},
    {"frontend-dies", test_frontend_dies, NULL},
    {"target-dies", test_target_dies, NULL},
    {"idle", test_idle, set_idle},
    {"idle-terminal", test_idle_terminal, set_idle_terminal},
    {"max", test_idle, set_max},
    {"bye-drains", test_bye_drains, NULL},
    {"narrow", test_narrow, NULL},
    {"narrow-start", test_narrow_start, NULL},
    {"narrow-sync", test_narrow_sync, NULL},
    {"narrow-more", test_narrow_more, set_exec_only},
    {"narrow-junk", test_narrow_junk, NULL},
};

static void pin(struct world *w, char *list)
{
    static uint8_t keys[8192];
    struct wire_writer out;
    struct err e = ERR_INIT;

    wire_writer_init(&out, keys, sizeof keys);
    for (char *key = strtok(list, ","); key != NULL; key = strtok(NULL, ",")) {
        uint8_t blob[2048];
        size_t len = strlen(key);
        int n = EVP_DecodeBlock(blob, (const unsigned char *)key, (int)len);
        CHECK(n > 2);
        n -= (key[len - 1] == '=') + (key[len - 2] == '=');
        wire_put_data(&out, blob, (size_t)n, sizeof blob);
    }
    CHECK(wire_put_end(&out, &e) == 0);
    w->grant.host_keys = (struct bytes){keys, out.len};
}

int main(int argc, char **argv)
{
    static struct world w; /* what it holds, it holds until the exit */

    CHECK(argc >= 6);
    signal(SIGPIPE, SIG_IGN);
    argument = argc > 6 ? argv[6] : "";
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
        if (strcmp(argv[5], scenarios[i].name) != 0)
            continue;
        world_init(&w);
        w.port = (uint16_t)atoi(argv[2]);
        pin(&w, argv[3]);
        if (scenarios[i].set != NULL)
            scenarios[i].set(&w);
        world_start(&w, argv[1], argv[4]);
        scenarios[i].run(&w);
        return 0;
    }
    fprintf(stderr, "no scenario %s\n", argv[5]);
    return 2;
}
