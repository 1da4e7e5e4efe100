/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport audit prove --check`: whether a proof proves, with the log's public key alone. The
 * files are hostile. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/cli_prove.h"
#include "audit/cosignature.h"
#include "base/clock.h"
#include "base/log.h"
#include "gateway/cli.h"

const char *record_text(char out[RECORD_TEXT], const struct record *r)
{
    char id[2 * RECORD_SESSION_ID + 1], time[CLOCK_TEXT];
    const char *token = record_token(r->type);

    hex_encode(id, r->session, RECORD_SESSION_ID);
    snprintf(out, RECORD_TEXT, "record %" PRIu64 " (%s, session %.12s, %s)", r->index,
             token ? token : "of an unknown type", id, clock_iso_seconds(time, r->real_ns));
    return out;
}

unsigned note_other_signatures(const char *note, size_t len)
{
    static const char dash[] = "\n\xe2\x80\x94 ";
    unsigned count = 0;

    for (const char *at = note;
         (at = memmem(at, len - (size_t)(at - note), dash, sizeof dash - 1)) != NULL; at++)
        count++;
    return count ? count - 1 : 0;
}

/* The record's header: from its own file, or the one that the proof carries. */
static int find_header(const struct tlog_proof *p, const char *path,
                       uint8_t header[RECORD_HEADER_SIZE], struct err *e)
{
    struct buf b;
    int r;

    if (!path && !p->has_header)
        return err_set(e, ERR_INPUT, "the proof does not carry the record's header: give --record");
    if (!path) {
        memcpy(header, p->header, RECORD_HEADER_SIZE);
        return 0;
    }
    buf_init(&b, RECORD_HEADER_SIZE + RECORD_PAYLOAD_MAX);
    r = cli_read_file(path, RECORD_HEADER_SIZE + RECORD_PAYLOAD_MAX, &b, e);
    if (r == 0 && buf_len(&b) < RECORD_HEADER_SIZE)
        r = err_set(e, ERR_INPUT, "%s has fewer than %u bytes", path, RECORD_HEADER_SIZE);
    if (r == 0)
        memcpy(header, buf_head(&b), RECORD_HEADER_SIZE);
    buf_clear(&b);
    return r;
}

static int check_payload(const uint8_t header[RECORD_HEADER_SIZE], const char *path, struct err *e)
{
    uint8_t hash[RECORD_HASH_SIZE];
    struct digest *d = digest_new();
    struct record record;
    struct buf b;
    int r;

    buf_init(&b, RECORD_PAYLOAD_MAX);
    r = d ? cli_read_file(path, RECORD_PAYLOAD_MAX, &b, e) : ERR_MEMORY;
    if (r == 0)
        r = record_decode(header, &record, e);
    if (r == 0) {
        digest_bytes(d, buf_head(&b), buf_len(&b), hash);
        if (memcmp(hash, record.payload_hash, sizeof hash) != 0)
            r = err_set(e, ERR_TAMPERED, "%s is not the record's payload", path);
    }
    buf_clear(&b);
    digest_free(d);
    return r;
}

/* --- witnesses */

struct cosigned {
    struct vkey key;
    uint64_t time_s;
};

/* Each witness that was given has to have cosigned the checkpoint. */
static int check_witnesses(const struct tlog_proof *p, struct cosigned *by, size_t count,
                           struct err *e)
{
    for (size_t i = 0; i < count; i++)
        if (cosigned_note_verify(p->note, p->note_len, &by[i].key, &by[i].time_s, e) < 0)
            return err_wrap(e, "the witness %s", by[i].key.name), ERR_TAMPERED;
    return 0;
}

/* The name of the next signature line after *at that is neither the log's nor by one of those;
 * false: there is none. */
static bool next_unknown(const struct tlog_proof *p, const char *log, const struct cosigned *by,
                         size_t count, size_t *at, char out[NOTE_NAME_MAX + 1])
{
    static const char dash[] = "\n\xe2\x80\x94 ";
    const char *line;

    while ((line = memmem(p->note + *at, p->note_len - *at, dash, sizeof dash - 1)) != NULL) {
        const char *name = line + sizeof dash - 1,
                   *end = memchr(name, ' ', (size_t)(p->note + p->note_len - name));
        bool known;

        *at = (size_t)(name - p->note);
        if (!end || end - name > NOTE_NAME_MAX)
            continue;
        memcpy(out, name, (size_t)(end - name));
        out[end - name] = '\0';
        known = strcmp(out, log) == 0;
        for (size_t i = 0; i < count; i++)
            known |= strcmp(out, by[i].key.name) == 0;
        if (!known)
            return true;
    }
    return false;
}

/* --- what it says */

struct outcome {
    int status;
    const struct tlog_proof *proof;
    const struct checkpoint *checkpoint;
    const struct record *record;
    const struct cosigned *by;
    size_t by_count;
    const struct err *e;
};

static void print_json(const struct outcome *o)
{
    static const char *const verdicts[] = {"proved", "not-proved", "not-checked"};
    char id[2 * RECORD_SESSION_ID + 1], time[CLOCK_TEXT], name[NOTE_NAME_MAX + 1];
    char shown[4 * NOTE_NAME_MAX + 1];
    json_t *j = json_pack("{s:s}", "verdict", verdicts[o->status]), *by, *others;
    size_t at = 0;

    if (o->status == PROVED) {
        hex_encode(id, o->record->session, RECORD_SESSION_ID);
        json_object_set_new(j, "index", json_integer((json_int_t)o->proof->index));
        json_object_set_new(j, "size", json_integer((json_int_t)o->checkpoint->size));
        json_object_set_new(j, "origin", json_string(o->checkpoint->origin));
        json_object_set_new(j, "session", json_string(id));
        json_object_set_new(j, "type", json_integer(o->record->type));
        json_object_set_new(j, "real_ns", json_integer((json_int_t)o->record->real_ns));
        by = json_array();
        for (size_t i = 0; i < o->by_count; i++)
            json_array_append_new(
                by, json_pack("{s:s, s:s}", "witness", o->by[i].key.name, "time",
                              clock_iso_seconds(time, o->by[i].time_s * UINT64_C(1000000000))));
        json_object_set_new(j, "cosigned_by", by);
        others = json_array();
        while (next_unknown(o->proof, o->checkpoint->origin, o->by, o->by_count, &at, name))
            json_array_append_new(
                others, json_string(escape_text(shown, sizeof shown, name, strlen(name))));
        json_object_set_new(j, "not_checked", others);
    } else {
        json_object_set_new(j, "text", json_string(o->e->text));
    }
    json_dumpf(j, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    putchar('\n');
    json_decref(j);
}

static void print_text(const struct outcome *o, const char *payload)
{
    char text[RECORD_TEXT], time[CLOCK_TEXT], name[NOTE_NAME_MAX + 1], shown[4 * NOTE_NAME_MAX + 1];
    size_t at = 0;

    if (o->status == NOT_CHECKED) {
        fprintf(stderr, "sallyport: the proof could not be checked: %s\n", o->e->text);
        return;
    }
    if (o->status == NOT_PROVED) {
        printf("NOT PROVED: %s\n", o->e->text);
        return;
    }
    printf("proved: %s\n  is in the log %s, among its first %" PRIu64 " records\n",
           record_text(text, o->record), o->checkpoint->origin, o->checkpoint->size);
    if (payload)
        puts("  its payload is the one given");
    for (size_t i = 0; i < o->by_count; i++)
        printf("  the witness %s cosigned that at %s\n", o->by[i].key.name,
               clock_iso_seconds(time, o->by[i].time_s * UINT64_C(1000000000)));
    while (next_unknown(o->proof, o->checkpoint->origin, o->by, o->by_count, &at, name))
        printf("  a signature that says it is by %s was not checked: give its key with --witness\n",
               escape_text(shown, sizeof shown, name, strlen(name)));
}

int prove_check(struct audit_source *s, const struct prove_check_options *o)
{
    uint8_t header[RECORD_HEADER_SIZE];
    struct cosigned by[PROVE_WITNESSES_MAX];
    struct tlog_proof p = {0};
    struct checkpoint c = {0};
    struct record record = {0};
    struct err e = ERR_INIT;
    struct outcome outcome = {NOT_CHECKED, &p, &c, &record, by, o->witness_count, &e};
    struct buf text;
    int r;

    buf_init(&text, TLOG_PROOF_MAX);
    s->keys_alone = true;
    r = audit_source_open(s, true, &e);
    for (size_t i = 0; r == 0 && i < o->witness_count; i++)
        r = audit_witness_key(&by[i].key, o->witnesses[i], &e);
    if (r == 0)
        r = cli_read_file(o->proof, TLOG_PROOF_MAX, &text, &e);
    if (r < 0)
        goto out;
    outcome.status = NOT_PROVED;
    r = tlog_proof_parse(&p, (const char *)buf_head(&text), buf_len(&text), &e);
    if (r == 0) {
        r = find_header(&p, o->header, header, &e);
        if (r < 0)
            outcome.status = NOT_CHECKED;
    }
    if (r == 0)
        r = tlog_proof_check(&p, header, &s->log, &c, &e);
    if (r == 0)
        r = record_decode(header, &record, &e);
    if (r == 0)
        r = check_witnesses(&p, by, o->witness_count, &e);
    if (r == 0 && o->payload) {
        r = check_payload(header, o->payload, &e);
        if (r < 0 && r != ERR_TAMPERED)
            outcome.status = NOT_CHECKED;
    }
    if (r == 0)
        outcome.status = PROVED;
out:
    if (o->json)
        print_json(&outcome);
    else
        print_text(&outcome, o->payload);
    buf_clear(&text);
    return outcome.status;
}
