/* SPDX-License-Identifier: Apache-2.0
 *
 * See gateway/proxy_header.h. Run by the listener on bytes of whoever reaches a configured peer. */
#include "gateway/proxy_header.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#include "base/wire.h"

static const char v1_begin[] = "PROXY ";
static const uint8_t v2_begin[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                     0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

#define V1_BEGIN    (sizeof v1_begin - 1)
#define V2_FIXED    16
#define TLV_FIXED   3
#define TLV_CRC32C  0x03
#define TLV_UNIQUE  0x05
#define UNIQUE_MAX  128
#define V4_LEN      12 /* two addresses, two ports */
#define V6_LEN      36
#define COMMAND_V2  0x20
#define FAMILY_TCP4 0x11
#define FAMILY_TCP6 0x21

static enum proxy_kind refuse(struct proxy_header *h, const char *why)
{
    h->why = why;
    return h->kind = PROXY_REFUSED;
}

/* Takes the source over if it can be a host's. */
static bool set_source(struct proxy_header *h, int family, const void *bytes, uint16_t port)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } sa;
    const uint8_t *a = h->source.bytes;

    memset(&sa, 0, sizeof sa);
    sa.any.sa_family = (sa_family_t)family;
    if (family == AF_INET)
        memcpy(&sa.v4.sin_addr, bytes, 4);
    else
        memcpy(&sa.v6.sin6_addr, bytes, 16);
    if (address_from_sockaddr(&sa.any, &h->source, NULL) < 0)
        return false;
    h->port = port;
    if (h->source.family == 4)
        return a[0] != 0 && a[0] < 224; /* not "this network", multicast, reserved */
    return a[0] != 0xff && !(a[0] == 0xfe && (a[1] & 0xc0) == 0x80) &&
           !IN6_IS_ADDR_UNSPECIFIED(&sa.v6.sin6_addr);
}

/* --- version 1 */

/* The next word of the line, which ends with one blank or with the line. */
static bool word(const char **at, const char *end, char out[INET6_ADDRSTRLEN])
{
    const char *blank = *at < end ? memchr(*at, ' ', (size_t)(end - *at)) : NULL;
    const size_t len = (size_t)((blank ? blank : end) - *at);

    if (len == 0 || len >= INET6_ADDRSTRLEN || memchr(*at, 0, len))
        return false;
    memcpy(out, *at, len);
    out[len] = 0;
    *at = blank ? blank + 1 : end;
    return !blank || *at < end; /* a blank at the end is one too many */
}

static bool port_of(const char *text, uint16_t *port)
{
    unsigned long value = 0;
    const size_t len = strlen(text);

    if (len == 0 || len > 5 || (text[0] == '0' && len > 1))
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        value = value * 10 + (unsigned long)(*text - '0');
    }
    *port = (uint16_t)value;
    return value <= 65535;
}

/* The complete line without its CRLF. */
static enum proxy_kind v1_line(const char *line, size_t len, struct proxy_header *h)
{
    const char *at = line + V1_BEGIN, *end = line + len;
    char source[INET6_ADDRSTRLEN], other[INET6_ADDRSTRLEN], from[INET6_ADDRSTRLEN],
        to[INET6_ADDRSTRLEN];
    uint8_t bytes[16], unused[16];
    uint16_t port, unused_port;
    int family;

    if (len >= V1_BEGIN + 7 && memcmp(at, "UNKNOWN", 7) == 0 && (at + 7 == end || at[7] == ' '))
        return h->kind = PROXY_LOCAL;
    if (len < V1_BEGIN + 5 || (memcmp(at, "TCP4 ", 5) != 0 && memcmp(at, "TCP6 ", 5) != 0))
        return refuse(h, "PROXY v1: the protocol is none of TCP4, TCP6, UNKNOWN");
    family = at[3] == '4' ? AF_INET : AF_INET6;
    at += 5;
    if (!word(&at, end, source) || !word(&at, end, other) || !word(&at, end, from) ||
        !word(&at, end, to) || at != end)
        return refuse(h, "PROXY v1: expected two addresses and two ports, one blank between");
    if (inet_pton(family, source, bytes) != 1 || inet_pton(family, other, unused) != 1)
        return refuse(h, "PROXY v1: an address is none of its protocol");
    if (!port_of(from, &port) || !port_of(to, &unused_port))
        return refuse(h, "PROXY v1: a port is not 0 to 65535");
    if (!set_source(h, family, bytes, port))
        return refuse(h, "PROXY: the source is no host's address");
    return h->kind = PROXY_ADDRESS;
}

static enum proxy_kind parse_v1(const uint8_t *p, size_t len, struct proxy_header *h)
{
    const size_t seen = len < PROXY_V1_MAX ? len : PROXY_V1_MAX;
    size_t end = 0;

    while (end < seen && p[end] != '\r' && p[end] != '\n')
        end++;
    if (end < seen && p[end] == '\n')
        return refuse(h, "PROXY v1: the line ends in a bare LF");
    if (end + 1 < seen && p[end + 1] != '\n')
        return refuse(h, "PROXY v1: the line ends in a bare CR");
    if (end + 1 >= seen && seen == PROXY_V1_MAX)
        return refuse(h, "PROXY v1: no line of 107 bytes");
    if (end + 1 >= seen)
        return h->kind = PROXY_MORE;
    h->consumed = end + 2;
    return v1_line((const char *)p, end, h);
}

/* --- version 2 */

/* CRC32c (RFC 4960, appendix B), reflected; the bytes from zero_at on count as four zeros. */
static uint32_t crc32c(const uint8_t *p, size_t len, size_t zero_at)
{
    uint32_t crc = 0xffffffff;

    for (size_t i = 0; i < len; i++) {
        crc ^= i >= zero_at && i < zero_at + 4 ? 0 : p[i];
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return ~crc;
}

/* From `at` to the header's end. NULL: they are right. */
static const char *tlvs_wrong(const uint8_t *p, size_t at, size_t len)
{
    size_t checksum_at = 0;

    while (at < len) {
        size_t value;
        if (len - at < TLV_FIXED)
            return "PROXY v2: bytes are left after the last TLV";
        value = (size_t)p[at + 1] << 8 | p[at + 2];
        if (value > len - at - TLV_FIXED)
            return "PROXY v2: a TLV is longer than the header";
        if (p[at] == TLV_UNIQUE && value > UNIQUE_MAX)
            return "PROXY v2: a unique id of more than 128 bytes";
        if (p[at] == TLV_CRC32C && (value != 4 || checksum_at))
            return "PROXY v2: two checksums, or one that is not of 4 bytes";
        if (p[at] == TLV_CRC32C)
            checksum_at = at + TLV_FIXED;
        at += TLV_FIXED + value;
    }
    if (checksum_at && crc32c(p, len, checksum_at) != wire_load_u32(p + checksum_at))
        return "PROXY v2: the checksum is wrong";
    return NULL;
}

/* What the fixed part says, as far as it is there. NULL: nothing wrong. */
static const char *fixed_wrong(const uint8_t *p, size_t len)
{
    const bool proxied = len > 12 && p[12] == (COMMAND_V2 | 1);
    size_t rest, least;

    if (len > 12 && (p[12] & 0xf0) != COMMAND_V2)
        return "PROXY v2: the version is not 2";
    if (len > 12 && (p[12] & 0x0f) > 1)
        return "PROXY v2: the command is neither LOCAL nor PROXY";
    if (len > 13 && proxied && p[13] != 0 && p[13] != FAMILY_TCP4 && p[13] != FAMILY_TCP6)
        return "PROXY v2: the connection is not TCP over IPv4 or IPv6";
    if (len < V2_FIXED)
        return NULL;
    rest = (size_t)p[14] << 8 | p[15];
    least = !proxied || p[13] == 0 ? 0 : p[13] == FAMILY_TCP4 ? V4_LEN : V6_LEN;
    if (rest > PROXY_HEADER_MAX - V2_FIXED)
        return "PROXY v2: the header is longer than 536 bytes";
    if (rest < least)
        return "PROXY v2: the header is too short for its addresses";
    return NULL;
}

static enum proxy_kind parse_v2(const uint8_t *p, size_t len, struct proxy_header *h)
{
    const char *wrong = fixed_wrong(p, len);
    size_t total, addresses;
    bool v4;

    if (wrong)
        return refuse(h, wrong);
    if (len < V2_FIXED)
        return h->kind = PROXY_MORE;
    total = V2_FIXED + ((size_t)p[14] << 8 | p[15]);
    if (len < total)
        return h->kind = PROXY_MORE;
    h->consumed = total;
    /* Of a connection of the sender's own everything else is to be thrown away. */
    if (p[12] == COMMAND_V2 || p[13] == 0)
        return h->kind = PROXY_LOCAL;
    v4 = p[13] == FAMILY_TCP4;
    addresses = v4 ? V4_LEN : V6_LEN;
    wrong = tlvs_wrong(p, V2_FIXED + addresses, total);
    if (wrong)
        return refuse(h, wrong);
    if (!set_source(h, v4 ? AF_INET : AF_INET6, p + V2_FIXED,
                    (uint16_t)(p[V2_FIXED + addresses - 4] << 8 | p[V2_FIXED + addresses - 3])))
        return refuse(h, "PROXY: the source is no host's address");
    return h->kind = PROXY_ADDRESS;
}

enum proxy_kind proxy_header_parse(const void *bytes, size_t len, struct proxy_header *out)
{
    const uint8_t *p = bytes;

    memset(out, 0, sizeof *out);
    if (memcmp(p, v1_begin, len < V1_BEGIN ? len : V1_BEGIN) == 0)
        return len < V1_BEGIN ? PROXY_MORE : parse_v1(p, len, out);
    if (memcmp(p, v2_begin, len < sizeof v2_begin ? len : sizeof v2_begin) == 0)
        return parse_v2(p, len, out);
    return refuse(out, "no PROXY header");
}
