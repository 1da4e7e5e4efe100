/* SPDX-License-Identifier: Apache-2.0
 *
 * File rules from a grant and a path from a client (two bytes say how long the rules are): what
 * decodes encodes as it was; nothing is permitted that is not visible, or at a path that is not
 * canonical; a joined path is canonical, and the same when joined again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire.h"
#include "policy/files.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void judge(const struct file_rules *rules, const char *path, size_t len)
{
    char name[128], again[FILE_PATH_MAX + 1];
    const unsigned access = file_rules_access(rules, path, len, FILE_WRITE, name);
    const bool visible = file_rules_visible(rules, path, len);

    check(access <= 3 && (!access || visible) && (!name[0] || (access & FILE_WRITE)));
    if (visible) {
        check(file_path_join("/", path, len, again, NULL) == 0);
        check(strlen(again) == len && memcmp(again, path, len) == 0);
    }
}

static void join(const struct file_rules *rules, const char *path, size_t len)
{
    char out[FILE_PATH_MAX + 1], again[FILE_PATH_MAX + 1];

    if (file_path_join("/home/x", path, len, out, NULL) < 0) {
        check(!out[0]);
        return;
    }
    struct file_rules *all = file_rules_new();
    check(all && file_rules_add(all, "all", 3, "/**", NULL) == 0 && file_rules_unrestricted(all));
    check(file_rules_access(all, out, strlen(out), 0, NULL) == 3);
    file_rules_free(all);
    check(file_path_join("/", out, strlen(out), again, NULL) == 0 && strcmp(out, again) == 0);
    check(file_path_join(out, ".", 1, again, NULL) == 0 && strcmp(out, again) == 0);
    check(!file_rules_unrestricted(rules) ||
          file_rules_access(rules, out, strlen(out), 0, NULL) == 3);
    judge(rules, out, strlen(out));
}

/* The path as a pattern: one that is sound survives the way through a grant. */
static void as_pattern(const char *path, size_t len)
{
    char text[FILE_PATTERN_MAX + 2];
    struct file_rules *rules = file_rules_new();
    struct err e = ERR_INIT;
    struct buf bytes;

    check(rules != NULL);
    len = len < sizeof text ? len : sizeof text - 1;
    memcpy(text, path, len);
    text[len] = 0;
    if (file_rules_add(rules, "r", FILE_WRITE, text, &e) < 0) {
        check(e.text[0]);
    } else {
        buf_init(&bytes, FILES_ENCODED_MAX);
        check(file_rules_encode(rules, &bytes) == 0);
        struct file_rules *got = file_rules_decode(buf_head(&bytes), buf_len(&bytes), NULL);
        check(got != NULL);
        file_rules_free(got);
        buf_clear(&bytes);
        if (!strpbrk(text, "*?\\")) /* a plain path matches itself */
            check(file_rules_access(rules, text, strlen(text), 0, NULL) == FILE_WRITE);
    }
    file_rules_free(rules);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t len = wire_load_u16(data);
    data += 2;
    size -= 2;
    len = len < size ? len : size;
    const char *path = (const char *)data + len;
    struct file_rules *rules = file_rules_decode(data, len, NULL);

    as_pattern(path, size - len);
    if (!rules)
        return 0;
    struct buf bytes;
    buf_init(&bytes, FILES_ENCODED_MAX);
    check(file_rules_encode(rules, &bytes) == 0 && buf_len(&bytes) == len);
    check(!len || memcmp(buf_head(&bytes), data, len) == 0);
    buf_clear(&bytes);
    judge(rules, path, size - len);
    join(rules, path, size - len);
    file_rules_free(rules);
    return 0;
}
