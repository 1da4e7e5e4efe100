/* SPDX-License-Identifier: Apache-2.0
 *
 * See auth/gateway_commands.h. */
#include "auth/gateway_commands.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/gateway_login.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "base/log.h"

#define OUTPUT_CHUNK 8192 /* login.command_output's maximum */
/* A list that still fits the frontend's queue: 1500 lines of at most 256 + 65 characters. */
#define HOSTS_MAX  1500
#define OUTPUT_MAX (480u * 1024)

static const char help[] = "This is the gateway itself. It knows these commands:\n"
                           "  whoami   who you are here, and how you logged in\n"
                           "  hosts    the targets and accounts that you may reach\n"
                           "  login    remember this device (run `sallyport login`)\n"
                           "  forget   end all your remembered logins\n"
                           "  help     this text\n";

struct gateway *gateway_new(struct connection *c)
{
    struct gateway *g = calloc(1, sizeof *g);
    if (g)
        g->c = c;
    return g;
}

static void close_channel(struct gateway_channel *ch)
{
    gateway_login_free(ch->login);
    ch->login = NULL;
    ch->used = false;
}

void gateway_free(struct gateway *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < GATEWAY_CHANNELS_MAX; i++)
        close_channel(&g->channel[i]);
    free(g);
}

/* ---- what commands use ---- */

void gateway_output(struct gateway_channel *ch, uint8_t stream, const void *bytes, size_t len)
{
    struct watch *w = ch->g->c->frontend;
    const uint8_t *p = bytes;
    while (len > 0 && w) {
        size_t n = len < OUTPUT_CHUNK ? len : OUTPUT_CHUNK;
        struct login_command_output m = {.channel = ch->number, .stream = stream, .bytes = {p, n}};
        struct err e = ERR_INIT;
        watch_sent(w, login_command_output_send(watch_link(w), &m, NULL, &e), &e);
        p += n;
        len -= n;
    }
}

void gateway_print(struct gateway_channel *ch, uint8_t stream, const char *format, ...)
{
    char text[2048];
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    if (n > 0)
        gateway_output(ch, stream, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
}

void gateway_exit(struct gateway_channel *ch, uint8_t status)
{
    struct watch *w = ch->g->c->frontend;
    struct login_command_exit m = {.channel = ch->number, .status = status};
    struct err e = ERR_INIT;
    if (w)
        watch_sent(w, login_command_exit_send(watch_link(w), &m, NULL, &e), &e);
    close_channel(ch);
}

bool gateway_record(struct gateway_channel *ch, enum record_type type, struct buf *payload,
                    trail_done done)
{
    struct gateway *g = ch->g;
    if (authd_record(g->c->a, type, payload, done, g->c->conn) < 0) {
        gateway_print(ch, 1, "sallyport: the recorder is not available; please try again\n");
        gateway_exit(ch, EXIT_TRAIL);
        return false;
    }
    g->waiting = ch;
    watch_hold(g->c->frontend, true);
    return true;
}

struct gateway_channel *gateway_resume(struct authd *a, uint64_t conn, int rc)
{
    struct connection *c = connection_find(a, conn);
    struct gateway *g = c ? c->gateway : NULL;
    struct gateway_channel *ch = g ? g->waiting : NULL;
    if (!ch)
        return NULL;
    g->waiting = NULL;
    if (c->frontend)
        watch_hold(c->frontend, false);
    if (c->login.phase != LOGIN_DONE) /* ended meanwhile, by a lock or at shutdown */
        return NULL;
    if (rc < 0) {
        gateway_print(ch, 1, "sallyport: the recorder is not available; please try again\n");
        gateway_exit(ch, EXIT_TRAIL);
        return NULL;
    }
    return ch;
}

/* ---- the commands ---- */

static void send_json(struct gateway_channel *ch, struct json_out *j, struct buf *out)
{
    if (json_end(j) < 0 || buf_put(out, "\n", 1) < 0) {
        gateway_print(ch, 1, "sallyport: the answer is too long\n");
        gateway_exit(ch, EXIT_TRY_AGAIN);
        return;
    }
    gateway_output(ch, 0, buf_head(out), buf_len(out));
    gateway_exit(ch, 0);
}

/* More are counted, not named. */
#define ROLES_SHOWN 16

struct identity {
    const char *full_name, *role[ROLES_SHOWN];
    size_t roles;
    char factors[100], until[CLOCK_TEXT];
    unsigned certificates;
    bool enrolled;
};

static void who(struct connection *c, struct identity *id)
{
    const struct authd *a = c->a;
    const struct policy_operator *op =
        policy_operator_named(a->world.policy, c->login.operator_name);
    struct store_operator row;
    struct err e = ERR_INIT;
    uint64_t until_s = 0;

    memset(id, 0, sizeof *id);
    id->full_name = op ? op->full_name : NULL;
    id->roles = policy_roles_of(a->world.policy, c->login.operator_name, id->role, ROLES_SHOWN);
    login_factors_text(&c->login, id->factors);
    if (store_operator_read(a->world.store, c->login.operator_name, &row, &e) == 0)
        id->enrolled = row.totp != NULL;
    store_operator_clear(&row);
    if (store_certificates_live(a->world.store, c->login.operator_name, authd_now_s(a),
                                &id->certificates, &until_s, &e) < 0)
        id->certificates = 0;
    if (until_s)
        clock_iso_seconds(id->until, until_s * 1000000000ull);
}

static size_t roles_named(const struct identity *id)
{
    return id->roles < ROLES_SHOWN ? id->roles : ROLES_SHOWN;
}

/* "kvm-operator, dba and 3 more" */
static const char *roles_text(const struct identity *id, char *out, size_t cap)
{
    size_t at = 0;

    out[0] = 0;
    for (size_t i = 0; i < roles_named(id); i++)
        at += (size_t)snprintf(out + at, cap - at, "%s%s", i ? ", " : "", id->role[i]);
    if (id->roles > ROLES_SHOWN)
        snprintf(out + at, cap - at, " and %zu more", id->roles - ROLES_SHOWN);
    return id->roles ? out : "none: no target is open to you";
}

static void whoami(struct gateway_channel *ch, bool json)
{
    struct connection *c = ch->g->c;
    const struct login *l = &c->login;
    char roles[ROLES_SHOWN * 70 + 40]; /* a role's name has 64 bytes at most */
    struct identity id;
    struct json_out j;
    struct buf out;

    who(c, &id);
    if (!json) {
        gateway_print(ch, 0,
                      "operator    %s%s%s%s\nroles       %s\ngateway     %s\nfrom        %s port "
                      "%u\nkey         %s\n"
                      "logged in   %s\nenrolled    %s\nremembered  %s%s\n",
                      l->operator_name, id.full_name ? " (" : "", id.full_name ? id.full_name : "",
                      id.full_name ? ")" : "", roles_text(&id, roles, sizeof roles), c->a->gateway,
                      l->source_text, l->port, *l->fingerprint ? l->fingerprint : "none",
                      id.factors, id.enrolled ? "yes" : "no", id.certificates ? "until " : "no",
                      id.until);
        gateway_exit(ch, 0);
        return;
    }
    buf_init(&out, OUTPUT_MAX);
    json_begin(&j, &out);
    json_str(&j, "operator", l->operator_name);
    json_str(&j, "name", id.full_name);
    json_open_array(&j, "roles");
    for (size_t i = 0; i < roles_named(&id); i++)
        json_str(&j, NULL, id.role[i]);
    json_close(&j);
    json_str(&j, "gateway", c->a->gateway);
    json_str(&j, "source", l->source_text);
    json_u64(&j, "port", l->port);
    if (*l->proxy)
        json_str(&j, "proxy", l->proxy);
    json_str(&j, "key", *l->fingerprint ? l->fingerprint : NULL);
    json_str(&j, "factors", id.factors);
    json_bool(&j, "enrolled", id.enrolled);
    json_u64(&j, "certificates", id.certificates);
    json_str(&j, "remembered_until", *id.until ? id.until : NULL);
    send_json(ch, &j, &out);
    buf_clear(&out);
}

/* Collects the accounts of one target that the operator would be let into now. */
struct reachable {
    const struct connection *c;
    const char *target;
    char accounts[512];
    size_t len;
};

static int add_account(void *arg, const char *account, const uint8_t *blob, size_t len)
{
    struct reachable *r = arg;
    const struct login *l = &r->c->login;
    struct policy_decision d;
    struct err e = ERR_INIT;
    struct policy_request q = {.operator_name = l->operator_name,
                               .target = r->target,
                               .account = account,
                               .source = l->source,
                               .now_s = authd_now_s(r->c->a),
                               .factors =
                                   (l->factors & (FACTOR_KEY | FACTOR_PASSWORD)) | FACTOR_TOTP};
    (void)blob, (void)len;
    if (policy_decide(r->c->a->world.policy, &q, &d, &e) == 0 && d.allowed &&
        r->len + strlen(account) + 2 < sizeof r->accounts)
        r->len += (size_t)snprintf(r->accounts + r->len, sizeof r->accounts - r->len, "%s%s",
                                   r->len ? "," : "", account);
    policy_decision_clear(&d);
    return 0;
}

static void hosts(struct gateway_channel *ch, bool json)
{
    struct connection *c = ch->g->c;
    const struct policy *p = c->a->world.policy;
    struct json_out j;
    struct buf out;
    struct err e = ERR_INIT;
    size_t listed = 0;
    int rc = 0;

    buf_init(&out, OUTPUT_MAX);
    if (json) {
        json_begin(&j, &out);
        json_open_array(&j, "hosts");
    }
    for (uint32_t i = 0; i < policy_target_count(p) && listed < HOSTS_MAX && rc == 0; i++) {
        struct reachable r = {.c = c, .target = policy_target_at(p, i)->name};
        rc = store_vault_each(c->a->world.store, r.target, add_account, &r, &e);
        if (rc < 0 || r.len == 0)
            continue;
        listed++;
        if (json) {
            json_open_object(&j, NULL);
            json_str(&j, "target", r.target);
            json_str(&j, "accounts", r.accounts);
            json_close(&j);
        } else {
            rc = buf_printf(&out, "%-24s %s\n", r.target, r.accounts);
        }
    }
    if (rc < 0) {
        log_error("hosts", "conn=%llu text=\"%s\"", (unsigned long long)c->conn, e.text);
        gateway_print(ch, 1, "sallyport: the list cannot be made now\n");
        gateway_exit(ch, EXIT_TRY_AGAIN);
    } else if (json) {
        json_close(&j);
        send_json(ch, &j, &out);
    } else {
        gateway_output(ch, 0, buf_head(&out), buf_len(&out));
        if (listed == 0)
            gateway_print(ch, 1, "sallyport: no target is open to you from here\n");
        if (listed == HOSTS_MAX)
            gateway_print(ch, 1, "sallyport: only the first %u are listed\n", HOSTS_MAX);
        gateway_exit(ch, 0);
    }
    buf_clear(&out);
}

static void forget_recorded(void *arg, uint64_t conn, int rc)
{
    struct gateway_channel *ch = gateway_resume(arg, conn, rc);
    struct err e = ERR_INIT;
    unsigned count;
    if (!ch)
        return;
    struct authd *a = arg;
    if (store_certificates_end(a->world.store, ch->g->c->login.operator_name, "forgotten",
                               authd_now_s(a), &count, &e) < 0) {
        log_error("store", "conn=%llu text=\"%s\"", (unsigned long long)conn, e.text);
        gateway_print(ch, 1, "sallyport: the gateway's state cannot be written now\n");
        gateway_exit(ch, EXIT_TRY_AGAIN);
        return;
    }
    gateway_print(ch, 0, "%u remembered login%s ended\n", count, count == 1 ? "" : "s");
    gateway_exit(ch, 0);
}

static void forget(struct gateway_channel *ch)
{
    const struct login *l = &ch->g->c->login;
    struct json_out j;
    struct buf payload;
    buf_init(&payload, TRAIL_PAYLOAD_MAX);
    json_begin(&j, &payload);
    json_str(&j, "event", "remembered-logins-ended");
    json_str(&j, "operator", l->operator_name);
    json_str(&j, "by", "operator");
    json_str(&j, "source", l->source_text);
    if (*l->proxy)
        json_str(&j, "proxy", l->proxy);
    json_u64(&j, "connection", l->conn);
    if (json_end(&j) < 0)
        buf_clear(&payload);
    gateway_record(ch, RECORD_KEY, &payload, forget_recorded);
}

/* ---- frames ---- */

static struct gateway_channel *find(struct gateway *g, uint32_t number)
{
    for (size_t i = 0; i < GATEWAY_CHANNELS_MAX; i++)
        if (g->channel[i].used && g->channel[i].number == number)
            return &g->channel[i];
    return NULL;
}

static void run(struct gateway_channel *ch, const char *command)
{
    char word[16] = "", rest[16] = "", shown[512];
    int words = sscanf(command, "%15s %15s", word, rest);
    bool json = words == 2 && strcmp(rest, "--json") == 0;
    bool login = strcmp(word, "login") == 0 || strcmp(word, "enroll") == 0;

    if (words <= 0 || strcmp(word, "help") == 0) {
        gateway_output(ch, 0, help, strlen(help));
        gateway_exit(ch, 0);
    } else if (words == 2 && !json) {
        gateway_print(ch, 1, "sallyport: \"%s\": expected --json or nothing after the command\n",
                      escape_text(shown, sizeof shown, command, strlen(command)));
        gateway_exit(ch, EXIT_GATEWAY_USAGE);
    } else if (login) {
        gateway_login_start(ch);
    } else if (ch->g->c->login.enrolment) {
        gateway_print(ch, 1, "sallyport: an enrolment token opens nothing but `sallyport login`\n");
        gateway_exit(ch, EXIT_REFUSED);
    } else if (strcmp(word, "whoami") == 0) {
        whoami(ch, json);
    } else if (strcmp(word, "hosts") == 0) {
        hosts(ch, json);
    } else if (strcmp(word, "forget") == 0) {
        forget(ch);
    } else {
        gateway_print(ch, 1, "sallyport: there is no command \"%s\" here; `help` lists them\n",
                      escape_text(shown, sizeof shown, command, strlen(command)));
        gateway_exit(ch, EXIT_GATEWAY_USAGE);
    }
}

static int on_command(struct gateway *g, const struct frame *f, struct err *e)
{
    struct login_command m;
    struct gateway_channel *ch = NULL;
    int rc = login_command_decode(f, &m, e);
    if (rc < 0)
        return rc;
    if (find(g, m.channel))
        return err_set(e, ERR_PROTOCOL, "a second command on one channel");
    for (size_t i = 0; i < GATEWAY_CHANNELS_MAX && !ch; i++)
        if (!g->channel[i].used)
            ch = &g->channel[i];
    if (!ch)
        return err_set(e, ERR_PROTOCOL, "more than %d channels", GATEWAY_CHANNELS_MAX);
    *ch = (struct gateway_channel){.used = true, .number = m.channel, .g = g};
    run(ch, m.command);
    return 0;
}

int gateway_frame(struct gateway *g, const struct frame *f, struct err *e)
{
    struct gateway_channel *ch;
    int rc;
    if (f->spec->number == login_command_NUMBER)
        return on_command(g, f, e);
    if (f->spec->number == login_command_input_NUMBER) {
        struct login_command_input m;
        if ((rc = login_command_input_decode(f, &m, e)) < 0)
            return rc;
        /* Input for a command that has ended meanwhile, or reads none, is dropped. */
        ch = find(g, m.channel);
        if (ch && ch->login)
            gateway_login_input(ch, m.bytes);
        wipe((void *)(uintptr_t)f->fields.p, f->fields.len);
        return 0;
    }
    struct login_command_eof m;
    if ((rc = login_command_eof_decode(f, &m, e)) < 0)
        return rc;
    ch = find(g, m.channel);
    if (ch && ch->login)
        gateway_login_eof(ch);
    return 0;
}
