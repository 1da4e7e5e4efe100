/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport source`: the addresses that the gateway slows or blocks for their failures. */
#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "auth/cli_admin.h"
#include "auth/control_client.h"
#include "gateway/cli.h"

static const char help[] =
    "usage: sallyport source list [--json]\n"
    "       sallyport source unblock ADDRESS\n\n"
    "Addresses that the gateway slows or blocks because of their failures (`penalty` in\n"
    "sallyport.yaml(5)). A source is one IPv4 address, one IPv6 /64, or the /48 around it.\n\n"
    "  list       which they are, the longest block first\n"
    "  unblock    lifts the block of the source to which ADDRESS belongs, and forgets its "
    "failures\n"
    "  --json     print JSON\n"
    "  -c DIR     the configuration directory (default: " SALLYPORT_CONFDIR ")\n";

static const struct option options[] = {
    {"json", no_argument, NULL, 'j'}, {"config", required_argument, NULL, 'c'}, {0}};

static void print_list(const json_t *penalties)
{
    const json_t *sources = json_object_get(penalties, "sources"), *row;
    const long long all = json_integer_value(json_object_get(penalties, "blocked")) +
                          json_integer_value(json_object_get(penalties, "slowed"));
    size_t i;

    if (json_array_size(sources) == 0) {
        puts("no source is slowed or blocked");
        return;
    }
    printf("%-44s  %-7s  %-20s  %8s  %7s  %s\n", "SOURCE", "STATE", "UNTIL (UTC)", "FAILURES",
           "REFUSED", "LAST FAILURE");
    json_array_foreach(sources, i, row)
    {
        cli_print_cell(control_text(row, "source", "?"), 44);
        cli_print_cell(control_text(row, "state", "?"), 7);
        cli_print_cell(control_text(row, "until", "-"), 20);
        printf("%8lld  %7lld  ", (long long)json_integer_value(json_object_get(row, "failures")),
               (long long)json_integer_value(json_object_get(row, "refused")));
        cli_print_cell(control_text(row, "reason", "?"), 0);
        putchar('\n');
    }
    if (all > (long long)json_array_size(sources))
        printf("and %lld more\n", all - (long long)json_array_size(sources));
}

static int run_list(int argc, char **argv)
{
    const char *confdir = NULL;
    struct err e = ERR_INIT;
    bool json = false;
    json_t *reply;

    optind = 1;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":c:", options, NULL)) != -1;) {
        if (c == 'j')
            json = true;
        else if (c == 'c')
            confdir = optarg;
        else
            return cli_bad_option("source", c, argv);
    }
    if (optind != argc)
        return cli_usage("source", "found \"%s\", expected no more words", argv[optind]);
    if (control_once(cli_confdir(confdir), json_pack("{s:s}", "verb", "source-list"), &reply, &e) !=
        0)
        return cli_fail("%s", e.text);
    if (json)
        cli_print_json(json_object_get(reply, "penalties"));
    else
        print_list(json_object_get(reply, "penalties"));
    json_decref(reply);
    return CLI_DONE;
}

static int run_unblock(int argc, char **argv)
{
    const char *confdir = NULL;
    struct err e = ERR_INIT;
    json_t *reply;

    optind = 1;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":c:", options, NULL)) != -1;) {
        if (c == 'c')
            confdir = optarg;
        else
            return cli_bad_option("source", c, argv);
    }
    if (optind + 1 != argc)
        return cli_usage("source", "expected one address");
    if (control_once(cli_confdir(confdir),
                     json_pack("{s:s, s:s}", "verb", "source-unblock", "source", argv[optind]),
                     &reply, &e) != 0)
        return cli_fail("%s", e.text);
    puts(json_integer_value(json_object_get(reply, "unblocked")) > 0
             ? "it is unblocked, and its failures are forgotten"
             : "it was not blocked; its failures are forgotten");
    json_decref(reply);
    return CLI_DONE;
}

int cli_source(int argc, char **argv)
{
    static const struct cli_subcommand table[] = {
        {"list", run_list}, {"unblock", run_unblock}, {NULL, NULL}};

    return cli_subcommand("source", help, table, argc, argv);
}
