/* SPDX-License-Identifier: Apache-2.0
 *
 * age files: the format's published test vectors, and age(1) itself in both directions. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/age.h"
#include "audit/digest.h"
#include "tests/unit/audit_lab.h"

static struct blob read_whole(const char *path)
{
    struct blob b = {malloc(200000), 0};
    FILE *f = fopen(path, "rb");

    cr_assert(f && b.p, "%s", path);
    b.len = fread(b.p, 1, 199999, f);
    b.p[b.len] = '\0';
    fclose(f);
    return b;
}

static void write_whole(const char *path, const void *p, size_t len)
{
    FILE *f = fopen(path, "wb");

    cr_assert(f && fwrite(p, 1, len, f) == len && fclose(f) == 0, "%s", path);
}

/* The value of a line of the vector's header, ended by a NUL. */
static bool field(const struct blob *b, const char *name, char *out, size_t cap)
{
    const char *at = strstr((const char *)b->p, name);

    if (!at)
        return false;
    at += strlen(name);
    snprintf(out, cap, "%.*s", (int)strcspn(at, "\n"), at);
    return true;
}

static void run_vector(const char *name)
{
    char path[512], expect[64], identity[128], payload[128], hex[DIGEST_HEX] = "";
    uint8_t key[AGE_KEY_SIZE], hash[32];
    struct err e = ERR_INIT;
    struct blob b;
    struct buf out;
    const char *file;
    int r;

    snprintf(path, sizeof path, AGE_VECTORS "/%s", name);
    b = read_whole(path);
    cr_assert(field(&b, "expect: ", expect, sizeof expect), "%s", name);
    if (!field(&b, "identity: ", identity, sizeof identity))
        strcpy(identity, LAB_IDENTITY);
    file = strstr((const char *)b.p, "\n\n") + 2;
    buf_init(&out, AGE_PLAIN_MAX + 64);
    r = age_identity_parse(identity, key, &e);
    if (r == 0)
        r = age_decrypt(&out, key, file, b.len - (size_t)(file - (const char *)b.p), &e);
    if (strcmp(expect, "success") == 0) {
        cr_expect_eq(r, 0, "%s: %s", name, e.text);
        cr_assert(field(&b, "payload: ", payload, sizeof payload), "%s", name);
        EVP_Digest(buf_head(&out), buf_len(&out), hash, NULL, EVP_sha256(), NULL);
        digest_hex(hash, hex);
        cr_expect_str_eq(hex, payload, "%s", name);
    } else if (strcmp(expect, "no match") == 0) {
        cr_expect_eq(r, ERR_NOT_FOUND, "%s: %d %s", name, r, e.text);
    } else {
        cr_expect_lt(r, 0, "%s opened, but should be a %s", name, expect);
        cr_expect_eq(buf_len(&out), 0, "%s: bytes without their tag", name);
    }
    buf_clear(&out);
    free(b.p);
}

Test(age, published_vectors)
{
    DIR *dir = opendir(AGE_VECTORS);
    unsigned count = 0;
    struct dirent *d;

    cr_assert(dir);
    while ((d = readdir(dir)))
        if (d->d_name[0] != '.' && strcmp(d->d_name, "README") != 0) {
            run_vector(d->d_name);
            count++;
        }
    closedir(dir);
    cr_expect_gt(count, 40);
}

Test(age, key_texts)
{
    static const struct {
        const char *text, *why;
    } bad[] = {
        {"", "not an X25519"},
        {"age1", "not an X25519"},
        {"age1pq1x34nzsvr0rxjsgdn8zgyhfe8j7ceq5r9rdelkjuh3y235jzxshfg8", "not an X25519"},
        {"age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwx", "checksum"},
        {"age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwJ", "not an X25519"},
        {"age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujb1", "checksum"},
        {LAB_IDENTITY, "not an X25519"},
        {"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDlL", "not an X25519"},
    };
    uint8_t identity[AGE_KEY_SIZE], recipient[AGE_KEY_SIZE], again[AGE_KEY_SIZE];
    char text[AGE_RECIPIENT_TEXT], secret[AGE_IDENTITY_TEXT];
    struct err e = ERR_INIT;

    cr_assert_eq(age_identity_parse(LAB_IDENTITY, identity, &e), 0, "%s", e.text);
    for (size_t i = 0; i < sizeof identity; i++)
        cr_expect_eq(identity[i], 0x42);
    cr_assert_eq(age_identity_recipient(identity, recipient, &e), 0);
    age_recipient_text(recipient, text);
    cr_expect_str_eq(text, LAB_RECIPIENT);
    age_identity_text(identity, secret);
    cr_expect_str_eq(secret, LAB_IDENTITY);
    cr_assert_eq(age_recipient_parse(LAB_RECIPIENT, again, &e), 0);
    cr_expect_arr_eq(again, recipient, sizeof again);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_expect_eq(age_recipient_parse(bad[i].text, again, &e), ERR_INPUT, "%s", bad[i].text);
        cr_expect(strstr(e.text, bad[i].why), "%s: %s", bad[i].text, e.text);
    }
    cr_expect_eq(age_identity_parse(LAB_RECIPIENT, again, &e), ERR_INPUT);
    cr_expect_eq(age_recipient_check(recipient, &e), 0);
}

Test(age, points_of_small_order_are_refused)
{
    static const uint8_t zero[AGE_KEY_SIZE], one[AGE_KEY_SIZE] = {1};
    struct err e = ERR_INIT;

    cr_expect_eq(age_recipient_check(zero, &e), ERR_INPUT);
    cr_expect_eq(age_recipient_check(one, &e), ERR_INPUT);
}

/* Every byte of a file matters: with one changed it does not open, or it is for nobody. */
Test(age, every_byte_flipped)
{
    uint8_t identity[AGE_KEY_SIZE], recipient[1][AGE_KEY_SIZE];
    struct err e = ERR_INIT;
    struct buf file, out;

    cr_assert_eq(age_identity_parse(LAB_IDENTITY, identity, &e), 0);
    cr_assert_eq(age_identity_recipient(identity, recipient[0], &e), 0);
    buf_init(&file, 4096);
    buf_init(&out, 4096);
    cr_assert_eq(
        age_encrypt(&file, (const uint8_t(*)[AGE_KEY_SIZE])recipient, 1, "0123456789", 10, &e), 0);
    cr_assert_eq(age_decrypt(&out, identity, buf_head(&file), buf_len(&file), &e), 0);
    cr_expect_arr_eq(buf_head(&out), "0123456789", 10);
    buf_clear(&out);
    for (size_t i = 0; i < buf_len(&file); i++) {
        ((uint8_t *)buf_head(&file))[i] ^= 1;
        cr_expect_lt(age_decrypt(&out, identity, buf_head(&file), buf_len(&file), &e), 0, "%zu", i);
        ((uint8_t *)buf_head(&file))[i] ^= 1;
        cr_expect_lt(age_decrypt(&out, identity, buf_head(&file), i, &e), 0, "cut at %zu", i);
        cr_expect_eq(buf_len(&out), 0);
    }
    buf_clear(&out);
    buf_clear(&file);
}

static void command(const char *format, const char *dir)
{
    char text[1000];

    snprintf(text, sizeof text, format, dir, dir, dir, dir);
    cr_assert_eq(system(text), 0, "%s", text);
}

/* What this writes age(1) opens, and the other way round; also among other recipients. */
Test(age, the_program_age)
{
    char dir[] = "/tmp/sallyport-age-XXXXXX", path[64];
    uint8_t identity[AGE_KEY_SIZE], recipients[2][AGE_KEY_SIZE];
    struct err e = ERR_INIT;
    struct buf file, out;
    struct blob b;

    if (access("/usr/bin/age", X_OK) != 0 || access("/usr/bin/age-keygen", X_OK) != 0)
        cr_assert_fail("age is not installed");
    cr_assert(mkdtemp(dir));
    command("cd %s && age-keygen -o other 2>/dev/null && age-keygen -y other >other.pub", dir);
    snprintf(path, sizeof path, "%s/other.pub", dir);
    b = read_whole(path);
    b.p[strcspn((char *)b.p, "\n")] = '\0';
    cr_assert_eq(age_recipient_parse((char *)b.p, recipients[1], &e), 0, "%s", e.text);
    free(b.p);
    cr_assert_eq(age_identity_parse(LAB_IDENTITY, identity, &e), 0);
    cr_assert_eq(age_identity_recipient(identity, recipients[0], &e), 0);
    buf_init(&file, 4096);
    buf_init(&out, 4096);
    cr_assert_eq(
        age_encrypt(&file, (const uint8_t(*)[AGE_KEY_SIZE])recipients, 2, "for both", 8, &e), 0);
    snprintf(path, sizeof path, "%s/ours.age", dir);
    write_whole(path, buf_head(&file), buf_len(&file));
    command("cd %s && echo '" LAB_IDENTITY "' >ours && for i in ours other; do "
            "test \"$(age -d -i $i ours.age)\" = 'for both' || exit 1; done",
            dir);
    command("cd %s && printf 'from age' | age -r \"$(cat other.pub)\" -r " LAB_RECIPIENT
            " >theirs.age && printf no | age -r \"$(cat other.pub)\" >not.age",
            dir);
    snprintf(path, sizeof path, "%s/theirs.age", dir);
    b = read_whole(path);
    cr_assert_eq(age_decrypt(&out, identity, b.p, b.len, &e), 0, "%s", e.text);
    cr_expect_eq(buf_len(&out), 8);
    cr_expect_arr_eq(buf_head(&out), "from age", 8);
    free(b.p);
    snprintf(path, sizeof path, "%s/not.age", dir);
    b = read_whole(path);
    cr_expect_eq(age_decrypt(&out, identity, b.p, b.len, &e), ERR_NOT_FOUND);
    free(b.p);
    buf_clear(&file);
    buf_clear(&out);
    command("rm -rf %s", dir);
}
