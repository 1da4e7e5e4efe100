/* SPDX-License-Identifier: Apache-2.0
 *
 * Closing, making, putting in place. Runs as root in `sallyport audit new-log`. All of the new log
 * is made in STATE/new-log first. Its keys come first: `birth` is there, whole and durable, before
 * the old log's last seal names their anchor, so that an interrupted call's seal names a log that
 * the next call can make. The file `ready` says that only renames are left, and each of those is
 * done when its source is still there. Between the two everything is made again from `birth`. */
#include "audit/new_log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/epoch_keys.h"
#include "audit/high_mark.h"
#include "audit/verify.h"

#define MAKING    "new-log"
#define READY     MAKING "/ready"
#define BIRTH     "birth"
#define PATH_TEXT 128

static bool there(int state, const char *path)
{
    return faccessat(state, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Removes a directory with all that is in it, or a file. */
static int remove_all(int dir, const char *name, struct err *e)
{
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW), r = 0;
    struct dirent *entry;
    DIR *d;

    if (fd < 0)
        return unlinkat(dir, name, 0) < 0 && errno != ENOENT
                   ? err_errno(e, "cannot remove %s", name)
                   : 0;
    d = fdopendir(fd);
    if (!d) {
        close(fd);
        return err_errno(e, "cannot list %s", name);
    }
    while (r == 0 && (entry = readdir(d)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            r = remove_all(fd, entry->d_name, e);
    closedir(d);
    if (r == 0 && unlinkat(dir, name, AT_REMOVEDIR) < 0)
        r = err_errno(e, "cannot remove %s", name);
    return r;
}

static int sync_dir(int state, const char *path, struct err *e)
{
    int fd = openat(state, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;

    if (fd < 0 || fsync(fd) < 0)
        r = err_errno(e, "cannot synchronise %s", path);
    if (fd >= 0)
        close(fd);
    return r;
}

/* Renames when the source is there. */
static int move(int state, const char *from, const char *to, struct err *e)
{
    return renameat(state, from, state, to) < 0 && errno != ENOENT
               ? err_errno(e, "cannot rename %s to %s", from, to)
               : 0;
}

static int install(int state, unsigned number, struct err *e)
{
    static const char *const public[] = {"log.pub", "anchor.pub", "anchor.note"};
    char made[PATH_TEXT], now[PATH_TEXT], aside[PATH_TEXT];
    int r = trail_birth_wipe(state, MAKING "/" BIRTH, e);

    snprintf(aside, sizeof aside, "trail.%u", number);
    if (r == 0 && there(state, MAKING "/trail")) {
        /* No part of the old log, and large; the new recorder makes its own. */
        (void)unlinkat(state, "trail/" SPACE_GLASS_FILE, 0);
        r = move(state, "trail", aside, e);
        if (r == 0)
            r = move(state, MAKING "/trail", "trail", e);
    }
    for (size_t i = 0; r == 0 && i < sizeof public / sizeof *public; i++) {
        snprintf(made, sizeof made, MAKING "/public/%s", public[i]);
        snprintf(now, sizeof now, "public/%s", public[i]);
        snprintf(aside, sizeof aside, "public/%s.%u", public[i], number);
        if (!there(state, made))
            continue;
        r = move(state, now, aside, e);
        if (r == 0)
            r = move(state, made, now, e);
    }
    if (r == 0)
        r = move(state, MAKING "/keys/log.key", "keys/log.key", e);
    if (r == 0 && unlinkat(state, HIGH_MARK_FILE, 0) < 0 && errno != ENOENT)
        r = err_errno(e, "cannot remove " HIGH_MARK_FILE);
    if (r == 0)
        r = sync_dir(state, "keys", e);
    if (r == 0)
        r = sync_dir(state, "public", e);
    if (r == 0)
        r = sync_dir(state, ".", e);
    return r < 0 ? r : remove_all(state, MAKING, e);
}

/* "GATEWAY/sallyport/N" to N. */
static int origin_number(const char *origin, const char *gateway, unsigned *number)
{
    static const char middle[] = "/sallyport/";
    size_t len = strlen(gateway);
    const char *digits = origin + len + sizeof middle - 1;
    unsigned long value;
    char *end;

    if (strncmp(origin, gateway, len) != 0 ||
        strncmp(origin + len, middle, sizeof middle - 1) != 0 || digits[0] < '0' || digits[0] > '9')
        return ERR_SYNTAX;
    value = strtoul(digits, &end, 10);
    if (*end || value > 1000000)
        return ERR_SYNTAX;
    *number = (unsigned)value;
    return 0;
}

/* The old log's origin: by its public key's file, or by its own anchor's note. */
static int old_origin(int state, int trail, const char *gateway, struct new_log *out, struct err *e)
{
    struct anchor a;
    struct vkey log;
    const char *origin = NULL;

    if (vkey_read(&log, state, "public/log.pub", NULL) == 0)
        origin = log.name;
    else if (anchor_read(&a, trail, NULL, NULL) == 0)
        origin = a.log.name;
    if (!origin || origin_number(origin, gateway, &out->number) < 0)
        return err_set(e, ERR_INPUT,
                       "neither public/log.pub nor trail/" ANCHOR_FILE
                       " names a log of %s: put one of them back",
                       gateway);
    memcpy(out->previous.origin, origin, strlen(origin) + 1);
    return 0;
}

/* Ends the old log with the seal that names the new one's anchor. */
static int close_old(int state, int trail, const struct vkey *next, struct trail_previous *p,
                     struct err *e)
{
    EVP_PKEY *key = trail_key_read(state, "keys/log.key", e);
    struct trail_options o = {.dir = trail, .origin = p->origin, .log_key = key};
    struct trail_report report;
    struct trail *t = NULL;
    int r, mark;

    if (!key)
        return e->code < 0 ? e->code : ERR_INPUT;
    mark = openat(state, HIGH_MARK_FILE, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    o.high_mark = mark < 0 ? 0 : mark;
    r = trail_open(&t, &o, &report, e);
    if (r == 0)
        r = trail_close_log(t, next, p, e);
    trail_close(t);
    if (mark >= 0)
        close(mark);
    EVP_PKEY_free(key);
    return r;
}

/* What can be read of a log that cannot be closed. One that an interrupted call closed is told by
 * the anchor in its last seal. */
static void cite_old(int trail, const struct vkey *next, struct new_log *out)
{
    struct verify_options o = {.dir = trail};
    struct trail_previous *p = &out->previous;
    struct verify_result v;
    struct err e = ERR_INIT;
    char named[VKEY_MAX];
    int r = trail_verify(&o, &v, &e);

    p->linked = (r == 0 || r == ERR_TAMPERED) && v.reached > 0;
    p->closed = false;
    if (p->linked) {
        p->size = v.reached;
        memcpy(p->root, v.root, sizeof p->root);
        memcpy(p->head, v.head, sizeof p->head);
    }
    if (r < 0 || !v.closed)
        return;
    if (memcmp(v.next_log.key, next->key, sizeof next->key) == 0 &&
        strcmp(v.next_log.name, next->name) == 0) {
        p->closed = syncfs(trail) == 0;
        return;
    }
    vkey_text(&v.next_log, named);
    snprintf(out->trouble, sizeof out->trouble,
             "it is closed already, and its last seal names another log's anchor, %s", named);
}

static int write_ready(int state, unsigned number, struct err *e)
{
    char text[16];
    int len = snprintf(text, sizeof text, "%u\n", number), r = 0;
    int fd = openat(state, READY ".new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0 || write(fd, text, (size_t)len) != len || fsync(fd) < 0)
        r = err_errno(e, "cannot write " READY);
    if (fd >= 0)
        close(fd);
    /* By its name alone it says something: never without its content. */
    if (r == 0 && renameat(state, READY ".new", state, READY) < 0)
        r = err_errno(e, "cannot write " READY);
    return r < 0 ? r : sync_dir(state, MAKING, e);
}

static int read_ready(int state, unsigned *number, struct err *e)
{
    char text[16] = "";
    int fd = openat(state, READY, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

    if (fd >= 0)
        close(fd);
    if (n <= 0 || sscanf(text, "%u\n", number) != 1)
        return err_set(e, ERR_INPUT, "cannot read " READY);
    return 0;
}

/* The new log's keys: those that an interrupted call made, or new ones. */
static int prepare(int state, const char *origin, struct trail_birth **b, struct err *e)
{
    struct err ignored = ERR_INIT;
    int making, r;

    if (trail_birth_load(b, state, MAKING "/" BIRTH, origin, &ignored) == 0) {
        r = remove_all(state, MAKING "/trail", e);
        if (r == 0)
            r = remove_all(state, MAKING "/keys", e);
        return r == 0 ? remove_all(state, MAKING "/public", e) : r;
    }
    r = trail_birth_wipe(state, MAKING "/" BIRTH, e);
    if (r == 0)
        r = remove_all(state, MAKING, e);
    if (r == 0 && mkdirat(state, MAKING, 0700) < 0)
        r = err_errno(e, "cannot make " MAKING);
    if (r == 0)
        r = sync_dir(state, ".", e);
    if (r == 0)
        r = trail_birth_new(b, origin, e);
    if (r < 0)
        return r;
    making = openat(state, MAKING, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    r = making < 0 ? err_errno(e, "cannot open " MAKING) : trail_birth_save(*b, making, BIRTH, e);
    if (making >= 0)
        close(making);
    return r;
}

/* Closes the old log, or finds out what the new one can say of it. ERR_BUSY. */
static int end_old(int state, int trail, const struct vkey *next, struct new_log *out,
                   struct err *e)
{
    struct err trouble = ERR_INIT;
    int r = close_old(state, trail, next, &out->previous, &trouble);

    if (r == ERR_BUSY)
        return err_set(e, ERR_BUSY, "the gateway runs; stop it first");
    if (r == 0)
        return 0;
    snprintf(out->trouble, sizeof out->trouble, "%s", trouble.text);
    cite_old(trail, next, out);
    if (out->previous.closed) {
        out->trouble[0] = '\0';
        /* The seal may have been the interrupted call's last act: its key goes now. */
        return epoch_keys_wipe(trail, e);
    }
    out->previous.trouble = out->trouble;
    return 0;
}

/* Everything up to the renames. */
static int make(int state, const char *path, int trail, const char *gateway, struct new_log *out,
                struct err *e)
{
    char origin[NOTE_NAME_MAX + 1], aside[PATH_TEXT], making[4096];
    struct trail_birth *b = NULL;
    struct stat st;
    int r = old_origin(state, trail, gateway, out, e);

    if (r < 0)
        return r;
    snprintf(aside, sizeof aside, "trail.%u", out->number);
    if (there(state, aside))
        return err_set(e, ERR_INPUT, "%s is there already", aside);
    if (fstat(trail, &st) < 0)
        return err_errno(e, "cannot look at trail/");
    snprintf(origin, sizeof origin, "%.200s/sallyport/%u", gateway, out->number + 1);
    snprintf(making, sizeof making, "%s/" MAKING, path);
    r = prepare(state, origin, &b, e);
    if (r == 0)
        r = end_old(state, trail, trail_birth_anchor(b), out, e);
    if (r == 0)
        r = trail_give_away(trail, st.st_uid, st.st_gid, e);
    if (r == 0)
        r = trail_birth_write(b, making, st.st_uid, st.st_gid, &out->previous, &out->created, e);
    if (r == 0)
        r = write_ready(state, out->number, e);
    /* Nothing was begun: no keys are left behind. */
    if (r == ERR_BUSY && trail_birth_wipe(state, MAKING "/" BIRTH, NULL) == 0 &&
        remove_all(state, MAKING, NULL) < 0)
        r = err_set(e, ERR_BUSY, "the gateway runs; stop it first, and remove %s", making);
    trail_birth_free(b);
    return r;
}

/* What an interrupted call did not get to say. */
static int read_created(int state, struct trail_created *c, struct err *e)
{
    int trail = openat(state, "trail", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;
    struct vkey anchor;
    struct anchor a;

    r = trail < 0 ? err_errno(e, "cannot open trail/")
                  : vkey_read(&anchor, state, "public/anchor.pub", e);
    if (r == 0)
        r = anchor_read(&a, trail, &anchor, e);
    if (trail >= 0)
        close(trail);
    if (r < 0)
        return r;
    vkey_text(&anchor, c->anchor);
    vkey_text(&a.log, c->log);
    digest_hex(a.genesis, c->genesis);
    return 0;
}

int new_log_begin(const char *path, const char *gateway, const char *reason, struct new_log *out,
                  struct err *e)
{
    int state = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), trail = -1, r = 0;

    memset(out, 0, sizeof *out);
    out->previous.reason = reason;
    if (state < 0)
        return err_errno(e, "cannot open %s", path);
    if (there(state, READY)) {
        out->resumed = true;
        r = read_ready(state, &out->number, e);
    } else {
        trail = openat(state, "trail", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        r = trail < 0 ? err_errno(e, "cannot open trail/")
                      : make(state, path, trail, gateway, out, e);
    }
    if (r == 0)
        r = install(state, out->number, e);
    if (r == 0 && out->resumed)
        r = read_created(state, &out->created, e);
    if (trail >= 0)
        close(trail);
    close(state);
    return r;
}
