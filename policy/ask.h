/* SPDX-License-Identifier: Apache-2.0
 *
 * One question put to a decision: may this be done in the session that was decided on? What the
 * backend does with a grant, for those who ask without a session: policy tests, `policy explain`.
 * The same functions judge in both (policy/rules.h, policy/files.h, policy/forwards.h), so that
 * what is tested is what is enforced. Pure. */
#ifndef SALLYPORT_POLICY_ASK_H
#define SALLYPORT_POLICY_ASK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "policy/policy.h"

enum ask_kind {
    ASK_LOGIN, /* a session at all; text is not looked at */
    ASK_SHELL,
    ASK_EXEC,       /* text: the command as the client sends it */
    ASK_SFTP_READ,  /* text: a canonical path */
    ASK_SFTP_WRITE, /* the same */
    ASK_FORWARD     /* text: "host:port", a v6 address in brackets */
};

struct policy_ask {
    enum ask_kind kind;
    const char *text;
    size_t len;
};

struct policy_answer {
    bool allowed;
    char
        because[128]; /* what decided: "kvm-operator/commands[0]", "kvm-operator/when", "no-role" */
    char text[1001];  /* allowed: what would run; denied: as the operator is told */
};

/* d may be a denial: then that is the answer. ERR_INPUT: text is none of its kind; ERR_MEMORY. */
MUST_CHECK int policy_ask(const struct policy_decision *d, const struct policy_ask *ask,
                          struct policy_answer *out, struct err *e);

#endif
