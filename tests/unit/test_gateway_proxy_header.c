/* SPDX-License-Identifier: Apache-2.0
 *
 * The PROXY header: what is taken, byte by byte, and what is refused, and why. The checksums
 * come from another program, written after the polynomial (0x1EDC6F41, bit by bit from the high
 * end), which gives the check value 0xE3069283 of "123456789". */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/proxy_header.h"

#define SIGNATURE "\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a"
#define BYTES(s)  s, sizeof s - 1
#define V6A       "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
#define V6B       "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02"
#define X100                                                                                       \
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" \
    "xxxxxxxx"

struct good {
    const char *what;
    const char *bytes;
    size_t len;
    const char *source; /* NULL: the sender's own connection */
    uint16_t port;
};

static const struct good good[] = {
    {"v1 v4", BYTES("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"), "192.168.0.1", 56324},
    {"v1 v4, as long as can be",
     BYTES("PROXY TCP4 192.255.255.255 255.255.255.255 65535 65535\r\n"), "192.255.255.255", 65535},
    {"v1 v6", BYTES("PROXY TCP6 2001:db8::1 2001:DB8::2 1 443\r\n"), "2001:db8::1", 1},
    {"v1 v6, as long as can be",
     BYTES("PROXY TCP6 2001:0db8:ffff:ffff:ffff:ffff:ffff:ffff "
           "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
           "65535 65535\r\n"),
     "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", 65535},
    {"v1 v4-mapped", BYTES("PROXY TCP6 ::ffff:192.0.2.7 ::ffff:192.0.2.8 5 443\r\n"), "192.0.2.7",
     5},
    {"v1 v4-mapped, in hexadecimal", BYTES("PROXY TCP6 ::ffff:c000:207 ::1 5 443\r\n"), "192.0.2.7",
     5},
    {"v1 port 0", BYTES("PROXY TCP4 192.0.2.7 192.0.2.8 0 0\r\n"), "192.0.2.7", 0},
    {"v1 unknown", BYTES("PROXY UNKNOWN\r\n"), NULL, 0},
    {"v1 unknown, the longest line",
     BYTES("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
           "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
     NULL, 0},
    {"v1 unknown, whatever follows", BYTES("PROXY UNKNOWN \x01 \xff nonsense\r\n"), NULL, 0},
    {"v2 v4", BYTES(SIGNATURE "\x21\x11\0\x0c\xc0\0\x02\x07\xc0\0\x02\x08\xdc\x04\x01\xbb"),
     "192.0.2.7", 0xdc04},
    {"v2 v6", BYTES(SIGNATURE "\x21\x21\0\x24" V6A V6B "\x00\x05\x01\xbb"), "2001:db8::1", 5},
    {"v2 v4-mapped",
     BYTES(SIGNATURE "\x21\x21\0\x24\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\x02\x07" V6B
                     "\x00\x05\x01\xbb"),
     "192.0.2.7", 5},
    {"v2 with an empty NOOP, an unknown TLV and a unique id",
     BYTES(SIGNATURE "\x21\x11\0\x1a\xc0\0\x02\x07\xc0\0\x02\x08\xdc\x04\x01\xbb"
                     "\x04\0\0\xee\0\x01z\x05\0\x04"
                     "abcd"),
     "192.0.2.7", 0xdc04},
    {"v2 with a checksum",
     BYTES(SIGNATURE "\x21\x11\0\x13\xc0\0\x02\x07\xc0\0\x02\x08\xdc\x04\x01\xbb"
                     "\x03\0\x04\x1d\xb9\x79\xa8"),
     "192.0.2.7", 0xdc04},
    {"v2 with a checksum between others",
     BYTES(SIGNATURE "\x21\x11\0\x1a\xc0\0\x02\x07\xc0\0\x02\x08\xdc\x04\x01\xbb"
                     "\x04\0\x01\0\x03\0\x04\x59\x7c\x56\xa4"
                     "\x04\0\0"),
     "192.0.2.7", 0xdc04},
    {"v2 local", BYTES(SIGNATURE "\x20\x00\0\0"), NULL, 0},
    {"v2 local with addresses, to be thrown away",
     BYTES(SIGNATURE "\x20\x11\0\x0c\xc0\0\x02\x07\xc0\0\x02\x08\xdc\x04\x01\xbb"), NULL, 0},
    {"v2 local of a family that there is not", BYTES(SIGNATURE "\x20\xff\0\x02zz"), NULL, 0},
    {"v2 unspecified", BYTES(SIGNATURE "\x21\x00\0\x03zzz"), NULL, 0},
};

/* At every byte: not complete before the last one, and then the same whatever follows. */
Test(gateway_proxy_header, taken)
{
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        const struct good *g = &good[i];
        struct proxy_header h;
        char text[ADDRESS_TEXT], more[PROXY_HEADER_MAX + 100];

        for (size_t n = 0; n < g->len; n++) {
            char *exact = malloc(n ? n : 1); /* a read beyond is seen by the sanitizer */
            memcpy(exact, g->bytes, n);
            cr_expect_eq(proxy_header_parse(exact, n, &h), PROXY_MORE, "%s: %zu: %s", g->what, n,
                         h.why);
            free(exact);
        }
        memcpy(more, g->bytes, g->len);
        memset(more + g->len, '\n', sizeof more - g->len);
        for (size_t n = g->len; n < sizeof more; n += 37) {
            proxy_header_parse(more, n, &h);
            cr_assert_eq(h.kind, g->source ? PROXY_ADDRESS : PROXY_LOCAL, "%s: %s", g->what, h.why);
            cr_expect_eq(h.consumed, g->len, "%s: %zu", g->what, h.consumed);
            if (g->source) {
                cr_expect_str_eq(address_text(&h.source, text), g->source, "%s", g->what);
                cr_expect_eq(h.port, g->port, "%s: %u", g->what, h.port);
            }
        }
    }
}

static const struct {
    const char *bytes;
    size_t len;
    const char *why;
} bad[] = {
    {BYTES("\x16\x03\x01\x02\0\x01\0\x01\xfc"), "no PROXY header"},
    {BYTES("SSH-2.0-x"), "no PROXY header"},
    {BYTES("proxy TCP4"), "no PROXY header"},
    {BYTES("PROXY\tTCP4"), "no PROXY header"},
    {BYTES("PROXYTCP4"), "no PROXY header"},
    {BYTES(" PROXY TCP4"), "no PROXY header"},
    {BYTES("PROXY TCP4 192.0.2.7 192.0.2.8 1 2\n"), "bare LF"},
    {BYTES("PROXY TCP4 192.0.2.7 192.0.2.8 1 2\rx"), "bare CR"},
    {BYTES("PROXY UNKNOWN " X100), "no line of 107"},
    {BYTES("PROXY UNKNOWN " X100 "\r\n"), "no line of 107"},
    {BYTES("PROXY UNKNOWN "
           "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
           "xxxxx"
           "\r\n"),
     "no line of 107"},
    {BYTES("PROXY \r\n"), "none of TCP4"},
    {BYTES("PROXY UNKNOWNX\r\n"), "none of TCP4"},
    {BYTES("PROXY unknown\r\n"), "none of TCP4"},
    {BYTES("PROXY UNIX /a /b 1 2\r\n"), "none of TCP4"},
    {BYTES("PROXY UDP4 192.0.2.7 192.0.2.8 1 2\r\n"), "none of TCP4"},
    {BYTES("PROXY  TCP4 192.0.2.7 192.0.2.8 1 2\r\n"), "none of TCP4"},
    {BYTES("PROXY TCP4\r\n"), "none of TCP4"},
    {BYTES("PROXY TCP4 \r\n"), "expected two addresses"},
    {BYTES("PROXY TCP4  192.0.2.7 192.0.2.8 1 2\r\n"), "expected two addresses"},
    {BYTES("PROXY TCP4 192.0.2.7  192.0.2.8 1 2\r\n"), "expected two addresses"},
    {BYTES("PROXY TCP4 192.0.2.7 192.0.2.8 1\r\n"), "expected two addresses"},
    {BYTES("PROXY TCP4 192.0.2.7 192.0.2.8 1 2 3\r\n"), "expected two addresses"},
    {BYTES("PROXY TCP4 192.0.2.7 192.0.2.8 1 2 \r\n"), "expected two addresses"},
    {BYTES("PROXY TCP4 192.0.2.7 192.0.2.8 1 \0002\r\n"), "expected two addresses"},
    {BYTES("PROXY TCP6 0000:0000:0000:0000:0000:0000:0000:0000:0000:0000 ::1 1 2\r\n"),
     "expected two addresses"},
    {BYTES("PROXY TCP4 192.0.2.07 192.0.2.8 1 2\r\n"), "an address is none"},
    {BYTES("PROXY TCP4 192.0.2.256 192.0.2.8 1 2\r\n"), "an address is none"},
    {BYTES("PROXY TCP4 192.0.2 192.0.2.8 1 2\r\n"), "an address is none"},
    {BYTES("PROXY TCP4 0xc0.0.2.1 192.0.2.8 1 2\r\n"), "an address is none"},
    {BYTES("PROXY TCP4 192.0.2.7 localhost 1 2\r\n"), "an address is none"},
    {BYTES("PROXY TCP4 2001:db8::1 192.0.2.8 1 2\r\n"), "an address is none"},
    {BYTES("PROXY TCP6 192.0.2.7 ::1 1 2\r\n"), "an address is none"},
    {BYTES("PROXY TCP6 2001:db8::1 192.0.2.8 1 2\r\n"), "an address is none"},
    {BYTES("PROXY TCP6 2001::db8::1 ::1 1 2\r\n"), "an address is none"},
    {BYTES("PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n"), "an address is none"},
    {BYTES("PROXY TCP6 20010::1 ::1 1 2\r\n"), "an address is none"},
    {BYTES("PROXY TCP4 192.0.2.7 192.0.2.8 65536 2\r\n"), "a port is not"},
    {BYTES("PROXY TCP4 192.0.2.7 192.0.2.8 1 65536\r\n"), "a port is not"},
    {BYTES("PROXY TCP4 192.0.2.7 192.0.2.8 100000 2\r\n"), "a port is not"},
    {BYTES("PROXY TCP4 192.0.2.7 192.0.2.8 01 2\r\n"), "a port is not"},
    {BYTES("PROXY TCP4 192.0.2.7 192.0.2.8 00 2\r\n"), "a port is not"},
    {BYTES("PROXY TCP4 192.0.2.7 192.0.2.8 -1 2\r\n"), "a port is not"},
    {BYTES("PROXY TCP4 192.0.2.7 192.0.2.8 +1 2\r\n"), "a port is not"},
    {BYTES("PROXY TCP4 192.0.2.7 192.0.2.8 1 2x\r\n"), "a port is not"},
    {BYTES("PROXY TCP4 0.0.0.0 192.0.2.8 1 2\r\n"), "no host's"},
    {BYTES("PROXY TCP4 224.0.0.1 192.0.2.8 1 2\r\n"), "no host's"},
    {BYTES("PROXY TCP4 255.255.255.255 192.0.2.8 1 2\r\n"), "no host's"},
    {BYTES("PROXY TCP6 :: ::1 1 2\r\n"), "no host's"},
    {BYTES("PROXY TCP6 ff02::1 ::1 1 2\r\n"), "no host's"},
    {BYTES("PROXY TCP6 fe80::1 ::1 1 2\r\n"), "no host's"},
    {BYTES("PROXY TCP6 ::ffff:0.0.0.0 ::1 1 2\r\n"), "no host's"},
    {BYTES("\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0b"), "no PROXY header"},
    {BYTES("\x0d\x0a\x0d\x0a\x01"), "no PROXY header"},
    {BYTES(SIGNATURE "\x11"), "version is not 2"},
    {BYTES(SIGNATURE "\x31"), "version is not 2"},
    {BYTES(SIGNATURE "\x01"), "version is not 2"},
    {BYTES(SIGNATURE "\x22"), "neither LOCAL nor PROXY"},
    {BYTES(SIGNATURE "\x2f"), "neither LOCAL nor PROXY"},
    {BYTES(SIGNATURE "\x21\x12"), "not TCP"},
    {BYTES(SIGNATURE "\x21\x22"), "not TCP"},
    {BYTES(SIGNATURE "\x21\x31"), "not TCP"},
    {BYTES(SIGNATURE "\x21\x32"), "not TCP"},
    {BYTES(SIGNATURE "\x21\x01"), "not TCP"},
    {BYTES(SIGNATURE "\x21\x10"), "not TCP"},
    {BYTES(SIGNATURE "\x21\x41"), "not TCP"},
    {BYTES(SIGNATURE "\x21\x11\0\x0b"), "too short"},
    {BYTES(SIGNATURE "\x21\x11\0\0"), "too short"},
    {BYTES(SIGNATURE "\x21\x21\0\x23"), "too short"},
    {BYTES(SIGNATURE "\x21\x11\x02\x09"), "longer than 536"},
    {BYTES(SIGNATURE "\x20\x00\x02\x09"), "longer than 536"},
    {BYTES(SIGNATURE "\x20\x00\xff\xff"), "longer than 536"},
    {BYTES(SIGNATURE "\x21\x11\0\x0c\0\0\0\0\xc0\0\x02\x08\xdc\x04\x01\xbb"), "no host's"},
    {BYTES(SIGNATURE "\x21\x11\0\x0c\xe0\0\0\x01\xc0\0\x02\x08\xdc\x04\x01\xbb"), "no host's"},
    {BYTES(SIGNATURE "\x21\x11\0\x0d\xc0\0\x02\x07\xc0\0\x02\x08\xdc\x04\x01\xbb\x04"),
     "left after"},
    {BYTES(SIGNATURE "\x21\x11\0\x0e\xc0\0\x02\x07\xc0\0\x02\x08\xdc\x04\x01\xbb\x04\0"),
     "left after"},
    {BYTES(SIGNATURE "\x21\x11\0\x0f\xc0\0\x02\x07\xc0\0\x02\x08\xdc\x04\x01\xbb\x04\0\x01"),
     "a TLV is longer"},
    {BYTES(SIGNATURE "\x21\x11\0\x10\xc0\0\x02\x07\xc0\0\x02\x08\xdc\x04\x01\xbb\x04\xff\xff\0"),
     "a TLV is longer"},
    {BYTES(SIGNATURE
           "\x21\x11\0\x13\xc0\0\x02\x07\xc0\0\x02\x08\xdc\x04\x01\xbb\x03\0\x04\0\0\0\0"),
     "checksum is wrong"},
    {BYTES(SIGNATURE "\x21\x11\0\x12\xc0\0\x02\x07\xc0\0\x02\x08\xdc\x04\x01\xbb\x03\0\x03\0\0\0"),
     "not of 4 bytes"},
    {BYTES(SIGNATURE "\x21\x11\0\x1a\xc0\0\x02\x07\xc0\0\x02\x08\xdc\x04\x01\xbb"
                     "\x03\0\x04\x1d\xb9\x79\xa8"
                     "\x03\0\x04\x1d\xb9\x79\xa8"),
     "two checksums"},
};

/* Refused at some byte, and for ever from there on; before, not complete. */
Test(gateway_proxy_header, refused)
{
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct proxy_header h;
        bool refused = false;

        for (size_t n = 0; n <= bad[i].len; n++) {
            char *exact = malloc(n ? n : 1);
            memcpy(exact, bad[i].bytes, n);
            proxy_header_parse(exact, n, &h);
            free(exact);
            cr_assert(h.kind == PROXY_REFUSED || (!refused && h.kind == PROXY_MORE), "%zu: %.40s",
                      i, bad[i].bytes);
            refused = refused || h.kind == PROXY_REFUSED;
        }
        cr_assert_eq(h.kind, PROXY_REFUSED, "%zu: %.60s", i, bad[i].bytes);
        cr_expect(strstr(h.why, bad[i].why), "%zu: %.60s: %s", i, bad[i].bytes, h.why);
    }
}

/* Each bit of a header with a checksum that differs is noticed. */
Test(gateway_proxy_header, checksum_covers_all)
{
    static const char right[] = SIGNATURE
        "\x21\x11\0\x13\xc0\0\x02\x07\xc0\0\x02\x08\xdc\x04\x01\xbb\x03\0\x04\x1d\xb9\x79\xa8";
    char bytes[sizeof right];
    struct proxy_header h;

    for (size_t bit = 16 * 8; bit < 8 * (sizeof right - 1); bit++) {
        if (bit / 8 >= 28 && bit / 8 < 31)
            continue; /* the type and length of the checksum: then there is none, or a wrong one */
        memcpy(bytes, right, sizeof right);
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
        proxy_header_parse(bytes, sizeof right - 1, &h);
        cr_expect_eq(h.kind, PROXY_REFUSED, "bit %zu", bit);
    }
}

/* The longest header there may be: filled up with one TLV, and one byte more. */
Test(gateway_proxy_header, longest)
{
    uint8_t bytes[PROXY_HEADER_MAX + 1];
    struct proxy_header h;
    const size_t rest = PROXY_HEADER_MAX - 16, value = rest - 12 - 3;

    memset(bytes, 0, sizeof bytes);
    memcpy(bytes, SIGNATURE "\x21\x11\0\0\xc0\0\x02\x07\xc0\0\x02\x08\xdc\x04\x01\xbb\x04", 29);
    bytes[14] = (uint8_t)(rest >> 8);
    bytes[15] = (uint8_t)rest;
    bytes[29] = (uint8_t)(value >> 8);
    bytes[30] = (uint8_t)value;
    for (size_t n = 0; n < PROXY_HEADER_MAX; n++)
        cr_assert_eq(proxy_header_parse(bytes, n, &h), PROXY_MORE, "%zu", n);
    cr_expect_eq(proxy_header_parse(bytes, PROXY_HEADER_MAX, &h), PROXY_ADDRESS, "%s", h.why);
    cr_expect_eq(h.consumed, PROXY_HEADER_MAX);
    bytes[28] = 5; /* a unique id of so many bytes */
    proxy_header_parse(bytes, PROXY_HEADER_MAX, &h);
    cr_expect_eq(h.kind, PROXY_REFUSED);
}
