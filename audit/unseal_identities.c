/* SPDX-License-Identifier: Apache-2.0
 *
 * Identity files: lines of "AGE-SECRET-KEY-1...", comments and blank lines are read here; a file
 * with a passphrase is opened once, by age(1), and then read the same way; a file that has anything
 * else is left to age(1) as a whole. Runs in the reading tools. */
#include "audit/unseal_identities.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/unseal_age.h"

#define FILE_MAX AGE_OUTPUT_MAX

static int read_file(const char *path, uint8_t *out, size_t *len, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = 0;

    if (fd < 0)
        return err_errno(e, "cannot open the identity file %s", path);
    *len = 0;
    while (*len < FILE_MAX && (n = read(fd, out + *len, FILE_MAX - *len)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break;
        *len += (size_t)n;
    }
    if (n < 0)
        err_errno(e, "cannot read the identity file %s", path);
    close(fd);
    if (n < 0)
        return ERR_SYSTEM;
    return *len < FILE_MAX ? 0 : err_set(e, ERR_INPUT, "%s is no identity file: too long", path);
}

static bool has_passphrase(const uint8_t *text, size_t len)
{
    static const char binary[] = "age-encryption.org/", armor[] = "-----BEGIN AGE ENCRYPTED FILE";

    return (len >= sizeof binary - 1 && memcmp(text, binary, sizeof binary - 1) == 0) ||
           (len >= sizeof armor - 1 && memcmp(text, armor, sizeof armor - 1) == 0);
}

static struct identity *next(struct identities *ids, struct err *e)
{
    if (ids->count == UNSEAL_IDENTITIES_MAX) {
        err_set(e, ERR_FULL, "more than %u identities", UNSEAL_IDENTITIES_MAX);
        return NULL;
    }
    return &ids->at[ids->count];
}

static int add_native(struct identities *ids, const char *line, struct err *e)
{
    struct identity *id = next(ids, e);

    if (!id)
        return ERR_FULL;
    id->path = NULL;
    if (age_identity_parse(line, id->key, e) < 0)
        return ERR_INPUT;
    ids->count++;
    return 0;
}

static int add_path(struct identities *ids, const char *path, struct err *e)
{
    struct identity *id = next(ids, e);

    if (!id)
        return ERR_FULL;
    id->path = strdup(path);
    if (!id->path)
        return err_set(e, ERR_MEMORY, "no memory for an identity");
    ids->count++;
    return 0;
}

/* The lines of a file; text is ended by a NUL, and its lines by it too on the way. */
static int add_lines(struct identities *ids, char *text, const char *path, struct err *e)
{
    static const char native[] = "AGE-SECRET-KEY-1";
    size_t before = ids->count, number = 0;
    int r = 0;

    for (char *line = text, *end; r == 0 && line; line = end) {
        end = strchr(line, '\n');
        if (end)
            *end++ = '\0';
        number++;
        line[strcspn(line, "\r")] = '\0';
        if (!line[0] || line[0] == '#')
            continue;
        if (strncmp(line, native, sizeof native - 1) != 0)
            return ids->count == before ? add_path(ids, path, e)
                                        : err_set(e, ERR_INPUT,
                                                  "%s:%zu: another kind of identity than above it: "
                                                  "give each kind a file of its own",
                                                  path, number);
        r = add_native(ids, line, e);
        if (r < 0)
            return err_wrap(e, "%s:%zu", path, number);
    }
    return ids->count > before ? 0 : err_set(e, ERR_INPUT, "%s has no identity", path);
}

int identities_add(struct identities *ids, const char *path, struct err *e)
{
    uint8_t *text = malloc(FILE_MAX + 1);
    size_t len = 0;
    int r;

    if (!text)
        return err_set(e, ERR_MEMORY, "no memory for an identity file");
    r = read_file(path, text, &len, e);
    if (r == 0 && has_passphrase(text, len)) {
        r = age_run_open(path, text, FILE_MAX, &len, e);
        if (r < 0)
            err_wrap(e, "%s", path);
    }
    if (r == 0) {
        text[len] = '\0';
        r = memchr(text, '\0', len) ? err_set(e, ERR_INPUT, "%s is no identity file", path)
                                    : add_lines(ids, (char *)text, path, e);
    }
    OPENSSL_cleanse(text, FILE_MAX);
    free(text);
    return r;
}

int identities_add_default(struct identities *ids, struct err *e)
{
    const char *named = getenv("SALLYPORT_IDENTITY"), *home = getenv("HOME");
    char path[4096];
    int n;

    if (named && named[0])
        return identities_add(ids, named, e);
    if (!home || home[0] != '/')
        return 0;
    n = snprintf(path, sizeof path, "%s/.config/sallyport/reviewer.identity", home);
    if (n < 0 || (size_t)n >= sizeof path || access(path, F_OK) != 0)
        return 0;
    return identities_add(ids, path, e);
}

void identities_clear(struct identities *ids)
{
    for (size_t i = 0; i < ids->count; i++)
        free(ids->at[i].path);
    OPENSSL_cleanse(ids, sizeof *ids);
}

static int unwrap_native(const struct identity *id, const void *file, size_t len,
                         uint8_t out[AGE_KEY_SIZE], struct err *e)
{
    struct buf plain;
    int r;

    buf_init(&plain, AGE_KEY_SIZE + 16);
    r = age_decrypt(&plain, id->key, file, len, e);
    if (r == 0 && buf_len(&plain) != AGE_KEY_SIZE)
        r = err_set(e, ERR_TAMPERED, "a wrapped key has %zu bytes", buf_len(&plain));
    if (r == 0)
        memcpy(out, buf_head(&plain), AGE_KEY_SIZE);
    buf_wipe(&plain);
    return r == ERR_FULL ? ERR_TAMPERED : r;
}

static int unwrap_elsewhere(const struct identity *id, const void *file, size_t len,
                            uint8_t out[AGE_KEY_SIZE], struct err *e)
{
    uint8_t key[AGE_KEY_SIZE + 1];
    size_t key_len = 0;
    int r = age_run_decrypt(id->path, file, len, key, sizeof key, &key_len, e);

    if (r == 0 && key_len != AGE_KEY_SIZE)
        r = err_set(e, ERR_TAMPERED, "a wrapped key has not %u bytes", AGE_KEY_SIZE);
    if (r == 0)
        memcpy(out, key, AGE_KEY_SIZE);
    OPENSSL_cleanse(key, sizeof key);
    return r;
}

int identities_unwrap(struct identities *ids, const void *file, size_t len,
                      uint8_t out[AGE_KEY_SIZE], struct err *e)
{
    int untried = 0;

    for (size_t i = 0; i < ids->count; i++) {
        const struct identity *id = &ids->at[i];
        struct err why = ERR_INIT;
        int r = id->path ? unwrap_elsewhere(id, file, len, out, &why)
                         : unwrap_native(id, file, len, out, &why);

        if (r == 0 || r == ERR_TAMPERED) {
            if (r < 0 && e)
                *e = why;
            return r;
        }
        if (r != ERR_NOT_FOUND) {
            untried = r;
            if (e)
                *e = why;
        }
    }
    return untried < 0 ? untried : err_set(e, ERR_NOT_FOUND, "not for these identities");
}
