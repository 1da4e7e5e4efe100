/* SPDX-License-Identifier: Apache-2.0
 *
 * Everything around one backend, for tests/session/backend_harness.c: the supervisor that starts
 * the real program (its own uid, sandbox enforcing), the frontend, authd's grant, auditd. Not part
 * of a gateway. */
#ifndef SALLYPORT_TESTS_BACKEND_WORLD_H
#define SALLYPORT_TESTS_BACKEND_WORLD_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

#include "audit/record.h"
#include "gateway/messages.h"
#include "policy/policy.h"

#define CHECK(x)                                                                                   \
    do {                                                                                           \
        if (!(x)) {                                                                                \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x);                                \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

#define KEEP           65536u
#define WORLD_CHANNELS (RELAY_CHANNELS_MAX + 6)

struct stream {
    bool plain; /* counts only */
    uint64_t bytes;
    EVP_MD_CTX *digest;
    char head[KEEP + 1]; /* the first bytes */
};

struct channel {
    bool opened, open_failed, started, start_failed, eof, exited, closed;
    uint32_t status, input_credit;
    uint32_t unacknowledged; /* output taken, credit not given back */
    char signal[33], text[1001];
    struct stream out[2], recorded[3]; /* recorded: input, output, stderr */
};

struct kept_record {
    uint8_t type, want;
    uint32_t channel;
    char *text; /* JSON of the structured ones */
    uint64_t at_ms;
};

struct world {
    /* what the backend is told, set before world_start */
    struct grant_grant grant;
    bool no_grant; /* grant.away in its place */
    uint32_t connect_ms;
    uint16_t port;
    /* what this auditd does: so long until it answers; never for records beyond a number */
    uint64_t answer_after_ms, answer_up_to;
    bool slow_reader; /* gives no credit for output */

    pid_t server, child;
    struct link *forks, *relay, *authd, *trail;
    bool ready, ended, child_ended, relay_closed;
    uint32_t wait_status;
    struct relay_end end;
    char notice[1001], state_text[1001];
    uint8_t state;
    struct channel *channels; /* WORLD_CHANNELS */
    uint32_t opened;
    struct kept_record *records;
    size_t record_count;
    uint64_t told;
};

void world_init(struct world *w);
/* program: sallyport-backend; agent: an agent's socket; the target listens on 127.0.0.1 */
void world_start(struct world *w, const char *program, const char *agent);
/* One turn of everybody; waits at most ms. */
void world_turn(struct world *w, int ms);
/* Turns until the condition or 20 s are over. */
#define UNTIL(w, condition)                                                                        \
    do {                                                                                           \
        uint64_t until_ = clock_mono_ms() + 20000;                                                 \
        while (!(condition)) {                                                                     \
            if (clock_mono_ms() > until_) {                                                        \
                world_print(w);                                                                    \
                fprintf(stderr, "%s:%d: not within 20 s: %s\n", __FILE__, __LINE__, #condition);   \
                exit(1);                                                                           \
            }                                                                                      \
            world_turn(w, 50);                                                                     \
        }                                                                                          \
    } while (0)
/* The operator leaves; waits for the end record and the process. */
void world_bye(struct world *w);
void world_wait_end(struct world *w);
void world_print(const struct world *w);

struct channel *world_open(struct world *w, uint32_t *number);
void world_start_on(struct world *w, uint32_t number, enum start_kind kind, const char *command);
/* Sends what credit permits, returns the bytes sent. */
size_t world_input(struct world *w, uint32_t number, const void *bytes, size_t len);
void world_eof(struct world *w, uint32_t number);
void world_close(struct world *w, uint32_t number);
/* The n-th record (from 0) of a type that holds text; NULL: none. */
const struct kept_record *world_record(const struct world *w, enum record_type type,
                                       const char *text, unsigned n);
void stream_add(struct stream *s, const void *bytes, size_t len);
/* The digest so far, in hex. */
void stream_hex(struct stream *s, char out[65]);

/* Opens a channel and starts a command (NULL: a shell) on it, waits for the answer. */
struct channel *run(struct world *w, const char *command, uint32_t *number);
/* Waits for the channel's end, closes it, leaves. */
void finish(struct world *w, struct channel *c, uint32_t number);

/* backend_harness.c: what the scenario was called with */
extern const char *argument;

/* backend_transfers.c */
void test_download(struct world *w);
void test_upload(struct world *w);
void test_speed_down(struct world *w);
void test_speed_up(struct world *w);
void test_slow_reader(struct world *w);
void test_memory(struct world *w);
void test_latency(struct world *w);

/* backend_endings.c */
void test_grant_end(struct world *w);
void test_authd_dies(struct world *w);
void test_authd_away(struct world *w);
void test_authd_away_at_first(struct world *w);
void test_trail_stops(struct world *w);
void test_trail_dies(struct world *w);
void test_frontend_dies(struct world *w);
void test_target_dies(struct world *w);
void test_idle(struct world *w);
void test_idle_terminal(struct world *w);
void test_bye_drains(struct world *w);

/* backend_narrows.c */
void test_narrow(struct world *w);
void test_narrow_start(struct world *w);
void test_narrow_sync(struct world *w);
void test_narrow_more(struct world *w);
void test_narrow_junk(struct world *w);

#endif
