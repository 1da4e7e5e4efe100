/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport status`: what authd and the supervisor say of themselves, by the control socket. */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "auth/cli_admin.h"
#include "auth/control_client.h"
#include "base/log.h"
#include "gateway/cli.h"

static const char help[] =
    "usage: sallyport status [-c CONFDIR] [--sessions] [--json]\n\n"
    "What the gateway is doing: its processes, the policy in force, sessions.\n\n"
    "  --sessions   list the sessions that run now\n"
    "  -c DIR       the configuration directory (default: " SALLYPORT_CONFDIR ")\n"
    "  --json       print JSON\n";

#define COLUMNS_MAX 12

static void scalar_text(const json_t *value, char out[256])
{
    if (json_is_string(value))
        escape_text(out, 256, json_string_value(value), json_string_length(value));
    else if (json_is_integer(value))
        snprintf(out, 256, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        snprintf(out, 256, "%.3f", json_real_value(value));
    else
        snprintf(out, 256, "%s", json_is_true(value) ? "yes" : json_is_false(value) ? "no" : "-");
}

/* The members that the objects of a list have, in the order in which they first come. */
static size_t find_columns(const json_t *list, const char *names[COLUMNS_MAX],
                           size_t widths[COLUMNS_MAX])
{
    size_t count = 0, i, column;
    json_t *item, *value;
    const char *key;
    char text[256];
    json_array_foreach(list, i, item)
    {
        json_object_foreach(item, key, value)
        {
            for (column = 0; column < count && strcmp(names[column], key) != 0; column++)
                ;
            if (column == COLUMNS_MAX)
                continue;
            if (column == count) {
                names[count] = key;
                widths[count++] = strlen(key);
            }
            scalar_text(value, text);
            if (strlen(text) > widths[column])
                widths[column] = strlen(text);
        }
    }
    return count;
}

static void print_table(const json_t *list, int indent)
{
    const char *names[COLUMNS_MAX];
    size_t widths[COLUMNS_MAX], count = find_columns(list, names, widths), i;
    const json_t *item;
    char text[256];
    printf("%*s", indent, "");
    for (size_t c = 0; c < count; c++)
        printf("%-*s  ", (int)widths[c], names[c]);
    putchar('\n');
    json_array_foreach(list, i, item)
    {
        printf("%*s", indent, "");
        for (size_t c = 0; c < count; c++) {
            scalar_text(json_object_get(item, names[c]), text);
            printf("%-*s  ", (int)widths[c], text);
        }
        putchar('\n');
    }
}

/* Whatever is there, so that what a later version adds shows up by itself. */
static void print_object(json_t *object, int indent)
{
    const char *key;
    json_t *value;
    char text[256];
    json_object_foreach(object, key, value)
    {
        if (json_is_object(value)) {
            printf("%*s%s\n", indent, "", key);
            print_object(value, indent + 2);
        } else if (json_is_array(value)) {
            printf("%*s%s%s\n", indent, "", key, json_array_size(value) ? "" : "  none");
            if (json_array_size(value))
                print_table(value, indent + 2);
        } else {
            scalar_text(value, text);
            printf("%*s%-*s  %s\n", indent, "", 14 - indent, key, text);
        }
    }
}

int cli_status(int argc, char **argv)
{
    static const struct option options[] = {{"sessions", no_argument, NULL, 's'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"config", required_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const char *confdir = NULL;
    bool sessions = false, json = false;
    struct err e = ERR_INIT;
    json_t *reply;
    optind = 1;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":hc:", options, NULL)) != -1;) {
        switch (c) {
        case 's':
            sessions = true;
            break;
        case 'j':
            json = true;
            break;
        case 'c':
            confdir = optarg;
            break;
        case 'h':
            fputs(help, stdout);
            return CLI_DONE;
        default:
            return cli_bad_option("status", c, argv);
        }
    }
    if (optind != argc)
        return cli_usage("status", "found \"%s\", expected no more words", argv[optind]);
    if (control_once(cli_confdir(confdir),
                     json_pack("{s:s}", "verb", sessions ? "session-list" : "status"), &reply,
                     &e) != 0)
        return cli_fail("%s", e.text);
    json_object_del(reply, "ok");
    if (json)
        cli_print_json(reply);
    else
        print_object(reply, 0);
    json_decref(reply);
    return CLI_DONE;
}
