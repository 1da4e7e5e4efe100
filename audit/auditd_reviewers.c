/* SPDX-License-Identifier: Apache-2.0
 *
 * For whom auditd seals. The list comes from the supervisor and is checked again here; which list
 * was in force when is a record. Sessions that have their keys keep them. Runs in auditd. */
#include "audit/auditd_state.h"
#include "base/json_out.h"
#include "base/log.h"

#define PAYLOAD_MAX 16384u

static int record_list(struct auditd *a, struct err *e)
{
    static const uint8_t gateway[RECORD_SESSION_ID];
    struct json_out j;
    struct buf payload;
    int r;

    buf_init(&payload, PAYLOAD_MAX);
    json_begin(&j, &payload);
    json_str(&j, "event", "reviewers");
    json_open_array(&j, "reviewers");
    for (size_t i = 0; i < a->reviewers.count; i++) {
        const struct reviewer *v = &a->reviewers.at[i];
        char recipient[AGE_RECIPIENT_TEXT];

        age_recipient_text(v->key, recipient);
        json_open_object(&j, NULL);
        json_str(&j, "name", v->name);
        json_str(&j, "recipient", recipient);
        json_bool(&j, "keystrokes", v->keystrokes);
        json_close(&j);
    }
    json_close(&j);
    r = json_end(&j);
    if (r < 0)
        err_set(e, (enum err_code)r, "cannot compose a key record");
    else
        r = trail_append(a->trail, RECORD_KEY, gateway, 0, buf_head(&payload), buf_len(&payload),
                         e);
    buf_clear(&payload);
    return r;
}

int auditd_parse_reviewers(struct reviewers *out, struct bytes lines, struct err *e)
{
    int r = reviewers_decode(out, lines.p, lines.len, e);

    for (size_t i = 0; r == 0 && i < out->count; i++) {
        r = age_recipient_check(out->at[i].key, e);
        if (r < 0)
            err_wrap(e, "reviewer %s", out->at[i].name);
    }
    return r;
}

int auditd_take_reviewers(struct auditd *a, const struct reviewers *list, struct err *e)
{
    if (reviewers_equal(list, &a->reviewers))
        return 0;
    a->reviewers = *list;
    log_info("reviewers", "count=%zu", list->count);
    return record_list(a, e);
}
