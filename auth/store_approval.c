/* SPDX-License-Identifier: Apache-2.0
 *
 * See auth/store.h: which policy set was approved last, and by whom the next one has to be. One
 * row, not sealed: it is no secret, and who can write the store can also take an old one. */
#include <string.h>

#include "auth/store_internal.h"

int store_approval_read(struct store *s, struct store_approval *out, struct err *e)
{
    sqlite3_stmt *st = store_bind(s, STMT_APPROVAL_READ, "");
    int rc = store_row(s, st, e);

    out->serial = 0;
    memset(out->manifest, 0, sizeof out->manifest);
    buf_init(&out->approvers, STORE_APPROVERS_MAX);
    if (rc <= 0)
        return rc;
    const sqlite3_int64 serial = sqlite3_column_int64(st, 0);
    const void *manifest = sqlite3_column_blob(st, 1), *approvers = sqlite3_column_blob(st, 2);
    const size_t len = (size_t)sqlite3_column_bytes(st, 2);
    rc = 0;
    if (serial < 1 || !manifest || sqlite3_column_bytes(st, 1) != STORE_HASH_BYTES ||
        len > STORE_APPROVERS_MAX) {
        rc = err_set(e, ERR_TAMPERED, "store: what it says of the policy's approval is malformed");
    } else {
        out->serial = (uint64_t)serial;
        memcpy(out->manifest, manifest, sizeof out->manifest);
        if (len && buf_put(&out->approvers, approvers, len) < 0)
            rc = err_set(e, ERR_MEMORY, "store");
    }
    store_done(st);
    return rc;
}

int store_approval_put(struct store *s, uint64_t serial, const uint8_t manifest[STORE_HASH_BYTES],
                       struct bytes approvers, struct err *e)
{
    /* A NULL blob would be null, which the column refuses. */
    const void *text = approvers.len ? (const void *)approvers.p : "";

    return store_run(s,
                     store_bind(s, STMT_APPROVAL_PUT, "ibb", serial, (const void *)manifest,
                                (size_t)STORE_HASH_BYTES, text, approvers.len),
                     NULL, e);
}
