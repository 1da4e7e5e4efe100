/* SPDX-License-Identifier: Apache-2.0
 *
 * The verb `policy-approvals`: what the next policy set has to follow. Reads only; runs in authd.
 */
#include "auth/control.h"
#include "auth/policy_approval.h"
#include "auth/policy_set.h"
#include "base/log.h"

/* {serial, manifest: hex or "", needed, approvers: the text of approvers.yaml in force or ""} */
void control_policy_approvals(struct control_client *client)
{
    struct authd *a = control_authd(client->control);
    char manifest[2 * MANIFEST_HASH + 1] = "";
    const struct approval_state *state;
    struct err e = ERR_INIT;
    struct bytes text;

    state = policy_approval_state(policy_set_approval(a->policies), &text, &e);
    if (!state) {
        log_error("store", "text=\"%s\"", e.text);
        control_refuse(client, err_token((enum err_code)e.code), "the gateway's state: %s",
                       err_text((enum err_code)e.code));
        return;
    }
    if (state->serial)
        manifest_hash_text(state->manifest, manifest);
    control_reply(client, json_pack("{s:b, s:I, s:s, s:I, s:s%}", "ok", 1, "serial",
                                    (json_int_t)state->serial, "manifest", manifest, "needed",
                                    (json_int_t)(state->approvers ? state->approvers->needed : 0),
                                    "approvers", text.len ? (const char *)text.p : "", text.len));
}
