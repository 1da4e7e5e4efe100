/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport policy verify`: whether the gateway would take a set, by the function that it decides
 * with. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/cli_admin.h"
#include "gateway/cli.h"
#include "policy/cli_approval.h"

static const char help[] =
    "usage: sallyport policy verify [DIR] [--approvers FILE] [--previous none|MANIFEST|HASH "
    "[--serial N]]\n"
    "                               [--json]\n\n"
    "Checks the policy set in DIR (default: the configuration directory), its manifest and its "
    "signatures\n"
    "as the gateway does. Without options the running gateway is asked what is in force.\n\n"
    "  --approvers F  approvers.yaml of the set in force\n"
    "  --previous P   the manifest in force: a file, its SHA-256, or `none`; not given with "
    "--approvers:\n"
    "                 serial and previous hash are not checked\n"
    "  --serial N     the serial in force, with a hash\n"
    "  -c DIR         the gateway's configuration directory\n"
    "  --json         print JSON\n\n"
    "Exit status: 0 approved, 1 not, 2 wrong usage, or the set, or what is in force, cannot be "
    "read.\n";

static bool parse(int argc, char **argv, struct policy_options *o, struct approval_arguments *w)
{
    if (!approval_parse(argc, argv, o, w))
        return false;
    if (w->serial && !w->previous)
        o->status = policy_usage(o, "--serial goes with --previous");
    else if (w->previous && !w->approvers && strcmp(w->previous, "none") != 0)
        o->status = policy_usage(o, "--previous wants --approvers, of the set in force");
    else if (w->previous && w->approvers && strcmp(w->previous, "none") == 0)
        o->status = policy_usage(o, "--previous none is for a first set, which nobody before "
                                    "approves: without --approvers");
    return o->status < 0;
}

static int in_force(const struct approval_arguments *w, const struct approval_dir *dir,
                    struct approval_given *out, struct err *e)
{
    struct err ignored = ERR_INIT;
    struct manifest m;
    int rc;

    if (!w->approvers && !w->previous)
        return approval_ask(w->confdir, out, e);
    rc = w->approvers ? approval_approvers(w->approvers, out, e) : 0;
    if (rc == 0 && w->previous)
        rc = approval_previous(w->previous, out, e);
    if (rc == 0 && w->serial)
        rc = approval_serial(w->serial, &out->state.serial, e);
    /* Told nothing of the place, it is taken to be the one that the manifest names. */
    if (rc == 0 && !w->previous &&
        manifest_parse(dir->manifest.p, dir->manifest.len, &m, &ignored) == 0) {
        out->state.serial = m.serial - 1;
        memcpy(out->state.manifest, m.previous, sizeof out->state.manifest);
    }
    return rc;
}

static json_t *signer(const struct approval_signer *s)
{
    return json_pack("{s:s, s:s}", "name", s->name, "key", s->fingerprint);
}

static void show_json(const struct approval *a, const struct approval_given *given,
                      const struct err *e)
{
    char hash[2 * MANIFEST_HASH + 1];
    json_t *out, *list = json_array();

    if (e->code) {
        out = json_pack("{s:b, s:s}", "approved", 0, "error", e->text);
    } else {
        manifest_hash_text(a->manifest, hash);
        for (size_t i = 0; i < a->approved_count; i++)
            json_array_append_new(list, signer(&a->approved_by[i]));
        out = json_pack("{s:b, s:s, s:b, s:I, s:s, s:o, s:O}", "approved", a->kind != APPROVAL_NONE,
                        "kind", approval_kind_name(a->kind), "place_checked", given->placed,
                        "serial", (json_int_t)a->serial, "manifest", hash, "author",
                        a->author.name[0] ? signer(&a->author) : json_null(), "approved_by", list);
    }
    cli_print_json(out);
    json_decref(out);
    json_decref(list);
}

static void show(const struct approval *a, const struct approval_given *given)
{
    if (a->kind == APPROVAL_NONE) {
        puts("No approvers are in force, and the set has none: nothing was to be checked.");
        return;
    }
    if (a->kind == APPROVAL_SAME) {
        printf("This is the set in force, serial %" PRIu64 ".\n", a->serial);
        return;
    }
    printf("Approved: serial %" PRIu64 ", author %s (%s)\n", a->serial, a->author.name,
           a->author.fingerprint);
    for (size_t i = 0; i < a->approved_count; i++)
        printf("          approved by %s (%s)\n", a->approved_by[i].name,
               a->approved_by[i].fingerprint);
    if (a->kind == APPROVAL_BEGIN)
        puts("It is the first set with approvers: its own, whom nobody before approved.");
    if (a->kind == APPROVAL_END)
        puts("It has no approvers: from then on nobody has to approve a change.");
    if (!given->placed)
        puts("Not checked: serial and previous hash (give --previous MANIFEST).");
}

int cli_policy_verify(int argc, char **argv)
{
    static const struct option table[] = {{"approvers", required_argument, NULL, 'a'},
                                          {"previous", required_argument, NULL, 'p'},
                                          {"serial", required_argument, NULL, 's'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"config", required_argument, NULL, 'c'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    struct policy_options o = {
        .verb = "policy verify", .help = help, .table = table, .shorts = ":c:h"};
    struct approval_given given = {0};
    struct approval *result;
    struct approval_dir dir;
    struct policy *policy = NULL;
    struct approval_arguments w = {0};
    struct err e = ERR_INIT;
    bool known = false; /* the set, and what is in force: the rest is about them */
    int status = CLI_DONE, rc;

    if (!parse(argc, argv, &o, &w))
        return o.status;
    result = calloc(1, sizeof *result);
    rc = approval_dir_read(w.dir, &dir, &e);
    if (rc == 0 && !result)
        rc = err_set(&e, ERR_MEMORY, "out of memory");
    if (rc == 0)
        rc = in_force(&w, &dir, &given, &e);
    known = rc == 0;
    if (rc == 0) {
        policy = policy_load(buf_head(&dir.block), buf_len(&dir.block), NULL, &e);
        rc = policy ? 0 : e.code;
    }
    if (rc == 0)
        rc = approval_check(buf_head(&dir.block), buf_len(&dir.block), &given.state, result, &e);
    if (w.json && result)
        show_json(result, &given, &e);
    else if (rc == 0)
        show(result, &given);
    if (rc < 0 && !w.json)
        cli_fail("%s", e.text);
    if (rc < 0)
        status = known && rc != ERR_MEMORY ? POLICY_FINDINGS : POLICY_TROUBLE;
    policy_free(policy);
    free(result);
    approval_given_clear(&given);
    approval_dir_clear(&dir);
    return status;
}
