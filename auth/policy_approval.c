/* SPDX-License-Identifier: Apache-2.0
 *
 * See auth/policy_approval.h. */
#include "auth/policy_approval.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

_Static_assert(STORE_APPROVERS_MAX == APPROVERS_FILE_MAX, "what was approved can be stored");
_Static_assert(STORE_HASH_BYTES == MANIFEST_HASH, "hashes");

struct policy_approval {
    struct authd *a;
    bool known; /* the store was read */
    struct approval_state state;
    struct approvers *approvers; /* state.approvers */
    struct buf text;             /* approvers.yaml, of which they are */
    struct approval next;
    bool pending; /* next waits for its record */
};

struct policy_approval *policy_approval_new(struct authd *a)
{
    struct policy_approval *p = calloc(1, sizeof *p);

    if (p) {
        p->a = a;
        buf_init(&p->text, STORE_APPROVERS_MAX);
    }
    return p;
}

void policy_approval_free(struct policy_approval *p)
{
    if (!p)
        return;
    approvers_free(p->approvers);
    buf_clear(&p->text);
    free(p);
}

int policy_approval_begin(struct policy_approval *p, struct err *e)
{
    struct store_approval row;
    int rc;

    p->pending = false;
    if (p->known)
        return 0;
    rc = store_approval_read(p->a->world.store, &row, e);
    if (rc == 0 && buf_len(&row.approvers)) {
        p->approvers = approvers_parse("the store's " APPROVERS_FILE, buf_head(&row.approvers),
                                       buf_len(&row.approvers), e);
        rc = p->approvers ? 0 : e->code;
    }
    if (rc < 0) {
        buf_clear(&row.approvers);
        return rc;
    }
    buf_clear(&p->text);
    p->text = row.approvers;
    p->state.serial = row.serial;
    memcpy(p->state.manifest, row.manifest, sizeof p->state.manifest);
    p->state.approvers = p->approvers;
    p->known = true;
    return 0;
}

int policy_approval_try(const struct policy_approval *p, const void *block, size_t len,
                        struct err *e)
{
    struct approval *result = calloc(1, sizeof *result);
    int rc = result ? approval_check(block, len, &p->state, result, e)
                    : err_set(e, ERR_MEMORY, "approval");

    free(result);
    return rc;
}

/* Who may change the policy changes: once that is right, and otherwise an intruder's first act, so
 * somebody should look. Before the policy record, so that it is durable when that is. */
static void tell(const struct policy_approval *p)
{
    const bool begin = p->next.kind == APPROVAL_BEGIN;
    char text[300];

    if (!begin && p->next.kind != APPROVAL_END)
        return;
    if (begin)
        snprintf(text, sizeof text,
                 "approvers come into force with serial %llu: the set's own, %s and %zu others "
                 "signed it, and nobody before them had to approve",
                 (unsigned long long)p->next.serial, p->next.author.name, p->next.approved_count);
    else
        snprintf(text, sizeof text,
                 "no approvers are in force from serial %llu on (there were %zu): root alone "
                 "changes the policy",
                 (unsigned long long)p->next.serial, p->state.approvers->count);
    authd_alarm(p->a, 0, NULL, begin ? "approvers-begin" : "approvers-end", text);
    log_warn("approvers", "text=\"%s\"", text);
}

int policy_approval_check(struct policy_approval *p, const void *block, size_t len, struct err *e)
{
    int rc = p->known ? approval_check(block, len, &p->state, &p->next, e)
                      : err_set(e, ERR_SYSTEM, "who has to approve is not known");

    p->pending = rc == 0;
    if (rc == 0)
        tell(p);
    if (rc == 0 && p->next.unchecked)
        log_warn("policy-approval",
                 "text=\"the manifest was not looked at: no approvers are set\"");
    return rc;
}

void policy_approval_record(const struct policy_approval *p, struct json_out *j)
{
    const struct approval *next = &p->next;

    if (!p->pending || next->kind == APPROVAL_NONE)
        return;
    json_open_object(j, "approval");
    json_str(j, "kind", approval_kind_name(next->kind));
    json_u64(j, "serial", next->serial);
    json_hex(j, "manifest", next->manifest, sizeof next->manifest);
    if (next->kind != APPROVAL_SAME) {
        json_str(j, "author", next->author.name);
        json_str(j, "author_key", next->author.fingerprint);
        json_open_array(j, "approved_by");
        for (size_t i = 0; i < next->approved_count; i++) {
            json_open_object(j, NULL);
            json_str(j, "name", next->approved_by[i].name);
            json_str(j, "key", next->approved_by[i].fingerprint);
            json_close(j);
        }
        json_close(j);
    }
    json_close(j);
}

int policy_approval_accept(struct policy_approval *p, struct err *e)
{
    const struct approval *next = &p->next;
    struct approvers *list = NULL;
    struct buf text;
    int rc;

    if (!p->pending)
        return err_set(e, ERR_SYSTEM, "nothing waits to be approved");
    p->pending = false;
    if (next->kind == APPROVAL_NONE || next->kind == APPROVAL_SAME)
        return 0;
    buf_init(&text, STORE_APPROVERS_MAX);
    rc = next->approvers.len ? buf_put(&text, next->approvers.p, next->approvers.len) : 0;
    if (rc == 0 && next->approvers.len) {
        list = approvers_parse(APPROVERS_FILE, buf_head(&text), buf_len(&text), e);
        rc = list ? 0 : e->code;
    }
    if (rc == 0)
        rc =
            store_approval_put(p->a->world.store, next->serial, next->manifest, next->approvers, e);
    if (rc < 0) {
        buf_clear(&text);
        approvers_free(list);
        if (!e->code)
            err_set(e, (enum err_code)rc, "%s", err_text((enum err_code)rc));
        return err_wrap(e, "the approval cannot be stored");
    }
    approvers_free(p->approvers);
    p->approvers = list;
    buf_clear(&p->text);
    p->text = text;
    p->state.serial = next->serial;
    memcpy(p->state.manifest, next->manifest, sizeof p->state.manifest);
    p->state.approvers = p->approvers;
    return 0;
}

void policy_approval_refused(struct policy_approval *p, const char *text)
{
    authd_alarm(p->a, 0, NULL, "policy-not-approved", text);
}

const struct approval_state *policy_approval_state(struct policy_approval *p, struct bytes *text,
                                                   struct err *e)
{
    if (!p->known && policy_approval_begin(p, e) < 0)
        return NULL;
    *text = (struct bytes){buf_head(&p->text), buf_len(&p->text)};
    return &p->state;
}
