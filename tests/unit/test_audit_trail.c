/* SPDX-License-Identifier: Apache-2.0
 *
 * The trail on disk: written, verified, cut, altered, recovered. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "audit/session_list.h"
#include "base/log.h"
#include "tests/unit/audit_lab.h"

#define SEGMENT_0 "0000000000000000.spa"

Test(trail, a_new_log_is_verified)
{
    struct audit_lab lab;
    struct verify_result v;
    struct err e = ERR_INIT;

    lab_make(&lab);
    cr_expect_eq(lab_verify(&lab, &v, &e), 0, "%s", e.text);
    cr_expect_eq(v.records, 4);
    cr_expect_eq(v.checkpoint, 4);
    cr_expect(v.shut_down);
    lab_remove(&lab);
}

Test(trail, created_once_only)
{
    struct audit_lab lab;
    struct trail_created again;
    struct err e = ERR_INIT;

    lab_make(&lab);
    cr_expect_eq(trail_create(lab.state, "gw.test", getuid(), getgid(), &again, &e), ERR_INPUT);
    lab_remove(&lab);
}

Test(trail, round_trip_over_segments)
{
    struct audit_lab lab;
    struct verify_result v;
    struct session_list *list;
    struct err e = ERR_INIT;
    struct trail *t;

    lab_make(&lab);
    for (uint8_t run = 1; run < 6; run++) {
        t = lab_trail(&lab, 4096);
        lab_session(t, run, 20, true);
        lab_session(t, (uint8_t)(run + 100), 3, true);
        lab_shut_down(t);
    }
    cr_expect_eq(lab_verify(&lab, &v, &e), 0, "%s", e.text);
    cr_expect_eq(v.sessions, 10);
    cr_expect_gt(v.segments, 5);
    cr_expect_eq(v.records, v.checkpoint);
    cr_expect_eq(v.unfinished, 0);
    list = lab_sessions(&lab);
    cr_expect_eq(session_list_count(list), 10);
    cr_expect_eq(session_list_at(list, 0)->bytes_in, 20);
    cr_expect_eq(session_list_at(list, 0)->bytes_out, 60);
    cr_expect(session_list_at(list, 0)->pty && session_list_at(list, 0)->ended);
    cr_expect_eq(session_list_at(list, 0)->classes, CLASS_SHELL);
    session_list_free(list);
    lab_remove(&lab);
}

Test(trail, largest_payload)
{
    struct audit_lab lab;
    struct verify_result v;
    struct err e = ERR_INIT;
    uint8_t *payload = calloc(1, RECORD_PAYLOAD_MAX), zero[RECORD_SESSION_ID] = {0};
    struct trail *t;

    lab_make(&lab);
    t = lab_trail(&lab, 0);
    for (int i = 0; i < 5; i++)
        cr_assert_eq(trail_append(t, RECORD_ALARM, zero, 0, payload, RECORD_PAYLOAD_MAX, &e), 0);
    cr_assert_eq(trail_append(t, RECORD_ALARM, zero, 0, "", 0, &e), 0);
    lab_shut_down(t);
    cr_expect_eq(lab_verify(&lab, &v, &e), 0, "%s", e.text);
    free(payload);
    lab_remove(&lab);
}

Test(trail, one_writer_only)
{
    struct audit_lab lab;
    struct trail_report report;
    struct trail *t, *second;
    struct err e = ERR_INIT;

    lab_make(&lab);
    t = lab_trail(&lab, 0);
    cr_expect_eq(lab_open(&lab, &second, 0, &report, &e), ERR_BUSY);
    trail_close(t);
    lab_remove(&lab);
}

Test(trail, durable_after_the_thread)
{
    struct audit_lab lab;
    struct err e = ERR_INIT;
    struct trail *t;

    lab_make(&lab);
    t = lab_trail(&lab, 0);
    lab_session(t, 1, 3, true);
    cr_expect_lt(trail_durable(t), trail_accepted(t));
    cr_assert_eq(trail_sync_begin(t, &e), 0);
    while (trail_sync_busy(t))
        cr_assert_eq(trail_sync_end(t, &e), 0, "%s", e.text);
    cr_expect_eq(trail_durable(t), trail_accepted(t));
    trail_close(t);
    lab_remove(&lab);
}

/* A log with a session that is over and one that was under way when the recorder was killed, with
 * the checkpoint at its opening. */
static void make_killed(struct audit_lab *lab, uint64_t segment_max)
{
    struct trail *t;

    lab_make(lab);
    t = lab_trail(lab, segment_max);
    lab_session(t, 1, 2, true);
    lab_session(t, 2, 2, false);
    trail_close(t);
}

Test(trail, recovery_ends_orphans)
{
    struct audit_lab lab;
    struct trail_report report;
    struct verify_result v;
    struct session_list *list;
    struct err e = ERR_INIT;
    struct trail *t;

    make_killed(&lab, 0);
    cr_expect_eq(lab_verify(&lab, &v, &e), 0);
    cr_expect_lt(v.checkpoint, v.records);
    cr_assert_eq(lab_open(&lab, &t, 0, &report, &e), 0, "%s", e.text);
    cr_expect(!report.clean);
    cr_expect_eq(report.orphans, 1);
    cr_expect_eq(report.torn_bytes, 0);
    trail_close(t);
    cr_expect_eq(lab_verify(&lab, &v, &e), 0, "%s", e.text);
    cr_expect_eq(v.records, v.checkpoint);
    list = lab_sessions(&lab);
    cr_expect_eq(session_list_count(list), 2);
    cr_expect(session_list_at(list, 0)->ended && session_list_at(list, 1)->ended);
    session_list_free(list);
    lab_remove(&lab);
}

/* There is no room to keep the torn tail: nothing is cut, and no part of a copy stays to be taken
 * for one at the next attempt, or for the thousandth. */
Test(trail, a_tail_that_cannot_be_kept_leaves_nothing)
{
    static const uint8_t tail[65536];
    const struct rlimit small = {32768, RLIM_INFINITY};
    struct rlimit before;
    struct audit_lab lab;
    struct trail_report report;
    struct verify_result v;
    struct err e = ERR_INIT;
    struct trail *t;
    int fd;

    make_killed(&lab, 0);
    fd = openat(lab.dir, SEGMENT_0, O_WRONLY | O_APPEND);
    cr_assert(fd >= 0 && write(fd, tail, sizeof tail) == sizeof tail);
    close(fd);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    setrlimit(RLIMIT_FSIZE, &small);
    for (int i = 0; i < 3; i++)
        cr_expect_lt(lab_open(&lab, &t, 0, &report, &e), 0);
    setrlimit(RLIMIT_FSIZE, &before);
    cr_assert_eq(lab_open(&lab, &t, 0, &report, &e), 0, "%s", e.text);
    cr_expect_eq(report.torn_bytes, sizeof tail);
    cr_expect_eq(report.torn_file[strlen(report.torn_file) - 1], '0', "%s", report.torn_file);
    trail_close(t);
    cr_expect_eq(lab_verify(&lab, &v, &e), 0, "%s", e.text);
    lab_remove_torn(&lab);
    lab_remove(&lab);
}

/* Sessions that began in an earlier segment are still chained and ended after recovery. */
Test(trail, recovery_over_segments)
{
    struct audit_lab lab;
    struct trail_report report;
    struct verify_result v;
    struct err e = ERR_INIT;
    uint8_t id[RECORD_SESSION_ID];
    struct trail *t;

    lab_make(&lab);
    t = lab_trail(&lab, 4096);
    lab_session(t, 1, 1, false);
    lab_session(t, 2, 40, true);
    memset(id, 1, sizeof id);
    cr_assert_eq(trail_append(t, RECORD_INPUT, id, 1, "y", 1, &e), 0);
    cr_assert_eq(trail_want_checkpoint(t, &e), 0);
    cr_assert_eq(trail_sync_now(t, &e), 0);
    trail_close(t);
    cr_assert_eq(lab_open(&lab, &t, 4096, &report, &e), 0, "%s", e.text);
    cr_expect_eq(report.orphans, 1);
    lab_session(t, 3, 5, true);
    lab_shut_down(t);
    cr_expect_eq(lab_verify(&lab, &v, &e), 0, "%s", e.text);
    cr_expect_eq(v.sessions, 3);
    lab_remove(&lab);
}

/* The verifier sees each flipped bit of a log under its checkpoint, and says which record. */
Test(trail, every_flipped_byte_is_named)
{
    static const char *const files[] = {SEGMENT_0, "checkpoint", "anchor.note"};
    struct audit_lab lab;
    struct trail *t;

    lab_make(&lab);
    t = lab_trail(&lab, 0);
    lab_session(t, 1, 2, true);
    lab_shut_down(t);
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        struct blob b = lab_read(&lab, files[f]);

        for (size_t i = 0; i < b.len; i++) {
            struct verify_result v;
            struct err e = ERR_INIT;

            b.p[i] ^= (uint8_t)(1u << (i % 8));
            lab_write(&lab, files[f], b.p, b.len);
            cr_expect_eq(lab_verify(&lab, &v, &e), ERR_TAMPERED, "%s byte %zu", files[f], i);
            cr_expect_neq(v.fault, FAULT_NONE);
            cr_expect(e.text[0]);
            cr_expect_str_eq(v.file, files[f], "%s byte %zu: %s", files[f], i, v.file);
            /* The fault is in the record named, or in the one before it. */
            if (f == 0)
                cr_expect_leq(v.offset, i + 1024, "byte %zu: offset %lu", i,
                              (unsigned long)v.offset);
            b.p[i] ^= (uint8_t)(1u << (i % 8));
        }
        lab_write(&lab, files[f], b.p, b.len);
        free(b.p);
    }
    lab_remove(&lab);
}

Test(trail, every_cut_is_named)
{
    struct audit_lab lab;
    struct trail *t;
    struct blob b;

    lab_make(&lab);
    t = lab_trail(&lab, 0);
    lab_session(t, 1, 2, true);
    lab_shut_down(t);
    b = lab_read(&lab, SEGMENT_0);
    for (size_t i = 0; i < b.len; i++) {
        struct verify_result v;
        struct trail_report report;
        struct err e = ERR_INIT;

        lab_write(&lab, SEGMENT_0, b.p, i);
        cr_expect_eq(lab_verify(&lab, &v, &e), ERR_TAMPERED, "cut at %zu", i);
        cr_expect_eq(v.fault, FAULT_CUT, "cut at %zu", i);
        cr_expect_eq(lab_open(&lab, &t, 0, &report, &e), ERR_TAMPERED, "cut at %zu: %s", i, e.text);
    }
    free(b.p);
    lab_remove(&lab);
}

/* Where a record boundary behind the checkpoint is: the offset of record `index`. */
static size_t offset_of(struct audit_lab *lab, uint64_t index)
{
    struct trail_reader *reader;
    struct trail_view v;
    struct err e = ERR_INIT;
    enum fault fault;
    uint64_t unfinished;
    size_t offset = 0;

    cr_assert_eq(trail_reader_new(&reader, lab->dir, 0, &e), 0);
    while (trail_reader_next(reader, &v, &unfinished, &fault, &e) == 1)
        if (v.r.index == index)
            offset = v.offset;
    trail_reader_free(reader);
    return offset;
}

/* Cut or flipped behind the checkpoint: recovery goes on from the last whole record, keeps the rest
 * aside, and the result verifies. Before it: refused. */
static void damage_and_recover(bool flip)
{
    struct audit_lab lab;
    struct verify_result v;
    struct err e = ERR_INIT;
    struct blob b, checkpoint;
    size_t safe;

    lab_without_preallocation = true;
    setenv("SALLYPORT_LOG", "error", 1); /* each recovery has its warnings */
    log_init("unit_audit");
    make_killed(&lab, 0);
    b = lab_read(&lab, SEGMENT_0);
    checkpoint = lab_read(&lab, "checkpoint");
    cr_assert_eq(lab_verify(&lab, &v, &e), 0);
    safe = offset_of(&lab, v.checkpoint);
    cr_assert_gt(safe, 0);
    for (size_t i = 0; i < b.len; i++) {
        struct trail_report report;
        struct trail *t = NULL;
        int r;

        if (flip)
            b.p[i] ^= 0x10;
        lab_write(&lab, SEGMENT_0, b.p, flip ? b.len : i);
        if (flip)
            b.p[i] ^= 0x10;
        lab_write(&lab, "checkpoint", checkpoint.p, checkpoint.len);
        r = lab_open(&lab, &t, 0, &report, &e);
        if (i < safe) {
            cr_expect_eq(r, ERR_TAMPERED, "byte %zu", i);
            continue;
        }
        cr_assert_eq(r, 0, "byte %zu: %s", i, e.text);
        cr_expect(!report.clean);
        /* A flip in the last header can only be told by what follows: nothing does. */
        if (report.torn_bytes) {
            struct blob kept = lab_read(&lab, report.torn_file);

            cr_expect_eq(kept.len, report.torn_bytes);
            free(kept.p);
        }
        trail_close(t);
        cr_expect_eq(lab_verify(&lab, &v, &e), 0, "byte %zu: %s", i, e.text);
        cr_expect_geq(v.records, v.checkpoint);
        lab_remove_torn(&lab);
    }
    free(b.p);
    free(checkpoint.p);
    lab_remove(&lab);
}

Test(trail, recovery_after_every_cut)
{
    damage_and_recover(false);
}

Test(trail, recovery_after_every_flip)
{
    damage_and_recover(true);
}

Test(trail, missing_and_reordered)
{
    struct audit_lab lab;
    struct verify_result v;
    struct segments list;
    struct err e = ERR_INIT;
    char name[SEGMENT_NAME_MAX], other[SEGMENT_NAME_MAX];
    struct trail *t;
    struct blob a, b;

    lab_make(&lab);
    t = lab_trail(&lab, 2048);
    lab_session(t, 1, 30, true);
    lab_shut_down(t);
    cr_assert_eq(segments_list(&list, lab.dir, &e), 0);
    cr_assert_gt(list.count, 3);
    segment_name(list.first[1], name);
    segment_name(list.first[2], other);
    a = lab_read(&lab, name);
    b = lab_read(&lab, other);

    cr_assert_eq(unlinkat(lab.dir, name, 0), 0);
    cr_expect_eq(lab_verify(&lab, &v, &e), ERR_TAMPERED);
    cr_expect_eq(v.fault, FAULT_MISSING, "%s", e.text);
    cr_expect_eq(v.record, list.first[1]);

    lab_write(&lab, name, b.p, b.len);
    cr_expect_eq(lab_verify(&lab, &v, &e), ERR_TAMPERED);
    cr_expect_eq(v.fault, FAULT_MISSING, "%s", e.text);
    cr_expect_str_eq(v.file, name);

    lab_write(&lab, name, a.p, a.len);
    lab_write(&lab, other, a.p, a.len);
    cr_expect_eq(lab_verify(&lab, &v, &e), ERR_TAMPERED);
    cr_expect_eq(v.fault, FAULT_REORDERED, "%s", e.text);
    cr_expect_str_eq(v.file, other);

    lab_write(&lab, other, b.p, b.len);
    cr_expect_eq(lab_verify(&lab, &v, &e), 0);
    segments_clear(&list);
    free(a.p);
    free(b.p);
    lab_remove(&lab);
}

Test(trail, another_logs_keys_are_refused)
{
    struct audit_lab lab, other;
    struct trail_report report;
    struct verify_result v;
    struct err e = ERR_INIT;
    struct trail *t;
    struct verify_options o;

    lab_make(&lab);
    lab_make(&other);
    o = (struct verify_options){.dir = lab.dir, .log = &other.log};
    cr_expect_eq(trail_verify(&o, &v, &e), ERR_TAMPERED);
    o = (struct verify_options){.dir = lab.dir, .anchor = &other.anchor};
    cr_expect_eq(trail_verify(&o, &v, &e), ERR_TAMPERED);
    o = (struct verify_options){.dir = lab.dir};
    cr_expect_eq(trail_verify(&o, &v, &e), 0);
    EVP_PKEY_free(lab.key);
    lab.key = EVP_PKEY_dup(other.key);
    cr_expect_eq(lab_open(&lab, &t, 0, &report, &e), ERR_INPUT);
    lab_remove(&lab);
    lab_remove(&other);
}

Test(trail, missing_checkpoint_is_refused)
{
    struct audit_lab lab;
    struct trail_report report;
    struct verify_result v;
    struct err e = ERR_INIT;
    struct trail *t;

    lab_make(&lab);
    cr_assert_eq(unlinkat(lab.dir, "checkpoint", 0), 0);
    cr_expect_eq(lab_verify(&lab, &v, &e), ERR_TAMPERED);
    cr_expect_eq(v.fault, FAULT_MISSING);
    cr_expect_eq(lab_open(&lab, &t, 0, &report, &e), ERR_TAMPERED);
    lab_remove(&lab);
}

/* On an empty disk there is room for the longest record at every byte of the steps that are
 * allocated. */
Test(space, always_room_on_an_empty_disk)
{
    static const uint8_t id[RECORD_SESSION_ID] = {1};
    struct audit_lab lab;
    struct trail *t;
    struct err e = ERR_INIT;

    lab_make(&lab);
    t = lab_trail(&lab, 0);
    for (unsigned i = 0; i < 200000; i++) {
        cr_assert(trail_has_room(t, SPACE_SESSION, RECORD_PAYLOAD_MAX), "record %u", i);
        cr_assert_eq(trail_append(t, RECORD_INPUT, id, 1, "k", 1, &e), 0);
        if (i % 50 == 0)
            cr_assert_eq(trail_flush(t, &e), 0);
    }
    trail_close(t);
    lab_remove(&lab);
}
