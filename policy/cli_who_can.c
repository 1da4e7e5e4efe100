/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport policy who-can`: who may do something on a target (policy/who_can.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/yaml_tree.h"
#include "gateway/cli.h"
#include "policy/cli_policy.h"
#include "policy/who_can.h"

static const char help[] =
    "usage: sallyport policy who-can --on TARGET [OPTION]... [DIR]\n\n"
    "Every operator whom the policy set in DIR (default: the configuration directory) lets in on "
    "TARGET,\n"
    "by which roles, and under which conditions.\n\n"
    "  --on TARGET     the target's name or alias\n"
    "  --account NAME  as this account there (default: as any)\n"
    "  --ability WORD  shell, exec, sftp or forward (default: a session at all)\n"
    "  --run COMMAND   exec of this command\n"
    "  --from ADDRESS  from there (default: from anywhere)\n"
    "  --at TIME       then, as in \"2026-03-02 10:00 Asia/Seoul\" (default: at any time)\n"
    "  --json          print JSON\n\n"
    "Exit status: 0 somebody, 1 nobody, 2 wrong usage, a set that cannot be loaded, or that does "
    "not have\n"
    "the target.\n\n"
    "Examples:\n"
    "  sallyport policy who-can --on hv1 --account root --ability shell\n"
    "  sallyport policy who-can --on hv1 --run 'virsh destroy vm7' conf/policy\n"
    "  sallyport policy who-can --on hv1 --from 203.0.113.7 --at '2026-03-01 03:00 UTC' --json\n";

static const struct {
    const char *name;
    uint32_t bit;
} abilities[] = {{"shell", ABILITY_SHELL},
                 {"exec", ABILITY_EXEC},
                 {"sftp", ABILITY_SFTP},
                 {"forward", ABILITY_FORWARD}};
#define ABILITIES (sizeof abilities / sizeof *abilities)

struct arguments {
    const char *dir, *at;
    struct who_can_query query;
    struct policy_ask ask;
    struct address source;
    uint64_t at_s;
    bool json;
};

static bool take_ability(struct policy_options *o, struct arguments *a, const char *word)
{
    const char *words[ABILITIES + 1] = {NULL};

    for (size_t i = 0; i < ABILITIES; i++) {
        words[i] = abilities[i].name;
        if (strcmp(word, abilities[i].name) == 0) {
            a->query.ability = abilities[i].bit;
            return true;
        }
    }
    const char *near = nearest_word(word, words);
    o->status =
        policy_usage(o, "--ability: found \"%s\"%s%s%s, expected shell, exec, sftp or forward",
                     word, near ? " (did you mean \"" : "", near ? near : "", near ? "\"?)" : "");
    return false;
}

static bool take_option(struct policy_options *o, int c, struct arguments *a)
{
    struct err e = ERR_INIT;

    switch (c) {
    case 'o':
        a->query.target = optarg;
        return true;
    case 'u':
        a->query.account = optarg;
        return true;
    case 'b':
        return take_ability(o, a, optarg);
    case 'r':
        a->ask = (struct policy_ask){ASK_EXEC, optarg, strlen(optarg)};
        a->query.ask = &a->ask;
        return true;
    case 'f':
        a->query.source = &a->source;
        if (address_parse(optarg, &a->source, &e) < 0)
            o->status = policy_usage(o, "--from: %s", e.text);
        return o->status < 0;
    case 't':
        a->at = optarg;
        a->query.at_s = &a->at_s;
        return true;
    default:
        a->json = true;
        return true;
    }
}

static bool parse(int argc, char **argv, struct policy_options *o, struct arguments *a)
{
    *a = (struct arguments){0};
    policy_options_begin(o);
    for (int c; (c = policy_next_option(o, argc, argv)) != -1;) {
        if (!take_option(o, c, a))
            return false;
    }
    if (!policy_words(o, argc, argv, 1, "one directory"))
        return false;
    if (!a->query.target)
        o->status = policy_usage(o, "expected --on TARGET");
    else if (optind < argc)
        a->dir = argv[optind];
    return o->status < 0;
}

static void print_text(const struct who_can *w, const struct who_can_query *q)
{
    for (size_t i = 0; i < w->count; i++) {
        const struct who_can_group *g = &w->groups[i];
        printf("%s on %s:", g->account, q->target);
        for (size_t k = 0; k < ABILITIES; k++) {
            if (g->abilities & abilities[k].bit)
                printf(" %s", abilities[k].name);
        }
        putchar('\n');
        for (size_t k = 0; k < g->role_count; k++)
            printf("%s%s", k ? ", " : "  by ", g->roles[k]);
        putchar('\n');
        for (size_t k = 0; k < g->condition_count; k++)
            printf("  %s\n", g->conditions[k]);
        for (size_t k = 0; k < g->operator_count; k++)
            printf("    %s\n", g->operators[k]);
    }
    if (!w->count)
        printf("nobody\n");
}

static json_t *name_list(const char *const *names, size_t count)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_string(names[i]));
    return list;
}

static void print_json(const struct who_can *w)
{
    json_t *list = json_array();

    for (size_t i = 0; i < w->count; i++) {
        const struct who_can_group *g = &w->groups[i];
        json_t *words = json_array();
        for (size_t k = 0; k < ABILITIES; k++) {
            if (g->abilities & abilities[k].bit)
                json_array_append_new(words, json_string(abilities[k].name));
        }
        json_array_append_new(
            list, json_pack("{s:s, s:o, s:o, s:o, s:o}", "account", g->account, "abilities", words,
                            "roles", name_list(g->roles, g->role_count), "conditions",
                            name_list((const char *const *)g->conditions, g->condition_count),
                            "operators", name_list(g->operators, g->operator_count)));
    }
    policy_print_json(list);
}

int cli_policy_who_can(int argc, char **argv)
{
    static const struct option table[] = {{"on", required_argument, NULL, 'o'},
                                          {"account", required_argument, NULL, 'u'},
                                          {"ability", required_argument, NULL, 'b'},
                                          {"run", required_argument, NULL, 'r'},
                                          {"from", required_argument, NULL, 'f'},
                                          {"at", required_argument, NULL, 't'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    struct policy_options o = {.verb = "policy who-can", .help = help, .table = table};
    struct policy_source s = {0};
    struct arguments a;
    struct who_can w = {0};
    struct err e = ERR_INIT;

    if (!parse(argc, argv, &o, &a))
        return o.status;
    int rc = policy_source_load(&s, a.dir, a.at, false, &e);
    if (rc == 0)
        rc = policy_time(s.policy, a.at, &a.at_s, &e);
    a.query.start_s = a.at_s;
    if (rc == 0)
        rc = policy_who_can(s.policy, &a.query, &w, &e);
    const bool somebody = w.count;
    if (rc == 0 && a.json)
        print_json(&w);
    else if (rc == 0)
        print_text(&w, &a.query);
    who_can_clear(&w);
    policy_source_clear(&s);
    return rc < 0 ? policy_trouble("%s", e.text) : somebody ? POLICY_FINE : POLICY_FINDINGS;
}
