/* SPDX-License-Identifier: Apache-2.0
 *
 * Policy sets: read once from root's files into a sealed memfd, which authd parses and judges. Of a
 * set the supervisor itself only keeps the targets' addresses, because it connects. The set before
 * the one in force is kept too: grants under way name it. Run by the supervisor. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/record.h"
#include "base/log.h"
#include "gateway/supervisor.h"
#include "policy/bundle.h"
#include "policy/policy_tests.h"

static void set_clear(struct policy_set *set)
{
    if (set->generation)
        close(set->memfd);
    free(set->targets);
    free(set->reviewers);
    memset(set, 0, sizeof *set);
}

static int read_bundle(const struct supervisor *s, struct buf *bundle, struct err *e)
{
    const struct bytes config = {buf_head(&s->config_text), buf_len(&s->config_text)};
    int rc, dir = open(s->confdir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (dir < 0)
        return err_errno(e, "%s", s->confdir);
    rc = bundle_read_with(dir, geteuid(), &config, bundle, e);
    close(dir);
    return rc;
}

static int read_set(struct supervisor *s, struct policy_set *set, struct err *e)
{
    struct err why = ERR_INIT;
    struct buf bundle;
    int rc;

    buf_init(&bundle, BUNDLE_MAX);
    rc = read_bundle(s, &bundle, e);
    if (rc == 0) {
        /* A set with mistakes goes to authd all the same: its words about them are the ones that
         * are told and recorded. */
        set->targets =
            policy_target_addresses(buf_head(&bundle), buf_len(&bundle), &set->target_count, &why);
        if (!set->targets)
            set->target_count = 0;
        /* authd does not read that list. All or nothing: it is part of what is approved. */
        set->reviewers = reviewers_of_set(&bundle, e);
        rc = set->reviewers ? set->memfd = bundle_memfd(&bundle, e) : (int)e->code;
    }
    if (rc >= 0)
        set->generation = ++s->policy_generation;
    else
        set_clear(set);
    buf_clear(&bundle);
    return rc < 0 ? rc : 0;
}

static void send_set(struct supervisor *s, const struct policy_set *set, const char *why)
{
    struct program *authd = program_of(s, PROGRAM_AUTHD);
    struct authd_load m = {.generation = set->generation};
    struct err e = ERR_INIT;

    snprintf(m.why, sizeof m.why, "%s", why);
    if (authd)
        program_sent(authd, authd_load_send(authd->link, &m, &set->memfd, &e), &e);
}

static void not_readable(struct supervisor *s, const char *why, const char *text)
{
    struct program *authd = program_of(s, PROGRAM_AUTHD);
    struct authd_reload_failed m;
    struct err e = ERR_INIT;
    struct json_out *j;

    log_error("policy-refused", "why=%s error=\"%s\"", why, text);
    j = records_begin(s, "policy-unreadable");
    json_str(j, "why", why);
    json_str(j, "error", text);
    records_end(s, RECORD_ALARM);
    snprintf(m.text, sizeof m.text, "%.1989s", text);
    if (authd)
        program_sent(authd, authd_reload_failed_send(authd->link, &m, NULL, &e), &e);
}

void policy_reload(struct supervisor *s, const char *why)
{
    struct err e = ERR_INIT;

    if (!program_of(s, PROGRAM_AUTHD) || s->loading.generation) {
        s->reload_again = true; /* when the one under way is answered */
        return;
    }
    if (read_set(s, &s->loading, &e) < 0) {
        not_readable(s, why, e.text);
        if (!s->started)
            supervisor_fatal(s, "the policy set", e.text);
        return;
    }
    send_set(s, &s->loading, why);
}

void policy_give(struct supervisor *s)
{
    if (s->current.generation)
        send_set(s, &s->current, "authd restarted");
    else if (!s->loading.generation)
        policy_reload(s, "start");
}

static void answered(struct supervisor *s)
{
    if (s->reload_again) {
        s->reload_again = false;
        policy_reload(s, "SIGHUP");
    }
    supervisor_progress(s);
}

int on_loaded(struct program *authd, struct frame *f, struct err *e)
{
    struct supervisor *s = authd->s;
    struct authd_loaded m;
    int rc = authd_loaded_decode(f, &m, e);

    if (rc < 0)
        return rc;
    if (m.generation == s->loading.generation && m.generation) {
        set_clear(&s->previous);
        s->previous = s->current;
        s->current = s->loading;
        memset(&s->loading, 0, sizeof s->loading);
        reviewers_take(s, s->current.reviewers);
    } else if (m.generation != s->current.generation) {
        return err_set(e, ERR_PROTOCOL, "loaded: generation %llu was not given",
                       (unsigned long long)m.generation);
    }
    memcpy(s->current.hash, m.hash, sizeof s->current.hash);
    s->authd_has_policy = true;
    log_info("policy-loaded", "generation=%llu targets=%zu", (unsigned long long)m.generation,
             s->current.target_count);
    answered(s);
    return 0;
}

int on_load_refused(struct program *authd, struct frame *f, struct err *e)
{
    struct supervisor *s = authd->s;
    struct authd_load_refused m;
    int rc = authd_load_refused_decode(f, &m, e);

    if (rc < 0)
        return rc;
    if (m.generation != s->loading.generation && m.generation != s->current.generation)
        return err_set(e, ERR_PROTOCOL, "load_refused: generation %llu was not given",
                       (unsigned long long)m.generation);
    if (m.generation == s->loading.generation)
        set_clear(&s->loading);
    else
        s->reload_again = true; /* a fresh authd knows better: it had stored the next one already */
    log_error("policy-refused", "error=\"%s\"", m.text);
    if (!s->started)
        supervisor_fatal(s, "the policy set", m.text);
    answered(s);
    return 0;
}

void policy_authd_died(struct supervisor *s)
{
    s->authd_has_policy = false;
    /* Nobody will answer for this one; its files are read again. */
    if (s->loading.generation) {
        set_clear(&s->loading);
        s->reload_again = true;
    }
}

const struct policy_target_address *policy_target(const struct supervisor *s, uint64_t generation,
                                                  uint32_t index)
{
    const struct policy_set *set = NULL;

    if (generation && generation == s->current.generation)
        set = &s->current;
    else if (generation && generation == s->previous.generation)
        set = &s->previous;
    return set && index < set->target_count ? &set->targets[index] : NULL;
}

int policy_check(const struct supervisor *s, struct err *e)
{
    struct buf bundle, warnings;
    struct policy *policy = NULL;
    int rc;

    buf_init(&bundle, BUNDLE_MAX);
    buf_init(&warnings, 65536);
    rc = read_bundle(s, &bundle, e);
    if (rc == 0) {
        policy = policy_load(buf_head(&bundle), buf_len(&bundle), &warnings, e);
        rc = policy ? 0 : e->code;
    }
    if (rc == 0)
        rc = policy_tests_check(policy, buf_head(&bundle), buf_len(&bundle), e);
    for (size_t i = 0; rc == 0 && i < s->config.glass_operators.count; i++)
        if (!policy_operator_named(policy, s->config.glass_operators.at[i]))
            fprintf(stderr, "%s: warning: break-glass names %s, who is no operator\n",
                    s->config.file, s->config.glass_operators.at[i]);
    fprintf(stderr, "%.*s", (int)buf_len(&warnings),
            buf_len(&warnings) ? (const char *)buf_head(&warnings) : "");
    policy_free(policy);
    buf_clear(&warnings);
    buf_clear(&bundle);
    return rc;
}
