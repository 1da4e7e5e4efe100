/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport policy VERB`: finds the verb. */
#include <stdio.h>
#include <string.h>

#include "gateway/cli.h"
#include "policy/cli_classify.h"

static const char help[] = "usage: sallyport policy VERB [OPTION]...\n\n"
                           "  classify    which classes of the rule packs a command has\n\n"
                           "`sallyport policy VERB --help` tells more about each.\n";

int cli_policy(int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], "classify") == 0)
        return cli_policy_classify(argc - 1, argv + 1);
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(help, stdout);
        return CLI_DONE;
    }
    fputs(help, stderr);
    return CLI_USAGE;
}
