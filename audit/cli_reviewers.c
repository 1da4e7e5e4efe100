/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport audit reviewers`: for whom new sessions are sealed. Reads the configuration alone;
 * which list was in force when a session began is in the trail. */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>

#include "audit/cli_audit.h"
#include "gateway/cli.h"
#include "gateway/reviewers_yaml.h"

static const char help[] =
    "usage: sallyport audit reviewers [OPTION]...\n\n"
    "For whom recordings of new sessions are sealed, as reviewers.yaml says.\n\n"
    "  -c DIR          the configuration directory\n"
    "                  (default: $SALLYPORT_CONF, else " SALLYPORT_CONFDIR ")\n"
    "  --json          print JSON\n";

static void print_json(const struct reviewers *list)
{
    json_t *array = json_array();

    for (size_t i = 0; i < list->count; i++) {
        char recipient[AGE_RECIPIENT_TEXT];

        age_recipient_text(list->at[i].key, recipient);
        json_array_append_new(array,
                              json_pack("{s:s, s:s, s:b}", "name", list->at[i].name, "recipient",
                                        recipient, "keystrokes", list->at[i].keystrokes));
    }
    json_dumpf(array, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    putchar('\n');
    json_decref(array);
}

static void print_table(const struct reviewers *list)
{
    const char *warning = reviewers_warning(list);

    printf("%-16s %-12s %s\n", "REVIEWER", "KEYSTROKES", "RECIPIENT");
    for (size_t i = 0; i < list->count; i++) {
        char recipient[AGE_RECIPIENT_TEXT];

        age_recipient_text(list->at[i].key, recipient);
        printf("%-16s %-12s %s\n", list->at[i].name, list->at[i].keystrokes ? "yes" : "no",
               recipient);
    }
    if (warning)
        fprintf(stderr, "sallyport: warning: %s\n", warning);
}

int audit_reviewers(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct reviewers list;
    struct err e = ERR_INIT;
    const char *confdir = NULL;
    bool json = false;
    int c;

    opterr = 0;
    optind = 1;
    while ((c = getopt_long(argc, argv, ":c:h", options, NULL)) != -1) {
        switch (c) {
        case 'c':
            confdir = optarg;
            break;
        case 'j':
            json = true;
            break;
        case 'h':
            fputs(help, stdout);
            return CLI_DONE;
        default:
            return cli_bad_option("audit reviewers", c, argv);
        }
    }
    if (optind < argc)
        return cli_usage("audit reviewers", "there is no argument \"%s\"", argv[optind]);
    if (reviewers_load(cli_confdir(confdir), &list, &e) < 0)
        return cli_fail("%s", e.text);
    if (json)
        print_json(&list);
    else
        print_table(&list);
    return CLI_DONE;
}
