/* SPDX-License-Identifier: Apache-2.0
 *
 * The two things around the configuration that touch the system: reading the file, and looking up
 * local users. Run by the supervisor at start and by administrators' commands. A file that others
 * may write is refused, because whoever writes it chooses the uids. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/config.h"

#define CONFIG_FILE_MAX (1024u * 1024u) /* the longest lists of the table take 20 KiB */

const char *config_default_dir(void)
{
    return SALLYPORT_CONFDIR;
}

static int check_file(const char *path, int fd, struct err *e)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_errno(e, "%s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_INPUT, "%s: found something else, expected a plain file", path);
    if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & (S_IWGRP | S_IWOTH)))
        return err_set(e, ERR_DENIED,
                       "%s: found owner %u and mode %04o, expected a file of root's that nobody "
                       "else may write",
                       path, (unsigned)st.st_uid, (unsigned)st.st_mode & 07777);
    return 0;
}

int config_read_file(const char *path, struct buf *out, struct err *e)
{
    int rc, fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (fd < 0 && errno == ENOENT)
        return err_set(e, ERR_NOT_FOUND, "%s: no such file (`sallyport init` makes one)", path);
    if (fd < 0)
        return err_errno(e, "%s", path);
    rc = check_file(path, fd, e);
    while (rc == 0) {
        uint8_t *room = buf_reserve(out, 4096);
        ssize_t n;
        if (!room) {
            rc = err_set(e, ERR_FULL, "%s: found more than %zu KiB", path, out->max / 1024);
            break;
        }
        n = read(fd, room, 4096);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = err_errno(e, "%s", path);
        if (n <= 0)
            break;
        buf_commit(out, (size_t)n);
    }
    close(fd);
    return rc;
}

int config_load_text(const char *path, struct config *out, struct buf *text, struct err *e)
{
    int rc;

    buf_init(text, CONFIG_FILE_MAX);
    rc = config_read_file(path, text, e);
    return rc == 0 ? config_parse(path, buf_head(text), buf_len(text), out, e) : rc;
}

int config_load(const char *path, struct config *out, struct err *e)
{
    struct buf text;
    int rc = config_load_text(path, out, &text, e);

    buf_clear(&text);
    return rc;
}

static int look_up(const struct config *c, const char *key, struct config_user *u, struct err *e)
{
    const struct passwd *pw;
    unsigned long id;
    char *end;

    if (isdigit((unsigned char)u->name[0])) {
        errno = 0;
        id = strtoul(u->name, &end, 10);
        if (*end || errno || id > INT_MAX)
            return err_set(e, ERR_SYNTAX, "%s:%u:%u: found \"%s\", expected a user name or a uid",
                           c->file, u->line, u->column, u->name);
        u->uid = (uid_t)id;
        u->gid = (gid_t)id;
        return 0;
    }
    pw = getpwnam(u->name);
    if (!pw) {
        err_set(e, ERR_NOT_FOUND,
                "found no local user \"%s\", expected one or a uid (adduser --system --group "
                "--no-create-home %s makes it)",
                u->name, u->name);
        if (u->line)
            return err_wrap(e, "%s:%u:%u", c->file, u->line, u->column);
        return err_wrap(e, "%s: %s", c->file, key);
    }
    u->uid = pw->pw_uid;
    u->gid = pw->pw_gid;
    return 0;
}

int config_users(struct config *c, struct err *e)
{
    static const char *const keys[CONFIG_USERS] = {
        "users.listener", "users.frontend", "users.backend", "users.authd",
        "users.auditd",   "users.reader",   "users.courier", "users.firewall"};

    for (size_t i = 0; i < c->admins.count; i++) {
        int rc = look_up(c, "admins", &c->admins.at[i], e);
        if (rc < 0)
            return rc;
    }
    for (size_t i = 0; i < c->readers.count; i++) {
        int rc = look_up(c, "readers", &c->readers.at[i], e);
        if (rc < 0)
            return rc;
    }
    for (size_t i = 0; i < CONFIG_USERS; i++) {
        const struct config_user *u = &c->users[i];
        int rc;
        if (i == CONFIG_USER_COURIER && !c->syslog_address.port && !c->witnesses.count)
            continue;
        if (i == CONFIG_USER_FIREWALL && !c->firewall)
            continue;
        rc = look_up(c, keys[i], &c->users[i], e);
        if (rc < 0)
            return rc;
        if (u->uid == 0 || u->gid == 0)
            return err_set(e, ERR_DENIED,
                           "%s:%u:%u: found root for %s, expected a user without rights", c->file,
                           u->line, u->column, keys[i]);
        for (size_t j = 0; j < i; j++) {
            if (c->users[j].uid == u->uid)
                return err_set(e, ERR_INPUT,
                               "%s:%u:%u: found uid %u for both %s and %s, expected different ones",
                               c->file, u->line, u->column, (unsigned)u->uid, keys[j], keys[i]);
        }
    }
    return 0;
}
