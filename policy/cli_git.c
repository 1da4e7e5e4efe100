/* SPDX-License-Identifier: Apache-2.0
 *
 * A policy set out of a git repository, at a revision: `git rev-parse`, `git ls-tree` and `git
 * cat-file --batch`, each run without a shell, with the revision after --end-of-options. Nothing is
 * checked out, so nothing that a repository can name (hooks, filters, attributes) runs. What git
 * prints is the repository's: it is read within the bounds of a set. Source: git-cat-file(1),
 * git-ls-tree(1). */
#include "policy/cli_policy.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/wire.h"
#include "base/yaml_tree.h"
#include "gateway/cli.h"
#include "policy/bundle.h"

#define OID_MAX       64 /* SHA-256 in hex */
#define LISTING_MAX   (64u * 1024 * 1024)
#define COMPLAINT     1000
#define NO_REVISION   "git: failed" /* by rev-parse --quiet, that there is no such revision */
#define GIT_FILES_MAX 65536u

struct blob {
    char name[256]; /* in the set */
    char oid[OID_MAX + 1];
};
struct blobs {
    struct blob *at;
    size_t count, cap;
};

/* The child's end. Replacements and lazy fetches would give other bytes than the revision names. */
static _Noreturn void run_git(char *const argv[], const int in[2], const int out[2],
                              const int complaint[2])
{
    if (dup2(in[0], 0) < 0 || dup2(out[1], 1) < 0 || dup2(complaint[1], 2) < 0)
        _exit(127);
    setenv("GIT_NO_REPLACE_OBJECTS", "1", 1);
    setenv("GIT_NO_LAZY_FETCH", "1", 1);
    setenv("GIT_ALLOW_PROTOCOL", "", 1); /* of a git that does not know the former */
    setenv("GIT_OPTIONAL_LOCKS", "0", 1);
    setenv("LC_ALL", "C", 1);
    execvp(argv[0], argv);
    dprintf(2, "cannot run git: %s", strerror(errno));
    _exit(127);
}

/* Writes input to the child while reading what it says, so that neither waits for the other. */
static int talk(int *in, int out, int complaint, const struct buf *input, struct buf *output,
                char said[COMPLAINT], struct err *e)
{
    size_t sent = 0, heard = 0;

    while (out >= 0 || complaint >= 0) {
        const bool more = input && sent < buf_len(input);
        struct pollfd fds[] = {
            {more ? *in : -1, POLLOUT, 0}, {out, POLLIN, 0}, {complaint, POLLIN, 0}};
        char bytes[65536];
        if (*in >= 0 && !more) {
            close(*in);
            *in = -1;
        }
        if (poll(fds, 3, -1) < 0 && errno != EINTR)
            return err_errno(e, "git");
        if (fds[0].revents) {
            /* No more than what poll says there is room for: it must not block. */
            const size_t left = buf_len(input) - sent;
            ssize_t n = write(*in, buf_head(input) + sent, left < PIPE_BUF ? left : PIPE_BUF);
            if (n < 0 && errno != EINTR && errno != EAGAIN)
                sent = buf_len(input); /* it says why on its own */
            sent += n > 0 ? (size_t)n : 0;
        }
        if (fds[1].revents) {
            ssize_t n = read(out, bytes, sizeof bytes);
            if (n > 0 && buf_put(output, bytes, (size_t)n) < 0)
                return err_set(e, ERR_FULL, "git printed more than a policy set may have");
            if (n == 0)
                out = -1;
        }
        if (fds[2].revents) {
            ssize_t n = read(complaint, bytes, sizeof bytes);
            for (ssize_t i = 0; i < n && heard + 1 < COMPLAINT; i++)
                said[heard++] = bytes[i] == '\n' ? ' ' : bytes[i];
            if (n == 0)
                complaint = -1;
        }
    }
    said[heard] = 0;
    return 0;
}

static void close_both(int pair[2])
{
    for (int i = 0; i < 2; i++) {
        if (pair[i] >= 0)
            close(pair[i]);
    }
}

/* 0 when it ended well; ERR_NOT_FOUND with what it said when not. */
static int git(char *const argv[], const struct buf *input, struct buf *output, struct err *e)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1}, complaint[2] = {-1, -1}, status = 0, rc;
    char said[COMPLAINT] = "", shown[4 * COMPLAINT];
    pid_t pid;

    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(complaint, O_CLOEXEC) < 0 ||
        (pid = fork()) < 0) {
        rc = err_errno(e, "git");
        goto out;
    }
    if (pid == 0)
        run_git(argv, in, out, complaint);
    close(in[0]);
    close(out[1]);
    close(complaint[1]);
    in[0] = out[1] = complaint[1] = -1;
    rc = talk(&in[1], out[0], complaint[0], input, output, said, e);
    if (rc < 0)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (rc == 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
        rc = err_set(e, ERR_NOT_FOUND, "git: %s",
                     said[0] ? escape_text(shown, sizeof shown, said, strlen(said)) : "failed");
out:
    close_both(in);
    close_both(out);
    close_both(complaint);
    return rc;
}

/* SHA-1 or SHA-256 in hex, which is no option either. */
static bool is_oid(const char *text, size_t len)
{
    return (len == 40 || len == OID_MAX) && strspn(text, "0123456789abcdef") >= len;
}

/* The tree's name. A revision alone is the current directory in it. */
static int tree_of(const char *revision, char oid[OID_MAX + 1], struct err *e)
{
    char *name = strchr(revision, ':') ? cli_printf("%s", revision) : cli_printf("%s:./", revision);
    char *argv[] = {(char[]){"git"},
                    (char[]){"rev-parse"},
                    (char[]){"--verify"},
                    (char[]){"--quiet"},
                    (char[]){"--end-of-options"},
                    name,
                    NULL};
    char shown[300];
    struct buf output;

    buf_init(&output, 4096);
    int rc = git(argv, NULL, &output, e);
    free(name);
    char *line = rc == 0 ? buf_string(&output) : NULL;
    const size_t len = line ? strcspn(line, "\n") : 0;
    if (rc == 0 && (!line || !is_oid(line, len) || len + 1 != buf_len(&output))) /* ^HEAD, A..B */
        rc = err_set(e, ERR_NOT_FOUND, NO_REVISION);
    if (rc == 0) {
        memcpy(oid, line, len);
        oid[len] = 0;
    } else if (strcmp(e->text, NO_REVISION) == 0) {
        err_set(e, ERR_NOT_FOUND,
                "\"%s\" is neither a directory nor a revision of a git repository here (as in "
                "HEAD~1 or main:conf/policy)",
                escape_text(shown, sizeof shown, revision, strnlen(revision, 64)));
    }
    free(line);
    buf_clear(&output);
    return rc;
}

static int add_blob(struct blobs *blobs, const char *name, const char *oid, struct err *e)
{
    if (blobs->count == GIT_FILES_MAX)
        return err_set(e, ERR_FULL, "%s: found more than %u files", name, GIT_FILES_MAX);
    if (blobs->count == blobs->cap) {
        size_t cap = blobs->cap ? blobs->cap * 2 : 64;
        struct blob *grown = reallocarray(blobs->at, cap, sizeof *grown);
        if (!grown)
            return err_set(e, ERR_MEMORY, "out of memory");
        blobs->at = grown;
        blobs->cap = cap;
    }
    struct blob *b = &blobs->at[blobs->count++];
    snprintf(b->name, sizeof b->name, "%s", name);
    snprintf(b->oid, sizeof b->oid, "%s", oid);
    return 0;
}

/* One entry of `git ls-tree -r -z`: "MODE TYPE OID\tPATH". */
static int take_entry(struct blobs *blobs, char *entry, struct err *e)
{
    char *path = strchr(entry, '\t'), *type, *oid, shown[1100];

    if (!path)
        return err_set(e, ERR_PROTOCOL, "git: a listing that has another form");
    *path++ = 0;
    type = strchr(entry, ' ');
    oid = type ? strchr(type + 1, ' ') : NULL;
    if (!oid || !is_oid(oid + 1, strlen(oid + 1)))
        return err_set(e, ERR_PROTOCOL, "git: a listing that has another form");
    *type++ = *oid++ = 0;
    /* A folder is no entry, so what is one under a folder's name is a link or a submodule. What is
     * in a file's place and has entries below it is a folder. Either would have the set without it
     * compared. */
    for (char *slash = path; bundle_place(path) == BUNDLE_NO_PLACE;) {
        slash = strchr(slash, '/');
        if (!slash)
            return 0;
        *slash = 0;
        const bool file = bundle_place(path) == BUNDLE_FILE;
        if (file) {
            escape_text(shown, sizeof shown, path, strnlen(path, 255));
            return err_set(e, ERR_INPUT, "%s: found a directory, expected a regular file", shown);
        }
        *slash++ = '/';
    }
    const bool folder = bundle_place(path) == BUNDLE_FOLDER;
    escape_text(shown, sizeof shown, path, strnlen(path, 255));
    if (folder || (strcmp(entry, "100644") != 0 && strcmp(entry, "100755") != 0))
        return err_set(e, ERR_INPUT, "%s: found something else, expected a %s", shown,
                       folder ? "directory" : "regular file");
    const int rc = bundle_check_name(path, e);
    return rc < 0 ? rc : add_blob(blobs, path, oid, e);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct blob *)a)->name, ((const struct blob *)b)->name);
}

static int list_blobs(const char *tree, struct blobs *blobs, struct err *e)
{
    char oid[OID_MAX + 1];
    char *argv[] = {(char[]){"git"},
                    (char[]){"ls-tree"},
                    (char[]){"-r"},
                    (char[]){"-z"},
                    (char[]){"--full-tree"},
                    oid,
                    NULL};
    struct buf output;

    snprintf(oid, sizeof oid, "%s", tree);
    buf_init(&output, LISTING_MAX);
    int rc = git(argv, NULL, &output, e);
    char *text = rc == 0 ? buf_string(&output) : NULL, *at = text;
    for (size_t left = buf_len(&output); rc == 0 && text && left;) {
        const size_t len = strnlen(at, left);
        char *next = at + len + 1;
        rc = take_entry(blobs, at, e);
        left -= len + 1 < left ? len + 1 : left;
        at = next;
    }
    if (rc == 0 && blobs->count)
        qsort(blobs->at, blobs->count, sizeof *blobs->at, by_name);
    free(text);
    buf_clear(&output);
    return rc;
}

/* "OID blob SIZE\n", the bytes, "\n". */
static int take_blob(struct buf *output, const struct blob *b, struct buf *block, struct err *e)
{
    const char *head = (const char *)buf_head(output);
    const size_t have = buf_len(output), name_len = strlen(b->name);
    const char *end = have ? memchr(head, '\n', have) : NULL;
    char *after;

    if (!end || strncmp(head, b->oid, strlen(b->oid)) != 0 ||
        strncmp(head + strlen(b->oid), " blob ", 6) != 0)
        return err_set(e, ERR_PROTOCOL, "%s: git cannot give it", b->name);
    const unsigned long long size = strtoull(head + strlen(b->oid) + 6, &after, 10);
    if (after != end || size > YAML_FILE_MAX)
        return err_set(e, ERR_INPUT, "%s: found a file of more than %u bytes", b->name,
                       YAML_FILE_MAX);
    const size_t before = (size_t)(end + 1 - head);
    if (have < before + size + 1)
        return err_set(e, ERR_PROTOCOL, "%s: git gave less than it said", b->name);
    uint8_t *p = buf_reserve(block, 2 + name_len + 4 + (size_t)size);
    if (!p)
        return err_set(e, ERR_FULL, "%s: the policy set is larger than %u bytes", b->name,
                       BUNDLE_MAX);
    wire_store_u16(p, (uint16_t)name_len);
    memcpy(p + 2, b->name, name_len);
    wire_store_u32(p + 2 + name_len, (uint32_t)size);
    memcpy(p + 6 + name_len, end + 1, (size_t)size);
    buf_commit(block, 6 + name_len + (size_t)size);
    buf_consume(output, before + (size_t)size + 1);
    return 0;
}

static int read_blobs(const struct blobs *blobs, struct buf *block, struct err *e)
{
    char *argv[] = {(char[]){"git"}, (char[]){"cat-file"}, (char[]){"--batch"}, NULL};
    struct buf input, output;
    int rc = 0;

    buf_init(&input, (size_t)GIT_FILES_MAX * (OID_MAX + 1) + 1);
    buf_init(&output, BUNDLE_MAX);
    for (size_t i = 0; i < blobs->count && rc == 0; i++)
        rc = buf_printf(&input, "%s\n", blobs->at[i].oid);
    if (rc == 0)
        rc = git(argv, &input, &output, e);
    for (size_t i = 0; i < blobs->count && rc == 0; i++)
        rc = take_blob(&output, &blobs->at[i], block, e);
    buf_clear(&input);
    buf_clear(&output);
    return rc;
}

int policy_git_knows(const char *revision, struct err *e)
{
    char tree[OID_MAX + 1];
    struct err said = ERR_INIT;

    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return err_errno(e, "git");
    if (tree_of(revision, tree, &said) == 0)
        return 1;
    if (said.code == ERR_NOT_FOUND &&
        (strstr(said.text, "neither a directory") || strstr(said.text, "not a git repository") ||
         strstr(said.text, "cannot run git")))
        return 0;
    *e = said;
    return said.code;
}

int policy_git_read(const char *revision, struct buf *block, struct err *e)
{
    struct blobs blobs = {0};
    char tree[OID_MAX + 1];

    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return err_errno(e, "git");
    int rc = tree_of(revision, tree, e);
    if (rc == 0)
        rc = list_blobs(tree, &blobs, e);
    if (rc == 0)
        rc = read_blobs(&blobs, block, e);
    free(blobs.at);
    return rc;
}
