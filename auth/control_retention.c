/* SPDX-License-Identifier: Apache-2.0
 *
 * What administrators ask about recordings that are kept or destroyed (auth/control.h). A hold is
 * one administrator's; orders to destroy or to release are two custodians', whose signatures auditd
 * checks: here they are only passed on, after the record of the act is durable. */
#include "auth/control.h"

#include <string.h>

static const char *text_of(const struct control_client *client, const char *member)
{
    const json_t *value = json_object_get(client->request, member);
    return json_is_string(value) ? json_string_value(value) : "";
}

static void effect_hold(struct control_client *client)
{
    control_reply(client, json_pack("{s:b}", "ok", 1));
}

void control_audit_hold(struct control_client *client)
{
    const char *session = text_of(client, "session");
    size_t len = strlen(text_of(client, "reason"));

    if (strlen(session) != 2 * RECORD_SESSION_ID ||
        strspn(session, "0123456789abcdef") != 2 * RECORD_SESSION_ID)
        control_refuse(client, "usage", "a hold wants the whole id of a session");
    else if (len == 0 || len > 500)
        control_refuse(client, "usage", "a hold wants a reason of 1 to 500 bytes");
    else
        control_act_as(client, RECORD_HOLD, "hold", effect_hold);
}

static void effect_prune(struct control_client *client)
{
    struct authd *a = control_authd(client->control);
    const json_t *list = json_object_get(client->request, "signatures");
    const char *order = text_of(client, "order");
    const char *first = json_string_value(json_array_get(list, 0)),
               *second = json_string_value(json_array_get(list, 1));
    struct authd_prune m = {.client = client->id,
                            .order = {(const uint8_t *)order, strlen(order)},
                            .first = {(const uint8_t *)first, strlen(first)},
                            .second = {(const uint8_t *)second, strlen(second)}};
    struct err e = ERR_INIT;

    control_wait(client, CONTROL_PRUNE);
    watch_sent(a->supervisor, authd_prune_send(watch_link(a->supervisor), &m, NULL, &e), &e);
}

void control_audit_prune(struct control_client *client)
{
    const json_t *list = json_object_get(client->request, "signatures");
    size_t len = strlen(text_of(client, "order"));
    bool ok = len > 0 && len <= 4096 && json_array_size(list) == 2;

    for (size_t i = 0; ok && i < 2; i++) {
        const json_t *one = json_array_get(list, i);
        ok = json_is_string(one) && json_string_length(one) <= 8192;
    }
    if (ok)
        control_act(client, "audit-prune", effect_prune);
    else
        control_refuse(client, "usage", "an order wants two signatures");
}
