/* SPDX-License-Identifier: Apache-2.0
 *
 * The command-line tool's parts that need no gateway: edits of hand-written YAML, keys, files. */
#include <criterion/criterion.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "auth/control_client.h"
#include "auth/device_key.h"
#include "auth/yaml_edit.h"
#include "gateway/cli.h"
#include "gateway/init_examples.h"
#include "gateway/init_keys.h"

struct edit_case {
    const char *what, *before, *after; /* after NULL: refused with `refusal` in the text */
    const char *refusal;
};

static const struct edit_case edits[] = {
    {"an empty map on one line", "# top\nthings: {}\n", "# top\nthings:\n  new:\n    a: 1\n", NULL},
    {"nothing at all", "things:\nother: 1\n", "things:\n  new:\n    a: 1\nother: 1\n", NULL},
    {"an entry is there, without a last newline", "things:\n  old: {a: 2}",
     "things:\n  old: {a: 2}\n  new:\n    a: 1\n", NULL},
    {"deeper indentation is kept to", "things:\n    old:\n        a: 2\n",
     "things:\n    old:\n        a: 2\n    new:\n      a: 1\n", NULL},
    {"the section in the middle, comments and blank lines around",
     "x: 1\nthings: # ours\n  old: {a: 2} # two\n\n  # about what follows\n\n# the end\ny: 2\n",
     "x: 1\nthings: # ours\n  old: {a: 2} # two\n\n  # about what follows\n  new:\n    a: 1\n\n# "
     "the end\ny: 2\n",
     NULL},
    {"the key is there", "things:\n  new: {a: 2}\n", NULL, "is there already"},
    {"the section is missing", "others: {}\n", NULL, "has no \"things:\""},
    {"a filled map on one line", "things: {old: {a: 2}}\n", NULL, "cannot add to"},
    {"not YAML", "things: [\n", NULL, "things.yaml"},
};

Test(yaml_edit, adds_one_entry_and_leaves_the_rest)
{
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        const struct edit_case *c = &edits[i];
        struct buf before, after;
        struct err e = ERR_INIT;
        buf_init(&before, 4096);
        cr_assert_eq(buf_put(&before, c->before, strlen(c->before)), 0);
        int r =
            yaml_edit_add("things.yaml", &before, "things", "new", "new:\n  a: 1\n", &after, &e);
        if (c->after) {
            cr_assert_eq(r, 0, "%s: %s", c->what, e.text);
            char *text = buf_string(&after);
            cr_expect_str_eq(text, c->after, "%s", c->what);
            free(text);
        } else {
            cr_expect_lt(r, 0, "%s", c->what);
            cr_expect(strstr(e.text, c->refusal), "%s: %s", c->what, e.text);
        }
        buf_clear(&before);
        buf_clear(&after);
    }
}

Test(yaml_edit, an_entry_that_is_another_document_is_refused)
{
    struct buf before, after;
    struct err e = ERR_INIT;
    buf_init(&before, 4096);
    cr_assert_eq(buf_printf(&before, "things: {}\n"), 0);
    cr_expect_lt(yaml_edit_add("f", &before, "things", "new", "other:\n  a: 1\n", &after, &e), 0);
    cr_expect_lt(
        yaml_edit_add("f", &before, "things", "new", "new:\n  a: 1\nmore:\n  b: 1\n", &after, &e),
        0);
    buf_clear(&before);
}

Test(yaml_edit, quotes)
{
    static const struct {
        const char *value, *quoted; /* NULL: refused */
    } cases[] = {{"plain", "\"plain\""},
                 {"a \"b\" \\", "\"a \\\"b\\\" \\\\\""},
                 {"", "\"\""},
                 {"a\nb", NULL},
                 {"\x1b[2J", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf out;
        struct err e = ERR_INIT;
        buf_init(&out, 100);
        int r = yaml_edit_quote(cases[i].value, &out, &e);
        cr_expect_eq(r == 0, cases[i].quoted != NULL, "case %zu", i);
        if (r == 0) {
            char *text = buf_string(&out);
            cr_expect_str_eq(text, cases[i].quoted);
            free(text);
        }
        buf_clear(&out);
    }
}

static char *new_dir(void)
{
    char *dir = cli_printf("/tmp/unit-cli-XXXXXX");
    cr_assert(mkdtemp(dir));
    return dir;
}

static void remove_dir(char *dir)
{
    char *words[] = {cli_printf("rm"), cli_printf("-rf"), dir, NULL};
    struct err e = ERR_INIT;
    cr_expect_eq(cli_run(words, &e), 0);
    free(words[0]);
    free(words[1]);
    free(dir);
}

static X509 *read_certificate(const char *dir, const char *name)
{
    char *path = cli_printf("%s/%s.pem", dir, name);
    FILE *f = fopen(path, "r");
    X509 *c = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;
    if (f)
        fclose(f);
    free(path);
    return c;
}

Test(init_keys, the_tls_certificate_has_its_names_and_its_authority)
{
    static const char *const more[] = {"127.0.0.1", "other.test", NULL};
    char *dir = new_dir();
    struct err e = ERR_INIT;
    cr_assert_eq(init_authority(dir, "gateway-ca", "a CA", &e), 0, "%s", e.text);
    cr_assert_eq(init_tls(dir, "gw.test", more, &e), 0, "%s", e.text);
    X509 *ca = read_certificate(dir, "gateway-ca"), *tls = read_certificate(dir, "tls");
    cr_assert(ca && tls);
    cr_expect_eq(X509_verify(tls, X509_get0_pubkey(ca)), 1);
    cr_expect_eq(X509_check_ca(ca), 1);
    cr_expect_eq(X509_check_ca(tls), 0);
    cr_expect_eq(X509_check_host(tls, "gw.test", 0, 0, NULL), 1);
    cr_expect_eq(X509_check_host(tls, "other.test", 0, 0, NULL), 1);
    cr_expect_eq(X509_check_host(tls, "evil.test", 0, 0, NULL), 0);
    cr_expect_eq(X509_check_ip_asc(tls, "127.0.0.1", 0), 1);
    cr_expect_eq(X509_check_purpose(tls, X509_PURPOSE_SSL_SERVER, 0), 1);
    cr_expect_eq(X509_check_purpose(tls, X509_PURPOSE_SSL_CLIENT, 0), 0);
    X509_free(ca);
    X509_free(tls);
    remove_dir(dir);
}

Test(init_keys, nothing_is_overwritten)
{
    char *dir = new_dir();
    struct err e = ERR_INIT;
    cr_assert_eq(init_store_key(dir, &e), 0);
    cr_expect_lt(init_store_key(dir, &e), 0);
    char *path = cli_printf("%s/store.key", dir);
    struct stat st;
    cr_assert_eq(stat(path, &st), 0);
    cr_expect_eq(st.st_mode & 07777, 0600);
    cr_expect_eq(st.st_size, 32);
    free(path);
    remove_dir(dir);
}

Test(device_key, a_request_for_a_key_that_stays)
{
    char *dir = new_dir(), *first = NULL, *second = NULL, until[40];
    struct err e = ERR_INIT;
    cr_assert_eq(device_key_request(dir, &first, &e), 0, "%s", e.text);
    cr_assert_eq(device_key_request(dir, &second, &e), 0, "%s", e.text);
    BIO *a = BIO_new_mem_buf(first, -1), *b = BIO_new_mem_buf(second, -1);
    X509_REQ *one = PEM_read_bio_X509_REQ(a, NULL, NULL, NULL),
             *two = PEM_read_bio_X509_REQ(b, NULL, NULL, NULL);
    cr_assert(one && two);
    cr_expect_eq(EVP_PKEY_eq(X509_REQ_get0_pubkey(one), X509_REQ_get0_pubkey(two)), 1);
    cr_expect_eq(X509_REQ_verify(one, X509_REQ_get0_pubkey(one)), 1);
    cr_expect_lt(device_key_store(dir,
                                  "-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n",
                                  until, &e),
                 0);
    cr_expect_eq(device_key_forget(dir), 1);
    cr_expect_eq(device_key_forget(dir), 0);
    X509_REQ_free(one);
    X509_REQ_free(two);
    BIO_free(a);
    BIO_free(b);
    free(first);
    free(second);
    remove_dir(dir);
}

Test(cli_files, replaced_files_keep_their_mode_and_created_ones_refuse)
{
    char *dir = new_dir(), *path = cli_printf("%s/f", dir);
    struct err e = ERR_INIT;
    struct stat st;
    cr_assert_eq(cli_create_file(path, "one", 3, 0640, &e), 0);
    cr_expect_lt(cli_create_file(path, "two", 3, 0640, &e), 0);
    cr_assert_eq(cli_replace_file(path, "three", 5, 0, &e), 0);
    cr_assert_eq(stat(path, &st), 0);
    cr_expect_eq(st.st_mode & 07777, 0640);
    cr_expect_eq(st.st_size, 5);
    struct buf b;
    cr_expect_lt(cli_read_file(path, 4, &b, &e), 0);
    cr_assert_eq(cli_read_file(path, 5, &b, &e), 0);
    cr_expect_eq(buf_len(&b), 5);
    buf_clear(&b);
    free(path);
    remove_dir(dir);
}

/* authd answers whoever may not ask before it reads anything, and closes. */
Test(control_client, an_answer_that_came_before_the_question_is_read)
{
    static const char answer[] = "{\"ok\":false,\"error\":\"not you\",\"code\":\"denied\"}\n";
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    char dir[] = "/tmp/sallyport-control-XXXXXX";
    struct err e = ERR_INIT;
    json_t *reply;

    cr_assert(mkdtemp(dir));
    snprintf(at.sun_path, sizeof at.sun_path, "%s/control", dir);
    int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(bind(listening, (struct sockaddr *)&at, sizeof at) == 0 && listen(listening, 1) == 0);
    struct control *c = control_open(at.sun_path, &e);
    cr_assert(c, "%s", e.text);
    int server = accept(listening, NULL, NULL);
    cr_assert_eq(send(server, answer, strlen(answer), 0), (ssize_t)strlen(answer));
    close(server);

    cr_expect_eq(control_ask(c, json_pack("{s:s}", "verb", "status"), &reply, &e), ERR_DENIED);
    cr_expect_str_eq(e.text, "not you");
    cr_expect_null(reply);
    control_free(c);
    close(listening);
    unlink(at.sun_path);
    rmdir(dir);
}
