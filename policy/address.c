/* SPDX-License-Identifier: Apache-2.0
 *
 * One form for each address: a v4-mapped v6 address is the v4 address, so that no list can be
 * passed by writing the address the other way. Used by the listener's owner (supervisor), authd and
 * the loaders; pure. Source: RFC 4291 (2.5.5.2 v4-mapped, 2.3 prefixes). */
#include "policy/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

/* What the user wrote, for messages: names of any length are cut. */
#define SHOWN 200

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static const char *shown(const char *text, char out[SHOWN])
{
    return escape_text(out, SHOWN, text, strnlen(text, 100));
}

/* Sets *out from 16 bytes, as v4 when they are v4-mapped; returns whether they were. */
static bool set_v6(struct address *out, const uint8_t bytes[16])
{
    const bool is_mapped = memcmp(bytes, mapped, sizeof mapped) == 0;

    memset(out, 0, sizeof *out);
    out->family = is_mapped ? 4 : 6;
    if (is_mapped)
        memcpy(out->bytes, bytes + 12, 4);
    else
        memcpy(out->bytes, bytes, 16);
    return is_mapped;
}

static int parse(const char *text, struct address *out, bool *was_mapped, struct err *e)
{
    uint8_t bytes[16];
    char found[SHOWN];

    *was_mapped = false;
    if (strchr(text, '%'))
        return err_set(e, ERR_SYNTAX, "found \"%s\", expected an address without a zone",
                       shown(text, found));
    if (inet_pton(AF_INET, text, bytes) == 1) {
        memset(out, 0, sizeof *out);
        out->family = 4;
        memcpy(out->bytes, bytes, 4);
        return 0;
    }
    if (inet_pton(AF_INET6, text, bytes) == 1) {
        *was_mapped = set_v6(out, bytes);
        return 0;
    }
    return err_set(e, ERR_SYNTAX,
                   "found \"%s\", expected an address such as 10.0.0.1 or 2001:db8::1",
                   shown(text, found));
}

int address_parse(const char *text, struct address *out, struct err *e)
{
    bool was_mapped;

    return parse(text, out, &was_mapped, e);
}

/* Clears the bits after the first `bits`. */
static void mask(struct address *a, unsigned bits)
{
    for (unsigned i = 0; i < sizeof a->bytes; i++) {
        if (bits >= 8 * (i + 1))
            continue;
        a->bytes[i] &= bits > 8 * i ? (uint8_t)(0xff00 >> (bits - 8 * i)) : 0;
    }
}

/* "0" to "128", no sign, no leading zero. -1: not such a number. */
static int prefix_length(const char *text)
{
    int value = 0;

    if (!text[0] || strlen(text) > 3 || (text[0] == '0' && text[1]))
        return -1;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return -1;
        value = value * 10 + (*text - '0');
    }
    return value;
}

int prefix_parse(const char *text, struct prefix *out, struct err *e)
{
    char base[INET6_ADDRSTRLEN + 1], found[SHOWN], right[ADDRESS_TEXT];
    const char *slash = strchr(text, '/');
    const size_t len = slash ? (size_t)(slash - text) : strlen(text);
    bool was_mapped;

    memset(out, 0, sizeof *out);
    if (len >= sizeof base)
        return err_set(e, ERR_SYNTAX,
                       "found \"%s\", expected an address or a prefix such as 10.0.0.0/8",
                       shown(text, found));
    memcpy(base, text, len);
    base[len] = 0;
    int rc = parse(base, &out->base, &was_mapped, e);
    if (rc < 0)
        return rc;
    const int width = out->base.family == 4 ? 32 : 128;
    if (!slash) {
        out->bits = (uint8_t)width;
        return 0;
    }
    int bits = prefix_length(slash + 1);
    if (was_mapped && bits >= 0) {
        if (bits < 96)
            return err_set(e, ERR_SYNTAX,
                           "found \"%s\", expected a length from 96 to 128 for a v4-mapped prefix",
                           shown(text, found));
        bits -= 96;
    }
    if (bits < 0 || bits > width)
        return err_set(e, ERR_SYNTAX,
                       "found \"%s\", expected a prefix length from 0 to %d after the /",
                       shown(text, found), was_mapped ? 128 : width);
    struct address masked = out->base;
    mask(&masked, (unsigned)bits);
    if (memcmp(masked.bytes, out->base.bytes, sizeof masked.bytes) != 0)
        return err_set(e, ERR_SYNTAX,
                       "found \"%s\", which has bits set after its prefix, expected %s/%d",
                       shown(text, found), address_text(&masked, right), bits);
    out->bits = (uint8_t)bits;
    return 0;
}

bool prefix_contains(const struct prefix *p, const struct address *a)
{
    const unsigned whole = p->bits / 8, rest = p->bits % 8;

    if (p->base.family != a->family || memcmp(p->base.bytes, a->bytes, whole) != 0)
        return false;
    return !rest || ((p->base.bytes[whole] ^ a->bytes[whole]) >> (8 - rest)) == 0;
}

const char *address_text(const struct address *a, char out[ADDRESS_TEXT])
{
    if (!inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->bytes, out, ADDRESS_TEXT))
        snprintf(out, ADDRESS_TEXT, "?");
    return out;
}

int address_from_sockaddr(const struct sockaddr *sa, struct address *out, uint16_t *port)
{
    memset(out, 0, sizeof *out);
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)sa;
        out->family = 4;
        memcpy(out->bytes, &in->sin_addr, 4);
        if (port)
            *port = ntohs(in->sin_port);
        return 0;
    }
    if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)sa;
        if (in6->sin6_scope_id)
            return ERR_INPUT; /* the same bytes mean another machine on each link */
        set_v6(out, in6->sin6_addr.s6_addr);
        if (port)
            *port = ntohs(in6->sin6_port);
        return 0;
    }
    return ERR_INPUT;
}

socklen_t address_to_sockaddr(const struct address *a, uint16_t port, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    if (a->family == 4) {
        struct sockaddr_in *in = (void *)out;
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        memcpy(&in->sin_addr, a->bytes, 4);
        return sizeof *in;
    }
    struct sockaddr_in6 *in6 = (void *)out;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    memcpy(&in6->sin6_addr, a->bytes, 16);
    return sizeof *in6;
}

struct address address_quota_key(const struct address *a)
{
    struct address key = *a;

    if (key.family == 6)
        memset(key.bytes + 8, 0, 8);
    return key;
}
