/* SPDX-License-Identifier: Apache-2.0
 *
 * What `sallyport status` shows of the supervisor: one JSON object of at most 32 KiB. Run by the
 * supervisor. */
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "gateway/reviewers_yaml.h"
#include "gateway/supervisor.h"

/* The sources that are blocked or slowed most; `sallyport source list` has the others. */
#define STATS_SOURCES 16

static void put_slot(struct json_out *j, const struct slot *slot)
{
    const struct program *p = slot->running ? slot->running : slot->starting;
    char iso[CLOCK_TEXT];

    json_open_object(j, NULL);
    json_str(j, "program", program_name(slot->kind));
    json_u64(j, "index", slot->index);
    json_str(j, "state", slot->running ? "running" : slot->starting ? "starting" : "waiting");
    json_u64(j, "generation", slot->generation);
    json_u64(j, "restarts", slot->generation ? slot->generation - 1 : 0);
    json_u64(j, "deaths", slot->deaths);
    if (p) {
        json_i64(j, "pid", p->pid);
        json_str(j, "started", clock_iso_seconds(iso, p->started_real_ns));
        if (slot->kind == PROGRAM_LISTENER)
            json_u64(j, "connections", p->connections);
        if (slot->kind == PROGRAM_FRONTEND || slot->kind == PROGRAM_BACKEND)
            json_u64(j, "forks", p->forks);
    }
    json_close(j);
}

static void put_connections(struct json_out *j, const struct supervisor *s)
{
    static const char *const states[] = {"tls",        "waiting", "login",
                                         "connecting", "session", "ending"};
    enum { STATES = sizeof states / sizeof *states };
    uint64_t counts[STATES] = {0}, total = 0;
    const struct connection *c;

    TAILQ_FOREACH(c, &s->connections, entry)
    {
        const char *state = connection_state(c);
        for (size_t i = 0; i < STATES; i++)
            counts[i] += strcmp(states[i], state) == 0;
        total++;
    }
    json_open_object(j, "connections");
    json_u64(j, "now", total);
    json_u64(j, "ever", s->connections_ever);
    json_u64(j, "max", s->config.connections);
    json_u64(j, "sources", acceptance_sources(s->acceptance));
    for (size_t i = 0; i < STATES; i++)
        json_u64(j, states[i], counts[i]);
    json_close(j);
}

static void put_disk(struct json_out *j, const struct supervisor *s)
{
    static const char *const levels[] = {[DISK_NORMAL] = "normal",
                                         [DISK_SOFT] = "below-soft-mark",
                                         [DISK_HARD] = "below-hard-mark",
                                         [DISK_EXHAUSTED] = "exhausted"};

    static const char *const glass[GLASS_STATES] = {[GLASS_ABSENT] = "absent",
                                                    [GLASS_READY] = "ready",
                                                    [GLASS_IN_USE] = "in-use",
                                                    [GLASS_SPENT] = "spent"};

    json_open_object(j, "trail_disk");
    json_str(j, "level", levels[s->disk.level]);
    json_u64(j, "available", s->disk.available);
    json_u64(j, "total", s->disk.total);
    if (s->disk.glass != GLASS_OFF) {
        json_str(j, "break_glass", glass[s->disk.glass]);
        json_u64(j, "break_glass_reserve", s->disk.glass_bytes);
    }
    json_close(j);
}

int stats_write(struct supervisor *s, struct buf *out)
{
    struct json_out j;
    const struct program *p;
    uint64_t retired = 0;

    TAILQ_FOREACH(p, &s->programs, entry)
    retired += p->state == PROGRAM_RETIRED;
    json_begin(&j, out);
    json_i64(&j, "pid", getpid());
    json_bool(&j, "accepting", s->accepting);
    if (s->trail_failing[0])
        json_str(&j, "trail_failing", s->trail_failing);
    if (admission_closed(s))
        json_str(&j, "no_new_sessions", admission_closed(s));
    json_u64(&j, "reviewers", s->reviewers.count);
    if (reviewers_warning(&s->reviewers))
        json_str(&j, "reviewers_warning", reviewers_warning(&s->reviewers));
    if (s->disk.total > 0)
        put_disk(&j, s);
    json_open_array(&j, "processes");
    for (size_t i = 0; i < s->slot_count; i++)
        if (program_wanted(s, s->slots[i].kind))
            put_slot(&j, &s->slots[i]);
    json_close(&j);
    json_u64(&j, "retired", retired);
    put_connections(&j, s);
    penalties_stats(s, &j, STATS_SOURCES);
    courier_stats(s, &j);
    firewall_stats(s, &j);
    json_open_object(&j, "policy");
    json_u64(&j, "generation", s->current.generation);
    json_hex(&j, "hash", s->current.hash, sizeof s->current.hash);
    json_u64(&j, "targets", s->current.target_count);
    json_close(&j);
    return json_end(&j);
}
