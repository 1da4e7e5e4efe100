/* SPDX-License-Identifier: Apache-2.0
 *
 * See policy/ask.h. What the backend does with a grant (gateway/backend_judge.c,
 * gateway/backend_sftp_paths.c), without a session. */
#include "policy/ask.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"

/* What a command may become when it is quoted anew; as the backend has it. */
#define FORWARD_MAX (WORDS_TEXT_MAX + 4 * WORDS_MAX)

static int allow(struct policy_answer *out, const char *because)
{
    out->allowed = true;
    snprintf(out->because, sizeof out->because, "%s", because);
    return 0;
}

/* because is ROLE/KEY of the first matching role when none gave what is asked. */
static int deny(const struct policy_decision *d, struct policy_answer *out, const char *because,
                const char *text)
{
    out->allowed = false;
    snprintf(out->because, sizeof out->because, "%s", because);
    snprintf(out->text, sizeof out->text, "%.700s: denied by %s; ask %s", text, out->because,
             d->contact);
    return 0;
}

static int no_ability(const struct policy_decision *d, struct policy_answer *out, const char *text)
{
    char because[128];

    snprintf(because, sizeof because, "%.64s/allow", d->because);
    return deny(d, out, because, text);
}

static int ask_exec(const struct policy_decision *d, const struct policy_ask *ask,
                    struct policy_answer *out, struct err *e)
{
    char rule[128] = "", because[128];
    struct err why = ERR_INIT;
    struct buf forward;
    int rc;

    if (!(d->abilities & ABILITY_EXEC))
        return no_ability(d, out, "None of your roles permits commands here");
    snprintf(because, sizeof because, "%.64s/allow", d->exec_role);
    if (!ask->len || memchr(ask->text, 0, ask->len))
        return deny(d, out, because, "The command is empty or holds a NUL byte");
    if (!d->rules) {
        escape_text(out->text, sizeof out->text, ask->text, ask->len);
        return allow(out, because);
    }
    buf_init(&forward, FORWARD_MAX);
    rc = rule_set_apply(d->rules, ask->text, ask->len, rule, NULL, &forward, &why);
    if (rc == 0) {
        escape_text(out->text, sizeof out->text, buf_head(&forward), buf_len(&forward));
        rc = allow(out, rule[0] ? rule : because);
    } else if (rc != ERR_MEMORY) { /* whatever it is, nothing runs */
        snprintf(because, sizeof because, "%.64s/commands", d->exec_role);
        snprintf(out->because, sizeof out->because, "%s", rule[0] ? rule : because);
        snprintf(out->text, sizeof out->text, "%.*s; ask %s", RULE_TEXT_MAX, why.text, d->contact);
        rc = 0;
    } else {
        rc = err_set(e, ERR_MEMORY, "%s", why.text);
    }
    buf_clear(&forward);
    return rc;
}

static int ask_sftp(const struct policy_decision *d, const struct policy_ask *ask, unsigned access,
                    struct policy_answer *out, struct err *e)
{
    char rule[128], canonical[FILE_PATH_MAX + 1], because[128];
    int rc = file_path_join("/", ask->text, ask->len, canonical, e);

    if (rc < 0)
        return rc;
    if (strlen(canonical) != ask->len || memcmp(canonical, ask->text, ask->len) != 0)
        return err_set(e, ERR_INPUT,
                       "found a path that is not canonical, expected an absolute one without ., .. "
                       "and //, as %.900s",
                       canonical);
    if (!(d->abilities & ABILITY_SFTP))
        return no_ability(d, out, "None of your roles permits file transfer here");
    if (file_rules_access(d->files, ask->text, ask->len, access, rule) & access) {
        escape_text(out->text, sizeof out->text, ask->text, ask->len);
        return allow(out, rule);
    }
    snprintf(because, sizeof because, "%.64s/sftp.%s", d->files_role,
             access == FILE_READ ? "read" : "write");
    return deny(d, out, because,
                access == FILE_READ ? "None of your roles permits reading that file"
                                    : "None of your roles permits writing that file");
}

static int ask_forward(const struct policy_decision *d, const struct policy_ask *ask,
                       struct policy_answer *out, struct err *e)
{
    char text[FORWARD_TEXT_MAX + 1], host[FORWARD_HOST_MAX + 1], rule[128], because[128];
    uint16_t port;

    if (ask->len > FORWARD_TEXT_MAX || memchr(ask->text, 0, ask->len))
        return err_set(e, ERR_INPUT, "found no \"host:port\"");
    memcpy(text, ask->text, ask->len);
    text[ask->len] = 0;
    int rc = forward_parse(text, host, &port, e);
    if (rc < 0)
        return rc;
    if (!(d->abilities & ABILITY_FORWARD))
        return no_ability(d, out, "None of your roles permits forwarding here");
    if (forward_rules_match(d->forwards, host, strlen(host), port, rule, NULL)) {
        snprintf(out->text, sizeof out->text, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
        return allow(out, rule);
    }
    snprintf(because, sizeof because, "%.64s/forward", d->forward_role);
    return deny(d, out, because, "None of your roles permits forwarding there");
}

static int ask_shell(const struct policy_decision *d, struct policy_answer *out)
{
    char because[128];

    if (d->abilities & ABILITY_SHELL) {
        snprintf(because, sizeof because, "%.64s/allow", d->shell_role);
        return allow(out, because);
    }
    if (rule_set_took_shell(d->rules) && rule_set_denies(d->rules, because))
        return deny(d, out, because,
                    "There is no shell here where commands are denied, which no shell would hold "
                    "to");
    return no_ability(d, out, "None of your roles permits a shell here");
}

int policy_ask(const struct policy_decision *d, const struct policy_ask *ask,
               struct policy_answer *out, struct err *e)
{
    memset(out, 0, sizeof *out);
    if (!d->allowed) {
        snprintf(out->because, sizeof out->because, "%s", d->because);
        snprintf(out->text, sizeof out->text, "%s", d->reason);
        return 0;
    }
    switch (ask->kind) {
    case ASK_LOGIN:
        return allow(out, d->because);
    case ASK_SHELL:
        return ask_shell(d, out);
    case ASK_EXEC:
        return ask_exec(d, ask, out, e);
    case ASK_SFTP_READ:
        return ask_sftp(d, ask, FILE_READ, out, e);
    case ASK_SFTP_WRITE:
        return ask_sftp(d, ask, FILE_WRITE, out, e);
    case ASK_FORWARD:
        return ask_forward(d, ask, out, e);
    }
    return err_set(e, ERR_INPUT, "found no kind of question");
}
