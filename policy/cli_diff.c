/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport policy diff`: what a change of the set changes (policy/diff.h). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/cli.h"
#include "policy/cli_policy.h"
#include "policy/diff.h"

#define SHOWN_NAMES 8
#define SHOWN_PARTS 3

static const char help[] =
    "usage: sallyport policy diff [OPTION]... OLD NEW\n\n"
    "Who can do something under NEW that he could not under OLD, and the other way round: by "
    "operator,\n"
    "target, account and ability, with commands, file patterns, addresses, hours and limits. "
    "Equal\n"
    "differences are put together. The decision is compared, not the files: a role that is "
    "renamed or\n"
    "written otherwise and gives the same is no difference. OLD and NEW are directories, or "
    "revisions of\n"
    "the git repository here: REV is the current directory at REV, REV:PATH the directory PATH. A "
    "name\n"
    "that is both is refused; ./NAME is the directory.\n\n"
    "  --at TIME       when the comparison of hours begins (default: now)\n"
    "  --exact         compare every combination, however long it takes; without it, where very "
    "much\n"
    "                  differs, roles are compared one by one\n"
    "  --all           print every name (default: 8 of each)\n"
    "  --json          print JSON, complete\n\n"
    "Command rules, patterns and forwards are compared as they are written. Exit status: 0 the "
    "same, 1\n"
    "different, 2 wrong usage, or a set that cannot be read or has a mistake.\n\n"
    "Examples:\n"
    "  sallyport policy diff HEAD .\n"
    "  sallyport policy diff origin/main:conf/policy conf/policy\n"
    "  sallyport policy diff --json /etc/sallyport new-policy | jq -r "
    "'.changes[].changed[].subject'\n";

struct arguments {
    const char *old, *new, *at;
    uint64_t at_s;
    bool json, all;
    enum diff_how how;
};

static void print_names(const char *title, const char *const *names, size_t count, bool all)
{
    const size_t shown = all || count <= SHOWN_NAMES ? count : SHOWN_NAMES;

    printf("%s", title);
    for (size_t i = 0; i < shown; i++)
        printf("%s%s", i ? ", " : " ", names[i]);
    if (shown < count)
        printf(" and %zu more", count - shown);
    putchar('\n');
}

static void print_texts(const char *sign, char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        printf("      %s ", sign);
        policy_print_text(texts[i]);
        putchar('\n');
    }
}

static bool same_texts(const struct diff_item *item)
{
    if (item->old_count != item->new_count)
        return false;
    for (size_t i = 0; i < item->old_count; i++) {
        if (strcmp(item->old[i], item->new[i]) != 0)
            return false;
    }
    return true;
}

static const char *plural(size_t count)
{
    return count == 1 ? "" : "s";
}

static void print_part(const struct diff *d, const struct diff_part *part, bool all)
{
    char title[100];
    size_t count;
    const char **targets = diff_part_targets(d, part, &count);

    snprintf(title, sizeof title, "  %zu operator%s:", part->operator_count,
             plural(part->operator_count));
    print_names(title, part->operators, part->operator_count, all);
    snprintf(title, sizeof title, "    on %zu target%s:", count, plural(count));
    print_names(title, targets, count, all);
    print_names("    as", part->accounts, part->account_count, all);
    free(targets);
}

static void print_group(const struct diff *d, const struct diff_group *g, bool all)
{
    const size_t shown = all || g->part_count <= SHOWN_PARTS ? g->part_count : SHOWN_PARTS;

    for (size_t i = 0; i < g->change->count; i++) {
        const struct diff_item *item = &g->change->items[i];
        printf("%s: %s\n", item->subject, diff_kind_text(item->kind));
        if (same_texts(item)) { /* the same conditions, and others of the same role differ */
            print_texts("=", item->new, item->new_count);
        } else {
            print_texts("-", item->old, item->old_count);
            print_texts("+", item->new, item->new_count);
        }
    }
    for (size_t i = 0; i < shown; i++)
        print_part(d, &g->parts[i], all);
    if (shown < g->part_count)
        printf("  and %zu more groups of operators with their targets; %zu operators, %" PRIu64
               " combinations with targets and accounts in all\n",
               g->part_count - shown, g->operator_count, g->combinations);
    if (g->old_role_count)
        print_names("  roles before:", g->old_roles, g->old_role_count, all);
    if (g->new_role_count)
        print_names("  roles now:", g->new_roles, g->new_role_count, all);
    putchar('\n');
}

static void print_identities(const struct diff *d, bool all)
{
    for (size_t i = 0; i < d->identity_count;) {
        const enum diff_identity_kind kind = d->identities[i].kind;
        size_t count = 0;
        while (i + count < d->identity_count && d->identities[i + count].kind == kind)
            count++;
        const size_t shown = all || count <= SHOWN_NAMES ? count : SHOWN_NAMES;
        for (size_t k = 0; k < shown; k++) {
            const struct diff_identity *id = &d->identities[i + k];
            printf("%s: %s\n", diff_identity_text(kind), id->name);
            if (id->old[0])
                printf("      - %s\n", id->old);
            if (id->new[0])
                printf("      + %s\n", id->new);
        }
        if (shown < count)
            printf("%s: %zu more\n", diff_identity_text(kind), count - shown);
        i += count;
    }
    if (d->identity_count)
        putchar('\n');
}

static void print_text(const struct diff *d, const struct arguments *a)
{
    print_identities(d, a->all);
    if (!d->exact)
        printf(
            "More differs than can be compared quickly: roles are compared one by one, so what "
            "another role\nof the same operator gives too is told as well. --exact compares every "
            "combination.\n\n");
    for (size_t i = 0; i < d->group_count; i++)
        print_group(d, &d->groups[i], a->all);
    if (!d->group_count && !d->identity_count)
        printf("no difference\n");
}

/* ---- JSON, printed as it comes: it may be larger than memory ---- */

static void put_json(json_t *value)
{
    json_dumpf(value, stdout, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ENCODE_ANY);
    json_decref(value);
}

static void put_names(const char *title, const char *const *names, size_t count)
{
    printf("\"%s\":[", title);
    for (size_t i = 0; i < count; i++) {
        if (i)
            putchar(',');
        put_json(json_string(names[i]));
    }
    putchar(']');
}

static void put_part(const struct diff *d, const struct diff_part *part)
{
    size_t count;
    const char **targets = diff_part_targets(d, part, &count);

    putchar('{');
    put_names("operators", part->operators, part->operator_count);
    putchar(',');
    put_names("accounts", part->accounts, part->account_count);
    putchar(',');
    put_names("targets", targets, count);
    putchar('}');
    free(targets);
}

static void put_group(const struct diff *d, const struct diff_group *g)
{
    fputs("{\"changed\":[", stdout);
    for (size_t i = 0; i < g->change->count; i++) {
        const struct diff_item *item = &g->change->items[i];
        printf("%s{\"subject\":\"%s\",\"kind\":\"%s\",", i ? "," : "", item->subject,
               diff_kind_text(item->kind));
        put_names("old", (const char *const *)item->old, item->old_count);
        putchar(',');
        put_names("new", (const char *const *)item->new, item->new_count);
        putchar('}');
    }
    printf("],\n \"combinations\":%" PRIu64 ",\n ", g->combinations);
    put_names("old_roles", g->old_roles, g->old_role_count);
    fputs(",\n ", stdout);
    put_names("new_roles", g->new_roles, g->new_role_count);
    fputs(",\n \"parts\":[", stdout);
    for (size_t i = 0; i < g->part_count; i++) {
        fputs(i ? ",\n  " : "\n  ", stdout);
        put_part(d, &g->parts[i]);
    }
    fputs("]}", stdout);
}

static void print_json(const struct diff *d)
{
    printf("{\"exact\":%s,\n\"identities\":[", d->exact ? "true" : "false");
    for (size_t i = 0; i < d->identity_count; i++) {
        const struct diff_identity *id = &d->identities[i];
        fputs(i ? ",\n" : "\n", stdout);
        put_json(json_pack("{s:s, s:s, s:s, s:s}", "kind", diff_identity_text(id->kind), "name",
                           id->name, "old", id->old, "new", id->new));
    }
    fputs("],\n\"changes\":[", stdout);
    for (size_t i = 0; i < d->group_count; i++) {
        fputs(i ? ",\n" : "\n", stdout);
        put_group(d, &d->groups[i]);
    }
    fputs("]}\n", stdout);
}

static bool parse(int argc, char **argv, struct policy_options *o, struct arguments *a)
{
    *a = (struct arguments){0};
    policy_options_begin(o);
    for (int c; (c = policy_next_option(o, argc, argv)) != -1;) {
        if (c == 'j')
            a->json = true;
        else if (c == 'a')
            a->all = true;
        else if (c == 't')
            a->at = optarg;
        else if (c == 'e')
            a->how = DIFF_EXACT;
    }
    if (!policy_words(o, argc, argv, 2, "OLD and NEW"))
        return false;
    if (argc - optind < 2) {
        o->status = policy_usage(o, "expected two sets, OLD and NEW");
        return false;
    }
    a->old = argv[optind];
    a->new = argv[optind + 1];
    return true;
}

int cli_policy_diff(int argc, char **argv)
{
    static const struct option table[] = {
        {"at", required_argument, NULL, 't'}, {"exact", no_argument, NULL, 'e'},
        {"all", no_argument, NULL, 'a'},      {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},     {0}};
    struct policy_options o = {.verb = "policy diff", .help = help, .table = table};
    struct policy_source old = {0}, new = {0};
    struct diff_input inputs[2];
    struct arguments a;
    struct diff d = {0};
    struct err e = ERR_INIT;

    if (!parse(argc, argv, &o, &a))
        return o.status;
    int rc = policy_source_load(&old, a.old, NULL, true, &e);
    if (rc == 0)
        rc = policy_source_load(&new, a.new, a.at, true, &e);
    if (rc < 0)
        err_wrap(&e, "%s", new.given ? new.given : old.given);
    if (rc == 0)
        rc = policy_time(new.policy, a.at, &a.at_s, &e);
    if (rc == 0) {
        inputs[0] = (struct diff_input){old.policy, buf_head(&old.block), buf_len(&old.block)};
        inputs[1] = (struct diff_input){new.policy, buf_head(&new.block), buf_len(&new.block)};
        rc = policy_diff(&inputs[0], &inputs[1], a.at_s, a.how, &d, &e);
    }
    const bool differs = d.group_count || d.identity_count;
    if (rc == 0 && a.json)
        print_json(&d);
    else if (rc == 0)
        print_text(&d, &a);
    diff_clear(&d);
    policy_source_clear(&old);
    policy_source_clear(&new);
    return rc < 0 ? policy_trouble("%s", e.text) : differs ? POLICY_FINDINGS : POLICY_FINE;
}
