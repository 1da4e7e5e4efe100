/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of a policy set: what is formatted says the same as before, by a comparison that is not the
 * formatter's own, and is left alone the second time. What is not formatted is told why. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/yaml_tree.h"
#include "policy/fmt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A tree as text that has one meaning. */
static void tell(const struct yaml_node *n, struct buf *out)
{
    if (buf_printf(out, "%d %d %zu ", (int)n->kind, (int)n->quoted, n->count) < 0)
        abort();
    if (n->kind == YAML_SCALAR && buf_printf(out, "%zu:%s", strlen(n->text), n->text) < 0)
        abort();
    for (size_t i = 0; i < n->count; i++) {
        if (n->kind == YAML_MAP)
            tell(n->keys[i], out);
        tell(n->items[i], out);
    }
}

static bool same_text(const struct buf *a, const struct buf *b)
{
    return buf_len(a) == buf_len(b) &&
           (!buf_len(a) || memcmp(buf_head(a), buf_head(b), buf_len(a)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf once, twice, before, after;
    struct err e = ERR_INIT;
    struct yaml_doc *doc = yaml_parse("f", data, size, NULL);

    buf_init(&once, 1u << 24);
    buf_init(&twice, 1u << 24);
    buf_init(&before, 1u << 24);
    buf_init(&after, 1u << 24);
    if (policy_fmt("f", data, size, &once, &e) == 0) {
        struct yaml_doc *again = yaml_parse("f", buf_head(&once), buf_len(&once), NULL);
        if (!doc || !again)
            abort();
        tell(yaml_root(doc), &before);
        tell(yaml_root(again), &after);
        if (!same_text(&before, &after))
            abort();
        if (policy_fmt("f", buf_head(&once), buf_len(&once), &twice, &e) < 0 ||
            !same_text(&once, &twice)) {
            fprintf(stderr, "%s\n--\n%.*s--\n%.*s", e.text, (int)buf_len(&once),
                    (const char *)buf_head(&once), (int)buf_len(&twice),
                    (const char *)buf_head(&twice));
            abort();
        }
        yaml_doc_free(again);
    } else if (!e.text[0]) {
        abort();
    }
    yaml_doc_free(doc);
    buf_clear(&once);
    buf_clear(&twice);
    buf_clear(&before);
    buf_clear(&after);
    return 0;
}
