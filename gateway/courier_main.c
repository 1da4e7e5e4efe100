/* SPDX-License-Identifier: Apache-2.0
 *
 * sallyport-courier: the entry (gateway/courier.c has what it does). */
#include "gateway/courier.h"

int main(int argc, char **argv)
{
    return courier_run(argc, argv);
}
