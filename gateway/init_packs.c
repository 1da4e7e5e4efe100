/* SPDX-License-Identifier: Apache-2.0
 *
 * The shipped rule packs into the configuration directory (gateway/init_packs.h). */
#include "gateway/init_packs.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/cli.h"

/* The largest shipped one has 35 KiB. */
#define PACK_MAX (1u << 20)

static int is_pack(const struct dirent *entry)
{
    const size_t len = strlen(entry->d_name);

    return entry->d_name[0] != '.' && len > 5 && strcmp(entry->d_name + len - 5, ".yaml") == 0;
}

static int copy_pack(const char *dir, const char *to_dir, const char *name, unsigned *copied,
                     struct err *e)
{
    char *from = cli_printf("%s/%s", dir, name), *to = cli_printf("%s/%s", to_dir, name);
    struct buf bytes;
    int rc = 0;

    if (access(to, F_OK) != 0 && (rc = cli_read_file(from, PACK_MAX, &bytes, e)) == 0) {
        rc = cli_create_file(to, buf_head(&bytes), buf_len(&bytes), 0644, e);
        buf_clear(&bytes);
        *copied += rc == 0;
    }
    free(from);
    free(to);
    return rc;
}

int init_packs(const char *confdir, const char *dir, unsigned *copied, struct err *e)
{
    const char *from = dir ? dir : SALLYPORT_DATADIR "/packs";
    char *to = cli_printf("%s/packs", confdir);
    struct dirent **names = NULL;
    int rc = cli_make_dirs(to, 0755, e), count = 0;

    *copied = 0;
    if (rc == 0 && (count = scandir(from, &names, is_pack, alphasort)) < 0 &&
        (dir || errno != ENOENT))
        rc = err_errno(e, "cannot read %s", from);
    for (int i = 0; i < count; i++) {
        if (rc == 0)
            rc = copy_pack(from, to, names[i]->d_name, copied, e);
        free(names[i]);
    }
    free(names);
    free(to);
    return rc;
}
