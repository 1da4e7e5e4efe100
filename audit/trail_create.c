/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes a new log's keys and first segment. Runs as root in `sallyport init`, on a state directory
 * that only root may write. The anchor key lives in this function's memory alone: it certifies the
 * log key and the first epoch key, and is gone. */
#include "audit/trail_create.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/pem.h>

#include "audit/epoch_keys.h"
#include "audit/trail.h"
#include "base/secret.h"

/* An Ed25519 key in PEM has 119 bytes. */
#define LOG_KEY_MAX 4096u

static int make_dir(int dir, const char *name, mode_t mode, struct err *e)
{
    if (mkdirat(dir, name, mode) < 0)
        return errno == EEXIST ? 0 : err_errno(e, "cannot make %s/", name);
    /* The process's umask may have taken bits away. */
    if (fchmodat(dir, name, mode, 0) < 0)
        return err_errno(e, "cannot set the mode of %s/", name);
    return 0;
}

static int write_file(int dir, const char *path, const void *bytes, size_t len, mode_t mode,
                      struct err *e)
{
    const uint8_t *p = bytes;
    int r = 0, fd = openat(dir, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);

    if (fd < 0 && errno == EEXIST)
        return err_set(e, ERR_INPUT, "%s is there already", path);
    if (fd < 0)
        return err_errno(e, "cannot make %s", path);
    while (len > 0) {
        ssize_t n = write(fd, p, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            r = err_errno(e, "cannot write %s", path);
            goto out;
        }
        p += n;
        len -= (size_t)n;
    }
    if (fchmod(fd, mode) < 0 || fsync(fd) < 0)
        r = err_errno(e, "cannot finish %s", path);
out:
    close(fd);
    return r;
}

static int write_vkey(int dir, const char *path, const char *text, struct err *e)
{
    char line[VKEY_MAX + 1];

    snprintf(line, sizeof line, "%s\n", text);
    return write_file(dir, path, line, strlen(line), 0644, e);
}

static int write_private(int dir, const char *path, EVP_PKEY *key, struct err *e)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    char *pem;
    long len;
    int r;

    if (!bio || !PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL)) {
        r = err_set(e, ERR_CRYPTO, "cannot encode %s", path);
        goto out;
    }
    len = BIO_get_mem_data(bio, &pem);
    r = write_file(dir, path, pem, (size_t)len, 0600, e);
    OPENSSL_cleanse(pem, (size_t)len);
out:
    BIO_free(bio);
    return r;
}

int trail_give_away(int dir, uid_t uid, gid_t gid, struct err *e)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), below, r = 0;
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;

    if (!d) {
        r = err_errno(e, "cannot list the trail's directory");
        if (fd >= 0)
            close(fd);
        return r;
    }
    while (r == 0 && (entry = readdir(d))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (fchownat(dir, entry->d_name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0) {
            r = err_errno(e, "cannot give %s to uid %u", entry->d_name, (unsigned)uid);
            break;
        }
        below = openat(dir, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (below >= 0) {
            r = trail_give_away(below, uid, gid, e);
            close(below);
        }
    }
    closedir(d);
    if (r == 0 && fchown(dir, uid, gid) < 0)
        r = err_errno(e, "cannot give the trail's directory to uid %u", (unsigned)uid);
    return r;
}

struct trail_birth {
    EVP_PKEY *log;
    struct epoch_keys *epochs;
    struct anchor a;
    struct vkey anchor_vkey;
    struct buf note; /* the anchor's */
};

void trail_birth_free(struct trail_birth *b)
{
    if (!b)
        return;
    EVP_PKEY_free(b->log);
    epoch_keys_free(b->epochs);
    buf_clear(&b->note);
    free(b);
}

static int make_keys(struct trail_birth *b, const char *origin, struct err *e)
{
    char name[NOTE_NAME_MAX + 16];
    EVP_PKEY *anchor = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    struct vkey log, epoch;
    int r = 0;

    b->log = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    if (!b->log || !anchor)
        r = err_set(e, ERR_CRYPTO, "cannot make the log's keys");
    if (r == 0)
        r = vkey_from_private(&log, origin, b->log, e);
    if (r == 0)
        r = epoch_keys_new(&b->epochs, e);
    if (r == 0)
        r = epoch_keys_public(b->epochs, origin, 0, &epoch, e);
    snprintf(name, sizeof name, "%s" ANCHOR_NAME_SUFFIX, origin);
    if (r == 0)
        r = vkey_from_private(&b->anchor_vkey, name, anchor, e);
    if (r == 0)
        r = anchor_make(&b->a, &log, &epoch, e);
    if (r == 0)
        r = anchor_sign(&b->note, &b->a, anchor, e);
    EVP_PKEY_free(anchor);
    return r;
}

int trail_birth_new(struct trail_birth **out, const char *origin, struct err *e)
{
    struct trail_birth *b = calloc(1, sizeof *b);
    int r;

    *out = NULL;
    if (!b)
        return err_set(e, ERR_MEMORY, "no memory for a log's keys");
    buf_init(&b->note, NOTE_MAX);
    r = strlen(origin) <= ORIGIN_MAX
            ? make_keys(b, origin, e)
            : err_set(e, ERR_INPUT, "the gateway's name is over %zu characters",
                      ORIGIN_MAX - strlen(TRAIL_ORIGIN_SUFFIX));
    if (r < 0)
        trail_birth_free(b);
    else
        *out = b;
    return r;
}

const struct vkey *trail_birth_anchor(const struct trail_birth *b)
{
    return &b->anchor_vkey;
}

EVP_PKEY *trail_key_read(int dir, const char *path, struct err *e)
{
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct secret *pem = NULL;
    EVP_PKEY *key = NULL;
    BIO *bio = NULL;

    if (fd < 0) {
        err_errno(e, "cannot open %s", path);
        return NULL;
    }
    pem = secret_read(fd, LOG_KEY_MAX, e);
    close(fd);
    if (!pem)
        return NULL;
    bio = BIO_new_mem_buf(secret_view(pem), (int)secret_len(pem));
    if (bio)
        key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    if (!key)
        err_set(e, ERR_INPUT, "%s is not a private key in PEM", path);
    BIO_free(bio);
    secret_free(pem);
    return key;
}

int trail_birth_save(struct trail_birth *b, int dir, const char *name, struct err *e)
{
    char making[64], text[VKEY_MAX];
    int r, fd;

    snprintf(making, sizeof making, "%.50s.new", name);
    r = make_dir(dir, making, 0700, e);
    fd = r < 0 ? r : openat(dir, making, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (r == 0 && fd < 0)
        r = err_errno(e, "cannot open %s", making);
    vkey_text(&b->anchor_vkey, text);
    if (r == 0)
        r = write_private(fd, "log.key", b->log, e);
    if (r == 0)
        r = epoch_keys_save(b->epochs, fd, e);
    if (r == 0)
        r = write_vkey(fd, "anchor.pub", text, e);
    if (r == 0)
        r = write_file(fd, ANCHOR_FILE, buf_head(&b->note), buf_len(&b->note), 0600, e);
    if (r == 0 && (fsync(fd) < 0 || renameat(dir, making, dir, name) < 0 || fsync(dir) < 0))
        r = err_errno(e, "cannot finish %s", name);
    if (fd >= 0)
        close(fd);
    return r;
}

/* That the private keys are those that the anchor certifies. */
static int check_birth(const struct trail_birth *b, const char *origin, struct err *e)
{
    struct vkey log, epoch;
    int r = vkey_from_private(&log, origin, b->log, e);

    if (r == 0)
        r = epoch_keys_public(b->epochs, origin, 0, &epoch, e);
    if (r == 0 &&
        (strcmp(b->a.log.name, origin) != 0 || memcmp(b->a.log.key, log.key, sizeof log.key) != 0 ||
         memcmp(b->a.epoch.key, epoch.key, sizeof epoch.key) != 0))
        r = err_set(e, ERR_INPUT, "these keys are not those of %s", origin);
    return r;
}

int trail_birth_load(struct trail_birth **out, int dir, const char *name, const char *origin,
                     struct err *e)
{
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW), r = 0;
    struct trail_birth *b = NULL;

    *out = NULL;
    if (fd < 0)
        return err_errno(e, "cannot open %s", name);
    b = calloc(1, sizeof *b);
    if (!b) {
        r = err_set(e, ERR_MEMORY, "no memory for a log's keys");
        goto out;
    }
    buf_init(&b->note, NOTE_MAX);
    b->log = trail_key_read(fd, "log.key", e);
    r = b->log ? vkey_read(&b->anchor_vkey, fd, "anchor.pub", e) : ERR_INPUT;
    if (r == 0)
        r = note_file_read(fd, ANCHOR_FILE, &b->note, e);
    if (r == 0)
        r = anchor_open(&b->a, (const char *)buf_head(&b->note), buf_len(&b->note), &b->anchor_vkey,
                        e);
    if (r == 0)
        r = epoch_keys_open(&b->epochs, fd, e);
    if (r == 0)
        r = check_birth(b, origin, e);
    if (r == 0) {
        *out = b;
        b = NULL;
    }
out:
    trail_birth_free(b);
    close(fd);
    return r;
}

int trail_birth_wipe(int dir, const char *name, struct err *e)
{
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW), r;

    if (fd < 0)
        return errno == ENOENT ? 0 : err_errno(e, "cannot open %s", name);
    r = epoch_keys_wipe(fd, e);
    close(fd);
    return r;
}

/* Files with secrets and the trail itself; the caller wrote nothing yet. */
static int write_all(struct trail_birth *b, int state, int trail,
                     const struct trail_previous *previous, const struct trail_created *made,
                     struct err *e)
{
    int r;

    r = write_private(state, "keys/log.key", b->log, e);
    if (r == 0)
        r = epoch_keys_save(b->epochs, trail, e);
    if (r == 0)
        r = write_file(trail, ANCHOR_FILE, buf_head(&b->note), buf_len(&b->note), 0640, e);
    if (r == 0)
        r = write_file(state, "public/anchor.note", buf_head(&b->note), buf_len(&b->note), 0644, e);
    if (r == 0)
        r = write_vkey(state, "public/log.pub", made->log, e);
    if (r == 0)
        r = write_vkey(state, "public/anchor.pub", made->anchor, e);
    if (r == 0)
        r = trail_begin(trail, &b->a, b->log, previous, e);
    return r;
}

static int check_empty(int dir, struct err *e)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;
    int r = 0;

    if (!d) {
        r = err_errno(e, "cannot list trail/");
        if (fd >= 0)
            close(fd);
        return r;
    }
    while (r == 0 && (entry = readdir(d)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            r = err_set(e, ERR_INPUT, "trail/ is not empty: there is a log already");
    closedir(d);
    return r;
}

static int open_dirs(const char *path, int *state, int *trail, struct err *e)
{
    int r;

    *state = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*state < 0)
        return err_errno(e, "cannot open %s", path);
    if (faccessat(*state, "keys/log.key", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return err_set(e, ERR_INPUT, "keys/log.key is there already");
    r = make_dir(*state, "keys", 0700, e);
    if (r == 0)
        r = make_dir(*state, "public", 0755, e);
    if (r == 0)
        r = make_dir(*state, "trail", TRAIL_MODE, e);
    if (r < 0)
        return r;
    *trail = openat(*state, "trail", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (*trail < 0)
        return err_errno(e, "cannot open trail/");
    return check_empty(*trail, e);
}

int trail_birth_write(struct trail_birth *b, const char *state, uid_t uid, gid_t gid,
                      const struct trail_previous *previous, struct trail_created *out,
                      struct err *e)
{
    int state_dir = -1, trail = -1, r;

    vkey_text(&b->anchor_vkey, out->anchor);
    vkey_text(&b->a.log, out->log);
    digest_hex(b->a.genesis, out->genesis);
    r = open_dirs(state, &state_dir, &trail, e);
    if (r == 0)
        r = write_all(b, state_dir, trail, previous, out, e);
    if (r == 0)
        r = trail_give_away(trail, uid, gid, e);
    if (r == 0 && (fsync(trail) < 0 || fsync(state_dir) < 0))
        r = err_errno(e, "cannot synchronise the state directory");
    if (trail >= 0)
        close(trail);
    if (state_dir >= 0)
        close(state_dir);
    return r;
}

int trail_create(const char *state, const char *gateway, uid_t uid, gid_t gid,
                 struct trail_created *out, struct err *e)
{
    char origin[NOTE_NAME_MAX + sizeof TRAIL_ORIGIN_SUFFIX];
    struct trail_birth *b;
    int r;

    snprintf(origin, sizeof origin, "%.*s" TRAIL_ORIGIN_SUFFIX, NOTE_NAME_MAX, gateway);
    r = trail_birth_new(&b, origin, e);
    if (r == 0)
        r = trail_birth_write(b, state, uid, gid, NULL, out, e);
    trail_birth_free(b);
    return r;
}
