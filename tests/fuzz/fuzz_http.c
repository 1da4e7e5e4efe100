/* SPDX-License-Identifier: Apache-2.0
 *
 * What strangers send to a witness and witnesses to the courier: HTTP messages as they arrive bit
 * by bit, the body of add-checkpoint, cosignature lines, and lines of a syslog file. An answer of
 * the parser does not depend on how the bytes were cut and is never taken back. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "audit/cosignature.h"
#include "audit/http.h"
#include "audit/known.h"
#include "audit/witness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef int parse_fn(struct http_message *m, const char *in, size_t len, struct err *e);

static void parse(parse_fn *fn, const char *in, size_t size)
{
    struct http_message whole, part;
    struct err e = ERR_INIT;
    int r = fn(&whole, in, size, &e);

    if (r > 0 && whole.head_len + whole.body_len > size)
        abort();
    for (size_t len = 0; len < size; len += 1 + size / 64) {
        int sooner = fn(&part, in, len, &e);

        /* A part is refused only when the whole is; one that is complete is the same message. */
        if (sooner < 0 && r >= 0)
            abort();
        if (sooner > 0 && (r <= 0 || part.head_len != whole.head_len ||
                           part.body_len != whole.body_len || part.status != whole.status))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char key[] =
        "witness.example.com/w1+a0059f11+BAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
    static struct witness_request request;
    struct err e = ERR_INIT;
    const char *line, *in;
    size_t line_len;
    uint64_t time_s;
    struct vkey v;
    struct buf note;
    char *copy = malloc(size ? size : 1); /* exactly so long, for AddressSanitizer */

    if (!copy)
        abort();
    memcpy(copy, data, size);
    in = copy;
    parse(http_request_parse, in, size);
    parse(http_response_parse, in, size);
    if (witness_request_parse(&request, in, size, &e) == 0 && request.proof.count > 63)
        abort();
    if (witness_key_parse(&v, key, &e) < 0)
        abort();
    if (cosignature_verify("a\n1\nb\n", 6, in, size, &v, &time_s, &line, &line_len, &e) == 0)
        abort(); /* nobody has signed that */
    buf_init(&note, KNOWN_LINE_MAX);
    (void)!known_note(&note, in, size, &e);
    buf_clear(&note);
    (void)!known_parameters(&note, in, size, &e);
    buf_clear(&note);
    free(copy);
    return 0;
}
