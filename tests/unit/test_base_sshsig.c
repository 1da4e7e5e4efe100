/* SPDX-License-Identifier: Apache-2.0
 *
 * SSH signatures: made by the real ssh-keygen, then altered. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sshsig.h"

#define SPACE   "sallyport-retention"
#define MESSAGE "an order\n"

static char dir[64];

static void run(const char *format, const char *a, const char *b)
{
    char command[512], inner[400];

    snprintf(inner, sizeof inner, format, a, b);
    snprintf(command, sizeof command, "cd %s && { %s; } >/dev/null 2>&1 </dev/null", dir, inner);
    cr_assert_eq(system(command), 0, "%s", command);
}

static size_t load(const char *name, char *out, size_t cap)
{
    char path[200];
    FILE *f;
    size_t n;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    f = fopen(path, "rb");
    cr_assert(f, "%s", path);
    n = fread(out, 1, cap - 1, f);
    out[n] = '\0';
    fclose(f);
    return n;
}

static void make(const char *key, const char *options)
{
    run("rm -f k k.pub m.sig; ssh-keygen -q -t %s -N '' -f k; printf 'an order\\n' >m%s", key, "");
    run("ssh-keygen -Y sign -f k %s m%s", options, "");
}

static void setup(void)
{
    strcpy(dir, "/tmp/sshsig-XXXXXX");
    cr_assert(mkdtemp(dir));
}

static void teardown(void)
{
    char command[128];

    snprintf(command, sizeof command, "rm -rf %s", dir);
    cr_expect_eq(system(command), 0);
}

TestSuite(sshsig, .init = setup, .fini = teardown);

static const struct {
    const char *key, *options;
    int result;
} kinds[] = {
    {"ed25519", "-n " SPACE, 0},
    {"ecdsa", "-n " SPACE, 0},
    {"rsa", "-n " SPACE, 0},
    {"rsa -b 4096", "-n " SPACE, 0},
    {"ed25519", "-n " SPACE " -O hashalg=sha256", 0},
    {"ed25519", "-n file", ERR_DENIED},
    {"ed25519", "-n " SPACE "x", ERR_DENIED},
    {"ecdsa -b 384", "-n " SPACE, ERR_SYNTAX},
    {"rsa -b 1024", "-n " SPACE, ERR_SYNTAX},
};

Test(sshsig, kinds_of_keys)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char sig[SSHSIG_MAX], list[4096], name[SSHSIG_NAME_MAX + 1];
        struct sshsig_key by;
        struct err e = ERR_INIT;
        size_t n;

        make(kinds[i].key, kinds[i].options);
        n = load("m.sig", sig, sizeof sig);
        cr_expect_eq(sshsig_verify(sig, n, SPACE, MESSAGE, strlen(MESSAGE), &by, &e),
                     kinds[i].result, "%s %s: %s", kinds[i].key, kinds[i].options, e.text);
        cr_expect_neq(sshsig_verify(sig, n, SPACE, "another\n", 8, &by, &e), 0);
        if (kinds[i].result != 0)
            continue;
        run("{ echo '# who'; echo; printf 'bob,b '; cat k.pub; } >list%s%s", "", "");
        n = load("list", list, sizeof list);
        cr_expect_eq(sshsig_signer(list, n, &by, SPACE, name, &e), 0, "%s", e.text);
        cr_expect_str_eq(name, "bob");
    }
}

/* Each byte of the armoured text altered, and each beginning of it: nothing verifies, but for
 * what is behind the last line. */
Test(sshsig, altered)
{
    char sig[SSHSIG_MAX], changed[SSHSIG_MAX];
    struct sshsig_key by, again;
    struct err e = ERR_INIT;
    unsigned verified = 0;
    size_t n;

    make("ed25519", "-n " SPACE);
    n = load("m.sig", sig, sizeof sig);
    cr_assert_eq(sshsig_verify(sig, n, SPACE, MESSAGE, strlen(MESSAGE), &by, &e), 0);
    for (size_t i = 0; i < n; i++) {
        memcpy(changed, sig, n);
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        if (sshsig_verify(changed, n, SPACE, MESSAGE, strlen(MESSAGE), &again, &e) == 0)
            verified++;
        if (i + 2 < n)
            cr_expect_neq(sshsig_verify(sig, i, SPACE, MESSAGE, strlen(MESSAGE), &again, &e), 0);
    }
    cr_expect_leq(verified, 1, "%u altered ones verify", verified);
}

static const struct {
    const char *before, *line; /* %s: the key's type and base64 */
    int result;
} lists[] = {
    {"plain", "bob %s", 0},
    {"with a comment", "bob %s bob@laptop", 0},
    {"for this", "bob namespaces=\"git,sallyport-retention\" %s", 0},
    {"for another", "bob namespaces=\"git\" %s", ERR_DENIED},
    {"nobody", "", ERR_DENIED},
    {"a comment alone", "# bob %s", ERR_DENIED},
    {"an option that is not known", "bob valid-before=\"20200101\" %s", ERR_SYNTAX},
    {"no key", "bob ssh-ed25519", ERR_SYNTAX},
    {"another type", "bob ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAA\nbob %s", ERR_SYNTAX},
};

Test(sshsig, who_may_sign)
{
    char sig[SSHSIG_MAX], key[400], list[1000], name[SSHSIG_NAME_MAX + 1];
    struct sshsig_key by;
    struct err e = ERR_INIT;
    size_t n;

    make("ed25519 -C ''", "-n " SPACE);
    n = load("m.sig", sig, sizeof sig);
    cr_assert_eq(sshsig_verify(sig, n, SPACE, MESSAGE, strlen(MESSAGE), &by, &e), 0);
    load("k.pub", key, sizeof key);
    key[strcspn(key, "\n")] = '\0';
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        char *at;

        snprintf(list, sizeof list, "%s", lists[i].line);
        if ((at = strstr(list, "%s")))
            snprintf(at, sizeof list - (size_t)(at - list), "%s%s", key,
                     strstr(lists[i].line, "%s") + 2);
        cr_expect_eq(sshsig_signer(list, strlen(list), &by, SPACE, name, &e), lists[i].result,
                     "%s: %s", lists[i].before, e.text);
    }
}
