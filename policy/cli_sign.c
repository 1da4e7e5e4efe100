/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport policy sign`: says what is signed, has ssh-keygen sign it (so that a key in an agent
 * or on a token works as it does elsewhere), and puts the signature where the gateway looks for it.
 * What is signed is a copy of the bytes that were shown. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/cli_admin.h"
#include "base/log.h"
#include "gateway/cli.h"
#include "policy/cli_approval.h"

static const char help[] =
    "usage: sallyport policy sign --author|--approve --key FILE [DIR] [OPTION]...\n\n"
    "Signs the manifest in DIR (default: the configuration directory) with an SSH key, after "
    "showing it.\n\n"
    "  --author       as who made the change: writes DIR/manifest.author.sig\n"
    "  --approve      as another: writes DIR/approvals/NAME.sig\n"
    "  --key FILE     the private key, or the public one of a key that the agent has\n"
    "  --approvers F  where the key's owner is looked up (default: DIR/approvers.yaml)\n"
    "  --as NAME      the key's owner, where that list does not have the key\n"
    "  --previous M   the manifest in force: shows which files changed since\n"
    "  --yes          do not ask\n"
    "  --json         print JSON\n\n"
    "Exit status: 0 signed, 1 not: the answer was no, or it is the author's own change, 2 wrong "
    "usage, or\n"
    "it cannot be signed.\n";

struct arguments {
    const char *dir, *key, *approvers, *as, *previous;
    bool author, approve, yes, json;
};

static bool parse(int argc, char **argv, struct policy_options *o, struct arguments *w)
{
    const char *confdir = NULL;

    *w = (struct arguments){0};
    policy_options_begin(o);
    for (int c; (c = policy_next_option(o, argc, argv)) != -1;) {
        w->author = w->author || c == 'A';
        w->approve = w->approve || c == 'P';
        w->yes = w->yes || c == 'y';
        w->json = w->json || c == 'j';
        if (c == 'k')
            w->key = optarg;
        else if (c == 'a')
            w->approvers = optarg;
        else if (c == 'n')
            w->as = optarg;
        else if (c == 'p')
            w->previous = optarg;
        else if (c == 'c')
            confdir = optarg;
    }
    if (!policy_words(o, argc, argv, 1, "no more words"))
        return false;
    w->dir = optind < argc ? argv[optind] : cli_confdir(confdir);
    if (w->author == w->approve)
        o->status = policy_usage(o, "expected one of --author and --approve");
    else if (!w->key)
        o->status = policy_usage(o, "expected --key with an SSH key");
    return o->status < 0;
}

/* --- what it is */

static void show_name(const char *what, struct bytes name)
{
    char shown[1100];

    fprintf(stderr, "  %-8s %s\n", what, escape_text(shown, sizeof shown, name.p, name.len));
}

static int order_of(bool have_old, struct bytes old, bool have_new, struct bytes new)
{
    const size_t common = old.len < new.len ? old.len : new.len;
    int order;

    if (!have_old || !have_new)
        return have_old ? -1 : 1;
    order = memcmp(old.p, new.p, common);
    return order ? order : (old.len > new.len) - (old.len < new.len);
}

static void show_changes(const struct manifest *before, const struct manifest *after)
{
    struct bytes a = before->files, b = after->files, old = {0}, new = {0};
    uint8_t was[MANIFEST_HASH], is[MANIFEST_HASH];
    bool have_old = manifest_next(&a, was, &old), have_new = manifest_next(&b, is, &new);

    while (have_old || have_new) {
        const int order = order_of(have_old, old, have_new, new);
        if (order < 0)
            show_name("removed", old);
        else if (order > 0)
            show_name("new", new);
        else if (memcmp(was, is, sizeof was) != 0)
            show_name("changed", new);
        if (order <= 0)
            have_old = manifest_next(&a, was, &old);
        if (order >= 0)
            have_new = manifest_next(&b, is, &new);
    }
}

static int show(const struct arguments *w, const struct approval_dir *dir, const struct manifest *m,
                struct err *e)
{
    char hash[2 * MANIFEST_HASH + 1];
    uint8_t own[MANIFEST_HASH];
    struct manifest before;
    struct buf text;
    int rc;

    manifest_hash(dir->manifest.p, dir->manifest.len, own);
    manifest_hash_text(own, hash);
    fprintf(stderr, "%s/" MANIFEST_FILE ": serial %" PRIu64 ", %zu files\n  sha256   %s\n", w->dir,
            m->serial, m->count, hash);
    if (!m->first) {
        manifest_hash_text(m->previous, hash);
        fprintf(stderr, "  previous %s\n", hash);
    } else {
        fprintf(stderr, "  previous none: it is the first with approvers\n");
    }
    if (!w->previous) {
        fprintf(stderr, "`sallyport policy diff OLD %s` shows what it permits and forbids anew.\n",
                w->dir);
        return 0;
    }
    rc = cli_read_file(w->previous, MANIFEST_MAX, &text, e);
    if (rc < 0)
        return rc;
    rc = manifest_parse(buf_head(&text), buf_len(&text), &before, e);
    manifest_hash(buf_head(&text), buf_len(&text), own);
    if (rc == 0 && (m->first || memcmp(own, m->previous, sizeof own) != 0))
        rc = err_set(e, ERR_INPUT, "it is not the manifest that this one comes after");
    if (rc == 0)
        show_changes(&before, m);
    buf_clear(&text);
    return rc < 0 ? err_wrap(e, "%s", w->previous) : 0;
}

static int confirm(const struct arguments *w, struct err *e)
{
    char answer[16];
    int rc;

    if (w->yes)
        return 0;
    rc = cli_ask(w->author ? "Sign it as its author (yes)? " : "Approve it (yes)? ", false, answer,
                 sizeof answer, e);
    if (rc < 0)
        return err_wrap(e, "give --yes when you have looked at it");
    return strcmp(answer, "yes") == 0 ? 0 : err_set(e, ERR_DENIED, "nothing was signed");
}

/* --- signing */

static int run_ssh_keygen(const struct arguments *w, struct bytes manifest, struct buf *signature,
                          struct err *e)
{
    const char *tmp = getenv("TMPDIR");
    char *dir = cli_printf("%s/sallyport-sign-XXXXXX", tmp && *tmp ? tmp : "/tmp"), *file, *sig;
    char program[] = "ssh-keygen", verb[] = "-Y", sign[] = "sign", f[] = "-f", n[] = "-n";
    char author[] = MANIFEST_AUTHOR, approve[] = MANIFEST_APPROVE;
    char *key = cli_printf("%s%s", w->key[0] == '-' ? "./" : "", w->key);
    int rc;

    if (!mkdtemp(dir)) {
        rc = err_errno(e, "%s", dir);
        free(dir);
        free(key);
        return rc;
    }
    file = cli_printf("%s/" MANIFEST_FILE, dir);
    sig = cli_printf("%s.sig", file);
    rc = cli_create_file(file, manifest.p, manifest.len, 0600, e);
    if (rc == 0) {
        char *argv[] = {program, verb, sign, f, key, n, w->author ? author : approve, file, NULL};
        int status;
        fflush(stdout);
        status = cli_run(argv, e);
        rc = status < 0 ? status
             : status != 0
                 ? err_set(e, ERR_CRYPTO, "ssh-keygen did not sign (exit status %d)", status)
                 : cli_read_file(sig, SSHSIG_MAX, signature, e);
    }
    unlink(sig);
    unlink(file);
    rmdir(dir);
    free(sig);
    free(file);
    free(dir);
    free(key);
    return rc;
}

/* Whose signature it is, by the list, or by --as where the list does not say. */
static int owner(const struct arguments *w, const struct approval_given *given,
                 const struct sshsig_key *by, char name[OPERATOR_NAME_MAX + 1], struct err *e)
{
    const char *fingerprint, *list = w->approvers ? w->approvers : APPROVERS_FILE;
    const struct approver *person =
        given->approvers ? approvers_of_key(given->approvers, by->blob, by->len, &fingerprint)
                         : NULL;

    if (person && w->as && strcmp(person->name, w->as) != 0)
        return err_set(e, ERR_INPUT, "this is a key of %s by %s, not of %s", person->name, list,
                       w->as);
    if (!person && !w->as)
        return err_set(e, ERR_INPUT,
                       "this key is nobody's in %s; when the list in force has it, give that list "
                       "with --approvers, or the owner with --as",
                       list);
    if (!person &&
        (strlen(w->as) > OPERATOR_NAME_MAX || !*w->as || strchr(w->as, '/') || w->as[0] == '.'))
        return err_set(e, ERR_INPUT, "found --as %s, expected an approver's name", w->as);
    snprintf(name, OPERATOR_NAME_MAX + 1, "%s", person ? person->name : w->as);
    return 0;
}

/* The author's own approval is refused by the gateway: better said here. */
static int not_own(const struct arguments *w, const struct approval_dir *dir,
                   const struct approval_given *given, const struct sshsig_key *by,
                   const char *name, struct err *e)
{
    struct err ignored = ERR_INIT;
    const struct approver *author;
    const char *fingerprint;
    struct sshsig_key key;

    if (w->author || !dir->author.p ||
        sshsig_verify((const char *)dir->author.p, dir->author.len, MANIFEST_AUTHOR,
                      dir->manifest.p, dir->manifest.len, &key, &ignored) < 0)
        return 0;
    author = given->approvers ? approvers_of_key(given->approvers, key.blob, key.len, &fingerprint)
                              : NULL;
    if ((key.len == by->len && memcmp(key.blob, by->blob, key.len) == 0) ||
        (author && strcmp(author->name, name) == 0))
        return err_set(e, ERR_DENIED, "%s is the author, and nobody approves his own change", name);
    return 0;
}

static int put(const struct arguments *w, const char *name, const struct buf *signature,
               char **path, struct err *e)
{
    char *folder = cli_printf("%s/" MANIFEST_APPROVALS, w->dir);
    int rc = 0;

    *path = w->author ? cli_printf("%s/" MANIFEST_AUTHOR_FILE, w->dir)
                      : cli_printf("%s/%s.sig", folder, name);
    if (w->approve)
        rc = cli_make_dirs(folder, 0755, e);
    if (rc == 0)
        rc = cli_replace_file(*path, buf_head(signature), buf_len(signature), 0, e);
    free(folder);
    return rc;
}

static int sign(const struct arguments *w, const struct approval_dir *dir,
                const struct approval_given *given, char name[OPERATOR_NAME_MAX + 1], char **path,
                struct err *e)
{
    struct sshsig_key by;
    struct buf signature;
    int rc;

    buf_init(&signature, SSHSIG_MAX + 1);
    rc = run_ssh_keygen(w, dir->manifest, &signature, e);
    if (rc == 0)
        rc = sshsig_verify((const char *)buf_head(&signature), buf_len(&signature),
                           w->author ? MANIFEST_AUTHOR : MANIFEST_APPROVE, dir->manifest.p,
                           dir->manifest.len, &by, e);
    if (rc == 0)
        rc = owner(w, given, &by, name, e);
    if (rc == 0)
        rc = not_own(w, dir, given, &by, name, e);
    if (rc == 0)
        rc = put(w, name, &signature, path, e);
    buf_clear(&signature);
    return rc;
}

int cli_policy_sign(int argc, char **argv)
{
    static const struct option table[] = {{"author", no_argument, NULL, 'A'},
                                          {"approve", no_argument, NULL, 'P'},
                                          {"key", required_argument, NULL, 'k'},
                                          {"approvers", required_argument, NULL, 'a'},
                                          {"as", required_argument, NULL, 'n'},
                                          {"previous", required_argument, NULL, 'p'},
                                          {"yes", no_argument, NULL, 'y'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"config", required_argument, NULL, 'c'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    struct policy_options o = {
        .verb = "policy sign", .help = help, .table = table, .shorts = ":c:k:h"};
    char name[OPERATOR_NAME_MAX + 1] = "", *path = NULL;
    struct approval_given given = {0};
    struct approval_dir dir;
    struct manifest m;
    struct arguments w;
    struct err e = ERR_INIT;
    int status = CLI_DONE, rc;

    if (!parse(argc, argv, &o, &w))
        return o.status;
    rc = approval_dir_read(w.dir, &dir, &e);
    if (rc == 0 && !dir.manifest.p)
        rc = err_set(&e, ERR_NOT_FOUND, "%s has no manifest; `sallyport policy manifest` makes it",
                     w.dir);
    if (rc == 0)
        rc = manifest_parse(dir.manifest.p, dir.manifest.len, &m, &e);
    if (rc == 0 && manifest_covers(&m, buf_head(&dir.block), buf_len(&dir.block), &e) < 0)
        rc = err_wrap(&e, "the manifest is not of what is in %s (make it again)", w.dir);
    if (rc == 0 && w.approvers)
        rc = approval_approvers(w.approvers, &given, &e);
    else if (rc == 0 && dir.approvers.p)
        given.approvers = approvers_parse(APPROVERS_FILE, dir.approvers.p, dir.approvers.len, &e);
    if (rc == 0 && dir.approvers.p && !w.approvers && !given.approvers)
        rc = e.code;
    if (rc == 0)
        rc = show(&w, &dir, &m, &e);
    if (rc == 0)
        rc = confirm(&w, &e);
    if (rc == 0)
        rc = sign(&w, &dir, &given, name, &path, &e);
    if (rc < 0) {
        cli_fail("%s", e.text);
        status = rc == ERR_DENIED ? POLICY_FINDINGS : POLICY_TROUBLE;
    } else if (w.json) {
        json_t *out = json_pack("{s:s, s:s, s:I, s:s}", "as", w.author ? "author" : "approver",
                                "name", name, "serial", (json_int_t)m.serial, "file", path);
        cli_print_json(out);
        json_decref(out);
    } else {
        printf("Signed as %s, %s: %s\n", name, w.author ? "the author" : "an approver", path);
    }
    free(path);
    approval_given_clear(&given);
    approval_dir_clear(&dir);
    return status;
}
