/* SPDX-License-Identifier: Apache-2.0
 *
 * See tests/unit/rules_fixture.h. */
#include "tests/unit/rules_fixture.h"

#include <criterion/criterion.h>
#include <string.h>

#include "policy/pattern.h"

void fixture_rule(struct rule_set *set, const char *name, const char *pattern, const char *path)
{
    struct err e = ERR_INIT;
    struct buf encoded;

    buf_init(&encoded, RULES_ENCODED_MAX);
    cr_assert_eq(pattern_parse(pattern, strlen(pattern), &encoded, &e), 0, "%s", e.text);
    const struct bytes bytes = {buf_head(&encoded), buf_len(&encoded)};
    cr_assert_eq(path ? rule_set_allow(set, name, bytes, path, 0, &e)
                      : rule_set_deny(set, name, bytes, &e),
                 0, "%s", e.text);
    buf_clear(&encoded);
}

struct rule_set *fixture_sent(struct rule_set *set)
{
    struct err e = ERR_INIT;
    struct buf bytes;

    buf_init(&bytes, RULES_ENCODED_MAX);
    cr_assert_eq(rule_set_encode(set, &bytes), 0);
    struct rule_set *got = rule_set_decode(buf_head(&bytes), buf_len(&bytes), &e);
    cr_assert_not_null(got, "%s", e.text);
    buf_clear(&bytes);
    rule_set_free(set);
    return got;
}
