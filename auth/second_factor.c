/* SPDX-License-Identifier: Apache-2.0
 *
 * See auth/second_factor.h. authd has one thread, and each check is one transaction: of two
 * connections that bring the same code exactly one finds the step unused. A used code is not
 * counted as a failure: two honest connections may race, and it gives a guesser nothing. */
#include "auth/second_factor.h"

#include <string.h>

#include "auth/totp.h"

static const uint8_t nobody_key[TOTP_SECRET_BYTES] = {0};

static int count_failure(struct store *s, const char *name, uint64_t now_s,
                         const struct lockout_rule *rule, struct code_outcome *out, struct err *e)
{
    out->verdict = CODE_WRONG;
    out->lock_began = lockout_fail(&out->lockout, rule, now_s);
    return store_operator_set_lockout(s, name, &out->lockout, e);
}

static int check(struct store *s, const char *name, const char *code, uint64_t now_s,
                 const struct lockout_rule *rule, struct code_outcome *out, struct err *e)
{
    struct store_operator o;
    struct secret *nobody = NULL;
    bool matches;
    int rc = store_operator_read(s, name, &o, e);

    if (rc < 0)
        goto out;
    out->lockout = o.lockout;
    if (!o.totp && !(nobody = secret_copy(nobody_key, sizeof nobody_key))) {
        rc = err_set(e, ERR_MEMORY, "second factor");
        goto out;
    }
    matches = totp_match(o.totp ? o.totp : nobody, now_s, code, &out->step) == 0;
    if (!matches || !o.totp) {
        rc = count_failure(s, name, now_s, rule, out, e);
        goto out;
    }
    rc = store_operator_take_step(s, name, out->step, e);
    if (rc == ERR_DENIED) {
        out->verdict = CODE_USED;
        rc = 0;
    } else if (rc == 0) {
        out->verdict = CODE_RIGHT;
        lockout_succeed(&out->lockout, now_s);
        rc = store_operator_set_lockout(s, name, &out->lockout, e);
    }
out:
    secret_free(nobody);
    store_operator_clear(&o);
    return rc;
}

/* Runs one of the above as a transaction. */
static int finish(struct store *s, int rc, struct code_outcome *out, struct err *e)
{
    if (rc == 0)
        rc = store_commit(s, e);
    if (rc < 0) {
        store_rollback(s);
        memset(out, 0, sizeof *out);
    }
    return rc;
}

int second_factor_check(struct store *s, const char *operator_name, const char *code,
                        uint64_t now_s, const struct lockout_rule *rule, struct code_outcome *out,
                        struct err *e)
{
    memset(out, 0, sizeof *out);
    int rc = store_begin(s, e);
    if (rc == 0)
        rc = check(s, operator_name, code, now_s, rule, out, e);
    return finish(s, rc, out, e);
}

int second_factor_failed(struct store *s, const char *operator_name, uint64_t now_s,
                         const struct lockout_rule *rule, struct code_outcome *out, struct err *e)
{
    struct store_operator o;
    memset(out, 0, sizeof *out);
    int rc = store_begin(s, e);
    if (rc == 0) {
        rc = store_operator_read(s, operator_name, &o, e);
        out->lockout = o.lockout;
        store_operator_clear(&o);
    }
    if (rc == 0)
        rc = count_failure(s, operator_name, now_s, rule, out, e);
    return finish(s, rc, out, e);
}
