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
#include "base/clock.h"
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

static void print_json(int status, const struct tlog_proof *p, const struct checkpoint *c,
                       const struct record *record, const struct err *e)
{
    static const char *const verdicts[] = {"proved", "not-proved", "not-checked"};
    char id[2 * RECORD_SESSION_ID + 1];
    json_t *j = json_pack("{s:s}", "verdict", verdicts[status]);

    if (status == PROVED) {
        hex_encode(id, record->session, RECORD_SESSION_ID);
        json_object_set_new(j, "index", json_integer((json_int_t)p->index));
        json_object_set_new(j, "size", json_integer((json_int_t)c->size));
        json_object_set_new(j, "origin", json_string(c->origin));
        json_object_set_new(j, "session", json_string(id));
        json_object_set_new(j, "type", json_integer(record->type));
        json_object_set_new(j, "real_ns", json_integer((json_int_t)record->real_ns));
        json_object_set_new(j, "other_signatures",
                            json_integer(note_other_signatures(p->note, p->note_len)));
    } else {
        json_object_set_new(j, "text", json_string(e->text));
    }
    json_dumpf(j, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    putchar('\n');
    json_decref(j);
}

static void print_text(int status, const struct tlog_proof *p, const struct checkpoint *c,
                       const struct record *record, const char *payload, const struct err *e)
{
    char text[RECORD_TEXT];
    unsigned others;

    if (status == NOT_CHECKED) {
        fprintf(stderr, "sallyport: the proof could not be checked: %s\n", e->text);
        return;
    }
    if (status == NOT_PROVED) {
        printf("NOT PROVED: %s\n", e->text);
        return;
    }
    printf("proved: %s\n  is in the log %s, among its first %" PRIu64 " records\n",
           record_text(text, record), c->origin, c->size);
    if (payload)
        puts("  its payload is the one given");
    others = note_other_signatures(p->note, p->note_len);
    if (others)
        printf("  the checkpoint has %u more signature%s (of witnesses; not checked here)\n",
               others, others == 1 ? "" : "s");
}

int prove_check(struct audit_source *s, const char *proof, const char *header_file,
                const char *payload, bool json)
{
    uint8_t header[RECORD_HEADER_SIZE];
    struct tlog_proof p = {0};
    struct checkpoint c = {0};
    struct record record = {0};
    struct err e = ERR_INIT;
    struct buf text;
    int status, r;

    buf_init(&text, TLOG_PROOF_MAX);
    s->keys_alone = true;
    r = audit_source_open(s, true, &e);
    if (r == 0)
        r = cli_read_file(proof, TLOG_PROOF_MAX, &text, &e);
    if (r < 0) {
        status = NOT_CHECKED;
        goto out;
    }
    status = NOT_PROVED;
    r = tlog_proof_parse(&p, (const char *)buf_head(&text), buf_len(&text), &e);
    if (r == 0) {
        r = find_header(&p, header_file, header, &e);
        if (r < 0)
            status = NOT_CHECKED;
    }
    if (r == 0)
        r = tlog_proof_check(&p, header, &s->log, &c, &e);
    if (r == 0)
        r = record_decode(header, &record, &e);
    if (r == 0 && payload) {
        r = check_payload(header, payload, &e);
        if (r < 0 && r != ERR_TAMPERED)
            status = NOT_CHECKED;
    }
    if (r == 0)
        status = PROVED;
out:
    if (json)
        print_json(status, &p, &c, &record, &e);
    else
        print_text(status, &p, &c, &record, payload, &e);
    buf_clear(&text);
    return status;
}
