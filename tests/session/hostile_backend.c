/* SPDX-License-Identifier: Apache-2.0
 *
 * sallyport-backend as an enemy would have it: all of the real program, but what it records as the
 * operator's input, and as what he started, is not always what he sent. Stands in its place in
 * tests/session/test_attest.py, test_bulk.py and
 * test_forward.py. The linker puts the functions __wrap_... between
 * the two (--wrap). */
#include <string.h>

#include "gateway/backend.h"
#include "gateway/backend_session.h"

int __real_record_bytes(struct backend *b, enum record_type type, uint32_t channel,
                        enum trail_want want, const void *bytes, size_t len, uint64_t *number);
int __wrap_record_bytes(struct backend *b, enum record_type type, uint32_t channel,
                        enum trail_want want, const void *bytes, size_t len, uint64_t *number);

int __real_record_end(struct backend *b, struct json_record *r, enum record_type type,
                      uint32_t channel, enum trail_want want, uint64_t *number);
int __wrap_record_end(struct backend *b, struct json_record *r, enum record_type type,
                      uint32_t channel, enum trail_want want, uint64_t *number);

/* Where the record that is being written has these words; NULL: nowhere. */
static char *find(struct json_record *r, const char *words)
{
    return memmem(buf_head(&r->text), buf_len(&r->text), words, strlen(words));
}

static void record_start(struct backend *b, uint32_t channel, const char *command)
{
    struct json_record r;

    record_begin(&r);
    json_str(&r.json, "event", "start");
    json_str(&r.json, "kind", "exec");
    json_str(&r.json, "command", command);
    json_bool(&r.json, "pty", false);
    (void)!__real_record_end(b, &r, RECORD_EXEC, channel, WANT_DURABLE, NULL);
}

static bool starts(const void *bytes, size_t len, const char *word)
{
    return len >= strlen(word) && memcmp(bytes, word, strlen(word)) == 0;
}

int __wrap_record_bytes(struct backend *b, enum record_type type, uint32_t channel,
                        enum trail_want want, const void *bytes, size_t len, uint64_t *number)
{
    static const char forged[] = "rm -rf /\n";
    int r;

    if (type != RECORD_INPUT)
        return __real_record_bytes(b, type, channel, want, bytes, len, number);
    if (starts(bytes, len, "change"))
        return __real_record_bytes(b, type, channel, want, "invent", 6, number);
    r = __real_record_bytes(b, type, channel, want, bytes, len, number);
    if (r == 0 && starts(bytes, len, "add"))
        r = __real_record_bytes(b, type, channel, want, forged, sizeof forged - 1, number);
    if (r == 0 && starts(bytes, len, "channel"))
        r = __real_record_bytes(b, type, channel + 1000, want, forged, sizeof forged - 1, number);
    return r;
}

static void falsify(struct buf *text, const char *member)
{
    uint8_t *p = memmem(buf_head(text), buf_len(text), member, strlen(member));

    if (p != NULL)
        p[strlen(member)] = p[strlen(member)] == '0' ? '1' : '0';
}

/* Input that is not kept, by how much of it there is: 6 bytes, another digest; 8 bytes, the right
 * one and input that never came. */
/* false: the record of this start is left out. */
static bool forge_start(struct backend *b, struct json_record *r, uint32_t channel)
{
    char *p;

    if (find(r, "\"event\":\"start\"") == NULL)
        return true;
    if ((p = find(r, "echo another")) != NULL)
        memcpy(p, "echo forged!", 12);
    if (find(r, "echo before"))
        record_start(b, channel + 1000, "rm -rf /");
    if (find(r, "echo twice"))
        record_start(b, channel, "echo twice");
    if (find(r, "echo screen") && (p = find(r, "\"pty\":false")))
        memcpy(p, "\"pty\":true ", 11);
    return find(r, "echo hidden") == NULL;
}

/* By how the host is written, which is one to the rules: another host, or false: no record at all.
 */
static bool forge_forward(struct json_record *r)
{
    char *p = find(r, "\"detail\":\"LOCALHOST:");

    if (p != NULL)
        memcpy(p + 10, "otherhost", 9);
    return find(r, "\"detail\":\"LocalHost:") == NULL;
}

int __wrap_record_end(struct backend *b, struct json_record *r, enum record_type type,
                      uint32_t channel, enum trail_want want, uint64_t *number)
{
    bool add = false;
    int rc;

    if (type == RECORD_FORWARD_OPEN && !forge_forward(r)) {
        buf_clear(&r->text);
        return 0;
    }

    if (type == RECORD_EXEC && !forge_start(b, r, channel)) {
        buf_clear(&r->text);
        *number = b->trail.sent;
        return 0;
    }
    if (type == RECORD_INPUT_DIGEST &&
        memmem(buf_head(&r->text), buf_len(&r->text), "\"bytes\":6,", 10) != NULL) {
        falsify(&r->text, "\"sha256\":\"");
        falsify(&r->text, "\"total\":\"");
    }
    if (type == RECORD_INPUT_DIGEST)
        add = memmem(buf_head(&r->text), buf_len(&r->text), "\"bytes\":8,", 10) != NULL;
    rc = __real_record_end(b, r, type, channel, want, number);
    if (rc == 0 && add)
        rc = __real_record_bytes(b, RECORD_INPUT, channel, want, "rm -rf /", 8, number);
    return rc;
}
