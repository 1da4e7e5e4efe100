/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport policy classify`: what the rule packs say of one command. It runs as whoever called
 * it. Exit statuses: 0 the command has a class, 1 it has none, 2 wrong usage or no packs. */
#ifndef SALLYPORT_POLICY_CLI_CLASSIFY_H
#define SALLYPORT_POLICY_CLI_CLASSIFY_H

/* argv[0] is "classify". */
int cli_policy_classify(int argc, char **argv);

#endif
