/* SPDX-License-Identifier: Apache-2.0
 *
 * session.txt of an evidence bundle: the clear facts, for people. */
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "audit/bundle.h"
#include "audit/digest.h"
#include "base/clock.h"
#include "base/log.h"

void bundle_summary_note(struct bundle_summary *s, const struct record *r, const uint8_t *payload)
{
    json_t **keep = r->type == RECORD_SESSION_START ? &s->start
                    : r->type == RECORD_SESSION_END ? &s->finish
                    : r->type == RECORD_VERDICT     ? &s->verdict
                                                    : NULL;
    uint32_t stored = r->payload_len, tag = r->flags & RECORD_FLAG_SEALED && stored >= 16 ? 16 : 0;

    if (s->records++ == 0) {
        memcpy(s->session, r->session, RECORD_SESSION_ID);
        s->first = r->index;
        s->start_ns = r->real_ns;
    }
    s->last = r->index;
    s->last_ns = r->real_ns;
    s->files += r->type == RECORD_FILE;
    s->narrowed += r->type == RECORD_GRANT;
    s->sealed += (r->flags & RECORD_FLAG_SEALED) != 0;
    if (r->type == RECORD_INPUT)
        s->bytes_in += stored - tag;
    if (r->type == RECORD_OUTPUT || r->type == RECORD_STDERR || r->type == RECORD_FORWARD_DATA)
        s->bytes_out += stored - tag;
    if (r->type == RECORD_DECISION) {
        json_t *j = json_loadb((const char *)payload, stored, 0, NULL);

        s->refused += json_is_false(json_object_get(j, "allowed"));
        json_decref(j);
    }
    if (keep && !(r->flags & RECORD_FLAG_SEALED)) {
        json_decref(*keep);
        *keep = json_loadb((const char *)payload, stored, 0, NULL);
    }
}

static int line(struct buf *out, const char *label, const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    char escaped[1024];

    return text ? buf_printf(out, "%-10s %s\n", label,
                             escape_text(escaped, sizeof escaped, text, strlen(text)))
                : 0;
}

int bundle_summary_text(const struct bundle_summary *s, const char *origin, struct buf *out,
                        struct err *e)
{
    static const struct {
        const char *label, *name;
    } facts[] = {{"operator", "operator"},      {"account", "account"}, {"target", "target"},
                 {"address", "target_address"}, {"source", "source"},   {"policy", "policy"}};
    char id[2 * RECORD_SESSION_ID + 1], time[CLOCK_TEXT];
    int r;

    hex_encode(id, s->session, RECORD_SESSION_ID);
    r = buf_printf(out, "%-10s %s\n%-10s %s\n", "session", id, "log", origin);
    for (size_t i = 0; r == 0 && i < sizeof facts / sizeof *facts; i++)
        r = line(out, facts[i].label, s->start, facts[i].name);
    if (r == 0)
        r = buf_printf(out, "%-10s %s\n", "began", clock_iso(time, s->start_ns));
    if (r == 0 && s->finish)
        r = line(out, "reason", s->finish, "reason");
    if (r == 0)
        r = buf_printf(out, "%-10s %s\n", s->finish ? "ended" : "open at",
                       clock_iso(time, s->last_ns));
    if (r == 0 && s->verdict)
        r = line(out, "verdict", s->verdict, "verdict");
    if (r == 0)
        r = buf_printf(out,
                       "%-10s %" PRIu64 ", index %" PRIu64 " to %" PRIu64 ", %" PRIu64
                       " of them sealed\n%-10s %" PRIu64 " in, %" PRIu64 " out\n%-10s %u\n",
                       "records", s->records, s->first, s->last, s->sealed, "bytes", s->bytes_in,
                       s->bytes_out, "refused", s->refused);
    if (r == 0 && s->narrowed)
        r = buf_printf(out, "%-10s %u times while it ran (grant records)\n", "narrowed",
                       s->narrowed);
    return r < 0 ? err_set(e, (enum err_code)r, "no memory for the summary") : 0;
}

void bundle_summary_clear(struct bundle_summary *s)
{
    json_decref(s->start);
    json_decref(s->finish);
    json_decref(s->verdict);
    memset(s, 0, sizeof *s);
}
