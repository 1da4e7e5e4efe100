/* SPDX-License-Identifier: Apache-2.0
 *
 * An SSH client that misbehaves on purpose, for tests/session/test_frontend.py: what OpenSSH's
 * client cannot be made to send.
 *
 *     frontend_probe PORT KEY_FILE MODE
 *
 * Prints what came of it, one word a step. Not part of a gateway. */
#include <libssh/libssh.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static ssh_session s;
static volatile sig_atomic_t logging_in;

static const char *word(int rc)
{
    return rc == SSH_AUTH_SUCCESS   ? "success"
           : rc == SSH_AUTH_PARTIAL ? "partial"
           : rc == SSH_AUTH_DENIED  ? "denied"
           : rc == SSH_AUTH_INFO    ? "info"
                                    : "ended";
}

/* libssh's client waits for ever when the server disconnects during a login. So each tenth of a
 * second it is looked at whether the connection is one still; libssh has had time to take what came
 * before its end when that was so ten times.
 */
static void on_alarm(int number)
{
    static const char text[] = " ended\n";
    static int ended;
    struct tcp_info info = {.tcpi_state = TCP_CLOSE};
    socklen_t len = sizeof info;

    (void)number;
    if (!logging_in)
        return;
    if (getsockopt(ssh_get_fd(s), IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
        info.tcpi_state == TCP_ESTABLISHED)
        return;
    if (++ended < 10)
        return;
    fflush(stdout);
    if (write(1, text, sizeof text - 1) < 0)
        _exit(1);
    _exit(0);
}

static void connect_to(const char *port)
{
    const struct itimerval tenth = {{0, 100000}, {0, 100000}};
    int no = 0;

    signal(SIGALRM, on_alarm);
    setitimer(ITIMER_REAL, &tenth, NULL);
    s = ssh_new();
    ssh_options_set(s, SSH_OPTIONS_PROCESS_CONFIG, &no);
    ssh_options_set(s, SSH_OPTIONS_HOST, "127.0.0.1");
    ssh_options_set(s, SSH_OPTIONS_PORT_STR, port);
    ssh_options_set(s, SSH_OPTIONS_USER, "alice");
    if (ssh_connect(s) != SSH_OK) {
        printf("no-connection %s\n", ssh_get_error(s));
        exit(1);
    }
    logging_in = 1;
}

static int key_login(const char *file, const char *user)
{
    ssh_key key = NULL;
    int rc = SSH_AUTH_ERROR;

    if (ssh_pki_import_privkey_file(file, NULL, NULL, NULL, &key) == SSH_OK)
        rc = ssh_userauth_publickey(s, user, key);
    ssh_key_free(key);
    return rc;
}

static int code_login(const char *user, const char *code)
{
    int rc = ssh_userauth_kbdint(s, user, NULL);

    if (rc != SSH_AUTH_INFO)
        return rc;
    ssh_userauth_kbdint_setanswer(s, 0, code);
    rc = ssh_userauth_kbdint(s, user, NULL);
    /* The server's last word on a right code is a request without prompts or a success. */
    return rc;
}

static void both_factors(const char *file)
{
    key_login(file, "alice");
    if (code_login("alice", "123456") != SSH_AUTH_SUCCESS) {
        printf("no-login\n");
        exit(1);
    }
    logging_in = 0;
}

static void second_start(const char *file)
{
    ssh_channel c;

    both_factors(file);
    c = ssh_channel_new(s);
    printf("%s", ssh_channel_open_session(c) == SSH_OK ? "open" : "closed");
    printf(" %s", ssh_channel_request_exec(c, "sleep 1") == SSH_OK ? "started" : "refused");
    printf(" %s", ssh_channel_request_exec(c, "id") == SSH_OK ? "started" : "refused");
    printf(" %s", ssh_channel_request_pty(c) == SSH_OK ? "terminal" : "refused");
    printf(" %s\n", ssh_channel_request_shell(c) == SSH_OK ? "started" : "refused");
}

static void signals(const char *file)
{
    ssh_channel c;
    char out[100] = "";

    both_factors(file);
    c = ssh_channel_new(s);
    ssh_channel_open_session(c);
    ssh_channel_request_exec(
        c, "trap 'echo caught; exit 4' INT; echo on; while :; do sleep 0.05; done");
    ssh_channel_read(c, out, 3, 0);
    ssh_channel_request_send_signal(c, "INT");
    memset(out, 0, sizeof out);
    ssh_channel_read(c, out, sizeof out - 1, 0);
    while (!ssh_channel_is_eof(c))
        ssh_channel_read(c, out + 50, 10, 0);
    printf("%.6s %d\n", out, ssh_channel_get_exit_status(c));
}

int main(int argc, char **argv)
{
    const char *mode = argc == 4 ? argv[3] : "";

    if (argc != 4)
        return 2;
    connect_to(argv[1]);
    if (strcmp(mode, "two-users") == 0) {
        printf("%s", word(key_login(argv[2], "alice")));
        printf(" %s\n", word(code_login("root", "123456")));
    } else if (strcmp(mode, "code-first") == 0) {
        printf("%s\n", word(code_login("alice", "123456")));
    } else if (strcmp(mode, "probe-then-code") == 0) {
        ssh_key key = NULL;
        ssh_pki_import_privkey_file(argv[2], NULL, NULL, NULL, &key);
        printf("%s", word(ssh_userauth_try_publickey(s, "alice", key)));
        printf(" %s\n", word(code_login("alice", "123456")));
        ssh_key_free(key);
    } else if (strcmp(mode, "none") == 0) {
        printf("%s", word(ssh_userauth_none(s, "alice")));
        printf(" %s\n", word(ssh_userauth_password(s, "alice", "123456")));
    } else if (strcmp(mode, "codes") == 0) {
        printf("%s", word(key_login(argv[2], "alice")));
        ssh_userauth_kbdint(s, "alice", NULL);
        for (int i = 0; i < 8; i++) {
            ssh_userauth_kbdint_setanswer(s, 0, "000000");
            printf(" %s", word(ssh_userauth_kbdint(s, "alice", NULL)));
        }
        printf("\n");
    } else if (strcmp(mode, "second-start") == 0) {
        second_start(argv[2]);
    } else if (strcmp(mode, "signal") == 0) {
        signals(argv[2]);
    } else if (strcmp(mode, "early-channel") == 0) {
        ssh_channel c = ssh_channel_new(s);
        printf("%s\n", ssh_channel_open_session(c) == SSH_OK ? "open" : "ended");
    }
    logging_in = 0; /* on_alarm has no session to look at any more */
    ssh_disconnect(s);
    ssh_free(s);
    return 0;
}
