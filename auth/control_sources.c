/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport source` (auth/control.h): which sources are slowed or blocked, and lifting that. The
 * supervisor keeps the count (gateway/penalties.h) and answers; lifting is an act, recorded before
 * it is passed on. */
#include "auth/control.h"

#include <string.h>

#include "base/log.h"

static const char *source_of(const struct control_client *client)
{
    const json_t *value = json_object_get(client->request, "source");
    return json_is_string(value) ? json_string_value(value) : "";
}

void control_source_list(struct control_client *client)
{
    struct authd *a = control_authd(client->control);
    struct authd_sources_ask m = {.client = client->id};
    struct err e = ERR_INIT;

    control_wait(client, CONTROL_SOURCES);
    watch_sent(a->supervisor, authd_sources_ask_send(watch_link(a->supervisor), &m, NULL, &e), &e);
}

static void effect_unblock(struct control_client *client)
{
    struct authd *a = control_authd(client->control);
    struct authd_source_lift m = {.client = client->id};
    struct address address;
    struct err e = ERR_INIT;

    if (address_parse(source_of(client), &address, &e) < 0) {
        control_refuse(client, "input", "%s", e.text);
        return;
    }
    address_text(&address, m.address);
    control_wait(client, CONTROL_SOURCES);
    watch_sent(a->supervisor, authd_source_lift_send(watch_link(a->supervisor), &m, NULL, &e), &e);
}

void control_source_unblock(struct control_client *client)
{
    struct address address;
    struct err e = ERR_INIT;

    if (address_parse(source_of(client), &address, &e) < 0)
        control_refuse(client, "input", "%s", e.text);
    else
        control_act(client, "source-unblock", effect_unblock);
}

void control_sources(struct control *c, uint64_t id, struct bytes json)
{
    struct control_client *client = control_client_waiting(c, id, CONTROL_SOURCES);
    json_t *all = json_loadb((const char *)json.p, json.len, 0, NULL);
    json_t *sources = json_object_get(all, "penalties");

    if (client && sources)
        control_reply(client, json_pack("{s:b, s:O}", "ok", 1, "penalties", sources));
    else if (client)
        control_refuse(client, "input", "the list of sources cannot be read");
    json_decref(all);
}

void control_source_lifted(struct control *c, uint64_t id, uint32_t count)
{
    struct control_client *client = control_client_waiting(c, id, CONTROL_SOURCES);

    if (client)
        control_reply(client, json_pack("{s:b, s:I}", "ok", 1, "unblocked", (json_int_t)count));
}
