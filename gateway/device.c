/* SPDX-License-Identifier: Apache-2.0
 *
 * Finding the device directory (gateway/device.h). */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/cli.h"
#include "gateway/device.h"

char *device_base(struct err *e)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    if (config && config[0] == '/')
        return cli_printf("%s/sallyport", config);
    if (home && home[0] == '/')
        return cli_printf("%s/.config/sallyport", home);
    err_set(e, ERR_NOT_FOUND,
            "neither XDG_CONFIG_HOME nor HOME says where the configuration is; use --dir");
    return NULL;
}

static char *only_one_below(const char *base, struct err *e)
{
    DIR *d = opendir(base);
    char *found = NULL;
    bool several = false;
    for (struct dirent *entry; d && (entry = readdir(d));) {
        if (entry->d_name[0] == '.')
            continue;
        char *dir = cli_printf("%s/%s", base, entry->d_name),
             *conf = cli_printf("%s/gateway.conf", dir);
        if (access(conf, F_OK) == 0) {
            several = found != NULL;
            if (!found) {
                found = dir;
                dir = NULL;
            }
        }
        free(dir);
        free(conf);
        if (several)
            break;
    }
    if (d)
        closedir(d);
    if (several) {
        err_set(e, ERR_INPUT, "there are several gateways in %s; say which with --dir", base);
        free(found);
        return NULL;
    }
    if (!found)
        err_set(e, ERR_NOT_FOUND,
                "this device knows no gateway yet: ask your administrator for its setup "
                "file and run `sallyport setup FILE`");
    return found;
}

char *device_choose(const char *given, struct err *e)
{
    const char *from_environment = getenv("SALLYPORT_DEVICE");
    if (!given && from_environment && from_environment[0])
        given = from_environment;
    if (given)
        return cli_printf("%s", given);
    char *base = device_base(e);
    char *dir = base ? only_one_below(base, e) : NULL;
    free(base);
    return dir;
}

int device_read(const char *dir, struct device *out, struct err *e)
{
    static const char *const names[] = {"host=", "port=", "name="};
    char **const values[] = {&out->host, &out->port, &out->name};
    char *path = cli_printf("%s/gateway.conf", dir), line[600];
    memset(out, 0, sizeof *out);
    FILE *f = fopen(path, "re");
    int r = f ? 0 : err_errno(e, "%s (run `sallyport setup`)", path);

    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\r\n")] = 0;
        for (size_t i = 0; i < 3; i++) {
            const size_t n = strlen(names[i]);
            if (strncmp(line, names[i], n) == 0 && !*values[i])
                *values[i] = cli_printf("%s", line + n);
        }
    }
    if (f)
        fclose(f);
    if (r == 0 && (!out->host || !out->port || !out->name))
        r = err_set(e, ERR_SYNTAX, "%s: expected lines host=, port= and name=", path);
    free(path);
    return r;
}

void device_clear(struct device *d)
{
    free(d->host);
    free(d->port);
    free(d->name);
}
