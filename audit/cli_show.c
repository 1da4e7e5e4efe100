/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport audit show`: a session's records, one by one, with the places where they stand. Sealed
 * payloads are opened where a reviewer's identity is there; raw keystrokes only on request. Bytes
 * are shown escaped; nothing of a recording reaches the terminal raw. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/cli_audit.h"
#include "audit/data_key.h"
#include "audit/digest.h"
#include "audit/not_kept.h"
#include "audit/pruned_by.h"
#include "audit/segments.h"
#include "audit/sftp_view.h"
#include "audit/time_text.h"
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
    "session.\n\n" AUDIT_SOURCE_HELP AUDIT_READ_HELP UNSEAL_HELP
    "  --keystrokes    show what was typed, as it was typed; else only how much\n"
    "  --type TYPE     only records of this type (input, output, command, decision ...); may be "
    "repeated\n"
    "  --from TIME, --to TIME   since the session's start: 1m20s, 80, 1:20\n"
    "  --follow        wait for more, until the session ends\n"
    "  --full          do not cut long contents; show each digest of what was not kept\n"
    "  --json          print JSON, one record a line, with segment and offset\n";

/* Bytes of a payload that a line shows; --full shows all. */
#define SHOWN_BYTES 160u

struct show {
    struct source_selection selection;
    struct unseal *unseal;
    bool json, full, keystrokes;
    bool type_wanted[256], any_type;
    uint64_t from_ns, to_ns; /* since the start; to_ns 0: the end */
    uint64_t start_ns;       /* of the first record that was seen */
    bool identity_missed;    /* something was sealed, and there is no identity */
    struct sftp_channels sftp;
    struct not_kept not_kept;
    struct pruned_by *pruned_by;
    char pruned[PRUNED_BY_TEXT];   /* the record's that is shown */
    char key_gone[PRUNED_BY_TEXT]; /* "": the session's keys are there */
};

/* What of a record can be shown. */
struct content {
    struct bytes plain;
    const char *why_not; /* NULL: plain is the payload */
    bool hidden;         /* keystrokes, not asked for */
    bool form;           /* the recorded form of SFTP, with these packets */
    struct sftp_counts counts;
};

/* "output": its number; -1. */
static int type_number(const char *token)
{
    for (int type = 0; type < 256; type++) {
        const char *known = record_token((uint8_t)type);

        if (known && strcmp(known, token) == 0)
            return type;
    }
    return -1;
}

static struct content open_record(struct show *show, const struct source_record *v)
{
    struct content c = {.why_not = NULL};
    enum unseal_result result;
    struct err e = ERR_INIT;

    if (!v->payload) {
        c.why_not = v->pruned ? pruned_by_words(show->pruned_by, v, show->pruned) : "not sent";
        if (v->pruned && v->r.type == RECORD_KEY)
            snprintf(show->key_gone, sizeof show->key_gone, "its key was %.480s", show->pruned);
        return c;
    }
    result = unseal_record(show->unseal, &v->r, v->header, v->payload, &c.plain, &e);
    if (result != UNSEAL_CLEAR && result != UNSEAL_OPENED)
        c.why_not = unseal_result_text(result);
    if (result == UNSEAL_NO_KEY && show->key_gone[0])
        c.why_not = show->key_gone;
    show->identity_missed = show->identity_missed || result == UNSEAL_NO_IDENTITY;
    c.hidden = !c.why_not && record_sealing(v->r.type) == SEALING_KEYSTROKES &&
               v->r.type == RECORD_INPUT && !show->keystrokes;
    return c;
}

/* Keeps count of an SFTP channel's packets, over all of its records. */
static void note_sftp(struct show *show, const struct source_record *v, struct content *c)
{
    struct sftp_channel *channel;

    sftp_channels_note(&show->sftp, &v->r, c->why_not ? NULL : c->plain.p, c->plain.len);
    c->form = sftp_channels_form(&show->sftp, &v->r);
    if (!c->form)
        return;
    channel = sftp_channels_find(&show->sftp, v->r.channel);
    sftp_form_count(v->r.type == RECORD_INPUT ? &channel->requests : &channel->responses,
                    c->why_not ? NULL : c->plain.p, c->plain.len, &c->counts);
}

static void add_counts(json_t *j, const struct sftp_counts *counts)
{
    json_t *packets = json_object();
    char name[16];

    for (unsigned type = 0; type < 256; type++)
        if (counts->of[type])
            json_object_set_new(packets, sftp_type_text((uint8_t)type, name),
                                json_integer(counts->of[type]));
    json_object_set_new(j, "sftp", packets);
}

static void add_content(json_t *j, const struct source_record *v, const struct content *c)
{
    json_t *value;
    char *hex;

    if (c->why_not) {
        json_object_set_new(j, v->pruned ? "destroyed" : "sealed", json_string(c->why_not));
        return;
    }
    if (c->form && !c->counts.lost)
        add_counts(j, &c->counts);
    if (c->hidden) {
        json_object_set_new(j, "keystrokes", json_integer((json_int_t)c->plain.len));
        return;
    }
    value = record_is_json(v->r.type) ? json_loadb((const char *)c->plain.p, c->plain.len, 0, NULL)
                                      : NULL;
    if (value) {
        json_object_set_new(j, "payload", value);
        return;
    }
    value = json_stringn((const char *)c->plain.p, c->plain.len);
    if (value) {
        json_object_set_new(j, "text", value);
        return;
    }
    hex = malloc(2 * c->plain.len + 1);
    if (hex)
        hex_encode(hex, c->plain.p, c->plain.len);
    json_object_set_new(j, "hex", hex ? json_string(hex) : json_null());
    free(hex);
}

static void print_json(const struct source_record *v, const struct content *c)
{
    char time[CLOCK_TEXT], id[2 * RECORD_SESSION_ID + 1], hash[DIGEST_HEX],
        segment[SEGMENT_NAME_MAX];
    const char *token = record_token(v->r.type);
    json_t *j;

    hex_encode(id, v->r.session, RECORD_SESSION_ID);
    digest_hex(v->r.payload_hash, hash);
    segment_name(v->segment_first, segment);
    j = json_pack("{s:I, s:s, s:s, s:i, s:s, s:I, s:I, s:s, s:I, s:I, s:s}", "index",
                  (json_int_t)v->r.index, "time", clock_iso(time, v->r.real_ns), "type",
                  token ? token : "unknown", "type_number", v->r.type, "session", id, "sequence",
                  (json_int_t)v->r.sequence, "channel", (json_int_t)v->r.channel, "segment",
                  segment, "offset", (json_int_t)v->offset, "length", (json_int_t)v->r.payload_len,
                  "sha256", hash);
    add_content(j, v, c);
    /* ASCII: control characters above 127 are for terminals what those below 32 are. */
    json_dumpf(j, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
    putchar('\n');
    json_decref(j);
}

static void print_escaped(const void *bytes, size_t len)
{
    char *escaped = malloc(4 * len + 1);

    if (escaped)
        fputs(escape_text(escaped, 4 * len + 1, bytes, len), stdout);
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
        print_escaped(name, strlen(name));
        fputs(text ? "=\"" : "=", stdout);
        if (text)
            print_escaped(text, json_string_length(value));
        fputs(text ? "\"" : plain ? plain : "", stdout);
        free(plain);
    }
}

static void print_bytes(const struct show *show, struct bytes b)
{
    size_t shown = show->full || b.len <= SHOWN_BYTES ? b.len : SHOWN_BYTES;

    printf("  %zu B  \"", b.len);
    print_escaped(b.p, shown);
    putchar('"');
    if (shown < b.len)
        printf(" and %zu more", b.len - shown);
}

/* What differs: the other members say where. */
static const char *disputed_text(const json_t *j)
{
    bool starts = json_array_size(json_object_get(json_object_get(j, "starts"), "disputed")) > 0;
    bool input = !starts;
    size_t i;
    const json_t *channel;

    json_array_foreach(json_object_get(j, "channels"), i, channel)
    {
        input = input || json_object_get(channel, "disputed_at");
    }
    if (starts && input)
        return "  input, starts and attestations DIFFER";
    return starts ? "  starts and attestations DIFFER" : "  input and attestations DIFFER";
}

static void print_form(const struct source_record *v, const struct content *c)
{
    struct buf line;

    buf_init(&line, 8192);
    if (sftp_counts_text(&c->counts, v->r.type == RECORD_OUTPUT, c->plain.len, &line) == 0)
        printf("  %.*s", (int)buf_len(&line), (const char *)buf_head(&line));
    buf_clear(&line);
}

/* u64 number of the open, u8 direction, u64 offset, the bytes. */
static void print_file_content(const struct show *show, struct bytes b)
{
    if (b.len < 17) {
        print_bytes(show, b);
        return;
    }
    printf("  n=%" PRIu64 "  %s at %" PRIu64, wire_load_u64(b.p), b.p[8] == 1 ? "read" : "written",
           wire_load_u64(b.p + 9));
    print_bytes(show, (struct bytes){b.p + 17, b.len - 17});
}

/* A verdict, a decision and a grant as a sentence would begin; what else they have follows. */
static void print_lead(const struct source_record *v, const json_t *j)
{
    const json_t *allowed = json_object_get(j, "allowed");

    if (v->r.type == RECORD_DECISION && json_is_boolean(allowed))
        fputs(json_is_true(allowed) ? "  ALLOWED" : "  REFUSED", stdout);
    if (v->r.type == RECORD_GRANT)
        fputs("  the grant CHANGED", stdout);
    if (v->r.type == RECORD_VERDICT) {
        const char *verdict = text_member(j, "verdict");

        fputs(strcmp(verdict, "agreed") == 0     ? "  input, starts and attestations AGREE"
              : strcmp(verdict, "disputed") == 0 ? disputed_text(j)
                                                 : "  input or starts are NOT ATTESTED",
              stdout);
    }
}

static void print_content(const struct show *show, const struct source_record *v,
                          const struct content *c)
{
    json_t *j;

    if (c->why_not) {
        size_t len = v->r.payload_len;

        if (v->r.flags & RECORD_FLAG_SEALED && len > DATA_KEY_TAG)
            len -= DATA_KEY_TAG;
        printf("  %zu B  [%s]", len, c->why_not);
        return;
    }
    if (c->form || v->r.type == RECORD_FILE_CONTENT) {
        if (c->form)
            print_form(v, c);
        else
            print_file_content(show, c->plain);
        return;
    }
    if (c->hidden) {
        printf("  %zu B typed  [--keystrokes shows them]", c->plain.len);
        return;
    }
    j = record_is_json(v->r.type) ? json_loadb((const char *)c->plain.p, c->plain.len, 0, NULL)
                                  : NULL;
    if (json_is_object(j)) {
        print_lead(v, j);
        print_members(j);
    } else {
        print_bytes(show, c->plain);
    }
    json_decref(j);
}

static void print_text(const struct show *show, const struct source_record *v,
                       const struct content *c)
{
    const char *token = record_token(v->r.type);
    char time[CLOCK_TEXT], when[CLOCK_TEXT];

    if (show->selection.what == SOURCE_SESSION)
        snprintf(when, sizeof when, "%+.3f",
                 (double)(int64_t)(v->r.real_ns - show->start_ns) / 1e9);
    else
        snprintf(when, sizeof when, "%s", clock_iso_seconds(time, v->r.real_ns));
    printf("%8" PRIu64 "  %10s  %-14s ch %" PRIu32, v->r.index, when, token ? token : "unknown",
           v->r.channel);
    print_content(show, v, c);
    putchar('\n');
}

/* A stream that was not kept is one line, and digests are lines of their own only on request. */
static bool gather_digest(struct show *show, const struct source_record *v, const struct content *c)
{
    const bool digest = v->r.type == RECORD_OUTPUT_DIGEST || v->r.type == RECORD_INPUT_DIGEST;

    if (!digest || c->why_not || show->full || show->any_type)
        return false;
    not_kept_put(&show->not_kept, v->r.channel, c->plain.p, c->plain.len);
    return true;
}

static void print_not_kept(struct show *show, const struct source_record *v,
                           const struct content *c)
{
    const bool open = v && !c->why_not;
    char text[NOT_KEPT_TEXT];

    while (not_kept_over(&show->not_kept, v ? &v->r : NULL, open ? c->plain.p : NULL,
                         open ? c->plain.len : 0, text))
        printf("%8s  %10s  %s\n", "", "", text);
}

static bool wanted(const struct show *show, const struct source_record *v)
{
    const uint64_t at = v->r.real_ns > show->start_ns ? v->r.real_ns - show->start_ns : 0;

    return !(show->any_type && !show->type_wanted[v->r.type]) && at >= show->from_ns &&
           !(show->to_ns && at > show->to_ns);
}

static int show_records(struct show *show, struct record_source *source, struct err *e)
{
    struct source_record v;
    int r;

    while ((r = record_source_next(source, &v, -1, e)) == SOURCE_RECORD) {
        struct err bad = ERR_INIT;
        struct content c;

        if (show->start_ns == 0)
            show->start_ns = v.r.real_ns;
        if (v.payload && unseal_note(show->unseal, &v.r, v.payload, &bad) < 0)
            fprintf(stderr, "sallyport: record %" PRIu64 ": %s\n", v.r.index, bad.text);
        if (!wanted(show, &v) && !(v.pruned && v.r.type == RECORD_KEY) &&
            v.r.type != RECORD_SUBSYSTEM && !sftp_channels_form(&show->sftp, &v.r))
            continue;
        c = open_record(show, &v);
        if (show->selection.what == SOURCE_SESSION)
            note_sftp(show, &v, &c);
        if (!wanted(show, &v))
            continue;
        if (show->json) {
            print_json(&v, &c);
        } else if (!gather_digest(show, &v, &c)) {
            print_not_kept(show, &v, &c);
            print_text(show, &v, &c);
        }
        if (show->selection.follow)
            fflush(stdout);
    }
    if (!show->json)
        print_not_kept(show, NULL, NULL);
    if (r == 0 && show->identity_missed && !show->json)
        fputs("(what is sealed opens with a reviewer's identity: --identity FILE)\n", stderr);
    return r;
}

static int take_option(struct show *show, int c, const char *value, struct err *e)
{
    int type;

    switch (c) {
    case 'i':
        return unseal_add_identity(show->unseal, value, e);
    case 'k':
        show->keystrokes = true;
        return 0;
    case 't':
        type = type_number(value);
        if (type < 0)
            return err_set(e, ERR_USAGE, "--type %s: there is no such type of record", value);
        show->any_type = show->type_wanted[type] = true;
        return 0;
    case 'a':
        return time_length_parse(value, &show->from_ns, e);
    case 'z':
        return time_length_parse(value, &show->to_ns, e);
    case 'F':
        show->selection.follow = true;
        return 0;
    case 'f':
        show->full = true;
        return 0;
    default:
        show->json = true;
        return 0;
    }
}

static int run(struct show *show, struct audit_source *s, struct err *e)
{
    struct record_source *source = NULL;
    int r = unseal_has_identity(show->unseal) ? 0 : unseal_add_default(show->unseal, e);

    if (r == 0)
        r = audit_source_open_any(s, e);
    if (r == 0)
        r = audit_source_records(s, &show->selection, "show", &source, e);
    if (r == 0)
        r = show_records(show, source, e);
    record_source_free(source);
    return r;
}

int audit_show(int argc, char **argv)
{
    static const struct option options[] = {AUDIT_SOURCE_OPTIONS,
                                            AUDIT_READ_OPTIONS,
                                            UNSEAL_OPTION,
                                            {"keystrokes", no_argument, NULL, 'k'},
                                            {"type", required_argument, NULL, 't'},
                                            {"from", required_argument, NULL, 'a'},
                                            {"to", required_argument, NULL, 'z'},
                                            {"follow", no_argument, NULL, 'F'},
                                            {"full", no_argument, NULL, 'f'},
                                            {"json", no_argument, NULL, 'j'},
                                            {NULL, 0, NULL, 0}};
    struct audit_options o = {"audit show", help, "i:", options, -1};
    struct audit_source s;
    struct err e = ERR_INIT;
    struct show show = {.json = false};
    bool follow;
    int c, r = 0;

    show.unseal = unseal_new(&e);
    if (!show.unseal)
        return cli_fail("%s", e.text);
    audit_source_init(&s);
    show.pruned_by = pruned_by_new(audit_gateway_records, &s);
    if (!show.pruned_by)
        r = err_set(&e, ERR_MEMORY, "no memory to show records");
    while (r == 0 && (c = audit_next_option(&o, &s, argc, argv)) != -1)
        r = take_option(&show, c, optarg, &e);
    follow = show.selection.follow;
    if (r == 0 && o.status < 0 && optind + 1 != argc)
        r = err_set(&e, ERR_USAGE, "which session? `sallyport audit list` has them");
    if (r == 0 && o.status < 0)
        r = audit_selection(&show.selection, argv[optind], &e);
    if (r == ERR_USAGE || r == ERR_SYNTAX) {
        o.status = cli_usage("audit show", "%s", e.text);
    } else if (o.status < 0) {
        show.selection.follow = follow;
        r = r < 0 ? r : run(&show, &s, &e);
        o.status = r < 0 ? cli_fail("%s", e.text) : CLI_DONE;
    }
    audit_source_close(&s);
    pruned_by_free(show.pruned_by);
    unseal_free(show.unseal);
    return o.status;
}
