/* SPDX-License-Identifier: Apache-2.0
 *
 * Paths of SFTP requests: made canonical by their text, judged, and, where a role permits some
 * paths only, asked of the target (REALPATH, a request of the gateway's own) and judged again, so
 * that a symlink leads nowhere that could not be named. For what acts on a name itself (lstat,
 * remove, rename, ...) the folder is asked for. What goes to the target is the path that was
 * judged. Between question and use another user of the target may change a folder (SECURITY.md).
 * Runs in the backend; requests and answers are hostile. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "gateway/backend_sftp.h"

static bool two_paths(const struct sftp_request *r)
{
    return r->type == SFTP_RENAME || r->type == SFTP_SYMLINK ||
           (r->type == SFTP_EXTENDED &&
            (r->extension == SFTP_EXT_POSIX_RENAME || r->extension == SFTP_EXT_HARDLINK));
}

static unsigned wanted(const struct sftp_request *r)
{
    switch (sftp_operation(r)->need) {
    case SFTP_NEEDS_READ:
        return FILE_READ;
    case SFTP_NEEDS_WRITE:
        return FILE_WRITE;
    case SFTP_NEEDS_FLAGS: {
        unsigned bits = r->pflags & SFTP_OPEN_READ ? FILE_READ : 0;
        if (r->pflags & (SFTP_OPEN_WRITE | SFTP_OPEN_APPEND | SFTP_OPEN_CREAT | SFTP_OPEN_TRUNC))
            bits |= FILE_WRITE;
        /* OpenSSH opens for reading what does not say "write", whatever else it says */
        return r->pflags & SFTP_OPEN_WRITE ? bits : bits | FILE_READ;
    }
    default:
        return 0;
    }
}

static unsigned access_at(const struct backend *b, const char *path)
{
    return narrow_files_access(b, path, strlen(path), FILE_READ | FILE_WRITE, NULL);
}

/* --- the rules */

static const char *const directions[] = {"look at", "read", "write", "read and write"};

static bool denied(const struct backend *b, const char *path, unsigned bits, char *text)
{
    char shown[500];

    snprintf(text, 1001,
             "your role does not permit to %s %s on %s; ask %s for a role with `sftp: {%s: [...]}`",
             directions[bits], escape_text(shown, sizeof shown, path, strlen(path)),
             b->granted.target, grant_contact(b), bits & FILE_WRITE ? "write" : "read");
    return false;
}

/* Where SFTP begins everybody may know: OpenSSH's client asks it first, and gives up without. */
static bool asks_home(const struct sftp *s, const struct sftp_request *r, const char *path)
{
    bool name = r->type == SFTP_REALPATH ||
                (r->type == SFTP_EXTENDED && r->extension == SFTP_EXT_EXPAND_PATH);
    return name && strcmp(path, s->home) == 0;
}

static bool permitted(const struct channel *ch, const struct sftp_request *r, const char *path,
                      char rule[128], char *text)
{
    const struct backend *b = ch->owner;
    unsigned bits = wanted(r);
    size_t len = strlen(path);

    unsigned access =
        narrow_files_access(b, path, len, bits != 0 ? bits : FILE_READ | FILE_WRITE, rule);
    if (bits == 0 ? narrow_files_visible(b, path, len) : (access & bits) == bits)
        return true;
    if (asks_home(ch->sftp, r, path))
        return true;
    return denied(b, path, bits, text);
}

/* A name must not give more to what is there than it had: what is permitted at the new path has to
 * be permitted at the old one; of a link, what is permitted at the link, where it leads. */
static bool nothing_gained(const struct backend *b, const struct sftp_request *r, const char *path,
                           const char *to, char *text)
{
    bool link = r->type == SFTP_SYMLINK;
    unsigned gained = access_at(b, link ? path : to) & ~access_at(b, link ? to : path);

    return gained == 0 || denied(b, link ? to : path, gained, text);
}

/* Such a link leads elsewhere when its folder is moved, or where a folder on the way is a link. */
static bool climbs(struct bytes text)
{
    for (size_t i = 0, part = 0; i <= text.len; i++) {
        if (i < text.len && text.p[i] != '/')
            continue;
        if (i - part == 2 && memcmp(text.p + part, "..", 2) == 0)
            return true;
        part = i + 1;
    }
    return false;
}

/* --- one path */

/* Canonical by its text. A symlink's text begins at the folder of the link. */
static int join(const struct sftp *s, const struct sftp_request *r, unsigned which,
                char out[FILE_PATH_MAX + 1], struct err *e)
{
    struct bytes path = which == 0 ? r->path : r->to;
    char folder[FILE_PATH_MAX + 1];

    if (which == 1 && r->type == SFTP_SYMLINK) {
        snprintf(folder, sizeof folder, "%s", s->asked.canonical[0]);
        char *slash = strrchr(folder, '/');
        slash[slash == folder ? 1 : 0] = '\0';
        return file_path_join(folder, path.p, path.len, out, e);
    }
    if (r->type == SFTP_EXTENDED && r->extension == SFTP_EXT_EXPAND_PATH && path.len > 0 &&
        path.p[0] == '~') {
        path.p++, path.len--;
        while (path.len > 0 && path.p[0] == '/')
            path.p++, path.len--;
        if (path.len == 0)
            path = (struct bytes){(const uint8_t *)".", 1};
    }
    return file_path_join(s->home, path.p, path.len, out, e);
}

static void ask(struct channel *ch, const struct sftp_request *r, unsigned which, const char *path)
{
    struct sftp_asked *asked = &ch->sftp->asked;
    struct sftp_pending *p = sftp_pending_new(ch->sftp);
    struct sftp_request question = {.type = SFTP_REALPATH};
    size_t len = strlen(path);

    INVARIANT(p != NULL);
    asked->last[0] = '\0';
    /* where a link would lead is followed to its end */
    if (!sftp_operation(r)->follows && !(which == 1 && r->type == SFTP_SYMLINK)) {
        const char *slash = strrchr(path, '/');
        snprintf(asked->last, sizeof asked->last, "%s", slash + 1);
        len = slash == path ? 1 : (size_t)(slash - path);
    }
    p->own = true;
    p->type = SFTP_REALPATH;
    p->answer = SFTP_NAME;
    question.id = p->id;
    question.path = (struct bytes){(const uint8_t *)path, len};
    asked->asking = true;
    asked->which = which;
    (void)sftp_send_request(ch, &question);
}

/* Canonical, judged by its text, and then as the target says. */
static enum sftp_verdict judge_one(struct channel *ch, const struct sftp_request *r, unsigned which,
                                   char rule[128], const char **why, char *text)
{
    struct sftp *s = ch->sftp;
    struct sftp_asked *asked = &s->asked;
    struct backend *b = ch->owner;
    bool leads = which == 1 && r->type == SFTP_SYMLINK; /* judged by nothing_gained alone */
    char *path = asked->canonical[which];
    struct err e = ERR_INIT;

    if (!asked->known[which]) {
        if (join(s, r, which, path, &e) != 0) {
            *why = "form";
            path[0] = '\0';
            snprintf(text, 1001, "%.1000s", e.text);
            return SFTP_REFUSED;
        }
        if (leads && climbs(r->to) && !narrow_files_unrestricted(b)) {
            snprintf(text, 1001,
                     "your role does not permit a link with \"..\" in it, which would lead "
                     "elsewhere when its folder is moved; name the path from / on");
            return SFTP_REFUSED;
        }
        if ((!leads && !permitted(ch, r, path, rule, text)) ||
            (which == 1 && !nothing_gained(b, r, asked->canonical[0], path, text)))
            return SFTP_REFUSED;
        if (asked->failed)
            return SFTP_FAILED;
        if (!narrow_files_unrestricted(b)) {
            ask(ch, r, which, path);
            return SFTP_WAITS;
        }
        asked->known[which] = true;
    }
    if ((!leads && !permitted(ch, r, path, rule, text)) ||
        (which == 1 && !nothing_gained(b, r, asked->canonical[0], path, text)))
        return SFTP_REFUSED;
    return SFTP_PERMITTED;
}

/* Texts that are no path of their own: a user's name, "~user". */
static bool is_name(const struct sftp_request *r)
{
    return r->type == SFTP_EXTENDED && (r->extension == SFTP_EXT_HOME_DIRECTORY ||
                                        (r->extension == SFTP_EXT_EXPAND_PATH && r->path.len > 1 &&
                                         r->path.p[0] == '~' && r->path.p[1] != '/'));
}

static enum sftp_verdict judge_name(struct channel *ch, const struct sftp_request *r,
                                    struct sftp_paths *out, const char **why, char *text)
{
    struct sftp_asked *asked = &ch->sftp->asked;

    if (r->path.len > FILE_PATH_MAX || memchr(r->path.p, '\0', r->path.len) != NULL) {
        *why = "form";
        snprintf(text, 1001, "the name is too long, or holds a NUL byte");
        return SFTP_REFUSED;
    }
    if (!narrow_files_unrestricted(ch->owner)) {
        snprintf(text, 1001, "your role does not permit to ask for other home folders; ask %s",
                 grant_contact(ch->owner));
        return SFTP_REFUSED;
    }
    memcpy(asked->canonical[0], r->path.p, r->path.len);
    asked->canonical[0][r->path.len] = '\0';
    out->path = asked->canonical[0];
    return SFTP_PERMITTED;
}

enum sftp_verdict sftp_judge_paths(struct channel *ch, const struct sftp_request *r,
                                   struct sftp_paths *out, const char **why, char *text)
{
    struct sftp_asked *asked = &ch->sftp->asked;
    char rule[128];

    *why = "path";
    if (is_name(r))
        return judge_name(ch, r, out, why, text);
    enum sftp_verdict verdict = judge_one(ch, r, 0, out->rule, why, text);
    if (asked->canonical[0][0] != '\0')
        out->path = asked->canonical[0];
    if (verdict == SFTP_PERMITTED && two_paths(r)) {
        verdict = judge_one(ch, r, 1, rule, why, text);
        if (asked->canonical[1][0] != '\0')
            out->to = asked->canonical[1];
    }
    if (out->path != NULL)
        out->access = access_at(ch->owner, out->path);
    return verdict;
}

/* --- what the target says */

static bool take_name(struct channel *ch, const struct sftp_response *r,
                      char out[FILE_PATH_MAX + 1])
{
    struct bytes rest = r->rest;
    struct sftp_name name;
    struct err e = ERR_INIT;

    if (r->count == 1 && sftp_name_next(&rest, &name) && name.name.len > 0 &&
        name.name.p[0] == '/' && file_path_join("/", name.name.p, name.name.len, out, &e) == 0)
        return true;
    sftp_violation(ch, "an answer to REALPATH that is no path");
    return false;
}

void sftp_path_answer(struct channel *ch, const struct sftp_response *r)
{
    struct sftp_asked *asked = &ch->sftp->asked;
    char folder[FILE_PATH_MAX + 1];
    struct err e = ERR_INIT;

    asked->asking = false;
    if (r->type == SFTP_STATUS) {
        asked->failed = true;
        asked->status = r->status;
        size_t n = r->text.len > SFTP_WORDS_MAX ? SFTP_WORDS_MAX : r->text.len;
        memcpy(asked->text, r->text.p, n);
        asked->text[n] = '\0';
        return;
    }
    if (!take_name(ch, r, folder))
        return;
    char *path = asked->canonical[asked->which];
    if (asked->last[0] == '\0') {
        memcpy(path, folder, sizeof folder);
    } else if (file_path_join(folder, asked->last, strlen(asked->last), path, &e) != 0) {
        asked->failed = true;
        asked->status = SFTP_FX_FAILURE;
        snprintf(asked->text, sizeof asked->text, "%.200s", e.text);
        return;
    }
    asked->known[asked->which] = true;
}

void sftp_ask_home(struct channel *ch)
{
    struct sftp_pending *p = sftp_pending_new(ch->sftp);
    struct sftp_request question = {.type = SFTP_REALPATH, .path = {(const uint8_t *)".", 1}};

    INVARIANT(p != NULL);
    p->own = true;
    p->type = SFTP_REALPATH;
    p->answer = SFTP_NAME;
    question.id = p->id;
    ch->sftp->stage = SFTP_HOME;
    (void)sftp_send_request(ch, &question);
}

void sftp_home_answer(struct channel *ch, const struct sftp_response *r)
{
    if (r->type == SFTP_STATUS)
        sftp_stop(ch, "the target does not tell the folder that SFTP begins in");
    else if (take_name(ch, r, ch->sftp->home))
        ch->sftp->stage = SFTP_SERVING;
}
