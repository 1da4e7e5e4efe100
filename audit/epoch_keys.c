/* SPDX-License-Identifier: Apache-2.0
 *
 * Two slots, key of epoch N in slot N mod 2. Runs in auditd, `init` and `new-log`. Seeds are held
 * in locked memory; a slot's image on its way to the file is wiped. That the overwritten bytes are
 * gone from the medium is not assured on SSDs, copy-on-write file systems and snapshots. */
#include "audit/epoch_keys.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/secret.h"
#include "base/wire.h"

#define SEED_SIZE 32u

static const uint8_t magic[4] = {'S', 'P', 'E', 'K'};

/* offsets in a slot */
enum { AT_EPOCH = 4, AT_SEED = 12, AT_HASH = AT_SEED + SEED_SIZE };

struct epoch_keys {
    int fd;                 /* -1: not saved yet */
    struct secret *seed[2]; /* NULL: the slot could not be read */
    uint64_t epoch[2];
};

static const char advice[] = "this log cannot go on: look at it, then `sallyport audit new-log "
                             "--reason TEXT` begins another";

static bool has(const struct epoch_keys *k, uint64_t epoch)
{
    return k->seed[epoch & 1] && k->epoch[epoch & 1] == epoch;
}

static struct epoch_keys *keys_new(void)
{
    struct epoch_keys *k = calloc(1, sizeof *k);

    if (k)
        k->fd = -1;
    return k;
}

void epoch_keys_free(struct epoch_keys *k)
{
    if (!k)
        return;
    secret_free(k->seed[0]);
    secret_free(k->seed[1]);
    if (k->fd >= 0)
        close(k->fd);
    free(k);
}

int epoch_keys_new(struct epoch_keys **out, struct err *e)
{
    struct epoch_keys *k = keys_new();

    *out = NULL;
    for (unsigned i = 0; k && i < 2; i++) {
        k->epoch[i] = i;
        k->seed[i] = secret_random(SEED_SIZE);
    }
    if (!k || !k->seed[0] || !k->seed[1]) {
        epoch_keys_free(k);
        return err_set(e, ERR_MEMORY, "no memory for the epochs' keys");
    }
    *out = k;
    return 0;
}

static int slot_hash(const uint8_t *slot, uint8_t out[RECORD_HASH_SIZE])
{
    return EVP_Digest(slot, AT_HASH, out, NULL, EVP_sha256(), NULL) ? 0 : ERR_CRYPTO;
}

/* Overwrites the whole slot, and waits for the disk. */
static int write_slot(const struct epoch_keys *k, unsigned slot, struct err *e)
{
    struct secret *image = secret_new(EPOCH_SLOT_SIZE);
    size_t done = 0;
    uint8_t *p;
    int r = 0;

    if (!image)
        return err_set(e, ERR_MEMORY, "no memory for an epoch's key");
    p = secret_bytes(image);
    memcpy(p, magic, sizeof magic);
    wire_store_u64(p + AT_EPOCH, k->epoch[slot]);
    memcpy(p + AT_SEED, secret_view(k->seed[slot]), SEED_SIZE);
    if (slot_hash(p, p + AT_HASH) < 0) {
        r = err_set(e, ERR_CRYPTO, "cannot hash an epoch's key");
        goto out;
    }
    while (done < EPOCH_SLOT_SIZE) {
        ssize_t n =
            pwrite(k->fd, p + done, EPOCH_SLOT_SIZE - done, (off_t)(slot * EPOCH_SLOT_SIZE + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            r = err_errno(e, "cannot write " EPOCH_KEYS_FILE);
            goto out;
        }
        done += (size_t)n;
    }
    if (fdatasync(k->fd) < 0)
        r = err_errno(e, "cannot synchronise " EPOCH_KEYS_FILE);
out:
    secret_free(image);
    return r;
}

int epoch_keys_save(struct epoch_keys *k, int dir, struct err *e)
{
    int r;

    if (k->fd >= 0)
        close(k->fd);
    k->fd = openat(dir, EPOCH_KEYS_FILE, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (k->fd < 0 && errno == EEXIST)
        return err_set(e, ERR_INPUT, EPOCH_KEYS_FILE " is there already");
    if (k->fd < 0)
        return err_errno(e, "cannot make " EPOCH_KEYS_FILE);
    r = write_slot(k, 0, e);
    if (r == 0)
        r = write_slot(k, 1, e);
    if (r == 0 && fsync(dir) < 0)
        r = err_errno(e, "cannot synchronise the trail's directory");
    return r;
}

int epoch_keys_wipe(int dir, struct err *e)
{
    static const uint8_t zeroes[2 * EPOCH_SLOT_SIZE];
    int fd = openat(dir, EPOCH_KEYS_FILE, O_WRONLY | O_CLOEXEC | O_NOFOLLOW), r = 0;

    if (fd < 0)
        return errno == ENOENT ? 0 : err_errno(e, "cannot open " EPOCH_KEYS_FILE);
    if (pwrite(fd, zeroes, sizeof zeroes, 0) != (ssize_t)sizeof zeroes || fdatasync(fd) < 0)
        r = err_errno(e, "cannot overwrite " EPOCH_KEYS_FILE);
    close(fd);
    return r;
}

/* A slot that is not whole was being overwritten: it holds no key. */
static int read_slot(struct epoch_keys *k, unsigned slot, struct err *e)
{
    struct secret *image = secret_new(EPOCH_SLOT_SIZE);
    uint8_t hash[RECORD_HASH_SIZE], *p;
    ssize_t n;
    int r = 0;

    if (!image)
        return err_set(e, ERR_MEMORY, "no memory for an epoch's key");
    p = secret_bytes(image);
    n = pread(k->fd, p, EPOCH_SLOT_SIZE, (off_t)(slot * EPOCH_SLOT_SIZE));
    if (n < 0) {
        r = err_errno(e, "cannot read " EPOCH_KEYS_FILE);
        goto out;
    }
    if (n < (ssize_t)(AT_HASH + sizeof hash) || memcmp(p, magic, sizeof magic) != 0 ||
        slot_hash(p, hash) < 0 || memcmp(hash, p + AT_HASH, sizeof hash) != 0 ||
        (wire_load_u64(p + AT_EPOCH) & 1) != slot)
        goto out;
    k->epoch[slot] = wire_load_u64(p + AT_EPOCH);
    k->seed[slot] = secret_copy(p + AT_SEED, SEED_SIZE);
    if (!k->seed[slot])
        r = err_set(e, ERR_MEMORY, "no memory for an epoch's key");
out:
    secret_free(image);
    return r;
}

int epoch_keys_open(struct epoch_keys **out, int dir, struct err *e)
{
    struct epoch_keys *k = keys_new();
    int r;

    *out = NULL;
    if (!k)
        return err_set(e, ERR_MEMORY, "no memory for the epochs' keys");
    k->fd = openat(dir, EPOCH_KEYS_FILE, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (k->fd < 0 && errno == ENOENT)
        r = err_set(e, ERR_TAMPERED, EPOCH_KEYS_FILE " is not there; %s", advice);
    else if (k->fd < 0)
        r = err_errno(e, "cannot open " EPOCH_KEYS_FILE);
    else
        r = read_slot(k, 0, e);
    if (r == 0)
        r = read_slot(k, 1, e);
    if (r < 0) {
        epoch_keys_free(k);
        return r;
    }
    *out = k;
    return 0;
}

EVP_PKEY *epoch_keys_private(const struct epoch_keys *k, uint32_t epoch, struct err *e)
{
    EVP_PKEY *key = NULL;

    if (has(k, epoch))
        key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret_view(k->seed[epoch & 1]),
                                           SEED_SIZE);
    if (!key)
        err_set(e, ERR_CRYPTO, "the key of epoch %" PRIu32 " is not there", epoch);
    return key;
}

int epoch_keys_public(const struct epoch_keys *k, const char *origin, uint32_t epoch,
                      struct vkey *out, struct err *e)
{
    EVP_PKEY *key = epoch_keys_private(k, epoch, e);
    char name[NOTE_NAME_MAX + 1];
    int r;

    if (!key)
        return ERR_CRYPTO;
    epoch_key_name(name, origin, epoch);
    r = vkey_from_private(out, name, key, e);
    EVP_PKEY_free(key);
    return r;
}

int epoch_keys_fit(const struct epoch_keys *k, uint32_t epoch, const struct vkey *key,
                   struct err *e)
{
    unsigned slot = epoch & 1, other = !slot;
    EVP_PKEY *private;
    struct vkey mine;
    int r;

    if (!has(k, epoch)) {
        if (k->seed[slot] && k->epoch[slot] > epoch)
            return err_set(e, ERR_TAMPERED,
                           "the log ends in epoch %" PRIu32 ", but its keys are of epoch %" PRIu64
                           ": the log was cut, or an older copy of it was put back; %s",
                           epoch, k->epoch[slot], advice);
        return err_set(e, ERR_TAMPERED, "the key of epoch %" PRIu32 " is not in %s; %s", epoch,
                       EPOCH_KEYS_FILE, advice);
    }
    if (k->seed[other] && k->epoch[other] != (uint64_t)epoch + 1 &&
        k->epoch[other] + 1 != (uint64_t)epoch)
        return err_set(e, ERR_TAMPERED,
                       "the log is in epoch %" PRIu32 ", and a key in %s is of epoch %" PRIu64
                       "; %s",
                       epoch, EPOCH_KEYS_FILE, k->epoch[other], advice);
    private = epoch_keys_private(k, epoch, e);
    if (!private)
        return ERR_CRYPTO;
    r = vkey_from_private(&mine, key->name, private, e);
    EVP_PKEY_free(private);
    if (r < 0)
        return r;
    if (memcmp(mine.key, key->key, sizeof mine.key) != 0)
        return err_set(e, ERR_TAMPERED,
                       "the key of epoch %" PRIu32 " in %s is not the one that the log names; %s",
                       epoch, EPOCH_KEYS_FILE, advice);
    return has(k, (uint64_t)epoch + 1) ? 0 : 1;
}

int epoch_keys_replace(struct epoch_keys *k, uint32_t epoch, struct err *e)
{
    struct secret *seed = secret_random(SEED_SIZE);
    unsigned slot = epoch & 1;

    if (!seed)
        return err_set(e, ERR_MEMORY, "no memory for an epoch's key");
    secret_free(k->seed[slot]);
    k->seed[slot] = seed;
    k->epoch[slot] = epoch;
    return write_slot(k, slot, e);
}
