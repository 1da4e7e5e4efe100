/* SPDX-License-Identifier: Apache-2.0
 *
 * See policy/rule_bytes.h. */
#include "policy/rule_bytes.h"

int rule_bytes_append(struct buf *to, const void *bytes, size_t len, const char *what,
                      struct err *e)
{
    int rc = buf_put(to, bytes, len);

    if (rc == ERR_MEMORY)
        return err_set(e, ERR_MEMORY, "out of memory");
    return rc < 0 ? err_set(e, ERR_FULL, "found more than %zu bytes of %s, expected fewer", to->max,
                            what)
                  : 0;
}

int rule_bytes_decode(struct buf *to, const void *bytes, size_t len, rule_bytes_take take,
                      void *arg, const char *what, struct err *e)
{
    struct wire_reader r;

    wire_reader_init(&r, bytes, len);
    while (r.left) {
        if (!take(arg, &r))
            return err_set(e, ERR_PROTOCOL, "the %s are malformed", what);
    }
    return len ? rule_bytes_append(to, bytes, len, what, e) : 0;
}
