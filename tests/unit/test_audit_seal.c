/* SPDX-License-Identifier: Apache-2.0
 *
 * Epochs: the seal's note, the two-slot key file through crashes and what chain_check
 * refuses. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/epoch_keys.h"
#include "base/clock.h"
#include "tests/unit/audit_lab.h"

#define SEGMENT_0 "0000000000000000.spa"

static void seal_now(struct trail *t)
{
    struct err e = ERR_INIT;

    cr_assert_eq(trail_seal(t, NULL, &e), 0, "%s", e.text);
    cr_assert_eq(trail_want_checkpoint(t, &e), 0);
    cr_assert_eq(trail_sync_now(t, &e), 0, "%s", e.text);
}

Test(seal, a_note_has_one_form)
{
    struct seal s = {.origin = "gw.test/sallyport/0", .epoch = 7, .first = 3, .size = 90}, back;
    struct epoch_keys *k;
    struct vkey by;
    struct buf out;
    EVP_PKEY *key;
    struct err e = ERR_INIT;
    char *text;
    size_t len;

    cr_assert_eq(epoch_keys_new(&k, &e), 0);
    cr_assert_eq(epoch_keys_public(k, s.origin, 1, &s.next, &e), 0);
    key = epoch_keys_private(k, 0, &e);
    cr_assert_eq(vkey_from_private(&by, "gw.test/sallyport/0/epoch/7", key, &e), 0);
    s.end_real_ns = UINT64_MAX;
    s.closes = true;
    s.next_log = by;
    buf_init(&out, SEAL_MAX);
    cr_assert_eq(seal_sign(&out, &s, key, &e), 0, "%s", e.text);
    text = buf_string(&out);
    len = strlen(text);
    cr_assert_eq(seal_open(&back, text, len, &by, &e), 0, "%s", e.text);
    cr_expect_eq(back.epoch, 7);
    cr_expect_eq(back.size, 90);
    cr_expect_eq(back.end_real_ns, UINT64_MAX);
    cr_expect(back.closes);
    cr_expect_str_eq(back.next_log.name, by.name);
    for (size_t i = 0; i < len; i++) {
        text[i] ^= 1;
        cr_expect_lt(seal_open(&back, text, len, &by, &e), 0, "byte %zu", i);
        text[i] ^= 1;
        cr_expect_lt(seal_open(&back, text, i, &by, &e), 0, "cut at %zu", i);
    }
    free(text);
    /* A second signature's line is bytes that no one signed. */
    cr_assert_eq(buf_printf(&out, "\xe2\x80\x94 other AAAAAAAA\n"), 0);
    cr_expect_eq(seal_open(&back, buf_head(&out), buf_len(&out), &by, &e), ERR_SYNTAX);
    buf_clear(&out);
    EVP_PKEY_free(key);
    epoch_keys_free(k);
}

Test(seal, epochs_are_contiguous_and_verified)
{
    struct audit_lab lab;
    struct verify_result v;
    struct err e = ERR_INIT;
    struct trail *t;

    lab_make(&lab);
    t = lab_trail(&lab, 0);
    lab_session(t, 1, 3, true);
    seal_now(t);
    seal_now(t); /* an epoch of nothing but its seal */
    lab_session(t, 2, 3, false);
    trail_close(t);
    cr_assert_eq(lab_verify(&lab, &v, &e), 0, "%s", e.text);
    cr_expect_eq(v.epochs, 3); /* with the one of init */
    cr_expect_lt(v.sealed, v.records);
    t = lab_trail(&lab, 0); /* recovers, in the same epoch */
    lab_shut_down(t);
    cr_assert_eq(lab_verify(&lab, &v, &e), 0, "%s", e.text);
    cr_expect_eq(v.sealed, v.records);
    cr_expect(v.shut_down);
    lab_remove(&lab);
}

/* Segment records carry the epoch, so that a start in the middle of one goes on with it. */
Test(seal, an_epoch_over_segments_is_recovered)
{
    struct audit_lab lab;
    struct verify_result v;
    struct err e = ERR_INIT;
    struct trail *t;

    lab_make(&lab);
    for (uint8_t i = 0; i < 4; i++) {
        t = lab_trail(&lab, 6000);
        lab_session(t, (uint8_t)(i + 1), 20, false);
        if (i & 1)
            seal_now(t);
        lab_session(t, (uint8_t)(i + 51), 20, false);
        trail_close(t);
    }
    cr_assert_eq(lab_verify(&lab, &v, &e), 0, "%s", e.text);
    cr_expect_eq(v.epochs, 3);
    cr_expect_gt(v.segments, 4);
    lab_remove(&lab);
}

Test(seal, the_tick_seals_old_epochs_and_tells_clock_steps)
{
    struct audit_lab lab;
    struct verify_result v;
    struct err e = ERR_INIT;
    struct trail *t;
    uint64_t real, boot, size;

    lab_make(&lab);
    t = lab_trail(&lab, 0);
    size = trail_size(t);
    real = clock_real_ns();
    boot = clock_boot_ns();
    cr_assert_eq(trail_tick(t, real, boot, &e), 0);
    cr_expect_eq(trail_size(t), size);
    cr_assert_eq(trail_tick(t, real + 1500000000, boot, &e), 0);
    cr_expect_eq(trail_size(t), size, "a slewed clock is no step");
    cr_assert_eq(trail_tick(t, real - 3600000000000, boot, &e), 0);
    cr_expect_eq(trail_size(t), size + 1, "a step is a record");
    cr_expect_not(trail_checkpoint_due(t));
    cr_assert_eq(trail_tick(t, real - 3600000000000 + TRAIL_EPOCH_NS, boot + TRAIL_EPOCH_NS, &e),
                 0);
    cr_expect_eq(trail_size(t), size + 2, "the epoch is sealed");
    cr_expect(trail_checkpoint_due(t));
    lab_shut_down(t);
    cr_assert_eq(lab_verify(&lab, &v, &e), 0, "%s", e.text);
    cr_expect_eq(v.epochs, 3);
    lab_remove(&lab);
}

static const char epoch_file[] = EPOCH_KEYS_FILE;

/* The state after a crash at each step of a seal: before the seal is durable, before its key is
 * destroyed, with half a slot written, with the new slot whole and no checkpoint of it. */
Test(epoch_keys, every_step_can_be_repeated)
{
    struct blob segment[2], keys[2], checkpoint[2];
    struct audit_lab lab;
    struct trail *t;
    struct err e = ERR_INIT;
    static const struct {
        const char *what;
        int segment, keys, checkpoint; /* from before (0) or after (1) */
        int torn;                      /* -1, or so many bytes of the new slot are written */
        int expect;
    } rows[] = {
        {"nothing done", 0, 0, 0, -1, 0},
        {"seal accepted", 1, 0, 0, -1, 0},
        {"slot begun", 1, 1, 0, 4, 0},
        {"slot half written", 1, 1, 0, 40, 0},
        {"slot but for its hash", 1, 1, 0, 60, 0},
        {"key destroyed", 1, 1, 0, -1, 0},
        {"checkpoint too", 1, 1, 1, -1, 0},
        {"an older log was put back", 0, 1, 0, -1, ERR_TAMPERED},
        {"an older log, torn slot", 0, 1, 0, 40, ERR_TAMPERED},
        {"older segments only", 0, 1, 1, -1, ERR_TAMPERED},
    };

    lab_make(&lab);
    t = lab_trail(&lab, 0);
    lab_session(t, 1, 1, true);
    segment[0] = lab_read(&lab, SEGMENT_0);
    keys[0] = lab_read(&lab, epoch_file);
    checkpoint[0] = lab_read(&lab, "checkpoint");
    seal_now(t);
    trail_close(t);
    segment[1] = lab_read(&lab, SEGMENT_0);
    keys[1] = lab_read(&lab, epoch_file);
    checkpoint[1] = lab_read(&lab, "checkpoint");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct blob *k = &keys[rows[i].keys];
        struct trail_report report;
        struct verify_result v;
        uint8_t image[2 * EPOCH_SLOT_SIZE];
        int r;

        memcpy(image, k->p, sizeof image);
        if (rows[i].torn >= 0) {
            /* Epoch 1 was sealed: slot 1 goes from key 1 to key 3. */
            memcpy(image, keys[0].p, sizeof image);
            memcpy(image + EPOCH_SLOT_SIZE, keys[1].p + EPOCH_SLOT_SIZE, (size_t)rows[i].torn);
            if (rows[i].torn < 12)
                image[EPOCH_SLOT_SIZE + 11] ^= 2; /* the epochs differ in this byte alone */
        }
        lab_write(&lab, SEGMENT_0, segment[rows[i].segment].p, segment[rows[i].segment].len);
        lab_write(&lab, epoch_file, image, sizeof image);
        lab_write(&lab, "checkpoint", checkpoint[rows[i].checkpoint].p,
                  checkpoint[rows[i].checkpoint].len);
        e.code = 0;
        r = lab_open(&lab, &t, 0, &report, &e);
        cr_expect_eq(r, rows[i].expect, "%s: %d %s", rows[i].what, r, e.text);
        if (r < 0) {
            if (rows[i].checkpoint == 0)
                cr_expect(strstr(e.text, "new-log --reason"), "%s: %s", rows[i].what, e.text);
            continue;
        }
        lab_session(t, 2, 1, true);
        seal_now(t);
        seal_now(t);
        lab_shut_down(t);
        cr_expect_eq(lab_verify(&lab, &v, &e), 0, "%s: %s", rows[i].what, e.text);
        cr_expect_eq(v.sealed, v.records);
    }
    for (int i = 0; i < 2; i++) {
        free(segment[i].p);
        free(keys[i].p);
        free(checkpoint[i].p);
    }
    lab_remove(&lab);
}

/* After a seal the file has no byte of its key any more. */
Test(epoch_keys, the_key_is_gone)
{
    struct blob before, after;
    struct audit_lab lab;
    struct trail *t;

    lab_make(&lab);
    t = lab_trail(&lab, 0);
    before = lab_read(&lab, epoch_file);
    seal_now(t);
    after = lab_read(&lab, epoch_file);
    cr_assert_eq(before.len, 2 * EPOCH_SLOT_SIZE);
    cr_assert_eq(after.len, before.len);
    /* epoch 1 was current: slot 1 */
    cr_expect_eq(memmem(after.p, after.len, before.p + EPOCH_SLOT_SIZE + 12, 32), NULL);
    cr_expect_neq(memmem(after.p, after.len, before.p + 12, 32), NULL, "the next one is there");
    free(before.p);
    free(after.p);
    trail_close(t);
    lab_remove(&lab);
}

Test(epoch_keys, keys_that_do_not_fit_are_refused)
{
    struct audit_lab lab, other;
    struct trail_report report;
    struct err e = ERR_INIT;
    struct trail *t;
    struct blob b;

    lab_make(&lab);
    lab_make(&other);
    b = lab_read(&other, epoch_file);
    lab_write(&lab, epoch_file, b.p, b.len);
    cr_expect_eq(lab_open(&lab, &t, 0, &report, &e), ERR_TAMPERED);
    cr_expect(strstr(e.text, "not the one that the log names"), "%s", e.text);
    cr_assert_eq(unlinkat(lab.dir, epoch_file, 0), 0);
    cr_expect_eq(lab_open(&lab, &t, 0, &report, &e), ERR_TAMPERED);
    cr_expect(strstr(e.text, "new-log --reason"), "%s", e.text);
    lab_write(&lab, epoch_file, "", 0);
    cr_expect_eq(lab_open(&lab, &t, 0, &report, &e), ERR_TAMPERED);
    free(b.p);
    lab_remove(&lab);
    lab_remove(&other);
}

/* A chain that is made by hand, and lies in one thing. */
struct forge {
    struct chain c, writer;
    struct epoch_keys *keys;
    EVP_PKEY *key[2]; /* of epochs 0 and 1 */
    struct anchor a;
};

static void forge_init(struct forge *f)
{
    EVP_PKEY *log = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    struct vkey v, epoch;
    struct err e = ERR_INIT;

    memset(f, 0, sizeof *f);
    cr_assert_eq(epoch_keys_new(&f->keys, &e), 0);
    for (uint32_t i = 0; i < 2; i++)
        f->key[i] = epoch_keys_private(f->keys, i, &e);
    cr_assert_eq(vkey_from_private(&v, LAB_ORIGIN, log, &e), 0);
    cr_assert_eq(epoch_keys_public(f->keys, LAB_ORIGIN, 0, &epoch, &e), 0);
    cr_assert_eq(anchor_make(&f->a, &v, &epoch, &e), 0);
    cr_assert_eq(chain_init(&f->c, &f->a, &e), 0);
    cr_assert_eq(chain_init(&f->writer, &f->a, &e), 0);
    EVP_PKEY_free(log);
}

static void forge_clear(struct forge *f)
{
    chain_clear(&f->c);
    chain_clear(&f->writer);
    epoch_keys_free(f->keys);
    EVP_PKEY_free(f->key[0]);
    EVP_PKEY_free(f->key[1]);
}

/* A record that is right but for its epoch, if that is not the writer's. */
static int forge_record(struct forge *f, uint8_t type, uint32_t epoch, const void *payload,
                        size_t len, uint64_t ns, enum fault *fault)
{
    struct record r = {.type = type, .payload_len = (uint32_t)len, .real_ns = ns, .boot_ns = ns};
    uint8_t header[RECORD_HEADER_SIZE];
    struct session_state *state;
    struct err e = ERR_INIT;

    cr_assert_eq(chain_place(&f->writer, &r, payload, &state, &e), 0);
    r.epoch = epoch;
    digest_bytes(f->writer.digest, payload, len, r.payload_hash);
    record_encode(header, &r);
    chain_link(&f->writer, state, header);
    cr_assert_eq(record_decode(header, &r, &e), 0);
    return chain_check(&f->c, &r, header, payload, fault, &e);
}

static int forge_plain(struct forge *f, uint8_t type, uint32_t epoch, const char *json,
                       enum fault *fault)
{
    return forge_record(f, type, epoch, json, strlen(json), 5, fault);
}

static void forge_begin(struct forge *f)
{
    enum fault fault;

    cr_assert_eq(forge_plain(f, RECORD_SEGMENT, 0, "{}", &fault), 0);
    cr_assert_eq(forge_plain(f, RECORD_KEY, 0, "{\"event\":\"begin\"}", &fault), 0);
    cr_assert_eq(forge_plain(f, RECORD_ALARM, 0, "{}", &fault), 0);
}

enum lie {
    TRUTH,
    OTHER_KEY,
    OTHER_EPOCH,
    OTHER_FIRST,
    OTHER_SIZE,
    OTHER_ROOT,
    OTHER_START,
    OTHER_END,
    OTHER_ORIGIN,
    OTHER_NEXT_NAME
};

static int forge_seal(struct forge *f, enum lie lie, enum fault *fault)
{
    struct vkey own;
    struct seal s;
    struct buf out;
    struct err e = ERR_INIT;
    int r;

    chain_next_seal(&f->writer, &s, 9, 9);
    cr_assert_eq(vkey_from_private(&own, LAB_ORIGIN "/epoch/1", f->key[1], &e), 0);
    s.next = own;
    s.epoch += lie == OTHER_EPOCH;
    s.first += lie == OTHER_FIRST;
    s.size -= lie == OTHER_SIZE;
    s.root[0] ^= lie == OTHER_ROOT;
    s.start_real_ns += lie == OTHER_START;
    s.end_boot_ns += lie == OTHER_END;
    if (lie == OTHER_ORIGIN)
        strcpy(s.origin, "gw.test/sallyport/1");
    if (lie == OTHER_NEXT_NAME)
        cr_assert_eq(vkey_from_private(&s.next, LAB_ORIGIN "/epoch/2", f->key[1], &e), 0);
    buf_init(&out, SEAL_MAX);
    cr_assert_eq(seal_sign(&out, &s, f->key[lie == OTHER_KEY], &e), 0);
    r = forge_record(f, RECORD_SEAL, 0, buf_head(&out), buf_len(&out), 9, fault);
    if (lie == TRUTH)
        chain_take_seal(&f->writer, &s);
    buf_clear(&out);
    return r;
}

Test(chain, seals_that_lie_are_refused)
{
    static const struct {
        enum lie lie;
        enum fault fault;
    } rows[] = {
        {TRUTH, FAULT_NONE},
        {OTHER_KEY, FAULT_UNSIGNED},
        {OTHER_EPOCH, FAULT_UNSIGNED}, /* a seal is signed in its epoch's name */
        {OTHER_FIRST, FAULT_EDITED},
        {OTHER_SIZE, FAULT_EDITED},
        {OTHER_ROOT, FAULT_EDITED},
        {OTHER_START, FAULT_EDITED},
        {OTHER_END, FAULT_EDITED},
        {OTHER_ORIGIN, FAULT_UNSIGNED},
        {OTHER_NEXT_NAME, FAULT_EDITED},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum fault fault;
        struct forge f;
        int r;

        forge_init(&f);
        forge_begin(&f);
        r = forge_seal(&f, rows[i].lie, &fault);
        cr_expect_eq(r, rows[i].fault ? ERR_TAMPERED : 0, "row %zu: %d", i, r);
        cr_expect_eq(fault, rows[i].fault, "row %zu: %s", i, fault_name(fault));
        forge_clear(&f);
    }
}

/* A record that comes where its epoch or the recorder's course does not let it. */
Test(chain, records_out_of_order_are_refused)
{
    static const char opened[] = "{\"event\":\"opened\"}", nothing[] = "{}";
    static const struct {
        const char *what;
        bool sealed;    /* first: epoch 0 ends properly */
        uint8_t before; /* 0, or a record before it */
        uint8_t type;
        uint32_t epoch;
        const char *payload;
        enum fault fault;
    } rows[] = {
        {"goes on", false, 0, RECORD_ALARM, 0, nothing, FAULT_NONE},
        {"the next epoch without a seal", false, 0, RECORD_ALARM, 1, nothing, FAULT_UNSEALED},
        {"the next epoch", true, 0, RECORD_ALARM, 1, nothing, FAULT_NONE},
        {"the sealed epoch again", true, 0, RECORD_ALARM, 0, nothing, FAULT_EDITED},
        {"an epoch left out", true, 0, RECORD_ALARM, 2, nothing, FAULT_UNSEALED},
        {"a second seal of the epoch", true, 0, RECORD_SEAL, 0, nothing, FAULT_EDITED},
        {"no seal at all", false, 0, RECORD_SEAL, 0, nothing, FAULT_EDITED},
        {"opened without an end", false, 0, RECORD_KEY, 0, opened, FAULT_MISSING},
        {"opened after recovery", false, RECORD_RECOVERY, RECORD_KEY, 0, opened, FAULT_NONE},
        {"shutdown without a seal", false, RECORD_SHUTDOWN, RECORD_KEY, 0, opened, FAULT_MISSING},
        {"shutdown, then more", false, RECORD_SHUTDOWN, RECORD_ALARM, 0, nothing, FAULT_MISSING},
        {"shutdown, then recovery", false, RECORD_SHUTDOWN, RECORD_RECOVERY, 0, nothing,
         FAULT_NONE},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum fault fault;
        struct forge f;
        int r;

        forge_init(&f);
        forge_begin(&f);
        if (rows[i].sealed)
            cr_assert_eq(forge_seal(&f, TRUTH, &fault), 0);
        if (rows[i].before)
            cr_assert_eq(forge_plain(&f, rows[i].before, f.c.epoch.number, nothing, &fault), 0);
        r = forge_plain(&f, rows[i].type, rows[i].epoch, rows[i].payload, &fault);
        cr_expect_eq(r, rows[i].fault ? ERR_TAMPERED : 0, "%s: %d", rows[i].what, r);
        cr_expect_eq(fault, rows[i].fault, "%s: %s", rows[i].what, fault_name(fault));
        forge_clear(&f);
    }
}

/* The first key of the log is no use for what comes after its seal, nor a later one before. */
Test(chain, a_later_key_vouches_for_nothing_earlier)
{
    enum fault fault;
    struct forge f;
    struct seal s;
    struct buf out;
    struct err e = ERR_INIT;

    forge_init(&f);
    forge_begin(&f);
    cr_assert_eq(forge_seal(&f, TRUTH, &fault), 0);
    chain_next_seal(&f.writer, &s, 9, 9);
    cr_assert_eq(epoch_keys_public(f.keys, LAB_ORIGIN, 1, &s.next, &e), 0);
    cr_assert_eq(vkey_make(&s.next, LAB_ORIGIN "/epoch/2", s.next.key, &e), 0);
    buf_init(&out, SEAL_MAX);
    cr_assert_eq(seal_sign(&out, &s, f.key[0], &e), 0);
    cr_expect_eq(forge_record(&f, RECORD_SEAL, 1, buf_head(&out), buf_len(&out), 9, &fault),
                 ERR_TAMPERED);
    cr_expect_eq(fault, FAULT_UNSIGNED);
    buf_clear(&out);
    forge_clear(&f);
}

Test(chain, an_epoch_has_an_end)
{
    enum fault fault;
    struct forge f;

    forge_init(&f);
    forge_begin(&f);
    f.c.epoch.first = f.c.next - (EPOCH_RECORDS_MAX - 2);
    cr_expect_eq(forge_plain(&f, RECORD_ALARM, 0, "{}", &fault), 0);
    cr_expect_eq(forge_plain(&f, RECORD_ALARM, 0, "{}", &fault), ERR_TAMPERED);
    cr_expect_eq(fault, FAULT_UNSEALED);
    forge_clear(&f);
}

/* Only what reviewers' keys open may be gone. */
Test(chain, dropped_payloads)
{
    static const struct {
        uint8_t type, flags, session;
        int expect;
    } rows[] = {
        {RECORD_OUTPUT, RECORD_FLAG_SEALED, 1, 0},
        {RECORD_OUTPUT, 0, 1, ERR_TAMPERED},
        {RECORD_KEY, 0, 1, 0},
        {RECORD_KEY, 0, 0, ERR_TAMPERED},
        {RECORD_SEAL, 0, 0, ERR_TAMPERED},
        {RECORD_ALARM, 0, 1, ERR_TAMPERED},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct record r = {.type = rows[i].type, .flags = rows[i].flags, .payload_len = 5};
        uint8_t header[RECORD_HEADER_SIZE];
        struct session_state *state;
        struct err e = ERR_INIT;
        enum fault fault;
        struct forge f;

        forge_init(&f);
        forge_begin(&f);
        memset(r.session, rows[i].session, sizeof r.session);
        cr_assert_eq(chain_place(&f.writer, &r, NULL, &state, &e), 0);
        record_encode(header, &r);
        chain_link(&f.writer, state, header);
        cr_assert_eq(record_decode(header, &r, &e), 0);
        cr_expect_eq(chain_check(&f.c, &r, header, NULL, &fault, &e), rows[i].expect, "row %zu", i);
        forge_clear(&f);
    }
}
