/* SPDX-License-Identifier: Apache-2.0
 *
 * Forward rules: (first byte odd) a rule as written, whose host matches itself and the set's copy;
 * or the length of a host, the host that a client asks for, and a set as a grant carries it. What
 * is sent to a target is never anything but a rule's own host. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/forwards.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void written(const char *text)
{
    struct forward_rules *rules = forward_rules_new(), *copy;
    char host[FORWARD_HOST_MAX + 1], name[128], send[FORWARD_HOST_MAX + 1];
    struct err e = ERR_INIT;
    struct buf bytes;
    uint16_t port;

    buf_init(&bytes, FORWARDS_ENCODED_MAX);
    if (!rules)
        abort();
    const int rc = forward_parse(text, host, &port, &e);
    if (rc < 0 && !e.text[0])
        abort(); /* refused without a word */
    if (forward_rules_add(rules, "r/forward[0]", text, NULL) != rc ||
        forward_rules_encode(rules, &bytes) < 0)
        abort();
    copy = forward_rules_decode(buf_head(&bytes), buf_len(&bytes), NULL);
    if (!copy)
        abort();
    if (rc == 0 && (!port || !forward_rules_match(copy, host, strlen(host), port, name, send) ||
                    strcmp(send, host) != 0 || strcmp(name, "r/forward[0]") != 0 ||
                    forward_rules_match(copy, host, strlen(host), port + 1u, name, send)))
        abort();
    forward_rules_free(copy);
    forward_rules_free(rules);
    buf_clear(&bytes);
}

static void carried(const uint8_t *data, size_t size)
{
    const size_t host_len = size ? data[0] : 0;
    char name[128], send[FORWARD_HOST_MAX + 1];

    if (size < 1 + host_len)
        return;
    struct forward_rules *rules =
        forward_rules_decode(data + 1 + host_len, size - 1 - host_len, NULL);
    if (!rules)
        return;
    for (uint64_t port = 0; port < 70000; port = port < 30 ? port + 1 : port * 3) {
        if (forward_rules_match(rules, data + 1, host_len, port, name, send) &&
            (!port || port > 65535 || !name[0] || !send[0]))
            abort();
    }
    forward_rules_free(rules);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    if (data[0] & 1) {
        char *text = malloc(size);
        if (!text)
            abort();
        memcpy(text, data + 1, size - 1);
        text[size - 1] = 0;
        written(text);
        free(text);
    } else {
        carried(data + 1, size - 1);
    }
    return 0;
}
