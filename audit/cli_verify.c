/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport audit verify`: the verdict, never a bare OK: how far it was verified, how far that is
 * signed, and what is not known. Exit status 0 verified, 1 tampered, 2 could not be checked. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "audit/cli_audit.h"
#include "audit/digest.h"
#include "audit/cli_bundle.h"
#include "audit/verify.h"
#include "base/clock.h"
#include "gateway/cli.h"

enum { VERIFIED = 0, TAMPERED = 1, NOT_CHECKED = 2 };

static const char help[] =
    "usage: sallyport audit verify [OPTION]...\n\n"
    "Checks the whole trail: every header, link, payload, session, segment, the checkpoint's "
    "signature\n"
    "and root, and that the log began with the keys that its anchor certified. Works while the "
    "gateway\n"
    "runs, and on a copy.\n\n" AUDIT_SOURCE_HELP
    "  --log-key KEY   the log's verifier key, or a file with it (default: STATE/public/log.pub)\n"
    "  --anchor KEY    the anchor's verifier key, or a file with it: the one that `init` printed\n"
    "                  (default: STATE/public/anchor.pub)\n"
    "  --bundle DIR    check an evidence bundle (audit export --format bundle) instead\n"
    "  --json          print JSON\n"
    "  -q              no progress\n\n"
    "Exit status: 0 verified, 1 tampered, 2 could not be checked.\n";

static void progress(void *arg, uint64_t records, uint64_t bytes)
{
    char size[SIZE_TEXT];

    (void)arg;
    fprintf(stderr, "\r%" PRIu64 " records, %s ", records, size_text(size, bytes));
}

static unsigned named(const struct verify_result *v)
{
    return v->disputed < VERIFY_DISPUTED_NAMED ? (unsigned)v->disputed : VERIFY_DISPUTED_NAMED;
}

static json_t *disputed_json(const struct verify_result *v)
{
    json_t *ids = json_array();
    char id[2 * RECORD_SESSION_ID + 1];

    for (unsigned i = 0; i < named(v); i++) {
        hex_encode(id, v->disputed_ids[i], RECORD_SESSION_ID);
        json_array_append_new(ids, json_string(id));
    }
    return json_pack("{s:I, s:o}", "sessions", (json_int_t)v->disputed, "ids", ids);
}

/* The log is whole all the same: what is in dispute is who typed it. */
static void print_disputed(const struct verify_result *v)
{
    char id[2 * RECORD_SESSION_ID + 1];

    if (v->disputed == 0)
        return;
    printf("  DISPUTED: the recorded input of %" PRIu64
           " session%s is not what the operator's side attested:\n",
           v->disputed, v->disputed == 1 ? "" : "s");
    for (unsigned i = 0; i < named(v); i++) {
        hex_encode(id, v->disputed_ids[i], RECORD_SESSION_ID);
        printf("    %.12s\n", id);
    }
    if (v->disputed > named(v))
        printf("    and %" PRIu64 " more\n", v->disputed - named(v));
}

static void print_json(const struct audit_source *s, const struct verify_result *v, int status,
                       const struct err *e)
{
    static const char *const verdicts[] = {"verified", "tampered", "not-checked"};
    char key[VKEY_MAX] = "";
    json_t *j;

    if (v->log.name[0])
        vkey_text(&v->log, key);
    j = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:b, s:b, s:b, s:I}", "verdict",
                  verdicts[status], "verified_to", (json_int_t)v->records, "signed_to",
                  (json_int_t)(v->checkpoint < v->records ? v->checkpoint : v->records),
                  "known_elsewhere_to", (json_int_t)0, "bytes", (json_int_t)v->bytes, "segments",
                  (json_int_t)v->segments, "sessions", (json_int_t)v->sessions, "log_key", key,
                  "log_key_given", s->has_log, "anchored", s->has_anchor, "shut_down", v->shut_down,
                  "unfinished_bytes", (json_int_t)v->unfinished);
    json_object_set_new(j, "disputed", disputed_json(v));
    if (status != VERIFIED)
        json_object_set_new(j, "text", json_string(e->text));
    if (status == TAMPERED) {
        json_object_set_new(j, "fault", json_string(fault_name(v->fault)));
        json_object_set_new(j, "file", json_string(v->file));
        json_object_set_new(j, "offset", json_integer((json_int_t)v->offset));
        json_object_set_new(j, "record", json_integer((json_int_t)v->record));
    }
    json_dumpf(j, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    putchar('\n');
    json_decref(j);
}

static void print_text(const struct audit_source *s, const struct verify_result *v, int status,
                       const struct err *e, uint64_t took_ms)
{
    char size[SIZE_TEXT], time[CLOCK_TEXT], key[VKEY_MAX];

    if (status == NOT_CHECKED) {
        fprintf(stderr, "sallyport: the trail could not be checked: %s\n", e->text);
        return;
    }
    if (status == TAMPERED) {
        printf("TAMPERED (%s): %s\n", fault_name(v->fault), e->text);
        printf("  %s, offset %" PRIu64 ", record %" PRIu64 "\n", v->file, v->offset, v->record);
        if (v->record >= v->checkpoint && v->checkpoint > 0)
            printf("  This is behind the newest checkpoint (%" PRIu64
                   "): a crash can tear a tail there, "
                   "which the recorder cuts when it starts.\n",
                   v->checkpoint);
        printf("verified to %" PRIu64 " before that\n", v->records);
        return;
    }
    printf("verified to %" PRIu64 ", signed to %" PRIu64 ", known elsewhere to 0\n", v->records,
           v->checkpoint);
    printf("  %" PRIu64 " session%s, %" PRIu64 " segment%s, %s, last record %s (%.1f s)\n",
           v->sessions, v->sessions == 1 ? "" : "s", v->segments, v->segments == 1 ? "" : "s",
           size_text(size, v->bytes), clock_iso_seconds(time, v->last_ns), (double)took_ms / 1000);
    print_disputed(v);
    vkey_text(&v->log, key);
    printf(
        "  log key  %s%s\n", key,
        s->has_log
            ? ""
            : "\n           taken from the trail itself: give --log-key to know whose log it is");
    if (!s->has_anchor)
        puts("  unanchored: give --anchor to know that the keys are those of the log's beginning");
    if (v->unfinished)
        printf("  %" PRIu64
               " bytes of an unfinished record follow: it is being written, or a crash tore it\n",
               v->unfinished);
    puts("  not sealed, no witness: who has root and the log key could have rewritten all of it");
}

int audit_verify(int argc, char **argv)
{
    static const struct option options[] = {AUDIT_SOURCE_OPTIONS,
                                            {"log-key", required_argument, NULL, OPT_LOG_KEY},
                                            {"anchor", required_argument, NULL, OPT_ANCHOR},
                                            {"bundle", required_argument, NULL, 'b'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"quiet", no_argument, NULL, 'q'},
                                            {NULL, 0, NULL, 0}};
    const char *bundle = NULL;
    struct verify_result v;
    struct audit_options line = {"audit verify", help, "jq", options, -1};
    struct verify_options o;
    struct audit_source s;
    struct err e = ERR_INIT;
    bool json = false, quiet = !isatty(STDERR_FILENO);
    uint64_t begun = clock_mono_ms();
    int c, r, status;

    audit_source_init(&s);
    memset(&v, 0, sizeof v);
    while ((c = audit_next_option(&line, &s, argc, argv)) != -1) {
        if (c == 'j')
            json = true;
        else if (c == 'q')
            quiet = true;
        else if (c == 'b')
            bundle = optarg;
    }
    if (line.status >= 0)
        return line.status == CLI_DONE ? VERIFIED : NOT_CHECKED;
    if (optind < argc) {
        cli_usage("audit verify", "there is no argument \"%s\"", argv[optind]);
        return NOT_CHECKED;
    }
    if (bundle)
        return audit_verify_bundle(&s, bundle, json);
    r = audit_source_open(&s, true, &e);
    if (r == 0) {
        o = (struct verify_options){.dir = s.dir,
                                    .log = s.has_log ? &s.log : NULL,
                                    .anchor = s.has_anchor ? &s.anchor : NULL,
                                    .progress = quiet ? NULL : progress};
        r = trail_verify(&o, &v, &e);
        if (!quiet)
            fputs("\r\x1b[K", stderr);
    }
    status = r == 0 ? VERIFIED : r == ERR_TAMPERED ? TAMPERED : NOT_CHECKED;
    if (json)
        print_json(&s, &v, status, &e);
    else
        print_text(&s, &v, status, &e, clock_mono_ms() - begun);
    audit_source_close(&s);
    return status;
}
