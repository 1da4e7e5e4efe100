/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON lines: an object a record, with every field of its header. The payload is `json` where its
 * type is one, else `text` where it is UTF-8, else `base64`; `sealed` true and none of them: no key
 * for it. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "audit/digest.h"
#include "audit/export.h"
#include "audit/note.h"
#include "base/clock.h"
#include "base/utf8.h"

static bool is_text(const uint8_t *p, size_t len)
{
    for (size_t n; len > 0; p += n, len -= n) {
        uint32_t c;

        n = utf8_next(p, len, &c);
        if (n == 0)
            return false;
    }
    return true;
}

static int put_base64(struct buf *out, const uint8_t *p, size_t len)
{
    char *text = malloc(4 * ((len + 2) / 3) + 1);
    int r = text ? 0 : ERR_MEMORY;

    if (text) {
        base64_encode(text, p, len);
        r = buf_put(out, ",\"base64\":\"", 11);
        if (r == 0)
            r = buf_put(out, text, strlen(text));
        if (r == 0)
            r = buf_put(out, "\"", 1);
    }
    free(text);
    return r;
}

static int put_payload(struct buf *out, const struct export_record *v)
{
    json_t *j = record_is_json(v->r->type)
                    ? json_loadb((const char *)v->payload, v->len, JSON_ALLOW_NUL, NULL)
                    : NULL;
    char *text = j ? json_dumps(j, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    int r;

    if (text) {
        r = buf_put(out, ",\"json\":", 8);
        if (r == 0)
            r = buf_put(out, text, strlen(text));
    } else if (is_text(v->payload, v->len)) {
        r = buf_put(out, ",\"text\":\"", 9);
        if (r == 0)
            r = json_text_put(out, v->payload, v->len);
        if (r == 0)
            r = buf_put(out, "\"", 1);
    } else {
        r = put_base64(out, v->payload, v->len);
    }
    free(text);
    json_decref(j);
    return r;
}

int export_json_put(struct exporter *x, const struct export_record *v)
{
    const struct record *r = v->r;
    const char *token = record_token(r->type);
    char time[CLOCK_TEXT], previous[DIGEST_HEX], hash[DIGEST_HEX], before[DIGEST_HEX];
    int code;

    if (r->type == RECORD_INPUT && !x->o.keystrokes)
        return 0;
    if (x->o.one_channel && r->channel != x->o.channel)
        return 0;
    digest_hex(r->previous, previous);
    digest_hex(r->payload_hash, hash);
    digest_hex(r->session_previous, before);
    code = buf_printf(
        x->out,
        "{\"index\":%" PRIu64 ",\"type\":\"%s\",\"type_number\":%u,\"flags\":%u,\"time\":\"%s\","
        "\"real_ns\":%" PRIu64 ",\"boot_ns\":%" PRIu64 ",\"session\":\"%s\",\"sequence\":%" PRIu64
        ",\"channel\":%" PRIu32 ",\"payload_length\":%" PRIu32 ",\"epoch\":%" PRIu32
        ",\"data_key\":%" PRIu32 ",\"previous\":\"%s\",\"payload_hash\":\"%s\","
        "\"session_previous\":\"%s\",\"segment\":\"%s\",\"offset\":%" PRIu64 ",\"sealed\":%s",
        r->index, token ? token : "unknown", r->type, r->flags, clock_iso(time, r->real_ns),
        r->real_ns, r->boot_ns, x->id, r->sequence, r->channel, r->payload_len, r->epoch,
        r->data_key, previous, hash, before, v->segment ? v->segment : "", v->offset,
        r->flags & RECORD_FLAG_SEALED ? "true" : "false");
    if (code == 0 && v->pruned)
        code = buf_printf(x->out, ",\"destroyed\":true");
    if (code == 0 && v->payload)
        code = put_payload(x->out, v);
    if (code == 0)
        code = buf_put(x->out, "}\n", 2);
    x->events++;
    return code;
}
