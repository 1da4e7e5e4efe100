/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport audit show`: a session's records, one by one, with the places where they stand. Bytes
 * are shown escaped; nothing of a recording reaches the terminal raw. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/cli_audit.h"
#include "audit/digest.h"
#include "audit/trail_read.h"
#include "audit/unseal.h"
#include "base/clock.h"
#include "base/log.h"
#include "gateway/cli.h"

static const char help[] =
    "usage: sallyport audit show [OPTION]... SESSION\n\n"
    "The records of a session: index, seconds since its start, type, channel, content. SESSION is "
    "the\n"
    "beginning of an id, `last`, or `gateway`: logins, decisions, administration, which belong to "
    "no\n"
    "session.\n\n" AUDIT_SOURCE_HELP UNSEAL_HELP "  --full          do not cut long contents\n"
    "  --json          print JSON, one record a line, with segment and offset\n";

/* Bytes of a payload that a line shows; --full shows all. */
#define SHOWN_BYTES 160u

struct show {
    uint8_t session[RECORD_SESSION_ID];
    uint64_t from, start_ns;
    bool json, full;
    struct unseal *unseal;
};

/* What is known of a record's payload. */
struct content {
    struct bytes plain;
    enum unseal_result result;
    bool is_open;
};

static void print_json(const struct trail_view *v, const struct content *c,
                       const struct trail_place *place)
{
    char time[CLOCK_TEXT], id[2 * RECORD_SESSION_ID + 1], hash[DIGEST_HEX];
    const char *token = record_token(v->r.type);
    json_t *payload = NULL, *j;

    hex_encode(id, v->r.session, RECORD_SESSION_ID);
    digest_hex(v->r.payload_hash, hash);
    if (record_is_json(v->r.type) && c->is_open)
        payload = json_loadb((const char *)c->plain.p, c->plain.len, 0, NULL);
    j = json_pack("{s:I, s:s, s:s, s:i, s:s, s:I, s:I, s:s, s:I, s:I, s:s}", "index",
                  (json_int_t)v->r.index, "time", clock_iso(time, v->r.real_ns), "type",
                  token ? token : "unknown", "type_number", v->r.type, "session", id, "sequence",
                  (json_int_t)v->r.sequence, "channel", (json_int_t)v->r.channel, "segment",
                  place->segment, "offset", (json_int_t)v->offset, "length",
                  (json_int_t)v->r.payload_len, "sha256", hash);
    if (v->r.flags & RECORD_FLAG_SEALED)
        json_object_set_new(j, "sealed", json_string(unseal_result_text(c->result)));
    if (payload) {
        json_object_set_new(j, "payload", payload);
    } else if (c->is_open) {
        json_t *text = json_stringn((const char *)c->plain.p, c->plain.len);
        char *hex = text ? NULL : malloc(2 * c->plain.len + 1);

        if (hex)
            hex_encode(hex, c->plain.p, c->plain.len);
        if (text)
            json_object_set_new(j, "text", text);
        else
            json_object_set_new(j, "hex", hex ? json_string(hex) : json_null());
        free(hex);
    }
    /* ASCII: control characters above 127 are for terminals what those below 32 are. */
    json_dumpf(j, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
    putchar('\n');
    json_decref(j);
}

static void print_escaped(const char *text)
{
    size_t len = strlen(text);
    char *escaped = malloc(4 * len + 1);

    if (escaped)
        fputs(escape_text(escaped, 4 * len + 1, text, len), stdout);
    free(escaped);
}

/* One member after the other, `name=value`: names and strings escaped, the rest as JSON. */
static void print_members(const json_t *object)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)object, name, value)
    {
        const char *text = json_string_value(value);
        char *plain =
            text ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII);

        fputs("  ", stdout);
        print_escaped(name);
        fputs(text ? "=\"" : "=", stdout);
        print_escaped(text ? text : "");
        fputs(text ? "\"" : plain ? plain : "", stdout);
        free(plain);
    }
}

static void print_bytes(const struct show *show, const struct content *c)
{
    size_t len = c->plain.len, shown = show->full || len <= SHOWN_BYTES ? len : SHOWN_BYTES;
    char *escaped = malloc(4 * shown + 1);

    printf("  %zu B", len);
    if (escaped)
        printf("  \"%s\"", escape_text(escaped, 4 * shown + 1, c->plain.p, shown));
    if (shown < len)
        printf(" and %zu more", len - shown);
    free(escaped);
}

static void print_text(const struct show *show, const struct trail_view *v, const struct content *c)
{
    const char *token = record_token(v->r.type);
    char time[CLOCK_TEXT], when[CLOCK_TEXT];
    json_t *j = NULL;

    if (show->start_ns)
        snprintf(when, sizeof when, "%+.3f",
                 (double)(int64_t)(v->r.real_ns - show->start_ns) / 1e9);
    else
        snprintf(when, sizeof when, "%s", clock_iso_seconds(time, v->r.real_ns));
    printf("%8" PRIu64 "  %10s  %-14s ch %" PRIu32, v->r.index, when, token ? token : "unknown",
           v->r.channel);
    if (record_is_json(v->r.type) && c->is_open)
        j = json_loadb((const char *)c->plain.p, c->plain.len, 0, NULL);
    if (!c->is_open)
        printf("  %" PRIu32 " B [%s]", record_plain_len(&v->r), unseal_result_text(c->result));
    else if (json_is_object(j))
        print_members(j);
    else
        print_bytes(show, c);
    putchar('\n');
    json_decref(j);
}

static int show_records(const struct audit_source *s, const struct show *show, struct err *e)
{
    struct trail_reader *reader;
    struct trail_place place;
    struct trail_view v;
    struct content c;
    enum fault fault;
    uint64_t unfinished;
    int r = trail_reader_new(&reader, s->dir, show->from, e);

    if (r < 0)
        return r;
    while ((r = trail_reader_next(reader, &v, &unfinished, &fault, e)) == 1) {
        if (memcmp(v.r.session, show->session, RECORD_SESSION_ID) != 0)
            continue;
        if (unseal_note(show->unseal, &v.r, v.payload, e) == ERR_MEMORY)
            break;
        c.result = unseal_record(show->unseal, &v.r, v.header, v.payload, &c.plain, e);
        c.is_open = c.result == UNSEAL_CLEAR || c.result == UNSEAL_OPENED;
        if (c.result == UNSEAL_FAILED)
            break;
        trail_reader_place(reader, &place);
        if (show->json)
            print_json(&v, &c, &place);
        else
            print_text(show, &v, &c);
    }
    r = r == 1 ? e->code : r;
    trail_reader_free(reader);
    return r;
}

static int find(const struct audit_source *s, const char *name, struct show *show, struct err *e)
{
    const struct session_summary *found;
    struct session_list list;
    int r;

    if (strcmp(name, "gateway") == 0)
        return 0; /* session zero, from the first record */
    r = session_scan(s->dir, &list, e);
    if (r < 0)
        return r;
    found = session_named(&list, name, e);
    if (found) {
        memcpy(show->session, found->id, RECORD_SESSION_ID);
        show->from = found->first;
        show->start_ns = found->start_ns;
    }
    session_list_clear(&list);
    return found ? 0 : e->code;
}

int audit_show(int argc, char **argv)
{
    static const struct option options[] = {AUDIT_SOURCE_OPTIONS,
                                            {"full", no_argument, NULL, 'f'},
                                            {"json", no_argument, NULL, 'j'},
                                            UNSEAL_OPTION,
                                            {NULL, 0, NULL, 0}};
    struct show show = {.json = false};
    struct audit_options o = {"audit show", help, "i:", options, -1};
    struct audit_source s;
    struct err e = ERR_INIT;
    int c, r = 0;

    audit_source_init(&s);
    show.unseal = unseal_new(&e);
    if (!show.unseal)
        return cli_fail("%s", e.text);
    while ((c = audit_next_option(&o, &s, argc, argv)) != -1) {
        if (c == 'f')
            show.full = true;
        else if (c == 'j')
            show.json = true;
        else if (c == 'i' && r == 0)
            r = unseal_add_identity(show.unseal, optarg, &e);
    }
    if (o.status >= 0 || optind + 1 != argc) {
        unseal_free(show.unseal);
        return o.status >= 0
                   ? o.status
                   : cli_usage("audit show", "which session? `sallyport audit list` has them");
    }
    if (r == 0 && !unseal_has_identity(show.unseal))
        r = unseal_add_default(show.unseal, &e);
    if (r == 0)
        r = audit_source_open(&s, false, &e);
    if (r == 0)
        r = find(&s, argv[optind], &show, &e);
    if (r == 0)
        r = show_records(&s, &show, &e);
    audit_source_close(&s);
    unseal_free(show.unseal);
    return r < 0 ? cli_fail("%s", e.text) : CLI_DONE;
}
