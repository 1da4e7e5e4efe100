/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading a set from disk: only plain files that root alone can write, in order, once; and the
 * block's decoder against malformed blocks. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/bundle.h"
#include "tests/unit/policy_fixture.h"

static char dir[64];

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static void put(const char *name, const char *text, mode_t mode)
{
    char path[300];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    cr_assert_not_null(f);
    fputs(text, f);
    fclose(f);
    cr_assert_eq(chmod(path, mode), 0);
}

static void setup(void)
{
    char path[300];

    strcpy(dir, "/tmp/sallyport-bundle-XXXXXX");
    cr_assert_not_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/roles.d", dir);
    cr_assert_eq(mkdir(path, 0755), 0);
    put("operators.yaml", "o", 0644);
    put("targets.yaml", "t", 0600);
    put("roles.d/b.yaml", "b", 0644);
    put("roles.d/a.yaml", "a", 0644);
    put("roles.d/.hidden.yaml", "x", 0666);
    put("roles.d/a.yaml.example", "x", 0666);
    put("roles.d/.yaml", "x", 0666);
    put("sallyport.yaml", "x", 0644);
}

static void teardown(void)
{
    nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static int read_set(struct buf *out, struct err *e)
{
    int fd = open(dir, O_DIRECTORY | O_CLOEXEC);

    buf_init(out, BUNDLE_MAX);
    int rc = bundle_read(fd, getuid(), out, e);
    close(fd);
    return rc;
}

Test(policy_bundle, read, .init = setup, .fini = teardown)
{
    static const char *const names[] = {"operators.yaml", "roles.d/a.yaml", "roles.d/b.yaml",
                                        "targets.yaml"};
    struct err e = ERR_INIT;
    struct bundle_file file;
    struct wire_reader r;
    struct buf block;

    cr_assert_eq(read_set(&block, &e), 0, "%s", e.text);
    wire_reader_init(&r, buf_head(&block), buf_len(&block));
    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(bundle_next(&r, &file, &e), 1, "%s", e.text);
        cr_expect_str_eq(file.name, names[i]);
        cr_expect_eq(file.bytes.len, 1);
    }
    cr_expect_eq(bundle_next(&r, &file, &e), 0);

    int fd = bundle_memfd(&block, &e);
    cr_assert_geq(fd, 0, "%s", e.text);
    cr_expect_eq(lseek(fd, 0, SEEK_END), (off_t)buf_len(&block));
    cr_expect_lt(pwrite(fd, "x", 1, 0), 0);
    cr_expect_lt(ftruncate(fd, 0), 0);
    close(fd);
    buf_clear(&block);
}

/* The zones that windows and tests name come along, once each, from the machine and nowhere else.
 */
Test(policy_bundle, zones, .init = setup, .fini = teardown)
{
    static const char *const names[] = {"operators.yaml",
                                        "roles.d/a.yaml",
                                        "roles.d/b.yaml",
                                        "roles.d/tests/t.yaml",
                                        "site.yaml",
                                        "targets.yaml",
                                        "zoneinfo/America/Argentina/Buenos_Aires",
                                        "zoneinfo/Asia/Seoul",
                                        "zoneinfo/Europe/Berlin",
                                        "zoneinfo/Japan" /* a link, to Asia/Tokyo */};
    struct err e = ERR_INIT;
    struct bundle_file file;
    struct wire_reader r;
    struct buf block;
    char path[300];

    snprintf(path, sizeof path, "%s/roles.d/tests", dir);
    cr_assert_eq(mkdir(path, 0755), 0);
    put("operators.yaml", "08:00 Europe/Rome", 0644);
    put("site.yaml", "when: [\"Mon 08:00-20:00 Asia/Seoul\"] # 10:00 today, 11:00", 0644);
    put("roles.d/a.yaml",
        "Mon 08:00-20:00 Asia/Seoul\nMon 08:00-20:00 UTC,Mon 08:00-20:00   Japan]", 0644);
    put("roles.d/b.yaml",
        "when:\n - Mon 08:00-20:00\n   America/Argentina/Buenos_Aires\n"
        "09:00 ../../../etc/passwd 09:00 /etc/passwd 09:00 Asia/../../x 09:00 localtime 09:00 Asia "
        "09:00 tzdata.zi 09:00 Nowhere/At_All 09:00",
        0644);
    put("roles.d/tests/t.yaml", "- {at: \"2026-03-02 10:00 Europe/Berlin\"}", 0644);
    cr_assert_eq(read_set(&block, &e), 0, "%s", e.text);
    wire_reader_init(&r, buf_head(&block), buf_len(&block));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        cr_assert_eq(bundle_next(&r, &file, &e), 1, "%s", e.text);
        cr_expect_str_eq(file.name, names[i]);
        cr_expect_eq(bundle_is_zone(file.name), i > 5);
        cr_expect(i <= 5 || memcmp(file.bytes.p, "TZif", 4) == 0);
    }
    cr_expect_eq(bundle_next(&r, &file, &e), 0, "%s", file.name);
    buf_clear(&block);
}

/* Many names in any order and number, few of them zones' and some of files that are none. */
Test(policy_bundle, many_names_of_zones, .init = setup, .fini = teardown)
{
    static const char *const zones[] = {"Africa/Cairo", "Asia/Seoul", "Etc/GMT+3", "Europe/Rome",
                                        "Japan"};
    char *text = malloc(ZONES_MAX * 100);
    struct err e = ERR_INIT;
    struct bundle_file file;
    struct wire_reader r;
    struct buf block;
    size_t len = 0, found = 0;

    for (unsigned i = 0; i < 4 * ZONES_MAX; i++) { /* 1000 names, each four times */
        len += (size_t)sprintf(text + len, "# 1:00 Z%u\n", i * 613 % 1000);
        if (i % 100 == 50)
            len += (size_t)sprintf(text + len, "# 1:00 %s\n", zones[i / 100 * 3 % 5]);
    }
    put("roles.d/a.yaml", text, 0644);
    put("roles.d/b.yaml", "# 10:00 leapseconds, 10:00 Asia, 10:00 Asia/Seoul/x", 0644);
    cr_assert_eq(read_set(&block, &e), 0, "%s", e.text);
    wire_reader_init(&r, buf_head(&block), buf_len(&block));
    while (bundle_next(&r, &file, &e) > 0) {
        if (bundle_is_zone(file.name))
            cr_expect_str_eq(file.name + strlen(BUNDLE_ZONES), zones[found++]);
    }
    cr_expect_eq(found, 5);
    buf_clear(&block);

    len = 0;
    for (unsigned i = 0; i <= ZONES_MAX; i++)
        len += (size_t)sprintf(text + len, "# 1:00 Z%u\n", i);
    put("roles.d/a.yaml", text, 0644);
    cr_expect_eq(read_set(&block, &e), ERR_FULL);
    cr_expect(strstr(e.text, "roles.d/a.yaml: the set names more than 1024"), "%s", e.text);
    buf_clear(&block);
    free(text);
}

Test(policy_bundle, names, .init = setup, .fini = teardown)
{
    static const struct {
        const char *name;
        enum bundle_place place;
    } places[] = {
        {"operators.yaml", BUNDLE_FILE},
        {"roles.d/a.yaml", BUNDLE_FILE},
        {"roles.d", BUNDLE_FOLDER},
        {"roles.d/tests", BUNDLE_FOLDER},
        {"roles.d/tests/a.yaml", BUNDLE_FILE},
        {"approvals/a.sig", BUNDLE_FILE},
        {"roles.d/a", BUNDLE_NO_PLACE},
        {"roles.d/.a.yaml", BUNDLE_NO_PLACE},
        {"roles.d/.yaml", BUNDLE_NO_PLACE},
        {"roles.d/a.yaml/b.yaml", BUNDLE_NO_PLACE},
        {"roles.d/", BUNDLE_NO_PLACE},
        {"roles.dd", BUNDLE_NO_PLACE},
        {"", BUNDLE_NO_PLACE},
        {"sallyport.yaml", BUNDLE_NO_PLACE},
        {"zoneinfo/Japan", BUNDLE_NO_PLACE},
    };
    static const char *const bad[] = {"roles.d/\x1b[31m.yaml", "roles.d/a\nb.yaml",
                                      "roles.d/\xff.yaml", "roles.d/\xe2\x80\xae.yaml"};
    struct err e = ERR_INIT;
    struct buf block;
    char path[300];

    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        cr_expect_eq(bundle_place(places[i].name), places[i].place, "%s", places[i].name);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put(bad[i], "x", 0644);
        cr_expect_eq(read_set(&block, &e), ERR_INPUT);
        cr_expect(strstr(e.text, "roles.d/") == e.text && strstr(e.text, "cannot be shown") &&
                      !strstr(e.text, bad[i]),
                  "%s", e.text);
        buf_clear(&block);
        snprintf(path, sizeof path, "%s/%s", dir, bad[i]);
        unlink(path);
    }
    put("roles.d/\xc3\xa4 b.yaml", "x", 0644);
    cr_expect_eq(read_set(&block, &e), 0, "%s", e.text);
    buf_clear(&block);
}

/* What approves a set is read with it; the configuration is the bytes that were parsed, whatever
 * the file has become since. */
Test(policy_bundle, approvals_and_configuration, .init = setup, .fini = teardown)
{
    static const char *const names[] = {"approvals/bob.sig",   "approvers.yaml", "manifest",
                                        "manifest.author.sig", "operators.yaml", "reviewers.yaml",
                                        "roles.d/a.yaml",      "roles.d/b.yaml", "sallyport.yaml",
                                        "targets.yaml"};
    static const struct bytes parsed = {(const uint8_t *)"as parsed", 9};
    struct err e = ERR_INIT;
    struct bundle_file file;
    struct wire_reader r;
    struct bytes found;
    struct buf block;
    char path[300];

    snprintf(path, sizeof path, "%s/approvals", dir);
    cr_assert_eq(mkdir(path, 0755), 0);
    put("approvals/bob.sig", "s", 0644);
    put("approvals/bob.sig~", "s", 0644);
    put("approvals/.sig", "s", 0644);
    put("approvers.yaml", "a", 0644);
    put("manifest", "m", 0644);
    put("manifest.author.sig", "s", 0644);
    put("reviewers.yaml", "r", 0644);
    for (int given = 0; given < 2; given++) {
        int fd = open(dir, O_DIRECTORY | O_CLOEXEC);

        buf_init(&block, BUNDLE_MAX);
        cr_assert_eq(bundle_read_with(fd, getuid(), given ? &parsed : NULL, &block, &e), 0, "%s",
                     e.text);
        close(fd);
        wire_reader_init(&r, buf_head(&block), buf_len(&block));
        for (size_t i = 0; i < 10; i++) {
            cr_assert_eq(bundle_next(&r, &file, &e), 1, "%s", e.text);
            cr_expect_str_eq(file.name, names[i]);
        }
        cr_expect_eq(bundle_next(&r, &file, &e), 0);
        cr_assert_eq(bundle_find(buf_head(&block), buf_len(&block), "sallyport.yaml", &found, &e),
                     1);
        cr_expect_eq(found.len, given ? 9 : 1);
        cr_expect_eq(bundle_find(buf_head(&block), buf_len(&block), "site.yaml", &found, &e), 0);
        buf_clear(&block);
    }
    put("manifest", "m", 0664);
    cr_expect_eq(read_set(&block, &e), ERR_INPUT);
    cr_expect(strstr(e.text, "manifest: found mode 0664"), "%s", e.text);
    buf_clear(&block);
}

static void link_to(const char *target, const char *name)
{
    char path[300];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    unlink(path);
    cr_assert_eq(symlink(target, path), 0);
}

Test(policy_bundle, refused, .init = setup, .fini = teardown)
{
    struct err e = ERR_INIT;
    struct buf block;
    char path[300];

    put("roles.d/a.yaml", "a", 0664);
    cr_expect_eq(read_set(&block, &e), ERR_INPUT);
    cr_expect(strstr(e.text, "roles.d/a.yaml: found mode 0664"), "%s", e.text);
    buf_clear(&block);

    put("roles.d/a.yaml", "a", 0646);
    cr_expect_eq(read_set(&block, &e), ERR_INPUT);
    buf_clear(&block);

    link_to("b.yaml", "roles.d/a.yaml");
    cr_expect_eq(read_set(&block, &e), ERR_INPUT);
    cr_expect(strstr(e.text, "roles.d/a.yaml: found a symbolic link"), "%s", e.text);
    buf_clear(&block);

    snprintf(path, sizeof path, "%s/roles.d/a.yaml", dir);
    unlink(path);
    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_expect_eq(read_set(&block, &e), ERR_INPUT); /* and does not wait for a writer */
    cr_expect(strstr(e.text, "expected a regular file"), "%s", e.text);
    buf_clear(&block);
    unlink(path);

    snprintf(path, sizeof path, "%s/roles.d", dir);
    cr_assert_eq(chmod(path, 0777), 0);
    cr_expect_eq(read_set(&block, &e), ERR_INPUT);
    cr_expect(strstr(e.text, "roles.d: found mode"), "%s", e.text);
    buf_clear(&block);
    cr_assert_eq(chmod(path, 0755), 0);

    cr_assert_eq(chmod(dir, 0777), 0);
    cr_expect_eq(read_set(&block, &e), ERR_INPUT);
    buf_clear(&block);
    cr_assert_eq(chmod(dir, 0755), 0);

    cr_expect_eq(read_set(&block, &e), 0, "%s", e.text);
    buf_clear(&block);
    link_to("sallyport.yaml", "targets.yaml");
    cr_expect_eq(read_set(&block, &e), ERR_INPUT);
    buf_clear(&block);
    snprintf(path, sizeof path, "%s/targets.yaml", dir);
    unlink(path);
    cr_expect_eq(read_set(&block, &e), ERR_SYSTEM);
    cr_expect(strstr(e.text, "targets.yaml: cannot be opened"), "%s", e.text);
    buf_clear(&block);
}

Test(policy_bundle, owner, .init = setup, .fini = teardown)
{
    struct err e = ERR_INIT;
    struct buf block;
    char path[300];

    if (getuid() != 0)
        cr_skip_test("only root can give files away");
    snprintf(path, sizeof path, "%s/roles.d/a.yaml", dir);
    cr_assert_eq(chown(path, 12345, 0), 0);
    cr_expect_eq(read_set(&block, &e), ERR_INPUT);
    cr_expect(strstr(e.text, "roles.d/a.yaml: found owner 12345, expected 0"), "%s", e.text);
    buf_clear(&block);
}

Test(policy_bundle, malformed_blocks)
{
    struct err e = ERR_INIT;
    struct buf block;
    size_t good = 0;

    buf_init(&block, 1 << 16);
    fixture_put(&block,
                (struct fixture_file[]){{"operators.yaml", "operators: {}"},
                                        {"targets.yaml", "targets: {}"}},
                2);
    for (size_t len = 0; len <= buf_len(&block); len++) {
        struct policy *p = policy_load(buf_head(&block), len, NULL, &e);
        good += p != NULL;
        policy_free(p);
    }
    cr_expect_eq(good, 1);
    buf_clear(&block);

    static const struct fixture_file sets[][3] = {
        {{"operators.yaml", "operators: {}"},
         {"operators.yaml", "operators: {}"},
         {"targets.yaml", "targets: {}"}},
        {{"operators.yaml", "operators: {}"},
         {"targets.yaml", "targets: {}"},
         {"roles.d/x.yaml", "x"}},
        {{"operators.yaml", "operators: {}"}, {"other.yaml", ""}, {"targets.yaml", "targets: {}"}},
        {{"operators.yaml", "operators: {}"},
         {"roles.d/../x.yaml", ""},
         {"targets.yaml", "targets: {}"}},
    };
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        buf_init(&block, 1 << 16);
        fixture_put(&block, sets[i], 3);
        cr_expect_null(policy_load(buf_head(&block), buf_len(&block), NULL, &e), "%zu", i);
        buf_clear(&block);
    }
}

Test(policy_bundle, target_addresses)
{
    struct err e = ERR_INIT;
    struct buf block;
    size_t count;
    char text[ADDRESS_TEXT];

    buf_init(&block, 1 << 16);
    fixture_put(
        &block,
        (struct fixture_file[]){{"operators.yaml", "broken: ["}, {"targets.yaml", fixture_targets}},
        2);
    struct policy_target_address *t =
        policy_target_addresses(buf_head(&block), buf_len(&block), &count, &e);
    cr_assert_not_null(t, "%s", e.text);
    cr_assert_eq(count, 3);
    cr_expect_str_eq(t[1].name, "hv2");
    cr_expect_eq(t[1].port, 2222);
    cr_expect_str_eq(address_text(&t[2].address, text), "2001:db8::1");
    free(t);
    buf_clear(&block);
}
