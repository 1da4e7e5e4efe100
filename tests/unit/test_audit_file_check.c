/* SPDX-License-Identifier: Apache-2.0
 *
 * FILE records against recorded requests. A script is words: `OP PATH [TO]` is a request, in the
 * recorded form (`write` has 1000 bytes of data); one that begins with `{` is a record; `!HEX`
 * are bytes as they are. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/file_check.h"
#include "audit/digest.h"
#include "gateway/sftp_wire.h"

static struct bytes bytes_of(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static int put(void *arg, const void *p, size_t len)
{
    return buf_put(arg, p, len);
}

/* The recorded form of one request. */
static void request(struct buf *out, const char *op, const char *path, const char *to)
{
    static const struct {
        const char *op;
        uint8_t type;
        enum sftp_extension extension;
    } ops[] = {
        {"init", SFTP_INIT, 0},
        {"open", SFTP_OPEN, 0},
        {"close", SFTP_CLOSE, 0},
        {"read", SFTP_READ, 0},
        {"write", SFTP_WRITE, 0},
        {"fsetstat", SFTP_FSETSTAT, 0},
        {"remove", SFTP_REMOVE, 0},
        {"rename", SFTP_RENAME, 0},
        {"symlink", SFTP_SYMLINK, 0},
        {"realpath", SFTP_REALPATH, 0},
        {"hardlink", SFTP_EXTENDED, SFTP_EXT_HARDLINK},
        {"copy-data", SFTP_EXTENDED, SFTP_EXT_COPY_DATA},
        {"foreign", SFTP_EXTENDED, SFTP_EXT_NONE},
    };
    static const uint8_t data[1000];
    struct sftp_elider *elider = sftp_elider_new(SFTP_REQUESTS, EVP_sha256());
    struct sftp_request r = {.id = 3, .pflags = SFTP_OPEN_READ | SFTP_OPEN_CREAT};
    struct buf wire;
    unsigned i = 0;

    while (strcmp(ops[i].op, op) != 0)
        cr_assert_lt(++i, sizeof ops / sizeof *ops, "%s", op);
    r.type = ops[i].type;
    r.extension = ops[i].extension;
    if (r.type == SFTP_EXTENDED && r.extension == SFTP_EXT_NONE)
        r.extension_name = bytes_of("foreign");
    r.path = bytes_of(path);
    r.to = bytes_of(to);
    r.handle = r.to_handle = bytes_of("h0");
    if (r.type == SFTP_WRITE)
        r.data = (struct bytes){data, sizeof data};
    buf_init(&wire, 65536);
    cr_assert_eq(sftp_request_put(&r, &wire), 0);
    cr_assert_eq(sftp_elide(elider, buf_head(&wire), buf_len(&wire), put, out), 0);
    buf_clear(&wire);
    sftp_elider_free(elider);
}

static void unhex(struct buf *out, const char *hex)
{
    uint8_t *p = buf_reserve(out, strlen(hex) / 2);

    cr_assert_eq(hex_decode(hex, p, strlen(hex) / 2), 0, "%s", hex);
    buf_commit(out, strlen(hex) / 2);
}

/* cut: input comes in pieces of this size. The last answer. */
static int play(struct file_check *c, const char *script, size_t cut, char text[FILE_CHECK_TEXT])
{
    char copy[2000], *rest = copy, *line;
    struct buf input;
    int r = 1;

    snprintf(copy, sizeof copy, "%s", script);
    buf_init(&input, 65536);
    while ((line = strsep(&rest, ";"))) {
        char op[64] = "", path[300] = "", to[300] = "";

        if (line[0] == '{') {
            r = file_check_record(c, line, strlen(line), text);
            continue;
        }
        if (line[0] == '!') {
            unhex(&input, line + 1);
        } else {
            cr_assert_geq(sscanf(line, " %63s %299s %299s", op, path, to), 1, "%s", line);
            request(&input, op, strcmp(path, "-") == 0 ? "" : path, to);
        }
        while (buf_len(&input) > 0) {
            size_t n = buf_len(&input) < cut ? buf_len(&input) : cut;

            r = file_check_input(c, buf_head(&input), n, text);
            buf_consume(&input, n);
        }
    }
    buf_clear(&input);
    return r;
}

#define OPEN_A                                                                                     \
    "{\"event\":\"request\",\"n\":0,\"op\":\"open\",\"path\":\"/"                                  \
    "a\",\"flags\":[\"read\",\"creat\"]}"
#define NO(n, op)                                                                                  \
    "{\"event\":\"refused\",\"n\":" #n ",\"op\":\"" op "\",\"why\":\"handle\",\"text\":\"no\"}"

/* of "/a" */
#define SETSTAT_777 "!000000130900000001000000022f6100000004000001ff"
#define OPEN_64     "!000000130300000001000000022f610000004100000000"
#define WRITE_2_63                                                                                 \
    "!000000180600000001000000026830800000000000000000000001"                                      \
    "0000000000000000000000000000000000000000000000000000000000000000"

static const struct {
    const char *what, *script;
    const char *says; /* NULL: they agree */
    size_t unjudged, agreed;
} cases[] = {
    {"nothing", "init", NULL, 0, 0},
    {"one file", "init;open /a;read;" OPEN_A ";close", NULL, 0, 1},
    {"as it was asked for",
     "init;open a;{\"event\":\"request\",\"n\":0,\"op\":\"open\",\"path\":\"/root/a\","
     "\"asked\":\"a\",\"flags\":[\"read\",\"creat\"]}",
     NULL, 0, 1},
    {"asked for by bytes",
     "init;remove \xff;{\"event\":\"request\",\"n\":0,\"op\":\"remove\",\"path\":\"/\\u00ff\","
     "\"path.raw\":\"2fff\",\"asked\":\"\\u00ff\",\"asked.raw\":\"ff\"}",
     NULL, 0, 1},
    {"results and ends are passed over",
     "init;open /a;" OPEN_A ";{\"event\":\"results\",\"results\":[]};"
     "{\"event\":\"closed\",\"n\":0}",
     NULL, 0, 1},
    {"pipelined",
     "init;open /a;remove /b;" OPEN_A
     ";{\"event\":\"request\",\"n\":1,\"op\":\"remove\",\"path\":\"/b\"}",
     NULL, 0, 2},
    {"not judged before the end", "init;open /a;remove /b;" OPEN_A, NULL, 1, 1},
    {"two paths",
     "init;rename /a "
     "b;{\"event\":\"request\",\"n\":0,\"op\":\"rename\",\"path\":\"/a\",\"to\":\"/r/b\","
     "\"asked_to\":\"b\"}",
     NULL, 0, 1},
    {"a symlink",
     "init;symlink /a "
     "../b;{\"event\":\"request\",\"n\":0,\"op\":\"symlink\",\"path\":\"/a\",\"to\":\"../b\"}",
     NULL, 0, 1},
    {"a hard link",
     "init;hardlink /a /b;{\"event\":\"request\",\"n\":0,\"op\":\"hardlink@openssh.com\","
     "\"path\":\"/a\",\"to\":\"/b\"}",
     NULL, 0, 1},
    {"the home folder",
     "init;realpath -;{\"event\":\"request\",\"n\":0,\"op\":\"realpath\",\"path\":\"/root\","
     "\"asked\":\".\"}",
     NULL, 0, 1},
    {"a refused path",
     "init;open "
     "/a;{\"event\":\"refused\",\"n\":0,\"op\":\"open\",\"path\":\"/a\",\"why\":\"path\"}",
     NULL, 0, 1},
    {"an open file's attributes",
     "init;fsetstat;{\"event\":\"request\",\"n\":0,\"op\":\"fsetstat\",\"path\":\"/a\"}", NULL, 0,
     1},
    {"an upload",
     "init;open /a;" OPEN_A ";write;write;write;close;remove /b;"
     "{\"event\":\"request\",\"n\":1,\"op\":\"remove\",\"path\":\"/b\"}",
     NULL, 0, 2},
    {"refused handles",
     "init;close;read;close;" NO(0, "close") ";" NO(1, "read") ";" NO(2, "close"), NULL, 0, 3},
    {"a refused write in a run", "init;write;write;write;" NO(0, "write") ";" NO(1, "write"), NULL,
     0, 2},
    {"a foreign extension",
     "init;foreign;{\"event\":\"refused\",\"n\":0,\"op\":\"foreign\",\"why\":\"extension\"}", NULL,
     0, 1},
    {"an unknown type",
     "init;!0000000563000000ff;{\"event\":\"refused\",\"n\":0,\"op\":\"type-99\",\"why\":\"form\"}",
     NULL, 0, 1},
    {"malformed, and nothing behind it",
     "init;!000000060d00000001aa;{\"event\":\"refused\",\"n\":0,\"op\":\"remove\","
     "\"why\":\"form\"};remove /b",
     NULL, 0, 1},
    {"no packet", "init;!00000000;{\"event\":\"refused\",\"n\":0,\"why\":\"form\"}", NULL, 0, 1},
    {"no beginning", "open /a;{\"event\":\"refused\",\"n\":0,\"op\":\"open\",\"why\":\"version\"}",
     NULL, 0, 1},
    {"a mode",
     "init;" SETSTAT_777 ";{\"event\":\"request\",\"n\":0,\"op\":\"setstat\",\"path\":\"/a\","
     "\"attrs\":{\"mode\":\"0777\"}}",
     NULL, 0, 1},
    {"a copy",
     "init;copy-data;{\"event\":\"request\",\"n\":0,\"op\":\"copy-data\",\"path\":\"/a\","
     "\"to\":\"/b\",\"from\":0,\"bytes\":0,\"to_offset\":0}",
     NULL, 0, 1},
    {"refused flags and numbers",
     "init;" OPEN_64 ";{\"event\":\"refused\",\"n\":0,\"op\":\"open\",\"asked\":\"/"
     "a\",\"why\":\"form\"};" WRITE_2_63 ";" NO(1, "write"),
     NULL, 0, 2},

    {"another path", "init;open /b;" OPEN_A, "names another path", 0, 0},
    {"another path, as asked",
     "init;open b;{\"event\":\"request\",\"n\":0,\"op\":\"open\",\"path\":\"/b\","
     "\"asked\":\"c\",\"flags\":[\"read\",\"creat\"]}",
     "names another path", 0, 0},
    {"another second path",
     "init;rename /a "
     "/b;{\"event\":\"request\",\"n\":0,\"op\":\"rename\",\"path\":\"/a\",\"to\":\"/c\"}",
     "another second path", 0, 0},
    {"no second path",
     "init;rename /a /b;{\"event\":\"request\",\"n\":0,\"op\":\"rename\",\"path\":\"/a\"}",
     "another second path", 0, 0},
    {"a second path that was none",
     "init;open /a;{\"event\":\"request\",\"n\":0,\"op\":\"open\",\"path\":\"/a\","
     "\"to\":\"/b\",\"flags\":[\"read\",\"creat\"]}",
     "a second path", 0, 0},
    {"other flags",
     "init;open "
     "/a;{\"event\":\"request\",\"n\":0,\"op\":\"open\",\"path\":\"/a\",\"flags\":[\"read\"]}",
     "other flags", 0, 0},
    {"more flags",
     "init;open "
     "/a;{\"event\":\"request\",\"n\":0,\"op\":\"open\",\"path\":\"/"
     "a\",\"flags\":[\"read\",\"creat\","
     "\"trunc\"]}",
     "other flags", 0, 0},
    {"another mode",
     "init;" SETSTAT_777 ";{\"event\":\"request\",\"n\":0,\"op\":\"setstat\",\"path\":\"/a\","
     "\"attrs\":{\"mode\":\"0644\"}}",
     "other flags, attributes", 0, 0},
    {"no mode",
     "init;" SETSTAT_777 ";{\"event\":\"request\",\"n\":0,\"op\":\"setstat\",\"path\":\"/a\"}",
     "other flags, attributes", 0, 0},
    {"an owner that nobody asked for",
     "init;" SETSTAT_777 ";{\"event\":\"request\",\"n\":0,\"op\":\"setstat\",\"path\":\"/a\","
     "\"attrs\":{\"mode\":\"0777\",\"uid\":0,\"gid\":0}}",
     "other flags, attributes", 0, 0},
    {"another part of a copy",
     "init;copy-data;{\"event\":\"request\",\"n\":0,\"op\":\"copy-data\",\"path\":\"/a\","
     "\"to\":\"/b\",\"from\":0,\"bytes\":9,\"to_offset\":0}",
     "attributes or numbers", 0, 0},
    {"flags passed on that nobody knows",
     "init;" OPEN_64 ";{\"event\":\"request\",\"n\":0,\"op\":\"open\",\"path\":\"/a\","
     "\"flags\":[\"read\"]}",
     "none that could be", 0, 0},
    {"a write passed on that no file has room for",
     "init;" WRITE_2_63
     ";remove /b;{\"event\":\"request\",\"n\":0,\"op\":\"remove\",\"path\":\"/b\"}",
     "the request was write", 0, 0},
    {"another operation", "init;remove /a;" OPEN_A, "the request was remove", 0, 0},
    {"one left out", "init;remove /b;open /a;" OPEN_A, "the request was remove", 0, 0},
    {"another order",
     "init;remove /b;open /a;{\"event\":\"request\",\"n\":0,\"op\":\"open\",\"path\":\"/a\"}",
     "the request was remove", 0, 0},
    {"one that never came", "init;" OPEN_A, "no such request", 0, 0},
    {"before its request", OPEN_A ";init;open /a", "no such request", 0, 0},
    {"twice",
     "init;open /a;" OPEN_A ";{\"event\":\"request\",\"n\":1,\"op\":\"open\",\"path\":\"/a\"}",
     "no such request", 0, 1},
    {"a number left out",
     "init;open /a;{\"event\":\"request\",\"n\":1,\"op\":\"open\",\"path\":\"/a\"}", "n=0", 1, 0},
    {"more refusals than requests", "init;close;" NO(0, "close") ";" NO(1, "close"),
     "no such request", 0, 1},
    {"a handle's request with a record",
     "init;read;{\"event\":\"request\",\"n\":0,\"op\":\"read\",\"path\":\"/a\"}", "no such request",
     0, 0},
    {"a foreign extension passed on",
     "init;foreign;{\"event\":\"request\",\"n\":0,\"op\":\"foreign\"}", "none that could be", 0, 0},
    {"something behind the end",
     "init;!000000060d00000001aa;{\"event\":\"refused\",\"n\":0,\"op\":\"remove\",\"why\":"
     "\"form\"};remove /b;{\"event\":\"request\",\"n\":1,\"op\":\"remove\",\"path\":\"/b\"}",
     "no such request", 0, 1},
    {"words that are not their bytes",
     "init;remove /a;{\"event\":\"request\",\"n\":0,\"op\":\"remove\",\"path\":\"/b\","
     "\"path.raw\":\"2f61\"}",
     "names another path", 0, 0},
    {"no JSON", "init;{\"event\"", "not of its form", 0, 0},
};

Test(file_check, cases)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t cut = 1; cut < 4096; cut *= 5) {
            struct file_check *c = file_check_new();
            char text[FILE_CHECK_TEXT] = "";
            int r = play(c, cases[i].script, cut, text);

            cr_expect_eq(r, cases[i].says == NULL, "%s: %d %s", cases[i].what, r, text);
            if (cases[i].says)
                cr_expect(strstr(text, cases[i].says), "%s: %s", cases[i].what, text);
            else
                cr_expect_eq(file_check_unjudged(c), cases[i].unjudged, "%s", cases[i].what);
            cr_expect_eq(file_check_agreed(c), cases[i].agreed, "%s", cases[i].what);
            file_check_free(c);
        }
    }
}

/* A day of one channel: memory stays what it is, and the records still find their requests. */
Test(file_check, many)
{
    struct file_check *c = file_check_new();
    char text[FILE_CHECK_TEXT], record[200];

    cr_assert_eq(play(c, "init", 1000, text), 1);
    for (unsigned i = 0; i < 20000; i++) {
        cr_assert_eq(play(c, "open /a;write;read;close", 1000, text), 1, "%s", text);
        snprintf(
            record, sizeof record,
            "{\"event\":\"request\",\"n\":%u,\"op\":\"open\",\"path\":\"/a\",\"flags\":[\"read\","
            "\"creat\"]}",
            i);
        cr_assert_eq(play(c, record, 1000, text), 1, "%s", text);
    }
    cr_expect_eq(file_check_agreed(c), 20000);
    file_check_free(c);
}

/* Requests whose records never come are a disagreement at some time, not memory. */
Test(file_check, records_that_never_come)
{
    struct file_check *c = file_check_new();
    char text[FILE_CHECK_TEXT];
    unsigned i = 0;

    cr_assert_eq(play(c, "init", 1000, text), 1);
    while (i < 1000000 &&
           play(c, "remove /a/rather/long/path/so/that/it/takes/less/time", 1000, text))
        i++;
    cr_expect_lt(i, 1000000);
    cr_expect(strstr(text, "has no record"), "%s", text);
    file_check_free(c);
}
