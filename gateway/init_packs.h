/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport init`'s copies of the shipped rule packs: they become part of the policy set, hashed
 * and edited like the rest of it. Runs as root, before there is a gateway. */
#ifndef SALLYPORT_GATEWAY_INIT_PACKS_H
#define SALLYPORT_GATEWAY_INIT_PACKS_H

#include "base/err.h"

/* Copies NAME.yaml of dir into confdir/packs, which is made; a file that is there already stays as
 * it is. dir NULL: where packs are installed, and when they are not, nothing is copied. *copied:
 * how many. */
MUST_CHECK int init_packs(const char *confdir, const char *dir, unsigned *copied, struct err *e);

#endif
