/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport policy ...`: finds the verb. */
#include "auth/cli_admin.h"
#include "gateway/cli.h"
#include "policy/cli_approval.h"
#include "policy/cli_classify.h"

static const char help[] =
    "usage: sallyport policy classify [OPTION]... -- COMMAND...\n"
    "       sallyport policy manifest [DIR] [OPTION]...\n"
    "       sallyport policy sign --author|--approve --key FILE [DIR] [OPTION]...\n"
    "       sallyport policy verify [DIR] [OPTION]...\n\n"
    "  classify  which classes of the rule packs a command has\n\n"
    "Where approvers are set (approvers.yaml), a change of the policy wants two persons:\n\n"
    "  manifest  lists the files of a policy set, to be signed\n"
    "  sign      signs the manifest, as its author or as an approver\n"
    "  verify    checks a set's manifest and signatures as the gateway does\n\n"
    "sallyport-approvers(5) tells how it works.\n";

int cli_policy(int argc, char **argv)
{
    static const struct cli_subcommand table[] = {{"classify", cli_policy_classify},
                                                  {"manifest", cli_policy_manifest},
                                                  {"sign", cli_policy_sign},
                                                  {"verify", cli_policy_verify},
                                                  {NULL, NULL}};
    return cli_subcommand("policy", help, table, argc, argv);
}
