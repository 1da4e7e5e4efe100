/* SPDX-License-Identifier: Apache-2.0
 *
 * Entry of the program sallyport-backend; everything else is in backend*.c. */
#include "gateway/backend.h"

int main(int argc, char **argv)
{
    return forkserver_run(&backend_ops, argc, argv);
}
