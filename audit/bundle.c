/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes a bundle of evidence: beside its place, and there when it is complete. Runs as the
 * reviewer on a trail's directory. Memory: one record and the proofs' tiles. */
#include "audit/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/bundle_parts.h"
#include "gateway/cli.h"

void bundle_proof_name(char out[BUNDLE_PROOF_NAME], uint64_t index)
{
    snprintf(out, BUNDLE_PROOF_NAME, BUNDLE_PROOFS "/%016" PRIx64 ".tlog-proof", index);
}

int bundle_pem(struct buf *out, const struct vkey *v, struct err *e)
{
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, v->key, sizeof v->key);
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    int r = ERR_CRYPTO;
    long len;

    if (key && bio && PEM_write_bio_PUBKEY(bio, key) == 1 &&
        (len = BIO_get_mem_data(bio, &text)) > 0)
        r = buf_put(out, text, (size_t)len);
    BIO_free(bio);
    EVP_PKEY_free(key);
    return r < 0 ? err_set(e, (enum err_code)r, "cannot write a public key as PEM") : 0;
}

static int remove_one(const char *path, const struct stat *st, int what, struct FTW *ftw)
{
    (void)st, (void)what, (void)ftw;
    return remove(path);
}

void bundle_remove(const char *path)
{
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* --- files */

static int open_file(struct bundle *b, const char *name, struct err *e)
{
    int fd = openat(b->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

    return fd < 0 ? err_errno(e, "cannot make %s", name) : fd;
}

/* Takes bytes into a file and its SHA-256. */
int bundle_file_put(struct bundle_file *f, const void *p, size_t len, struct err *e)
{
    const uint8_t *at = p;

    if (EVP_DigestUpdate(f->sum, p, len) != 1)
        return err_set(e, ERR_CRYPTO, "cannot hash %s", f->name);
    if (buf_len(&f->queue) + len <= BUNDLE_QUEUE)
        return buf_put(&f->queue, p, len) < 0 ? err_set(e, ERR_MEMORY, "no memory for %s", f->name)
                                              : 0;
    while (buf_len(&f->queue) > 0 || len > 0) {
        bool queued = buf_len(&f->queue) > 0;
        ssize_t n =
            queued ? write(f->fd, buf_head(&f->queue), buf_len(&f->queue)) : write(f->fd, at, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(e, "cannot write %s", f->name);
        if (queued) {
            buf_consume(&f->queue, (size_t)n);
        } else {
            at += n;
            len -= (size_t)n;
        }
    }
    return 0;
}

int bundle_file_begin(struct bundle *b, struct bundle_file *f, const char *name, struct err *e)
{
    memset(f, 0, sizeof *f);
    snprintf(f->name, sizeof f->name, "%s", name);
    buf_init(&f->queue, BUNDLE_QUEUE);
    f->fd = open_file(b, name, e);
    f->sum = EVP_MD_CTX_new();
    if (f->fd < 0)
        return f->fd;
    if (!f->sum || EVP_DigestInit_ex(f->sum, EVP_sha256(), NULL) != 1)
        return err_set(e, ERR_CRYPTO, "cannot hash %s", name);
    return 0;
}

/* Closes it and adds it to the sums; r: what happened until now. */
int bundle_file_end(struct bundle *b, struct bundle_file *f, int r, struct err *e)
{
    uint8_t hash[RECORD_HASH_SIZE];
    char hex[DIGEST_HEX];

    while (r == 0 && buf_len(&f->queue) > 0) {
        ssize_t n = write(f->fd, buf_head(&f->queue), buf_len(&f->queue));

        if (n < 0 && errno != EINTR)
            r = err_errno(e, "cannot write %s", f->name);
        else if (n > 0)
            buf_consume(&f->queue, (size_t)n);
    }
    if (f->fd >= 0 && r == 0 && fsync(f->fd) != 0)
        r = err_errno(e, "cannot write %s", f->name);
    if (f->fd >= 0)
        close(f->fd);
    if (r == 0 && EVP_DigestFinal_ex(f->sum, hash, NULL) != 1)
        r = err_set(e, ERR_CRYPTO, "cannot hash %s", f->name);
    if (r == 0) {
        digest_hex(hash, hex);
        if (buf_printf(&b->sums, "%s  %s\n", hex, f->name) < 0)
            r = err_set(e, ERR_FULL, "too many files for a bundle");
    }
    EVP_MD_CTX_free(f->sum);
    buf_clear(&f->queue);
    return r;
}

int bundle_put_file(struct bundle *b, const char *name, const void *p, size_t len, struct err *e)
{
    struct bundle_file f;
    int r = bundle_file_begin(b, &f, name, e);

    if (r == 0)
        r = bundle_file_put(&f, p, len, e);
    return bundle_file_end(b, &f, r, e);
}

/* --- parts */

static int put_proof(struct bundle *b, const struct record *r, const uint8_t *header, struct err *e)
{
    struct tlog_proof p = {.has_header = true, .index = r->index};
    char name[BUNDLE_PROOF_NAME];
    struct buf text;
    int code;

    buf_init(&text, TLOG_PROOF_MAX);
    memcpy(p.header, header, RECORD_HEADER_SIZE);
    p.note = (const char *)buf_head(&b->note);
    p.note_len = buf_len(&b->note);
    code = proof_inclusion(b->tiles, r->index, b->checkpoint.size, &p.proof, e);
    if (code == 0)
        code = tlog_proof_write(&text, &p, e);
    bundle_proof_name(name, r->index);
    if (code == 0)
        code = bundle_put_file(b, name, buf_head(&text), buf_len(&text), e);
    buf_clear(&text);
    return code;
}

static int put_session(struct bundle *b, struct err *e)
{
    struct source_selection which = {.what = SOURCE_SESSION};
    struct record_source *source = NULL;
    uint8_t header[RECORD_HEADER_SIZE];
    struct record last = {0};
    struct source_record v;
    struct bundle_file f;
    int r = bundle_file_begin(b, &f, BUNDLE_RECORDS, e);

    snprintf(which.session, sizeof which.session, "%s", b->o->session);
    if (r == 0)
        r = record_source_dir(&source, b->o->trail, &which, e);
    while (r == 0 && (r = record_source_next(source, &v, -1, e)) == SOURCE_RECORD) {
        r = 0;
        if (v.r.index >= b->checkpoint.size)
            break; /* the proofs end there */
        if (!v.payload)
            r = err_set(e, ERR_INPUT,
                        "payloads of this session were destroyed: its records cannot be bundled");
        if (r == 0)
            r = bundle_file_put(&f, v.header, RECORD_HEADER_SIZE, e);
        if (r == 0 && v.r.payload_len > 0)
            r = bundle_file_put(&f, v.payload, v.r.payload_len, e);
        if (r < 0)
            break;
        bundle_summary_note(&b->summary, &v.r, v.payload);
        last = v.r;
        memcpy(header, v.header, sizeof header);
        b->bytes += RECORD_HEADER_SIZE + v.r.payload_len;
        if (b->o->progress && b->summary.records % 4096 == 0)
            b->o->progress(b->o->arg, b->summary.records, b->bytes);
    }
    record_source_free(source);
    if (r == 0 && b->summary.records == 0)
        r = err_set(e, ERR_INPUT,
                    "no checkpoint covers this session yet: one is written every 10 seconds");
    r = bundle_file_end(b, &f, r, e);
    return r < 0 ? r : put_proof(b, &last, header, e);
}

/* Whether a record of the gateway belongs to the evidence: it names the session, or is the seal of
 * the epoch in which the session's last record stands. */
static bool concerns(const struct bundle *b, const struct source_record *v, const char *id,
                     bool *sealed)
{
    if (!v->payload || (v->r.flags & RECORD_FLAG_SEALED))
        return false;
    if (v->r.type == RECORD_SEAL && v->r.index > b->summary.last && !*sealed) {
        *sealed = true;
        return true;
    }
    return record_is_json(v->r.type) && v->r.type != RECORD_SEGMENT &&
           memmem(v->payload, v->r.payload_len, id, strlen(id));
}

static int put_gateway(struct bundle *b, struct err *e)
{
    struct source_selection which = {.what = SOURCE_GATEWAY};
    char id[2 * RECORD_SESSION_ID + 1];
    struct record_source *source = NULL;
    struct source_record v;
    struct bundle_file f;
    bool sealed = false;
    unsigned count = 0;
    int r = bundle_file_begin(b, &f, BUNDLE_GATEWAY, e);

    hex_encode(id, b->summary.session, RECORD_SESSION_ID);
    if (r == 0)
        r = record_source_dir(&source, b->o->trail, &which, e);
    if (r == 0)
        r = record_source_seek(source, b->summary.first, e);
    while (r == 0 && (r = record_source_next(source, &v, -1, e)) == SOURCE_RECORD) {
        r = 0;
        if (v.r.index >= b->checkpoint.size)
            break;
        if (!concerns(b, &v, id, &sealed))
            continue;
        if (++count > BUNDLE_OTHERS_MAX)
            break;
        r = bundle_file_put(&f, v.header, RECORD_HEADER_SIZE, e);
        if (r == 0 && v.r.payload_len > 0)
            r = bundle_file_put(&f, v.payload, v.r.payload_len, e);
        if (r == 0)
            r = put_proof(b, &v.r, v.header, e);
    }
    record_source_free(source);
    return bundle_file_end(b, &f, r, e);
}

static int put_key(struct bundle *b, const struct vkey *v, const char *name, struct err *e)
{
    char text[VKEY_MAX], path[64];
    struct buf pem;
    int r;

    buf_init(&pem, 4096);
    vkey_text(v, text);
    snprintf(path, sizeof path, "%s.vkey", name);
    strcat(text, "\n");
    r = bundle_put_file(b, path, text, strlen(text), e);
    if (r == 0)
        r = bundle_pem(&pem, v, e);
    snprintf(path, sizeof path, "%s.pem", name);
    if (r == 0)
        r = bundle_put_file(b, path, buf_head(&pem), buf_len(&pem), e);
    buf_clear(&pem);
    return r;
}

/* Checkpoint, anchor, keys, summary, README: what the records' part has to stand on. */
static int put_rest(struct bundle *b, struct err *e)
{
    struct buf text;
    int r;

    buf_init(&text, NOTE_MAX);
    r = bundle_put_file(b, CHECKPOINT_FILE, buf_head(&b->note), buf_len(&b->note), e);
    if (r == 0)
        r = note_file_read(b->o->trail, ANCHOR_FILE, &text, e);
    if (r == 0)
        r = bundle_put_file(b, ANCHOR_FILE, buf_head(&text), buf_len(&text), e);
    buf_clear(&text);
    if (r == 0)
        r = put_key(b, &b->log, "log", e);
    if (r == 0 && b->o->anchor)
        r = put_key(b, b->o->anchor, "anchor", e);
    if (r == 0)
        r = bundle_summary_text(&b->summary, b->checkpoint.origin, &text, e);
    if (r == 0)
        r = bundle_put_file(b, BUNDLE_SUMMARY, buf_head(&text), buf_len(&text), e);
    buf_clear(&text);
    return r < 0 ? r : bundle_put_file(b, BUNDLE_README, bundle_readme, strlen(bundle_readme), e);
}

/* The checkpoint to stand on: the one with cosignatures, where it is not older than the session. */
static int read_checkpoint(struct bundle *b, const char *file, struct err *e)
{
    int r;

    buf_clear(&b->note);
    r = note_file_read(b->o->trail, file, &b->note, e);
    return r < 0 ? r
                 : checkpoint_open(&b->checkpoint, (const char *)buf_head(&b->note),
                                   buf_len(&b->note), &b->log, e);
}

static int choose_checkpoint(struct bundle *b, struct err *e)
{
    struct source_selection which = {.what = SOURCE_SESSION};
    const struct source_session *session;
    struct record_source *source;
    struct err ignored = ERR_INIT;
    uint64_t last = UINT64_MAX;
    struct anchor anchor;
    int r;

    if (b->o->log) {
        b->log = *b->o->log;
    } else {
        r = anchor_read(&anchor, b->o->trail, b->o->anchor, e);
        if (r < 0)
            return r;
        b->log = anchor.log;
    }
    snprintf(which.session, sizeof which.session, "%s", b->o->session);
    r = record_source_dir(&source, b->o->trail, &which, e);
    if (r < 0)
        return r;
    session = record_source_session(source, e);
    if (session)
        last = session->last;
    record_source_free(source);
    if (!session)
        return e->code;
    if (read_checkpoint(b, "checkpoint.witnessed", &ignored) == 0 && b->checkpoint.size > last)
        return 0;
    return read_checkpoint(b, CHECKPOINT_FILE, e);
}

static int make(struct bundle *b, struct err *e)
{
    uint8_t root[RECORD_HASH_SIZE];
    int r = choose_checkpoint(b, e);

    if (r == 0)
        r = tile_reader_new(&b->tiles, b->o->trail, b->checkpoint.size, e);
    if (r == 0)
        r = proof_root(b->tiles, b->checkpoint.size, root, e);
    if (r == 0 && memcmp(root, b->checkpoint.root, sizeof root) != 0)
        r = err_set(e, ERR_TAMPERED,
                    "the trail's tiles do not give the checkpoint's root: verify the trail");
    if (r == 0 && mkdirat(b->dir, BUNDLE_PROOFS, 0700) != 0)
        r = err_errno(e, "cannot make " BUNDLE_PROOFS);
    if (r == 0)
        r = put_session(b, e);
    if (r == 0)
        r = put_gateway(b, e);
    if (r == 0)
        r = put_rest(b, e);
    if (r == 0 && b->o->with_recording)
        r = bundle_put_recording(b, e);
    if (r == 0) {
        struct buf sums = b->sums;

        buf_init(&b->sums, BUNDLE_SUMS_MAX); /* its own line goes nowhere */
        r = bundle_put_file(b, BUNDLE_SUMS, buf_head(&sums), buf_len(&sums), e);
        buf_clear(&sums);
    }
    return r;
}

static bool is_tar(const char *path)
{
    size_t len = strlen(path);

    return len > 4 && strcmp(path + len - 4, ".tar") == 0;
}

/* Gives what is complete its name. */
static int place(const struct bundle_options *o, const char *from, struct err *e)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, o->output, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno == EEXIST && o->force &&
        renameat2(AT_FDCWD, from, AT_FDCWD, o->output, RENAME_EXCHANGE) == 0) {
        bundle_remove(from);
        return 0;
    }
    return err_errno(e, "cannot name the bundle %s", o->output);
}

static int pack(const struct bundle_options *o, struct bundle *b, struct err *e)
{
    char *tar = cli_printf("%s.%ld.tarpart", o->output, (long)getpid()), *base, *name;
    int fd = open(tar, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600), r;

    base = strrchr(o->output, '/');
    name = cli_printf("%s", base ? base + 1 : o->output);
    name[strlen(name) - 4] = 0;
    r = fd < 0 ? err_errno(e, "cannot make %s", tar) : bundle_tar(b->dir, name, fd, e);
    if (fd >= 0)
        close(fd);
    if (r == 0)
        r = place(o, tar, e);
    if (r < 0)
        unlink(tar);
    free(tar);
    free(name);
    return r;
}

int bundle_write(const struct bundle_options *o, struct err *e)
{
    char *beside = cli_printf("%s.%ld.part", o->output, (long)getpid());
    struct bundle b = {.o = o, .dir = -1};
    struct stat st;
    int r = 0;

    buf_init(&b.sums, BUNDLE_SUMS_MAX);
    buf_init(&b.note, NOTE_MAX);
    if (lstat(o->output, &st) == 0 && !o->force)
        r = err_set(e, ERR_INPUT, "%s is there already; --force puts the bundle in its place",
                    o->output);
    if (r == 0 && mkdir(beside, 0700) != 0)
        r = err_errno(e, "cannot make %s", beside);
    if (r == 0) {
        b.dir = open(beside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = b.dir < 0 ? err_errno(e, "cannot open %s", beside) : make(&b, e);
        if (r == 0)
            r = is_tar(o->output) ? pack(o, &b, e) : place(o, beside, e);
        if (b.dir >= 0)
            close(b.dir);
        if (r < 0 || is_tar(o->output))
            bundle_remove(beside);
    }
    tile_reader_free(b.tiles);
    bundle_summary_clear(&b.summary);
    buf_clear(&b.sums);
    buf_clear(&b.note);
    free(beside);
    return r;
}
