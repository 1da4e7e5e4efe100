/* SPDX-License-Identifier: Apache-2.0
 *
 * See audit/pruned_by.h. Which order took a payload follows from what auditd does (prune_look.c):
 * an order for a session takes its key record; one for a time takes what is sealed in the segments
 * that it lists, unless the session is held then, and the key record unless the session went on
 * behind them. Runs in `sallyport audit`; the records are hostile. */
#include "audit/pruned_by.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/digest.h"
#include "audit/prune_order.h"
#include "base/clock.h"
#include "base/log.h"

/* Of an order's hash so many digits are shown. */
#define HASH_SHOWN 16
/* A gateway that has more orders than this names the first of them. */
#define ORDERS_MAX 4096u

struct order {
    char words[200]; /* escaped */
    bool session;    /* else: all before a time */
    uint64_t *first; /* of the segments that it lists */
    size_t count;
};

struct pruned_by {
    pruned_by_open *open;
    void *arg;
    bool read;
    struct err trouble; /* the orders could not be read */
    uint8_t id[RECORD_SESSION_ID];
    bool held;
    struct order *orders;
    size_t count;
};

struct pruned_by *pruned_by_new(pruned_by_open *open, void *arg)
{
    struct pruned_by *p = calloc(1, sizeof *p);

    if (p) {
        p->open = open;
        p->arg = arg;
    }
    return p;
}

void pruned_by_free(struct pruned_by *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->count; i++)
        free(p->orders[i].first);
    free(p->orders);
    free(p);
}

static void put_words(struct order *o, const struct source_record *v, const json_t *j)
{
    const json_t *signers = json_object_get(j, "signers"), *name;
    const char *hash = json_string_value(json_object_get(j, "order"));
    char time[CLOCK_TEXT], plain[160];
    size_t n, i;

    n = (size_t)snprintf(plain, sizeof plain, "pruned on %s by order %.*s (signed by",
                         clock_iso_seconds(time, v->r.real_ns), HASH_SHOWN, hash ? hash : "?");
    json_array_foreach(signers, i, name)
    {
        const char *text = json_string_value(name);

        if (n < sizeof plain)
            n += (size_t)snprintf(plain + n, sizeof plain - n, "%s %.30s", i ? "," : "",
                                  text ? text : "?");
    }
    escape_text(o->words, sizeof o->words - 1, plain, strlen(plain));
    strcat(o->words, ")");
}

static int take_order(struct pruned_by *p, const struct source_record *v, const json_t *j,
                      struct err *e)
{
    const json_t *list = json_object_get(j, "segments"), *item;
    struct order o = {.words = ""}, *grown;
    size_t i;

    if (p->count == ORDERS_MAX)
        return 0;
    o.session = json_object_get(j, "session") != NULL;
    o.first = calloc(json_array_size(list) + 1, sizeof *o.first);
    grown = realloc(p->orders, (p->count + 1) * sizeof *grown);
    if (grown)
        p->orders = grown;
    if (!o.first || !grown) {
        free(o.first);
        return err_set(e, ERR_MEMORY, "no memory for the orders");
    }
    json_array_foreach(list, i, item) o.first[o.count++] =
        (uint64_t)json_integer_value(json_object_get(item, "first"));
    put_words(&o, v, j);
    p->orders[p->count++] = o;
    return 0;
}

static int take(struct pruned_by *p, const struct source_record *v, struct err *e)
{
    json_t *j;
    const char *name, *event;
    uint8_t id[RECORD_SESSION_ID];
    bool mine;
    int r = 0;

    if ((v->r.type != RECORD_PRUNE && v->r.type != RECORD_HOLD) || !v->payload)
        return 0;
    j = json_loadb((const char *)v->payload, v->r.payload_len, 0, NULL);
    name = json_string_value(json_object_get(j, "session"));
    event = json_string_value(json_object_get(j, "event"));
    mine = name && hex_decode(name, id, sizeof id) == 0 && memcmp(id, p->id, sizeof id) == 0;
    if (v->r.type == RECORD_HOLD)
        p->held = mine ? event && strcmp(event, "hold") == 0 : p->held;
    else if (mine || (!name && !p->held))
        r = take_order(p, v, j, e);
    json_decref(j);
    return r;
}

static int read_orders(struct pruned_by *p, struct err *e)
{
    struct record_source *gateway = NULL;
    struct source_record v;
    int r = p->open(p->arg, &gateway, e);

    while (r >= 0 && (r = record_source_next(gateway, &v, -1, e)) == SOURCE_RECORD)
        r = take(p, &v, e);
    record_source_free(gateway);
    return r;
}

static bool lists(const struct order *o, uint64_t segment)
{
    for (size_t i = 0; i < o->count; i++)
        if (o->first[i] == segment)
            return true;
    return false;
}

const char *pruned_by_words(struct pruned_by *p, const struct source_record *v,
                            char out[PRUNED_BY_TEXT])
{
    const bool key = v->r.type == RECORD_KEY;
    size_t n = 0;

    if (!p->read) {
        p->read = true;
        memcpy(p->id, v->r.session, sizeof p->id);
        if (read_orders(p, &p->trouble) == 0)
            p->trouble.code = 0;
    }
    if (p->trouble.code < 0) {
        snprintf(out, PRUNED_BY_TEXT, "destroyed; by whose order could not be read: %.300s",
                 p->trouble.text);
        return out;
    }
    for (size_t i = 0; i < p->count && n < PRUNED_BY_TEXT; i++) {
        const struct order *o = &p->orders[i];

        if ((o->session && !key) || !lists(o, v->segment_first))
            continue;
        /* What an order for the session found was there until then. */
        n = o->session ? 0 : n;
        n += (size_t)snprintf(out + n, PRUNED_BY_TEXT - n, "%s%s", n ? ", or " : "", o->words);
        if (!key || o->session)
            break;
    }
    if (n == 0)
        snprintf(out, PRUNED_BY_TEXT, "missing, and no order says so: audit verify");
    return out;
}
