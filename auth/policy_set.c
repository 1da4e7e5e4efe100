/* SPDX-License-Identifier: Apache-2.0
 *
 * See auth/policy_set.h. The child writes its verdict into a pipe: "+" or the error's text. */
#include "auth/policy_set.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "auth/control.h"
#include "auth/policy_approval.h"
#include "auth/live.h"
#include "auth/sessions.h"
#include "base/json_out.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "policy/bundle.h"
#include "policy/policy_tests.h"

/* The design's largest set loads in under 2 s (policy.md); ten times that on a busy machine. */
#define LOADER_CPU_S 20
#define LOADER_MS    60000
/* The child begins with what authd has mapped, the set in force included: below authd's own limit
 * (base/sandbox.def), so that the child fails before authd would. */
#define LOADER_MEMORY (1792ull * 1024 * 1024)
#define VERDICT_MAX   1990 /* load_refused's text */

struct policy_set {
    struct authd *a;
    struct policy *current;
    uint64_t generation;
    struct policy_approval *approval;

    /* The load under way; child 0: none. */
    pid_t child;
    struct event *verdict_ready;
    int verdict_fd;
    char verdict[VERDICT_MAX + 1];
    size_t verdict_len;
    const void *block;
    size_t block_len;
    uint64_t next_generation;
    char why[101];
    struct policy *next; /* loaded, waits for its record */
    bool refusing;       /* verdict is why; waits for its record */
    char *next_warnings; /* one a line; NULL: none */
    char *warnings;      /* of the set in force, until its sessions are decided about */
};

struct policy_set *policy_set_new(struct authd *a)
{
    struct policy_set *p = calloc(1, sizeof *p);
    if (p) {
        p->a = a;
        p->verdict_fd = -1;
        p->approval = policy_approval_new(a);
    }
    if (p && !p->approval) {
        free(p);
        p = NULL;
    }
    return p;
}

static void end_child(struct policy_set *p)
{
    if (p->verdict_ready)
        event_free(p->verdict_ready);
    p->verdict_ready = NULL;
    if (p->verdict_fd >= 0)
        close(p->verdict_fd);
    p->verdict_fd = -1;
    if (p->child > 0) {
        kill(p->child, SIGKILL);
        while (waitpid(p->child, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    p->child = 0;
}

/* Ends the load under way, whatever it has come to. */
static void clean_up(struct policy_set *p)
{
    end_child(p);
    if (p->block)
        munmap((void *)(uintptr_t)p->block, p->block_len);
    p->block = NULL;
    policy_free(p->next);
    p->next = NULL;
    free(p->next_warnings);
    p->next_warnings = NULL;
    p->next_generation = 0;
    p->verdict_len = 0;
    p->refusing = false;
}

void policy_set_free(struct policy_set *p)
{
    if (!p)
        return;
    clean_up(p);
    policy_free(p->current);
    policy_approval_free(p->approval);
    free(p->warnings);
    free(p);
}

struct policy_approval *policy_set_approval(const struct policy_set *p)
{
    return p->approval;
}

uint64_t policy_set_generation(const struct policy_set *p)
{
    return p->generation;
}

static int record(struct policy_set *p, const char *event, const uint8_t hash[32],
                  uint64_t generation, const char *why, const char *text, trail_done done)
{
    struct buf payload;
    struct json_out j;
    buf_init(&payload, TRAIL_PAYLOAD_MAX);
    json_begin(&j, &payload);
    json_str(&j, "event", event);
    json_hex(&j, "policy", hash, 32);
    json_u64(&j, "generation", generation);
    json_bytes(&j, "why", why, strlen(why));
    if (text)
        json_bytes(&j, "text", text, strlen(text));
    if (strcmp(event, "loaded") == 0)
        policy_approval_record(p->approval, &j);
    if (json_end(&j) < 0)
        buf_clear(&payload);
    return authd_record(p->a, RECORD_POLICY, &payload, done, 0);
}

static void tell_refused(struct policy_set *p, uint64_t generation, const char *text)
{
    struct authd_load_refused m = {.generation = generation};
    struct authd *a = p->a;
    struct err e = ERR_INIT;

    snprintf(m.text, sizeof m.text, "%s", text);
    watch_sent(a->supervisor, authd_load_refused_send(watch_link(a->supervisor), &m, NULL, &e), &e);
    control_policy_refused(a->control, m.text);
}

/* 0: done will be called. */
static int record_refused(struct policy_set *p, uint64_t generation, const char *why,
                          const char *text, trail_done done)
{
    uint8_t hash[32] = {0};
    char shown[2048];

    if (p->block)
        bundle_hash(p->block, p->block_len, hash);
    log_error("policy-refused", "generation=%llu text=\"%s\"", (unsigned long long)generation,
              escape_text(shown, sizeof shown, text, strlen(text)));
    int rc = record(p, "refused", hash, generation, why, text, done);
    if (rc < 0)
        log_warn("refusal-not-recorded", "generation=%llu", (unsigned long long)generation);
    return rc;
}

static void refusal_recorded(void *arg, uint64_t id, int rc)
{
    struct authd *a = arg;
    struct policy_set *p = a->policies;

    (void)id, (void)rc;
    if (!p->refusing)
        return;
    tell_refused(p, p->next_generation, p->verdict);
    clean_up(p);
}

/* A gateway that starts ends by a refusal: so it is on the disk first, as is an alarm before it. */
static void refuse_next(struct policy_set *p, const char *text)
{
    policy_free(p->next);
    p->next = NULL;
    if (text != p->verdict)
        snprintf(p->verdict, sizeof p->verdict, "%s", text);
    end_child(p);
    p->refusing = true;
    if (record_refused(p, p->next_generation, p->why, p->verdict, refusal_recorded) < 0)
        refusal_recorded(p->a, 0, ERR_TRAIL);
}

/* A device certificate stays if its operator still has the key it was issued beside, if any: one
 * that was issued beside a password alone ends with the password (auth/control_password.c). */
static bool keep_certificate(void *arg, const struct store_certificate *c)
{
    const struct policy_operator *op = policy_operator_named(arg, c->operator_name);
    for (size_t i = 0; op && i < op->key_count; i++)
        if (strcmp(op->keys[i].fingerprint, c->fingerprint) == 0)
            return true;
    return op && !(c->factors & FACTOR_KEY);
}

/* What those who asked for the set are told comes when it holds for the sessions as well. */
static void sessions_decided(struct authd *a, const struct live_counts *counts)
{
    struct policy_set *p = a->policies;

    control_policy_loaded(a->control, p->generation, policy_hash(p->current), counts, p->warnings);
    free(p->warnings);
    p->warnings = NULL;
}

static void swap_in(struct policy_set *p)
{
    struct authd *a = p->a;
    struct authd_loaded m = {.generation = p->next_generation};
    struct err e = ERR_INIT;
    unsigned certificates = 0;

    policy_free(p->current);
    p->current = p->next;
    p->next = NULL;
    p->generation = p->next_generation;
    a->world.policy = p->current;
    memcpy(m.hash, policy_hash(p->current), sizeof m.hash);
    unsigned ended = sessions_sweep(a);
    if (store_certificates_sweep(a->world.store, keep_certificate, p->current, "key-removed",
                                 authd_now_s(a), &certificates, &e) < 0)
        log_error("store", "text=\"%s\"", e.text);
    log_info("policy-loaded",
             "generation=%llu operators=%zu targets=%zu roles=%zu ended=%u forgotten=%u",
             (unsigned long long)p->generation, policy_operator_count(p->current),
             policy_target_count(p->current), policy_role_count(p->current), ended, certificates);
    watch_sent(a->supervisor, authd_loaded_send(watch_link(a->supervisor), &m, NULL, &e), &e);
    free(p->warnings);
    p->warnings = p->next_warnings;
    p->next_warnings = NULL;
    clean_up(p);
    live_reload(a, sessions_decided);
}

static void load_recorded(void *arg, uint64_t id, int rc)
{
    struct authd *a = arg;
    struct policy_set *p = a->policies;
    struct err e = ERR_INIT;
    (void)id;
    if (!p->next)
        return;
    if (rc < 0)
        refuse_next(p, "the recorder is not available, and nothing comes into force unrecorded");
    else if (policy_approval_accept(p->approval, &e) < 0)
        refuse_next(p, e.text);
    else
        swap_in(p);
}

static void not_approved(struct policy_set *p, const char *text)
{
    policy_approval_refused(p->approval, text);
    refuse_next(p, text);
}

/* The child found nothing wrong: now for ourselves. */
static void load_checked(struct policy_set *p)
{
    struct buf warnings;
    struct err e = ERR_INIT;
    if (policy_approval_check(p->approval, p->block, p->block_len, &e) < 0) {
        not_approved(p, e.text);
        return;
    }
    buf_init(&warnings, 32768);
    p->next = policy_load(p->block, p->block_len, &warnings, &e);
    char *text = p->next_warnings = buf_len(&warnings) ? buf_string(&warnings) : NULL;
    if (text) {
        char shown[4096];
        log_warn("policy", "text=\"%s\"", escape_text(shown, sizeof shown, text, strlen(text)));
    }
    if (!p->next)
        refuse_next(p, e.text);
    else if (record(p, "loaded", policy_hash(p->next), p->next_generation, p->why, text,
                    load_recorded) < 0)
        load_recorded(p->a, 0, ERR_TRAIL);
    buf_clear(&warnings);
}

static void on_verdict(evutil_socket_t fd, short what, void *arg)
{
    struct policy_set *p = arg;
    int status = 0;
    if (what & EV_TIMEOUT) {
        refuse_next(p, "the policy set took too long to parse");
        return;
    }
    ssize_t n = read(fd, p->verdict + p->verdict_len, VERDICT_MAX - p->verdict_len);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n > 0) {
        p->verdict_len += (size_t)n;
        if (p->verdict_len < VERDICT_MAX)
            return;
    }
    event_free(p->verdict_ready);
    p->verdict_ready = NULL;
    p->verdict[p->verdict_len] = '\0';
    while (waitpid(p->child, &status, 0) < 0 && errno == EINTR)
        ;
    p->child = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && strcmp(p->verdict, "+") == 0)
        load_checked(p);
    else if (WIFEXITED(status) && WEXITSTATUS(status) == 1 && p->verdict_len > 0)
        refuse_next(p, p->verdict);
    else if (WIFEXITED(status) && WEXITSTATUS(status) == POLICY_NOT_APPROVED && p->verdict_len > 0)
        not_approved(p, p->verdict);
    else
        refuse_next(p, "the policy set could not be parsed: the parser failed, or needed too much"
                       " memory or time");
}

_Noreturn static void child_parse(const struct policy_set *p, int out)
{
    struct err e = ERR_INIT;
    int rc = 0;
#ifndef SALLYPORT_SANITIZERS
    const struct rlimit cpu = {LOADER_CPU_S, LOADER_CPU_S};
    const struct rlimit memory = {LOADER_MEMORY, LOADER_MEMORY};
    if (setrlimit(RLIMIT_CPU, &cpu) < 0 || setrlimit(RLIMIT_AS, &memory) < 0)
        rc = err_errno(&e, "limits of the policy's parser");
#endif
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* Nothing of authd's is its child's: only the log and the pipe stay open. */
    if (rc == 0 && ((out > 3 && close_range(3, (unsigned)out - 1, 0) < 0) ||
                    close_range((unsigned)out + 1, ~0u, 0) < 0))
        rc = err_errno(&e, "descriptors of the policy's parser");
    if (rc == 0 && p->a->sealed)
        rc = sandbox_seal(SANDBOX_POLICY_LOADER, &e);
    /* What is not approved is not even parsed; a set that fails its own tests is a bad set. */
    bool approved = rc == 0 && policy_approval_try(p->approval, p->block, p->block_len, &e) == 0;
    struct policy *policy = approved ? policy_load(p->block, p->block_len, NULL, &e) : NULL;
    if (policy && policy_tests_check(policy, p->block, p->block_len, &e) < 0)
        policy = NULL;
    const char *verdict = policy ? "+" : e.text;
    size_t len = strnlen(verdict, VERDICT_MAX);
    if (write(out, verdict, len) != (ssize_t)len)
        _exit(2);
    _exit(policy ? 0 : rc == 0 && !approved ? POLICY_NOT_APPROVED : 1);
}

static int start_child(struct policy_set *p, struct err *e)
{
    int fds[2];
    const struct timeval limit = {LOADER_MS / 1000, 0};
    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_errno(e, "pipe");
    p->child = fork();
    if (p->child == 0)
        child_parse(p, fds[1]);
    close(fds[1]);
    p->verdict_fd = fds[0];
    if (p->child < 0) {
        p->child = 0;
        return err_errno(e, "starting the policy's parser");
    }
    p->verdict_ready = event_new(p->a->base, p->verdict_fd, EV_READ | EV_PERSIST, on_verdict, p);
    if (!p->verdict_ready || event_add(p->verdict_ready, &limit) < 0)
        return err_set(e, ERR_MEMORY, "policy set");
    return 0;
}

static int map_block(struct policy_set *p, int memfd, struct err *e)
{
    struct stat st;
    if (fstat(memfd, &st) < 0)
        return err_errno(e, "policy set");
    if (st.st_size <= 0 || (uint64_t)st.st_size > BUNDLE_MAX)
        return err_set(e, ERR_INPUT, "the policy set is empty or larger than %u bytes", BUNDLE_MAX);
    void *block = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, memfd, 0);
    if (block == MAP_FAILED)
        return err_errno(e, "policy set");
    p->block = block;
    p->block_len = (size_t)st.st_size;
    return 0;
}

void policy_set_load(struct policy_set *p, uint64_t generation, const char *why, int memfd)
{
    struct err e = ERR_INIT;
    if (p->next_generation) {
        close(memfd);
        static const char busy[] = "another policy set is being loaded; try again";
        if (record_refused(p, generation, why, busy, NULL) < 0)
            log_debug("policy", "busy");
        tell_refused(p, generation, busy);
        return;
    }
    p->next_generation = generation;
    snprintf(p->why, sizeof p->why, "%s", why);
    int rc = generation > p->generation
                 ? map_block(p, memfd, &e)
                 : err_set(&e, ERR_INPUT, "this generation of the policy set is not newer");
    close(memfd);
    if (rc == 0)
        rc = policy_approval_begin(p->approval, &e);
    if (rc == 0)
        rc = start_child(p, &e);
    if (rc < 0)
        refuse_next(p, e.text);
}
