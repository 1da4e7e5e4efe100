/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport audit prove`: that a record is in the log, as a text that anybody can check who has
 * the log's public key; and that the log of today goes on from the one of before. It makes both
 * from the tiles, and prints nothing that it did not check itself. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/cli_prove.h"
#include "audit/entry_scan.h"
#include "base/clock.h"
#include "gateway/cli.h"

static const char help[] =
    "usage: sallyport audit prove [OPTION]... INDEX|SESSION\n"
    "       sallyport audit prove --consistency FROM [TO]\n"
    "       sallyport audit prove --check FILE [--record FILE] [--payload FILE] [--witness "
    "KEY]...\n\n"
    "Prints the proof that a record is in the log, as a C2SP tlog-proof: its header, the hashes "
    "that\n"
    "lead from it to the root of a signed checkpoint, and that checkpoint. INDEX is a record's "
    "number;\n"
    "SESSION the beginning of a session's id (4 digits at least; of digits 0-9 alone, 12 at "
    "least), or\n"
    "`last`: its newest record under the checkpoint. That proves the session's earlier records "
    "too,\n"
    "which hang on each other's hashes (the header's last 32 bytes). Where witnesses have "
    "cosigned\n"
    "a checkpoint that covers the record, it is that one.\n\n"
    "--consistency proves that the first TO records (default: those of the checkpoint) begin with "
    "the\n"
    "first FROM, unchanged; FROM is a number, or a file with a checkpoint of this log that was "
    "kept\n"
    "elsewhere.\n\n"
    "--check checks a proof offline.\n\n" AUDIT_SOURCE_HELP
    "  --log-key KEY   the log's verifier key, or a file with it (default: STATE/public/log.pub)\n"
    "  --output FILE   write the proof there, and tell on standard output what it proves\n"
    "  --record FILE   a file that begins with the record's header, in place of the one in the "
    "proof\n"
    "  --payload FILE  compare this with the payload's hash in the header\n"
    "  --witness KEY   a witness's verifier key, or a file with it: it must have cosigned the "
    "checkpoint\n"
    "                  of the proof that is checked (repeatable)\n"
    "  --json          print JSON\n\n"
    "Exit status: 0 proved, 1 not proved, 2 could not be made or checked.\n";

/* What the proofs are made from. */
struct base {
    struct buf note;
    struct checkpoint c;
    struct tile_reader *tiles;
};

static bool is_number(const char *text)
{
    size_t len = strlen(text);

    return len > 0 && len < 12 && strspn(text, "0123456789") == len;
}

/* Opens a checkpoint file and the tiles below it. */
static int open_base(struct base *b, const struct audit_source *s, const char *file, struct err *e)
{
    int r;

    buf_clear(&b->note);
    tile_reader_free(b->tiles);
    b->tiles = NULL;
    r = note_file_read(s->dir, file, &b->note, e);
    if (r == 0)
        r = checkpoint_open(&b->c, (const char *)buf_head(&b->note), buf_len(&b->note), &s->log, e);
    if (r == 0)
        r = tile_reader_new(&b->tiles, s->dir, b->c.size, e);
    return r;
}

/* The proof of record `index`, checked. The checkpoint that witnesses have signed, where it covers
 * the record. */
static int make(struct base *b, const struct audit_source *s, uint64_t index, struct tlog_proof *p,
                struct err *e)
{
    struct checkpoint c;
    int r = open_base(b, s, CHECKPOINT_WITNESSED_FILE, NULL);

    if (r < 0 || index >= b->c.size)
        r = open_base(b, s, CHECKPOINT_FILE, e);
    if (r == 0 && index >= b->c.size)
        return err_set(e, ERR_NOT_FOUND,
                       "record %" PRIu64
                       " is not under the checkpoint, which has the first %" PRIu64
                       " (the next one comes within 10 s)",
                       index, b->c.size);
    p->index = index;
    p->has_header = true;
    if (r == 0)
        r = tile_entry(b->tiles, index, p->header, e);
    if (r == 0)
        r = proof_inclusion(b->tiles, index, b->c.size, &p->proof, e);
    p->note = (const char *)buf_head(&b->note);
    p->note_len = buf_len(&b->note);
    return r < 0 ? r : tlog_proof_check(p, p->header, &s->log, &c, e);
}

static int find_index(struct base *b, const struct audit_source *s, const char *what,
                      uint64_t *index, struct err *e)
{
    uint8_t header[RECORD_HEADER_SIZE];
    struct record record;
    int r;

    if (is_number(what)) {
        *index = strtoull(what, NULL, 10);
        return 0;
    }
    r = open_base(b, s, CHECKPOINT_FILE, e);
    if (r == 0)
        r = entry_last_of(b->tiles, what, header, e);
    if (r == 0)
        r = record_decode(header, &record, e);
    if (r == 0)
        *index = record.index;
    return r;
}

static void print_proof_json(const struct tlog_proof *p, const struct checkpoint *c,
                             const char *text)
{
    char hex[DIGEST_HEX], header[2 * RECORD_HEADER_SIZE + 1];
    json_t *j = json_object(), *hashes = json_array();

    for (unsigned i = 0; i < p->proof.count; i++) {
        digest_hex(p->proof.hash[i], hex);
        json_array_append_new(hashes, json_string(hex));
    }
    digest_hex(c->root, hex);
    hex_encode(header, p->header, RECORD_HEADER_SIZE);
    json_object_set_new(j, "index", json_integer((json_int_t)p->index));
    json_object_set_new(j, "size", json_integer((json_int_t)c->size));
    json_object_set_new(j, "root", json_string(hex));
    json_object_set_new(j, "header", json_string(header));
    json_object_set_new(j, "hashes", hashes);
    json_object_set_new(j, "checkpoint", json_stringn(p->note, p->note_len));
    json_object_set_new(j, "proof", json_string(text));
    json_dumpf(j, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    putchar('\n');
    json_decref(j);
}

static int prove_record(const struct audit_source *s, const char *what, const char *output,
                        bool json, struct err *e)
{
    struct base b = {.tiles = NULL};
    struct tlog_proof p = {0};
    struct record record;
    char *text = NULL, about[RECORD_TEXT];
    uint64_t index;
    struct buf out;
    int r;

    buf_init(&b.note, NOTE_MAX);
    buf_init(&out, TLOG_PROOF_MAX);
    r = find_index(&b, s, what, &index, e);
    if (r == 0)
        r = make(&b, s, index, &p, e);
    if (r == 0)
        r = tlog_proof_write(&out, &p, e);
    if (r == 0)
        r = record_decode(p.header, &record, e);
    if (r == 0 && output)
        r = cli_replace_file(output, buf_head(&out), buf_len(&out), 0644, e);
    if (r == 0 && !(text = buf_string(&out)))
        r = err_set(e, ERR_MEMORY, "no memory for the proof");
    if (r < 0)
        goto out;
    if (json)
        print_proof_json(&p, &b.c, text);
    else if (output)
        printf("%s: %s, among the first %" PRIu64 " of %s\n", output, record_text(about, &record),
               b.c.size, b.c.origin);
    else
        fputs(text, stdout);
out:
    free(text);
    buf_clear(&out);
    buf_clear(&b.note);
    tile_reader_free(b.tiles);
    return r;
}

/* FROM: a number, or a checkpoint kept elsewhere, whose root has to be the log's. */
static int older(const struct audit_source *s, struct base *b, const char *from,
                 struct checkpoint *c, struct err *e)
{
    uint8_t root[RECORD_HASH_SIZE];
    struct buf note;
    int r = 0;

    memset(c, 0, sizeof *c);
    if (is_number(from)) {
        c->size = strtoull(from, NULL, 10);
        return c->size > b->c.size
                   ? err_set(e, ERR_INPUT, "the checkpoint has %" PRIu64 " records", b->c.size)
                   : proof_root(b->tiles, c->size, c->root, e);
    }
    buf_init(&note, NOTE_MAX);
    r = cli_read_file(from, NOTE_MAX, &note, e);
    if (r == 0)
        r = checkpoint_open(c, (const char *)buf_head(&note), buf_len(&note), &s->log, e);
    if (r == 0 && c->size > b->c.size)
        r = err_set(e, ERR_TAMPERED,
                    "the log has a checkpoint of %" PRIu64 " records, and had one of %" PRIu64
                    ": it was cut",
                    b->c.size, c->size);
    if (r == 0)
        r = proof_root(b->tiles, c->size, root, e);
    if (r == 0 && memcmp(root, c->root, sizeof root) != 0)
        r = err_set(e, ERR_TAMPERED,
                    "the first %" PRIu64 " records are not those that this checkpoint was made of",
                    c->size);
    buf_clear(&note);
    return r;
}

static void print_consistency(const struct checkpoint *from, const struct checkpoint *to,
                              const struct proof *p, bool json)
{
    json_t *j = json_object(), *hashes = json_array();
    char a[64], b[64], text[64];

    base64_encode(a, from->root, RECORD_HASH_SIZE);
    base64_encode(b, to->root, RECORD_HASH_SIZE);
    if (!json)
        printf("consistency %" PRIu64 " %" PRIu64 "\nroot %s\nroot %s\n", from->size, to->size, a,
               b);
    for (unsigned i = 0; i < p->count; i++) {
        base64_encode(text, p->hash[i], RECORD_HASH_SIZE);
        json_array_append_new(hashes, json_string(text));
        if (!json)
            puts(text);
    }
    json_object_set_new(j, "from", json_integer((json_int_t)from->size));
    json_object_set_new(j, "from_root", json_string(a));
    json_object_set_new(j, "to", json_integer((json_int_t)to->size));
    json_object_set_new(j, "to_root", json_string(b));
    json_object_set_new(j, "hashes", hashes);
    if (json) {
        json_dumpf(j, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
        putchar('\n');
    }
    json_decref(j);
}

static int prove_consistency(const struct audit_source *s, const char *from_text,
                             const char *to_text, bool json, struct err *e)
{
    struct checkpoint from = {0}, to = {0};
    struct base b = {.tiles = NULL};
    struct proof p, on;
    int r;

    buf_init(&b.note, NOTE_MAX);
    r = open_base(&b, s, CHECKPOINT_FILE, e);
    if (r == 0)
        r = older(s, &b, from_text, &from, e);
    if (r == 0 && to_text) {
        to.size = strtoull(to_text, NULL, 10);
        r = proof_root(b.tiles, to.size, to.root, e);
    } else {
        to = b.c;
    }
    if (r == 0)
        r = proof_consistency(b.tiles, from.size, to.size, &p, e);
    if (r == 0)
        r = proof_check_consistency(&p, from.size, to.size, from.root, to.root, e);
    /* What is between is held by the signed root alone. */
    if (r == 0)
        r = proof_consistency(b.tiles, to.size, b.c.size, &on, e);
    if (r == 0)
        r = proof_check_consistency(&on, to.size, b.c.size, to.root, b.c.root, e);
    if (r == 0)
        print_consistency(&from, &to, &p, json);
    buf_clear(&b.note);
    tile_reader_free(b.tiles);
    return r;
}

/* The log's key, from the trail itself where none was given: then it proves against that one. */
static int need_key(struct audit_source *s, struct err *e)
{
    struct anchor a;
    int r = audit_source_open(s, true, e);

    if (r < 0 || s->has_log)
        return r;
    r = anchor_read(&a, s->dir, NULL, e);
    if (r == 0)
        s->log = a.log;
    return r;
}

int audit_prove(int argc, char **argv)
{
    enum {
        OPT_CONSISTENCY = OPT_FIRST_OWN,
        OPT_CHECK,
        OPT_RECORD,
        OPT_PAYLOAD,
        OPT_OUTPUT,
        OPT_WITNESS,
        OPT_JSON
    };
    static const struct option options[] = {AUDIT_SOURCE_OPTIONS,
                                            {"log-key", required_argument, NULL, OPT_LOG_KEY},
                                            {"consistency", no_argument, NULL, OPT_CONSISTENCY},
                                            {"check", required_argument, NULL, OPT_CHECK},
                                            {"record", required_argument, NULL, OPT_RECORD},
                                            {"payload", required_argument, NULL, OPT_PAYLOAD},
                                            {"output", required_argument, NULL, OPT_OUTPUT},
                                            {"witness", required_argument, NULL, OPT_WITNESS},
                                            {"json", no_argument, NULL, OPT_JSON},
                                            {NULL, 0, NULL, 0}};
    struct audit_options o = {"audit prove", help, "", options, -1};
    struct prove_check_options check = {0};
    const char *output = NULL;
    bool consistency = false, json = false;
    struct audit_source s;
    struct err e = ERR_INIT;
    int c, r, words;

    audit_source_init(&s);
    while ((c = audit_next_option(&o, &s, argc, argv)) != -1) {
        switch (c) {
        case OPT_CONSISTENCY:
            consistency = true;
            break;
        case OPT_CHECK:
            check.proof = optarg;
            break;
        case OPT_RECORD:
            check.header = optarg;
            break;
        case OPT_PAYLOAD:
            check.payload = optarg;
            break;
        case OPT_OUTPUT:
            output = optarg;
            break;
        case OPT_WITNESS:
            if (check.witness_count == PROVE_WITNESSES_MAX)
                return cli_usage(o.verb, "too many witnesses");
            check.witnesses[check.witness_count++] = optarg;
            break;
        default:
            check.json = json = true;
        }
    }
    if (o.status >= 0)
        return o.status;
    words = argc - optind;
    if (check.proof && (consistency || output || words > 0))
        return cli_usage(o.verb, "--check takes no other work");
    if (!check.proof && (check.header || check.payload || check.witness_count))
        return cli_usage(o.verb, "--record, --payload and --witness belong to --check");
    if (check.proof)
        return prove_check(&s, &check);
    if (words < 1 || words > (consistency ? 2 : 1) || (consistency && output))
        return cli_usage(o.verb, consistency ? "--consistency takes FROM, and TO where wanted"
                                             : "which record or session?");
    if (words == 2 && !is_number(argv[optind + 1]))
        return cli_usage(o.verb, "TO is a number of records");
    r = need_key(&s, &e);
    if (r == 0)
        r = consistency ? prove_consistency(&s, argv[optind], words == 2 ? argv[optind + 1] : NULL,
                                            json, &e)
                        : prove_record(&s, argv[optind], output, json, &e);
    audit_source_close(&s);
    if (r == 0)
        return PROVED;
    cli_fail("%s", e.text);
    return r == ERR_TAMPERED ? NOT_PROVED : NOT_CHECKED;
}
