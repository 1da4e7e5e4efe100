/* SPDX-License-Identifier: Apache-2.0
 *
 * The bundle's README, out of audit/bundle_readme.md. */
#include "audit/bundle.h"

const char bundle_readme[] =
#include "audit/bundle_readme.inc"
    ;
