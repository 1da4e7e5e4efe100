/* SPDX-License-Identifier: Apache-2.0
 *
 * base/landlock.h. The numbers are the kernel's ABI (include/uapi/linux/landlock.h): Debian 12's
 * header knows those of Linux 6.1 only, its C library none of the calls. */
#include "base/landlock.h"

#include <errno.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef SALLYPORT_SANITIZERS

/* The leak checker reads /proc at the end. */
int landlock_only(int dir, struct err *e)
{
    (void)dir;
    (void)e;
    return 0;
}

#else

enum {
    CREATE_RULESET = 444,
    ADD_RULE = 445,
    RESTRICT_SELF = 446,
    ASK_VERSION = 1,  /* flag of CREATE_RULESET */
    PATH_BENEATH = 1, /* type of ADD_RULE */
    FS_WRITE_FILE = 1 << 1,
    FS_READ_FILE = 1 << 2,
    FS_REMOVE_FILE = 1 << 5,
    FS_MAKE_REG = 1 << 8,
    FS_TRUNCATE = 1 << 14,
    NET_BOTH = 1 << 0 | 1 << 1, /* bind, connect (TCP) */
};

/* Rights that each ABI knows: version 1 has 13 (execute to make symlink), 2 adds refer, 3 truncate,
 * 5 ioctl of devices; 4 adds the network. */
static uint64_t known_fs(long abi)
{
    return (UINT64_C(1) << (abi >= 5 ? 16 : abi >= 3 ? 15 : abi == 2 ? 14 : 13)) - 1;
}

struct ruleset_attr {
    uint64_t fs, net;
};

struct path_beneath_attr {
    uint64_t allowed;
    int32_t parent;
} __attribute__((packed));

int landlock_only(int dir, struct err *e)
{
    const long abi = syscall(CREATE_RULESET, NULL, 0, ASK_VERSION);
    const struct ruleset_attr handled = {known_fs(abi), abi >= 4 ? NET_BOTH : 0};
    const struct path_beneath_attr rule = {
        .allowed = handled.fs &
                   (FS_READ_FILE | FS_WRITE_FILE | FS_MAKE_REG | FS_REMOVE_FILE | FS_TRUNCATE),
        .parent = dir,
    };
    int ruleset, rc = 1;

    if (abi <= 0)
        return errno == ENOSYS || errno == EOPNOTSUPP ? 0 : err_errno(e, "landlock");
    /* A kernel of ABI 1 to 3 takes the longer structure: what it does not know is zero. */
    ruleset = (int)syscall(CREATE_RULESET, &handled, sizeof handled, 0);
    if (ruleset < 0)
        return err_errno(e, "landlock");
    if (syscall(ADD_RULE, ruleset, PATH_BENEATH, &rule, 0) || syscall(RESTRICT_SELF, ruleset, 0))
        rc = err_errno(e, "landlock");
    close(ruleset);
    return rc;
}

#endif
