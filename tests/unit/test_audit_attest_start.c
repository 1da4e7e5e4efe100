/* SPDX-License-Identifier: Apache-2.0
 *
 * What a backend's record shows as started: the words that a reader sees, never a digest beside
 * them; and what may be read in two ways is no record. */
#include <criterion/criterion.h>
#include <string.h>

#include "audit/attest_start.h"
#include "audit/digest.h"
#include "base/json_out.h"

static const struct {
    const char *what;
    enum record_type type;
    const char *payload;
    int result;
    enum attest_kind kind;
    bool pty;
    const char *words;
} records[] = {
    {"a shell", RECORD_EXEC, "{\"event\":\"start\",\"kind\":\"shell\",\"pty\":true,\"env\":{}}", 1,
     ATTEST_SHELL, true, ""},
    {"a command", RECORD_EXEC,
     "{\"event\":\"start\",\"kind\":\"exec\",\"command\":\"ls -l\",\"pty\":false}", 1, ATTEST_EXEC,
     false, "ls -l"},
    {"what was asked for, not what runs", RECORD_EXEC,
     "{\"event\":\"start\",\"kind\":\"exec\",\"command\":\"ls\",\"rule\":\"r\",\"forwarded\":\"/"
     "bin/"
     "ls\",\"pty\":false}",
     1, ATTEST_EXEC, false, "ls"},
    {"a terminal that was refused", RECORD_EXEC,
     "{\"event\":\"start\",\"kind\":\"exec\",\"command\":\"ls\",\"pty\":false,\"pty_asked\":true}",
     1, ATTEST_EXEC, true, "ls"},
    {"bytes that are no text", RECORD_EXEC,
     "{\"event\":\"start\",\"kind\":\"exec\",\"command\":\"ls \\u00ff\xc3\xa9\",\"command.raw\":"
     "\"6c7320ffc3a9\",\"pty\":false}",
     1, ATTEST_EXEC, false, "ls \xff\xc3\xa9"},
    {"a shell with words", RECORD_EXEC,
     "{\"event\":\"start\",\"kind\":\"shell\",\"command\":\"rm\",\"pty\":true}", 1, ATTEST_SHELL,
     true, "rm"},
    {"no start", RECORD_EXEC, "{\"event\":\"exit\",\"status\":0}", 0, 0, false, NULL},
    {"a subsystem", RECORD_SUBSYSTEM, "{\"event\":\"start\",\"subsystem\":\"sftp\"}", 1,
     ATTEST_SUBSYSTEM, false, "sftp"},
    {"a refused command", RECORD_REQUEST,
     "{\"what\":\"exec\",\"detail\":\"rm\",\"pty\":true,\"text\":\"no\"}", 1, ATTEST_EXEC, true,
     "rm"},
    {"a refused shell", RECORD_REQUEST, "{\"what\":\"shell\",\"pty\":false,\"text\":\"no\"}", 1,
     ATTEST_SHELL, false, ""},
    {"a refused subsystem", RECORD_REQUEST, "{\"what\":\"subsystem\",\"detail\":\"sftp\"}", 1,
     ATTEST_SUBSYSTEM, false, "sftp"},
    {"a forward", RECORD_FORWARD_OPEN,
     "{\"allowed\":true,\"what\":\"forward\",\"detail\":\"localhost:22\",\"rule\":\"r\"}", 1,
     ATTEST_FORWARD, false, "localhost:22"},
    {"a refused forward", RECORD_FORWARD_OPEN,
     "{\"allowed\":false,\"what\":\"forward\",\"detail\":\"x:1\",\"text\":\"no\"}", 1,
     ATTEST_FORWARD, false, "x:1"},
    {"a forward that the frontend refused", RECORD_FORWARD_OPEN,
     "{\"allowed\":false,\"what\":\"remote-port-forward\",\"detail\":\"x\"}", 0, 0, false, NULL},
    {"a forward in another record", RECORD_REQUEST, "{\"what\":\"forward\",\"detail\":\"x:1\"}", 0,
     0, false, NULL},
    {"a forward as a command", RECORD_EXEC,
     "{\"event\":\"start\",\"kind\":\"forward\",\"command\":\"x:1\"}", ERR_PROTOCOL, 0, false,
     NULL},
    {"another request", RECORD_REQUEST, "{\"what\":\"env\",\"detail\":\"PATH\"}", 0, 0, false,
     NULL},
    {"a digest beside the words", RECORD_EXEC,
     "{\"event\":\"start\",\"kind\":\"exec\",\"command\":\"ls\",\"bytes\":2,\"sha256\":\"00\"}", 1,
     ATTEST_EXEC, false, "ls"},
    {"other bytes than the words", RECORD_EXEC,
     "{\"event\":\"start\",\"kind\":\"exec\",\"command\":\"ls\",\"command.raw\":\"726d\"}",
     ERR_PROTOCOL, 0, false, NULL},
    {"longer bytes than the words", RECORD_EXEC,
     "{\"event\":\"start\",\"kind\":\"exec\",\"command\":\"ls\",\"command.raw\":\"6c7320\"}",
     ERR_PROTOCOL, 0, false, NULL},
    {"bytes without words", RECORD_EXEC,
     "{\"event\":\"start\",\"kind\":\"exec\",\"command.raw\":\"726d\"}", ERR_PROTOCOL, 0, false,
     NULL},
    {"half a byte", RECORD_EXEC,
     "{\"event\":\"start\",\"kind\":\"exec\",\"command\":\"r\",\"command.raw\":\"726\"}",
     ERR_PROTOCOL, 0, false, NULL},
    {"words twice", RECORD_EXEC,
     "{\"event\":\"start\",\"kind\":\"exec\",\"command\":\"ls\",\"command\":\"rm\"}", ERR_PROTOCOL,
     0, false, NULL},
    {"words that are no text", RECORD_EXEC,
     "{\"event\":\"start\",\"kind\":\"exec\",\"command\":[\"ls\"]}", ERR_PROTOCOL, 0, false, NULL},
    {"no kind", RECORD_EXEC, "{\"event\":\"start\",\"command\":\"ls\"}", ERR_PROTOCOL, 0, false,
     NULL},
    {"a kind of another record", RECORD_EXEC, "{\"event\":\"start\",\"kind\":\"subsystem\"}",
     ERR_PROTOCOL, 0, false, NULL},
    {"no event", RECORD_EXEC, "{\"kind\":\"exec\",\"command\":\"ls\"}", ERR_PROTOCOL, 0, false,
     NULL},
    {"a nameless subsystem", RECORD_SUBSYSTEM, "{\"pty\":false}", ERR_PROTOCOL, 0, false, NULL},
    {"a flag that is none", RECORD_EXEC, "{\"event\":\"start\",\"kind\":\"shell\",\"pty\":1}",
     ERR_PROTOCOL, 0, false, NULL},
    {"cut, and whole", RECORD_REQUEST,
     "{\"what\":\"exec\",\"detail\":\"rm\",\"bytes\":5000,\"sha256\":"
     "\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"}",
     ERR_PROTOCOL, 0, false, NULL},
    {"no JSON", RECORD_EXEC, "{\"event\":\"start\"", ERR_PROTOCOL, 0, false, NULL},
    {"another record", RECORD_OUTPUT, "{", 0, 0, false, NULL},
};

static void hash(const void *p, size_t len, uint8_t out[RECORD_HASH_SIZE])
{
    struct digest *d = digest_new();

    digest_bytes(d, p, len, out);
    digest_free(d);
}

Test(attest_start, records)
{
    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        struct attest_start s;
        struct err e = ERR_INIT;
        uint8_t want[RECORD_HASH_SIZE];
        int r = attest_start_read(records[i].type, records[i].payload, strlen(records[i].payload),
                                  &s, &e);

        cr_expect_eq(r, records[i].result, "%s: %d", records[i].what, r);
        if (r != 1 || records[i].result != 1)
            continue;
        hash(records[i].words, strlen(records[i].words), want);
        cr_expect_eq(s.kind, records[i].kind, "%s", records[i].what);
        cr_expect_eq(s.pty, records[i].pty, "%s", records[i].what);
        cr_expect_eq(s.bytes, strlen(records[i].words), "%s", records[i].what);
        cr_expect_arr_eq(s.sha256, want, sizeof want, "%s", records[i].what);
    }
}

/* Whatever bytes a command has, the record that json_out makes of it gives their digest. */
Test(attest_start, all_bytes)
{
    uint8_t words[6000], want[RECORD_HASH_SIZE], head[RECORD_HASH_SIZE];
    uint32_t random = 1;

    for (size_t len = 0; len <= sizeof words; len = len * 2 + 1) {
        struct attest_start s;
        struct json_out j;
        struct buf payload;
        struct err e = ERR_INIT;

        for (size_t i = 0; i < len; i++)
            words[i] =
                len < 300 ? (uint8_t)(i + len) : (uint8_t)((random = random * 69069 + 5) >> 24);
        buf_init(&payload, 65536);
        json_begin(&j, &payload);
        json_str(&j, "event", "start");
        json_str(&j, "kind", "exec");
        json_bytes(&j, "command", words, len);
        cr_assert_eq(json_end(&j), 0);
        cr_expect_eq(attest_start_read(RECORD_EXEC, buf_head(&payload), buf_len(&payload), &s, &e),
                     1, "%zu", len);
        hash(words, len, want);
        cr_expect_eq(s.bytes, len);
        cr_expect_arr_eq(s.sha256, want, sizeof want);
        memset(head, 0, sizeof head);
        if (len > ATTEST_START_SHOWN)
            hash(words, ATTEST_START_SHOWN, head);
        cr_expect_arr_eq(s.head, head, sizeof head);
        buf_clear(&payload);
    }
}

/* A refused command that is longer than its record shows: its own digest is believed, but not
 * without what is shown. */
Test(attest_start, cut)
{
    static const char shown[] = "{\"what\":\"exec\",\"detail\":\"";
    static const char rest[] = "\",\"bytes\":5000,\"sha256\":"
                               "\"00b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
                               "\",\"pty\":false}";
    char payload[5000];
    struct attest_start s;
    struct err e = ERR_INIT;
    uint8_t head[RECORD_HASH_SIZE];
    size_t at = sizeof shown - 1;

    for (size_t less = 0; less < 2; less++) {
        memcpy(payload, shown, at);
        memset(payload + at, 'a', ATTEST_START_SHOWN - less);
        strcpy(payload + at + ATTEST_START_SHOWN - less, rest);
        cr_expect_eq(attest_start_read(RECORD_REQUEST, payload, strlen(payload), &s, &e),
                     less ? ERR_PROTOCOL : 1);
        if (less)
            continue;
        hash(payload + at, ATTEST_START_SHOWN, head);
        cr_expect_arr_eq(s.head, head, sizeof head);
        cr_expect_eq(s.bytes, 5000);
        cr_expect_eq(s.sha256[1], 0xb0);
    }
}
