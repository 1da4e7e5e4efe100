/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport policy explain`: one question, and the whole path to the answer (policy/explain.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/yaml_tree.h"
#include "gateway/cli.h"
#include "policy/cli_policy.h"
#include "policy/explain.h"

static const char help[] =
    "usage: sallyport policy explain --as OPERATOR --on TARGET [OPTION]... [DIR]\n\n"
    "Asks the policy set in DIR (default: the configuration directory) one question, and tells "
    "how it\n"
    "decides: for each of the operator's roles what fits and what does not, with its place in the "
    "files;\n"
    "what the matching roles give together; which rule answers.\n\n"
    "  --as NAME       the operator\n"
    "  --on TARGET     the target's name or alias\n"
    "  --account NAME  the account there (default: root)\n"
    "  --from ADDRESS  where the operator comes from (default: 192.0.2.1, which is nobody's)\n"
    "  --at TIME       when, as in \"2026-03-02 10:00 Asia/Seoul\" (default: now)\n"
    "  --factors LIST  what was used to log in: key, password, totp (default: key,totp)\n"
    "  --remembered AGE  a remembered login of that age instead of a code, as in 3h\n"
    "  --run COMMAND   may this be run?\n"
    "  --shell         a shell?\n"
    "  --sftp-read PATH, --sftp-write PATH\n"
    "                  may this file be read, or written?\n"
    "  --forward HOST:PORT\n"
    "                  may the target be asked to connect there?\n"
    "  --json          print JSON\n\n"
    "Without a question it is whether a session may begin. Exit status: 0 allowed, 1 denied, 2 "
    "wrong\n"
    "usage, a set that cannot be loaded, or that does not have the operator or the target.\n\n"
    "Examples:\n"
    "  sallyport policy explain --as alice --on hv1 --from 10.20.1.4\n"
    "  sallyport policy explain --as alice --on hv1 --run 'virsh start web1' conf/policy\n"
    "  sallyport policy explain --as bob --on hv1 --at '2026-03-01 03:00 UTC' --shell --json\n";

struct arguments {
    const char *dir, *at;
    struct policy_request request;
    struct policy_ask ask;
    bool asked, json;
};

/* "key,totp" */
static bool take_factors(struct policy_options *o, const char *text, uint32_t *factors)
{
    static const struct {
        const char *name;
        uint32_t bit;
    } known[] = {{"key", FACTOR_KEY}, {"password", FACTOR_PASSWORD}, {"totp", FACTOR_TOTP}};
    char *copy = cli_printf("%s", text), *rest = copy;

    *factors &= FACTOR_REMEMBERED;
    for (char *word; o->status < 0 && (word = strsep(&rest, ","));) {
        size_t i = 0;
        while (i < 3 && strcmp(known[i].name, word) != 0)
            i++;
        if (i == 3)
            o->status =
                policy_usage(o, "--factors: found \"%s\", expected key, password or totp", word);
        else
            *factors |= known[i].bit;
    }
    free(copy);
    return o->status < 0;
}

/* "3h": as durations in the files. */
static bool take_age(struct policy_options *o, const char *text, uint64_t *age_s)
{
    char *end;
    const unsigned long long value = strtoull(text, &end, 10);
    const uint64_t unit = *end == 's'   ? 1
                          : *end == 'm' ? 60
                          : *end == 'h' ? 3600
                          : *end == 'd' ? 86400
                                        : 0;

    if (text[0] < '0' || text[0] > '9' || !unit || end[1] || value > 30 * UINT64_C(86400))
        o->status = policy_usage(
            o, "--remembered: found \"%s\", expected an age such as 90s, 15m, 8h or 2d", text);
    else
        *age_s = value * unit;
    return o->status < 0;
}

static bool take_question(struct policy_options *o, struct arguments *a, enum ask_kind kind,
                          const char *text)
{
    if (a->asked)
        o->status = policy_usage(o, "found two questions, expected one");
    a->asked = true;
    a->ask = (struct policy_ask){kind, text, text ? strlen(text) : 0};
    return o->status < 0;
}

enum { OPT_FACTORS = 256, OPT_REMEMBERED, OPT_RUN, OPT_SHELL, OPT_READ, OPT_WRITE, OPT_FORWARD };

static bool take_option(struct policy_options *o, int c, struct arguments *a)
{
    struct err e = ERR_INIT;

    switch (c) {
    case 'a':
        a->request.operator_name = optarg;
        return true;
    case 'o':
        a->request.target = optarg;
        return true;
    case 'u':
        a->request.account = optarg;
        return true;
    case 'f':
        if (address_parse(optarg, &a->request.source, &e) < 0)
            o->status = policy_usage(o, "--from: %s", e.text);
        return o->status < 0;
    case 't':
        a->at = optarg;
        return true;
    case OPT_FACTORS:
        return take_factors(o, optarg, &a->request.factors);
    case OPT_REMEMBERED:
        a->request.factors =
            (a->request.factors & ~(uint32_t)FACTOR_TOTP) | (uint32_t)FACTOR_REMEMBERED;
        return take_age(o, optarg, &a->request.remembered_age_s);
    case OPT_RUN:
        return take_question(o, a, ASK_EXEC, optarg);
    case OPT_SHELL:
        return take_question(o, a, ASK_SHELL, NULL);
    case OPT_READ:
        return take_question(o, a, ASK_SFTP_READ, optarg);
    case OPT_WRITE:
        return take_question(o, a, ASK_SFTP_WRITE, optarg);
    case OPT_FORWARD:
        return take_question(o, a, ASK_FORWARD, optarg);
    default:
        a->json = true;
        return true;
    }
}

static bool parse(int argc, char **argv, struct policy_options *o, struct arguments *a)
{
    struct err e = ERR_INIT;

    *a = (struct arguments){.request = {.account = "root", .factors = FACTOR_KEY | FACTOR_TOTP}};
    INVARIANT(address_parse("192.0.2.1", &a->request.source, &e) == 0);
    policy_options_begin(o);
    for (int c; (c = policy_next_option(o, argc, argv)) != -1;) {
        if (!take_option(o, c, a))
            return false;
    }
    if (!policy_words(o, argc, argv, 1, "one directory"))
        return false;
    if (!a->request.operator_name || !a->request.target)
        o->status = policy_usage(o, "expected --as OPERATOR and --on TARGET");
    else if (optind < argc)
        a->dir = argv[optind];
    return o->status < 0;
}

/* The nearest name, so that a slip is no denial that one has to think about. */
static void hint_names(const struct policy *p, const struct policy_explanation *x,
                       const struct arguments *a)
{
    const size_t operators = policy_operator_count(p), targets = policy_target_count(p);
    const char **names = calloc((operators > targets ? operators : targets) + 1, sizeof *names);
    const char *near = NULL;

    for (size_t i = 0; names && !x->operator_known && i < operators; i++)
        names[i] = policy_operator_at(p, i)->name;
    if (names && !x->operator_known)
        near = nearest_word(a->request.operator_name, names);
    if (near)
        fprintf(stderr, "sallyport: did you mean the operator \"%s\"?\n", near);
    near = NULL;
    if (names && !x->target_known) {
        for (size_t i = 0; i < targets; i++)
            names[i] = policy_target_at(p, (uint32_t)i)->name;
        names[targets] = NULL;
        near = nearest_word(a->request.target, names);
    }
    if (near)
        fprintf(stderr, "sallyport: did you mean the target \"%s\"?\n", near);
    free(names);
}

static void print_key(const struct explained_key *k)
{
    printf("    %-8s  %-4s  ", k->name, k->fits ? "fits" : "NO");
    policy_print_text(k->asked);
    fputs(k->fits ? "  <-  " : "  <-/-  ", stdout);
    policy_print_text(k->found);
    if (k->file)
        printf("  (%s:%u:%u)", k->file, k->line, k->column);
    putchar('\n');
}

static bool answered(const struct policy_explanation *x)
{
    return x->asked ? x->answer.allowed : x->decision.allowed;
}

static void print_text(const struct policy_explanation *x)
{
    const char *because = x->asked ? x->answer.because : x->decision.because;

    printf("%s because %s\n", answered(x) ? "allowed" : "denied", because);
    if (x->asked && x->answer.text[0])
        printf("%s: %s\n", x->answer.allowed ? "runs" : "the operator is told", x->answer.text);
    else if (!x->decision.allowed)
        printf("the operator is told: %s\n", x->decision.reason);
    if (x->operator_known && x->operator_from.name) {
        printf("\nthe operator\n");
        print_key(&x->operator_from);
    }
    for (size_t i = 0; i < x->role_count; i++) {
        const struct explained_role *r = &x->roles[i];
        printf("\nrole %s (%s:%u) %s\n", r->name, r->file, r->line,
               r->matches ? "matches" : "does not match");
        for (int k = 0; k < EXPLAINED_KEYS; k++)
            print_key(&r->keys[k]);
    }
    if (x->part_count)
        printf("\ntogether\n");
    for (size_t i = 0; i < x->part_count; i++) {
        printf("    %-10s  ", x->parts[i].what);
        policy_print_text(x->parts[i].value);
        printf("  (%s)\n", x->parts[i].role);
    }
}

static json_t *key_json(const struct explained_key *k)
{
    json_t *o = json_pack("{s:s, s:b, s:s, s:s}", "key", k->name, "fits", (int)k->fits, "asked",
                          k->asked, "found", k->found);

    if (k->file && o) {
        json_object_set_new(o, "file", json_string(k->file));
        json_object_set_new(o, "line", json_integer(k->line));
        json_object_set_new(o, "column", json_integer(k->column));
    }
    return o ? o : json_null();
}

static void print_json(const struct policy_explanation *x)
{
    json_t *roles = json_array(), *parts = json_array();

    for (size_t i = 0; i < x->role_count; i++) {
        const struct explained_role *r = &x->roles[i];
        json_t *keys = json_array();
        for (int k = 0; k < EXPLAINED_KEYS; k++)
            json_array_append_new(keys, key_json(&r->keys[k]));
        json_array_append_new(roles, json_pack("{s:s, s:s, s:I, s:b, s:o}", "role", r->name, "file",
                                               r->file, "line", (json_int_t)r->line, "matches",
                                               (int)r->matches, "keys", keys));
    }
    for (size_t i = 0; i < x->part_count; i++)
        json_array_append_new(parts, json_pack("{s:s, s:s, s:s}", "what", x->parts[i].what, "value",
                                               x->parts[i].value, "role", x->parts[i].role));
    policy_print_json(json_pack(
        "{s:b, s:s, s:s, s:o, s:o, s:o}", "allowed", (int)answered(x), "because",
        x->asked ? x->answer.because : x->decision.because, "text",
        x->asked ? x->answer.text : x->decision.reason, "operator_from",
        x->operator_known && x->operator_from.name ? key_json(&x->operator_from) : json_null(),
        "roles", roles, "together", parts));
}

int cli_policy_explain(int argc, char **argv)
{
    static const struct option table[] = {{"as", required_argument, NULL, 'a'},
                                          {"on", required_argument, NULL, 'o'},
                                          {"account", required_argument, NULL, 'u'},
                                          {"from", required_argument, NULL, 'f'},
                                          {"at", required_argument, NULL, 't'},
                                          {"factors", required_argument, NULL, OPT_FACTORS},
                                          {"remembered", required_argument, NULL, OPT_REMEMBERED},
                                          {"run", required_argument, NULL, OPT_RUN},
                                          {"shell", no_argument, NULL, OPT_SHELL},
                                          {"sftp-read", required_argument, NULL, OPT_READ},
                                          {"sftp-write", required_argument, NULL, OPT_WRITE},
                                          {"forward", required_argument, NULL, OPT_FORWARD},
                                          {"json", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    struct policy_options o = {.verb = "policy explain", .help = help, .table = table};
    struct policy_explanation x = {0};
    struct policy_source s = {0};
    struct arguments a;
    struct err e = ERR_INIT;
    bool allowed = false, known = false;

    if (!parse(argc, argv, &o, &a))
        return o.status;
    int rc = policy_source_load(&s, a.dir, a.at, false, &e);
    if (rc == 0)
        rc = policy_time(s.policy, a.at, &a.request.now_s, &e);
    if (rc == 0) {
        rc = policy_explain(s.policy, &a.request, a.asked ? &a.ask : NULL, &x, &e);
        if (rc == 0) {
            allowed = answered(&x);
            known = x.operator_known && x.target_known;
            hint_names(s.policy, &x, &a);
            if (a.json)
                print_json(&x);
            else
                print_text(&x);
        }
        policy_explanation_clear(&x);
    }
    policy_source_clear(&s);
    if (rc < 0)
        return policy_trouble("%s", e.text);
    return allowed ? POLICY_FINE : known ? POLICY_FINDINGS : POLICY_TROUBLE;
}
