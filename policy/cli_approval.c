/* SPDX-License-Identifier: Apache-2.0
 *
 * See policy/cli_approval.h. */
#include "policy/cli_approval.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/control_client.h"
#include "gateway/cli.h"
#include "policy/bundle.h"

bool approval_parse(int argc, char **argv, struct policy_options *o, struct approval_arguments *w)
{
    policy_options_begin(o);
    for (int c; (c = policy_next_option(o, argc, argv)) != -1;) {
        if (c == 'a')
            w->approvers = optarg;
        else if (c == 'p')
            w->previous = optarg;
        else if (c == 's')
            w->serial = optarg;
        else if (c == 'j')
            w->json = true;
        else if (c == 'c')
            w->confdir = optarg;
    }
    w->confdir = cli_confdir(w->confdir);
    w->dir = w->confdir;
    if (policy_words(o, argc, argv, 1, "no more words") && optind < argc)
        w->dir = argv[optind];
    return o->status < 0;
}

int approval_dir_read(const char *dir, struct approval_dir *out, struct err *e)
{
    int rc, fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct bundle_file file;
    struct wire_reader r;
    struct stat st;

    memset(out, 0, sizeof *out);
    buf_init(&out->block, BUNDLE_MAX);
    if (fd < 0)
        return err_errno(e, "%s", dir);
    /* A checkout belongs to who made it, also when root looks at it. */
    rc = fstat(fd, &st) < 0 ? err_errno(e, "%s", dir)
                            : bundle_read_with(fd, st.st_uid, NULL, &out->block, e);
    close(fd);
    wire_reader_init(&r, buf_head(&out->block), buf_len(&out->block));
    while (rc == 0 && (rc = bundle_next(&r, &file, e)) > 0) {
        rc = 0;
        if (strcmp(file.name, MANIFEST_FILE) == 0)
            out->manifest = file.bytes;
        else if (strcmp(file.name, MANIFEST_AUTHOR_FILE) == 0)
            out->author = file.bytes;
        else if (strcmp(file.name, APPROVERS_FILE) == 0)
            out->approvers = file.bytes;
    }
    return rc < 0 ? err_wrap(e, "%s", dir) : 0;
}

void approval_dir_clear(struct approval_dir *d)
{
    buf_clear(&d->block);
}

void approval_given_clear(struct approval_given *g)
{
    approvers_free(g->approvers);
    memset(g, 0, sizeof *g);
}

static int take_approvers(struct approval_given *out, const char *name, const void *text,
                          size_t len, struct err *e)
{
    out->approvers = approvers_parse(name, text, len, e);
    out->state.approvers = out->approvers;
    return out->approvers ? 0 : e->code;
}

int approval_ask(const char *confdir, struct approval_given *out, struct err *e)
{
    json_t *reply = NULL;
    int rc = control_once(confdir, json_pack("{s:s}", "verb", "policy-approvals"), &reply, e);

    if (rc < 0)
        return err_wrap(e, "what is in force is asked of the running gateway (without one: "
                           "--previous MANIFEST)");
    const char *manifest = control_text(reply, "manifest", ""),
               *text = control_text(reply, "approvers", "");
    const json_int_t serial = json_integer_value(json_object_get(reply, "serial"));
    out->placed = true;
    out->state.serial = serial > 0 ? (uint64_t)serial : 0;
    if (*manifest && manifest_hash_read(manifest, strlen(manifest), out->state.manifest) < 0)
        rc = err_set(e, ERR_PROTOCOL, "the gateway's answer is not one");
    if (rc == 0 && *text)
        rc = take_approvers(out, "the gateway's " APPROVERS_FILE, text, strlen(text), e);
    json_decref(reply);
    return rc;
}

int approval_previous(const char *word, struct approval_given *out, struct err *e)
{
    struct manifest m;
    struct buf text;
    int rc;

    out->placed = true;
    out->state.serial = 0;
    if (strcmp(word, "none") == 0 ||
        manifest_hash_read(word, strlen(word), out->state.manifest) == 0)
        return 0;
    rc = cli_read_file(word, MANIFEST_MAX, &text, e);
    if (rc < 0)
        return rc;
    rc = manifest_parse(buf_head(&text), buf_len(&text), &m, e);
    if (rc < 0)
        err_wrap(e, "%s", word);
    out->state.serial = m.serial;
    manifest_hash(buf_head(&text), buf_len(&text), out->state.manifest);
    buf_clear(&text);
    return rc;
}

int approval_approvers(const char *path, struct approval_given *out, struct err *e)
{
    struct buf text;
    int rc = cli_read_file(path, APPROVERS_FILE_MAX, &text, e);

    if (rc < 0)
        return rc;
    rc = take_approvers(out, path, buf_head(&text), buf_len(&text), e);
    buf_clear(&text);
    return rc;
}

int approval_serial(const char *word, uint64_t *out, struct err *e)
{
    const size_t len = strlen(word);

    *out = len && len <= 18 && strspn(word, "0123456789") == len ? strtoull(word, NULL, 10) : 0;
    return *out ? 0
                : err_set(e, ERR_USAGE,
                          "found --serial %s, expected a number from 1 on, of 18 "
                          "digits at most",
                          word);
}
