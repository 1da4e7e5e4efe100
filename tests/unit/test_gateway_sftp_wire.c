/* SPDX-License-Identifier: Apache-2.0
 *
 * SFTP's packets: what is written is read the same, the bytes are those of the draft, and a packet
 * that is cut anywhere, has bytes left over or a count that it cannot hold is malformed. */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "gateway/sftp_wire.h"

/* clang-format off */
#define B(text) {(const uint8_t *)(text), sizeof(text) - 1}
#define ALL_ATTRS {.flags = SFTP_ATTR_SIZE | SFTP_ATTR_UIDGID | SFTP_ATTR_PERMISSIONS |            \
                            SFTP_ATTR_TIMES | SFTP_ATTR_EXTENDED,                                  \
                   .size = 1ull << 40, .uid = 1, .gid = 2, .permissions = 0100644, .atime = 3,     \
                   .mtime = 4, .extended = B("\0\0\0\1k\0\0\0\2vv\0\0\0\0\0\0\0\0"),               \
                   .extended_count = 2}
#define PAIRS B("\0\0\0\5first\0\0\0\0011\0\0\0\0\0\0\0\0")

static const struct sftp_request requests[] = {
    {.type = SFTP_INIT, .id = 3},
    {.type = SFTP_INIT, .id = 6, .rest = PAIRS},
    {.type = SFTP_OPEN, .id = 1, .path = B("/etc/motd"), .pflags = SFTP_OPEN_READ},
    {.type = SFTP_OPEN, .id = 2, .path = B("x"), .pflags = 0x1a, .attrs = ALL_ATTRS},
    {.type = SFTP_OPEN, .id = 3, .path = B("a\0b"), .attrs = {.flags = SFTP_ATTR_PERMISSIONS, .permissions = 0600}},
    {.type = SFTP_CLOSE, .id = 4, .handle = B("\0\0\0\1")},
    {.type = SFTP_READ, .id = 5, .handle = B("h"), .offset = 1ull << 33, .length = 32768},
    {.type = SFTP_WRITE, .id = 6, .handle = B("h"), .offset = 7, .data = B("contents")},
    {.type = SFTP_WRITE, .id = 7, .handle = B("")},
    {.type = SFTP_LSTAT, .id = 8, .path = B("/l")},
    {.type = SFTP_FSTAT, .id = 9, .handle = B("h")},
    {.type = SFTP_SETSTAT, .id = 10, .path = B("/s"), .attrs = {.flags = SFTP_ATTR_SIZE, .size = 5}},
    {.type = SFTP_FSETSTAT, .id = 11, .handle = B("h"), .attrs = {.flags = SFTP_ATTR_TIMES, .atime = 1, .mtime = 2}},
    {.type = SFTP_OPENDIR, .id = 12, .path = B(".")},
    {.type = SFTP_READDIR, .id = 13, .handle = B("h")},
    {.type = SFTP_REMOVE, .id = 14, .path = B("/r")},
    {.type = SFTP_MKDIR, .id = 15, .path = B("/m"), .attrs = {.flags = SFTP_ATTR_UIDGID, .uid = 9, .gid = 8}},
    {.type = SFTP_RMDIR, .id = 16, .path = B("/m")},
    {.type = SFTP_REALPATH, .id = 17, .path = B("")},
    {.type = SFTP_STAT, .id = 18, .path = B("/s")},
    {.type = SFTP_RENAME, .id = 19, .path = B("/old"), .to = B("/new")},
    {.type = SFTP_READLINK, .id = 20, .path = B("/l")},
    {.type = SFTP_SYMLINK, .id = 0xffffffff, .path = B("/link"), .to = B("what it says")},
    {.type = SFTP_EXTENDED, .id = 22, .extension = SFTP_EXT_POSIX_RENAME, .path = B("/a"), .to = B("/b")},
    {.type = SFTP_EXTENDED, .id = 23, .extension = SFTP_EXT_HARDLINK, .path = B("/a"), .to = B("/b")},
    {.type = SFTP_EXTENDED, .id = 24, .extension = SFTP_EXT_STATVFS, .path = B("/")},
    {.type = SFTP_EXTENDED, .id = 25, .extension = SFTP_EXT_FSTATVFS, .handle = B("h")},
    {.type = SFTP_EXTENDED, .id = 26, .extension = SFTP_EXT_FSYNC, .handle = B("h")},
    {.type = SFTP_EXTENDED, .id = 27, .extension = SFTP_EXT_LSETSTAT, .path = B("/l"), .attrs = ALL_ATTRS},
    {.type = SFTP_EXTENDED, .id = 28, .extension = SFTP_EXT_LIMITS},
    {.type = SFTP_EXTENDED, .id = 29, .extension = SFTP_EXT_EXPAND_PATH, .path = B("~/x")},
    {.type = SFTP_EXTENDED, .id = 30, .extension = SFTP_EXT_COPY_DATA, .handle = B("h"), .offset = 1,
     .copy_bytes = 2, .to_handle = B("i"), .to_offset = 3},
    {.type = SFTP_EXTENDED, .id = 31, .extension = SFTP_EXT_HOME_DIRECTORY, .path = B("bob")},
    {.type = SFTP_EXTENDED, .id = 32, .extension = SFTP_EXT_USERS_GROUPS, .rest = B("\0\0\0\4\0\0\0\1\0\0\0\0")},
    /* its bytes are anybody's, so it is the only one that can be cut */
    {.type = SFTP_EXTENDED, .id = 33, .extension_name = B("foreign@example.com"), .rest = B("any bytes")},
    {.type = SFTP_EXTENDED, .id = 34, .extension_name = B("")},
};

static const struct sftp_response responses[] = {
    {.type = SFTP_VERSION_REPLY, .id = 3},
    {.type = SFTP_VERSION_REPLY, .id = 3, .rest = PAIRS},
    {.type = SFTP_STATUS, .id = 1},
    {.type = SFTP_STATUS, .id = 2, .status = 4, .text = B("Failure"), .language = B("en")},
    {.type = SFTP_HANDLE, .id = 3, .handle = B("\0\0\0\7")},
    {.type = SFTP_DATA, .id = 4, .data = B("contents")},
    {.type = SFTP_DATA, .id = 5},
    {.type = SFTP_NAME, .id = 6},
    {.type = SFTP_NAME, .id = 7, .count = 2,
     .rest = B("\0\0\0\1a\0\0\0\2la\0\0\0\4\0\0\201\244" "\0\0\0\0\0\0\0\0\0\0\0\0")},
    {.type = SFTP_ATTRS, .id = 8, .attrs = ALL_ATTRS},
    {.type = SFTP_ATTRS, .id = 9},
    {.type = SFTP_EXTENDED_REPLY, .id = 10, .rest = B("any bytes")},
};
/* clang-format on */

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* So that an overread is seen: a packet in memory of exactly its size. */
static uint8_t *exactly(const uint8_t *p, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);

    cr_assert_not_null(copy);
    if (len)
        memcpy(copy, p, len);
    return copy;
}

static int request_of(const uint8_t *p, size_t len, struct sftp_request *out)
{
    uint8_t *copy = exactly(p, len);
    int rc = sftp_request_parse(copy, len, out, NULL);

    free(copy);
    return rc;
}

static int response_of(const uint8_t *p, size_t len, struct sftp_response *out)
{
    uint8_t *copy = exactly(p, len);
    int rc = sftp_response_parse(copy, len, out, NULL);

    free(copy);
    return rc;
}

static bool same(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static bool same_attrs(const struct sftp_attrs *a, const struct sftp_attrs *b)
{
    return a->flags == b->flags && a->size == b->size && a->uid == b->uid && a->gid == b->gid &&
           a->permissions == b->permissions && a->atime == b->atime && a->mtime == b->mtime &&
           a->extended_count == b->extended_count && same(a->extended, b->extended);
}

static bool same_request(const struct sftp_request *a, const struct sftp_request *b)
{
    return a->type == b->type && a->id == b->id && a->extension == b->extension &&
           same(a->path, b->path) && same(a->to, b->to) && same(a->handle, b->handle) &&
           same(a->to_handle, b->to_handle) && a->pflags == b->pflags &&
           same_attrs(&a->attrs, &b->attrs) && a->offset == b->offset &&
           a->to_offset == b->to_offset && a->copy_bytes == b->copy_bytes &&
           a->length == b->length && same(a->data, b->data) && same(a->rest, b->rest);
}

static bool same_response(const struct sftp_response *a, const struct sftp_response *b)
{
    return a->type == b->type && a->id == b->id && a->status == b->status &&
           same(a->text, b->text) && same(a->language, b->language) && same(a->handle, b->handle) &&
           same(a->data, b->data) && a->count == b->count && same_attrs(&a->attrs, &b->attrs) &&
           same(a->rest, b->rest);
}

Test(gateway_sftp_wire, requests_round_trip)
{
    for (size_t i = 0; i < COUNT(requests); i++) {
        struct sftp_request got;
        struct bytes packet;
        struct buf b;

        buf_init(&b, SFTP_PACKET_MAX + 4);
        cr_assert_eq(sftp_request_put(&requests[i], &b), 0, "row %zu", i);
        cr_assert_eq(sftp_packet_first(buf_head(&b), buf_len(&b), &packet, NULL), 1);
        cr_assert_eq(packet.len + 4, buf_len(&b));
        cr_assert_eq(sftp_request_parse(packet.p, packet.len, &got, NULL), 0, "row %zu", i);
        cr_expect(same_request(&got, &requests[i]), "row %zu", i);
        cr_expect(requests[i].extension != SFTP_EXT_NONE ||
                      same(got.extension_name, requests[i].extension_name),
                  "row %zu", i);
        buf_clear(&b);
    }
}

Test(gateway_sftp_wire, responses_round_trip)
{
    for (size_t i = 0; i < COUNT(responses); i++) {
        struct sftp_response got;
        struct bytes packet;
        struct buf b;

        buf_init(&b, SFTP_PACKET_MAX + 4);
        cr_assert_eq(sftp_response_put(&responses[i], &b), 0, "row %zu", i);
        cr_assert_eq(sftp_packet_first(buf_head(&b), buf_len(&b), &packet, NULL), 1);
        cr_assert_eq(sftp_response_parse(packet.p, packet.len, &got, NULL), 0, "row %zu", i);
        cr_expect(same_response(&got, &responses[i]), "row %zu", i);
        buf_clear(&b);
    }
}

/* Where each packet may end early or late: only where the form says "whatever is left". A pair of
 * strings that is left away whole is a shorter list. */
static bool open_ended(const struct sftp_request *r, const uint8_t *p, size_t len)
{
    if (r->type == SFTP_EXTENDED && r->extension == SFTP_EXT_NONE)
        return len >= 9 + r->extension_name.len;
    return r->type == SFTP_INIT && (len == 5 || (len == 19 && p[4] == 6));
}

Test(gateway_sftp_wire, cut_requests_are_malformed)
{
    for (size_t i = 0; i < COUNT(requests); i++) {
        struct sftp_request got;
        struct buf b;
        size_t len;

        buf_init(&b, SFTP_PACKET_MAX + 4);
        cr_assert_eq(sftp_request_put(&requests[i], &b), 0);
        len = buf_len(&b) - 4;
        for (size_t cut = 0; cut < len; cut++) {
            const uint8_t *p = buf_head(&b) + 4;
            int rc = request_of(p, cut, &got);

            cr_expect_eq(rc, open_ended(&requests[i], p, cut) ? 0 : ERR_PROTOCOL,
                         "row %zu cut at %zu of %zu: %d", i, cut, len, rc);
            if (rc != 0) {
                cr_expect_eq(got.type, cut > 0 ? requests[i].type : 0);
                cr_expect_eq(got.id, cut >= 5 ? requests[i].id : 0);
                cr_expect(!got.path.p && !got.handle.p && !got.rest.p);
            }
        }
        cr_assert_eq(buf_put(&b, "", 1), 0);
        cr_expect_eq(request_of(buf_head(&b) + 4, len + 1, &got),
                     requests[i].extension_name.p ? 0 : ERR_PROTOCOL, "row %zu, one byte more", i);
        buf_clear(&b);
    }
}

Test(gateway_sftp_wire, cut_responses_are_malformed)
{
    for (size_t i = 0; i < COUNT(responses); i++) {
        const struct sftp_response *r = &responses[i];
        struct sftp_response got;
        struct buf b;
        size_t len;

        buf_init(&b, SFTP_PACKET_MAX + 4);
        cr_assert_eq(sftp_response_put(r, &b), 0);
        len = buf_len(&b) - 4;
        for (size_t cut = 0; cut < len; cut++) {
            bool open = (r->type == SFTP_EXTENDED_REPLY && cut >= 5) ||
                        (r->type == SFTP_VERSION_REPLY && (cut == 5 || cut == 19));

            cr_expect_eq(response_of(buf_head(&b) + 4, cut, &got), open ? 0 : ERR_PROTOCOL,
                         "row %zu cut at %zu", i, cut);
        }
        cr_assert_eq(buf_put(&b, "", 1), 0);
        cr_expect_eq(response_of(buf_head(&b) + 4, len + 1, &got),
                     r->type == SFTP_EXTENDED_REPLY ? 0 : ERR_PROTOCOL, "row %zu", i);
        buf_clear(&b);
    }
}

/* The bytes of the draft, where the order is easily mistaken. */
Test(gateway_sftp_wire, bytes)
{
    static const struct {
        struct sftp_request r;
        struct bytes packet;
    } rows[] = {
        {{.type = SFTP_INIT, .id = 3}, B("\0\0\0\5\1\0\0\0\3")},
        {{.type = SFTP_OPEN, .id = 7, .path = B("/x"), .pflags = SFTP_OPEN_READ},
         B("\0\0\0\23\3\0\0\0\7\0\0\0\2/x\0\0\0\1\0\0\0\0")},
        {{.type = SFTP_SYMLINK, .id = 1, .path = B("/ln"), .to = B("old")},
         B("\0\0\0\23\24\0\0\0\1\0\0\0\3old\0\0\0\3/ln")},
        {{.type = SFTP_EXTENDED, .id = 1, .extension = SFTP_EXT_FSYNC, .handle = B("h")},
         B("\0\0\0\37\310\0\0\0\1\0\0\0\21fsync@openssh.com\0\0\0\1h")},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf b;

        buf_init(&b, 256);
        cr_assert_eq(sftp_request_put(&rows[i].r, &b), 0);
        cr_expect_eq(buf_len(&b), rows[i].packet.len, "row %zu: %zu", i, buf_len(&b));
        cr_expect(same((struct bytes){buf_head(&b), buf_len(&b)}, rows[i].packet), "row %zu", i);
        buf_clear(&b);
    }
}

Test(gateway_sftp_wire, refused_requests)
{
    static const struct {
        struct bytes packet;
        int rc;
    } rows[] = {
        {B(""), ERR_PROTOCOL},
        {B("\3"), ERR_PROTOCOL},
        {B("\25\0\0\0\1"), ERR_INPUT},                          /* no such type */
        {B("\145\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0"), ERR_INPUT}, /* STATUS, from a client */
        {B("\0\0\0\0\1"), ERR_INPUT},
        {B("\25\0\0"), ERR_PROTOCOL}, /* not even an id */
        /* lengths that the packet does not have */
        {B("\21\0\0\0\1\377\377\377\377x"), ERR_PROTOCOL},
        {B("\21\0\0\0\1\200\0\0\0x"), ERR_PROTOCOL},
        {B("\21\0\0\0\1\0\0\0\2x"), ERR_PROTOCOL},
        /* attributes: four thousand million pairs; bits that version 3 does not have */
        {B("\16\0\0\0\1\0\0\0\1m\200\0\0\0\377\377\377\377"), ERR_PROTOCOL},
        {B("\16\0\0\0\1\0\0\0\1m\200\0\0\0\0\0\0\2\0\0\0\0\0\0\0\0"), ERR_PROTOCOL},
        {B("\16\0\0\0\1\0\0\0\1m\0\0\0\20"), ERR_PROTOCOL},
        {B("\16\0\0\0\1\0\0\0\1m\100\0\0\0"), ERR_PROTOCOL},
        /* users-groups-by-id: lists are of whole numbers */
        {B("\310\0\0\0\1\0\0\0\36users-groups-by-id@openssh.com\0\0\0\3abc\0\0\0\0"), ERR_PROTOCOL},
        /* INIT: half a pair */
        {B("\1\0\0\0\3\0\0\0\1k"), ERR_PROTOCOL},
        {B("\1\0\0\0\3\0"), ERR_PROTOCOL},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct sftp_request got;
        int rc = request_of(rows[i].packet.p, rows[i].packet.len, &got);

        cr_expect_eq(rc, rows[i].rc, "row %zu: %d", i, rc);
        if (rows[i].rc == ERR_INPUT)
            cr_expect_eq(got.id, 1, "row %zu: the id, for the answer", i);
    }
}

Test(gateway_sftp_wire, refused_responses)
{
    static const struct bytes rows[] = {
        B("\3\0\0\0\1\0\0\0\1x\0\0\0\1\0\0\0\0"), /* OPEN, from a target */
        B("\150\0\0\0\1\377\377\377\377"),        /* NAME: entries that are not there */
        B("\150\0\0\0\1\0\0\0\2\0\0\0\0\0\0\0\0\0\0\0\0"),
        B("\150\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), /* one that was not counted */
        B("\150\0\0\0\1\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\100"),
        B("\145\0\0\0\1\0\0\0\4"),            /* STATUS without a text */
        B("\151\0\0\0\1\200\0\0\0\20\0\0\0"), /* ATTRS: pairs that are not there */
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct sftp_response got;

        cr_expect_eq(response_of(rows[i].p, rows[i].len, &got), ERR_PROTOCOL, "row %zu", i);
    }
}

/* A handle of the draft's maximum passes, one byte more does not; neither way. */
Test(gateway_sftp_wire, handles)
{
    static const uint8_t handle[SFTP_HANDLE_MAX + 1];
    struct sftp_request r = {.type = SFTP_CLOSE, .handle = {handle, SFTP_HANDLE_MAX}};
    struct sftp_response s = {.type = SFTP_HANDLE, .handle = {handle, SFTP_HANDLE_MAX + 1}};
    uint8_t packet[9 + SFTP_HANDLE_MAX + 1] = {SFTP_CLOSE, 0, 0, 0, 1, 0, 0, 1, 1};
    struct sftp_response t;
    struct buf b;

    buf_init(&b, 1024);
    cr_assert_eq(sftp_request_put(&r, &b), 0);
    cr_assert_eq(request_of(buf_head(&b) + 4, buf_len(&b) - 4, &r), 0);
    cr_expect_eq(r.handle.len, SFTP_HANDLE_MAX);
    buf_consume(&b, buf_len(&b));
    cr_expect_eq(sftp_response_put(&s, &b), ERR_FULL);
    cr_expect_eq(buf_len(&b), 0, "nothing is left of what did not fit");
    cr_expect_eq(request_of(packet, sizeof packet, &r), ERR_PROTOCOL);
    packet[0] = SFTP_HANDLE;
    cr_expect_eq(response_of(packet, sizeof packet, &t), ERR_PROTOCOL);
    buf_clear(&b);
}

/* A packet of the largest size passes; room to the byte is enough, one less is not. */
Test(gateway_sftp_wire, sizes)
{
    const size_t most = SFTP_PACKET_MAX - 9;
    uint8_t *data = calloc(1, most + 1);
    struct sftp_response r = {.type = SFTP_DATA, .id = 1, .data = {data, most}}, got;
    struct bytes packet;
    struct buf b;

    cr_assert_not_null(data);
    buf_init(&b, SFTP_PACKET_MAX + 4);
    cr_assert_eq(sftp_response_put(&r, &b), 0);
    cr_assert_eq(buf_len(&b), SFTP_PACKET_MAX + 4);
    cr_assert_eq(sftp_packet_first(buf_head(&b), buf_len(&b), &packet, NULL), 1);
    cr_assert_eq(sftp_packet_first(buf_head(&b), buf_len(&b) - 1, &packet, NULL), 0);
    cr_assert_eq(sftp_response_parse(buf_head(&b) + 4, buf_len(&b) - 4, &got, NULL), 0);
    buf_clear(&b);
    buf_init(&b, SFTP_PACKET_MAX + 3);
    cr_expect_eq(sftp_response_put(&r, &b), ERR_FULL);
    buf_clear(&b);
    buf_init(&b, 4 * SFTP_PACKET_MAX);
    r.data.len++;
    cr_expect_eq(sftp_response_put(&r, &b), ERR_FULL);
    cr_expect_eq(buf_len(&b), 0);
    buf_clear(&b);
    free(data);
}

Test(gateway_sftp_wire, packets)
{
    static const struct {
        struct bytes stream;
        int rc;
        size_t len;
    } rows[] = {
        {B(""), 0, 0},
        {B("\0\0\0"), 0, 0},
        {B("\0\0\0\0"), ERR_PROTOCOL, 0},
        {B("\0\0\0\0\1"), ERR_PROTOCOL, 0},
        {B("\0\0\0\1"), 0, 0},
        {B("\0\0\0\1\1\0\0"), 1, 1},
        {B("\0\4\0\0"), 0, 0},
        {B("\0\4\0\1"), ERR_PROTOCOL, 0},
        {B("\377\377\377\377"), ERR_PROTOCOL, 0},
        {B("SSH-"), ERR_PROTOCOL, 0},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct bytes packet;

        cr_expect_eq(sftp_packet_first(rows[i].stream.p, rows[i].stream.len, &packet, NULL),
                     rows[i].rc, "row %zu", i);
        cr_expect_eq(packet.len, rows[i].len, "row %zu", i);
    }
}

Test(gateway_sftp_wire, lists)
{
    struct bytes names = B("\0\0\0\1a\0\0\0\2la\0\0\0\4\0\0\201\244"
                           "\0\0\0\0\0\0\0\0\0\0\0\0");
    struct bytes pairs = PAIRS, name, value;
    struct sftp_name entry;

    cr_assert(sftp_name_next(&names, &entry));
    cr_expect(same(entry.name, (struct bytes)B("a")));
    cr_expect(same(entry.long_name, (struct bytes)B("la")));
    cr_expect_eq(entry.attrs.permissions, 0100644);
    cr_assert(sftp_name_next(&names, &entry));
    cr_expect_eq(entry.name.len, 0);
    cr_expect_not(sftp_name_next(&names, &entry));
    cr_assert(sftp_pair_next(&pairs, &name, &value));
    cr_expect(same(name, (struct bytes)B("first")));
    cr_expect(same(value, (struct bytes)B("1")));
    cr_assert(sftp_pair_next(&pairs, &name, &value));
    cr_expect_not(sftp_pair_next(&pairs, &name, &value));
    pairs = (struct bytes){0};
    cr_expect_not(sftp_pair_next(&pairs, &name, &value));
}

Test(gateway_sftp_wire, names)
{
    static const struct {
        struct sftp_request r;
        const char *name;
    } rows[] = {
        {{.type = SFTP_INIT}, "init"},
        {{.type = SFTP_OPEN}, "open"},
        {{.type = SFTP_SYMLINK}, "symlink"},
        {{.type = SFTP_EXTENDED, .extension = SFTP_EXT_POSIX_RENAME}, "posix-rename@openssh.com"},
        {{.type = SFTP_EXTENDED, .extension = SFTP_EXT_COPY_DATA}, "copy-data"},
        {{.type = SFTP_EXTENDED, .extension_name = B("f\n \x7f\xff@x")}, "f????@x"},
        {{.type = SFTP_EXTENDED}, ""},
        {{.type = 77}, "type-77"},
    };
    char out[64], longest[100], status[24];
    struct sftp_request r = {.type = SFTP_EXTENDED, .extension_name = {(uint8_t *)longest, 100}};

    for (size_t i = 0; i < COUNT(rows); i++)
        cr_expect_str_eq(sftp_operation_name(&rows[i].r, out), rows[i].name, "row %zu", i);
    memset(longest, 'x', sizeof longest);
    cr_expect_eq(strlen(sftp_operation_name(&r, out)), 63);
    for (unsigned i = SFTP_EXT_NONE + 1; i < SFTP_EXTENSIONS; i++) {
        const char *name = sftp_extension_name((enum sftp_extension)i);

        cr_expect_eq(sftp_extension_named(name, strlen(name)), i);
        cr_expect_eq(sftp_extension_named(name, strlen(name) - 1), SFTP_EXT_NONE);
    }
    cr_expect_eq(sftp_extension_named("", 0), SFTP_EXT_NONE);
    cr_expect_str_eq(sftp_status_name(0, status), "ok");
    cr_expect_str_eq(sftp_status_name(SFTP_FX_NO_SUCH_FILE, status), "no-such-file");
    cr_expect_str_eq(sftp_status_name(SFTP_FX_OP_UNSUPPORTED, status), "op-unsupported");
    cr_expect_str_eq(sftp_status_name(9, status), "status-9");
    cr_expect_str_eq(sftp_status_name(UINT32_MAX, status), "status-4294967295");
}
