/* SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoints elsewhere: cosignatures against values made with openssl(1), the forms in which a
 * checkpoint is known, HTTP messages, and a witness's decisions. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/cosignature.h"
#include "audit/http.h"
#include "audit/known.h"
#include "audit/merkle.h"
#include "audit/witness.h"

/* The text is tlog-cosignature's example; key (seed 00 01 .. 1f), line and key id were made with
 * openssl pkeyutl and sha256sum. */
static const char text[] = "example.com/behind-the-sofa\n20852163\n"
                           "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
static const char witness_vkey[] =
    "witness.example.com/w1+a0059f11+BAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
#define LINE                                                                                       \
    "\xe2\x80\x94 witness.example.com/w1 oAWfEQAAAABkGFDLBuRDazBLVac2NE+"                          \
    "Y+IjbjQOcXLfF9CSDZVUIoS83rE1nFZsVE8YiWV6Ngr7lV8H6bdoBQGP/l73euDMQ9k+bBQ==\n"
/* Of the text: another witness's and the log's own. */
#define OTHER                                                                                      \
    "\xe2\x80\x94 witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEh"   \
    "ZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"

static EVP_PKEY *key_of(uint8_t first)
{
    uint8_t seed[32];

    for (size_t i = 0; i < sizeof seed; i++)
        seed[i] = (uint8_t)(first + i);
    return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof seed);
}

Test(cosignature, published_values)
{
    EVP_PKEY *key = key_of(0);
    struct err e = ERR_INIT;
    struct vkey v, parsed;
    char vkey[VKEY_MAX];
    struct buf line;

    cr_assert_eq(witness_key_from_private(&v, "witness.example.com/w1", key, &e), 0);
    witness_key_text(&v, vkey);
    cr_expect_str_eq(vkey, witness_vkey);
    cr_assert_eq(witness_key_parse(&parsed, witness_vkey, &e), 0, "%s", e.text);
    cr_expect_arr_eq(parsed.key, v.key, sizeof v.key);
    buf_init(&line, 1024);
    cr_assert_eq(cosignature_sign(&line, text, strlen(text), v.name, key, 1679315147, &e), 0);
    cr_expect_eq(buf_len(&line), strlen(LINE));
    cr_expect_arr_eq(buf_head(&line), LINE, strlen(LINE));
    buf_clear(&line);
    EVP_PKEY_free(key);
}

Test(cosignature, verified)
{
    static const struct {
        const char *lines;
        int expected;
    } rows[] = {
        {LINE, 0},
        {OTHER LINE, 0}, /* another key of the same name is ignored */
        {"\xe2\x80\x94 somebody AAAA\n" LINE, 0},
        {OTHER, ERR_TAMPERED},
        {"", ERR_TAMPERED},
        {"nonsense\n" LINE, ERR_SYNTAX},
        {"\xe2\x80\x94 witness.example.com/w1 oAWfEQAAAABkGFDMBuRDazBLVac2NE+"
         "Y+IjbjQOcXLfF9CSDZVUIoS83rE1nFZsVE8YiWV6Ngr7lV8H6bdoBQGP/l73euDMQ9k+bBQ==\n",
         ERR_TAMPERED}, /* a second later */
        {"\xe2\x80\x94 witness.example.com/w1 oAWfEQAAAABkGFDLBuRD", ERR_SYNTAX},
    };
    struct err e = ERR_INIT;
    const char *line;
    uint64_t time_s;
    size_t len;
    struct vkey v;

    cr_assert_eq(witness_key_parse(&v, witness_vkey, &e), 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int r = cosignature_verify(text, strlen(text), rows[i].lines, strlen(rows[i].lines), &v,
                                   &time_s, &line, &len, &e);
        cr_expect_eq(r, rows[i].expected, "row %zu: %d %s", i, r, e.text);
        if (r == 0) {
            cr_expect_eq(time_s, 1679315147);
            cr_expect_eq(len, strlen(LINE));
        }
    }
    cr_expect_lt(cosignature_verify(text, strlen(text) - 1, LINE, strlen(LINE), &v, &time_s, &line,
                                    &len, &e),
                 0);
    /* A log's key is no witness's, and the other way round. */
    cr_expect_lt(
        witness_key_parse(
            &v, "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", &e),
        0);
    cr_expect_lt(vkey_parse(&v, witness_vkey, &e), 0);
}

/* --- the forms in which a checkpoint is known */

static void checkpoint_note(struct buf *out, struct vkey *log, const char *origin, uint64_t size)
{
    EVP_PKEY *key = key_of(7);
    struct checkpoint c = {.size = size};
    struct err e = ERR_INIT;

    snprintf(c.origin, sizeof c.origin, "%s", origin);
    memset(c.root, 0xab, sizeof c.root);
    buf_init(out, NOTE_MAX);
    cr_assert_eq(checkpoint_sign(out, &c, key, &e), 0, "%s", e.text);
    cr_assert_eq(vkey_from_private(log, origin, key, &e), 0);
    EVP_PKEY_free(key);
}

Test(known, every_form)
{
    static const char *const origins[] = {"gw.example.org/sallyport/0", "a\"b\\c]d"};
    struct buf note, newer, parameters, all;
    struct vkey log, witness;
    struct err e = ERR_INIT;
    struct checkpoint c;

    for (size_t o = 0; o < 2; o++) {
        checkpoint_note(&note, &log, origins[o], 41);
        checkpoint_note(&newer, &log, origins[o], 42);
        buf_init(&parameters, KNOWN_LINE_MAX);
        buf_init(&all, 65536);
        cr_assert_eq(
            known_parameters(&parameters, (const char *)buf_head(&note), buf_len(&note), &e), 0,
            "%s", e.text);
        /* a note, one with a cosignature, a proof that ends in it */
        cr_expect_eq(
            known_checkpoint_parse(&c, (const char *)buf_head(&note), buf_len(&note), &log, &e), 0,
            "%s", e.text);
        cr_expect_eq(c.size, 41);
        cr_assert_eq(buf_printf(&all, "%.*s" LINE, (int)buf_len(&note), buf_head(&note)), 0);
        cr_expect_eq(
            known_checkpoint_parse(&c, (const char *)buf_head(&all), buf_len(&all), &log, &e), 0,
            "%s", e.text);
        buf_clear(&all);
        cr_assert_eq(buf_printf(&all, "c2sp.org/tlog-proof@v1\nindex 3\n\n%.*s",
                                (int)buf_len(&note), buf_head(&note)),
                     0);
        cr_expect_eq(
            known_checkpoint_parse(&c, (const char *)buf_head(&all), buf_len(&all), &log, &e), 0,
            "%s", e.text);
        buf_clear(&all);
        /* syslog: with its structured data, with the text alone, among other lines */
        cr_assert_eq(buf_printf(&all,
                                "Nov 22 kernel: checkpoint of nothing\n"
                                "<109>1 2026-11-22T14:00:00.000000Z gw sallyport - checkpoint "
                                "[" KNOWN_SD_ID "%.*s]\n",
                                (int)buf_len(&parameters), buf_head(&parameters)),
                     0);
        cr_expect_eq(
            known_checkpoint_parse(&c, (const char *)buf_head(&all), buf_len(&all), &log, &e), 0,
            "%s", e.text);
        buf_clear(&parameters);
        cr_assert_eq(
            known_parameters(&parameters, (const char *)buf_head(&newer), buf_len(&newer), &e), 0);
        cr_assert_eq(buf_printf(&all, "Nov 22 gw sallyport checkpoint%.*s",
                                (int)buf_len(&parameters), buf_head(&parameters)),
                     0);
        cr_expect_eq(
            known_checkpoint_parse(&c, (const char *)buf_head(&all), buf_len(&all), &log, &e), 0,
            "%s", e.text);
        cr_expect_eq(c.size, 42);
        /* altered: nothing is known */
        uint8_t *digit = memmem(all.data + all.start, all.len, "size=\"42", 8);
        digit[6] = '9';
        digit = memmem(all.data + all.start, all.len, "size=\"41", 8);
        digit[6] = '9';
        cr_expect_eq(
            known_checkpoint_parse(&c, (const char *)buf_head(&all), buf_len(&all), &log, &e),
            ERR_TAMPERED, "%s", e.text);
        buf_clear(&note);
        buf_clear(&newer);
        buf_clear(&parameters);
        buf_clear(&all);
    }
    cr_assert_eq(witness_key_parse(&witness, witness_vkey, &e), 0);
    cr_expect_eq(known_checkpoint_parse(&c, "hello\n", 6, &log, &e), ERR_SYNTAX);
    cr_expect_eq(known_checkpoint_parse(&c, "", 0, &log, &e), ERR_SYNTAX);
}

/* --- HTTP */

Test(http, requests)
{
    static const struct {
        const char *in;
        int expected;
    } rows[] = {
        {"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: 3\r\n\r\nabc", 1},
        {"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: 3\r\n\r\nab", 0},
        {"GET /x/checkpoint HTTP/1.0\r\n\r\n", 1},
        {"GET", 0},
        {"POST / HTTP/1.1\r\nHost: w\r\n\r\n", ERR_SYNTAX},
        {"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", ERR_SYNTAX},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", ERR_SYNTAX},
        {"POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\na", ERR_SYNTAX},
        {"POST / HTTP/1.1\r\nContent-Length: 70001\r\n\r\na", ERR_FULL},
        {"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\na", ERR_SYNTAX},
        {"POST / HTTP/1.1\nContent-Length: 1\r\n\r\na", ERR_SYNTAX},
        {"POST / HTTP/1.1\r\nContent-Length: 1\n\r\n\r\na", ERR_SYNTAX},
        {"POST / HTTP/1.1\r\nA: b\r\n folded\r\nContent-Length: 1\r\n\r\na", ERR_SYNTAX},
        {"POST / HTTP/1.1\r\nA : b\r\nContent-Length: 1\r\n\r\na", ERR_SYNTAX},
        {"POST / HTTP/1.1\r\nA: \x01\r\nContent-Length: 1\r\n\r\na", ERR_SYNTAX},
        {"GET /../%2e HTTP/1.1\r\n\r\n", ERR_SYNTAX},
        {"GET http://w/ HTTP/1.1\r\n\r\n", ERR_SYNTAX},
        {"GET / HTTP/2.0\r\n\r\n", ERR_SYNTAX},
        {"GET  HTTP/1.1\r\n\r\n", ERR_SYNTAX},
        {"\r\n\r\n", ERR_SYNTAX},
        {" / HTTP/1.1\r\n\r\n", ERR_SYNTAX},
    };
    struct http_message m;
    struct err e = ERR_INIT;
    char *endless;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_eq(http_request_parse(&m, rows[i].in, strlen(rows[i].in), &e), rows[i].expected,
                     "row %zu", i);
    cr_assert_eq(http_request_parse(&m, rows[0].in, strlen(rows[0].in), &e), 1);
    cr_expect_str_eq(m.method, "POST");
    cr_expect_str_eq(m.path, "/add-checkpoint");
    cr_expect_eq(m.body_len, 3);
    cr_expect(!m.close);
    endless = malloc(HTTP_HEAD_MAX);
    memset(endless, 'a', HTTP_HEAD_MAX);
    cr_expect_eq(http_request_parse(&m, endless, HTTP_HEAD_MAX - 1, &e), 0);
    cr_expect_eq(http_request_parse(&m, endless, HTTP_HEAD_MAX, &e), ERR_FULL);
    free(endless);
}

Test(http, responses)
{
    static const struct {
        const char *in;
        int expected;
        unsigned status;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", 1, 200},
        {"HTTP/1.1 409 Conflict\r\nContent-Type: text/x.tlog.size\r\ncontent-length: 2\r\n\r\n7\n",
         1, 409},
        {"HTTP/1.1 204 \r\n\r\n", 1, 204},
        {"HTTP/1.1 200 OK\r\n\r\n", ERR_SYNTAX, 0},
        {"HTTP/1.1 100 Continue\r\n\r\n", ERR_SYNTAX, 0},
        {"HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n", ERR_SYNTAX, 0},
        {"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n", ERR_SYNTAX, 0},
        {"SSH-2.0-OpenSSH\r\n\r\n", ERR_SYNTAX, 0},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", ERR_SYNTAX, 0},
    };
    struct http_message m;
    struct err e = ERR_INIT;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int r = http_response_parse(&m, rows[i].in, strlen(rows[i].in), &e);
        cr_expect_eq(r, rows[i].expected, "row %zu", i);
        if (r == 1)
            cr_expect_eq(m.status, rows[i].status);
    }
    cr_assert_eq(http_response_parse(&m, rows[1].in, strlen(rows[1].in), &e), 1);
    cr_expect_str_eq(m.content_type, "text/x.tlog.size");
}

/* --- the witness */

struct bench {
    char dir[64];
    struct witness w;
    struct digest *d;
    uint8_t leaves[16][RECORD_HASH_SIZE];
};

static void bench_up(struct bench *b)
{
    struct err e = ERR_INIT;
    EVP_PKEY *log = key_of(7);

    memset(b, 0, sizeof *b);
    strcpy(b->dir, "/tmp/sallyport-witness-XXXXXX");
    cr_assert(mkdtemp(b->dir));
    b->w.dir = open(b->dir, O_RDONLY | O_DIRECTORY);
    b->w.key = key_of(0);
    strcpy(b->w.name, "witness.example.com/w1");
    b->d = b->w.digest = digest_new();
    cr_assert_eq(vkey_from_private(&b->w.logs[0], "gw/sallyport/0", log, &e), 0);
    b->w.log_count = 1;
    for (size_t i = 0; i < 16; i++)
        memset(b->leaves[i], (int)i, RECORD_HASH_SIZE);
    EVP_PKEY_free(log);
}

static void bench_down(struct bench *b)
{
    char command[128];

    close(b->w.dir);
    digest_free(b->d);
    EVP_PKEY_free(b->w.key);
    snprintf(command, sizeof command, "rm -r %s", b->dir);
    cr_expect_eq(system(command), 0);
}

static void root_of(struct bench *b, size_t from, size_t to, uint8_t *out)
{
    struct merkle m;

    merkle_init(&m);
    for (size_t i = from; i < to; i++)
        merkle_add(&m, b->d, b->leaves[i]);
    merkle_root(&m, b->d, out);
}

/* RFC 6962 2.1.2's recursion, as it stands there. */
static unsigned subproof(struct bench *b, size_t m, size_t from, size_t to, bool whole,
                         uint8_t out[][RECORD_HASH_SIZE])
{
    const size_t n = to - from;
    size_t k = 1;
    unsigned count;

    if (m == n) {
        if (!whole)
            root_of(b, from, to, out[0]);
        return !whole;
    }
    while (2 * k < n)
        k *= 2;
    if (m <= k) {
        count = subproof(b, m, from, from + k, whole, out);
        root_of(b, from + k, to, out[count]);
    } else {
        count = subproof(b, m - k, from + k, to, false, out);
        root_of(b, from, from + k, out[count]);
    }
    return count + 1;
}

struct question {
    uint64_t old, size;
    const char *origin;
    uint8_t log_key; /* key_of */
    bool fork;       /* other leaves */
    bool drop_proof; /* one hash less */
};

static unsigned ask(struct bench *b, const struct question *q, struct buf *answer)
{
    struct checkpoint c = {.size = q->size};
    EVP_PKEY *key = key_of(q->log_key);
    uint8_t proof[64][RECORD_HASH_SIZE];
    struct err e = ERR_INIT;
    unsigned count = 0, status;
    struct buf body;
    char hash[64];

    if (q->fork)
        b->leaves[0][0] ^= 1;
    snprintf(c.origin, sizeof c.origin, "%s", q->origin ? q->origin : "gw/sallyport/0");
    root_of(b, 0, q->size, c.root);
    if (q->old > 0 && q->old < q->size)
        count = subproof(b, q->old, 0, q->size, true, proof);
    if (q->fork)
        b->leaves[0][0] ^= 1;
    buf_init(&body, 65536);
    cr_assert_eq(buf_printf(&body, "old %llu\n", (unsigned long long)q->old), 0);
    for (unsigned i = 0; i + q->drop_proof < count; i++) {
        base64_encode(hash, proof[i], RECORD_HASH_SIZE);
        cr_assert_eq(buf_printf(&body, "%s\n", hash), 0);
    }
    cr_assert_eq(buf_printf(&body, "\n"), 0);
    cr_assert_eq(checkpoint_sign(&body, &c, key, &e), 0);
    status =
        witness_add_checkpoint(&b->w, (const char *)buf_head(&body), buf_len(&body), 1000, answer);
    buf_clear(&body);
    EVP_PKEY_free(key);
    return status;
}

Test(witness, decisions_in_order)
{
    static const struct {
        struct question q;
        unsigned status;
        const char *body; /* NULL: any */
    } rows[] = {
        {{.old = 3, .size = 5, .log_key = 7}, 409, "0\n"},
        {{.old = 0, .size = 3, .log_key = 7, .origin = "another"}, 404, NULL},
        {{.old = 0, .size = 3, .log_key = 9}, 403, NULL},
        {{.old = 4, .size = 3, .log_key = 7}, 400, NULL},
        {{.old = 0, .size = 0, .log_key = 7}, 200, NULL},
        {{.old = 0, .size = 3, .log_key = 7}, 200, NULL},
        {{.old = 0, .size = 3, .log_key = 7}, 409, "3\n"},
        {{.old = 3, .size = 3, .log_key = 7}, 200, NULL},
        {{.old = 3, .size = 3, .log_key = 7, .fork = true}, 422, NULL},
        {{.old = 3, .size = 7, .log_key = 7, .fork = true}, 422, NULL},
        {{.old = 3, .size = 7, .log_key = 7, .drop_proof = true}, 422, NULL},
        {{.old = 3, .size = 7, .log_key = 7}, 200, NULL},
        {{.old = 7, .size = 8, .log_key = 7}, 200, NULL},
        {{.old = 8, .size = 16, .log_key = 7}, 200, NULL},
        {{.old = 7, .size = 8, .log_key = 7}, 409, "16\n"},
    };
    struct bench b;
    struct buf answer;
    struct err e = ERR_INIT;
    struct vkey v;
    uint64_t time_s;
    char hash[DIGEST_HEX];
    uint8_t raw[RECORD_HASH_SIZE];

    bench_up(&b);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned status;

        buf_init(&answer, NOTE_MAX);
        status = ask(&b, &rows[i].q, &answer);
        cr_expect_eq(status, rows[i].status, "row %zu: %u %.*s", i, status, (int)buf_len(&answer),
                     buf_head(&answer));
        if (rows[i].body)
            cr_expect(buf_len(&answer) == strlen(rows[i].body) &&
                          memcmp(buf_head(&answer), rows[i].body, buf_len(&answer)) == 0,
                      "row %zu", i);
        buf_clear(&answer);
    }
    /* What it shows has the log's signature and its own. */
    digest_bytes(b.d, "gw/sallyport/0", 14, raw);
    digest_hex(raw, hash);
    buf_init(&answer, NOTE_MAX);
    cr_expect_eq(witness_checkpoint(&b.w, hash, &answer), 200);
    cr_assert_eq(witness_key_from_private(&v, b.w.name, b.w.key, &e), 0);
    cr_expect_eq(
        cosigned_note_verify((const char *)buf_head(&answer), buf_len(&answer), &v, &time_s, &e), 0,
        "%s", e.text);
    cr_expect_eq(time_s, 1000);
    struct checkpoint c;
    cr_expect_eq(
        checkpoint_open(&c, (const char *)buf_head(&answer), buf_len(&answer), &b.w.logs[0], &e), 0,
        "%s", e.text);
    cr_expect_eq(c.size, 16);
    buf_clear(&answer);
    cr_expect_eq(witness_checkpoint(&b.w, "../key.pem", &answer), 404);
    buf_clear(&answer);
    bench_down(&b);
}

Test(witness, malformed_bodies)
{
    static const char *const bodies[] = {"",
                                         "\n",
                                         "old\n\nx\n",
                                         "old 01\n\nx\n",
                                         "old -1\n\nx\n",
                                         "old 1 \n\nx\n",
                                         "old 0\n",
                                         "old 0\nAAAA\n\nx\n",
                                         "old 0\n\n",
                                         "old 99999999999999999999\n\nx\n",
                                         "old 0\n\norigin\n1\n",
                                         "old 0\n\ngw/sallyport/0\n1\nAAAA\n\n"};
    struct bench b;
    struct buf answer;

    bench_up(&b);
    buf_init(&answer, NOTE_MAX);
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        cr_expect_eq(witness_add_checkpoint(&b.w, bodies[i], strlen(bodies[i]), 1, &answer), 400,
                     "body %zu", i);
    buf_clear(&answer);
    bench_down(&b);
}
