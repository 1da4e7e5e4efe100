/* SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoints that a log must not fall behind, a part of a log verified, and a log that follows
 * another. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/epoch_keys.h"
#include "audit/high_mark.h"
#include "audit/new_log.h"
#include "tests/unit/audit_lab.h"

#define SEGMENT_0 "0000000000000000.spa"

static void seal_now(struct trail *t)
{
    struct err e = ERR_INIT;

    cr_assert_eq(trail_seal(t, NULL, &e), 0, "%s", e.text);
    cr_assert_eq(trail_want_checkpoint(t, &e), 0);
    cr_assert_eq(trail_sync_now(t, &e), 0, "%s", e.text);
}

static struct trail *open_marked(struct audit_lab *lab, int mark, int *r, struct err *e)
{
    struct trail_options o = {
        .dir = lab->dir, .origin = LAB_ORIGIN, .log_key = lab->key, .high_mark = mark};
    struct trail_report report;
    struct trail *t;

    *r = trail_open(&t, &o, &report, e);
    return t;
}

static int mark_file(const struct audit_lab *lab)
{
    char path[128];
    int fd;

    snprintf(path, sizeof path, "%s/" HIGH_MARK_FILE, lab->state);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    cr_assert_gt(fd, 0);
    return fd;
}

/* The whole trail's directory of a day ago is put back, keys and checkpoint with it. */
Test(high_mark, an_older_copy_is_refused)
{
    static const char *const files[] = {SEGMENT_0, EPOCH_KEYS_FILE, "checkpoint"};
    struct blob old[3];
    struct audit_lab lab;
    struct err e = ERR_INIT;
    struct trail *t;
    char size[32];
    int mark, r;

    lab_make(&lab);
    mark = mark_file(&lab);
    for (size_t i = 0; i < 3; i++)
        old[i] = lab_read(&lab, files[i]);
    for (int i = 0; i < 3; i++) {
        t = open_marked(&lab, mark, &r, &e);
        cr_assert_eq(r, 0, "%s", e.text);
        lab_session(t, (uint8_t)(i + 1), 2, true);
        snprintf(size, sizeof size, "checkpoint of %lu", (unsigned long)trail_size(t) + 2);
        lab_shut_down(t);
    }
    for (size_t i = 0; i < 3; i++) {
        lab_write(&lab, files[i], old[i].p, old[i].len);
        free(old[i].p);
    }
    t = open_marked(&lab, mark, &r, &e);
    cr_expect_eq(r, ERR_TAMPERED);
    cr_expect(strstr(e.text, "has 4 records") && strstr(e.text, size) &&
                  strstr(e.text, "new-log --reason"),
              "%s (%s)", e.text, size);
    /* A mark of another log, or none, says nothing. */
    cr_assert_eq(ftruncate(mark, 0), 0);
    t = open_marked(&lab, mark, &r, &e);
    cr_expect_eq(r, 0, "%s", e.text);
    trail_close(t);
    close(mark);
    lab_remove(&lab);
}

/* A copy ran, and the newer trail was put back in its place: the mark names the fork. Without the
 * mark the trail goes on. */
Test(high_mark, the_newer_trail_after_a_copy_ran)
{
    static const char *const files[] = {SEGMENT_0, EPOCH_KEYS_FILE, "checkpoint"};

    for (int longer = 0; longer < 2; longer++) {
        struct blob old[3], new[3];
        struct audit_lab lab;
        struct verify_result v;
        struct err e = ERR_INIT;
        struct trail *t;
        int mark, r;

        lab_make(&lab);
        mark = mark_file(&lab);
        for (size_t i = 0; i < 3; i++)
            old[i] = lab_read(&lab, files[i]);
        t = open_marked(&lab, mark, &r, &e);
        lab_session(t, 1, 3, true);
        lab_shut_down(t);
        for (size_t i = 0; i < 3; i++) {
            new[i] = lab_read(&lab, files[i]);
            lab_write(&lab, files[i], old[i].p, old[i].len);
        }
        /* Who runs a copy takes the mark away, too. */
        cr_assert_eq(ftruncate(mark, 0), 0);
        t = open_marked(&lab, mark, &r, &e);
        cr_assert_eq(r, 0, "%s", e.text);
        lab_session(t, 2, longer ? 9 : 3, true);
        lab_shut_down(t);
        for (size_t i = 0; i < 3; i++)
            lab_write(&lab, files[i], new[i].p, new[i].len);
        t = open_marked(&lab, mark, &r, &e);
        cr_expect_eq(r, ERR_TAMPERED, "%d", longer);
        cr_expect(strstr(e.text, "RESTORED COPIES") && strstr(e.text, HIGH_MARK_FILE) &&
                      strstr(e.text, "new-log"),
                  "%s", e.text);
        trail_close(t);
        cr_expect_eq(lab_verify(&lab, &v, &e), 0, "%s", e.text);
        cr_assert_eq(ftruncate(mark, 0), 0);
        t = open_marked(&lab, mark, &r, &e);
        cr_expect_eq(r, 0, "%s", e.text);
        lab_shut_down(t);
        for (size_t i = 0; i < 3; i++) {
            free(old[i].p);
            free(new[i].p);
        }
        close(mark);
        lab_remove(&lab);
    }
}

Test(verify_known, checkpoints_from_elsewhere)
{
    struct audit_lab lab;
    struct verify_result v;
    struct verify_known known[2];
    struct verify_options o;
    struct err e = ERR_INIT;
    struct blob old;
    struct trail *t;

    lab_make(&lab);
    memset(known, 0, sizeof known);
    t = lab_trail(&lab, 0);
    lab_session(t, 1, 5, true);
    seal_now(t);
    old = lab_read(&lab, SEGMENT_0);
    cr_assert_eq(checkpoint_read(&known[1].checkpoint, lab.dir, &lab.log, &e), 0);
    lab_session(t, 2, 5, true);
    lab_shut_down(t);
    cr_assert_eq(checkpoint_read(&known[0].checkpoint, lab.dir, &lab.log, &e), 0);
    o = (struct verify_options){.dir = lab.dir, .known = known, .known_count = 2};
    cr_expect_eq(trail_verify(&o, &v, &e), 0, "%s", e.text);
    cr_expect(known[0].held && known[1].held);
    cr_expect_eq(v.elsewhere, v.records);
    known[0].checkpoint.root[3] ^= 1;
    cr_expect_eq(trail_verify(&o, &v, &e), ERR_TAMPERED);
    known[0].checkpoint.root[3] ^= 1;
    /* Cut, with a checkpoint that fits what is left. */
    lab_write(&lab, SEGMENT_0, old.p, old.len);
    {
        struct buf note;

        buf_init(&note, NOTE_MAX);
        cr_assert_eq(checkpoint_sign(&note, &known[0].checkpoint, lab.key, &e), 0);
        lab_write(&lab, "checkpoint", buf_head(&note), buf_len(&note));
        buf_clear(&note);
    }
    o.known_count = 1;
    cr_expect_eq(trail_verify(&o, &v, &e), 0, "%s", e.text);
    o.known = (struct verify_known[2]){known[0], known[1]};
    o.known[1].checkpoint.size += 50;
    o.known_count = 2;
    cr_expect_eq(trail_verify(&o, &v, &e), ERR_TAMPERED);
    cr_expect_eq(v.fault, FAULT_CUT);
    free(old.p);
    lab_remove(&lab);
}

Test(verify_part, from_and_to)
{
    struct audit_lab lab;
    struct verify_result v;
    struct verify_options o;
    struct segments list;
    struct err e = ERR_INIT;
    struct trail *t;
    char name[SEGMENT_NAME_MAX];
    struct blob b;

    lab_make(&lab);
    t = lab_trail(&lab, 4096);
    for (uint8_t i = 1; i < 8; i++) {
        lab_session(t, i, 10, true);
        seal_now(t);
    }
    cr_assert_eq(segments_list(&list, lab.dir, &e), 0);
    cr_assert_gt(list.count, 4);
    o = (struct verify_options){.dir = lab.dir, .from = list.first[3], .session = "0505"};
    cr_expect_eq(trail_verify(&o, &v, &e), 0, "%s", e.text);
    cr_expect_eq(v.from, list.first[3]);
    cr_expect_eq(v.records, trail_size(t));
    cr_expect_eq(v.session.records, 23);
    cr_expect(v.session.started && v.session.ended && !v.session.ambiguous);
    o = (struct verify_options){.dir = lab.dir, .before = 20};
    cr_expect_eq(trail_verify(&o, &v, &e), 0, "%s", e.text);
    cr_expect_geq(v.sealed, 20);
    cr_expect_lt(v.records, trail_size(t));
    o = (struct verify_options){.dir = lab.dir, .before = 20000};
    cr_expect_eq(trail_verify(&o, &v, &e), ERR_INPUT);
    /* What the segment's record says of the log before it is not believed for its own sake. */
    segment_name(list.first[3], name);
    b = lab_read(&lab, name);
    for (size_t i = 0; i < RECORD_HEADER_SIZE + 600 && i < b.len; i += 7) {
        b.p[i] ^= 4;
        lab_write(&lab, name, b.p, b.len);
        b.p[i] ^= 4;
        o = (struct verify_options){.dir = lab.dir, .from = list.first[3]};
        cr_expect_eq(trail_verify(&o, &v, &e), ERR_TAMPERED, "byte %zu", i);
    }
    lab_write(&lab, name, b.p, b.len);
    /* Behind the newest checkpoint there is nothing that would prove it. */
    lab_session(t, 9, 60, true);
    o = (struct verify_options){.dir = lab.dir, .from = trail_size(t) - 1};
    cr_expect_eq(trail_verify(&o, &v, &e), ERR_INPUT);
    trail_close(t);
    free(b.p);
    segments_clear(&list);
    lab_remove(&lab);
}

static void reopen(struct audit_lab *lab)
{
    char path[128];

    close(lab->dir);
    snprintf(path, sizeof path, "%s/trail", lab->state);
    lab->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert_geq(lab->dir, 0);
}

static int verify_at(const char *state, const char *trail, const char *anchor,
                     struct verify_result *v, struct err *e)
{
    struct verify_options o = {0};
    struct vkey key;
    char path[128];
    int r;

    cr_assert_eq(vkey_parse(&key, anchor, e), 0);
    snprintf(path, sizeof path, "%s/%s", state, trail);
    o.dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert_geq(o.dir, 0);
    o.anchor = &key;
    r = trail_verify(&o, v, e);
    close(o.dir);
    return r;
}

Test(new_log, closes_and_cites_the_old_one)
{
    struct audit_lab lab;
    struct verify_result v;
    struct new_log *n = malloc(sizeof *n);
    struct trail_report report;
    struct err e = ERR_INIT;
    struct trail *t;
    char key[VKEY_MAX];

    lab_make(&lab);
    t = lab_trail(&lab, 0);
    lab_session(t, 1, 2, false);
    cr_expect_eq(new_log_begin(lab.state, "gw.test", "why", n, &e), ERR_BUSY, "%s", e.text);
    trail_close(t);
    cr_assert_eq(new_log_begin(lab.state, "gw.test", "a backup was put back", n, &e), 0, "%s",
                 e.text);
    cr_expect(n->previous.closed);
    cr_expect_eq(verify_at(lab.state, "trail.0", lab.created.anchor, &v, &e), 0, "%s", e.text);
    cr_expect_eq(v.records, n->previous.size);
    cr_expect_eq(v.sealed, v.records);
    cr_expect(v.closed);
    vkey_text(&v.next_log, key);
    cr_expect_str_eq(key, n->created.anchor);
    cr_expect_eq(verify_at(lab.state, "trail", n->created.anchor, &v, &e), 0, "%s", e.text);
    cr_expect_str_eq(v.log.name, "gw.test/sallyport/1");
    /* The closed one cannot be written any more. */
    close(lab.dir);
    snprintf(key, sizeof key, "%s/trail.0", lab.state);
    lab.dir = open(key, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_expect_eq(lab_open(&lab, &t, 0, &report, &e), ERR_INPUT, "%s", e.text);
    cr_assert_eq(new_log_begin(lab.state, "gw.test", "once more", n, &e), 0, "%s", e.text);
    cr_expect_eq(n->number, 1);
    reopen(&lab);
    free(n);
    lab_remove(&lab);
}

/* Without its keys the old log is cited, not closed; one that cannot be read is said to be
 * unlinked. */
Test(new_log, an_old_log_that_cannot_be_closed)
{
    static const struct {
        const char *gone;
        bool linked;
        const char *text;
    } rows[] = {
        {"trail/" EPOCH_KEYS_FILE, true, EPOCH_KEYS_FILE},
        {"keys/log.key", true, "log.key"},
        {"trail/" SEGMENT_0, false, "segment"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct audit_lab lab;
        struct verify_result v;
        struct new_log *n = malloc(sizeof *n);
        struct err e = ERR_INIT;
        char path[128];
        struct blob b;

        lab_make(&lab);
        snprintf(path, sizeof path, "%s/%s", lab.state, rows[i].gone);
        cr_assert_eq(unlink(path), 0);
        cr_assert_eq(new_log_begin(lab.state, "gw.test", "keys are gone", n, &e), 0, "%s", e.text);
        cr_expect_eq(n->previous.linked, rows[i].linked, "%s", rows[i].gone);
        cr_expect_not(n->previous.closed);
        cr_expect(strstr(n->trouble, rows[i].text), "%s", n->trouble);
        cr_expect_eq(verify_at(lab.state, "trail", n->created.anchor, &v, &e), 0, "%s", e.text);
        reopen(&lab);
        b = lab_read(&lab, SEGMENT_0);
        cr_expect_eq(memmem(b.p, b.len, "\"unlinked\":true", 15) != NULL, !rows[i].linked);
        cr_expect(memmem(b.p, b.len, "keys are gone", 13));
        free(b.p);
        free(n);
        lab_remove(&lab);
    }
}

struct new_log_call {
    struct audit_lab *lab;
    struct new_log n;
};

static int call_new_log(void *arg)
{
    struct new_log_call *c = arg;
    struct err e = ERR_INIT;

    return new_log_begin(c->lab->state, "gw.test", "interrupted", &c->n, &e) == 0 ? 0 : 1;
}

/* Killed before each of its calls that change a file: the next call of new-log ends it, the old
 * log's last seal names the anchor that the new one has, and both verify. */
Test(new_log, an_interrupted_call_is_ended_by_the_next)
{
    struct new_log_call *c = malloc(sizeof *c);
    unsigned at, resumed = 0, begun = 0;
    int status = LAB_KILLED;

    cr_assert(c);
    for (at = 1; status == LAB_KILLED; at++) {
        struct lab_fault fault = {.at = at};
        struct audit_lab lab;
        struct verify_result v;
        struct err e = ERR_INIT;
        struct trail *t;
        char key[VKEY_MAX], path[128];
        int r;

        cr_assert_lt(at, 500);
        lab_make(&lab);
        t = lab_trail(&lab, 0);
        lab_session(t, 1, 2, at & 1);
        trail_close(t);
        memset(c, 0, sizeof *c);
        c->lab = &lab;
        status = lab_child(&fault, call_new_log, c);
        cr_assert(status == 0 || status == LAB_KILLED, "call %u: %d", at, status);
        if (status == LAB_KILLED) {
            r = new_log_begin(lab.state, "gw.test", "once more", &c->n, &e);
            /* Killed behind the last rename: what is there is whole, and this is one more. */
            cr_assert_eq(r, 0, "call %u: %s", at, e.text);
            resumed += c->n.resumed;
            begun += !c->n.resumed;
            cr_expect(c->n.resumed || c->n.previous.closed, "call %u: %s", at, c->n.trouble);
        }
        cr_expect_eq(verify_at(lab.state, "trail.0", lab.created.anchor, &v, &e), 0, "call %u: %s",
                     at, e.text);
        cr_expect(v.closed, "call %u", at);
        cr_expect_eq(v.sealed, v.records, "call %u", at);
        vkey_text(&v.next_log, key);
        if (c->n.number == 0 && status == LAB_KILLED)
            cr_expect_str_eq(key, c->n.created.anchor, "call %u", at);
        cr_expect_eq(verify_at(lab.state, c->n.number ? "trail.1" : "trail", key, &v, &e), 0,
                     "call %u: %s", at, e.text);
        cr_expect_str_eq(v.log.name, "gw.test/sallyport/1");
        snprintf(path, sizeof path, "%s/new-log", lab.state);
        cr_expect_neq(access(path, F_OK), 0, "call %u", at);
        close(lab.dir);
        snprintf(path, sizeof path, "%s/trail", lab.state);
        lab.dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        lab_remove(&lab);
    }
    cr_expect_gt(resumed, 5);
    cr_expect_gt(begun, 10);
    free(c);
}

/* A last seal that names somebody else's anchor is said, not passed over. */
Test(new_log, a_log_that_is_closed_for_another)
{
    struct new_log *n = malloc(sizeof *n);
    struct trail_previous p = {.reason = "x"};
    struct audit_lab lab, other;
    struct err e = ERR_INIT;
    struct trail *t;

    lab_make(&lab);
    lab_make(&other);
    t = lab_trail(&lab, 0);
    cr_assert_eq(trail_close_log(t, &other.anchor, &p, &e), 0, "%s", e.text);
    trail_close(t);
    cr_assert_eq(new_log_begin(lab.state, "gw.test", "why", n, &e), 0, "%s", e.text);
    cr_expect_not(n->previous.closed);
    cr_expect(n->previous.linked);
    cr_expect(strstr(n->trouble, "another log's anchor") &&
                  strstr(n->trouble, other.created.anchor),
              "%s", n->trouble);
    reopen(&lab);
    free(n);
    lab_remove(&other);
    lab_remove(&lab);
}
