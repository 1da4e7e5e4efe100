/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport audit verify --bundle`: the verdict about an evidence bundle, in the words and with
 * the exit statuses of `audit verify`. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "audit/bundle.h"
#include "audit/cli_bundle.h"
#include "base/log.h"
#include "gateway/cli.h"

static void print_json(const struct bundle_result *v, int status, const struct err *e)
{
    static const char *const verdicts[] = {"verified", "tampered", "not-checked"};
    char key[VKEY_MAX] = "", id[2 * RECORD_SESSION_ID + 1];
    json_t *j;

    if (v->log.name[0])
        vkey_text(&v->log, key);
    hex_encode(id, v->session, RECORD_SESSION_ID);
    j = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:i, s:b, s:b, s:b, s:s}", "verdict",
                  verdicts[status], "session", id, "records", (json_int_t)v->records, "last_record",
                  (json_int_t)v->last, "gateway_records", (json_int_t)v->others, "signed_to",
                  (json_int_t)v->size, "cosignatures", (int)v->witnesses, "ended", v->ended,
                  "judged", v->judged, "disputed", v->disputed, "log_key", key);
    if (status != 0)
        json_object_set_new(j, "text", json_string(e->text));
    if (status == 1) {
        json_object_set_new(j, "file", json_string(v->file));
        json_object_set_new(j, "offset", json_integer((json_int_t)v->offset));
        json_object_set_new(j, "record", json_integer((json_int_t)v->record));
    }
    json_dumpf(j, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    putchar('\n');
    json_decref(j);
}

static void print_text(const struct audit_source *s, const struct bundle_result *v, int status,
                       const struct err *e)
{
    char key[VKEY_MAX], id[2 * RECORD_SESSION_ID + 1], text[512];

    if (status == 2) {
        fprintf(stderr, "sallyport: the bundle could not be checked: %s\n", e->text);
        return;
    }
    if (status == 1) {
        printf("TAMPERED: %s\n  %s, offset %" PRIu64 ", record %" PRIu64 "\n",
               escape_text(text, sizeof text, e->text, strlen(e->text)), v->file, v->offset,
               v->record);
        return;
    }
    hex_encode(id, v->session, RECORD_SESSION_ID);
    vkey_text(&v->log, key);
    printf("verified: session %s, %" PRIu64 " records%s, in a log signed to %" PRIu64 "\n", id,
           v->records, v->ended ? "" : " (it had not ended)", v->size);
    if (v->disputed)
        puts("  DISPUTED: recorded input or starts are not what the operator's side attested");
    if (v->ended && !v->judged)
        puts("  the verdict about its input, which is each session's last record, is not in it");
    printf("  %" PRIu64 " records of the gateway beside it\n  log key  %s%s\n", v->others, key,
           s->has_log ? ""
                      : "\n           taken from the bundle itself: give --log-key to know whose "
                        "log it is");
    if (!s->has_anchor)
        puts("  unanchored: give --anchor to know that the key is that of the log's beginning");
    if (v->witnesses)
        printf("  %u more signatures under the checkpoint: of witnesses, not checked here\n",
               v->witnesses);
}

int audit_verify_bundle(struct audit_source *s, const char *path, bool json)
{
    struct bundle_result v;
    struct err e = ERR_INIT;
    int r, status;

    memset(&v, 0, sizeof v);
    s->trail = path; /* its keys are those that were given, or none */
    r = audit_source_open(s, true, &e);
    if (r == 0)
        r = bundle_verify(s->dir, s->has_log ? &s->log : NULL, s->has_anchor ? &s->anchor : NULL,
                          &v, &e);
    status = r == 0 ? 0 : r == ERR_TAMPERED ? 1 : 2;
    if (json)
        print_json(&v, status, &e);
    else
        print_text(s, &v, status, &e);
    audit_source_close(s);
    return status;
}
