/* SPDX-License-Identifier: Apache-2.0
 *
 * A QR code on a terminal (auth/qr_code.h). */
#include <qrencode.h>
#include <stdbool.h>

#include "auth/qr_code.h"

/* Modules of white around the code: ISO/IEC 18004 wants 4; scanners are content with 2. */
#define QUIET 2

static bool dark(const QRcode *code, int x, int y)
{
    return x >= 0 && y >= 0 && x < code->width && y < code->width &&
           (code->data[y * code->width + x] & 1);
}

int qr_code_print(FILE *out, const char *text, struct err *e)
{
    QRcode *code = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_L);
    if (!code)
        return err_set(e, ERR_SYSTEM, "cannot make a QR code");
    for (int y = -QUIET; y < code->width + QUIET; y += 2) {
        fputs("    \033[30;107m", out);
        for (int x = -QUIET; x < code->width + QUIET; x++) {
            bool upper = dark(code, x, y), lower = dark(code, x, y + 1);
            fputs(upper && lower ? "\u2588" : upper ? "\u2580" : lower ? "\u2584" : " ", out);
        }
        fputs("\033[0m\n", out);
    }
    QRcode_free(code);
    return 0;
}
