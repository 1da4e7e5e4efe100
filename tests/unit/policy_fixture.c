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

static size_t read_zone(const char *name, char *out, size_t cap)
{
    char path[200];

    snprintf(path, sizeof path, "/usr/share/%s", name);
    FILE *f = fopen(path, "r");
    INVARIANT(f);
    const size_t len = fread(out, 1, cap, f);
    INVARIANT(len && len < cap);
    fclose(f);
    return len;
}

void fixture_put(struct buf *out, const struct fixture_file *files, size_t count)
{
    static char zone[16384];

    for (size_t i = 0; i < count; i++) {
        const size_t name = strlen(files[i].name);
        const char *text = files[i].text ? files[i].text : zone;
        const size_t len =
            files[i].text ? strlen(text) : read_zone(files[i].name, zone, sizeof zone);
        uint8_t *p = buf_reserve(out, 2 + name + 4 + len);
        INVARIANT(p);
        wire_store_u16(p, (uint16_t)name);
        memcpy(p + 2, files[i].name, name);
        wire_store_u32(p + 2 + name, (uint32_t)len);
        memcpy(p + 6 + name, text, len);
        buf_commit(out, 6 + name + len);
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct fixture_file *)a)->name, ((const struct fixture_file *)b)->name);
}

static struct policy *load_block(const struct buf *block, struct err *e)
{
    struct buf warnings;

    buf_init(&warnings, sizeof fixture_warnings - 1);
    struct policy *p = policy_load(buf_head(block), buf_len(block), &warnings, e);
    char *text = buf_string(&warnings);
    snprintf(fixture_warnings, sizeof fixture_warnings, "%s", text ? text : "");
    free(text);
    buf_clear(&warnings);
    return p;
}

struct policy *fixture_load_files(const struct fixture_file *files, size_t count,
                                  struct buf *bundle, struct err *e)
{
    struct fixture_file all[42];
    bool operators = false, targets = false;
    struct buf block;
    size_t n = 0;

    INVARIANT(count <= 40);
    for (size_t i = 0; i < count; i++) {
        operators |= strcmp(files[i].name, "operators.yaml") == 0;
        targets |= strcmp(files[i].name, "targets.yaml") == 0;
        all[n++] = files[i];
    }
    if (!operators)
        all[n++] = (struct fixture_file){"operators.yaml", fixture_operators};
    if (!targets)
        all[n++] = (struct fixture_file){"targets.yaml", fixture_targets};
    qsort(all, n, sizeof *all, by_name);
    buf_init(&block, 1 << 20);
    fixture_put(&block, all, n);
    struct policy *p = load_block(&block, e);
    if (bundle)
        *bundle = block;
    else
        buf_clear(&block);
    return p;
}

static struct policy *load(const char *operators, const char *targets, const char *const *roles,
                           size_t count, struct err *e)
{
    static const char *const names[] = {"roles.d/1.yaml", "roles.d/2.yaml", "roles.d/3.yaml",
                                        "roles.d/4.yaml", "roles.d/5.yaml", "roles.d/6.yaml",
                                        "roles.d/7.yaml", "roles.d/8.yaml", "roles.d/9.yaml"};
    struct fixture_file files[11];
    size_t n = 0;

    INVARIANT(count <= 9);
    files[n++] = (struct fixture_file){"operators.yaml", operators};
    for (size_t i = 0; i < count; i++)
        files[n++] = (struct fixture_file){names[i], roles[i]};
    files[n++] = (struct fixture_file){"targets.yaml", targets};
    return fixture_load_files(files, n, NULL, e);
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
