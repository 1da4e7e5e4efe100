/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport status`: what authd and the supervisor say of themselves, by the control socket. */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "auth/cli_admin.h"
#include "auth/control_client.h"
#include "gateway/cli.h"

static const char help[] =
    "usage: sallyport status [-c CONFDIR] [--sessions] [--json]\n\n"
    "What the gateway is doing: its processes, the policy in force, sessions.\n\n"
    "  --sessions   list the sessions that run now\n"
    "  -c DIR       the configuration directory (default: " SALLYPORT_CONFDIR ")\n"
    "  --json       print JSON\n";

/* "processes.listener: 2" for each leaf: what a later version adds shows up by itself. */
static void print_value(const char *name, const json_t *value, int depth)
{
    const char *key;
    json_t *member;
    size_t i;
    if (json_is_object(value)) {
        if (name)
            printf("%*s%s:\n", depth * 2, "", name);
        json_object_foreach((json_t *)value, key, member) if (strcmp(key, "ok") != 0)
            print_value(key, member, depth + (name ? 1 : 0));
        return;
    }
    if (json_is_array(value)) {
        printf("%*s%s:%s\n", depth * 2, "", name, json_array_size(value) ? "" : " none");
        json_array_foreach((json_t *)value, i, member)
        {
            if (json_is_object(member)) {
                const char *sub;
                json_t *leaf;
                const char *lead = "-";
                json_object_foreach(member, sub, leaf)
                {
                    printf("%*s%s ", depth * 2 + 2, "", lead);
                    print_value(sub, leaf, 0);
                    lead = " ";
                }
            } else {
                printf("%*s- ", depth * 2 + 2, "");
                print_value("", member, 0);
            }
        }
        return;
    }
    printf("%*s%s%s", depth * 2, "", name, name[0] ? ": " : "");
    if (json_is_string(value))
        cli_print_cell(json_string_value(value), 0);
    else if (json_is_integer(value))
        printf("%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        printf("%.3f", json_real_value(value));
    else
        fputs(json_is_true(value) ? "yes" : json_is_false(value) ? "no" : "-", stdout);
    putchar('\n');
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
        print_value(NULL, reply, 0);
    json_decref(reply);
    return CLI_DONE;
}
