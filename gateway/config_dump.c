/* SPDX-License-Identifier: Apache-2.0
 *
 * The configuration in force as YAML, and the table as the list of sallyport.yaml(5): made from
 * gateway/config.def, so that neither can disagree with the parser. Pure. */
#include <stdio.h>
#include <string.h>

#include "gateway/config.h"
#include "gateway/config_table.h"

static int put_duration(struct buf *out, uint64_t ms)
{
    static const struct {
        uint64_t ms;
        char unit;
    } units[] = {{86400000, 'd'}, {3600000, 'h'}, {60000, 'm'}, {1000, 's'}};
    size_t i = 0;

    while (i < 3 && (ms == 0 || ms % units[i].ms != 0))
        i++;
    return buf_printf(out, "%llu%c", (unsigned long long)(ms / units[i].ms), units[i].unit);
}

static int put_amount(struct buf *out, const struct config_amount *a)
{
    static const char *const units[] = {"", "KiB", "MiB", "GiB", "TiB"};
    uint64_t value = a->value;
    size_t i = 0;

    if (a->percent)
        return buf_printf(out, "%llu%%", (unsigned long long)value);
    while (value != 0 && value % 1024 == 0 && i + 1 < sizeof units / sizeof *units) {
        value /= 1024;
        i++;
    }
    return buf_printf(out, "%llu%s", (unsigned long long)value, units[i]);
}

static int put_endpoint(struct buf *out, const struct config_endpoint *at)
{
    char text[ADDRESS_TEXT];
    const char *format = at->address.family == 6 ? "\"[%s]:%u\"" : "\"%s:%u\"";

    return buf_printf(out, format, address_text(&at->address, text), at->port);
}

static int put_witnesses(struct buf *out, const struct config *c)
{
    int rc = buf_printf(out, "[");

    for (size_t i = 0; rc == 0 && i < c->witnesses.count; i++) {
        const struct config_witness *w = &c->witnesses.at[i];

        rc = buf_printf(out, "%s{key: \"%s\", address: ", i ? ", " : "", w->key);
        if (rc == 0)
            rc = put_endpoint(out, &w->at);
        if (rc == 0 && w->path[0])
            rc = buf_printf(out, ", path: \"%s\"", w->path);
        if (rc == 0)
            rc = buf_printf(out, "}");
    }
    return rc < 0 ? rc : buf_printf(out, "]");
}

static int put_openings(struct buf *out, const struct config *c)
{
    char text[ADDRESS_TEXT];
    int rc = buf_printf(out, "[");

    for (size_t i = 0; rc == 0 && i < c->firewall_also.count; i++) {
        const struct config_opening *o = &c->firewall_also.at[i];

        rc = buf_printf(out, "%s{port: %u, protocol: %s, from: [", i ? ", " : "", o->port,
                        o->udp ? "udp" : "tcp");
        for (size_t k = 0; rc == 0 && k < o->count; k++)
            rc = buf_printf(out, "%s\"%s/%u\"", k ? ", " : "", address_text(&o->from[k].base, text),
                            o->from[k].bits);
        if (rc == 0)
            rc = buf_printf(out, "]}");
    }
    return rc < 0 ? rc : buf_printf(out, "]");
}

static int put_list(struct buf *out, const struct config_key *k, const struct config *c)
{
    const void *field = (const char *)c + k->offset;
    const struct config_prefixes *prefixes = field;
    const struct config_people *people = field;
    const size_t count = *(const size_t *)field;
    char text[ADDRESS_TEXT];
    int rc = buf_printf(out, "[");

    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (i > 0)
            rc = buf_printf(out, ", ");
        if (rc < 0)
            break;
        if (k->type == CONFIG_TYPE_ENDPOINTS)
            rc = put_endpoint(out, &c->listen.at[i]);
        else if (k->type == CONFIG_TYPE_NAMES)
            rc = buf_printf(out, "%s", ((const struct config_names *)field)->at[i]);
        else if (k->type == CONFIG_TYPE_USERS)
            rc = buf_printf(out, "%s", people->at[i].name);
        else
            rc = buf_printf(out, "\"%s/%u\"", address_text(&prefixes->at[i].base, text),
                            prefixes->at[i].bits);
    }
    return rc < 0 ? rc : buf_printf(out, "]");
}

static int put_value(struct buf *out, const struct config_key *k, const struct config *c)
{
    const void *field = (const char *)c + k->offset;

    switch (k->type) {
    case CONFIG_TYPE_NAME:
    case CONFIG_TYPE_TEXT:
    case CONFIG_TYPE_PATH:
        return buf_printf(out, "\"%s\"", (const char *)field);
    case CONFIG_TYPE_NUMBER:
        return buf_printf(out, "%llu", *(const unsigned long long *)field);
    case CONFIG_TYPE_FLAG:
        return buf_printf(out, "%s", *(const bool *)field ? "true" : "false");
    case CONFIG_TYPE_DURATION:
        return put_duration(out, *(const uint64_t *)field);
    case CONFIG_TYPE_AMOUNT:
        return put_amount(out, field);
    case CONFIG_TYPE_USER:
        return buf_printf(out, "%s", ((const struct config_user *)field)->name);
    case CONFIG_TYPE_ENDPOINT:
        if (!((const struct config_endpoint *)field)->port)
            return buf_printf(out, "\"\"");
        return put_endpoint(out, field);
    case CONFIG_TYPE_WITNESSES:
        return put_witnesses(out, c);
    case CONFIG_TYPE_OPENINGS:
        return put_openings(out, c);
    case CONFIG_TYPE_NAMES:
    case CONFIG_TYPE_ENDPOINTS:
    case CONFIG_TYPE_PREFIXES:
    case CONFIG_TYPE_USERS:
        return put_list(out, k, c);
    }
    return ERR_INPUT;
}

int config_dump(const struct config *c, struct buf *out)
{
    const char *section = "";
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < config_key_count; i++) {
        const struct config_key *k = &config_keys[i];
        if (strcmp(k->section, section) != 0) {
            section = k->section;
            rc = buf_printf(out, "%s:\n", section);
        }
        if (rc == 0)
            rc = buf_printf(out, "%s%s: ", section[0] ? "  " : "", k->key);
        if (rc == 0)
            rc = put_value(out, k, c);
        if (rc == 0)
            rc = buf_printf(out, "\n");
    }
    return rc;
}

/* English for a page: each sentence on a line of its own, quoted words in the page's quotes. */
static int put_sentences(struct buf *out, const char *text)
{
    bool quoted = false;
    int rc = 0;

    for (const char *p = text; rc == 0 && *p; p++) {
        if (*p == '`') {
            rc = buf_printf(out, quoted ? "\\(cq" : "\\(oq");
            quoted = !quoted;
        } else if (p[0] == '.' && p[1] == ' ') {
            rc = buf_printf(out, ".\n");
            p++;
        } else {
            rc = buf_put(out, p, 1);
        }
    }
    return rc;
}

/* What may stand there: how many, and of what. */
static int put_bounds(struct buf *out, const struct config_key *k)
{
    int rc;

    switch (k->type) {
    case CONFIG_TYPE_NUMBER:
        return buf_printf(out, "%llu to %llu %s", (unsigned long long)k->min,
                          (unsigned long long)k->max, k->unit);
    case CONFIG_TYPE_DURATION:
        rc = put_duration(out, k->min);
        if (rc == 0)
            rc = buf_printf(out, " to ");
        return rc < 0 ? rc : put_duration(out, k->max);
    case CONFIG_TYPE_WITNESSES:
    case CONFIG_TYPE_OPENINGS:
    case CONFIG_TYPE_NAMES:
    case CONFIG_TYPE_ENDPOINTS:
    case CONFIG_TYPE_PREFIXES:
    case CONFIG_TYPE_USERS:
        return buf_printf(out, "a list of %llu to %llu %s", (unsigned long long)k->min,
                          (unsigned long long)k->max, k->unit);
    default:
        return buf_printf(out, "%s", k->unit);
    }
}

static int put_item(struct buf *out, const struct config_key *k)
{
    const char *standard = k->default_yaml;
    int rc = buf_printf(out, ".It Cm %s%s%s\n", k->section, k->section[0] ? "." : "", k->key);

    if (rc == 0)
        rc = put_sentences(out, k->help);
    if (rc == 0)
        rc = buf_printf(out, "\n(");
    if (rc == 0)
        rc = put_bounds(out, k);
    if (rc == 0)
        rc = buf_printf(out, "; ");
    if (rc < 0)
        return rc;
    if (!standard)
        return buf_printf(out, "required)\n");
    return buf_printf(out, "default: %s)\n", strcmp(standard, "\"\"") == 0 ? "empty" : standard);
}

int config_document(struct buf *out)
{
    int rc = buf_printf(out, ".Bl -tag -width Ds\n");

    for (size_t i = 0; rc == 0 && i < config_key_count; i++)
        rc = put_item(out, &config_keys[i]);
    return rc < 0 ? rc : buf_printf(out, ".El\n");
}
