/* SPDX-License-Identifier: Apache-2.0
 *
 * See auth/sessions.h. */
#include "auth/sessions.h"

#include <string.h>

#include "auth/connection.h"
#include "auth/session.h"

struct ending {
    const char *operator_name; /* NULL: all */
    const char *text, *token;
    unsigned count;
};

static void end_one(struct connection *c, struct ending *ending)
{
    if (c->session && c->session->ending)
        return;
    ending->count++;
    if (c->session && c->session->phase != SESSION_OVER)
        session_end(c, ending->text, ending->token);
    else
        connection_end_login(c, ending->text);
}

static unsigned end_those(struct authd *a, void (*end_if)(struct connection *, void *),
                          const char *operator_name, const char *text, const char *token)
{
    struct ending ending = {operator_name, text, token, 0};

    connection_each(a, end_if, &ending);
    return ending.count;
}

static void end_if_operator(struct connection *c, void *arg)
{
    struct ending *ending = arg;
    if (c->login.phase == LOGIN_DONE && strcmp(c->login.operator_name, ending->operator_name) == 0)
        end_one(c, ending);
}

unsigned sessions_end_operator(struct authd *a, const char *operator_name, const char *text,
                               const char *token)
{
    return end_those(a, end_if_operator, operator_name, text, token);
}

static void end_if_remembered(struct connection *c, void *arg)
{
    if (c->login.factors & FACTOR_REMEMBERED)
        end_if_operator(c, arg);
}

unsigned sessions_end_remembered(struct authd *a, const char *operator_name, const char *text,
                                 const char *token)
{
    return end_those(a, end_if_remembered, operator_name, text, token);
}

static void end_if_password(struct connection *c, void *arg)
{
    struct ending *ending = arg;
    /* Also a login that still wants its code: what opened it is no factor any more. */
    if ((c->login.factors & FACTOR_PASSWORD) &&
        strcmp(c->login.operator_name, ending->operator_name) == 0)
        end_one(c, ending);
}

unsigned sessions_end_password(struct authd *a, const char *operator_name, const char *text,
                               const char *token)
{
    return end_those(a, end_if_password, operator_name, text, token);
}

static bool still_known(const struct connection *c)
{
    const struct policy_operator *op =
        policy_operator_named(c->a->world.policy, c->login.operator_name);
    /* Of a session from before authd's start the key is not known. */
    if (!op || !*c->login.fingerprint)
        return op != NULL;
    for (size_t i = 0; i < op->key_count; i++)
        if (strcmp(op->keys[i].fingerprint, c->login.fingerprint) == 0)
            return true;
    return false;
}

static void end_if_unknown(struct connection *c, void *arg)
{
    /* A session is decided about again with all that it is (auth/live.h). */
    const struct login *l = &c->login;
    if (!*l->operator_name || (c->session && c->session->live.known))
        return;
    if (!still_known(c))
        end_one(c, arg);
    /* Told after both factors only, as at `open`. */
    else if (l->phase == LOGIN_DONE &&
             !policy_operator_may_come_from(c->a->world.policy, l->operator_name, &l->source))
        connection_end_login(c, "Your login ended: you may not come from this address any more.");
}

unsigned sessions_sweep(struct authd *a)
{
    struct ending ending = {
        NULL, "Your login ended: you, or the key you came with, are not in the policy any more.",
        "no-operator", 0};
    connection_each(a, end_if_unknown, &ending);
    return ending.count;
}

static void end_any(struct connection *c, void *arg)
{
    end_one(c, arg);
}

void sessions_end_all(struct authd *a, const char *text, const char *token)
{
    struct ending ending = {NULL, text, token, 0};
    connection_each(a, end_any, &ending);
}
