/* SPDX-License-Identifier: Apache-2.0
 *
 * The verbs of `sallyport user password` (auth/control.h). A password itself does not cross the
 * control socket: the tool hashes it, and what comes here is its hash, of our own form and cost
 * (auth/password.h), which is in no record. A new password, like none, ends what the old one had
 * opened. Runs in authd. */
#include <stdio.h>
#include <string.h>

#include "auth/control.h"
#include "auth/password.h"
#include "auth/sessions.h"

static const char *text_of(const struct control_client *client, const char *member)
{
    const json_t *value = json_object_get(client->request, member);

    return json_is_string(value) ? json_string_value(value) : "";
}

/* hash NULL: none from now on. */
static int store_it(struct store *s, const char *name, const char *hash, uint64_t now_s,
                    unsigned *certificates, struct err *e)
{
    int rc = store_begin(s, e);

    if (rc == 0)
        rc = hash ? store_password_put(s, name, hash, e) : store_password_remove(s, name, e);
    if (rc == 0)
        rc = store_certificates_end_beside(s, name, FACTOR_PASSWORD,
                                           hash ? "password-changed" : "password-removed", now_s,
                                           certificates, e);
    if (rc == 0)
        rc = store_commit(s, e);
    if (rc < 0)
        store_rollback(s);
    return rc;
}

static void change(struct control_client *client, const char *hash)
{
    struct authd *a = control_authd(client->control);
    const char *name = text_of(client, "operator");
    unsigned certificates = 0;
    struct err e = ERR_INIT;
    int rc = store_it(a->world.store, name, hash, authd_now_s(a), &certificates, &e);
    /* Also when the store failed: a password that is known to others may hold a session open. */
    unsigned sessions = sessions_end_password(
        a, name, "Your access ended: an administrator changed your password.", "password-changed");

    if (rc == ERR_NOT_FOUND)
        control_refuse(client, "not-found", "%s", e.text);
    else if (rc < 0)
        control_store_failed(client, &e);
    else
        control_reply(client,
                      json_pack("{s:b, s:I, s:I}", "ok", 1, "sessions", (json_int_t)sessions,
                                "certificates", (json_int_t)certificates));
}

static void effect_set(struct control_client *client)
{
    change(client, text_of(client, "hash"));
}

void control_user_password(struct control_client *client)
{
    if (!control_operator_known(client))
        return;
    if (!password_hash_is(text_of(client, "hash")))
        control_refuse(client, "usage",
                       "the hash is not one that this gateway checks; is this `sallyport` of "
                       "another version?");
    else
        control_act(client, "user-password-set", effect_set);
}

static void effect_remove(struct control_client *client)
{
    change(client, NULL);
}

/* Also of somebody who is not in operators.yaml any more: he may be there again some day. */
void control_user_password_remove(struct control_client *client)
{
    const struct authd *a = control_authd(client->control);
    const char *name = text_of(client, "operator");
    struct err e = ERR_INIT;
    bool has = false;
    int rc = store_password_has(a->world.store, name, &has, &e);

    if (has)
        control_act(client, "user-password-removed", effect_remove);
    else if (rc < 0)
        control_store_failed(client, &e);
    else if (control_operator_known(client))
        control_refuse(client, "not-found", "%s has no password", name);
}
