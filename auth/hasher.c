/* SPDX-License-Identifier: Apache-2.0
 *
 * See auth/hasher.h. A queue in order of arrival; its first entry is with the child. When the child
 * ends unasked, what it had is answered with no hash, and the next one starts another child. */
#include "auth/hasher.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "auth/password.h"
#include "auth/watch.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "gateway/messages.h"

/* One request and one answer are under way. */
#define QUEUE_MAX 8192

struct waiting {
    uint64_t id;
    struct address source;
    char setting[PASSWORD_SETTING + 1];
    struct secret *password;
    bool asked;     /* the child has it */
    bool forgotten; /* the child has it, and nobody waits */
};

struct hasher {
    struct event_base *base;
    struct event *timer; /* of the hash under way, or of an idle child */
    bool sealed;
    const struct hasher_handler *handler;
    void *arg;
    pid_t child; /* 0: none */
    struct watch *link;
    struct waiting waiting[HASHER_WAITING_MAX];
    unsigned count;
    uint64_t made, refused;
};

/* ---- the child ---- */

static int hash_one(struct link *l, struct frame *f, struct err *e)
{
    struct hash_ask m;
    struct hash_made reply = {0};
    struct err why = ERR_INIT;
    int rc = hash_ask_decode(f, &m, e);

    wipe((void *)(uintptr_t)f->fields.p, f->fields.len);
    if (rc == 0) {
        reply.id = m.id;
        if (password_hash(m.password, m.setting, reply.hash, &why) < 0) {
            log_error("hash", "text=\"%s\"", why.text);
            reply.hash[0] = '\0';
        }
        rc = hash_made_send(l, &reply, NULL, e);
    }
    wipe(&m, sizeof m);
    wipe(&reply, sizeof reply);
    return rc;
}

_Noreturn static void child_run(const struct hasher *h, int fd)
{
    struct err e = ERR_INIT;
    struct frame f;
    int rc = 0;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* What is said to all of the gateway's processes is authd's to follow: it ends this one. */
    if (signal(SIGTERM, SIG_IGN) == SIG_ERR || signal(SIGINT, SIG_IGN) == SIG_ERR ||
        signal(SIGHUP, SIG_IGN) == SIG_ERR)
        rc = err_errno(&e, "signals of the passwords' child");
    h->handler->forked(h->arg);
    prctl(PR_SET_NAME, "authd-hasher");
    /* Nothing of authd's is its child's: only the log and the link stay open. */
    if (rc == 0 && ((fd > 3 && close_range(3, (unsigned)fd - 1, 0) < 0) ||
                    close_range((unsigned)fd + 1, ~0u, 0) < 0))
        rc = err_errno(&e, "descriptors of the passwords' child");
    struct link *l = rc == 0 ? link_new(fd, &link_hash, LINK_SECOND, QUEUE_MAX) : NULL;
    if (rc == 0 && !l)
        rc = err_set(&e, ERR_MEMORY, "link of the passwords' child");
    if (rc == 0 && h->sealed)
        rc = sandbox_seal(SANDBOX_HASHER, &e);
    if (rc == 0)
        link_enter(l, hash_STATE_RUNNING);
    while (rc == 0) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        rc = link_recv(l, &f, &e);
        if (rc > 0)
            rc = hash_one(l, &f, &e);
        else if (rc == 0 && poll(&p, 1, -1) < 0 && errno != EINTR)
            rc = err_errno(&e, "waiting for authd");
    }
    if (rc != ERR_CLOSED)
        log_error("hasher", "text=\"%s\"", e.text);
    _exit(rc == ERR_CLOSED ? 0 : 1);
}

/* ---- authd's side ---- */

/* Its wait status. */
static int end_child(struct hasher *h)
{
    int status = 0;

    watch_free(h->link);
    h->link = NULL;
    evtimer_del(h->timer);
    if (h->child > 0) {
        kill(h->child, SIGKILL);
        while (waitpid(h->child, &status, 0) < 0 && errno == EINTR)
            ;
    }
    h->child = 0;
    return status;
}

static void wait_at_most(struct hasher *h, int seconds)
{
    const struct timeval limit = {seconds, 0};

    if (evtimer_add(h->timer, &limit) < 0)
        log_warn("hasher", "text=\"no timer\"");
}

static void remove_at(struct hasher *h, unsigned i)
{
    secret_free(h->waiting[i].password);
    h->count--;
    memmove(&h->waiting[i], &h->waiting[i + 1], (h->count - i) * sizeof h->waiting[0]);
}

/* The first one is answered and gone; done may ask anew. */
static void answer_first(struct hasher *h, const char *hash)
{
    const uint64_t id = h->waiting[0].id;
    const bool forgotten = h->waiting[0].forgotten;

    remove_at(h, 0);
    if (!forgotten)
        h->handler->done(h->arg, id, hash);
}

static void begin_first(struct hasher *h);

static int on_frame(void *arg, struct frame *f, struct err *e)
{
    struct hasher *h = arg;
    struct hash_made m;
    int rc = hash_made_decode(f, &m, e);

    wipe((void *)(uintptr_t)f->fields.p, f->fields.len);
    if (rc == 0 && (h->count == 0 || !h->waiting[0].asked || h->waiting[0].id != m.id))
        rc = err_set(e, ERR_PROTOCOL, "link hash: an answer that nobody asked for");
    if (rc == 0) {
        h->made++;
        answer_first(h, *m.hash ? m.hash : NULL);
        begin_first(h);
    }
    wipe(&m, sizeof m);
    return rc;
}

static void child_failed(struct hasher *h, const char *why)
{
    const int status = end_child(h);
    const bool asked = h->count > 0 && h->waiting[0].asked;
    char text[300];

    snprintf(text, sizeof text, "%s (%s %d)", why, WIFSIGNALED(status) ? "signal" : "status",
             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    h->handler->died(h->arg, asked ? h->waiting[0].id : 0, text);
    if (asked)
        answer_first(h, NULL);
    begin_first(h);
}

static void on_ended(void *arg, int code, const struct err *e)
{
    (void)code;
    child_failed(arg, e->text);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct hasher *h = arg;
    (void)fd, (void)what;

    if (h->count > 0)
        child_failed(h, "a hash took too long");
    else
        end_child(h); /* idle */
}

static int start_child(struct hasher *h, struct err *e)
{
    static const struct watch_handler handler = {on_frame, on_ended};
    int fds[2], rc = link_pair(fds, QUEUE_MAX, e);

    if (rc < 0)
        return rc;
    h->child = fork();
    if (h->child == 0)
        child_run(h, fds[1]);
    close(fds[1]);
    if (h->child < 0) {
        h->child = 0;
        close(fds[0]);
        return err_errno(e, "starting the passwords' child");
    }
    h->link = watch_new(h->base, fds[0], &link_hash, LINK_FIRST, QUEUE_MAX, &handler, h);
    if (!h->link) {
        end_child(h);
        return err_set(e, ERR_MEMORY, "link to the passwords' child");
    }
    link_enter(watch_link(h->link), hash_STATE_RUNNING);
    return 0;
}

/* The first that waits goes to the child, which is started if there is none. */
static void begin_first(struct hasher *h)
{
    struct hash_ask m = {0};
    struct err e = ERR_INIT;

    while (h->count > 0 && !h->waiting[0].asked && !h->link && start_child(h, &e) < 0) {
        log_error("hasher", "text=\"%s\"", e.text);
        answer_first(h, NULL);
    }
    if (h->count == 0) {
        if (h->link)
            wait_at_most(h, HASHER_IDLE_S);
        return;
    }
    struct waiting *first = &h->waiting[0];
    if (first->asked)
        return;
    first->asked = true;
    m.id = first->id;
    strcpy(m.setting, first->setting);
    strcpy(m.password, (const char *)secret_view(first->password)); /* see hasher_ask */
    wait_at_most(h, HASHER_HASH_S);
    watch_sent(h->link, hash_ask_send(watch_link(h->link), &m, NULL, &e), &e);
    wipe(&m, sizeof m);
    secret_free(first->password);
    first->password = NULL;
}

struct hasher *hasher_new(struct event_base *base, bool sealed,
                          const struct hasher_handler *handler, void *arg, struct err *e)
{
    struct hasher *h = calloc(1, sizeof *h);

    if (!h) {
        err_set(e, ERR_MEMORY, "passwords");
        return NULL;
    }
    if (sealed && sandbox_prepare(SANDBOX_HASHER, e) < 0) {
        free(h);
        return NULL;
    }
    h->base = base;
    h->sealed = sealed;
    h->handler = handler;
    h->arg = arg;
    if (!(h->timer = evtimer_new(base, on_timer, h))) {
        err_set(e, ERR_MEMORY, "passwords");
        free(h);
        return NULL;
    }
    return h;
}

void hasher_free(struct hasher *h)
{
    if (!h)
        return;
    end_child(h);
    while (h->count > 0)
        remove_at(h, h->count - 1);
    event_free(h->timer);
    free(h);
}

static bool same_source(const struct address *a, const struct address *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

int hasher_ask(struct hasher *h, uint64_t id, const struct address *source, const char *setting,
               struct secret *password, struct err *e)
{
    unsigned of_source = 0;
    const size_t len = secret_len(password);

    for (unsigned i = 0; i < h->count; i++)
        of_source += same_source(&h->waiting[i].source, source);
    if (h->count == HASHER_WAITING_MAX || of_source >= HASHER_SOURCE_MAX) {
        h->refused++;
        secret_free(password);
        return err_set(e, ERR_FULL, "too many passwords wait to be checked");
    }
    if (len == 0 || len > PASSWORD_MAX + 1 || secret_view(password)[len - 1] != '\0' ||
        strlen(setting) > PASSWORD_SETTING) {
        secret_free(password);
        return err_set(e, ERR_INPUT, "not a password");
    }
    struct waiting *w = &h->waiting[h->count++];
    *w = (struct waiting){.id = id, .source = *source, .password = password};
    strcpy(w->setting, setting);
    if (h->count > 1)
        return 0;
    /* Its answer must not come from within: a child that cannot be started is told here. */
    if (!h->link) {
        int rc = start_child(h, e);
        if (rc < 0) {
            remove_at(h, 0);
            return rc;
        }
    }
    begin_first(h);
    return 0;
}

void hasher_forget(struct hasher *h, uint64_t id)
{
    for (unsigned i = 0; h && i < h->count; i++) {
        if (h->waiting[i].id != id || h->waiting[i].forgotten)
            continue;
        if (h->waiting[i].asked)
            h->waiting[i].forgotten = true;
        else
            remove_at(h, i);
        return;
    }
}

void hasher_count(const struct hasher *h, struct hasher_counts *out)
{
    *out = (struct hasher_counts){h->made, h->refused, h->count};
}
