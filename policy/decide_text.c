/* SPDX-License-Identifier: Apache-2.0
 *
 * What a refused operator is told: what was asked, what decided (ROLE/KEY), whom to ask. Names in a
 * request are hostile and shown escaped and cut. Used by the decision. Pure. */
#include "policy/evaluate.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "policy/role_walk.h"
#include "policy/text.h"

/* Accounts that a refusal lists. */
#define ACCOUNTS_SHOWN 16

int policy_deny(const struct policy *p, struct policy_decision *out, const char *token,
                const char *because, const char *format, ...)
{
    /* What decided and whom to ask is always told, whatever has to be cut. */
    char what[sizeof out->reason - sizeof out->because - sizeof out->contact - 32];
    va_list args;

    rule_set_free(out->rules);
    file_rules_free(out->files);
    out->rules = NULL;
    out->files = NULL;
    forward_rules_free(out->forwards);
    out->forwards = NULL;
    out->allowed = false;
    out->abilities = 0;
    out->bulk = BULK_FULL;
    out->bulk_after = out->keep_max = 0;
    out->shell_role[0] = out->exec_role[0] = out->files_role[0] = 0;
    out->forward_role[0] = 0;
    snprintf(out->token, sizeof out->token, "%s", token);
    snprintf(out->because, sizeof out->because, "%s", because);
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    snprintf(out->reason, sizeof out->reason, "%s%s%s; ask %s", what,
             strchr(because, '/') ? ": denied by " : "", strchr(because, '/') ? because : "",
             p->site.contact);
    return 0;
}

/* The accounts of those roles that select the target. */
static void list_accounts(const struct policy *p, const struct operator_entry *op,
                          const struct target_entry *t, char *out, size_t cap)
{
    const char *via, *named[ACCOUNTS_SHOWN];
    size_t count = 0;
    struct role_filter filter;
    struct role_walk w;

    out[0] = 0;
    role_filter_begin(&filter, p, t);
    role_walk_begin(&w, p, op, &filter);
    for (const struct role *role; count < ACCOUNTS_SHOWN && (role = role_walk_next(&w, &via));) {
        for (size_t i = 0; i < role->account_count && count < ACCOUNTS_SHOWN; i++) {
            size_t k = 0;
            if (role_only_denies(role))
                break;
            while (k < count && named[k] != role->accounts[i])
                k++;
            if (k < count)
                continue;
            text_append(out, cap, "%s%s", count ? ", " : "", role->accounts[i]);
            named[count++] = role->accounts[i];
        }
    }
}

static void factor_names(uint32_t factors, char out[32])
{
    snprintf(out, 32, "%s%s%s", factors & FACTOR_KEY ? "key, " : "",
             factors & FACTOR_PASSWORD ? "password, " : "", "totp");
}

int policy_deny_at(const struct policy *p, const struct policy_request *r,
                   const struct operator_entry *op, const struct target_entry *t,
                   const struct role *role, enum role_key failed, struct policy_decision *out)
{
    static const char *const names[] = {[ROLE_TARGETS] = "targets",
                                        [ROLE_ACCOUNTS] = "accounts",
                                        [ROLE_FROM] = "from",
                                        [ROLE_FACTORS] = "factors",
                                        [ROLE_WHEN] = "when"};
    char because[128], account[200], accounts[400], text[ADDRESS_TEXT], factors[32];

    if (!role || failed == ROLE_TARGETS)
        return policy_deny(p, out, "no-role", "no-role", "None of your roles permits the target %s",
                           t->pub.name);
    snprintf(because, sizeof because, "%s/%s", role->name, names[failed]);
    switch (failed) {
    case ROLE_ACCOUNTS:
        list_accounts(p, op, t, accounts, sizeof accounts);
        return policy_deny(
            p, out, "account", because,
            "None of your roles permits the account %s on %s (permitted: %s)",
            escape_text(account, sizeof account, r->account, strnlen(r->account, 48)), t->pub.name,
            accounts);
    case ROLE_FROM:
        return policy_deny(p, out, "address", because,
                           "Your role %s does not permit logins to %s from %s", role->name,
                           t->pub.name, address_text(&r->source, text));
    case ROLE_FACTORS:
        factor_names(role->factors, factors);
        if ((role->factors & FACTOR_PASSWORD) && !(r->factors & FACTOR_PASSWORD))
            return policy_deny(
                p, out, "factors", because,
                "Your role %s on %s needs the factors %s, and this login had no password (it is "
                "asked for when you name yourself in the user name: %s+%s)",
                role->name, t->pub.name, factors, op->pub.name,
                escape_text(account, sizeof account, r->account, strnlen(r->account, 48)));
        return policy_deny(p, out, "factors", because,
                           "Your role %s on %s needs the factors %s, and this login had not all of "
                           "them",
                           role->name, t->pub.name, factors);
    default:
        return policy_deny(p, out, "when", because,
                           "Your role %s does not permit logins to %s at this time", role->name,
                           t->pub.name);
    }
}
