/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/audit_lab.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "audit/trail_end.h"

bool lab_without_preallocation;

/* In place of libc's. */
int fallocate(int fd, int mode, off_t offset, off_t len)
{
    if (lab_without_preallocation) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return (int)syscall(SYS_fallocate, fd, mode, offset, len);
}

struct lab_fault lab_fault;

/* Whether this call is the one that is not made; does not return where that is the end. */
static bool fails(int fd)
{
    char link[64], path[256];
    const char *name;
    struct stat st;
    ssize_t n;

    if (!lab_fault.at || (fd >= 0 && (fstat(fd, &st) < 0 || S_ISFIFO(st.st_mode) ||
                                      !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))))
        return false;
    if (lab_fault.file) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        n = fd < 0 ? -1 : readlink(link, path, sizeof path - 1);
        path[n < 0 ? 0 : n] = '\0';
        name = strrchr(path, '/');
        if (!name || strcmp(name + 1, lab_fault.file) != 0)
            return false;
    }
    if (__atomic_add_fetch(&lab_fault.seen, 1, __ATOMIC_SEQ_CST) != lab_fault.at)
        return false;
    if (!lab_fault.error)
        _exit(LAB_KILLED);
    errno = lab_fault.error;
    return true;
}

ssize_t write(int fd, const void *p, size_t len)
{
    return fails(fd) ? -1 : syscall(SYS_write, fd, p, len);
}

ssize_t pwrite(int fd, const void *p, size_t len, off_t offset)
{
    return fails(fd) ? -1 : syscall(SYS_pwrite64, fd, p, len, offset);
}

int fsync(int fd)
{
    return fails(fd) ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return fails(fd) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    return fails(-1) ? -1 : (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, 0);
}

int unlinkat(int dir, const char *name, int flags)
{
    return fails(-1) ? -1 : (int)syscall(SYS_unlinkat, dir, name, flags);
}

int mkdirat(int dir, const char *name, mode_t mode)
{
    return fails(-1) ? -1 : (int)syscall(SYS_mkdirat, dir, name, mode);
}

int lab_child(const struct lab_fault *fault, int (*act)(void *arg), void *arg)
{
    pid_t pid = fork();
    int status;

    cr_assert_geq(pid, 0);
    if (pid == 0) {
        lab_fault = *fault;
        _exit(act(arg));
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status), "the child ended with status %x", (unsigned)status);
    return WEXITSTATUS(status);
}

void lab_make(struct audit_lab *lab)
{
    struct err e = ERR_INIT;
    char path[128];
    FILE *f;

    snprintf(lab->state, sizeof lab->state, "%s/sallyport-audit-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    cr_assert(mkdtemp(lab->state));
    cr_assert_eq(trail_create(lab->state, "gw.test", getuid(), getgid(), &lab->created, &e), 0,
                 "%s", e.text);
    snprintf(path, sizeof path, "%s/trail", lab->state);
    lab->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert_geq(lab->dir, 0);
    snprintf(path, sizeof path, "%s/keys/log.key", lab->state);
    f = fopen(path, "r");
    cr_assert(f);
    lab->key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
    fclose(f);
    cr_assert(lab->key);
    cr_assert_eq(vkey_parse(&lab->log, lab->created.log, &e), 0);
    cr_assert_eq(vkey_parse(&lab->anchor, lab->created.anchor, &e), 0);
}

void lab_remove(struct audit_lab *lab)
{
    char command[128];

    close(lab->dir);
    EVP_PKEY_free(lab->key);
    snprintf(command, sizeof command, "rm -rf %s", lab->state);
    cr_assert_eq(system(command), 0);
}

int lab_open(struct audit_lab *lab, struct trail **t, uint64_t segment_max,
             struct trail_report *report, struct err *e)
{
    struct trail_options o = {
        .dir = lab->dir, .origin = LAB_ORIGIN, .log_key = lab->key, .segment_max = segment_max};

    return trail_open(t, &o, report, e);
}

struct trail *lab_trail(struct audit_lab *lab, uint64_t segment_max)
{
    struct trail_report report;
    struct err e = ERR_INIT;
    struct trail *t;

    cr_assert_eq(lab_open(lab, &t, segment_max, &report, &e), 0, "%s", e.text);
    return t;
}

static void append(struct trail *t, uint8_t type, const uint8_t *id, uint32_t channel,
                   const char *text)
{
    struct err e = ERR_INIT;

    cr_assert_eq(trail_append(t, type, id, channel, text, strlen(text), &e), 0, "%s", e.text);
}

void lab_session(struct trail *t, uint8_t n, unsigned inputs, bool end)
{
    uint8_t id[RECORD_SESSION_ID];
    struct err e = ERR_INIT;

    memset(id, n, sizeof id);
    append(t, RECORD_SESSION_START, id, 0, "{\"operator\":\"alice\",\"target\":\"hv1\"}");
    append(t, RECORD_DECISION, id, 1, "{\"allowed\":true,\"what\":\"shell\",\"pty\":true}");
    for (unsigned i = 0; i < inputs; i++) {
        append(t, RECORD_INPUT, id, 1, "x");
        append(t, RECORD_OUTPUT, id, 1, "x\r\n");
    }
    if (end)
        append(t, RECORD_SESSION_END, id, 0, "{\"reason\":\"closed\"}");
    cr_assert_eq(trail_flush(t, &e), 0, "%s", e.text);
}

void lab_shut_down(struct trail *t)
{
    struct err e = ERR_INIT;

    cr_assert_eq(trail_append_shutdown(t, "shutdown", &e), 0);
    cr_assert_eq(trail_want_checkpoint(t, &e), 0);
    cr_assert_eq(trail_sync_now(t, &e), 0, "%s", e.text);
    trail_close(t);
}

int lab_verify(struct audit_lab *lab, struct verify_result *v, struct err *e)
{
    struct verify_options o = {.dir = lab->dir, .log = &lab->log, .anchor = &lab->anchor};

    return trail_verify(&o, v, e);
}

struct session_list *lab_sessions(struct audit_lab *lab)
{
    const struct source_selection clear = {.what = SOURCE_CLEAR};
    const struct session_filter all = {0};
    struct session_list *list;
    struct record_source *s;
    struct err e = ERR_INIT;

    cr_assert_eq(record_source_dir(&s, lab->dir, &clear, &e), 0, "%s", e.text);
    cr_assert_eq(session_list_read(&list, s, &all, &e), 0, "%s", e.text);
    record_source_free(s);
    return list;
}

struct blob lab_read(struct audit_lab *lab, const char *name)
{
    int fd = openat(lab->dir, name, O_RDONLY);
    struct blob b = {NULL, 0};
    struct stat st;

    cr_assert_geq(fd, 0, "%s", name);
    cr_assert_eq(fstat(fd, &st), 0);
    b.len = (size_t)st.st_size;
    b.p = malloc(b.len + 1);
    cr_assert_eq(read(fd, b.p, b.len), (ssize_t)b.len);
    close(fd);
    return b;
}

void lab_write(struct audit_lab *lab, const char *name, const void *p, size_t len)
{
    int fd = openat(lab->dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, p, len), (ssize_t)len);
    close(fd);
}

void lab_remove_torn(struct audit_lab *lab)
{
    DIR *d = fdopendir(openat(lab->dir, ".", O_RDONLY | O_DIRECTORY));
    struct dirent *entry;

    while ((entry = readdir(d)))
        if (strncmp(entry->d_name, "torn-", 5) == 0)
            unlinkat(lab->dir, entry->d_name, 0);
    closedir(d);
}
