/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport policy manifest`: writes what the author and the approvers sign. A new manifest makes
 * the signatures of the one before worthless, so they are removed with it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/cli_admin.h"
#include "gateway/cli.h"
#include "policy/cli_approval.h"

static const char help[] =
    "usage: sallyport policy manifest [DIR] [--previous auto|none|MANIFEST|HASH] [--serial N] "
    "[--json]\n\n"
    "Writes DIR/manifest, which lists every file of the policy set in DIR (default: the "
    "configuration\n"
    "directory) by SHA-256. It is what `sallyport policy sign` signs.\n\n"
    "  --previous P  the manifest in force: `auto` asks the running gateway (the default); a file; "
    "its\n"
    "                SHA-256, with --serial; `none` where no approvers are in force\n"
    "  --serial N    default: one above that of the manifest in force\n"
    "  -c DIR        the gateway's configuration directory, for `auto`\n"
    "  --json        print JSON\n\n"
    "Exit status: 0 written, 2 not: wrong usage, a set that cannot be loaded, or nobody tells what "
    "is in\n"
    "force.\n";

/* What it comes after. */
static int place(const struct approval_arguments *w, struct approval_given *given, uint64_t *serial,
                 struct err *e)
{
    int rc = strcmp(w->previous, "auto") == 0 ? approval_ask(w->confdir, given, e)
                                              : approval_previous(w->previous, given, e);

    if (rc == 0 && w->serial)
        return approval_serial(w->serial, serial, e);
    *serial = given->state.serial + 1;
    if (rc == 0 && strlen(w->previous) == 2 * MANIFEST_HASH && !given->state.serial)
        rc = err_set(e, ERR_USAGE, "--previous with a hash wants --serial, too");
    return rc;
}

/* Signatures of another text than the manifest's. */
static int remove_signatures(const char *dir, json_t *removed, struct err *e)
{
    int rc = 0, top = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd;
    DIR *approvals;

    if (top < 0)
        return err_errno(e, "%s", dir);
    if (unlinkat(top, MANIFEST_AUTHOR_FILE, 0) == 0)
        json_array_append_new(removed, json_string(MANIFEST_AUTHOR_FILE));
    else if (errno != ENOENT)
        rc = err_errno(e, "%s/" MANIFEST_AUTHOR_FILE, dir);
    fd = openat(top, MANIFEST_APPROVALS, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    approvals = fd >= 0 ? fdopendir(fd) : NULL;
    for (const struct dirent *entry; rc == 0 && approvals && (entry = readdir(approvals));) {
        const size_t len = strlen(entry->d_name);
        if (entry->d_name[0] == '.' || len <= 4 || strcmp(entry->d_name + len - 4, ".sig") != 0)
            continue;
        if (unlinkat(fd, entry->d_name, 0) < 0)
            rc = err_errno(e, "%s/" MANIFEST_APPROVALS "/%s", dir, entry->d_name);
        else
            json_array_append_new(removed, json_sprintf(MANIFEST_APPROVALS "/%s", entry->d_name));
    }
    if (approvals)
        closedir(approvals);
    else if (fd >= 0)
        close(fd);
    close(top);
    return rc;
}

static void show(const struct approval_arguments *w, const struct buf *text,
                 const struct approval_given *given, json_t *removed)
{
    char previous[2 * MANIFEST_HASH + 1] = "none", hash[2 * MANIFEST_HASH + 1];
    uint8_t own[MANIFEST_HASH];
    struct manifest m;
    struct err e = ERR_INIT;
    const json_t *name;
    size_t i;

    INVARIANT(manifest_parse(buf_head(text), buf_len(text), &m, &e) == 0);
    manifest_hash(buf_head(text), buf_len(text), own);
    manifest_hash_text(own, hash);
    if (!m.first)
        manifest_hash_text(m.previous, previous);
    if (w->json) {
        json_t *out = json_pack("{s:s, s:I, s:s, s:s, s:I, s:O}", "manifest", MANIFEST_FILE,
                                "serial", (json_int_t)m.serial, "previous", previous, "sha256",
                                hash, "files", (json_int_t)m.count, "removed", removed);
        cli_print_json(out);
        json_decref(out);
        return;
    }
    printf("%s/" MANIFEST_FILE ": serial %" PRIu64 ", %zu files\n  sha256    %s\n  previous  %s\n",
           w->dir, m.serial, m.count, hash, previous);
    json_array_foreach(removed, i, name)
        printf("Removed %s, which was of the manifest before.\n", json_string_value(name));
    if (given->approvers)
        printf("It needs %u approval%s besides the author's signature.\n", given->approvers->needed,
               given->approvers->needed == 1 ? "" : "s");
    printf("Next: `sallyport policy sign --author --key KEY %s`, then others `--approve`.\n",
           w->dir);
}

int cli_policy_manifest(int argc, char **argv)
{
    static const struct option table[] = {
        {"previous", required_argument, NULL, 'p'}, {"serial", required_argument, NULL, 's'},
        {"json", no_argument, NULL, 'j'},           {"config", required_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},           {0}};
    struct policy_options o = {
        .verb = "policy manifest", .help = help, .table = table, .shorts = ":c:h"};
    struct approval_given given = {0};
    struct approval_dir dir;
    struct approval_arguments w = {0};
    struct err e = ERR_INIT;
    struct policy *policy = NULL;
    struct buf text;
    uint64_t serial = 0;
    json_t *removed;
    int status = CLI_DONE, rc;

    w.previous = "auto";
    if (!approval_parse(argc, argv, &o, &w))
        return o.status;
    removed = json_array();
    buf_init(&text, MANIFEST_MAX);
    rc = approval_dir_read(w.dir, &dir, &e);
    if (rc == 0) { /* nobody should sign what cannot be loaded */
        policy = policy_load(buf_head(&dir.block), buf_len(&dir.block), NULL, &e);
        rc = policy ? 0 : e.code;
    }
    if (rc == 0)
        rc = place(&w, &given, &serial, &e);
    if (rc == 0) {
        static const uint8_t zero[MANIFEST_HASH];
        const bool first = memcmp(given.state.manifest, zero, sizeof zero) == 0 ||
                           (strcmp(w.previous, "auto") == 0 && !given.approvers);
        rc = manifest_write(serial, first ? NULL : given.state.manifest, buf_head(&dir.block),
                            buf_len(&dir.block), &text, &e);
    }
    if (rc == 0 && (dir.manifest.len != buf_len(&text) ||
                    memcmp(dir.manifest.p, buf_head(&text), buf_len(&text)) != 0)) {
        char *path = cli_printf("%s/" MANIFEST_FILE, w.dir);
        rc = remove_signatures(w.dir, removed, &e);
        if (rc == 0)
            rc = cli_replace_file(path, buf_head(&text), buf_len(&text), 0, &e);
        free(path);
    }
    if (rc == 0)
        show(&w, &text, &given, removed);
    else
        status =
            e.code == ERR_USAGE ? policy_usage(&o, "%s", e.text) : policy_trouble("%s", e.text);
    json_decref(removed);
    policy_free(policy);
    approval_dir_clear(&dir);
    approval_given_clear(&given);
    buf_clear(&text);
    return status;
}
