/* SPDX-License-Identifier: Apache-2.0
 *
 * What somebody with the disk and no key can put before a verifier. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/digest.h"
#include "audit/prune.h"
#include "audit/segment_state.h"
#include "audit/segments.h"
#include "audit/trail_read.h"
#include "tests/unit/audit_lab.h"

static const uint8_t gateway[RECORD_SESSION_ID];

/* The chain's state before record `size`, and how many bytes of the only segment are before it. */
static size_t walk_to(struct audit_lab *lab, uint64_t size, struct chain *c)
{
    struct trail_reader *reader;
    struct trail_view v;
    struct err e = ERR_INIT;
    enum fault fault;
    uint64_t unfinished;
    struct anchor a;
    size_t bytes = 0;

    cr_assert_eq(anchor_read(&a, lab->dir, NULL, &e), 0);
    cr_assert_eq(chain_init(c, &a, &e), 0);
    cr_assert_eq(trail_reader_new(&reader, lab->dir, 0, &e), 0);
    while (c->next < size) {
        cr_assert_eq(trail_reader_next(reader, &v, &unfinished, &fault, &e), 1);
        cr_assert_eq(chain_check(c, &v.r, v.header, v.payload, &fault, &e), 0, "%s", e.text);
        bytes += RECORD_HEADER_SIZE + v.r.payload_len;
    }
    trail_reader_free(reader);
    return bytes;
}

static void forge(struct chain *c, struct buf *out, uint8_t type, const void *payload, size_t len,
                  struct seal *seal)
{
    struct record r = {.type = type, .payload_len = (uint32_t)len, .real_ns = 7, .boot_ns = 7};
    uint8_t header[RECORD_HEADER_SIZE];
    struct session_state *state;
    struct err e = ERR_INIT;

    memcpy(r.session, gateway, sizeof gateway);
    cr_assert_eq(chain_place(c, &r, payload, &state, &e), 0);
    digest_bytes(c->digest, payload, len, r.payload_hash);
    record_encode(header, &r);
    chain_link(c, state, header);
    if (seal)
        chain_take_seal(c, seal);
    cr_assert_eq(buf_put(out, header, sizeof header), 0);
    cr_assert_eq(buf_put(out, payload, len), 0);
}

static EVP_PKEY *new_key(struct vkey *v, const char *name)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    struct err e = ERR_INIT;

    cr_assert_eq(vkey_from_private(v, name, key, &e), 0);
    return key;
}

/* A checkpoint of exactly the records before a segment does not hold that segment's first record,
 * so the state in it (the epoch's key!) is anybody's. */
Test(hostile, a_segment_behind_the_checkpoint_is_not_believed)
{
    struct verify_options o = {0};
    struct verify_result v;
    struct audit_lab lab;
    struct checkpoint c;
    struct chain chain;
    struct blob all;
    struct buf payload, out;
    struct seal seal;
    struct verify_known known;
    struct err e = ERR_INIT;
    char name[SEGMENT_NAME_MAX], epoch[NOTE_NAME_MAX + 1];
    struct trail *t;
    EVP_PKEY *key;
    size_t bytes;

    lab_make(&lab);
    t = lab_trail(&lab, 0);
    lab_session(t, 1, 5, true);
    cr_assert_eq(trail_want_checkpoint(t, &e), 0);
    cr_assert_eq(trail_sync_now(t, &e), 0);
    trail_close(t);
    cr_assert_eq(checkpoint_read(&c, lab.dir, &lab.log, &e), 0);
    bytes = walk_to(&lab, c.size, &chain);
    all = lab_read(&lab, "0000000000000000.spa");
    lab_write(&lab, "0000000000000000.spa", all.p, bytes);
    free(all.p);

    buf_init(&payload, SEAL_MAX + RECORD_PAYLOAD_MAX);
    buf_init(&out, RECORD_PAYLOAD_MAX);
    epoch_key_name(epoch, chain.origin, chain.epoch.number);
    key = new_key(&chain.epoch.key, epoch);
    segment_name(chain.next, name);
    merkle_settle(&chain.merkle, chain.digest);
    cr_assert_eq(segment_state_write(&payload, &chain, chain.origin, &e), 0);
    forge(&chain, &out, RECORD_SEGMENT, buf_head(&payload), buf_len(&payload), NULL);
    forge(&chain, &out, RECORD_ADMIN, "{\"event\":\"never\"}", 17, NULL);
    chain_next_seal(&chain, &seal, 7, 7);
    epoch_key_name(epoch, chain.origin, chain.epoch.number + 1);
    EVP_PKEY_free(new_key(&seal.next, epoch));
    buf_clear(&payload);
    cr_assert_eq(seal_sign(&payload, &seal, key, &e), 0, "%s", e.text);
    forge(&chain, &out, RECORD_SEAL, buf_head(&payload), buf_len(&payload), &seal);
    lab_write(&lab, name, buf_head(&out), buf_len(&out));

    cr_expect_eq(lab_verify(&lab, &v, &e), ERR_TAMPERED);
    o = (struct verify_options){
        .dir = lab.dir, .log = &lab.log, .anchor = &lab.anchor, .from = c.size};
    cr_expect_lt(trail_verify(&o, &v, &e), 0, "sealed to %d of %d", (int)v.sealed, (int)v.records);
    o.before = c.size + 2;
    cr_expect_lt(trail_verify(&o, &v, &e), 0);
    known = (struct verify_known){.checkpoint = c, .where = "elsewhere"};
    o.known = &known;
    o.known_count = 1;
    cr_expect_lt(trail_verify(&o, &v, &e), 0);

    EVP_PKEY_free(key);
    chain_clear(&chain);
    buf_clear(&payload);
    buf_clear(&out);
    lab_remove(&lab);
}

/* A pruned segment may lack payloads, but not the one that says where it stands. */
Test(hostile, a_pruned_segment_without_its_first_payload_is_refused)
{
    static const uint8_t dropped[] = {'S', 'P', 'P', '1', 0};
    struct verify_options o = {0};
    struct verify_result v;
    struct audit_lab lab;
    struct err e = ERR_INIT;
    struct trail *t;
    struct trail_reader *reader;
    struct trail_place place;
    struct blob b;
    char name[SEGMENT_NAME_MAX];

    lab_make(&lab);
    t = lab_trail(&lab, 6000);
    lab_session(t, 1, 40, true);
    lab_shut_down(t);
    cr_assert_eq(trail_reader_new(&reader, lab.dir, 50, &e), 0);
    trail_reader_place(reader, &place);
    trail_reader_free(reader);
    cr_assert_gt(place.segment_first, 0);
    b = lab_read(&lab, place.segment);
    segment_pruned_name(place.segment_first, name);
    b.p = realloc(b.p, sizeof dropped + RECORD_HEADER_SIZE + b.len);
    memmove(b.p + sizeof dropped, b.p, RECORD_HEADER_SIZE);
    memcpy(b.p, dropped, sizeof dropped);
    lab_write(&lab, name, b.p, sizeof dropped + RECORD_HEADER_SIZE);
    free(b.p);
    o = (struct verify_options){
        .dir = lab.dir, .log = &lab.log, .anchor = &lab.anchor, .from = place.segment_first};
    cr_expect_eq(trail_verify(&o, &v, &e), ERR_TAMPERED);
    cr_expect_eq(v.fault, FAULT_EDITED);
    lab_remove(&lab);
}

/* "/epoch/4294967295" has to fit behind an origin. */
Test(hostile, an_origin_that_is_too_long_is_refused)
{
    char origin[ORIGIN_MAX + 8], epoch[NOTE_NAME_MAX + 1];
    struct anchor a, back;
    struct err e = ERR_INIT;
    struct vkey log, first;
    struct buf note;

    memset(origin, 'o', sizeof origin - 1);
    for (size_t len = ORIGIN_MAX; len < sizeof origin; len++) {
        origin[len] = '\0';
        EVP_PKEY_free(new_key(&log, origin));
        epoch_key_name(epoch, origin, 0);
        EVP_PKEY_free(new_key(&first, epoch));
        cr_assert_eq(anchor_make(&a, &log, &first, &e), 0);
        buf_init(&note, NOTE_MAX);
        {
            EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

            cr_assert_eq(anchor_sign(&note, &a, key, &e), 0, "%s", e.text);
            EVP_PKEY_free(key);
        }
        cr_expect_eq(anchor_open(&back, (const char *)buf_head(&note), buf_len(&note), NULL, &e),
                     len == ORIGIN_MAX ? 0 : ERR_SYNTAX, "%zu", len);
        buf_clear(&note);
        origin[len] = 'o';
    }
}

static void clear_record(struct trail *t, uint8_t type, uint8_t session, const char *text)
{
    uint8_t id[RECORD_SESSION_ID];
    struct err e = ERR_INIT;

    memset(id, session, sizeof id);
    cr_assert_eq(trail_append(t, type, id, 0, text, strlen(text), &e), 0, "%s", e.text);
}

/* Carries out the order to destroy session 1's keys; a session is held while it is looked at. */
static int destroy(struct audit_lab *lab, struct trail *t, bool hold, struct err *e)
{
    static char names[PRUNE_SIGNERS][SSHSIG_NAME_MAX + 1] = {"anna", "bert"};
    struct prune_order o = {.act = PRUNE_SESSION, .reason = "for the test"};
    struct checkpoint c;
    struct prune *p;
    struct buf text;
    int r;

    cr_assert_eq(trail_want_checkpoint(t, e), 0);
    cr_assert_eq(trail_sync_now(t, e), 0);
    cr_assert_eq(checkpoint_read(&c, lab->dir, &lab->log, e), 0);
    strcpy(o.origin, c.origin);
    memset(o.session, 1, sizeof o.session);
    o.size = c.size;
    memcpy(o.root, c.root, sizeof o.root);
    snprintf(o.reason, sizeof o.reason, "%s", hold ? "one" : "two");
    buf_init(&text, PRUNE_ORDER_MAX);
    cr_assert_eq(prune_order_write(&o, &text, e), 0);
    cr_assert_eq(prune_new(&p, t, lab->dir, buf_head(&text), buf_len(&text), names, e), 0, "%s",
                 e->text);
    buf_clear(&text);
    if (hold) {
        clear_record(t, RECORD_HOLD, 0, "{\"event\":\"hold\"}");
        prune_disturb(p);
    }
    while ((r = prune_step(p, e)) == 1)
        ;
    prune_free(p);
    return r;
}

/* Whoever is told that a session is held must not find it destroyed by an order before. */
Test(hostile, a_hold_stops_an_order_under_way)
{
    struct audit_lab lab;
    struct verify_result v;
    struct err e = ERR_INIT;
    struct stat st;
    struct trail *t;

    lab_make(&lab);
    umask(0027);
    t = lab_trail(&lab, 0);
    clear_record(t, RECORD_KEY, 1, "{\"event\":\"session-keys\"}");
    lab_session(t, 1, 3, true);
    clear_record(t, RECORD_VERDICT, 1, "{\"verdict\":\"agreed\"}");
    cr_expect_eq(destroy(&lab, t, true, &e), ERR_DENIED);
    cr_expect_eq(fstatat(lab.dir, "0000000000000000.spa", &st, 0), 0);
    cr_expect_neq(fstatat(lab.dir, "prune.pending", &st, 0), 0);
    cr_expect_eq(destroy(&lab, t, false, &e), 0, "%s", e.text);
    cr_assert_eq(fstatat(lab.dir, "0000000000000000.spp", &st, 0), 0);
    cr_expect_eq(st.st_mode & 0777, 0640, "for the readers' group");
    lab_shut_down(t);
    cr_expect_eq(lab_verify(&lab, &v, &e), 0, "%s", e.text);
    cr_expect_eq(v.dropped, 1);
    lab_remove(&lab);
}
