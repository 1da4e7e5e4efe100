/* SPDX-License-Identifier: Apache-2.0
 *
 * A policy set's files as one block of bytes: what the supervisor read, once, and hands to authd in
 * a sealed memfd. Layout: repeated (STR name<=255, DATA bytes), names sorted bytewise and relative
 * to the configuration directory: "operators.yaml", "targets.yaml", "site.yaml",
 * "roles.d/ops.yaml", "roles.d/tests/ops.yaml", "packs/libvirt.yaml"; what approves it:
 * "approvers.yaml", "manifest", "manifest.author.sig", "approvals/alice.sig"; for whom recordings
 * are sealed: "reviewers.yaml"; the configuration that the supervisor started with:
 * "sallyport.yaml". The set's hash is SHA-256 over this block. */
#ifndef SALLYPORT_POLICY_BUNDLE_H
#define SALLYPORT_POLICY_BUNDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/wire.h"

#define BUNDLE_MAX            (256u * 1024 * 1024)
#define BUNDLE_CONFIG_FILE    "sallyport.yaml"
#define BUNDLE_REVIEWERS_FILE "reviewers.yaml"

/* The time zones that the set names are part of its block, because whoever decides by it has no
 * file system: "zoneinfo/Asia/Seoul" is that file of the machine's /usr/share/zoneinfo, not of the
 * set's directory. */
#define BUNDLE_ZONES "zoneinfo/"
#define ZONES_MAX    1024 /* there are some 600 names */
bool bundle_is_zone(const char *name);

/* Reads the set below dirfd with openat2(RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH): regular files,
 * owned by root (owner_uid), not writable by group or others, read once. operators.yaml and
 * targets.yaml must exist; in directories files not ending in .yaml (approvals: .sig) and those
 * starting with "." are passed over. Zones that a file names after a time ("08:00-20:00
 * Asia/Seoul") and that the machine has are added. sallyport.yaml is left out. */
MUST_CHECK int bundle_read(int dirfd, unsigned owner_uid, struct buf *out, struct err *e);
/* The same with sallyport.yaml: these bytes, or (NULL) the file's, which must be there then. */
MUST_CHECK int bundle_read_with(int dirfd, unsigned owner_uid, const struct bytes *config,
                                struct buf *out, struct err *e);
/* The two halves of bundle_read, for tools that get files from elsewhere, or ask about a time in
 * one more zone (also; NULL: none). */
MUST_CHECK int bundle_read_files(int dirfd, unsigned owner_uid, struct buf *out, struct err *e);
MUST_CHECK int bundle_add_zones(unsigned owner_uid, const char *also, struct buf *out,
                                struct err *e);
/* As owner_uid: owners and modes do not matter. For tools that decide nothing, never for what comes
 * into force. */
#define BUNDLE_ANY_OWNER (~0u)
/* What a set has under this name, if anything. */
enum bundle_place { BUNDLE_NO_PLACE, BUNDLE_FILE, BUNDLE_FOLDER };
enum bundle_place bundle_place(const char *name);
/* Names of files are told to people and are in JSON: of what is visible in UTF-8 alone. */
bool bundle_name_visible(const char *name);
/* That, and not too long; with an error that has the name escaped. */
MUST_CHECK int bundle_check_name(const char *name, struct err *e);
/* A sealed memfd of it; the caller closes it. Negative on error. */
int bundle_memfd(const struct buf *bundle, struct err *e);

struct bundle_file {
    char name[256];
    struct bytes bytes;
};
/* Iterates: 1 a file, 0 the end, negative: malformed. Start with a wire_reader over the block. */
MUST_CHECK int bundle_next(struct wire_reader *r, struct bundle_file *out, struct err *e);
/* The file of this name: 1, 0: there is none, negative: malformed. */
MUST_CHECK int bundle_find(const void *block, size_t len, const char *name, struct bytes *out,
                           struct err *e);
void bundle_hash(const void *block, size_t len, uint8_t out[32]);

#endif
