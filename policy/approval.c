/* SPDX-License-Identifier: Apache-2.0
 *
 * See policy/approval.h. What is in force decides who may sign; what the new set says about
 * approvers counts from the next change on. A signature that does not belong refuses the set, even
 * where there are enough others: it is either a mistake or an attempt. */
#include "policy/approval.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "policy/bundle.h"

#define SIGNATURES MANIFEST_APPROVALS "/"

static const char *const kinds[] = {"none", "same", "begin", "change", "end"};

const char *approval_kind_name(enum approval_kind kind)
{
    return kinds[kind];
}

bool approval_is_file(const char *name)
{
    return strcmp(name, APPROVERS_FILE) == 0 || strcmp(name, BUNDLE_CONFIG_FILE) == 0 ||
           strcmp(name, BUNDLE_REVIEWERS_FILE) == 0 || manifest_is_evidence(name);
}

struct evidence {
    struct bytes approvers, manifest, author;
    bool has_approvers, has_manifest, has_author;
};

/* Nothing has looked at the block before: that names ascend says that each is there once. */
static int find(const void *block, size_t len, struct evidence *out, struct err *e)
{
    char before[256] = "";
    struct bundle_file file;
    struct wire_reader r;
    int rc;

    memset(out, 0, sizeof *out);
    wire_reader_init(&r, block, len);
    while ((rc = bundle_next(&r, &file, e)) > 0) {
        if (strcmp(before, file.name) >= 0)
            return err_set(e, ERR_PROTOCOL, "the policy set's files are not in order");
        memcpy(before, file.name, sizeof before);
        if (strcmp(file.name, APPROVERS_FILE) == 0) {
            out->approvers = file.bytes;
            out->has_approvers = true;
        } else if (strcmp(file.name, MANIFEST_FILE) == 0) {
            out->manifest = file.bytes;
            out->has_manifest = true;
        } else if (strcmp(file.name, MANIFEST_AUTHOR_FILE) == 0) {
            out->author = file.bytes;
            out->has_author = true;
        }
    }
    return rc;
}

int approval_load_check(const void *block, size_t len, struct err *e)
{
    struct evidence found;
    struct approvers *list;
    int rc = find(block, len, &found, e);

    if (rc < 0 || !found.has_approvers)
        return rc;
    list = approvers_parse(APPROVERS_FILE, found.approvers.p, found.approvers.len, e);
    if (!list)
        return ERR_SYNTAX;
    approvers_free(list);
    return 0;
}

/* --- the manifest's place in the history */

static int check_place(const struct manifest *m, const struct approval_state *s, struct err *e)
{
    char found[2 * MANIFEST_HASH + 1], expected[2 * MANIFEST_HASH + 1];

    if (m->serial <= s->serial)
        return err_set(e, ERR_DENIED,
                       MANIFEST_FILE ":2:8: found serial %" PRIu64 ", expected one above %" PRIu64
                                     ", the last one's: this set was in force before, or was made "
                                     "before the last change",
                       m->serial, s->serial);
    if (!s->approvers && !m->first)
        return err_set(e, ERR_DENIED,
                       MANIFEST_FILE ":3:10: found the hash of a set before, expected none: no "
                                     "approvers are in force on this gateway");
    if (!s->approvers)
        return 0;
    manifest_hash_text(s->manifest, expected);
    if (m->first)
        return err_set(e, ERR_DENIED,
                       MANIFEST_FILE ":3:10: found none, expected %s, the manifest in force",
                       expected);
    if (memcmp(m->previous, s->manifest, sizeof s->manifest) == 0)
        return 0;
    manifest_hash_text(m->previous, found);
    return err_set(e, ERR_DENIED,
                   MANIFEST_FILE
                   ":3:10: found %s, expected %s, the manifest in force: this set was "
                   "made for another one",
                   found, expected);
}

/* --- signatures */

static int check_signature(const struct approvers *list, const char *file, struct bytes signature,
                           const char *name_space, struct bytes manifest,
                           struct approval_signer *out, struct err *e)
{
    const struct approver *person;
    const char *fingerprint;
    struct sshsig_key by;
    int rc = sshsig_verify((const char *)signature.p, signature.len, name_space, manifest.p,
                           manifest.len, &by, e);

    if (rc < 0)
        return err_wrap(e, "%s", file);
    person = approvers_of_key(list, by.blob, by.len, &fingerprint);
    if (!person)
        return err_set(e, ERR_DENIED,
                       "%s: found a signature by a key of nobody's, expected one of the approvers "
                       "in force",
                       file);
    snprintf(out->name, sizeof out->name, "%s", person->name);
    snprintf(out->fingerprint, sizeof out->fingerprint, "%s", fingerprint);
    return 0;
}

static int add_approval(const struct approvers *list, const struct bundle_file *file,
                        struct bytes manifest, struct approval *out, struct err *e)
{
    const char *base = file->name + sizeof SIGNATURES - 1;
    struct approval_signer signer;
    char shown[1100];
    int rc;

    escape_text(shown, sizeof shown, file->name, strlen(file->name));
    rc = check_signature(list, shown, file->bytes, MANIFEST_APPROVE, manifest, &signer, e);
    if (rc < 0)
        return rc;
    /* One file a person, by its name: so nobody is counted twice. */
    if (strlen(base) != strlen(signer.name) + 4 ||
        strncmp(base, signer.name, strlen(signer.name)) != 0 ||
        strcmp(base + strlen(signer.name), ".sig") != 0)
        return err_set(e, ERR_DENIED, "%s: found the signature of %s, expected it in %s%s.sig",
                       shown, signer.name, SIGNATURES, signer.name);
    if (strcmp(signer.name, out->author.name) == 0)
        return err_set(e, ERR_DENIED, "%s: %s is the author, and nobody approves his own change",
                       shown, signer.name);
    INVARIANT(out->approved_count < APPROVERS_MAX); /* list has no more people, each comes once */
    out->approved_by[out->approved_count++] = signer;
    return 0;
}

static int check_signatures(const void *block, size_t len, const struct evidence *found,
                            const struct approvers *list, struct approval *out, struct err *e)
{
    struct bundle_file file;
    struct wire_reader r;
    int rc;

    if (!found->has_author)
        return err_set(
            e, ERR_DENIED,
            MANIFEST_AUTHOR_FILE
            ": not in the policy set, expected the author's signature (`sallyport policy "
            "sign --author`)");
    rc = check_signature(list, MANIFEST_AUTHOR_FILE, found->author, MANIFEST_AUTHOR,
                         found->manifest, &out->author, e);
    if (rc < 0)
        return rc;
    wire_reader_init(&r, block, len);
    while ((rc = bundle_next(&r, &file, e)) > 0) {
        if (strncmp(file.name, SIGNATURES, sizeof SIGNATURES - 1) != 0)
            continue;
        rc = add_approval(list, &file, found->manifest, out, e);
        if (rc < 0)
            return rc;
    }
    if (rc == 0 && out->approved_count < list->needed)
        rc = err_set(e, ERR_DENIED,
                     SIGNATURES ": found %zu approval%s, expected at least %u of others than %s, "
                                "the author (`sallyport policy sign --approve`)",
                     out->approved_count, out->approved_count == 1 ? "" : "s", list->needed,
                     out->author.name);
    return rc;
}

static int check_change(const void *block, size_t len, const struct evidence *found,
                        const struct approval_state *state, struct approval *out, struct err *e)
{
    struct approvers *own = NULL;
    struct manifest m;
    int rc = manifest_parse(found->manifest.p, found->manifest.len, &m, e);

    if (rc == 0)
        rc = manifest_covers(&m, block, len, e);
    if (rc < 0)
        return rc;
    out->serial = m.serial;
    manifest_hash(found->manifest.p, found->manifest.len, out->manifest);
    out->approvers = found->approvers;
    if (state->approvers && memcmp(out->manifest, state->manifest, sizeof out->manifest) == 0) {
        out->kind = APPROVAL_SAME;
        return 0;
    }
    rc = check_place(&m, state, e);
    if (rc == 0 && found->has_approvers) {
        own = approvers_parse(APPROVERS_FILE, found->approvers.p, found->approvers.len, e);
        rc = own ? 0 : ERR_SYNTAX;
    }
    if (rc == 0)
        rc = check_signatures(block, len, found, state->approvers ? state->approvers : own, out, e);
    out->kind = !state->approvers ? APPROVAL_BEGIN : own ? APPROVAL_CHANGE : APPROVAL_END;
    approvers_free(own);
    return rc;
}

int approval_check(const void *block, size_t len, const struct approval_state *state,
                   struct approval *out, struct err *e)
{
    struct evidence found;
    int rc = find(block, len, &found, e);

    memset(out, 0, sizeof *out);
    if (rc < 0)
        return rc;
    if (!state->approvers && !found.has_approvers) {
        out->unchecked = found.has_manifest;
        return 0;
    }
    if (!found.has_manifest)
        return err_set(e, ERR_DENIED,
                       MANIFEST_FILE
                       ": not in the policy set. %s, and a set of theirs comes into force with a "
                       "manifest that an author and approvers signed (`sallyport policy manifest`)",
                       state->approvers ? "Approvers are in force"
                                        : APPROVERS_FILE " names approvers");
    rc = check_change(block, len, &found, state, out, e);
    return rc < 0 ? err_wrap(e, "not approved") : 0;
}
