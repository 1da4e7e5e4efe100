/* SPDX-License-Identifier: Apache-2.0
 *
 * A policy set from texts (tests/unit/policy_fixture.h). */
#include "tests/unit/policy_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char fixture_operators[] =
    "operators:\n"
    "  alice: {name: Alice, keys: [\"" KEY_A " alice@laptop\"], groups: [ops, net]}\n"
    "  bob: {keys: [\"" KEY_B "\"], groups: [ops]}\n"
    "  carol: {name: Carol}\n";

const char fixture_targets[] =
    "targets:\n"
    "  hv1: {address: 10.0.0.1, labels: {env: lab, kind: libvirt}, aliases: [hv1.lan], host-keys: "
    "[\"" KEY_H1 "\"]}\n"
    "  hv2: {address: 10.0.0.2, port: 2222, labels: {env: lab, kind: xen}, host-keys: [\"" KEY_H1
    "\"]}\n"
    "  sw1: {address: \"2001:db8::1\", labels: {env: prod}}\n";

char fixture_warnings[8192];

void fixture_put(struct buf *out, const struct fixture_file *files, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const size_t name = strlen(files[i].name), text = strlen(files[i].text);
        uint8_t *p = buf_reserve(out, 2 + name + 4 + text);
        INVARIANT(p);
        wire_store_u16(p, (uint16_t)name);
        memcpy(p + 2, files[i].name, name);
        wire_store_u32(p + 2 + name, (uint32_t)text);
        memcpy(p + 6 + name, files[i].text, text);
        buf_commit(out, 6 + name + text);
    }
}

static struct policy *load(const char *operators, const char *targets, const char *const *roles,
                           size_t count, struct err *e)
{
    static const char *const names[] = {"roles.d/1.yaml", "roles.d/2.yaml", "roles.d/3.yaml",
                                        "roles.d/4.yaml", "roles.d/5.yaml", "roles.d/6.yaml",
                                        "roles.d/7.yaml", "roles.d/8.yaml", "roles.d/9.yaml"};
    struct fixture_file files[11];
    struct buf block, warnings;
    size_t n = 0;

    INVARIANT(count <= 9);
    buf_init(&block, 1 << 20);
    buf_init(&warnings, sizeof fixture_warnings - 1);
    files[n++] = (struct fixture_file){"operators.yaml", operators};
    for (size_t i = 0; i < count; i++)
        files[n++] = (struct fixture_file){names[i], roles[i]};
    files[n++] = (struct fixture_file){"targets.yaml", targets};
    fixture_put(&block, files, n);
    struct policy *p = policy_load(buf_head(&block), buf_len(&block), &warnings, e);
    char *text = buf_string(&warnings);
    snprintf(fixture_warnings, sizeof fixture_warnings, "%s", text ? text : "");
    free(text);
    buf_clear(&block);
    buf_clear(&warnings);
    return p;
}

struct policy *fixture_load(const char *const *roles, size_t count, struct err *e)
{
    return load(fixture_operators, fixture_targets, roles, count, e);
}

struct policy *fixture_load_with(const char *operators, const char *targets, const char *role,
                                 struct err *e)
{
    return load(operators ? operators : fixture_operators, targets ? targets : fixture_targets,
                &role, role ? 1 : 0, e);
}
