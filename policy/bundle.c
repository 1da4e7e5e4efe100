/* SPDX-License-Identifier: Apache-2.0
 *
 * The one reading of a policy set. The supervisor, which is root, runs bundle_read and
 * bundle_memfd: it opens only files that root alone can write, follows no symbolic link, and reads
 * each once, so that what is hashed is what is parsed. authd, which trusts nothing in the block,
 * runs bundle_next. Format: policy/bundle.h. */
#include "policy/bundle.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <openssl/sha.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/utf8.h"
#include "base/yaml_tree.h"
#include "policy/zone.h"

/* Where tzdata is. */
#define ZONEINFO "/usr/share/zoneinfo"

/* Six times the scale that the product promises; a directory is not read without end. */
#define FILES_MAX 65536u

/* What belongs to a set, below the configuration directory. Of a directory every NAME and suffix.
 */
static const struct place {
    const char *path;
    bool directory, required;
    const char *suffix;
} places[] = {
    {"operators.yaml", false, true, NULL},       {"targets.yaml", false, true, NULL},
    {BUNDLE_REVIEWERS_FILE, false, false, NULL}, {"site.yaml", false, false, NULL},
    {"approvers.yaml", false, false, NULL},      {"manifest", false, false, NULL},
    {"manifest.author.sig", false, false, NULL}, {"roles.d", true, false, ".yaml"},
    {"roles.d/tests", true, false, ".yaml"},     {"packs", true, false, ".yaml"},
    {"approvals", true, false, ".sig"},
};

static int open_below(int dirfd, const char *path, int flags, uint64_t resolve)
{
    struct open_how how = {
        .flags = (uint64_t)(flags | O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY),
        .resolve = resolve | RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };

    return (int)syscall(SYS_openat2, dirfd, path, &how, sizeof how);
}

/* Who may write it decides what it may say. */
static int check_owner(int fd, const char *path, bool directory, unsigned owner_uid,
                       struct stat *st, struct err *e)
{
    if (fstat(fd, st) < 0)
        return err_errno(e, "%s: cannot be examined", path);
    if (directory ? !S_ISDIR(st->st_mode) : !S_ISREG(st->st_mode))
        return err_set(e, ERR_INPUT, "%s: found something else, expected a %s", path,
                       directory ? "directory" : "regular file");
    if (owner_uid == BUNDLE_ANY_OWNER)
        return 0;
    if (st->st_uid != 0 && st->st_uid != owner_uid)
        return err_set(e, ERR_INPUT, "%s: found owner %u, expected %u", path, (unsigned)st->st_uid,
                       owner_uid);
    if (st->st_mode & (S_IWGRP | S_IWOTH))
        return err_set(e, ERR_INPUT,
                       "%s: found mode %04o, expected one that group and others cannot write "
                       "(chmod go-w)",
                       path, (unsigned)st->st_mode & 07777);
    return 0;
}

/* Room for a file, with its head written, and for one byte more. NULL: it does not fit. */
static uint8_t *put_head(const char *name, size_t size, struct buf *out, struct err *e)
{
    const size_t name_len = strlen(name), head = 2 + name_len + 4;
    uint8_t *p = buf_reserve(out, head + size + 1);

    if (!p) {
        err_set(e, ERR_FULL, "%s: the policy set is larger than %u bytes", name, BUNDLE_MAX);
        return NULL;
    }
    wire_store_u16(p, (uint16_t)name_len);
    memcpy(p + 2, name, name_len);
    wire_store_u32(p + 2 + name_len, (uint32_t)size);
    return p;
}

static int add_bytes(const char *name, const struct bytes *bytes, struct buf *out, struct err *e)
{
    const size_t head = 2 + strlen(name) + 4;
    uint8_t *p = put_head(name, bytes->len, out, e);

    if (!p)
        return ERR_FULL;
    if (bytes->len)
        memcpy(p + head, bytes->p, bytes->len);
    buf_commit(out, head + bytes->len);
    return 0;
}

/* Appends what is open as (STR name, DATA bytes). A size that changes while it is read is an error.
 */
static int add_open_file(int fd, const char *name, const struct stat *st, size_t max,
                         struct buf *out, struct err *e)
{
    const size_t name_len = strlen(name), head = 2 + name_len + 4;

    if (st->st_size > (off_t)max)
        return err_set(e, ERR_INPUT, "%s: found %lld bytes, expected at most %zu", name,
                       (long long)st->st_size, max);
    const size_t size = (size_t)st->st_size;
    uint8_t *p = put_head(name, size, out, e);
    if (!p)
        return ERR_FULL;
    size_t got = 0;
    while (got <= size) { /* one byte more than there should be, to see growth */
        ssize_t n = read(fd, p + head + got, size + 1 - got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(e, "%s: cannot be read", name);
        if (n == 0)
            break;
        got += (size_t)n;
    }
    if (got != size)
        return err_set(e, ERR_BUSY, "%s: changed while it was read; try again", name);
    buf_commit(out, head + size);
    return 0;
}

static int add_file(int dirfd, const char *path, unsigned owner_uid, struct buf *out, struct err *e)
{
    struct stat st;
    int fd = open_below(dirfd, path, 0, RESOLVE_NO_SYMLINKS), rc;

    if (fd < 0) {
        if (errno == ELOOP)
            return err_set(e, ERR_INPUT, "%s: found a symbolic link, expected a regular file",
                           path);
        return err_errno(e, "%s: cannot be opened", path);
    }
    rc = check_owner(fd, path, false, owner_uid, &st, e);
    if (rc == 0)
        rc = add_open_file(fd, path, &st, YAML_FILE_MAX, out, e);
    close(fd);
    return rc;
}

/* A zone that this machine does not have is the loader's to complain about: it knows the line.
 * Debian links many names to others; a link that leads elsewhere (localtime) is not followed. */
static int add_zone(int zoneinfo, const char *name, unsigned owner_uid, struct buf *out,
                    struct err *e)
{
    char path[sizeof BUNDLE_ZONES + ZONE_NAME_MAX], magic[4];
    struct stat st;
    int fd = open_below(zoneinfo, name, 0, 0), rc = 0;

    if (fd < 0)
        return errno == EMFILE || errno == ENFILE || errno == ENOMEM
                   ? err_errno(e, ZONEINFO "/%s: cannot be opened", name)
                   : 0;
    snprintf(path, sizeof path, BUNDLE_ZONES "%s", name);
    /* Besides zones there are folders, and lists of them. */
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && pread(fd, magic, 4, 0) == 4 &&
        memcmp(magic, "TZif", 4) == 0) {
        rc = check_owner(fd, path, false, owner_uid, &st, e);
        if (rc == 0)
            rc = add_open_file(fd, path, &st, ZONE_FILE_MAX, out, e);
    }
    close(fd);
    return rc;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

struct names {
    char **name;
    size_t count, cap;
};

bool bundle_name_visible(const char *name)
{
    const size_t len = strlen(name);
    uint32_t c = 0;

    for (size_t i = 0, n; i < len; i += n) {
        n = utf8_next((const uint8_t *)name + i, len - i, &c);
        if (!n || !utf8_visible(c))
            return false;
    }
    return len > 0;
}

int bundle_check_name(const char *name, struct err *e)
{
    char shown[1100];

    escape_text(shown, sizeof shown, name, strnlen(name, 255));
    if (strlen(name) > 255)
        return err_set(e, ERR_INPUT, "%s: found a name of %zu bytes, expected at most 255", shown,
                       strlen(name));
    return bundle_name_visible(name)
               ? 0
               : err_set(e, ERR_INPUT,
                         "%s: found a file name with characters that cannot be shown, "
                         "expected visible ones in UTF-8",
                         shown);
}

static int names_add(struct names *names, const char *dir, const char *file, struct err *e)
{
    if (names->count == FILES_MAX)
        return err_set(e, ERR_FULL, "%s: found more than %u files", file, FILES_MAX);
    if (names->count == names->cap) {
        size_t cap = names->cap ? names->cap * 2 : 64;
        char **grown = reallocarray(names->name, cap, sizeof *grown);
        if (!grown)
            return err_set(e, ERR_MEMORY, "%s: out of memory", file);
        names->name = grown;
        names->cap = cap;
    }
    if (asprintf(&names->name[names->count], "%s%s%s", dir, *dir ? "/" : "", file) < 0)
        return err_set(e, ERR_MEMORY, "%s: out of memory", file);
    names->count++;
    return bundle_check_name(names->name[names->count - 1], e);
}

static void names_free(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->name[i]);
    free(names->name);
}

/* In a directory of a set: a name that has its suffix, and does not begin with ".". */
static bool belongs(const struct place *place, const char *file)
{
    const size_t len = strlen(file), suffix = strlen(place->suffix);

    return file[0] != '.' && len > suffix && strcmp(file + len - suffix, place->suffix) == 0;
}

enum bundle_place bundle_place(const char *name)
{
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        const char *path = places[i].path;
        const size_t len = strlen(path);
        if (strcmp(name, path) == 0)
            return places[i].directory ? BUNDLE_FOLDER : BUNDLE_FILE;
        if (places[i].directory && strncmp(name, path, len) == 0 && name[len] == '/' &&
            !strchr(name + len + 1, '/') && belongs(&places[i], name + len + 1))
            return BUNDLE_FILE;
    }
    return BUNDLE_NO_PLACE;
}

static int list_dir(int dirfd, const struct place *place, unsigned owner_uid, struct names *names,
                    struct err *e)
{
    const char *path = place->path;
    struct stat st;
    int fd = open_below(dirfd, path, O_DIRECTORY, RESOLVE_NO_SYMLINKS);
    DIR *dir = NULL;
    int rc = 0;

    if (fd < 0)
        return errno == ENOENT ? 0 : err_errno(e, "%s: cannot be opened", path);
    rc = check_owner(fd, path, true, owner_uid, &st, e);
    if (rc < 0)
        goto out;
    dir = fdopendir(fd);
    if (!dir) {
        rc = err_errno(e, "%s: cannot be read", path);
        goto out;
    }
    fd = -1; /* the stream has it */
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (!entry) {
            if (errno)
                rc = err_errno(e, "%s: cannot be read", path);
            break;
        }
        if (!belongs(place, entry->d_name))
            continue;
        rc = names_add(names, path, entry->d_name, e);
        if (rc < 0)
            break;
    }
out:
    if (dir)
        closedir(dir);
    if (fd >= 0)
        close(fd);
    return rc;
}

/* A file that need not be there is passed over when it is not; anything else about it is add_file's
 * to find out. */
static int list_place(int dirfd, const struct place *place, unsigned owner_uid, struct names *names,
                      struct err *e)
{
    struct stat st;

    if (place->directory)
        return list_dir(dirfd, place, owner_uid, names, e);
    if (!place->required && fstatat(dirfd, place->path, &st, AT_SYMLINK_NOFOLLOW) < 0 &&
        errno == ENOENT)
        return 0;
    return names_add(names, "", place->path, e);
}

bool bundle_is_zone(const char *name)
{
    return strncmp(name, BUNDLE_ZONES, sizeof BUNDLE_ZONES - 1) == 0 &&
           zone_name_good(name + sizeof BUNDLE_ZONES - 1);
}

/* Each once, in order: a set has many windows and few zones, and whoever writes it does not say how
 * long the supervisor looks at it. */
static int names_put(struct names *names, const char *name, struct err *e)
{
    size_t from = 0, to = names->count;

    while (from < to) {
        const size_t middle = (from + to) / 2;
        const int order = strcmp(names->name[middle], name);
        if (order == 0)
            return 0;
        if (order < 0)
            from = middle + 1;
        else
            to = middle;
    }
    int rc = names_add(names, "", name, e);
    if (rc < 0)
        return rc;
    char *added = names->name[names->count - 1];
    memmove(names->name + from + 1, names->name + from,
            (names->count - 1 - from) * sizeof *names->name);
    names->name[from] = added;
    return 0;
}

/* The word after "HH:MM" and blanks, wherever in a file that stands, if it could be a zone's name.
 * What is missed by this (a name that YAML puts together of two lines) is unknown to the loader. */
static int scan_zones(const struct bundle_file *file, struct names *names, struct err *e)
{
    const uint8_t *p = file->bytes.p, *end = p + file->bytes.len;
    char name[ZONE_NAME_MAX + 1];

    while ((p = memchr(p, ':', (size_t)(end - p))) != NULL) {
        const uint8_t *at = ++p;
        size_t len = 0;
        if (end - at < 4 || at[0] < '0' || at[0] > '5' || at[1] < '0' || at[1] > '9' ||
            !strchr(" \t\r\n", at[2]))
            continue;
        for (at += 2; at < end && *at && strchr(" \t\r\n", *at); at++)
            ;
        while (at + len < end && len < sizeof name && at[len] && !strchr(" \t\r\n\"',]}#", at[len]))
            len++;
        if (len == sizeof name)
            continue;
        memcpy(name, at, len);
        name[len] = 0;
        if (!zone_name_good(name) || strcmp(name, "UTC") == 0)
            continue;
        int rc = names_put(names, name, e);
        if (rc < 0)
            return rc;
        if (names->count > ZONES_MAX)
            return err_set(e, ERR_FULL, "%s: the set names more than %d time zones", file->name,
                           ZONES_MAX);
    }
    return 0;
}

int bundle_add_zones(unsigned owner_uid, const char *also, struct buf *out, struct err *e)
{
    struct names names = {0};
    struct bundle_file file;
    struct wire_reader r;
    struct stat st;
    int fd = -1, rc = 0;

    wire_reader_init(&r, buf_head(out), buf_len(out));
    while (rc == 0 && bundle_next(&r, &file, e) > 0) {
        if (strncmp(file.name, "roles.d/", 8) == 0 || strcmp(file.name, "site.yaml") == 0)
            rc = scan_zones(&file, &names, e);
    }
    if (rc == 0 && also && zone_name_good(also) && strcmp(also, "UTC") != 0)
        rc = names_put(&names, also, e);
    if (rc == 0 && names.count && (fd = open(ZONEINFO, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0)
        rc = check_owner(fd, ZONEINFO, true, owner_uid, &st, e);
    for (size_t i = 0; rc == 0 && fd >= 0 && i < names.count; i++)
        rc = add_zone(fd, names.name[i], owner_uid, out, e);
    if (fd >= 0)
        close(fd);
    names_free(&names);
    return rc;
}

static int read_all(int dirfd, unsigned owner_uid, bool with_config, const struct bytes *config,
                    struct buf *out, struct err *e)
{
    struct names names = {0};
    struct stat st;
    int rc = check_owner(dirfd, "the configuration directory", true, owner_uid, &st, e);

    for (size_t i = 0; i < sizeof places / sizeof places[0] && rc == 0; i++)
        rc = list_place(dirfd, &places[i], owner_uid, &names, e);
    if (rc == 0 && with_config)
        rc = names_add(&names, "", BUNDLE_CONFIG_FILE, e);
    if (names.count)
        qsort(names.name, names.count, sizeof *names.name, by_name);
    for (size_t i = 0; i < names.count && rc == 0; i++) {
        if (config && strcmp(names.name[i], BUNDLE_CONFIG_FILE) == 0)
            rc = add_bytes(names.name[i], config, out, e);
        else
            rc = add_file(dirfd, names.name[i], owner_uid, out, e);
    }
    names_free(&names);
    return rc;
}

static int with_zones(int rc, unsigned owner_uid, struct buf *out, struct err *e)
{
    if (rc == 0)
        rc = bundle_add_zones(owner_uid, NULL, out, e);
    if (rc == 0 && buf_len(out) > BUNDLE_MAX)
        rc = err_set(e, ERR_FULL, "the policy set is larger than %u bytes", BUNDLE_MAX);
    return rc;
}

int bundle_read_files(int dirfd, unsigned owner_uid, struct buf *out, struct err *e)
{
    return read_all(dirfd, owner_uid, false, NULL, out, e);
}

int bundle_read(int dirfd, unsigned owner_uid, struct buf *out, struct err *e)
{
    return with_zones(bundle_read_files(dirfd, owner_uid, out, e), owner_uid, out, e);
}

int bundle_read_with(int dirfd, unsigned owner_uid, const struct bytes *config, struct buf *out,
                     struct err *e)
{
    return with_zones(read_all(dirfd, owner_uid, true, config, out, e), owner_uid, out, e);
}

int bundle_memfd(const struct buf *bundle, struct err *e)
{
    const uint8_t *p = buf_head(bundle);
    size_t left = buf_len(bundle);
    int fd = memfd_create("sallyport-policy", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        return err_errno(e, "memory for the policy set");
    while (left) {
        ssize_t n = write(fd, p, left);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            goto failed;
        p += n;
        left -= (size_t)n;
    }
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        goto failed;
    return fd;
failed:
    err_errno(e, "memory for the policy set");
    close(fd);
    return ERR_SYSTEM;
}

int bundle_next(struct wire_reader *r, struct bundle_file *out, struct err *e)
{
    memset(out, 0, sizeof *out);
    if (!r->left && !r->failed)
        return 0;
    wire_get_str(r, out->name, sizeof out->name - 1);
    out->bytes = wire_get_data(r, YAML_FILE_MAX);
    if (r->failed || !out->name[0])
        return err_set(e, ERR_PROTOCOL, "the policy set's block is malformed");
    return 1;
}

int bundle_find(const void *block, size_t len, const char *name, struct bytes *out, struct err *e)
{
    struct bundle_file file;
    struct wire_reader r;
    int rc;

    wire_reader_init(&r, block, len);
    while ((rc = bundle_next(&r, &file, e)) > 0) {
        if (strcmp(file.name, name) != 0)
            continue;
        *out = file.bytes;
        return 1;
    }
    return rc;
}

void bundle_hash(const void *block, size_t len, uint8_t out[32])
{
    SHA256(block, len, out);
}
