/* SPDX-License-Identifier: Apache-2.0
 *
 * Orders, one interrupted at every step, who destroyed what, and pruned segments from an enemy. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/data_key.h"
#include "audit/prune.h"
#include "audit/pruned_by.h"
#include "audit/trail_state.h"
#include "base/clock.h"
#include "tests/unit/audit_lab.h"

#define MARK "prune.pending"

static const uint8_t gateway[RECORD_SESSION_ID];

Test(prune_order, there_is_one_text_for_each)
{
#define ROOT "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define ID   "0f0e0d0c0b0a09080706050403020100"
#define TAIL "size 17\nroot " ROOT "\nreason the time is over\n"
    static const struct {
        const char *text;
        int expect;
    } rows[] = {
        {"sallyport-retention-v1\ngw/sallyport/0\nprune-before 1700000000000000000\n" TAIL, 0},
        {"sallyport-retention-v1\ngw/sallyport/0\ndestroy-session-keys " ID "\n" TAIL, 0},
        {"sallyport-retention-v1\ngw/sallyport/0\nrelease-session " ID "\n" TAIL, 0},
        {"sallyport-retention-v2\ngw/sallyport/0\nrelease-session " ID "\n" TAIL, -1},
        {"sallyport-retention-v1\ngw/sallyport/0\nrelease-everything " ID "\n" TAIL, -1},
        {"sallyport-retention-v1\ngw/sallyport/0\nrelease-session\n" TAIL, -1},
        {"sallyport-retention-v1\ngw/sallyport/0\nrelease-session " ID "00\n" TAIL, -1},
        {"sallyport-retention-v1\ngw/sallyport/0\nrelease-session 0F" ID "\n" TAIL, -1},
        {"sallyport-retention-v1\ngw/sallyport/0\nprune-before -1\n" TAIL, -1},
        {"sallyport-retention-v1\ngw/sallyport/0\nprune-before +1\n" TAIL, -1},
        {"sallyport-retention-v1\ngw/sallyport/0\nprune-before 01\n" TAIL, -1},
        {"sallyport-retention-v1\ngw/sallyport/0\nprune-before 99999999999999999999\n" TAIL, -1},
        {"sallyport-retention-v1\ngw/sallyport/0\nprune-before\t1\n" TAIL, -1},
        {"sallyport-retention-v1\ngw/sallyport/0\nprune-before 1\r\n" TAIL, -1},
        {"sallyport-retention-v1\ngw/sallyport/0\nprune-before 1\n" TAIL "\n", -1},
        {"sallyport-retention-v1\ngw/sallyport/0\nprune-before 1\n" TAIL "more\n", -1},
        {"sallyport-retention-v1\ngw/sallyport/0\nprune-before 1\nsize 0x11\nroot " ROOT
         "\nreason a\n",
         -1},
        {"sallyport-retention-v1\ngw/sallyport/0\nprune-before 1\nsize 1\nroot " ROOT "ff\nreason "
         "a\n",
         -1},
        {"sallyport-retention-v1\ngw/sallyport/0\nprune-before 1\nsize 1\nroot " ROOT "\nreason \n",
         -1},
        {"sallyport-retention-v1\ngw/sallyport/0\nprune-before 1\nsize 1\nroot " ROOT
         "\nreason \x1b[2J\n",
         -1},
        {"sallyport-retention-v1\ngw/sallyport/0\nprune-before 1\nsize 1\nroot " ROOT "\nreason a",
         -1},
        {"", -1},
        {"\n\n\n\n\n\n", -1},
    };
    struct prune_order o;
    struct err e = ERR_INIT;
    char text[PRUNE_ORDER_MAX + 2];
    size_t n;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int r = prune_order_read(rows[i].text, strlen(rows[i].text), &o, &e);

        cr_expect_eq(r, rows[i].expect ? ERR_SYNTAX : 0, "row %zu: %d", i, r);
        /* Each bit of a good one, and each beginning of it. */
        for (size_t at = 0; !rows[i].expect && at < strlen(rows[i].text); at++) {
            cr_expect_eq(prune_order_read(rows[i].text, at, &o, &e), ERR_SYNTAX);
            strcpy(text, rows[i].text);
            text[at] = '\0';
            cr_expect_eq(prune_order_read(text, strlen(rows[i].text), &o, &e), ERR_SYNTAX);
        }
    }
    /* Longest members, and one more. */
    for (int more = 0; more < 2; more++) {
        n = (size_t)snprintf(text, sizeof text,
                             "sallyport-retention-v1\ngw\nprune-before 1\nsize 1\nroot " ROOT
                             "\nreason %0*d\n",
                             (int)PRUNE_REASON_MAX + more, 0);
        cr_expect_eq(prune_order_read(text, n, &o, &e), more ? ERR_SYNTAX : 0);
        n = (size_t)snprintf(text, sizeof text,
                             "sallyport-retention-v1\n%0*d\nprune-before 1\nsize 1\nroot " ROOT
                             "\nreason a\n",
                             (int)NOTE_NAME_MAX + more, 0);
        cr_expect_eq(prune_order_read(text, n, &o, &e), more ? ERR_SYNTAX : 0);
    }
    memset(text, 'a', sizeof text);
    cr_expect_eq(prune_order_read(text, sizeof text, &o, &e), ERR_SYNTAX);
}

/* --- carrying out */

static void put(struct trail *t, uint8_t type, const uint8_t *id, const char *text)
{
    struct err e = ERR_INIT;

    cr_assert_eq(trail_append(t, type, id, 0, text, strlen(text), &e), 0, "%s", e.text);
}

/* A whole session whose id's bytes are all n: a key record, `count` sealed outputs. */
static void sealed_session(struct trail *t, uint8_t n, unsigned count)
{
    uint8_t secret[DATA_KEY_SIZE] = {n}, id[RECORD_SESSION_ID];
    struct err e = ERR_INIT;
    struct data_key *k;
    char words[200];

    memset(id, n, sizeof id);
    memset(words, 'a' + n, sizeof words);
    k = data_key_new(secret, id, 1, &e);
    cr_assert(k);
    put(t, RECORD_SESSION_START, id, "{\"operator\":\"alice\",\"target\":\"hv1\"}");
    put(t, RECORD_KEY, id, "{\"event\":\"session-keys\",\"keys\":[]}");
    for (unsigned i = 0; i < count; i++)
        cr_assert_eq(trail_append_sealed(t, k, 1, RECORD_OUTPUT, id, 1, words, sizeof words, &e),
                     0);
    put(t, RECORD_SESSION_END, id, "{\"reason\":\"client-closed\"}");
    put(t, RECORD_VERDICT, id, "{\"verdict\":\"unattested\",\"channels\":[]}");
    data_key_free(k);
}

static void signed_checkpoint(struct trail *t)
{
    struct err e = ERR_INIT;

    cr_assert_eq(trail_want_checkpoint(t, &e), 0);
    cr_assert_eq(trail_sync_now(t, &e), 0, "%s", e.text);
}

static void hold(struct trail *t, uint8_t n, const char *event)
{
    char id[2 * RECORD_SESSION_ID + 1], text[200];
    uint8_t bytes[RECORD_SESSION_ID];

    memset(bytes, n, sizeof bytes);
    hex_encode(id, bytes, sizeof bytes);
    snprintf(text, sizeof text, "{\"event\":\"%s\",\"session\":\"%s\",\"reason\":\"x\"}", event,
             id);
    put(t, RECORD_HOLD, gateway, text);
}

struct carrying {
    struct audit_lab *lab;
    char order[PRUNE_ORDER_MAX];
    size_t len;
    char summary[300];
};

/* session 0: all before now. */
static void write_order(struct carrying *c, uint8_t session, const char *reason)
{
    struct prune_order o = {.act = session ? PRUNE_SESSION : PRUNE_BEFORE,
                            .before_ns = clock_real_ns() + 3600000000000u};
    struct checkpoint now;
    struct err e = ERR_INIT;
    struct buf out;

    cr_assert_eq(checkpoint_read(&now, c->lab->dir, &c->lab->log, &e), 0, "%s", e.text);
    strcpy(o.origin, LAB_ORIGIN);
    strcpy(o.reason, reason);
    o.size = now.size;
    memcpy(o.root, now.root, sizeof o.root);
    memset(o.session, session, sizeof o.session);
    buf_init(&out, PRUNE_ORDER_MAX);
    cr_assert_eq(prune_order_write(&o, &out, &e), 0, "%s", e.text);
    memcpy(c->order, buf_head(&out), buf_len(&out));
    c->len = buf_len(&out);
    buf_clear(&out);
}

static int to_the_end(struct prune *p, struct carrying *c, struct err *e)
{
    int r;

    while ((r = prune_step(p, e)) == 1)
        ;
    snprintf(c->summary, sizeof c->summary, "%s", prune_summary(p));
    prune_free(p);
    return r;
}

static int carry_out_with(struct trail *t, struct carrying *c, struct err *e)
{
    char names[PRUNE_SIGNERS][SSHSIG_NAME_MAX + 1] = {"ann", "bob\x1b[2J"};
    struct prune *p;
    int r = prune_new(&p, t, c->lab->dir, c->order, c->len, names, e);

    return r < 0 ? r : to_the_end(p, c, e);
}

static int carry_out(void *arg)
{
    struct carrying *c = arg;
    unsigned at = lab_fault.at;
    struct trail_report report;
    struct err e = ERR_INIT;
    struct trail *t;

    lab_fault.at = 0;
    if (lab_open(c->lab, &t, 4096, &report, &e) < 0)
        return 2;
    lab_fault.at = at;
    return carry_out_with(t, c, &e) == 0 ? 0 : 1;
}

static unsigned segments_twice(const struct audit_lab *lab)
{
    struct segments list;
    struct err e = ERR_INIT;
    unsigned twice = 0;

    cr_assert_eq(segments_list(&list, lab->dir, &e), 0);
    for (size_t i = 0; i < list.count; i++) {
        char whole[SEGMENT_NAME_MAX], pruned[SEGMENT_NAME_MAX];

        segment_name(list.first[i], whole);
        segment_pruned_name(list.first[i], pruned);
        twice +=
            faccessat(lab->dir, whole, F_OK, 0) == 0 && faccessat(lab->dir, pruned, F_OK, 0) == 0;
    }
    segments_clear(&list);
    return twice;
}

static void interrupted_everywhere(uint8_t session, int error, uint64_t expected)
{
    unsigned at, nothing = 0, all = 0;
    int status = -1;

    for (at = 1; status != 0; at++) {
        struct lab_fault fault = {.at = at, .error = error};
        struct audit_lab lab;
        struct carrying c = {.lab = &lab};
        struct verify_result v;
        struct err e = ERR_INIT;
        struct prune *p;
        struct trail *t;
        int r;

        cr_assert_lt(at, 500);
        lab_make(&lab);
        t = lab_trail(&lab, 4096);
        sealed_session(t, 1, 20);
        sealed_session(t, 2, 20);
        hold(t, 2, "hold");
        signed_checkpoint(t);
        write_order(&c, session, "the time is over");
        lab_shut_down(t);
        status = lab_child(&fault, carry_out, &c);
        cr_assert(status == 0 || status == (error ? 1 : LAB_KILLED) || (error && status == 0),
                  "call %u: %d", at, status);
        t = lab_trail(&lab, 4096);
        r = prune_resume(&p, t, lab.dir, &e);
        cr_assert_eq(r, 0, "call %u: %s", at, e.text);
        if (p) {
            r = to_the_end(p, &c, &e);
            cr_expect(r == 0 || r == ERR_DENIED, "call %u: %s", at, e.text);
        }
        cr_expect_neq(faccessat(lab.dir, MARK, F_OK, 0), 0, "call %u", at);
        cr_expect_eq(segments_twice(&lab), 0, "call %u", at);
        lab_shut_down(t);
        cr_assert_eq(lab_verify(&lab, &v, &e), 0, "call %u: %s", at, e.text);
        cr_expect(v.dropped == 0 || v.dropped == expected, "call %u: %lu", at,
                  (unsigned long)v.dropped);
        nothing += v.dropped == 0;
        all += v.dropped == expected;
        lab_remove(&lab);
    }
    cr_expect_gt(nothing, 3); /* before it is recorded durably */
    cr_expect_gt(all, 3);
}

Test(prune, killed_at_every_step)
{
    interrupted_everywhere(0, 0, 21);
}

Test(prune, one_session_s_keys_killed_at_every_step)
{
    interrupted_everywhere(1, 0, 1);
}

static int open_gateway(void *arg, struct record_source **out, struct err *e)
{
    static const struct source_selection selection = {.what = SOURCE_GATEWAY};
    struct audit_lab *lab = arg;

    return record_source_dir(out, lab->dir, &selection, e);
}

/* What is said of the first destroyed payload of this type in a session. */
static const char *words_of(struct audit_lab *lab, uint8_t n, uint8_t type,
                            char out[PRUNED_BY_TEXT])
{
    struct source_selection selection = {.what = SOURCE_SESSION};
    struct pruned_by *by = pruned_by_new(open_gateway, lab);
    struct record_source *s;
    struct source_record v;
    struct err e = ERR_INIT;
    uint8_t id[RECORD_SESSION_ID];
    uint64_t again = 0;
    int r;

    out[0] = '\0';
    memset(id, n, sizeof id);
    hex_encode(selection.session, id, sizeof id);
    cr_assert_eq(record_source_dir(&s, lab->dir, &selection, &e), 0, "%s", e.text);
    while (record_source_next(s, &v, -1, &e) == SOURCE_RECORD)
        if (v.pruned && v.r.type == type && !out[0])
            pruned_by_words(by, &v, out);
    /* A second pass, as a replay makes it, goes to where records stood. */
    cr_assert_eq(record_source_seek(s, record_source_session(s, &e)->first, &e), 0, "%s", e.text);
    while ((r = record_source_next(s, &v, -1, &e)) == SOURCE_RECORD)
        again++;
    cr_expect_eq(r, SOURCE_END, "%s", e.text);
    cr_expect_eq(again, record_source_session(s, &e)->records);
    record_source_free(s);
    pruned_by_free(by);
    return out;
}

/* The order's hash as it is shown. */
static void shown_hash(const struct carrying *c, char out[17])
{
    uint8_t hash[RECORD_HASH_SIZE];
    struct digest *d = digest_new();
    char hex[DIGEST_HEX];

    digest_bytes(d, c->order, c->len, hash);
    digest_hex(hash, hex);
    snprintf(out, 17, "%.16s", hex);
    digest_free(d);
}

/* One session was held when the first order came, another lost its keys before. */
Test(prune, whose_order_it_was)
{
    struct audit_lab lab;
    struct carrying c[3];
    struct err e = ERR_INIT;
    struct trail *t;
    struct session_list *list;
    char words[PRUNED_BY_TEXT], hash[3][17];

    lab_make(&lab);
    t = lab_trail(&lab, 0);
    for (uint8_t n = 1; n <= 4; n++)
        sealed_session(t, n, 3);
    hold(t, 2, "hold");
    for (int i = 0; i < 3; i++) {
        c[i].lab = &lab;
        signed_checkpoint(t);
        write_order(&c[i], i ? 0 : 3, i < 2 ? "first" : "second");
        if (i == 2)
            hold(t, 2, "release");
        cr_assert_eq(carry_out_with(t, &c[i], &e), 0, "%d: %s", i, e.text);
        shown_hash(&c[i], hash[i]);
    }
    sealed_session(t, 5, 1);
    lab_shut_down(t);
    for (uint8_t n = 1; n <= 4; n++) {
        const char *order = hash[n == 2 ? 2 : 1];

        words_of(&lab, n, RECORD_OUTPUT, words);
        cr_expect(strncmp(words, "pruned on 20", 12) == 0 && strstr(words, order) &&
                      strstr(words, "(signed by ann, bob\\x1b[2J)"),
                  "%u: %s", n, words);
        words_of(&lab, n, RECORD_KEY, words);
        cr_expect(strstr(words, n == 3 ? hash[0] : order), "%u: %s", n, words);
        cr_expect(n != 3 || !strstr(words, ", or "), "%s", words);
    }
    cr_expect_str_empty(words_of(&lab, 5, RECORD_OUTPUT, words));
    list = lab_sessions(&lab);
    cr_assert_eq(session_list_count(list), 5);
    for (size_t i = 0; i < 5; i++)
        cr_expect_eq(session_list_at(list, i)->pruned, i < 4 ? 4 : 0);
    session_list_free(list);
    lab_remove(&lab);
}

/* The orders come behind: a part of the log is verified, and it is said what was not looked at. */
Test(prune, a_part_before_the_orders)
{
    struct audit_lab lab;
    struct carrying c = {.lab = &lab};
    struct verify_options o;
    struct verify_result v;
    struct err e = ERR_INIT;
    struct trail *t;
    uint64_t size;

    lab_make(&lab);
    t = lab_trail(&lab, 0);
    sealed_session(t, 1, 3);
    cr_assert_eq(trail_seal(t, NULL, &e), 0);
    signed_checkpoint(t);
    size = trail_size(t);
    write_order(&c, 0, "over");
    cr_assert_eq(carry_out_with(t, &c, &e), 0, "%s", e.text);
    lab_shut_down(t);
    o = (struct verify_options){.dir = lab.dir, .before = size - 1};
    cr_assert_eq(trail_verify(&o, &v, &e), 0, "%s", e.text);
    cr_expect_eq(v.dropped, 4);
    cr_expect_eq(v.unaccounted, 4);
    cr_assert_eq(lab_verify(&lab, &v, &e), 0, "%s", e.text);
    cr_expect_eq(v.dropped, 4);
    cr_expect_eq(v.unaccounted, 0);
    /* An order that was read counts. */
    o.before = v.records;
    cr_assert_eq(trail_verify(&o, &v, &e), 0, "%s", e.text);
    cr_expect_eq(v.unaccounted, 0);
    lab_remove(&lab);
}

/* --- pruned segments from an enemy */

static int read_all(struct audit_lab *lab, uint64_t *records, enum fault *fault)
{
    struct trail_reader *reader;
    struct trail_view v;
    struct err e = ERR_INIT;
    uint64_t unfinished;
    int r = trail_reader_new(&reader, lab->dir, 0, &e);

    *records = 0;
    *fault = FAULT_NONE;
    while (r >= 0 && (r = trail_reader_next(reader, &v, &unfinished, fault, &e)) == 1)
        ++*records;
    trail_reader_free(reader);
    return r;
}

Test(prune, hostile_segments)
{
    struct audit_lab lab;
    struct carrying c = {.lab = &lab};
    struct verify_result v;
    struct err e = ERR_INIT;
    struct trail *t;
    struct segments list;
    char name[SEGMENT_NAME_MAX], path[128];
    uint64_t whole, records;
    enum fault fault;
    struct blob b;

    lab_make(&lab);
    t = lab_trail(&lab, 0);
    sealed_session(t, 1, 3);
    signed_checkpoint(t);
    write_order(&c, 0, "over");
    cr_assert_eq(carry_out_with(t, &c, &e), 0, "%s", e.text);
    lab_shut_down(t);
    cr_assert_eq(segments_list(&list, lab.dir, &e), 0);
    segment_pruned_name(list.first[0], name);
    segments_clear(&list);
    b = lab_read(&lab, name);
    cr_assert_eq(read_all(&lab, &whole, &fault), 0);
    /* Cut anywhere: the next segment is there, so it is said. */
    for (size_t cut = 0; cut < b.len; cut += cut < 8 ? 1 : 37) {
        lab_write(&lab, name, b.p, cut);
        cr_expect_lt(read_all(&lab, &records, &fault), 0, "cut at %zu", cut);
        cr_expect_lt(records, whole);
        cr_expect_lt(lab_verify(&lab, &v, &e), 0, "cut at %zu", cut);
    }
    /* Each byte of the magic; the byte that says whether the payload is there. */
    for (size_t at = 0; at < 5; at++)
        for (unsigned value = 0; value < 256; value++) {
            uint8_t was = b.p[at];

            b.p[at] = (uint8_t)value;
            lab_write(&lab, name, b.p, b.len);
            b.p[at] = was;
            if (value == was)
                cr_expect_eq(read_all(&lab, &records, &fault), 0);
            else
                cr_expect_lt(at == 4 && value < 2 ? lab_verify(&lab, &v, &e)
                                                  : read_all(&lab, &records, &fault),
                             0, "byte %zu is %u", at, value);
        }
    /* A payload that never ends, and one longer than any may be; header at 5, its length at 60. */
    for (unsigned shift = 0; shift < 32; shift++) {
        uint32_t length = 1u << shift;
        uint8_t was[4];

        memcpy(was, b.p + 5 + 60, 4);
        for (int i = 0; i < 4; i++)
            b.p[5 + 60 + i] = (uint8_t)(length >> (24 - 8 * i));
        lab_write(&lab, name, b.p, b.len);
        cr_expect_lt(lab_verify(&lab, &v, &e), 0, "length %u", (unsigned)length);
        memcpy(b.p + 5 + 60, was, 4);
    }
    /* No file, or one that never ends. */
    cr_assert_eq(unlinkat(lab.dir, name, 0), 0);
    snprintf(path, sizeof path, "%s/trail/%s", lab.state, name);
    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_expect_lt(read_all(&lab, &records, &fault), 0);
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(symlink("/dev/zero", path), 0);
    cr_expect_lt(read_all(&lab, &records, &fault), 0);
    cr_assert_eq(unlink(path), 0);
    lab_write(&lab, name, b.p, b.len);
    cr_expect_eq(lab_verify(&lab, &v, &e), 0, "%s", e.text);
    free(b.p);
    lab_remove(&lab);
}
