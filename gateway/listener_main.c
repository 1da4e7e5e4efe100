/* SPDX-License-Identifier: Apache-2.0
 *
 * sallyport-listener: the entry (gateway/listener.c has what it does). */
#include "gateway/listener.h"

int main(int argc, char **argv)
{
    return listener_run(argc, argv);
}
