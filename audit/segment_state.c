/* SPDX-License-Identifier: Apache-2.0
 *
 * The payload of a segment's first record: the Merkle tree's compact range and every session that
 * may still get records, so that recovery need not read the segments before. Runs in auditd.
 * What is read here is believed only after the root at the checkpoint came out right. */
#include <jansson.h>
#include <string.h>

#include "audit/segment_state.h"
#include "base/json_out.h"

int segment_state_write(struct buf *out, const struct chain *c, const char *origin, struct err *e)
{
    char key[VKEY_MAX];
    struct json_out j;
    int r;

    INVARIANT(chain_is_linked(c) && c->merkle.gathered == 0);
    vkey_text(&c->epoch.key, key);
    json_begin(&j, out);
    json_str(&j, "origin", origin);
    json_u64(&j, "first", c->next);
    json_u64(&j, "epoch", c->epoch.number);
    json_str(&j, "epoch_key", key);
    json_u64(&j, "epoch_first", c->epoch.first);
    json_u64(&j, "epoch_real_ns", c->epoch.real_ns);
    json_u64(&j, "epoch_boot_ns", c->epoch.boot_ns);
    json_str(&j, "run", chain_run_name(c->run));
    json_open_array(&j, "merkle");
    for (unsigned i = 0; i < c->merkle.count; i++)
        json_hex(&j, NULL, c->merkle.roots[i], RECORD_HASH_SIZE);
    json_close(&j);
    json_open_array(&j, "sessions");
    for (struct session_state *s = sessions_first(c->sessions); s; s = s->newer) {
        json_open_object(&j, NULL);
        json_hex(&j, "id", s->id, sizeof s->id);
        json_u64(&j, "sequence", s->next_sequence);
        json_hex(&j, "leaf", s->leaf, sizeof s->leaf);
        json_bool(&j, "started", s->started);
        json_bool(&j, "ended", s->ended);
        json_bool(&j, "judged", s->judged);
        json_u64(&j, "start_ns", s->start_ns);
        json_u64(&j, "bytes_in", s->bytes_in);
        json_u64(&j, "bytes_out", s->bytes_out);
        json_close(&j);
    }
    json_close(&j);
    r = json_end(&j);
    if (r < 0)
        err_set(e, (enum err_code)r, "the segment's first record does not fit its bounds");
    return r;
}

static int get_hex(json_t *value, uint8_t *out, size_t len)
{
    const char *text = json_string_value(value);

    return text ? hex_decode(text, out, len) : ERR_SYNTAX;
}

static int get_u64(json_t *object, const char *name, uint64_t *out)
{
    json_t *value = json_object_get(object, name);

    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return ERR_SYNTAX;
    *out = (uint64_t)json_integer_value(value);
    return 0;
}

static int read_session(struct chain *c, json_t *object)
{
    uint8_t id[RECORD_SESSION_ID];
    struct session_state *s;

    if (get_hex(json_object_get(object, "id"), id, sizeof id) < 0 || sessions_find(c->sessions, id))
        return ERR_SYNTAX;
    s = sessions_get(c->sessions, id);
    if (!s)
        return ERR_MEMORY;
    if (get_u64(object, "sequence", &s->next_sequence) < 0 ||
        get_hex(json_object_get(object, "leaf"), s->leaf, sizeof s->leaf) < 0 ||
        get_u64(object, "start_ns", &s->start_ns) < 0 ||
        get_u64(object, "bytes_in", &s->bytes_in) < 0 ||
        get_u64(object, "bytes_out", &s->bytes_out) < 0 ||
        !json_is_boolean(json_object_get(object, "started")) ||
        !json_is_boolean(json_object_get(object, "ended")) ||
        !json_is_boolean(json_object_get(object, "judged")))
        return ERR_SYNTAX;
    s->started = json_is_true(json_object_get(object, "started"));
    s->ended = json_is_true(json_object_get(object, "ended"));
    s->judged = json_is_true(json_object_get(object, "judged"));
    return 0;
}

static int read_epoch(struct chain *c, json_t *root)
{
    char name[NOTE_NAME_MAX + 1];
    const char *key = json_string_value(json_object_get(root, "epoch_key"));
    uint64_t number = 0;

    if (!key || vkey_parse(&c->epoch.key, key, NULL) < 0 || get_u64(root, "epoch", &number) < 0 ||
        number > UINT32_MAX || get_u64(root, "epoch_first", &c->epoch.first) < 0 ||
        c->epoch.first > c->next || get_u64(root, "epoch_real_ns", &c->epoch.real_ns) < 0 ||
        get_u64(root, "epoch_boot_ns", &c->epoch.boot_ns) < 0 ||
        chain_run_parse(json_string_value(json_object_get(root, "run")), &c->run) < 0)
        return ERR_SYNTAX;
    c->epoch.number = (uint32_t)number;
    epoch_key_name(name, c->origin, c->epoch.number);
    return strcmp(c->epoch.key.name, name) == 0 ? 0 : ERR_SYNTAX;
}

int segment_state_read(struct chain *c, const struct record *r, const void *payload, struct err *e)
{
    json_t *root = json_loadb(payload, r->payload_len, JSON_REJECT_DUPLICATES, NULL);
    json_t *merkle = json_object_get(root, "merkle"), *list = json_object_get(root, "sessions");
    const char *origin = json_string_value(json_object_get(root, "origin"));
    uint64_t first = 0;
    size_t i, count = json_array_size(merkle);
    json_t *item;
    int rc = ERR_SYNTAX;

    if (r->type != RECORD_SEGMENT || get_u64(root, "first", &first) < 0 || first != r->index ||
        !origin || strcmp(origin, c->origin) != 0 || !json_is_array(merkle) ||
        !json_is_array(list) || count != (size_t)__builtin_popcountll(first))
        goto out;
    json_array_foreach(merkle, i, item)
    {
        if (get_hex(item, c->merkle.roots[i], RECORD_HASH_SIZE) < 0)
            goto out;
    }
    json_array_foreach(list, i, item)
    {
        rc = read_session(c, item);
        if (rc < 0)
            goto out;
    }
    c->merkle.size = first;
    c->merkle.count = (unsigned)count;
    c->merkle.gathered = 0;
    c->next = first;
    memcpy(c->leaf, r->previous, RECORD_HASH_SIZE);
    rc = read_epoch(c, root);
out:
    json_decref(root);
    if (rc == ERR_SYNTAX)
        rc = ERR_TAMPERED;
    if (rc < 0)
        err_set(e, (enum err_code)rc, "the segment's first record is not a proper segment record");
    return rc;
}

static bool same_session(const struct session_state *a, const struct session_state *b)
{
    return b && a->next_sequence == b->next_sequence &&
           memcmp(a->leaf, b->leaf, sizeof a->leaf) == 0 && a->started == b->started &&
           a->ended == b->ended;
}

int segment_state_check(const struct chain *c, const struct record *r, const void *payload,
                        struct err *e)
{
    struct chain said = {.sessions = sessions_new()};
    int rc = said.sessions ? 0 : err_set(e, ERR_MEMORY, "no memory for the sessions");
    bool same;

    memcpy(said.origin, c->origin, sizeof said.origin);
    if (rc == 0)
        rc = segment_state_read(&said, r, payload, e);
    if (rc < 0)
        goto out;
    same = said.epoch.number == c->epoch.number && said.epoch.first == c->epoch.first &&
           said.epoch.real_ns == c->epoch.real_ns && said.epoch.boot_ns == c->epoch.boot_ns &&
           memcmp(said.epoch.key.key, c->epoch.key.key, sizeof said.epoch.key.key) == 0 &&
           said.run == c->run && said.merkle.count == c->merkle.count &&
           memcmp(said.merkle.roots, c->merkle.roots, said.merkle.count * RECORD_HASH_SIZE) == 0;
    for (struct session_state *s = sessions_first(said.sessions); same && s; s = s->newer)
        same = same_session(s, sessions_find(c->sessions, s->id));
    if (!same)
        rc = err_set(e, ERR_TAMPERED,
                     "the segment's first record does not say what the records before it give");
out:
    sessions_free(said.sessions);
    return rc;
}
