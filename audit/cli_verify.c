/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport audit verify`: the verdict, never a bare OK: how far it was verified, how far that is
 * signed, and what is not known. Exit status 0 verified, 1 tampered, 2 could not be checked. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/cli_audit.h"
#include "audit/cli_bundle.h"
#include "audit/verify_files.h"
#include "base/clock.h"
#include "gateway/cli.h"

enum { VERIFIED = 0, TAMPERED = 1, NOT_CHECKED = 2 };

static const char help[] =
    "usage: sallyport audit verify [OPTION]...\n\n"
    "Checks the trail: every header, link, payload, session and segment, one seal for each epoch, "
    "the\n"
    "checkpoint's signature and root, and that the log began with the keys that its anchor "
    "certified.\n"
    "Works while the gateway runs, and on a copy, with public keys alone.\n\n" AUDIT_SOURCE_HELP
    "  --log-key KEY   the log's verifier key, or a file with it (default: STATE/public/log.pub)\n"
    "  --anchor KEY    the anchor's verifier key, or a file with it: the one that `init` printed\n"
    "                  (default: STATE/public/anchor.pub)\n"
    "  --known FILE    a checkpoint that was kept elsewhere: the log must contain it (repeatable)\n"
    "  --witness KEY   a witness's verifier key, or a file with it: what it cosigned counts as "
    "known\n"
    "                  elsewhere (repeatable)\n"
    "  --from INDEX    begin at the segment with this record; believed once a checkpoint behind "
    "it is\n"
    "                  reached\n"
    "  --to INDEX      end when this record is verified, and sealed or signed\n"
    "  --session ID    tell what is there of this session (the beginning of its id is enough)\n"
    "  --bundle DIR    check an evidence bundle (audit export --format bundle) instead\n"
    "  --json          print JSON\n"
    "  -q              no progress\n\n"
    "Exit status: 0 verified, 1 tampered, 2 could not be checked.\n";

enum { OPT_KNOWN = OPT_FIRST_OWN, OPT_WITNESS, OPT_FROM, OPT_TO, OPT_SESSION, OPT_BUNDLE };

/* More of either on one command line is a mistake. */
#define FILES_MAX 64

struct command {
    struct audit_source source;
    struct verify_options options;
    struct verify_known *known;
    size_t known_count;
    struct vkey *witnesses;
    const char *files[FILES_MAX], *witness_keys[FILES_MAX];
    size_t file_count, witness_count, cosigned;
    const char *bundle;
    bool json, quiet;
};

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

/* The log is whole all the same: what is in dispute is who typed or started it. */
static void print_disputed(const struct verify_result *v)
{
    char id[2 * RECORD_SESSION_ID + 1];

    if (v->disputed == 0)
        return;
    printf("  DISPUTED: recorded input or starts of %" PRIu64
           " session%s are not what the operator's side attested:\n",
           v->disputed, v->disputed == 1 ? "" : "s");
    for (unsigned i = 0; i < named(v); i++) {
        hex_encode(id, v->disputed_ids[i], RECORD_SESSION_ID);
        printf("    %.12s\n", id);
    }
    if (v->disputed > named(v))
        printf("    and %" PRIu64 " more\n", v->disputed - named(v));
}

/* Behind what is sealed, signed and known elsewhere the log can be cut without a trace. */
static uint64_t at_most(uint64_t size, uint64_t records)
{
    return size < records ? size : records;
}

static json_t *session_json(const struct verify_session *s)
{
    char id[2 * RECORD_SESSION_ID + 1];

    hex_encode(id, s->id, sizeof s->id);
    return json_pack("{s:s, s:I, s:I, s:I, s:b, s:b}", "id", id, "records", (json_int_t)s->records,
                     "first", (json_int_t)s->first, "last", (json_int_t)s->last, "started",
                     s->started, "ended", s->ended);
}

static void print_json(const struct command *c, const struct verify_result *v, int status,
                       const struct err *e)
{
    static const char *const verdicts[] = {"verified", "tampered", "not-checked"};
    char key[VKEY_MAX] = "";
    json_t *j;

    if (v->log.name[0])
        vkey_text(&v->log, key);
    j = json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:b, s:b, s:b, s:I}",
        "verdict", verdicts[status], "verified_from", (json_int_t)v->from, "verified_to",
        (json_int_t)v->records, "signed_to", (json_int_t)at_most(v->checkpoint, v->records),
        "sealed_to", (json_int_t)v->sealed, "known_elsewhere_to", (json_int_t)v->elsewhere,
        "epochs", (json_int_t)v->epochs, "dropped_payloads", (json_int_t)v->dropped,
        "unaccounted_payloads", (json_int_t)v->unaccounted, "bytes", (json_int_t)v->bytes,
        "segments", (json_int_t)v->segments, "sessions", (json_int_t)v->sessions, "log_key", key,
        "log_key_given", c->source.has_log, "anchored", c->source.has_anchor, "shut_down",
        v->shut_down, "unfinished_bytes", (json_int_t)v->unfinished);
    json_object_set_new(j, "disputed", disputed_json(v));
    if (c->witness_count)
        json_object_set_new(j, "cosigned_by", json_integer((json_int_t)c->cosigned));
    if (v->closed) {
        vkey_text(&v->next_log, key);
        json_object_set_new(j, "next_log", json_string(key));
    }
    if (v->session.records)
        json_object_set_new(j, "session", session_json(&v->session));
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

static void print_tampered(const struct verify_result *v, const struct err *e)
{
    printf("TAMPERED (%s): %s\n", fault_name(v->fault), e->text);
    printf("  %s, offset %" PRIu64 ", record %" PRIu64 "\n", v->file, v->offset, v->record);
    if (v->record >= v->checkpoint && v->checkpoint > 0)
        printf("  This is behind the newest checkpoint (%" PRIu64 "): a crash can tear a tail "
               "there, which the recorder cuts when it starts.\n",
               v->checkpoint);
    printf("verified to %" PRIu64 " before that\n", v->records);
}

static void print_session(const struct verify_session *s)
{
    char id[2 * RECORD_SESSION_ID + 1];

    hex_encode(id, s->id, sizeof s->id);
    printf("  session %s: %" PRIu64 " record%s, %" PRIu64 " to %" PRIu64 "%s%s\n", id, s->records,
           s->records == 1 ? "" : "s", s->first, s->last,
           s->started ? "" : ", its start is not here", s->ended ? "" : ", not ended");
}

/* What the verdict rests on, and what it does not cover. */
static void print_trust(const struct command *c, const struct verify_result *v)
{
    char key[VKEY_MAX];

    vkey_text(&v->log, key);
    printf("  log key  %s\n", key);
    if (!c->source.has_log)
        puts("           taken from the trail itself: give --log-key to know whose log it is");
    if (!c->source.has_anchor)
        puts("  unanchored: give --anchor to know that the keys are those of the log's beginning");
    if (v->closed) {
        vkey_text(&v->next_log, key);
        printf("  closed: another log follows, anchored by %s\n", key);
    }
    if (v->records > v->sealed)
        printf("  %" PRIu64 " record%s after the last seal: unsealed\n", v->records - v->sealed,
               v->records - v->sealed == 1 ? " is" : "s are");
    if (v->dropped)
        printf("  %" PRIu64 " payloads were destroyed by pruning; their headers verify\n",
               v->dropped);
    if (v->unaccounted)
        printf("  NOT CHECKED: whether orders account for %" PRIu64
               " of those; orders come behind what they destroyed, and --to ends before\n",
               v->unaccounted);
    if (v->unfinished)
        printf("  %" PRIu64
               " bytes of an unfinished record follow: it is being written, or a crash tore it\n",
               v->unfinished);
    if (c->witness_count && !c->cosigned)
        puts("  none of the witnesses given has cosigned this log");
    if (v->elsewhere < v->records)
        printf("  records from %" PRIu64
               " on are not known elsewhere: who has root can still cut them off\n",
               v->elsewhere);
}

static void print_text(const struct command *c, const struct verify_result *v, int status,
                       const struct err *e, uint64_t took_ms)
{
    char size[SIZE_TEXT], time[CLOCK_TEXT];

    if (status == NOT_CHECKED) {
        fprintf(stderr, "sallyport: the trail could not be checked: %s\n", e->text);
        return;
    }
    if (status == TAMPERED) {
        print_tampered(v, e);
        return;
    }
    if (v->from)
        printf("from %" PRIu64 ": ", v->from);
    printf("verified to %" PRIu64 ", sealed to %" PRIu64, v->records, v->sealed);
    if (v->sealed)
        printf(" (%s)", clock_iso_seconds(time, v->sealed_ns));
    printf(", signed to %" PRIu64 ", known elsewhere to %" PRIu64 "\n", v->checkpoint,
           v->elsewhere);
    printf("  %" PRIu64 " session%s, %" PRIu64 " segment%s, %" PRIu64
           " epoch%s, %s, last record %s (%.1f s)\n",
           v->sessions, v->sessions == 1 ? "" : "s", v->segments, v->segments == 1 ? "" : "s",
           v->epochs, v->epochs == 1 ? "" : "s", size_text(size, v->bytes),
           clock_iso_seconds(time, v->last_ns), (double)took_ms / 1000);
    print_disputed(v);
    if (v->session.records)
        print_session(&v->session);
    print_trust(c, v);
}

/* The files and keys that were named; all need the log's key, which may be the trail's own. */
static int read_known(struct command *c, struct err *e)
{
    const struct vkey *log = &c->source.log;
    struct anchor a;
    int r = 0;

    if (!c->source.has_log) {
        r = anchor_read(&a, c->source.dir, c->source.has_anchor ? &c->source.anchor : NULL, e);
        log = &a.log;
    }
    if (r < 0 && c->file_count + c->witness_count == 0)
        return 0; /* the verifier says it better */
    c->witnesses = calloc(c->witness_count + 1, sizeof *c->witnesses);
    if (r == 0 && !c->witnesses)
        r = err_set(e, ERR_MEMORY, "no memory for the witnesses' keys");
    for (size_t i = 0; r == 0 && i < c->witness_count; i++)
        r = audit_witness_key(&c->witnesses[i], c->witness_keys[i], e);
    for (size_t i = 0; r == 0 && i < c->file_count; i++)
        r = known_add_file(&c->known, &c->known_count, AT_FDCWD, c->files[i], log, e);
    if (r == 0 && c->witness_count)
        r = known_add_witnessed(&c->known, &c->known_count, c->source.dir, log, c->witnesses,
                                c->witness_count, &c->cosigned, e);
    return r;
}

static int verify(struct command *c, struct verify_result *v, struct err *e)
{
    struct verify_options *o = &c->options;
    int r = audit_source_open(&c->source, true, e);

    if (r == 0)
        r = read_known(c, e);
    /* A checkpoint that this log did not sign is no finding in the log. */
    if (r < 0)
        return r == ERR_TAMPERED ? ERR_INPUT : r;
    o->dir = c->source.dir;
    o->log = c->source.has_log ? &c->source.log : NULL;
    o->anchor = c->source.has_anchor ? &c->source.anchor : NULL;
    o->known = c->known;
    o->known_count = c->known_count;
    o->progress = c->quiet ? NULL : progress;
    r = trail_verify(o, v, e);
    if (!c->quiet)
        fputs("\r\x1b[K", stderr);
    if (r == 0 && o->session && v->session.ambiguous)
        return err_set(e, ERR_INPUT, "several sessions begin with \"%s\"", o->session);
    if (r == 0 && o->session && v->session.records == 0)
        return err_set(e, ERR_NOT_FOUND, "there is no record of a session %s", o->session);
    return r;
}

static int index_argument(const char *text, uint64_t *out)
{
    char *end;

    errno = 0;
    *out = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && !*end && !errno && *out < UINT64_MAX ? 0 : ERR_USAGE;
}

/* false: not a proper value. */
static bool take_option(struct command *c, int option)
{
    switch (option) {
    case OPT_KNOWN:
        if (c->file_count == FILES_MAX)
            return false;
        c->files[c->file_count++] = optarg;
        return true;
    case OPT_WITNESS:
        if (c->witness_count == FILES_MAX)
            return false;
        c->witness_keys[c->witness_count++] = optarg;
        return true;
    case OPT_FROM:
        return index_argument(optarg, &c->options.from) == 0;
    case OPT_TO:
        if (index_argument(optarg, &c->options.before) < 0)
            return false;
        c->options.before++;
        return true;
    case OPT_SESSION:
        c->options.session = optarg;
        return optarg[0] && strspn(optarg, "0123456789abcdef") == strlen(optarg);
    case OPT_BUNDLE:
        c->bundle = optarg;
        return true;
    case 'j':
        c->json = true;
        return true;
    default:
        c->quiet = true;
        return true;
    }
}

int audit_verify(int argc, char **argv)
{
    static const struct option options[] = {AUDIT_SOURCE_OPTIONS,
                                            {"log-key", required_argument, NULL, OPT_LOG_KEY},
                                            {"anchor", required_argument, NULL, OPT_ANCHOR},
                                            {"known", required_argument, NULL, OPT_KNOWN},
                                            {"witness", required_argument, NULL, OPT_WITNESS},
                                            {"from", required_argument, NULL, OPT_FROM},
                                            {"to", required_argument, NULL, OPT_TO},
                                            {"session", required_argument, NULL, OPT_SESSION},
                                            {"bundle", required_argument, NULL, OPT_BUNDLE},
                                            {"json", no_argument, NULL, 'j'},
                                            {"quiet", no_argument, NULL, 'q'},
                                            {NULL, 0, NULL, 0}};
    struct command c = {.quiet = !isatty(STDERR_FILENO)};
    struct audit_options line = {"audit verify", help, "jq", options, -1};
    struct verify_result v;
    struct err e = ERR_INIT;
    uint64_t begun = clock_mono_ms();
    int option, r, status;

    audit_source_init(&c.source);
    memset(&v, 0, sizeof v);
    while ((option = audit_next_option(&line, &c.source, argc, argv)) != -1)
        if (!take_option(&c, option)) {
            cli_usage("audit verify", "\"%s\" is not a value for that option", optarg);
            return NOT_CHECKED;
        }
    if (line.status >= 0)
        return line.status == CLI_DONE ? VERIFIED : NOT_CHECKED;
    if (optind < argc) {
        cli_usage("audit verify", "there is no argument \"%s\"", argv[optind]);
        return NOT_CHECKED;
    }
    if (c.bundle)
        return audit_verify_bundle(&c.source, c.bundle, c.json);
    r = verify(&c, &v, &e);
    status = r == 0 ? VERIFIED : r == ERR_TAMPERED ? TAMPERED : NOT_CHECKED;
    if (c.json)
        print_json(&c, &v, status, &e);
    else
        print_text(&c, &v, status, &e, clock_mono_ms() - begun);
    free(c.known);
    free(c.witnesses);
    audit_source_close(&c.source);
    return status;
}
