/* SPDX-License-Identifier: Apache-2.0
 *
 * The backend's loop: five descriptors, one poll, and the steps in an order that takes a byte from
 * any of them to the next in one turn. What the parent loads once, the children inherit.
 * Runs in the program sallyport-backend; see gateway/backend.h for whom it trusts. */
#include "gateway/backend.h"

#include <errno.h>
#include <malloc.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "gateway/backend_session.h"
#include "gateway/watchdog.h"

/* Each link holds at most a few messages that the kernel does not take: bulk is only sent when
 * nothing waits, and the longest message is a record of 64 KiB. */
#define TRAIL_QUEUE_MAX (1024u * 1024u)
#define RELAY_QUEUE_MAX (512u * 1024u)
#define GRANT_QUEUE_MAX (16u * 1024u)
/* Freed memory stays in the heap during a burst, or each turn would give pages back and fault them
 * in again; give_memory_back follows when it is quiet. Above what a session may hold. */
#define HEAP_KEPT (8 * 1024 * 1024)
/* A queue of bulk (up to some MiB) comes from the heap that is kept, not each time from the system.
 */
#define HEAP_CHUNK_MAX (8 * 1024 * 1024)
#define CONNECT_MS     10000u /* when the supervisor did not say */

enum { POLL_TARGET, POLL_RELAY, POLL_GRANT, POLL_TRAIL, POLL_COUNT };

/* What the parent made ready. */
struct loaded {
    uint32_t connect_ms;
    EVP_MD *sha256;
};

int backend_start(const struct forkserver_start *start, void **data, struct err *e)
{
    static struct loaded loaded;
    unsigned char seed[32], digest[EVP_MAX_MD_SIZE];
    unsigned int n;

    /* What the children would otherwise open files for: the library's configuration, the
     * generator, the algorithms. */
    if (ssh_init() != SSH_OK)
        return err_set(e, ERR_CRYPTO, "libssh does not start");
    loaded.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (loaded.sha256 == NULL || RAND_bytes(seed, sizeof seed) != 1 ||
        EVP_Digest(seed, sizeof seed, digest, &n, EVP_sha256(), NULL) != 1)
        return err_set(e, ERR_CRYPTO, "OpenSSL does not start");
    (void)mallopt(M_TRIM_THRESHOLD, HEAP_KEPT);
    (void)mallopt(M_MMAP_THRESHOLD, HEAP_CHUNK_MAX);
    loaded.connect_ms = start->connect_ms > 0 ? start->connect_ms : CONNECT_MS;
    *data = &loaded;
    return 0;
}

static int open_links(struct backend *b, const int *fds)
{
    b->target_fd = fds[BACKEND_TARGET];
    b->agent_fd = fds[BACKEND_AGENT];
    b->relay = link_new(fds[BACKEND_RELAY], &link_relay, LINK_SECOND, RELAY_QUEUE_MAX);
    b->grant = link_new(fds[BACKEND_GRANT], &link_grant, LINK_SECOND, GRANT_QUEUE_MAX);
    b->trail.link = link_new(fds[BACKEND_TRAIL], &link_trail, LINK_FIRST, TRAIL_QUEUE_MAX);
    if (b->relay == NULL || b->grant == NULL || b->trail.link == NULL)
        return ERR_MEMORY;
    link_enter(b->relay, relay_STATE_CONNECTING);
    link_enter(b->grant, grant_STATE_WAITING);
    link_enter(b->trail.link, trail_STATE_OPEN);
    return 0;
}

static short link_events(const struct link *l, bool read)
{
    return (short)((read ? POLLIN : 0) | (link_pending(l) > 0 ? POLLOUT : 0));
}

static void set_poll(struct pollfd *p, const struct link *l, bool read)
{
    *p = (struct pollfd){.fd = -1};
    if (l == NULL)
        return;
    p->events = link_events(l, read);
    /* Without anything to wait for, an end of the peer's would wake the loop for ever. */
    if (p->events != 0)
        p->fd = link_fd(l);
}

static int wait_ms(const struct backend *b)
{
    uint64_t next = limits_next_ms(b), other = end_next_ms(b);

    if (flow_ready(b) || target_heard(b))
        return 0;
    if (other < next)
        next = other;
    other = channels_next_ms(b);
    if (other < next)
        next = other;
    if ((b->phase == PHASE_CONNECT || b->phase == PHASE_LOGIN) && b->connect_deadline_ms < next)
        next = b->connect_deadline_ms;
    if (next == UINT64_MAX)
        return -1;
    if (next <= b->now_ms)
        return 0;
    return next - b->now_ms > 60000 ? 60000 : (int)(next - b->now_ms);
}

/* Memory that bursts took goes back to the system when nothing is on its way. */
static void give_memory_back(struct backend *b)
{
    for (size_t i = 0; i < RELAY_CHANNELS_MAX; i++)
        if (b->channels[i].output.head != NULL || b->channels[i].input.head != NULL)
            return;
    if (b->trim) {
        for (size_t i = 0; i < RELAY_CHANNELS_MAX; i++)
            sftp_release(&b->channels[i]);
        malloc_trim(0);
    }
    b->trim = false;
}

static void wait_for_work(struct backend *b)
{
    struct pollfd p[POLL_COUNT];
    short events = target_events(b);
    int ms = wait_ms(b);

    /* A second without work is the time to give memory back. */
    bool idle = b->trim && (ms < 0 || ms > 1000);
    p[POLL_TARGET] = (struct pollfd){.fd = events != 0 ? b->target_fd : -1, .events = events};
    set_poll(&p[POLL_RELAY], b->relay, relay_heard(b));
    set_poll(&p[POLL_GRANT], b->grant, true);
    set_poll(&p[POLL_TRAIL], b->trail.stopped ? NULL : b->trail.link, true);
    if (poll(p, POLL_COUNT, idle ? 1000 : ms) == 0 && idle)
        give_memory_back(b);
}

static void turn(struct backend *b)
{
    watchdog_turn();
    b->now_ms = clock_mono_ms();
    b->turn++;
    record_step(b);
    grant_step(b);
    grant_started(b);
    relay_step(b);
    target_step(b);
    target_pump(b);
    channels_step(b);
    flow_fetch(b); /* before flow_record, which must see the last bytes of all */
    flow_record(b);
    flow_forward(b);
    flow_deliver(b);
    limits_step(b);
    end_step(b);
}

int backend_child(uint64_t conn, const int *fds, void *data)
{
    const struct loaded *loaded = data;
    struct backend *b = calloc(1, sizeof *b);
    struct err e = ERR_INIT;
    int status = 1;

    if (b == NULL || watchdog_start(&e) != 0 || watchdog_agent_start(&e) != 0) {
        log_error("start", "%s", b == NULL ? "memory" : e.text);
        goto out;
    }
    b->conn = conn;
    b->connect_ms = loaded->connect_ms;
    b->sha256 = loaded->sha256;
    b->now_ms = clock_mono_ms();
    if (open_links(b, fds) != 0) {
        log_error("start", "links");
        goto out;
    }
    for (turn(b); b->phase != PHASE_DONE; turn(b))
        wait_for_work(b);
    status = 0;
out:
    if (b != NULL) {
        target_close(b);
        channels_clear(b);
        target_clear(b);
        link_free(b->relay);
        link_free(b->grant);
        link_free(b->trail.link);
        grant_clear(b);
        free(b);
    }
    return status;
}

const struct forkserver_ops backend_ops = {
    .server_sandbox = SANDBOX_BACKEND_SERVER,
    .child_sandbox = SANDBOX_BACKEND,
    .start = backend_start,
    .child = backend_child,
};
