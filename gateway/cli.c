/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport VERB ...`: finds the verb, or the one that was probably meant. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/yaml_tree.h"
#include "gateway/cli.h"

struct verb {
    const char *name, *what;
    int (*run)(int argc, char **argv);
};

struct verb_group {
    const char *title;
    struct verb verbs[6];
};

static const struct verb_group groups[] = {
    {"For operators",
     {{"setup", "prepare this device for a gateway: SSH configuration, keys it must show",
       cli_setup},
      {"login", "enrol, or open the remembered login of this device with a code", cli_login},
      {"whoami", "ask the gateway who you are there", cli_whoami},
      {"connect", "carry one SSH connection through the gateway (ssh's ProxyCommand)",
       cli_connect}}},
    {"For administrators",
     {{"init", "first run: keys, certificates, trail, example configuration", cli_init},
      {"user", "operators: add, list, lock, unlock, forget, enroll", cli_user},
      {"target", "hypervisors: add, list", cli_target},
      {"policy", "what operators may: check, explain, diff, load, sign", cli_policy},
      {"source", "addresses with failures: list, unblock", cli_source},
      {"status", "what the gateway is doing", cli_status}}},
    {"For reviewers", {{"audit", "the trail: verify, list, show, play", cli_audit}}},
};

#define GROUPS (sizeof groups / sizeof groups[0])
#define VERBS  (sizeof groups[0].verbs / sizeof groups[0].verbs[0])

static void print_help(FILE *out)
{
    fputs("usage: sallyport VERB [OPTION]...\n\n"
          "Sallyport is a gateway to hypervisors that records what passes before it passes.\n",
          out);
    for (size_t g = 0; g < GROUPS; g++) {
        fprintf(out, "\n%s:\n", groups[g].title);
        for (size_t v = 0; v < VERBS && groups[g].verbs[v].name; v++)
            fprintf(out, "  %-8s  %s\n", groups[g].verbs[v].name, groups[g].verbs[v].what);
    }
    fputs("\n`sallyport VERB --help` tells more about each; `sallyport --version` tells the "
          "version.\n",
          out);
}

static const struct verb *verb_named(const char *name)
{
    for (size_t g = 0; g < GROUPS; g++)
        for (size_t v = 0; v < VERBS && groups[g].verbs[v].name; v++)
            if (strcmp(groups[g].verbs[v].name, name) == 0)
                return &groups[g].verbs[v];
    return NULL;
}

static int unknown_verb(const char *name)
{
    const char *words[GROUPS * VERBS + 1];
    size_t n = 0;
    for (size_t g = 0; g < GROUPS; g++)
        for (size_t v = 0; v < VERBS && groups[g].verbs[v].name; v++)
            words[n++] = groups[g].verbs[v].name;
    words[n] = NULL;
    const char *nearest = nearest_word(name, words);
    char shown[256];
    escape_text(shown, sizeof shown, name, strlen(name));
    if (nearest)
        fprintf(stderr, "sallyport: there is no verb \"%s\" (did you mean \"%s\"?)\n", shown,
                nearest);
    else
        fprintf(stderr, "sallyport: there is no verb \"%s\"; `sallyport --help` lists them\n",
                shown);
    return CLI_USAGE;
}

int main(int argc, char **argv)
{
    log_init("sallyport");
    if (argc < 2) {
        print_help(stderr);
        return CLI_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        puts("sallyport " SALLYPORT_VERSION);
        return CLI_DONE;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 ||
        (strcmp(name, "help") == 0 && argc == 2)) {
        print_help(stdout);
        return CLI_DONE;
    }
    if (strcmp(name, "help") == 0) {
        const struct verb *v = verb_named(argv[2]);
        char help[] = "--help";
        char *help_argv[] = {argv[2], help, NULL};
        return v ? v->run(2, help_argv) : unknown_verb(argv[2]);
    }
    const struct verb *v = verb_named(name);
    return v ? v->run(argc - 1, argv + 1) : unknown_verb(name);
}
