/* SPDX-License-Identifier: Apache-2.0
 *
 * Data keys against values that openssl(1) computes, a session's key record, and what a reviewer
 * with and without the right identity gets out of sealed records. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/session_keys.h"
#include "audit/unseal.h"
#include "tests/unit/audit_lab.h"

#define OTHER_IDENTITY "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0"

/* Secret 00 01 .. 1f, session a0 a1 .. af, key number 1, header 00 01 .. 4f, sequence 7:
 *   openssl mac -digest SHA256 -macopt hexkey:$SECRET -in LABEL-SESSION-NUMBER HMAC
 *   printf 'uptime\n' | openssl enc -aes-256-ctr -K $KEY -iv 00000000000000000000000700000002
 *   openssl mac -cipher AES-256-GCM -macopt hexkey:$KEY -macopt hexiv:000000000000000000000007 \
 *       -in HEADER GMAC                                            (the tag of an empty payload) */
static const char vector_commitment[] =
    "08db64e9de2edab916743fd5c7b7d3819527da8fac0daa75345445ca1ccfe139";
static const char vector_sealed[] = "2eb9a674867a28";
static const char vector_empty_tag[] = "99733ef3d325bbb696a22643114fae11";

static struct data_key *vector_key(uint32_t number)
{
    uint8_t secret[DATA_KEY_SIZE], session[RECORD_SESSION_ID];
    struct err e = ERR_INIT;
    struct data_key *k;

    for (size_t i = 0; i < sizeof secret; i++)
        secret[i] = (uint8_t)i;
    for (size_t i = 0; i < sizeof session; i++)
        session[i] = (uint8_t)(0xa0 + i);
    k = data_key_new(secret, session, number, &e);
    cr_assert(k, "%s", e.text);
    return k;
}

static void vector_header(uint8_t header[RECORD_HEADER_SIZE])
{
    for (size_t i = 0; i < RECORD_HEADER_SIZE; i++)
        header[i] = (uint8_t)i;
}

Test(data_key, values_of_openssl)
{
    uint8_t header[RECORD_HEADER_SIZE], out[64];
    struct data_key *k = vector_key(1);
    struct err e = ERR_INIT;
    char hex[2 * 64 + 1];

    vector_header(header);
    hex_encode(hex, data_key_commitment(k), RECORD_HASH_SIZE);
    cr_expect_str_eq(hex, vector_commitment);
    cr_assert_eq(data_key_seal(k, 7, header, "uptime\n", 7, out, &e), 0);
    hex_encode(hex, out, 7);
    cr_expect_str_eq(hex, vector_sealed);
    cr_assert_eq(data_key_seal(k, 7, header, "", 0, out, &e), 0);
    hex_encode(hex, out, DATA_KEY_TAG);
    cr_expect_str_eq(hex, vector_empty_tag);
    data_key_free(k);
}

/* What is authenticated: the payload, the header up to the hashes, the sequence, the key's number.
 */
Test(data_key, nothing_may_change)
{
    uint8_t header[RECORD_HEADER_SIZE], sealed[64], plain[64];
    struct data_key *k = vector_key(1), *other = vector_key(2);
    struct err e = ERR_INIT;
    const size_t len = 7 + DATA_KEY_TAG;

    vector_header(header);
    cr_assert_eq(data_key_seal(k, 7, header, "uptime\n", 7, sealed, &e), 0);
    cr_assert_eq(data_key_open(k, 7, header, sealed, len, plain, &e), 0);
    cr_expect_arr_eq(plain, "uptime\n", 7);
    for (size_t i = 0; i < len; i++) {
        sealed[i] ^= 1;
        cr_expect_eq(data_key_open(k, 7, header, sealed, len, plain, &e), ERR_TAMPERED, "%zu", i);
        sealed[i] ^= 1;
        cr_expect_eq(data_key_open(k, 7, header, sealed, i, plain, &e), ERR_TAMPERED, "cut %zu", i);
    }
    for (size_t i = 0; i < RECORD_HEADER_SIZE; i++) {
        header[i] ^= 1;
        cr_expect_eq(data_key_open(k, 7, header, sealed, len, plain, &e), i < 80 ? ERR_TAMPERED : 0,
                     "header byte %zu", i);
        header[i] ^= 1;
    }
    cr_expect_eq(data_key_open(k, 8, header, sealed, len, plain, &e), ERR_TAMPERED);
    cr_expect_eq(data_key_open(other, 7, header, sealed, len, plain, &e), ERR_TAMPERED);
    data_key_free(k);
    data_key_free(other);
}

static void add_reviewer(struct reviewers *list, const char *name, const char *identity,
                         bool keystrokes)
{
    uint8_t secret[AGE_KEY_SIZE], public[AGE_KEY_SIZE];
    char text[AGE_RECIPIENT_TEXT];
    struct err e = ERR_INIT;

    cr_assert_eq(age_identity_parse(identity, secret, &e), 0, "%s", e.text);
    cr_assert_eq(age_identity_recipient(secret, public, &e), 0);
    age_recipient_text(public, text);
    cr_assert_eq(reviewers_add(list, name, text, keystrokes, &e), 0, "%s", e.text);
}

static void append(struct trail *t, struct session_keys *k, uint8_t type, const uint8_t *id,
                   const char *text)
{
    enum record_sealing s = record_sealing(type);
    struct err e = ERR_INIT;

    cr_assert_eq(
        trail_append_sealed(t, session_keys_get(k, s), s, type, id, 1, text, strlen(text), &e), 0,
        "%s", e.text);
}

/* A trail with one sealed session: an output record, an input record. */
static void make_session(struct audit_lab *lab, const struct reviewers *list)
{
    static const uint8_t id[RECORD_SESSION_ID] = {9, 9};
    struct err e = ERR_INIT;
    struct session_keys *k;
    struct trail *t;

    lab_make(lab);
    t = lab_trail(lab, 0);
    k = session_keys_new(t, list, id, &e);
    cr_assert(k, "%s", e.text);
    append(t, k, RECORD_OUTPUT, id, "Password: ");
    append(t, k, RECORD_INPUT, id, "hunter2");
    session_keys_free(k);
    lab_shut_down(t);
}

static struct unseal *opener(const char *identity)
{
    char path[] = "/tmp/sallyport-identity-XXXXXX";
    struct err e = ERR_INIT;
    struct unseal *u = unseal_new(&e);
    int fd;

    cr_assert(u);
    if (!identity)
        return u;
    fd = mkstemp(path);
    cr_assert(fd >= 0 && dprintf(fd, "# created: today\n\n%s\n", identity) > 0);
    cr_assert_eq(unseal_add_identity(u, path, &e), 0, "%s", e.text);
    close(fd);
    unlink(path);
    return u;
}

/* What the two records give. alter: which byte of a key record's or sealed record's stored bytes
 * is flipped before, or -1. */
struct seen {
    enum unseal_result output, input;
    char output_text[32], input_text[32];
};

static struct seen look(struct audit_lab *lab, struct unseal *u, bool keys,
                        void (*alter)(struct trail_view *v, uint8_t *bytes))
{
    static uint8_t bytes[RECORD_HEADER_SIZE + RECORD_PAYLOAD_MAX];
    struct seen seen = {UNSEAL_FAILED, UNSEAL_FAILED, "", ""};
    struct trail_reader *reader;
    struct trail_view v;
    struct err e = ERR_INIT;
    enum fault fault;
    uint64_t unfinished;

    cr_assert_eq(trail_reader_new(&reader, lab->dir, 0, &e), 0);
    while (trail_reader_next(reader, &v, &unfinished, &fault, &e) == 1) {
        struct bytes plain;
        enum unseal_result result;
        int r = 0;

        memcpy(bytes, v.header, RECORD_HEADER_SIZE + v.r.payload_len);
        if (alter)
            alter(&v, bytes);
        if (keys)
            r = unseal_note(u, &v.r, bytes + RECORD_HEADER_SIZE, &e);
        cr_assert(r == 0 || (alter && r == ERR_TAMPERED), "%s", e.text);
        result = unseal_record(u, &v.r, bytes, bytes + RECORD_HEADER_SIZE, &plain, &e);
        if (v.r.type == RECORD_OUTPUT) {
            seen.output = result;
            snprintf(seen.output_text, sizeof seen.output_text, "%.*s", (int)plain.len,
                     (const char *)plain.p);
        } else if (v.r.type == RECORD_INPUT) {
            seen.input = result;
            snprintf(seen.input_text, sizeof seen.input_text, "%.*s", (int)plain.len,
                     (const char *)plain.p);
        } else {
            cr_expect_eq(result, UNSEAL_CLEAR);
        }
    }
    trail_reader_free(reader);
    return seen;
}

Test(unseal, who_may_read_what)
{
    struct reviewers list = {.count = 0};
    struct audit_lab lab;
    struct unseal *u;
    struct seen s;

    add_reviewer(&list, "all", LAB_IDENTITY, true);
    add_reviewer(&list, "replay", OTHER_IDENTITY, false);
    make_session(&lab, &list);
    u = opener(LAB_IDENTITY);
    s = look(&lab, u, true, NULL);
    cr_expect(s.output == UNSEAL_OPENED && s.input == UNSEAL_OPENED);
    cr_expect_str_eq(s.output_text, "Password: ");
    cr_expect_str_eq(s.input_text, "hunter2");
    unseal_free(u);
    u = opener(OTHER_IDENTITY);
    s = look(&lab, u, true, NULL);
    cr_expect(s.output == UNSEAL_OPENED && s.input == UNSEAL_NO_KEYSTROKES);
    cr_expect_str_eq(s.output_text, "Password: ");
    cr_expect_str_eq(s.input_text, "");
    unseal_free(u);
    u = opener("AGE-SECRET-KEY-143WN7DCXU4G8R5AXQSSYD9AEPYDNT3HXSLWSPK36CDU6E8M59SSSAGZ3KG");
    s = look(&lab, u, true, NULL);
    cr_expect(s.output == UNSEAL_NOT_YOURS && s.input == UNSEAL_NOT_YOURS);
    unseal_free(u);
    u = opener(LAB_IDENTITY);
    s = look(&lab, u, false, NULL);
    cr_expect(s.output == UNSEAL_NO_KEY && s.input == UNSEAL_NO_KEY);
    unseal_free(u);
    u = opener(NULL);
    s = look(&lab, u, true, NULL);
    cr_expect(s.output == UNSEAL_NO_IDENTITY && s.input == UNSEAL_NO_IDENTITY);
    unseal_free(u);
    lab_remove(&lab);
}

static void flip_payload(struct trail_view *v, uint8_t *bytes)
{
    if (v->r.flags & RECORD_FLAG_SEALED)
        bytes[RECORD_HEADER_SIZE + 3] ^= 1;
}

static void flip_time(struct trail_view *v, uint8_t *bytes)
{
    if (v->r.flags & RECORD_FLAG_SEALED)
        bytes[20] ^= 1;
}

/* The number of the other key, in what is authenticated and in what the reader acts on. */
static void other_key(struct trail_view *v, uint8_t *bytes)
{
    if (v->r.flags & RECORD_FLAG_SEALED) {
        bytes[71] ^= 3;
        v->r.data_key ^= 3;
    }
}

static void other_sequence(struct trail_view *v, uint8_t *bytes)
{
    (void)bytes;
    if (v->r.flags & RECORD_FLAG_SEALED)
        v->r.sequence++;
}

/* A key that is wrapped for the right reviewer, but is not the one that was committed to. */
static void other_commitment(struct trail_view *v, uint8_t *bytes)
{
    char *at = v->r.type == RECORD_KEY
                   ? memmem(bytes, RECORD_HEADER_SIZE + v->r.payload_len, "\"commitment\":\"", 14)
                   : NULL;

    while (at) {
        at[14] = at[14] == '0' ? '1' : '0';
        at = memmem(at + 14, 700, "\"commitment\":\"", 14);
    }
}

/* No base64 any more. */
static void broken_key_record(struct trail_view *v, uint8_t *bytes)
{
    char *at = v->r.type == RECORD_KEY
                   ? memmem(bytes, RECORD_HEADER_SIZE + v->r.payload_len, "\"age\":\"", 7)
                   : NULL;

    if (at)
        at[9] = '!';
}

Test(unseal, altered)
{
    static void (*const alterations[])(struct trail_view *, uint8_t *) = {
        flip_payload, flip_time, other_key, other_sequence, other_commitment, broken_key_record};
    struct reviewers list = {.count = 0};
    struct audit_lab lab;

    add_reviewer(&list, "all", LAB_IDENTITY, true);
    make_session(&lab, &list);
    for (size_t i = 0; i < sizeof alterations / sizeof *alterations; i++) {
        struct unseal *u = opener(LAB_IDENTITY);
        struct seen s = look(&lab, u, true, alterations[i]);

        cr_expect(s.output == UNSEAL_TAMPERED && s.input == UNSEAL_TAMPERED, "%zu: %d %d", i,
                  (int)s.output, (int)s.input);
        cr_expect_str_eq(s.output_text, "");
        unseal_free(u);
    }
    lab_remove(&lab);
}

/* A file with a passphrase is opened by age(1), which is not asked here: no terminal. */
Test(unseal, identity_files)
{
    char path[] = "/tmp/sallyport-identity-XXXXXX";
    struct err e = ERR_INIT;
    struct unseal *u = unseal_new(&e);
    int fd = mkstemp(path);

    cr_assert(u && fd >= 0);
    cr_expect_eq(unseal_add_identity(u, "/nowhere", &e), ERR_SYSTEM);
    cr_expect_eq(unseal_add_identity(u, path, &e), ERR_INPUT, "empty");
    cr_assert_gt(dprintf(fd, LAB_IDENTITY "x\n"), 0);
    cr_expect_eq(unseal_add_identity(u, path, &e), ERR_INPUT);
    cr_expect(strstr(e.text, ":1: not an X25519 identity"), "%s", e.text);
    cr_expect_not(strstr(e.text, "GFPYYSJ"), "a secret in a message: %s", e.text);
    cr_assert_eq(ftruncate(fd, 0), 0);
    cr_assert_eq(pwrite(fd, LAB_IDENTITY "\nAGE-PLUGIN-YUBIKEY-1\n", sizeof LAB_IDENTITY + 21, 0),
                 (ssize_t)sizeof LAB_IDENTITY + 21);
    cr_expect_eq(unseal_add_identity(u, path, &e), ERR_INPUT);
    cr_expect(strstr(e.text, ":2: another kind"), "%s", e.text);
    close(fd);
    unlink(path);
    unseal_free(u);
}

/* Nobody to seal for: nothing is written. */
Test(session_keys, without_reviewers)
{
    static const uint8_t id[RECORD_SESSION_ID] = {4};
    struct reviewers list = {.count = 0};
    struct audit_lab lab;
    struct err e = ERR_INIT;
    struct trail *t;
    uint64_t size;

    lab_make(&lab);
    t = lab_trail(&lab, 0);
    size = trail_size(t);
    cr_expect_null(session_keys_new(t, &list, id, &e));
    add_reviewer(&list, "replay", OTHER_IDENTITY, false);
    cr_expect_null(session_keys_new(t, &list, id, &e), "nobody for the keystrokes");
    cr_expect_eq(trail_size(t), size);
    lab_shut_down(t);
    lab_remove(&lab);
}

Test(reviewers, lines)
{
    static const struct {
        const char *lines, *error;
    } bad[] = {
        {"", "no reviewer"},
        {"content " LAB_RECIPIENT " a\n", "keystrokes: true"},
        {"keystrokes " LAB_RECIPIENT " a", "a line that is none"},
        {"keystrokes " LAB_RECIPIENT "\n", "a line that is none"},
        {"all " LAB_RECIPIENT " a\n", "a line that is none"},
        {"keystrokes age1 a\n", "not an X25519"},
        {"keystrokes " LAB_RECIPIENT " a b\n", "expected a name"},
        {"keystrokes " LAB_RECIPIENT " a\nkeystrokes " LAB_RECIPIENT " b\n", "again"},
    };
    static const char good[] = "keystrokes " LAB_RECIPIENT " carol@example.org\n";
    struct reviewers list, again;
    struct err e = ERR_INIT;
    struct buf out;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_expect_lt(reviewers_decode(&list, bad[i].lines, strlen(bad[i].lines), &e), 0, "%s",
                     bad[i].lines);
        cr_expect(strstr(e.text, bad[i].error), "%s: %s", bad[i].lines, e.text);
    }
    cr_assert_eq(reviewers_decode(&list, good, sizeof good - 1, &e), 0, "%s", e.text);
    buf_init(&out, REVIEWERS_TEXT_MAX);
    cr_assert_eq(reviewers_encode(&out, &list), 0);
    cr_expect_eq(buf_len(&out), sizeof good - 1);
    cr_expect_arr_eq(buf_head(&out), good, sizeof good - 1);
    cr_assert_eq(reviewers_decode(&again, buf_head(&out), buf_len(&out), &e), 0);
    cr_expect(reviewers_equal(&list, &again));
    again.at[0].keystrokes = false;
    cr_expect_not(reviewers_equal(&list, &again));
    buf_clear(&out);
}
