/* SPDX-License-Identifier: Apache-2.0
 *
 * The payloads that are compared: an attestation, which comes from a frontend, and an input digest,
 * which comes from a backend. Runs in auditd; nothing of them is believed before it is of the
 * format. */
#include "audit/attest.h"

#include <jansson.h>
#include <string.h>

#include "audit/digest.h"

/* ATTEST_POINTS of some 100 bytes, twice; what is longer is not parsed. */
#define PAYLOAD_MAX 16384u

static int get_count(const json_t *object, const char *name, uint64_t *out)
{
    const json_t *value = json_object_get(object, name);

    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return ERR_SYNTAX;
    *out = (uint64_t)json_integer_value(value);
    return 0;
}

static int get_point(const json_t *object, struct attest_point *out)
{
    const char *text = json_string_value(json_object_get(object, "sha256"));

    if (!text || get_count(object, "bytes", &out->bytes) < 0)
        return ERR_SYNTAX;
    return hex_decode(text, out->sha256, sizeof out->sha256);
}

/* "start": what was passed on. */
static int get_start(const json_t *object, struct attest_start *out)
{
    const char *kind = json_string_value(json_object_get(object, "kind"));
    const char *head = json_string_value(json_object_get(object, "head"));
    const json_t *pty = json_object_get(object, "pty");
    struct attest_point words;
    int i = ATTEST_SHELL;

    while (kind && i < ATTEST_KINDS && strcmp(kind, attest_kind_name((enum attest_kind)i)))
        i++;
    if (!kind || i == ATTEST_KINDS || !json_is_boolean(pty) || get_point(object, &words) < 0 ||
        !head != (words.bytes <= ATTEST_START_SHOWN))
        return ERR_SYNTAX;
    *out = (struct attest_start){
        .kind = (enum attest_kind)i, .pty = json_is_true(pty), .bytes = words.bytes};
    memcpy(out->sha256, words.sha256, sizeof out->sha256);
    return head ? hex_decode(head, out->head, sizeof out->head) : 0;
}

static int get_points(const json_t *list, struct attest_claim *c)
{
    size_t i;
    json_t *item;

    if (!list)
        return 0;
    if (!json_is_array(list) || json_array_size(list) > ATTEST_POINTS || !c->final)
        return ERR_SYNTAX;
    json_array_foreach((json_t *)list, i, item)
    {
        if (get_point(item, &c->points[i]) < 0 || c->points[i].bytes > c->at.bytes ||
            (i > 0 && c->points[i].bytes <= c->points[i - 1].bytes))
            return ERR_SYNTAX;
    }
    c->point_count = (unsigned)json_array_size(list);
    return 0;
}

static int get_claim(const json_t *root, uint32_t channel, struct attest_claim *c)
{
    const json_t *final = json_object_get(root, "final");
    const json_t *answered = json_object_get(root, "answered");
    const json_t *start = json_object_get(root, "start");
    uint64_t number;

    c->channel = channel;
    if (start) {
        c->is_start = true;
        if (final || get_count(root, "channel", &number) < 0 || number != channel)
            return ERR_SYNTAX;
        return get_start(start, &c->start);
    }
    if (!json_is_boolean(final) || (answered && !json_is_boolean(answered)))
        return ERR_SYNTAX;
    c->final = json_is_true(final);
    c->answered = json_is_true(answered);
    if (json_object_get(root, "channels")) {
        c->is_end = true;
        return c->final ? get_count(root, "channels", &c->channels) : ERR_SYNTAX;
    }
    if (get_count(root, "channel", &number) < 0 || number != channel || get_point(root, &c->at) < 0)
        return ERR_SYNTAX;
    return get_points(json_object_get(root, "points"), c);
}

int attest_decode(const void *payload, size_t len, uint32_t channel, struct attest_claim *out,
                  struct err *e)
{
    json_t *root =
        len > PAYLOAD_MAX ? NULL : json_loadb(payload, len, JSON_REJECT_DUPLICATES, NULL);
    int r;

    *out = (struct attest_claim){.channel = channel};
    r = json_is_object(root) ? get_claim(root, channel, out) : ERR_SYNTAX;
    json_decref(root);
    return r < 0 ? err_set(e, ERR_PROTOCOL, "an attestation is not of the format") : 0;
}

/* The first block's digest is the total. */
static int get_total(const json_t *root, struct attest_point *total)
{
    const char *stream = json_string_value(json_object_get(root, "stream"));
    const char *text = json_string_value(json_object_get(root, "total"));
    struct attest_point block;
    uint64_t from;

    if (!stream || strcmp(stream, "input") != 0 || !text || get_count(root, "from", &from) < 0 ||
        get_point(root, &block) < 0 || hex_decode(text, total->sha256, sizeof total->sha256) < 0 ||
        block.bytes == 0 || block.bytes > INT64_MAX - from)
        return ERR_SYNTAX;
    if (from == 0 && memcmp(block.sha256, total->sha256, sizeof block.sha256) != 0)
        return ERR_SYNTAX;
    total->bytes = from + block.bytes;
    return 0;
}

int attest_decode_digest(const void *payload, size_t len, struct attest_point *total, struct err *e)
{
    json_t *root = json_loadb(payload, len, JSON_REJECT_DUPLICATES, NULL);
    int r = get_total(root, total);

    json_decref(root);
    return r < 0 ? err_set(e, ERR_PROTOCOL, "an input digest is not of the format") : 0;
}
