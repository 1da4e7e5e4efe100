/* SPDX-License-Identifier: Apache-2.0
 *
 * What administrators ask on the control socket (auth/control.h). Lists are read at once; acts go
 * through control_act, so their effects here run after their ADMIN record is durable. */
#include "auth/control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/connection.h"
#include "auth/enrol.h"
#include "auth/hasher.h"
#include "auth/policy_set.h"
#include "auth/session.h"
#include "auth/sessions.h"
#include "auth/vault.h"
#include "base/clock.h"
#include "base/log.h"
#include "gateway/messages.h"

static json_t *time_or_null(uint64_t when_s)
{
    char text[CLOCK_TEXT];
    return when_s ? json_string(clock_iso_seconds(text, when_s * 1000000000ull)) : json_null();
}

static const char *hex_text(const uint8_t *bytes, size_t len, char out[65])
{
    for (size_t i = 0; i < len && i < 32; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    return out;
}

static const char *text_of(const struct control_client *client, const char *member)
{
    const json_t *value = json_object_get(client->request, member);
    return json_is_string(value) ? json_string_value(value) : "";
}

static struct authd *authd_of(struct control_client *client)
{
    return control_authd(client->control);
}

void control_store_failed(struct control_client *client, const struct err *e)
{
    log_error("store", "text=\"%s\"", e->text);
    control_refuse(client, err_token((enum err_code)e->code), "the gateway's state: %s",
                   err_text((enum err_code)e->code));
}

/* ---- status ---- */

json_t *control_status(struct authd *a, struct bytes supervisor_json)
{
    const struct policy *p = a->world.policy;
    char hash[65] = "";
    unsigned sessions = 0;
    for (size_t i = 0; i < AUTHD_BUCKETS; i++)
        for (const struct connection *c = a->bucket[i]; c; c = c->next)
            sessions += c->session && session_has_backend(c->session);
    json_t *supervisor = json_loadb((const char *)supervisor_json.p, supervisor_json.len, 0, NULL);
    struct hasher_counts passwords;
    hasher_count(a->hasher, &passwords);
    return json_pack(
        "{s:b, s:s, s:I, s:s, s:I, s:I, s:I, s:b, s:I, s:I, s:{s:I, s:I, s:I}, s:o}", "ok", 1,
        "gateway", a->gateway, "generation", (json_int_t)policy_set_generation(a->policies),
        "policy", p ? hex_text(policy_hash(p), 32, hash) : "", "operators",
        (json_int_t)(p ? policy_operator_count(p) : 0), "targets",
        (json_int_t)(p ? policy_target_count(p) : 0), "roles",
        (json_int_t)(p ? policy_role_count(p) : 0), "recorder", trail_client_open(a->trail),
        "connections", (json_int_t)a->connections, "sessions", (json_int_t)sessions, "passwords",
        "checked", (json_int_t)passwords.made, "refused", (json_int_t)passwords.refused, "waiting",
        (json_int_t)passwords.waiting, "supervisor", supervisor ? supervisor : json_null());
}

static void verb_status(struct control_client *client)
{
    struct authd *a = authd_of(client);
    struct authd_stats_ask m = {0};
    struct err e = ERR_INIT;
    client->waiting = CONTROL_STATS;
    watch_sent(a->supervisor, authd_stats_ask_send(watch_link(a->supervisor), &m, NULL, &e), &e);
}

static void verb_policy_load(struct control_client *client)
{
    struct authd *a = authd_of(client);
    struct authd_reload m = {0};
    struct err e = ERR_INIT;
    client->waiting = CONTROL_POLICY;
    watch_sent(a->supervisor, authd_reload_send(watch_link(a->supervisor), &m, NULL, &e), &e);
}

/* ---- lists ---- */

static json_t *string_list(const char *const *items, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_string(items[i]));
    return list;
}

static json_t *fingerprints(const struct policy_key *keys, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_string(keys[i].fingerprint));
    return list;
}

/* How an operator is locked, in words; null: not. */
static json_t *lock_text(const struct store_operator *row, uint64_t now_s)
{
    char when[LOCKOUT_TIME_TEXT];
    if (row->admin_locked)
        return json_sprintf("by an administrator: %s", row->lock_reason);
    if (lockout_holds(&row->lockout, now_s))
        return json_sprintf("wrong codes, until %s",
                            lockout_time_text(row->lockout.locked_until_s, now_s, when));
    return json_null();
}

static json_t *user_entry(struct authd *a, const struct policy_operator *op, struct err *e)
{
    struct store_operator row;
    uint64_t now_s = authd_now_s(a), token_s = 0, until_s = 0;
    unsigned certificates = 0;
    bool has_password = false;
    json_t *entry = NULL;

    if (store_operator_read(a->world.store, op->name, &row, e) == 0 &&
        store_password_has(a->world.store, op->name, &has_password, e) == 0 &&
        store_enrolment_read(a->world.store, op->name, now_s, &token_s, e) == 0 &&
        store_certificates_live(a->world.store, op->name, now_s, &certificates, &until_s, e) == 0)
        entry = json_pack(
            "{s:s, s:s?, s:o, s:o, s:b, s:b, s:o, s:o, s:o, s:I, s:o, s:I, s:o}", "operator",
            op->name, "name", op->full_name, "groups", string_list(op->groups, op->group_count),
            "keys", fingerprints(op->keys, op->key_count), "enrolled", row.totp != NULL, "password",
            has_password, "locked", lock_text(&row, now_s), "lock_reason",
            row.admin_locked ? json_string(row.lock_reason) : json_null(), "locked_until",
            time_or_null(lockout_holds(&row.lockout, now_s) ? row.lockout.locked_until_s : 0),
            "failures", (json_int_t)row.lockout.failures, "enrolment_expires",
            time_or_null(token_s), "remembered", (json_int_t)certificates, "remembered_until",
            time_or_null(until_s));
    store_operator_clear(&row);
    if (!entry && !e->code)
        err_set(e, ERR_MEMORY, "list");
    return entry;
}

static void verb_user_list(struct control_client *client)
{
    struct authd *a = authd_of(client);
    struct err e = ERR_INIT;
    json_t *users = json_array();
    for (size_t i = 0; i < policy_operator_count(a->world.policy); i++) {
        json_t *entry = user_entry(a, policy_operator_at(a->world.policy, i), &e);
        if (!entry) {
            json_decref(users);
            control_store_failed(client, &e);
            return;
        }
        json_array_append_new(users, entry);
    }
    control_reply(client, json_pack("{s:b, s:o}", "ok", 1, "users", users));
}

static int add_account(void *arg, const char *account, const uint8_t *blob, size_t len)
{
    struct buf text;
    buf_init(&text, 8192);
    char *key = vault_public_text(blob, len, &text) == 0 ? buf_string(&text) : NULL;
    json_array_append_new(arg, json_pack("{s:s, s:s?}", "account", account, "public_key", key));
    free(key);
    buf_clear(&text);
    return 0;
}

static void verb_target_list(struct control_client *client)
{
    struct authd *a = authd_of(client);
    struct err e = ERR_INIT;
    json_t *targets = json_array();
    char address[ADDRESS_TEXT];
    for (uint32_t i = 0; i < policy_target_count(a->world.policy); i++) {
        const struct policy_target *t = policy_target_at(a->world.policy, i);
        json_t *accounts = json_array();
        if (store_vault_each(a->world.store, t->name, add_account, accounts, &e) < 0) {
            json_decref(accounts);
            json_decref(targets);
            control_store_failed(client, &e);
            return;
        }
        json_array_append_new(
            targets,
            json_pack("{s:s, s:s, s:I, s:o, s:o, s:o}", "target", t->name, "address",
                      address_text(&t->address, address), "port", (json_int_t)t->port, "aliases",
                      string_list(t->aliases, t->alias_count), "host_keys",
                      fingerprints(t->host_keys, t->host_key_count), "accounts", accounts));
    }
    control_reply(client, json_pack("{s:b, s:o}", "ok", 1, "targets", targets));
}

static void session_entry(struct connection *c, void *arg)
{
    static const char *const states[] = {"starting", "running", "failed", "ended"};
    char id[65] = "", factors[100];
    const struct session *s = c->session;
    if (!s || s->phase == SESSION_DECIDING || s->phase == SESSION_OVER)
        return;
    json_array_append_new(
        arg,
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:I, s:s}", "session",
                  hex_text(s->id, sizeof s->id, id), "operator", c->login.operator_name, "source",
                  c->login.source_text, "target", s->decision.target, "account",
                  c->login.destination.account, "factors", login_factors_text(&c->login, factors),
                  "started", time_or_null(s->started_s), "connection", (json_int_t)c->conn, "state",
                  s->ending      ? "ending"
                  : s->inherited ? "running"
                                 : states[s->backend_state]));
}

static void verb_session_list(struct control_client *client)
{
    json_t *sessions = json_array();
    connection_each(authd_of(client), session_entry, sessions);
    control_reply(client, json_pack("{s:b, s:o}", "ok", 1, "sessions", sessions));
}

/* ---- acts on operators ---- */

bool control_operator_known(struct control_client *client)
{
    const char *name = text_of(client, "operator");
    char shown[300];
    if (policy_operator_named(authd_of(client)->world.policy, name))
        return true;
    control_refuse(client, "not-found", "there is no operator named \"%s\" in operators.yaml",
                   escape_text(shown, sizeof shown, name, strnlen(name, 64)));
    return false;
}

static void effect_lock(struct control_client *client)
{
    struct authd *a = authd_of(client);
    struct store *s = a->world.store;
    const char *name = text_of(client, "operator"), *reason = text_of(client, "reason");
    char text[1000], shown[4 * STORE_REASON_MAX + 1];
    struct err e = ERR_INIT;
    unsigned certificates = 0;
    int rc = store_begin(s, &e);
    if (rc == 0)
        rc = store_operator_set_admin_lock(s, name, reason, &e);
    if (rc == 0)
        rc = store_certificates_end(s, name, "locked", authd_now_s(a), &certificates, &e);
    if (rc == 0)
        rc = store_commit(s, &e);
    if (rc < 0)
        store_rollback(s);
    /* Also when the store failed: ending sessions is what a lock is most wanted for. */
    snprintf(text, sizeof text, "Your login was locked by an administrator: %s",
             escape_text(shown, sizeof shown, reason, strlen(reason)));
    unsigned sessions = sessions_end_operator(a, name, text, "locked");
    if (rc < 0)
        control_store_failed(client, &e);
    else
        control_reply(client,
                      json_pack("{s:b, s:I, s:I}", "ok", 1, "sessions", (json_int_t)sessions,
                                "certificates", (json_int_t)certificates));
}

static void verb_user_lock(struct control_client *client)
{
    size_t len = strlen(text_of(client, "reason"));
    if (!control_operator_known(client))
        return;
    if (len == 0 || len > STORE_REASON_MAX)
        control_refuse(client, "usage", "a lock wants a reason of 1 to %d bytes", STORE_REASON_MAX);
    else
        control_act(client, "user-lock", effect_lock);
}

static void effect_unlock(struct control_client *client)
{
    struct store *s = authd_of(client)->world.store;
    const char *name = text_of(client, "operator");
    const struct lockout none = {0};
    struct err e = ERR_INIT;
    int rc = store_begin(s, &e);
    if (rc == 0)
        rc = store_operator_set_admin_lock(s, name, NULL, &e);
    if (rc == 0)
        rc = store_operator_set_lockout(s, name, &none, &e);
    if (rc == 0)
        rc = store_commit(s, &e);
    if (rc < 0) {
        store_rollback(s);
        control_store_failed(client, &e);
    } else {
        control_reply(client, json_pack("{s:b}", "ok", 1));
    }
}

static void verb_user_unlock(struct control_client *client)
{
    if (control_operator_known(client))
        control_act(client, "user-unlock", effect_unlock);
}

static void effect_forget(struct control_client *client)
{
    struct authd *a = authd_of(client);
    struct err e = ERR_INIT;
    const char *name = text_of(client, "operator");
    unsigned count = 0;
    int rc = store_certificates_end(a->world.store, name, "forgotten-by-admin", authd_now_s(a),
                                    &count, &e);
    /* Also when the store failed: a device that was lost may hold a session open. */
    unsigned sessions = sessions_end_remembered(
        a, name, "Your access ended: an administrator ended your remembered logins.", "forgotten");
    if (rc < 0)
        control_store_failed(client, &e);
    else
        control_reply(client, json_pack("{s:b, s:I, s:I}", "ok", 1, "sessions",
                                        (json_int_t)sessions, "certificates", (json_int_t)count));
}

static void verb_user_forget(struct control_client *client)
{
    if (control_operator_known(client))
        control_act(client, "user-forget", effect_forget);
}

static void effect_enroll(struct control_client *client)
{
    struct authd *a = authd_of(client);
    char token[ENROL_TOKEN_TEXT] = "";
    uint8_t hash[ENROL_HASH_BYTES];
    uint64_t expires_s = authd_now_s(a) + a->enrol_s;
    struct err e = ERR_INIT;
    int rc = enrol_token_make(token, &e);
    if (rc == 0 && (rc = enrol_token_hash(token, hash)) == 0)
        rc = store_enrolment_put(a->world.store, text_of(client, "operator"), hash, expires_s,
                                 ENROL_TRIES, &e);
    if (rc < 0)
        control_store_failed(client, &e);
    else
        control_reply(client, json_pack("{s:b, s:s, s:o}", "ok", 1, "token", token, "expires",
                                        time_or_null(expires_s)));
    wipe(token, sizeof token);
}

static void verb_user_enroll(struct control_client *client)
{
    if (control_operator_known(client))
        control_act(client, "user-enroll", effect_enroll);
}

/* ---- target keys, other acts ---- */

static void reply_target_key(struct control_client *client, const uint8_t blob[VAULT_PUBLIC_BYTES])
{
    struct authd *a = authd_of(client);
    struct buf key, line;
    buf_init(&key, 1024);
    buf_init(&line, VAULT_LINE_MAX);
    struct forward_rules *forwards = NULL;
    const char *target = text_of(client, "target"), *account = text_of(client, "account");
    struct err e = ERR_INIT;
    int rc = policy_forwards_to(a->world.policy, target, account, &forwards, &e);
    if (rc == 0)
        rc = vault_public_text(blob, VAULT_PUBLIC_BYTES, &key);
    if (rc == 0)
        rc = vault_authorized_line(blob, VAULT_PUBLIC_BYTES, a->gateway_from, target, account,
                                   forwards, &line);
    forward_rules_free(forwards);
    if (rc < 0)
        control_refuse(client, err_token((enum err_code)rc), "%s", err_text((enum err_code)rc));
    else
        control_reply(client, json_pack("{s:b, s:s%, s:s%}", "ok", 1, "public_key", buf_head(&key),
                                        buf_len(&key), "line", buf_head(&line), buf_len(&line)));
    buf_clear(&key);
    buf_clear(&line);
}

static void effect_target_key(struct control_client *client)
{
    struct authd *a = authd_of(client);
    const char *target = text_of(client, "target"), *account = text_of(client, "account");
    uint8_t blob[VAULT_PUBLIC_BYTES];
    struct secret *private_key = NULL;
    struct err e = ERR_INIT;
    /* Two administrators may have asked at once. */
    int rc = vault_public(a->world.store, target, account, blob, &e);
    if (rc == ERR_NOT_FOUND) {
        rc = vault_generate(&private_key, blob, &e);
        if (rc == 0)
            rc = store_vault_put(a->world.store, target, account, blob, sizeof blob, private_key,
                                 authd_now_s(a), &e);
        secret_free(private_key);
    }
    if (rc < 0)
        control_store_failed(client, &e);
    else
        reply_target_key(client, blob);
}

static void verb_target_key(struct control_client *client)
{
    struct authd *a = authd_of(client);
    const char *target = text_of(client, "target"), *account = text_of(client, "account");
    const struct policy_target *t = policy_target_named(a->world.policy, target);
    uint8_t blob[VAULT_PUBLIC_BYTES];
    struct destination d;
    struct err e = ERR_INIT;
    char shown[300];

    if (!t || strcmp(t->name, target) != 0) {
        control_refuse(client, "not-found", "there is no target named \"%s\" in targets.yaml",
                       escape_text(shown, sizeof shown, target, strnlen(target, 64)));
        return;
    }
    destination_parse("any:22", account, &d);
    if (!d.valid) {
        control_refuse(client, "input", "%s", d.problem);
        return;
    }
    int rc = vault_public(a->world.store, target, account, blob, &e);
    if (rc == 0)
        reply_target_key(client, blob);
    else if (rc == ERR_NOT_FOUND)
        control_act(client, "target-key-made", effect_target_key);
    else
        control_store_failed(client, &e);
}

static void effect_act(struct control_client *client)
{
    control_reply(client, json_pack("{s:b}", "ok", 1));
}

static void verb_act(struct control_client *client)
{
    if (!*text_of(client, "what"))
        control_refuse(client, "usage", "an act wants `what`");
    else
        control_act(client, "act", effect_act);
}

void control_verb(struct control_client *client)
{
    static const struct {
        const char *name;
        void (*run)(struct control_client *client);
        bool without_policy;
    } verbs[] = {
        {"status", verb_status, true},
        {"policy-load", verb_policy_load, true},
        {"policy-approvals", control_policy_approvals, true},
        {"act", verb_act, true},
        {"session-list", verb_session_list, true},
        {"read", control_verb_read, true},
        {"audit-hold", control_audit_hold, true},
        {"audit-prune", control_audit_prune, true},
        {"source-list", control_source_list, true},
        {"source-unblock", control_source_unblock, true},
        {"user-list", verb_user_list, false},
        {"target-list", verb_target_list, false},
        {"user-lock", verb_user_lock, false},
        {"user-unlock", verb_user_unlock, false},
        {"user-forget", verb_user_forget, false},
        {"user-enroll", verb_user_enroll, false},
        {"user-password", control_user_password, false},
        {"user-password-remove", control_user_password_remove, false},
        {"target-key", verb_target_key, false},
    };
    const char *name = text_of(client, "verb");
    char shown[300];
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(name, verbs[i].name) != 0)
            continue;
        if (!(client->rights & CONTROL_ADMIN) && verbs[i].run != control_verb_read) {
            control_refuse(
                client, "denied",
                "this user is not in `admins` of sallyport.yaml, only in `readers`, who may "
                "read recordings");
            return;
        }
        if (verbs[i].without_policy || authd_of(client)->world.policy)
            verbs[i].run(client);
        else
            control_refuse(client, "busy", "no policy set is loaded yet");
        return;
    }
    control_refuse(client, "usage", "there is no verb \"%s\"",
                   escape_text(shown, sizeof shown, name, strnlen(name, 64)));
}
