/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport policy VERB`: finds the verb; options, sets and output that the verbs share. */
#include "policy/cli_policy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/yaml_tree.h"
#include "gateway/cli.h"
#include "policy/bundle.h"
#include "policy/cli_approval.h"
#include "policy/cli_classify.h"

static const char help[] =
    "usage: sallyport policy VERB [OPTION]...\n\n"
    "The policy set: who may do what on which target, and what a change of it would change.\n\n"
    "  check       every mistake of a set, with file, line and column; then its tests\n"
    "  test        run the set's tests\n"
    "  explain     one question, and the whole path to its answer\n"
    "  who-can     who may do something on a target\n"
    "  diff        who could do what, and can no longer, between two sets or git revisions\n"
    "  classify    which classes of the rule packs a command has\n"
    "  fmt         one layout for the files, with their comments\n"
    "  load        put the configuration directory's set into force\n\n"
    "Where approvers are set (approvers.yaml), a change of the policy wants two persons:\n\n"
    "  manifest    list the files of a policy set, to be signed\n"
    "  sign        sign the manifest, as its author or as an approver\n"
    "  verify      check a set's manifest and signatures as the gateway does\n\n"
    "A set is a directory with operators.yaml, targets.yaml and roles.d/: sallyport-roles(5). "
    "All but\n"
    "`load` need neither root nor, where they are told what is in force, a gateway. The exit "
    "status is 0\n"
    "when all is fine, 1 with findings, 2 when there is no answer: the command line is wrong, or "
    "what it\n"
    "names cannot be read.\n"
    "`sallyport policy VERB --help` tells more about each.\n";

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} verbs[] = {
    {"check", cli_policy_check},       {"test", cli_policy_test},
    {"explain", cli_policy_explain},   {"who-can", cli_policy_who_can},
    {"diff", cli_policy_diff},         {"classify", cli_policy_classify},
    {"fmt", cli_policy_fmt},           {"load", cli_policy_load},
    {"manifest", cli_policy_manifest}, {"sign", cli_policy_sign},
    {"verify", cli_policy_verify},
};

int policy_trouble(const char *format, ...)
{
    char text[ERR_TEXT_MAX];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    cli_fail("%s", text);
    return POLICY_TROUBLE;
}

/* An answer of which a part is lost is none. A reader who has enough and goes (head) says nothing
 * against it, but he gets no status of a whole answer either. */
static int said_whole(int status)
{
    struct err e = ERR_INIT;

    errno = EIO;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    err_errno(&e, "the answer cannot be written");
    return policy_trouble("%s", e.text);
}

int cli_policy(int argc, char **argv)
{
    const char *words[sizeof verbs / sizeof *verbs + 1] = {NULL};

    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(help, stdout);
        return CLI_DONE;
    }
    if (argc < 2) {
        fputs(help, stderr);
        return CLI_USAGE;
    }
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(argv[1], verbs[i].name) == 0)
            return said_whole(verbs[i].run(argc - 1, argv + 1));
        words[i] = verbs[i].name;
    }
    const char *nearest = nearest_word(argv[1], words);
    char shown[256];
    escape_text(shown, sizeof shown, argv[1], strnlen(argv[1], 64));
    if (nearest)
        return cli_usage("policy", "there is no verb \"%s\" (did you mean \"%s\"?)", shown,
                         nearest);
    return cli_usage("policy", "there is no verb \"%s\"", shown);
}

void policy_options_begin(struct policy_options *o)
{
    o->status = -1;
    opterr = 0;
    optind = 1;
}

/* What getopt_long did not take, with the nearest option that there is. */
static int bad_option(const struct policy_options *o, int c, char **argv)
{
    const char *words[32] = {NULL};
    char name[64];
    size_t n = 0;

    if (c == ':' || (optopt > 0 && optopt < 128 && argv[optind - 1][1] != '-'))
        return cli_bad_option(o->verb, c, argv);
    for (; o->table[n].name && n < 31; n++)
        words[n] = o->table[n].name;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(argv[optind - 1] + 2, "="),
             argv[optind - 1] + 2);
    const char *nearest = nearest_word(name, words);
    if (nearest)
        return cli_usage(o->verb, "there is no option --%s (did you mean \"--%s\"?)", name,
                         nearest);
    return cli_usage(o->verb, "there is no option --%s", name);
}

int policy_next_option(struct policy_options *o, int argc, char **argv)
{
    int c = getopt_long(argc, argv, o->shorts ? o->shorts : ":h", o->table, NULL);

    if (c == 'h') {
        fputs(o->help, stdout);
        o->status = CLI_DONE;
    } else if (c == '?' || c == ':') {
        o->status = bad_option(o, c, argv);
    } else {
        return c;
    }
    return -1;
}

int policy_usage(const struct policy_options *o, const char *format, ...)
{
    char text[1000];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    return cli_usage(o->verb, "%s", text);
}

bool policy_words(struct policy_options *o, int argc, char **argv, int max, const char *what)
{
    if (o->status < 0 && argc - optind > max)
        o->status = policy_usage(o, "found \"%s\", expected %s", argv[optind + max], what);
    return o->status < 0;
}

/* Whose files: of a directory that was named, anybody's, because a decision is made elsewhere, and
 * a check-out in CI belongs to whom it likes. What the gateway will load is read as it reads it. */
static int read_directory(struct policy_source *s, unsigned owner_uid, struct err *e)
{
    int rc, dir = open(s->given, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (dir < 0)
        return err_errno(e, "%s", s->given);
    rc = bundle_read_files(dir, owner_uid, &s->block, e);
    close(dir);
    return rc;
}

/* Where a directory and a revision have one name, neither is taken: who proposes a change could put
 * a directory "origin/main" into it, and have it compared with itself. */
static int check_directory(const char *given, struct err *e)
{
    int rc;

    if (given[0] == '/' || strcmp(given, ".") == 0 || strcmp(given, "..") == 0 ||
        strncmp(given, "./", 2) == 0 || strncmp(given, "../", 3) == 0)
        return 0;
    rc = policy_git_knows(given, e);
    if (rc < 0)
        return err_wrap(e, "cannot tell whether it is a revision, too (./%s is none)", given);
    return rc == 0 ? 0
                   : err_set(e, ERR_INPUT,
                             "found a directory and a revision of that name, expected ./%s for the "
                             "directory, or the commit's hash",
                             given);
}

int policy_source_read(struct policy_source *s, const char *given, const char *at, bool revisions,
                       struct err *e)
{
    const unsigned owner_uid = given ? BUNDLE_ANY_OWNER : 0;
    const char *zone = at ? strrchr(at, ' ') : NULL;
    struct stat st;
    int rc;

    memset(s, 0, sizeof *s);
    buf_init(&s->block, BUNDLE_MAX);
    s->strict = !given;
    s->given = given ? given : cli_confdir(NULL);
    if (!revisions || !given || (stat(given, &st) == 0 && S_ISDIR(st.st_mode))) {
        rc = given && revisions ? check_directory(given, e) : 0;
        if (rc == 0)
            rc = read_directory(s, owner_uid, e);
    } else {
        s->revision = true;
        rc = policy_git_read(given, &s->block, e);
    }
    return rc == 0 ? bundle_add_zones(owner_uid, zone ? zone + 1 : NULL, &s->block, e) : rc;
}

int policy_source_load(struct policy_source *s, const char *given, const char *at, bool revisions,
                       struct err *e)
{
    int rc = policy_source_read(s, given, at, revisions, e);

    if (rc < 0)
        return rc;
    s->policy = policy_load(buf_head(&s->block), buf_len(&s->block), NULL, e);
    return s->policy ? 0 : e->code < 0 ? e->code : ERR_SYNTAX;
}

int policy_time(const struct policy *p, const char *text, uint64_t *now_s, struct err *e)
{
    if (text)
        return policy_moment(p, text, now_s, e);
    *now_s = clock_real_ns() / 1000000000u;
    return 0;
}

void policy_source_clear(struct policy_source *s)
{
    policy_free(s->policy);
    buf_clear(&s->block);
    s->policy = NULL;
}

void policy_print_json(json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    putchar('\n');
    json_decref(value);
}

void policy_print_text(const char *text)
{
    char shown[4096];

    fputs(escape_text(shown, sizeof shown, text, strlen(text)), stdout);
}
