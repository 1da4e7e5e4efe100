/* SPDX-License-Identifier: Apache-2.0
 *
 * Forward rules from a grant and a host from a client (two bytes say how long the rules are, two
 * are the port): what decodes encodes as it was; what is permitted is permitted again in the form
 * in which the target is asked, and that form has no byte that a name or address has not. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire.h"
#include "policy/forwards.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void as_pattern(const char *text, size_t len)
{
    char pattern[FORWARD_TEXT_MAX + 2], host[FORWARD_HOST_MAX + 1], as[FORWARD_HOST_MAX + 1];
    struct forward_rules *rules = forward_rules_new();
    struct err e = ERR_INIT;
    uint16_t port;

    check(rules != NULL);
    len = len < sizeof pattern ? len : sizeof pattern - 1;
    memcpy(pattern, text, len);
    pattern[len] = 0;
    if (forward_rules_add(rules, "r", pattern, &e) < 0)
        check(e.text[0]);
    else
        check(forward_parse(pattern, host, &port, &e) == 0 &&
              forward_rules_match(rules, host, strlen(host), port, NULL, as) &&
              strcmp(as, host) == 0);
    forward_rules_free(rules);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char host[600], name[FORWARD_RULE_NAME_MAX + 1], as[FORWARD_HOST_MAX + 1],
        again[FORWARD_HOST_MAX + 1];

    if (size < 4)
        return 0;
    size_t len = wire_load_u16(data);
    const uint16_t port = wire_load_u16(data + 2);
    data += 4;
    size -= 4;
    len = len < size ? len : size;
    const size_t host_len = size - len < sizeof host ? size - len : sizeof host - 1;
    memcpy(host, data + len, host_len);
    as_pattern(host, host_len);
    struct forward_rules *rules = forward_rules_decode(data, len, NULL);
    if (!rules)
        return 0;
    struct buf bytes;
    buf_init(&bytes, FORWARDS_ENCODED_MAX);
    check(forward_rules_encode(rules, &bytes) == 0 && buf_len(&bytes) == len);
    check(!len || memcmp(buf_head(&bytes), data, len) == 0);
    buf_clear(&bytes);
    if (forward_rules_match(rules, host, host_len, port, name, as)) {
        check(port && name[0] && as[0]);
        check(strspn(as, "abcdefghijklmnopqrstuvwxyz0123456789-.:") == strlen(as));
        check(forward_rules_match(rules, as, strlen(as), port, name, again) &&
              strcmp(as, again) == 0);
    } else {
        check(!as[0] && !name[0]);
    }
    forward_rules_free(rules);
    return 0;
}
