/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes a trail with one large sealed session, by the recorder's own code, for what has to read it
 * in bounded memory. Usage: bench_session STATE MEGABYTES RECIPIENT [SEGMENT]; STATE must not
 * exist. Prints the session's id. Every line of its output is numbered; the last says "the very
 * last line". With SEGMENT segments have so many bytes, and before that session the recorder died
 * in the middle of two others. */
#include <fcntl.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/session_keys.h"
#include "audit/trail_create.h"
#include "audit/trail_end.h"

/* As a backend sends output. */
#define RECORD_BYTES 32768u

static void must(int r, const struct err *e, const char *what)
{
    if (r >= 0)
        return;
    fprintf(stderr, "bench_session: %s: %s\n", what, e->text);
    exit(EXIT_FAILURE);
}

static EVP_PKEY *log_key(const char *state)
{
    char path[512];
    EVP_PKEY *key;
    FILE *f;

    snprintf(path, sizeof path, "%s/keys/log.key", state);
    f = fopen(path, "r");
    key = f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;
    if (f)
        fclose(f);
    return key;
}

static void clear(struct trail *t, uint8_t type, const uint8_t *id, const char *text)
{
    struct err e = ERR_INIT;

    must(trail_append(t, type, id, type == RECORD_DECISION, text, strlen(text), &e), &e, "append");
}

static void sealed(struct trail *t, struct session_keys *keys, uint8_t type, const uint8_t *id,
                   const void *p, size_t len)
{
    enum record_sealing sealing = record_sealing(type);
    struct err e = ERR_INIT;

    must(trail_append_sealed(t, session_keys_get(keys, sealing), sealing, type, id, 1, p, len, &e),
         &e, "append");
}

static void output(struct trail *t, struct session_keys *keys, const uint8_t *id, uint64_t bytes)
{
    static const char *const words[] = {"alpha", "bravo", "charlie", "delta", "echo", "foxtrot"};
    char block[RECORD_BYTES + 128];
    struct err e = ERR_INIT;
    unsigned long line = 0;
    size_t at = 0;

    for (uint64_t done = 0; done < bytes; done += RECORD_BYTES) {
        while (at < RECORD_BYTES) {
            at += (size_t)sprintf(block + at, "\x1b[32m%010lu\x1b[0m %s %s %lu\r\n", line,
                                  words[line % 6], words[line / 6 % 6], line * 2654435761u % 1000);
            line++;
        }
        sealed(t, keys, RECORD_OUTPUT, id, block, RECORD_BYTES);
        memmove(block, block + RECORD_BYTES, at - RECORD_BYTES);
        at -= RECORD_BYTES;
        must(trail_flush(t, &e), &e, "flush");
    }
    sealed(t, keys, RECORD_OUTPUT, id, "\r\nthe very last line\r\n", 22);
}

static struct session_keys *session(struct trail *t, const struct reviewers *reviewers,
                                    const uint8_t *id, uint64_t bytes, bool end)
{
    static const char resize[] = "{\"columns\":80,\"rows\":24,\"term\":\"xterm\"}";
    static const char shell[] = "{\"event\":\"start\",\"kind\":\"shell\",\"pty\":true}";
    static const char ended[] = "{\"event\":\"exit\",\"status\":0}";
    struct session_keys *keys;
    struct err e = ERR_INIT;

    clear(t, RECORD_SESSION_START, id,
          "{\"operator\":\"alice\",\"account\":\"root\",\"target\":\"hv1\",\"source\":\"192.0.2."
          "1\"}");
    keys = session_keys_new(t, reviewers, id, &e);
    must(keys ? 0 : ERR_CRYPTO, &e, "keys");
    clear(t, RECORD_DECISION, id, "{\"allowed\":true,\"what\":\"shell\",\"pty\":true}");
    sealed(t, keys, RECORD_RESIZE, id, resize, strlen(resize));
    sealed(t, keys, RECORD_EXEC, id, shell, strlen(shell));
    sealed(t, keys, RECORD_INPUT, id, "ls\r", 3);
    output(t, keys, id, bytes);
    if (end) {
        sealed(t, keys, RECORD_EXEC, id, ended, strlen(ended));
        clear(t, RECORD_SESSION_END, id, "{\"reason\":\"client-closed\"}");
    }
    return keys;
}

/* Two sessions, of which one is under way when the recorder dies. */
static void died(const struct trail_options *o, const struct reviewers *reviewers)
{
    uint8_t id[RECORD_SESSION_ID];
    struct trail_report report;
    struct err e = ERR_INIT;
    struct trail *t;

    must(trail_open(&t, o, &report, &e), &e, "open");
    for (uint8_t n = 1; n <= 2; n++) {
        memset(id, n, sizeof id);
        session_keys_free(session(t, reviewers, id, 0, n == 1));
    }
    trail_close(t);
}

int main(int argc, char **argv)
{
    struct reviewers reviewers = {.count = 0};
    uint8_t id[RECORD_SESSION_ID];
    struct trail_created created;
    struct trail_report report;
    struct session_keys *keys;
    struct err e = ERR_INIT;
    struct trail_options o = {.origin = "bench/sallyport/0"};
    char path[512], hex[2 * RECORD_SESSION_ID + 1];
    struct trail *t;

    if (argc != 4 && argc != 5) {
        fputs("usage: bench_session STATE MEGABYTES RECIPIENT [SEGMENT]\n", stderr);
        return 2;
    }
    if (mkdir(argv[1], 0700) != 0)
        must(err_errno(&e, "cannot make %s", argv[1]), &e, "state");
    must(trail_create(argv[1], "bench", getuid(), getgid(), &created, &e), &e, "trail");
    must(reviewers_add(&reviewers, "bench", argv[3], true, &e), &e, "recipient");
    snprintf(path, sizeof path, "%s/trail", argv[1]);
    o.dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    o.log_key = log_key(argv[1]);
    if (argc == 5) {
        o.segment_max = strtoull(argv[4], NULL, 10);
        died(&o, &reviewers);
    }
    must(trail_open(&t, &o, &report, &e), &e, "open");
    memset(id, 0xab, sizeof id);
    keys = session(t, &reviewers, id, strtoull(argv[2], NULL, 10) * 1000000, true);
    session_keys_free(keys);
    must(trail_append_shutdown(t, "shutdown", &e), &e, "shutdown");
    must(trail_want_checkpoint(t, &e), &e, "checkpoint");
    must(trail_sync_now(t, &e), &e, "sync");
    trail_close(t);
    EVP_PKEY_free(o.log_key);
    hex_encode(hex, id, sizeof id);
    puts(hex);
    return 0;
}
