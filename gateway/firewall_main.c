/* SPDX-License-Identifier: Apache-2.0
 *
 * sallyport-firewall: the entry (gateway/firewall.c has what it does). */
#include "gateway/firewall.h"

int main(int argc, char **argv)
{
    return firewall_run(argc, argv);
}
