/* SPDX-License-Identifier: Apache-2.0
 *
 * See policy/diff.h; the parts of it are in policy/diff_*.c. */
#include "policy/diff.h"

#include "policy/diff_state.h"

int policy_diff(const struct diff_input *old, const struct diff_input *new, uint64_t at_s,
                enum diff_how how, struct diff *out, struct err *e)
{
    struct diff_inside *in = tool_alloc(1, sizeof *in);

    *out = (struct diff){.inside = in, .exact = how != DIFF_ROLES};
    in->side[0] = (struct side){.p = old->policy, .input = old};
    in->side[1] = (struct side){.p = new->policy, .input = new};
    in->at_s = at_s;
    diff_join_targets(in);
    int rc = diff_join_roles(in, e);
    if (rc == 0)
        rc = diff_join_operators(in, e);
    if (rc == 0 && out->exact)
        rc = diff_walk(in, how == DIFF_BOUNDED, e);
    if (rc == ERR_FULL) {
        out->exact = false;
        rc = 0;
    }
    if (rc < 0) {
        diff_clear(out);
        return rc;
    }
    if (out->exact) {
        diff_group(in, out);
    } else {
        diff_role_by_role(in);
        diff_group_roles(in, out);
    }
    diff_identities(in, out);
    out->compared = in->compared;
    return 0;
}
