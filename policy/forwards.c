/* SPDX-License-Identifier: Apache-2.0
 *
 * Forward rules. A set lives in its encoded form only, as file rules do:
 *
 *     set  = *rule
 *     rule = DATA name, DATA host, U16 port        (base/wire.h)
 *
 * host is in its one form: a name in lower case, an address as inet_ntop writes it. Used by authd
 * (builds and encodes) and by the backend (decodes, applies to hostile requests). Pure. */
#include "policy/forwards.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/wire.h"
#include "policy/address.h"
#include "policy/rule_bytes.h"

#define EXPECTED "expected host:port, as localhost:16509, 10.0.0.1:22 or [2001:db8::1]:22"

struct forward_rules {
    struct buf bytes; /* encoded */
};

struct forward_rule {
    struct bytes name, host; /* views */
    uint16_t port;
};

struct forward_rules *forward_rules_new(void)
{
    struct forward_rules *rules = calloc(1, sizeof *rules);

    if (rules)
        buf_init(&rules->bytes, FORWARDS_ENCODED_MAX);
    return rules;
}

void forward_rules_free(struct forward_rules *rules)
{
    if (!rules)
        return;
    buf_clear(&rules->bytes);
    free(rules);
}

/* Letters, digits, "-" and "."; no part is empty or has "-" at an end; the last one is no number,
 * so that nothing passes for a name that a resolver takes for an address (127.1, 2130706433). */
static bool is_name(const char *host)
{
    bool letter = false;

    for (const char *p = host; *p; p++) {
        const bool alpha = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z');
        const bool begins = p == host || p[-1] == '.', ends = !p[1] || p[1] == '.';
        if (*p == '.') {
            if (begins || ends)
                return false;
            letter = false;
            continue;
        }
        if (!alpha && !(*p >= '0' && *p <= '9') && (*p != '-' || begins || ends))
            return false;
        letter |= alpha;
    }
    /* 0x7f000001 has a letter, and inet_aton takes it. */
    const char *last = strrchr(host, '.');
    last = last ? last + 1 : host;
    return letter && !(last[0] == '0' && (last[1] == 'x' || last[1] == 'X'));
}

/* The one form of a host as a client may send it, without brackets; false: it is none. */
static bool normalise(const char *host, char out[FORWARD_HOST_MAX + 1])
{
    char text[ADDRESS_TEXT];
    struct address a;

    if (strlen(host) > FORWARD_HOST_MAX)
        return false;
    if (address_parse(host, &a, NULL) == 0) {
        strcpy(out, address_text(&a, text));
        return true;
    }
    if (!is_name(host))
        return false;
    for (; *host; host++)
        *out++ = *host >= 'A' && *host <= 'Z' ? (char)(*host - 'A' + 'a') : *host;
    *out = 0;
    return true;
}

static bool parse_port(const char *text, uint16_t *port)
{
    unsigned long value = 0;

    if (!*text || *text == '0' || strlen(text) > 5)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        value = value * 10 + (unsigned long)(*text - '0');
    }
    *port = (uint16_t)value;
    return value <= 65535;
}

int forward_parse(const char *text, char host[FORWARD_HOST_MAX + 1], uint16_t *port, struct err *e)
{
    char shown[300], copy[FORWARD_TEXT_MAX + 1];
    struct address a;
    char *colon;

    host[0] = 0;
    escape_text(shown, sizeof shown, text, strnlen(text, 70));
    if (strpbrk(text, "*?/"))
        return err_set(e, ERR_INPUT, "found \"%s\" (a pattern or prefix), " EXPECTED, shown);
    if (strlen(text) > FORWARD_TEXT_MAX)
        return err_set(e, ERR_INPUT, "found %zu bytes, " EXPECTED, strlen(text));
    strcpy(copy, text);
    colon = strrchr(copy, ':');
    if (!colon || strchr(colon, ']'))
        return err_set(e, ERR_INPUT, "found \"%s\" without a port, " EXPECTED, shown);
    if (!parse_port(colon + 1, port))
        return err_set(e, ERR_INPUT, "found \"%s\" with the port \"%.20s\", expected 1 to 65535",
                       shown, shown[0] && !strpbrk(colon + 1, "\"\\") ? colon + 1 : "?");
    *colon = 0;
    if (copy[0] == '[') {
        if (colon - copy < 2 || colon[-1] != ']')
            return err_set(e, ERR_INPUT, "found \"%s\", " EXPECTED, shown);
        colon[-1] = 0;
        if (address_parse(copy + 1, &a, NULL) < 0 || !strchr(copy + 1, ':') ||
            !normalise(copy + 1, host))
            return err_set(e, ERR_INPUT, "found \"%s\", expected a v6 address in brackets", shown);
        return 0;
    }
    if (strchr(copy, ':'))
        return err_set(e, ERR_INPUT, "found \"%s\", expected a v6 address in brackets", shown);
    if (!normalise(copy, host)) {
        host[0] = 0;
        return err_set(e, ERR_INPUT, "found \"%s\", " EXPECTED, shown);
    }
    return 0;
}

/* Reads one rule; false at malformed bytes. */
static bool get_rule(struct wire_reader *r, struct forward_rule *rule)
{
    rule->name = wire_get_data(r, FORWARD_RULE_NAME_MAX);
    rule->host = wire_get_data(r, FORWARD_HOST_MAX);
    rule->port = wire_get_u16(r);
    return !r->failed;
}

/* What came from somebody else: as forward_rules_add would have made it. */
static bool rule_is_sound(const struct forward_rule *rule)
{
    char host[FORWARD_HOST_MAX + 1], again[FORWARD_HOST_MAX + 1];

    if (!rule->port || !rule->name.len || memchr(rule->name.p, 0, rule->name.len) ||
        !rule->host.len || memchr(rule->host.p, 0, rule->host.len))
        return false;
    memcpy(host, rule->host.p, rule->host.len);
    host[rule->host.len] = 0;
    return normalise(host, again) && strcmp(host, again) == 0;
}

#define WHAT "forward rules"

int forward_rules_add(struct forward_rules *rules, const char *name, const char *text,
                      struct err *e)
{
    uint8_t bytes[4 + FORWARD_RULE_NAME_MAX + 4 + FORWARD_HOST_MAX + 2];
    char host[FORWARD_HOST_MAX + 1];
    struct wire_writer w;
    uint16_t port;
    int rc = forward_parse(text, host, &port, e);

    if (rc < 0)
        return rc;
    if (!*name)
        return err_set(e, ERR_INPUT, "found a forward rule without a name");
    wire_writer_init(&w, bytes, sizeof bytes);
    wire_put_data(&w, name, strlen(name), FORWARD_RULE_NAME_MAX);
    wire_put_data(&w, host, strlen(host), FORWARD_HOST_MAX);
    wire_put_u16(&w, port);
    rc = wire_put_end(&w, e);
    return rc == 0 ? rule_bytes_append(&rules->bytes, bytes, w.len, WHAT, e) : rc;
}

int forward_rules_merge(struct forward_rules *rules, const struct forward_rules *other,
                        struct err *e)
{
    return rule_bytes_append(&rules->bytes, buf_head(&other->bytes), buf_len(&other->bytes), WHAT,
                             e);
}

int forward_rules_encode(const struct forward_rules *rules, struct buf *out)
{
    return rules ? buf_put(out, buf_head(&rules->bytes), buf_len(&rules->bytes)) : 0;
}

static bool take_rule(void *arg, struct wire_reader *r)
{
    struct forward_rule rule;

    (void)arg;
    return get_rule(r, &rule) && rule_is_sound(&rule);
}

struct forward_rules *forward_rules_decode(const void *bytes, size_t len, struct err *e)
{
    struct forward_rules *rules = forward_rules_new();

    if (!rules) {
        err_set(e, ERR_MEMORY, "out of memory");
        return NULL;
    }
    if (rule_bytes_decode(&rules->bytes, bytes, len, take_rule, NULL, WHAT, e) < 0) {
        forward_rules_free(rules);
        return NULL;
    }
    return rules;
}

bool forward_rules_match(const struct forward_rules *rules, const void *host, size_t len,
                         uint64_t port, char name[128], char send[FORWARD_HOST_MAX + 1])
{
    char text[FORWARD_HOST_MAX + 1], wanted[FORWARD_HOST_MAX + 1];
    struct forward_rule rule;
    struct wire_reader r;

    if (name)
        name[0] = 0;
    if (send)
        send[0] = 0;
    if (!rules || !len || len > FORWARD_HOST_MAX || memchr(host, 0, len))
        return false;
    memcpy(text, host, len);
    text[len] = 0;
    if (!normalise(text, wanted))
        return false;
    wire_reader_init(&r, buf_head(&rules->bytes), buf_len(&rules->bytes));
    while (r.left && get_rule(&r, &rule)) {
        if (rule.port != port || rule.host.len != strlen(wanted) ||
            memcmp(rule.host.p, wanted, rule.host.len) != 0)
            continue;
        if (name)
            snprintf(name, 128, "%.*s", (int)rule.name.len, (const char *)rule.name.p);
        if (send)
            strcpy(send, wanted);
        return true;
    }
    return false;
}

void forward_rules_each(const struct forward_rules *rules,
                        void (*each)(void *arg, const char *name, const char *text), void *arg)
{
    char name[FORWARD_RULE_NAME_MAX + 1], text[FORWARD_TEXT_MAX + 1];
    struct forward_rule rule;
    struct wire_reader r;

    if (!rules)
        return;
    wire_reader_init(&r, buf_head(&rules->bytes), buf_len(&rules->bytes));
    while (r.left && get_rule(&r, &rule)) {
        const char *v6 = memchr(rule.host.p, ':', rule.host.len) ? "[]" : "\0";
        snprintf(name, sizeof name, "%.*s", (int)rule.name.len, (const char *)rule.name.p);
        snprintf(text, sizeof text, "%.1s%.*s%.1s:%u", v6, (int)rule.host.len,
                 (const char *)rule.host.p, v6 + 1, rule.port);
        each(arg, name, text);
    }
}
