/* SPDX-License-Identifier: Apache-2.0
 *
 * sallyport-witness: the entry (audit/witness_program.c has what it does). */
#include "audit/witness.h"

int main(int argc, char **argv)
{
    return witness_run(argc, argv);
}
