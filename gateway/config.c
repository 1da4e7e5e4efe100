/* SPDX-License-Identifier: Apache-2.0
 *
 * From the text of sallyport.yaml to struct config, by the table gateway/config.def. A key that is
 * not there is read from its default, which is YAML too, so that both go the same way. Pure.
 * Run by the supervisor and by administrators' commands; the text is root's, its mistakes get help.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/cosignature.h"
#include "base/yaml_tree.h"
#include "gateway/config.h"
#include "gateway/config_table.h"

/* A session's records are up to a MiB long. */
#define GLASS_RESERVE_MIN (1024u * 1024u)

const struct config_key config_keys[] = {
#define CONFIG(section, key, type, field, default_yaml, min, max, unit, help)                      \
    {section, key, CONFIG_TYPE_##type, offsetof(struct config, field), default_yaml, min, max,     \
     unit,    help},
#include "gateway/config.def"
#undef CONFIG
};
const size_t config_key_count = sizeof config_keys / sizeof *config_keys;

/* The words of one level of the file: its keys, and at the top the sections too. */
static void known_words(const char *section, const char *words[], size_t cap)
{
    size_t n = 0;

    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *k = &config_keys[i];
        const char *word = NULL;
        if (strcmp(k->section, section) == 0)
            word = k->key;
        else if (!section[0] && (i == 0 || strcmp(k->section, config_keys[i - 1].section) != 0))
            word = k->section;
        if (word) {
            INVARIANT(n + 1 < cap);
            words[n++] = word;
        }
    }
    words[n] = NULL;
}

static int parse_text(const struct yaml_doc *doc, const struct yaml_node *n,
                      const struct config_key *k, char *out, struct err *e)
{
    const char *text = "";
    int rc;

    if (k->min == 0 && n->kind == YAML_SCALAR && !n->text[0]) {
        out[0] = 0;
        return 0;
    }
    rc = yaml_text(doc, n, k->max, k->unit, &text, e);
    if (rc < 0)
        return rc;
    if (k->type == CONFIG_TYPE_PATH && text[0] != '/')
        return yaml_error(doc, n, e, "found \"%s\", expected an absolute path", text);
    for (const char *p = text; k->type == CONFIG_TYPE_NAME && *p; p++) {
        if (!isalnum((unsigned char)*p) && !strchr(".-:", *p))
            return yaml_error(doc, n, e, "found \"%s\", expected a DNS name or an address", text);
    }
    memcpy(out, text, strlen(text) + 1);
    return 0;
}

/* "ADDRESS:PORT" or "[ADDRESS]:PORT" */
static int parse_endpoint(const struct yaml_doc *doc, const struct yaml_node *n,
                          struct config_endpoint *out, struct err *e)
{
    char host[ADDRESS_TEXT], found[YAML_FOUND_MAX], *end;
    const char *text, *colon;
    size_t len;
    long port;

    yaml_found(n, found);
    if (n->kind != YAML_SCALAR || !(colon = strrchr(n->text, ':')))
        goto wrong;
    text = n->text;
    len = (size_t)(colon - text);
    if (text[0] == '[' && len >= 2 && colon[-1] == ']') {
        text++;
        len -= 2;
    } else if (memchr(text, ':', len)) {
        goto wrong;
    }
    if (len == 0 || len >= sizeof host || !isdigit((unsigned char)colon[1]))
        goto wrong;
    memcpy(host, text, len);
    host[len] = 0;
    port = strtol(colon + 1, &end, 10);
    if (*end || port < 1 || port > 65535 || address_parse(host, &out->address, NULL) < 0)
        goto wrong;
    out->port = (uint16_t)port;
    return 0;
wrong:
    return yaml_error(doc, n, e,
                      "found %s, expected an address with a port, such as 0.0.0.0:443 or [::]:443",
                      found);
}

/* {key: VKEY, address: ADDRESS:PORT, path: /PREFIX} */
static int parse_witness(const struct yaml_doc *doc, const struct yaml_node *n,
                         struct config_witness *out, struct err *e)
{
    static const char *const words[] = {"key", "address", "path", NULL};
    const struct yaml_node *key, *address, *path;
    struct err why = ERR_INIT;
    const char *text = "";
    struct vkey v;
    int rc = yaml_is(doc, n, YAML_MAP,
                     "a witness, such as {key: NAME+ID+KEY, address: 192.0.2.1:7070}", e);

    if (rc == 0)
        rc = yaml_only_keys(doc, n, words, e);
    if (rc == 0)
        rc = yaml_require(doc, n, "key", &key, e);
    if (rc == 0)
        rc = yaml_require(doc, n, "address", &address, e);
    if (rc == 0)
        rc = yaml_text(doc, key, CONFIG_KEY_MAX, "a witness's verifier key", &text, e);
    if (rc == 0 && witness_key_parse(&v, text, &why) < 0)
        rc = yaml_error(doc, key, e, "%s", why.text);
    if (rc < 0)
        return rc;
    snprintf(out->key, sizeof out->key, "%s", text);
    rc = parse_endpoint(doc, address, &out->at, e);
    path = yaml_get(n, "path");
    if (rc < 0 || !path)
        return rc;
    rc = yaml_text(doc, path, CONFIG_PATH_MAX, "a path", &text, e);
    if (rc < 0)
        return rc;
    if (text[0] != '/' || text[strlen(text) - 1] == '/' || strpbrk(text, " \t?#%\\"))
        return yaml_error(doc, path, e, "found \"%s\", expected a path such as /witness", text);
    snprintf(out->path, sizeof out->path, "%s", text);
    return 0;
}

/* {port: 22, from: [10.0.0.0/8], protocol: tcp} */
static int parse_opening(const struct yaml_doc *doc, const struct yaml_node *n,
                         struct config_opening *out, struct err *e)
{
    static const char *const words[] = {"port", "from", "protocol", NULL};
    const struct yaml_node *port, *from, *protocol;
    struct err why = ERR_INIT;
    uint64_t number;
    int rc = yaml_is(doc, n, YAML_MAP, "an opening, such as {port: 22, from: [10.0.0.0/8]}", e);

    if (rc == 0)
        rc = yaml_only_keys(doc, n, words, e);
    if (rc == 0)
        rc = yaml_require(doc, n, "port", &port, e);
    if (rc == 0)
        rc = yaml_u64(doc, port, 1, 65535, &number, e);
    if (rc == 0)
        rc = yaml_require(doc, n, "from", &from, e);
    if (rc == 0)
        rc = yaml_is(doc, from, YAML_LIST, "a list of addresses or prefixes", e);
    if (rc < 0)
        return rc;
    out->port = (uint16_t)number;
    if (from->count < 1 || from->count > CONFIG_OPENING_FROM_MAX)
        return yaml_error(doc, from, e, "found %zu entries, expected 1 to %d", from->count,
                          CONFIG_OPENING_FROM_MAX);
    for (out->count = 0; rc == 0 && out->count < from->count; out->count++) {
        const struct yaml_node *item = from->items[out->count];
        rc = yaml_is(doc, item, YAML_SCALAR, "an address or prefix", e);
        if (rc == 0 && prefix_parse(item->text, &out->from[out->count], &why) < 0)
            rc = yaml_error(doc, item, e, "%s", why.text);
    }
    protocol = yaml_get(n, "protocol");
    if (rc < 0 || !protocol)
        return rc;
    rc = yaml_is(doc, protocol, YAML_SCALAR, "tcp or udp", e);
    if (rc == 0 && strcmp(protocol->text, "tcp") != 0 && strcmp(protocol->text, "udp") != 0)
        rc = yaml_error(doc, protocol, e, "found \"%s\", expected tcp or udp", protocol->text);
    if (rc == 0)
        out->udp = strcmp(protocol->text, "udp") == 0;
    return rc;
}

static int parse_user(const struct yaml_doc *doc, const struct yaml_node *n,
                      struct config_user *out, struct err *e)
{
    const char *text;
    int rc = yaml_text(doc, n, sizeof out->name - 1, "a user name or uid", &text, e);

    if (rc < 0)
        return rc;
    memcpy(out->name, text, strlen(text) + 1);
    out->line = n->line;
    out->column = n->column;
    return 0;
}

/* The form of its name; whether there is such an operator is the policy set's. */
static int parse_operator(const struct yaml_doc *doc, const struct yaml_node *n,
                          char out[OPERATOR_NAME_MAX + 1], struct err *e)
{
    const char *text = "";
    int rc = yaml_text(doc, n, OPERATOR_NAME_MAX, "an operator's name", &text, e);

    if (rc < 0)
        return rc;
    if (strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_.-") != strlen(text))
        return yaml_error(doc, n, e, "found \"%s\", expected an operator's name", text);
    memcpy(out, text, strlen(text) + 1);
    return 0;
}

/* "10%" or a size. min and max bound the percent. */
static int parse_amount(const struct yaml_doc *doc, const struct yaml_node *n,
                        const struct config_key *k, struct config_amount *out, struct err *e)
{
    const char *text = n->kind == YAML_SCALAR ? n->text : "";
    char found[YAML_FOUND_MAX], *end;

    out->percent = strchr(text, '%') != NULL;
    if (!out->percent)
        return yaml_size(doc, n, &out->value, e);
    out->value = strtoul(text, &end, 10);
    if (isdigit((unsigned char)text[0]) && strcmp(end, "%") == 0 && out->value >= k->min &&
        out->value <= k->max)
        return 0;
    return yaml_error(doc, n, e, "found %s, expected %llu%% to %llu%%, or a size such as 20GiB",
                      yaml_found(n, found), (unsigned long long)k->min, (unsigned long long)k->max);
}

static int parse_list(const struct yaml_doc *doc, const struct yaml_node *n,
                      const struct config_key *k, void *field, struct err *e)
{
    struct err why = ERR_INIT;
    size_t *count = field;
    int rc = yaml_is(doc, n, YAML_LIST, "a list", e);

    if (rc < 0)
        return rc;
    if (n->count < k->min || n->count > k->max)
        return yaml_error(doc, n, e, "found %zu entries, expected %llu to %llu", n->count,
                          (unsigned long long)k->min, (unsigned long long)k->max);
    *count = n->count;
    for (size_t i = 0; i < n->count; i++) {
        const struct yaml_node *item = n->items[i];
        struct config *c = NULL;
        switch (k->type) {
        case CONFIG_TYPE_ENDPOINTS:
            c = (struct config *)((char *)field - offsetof(struct config, listen));
            rc = parse_endpoint(doc, item, &c->listen.at[i], e);
            break;
        case CONFIG_TYPE_WITNESSES:
            c = (struct config *)((char *)field - offsetof(struct config, witnesses));
            rc = parse_witness(doc, item, &c->witnesses.at[i], e);
            break;
        case CONFIG_TYPE_OPENINGS:
            c = (struct config *)((char *)field - offsetof(struct config, firewall_also));
            rc = parse_opening(doc, item, &c->firewall_also.at[i], e);
            break;
        case CONFIG_TYPE_NAMES:
            rc = parse_operator(doc, item, ((struct config_names *)field)->at[i], e);
            break;
        case CONFIG_TYPE_USERS:
            rc = parse_user(doc, item, &((struct config_people *)field)->at[i], e);
            break;
        default:
            rc = yaml_is(doc, item, YAML_SCALAR, "an address or prefix", e);
            if (rc == 0 &&
                prefix_parse(item->text, &((struct config_prefixes *)field)->at[i], &why) < 0)
                rc = yaml_error(doc, item, e, "%s", why.text);
            break;
        }
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int parse_key(const struct yaml_doc *doc, const struct yaml_node *n,
                     const struct config_key *k, struct config *c, struct err *e)
{
    void *field = (char *)c + k->offset;

    switch (k->type) {
    case CONFIG_TYPE_NAME:
    case CONFIG_TYPE_TEXT:
    case CONFIG_TYPE_PATH:
        return parse_text(doc, n, k, field, e);
    case CONFIG_TYPE_NUMBER:
        return yaml_u64(doc, n, k->min, k->max, field, e);
    case CONFIG_TYPE_FLAG:
        return yaml_bool(doc, n, field, e);
    case CONFIG_TYPE_DURATION:
        return yaml_duration(doc, n, k->min, k->max, field, e);
    case CONFIG_TYPE_AMOUNT:
        return parse_amount(doc, n, k, field, e);
    case CONFIG_TYPE_USER:
        return parse_user(doc, n, field, e);
    case CONFIG_TYPE_ENDPOINT:
        if (n->kind == YAML_SCALAR && !n->text[0])
            return 0;
        return parse_endpoint(doc, n, field, e);
    case CONFIG_TYPE_NAMES:
    case CONFIG_TYPE_WITNESSES:
    case CONFIG_TYPE_OPENINGS:
    case CONFIG_TYPE_ENDPOINTS:
    case CONFIG_TYPE_PREFIXES:
    case CONFIG_TYPE_USERS:
        return parse_list(doc, n, k, field, e);
    }
    return err_set(e, ERR_INPUT, "type %d", (int)k->type);
}

static int parse_default(const struct config_key *k, struct config *c, struct err *e)
{
    struct yaml_doc *doc;
    struct yaml_node item;
    char text[300];
    int rc;

    /* A document's root is a map, so the default is wrapped in one. */
    snprintf(text, sizeof text, "{%s: %s}", k->key, k->default_yaml);
    doc = yaml_parse("default", text, strlen(text), e);
    if (!doc)
        return e ? e->code : ERR_SYNTAX;
    item = *yaml_root(doc)->items[0];
    item.line = item.column = 0; /* it stands nowhere in the file */
    rc = parse_key(doc, &item, k, c, e);
    yaml_doc_free(doc);
    return rc;
}

bool config_prefixes_contain(const struct config_prefixes *list, const struct address *a)
{
    for (size_t i = 0; i < list->count; i++) {
        if (prefix_contains(&list->at[i], a))
            return true;
    }
    return false;
}

/* Who stands in this list is believed about where others come from. */
static int check_proxies(const struct yaml_doc *doc, const struct config *c, struct err *e)
{
    const struct yaml_node *list = yaml_get(yaml_root(doc), "proxy");

    list = list ? yaml_get(list, "from") : NULL;
    for (size_t i = 0; list && i < c->proxy_from.count; i++) {
        if (c->proxy_from.at[i].bits == 0)
            return yaml_error(doc, list->items[i], e,
                              "found \"%s\", which is everybody, expected the load balancers alone",
                              list->items[i]->text);
    }
    return 0;
}

static int check_penalty(const struct yaml_doc *doc, const struct config *c, struct err *e)
{
    const struct yaml_node *at = yaml_get(yaml_root(doc), "penalty");

    at = at ? at : yaml_root(doc);
    if (c->penalty_slow && c->penalty_block && c->penalty_slow >= c->penalty_block)
        return yaml_error(
            doc, at, e, "found slow-after %llu and block-after %llu, expected to slow before",
            (unsigned long long)c->penalty_slow, (unsigned long long)c->penalty_block);
    if (c->penalty_block_max_ms < c->penalty_block_ms)
        return yaml_error(doc, at, e, "found block-max below block, expected it to be no shorter");
    return 0;
}

/* What no single key can say. */
static int check_whole(const struct yaml_doc *doc, const struct config *c, struct err *e)
{
    const struct yaml_node *limits = yaml_get(yaml_root(doc), "limits");
    const struct yaml_node *at = limits ? limits : yaml_root(doc);
    int rc;

    if (c->reserve >= c->connections)
        return yaml_error(doc, at, e, "found reserve %llu of %llu connections, expected less",
                          (unsigned long long)c->reserve, (unsigned long long)c->connections);
    if (c->disk_soft.percent == c->disk_hard.percent && c->disk_soft.value < c->disk_hard.value) {
        at = yaml_get(yaml_root(doc), "disk");
        return yaml_error(doc, at ? at : yaml_root(doc), e,
                          "found a soft mark below the hard one, expected it above");
    }
    if (!c->glass_reserve.percent && c->glass_reserve.value < GLASS_RESERVE_MIN) {
        at = yaml_get(yaml_root(doc), "break-glass");
        return yaml_error(doc, at ? at : yaml_root(doc), e,
                          "found a reserve of %llu bytes, expected 1MiB or more",
                          (unsigned long long)c->glass_reserve.value);
    }
    if (c->syslog_address.port && (!c->syslog_name[0] || !c->syslog_ca[0])) {
        at = yaml_get(yaml_root(doc), "syslog");
        return yaml_error(doc, at ? at : yaml_root(doc), e,
                          "found syslog.address, expected syslog.name and syslog.ca too");
    }
    if (!c->syslog_certificate[0] != !c->syslog_key[0]) {
        at = yaml_get(yaml_root(doc), "syslog");
        return yaml_error(doc, at ? at : yaml_root(doc), e,
                          "found one of syslog.certificate and syslog.key, expected both or none");
    }
    at = yaml_get(yaml_root(doc), "firewall");
    if (c->firewall_close && !c->firewall)
        return yaml_error(doc, at, e, "found firewall.close, expected firewall.enabled: true too");
    if (c->firewall && c->firewall_also.count > 0 && !c->firewall_close)
        return yaml_error(
            doc, at, e,
            "found firewall.also, expected firewall.close: true too: nothing else is closed");
    rc = check_proxies(doc, c, e);
    return rc < 0 ? rc : check_penalty(doc, c, e);
}

int config_parse(const char *name, const void *bytes, size_t len, struct config *out, struct err *e)
{
    const char *words[64];
    struct yaml_doc *doc;
    int rc;

    memset(out, 0, sizeof *out);
    snprintf(out->file, sizeof out->file, "%s", name);
    doc = yaml_parse(name, bytes, len, e);
    if (!doc)
        return e ? e->code : ERR_SYNTAX;
    known_words("", words, sizeof words / sizeof *words);
    rc = yaml_only_keys(doc, yaml_root(doc), words, e);
    for (size_t i = 0; rc == 0 && i < config_key_count; i++) {
        const struct config_key *k = &config_keys[i];
        const struct yaml_node *map = yaml_root(doc), *value;

        if (k->section[0]) {
            map = yaml_get(map, k->section);
            if (map && (i == 0 || strcmp(config_keys[i - 1].section, k->section) != 0)) {
                known_words(k->section, words, sizeof words / sizeof *words);
                rc = yaml_only_keys(doc, map, words, e);
                if (rc < 0)
                    break;
            }
        }
        value = map ? yaml_get(map, k->key) : NULL;
        if (value)
            rc = parse_key(doc, value, k, out, e);
        else if (k->default_yaml)
            rc = parse_default(k, out, e);
        else
            rc = yaml_require(doc, yaml_root(doc), k->key, &value, e);
    }
    if (rc == 0)
        rc = check_whole(doc, out, e);
    yaml_doc_free(doc);
    return rc;
}
