/* SPDX-License-Identifier: Apache-2.0
 *
 * Prints the keys of sallyport.yaml as mdoc: the generated part of docs/man/sallyport.yaml.5. */
#include <stdio.h>
#include <stdlib.h>

#include "gateway/config.h"

#define DOCUMENT_MAX (64u * 1024)

int main(void)
{
    struct buf out;

    buf_init(&out, DOCUMENT_MAX);
    if (config_document(&out) < 0) {
        fprintf(stderr, "config_document: the keys do not fit in %u bytes\n", DOCUMENT_MAX);
        return EXIT_FAILURE;
    }
    if (fwrite(buf_head(&out), 1, buf_len(&out), stdout) != buf_len(&out) || fflush(stdout))
        return EXIT_FAILURE;
    buf_clear(&out);
    return EXIT_SUCCESS;
}
