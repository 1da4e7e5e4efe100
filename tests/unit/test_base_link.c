/* SPDX-License-Identifier: Apache-2.0
 *
 * Links: what honest sides send arrives, and whatever a hostile side sends ends as a violation with
 * no descriptor left open. The tables are the real ones. */
#include <criterion/criterion.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/messages.h"

static int open_descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;

    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

struct two {
    struct link *first, *second;
};

static struct two connect_two(const struct link_spec *spec, size_t queue_max)
{
    struct err e = ERR_INIT;
    struct two t;
    int fds[2];

    cr_assert(link_pair(fds, 512 * 1024, &e) == 0, "%s", e.text);
    t.first = link_new(fds[0], spec, LINK_FIRST, queue_max);
    t.second = link_new(fds[1], spec, LINK_SECOND, queue_max);
    cr_assert(t.first && t.second);
    return t;
}

Test(base_link, a_message_with_a_descriptor)
{
    struct two t = connect_two(&link_listener, 0);
    struct listener_accept sent = {.conn = 9, .address = "192.0.2.7", .port = 4711}, got;
    struct frame f;
    struct err e = ERR_INIT;
    int p[2], fd, before = open_descriptors();
    struct buf b;
    char *line;

    link_enter(t.second, listener_STATE_RUNNING);
    cr_assert(pipe(p) == 0);
    cr_assert(listener_accept_send(t.first, &sent, &p[0], &e) == 0, "%s", e.text);
    cr_assert(link_recv(t.second, &f, &e) == 1, "%s", e.text);
    cr_expect(f.spec->number == listener_accept_NUMBER);
    cr_assert(listener_accept_decode(&f, &got, &e) == 0);
    cr_expect(got.conn == 9 && got.port == 4711 && strcmp(got.address, "192.0.2.7") == 0);
    fd = frame_take_fd(&f, 0);
    cr_expect(fcntl(fd, F_GETFD) == FD_CLOEXEC);
    buf_init(&b, 1000);
    cr_expect(link_print(&f, &b) == 0);
    line = buf_string(&b);
    cr_expect(strcmp(line, "accept conn=9 address=\"192.0.2.7\" port=4711 proxy=0") == 0, "%s",
              line);
    free(line);
    buf_clear(&b);
    cr_expect(link_recv(t.second, &f, &e) == 0);
    cr_expect(close(fd) == 0, "a taken descriptor stays open");
    cr_assert(listener_accept_send(t.first, &sent, &p[0], &e) == 0);
    cr_expect(link_recv(t.second, &f, &e) == 1);
    cr_expect(link_recv(t.second, &f, &e) == 0);
    close(p[0]);
    close(p[1]);
    cr_expect(open_descriptors() == before, "what was not taken is closed");
    link_free(t.first);
    link_free(t.second);
    link_free(NULL);
}

Test(base_link, several_views_in_a_message)
{
    struct two t = connect_two(&link_grant, 0);
    static uint8_t rules[131072];
    struct grant_grant sent = {.operator_name = "alice",
                               .target = "hv1",
                               .account = "root",
                               .abilities = 3},
                       got;
    struct frame f;
    struct err e = ERR_INIT;

    memset(rules, 'r', sizeof rules);
    sent.host_keys = (struct bytes){(const uint8_t *)"HK", 2};
    sent.rules = (struct bytes){rules, sizeof rules};
    cr_assert(grant_grant_send(t.first, &sent, NULL, &e) == 0, "%s", e.text);
    cr_assert(link_recv(t.second, &f, &e) == 1, "%s", e.text);
    cr_assert(grant_grant_decode(&f, &got, &e) == 0, "%s", e.text);
    cr_expect(strcmp(got.account, "root") == 0 && got.abilities == 3);
    cr_expect(got.host_keys.len == 2 && got.identity.len == 0 && got.files.len == 0);
    cr_expect(got.rules.len == sizeof rules && memcmp(got.rules.p, rules, sizeof rules) == 0);

    sent.rules.len++;
    cr_expect(grant_grant_send(t.first, &sent, NULL, &e) == ERR_FULL);
    cr_expect(strstr(e.text, "link grant, message grant") != NULL, "%s", e.text);
    link_free(t.first);
    link_free(t.second);
}

/* Frames sent raw to a link in one state; `again` sends it twice. */
struct hostile {
    const char *what;
    const struct link_spec *spec;
    enum link_side receiver;
    uint32_t state;
    const char *bytes;
    size_t len;
    int fds;
    bool again;
    int rc;
};

static void send_raw(int fd, const void *bytes, size_t len, int count)
{
    struct iovec iov = {(void *)bytes, len};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * 20)];
    } control;
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    memset(&control, 0, sizeof control);
    if (count) {
        control.align.cmsg_level = SOL_SOCKET;
        control.align.cmsg_type = SCM_RIGHTS;
        control.align.cmsg_len = CMSG_LEN(sizeof(int) * (size_t)count);
        for (int i = 0; i < count; i++)
            memcpy(CMSG_DATA(&control.align) + sizeof(int) * (size_t)i, &fd, sizeof fd);
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)count);
    }
    cr_assert(sendmsg(fd, &msg, 0) == (ssize_t)len);
}

Test(base_link, hostile_frames)
{
    static char huge[200000];
    const struct hostile rows[] = {
        {"good", &link_relay, LINK_SECOND, relay_STATE_READY, "\0\12\0\0\0\1", 6, 0, true, 1},
        {"one byte", &link_relay, LINK_SECOND, relay_STATE_READY, "\0", 1, 0, false, ERR_PROTOCOL},
        {"number 0", &link_relay, LINK_SECOND, relay_STATE_READY, "\0\0", 2, 0, false,
         ERR_PROTOCOL},
        {"number unknown", &link_relay, LINK_SECOND, relay_STATE_READY, "\0\77", 2, 0, false,
         ERR_PROTOCOL},
        {"number 65535", &link_relay, LINK_SECOND, relay_STATE_READY, "\xff\xff", 2, 0, false,
         ERR_PROTOCOL},
        {"wrong direction", &link_relay, LINK_SECOND, relay_STATE_CONNECTING, "\0\1", 2, 0, false,
         ERR_PROTOCOL},
        {"wrong state", &link_relay, LINK_SECOND, relay_STATE_CONNECTING, "\0\12\0\0\0\1", 6, 0,
         false, ERR_PROTOCOL},
        {"once, twice", &link_relay, LINK_FIRST, relay_STATE_CONNECTING, "\0\1", 2, 0, true,
         ERR_PROTOCOL},
        {"too long for the message", &link_relay, LINK_SECOND, relay_STATE_READY, "\0\12\0\0\0\1\0",
         7, 0, false, ERR_PROTOCOL},
        {"too long for the link", &link_relay, LINK_SECOND, relay_STATE_READY, huge, sizeof huge, 0,
         false, ERR_PROTOCOL},
        {"a descriptor nobody asked for", &link_relay, LINK_SECOND, relay_STATE_READY,
         "\0\12\0\0\0\1", 6, 1, false, ERR_PROTOCOL},
        {"20 descriptors", &link_relay, LINK_SECOND, relay_STATE_READY, "\0\12\0\0\0\1", 6, 20,
         false, ERR_PROTOCOL},
        {"a descriptor missing", &link_listener, LINK_SECOND, listener_STATE_RUNNING,
         "\0\5\0\0\0\0\0\0\0\1", 10, 0, false, ERR_PROTOCOL},
        {"a descriptor too many", &link_listener, LINK_SECOND, listener_STATE_RUNNING,
         "\0\5\0\0\0\0\0\0\0\1", 10, 2, false, ERR_PROTOCOL},
        {"empty", &link_relay, LINK_SECOND, relay_STATE_READY, "", 0, 0, false, ERR_CLOSED},
        {"empty with a descriptor", &link_relay, LINK_SECOND, relay_STATE_READY, "", 0, 3, false,
         ERR_CLOSED},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct hostile *h = &rows[i];
        int fds[2], before = open_descriptors(), rc;
        struct err e = ERR_INIT;
        struct frame f;
        struct link *l;

        cr_assert(link_pair(fds, 512 * 1024, &e) == 0);
        l = link_new(fds[0], h->spec, h->receiver, 0);
        link_enter(l, h->state);
        send_raw(fds[1], h->bytes, h->len, h->fds);
        rc = link_recv(l, &f, &e);
        if (h->again && rc == 1) {
            send_raw(fds[1], h->bytes, h->len, h->fds);
            rc = link_recv(l, &f, &e);
        }
        cr_expect(rc == h->rc, "%s: %d %s", h->what, rc, e.text);
        if (rc == ERR_PROTOCOL)
            cr_expect(link_recv(l, &f, &e) == ERR_PROTOCOL, "%s: it stays broken", h->what);
        link_free(l);
        close(fds[1]);
        cr_expect(open_descriptors() == before, "%s: descriptors are left", h->what);
    }
}

Test(base_link, decoders_refuse)
{
    static const struct {
        const char *what, *bytes;
        size_t len;
    } rows[] = {
        {"cut", "\0\0\0", 3},
        {"string cut", "\0\0\0\1\0\0\0\2\0\5abc", 13},
        {"left over", "\0\0\0\1\0\2ab\0\1xy", 12},
        {"NUL inside", "\0\0\0\1\0\2a\0\0\1x", 11},
        {"name over its maximum",
         "\0\0\0\1\0\x41"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\0\0",
         73},
    };
    const struct msg_spec *spec = NULL;

    for (size_t i = 0; i < link_relay.count; i++)
        if (link_relay.messages[i].number == relay_env_NUMBER)
            spec = &link_relay.messages[i];
    cr_assert(spec != NULL);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct frame f = {.spec = spec, .fields = {(const uint8_t *)rows[i].bytes, rows[i].len}};
        struct relay_env m;
        struct err e = ERR_INIT;
        cr_expect(relay_env_decode(&f, &m, &e) == ERR_PROTOCOL, "%s", rows[i].what);
        cr_expect(strncmp(e.text, "link relay, message env: ", 25) == 0, "%s", e.text);
    }
}

Test(base_link, a_slow_receiver_is_queued_for_in_order)
{
    const size_t queue_max = 400000;
    struct two t = connect_two(&link_relay, queue_max);
    static uint8_t data[32768];
    struct relay_input m = {.bytes = {data, sizeof data}}, got;
    struct frame f;
    struct err e = ERR_INIT;
    uint32_t sent = 0, received = 0;
    int rc;

    while ((m.channel = sent, rc = relay_input_send(t.first, &m, NULL, &e)) == 0)
        sent++;
    cr_expect(rc == ERR_FULL, "%s", e.text);
    cr_expect(link_pending(t.first) > queue_max / 2 && link_pending(t.first) <= queue_max);
    while (received < sent) {
        rc = link_recv(t.second, &f, &e);
        cr_assert(rc >= 0, "%s", e.text);
        if (rc == 0) {
            cr_assert(link_flush(t.first, &e) == 0, "%s", e.text);
            continue;
        }
        cr_assert(relay_input_decode(&f, &got, &e) == 0);
        cr_assert(got.channel == received++ && got.bytes.len == sizeof data);
    }
    cr_expect(link_pending(t.first) == 0);
    link_free(t.first);
    link_free(t.second);
}

Test(base_link, queued_descriptors_arrive)
{
    struct two t = connect_two(&link_listener, 100000);
    struct listener_ready fill = {.certificate_der = {(const uint8_t *)"", 0}};
    struct listener_stream m = {.conn = 5};
    struct frame f;
    struct err e = ERR_INIT;
    int p[2], rc, taken = -1, before;
    char byte;

    (void)fill;
    cr_assert(pipe(p) == 0);
    before = open_descriptors();
    while (!link_pending(t.first))
        cr_assert(listener_stream_send(t.first, &m, &p[1], &e) == 0, "%s", e.text);
    m.conn = 6;
    cr_assert(listener_stream_send(t.first, &m, &p[1], &e) == 0);
    close(p[1]); /* the queue has its own */
    for (;;) {
        struct listener_stream got;
        rc = link_recv(t.second, &f, &e);
        cr_assert(rc >= 0);
        if (rc == 0) {
            cr_assert(link_flush(t.first, &e) == 0);
            continue;
        }
        cr_assert(listener_stream_decode(&f, &got, &e) == 0);
        if (got.conn == 6)
            break;
    }
    taken = frame_take_fd(&f, 0);
    cr_expect(write(taken, "x", 1) == 1 && read(p[0], &byte, 1) == 1 && byte == 'x');
    close(taken);
    cr_expect(open_descriptors() == before - 1);
    link_free(t.first);
    link_free(t.second);
}

Test(base_link, the_last_words_of_a_peer_are_heard)
{
    struct two t = connect_two(&link_relay, 0);
    struct relay_bye bye = {.reason = "over"};
    struct relay_ready ready = {0};
    struct frame f;
    struct err e = ERR_INIT;

    /* the peer leaves something unread, which makes the kernel tell of a reset first */
    cr_assert(relay_ready_send(t.second, &ready, NULL, &e) == 0);
    cr_assert(relay_bye_send(t.first, &bye, NULL, &e) == 0);
    link_free(t.first);
    cr_expect(link_recv(t.second, &f, &e) == 1, "%s", e.text);
    cr_expect(f.spec->number == relay_bye_NUMBER);
    cr_expect(link_recv(t.second, &f, &e) == ERR_CLOSED);
    cr_expect(relay_ready_send(t.second, &ready, NULL, &e) == ERR_CLOSED);
    link_free(t.second);
}

Test(base_link, secrets_do_not_print)
{
    struct two t = connect_two(&link_login, 0);
    struct login_code code = {.answer = "123456"};
    struct frame f;
    struct err e = ERR_INIT;
    struct buf b;
    char *line;

    cr_assert(login_code_send(t.first, &code, NULL, &e) == 0);
    cr_assert(link_recv(t.second, &f, &e) == 1);
    buf_init(&b, 1000);
    cr_assert(link_print(&f, &b) == 0);
    line = buf_string(&b);
    cr_expect(strcmp(line, "code answer=[secret]") == 0, "%s", line);
    free(line);
    buf_clear(&b);
    link_free(t.first);
    link_free(t.second);
}

/* Every message of every table, as empty as it can be: random bytes never get past the decoders
 * without being whole. */
Test(base_link, tables_are_sound)
{
    static const struct link_spec *const links[] = {
        &link_listener, &link_forks, &link_relay, &link_authd,  &link_login,
        &link_hash,     &link_grant, &link_trail, &link_auditd,
    };

    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
        uint32_t all = 0, largest = 0;
        uint64_t seen = 0;
        for (size_t s = 0; s < links[i]->state_count; s++)
            all |= links[i]->states[s].bit;
        for (size_t k = 0; k < links[i]->count; k++) {
            const struct msg_spec *m = &links[i]->messages[k];
            cr_expect(!(seen >> m->number & 1), "%s.%s: number used twice", links[i]->name,
                      m->name);
            seen |= UINT64_C(1) << m->number;
            cr_expect(m->states && !(m->states & ~all), "%s.%s: states", links[i]->name, m->name);
            if (m->max > largest)
                largest = m->max;
        }
        for (size_t k = 0; k < links[i]->count; k++)
            cr_expect(!links[i]->messages[k].reply || seen >> links[i]->messages[k].reply & 1);
        cr_expect(links[i]->max == largest + LINK_HEAD);
    }
}
