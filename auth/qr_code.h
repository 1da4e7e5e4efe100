/* SPDX-License-Identifier: Apache-2.0
 *
 * A QR code drawn on a terminal, two modules a character (UTF-8 half blocks). Pure but for stdio.
 */
#ifndef SALLYPORT_AUTH_QR_CODE_H
#define SALLYPORT_AUTH_QR_CODE_H

#include <stdio.h>

#include "base/err.h"

/* Black on white by escape sequences, so that it can be scanned from dark terminals too. */
MUST_CHECK int qr_code_print(FILE *out, const char *text, struct err *e);

#endif
