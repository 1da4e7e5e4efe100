/* SPDX-License-Identifier: Apache-2.0
 *
 * Epochs that end by themselves, and their keys on a disk that fails. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "audit/epoch_keys.h"
#include "tests/unit/audit_lab.h"

static const char epoch_file[] = EPOCH_KEYS_FILE;

static void seal_now(struct trail *t)
{
    struct err e = ERR_INIT;

    cr_assert_eq(trail_seal(t, NULL, &e), 0, "%s", e.text);
    cr_assert_eq(trail_want_checkpoint(t, &e), 0);
    cr_assert_eq(trail_sync_now(t, &e), 0, "%s", e.text);
}

/* An epoch that is full is sealed without anybody asking. */
Test(seal, a_full_epoch_is_sealed_by_itself)
{
    struct audit_lab lab;
    struct trail_options o;
    struct trail_report report;
    struct verify_result v;
    struct err e = ERR_INIT;
    struct trail *t;

    lab_make(&lab);
    o = (struct trail_options){
        .dir = lab.dir, .origin = LAB_ORIGIN, .log_key = lab.key, .epoch_max = 64};
    cr_assert_eq(trail_open(&t, &o, &report, &e), 0, "%s", e.text);
    for (uint8_t i = 1; i <= 10; i++)
        lab_session(t, i, 100, true);
    lab_shut_down(t);
    cr_assert_eq(lab_verify(&lab, &v, &e), 0, "%s", e.text);
    cr_expect_geq(v.epochs, v.records / 64);
    cr_expect_leq(v.epochs, v.records / 50);
    cr_expect_eq(v.sealed, v.records);
    lab_remove(&lab);
}

struct sealing {
    struct audit_lab *lab;
};

/* 0: the seal and its key's end were durable. 1: the trail said that they are not. */
static int seal_twice(void *arg)
{
    struct sealing *s = arg;
    unsigned at = lab_fault.at;
    struct trail_report report;
    struct err e = ERR_INIT;
    struct trail *t;
    int r;

    lab_fault.at = 0;
    if (lab_open(s->lab, &t, 0, &report, &e) < 0)
        return 2;
    lab_session(t, 1, 1, true);
    lab_fault.at = at;
    for (int i = 0; i < 2; i++) {
        r = trail_seal(t, NULL, &e);
        if (r == 0)
            r = trail_want_checkpoint(t, &e);
        if (r == 0)
            r = trail_sync_now(t, &e);
        if (r < 0) /* final: nothing goes on, nothing is retried */
            return trail_seal(t, NULL, &e) < 0 && trail_flush(t, &e) < 0 ? 1 : 3;
    }
    return 0;
}

/* pwrite and fdatasync of epoch.keys fail: the recorder stops, and the next one goes on. */
Test(epoch_keys, a_disk_that_fails_under_them)
{
    static const int errors[] = {EIO, ENOSPC, 0};

    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        for (unsigned at = 1; at <= 5; at++) {
            struct lab_fault fault = {.at = at, .error = errors[i], .file = epoch_file};
            struct audit_lab lab;
            struct sealing s = {&lab};
            struct verify_result v;
            struct err e = ERR_INIT;
            struct trail *t;
            int status;

            lab_make(&lab);
            status = lab_child(&fault, seal_twice, &s);
            /* Two seals are two times pwrite and fdatasync. */
            cr_expect_eq(status,
                         at > 4      ? 0
                         : errors[i] ? 1
                                     : LAB_KILLED,
                         "%d at %u: %d", errors[i], at, status);
            t = lab_trail(&lab, 0);
            lab_session(t, 2, 1, true);
            seal_now(t);
            lab_shut_down(t);
            cr_expect_eq(lab_verify(&lab, &v, &e), 0, "%d at %u: %s", errors[i], at, e.text);
            cr_expect_eq(v.sealed, v.records);
            lab_remove(&lab);
        }
}
