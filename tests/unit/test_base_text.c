/* SPDX-License-Identifier: Apache-2.0
 *
 * What turns hostile bytes into text: UTF-8, JSON, log escapes; clocks and secrets besides. */
#include <criterion/criterion.h>

#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json_out.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/utf8.h"

Test(base_utf8, sequences)
{
    static const struct {
        const char *bytes;
        size_t len, n;
        uint32_t c;
    } rows[] = {
        {"a", 1, 1, 'a'},
        {"", 0, 0, 0},
        {"\xC3\xA4", 2, 2, 0xE4},
        {"\xE2\x82\xAC", 3, 3, 0x20AC},
        {"\xF0\x9F\x98\x80", 4, 4, 0x1F600},
        {"\xF4\x8F\xBF\xBF", 4, 4, 0x10FFFF},
        {"\xF4\x90\x80\x80", 4, 0, 0}, /* above the last */
        {"\xC0\x80", 2, 0, 0},         /* overlong NUL */
        {"\xC1\xBF", 2, 0, 0},
        {"\xE0\x80\xAF", 3, 0, 0},
        {"\xF0\x80\x80\xAF", 4, 0, 0},
        {"\xED\xA0\x80", 3, 0, 0}, /* surrogate */
        {"\x80", 1, 0, 0},
        {"\xC3", 1, 0, 0}, /* cut */
        {"\xE2\x82", 2, 0, 0},
        {"\xC3(", 2, 0, 0},
        {"\xFF", 1, 0, 0},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint32_t c = 0;
        size_t n = utf8_next((const uint8_t *)rows[i].bytes, rows[i].len, &c);
        cr_expect(n == rows[i].n && (!n || c == rows[i].c), "row %zu", i);
    }
    cr_expect(utf8_visible('a') && utf8_visible(0xE4) && utf8_visible(0x1F600));
    cr_expect(!utf8_visible(0x1B) && !utf8_visible(0x9B) && !utf8_visible(0x202E));
    cr_expect(!utf8_visible(0xFFFE) && !utf8_visible(0xE0041));
}

Test(base_log, escapes)
{
    static const struct {
        const char *in;
        size_t len;
        const char *out;
    } rows[] = {
        {"plain", 5, "plain"},
        {"say \"x\\\"", 8, "say \\\"x\\\\\\\""},
        {"a\nb\x1b[2J", 7, "a\\x0ab\\x1b[2J"},
        {"\xC3\xA4\xFF", 3, "\xC3\xA4\\xff"},
        {"\xE2\x80\xAE", 3, "\\xe2\\x80\\xae"}, /* right-to-left override */
        {"nul\0x", 5, "nul\\x00x"},
    };
    char out[100];

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_expect(strcmp(escape_text(out, sizeof out, rows[i].in, rows[i].len), rows[i].out) == 0,
                  "row %zu: %s", i, out);
    for (size_t cap = 1; cap < 12; cap++) {
        char *tight = malloc(cap);
        escape_text(tight, cap, "a\"\n\xC3\xA4", 5);
        cr_expect(strlen(tight) < cap);
        free(tight);
    }
}

Test(base_log, a_line_is_one_line)
{
    int p[2], saved = dup(2);
    char line[5000];
    ssize_t n;

    cr_assert(pipe(p) == 0 && dup2(p[1], 2) == 2);
    setenv("SALLYPORT_LOG", "warn", 1);
    log_init("sallyport-test");
    log_connection(7);
    log_info("silent", "a=%d", 1);
    log_warn("event", "name=\"%s\"", "forged\nerror x \x9b 2J \xC2\x9b 2J \xC3\xA4");
    dup2(saved, 2);
    n = read(p[0], line, sizeof line - 1);
    cr_assert(n > 0);
    line[n] = '\0';
    cr_expect(
        strcmp(line,
               "warn sallyport-test event conn=7 name=\"forged?error x ? 2J ?? 2J \xC3\xA4\"\n") ==
            0,
        "%s", line);
}

Test(base_json, members)
{
    struct buf b;
    struct json_out j;
    char *text;

    buf_init(&b, 4096);
    json_begin(&j, &b);
    json_str(&j, "s", "a\"\\\n\x7f");
    json_str(&j, "none", NULL);
    json_u64(&j, "u", UINT64_MAX);
    json_i64(&j, "i", -5);
    json_bool(&j, "b", true);
    json_hex(&j, "h", "\x00\xff", 2);
    json_bytes(&j, "p", "x\xff\xC3\xA4", 4);
    json_open_array(&j, "a");
    json_u64(&j, NULL, 1);
    json_open_object(&j, NULL);
    json_close(&j);
    json_str(&j, NULL, "z");
    json_close(&j);
    json_open_object(&j, "o");
    json_bool(&j, "f", false);
    json_close(&j);
    cr_assert(json_end(&j) == 0);
    text = buf_string(&b);
    cr_expect(
        strcmp(
            text,
            "{\"s\":\"a\\\"\\\\\\u000a\\u007f\",\"none\":null,\"u\":18446744073709551615,\"i\":-5,"
            "\"b\":true,\"h\":\"00ff\",\"p\":\"x\\u00ff\xC3\xA4\",\"p.raw\":\"78ffc3a4\","
            "\"a\":[1,{},\"z\"],\"o\":{\"f\":false}}") == 0,
        "%s", text);
    free(text);
    buf_clear(&b);
}

/* Any bytes give JSON that a strict parser takes. */
Test(base_json, any_bytes_are_valid_json)
{
    srand(7);
    for (int turn = 0; turn < 2000; turn++) {
        uint8_t bytes[40];
        size_t len = (size_t)(rand() % 40);
        struct buf b;
        struct json_out j;
        json_t *parsed;

        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t)(rand() % (turn % 2 ? 256 : 64) + (turn % 2 ? 0 : 180));
        buf_init(&b, 4096);
        json_begin(&j, &b);
        json_bytes(&j, "x", bytes, len);
        cr_assert(json_end(&j) == 0);
        parsed = json_loadb((const char *)buf_head(&b), buf_len(&b), JSON_ALLOW_NUL, NULL);
        cr_assert(parsed != NULL, "turn %d", turn);
        json_decref(parsed);
        buf_clear(&b);
    }
}

Test(base_json, too_much_is_an_error)
{
    struct buf b;
    struct json_out j;

    buf_init(&b, 10);
    json_begin(&j, &b);
    json_str(&j, "name", "longer than ten");
    json_u64(&j, "n", 1);
    cr_expect(json_end(&j) == ERR_FULL);
    buf_clear(&b);
}

Test(base_clock, dates)
{
    static const struct {
        uint64_t seconds;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00Z"},          {951782399, "2000-02-28T23:59:59Z"},
        {951782400, "2000-02-29T00:00:00Z"},  {1772445600, "2026-03-02T10:00:00Z"},
        {4107542399, "2100-02-28T23:59:59Z"}, {4107542400, "2100-03-01T00:00:00Z"},
    };
    char out[CLOCK_TEXT];

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_expect(strcmp(clock_iso_seconds(out, rows[i].seconds * 1000000000u), rows[i].text) == 0,
                  "%s", out);
    cr_expect(strcmp(clock_iso(out, UINT64_C(1772445600123456789)),
                     "2026-03-02T10:00:00.123456789Z") == 0);
    cr_expect(strlen(clock_iso(out, UINT64_MAX)) < CLOCK_TEXT);
    cr_expect(clock_mono_ms() <= clock_mono_ms());
    cr_expect(clock_real_ns() > 0 && clock_boot_ns() > 0);
}

Test(base_secret, holds_and_compares)
{
    struct secret *s = secret_copy("key", 3), *r = secret_random(32), *z = secret_new(32);
    struct err e = ERR_INIT;
    int fd, status;
    pid_t pid;

    cr_assert(s && r && z);
    cr_expect(secret_equal(s, "key", 3) && !secret_equal(s, "kez", 3) && !secret_equal(s, "ke", 2));
    cr_expect(!secret_equal(r, secret_view(z), 32));
    cr_expect(secret_len(r) == 32);

    pid = fork();
    if (pid == 0) {
        close(2);
        (void)secret_view(s);
        _exit(0);
    }
    cr_assert(waitpid(pid, &status, 0) == pid);
    cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "a child does not inherit it");
    secret_free(s);
    secret_free(r);
    secret_free(z);
    secret_free(NULL);

    fd = memfd_create("s", 0);
    cr_assert(write(fd, "0123456789", 10) == 10);
    s = secret_read(fd, 10, &e);
    cr_expect(s && secret_equal(s, "0123456789", 10));
    secret_free(s);
    cr_expect(secret_read(fd, 9, &e) == NULL && e.code == ERR_INPUT);
    cr_expect(secret_read(-1, 9, &e) == NULL && e.code == ERR_SYSTEM);
}
