/* SPDX-License-Identifier: Apache-2.0
 *
 * The grant applied to one request: kinds of start, command rules, variables, signals. Whatever is
 * not permitted here is refused; each refusal is a record and a text that says what to do. Runs in
 * the backend; the requests are hostile, the grant is authd's. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "gateway/backend_session.h"

static bool only(const char *s, const char *permitted)
{
    return s[strspn(s, permitted)] == '\0';
}

#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

bool judge_env(struct backend *b, const struct relay_env *m)
{
    bool name = strcmp(m->name, "LANG") == 0 ||
                (strncmp(m->name, "LC_", 3) == 0 && m->name[3] != '\0' && only(m->name, UPPER "_"));
    /* Locale names: XPG's language[_territory][.codeset][@modifier], and lists of them. */
    bool value = strlen(m->value) <= 64 && only(m->value, UPPER LOWER DIGITS "_.@:-+");
    if (name && value)
        return true;
    record_refusal(b, m->channel, "env", name ? "value" : "name", m->name, strlen(m->name),
                   name ? "the variable's value is no locale" : "only LANG and LC_* are passed on");
    return false;
}

bool judge_signal(struct backend *b, const struct relay_signal *m)
{
    /* RFC 4254, 6.10 */
    static const char *const names[] = {"ABRT", "ALRM", "FPE",  "HUP",  "ILL",  "INT", "KILL",
                                        "PIPE", "QUIT", "SEGV", "TERM", "USR1", "USR2"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(m->name, names[i]) == 0)
            return true;
    record_refusal(b, m->channel, "signal", "name", m->name, strlen(m->name), "no such signal");
    return false;
}

const char *judge_term(const char *term)
{
    return term[0] != '\0' && only(term, UPPER LOWER DIGITS "_.+-") ? term : "dumb";
}

bool judge_pty(struct backend *b, struct channel *ch, enum start_kind kind)
{
    bool ruled = kind == START_EXEC && narrow_rules_restrict(b);
    if ((b->granted.abilities & ABILITY_PTY) && !ruled)
        return true;
    const char *text = ruled ? "your role permits single commands, without a terminal: none was "
                               "allocated"
                             : "your role permits no terminal: none was allocated";
    record_refusal(b, ch->id, "pty", "role", ch->term, strlen(ch->term), text);
    snprintf(ch->notice, sizeof ch->notice, "%s", text);
    return false;
}

static bool refuse(struct backend *b, const struct channel *ch, const struct relay_start *m,
                   const char *why, char *text)
{
    record_refused_start(b, ch, m, why, NULL, text);
    return false;
}

static bool judge_shell(struct backend *b, const struct channel *ch, const struct relay_start *m,
                        char *text)
{
    if (m->command.len > 0) {
        snprintf(text, 1001, "a shell takes no command");
        return refuse(b, ch, m, "form", text);
    }
    /* authd gives no such grant; where a deny is, a shell would get round it. */
    if ((b->granted.abilities & ABILITY_SHELL) && !rule_set_denies(b->rules, NULL))
        return true;
    struct rule_verdict v = {.rule = ""};
    char by[GRANT_DENIED_BY_MAX];
    if (narrow_took_shell(b, v.rule)) {
        snprintf(
            text, 1001,
            "there is no shell on %s as %s: %s denies commands, and nothing would hold a shell "
            "to it; ask %s",
            b->granted.target, b->granted.account, v.rule, grant_contact(b));
        record_refused_start(b, ch, m, "rules", &v, text);
        return false;
    }
    snprintf(text, 1001,
             "your role does not permit a shell on %s as %s%s%s; ask %s for a role with `shell: "
             "true`",
             b->granted.target, b->granted.account,
             b->granted.abilities & ABILITY_EXEC ? " (single commands are permitted)" : "",
             grant_denied_by(b, by), grant_contact(b));
    return refuse(b, ch, m, "role", text);
}

static bool judge_exec(struct backend *b, struct channel *ch, const struct relay_start *m,
                       struct rule_verdict *v, struct buf *forward, char *text)
{
    struct err e = ERR_INIT;
    char by[GRANT_DENIED_BY_MAX];

    if (!(b->granted.abilities & ABILITY_EXEC)) {
        snprintf(text, 1001,
                 "your role does not permit commands on %s as %s%s; ask %s for a role with `exec: "
                 "true`",
                 b->granted.target, b->granted.account, grant_denied_by(b, by), grant_contact(b));
        return refuse(b, ch, m, "role", text);
    }
    if (m->command.len == 0 || memchr(m->command.p, '\0', m->command.len) != NULL) {
        snprintf(text, 1001, "the command is empty or holds a NUL byte");
        return refuse(b, ch, m, "form", text);
    }
    if (!narrow_rules_restrict(b)) {
        if (buf_put(forward, m->command.p, m->command.len) == 0)
            return true;
        snprintf(text, 1001, "the command is too long");
        return refuse(b, ch, m, "length", text);
    }
    if (narrow_rules_judge(b, m->command.p, m->command.len, v, forward, &e) == 0) {
        ch->stdin_digest = v->stdin_digest;
        return true;
    }
    snprintf(text, 1001, "%.*s; ask %s", RULE_TEXT_MAX, e.text, grant_contact(b));
    record_refused_start(b, ch, m, "rules", v, text);
    return false;
}

static bool judge_subsystem(struct backend *b, const struct channel *ch,
                            const struct relay_start *m, char *text)
{
    char name[80], by[GRANT_DENIED_BY_MAX];
    size_t n = m->command.len > 64 ? 64 : m->command.len;

    if (m->command.len != 4 || memcmp(m->command.p, "sftp", 4) != 0) {
        snprintf(text, 1001,
                 "the subsystem %s is refused: the gateway carries sftp and no other one; run its "
                 "program as a command, where your role permits that",
                 escape_text(name, sizeof name, m->command.p, n));
        return refuse(b, ch, m, "kind", text);
    }
    if (b->granted.abilities & ABILITY_SFTP)
        return true;
    snprintf(text, 1001,
             "your role does not permit SFTP on %s as %s%s; ask %s for a role with `sftp: {read: "
             "[...], write: [...]}`",
             b->granted.target, b->granted.account, grant_denied_by(b, by), grant_contact(b));
    return refuse(b, ch, m, "role", text);
}

bool judge_start(struct backend *b, struct channel *ch, const struct relay_start *m,
                 struct rule_verdict *v, struct buf *forward, char *text)
{
    memset(v, 0, sizeof *v);
    switch (m->kind) {
    case START_SHELL:
        return judge_shell(b, ch, m, text);
    case START_EXEC:
        return judge_exec(b, ch, m, v, forward, text);
    default:
        return judge_subsystem(b, ch, m, text);
    }
}
