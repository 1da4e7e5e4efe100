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
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/pem.h>

#include "audit/epoch_keys.h"
#include "audit/tiles.h"
#include "audit/trail.h"

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

/* Everything in the trail's directory is auditd's. */
static int give_away(int trail, uid_t uid, gid_t gid, struct err *e)
{
    static const char *const files[] = {
        EPOCH_KEYS_FILE, ANCHOR_FILE, CHECKPOINT_FILE, "lock", "0000000000000000.spa",
    };

    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (fchownat(trail, files[i], uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
            return err_errno(e, "cannot give trail/%s to uid %u", files[i], (unsigned)uid);
    if (tiles_give_away(trail, uid, gid, e) < 0)
        return ERR_SYSTEM;
    if (fchown(trail, uid, gid) < 0)
        return err_errno(e, "cannot give trail/ to uid %u", (unsigned)uid);
    return 0;
}

struct log_keys {
    EVP_PKEY *log, *anchor;
    struct epoch_keys *epochs;
};

static int make_keys(struct log_keys *keys, const char *origin, struct anchor *a,
                     struct vkey *anchor_vkey, struct err *e)
{
    char name[NOTE_NAME_MAX + 16];
    struct vkey log, epoch;
    int r;

    keys->log = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    keys->anchor = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    if (!keys->log || !keys->anchor)
        return err_set(e, ERR_CRYPTO, "cannot make the log's keys");
    r = vkey_from_private(&log, origin, keys->log, e);
    if (r < 0)
        return r;
    r = epoch_keys_new(&keys->epochs, e);
    if (r == 0)
        r = epoch_keys_public(keys->epochs, origin, 0, &epoch, e);
    if (r < 0)
        return r;
    snprintf(name, sizeof name, "%s" ANCHOR_NAME_SUFFIX, origin);
    r = vkey_from_private(anchor_vkey, name, keys->anchor, e);
    if (r < 0)
        return r;
    return anchor_make(a, &log, &epoch, e);
}

/* Files with secrets and the trail itself; the caller wrote nothing yet. */
static int write_all(int state, int trail, const struct log_keys *keys, const struct anchor *a,
                     const struct trail_created *made, struct err *e)
{
    struct buf note;
    int r;

    buf_init(&note, NOTE_MAX);
    r = write_private(state, "keys/log.key", keys->log, e);
    if (r == 0)
        r = epoch_keys_save(keys->epochs, trail, e);
    if (r == 0)
        r = anchor_sign(&note, a, keys->anchor, e);
    if (r == 0)
        r = write_file(trail, ANCHOR_FILE, buf_head(&note), buf_len(&note), 0640, e);
    if (r == 0)
        r = write_file(state, "public/anchor.note", buf_head(&note), buf_len(&note), 0644, e);
    if (r == 0)
        r = write_vkey(state, "public/log.pub", made->log, e);
    if (r == 0)
        r = write_vkey(state, "public/anchor.pub", made->anchor, e);
    if (r == 0)
        r = trail_begin(trail, a, keys->log, e);
    buf_clear(&note);
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

int trail_create(const char *state, const char *gateway, uid_t uid, gid_t gid,
                 struct trail_created *out, struct err *e)
{
    struct log_keys keys = {NULL, NULL, NULL};
    struct vkey anchor_vkey;
    struct anchor a;
    char origin[NOTE_NAME_MAX + 1];
    int state_dir = -1, trail = -1, r;

    if (strlen(gateway) + strlen(TRAIL_ORIGIN_SUFFIX) > ORIGIN_MAX)
        return err_set(e, ERR_INPUT, "the gateway's name is over %zu characters",
                       ORIGIN_MAX - strlen(TRAIL_ORIGIN_SUFFIX));
    snprintf(origin, sizeof origin, "%.*s" TRAIL_ORIGIN_SUFFIX, ORIGIN_MAX, gateway);
    r = make_keys(&keys, origin, &a, &anchor_vkey, e);
    if (r < 0)
        goto out;
    vkey_text(&anchor_vkey, out->anchor);
    vkey_text(&a.log, out->log);
    digest_hex(a.genesis, out->genesis);
    r = open_dirs(state, &state_dir, &trail, e);
    if (r == 0)
        r = write_all(state_dir, trail, &keys, &a, out, e);
    if (r == 0)
        r = give_away(trail, uid, gid, e);
    if (r == 0 && (fsync(trail) < 0 || fsync(state_dir) < 0))
        r = err_errno(e, "cannot synchronise the state directory");
out:
    if (trail >= 0)
        close(trail);
    if (state_dir >= 0)
        close(state_dir);
    EVP_PKEY_free(keys.anchor);
    epoch_keys_free(keys.epochs);
    EVP_PKEY_free(keys.log);
    return r;
}
