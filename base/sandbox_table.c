/* SPDX-License-Identifier: Apache-2.0
 *
 * From the table (base/sandbox.def) to a filter in the kernel's form, by libseccomp. Runs before a
 * program is confined; a name that does not exist, or two rules that contradict each other, are
 * errors, so that no general rule swallows a specific one. */
#include "base/sandbox_table.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLONE_ANY_NAMESPACE                                                                        \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |  \
     CLONE_NEWNET)

/* What open(2) does besides reading. */
#define OPEN_TO_WRITE (O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND)

#define BIT(name)     (1u << SANDBOX_##name)
enum {
    SUPERVISOR = BIT(SUPERVISOR),
    LISTENER = BIT(LISTENER),
    AUTHD = BIT(AUTHD),
    POLICY_LOADER = BIT(POLICY_LOADER),
    AUDITD = BIT(AUDITD),
    COURIER = BIT(COURIER),
    WITNESS = BIT(WITNESS),
    READER = BIT(READER),
    FIREWALL = BIT(FIREWALL),
    HASHER = BIT(HASHER),
    SERVERS = BIT(FRONTEND_SERVER) | BIT(BACKEND_SERVER),
    SSH = SERVERS | BIT(FRONTEND) | BIT(BACKEND),
    FORKING = SERVERS | AUTHD,
    EVENTS = LISTENER | AUTHD | AUDITD | COURIER | WITNESS,
    FILES = AUTHD | AUDITD | WITNESS,
    CONFINED = SSH | LISTENER | FILES | POLICY_LOADER | COURIER | READER | FIREWALL | HASHER,
};

#define PROGRAM(program, name, child, open_files, address_mib, file_mib, processes, locked_kib)
#define ALLOW(programs, calls) {SANDBOX_ALLOW, programs, calls, -1, 0, 0},
#define ALLOW_IF(programs, call, argument, mask, value)                                            \
    {SANDBOX_ALLOW, programs, call, argument, mask, value},
#define REFUSE(programs, calls) {SANDBOX_REFUSE, programs, calls, -1, 0, 0},
#define ABSENT(programs, calls) {SANDBOX_ABSENT, programs, calls, -1, 0, 0},
#define FORBID(programs, calls) {SANDBOX_FORBID, programs, calls, -1, 0, 0},
#define KEEP(program, capability)
const struct sandbox_rule sandbox_rules[] = {
#include "base/sandbox.def"
};
const size_t sandbox_rule_count = sizeof sandbox_rules / sizeof sandbox_rules[0];
#undef PROGRAM
#undef ALLOW
#undef ALLOW_IF
#undef REFUSE
#undef ABSENT
#undef FORBID
#undef KEEP

#define PROGRAM(program, name, child, open_files, address_mib, file_mib, processes, locked_kib)    \
    [SANDBOX_##program] = {name,     SANDBOX_##child, open_files, address_mib,                     \
                           file_mib, processes,       locked_kib},
#define ALLOW(programs, calls)
#define ALLOW_IF(programs, call, argument, mask, value)
#define REFUSE(programs, calls)
#define ABSENT(programs, calls)
#define FORBID(programs, calls)
#define KEEP(program, capability)
static const struct sandbox_limits limits[] = {
#include "base/sandbox.def"
};
_Static_assert(sizeof limits / sizeof limits[0] == SANDBOX_PROGRAMS, "a row per program");
#undef PROGRAM
#undef KEEP

#define PROGRAM(program, name, child, open_files, address_mib, file_mib, processes, locked_kib)
#define KEEP(program, capability) {SANDBOX_##program, capability},
static const struct {
    enum sandbox_program program;
    int capability;
} kept[] = {
#include "base/sandbox.def"
};

const struct sandbox_limits *sandbox_limits(enum sandbox_program program)
{
    INVARIANT((unsigned)program < SANDBOX_PROGRAMS);
    return &limits[program];
}

int sandbox_capability(enum sandbox_program program)
{
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        if (kept[i].program == program)
            return kept[i].capability;
    return -1;
}

const char *sandbox_name(enum sandbox_program program)
{
    return sandbox_limits(program)->name;
}

static uint32_t action_of(enum sandbox_verdict verdict)
{
    switch (verdict) {
    case SANDBOX_ALLOW:
        return SCMP_ACT_ALLOW;
    case SANDBOX_REFUSE:
        return SCMP_ACT_ERRNO(EACCES);
    case SANDBOX_ABSENT:
        return SCMP_ACT_ERRNO(ENOSYS);
    case SANDBOX_FORBID:
        return SCMP_ACT_TRAP;
    }
    return SCMP_ACT_KILL_PROCESS;
}

/* One call of one rule. */
static int add_call(scmp_filter_ctx ctx, const struct sandbox_rule *rule, const char *call,
                    struct err *e)
{
    int number = seccomp_syscall_resolve_name(call), rc;
    struct scmp_arg_cmp condition = {(unsigned)rule->argument, SCMP_CMP_MASKED_EQ, rule->mask,
                                     rule->value};

    if (number == __NR_SCMP_ERROR)
        return err_set(e, ERR_INPUT, "seccomp: there is no system call %s", call);
    if (number < 0) /* not on this architecture */
        return 0;
    if (rule->argument < 0)
        rc = seccomp_rule_add_array(ctx, action_of(rule->verdict), number, 0, NULL);
    else
        rc = seccomp_rule_add_array(ctx, action_of(rule->verdict), number, 1, &condition);
    if (rc) {
        errno = -rc;
        return err_errno(e, "seccomp: the rule for %s", call);
    }
    return 0;
}

static int add_rule(scmp_filter_ctx ctx, const struct sandbox_rule *rule, struct err *e)
{
    char calls[512], *rest = calls, *call;

    INVARIANT(strlen(rule->calls) < sizeof calls);
    strcpy(calls, rule->calls);
    while ((call = strsep(&rest, " "))) {
        int rc = add_call(ctx, rule, call, e);
        if (rc)
            return rc;
    }
    return 0;
}

/* libseccomp writes the finished filter to a descriptor only. */
static int export_filter(scmp_filter_ctx ctx, struct sandbox_filter *f, struct err *e)
{
    int fd = memfd_create("filter", MFD_CLOEXEC), rc = 0;
    off_t size;

    if (fd < 0)
        return err_errno(e, "memfd_create");
    rc = seccomp_export_bpf(ctx, fd);
    if (rc) {
        errno = -rc;
        rc = err_errno(e, "seccomp_export_bpf");
        goto out;
    }
    size = lseek(fd, 0, SEEK_END);
    if (size <= 0 || size % (off_t)sizeof(struct sock_filter) ||
        size / (off_t)sizeof(struct sock_filter) > BPF_MAXINSNS) {
        rc = err_set(e, ERR_INPUT, "seccomp: a filter of %lld bytes", (long long)size);
        goto out;
    }
    f->code = malloc((size_t)size);
    if (!f->code) {
        rc = err_set(e, ERR_MEMORY, "seccomp: %s", err_text(ERR_MEMORY));
        goto out;
    }
    if (pread(fd, f->code, (size_t)size, 0) != size) {
        rc = err_errno(e, "seccomp: reading the filter");
        free(f->code);
        f->code = NULL;
        goto out;
    }
    f->count = (unsigned short)((size_t)size / sizeof(struct sock_filter));
out:
    close(fd);
    return rc;
}

int sandbox_compile(enum sandbox_program program, struct sandbox_filter *f, struct err *e)
{
    bool open_world = program == SANDBOX_SUPERVISOR;
    scmp_filter_ctx ctx = seccomp_init(open_world ? SCMP_ACT_ALLOW : SCMP_ACT_TRAP);
    int rc = 0;

    *f = (struct sandbox_filter){0};
    if (!ctx)
        return err_set(e, ERR_MEMORY, "seccomp_init: %s", err_text(ERR_MEMORY));
    /* 2: a binary tree over the numbers, so that the last call costs as little as the first. */
    if (seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) ||
        seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2)) {
        rc = err_set(e, ERR_SYSTEM, "seccomp_attr_set: libseccomp is too old");
        goto out;
    }
    for (size_t i = 0; !rc && i < sandbox_rule_count; i++)
        if (sandbox_rules[i].programs & 1u << program)
            rc = add_rule(ctx, &sandbox_rules[i], e);
    if (!rc)
        rc = export_filter(ctx, f, e);
out:
    seccomp_release(ctx);
    return rc ? err_wrap(e, "%s", sandbox_name(program)), rc : 0;
}
