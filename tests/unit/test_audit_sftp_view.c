/* SPDX-License-Identifier: Apache-2.0
 *
 * What readers make of the recorded form of SFTP: packets counted however records cut it, nothing
 * of it as text in exports and the index, operations there instead. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/sftp_view.h"
#include "audit/text_index.h"
#include "base/wire.h"

/* A packet of this type with so many bytes behind it. */
static size_t packet(uint8_t *out, uint8_t type, uint32_t len)
{
    wire_store_u32(out, 1 + len);
    out[4] = type;
    memset(out + 5, 'x', len);
    return 5 + len;
}

/* The recorded form of a WRITE of `data` bytes, of whose data there is the hash. */
static size_t recorded_write(uint8_t *out, uint32_t data, uint32_t behind)
{
    wire_store_u32(out, 1 + 4 + 4 + 3 + 8 + 4 + data + behind);
    out[4] = 6;
    wire_store_u32(out + 5, 9);
    wire_store_u32(out + 9, 3);
    memcpy(out + 13, "hdl", 3);
    memset(out + 16, 0, 8);
    wire_store_u32(out + 24, data);
    memset(out + 28, 0xff, 32 + behind);
    return 60 + behind;
}

static size_t recorded_data(uint8_t *out, uint32_t data, uint32_t behind)
{
    wire_store_u32(out, 1 + 4 + 4 + data + behind);
    out[4] = 103;
    wire_store_u32(out + 5, 9);
    wire_store_u32(out + 9, data);
    memset(out + 13, 0xff, behind);
    return 13 + behind;
}

static struct sftp_channel *channel_of(struct sftp_channels *c)
{
    static const char start[] = "{\"event\":\"start\",\"subsystem\":\"sftp\"}";
    struct record r = {.type = RECORD_SUBSYSTEM, .channel = 3};

    memset(c, 0, sizeof *c);
    sftp_channels_note(c, &r, start, sizeof start - 1);
    cr_assert(sftp_channels_find(c, 3));
    cr_assert_null(sftp_channels_find(c, 4));
    return sftp_channels_find(c, 3);
}

Test(sftp_view, counts_however_it_is_cut)
{
    static struct sftp_channels c;
    uint8_t in[4096], out[4096];
    size_t in_len = 0, out_len = 0;

    in_len += packet(in + in_len, 1, 4);
    in_len += packet(in + in_len, 3, 40);
    in_len += recorded_write(in + in_len, 32768, 0);
    in_len += recorded_write(in + in_len, 0, 5);
    in_len += packet(in + in_len, 4, 8);
    in_len += packet(in + in_len, 99, 0);
    out_len += packet(out + out_len, 2, 4);
    out_len += recorded_data(out + out_len, 32768, 0);
    out_len += recorded_data(out + out_len, 100, 3);
    out_len += packet(out + out_len, 101, 20);
    for (size_t piece = 1; piece < 70; piece++) {
        struct sftp_channel *channel = channel_of(&c);
        uint32_t packets = 0, writes = 0, data = 0;
        struct sftp_counts counts;

        for (size_t at = 0; at < in_len; at += piece) {
            sftp_form_count(&channel->requests, in + at, in_len - at < piece ? in_len - at : piece,
                            &counts);
            cr_assert(!counts.lost);
            packets += counts.packets;
            writes += counts.of[6];
        }
        cr_expect_eq(packets, 6, "pieces of %zu", piece);
        cr_expect_eq(writes, 2);
        cr_expect_eq(channel->requests.place, 0);
        for (size_t at = 0; at < out_len; at += piece) {
            sftp_form_count(&channel->responses, out + at,
                            out_len - at < piece ? out_len - at : piece, &counts);
            cr_assert(!counts.lost);
            data += counts.of[103];
        }
        cr_expect_eq(data, 2);
        cr_expect_eq(channel->responses.place, 0);
    }
}

Test(sftp_view, texts)
{
    static struct sftp_channels c;
    struct sftp_channel *channel = channel_of(&c);
    uint8_t in[64];
    struct sftp_counts counts;
    struct buf line;
    char *text;

    buf_init(&line, 8192);
    sftp_form_count(&channel->requests, in, packet(in, 5, 20), &counts);
    cr_assert_eq(sftp_counts_text(&counts, false, 25, &line), 0);
    text = buf_string(&line);
    cr_expect_str_eq(text, "1 request (1 read), 25 B, recorded form");
    free(text);
    buf_consume(&line, buf_len(&line));
    sftp_form_count(&channel->requests, NULL, 0, &counts);
    cr_assert_eq(sftp_counts_text(&counts, false, 25, &line), 0);
    text = buf_string(&line);
    cr_expect_str_eq(text, "SFTP requests, 25 B, recorded form");
    free(text);
    buf_clear(&line);
}

Test(sftp_view, what_is_not_of_the_form)
{
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {
        {"\0\0\0\0", 4},                                              /* no byte */
        {"\0\4\0\1", 4},                                              /* over 256 KiB */
        {"\0\0\0\7\6", 5},                                            /* a WRITE without a handle */
        {"\0\0\1\0\6\0\0\0\0\0\0\1\1", 13},                           /* a long one */
        {"\0\0\0\x15\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 25}, /* data that do not fit */
        {"\0\0\0\x15\6\0\0\0\0\xff\xff\xff\xff", 13},                 /* nor does the handle */
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static struct sftp_channels c;
        struct sftp_channel *channel = channel_of(&c);
        struct sftp_counts counts;

        sftp_form_count(&channel->requests, cases[i].bytes, cases[i].len, &counts);
        cr_expect(counts.lost, "case %zu", i);
    }
    /* Whatever comes, it ends, and reads nothing beyond. */
    srand(7);
    for (unsigned i = 0; i < 20000; i++) {
        static struct sftp_channels c;
        struct sftp_channel *channel = channel_of(&c);
        size_t len = (size_t)(rand() % 200);
        uint8_t *bytes = malloc(len + 1);
        struct sftp_counts counts;

        for (size_t n = 0; n < len; n++)
            bytes[n] = (uint8_t)(rand() % 4 ? rand() % 8 : rand());
        sftp_form_count(i % 2 ? &channel->requests : &channel->responses, bytes, len, &counts);
        free(bytes);
    }
}

Test(sftp_view, channels_are_bounded)
{
    static struct sftp_channels c;

    for (uint32_t i = 0; i < 100000; i++) {
        struct record r = {.type = RECORD_SUBSYSTEM, .channel = i};

        sftp_channels_note(&c, &r, NULL, 0);
    }
    cr_expect_eq(c.count, SFTP_VIEW_CHANNELS);
}

/* A session of one SFTP channel. */
static const struct {
    uint8_t type;
    const char *payload;
} session[] = {
    {RECORD_SESSION_START, "{\"operator\":\"alice\",\"account\":\"root\",\"target\":\"hv1\"}"},
    {RECORD_SUBSYSTEM, "{\"event\":\"start\",\"subsystem\":\"sftp\"}"},
    {RECORD_INPUT, "GARBAGEIN"},
    {RECORD_FILE, "{\"event\":\"request\",\"n\":0,\"op\":\"rename\",\"path\":\"/secret\\u001b[2J\","
                  "\"to\":\"/b\"}"},
    {RECORD_OUTPUT, "GARBAGEOUT"},
    {RECORD_STDERR, "a word of the server\n"},
    {RECORD_FILE, "{\"event\":\"results\",\"results\":[{\"n\":0,\"status\":\"failure\"}]}"},
    {RECORD_FILE, "{\"event\":\"refused\",\"n\":1,\"op\":\"open\",\"path\":\"/shadow\",\"why\":"
                  "\"path\"}"},
    {RECORD_FILE, "{\"event\":\"closed\",\"n\":2,\"path\":\"/c\",\"status\":\"ok\",\"by\":"
                  "\"operator\",\"read\":{\"bytes\":3,\"ranges\":[]}}"},
    {RECORD_FILE, "[[[["},
    {RECORD_SESSION_END, "{\"reason\":\"closed\"}"},
};

static char *exported(enum export_format format)
{
    struct export_options o = {.format = format, .keystrokes = true};
    struct err e = ERR_INIT;
    static struct exporter x;
    struct buf out;
    char *text;

    buf_init(&out, EXPORT_OUT_MAX);
    exporter_init(&x, &o, &out);
    for (size_t i = 0; i < sizeof session / sizeof *session; i++) {
        struct record r = {.type = session[i].type, .index = i, .session = {1}, .channel = 0};
        struct export_record v = {.r = &r,
                                  .payload = (const uint8_t *)session[i].payload,
                                  .len = strlen(session[i].payload)};

        cr_assert_eq(exporter_put(&x, &v, &e), 0, "%s", e.text);
    }
    cr_assert_eq(exporter_end(&x, &e), 0);
    text = buf_string(&out);
    exporter_clear(&x);
    buf_clear(&out);
    return text;
}

Test(sftp_view, exports)
{
    char *text = exported(EXPORT_TEXT);

    cr_expect(!strstr(text, "GARBAGE"), "%s", text);
    cr_expect(strstr(text, "# service: files (sftp)\n"));
    cr_expect(strstr(text, "# #0 rename \"/secret\\x1b[2J\" to \"/b\"\n"), "%s", text);
    cr_expect(strstr(text, "# answers: #0 failure\n"));
    cr_expect(strstr(text, "# #1 open \"/shadow\": REFUSED (path)\n"), "%s", text);
    cr_expect(strstr(text, "# closed #2 \"/c\", read 3 B\n"), "%s", text);
    cr_expect(strstr(text, "| a word of the server\n"));
    free(text);
    text = exported(EXPORT_CAST2);
    cr_expect(!strstr(text, "GARBAGE"), "%s", text);
    cr_expect(strstr(text, "a word of the server"));
    free(text);
    text = exported(EXPORT_JSONL);
    cr_expect(strstr(text, "GARBAGEIN"));
    free(text);
}

static int note_match(void *arg, const struct text_match *m)
{
    snprintf(arg, 256, "%s: %s", m->kind, m->snippet);
    return 0;
}

Test(sftp_view, index_has_paths_and_no_packets)
{
    static const struct {
        const char *word;
        int found;
    } cases[] = {{"GARBAGEIN", 0}, {"GARBAGEOUT", 0}, {"secret", 1}, {"shadow", 1},
                 {"server", 1},    {"failure", 0},    {"sftp", 1}};
    char path[] = "/tmp/sallyport-index-XXXXXX", found[256];
    struct text_index_state state = {.next = 11};
    struct text_index *x;
    struct err e = ERR_INIT;
    int fd = mkstemp(path);

    cr_assert_geq(fd, 0);
    close(fd);
    /* It is committed and opened again in between: what is known of channels stays known. */
    for (size_t i = 0; i < sizeof session / sizeof *session; i++) {
        struct record r = {.type = session[i].type, .index = i, .session = {1}, .channel = 0};
        uint8_t header[RECORD_HEADER_SIZE] = {0};
        struct export_record v = {.r = &r,
                                  .header = header,
                                  .payload = (const uint8_t *)session[i].payload,
                                  .len = strlen(session[i].payload)};

        cr_assert_eq(text_index_open(&x, path, true, &e), 0, "%s", e.text);
        cr_assert_eq(text_index_put(x, &v, true, &e), 0, "%s", e.text);
        cr_assert_eq(text_index_commit(x, &state, &e), 0, "%s", e.text);
        text_index_close(x);
    }
    cr_assert_eq(text_index_open(&x, path, false, &e), 0, "%s", e.text);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *word = strdup(cases[i].word), *query = text_query_words(&word, 1);
        struct text_query q = {.words = query};

        cr_expect_eq(text_index_search(x, &q, note_match, found, &e), cases[i].found, "%s", word);
        free(query);
        free(word);
    }
    text_index_close(x);
    unlink(path);
}
