/* SPDX-License-Identifier: Apache-2.0
 *
 * How a program confines itself (base/sandbox.h, base/sandbox.def). Runs first as root, trusts its
 * arguments (they are the supervisor's), and fails closed: every step is checked. */
#include "base/sandbox.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/sandbox_table.h"
#include "base/secret.h"

struct identity {
    uid_t uid;
    gid_t gid;
    const char *root;
};

/* --- entering */

static int parse_id(const char *text, unsigned *out)
{
    char *end;
    unsigned long v;

    if (text[0] < '0' || text[0] > '9')
        return ERR_USAGE;
    errno = 0;
    v = strtoul(text, &end, 10);
    /* 0 is root, and the largest means "do not change" to setresuid. */
    if (errno || *end || v == 0 || v >= UINT32_MAX)
        return ERR_USAGE;
    *out = (unsigned)v;
    return 0;
}

static int parse_arguments(int argc, char **argv, struct identity *id, struct err *e)
{
    *id = (struct identity){0};
    if (argc != 7)
        goto usage;
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *value = argv[i + 1];
        if (!strcmp(argv[i], "--uid") && !id->uid && !parse_id(value, &id->uid))
            continue;
        if (!strcmp(argv[i], "--gid") && !id->gid && !parse_id(value, &id->gid))
            continue;
        if (!strcmp(argv[i], "--root") && !id->root && value[0] == '/') {
            id->root = value;
            continue;
        }
        goto usage;
    }
    return 0;
usage:
    return err_set(e, ERR_USAGE,
                   "this program is started by sallyportd: "
                   "--uid N --gid N --root DIRECTORY, neither id 0");
}

/* Sets a limit; where the hard limit is lower and cannot be raised, that one is as good. */
static int limit(int resource, const char *name, rlim_t wanted, struct err *e)
{
    struct rlimit r = {wanted, wanted}, now;

    if (setrlimit((__rlimit_resource_t)resource, &r) == 0)
        return 0;
    if (errno != EPERM || getrlimit((__rlimit_resource_t)resource, &now) || now.rlim_max > wanted)
        return err_errno(e, "setrlimit(%s)", name);
    r.rlim_cur = r.rlim_max = now.rlim_max;
    if (setrlimit((__rlimit_resource_t)resource, &r))
        return err_errno(e, "setrlimit(%s)", name);
    return 0;
}

static int apply_limits(enum sandbox_program program, struct err *e)
{
    const struct sandbox_limits *t = sandbox_limits(program);
    const rlim_t mib = 1024 * 1024;
    int rc = secret_process_protect(e);

    if (!rc)
        rc = limit(RLIMIT_NOFILE, "NOFILE", t->open_files, e);
    if (!rc)
        rc = limit(RLIMIT_FSIZE, "FSIZE", t->file_mib * mib, e);
    if (!rc)
        rc = limit(RLIMIT_MEMLOCK, "MEMLOCK", (rlim_t)t->locked_kib * 1024, e);
#ifndef SALLYPORT_SANITIZERS /* AddressSanitizer maps terabytes, the leak checker forks */
    if (!rc)
        rc = limit(RLIMIT_NPROC, "NPROC", t->processes, e);
    if (!rc)
        rc = limit(RLIMIT_AS, "AS", t->address_mib * mib, e);
#endif
    return rc;
}

#ifdef SALLYPORT_SANITIZERS
/* The leak checker finds its own process in /proc: it is shown in the root directory, and there to
 * this program alone. */
static int show_proc(const char *root, struct err *e)
{
    if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
        return err_errno(e, "unshare");
    if (chdir(root) || (mkdir("proc", 0555) && errno != EEXIST) ||
        mount("/proc", "proc", NULL, MS_BIND | MS_REC, NULL))
        return err_errno(e, "mounting %s/proc", root);
    return 0;
}
#endif

static int drop_identity(const struct identity *id, int keep, struct err *e)
{
    if (capng_get_caps_process())
        return err_set(e, ERR_SYSTEM, "capabilities cannot be read");
    if (keep >= 0 && !capng_have_capability(CAPNG_PERMITTED, (unsigned)keep))
        return err_set(
            e, ERR_DENIED,
            "found no capability %s, expected it of the service manager or the container",
            capng_capability_to_name((unsigned)keep));
    capng_clear(CAPNG_SELECT_BOUNDS);
    if (capng_apply(CAPNG_SELECT_BOUNDS))
        return err_errno(e, "dropping the capability bounding set");
    if (chdir(id->root))
        return err_errno(e, "chdir(%s)", id->root);
    if (chroot(".") || chdir("/"))
        return err_errno(e, "chroot(%s)", id->root);
    if (setgroups(0, NULL))
        return err_errno(e, "setgroups");
    if (setresgid(id->gid, id->gid, id->gid))
        return err_errno(e, "setresgid(%u)", id->gid);
    if (keep >= 0 && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
        return err_errno(e, "prctl(PR_SET_KEEPCAPS)");
    if (setresuid(id->uid, id->uid, id->uid))
        return err_errno(e, "setresuid(%u)", id->uid);
    capng_clear(CAPNG_SELECT_ALL);
    if (keep >= 0 &&
        capng_update(CAPNG_ADD, (capng_type_t)(CAPNG_EFFECTIVE | CAPNG_PERMITTED), (unsigned)keep))
        return err_set(e, ERR_SYSTEM, "capability %d is not known", keep);
    if (capng_apply(CAPNG_SELECT_CAPS | CAPNG_SELECT_AMBIENT))
        return err_errno(e, "dropping capabilities");
    if (keep >= 0 && prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0))
        return err_errno(e, "prctl(PR_SET_KEEPCAPS)");
    return 0;
}

/* Exactly what was to be kept is there; the kernel is asked again. */
static bool capabilities_are(int keep)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};
    const uint64_t want = keep >= 0 ? UINT64_C(1) << keep : 0;

    if (syscall(SYS_capget, &head, data))
        return false;
    return ((uint64_t)data[1].effective << 32 | data[0].effective) == want &&
           ((uint64_t)data[1].permitted << 32 | data[0].permitted) == want &&
           data[0].inheritable == 0 && data[1].inheritable == 0;
}

/* That it really happened. */
static int verify_identity(const struct identity *id, int keep, struct err *e)
{
    uid_t r, eff, s;
    gid_t rg, eg, sg;

    if (getresuid(&r, &eff, &s) || getresgid(&rg, &eg, &sg))
        return err_errno(e, "getresuid");
    if (r != id->uid || eff != id->uid || s != id->uid || rg != id->gid || eg != id->gid ||
        sg != id->gid || getgroups(0, NULL) != 0)
        return err_set(e, ERR_SYSTEM, "the identity did not change");
    if (setuid(0) == 0 || setgid(0) == 0)
        return err_set(e, ERR_SYSTEM, "the identity can be changed back");
    if (!capabilities_are(keep))
        return err_set(e, ERR_SYSTEM,
                       keep < 0
                           ? "capabilities are left"
                           : "the one capability that it needs is missing, or others are left");
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return err_set(e, ERR_SYSTEM, "no_new_privs is not set");
    return 0;
}

static int check_link(struct err *e)
{
    struct pollfd p = {.fd = SANDBOX_LINK_FD};

    if (poll(&p, 1, 0) < 0)
        return err_errno(e, "poll");
    if (p.revents & (POLLNVAL | POLLHUP | POLLERR))
        return err_set(e, ERR_CLOSED, "the supervisor is gone");
    return 0;
}

int sandbox_enter(enum sandbox_program program, int argc, char **argv, struct err *e)
{
    const int keep = sandbox_capability(program);
    struct identity id;
    int rc = parse_arguments(argc, argv, &id, e);

    if (rc)
        return rc;
    umask(077);
    if (close_range(SANDBOX_LINK_FD + 1, ~0u, 0))
        return err_errno(e, "close_range");
    /* A log file that reached its limit must not end the program. */
    if (signal(SIGXFSZ, SIG_IGN) == SIG_ERR || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return err_errno(e, "signal");
    rc = apply_limits(program, e);
#ifdef SALLYPORT_SANITIZERS
    if (!rc)
        rc = show_proc(id.root, e);
#endif
    if (!rc)
        rc = drop_identity(&id, keep, e);
    if (rc)
        return rc;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return err_errno(e, "prctl(PR_SET_NO_NEW_PRIVS)");
    rc = verify_identity(&id, keep, e);
    /* A change of uid makes a process dumpable as the system likes. */
    if (!rc)
        rc = secret_process_protect(e);
    if (rc)
        return rc;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
        return err_errno(e, "prctl(PR_SET_PDEATHSIG)");
    return check_link(e); /* after PDEATHSIG: it may have died before that was set */
}

/* --- sealing */

#ifdef SALLYPORT_SANITIZERS

int sandbox_seal(enum sandbox_program program, struct err *e)
{
    (void)program;
    (void)e;
    return 0;
}

int sandbox_prepare(enum sandbox_program program, struct err *e)
{
    (void)program;
    (void)e;
    return 0;
}

#else

#define CALLS 512
/* The longest names have 23 bytes: rt_tgsigqueueinfo, sched_get_priority_max, mq_getsetattr ... */
static char call_names[CALLS][24];
static const char *sealed_as;
static struct sandbox_filter filters[SANDBOX_PROGRAMS];

/* Names are looked up now: in the handler nothing may be allocated. */
static void look_up_names(void)
{
    if (call_names[0][0])
        return;
    for (int i = 0; i < CALLS; i++) {
        char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, i);
        snprintf(call_names[i], sizeof call_names[i], "%s", name ? name : "unknown");
        free(name);
    }
}

static size_t append(char *line, size_t at, size_t cap, const char *text)
{
    while (*text && at < cap)
        line[at++] = *text++;
    return at;
}

static void on_sigsys(int signal_number, siginfo_t *info, void *context)
{
    char line[160], digits[12];
    int number = info->si_syscall;
    unsigned rest = number < 0 ? 0 : (unsigned)number;
    size_t at = 0, d = sizeof digits;

    (void)signal_number;
    (void)context;
    digits[--d] = '\0';
    do
        digits[--d] = (char)('0' + rest % 10);
    while ((rest /= 10) && d);
    at = append(line, at, sizeof line - 1, "error ");
    at = append(line, at, sizeof line - 1, sealed_as);
    at = append(line, at, sizeof line - 1, " seccomp-denied syscall=");
    at = append(line, at, sizeof line - 1,
                number >= 0 && number < CALLS ? call_names[number] : "unknown");
    at = append(line, at, sizeof line - 1, " number=");
    at = append(line, at, sizeof line - 1, digits + d);
    line[at++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, at);
    (void)written;
    _exit(SANDBOX_EXIT_DENIED);
}

int sandbox_prepare(enum sandbox_program program, struct err *e)
{
    return filters[program].code ? 0 : sandbox_compile(program, &filters[program], e);
}

int sandbox_seal(enum sandbox_program program, struct err *e)
{
    const struct sandbox_limits *t = sandbox_limits(program);
    struct sigaction on_denied = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO | SA_NODEFER};
    bool again = sealed_as != NULL;
    struct sock_fprog fprog;
    int rc = sandbox_prepare(program, e);

    /* A forked child finds its own filter made: it needs no memory of its own for it. */
    if (!rc && t->child != program)
        rc = sandbox_prepare(t->child, e);
    if (rc)
        return rc;
    look_up_names();
    if (again && (rc = apply_limits(program, e)))
        return rc;
    if (sigaction(SIGSYS, &on_denied, NULL))
        return err_errno(e, "sigaction(SIGSYS)");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return err_errno(e, "prctl(PR_SET_NO_NEW_PRIVS)");
    sealed_as = t->name;
    fprog = (struct sock_fprog){.len = filters[program].count, .filter = filters[program].code};
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &fprog))
        return err_errno(e, "seccomp");
    return 0;
}

#endif
