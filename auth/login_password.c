/* SPDX-License-Identifier: Apache-2.0
 *
 * The password of a login (auth/login.h), in two steps, since its hash is made by another process
 * in between (auth/hasher.h). What was read before is read again after: a password that was changed
 * meanwhile has another salt, and an operator who is gone meanwhile is nobody. Texts and work are
 * the same whether there is such an operator, and a password, and a lock, or not; only the trail is
 * told. */
#include <openssl/crypto.h>
#include <string.h>

#include "auth/login_steps.h"
#include "base/log.h"

#define WRONG "That password is not right."
#define BUSY  "The gateway cannot check passwords now; please try again."

static void wrong(struct login *l, struct login_reply *r, const char *reason)
{
    const bool over = l->passwords >= LOGIN_PASSWORDS_MAX;

    l->phase = over ? LOGIN_OVER : LOGIN_WANTS_PASSWORD;
    r->summed = r->source_failed = true;
    login_reply(r, over ? LOGIN_FAILED : LOGIN_ASK_PASSWORD, reason, "%s", WRONG);
}

void login_password_busy(struct login *l, struct login_reply *r)
{
    const bool over = l->passwords >= LOGIN_PASSWORDS_MAX;

    memset(r, 0, sizeof *r);
    l->phase = over ? LOGIN_OVER : LOGIN_WANTS_PASSWORD;
    r->summed = r->our_fault = true;
    login_reply(r, over ? LOGIN_FAILED : LOGIN_ASK_PASSWORD, "passwords-busy", "%s", BUSY);
}

bool login_password(struct login *l, const struct login_world *w, const char *user,
                    char setting[PASSWORD_SETTING + 1], struct login_reply *r)
{
    struct secret *hash = NULL;
    struct err e = ERR_INIT;
    bool any = false, has, ok = false;
    char named[OPERATOR_NAME_MAX + 1];

    memset(r, 0, sizeof *r);
    if ((l->phase != LOGIN_WANTS_KEY && l->phase != LOGIN_WANTS_PASSWORD) ||
        l->passwords >= LOGIN_PASSWORDS_MAX) {
        l->phase = LOGIN_OVER;
        login_reply(r, LOGIN_FAILED, "login-over", "%s", "");
        return false;
    }
    l->passwords++;
    /* A frontend asks for a password only then; another one's key is none of his factors. */
    if (!destination_operator(user, named) ||
        (*l->operator_name &&
         (strcmp(named, l->operator_name) != 0 || strcmp(user, l->user) != 0))) {
        l->phase = LOGIN_OVER;
        r->summed = r->source_failed = true;
        login_reply(r, LOGIN_FAILED, "password-of-nobody", "%s", WRONG);
        return false;
    }
    memcpy(l->candidate, named, sizeof l->candidate);
    strcpy(l->user, user); /* a message's, of the same size */
    int rc = store_password_any(w->store, &any, &e);
    if (rc == 0 && !any) {
        wrong(l, r, "no-passwords");
        return false;
    }
    if (rc == 0)
        rc = store_password_read(w->store, named, &hash, &has, &e);
    if (rc < 0) {
        log_error("store", "conn=%llu text=\"%s\"", (unsigned long long)l->conn, e.text);
        login_password_busy(l, r);
    } else {
        memcpy(setting, secret_view(hash), PASSWORD_SETTING);
        setting[PASSWORD_SETTING] = '\0';
        ok = true;
    }
    secret_free(hash);
    return ok;
}

void login_password_hashed(struct login *l, const struct login_world *w, const char *hash,
                           uint64_t now_s, struct login_reply *r)
{
    const struct policy_operator *op =
        w->policy ? policy_operator_named(w->policy, l->candidate) : NULL;
    struct secret *stored = NULL;
    struct err e = ERR_INIT;
    bool has = false;

    memset(r, 0, sizeof *r);
    if (l->phase != LOGIN_WANTS_KEY && l->phase != LOGIN_WANTS_PASSWORD) {
        login_reply(r, LOGIN_FAILED, "login-over", "%s", "");
        return;
    }
    int rc = hash ? store_password_read(w->store, l->candidate, &stored, &has, &e) : 0;
    if (!hash || rc < 0) {
        if (rc < 0)
            log_error("store", "conn=%llu text=\"%s\"", (unsigned long long)l->conn, e.text);
        login_password_busy(l, r);
        return;
    }
    const bool same = strlen(hash) == PASSWORD_HASH &&
                      CRYPTO_memcmp(hash, secret_view(stored), PASSWORD_HASH) == 0;
    secret_free(stored);
    if (!same || !has || !op) {
        wrong(l, r, !op ? "unknown-operator" : !has ? "no-password" : "wrong-password");
        return;
    }
    strcpy(l->operator_name, op->name);
    l->factors |= FACTOR_PASSWORD;
    if (!(l->factors & FACTOR_KEY))
        l->fingerprint[0] = '\0'; /* of a key that was refused */
    login_first_factor(l, w, now_s, r);
}
