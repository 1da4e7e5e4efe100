/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads, notes keys, opens (audit/opened_records.h). */
#include "audit/opened_records.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int opened_next(struct opened_records *o, struct export_record *v, struct err *e)
{
    static const uint8_t nothing[1];
    struct source_record s;
    struct bytes plain = {NULL, 0};
    struct err failure = ERR_INIT;
    enum unseal_result result;
    int r = record_source_next(o->source, &s, -1, e);

    if (r <= 0)
        return r;
    memset(v, 0, sizeof *v);
    o->records++;
    o->bytes += RECORD_HEADER_SIZE + s.r.payload_len;
    segment_name(s.segment_first, o->segment);
    v->header = s.header;
    v->segment = o->segment;
    v->offset = s.offset;
    v->pruned = s.pruned;
    o->current = s.r;
    v->r = &o->current;
    if (!s.payload)
        return 1;
    if (s.r.type == RECORD_KEY) {
        r = unseal_note(o->unseal, &s.r, s.payload, &failure);
        if (r == ERR_MEMORY)
            return err_set(e, ERR_MEMORY, "%s", failure.text);
    }
    result = unseal_record(o->unseal, &s.r, s.header, s.payload, &plain, &failure);
    o->counts[result]++;
    if (result == UNSEAL_TAMPERED && o->counts[result] == 1)
        o->first_tampered = s.r.index;
    if (result == UNSEAL_TAMPERED || result == UNSEAL_FAILED)
        o->failure = failure;
    if (result == UNSEAL_CLEAR || result == UNSEAL_OPENED) {
        v->payload = plain.p ? plain.p : nothing;
        v->len = plain.len;
    }
    return 1;
}

int opened_report(const struct opened_records *o, bool keystrokes, struct err *e)
{
    static const enum unseal_result reasons[] = {UNSEAL_NO_IDENTITY, UNSEAL_NO_KEY,
                                                 UNSEAL_NOT_YOURS, UNSEAL_NO_KEYSTROKES};

    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (o->counts[reasons[i]] && (keystrokes || reasons[i] != UNSEAL_NO_KEYSTROKES))
            fprintf(stderr, "(%" PRIu64 " records stayed sealed: %s)\n", o->counts[reasons[i]],
                    unseal_result_text(reasons[i]));
    if (o->counts[UNSEAL_FAILED])
        fprintf(stderr, "(%" PRIu64 " records could not be opened: %s)\n", o->counts[UNSEAL_FAILED],
                o->failure.text);
    if (o->counts[UNSEAL_TAMPERED])
        return err_set(e, ERR_TAMPERED,
                       "%" PRIu64
                       " records are not as they were sealed, the first of them is record "
                       "%" PRIu64 ": %s",
                       o->counts[UNSEAL_TAMPERED], o->first_tampered, o->failure.text);
    return 0;
}
