/* SPDX-License-Identifier: Apache-2.0
 *
 * Records of file operations joined, shown, extracted: what reviewers see of SFTP, and that records
 * of a process that was taken over neither grow nor write what they want. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/digest.h"
#include "audit/file_extract.h"
#include "audit/file_op_show.h"

/* Records by hand, and what comes out of them. */
struct bench {
    struct file_ops *ops;
    struct file_extract *extract;
    struct buf lines;
    uint64_t index, count;
    size_t longest;
    bool keep;
    json_t *last;
    struct extract_result results[8];
    size_t result_count;
};

static int note_result(void *arg, const struct file_op *op, const struct extract_result *result)
{
    struct bench *b = arg;

    (void)op;
    if (b->result_count < sizeof b->results / sizeof *b->results)
        b->results[b->result_count++] = *result;
    return 0;
}

static int take(void *arg, struct file_op *op, struct err *e)
{
    struct bench *b = arg;
    struct buf line;

    (void)e;
    if (b->count++ % 32 != 0 && !b->keep) /* of a flood, some */
        return 0;
    buf_init(&line, FILE_OP_LINE_MAX);
    cr_assert_eq(file_op_line(op, &line), 0);
    for (size_t i = 0; i < buf_len(&line); i++)
        cr_assert(buf_head(&line)[i] >= 0x20 && buf_head(&line)[i] != 0x7f);
    if (buf_len(&line) > b->longest)
        b->longest = buf_len(&line);
    if (b->keep) {
        cr_assert_eq(buf_put(&b->lines, buf_head(&line), buf_len(&line)), 0);
        cr_assert_eq(buf_put(&b->lines, "\n", 1), 0);
    }
    buf_clear(&line);
    json_decref(b->last);
    b->last = file_op_json(op);
    cr_assert(b->last);
    return b->extract ? file_extract_finish(b->extract, op, note_result, b) : 0;
}

static void setup(struct bench *b)
{
    memset(b, 0, sizeof *b);
    b->keep = true;
    buf_init(&b->lines, 8 << 20);
    b->ops = file_ops_new(take, b);
    cr_assert(b->ops);
}

static void teardown(struct bench *b)
{
    struct err e = ERR_INIT;

    cr_assert_eq(file_ops_end(b->ops, &e), 0);
    file_ops_free(b->ops);
    file_extract_free(b->extract);
    buf_clear(&b->lines);
    json_decref(b->last);
}

static void put(struct bench *b, uint8_t type, uint32_t channel, const void *payload, size_t len)
{
    struct record r = {.type = type, .index = b->index++, .channel = channel, .session = {1}};
    struct export_record v = {.r = &r, .payload = payload, .len = len};
    struct err e = ERR_INIT;

    cr_assert_eq(file_ops_put(b->ops, &v, &e), 0, "%s", e.text);
    if (b->extract && type == RECORD_FILE_CONTENT)
        cr_assert_eq(file_extract_put(b->extract, b->ops, &v, &e), 0, "%s", e.text);
}

static void file(struct bench *b, const char *json)
{
    put(b, RECORD_FILE, 0, json, strlen(json));
}

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

Test(file_ops, lines)
{
    static const struct {
        const char *records[6];
        const char *lines;
        unsigned odd;
    } cases[] = {
        {{"{\"event\":\"request\",\"n\":0,\"op\":\"mkdir\",\"path\":\"/d\",\"attrs\":{\"mode\":"
          "\"0755\"}}",
          "{\"event\":\"results\",\"results\":[{\"n\":0,\"status\":\"ok\"}]}"},
         "mkdir \"/d\" [mode=0755]: ok\n",
         0},
        {{"{\"event\":\"request\",\"n\":0,\"op\":\"open\",\"path\":\"/a\",\"flags\":[\"read\"]}",
          "{\"event\":\"request\",\"n\":1,\"op\":\"rename\",\"path\":\"/a b\",\"to\":\"/c\","
          "\"asked_to\":\"../c\"}",
          "{\"event\":\"results\",\"results\":[{\"n\":1,\"status\":\"failure\"},{\"n\":0,"
          "\"status\":\"ok\"}]}",
          "{\"event\":\"closed\",\"n\":0,\"path\":\"/a\",\"status\":\"ok\",\"by\":\"operator\","
          "\"read\":{\"bytes\":5,\"ranges\":[{\"from\":0,\"to\":5,\"sha256\":\"" EMPTY "\"}]}}"},
         "open \"/a\" [read]: ok, read 5 B, sha256 " EMPTY "\n"
         "rename \"/a b\" to \"/c\" (asked: \"../c\"): failure\n",
         0},
        {{"{\"event\":\"refused\",\"n\":3,\"op\":\"open\",\"path\":\"/etc/"
          "shadow\",\"asked\":\"shadow\",\"why\":\"path\",\"text\":\"ask bob\"}"},
         "open \"/etc/shadow\" (asked: \"shadow\"): REFUSED (path) \"ask bob\"\n",
         0},
        {{"{\"event\":\"request\",\"n\":0,\"op\":\"open\",\"path\":\"/a\",\"flags\":[\"write\","
          "\"creat\"]}",
          "{\"event\":\"results\",\"results\":[{\"n\":0,\"status\":\"ok\"}]}",
          "{\"event\":\"closed\",\"n\":0,\"status\":\"ok\",\"by\":\"end\",\"written\":{\"bytes\":9,"
          "\"failed\":4,\"ranges\":[],\"more\":70}}"},
         "open \"/a\" [write,creat]: ok, written 9 B (4 B of them failed) in 70 pieces, still open "
         "at the channel's end\n",
         0},
        {{"{\"event\":\"request\",\"n\":0,\"op\":\"opendir\",\"path\":\"/\"}",
          "{\"event\":\"results\",\"results\":[{\"n\":0,\"status\":\"ok\"}]}",
          "{\"event\":\"closed\",\"n\":0,\"status\":\"ok\",\"by\":\"operator\",\"entries\":17}"},
         "opendir \"/\": ok, 17 entries\n",
         0},
        {{"{\"event\":\"request\",\"n\":0,\"op\":\"stat\",\"path\":\"/a\"}",
          "{\"event\":\"request\",\"n\":1,\"op\":\"open\",\"path\":\"/b\"}",
          "{\"event\":\"results\",\"results\":[{\"n\":1,\"status\":\"ok\"}]}"},
         "stat \"/a\": no answer was recorded\nopen \"/b\": ok, no close was recorded\n",
         0},
        /* Bytes that are no UTF-8, and such as terminals obey. */
        {{"{\"event\":\"request\",\"n\":0,\"op\":\"remove\",\"path\":\"/\\u00ff\\u001b[2J\","
          "\"path.raw\":\"2fff1b5b324a\"}",
          "{\"event\":\"request\",\"n\":1,\"op\":\"\\u001b]0;x\\u0007\",\"path\":\"/"
          "\\u0000\\u009b\\u202e\",\"flags\":[\"\\u001b[1m\"]}",
          "{\"event\":\"results\",\"results\":[{\"n\":0,\"status\":\"\\u001bc\"},{\"n\":1,"
          "\"status\":\"ok\"}]}"},
         "remove \"/\\xff\\x1b[2J\": \\x1bc\n"
         "\\x1b]0;x\\x07 \"/\\x00\\xc2\\x9b\\xe2\\x80\\xae\" [\\x1b[1m]: ok\n",
         0},
        /* What is not of its form, or contradicts. */
        {{"[]", "{\"event\":\"request\",\"op\":\"x\"}", "{\"event\":\"request\",\"n\":1}",
          "{\"event\":\"closed\",\"n\":5}", "{\"event\":\"results\",\"results\":[{\"n\":1}]}", "{"},
         "",
         6},
        {{"{\"event\":\"request\",\"n\":-1,\"op\":\"x\"}",
          "{\"event\":\"request\",\"n\":99999999999999999999,\"op\":\"x\"}",
          "{\"event\":\"request\",\"n\":1152921504606846976,\"op\":\"x\",\"path\":7}",
          "{\"event\":\"results\",\"results\":[{\"n\":1152921504606846976,\"status\":\"ok\"}]}"},
         "x: ok\n",
         2},
        {{"{\"event\":\"request\",\"n\":1,\"op\":\"stat\",\"path\":\"/a\"}",
          "{\"event\":\"request\",\"n\":1,\"op\":\"stat\",\"path\":\"/b\"}",
          "{\"event\":\"results\",\"results\":[{\"n\":1,\"status\":\"ok\"},{\"n\":1,\"status\":"
          "\"failure\"}]}"},
         "stat \"/a\": ok\nstat \"/b\": CONTRADICTORY (its number is another request's)\n",
         2},
        {{"{\"event\":\"another\",\"n\":1}"}, "", 0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bench b;
        struct err e = ERR_INIT;
        uint64_t first;
        char *lines;

        setup(&b);
        for (size_t n = 0; n < 6 && cases[i].records[n]; n++)
            file(&b, cases[i].records[n]);
        put(&b, RECORD_SESSION_END, 0, "{}", 2);
        cr_expect_eq(file_ops_odd(b.ops, &first), cases[i].odd, "case %zu: %d odd", i,
                     (int)file_ops_odd(b.ops, &first));
        cr_assert_eq(file_ops_end(b.ops, &e), 0);
        lines = buf_string(&b.lines);
        cr_expect_str_eq(lines, cases[i].lines, "case %zu: %s", i, lines);
        free(lines);
        teardown(&b);
    }
}

Test(file_ops, json_has_all_of_it)
{
    struct bench b;
    const json_t *read;

    setup(&b);
    file(
        &b,
        "{\"event\":\"request\",\"n\":7,\"op\":\"open\",\"path\":\"/\\u00ff\",\"path.raw\":"
        "\"2fff\",\"flags\":[\"read\",\"write\"],\"attrs\":{\"size\":3,\"mode\":\"0600\",\"mtime\":"
        "9},\"rule\":\"bob/sftp.write[0]\"}");
    file(&b, "{\"event\":\"results\",\"results\":[{\"n\":7,\"status\":\"ok\"}]}");
    file(&b, "{\"event\":\"closed\",\"n\":7,\"status\":\"ok\",\"by\":\"operator\",\"read\":{"
             "\"bytes\":0,\"ranges\":[{\"from\":0,\"to\":0,\"sha256\":\"" EMPTY
             "\"},{\"from\":9,\"to\":1,\"sha256\":\"" EMPTY "\"},{\"from\":0,\"to\":0,\"sha256\":"
             "\"x\"},7],\"kept\":0}}");
    cr_assert_eq(b.count, 1);
    cr_expect_str_eq(json_string_value(json_object_get(b.last, "path")), "/\xc3\xbf");
    cr_expect_str_eq(json_string_value(json_object_get(b.last, "path.raw")), "2fff");
    cr_expect_str_eq(json_string_value(json_object_get(b.last, "outcome")), "ok");
    cr_expect_eq(json_array_size(json_object_get(b.last, "flags")), 2);
    cr_expect_eq(json_integer_value(json_object_get(json_object_get(b.last, "attrs"), "size")), 3);
    read = json_object_get(b.last, "read");
    cr_expect_eq(json_array_size(json_object_get(read, "ranges")), 1);
    cr_expect_eq(json_integer_value(json_object_get(read, "more")), 3);
    cr_expect_null(json_object_get(read, "sha256"));
    teardown(&b);
}

Test(file_ops, patterns)
{
    static const struct {
        const char *pattern, *path;
        bool matches;
    } cases[] = {
        {"/srv/*", "/srv/a/b", true},
        {"/srv/*", "/srv", false},
        {"*.img", "/a/x.img", true},
        {"*.img", "/a.img/x", false},
        {"x", "/a/x", true},
        {"x", "/x/a", false},
        {"/a?c", "/abc", true},
        {"/a?c", "/ac", false},
        {"/a\\*", "/a*", true},
        {"/a\\*", "/ab", false},
        {"/*a*b*c", "/xaybzc", true},
        {"/*a*b*c", "/xaybz", false},
        {"*", "", true},
        {"", "", true},
        {"", "/", true},
        {"\\", "/\\", true},
        {"/**/x", "/a/b/x", true},
    };
    char pattern[128], path[8192];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect_eq(
            file_pattern_matches(cases[i].pattern, (struct bytes){(const uint8_t *)cases[i].path,
                                                                  strlen(cases[i].path)}),
            cases[i].matches, "%s %s", cases[i].pattern, cases[i].path);
    /* Many stars and a long path end in time. */
    for (size_t i = 0; i < sizeof pattern - 1; i++)
        pattern[i] = i % 2 ? 'a' : '*';
    pattern[0] = '/';
    pattern[sizeof pattern - 2] = 'a';
    pattern[sizeof pattern - 1] = 0;
    memset(path, 'a', sizeof path);
    path[0] = '/';
    path[sizeof path - 1] = 'b';
    cr_expect(!file_pattern_matches(pattern, (struct bytes){(const uint8_t *)path, sizeof path}));
}

static long resident_kb(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return u.ru_maxrss;
}

/* What a backend that was taken over may send: memory stays bounded, and it ends in time. */
Test(file_ops, floods, .timeout = 300)
{
    static char record[RECORD_PAYLOAD_MAX];
    const long before = resident_kb();
    struct bench b;
    int len;

    setup(&b);
    b.keep = false;
    for (unsigned i = 0; i < 100000; i++) {
        len = snprintf(record, sizeof record,
                       "{\"event\":\"request\",\"n\":%u,\"op\":\"open\",\"path\":\"/%01000u\"}", i,
                       i);
        put(&b, RECORD_FILE, i % 3, record, (size_t)len);
    }
    cr_expect_gt(b.count, 40000);
    /* Behind one that is never answered, all others are. */
    for (unsigned i = 0; i < 100000; i++) {
        len = snprintf(record, sizeof record,
                       "{\"event\":\"refused\",\"n\":%u,\"op\":\"open\",\"path\":\"/x\"}", i);
        put(&b, RECORD_FILE, 9, record, (size_t)len);
    }
    cr_expect_gt(b.count, 140000);
    /* The largest record of results for nobody, and as deep as it can be. */
    len = snprintf(record, sizeof record, "{\"event\":\"results\",\"results\":[{\"n\":0}");
    while ((size_t)len + 16 < sizeof record)
        len += snprintf(record + len, sizeof record - (size_t)len, ",{\"n\":1}");
    len += snprintf(record + len, sizeof record - (size_t)len, "]}");
    put(&b, RECORD_FILE, 77, record, (size_t)len);
    memset(record, '[', sizeof record);
    put(&b, RECORD_FILE, 0, record, sizeof record);
    put(&b, RECORD_SESSION_END, 0, "{}", 2);
    teardown(&b);
    setup(&b);
    /* The longest path, all of it escapes. */
    len =
        snprintf(record, sizeof record, "{\"event\":\"refused\",\"n\":1,\"op\":\"x\",\"path\":\"");
    while ((size_t)len + 16 < sizeof record)
        len += snprintf(record + len, sizeof record - (size_t)len, "\\u001b");
    len += snprintf(record + len, sizeof record - (size_t)len, "\"}");
    put(&b, RECORD_FILE, 0, record, (size_t)len);
    teardown(&b);
    cr_expect_gt(b.longest, 4 * FILE_OP_PATH_MAX);
    cr_expect_leq(b.longest, FILE_OP_LINE_MAX);
#ifndef __SANITIZE_ADDRESS__ /* what is freed stays for a while */
    cr_expect_lt(resident_kb() - before, 300 * 1024);
#else
    (void)before;
#endif
}

/* --- contents */

static void content(struct bench *b, uint64_t n, unsigned direction, uint64_t offset,
                    const char *bytes)
{
    uint8_t payload[256];
    struct wire_writer w;

    wire_writer_init(&w, payload, sizeof payload);
    wire_put_u64(&w, n);
    wire_put_u8(&w, (uint8_t)direction);
    wire_put_u64(&w, offset);
    wire_put_raw(&w, bytes, strlen(bytes));
    put(b, RECORD_FILE_CONTENT, 0, payload, w.len);
}

static const char *sha_of(const char *text, char out[DIGEST_HEX])
{
    struct digest *d = digest_new();
    uint8_t hash[RECORD_HASH_SIZE];

    digest_bytes(d, text, strlen(text), hash);
    digest_hex(hash, out);
    digest_free(d);
    return out;
}

static void open_file(struct bench *b, unsigned n, const char *path, const char *flags)
{
    char record[1024];

    snprintf(record, sizeof record,
             "{\"event\":\"request\",\"n\":%u,\"op\":\"open\",\"path\":\"%s\",\"flags\":[%s]}", n,
             path, flags);
    file(b, record);
    snprintf(record, sizeof record,
             "{\"event\":\"results\",\"results\":[{\"n\":%u,\"status\":\"ok\"}]}", n);
    file(b, record);
}

static void close_file(struct bench *b, unsigned n, const char *direction, unsigned bytes,
                       const char *text)
{
    char record[1024], hash[DIGEST_HEX];

    snprintf(record, sizeof record,
             "{\"event\":\"closed\",\"n\":%u,\"status\":\"ok\",\"by\":\"operator\",\"%s\":{"
             "\"bytes\":%u,\"ranges\":[{\"from\":0,\"to\":%u,\"sha256\":\"%s\"}]}}",
             n, direction, bytes, bytes, sha_of(text, hash));
    file(b, record);
}

static void extract_into(struct bench *b, char dir[64])
{
    struct err e = ERR_INIT;

    setup(b);
    snprintf(dir, 64, "/tmp/sallyport-files-XXXXXX");
    cr_assert(mkdtemp(dir));
    cr_assert_eq(file_extract_new(&b->extract, dir, &e), 0, "%s", e.text);
}

static void remove_dir(const char *dir)
{
    char command[128];

    snprintf(command, sizeof command, "rm -rf %s", dir);
    cr_assert_eq(system(command), 0);
}

Test(file_extract, states_and_names)
{
    static const struct {
        const char *path, *flags, *sent[2], *name, *hashed;
        uint64_t at[2];
        unsigned direction, moved;
        enum extract_state state;
    } cases[] = {
        {"/tmp/x", "\"read\"", {"hello", NULL}, "0-0-x", "hello", {0, 0}, 1, 5, EXTRACT_COMPLETE},
        {"/tmp/x", "\"read\"", {"hel", "lo"}, "0-0-x", "hello", {0, 3}, 1, 5, EXTRACT_COMPLETE},
        {"/tmp/x", "\"read\"", {"hellO", NULL}, "0-0-x", "hello", {0, 0}, 1, 5, EXTRACT_DIFFERS},
        {"/tmp/x", "\"read\"", {"hello", NULL}, "0-0-x", "hello", {4, 0}, 1, 5, EXTRACT_DIFFERS},
        {"/tmp/x", "\"read\"", {"hel", NULL}, "0-0-x", "hello", {0, 0}, 1, 5, EXTRACT_PART},
        {"/tmp/x", "\"read\"", {"hello", "!"}, "0-0-x", "hello", {0, 5}, 1, 5, EXTRACT_DIFFERS},
        {"/tmp/x", "\"read\"", {"hello", NULL}, "0-0-x", "hello", {0, 0}, 1, 0, EXTRACT_UNPROVED},
        {"/a/../../etc/passwd", "\"write\"", {"a"}, "0-0-passwd", "a", {0}, 2, 1, EXTRACT_COMPLETE},
        {"/a/..", "\"write\"", {"a"}, "0-0-..", "a", {0}, 2, 1, EXTRACT_COMPLETE},
        {"/", "\"write\"", {"a"}, "0-0-", "a", {0}, 2, 1, EXTRACT_COMPLETE},
        {"/b\\u001b[2J\\u202ec;d`",
         "\"write\"",
         {"a"},
         "0-0-b_[2J_c_d_",
         "a",
         {0},
         2,
         1,
         EXTRACT_COMPLETE},
        {"/x", "\"read\",\"write\"", {"a"}, "0-0-x.written", "a", {0}, 2, 1, EXTRACT_COMPLETE},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char dir[64], path[512];
        struct bench b;
        struct stat st;

        extract_into(&b, dir);
        open_file(&b, 0, cases[i].path, cases[i].flags);
        for (size_t n = 0; n < 2 && cases[i].sent[n]; n++)
            content(&b, 0, cases[i].direction, cases[i].at[n], cases[i].sent[n]);
        if (cases[i].moved)
            close_file(&b, 0, cases[i].direction == 1 ? "read" : "written", cases[i].moved,
                       cases[i].hashed);
        teardown(&b);
        cr_assert_eq(b.result_count, 1, "case %zu", i);
        cr_expect_eq(b.results[0].state, cases[i].state, "case %zu: %d", i,
                     (int)b.results[0].state);
        cr_expect_str_eq(b.results[0].name, cases[i].name, "case %zu: %s", i, b.results[0].name);
        snprintf(path, sizeof path, "%s/%s", dir, cases[i].name);
        cr_assert_eq(lstat(path, &st), 0, "case %zu: %s", i, path);
        cr_expect_eq(st.st_mode & 0777, 0600);
        remove_dir(dir);
    }
}

Test(file_extract, pieces_of_nobody_and_hostile_offsets)
{
    char dir[64];
    struct bench b;

    extract_into(&b, dir);
    content(&b, 0, 1, 0, "of no file");
    file(&b, "{\"event\":\"request\",\"n\":1,\"op\":\"opendir\",\"path\":\"/\"}");
    content(&b, 1, 1, 0, "of a folder");
    open_file(&b, 2, "/x", "\"read\"");
    content(&b, 2, 3, 0, "no direction");
    content(&b, 2, 1, UINT64_MAX - 1, "where no file ends");
    put(&b, RECORD_FILE_CONTENT, 0, "short", 5);
    cr_expect_eq(file_extract_odd(b.extract), 5);
    /* A hole is no space. */
    content(&b, 2, 1, 1ull << 40, "far away");
    teardown(&b);
    cr_expect_eq(b.result_count, 1);
    remove_dir(dir);
}

/* A file system may not have such an offset: what comes after it is extracted all the same. */
Test(file_extract, far_beyond)
{
    char dir[64], path[128];
    struct bench b;
    struct stat st;

    extract_into(&b, dir);
    open_file(&b, 0, "/x", "\"write\"");
    open_file(&b, 1, "/y", "\"write\"");
    content(&b, 0, 2, 0, "a");
    content(&b, 0, 2, INT64_MAX - 100, "far away");
    content(&b, 1, 2, 0, "hello");
    content(&b, 1, 1, 0, "it was not opened for this");
    close_file(&b, 1, "written", 5, "hello");
    teardown(&b);
    cr_assert_eq(b.result_count, 3);
    cr_expect_neq(b.results[0].state, EXTRACT_COMPLETE);
    cr_expect_eq(b.results[1].state, EXTRACT_UNPROVED);
    cr_expect_str_eq(b.results[1].name, "0-1-y.read");
    cr_expect_eq(b.results[2].state, EXTRACT_COMPLETE);
    snprintf(path, sizeof path, "%s/0-1-y", dir);
    cr_assert_eq(stat(path, &st), 0);
    cr_expect_eq(st.st_size, 5);
    remove_dir(dir);
}

Test(file_extract, overwrites_nothing)
{
    char dir[64], path[128];
    struct record r = {.type = RECORD_FILE_CONTENT, .session = {1}};
    uint8_t payload[18] = {0};
    struct export_record v = {.r = &r, .payload = payload, .len = sizeof payload};
    struct err e = ERR_INIT;
    struct bench b;

    payload[8] = 1;
    extract_into(&b, dir);
    snprintf(path, sizeof path, "%s/0-0-x", dir);
    cr_assert_eq(symlink("/tmp/elsewhere", path), 0);
    open_file(&b, 0, "/x", "\"read\"");
    cr_expect_eq(file_extract_put(b.extract, b.ops, &v, &e), ERR_INPUT);
    cr_expect(strstr(e.text, "nothing is overwritten"));
    teardown(&b);
    cr_expect_eq(b.result_count, 0);
    remove_dir(dir);
}

/* Many runs: what is beyond those that a record has is not proved. */
Test(file_extract, many_runs)
{
    char dir[64], record[16384];
    size_t at;
    struct bench b;
    char hash[DIGEST_HEX];

    extract_into(&b, dir);
    open_file(&b, 0, "/x", "\"write\"");
    for (uint64_t i = 0; i < 200; i++)
        content(&b, 0, 2, 10 * i, "x");
    at = (size_t)snprintf(record, sizeof record,
                          "{\"event\":\"closed\",\"n\":0,\"status\":\"ok\",\"by\":\"end\","
                          "\"written\":{\"bytes\":200,\"more\":136,\"ranges\":[");
    for (unsigned i = 0; i < 64; i++)
        at += (size_t)snprintf(record + at, sizeof record - at,
                               "%s{\"from\":%u,\"to\":%u,\"sha256\":\"%s\"}", i ? "," : "", 10 * i,
                               10 * i + 1, sha_of("x", hash));
    snprintf(record + at, sizeof record - at, "]}}");
    file(&b, record);
    teardown(&b);
    cr_assert_eq(b.result_count, 1);
    cr_expect_eq(b.results[0].state, EXTRACT_UNPROVED);
    cr_expect_eq(b.results[0].bytes, 200);
    remove_dir(dir);
}
