/* SPDX-License-Identifier: Apache-2.0
 *
 * sallyportd: the entry (gateway/supervisor.c has what it does). */
#include "gateway/supervisor.h"

int main(int argc, char **argv)
{
    return supervisor_run(argc, argv);
}
