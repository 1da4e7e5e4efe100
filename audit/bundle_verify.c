/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks an evidence bundle, as its README does with common tools: files, checkpoint, anchor,
 * records, links, proofs. Everything in it is hostile. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/bundle_parts.h"
#include "audit/verdict.h"

struct check {
    int dir;
    struct bundle_result *result;
    struct digest *digest;
    struct buf note;
    struct checkpoint checkpoint;
    struct bundle_summary summary;
    struct record last;
    uint8_t last_header[RECORD_HEADER_SIZE];
    uint8_t previous[RECORD_HASH_SIZE]; /* leaf of the session's record before */
    uint64_t other;                     /* index of the gateway's record before */
};

static void in_file(struct check *c, const char *name)
{
    snprintf(c->result->file, sizeof c->result->file, "%s", name);
    c->result->offset = c->result->record = 0;
}

/* Not blocking: in a bundle from an enemy, a file may be a pipe, or a device without an end. What
 * is missing was taken away. */
static int open_file(struct check *c, const char *name, int *fd, struct err *e)
{
    struct stat st;

    *fd = openat(c->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (*fd < 0)
        return errno == ENOENT || errno == ELOOP ? err_set(e, ERR_TAMPERED, "%s is missing", name)
                                                 : err_errno(e, "cannot read %s", name);
    if (fstat(*fd, &st) == 0 && S_ISREG(st.st_mode))
        return 0;
    close(*fd);
    *fd = -1;
    return err_set(e, ERR_TAMPERED, "%s is not a file", name);
}

/* A small file. */
static int read_small(struct check *c, const char *name, size_t max, struct buf *out, struct err *e)
{
    int fd, r;

    in_file(c, name);
    buf_init(out, max + 1);
    r = open_file(c, name, &fd, e);
    if (r < 0)
        return r;
    while (r == 0) {
        char block[16384];
        ssize_t n = read(fd, block, sizeof block);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            r = err_errno(e, "cannot read %s", name);
        else if (n == 0)
            break;
        else if (buf_len(out) + (size_t)n > max || buf_put(out, block, (size_t)n) < 0)
            r = err_set(e, ERR_TAMPERED, "%s is too long", name);
    }
    close(fd);
    return r;
}

/* --- SHA256SUMS */

static int sum_of(struct check *c, const char *name, char hex[DIGEST_HEX], struct err *e)
{
    EVP_MD_CTX *sum = EVP_MD_CTX_new();
    uint8_t hash[RECORD_HASH_SIZE], block[65536];
    ssize_t n = 0;
    int fd, r;

    in_file(c, name);
    r = open_file(c, name, &fd, e);
    if (r == 0 && (!sum || EVP_DigestInit_ex(sum, EVP_sha256(), NULL) != 1))
        r = err_set(e, ERR_CRYPTO, "cannot hash %s", name);
    while (r == 0 && (n = read(fd, block, sizeof block)) > 0)
        if (EVP_DigestUpdate(sum, block, (size_t)n) != 1)
            r = err_set(e, ERR_CRYPTO, "cannot hash %s", name);
    if (r == 0 && n < 0)
        r = err_errno(e, "cannot read %s", name);
    if (r == 0 && EVP_DigestFinal_ex(sum, hash, NULL) != 1)
        r = err_set(e, ERR_CRYPTO, "cannot hash %s", name);
    if (r == 0)
        digest_hex(hash, hex);
    if (fd >= 0)
        close(fd);
    EVP_MD_CTX_free(sum);
    return r;
}

static int check_sum_line(struct check *c, char *line, unsigned *required, struct err *e)
{
    static const char *const must[] = {BUNDLE_RECORDS, BUNDLE_GATEWAY,  BUNDLE_SUMMARY,
                                       BUNDLE_README,  CHECKPOINT_FILE, ANCHOR_FILE,
                                       "log.vkey",     "log.pem"};
    /* What a bundle's names are made of; they are told to a terminal. */
    static const char name_letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                       "0123456789._-/";
    char hex[DIGEST_HEX], *name = line + 66;
    int r;

    if (strlen(line) < 67 || line[64] != ' ' || line[65] != ' ' || name[0] == '/' ||
        strstr(name, "..") || strlen(name) >= BUNDLE_PROOF_NAME || name[strspn(name, name_letters)])
        return err_set(e, ERR_TAMPERED, BUNDLE_SUMS " has a line that is none");
    r = sum_of(c, name, hex, e);
    if (r == 0 && strncmp(line, hex, 64) != 0)
        r = err_set(e, ERR_TAMPERED, "%s is not the file that was written", name);
    for (unsigned i = 0; i < sizeof must / sizeof *must; i++)
        if (strcmp(name, must[i]) == 0)
            *required |= 1u << i;
    return r;
}

static int check_sums(struct check *c, struct err *e)
{
    unsigned required = 0;
    struct buf text;
    char *all = NULL, *at, *line;
    int r = read_small(c, BUNDLE_SUMS, BUNDLE_SUMS_MAX, &text, e);

    if (r == 0 && !(all = buf_string(&text)))
        r = err_set(e, ERR_MEMORY, "no memory for " BUNDLE_SUMS);
    at = all;
    while (r == 0 && (line = strsep(&at, "\n")))
        if (line[0])
            r = check_sum_line(c, line, &required, e);
    if (r == 0 && required != 0xff) {
        in_file(c, BUNDLE_SUMS);
        r = err_set(e, ERR_TAMPERED, BUNDLE_SUMS " does not name every file that a bundle has");
    }
    free(all);
    buf_clear(&text);
    return r;
}

/* --- keys and notes */

static int check_pem(struct check *c, const char *name, const struct vkey *v, struct err *e)
{
    struct buf have, want;
    int r = read_small(c, name, 4096, &have, e);

    buf_init(&want, 4096);
    if (r == 0)
        r = bundle_pem(&want, v, e);
    if (r == 0 && (buf_len(&have) != buf_len(&want) ||
                   memcmp(buf_head(&have), buf_head(&want), buf_len(&want)) != 0))
        r = err_set(e, ERR_TAMPERED, "%s is another key", name);
    buf_clear(&have);
    buf_clear(&want);
    return r;
}

/* The key in the bundle; it must be the one that was given. */
static int read_key(struct check *c, const char *name, const struct vkey *given, struct vkey *v,
                    struct err *e)
{
    struct err detail = ERR_INIT;
    struct buf text;
    char *copy = NULL;
    int r = read_small(c, name, VKEY_MAX + 1, &text, e);

    if (r == 0 && (!(copy = buf_string(&text)) || vkey_parse(v, copy, &detail) < 0))
        r = err_set(e, ERR_TAMPERED, "%s is no key: %s", name, detail.text);
    if (r == 0 && given &&
        (strcmp(given->name, v->name) != 0 || memcmp(given->key, v->key, sizeof v->key) != 0))
        r = err_set(e, ERR_TAMPERED, "%s is not the key that was given", name);
    free(copy);
    buf_clear(&text);
    return r;
}

static int as_tampered(int r, struct err *e)
{
    return r == ERR_SYNTAX || r == ERR_NOT_FOUND || r == ERR_INPUT ? (e->code = ERR_TAMPERED) : r;
}

static int check_notes(struct check *c, const struct vkey *log, const struct vkey *anchor,
                       struct err *e)
{
    struct vkey by;
    struct anchor said;
    struct buf text;
    int r = read_key(c, "log.vkey", log, &c->result->log, e);

    buf_init(&text, NOTE_MAX);
    if (r == 0)
        r = check_pem(c, "log.pem", &c->result->log, e);
    if (r == 0)
        r = read_small(c, CHECKPOINT_FILE, NOTE_MAX, &c->note, e);
    if (r == 0)
        r = as_tampered(checkpoint_open(&c->checkpoint, (const char *)buf_head(&c->note),
                                        buf_len(&c->note), &c->result->log, e),
                        e);
    if (r == 0) {
        const char *p = (const char *)buf_head(&c->note), *end = p + buf_len(&c->note);

        for (; (p = memmem(p, (size_t)(end - p), "\n\xe2\x80\x94 ", 5)); p++)
            c->result->witnesses++;
        c->result->witnesses -= c->result->witnesses > 0; /* the log's own */
    }
    c->result->has_anchor = faccessat(c->dir, "anchor.vkey", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    if (r == 0 && (c->result->has_anchor || anchor))
        r = read_key(c, "anchor.vkey", anchor, &by, e);
    if (r == 0 && (c->result->has_anchor || anchor))
        r = check_pem(c, "anchor.pem", &by, e);
    if (r == 0) {
        buf_clear(&text);
        r = read_small(c, ANCHOR_FILE, NOTE_MAX, &text, e);
    }
    if (r == 0)
        r = as_tampered(anchor_open(&said, (const char *)buf_head(&text), buf_len(&text),
                                    c->result->has_anchor ? &by : NULL, e),
                        e);
    if (r == 0 && memcmp(said.log.key, c->result->log.key, sizeof said.log.key) != 0)
        r = err_set(e, ERR_TAMPERED, "the anchor certified another log's key");
    buf_clear(&text);
    return r;
}

/* --- records */

typedef int record_fn(struct check *c, const struct record *r, const uint8_t *header,
                      const uint8_t *payload, struct err *e);

static ssize_t read_all(int fd, uint8_t *p, size_t len)
{
    size_t have = 0;

    while (have < len) {
        ssize_t n = read(fd, p + have, len - have);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return n;
        if (n == 0)
            break;
        have += (size_t)n;
    }
    return (ssize_t)have;
}

/* Each record of a file: form and payload here, the rest by each. */
static int check_records(struct check *c, const char *name, record_fn *each, struct err *e)
{
    uint8_t header[RECORD_HEADER_SIZE], hash[RECORD_HASH_SIZE];
    uint8_t *payload = malloc(RECORD_PAYLOAD_MAX);
    struct record record;
    int fd = -1, r;
    ssize_t n;

    in_file(c, name);
    r = payload ? open_file(c, name, &fd, e) : err_set(e, ERR_MEMORY, "no memory for a record");
    while (r == 0 && (n = read_all(fd, header, sizeof header)) != 0) {
        if (n < 0)
            r = err_errno(e, "cannot read %s", name);
        else if (n < (ssize_t)sizeof header)
            r = err_set(e, ERR_TAMPERED, "%s ends within a record", name);
        else
            r = record_decode(header, &record, e);
        if (r < 0)
            break;
        c->result->record = record.index;
        n = read_all(fd, payload, record.payload_len);
        if (n < 0)
            r = err_errno(e, "cannot read %s", name);
        else if (n < (ssize_t)record.payload_len)
            r = err_set(e, ERR_TAMPERED, "%s ends within record %" PRIu64, name, record.index);
        if (r < 0)
            break;
        digest_bytes(c->digest, payload, record.payload_len, hash);
        if (memcmp(hash, record.payload_hash, sizeof hash) != 0)
            r = err_set(e, ERR_TAMPERED, "record %" PRIu64 " has another payload", record.index);
        else
            r = each(c, &record, header, payload, e);
        c->result->offset += r == 0 ? RECORD_HEADER_SIZE + record.payload_len : 0;
    }
    if (fd >= 0)
        close(fd);
    free(payload);
    return r;
}

static int session_record(struct check *c, const struct record *r, const uint8_t *header,
                          const uint8_t *payload, struct err *e)
{
    if (c->summary.records > 0 && memcmp(r->session, c->summary.session, sizeof r->session) != 0)
        return err_set(e, ERR_TAMPERED, "record %" PRIu64 " is of another session", r->index);
    if (r->sequence != c->summary.records)
        return err_set(e, ERR_TAMPERED, "a record of the session is missing before %" PRIu64,
                       r->index);
    if (memcmp(r->session_previous, c->previous, sizeof c->previous) != 0)
        return err_set(e, ERR_TAMPERED, "record %" PRIu64 " does not follow the one before",
                       r->index);
    digest_leaf(c->digest, header, c->previous);
    bundle_summary_note(&c->summary, r, payload);
    if (r->type == RECORD_VERDICT) {
        c->result->judged = c->result->ended;
        c->result->disputed = c->result->disputed || verdict_is_disputed(payload, r->payload_len);
    }
    c->result->ended = c->result->ended || r->type == RECORD_SESSION_END;
    c->last = *r;
    memcpy(c->last_header, header, sizeof c->last_header);
    return 0;
}

static int check_proof(struct check *c, const struct record *r, const uint8_t *header,
                       struct err *e)
{
    struct bundle_result at = *c->result;
    char name[BUNDLE_PROOF_NAME];
    struct checkpoint other;
    struct tlog_proof p;
    struct buf text;
    int code;

    bundle_proof_name(name, r->index);
    code = read_small(c, name, TLOG_PROOF_MAX, &text, e);
    c->result->record = r->index;
    if (code == 0)
        code =
            as_tampered(tlog_proof_parse(&p, (const char *)buf_head(&text), buf_len(&text), e), e);
    if (code == 0 && !p.has_header)
        code = err_set(e, ERR_TAMPERED, "the proof does not carry the record's header");
    if (code == 0 && p.index != r->index)
        code = err_set(e, ERR_TAMPERED, "the proof is about another record");
    if (code == 0 &&
        (p.note_len != buf_len(&c->note) || memcmp(p.note, buf_head(&c->note), p.note_len) != 0))
        code = err_set(e, ERR_TAMPERED, "the proof has another checkpoint");
    if (code == 0)
        code = as_tampered(tlog_proof_check(&p, header, &c->result->log, &other, e), e);
    buf_clear(&text);
    if (code == 0) {
        memcpy(c->result->file, at.file, sizeof at.file);
        c->result->offset = at.offset;
    }
    return code;
}

static int gateway_record(struct check *c, const struct record *r, const uint8_t *header,
                          const uint8_t *payload, struct err *e)
{
    static const uint8_t gateway[RECORD_SESSION_ID];

    (void)payload;
    if (memcmp(r->session, gateway, sizeof gateway) != 0)
        return err_set(e, ERR_TAMPERED, "record %" PRIu64 " is not one of the gateway's own",
                       r->index);
    if (c->result->others > 0 && r->index <= c->other)
        return err_set(e, ERR_TAMPERED, "record %" PRIu64 " does not stand in the log's order",
                       r->index);
    c->other = r->index;
    c->result->others++;
    return check_proof(c, r, header, e);
}

static int check_summary(struct check *c, struct err *e)
{
    struct buf have, want;
    int r;

    buf_init(&want, NOTE_MAX);
    r = read_small(c, BUNDLE_SUMMARY, NOTE_MAX, &have, e);
    if (r == 0)
        r = bundle_summary_text(&c->summary, c->checkpoint.origin, &want, e);
    if (r == 0 && (buf_len(&have) != buf_len(&want) ||
                   memcmp(buf_head(&have), buf_head(&want), buf_len(&want)) != 0))
        r = err_set(e, ERR_TAMPERED, BUNDLE_SUMMARY " does not say what the records say");
    buf_clear(&have);
    buf_clear(&want);
    return r;
}

int bundle_verify(int dir, const struct vkey *log, const struct vkey *anchor,
                  struct bundle_result *result, struct err *e)
{
    struct check c = {.dir = dir, .result = result, .digest = digest_new()};
    int r = c.digest ? 0 : err_set(e, ERR_MEMORY, "no memory for SHA-256");

    memset(result, 0, sizeof *result);
    buf_init(&c.note, NOTE_MAX);
    if (r == 0)
        r = check_sums(&c, e);
    if (r == 0)
        r = check_notes(&c, log, anchor, e);
    if (r == 0)
        r = check_records(&c, BUNDLE_RECORDS, session_record, e);
    if (r == 0 && c.summary.records == 0)
        r = err_set(e, ERR_TAMPERED, "there is no record");
    if (r == 0)
        r = check_proof(&c, &c.last, c.last_header, e);
    if (r == 0)
        r = check_records(&c, BUNDLE_GATEWAY, gateway_record, e);
    if (r == 0)
        r = check_summary(&c, e);
    result->size = c.checkpoint.size;
    result->records = c.summary.records;
    result->last = c.last.index;
    memcpy(result->session, c.summary.session, sizeof result->session);
    bundle_summary_clear(&c.summary);
    buf_clear(&c.note);
    digest_free(c.digest);
    return r;
}
