/* SPDX-License-Identifier: Apache-2.0
 *
 * The client's side of the control socket (auth/control_client.h). */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "auth/control_client.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/secret.h"
#include "base/yaml_tree.h"
#include "gateway/cli.h"

/* A list of 50,000 operators at 200 bytes each fits. */
#define REPLY_MAX (16u * 1024 * 1024)
/* A policy set of 100,000 targets loads in 2 s; beyond a minute nobody answers any more. */
#define REPLY_MS 60000

struct control {
    int fd;
    char *path;
    struct buf in;
    int received; /* descriptor that came with the reply, or -1 */
};

char *control_path(const char *confdir, struct err *e)
{
    char *file = cli_printf("%s/sallyport.yaml", confdir), *path = NULL;
    struct buf text;
    struct yaml_doc *doc = NULL;
    if (cli_read_file(file, YAML_FILE_MAX, &text, e) == 0) {
        doc = yaml_parse(file, buf_head(&text), buf_len(&text), e);
        buf_clear(&text);
    }
    if (doc) {
        const struct yaml_node *runtime = yaml_get(yaml_root(doc), "runtime");
        path = cli_printf("%s/control", runtime && runtime->kind == YAML_SCALAR ? runtime->text
                                                                                : "/run/sallyport");
    }
    yaml_doc_free(doc);
    free(file);
    return path;
}

struct control *control_open(const char *path, struct err *e)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof to.sun_path) {
        err_set(e, ERR_INPUT, "the path of the control socket is too long: %s", path);
        return NULL;
    }
    strcpy(to.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        err_errno(e, "socket");
        return NULL;
    }
    if (connect(fd, (const struct sockaddr *)&to, sizeof to) != 0) {
        if (errno == ENOENT || errno == ECONNREFUSED)
            err_set(e, ERR_NOT_FOUND, "sallyportd does not run: nothing listens on %s", path);
        else
            err_errno(e, "cannot reach sallyportd by %s", path);
        close(fd);
        return NULL;
    }
    struct control *c = calloc(1, sizeof *c);
    if (!c) {
        err_set(e, ERR_MEMORY, "no memory");
        close(fd);
        return NULL;
    }
    c->fd = fd;
    c->received = -1;
    c->path = cli_printf("%s", path);
    buf_init(&c->in, REPLY_MAX);
    return c;
}

void control_free(struct control *c)
{
    if (!c)
        return;
    close(c->fd);
    if (c->received >= 0)
        close(c->received);
    buf_wipe(&c->in);
    free(c->path);
    free(c);
}

static int send_line(struct control *c, json_t *request, struct err *e)
{
    char *line = json_dumps(request, JSON_COMPACT);
    if (!line)
        return err_set(e, ERR_MEMORY, "cannot encode the request");
    char *whole = cli_printf("%s\n", line);
    size_t len = strlen(whole), sent = 0;
    int r = 0;
    free(line);
    while (sent < len) {
        ssize_t n = send(c->fd, whole + sent, len - sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        /* Whoever may not ask is told so and closed at once: the answer is there to be read. */
        if (n < 0 && errno == EPIPE)
            break;
        if (n < 0) {
            r = err_errno(e, "cannot ask sallyportd");
            break;
        }
        sent += (size_t)n;
    }
    free(whole);
    return r;
}

/* recv(2), and the one descriptor that may come with it. */
static ssize_t receive(struct control *c, void *bytes, size_t len)
{
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = {.iov_base = bytes, .iov_len = len};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control.space,
                       .msg_controllen = sizeof control.space};
    ssize_t n = recvmsg(c->fd, &m, MSG_CMSG_CLOEXEC);

    for (struct cmsghdr *h = n > 0 ? CMSG_FIRSTHDR(&m) : NULL; h; h = CMSG_NXTHDR(&m, h)) {
        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS ||
            h->cmsg_len != CMSG_LEN(sizeof(int)))
            continue;
        if (c->received >= 0)
            close(c->received);
        memcpy(&c->received, CMSG_DATA(h), sizeof(int));
    }
    return n;
}

int control_take_fd(struct control *c)
{
    int fd = c->received;

    c->received = -1;
    return fd;
}

/* Waits until c->in holds a whole line; its length without the newline, or negative. */
static long receive_line(struct control *c, struct err *e)
{
    uint64_t until = clock_mono_ms() + REPLY_MS;
    for (;;) {
        const uint8_t *end =
            buf_len(&c->in) ? memchr(buf_head(&c->in), '\n', buf_len(&c->in)) : NULL;
        if (end)
            return end - buf_head(&c->in);
        uint64_t now = clock_mono_ms();
        struct pollfd p = {.fd = c->fd, .events = POLLIN};
        if (now >= until || poll(&p, 1, (int)(until - now)) == 0)
            return err_set(e, ERR_TIMEOUT, "sallyportd does not answer");
        char block[8192];
        ssize_t n = receive(c, block, sizeof block);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            return err_set(e, ERR_CLOSED,
                           "sallyportd closed the control connection (only the admins of "
                           "sallyport.yaml may use it)");
        if (n < 0)
            return err_errno(e, "reading from sallyportd");
        int r = buf_put(&c->in, block, (size_t)n);
        wipe(block, sizeof block);
        if (r != 0)
            return err_set(e, ERR_PROTOCOL, "sallyportd's answer is larger than %u bytes",
                           REPLY_MAX);
    }
}

int control_ask(struct control *c, json_t *request, json_t **reply, struct err *e)
{
    *reply = NULL;
    if (!request)
        return err_set(e, ERR_MEMORY, "cannot make the request");
    int r = send_line(c, request, e);
    json_decref(request);
    if (r != 0)
        return r;
    long len = receive_line(c, e);
    if (len < 0)
        return (int)len;
    json_error_t bad;
    json_t *answer =
        json_loadb((const char *)buf_head(&c->in), (size_t)len, JSON_REJECT_DUPLICATES, &bad);
    buf_consume(&c->in, (size_t)len + 1);
    if (!json_is_object(answer)) {
        json_decref(answer);
        return err_set(e, ERR_PROTOCOL, "sallyportd's answer is not a JSON object");
    }
    if (!json_is_true(json_object_get(answer, "ok"))) {
        r = err_set(e, ERR_DENIED, "%s",
                    control_text(answer, "error", "sallyportd refused, without a reason"));
        json_decref(answer);
        return r;
    }
    *reply = answer;
    return 0;
}

int control_once(const char *confdir, json_t *request, json_t **reply, struct err *e)
{
    *reply = NULL;
    char *path = control_path(confdir, e);
    struct control *c = path ? control_open(path, e) : NULL;
    int r;
    free(path);
    if (c) {
        r = control_ask(c, request, reply, e);
    } else {
        json_decref(request);
        r = e && e->code ? e->code : ERR_SYSTEM;
    }
    control_free(c);
    return r;
}

const char *control_text(const json_t *object, const char *name, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : otherwise;
}
