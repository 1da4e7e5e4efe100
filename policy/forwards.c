/* SPDX-License-Identifier: Apache-2.0
 *
 * Forward rules. A set lives in its encoded form only, as file rules do:
 *
 *     set  = *rule
 *     rule = STR name, STR pattern        (base/wire.h)
 *
 * Patterns are parsed anew at each match: there are few, and a forward is opened seldom. Used by
 * authd (builds and encodes) and by the backend (decodes, applies to hostile requests). Pure. */
#include "policy/forwards.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/wire.h"
#include "policy/address.h"

struct forward_rules {
    struct buf bytes; /* encoded */
};

struct pattern {
    bool literal;                    /* address, else name */
    char name[FORWARD_HOST_MAX + 1]; /* lower case */
    struct prefix prefix;
    uint16_t first, last;
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

/* Lower case of a host's name; false: it is none. What has no letter would be taken for an address
 * by some resolvers ("167772161", "10.1"), and so would "0x7f000001". */
static bool lower_name(const char *text, size_t len, char out[FORWARD_HOST_MAX + 1])
{
    bool letter = false, hex = true;
    size_t label = 0;

    if (!len || len > FORWARD_HOST_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        const unsigned char c = (unsigned char)text[i];
        if (c == '.') {
            if (!label || i + 1 == len)
                return false;
            label = 0;
        } else if (c < 0x80 && (isalnum(c) || c == '-' || c == '_')) {
            if (!label++ && c == '-')
                return false;
            letter = letter || isalpha(c);
        } else {
            return false;
        }
        out[i] = (char)(c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c);
        hex = hex && (isxdigit(c) || c == '.' || out[i] == 'x');
    }
    out[len] = 0;
    return letter && !(hex && strstr(out, "0x"));
}

/* 1 to 65535 without sign or leading zero; 0: it is none. */
static uint16_t port_number(const char *text, size_t len)
{
    unsigned long value = 0;

    if (!len || len > 5 || *text == '0')
        return 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return 0;
        value = value * 10 + (unsigned long)(text[i] - '0');
    }
    return value <= UINT16_MAX ? (uint16_t)value : 0;
}

/* The host's part without brackets, and where the ports begin; false: there are not both. */
static bool split(const char *text, size_t len, const char **host, size_t *host_len,
                  bool *bracketed, const char **ports)
{
    const char *end = text + len, *colon = NULL;

    *bracketed = len && text[0] == '[';
    if (*bracketed) {
        const char *close = memchr(text, ']', len);
        if (!close || close + 1 == end || close[1] != ':')
            return false;
        colon = close + 1;
        *host = text + 1;
        *host_len = (size_t)(close - text) - 1;
    } else {
        colon = memchr(text, ':', len);
        if (!colon)
            return false;
        *host = text;
        *host_len = (size_t)(colon - text);
    }
    *ports = colon + 1;
    return *host_len > 0;
}

static int not_a_host(struct err *e, const char *text, size_t len)
{
    char shown[4 * 80 + 1];

    return err_set(
        e, ERR_INPUT,
        "found \"%s\", expected a host and a port, as in localhost:16509, 10.0.0.0/8:22, "
        "[2001:db8::1]:5900-5999",
        escape_text(shown, sizeof shown, text, len > 80 ? 80 : len));
}

static int parse(const char *text, size_t len, struct pattern *out, struct err *e)
{
    char host[FORWARD_HOST_MAX + 1];
    const char *at, *ports;
    struct err why = ERR_INIT;
    bool bracketed;
    size_t host_len;

    memset(out, 0, sizeof *out);
    if (!split(text, len, &at, &host_len, &bracketed, &ports) || host_len > FORWARD_HOST_MAX ||
        memchr(at, 0, host_len))
        return not_a_host(e, text, len);
    const size_t ports_len = (size_t)(text + len - ports);
    const char *dash = memchr(ports, '-', ports_len);
    out->first = port_number(ports, dash ? (size_t)(dash - ports) : ports_len);
    out->last = dash ? port_number(dash + 1, (size_t)(text + len - dash) - 1) : out->first;
    if (!out->first || out->last < out->first)
        return err_set(
            e, ERR_INPUT,
            "found a port that is none, expected 1 to 65535, or two with a \"-\" between");
    memcpy(host, at, host_len);
    host[host_len] = 0;
    out->literal = prefix_parse(host, &out->prefix, &why) == 0;
    if (out->literal && bracketed == (memchr(host, ':', host_len) != NULL))
        return 0;
    if (!out->literal && !bracketed && lower_name(host, host_len, out->name))
        return 0;
    if (bracketed || memchr(host, '/', host_len))
        return err_set(e, ERR_INPUT, "%s",
                       out->literal ? "found brackets around what is no v6 address, expected "
                                      "[2001:db8::1]"
                                    : why.text);
    return not_a_host(e, text, len);
}

int forward_rules_add(struct forward_rules *rules, const char *name, const char *pattern,
                      struct err *e)
{
    uint8_t bytes[2 + FORWARD_RULE_NAME_MAX + 2 + FORWARD_PATTERN_MAX];
    struct wire_writer w;
    struct pattern parsed;

    if (strlen(pattern) > FORWARD_PATTERN_MAX)
        return err_set(e, ERR_INPUT, "found %zu bytes, expected at most %d", strlen(pattern),
                       FORWARD_PATTERN_MAX);
    int rc = parse(pattern, strlen(pattern), &parsed, e);
    if (rc < 0)
        return rc;
    wire_writer_init(&w, bytes, sizeof bytes);
    wire_put_str(&w, name, FORWARD_RULE_NAME_MAX);
    wire_put_str(&w, pattern, FORWARD_PATTERN_MAX);
    rc = wire_put_end(&w, e);
    if (rc == 0 && (rc = buf_put(&rules->bytes, bytes, w.len)) < 0)
        err_set(e, rc == ERR_MEMORY ? ERR_MEMORY : ERR_FULL,
                "found more than %d bytes of forward rules, expected fewer", FORWARDS_ENCODED_MAX);
    return rc;
}

int forward_rules_merge(struct forward_rules *rules, const struct forward_rules *other,
                        struct err *e)
{
    int rc = buf_put(&rules->bytes, buf_head(&other->bytes), buf_len(&other->bytes));

    if (rc < 0)
        err_set(e, rc == ERR_MEMORY ? ERR_MEMORY : ERR_FULL,
                "found more than %d bytes of forward rules, expected fewer", FORWARDS_ENCODED_MAX);
    return rc;
}

int forward_rules_encode(const struct forward_rules *rules, struct buf *out)
{
    return rules ? buf_put(out, buf_head(&rules->bytes), buf_len(&rules->bytes)) : 0;
}

struct rule {
    char name[FORWARD_RULE_NAME_MAX + 1], text[FORWARD_PATTERN_MAX + 1];
    struct pattern pattern;
};

static bool get_rule(struct wire_reader *r, struct rule *rule)
{
    struct err e = ERR_INIT;

    wire_get_str(r, rule->name, FORWARD_RULE_NAME_MAX);
    wire_get_str(r, rule->text, FORWARD_PATTERN_MAX);
    return !r->failed && rule->name[0] &&
           parse(rule->text, strlen(rule->text), &rule->pattern, &e) == 0;
}

struct forward_rules *forward_rules_decode(const void *bytes, size_t len, struct err *e)
{
    struct forward_rules *rules = forward_rules_new();
    struct wire_reader r;
    struct rule rule;

    if (!rules) {
        err_set(e, ERR_MEMORY, "out of memory");
        return NULL;
    }
    wire_reader_init(&r, bytes, len);
    while (r.left) {
        if (!get_rule(&r, &rule)) {
            err_set(e, ERR_PROTOCOL, "the forward rules are malformed");
            goto failed;
        }
    }
    int rc = len ? buf_put(&rules->bytes, bytes, len) : 0;
    if (rc == 0)
        return rules;
    err_set(e, rc == ERR_MEMORY ? ERR_MEMORY : ERR_FULL, "too many forward rules");
failed:
    forward_rules_free(rules);
    return NULL;
}

static bool matches(const struct pattern *p, const struct pattern *asked)
{
    if (asked->first < p->first || asked->first > p->last || p->literal != asked->literal)
        return false;
    return p->literal ? prefix_contains(&p->prefix, &asked->prefix.base)
                      : strcmp(p->name, asked->name) == 0;
}

/* What was asked for, as a pattern that means one host. False: it is no host. */
static bool parse_host(const char *host, uint16_t port, struct pattern *out)
{
    struct err e = ERR_INIT;

    memset(out, 0, sizeof *out);
    out->first = out->last = port;
    out->literal = address_parse(host, &out->prefix.base, &e) == 0;
    return port && (out->literal || lower_name(host, strlen(host), out->name));
}

bool forward_rules_match(const struct forward_rules *rules, const char *host, uint16_t port,
                         char name[FORWARD_RULE_NAME_MAX + 1], char host_as[FORWARD_HOST_MAX + 1])
{
    char address[ADDRESS_TEXT];
    struct wire_reader r;
    struct pattern asked;
    struct rule rule;

    if (name)
        name[0] = 0;
    host_as[0] = 0;
    if (!rules || !parse_host(host, port, &asked))
        return false;
    wire_reader_init(&r, buf_head(&rules->bytes), buf_len(&rules->bytes));
    while (r.left && get_rule(&r, &rule)) {
        if (!matches(&rule.pattern, &asked))
            continue;
        if (name)
            memcpy(name, rule.name, sizeof rule.name);
        snprintf(host_as, FORWARD_HOST_MAX + 1, "%s",
                 asked.literal ? address_text(&asked.prefix.base, address) : asked.name);
        return true;
    }
    return false;
}

void forward_rules_each(const struct forward_rules *rules,
                        void (*each)(void *arg, const char *name, const char *pattern), void *arg)
{
    struct wire_reader r;
    struct rule rule;

    if (!rules)
        return;
    wire_reader_init(&r, buf_head(&rules->bytes), buf_len(&rules->bytes));
    while (r.left && get_rule(&r, &rule))
        each(arg, rule.name, rule.text);
}

int forward_parse(const char *text, size_t len, char host[FORWARD_HOST_MAX + 1], uint16_t *port,
                  struct err *e)
{
    const char *at, *ports;
    struct pattern parsed;
    bool bracketed;
    size_t host_len;
    int rc = parse(text, len, &parsed, e);

    if (rc < 0)
        return rc;
    if (parsed.first != parsed.last || memchr(text, '/', len) ||
        !split(text, len, &at, &host_len, &bracketed, &ports))
        return err_set(e, ERR_INPUT, "found a prefix or a range, expected one host and one port");
    memcpy(host, at, host_len);
    host[host_len] = 0;
    *port = parsed.first;
    return 0;
}
