/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport policy classify [--packs DIR] [--json] -- COMMAND...`. Several words are an argv; one
 * word with blanks is split as the gateway splits an exec request. The old value is of the target,
 * which is not asked here: null. A password among the words is not printed. */
#include "policy/cli_classify.h"

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json_out.h"
#include "base/log.h"
#include "gateway/cli.h"
#include "policy/cli_policy.h"
#include "policy/packs.h"
#include "policy/wrappers.h"

/* As much as one argv can find (PACKS_FOUND_MAX in each of WRAPPER_COMMANDS_MAX), printed. */
#define OUTPUT_MAX   (16u << 20)
#define PACK_MAX     (1u << 20)
#define PACKS_IN_DIR 128

static const char help[] =
    "usage: sallyport policy classify [--packs DIR] [--json] -- COMMAND...\n\n"
    "Which classes of the rule packs a command has, where its wrappers (sudo, env, sh -c, ...) "
    "are\n"
    "looked through; of each the family of tools, the VM, and the new value in bytes.\n\n"
    "  --packs DIR   the packs (default: packs/ of the configuration directory if it is there,\n"
    "                else " SALLYPORT_DATADIR "/packs)\n"
    "  --json        print JSON\n\n"
    "COMMAND is an argv; one word with blanks in it is split as the gateway splits an exec\n"
    "request. The exit status is 0 when the command has a class, 1 when it has none, 2 when the\n"
    "command line is wrong or the packs cannot be read. The format of packs: "
    "sallyport-packs(5).\n";

struct report {
    const struct packs *packs;
    struct json_out *json; /* NULL: for people */
    unsigned depth;
    uint32_t classes;
};

static void print_classes(const struct packs *packs, uint32_t classes)
{
    bool first = true;

    for (unsigned i = 0; i < CLASSES_MAX; i++) {
        if (!(classes & UINT32_C(1) << i))
            continue;
        printf("%s%s", first ? "" : ", ", packs_class_name(packs, UINT32_C(1) << i));
        first = false;
    }
}

static void json_classes(struct json_out *j, const struct packs *packs, uint32_t classes)
{
    json_open_array(j, "classes");
    for (unsigned i = 0; i < CLASSES_MAX; i++) {
        if (classes & UINT32_C(1) << i)
            json_str(j, NULL, packs_class_name(packs, UINT32_C(1) << i));
    }
    json_close(j);
}

static void json_one(const struct report *r, const struct classification *one)
{
    struct json_out *j = r->json;

    json_open_object(j, NULL);
    json_classes(j, r->packs, one->classes);
    json_str(j, "family", one->family);
    json_str(j, "entry", one->entry);
    json_u64(j, "depth", r->depth);
    if (one->vm[0])
        json_bytes(j, "vm", one->vm, strlen(one->vm));
    else
        json_str(j, "vm", NULL);
    json_str(j, "old", NULL);
    if (one->value_text[0]) {
        json_open_object(j, "new");
        json_bytes(j, "text", one->value_text, strlen(one->value_text));
        json_str(j, "unit", one->value_count ? "count" : "bytes");
        if (one->value_known)
            json_u64(j, "value", one->value);
        else
            json_str(j, "value", NULL);
        json_bool(j, "relative", one->value_relative);
        json_bool(j, "negative", one->value_negative);
        json_close(j);
    } else {
        json_str(j, "new", NULL);
    }
    json_bool(j, "secret", one->secret_word != 0);
    json_close(j);
}

static void print_one(const struct report *r, const struct classification *one)
{
    char text[1100];

    printf("%s", r->classes ? "\n" : "");
    printf("class   ");
    print_classes(r->packs, one->classes);
    printf("\nfamily  %s (%s)\n", one->family, one->entry);
    if (r->depth)
        printf("depth   %u, within a wrapper\n", r->depth);
    escape_text(text, sizeof text, one->vm, strlen(one->vm));
    printf("vm      %s\n", one->vm[0] ? text : "unknown");
    printf("old     unknown\n");
    if (!one->value_text[0]) {
        printf("new     unknown\n");
        return;
    }
    escape_text(text, sizeof text, one->value_text, strlen(one->value_text));
    if (one->value_known)
        printf("new     %s%llu %s (\"%s\")\n",
               one->value_negative   ? "-"
               : one->value_relative ? "+"
                                     : "",
               (unsigned long long)one->value, one->value_count ? "in number" : "bytes", text);
    else
        printf("new     unknown (\"%s\")\n", text);
}

static int on_found(void *arg, const struct classification *one)
{
    struct report *r = arg;

    if (r->json)
        json_one(r, one);
    else
        print_one(r, one);
    r->classes |= one->classes;
    return 0;
}

static int on_command(void *arg, const struct words *inner, unsigned depth)
{
    struct report *r = arg;

    r->depth = depth;
    return packs_each(r->packs, inner, on_found, r, NULL);
}

static int load_file(struct packs *packs, const char *dir, const char *name, struct err *e)
{
    char *path = cli_printf("%s/%s", dir, name);
    struct buf bytes;
    int rc = cli_read_file(path, PACK_MAX, &bytes, e);

    if (rc == 0) {
        struct yaml_doc *doc = yaml_parse(path, buf_head(&bytes), buf_len(&bytes), e);
        rc = doc ? packs_load(packs, doc, e) : ERR_SYNTAX;
        yaml_doc_free(doc);
        buf_clear(&bytes);
    }
    free(path);
    return rc;
}

static int is_pack(const struct dirent *entry)
{
    const size_t len = strlen(entry->d_name);

    return entry->d_name[0] != '.' && len > 5 && strcmp(entry->d_name + len - 5, ".yaml") == 0;
}

static int load_dir(struct packs *packs, const char *dir, struct err *e)
{
    struct dirent **names;
    const int count = scandir(dir, &names, is_pack, alphasort);
    int rc = 0;

    if (count < 0)
        return err_errno(e, "cannot read %s", dir);
    if (!count)
        rc = err_set(e, ERR_NOT_FOUND, "%s: found no pack (NAME.yaml)", dir);
    for (int i = 0; i < count; i++) {
        if (rc == 0)
            rc = load_file(packs, dir, names[i]->d_name, e);
        free(names[i]);
    }
    free(names);
    return rc;
}

/* The gateway's own where there are some, else those that were installed. */
static char *default_dir(void)
{
    char *dir = cli_printf("%s/packs", cli_confdir(NULL));

    if (access(dir, F_OK) == 0)
        return dir;
    free(dir);
    return cli_printf("%s/packs", SALLYPORT_DATADIR);
}

/* The command's words: an argv as it stands, or a text. */
static int take_words(int count, char **words, struct words *out, struct err *e)
{
    out->count = 0;
    out->text = NULL;
    if (count == 1 && strchr(words[0], ' '))
        return words_split(words[0], strlen(words[0]), out, e);
    if (count > WORDS_MAX)
        return err_set(e, ERR_INPUT, "found %d words, expected at most %d", count, WORDS_MAX);
    for (int i = 0; i < count; i++)
        out->word[out->count++] = words[i];
    return 0;
}

static int report_json(struct report *r, const struct words *argv, bool *opaque, struct err *e)
{
    struct json_out j;
    struct buf out;

    buf_init(&out, OUTPUT_MAX);
    json_begin(&j, &out);
    json_open_array(&j, "found");
    r->json = &j;
    int rc = wrappers_walk(argv, on_command, r, opaque, e);
    json_close(&j);
    json_classes(&j, r->packs, r->classes);
    json_bool(&j, "opaque", *opaque);
    if (json_end(&j) < 0 && rc == 0)
        rc = err_set(e, ERR_FULL, "the answer is too long");
    if (rc == 0)
        printf("%.*s\n", (int)buf_len(&out), (const char *)buf_head(&out));
    buf_clear(&out);
    return rc;
}

static int classify(const struct packs *packs, const struct words *argv, bool json)
{
    struct report r = {.packs = packs};
    struct err e = ERR_INIT;
    bool opaque = false;
    int rc = json ? report_json(&r, argv, &opaque, &e)
                  : wrappers_walk(argv, on_command, &r, &opaque, &e);

    if (rc < 0)
        return policy_trouble("%s", e.text[0] ? e.text : err_text((enum err_code)rc));
    if (!json && !r.classes)
        printf("no class\n");
    if (!json && opaque)
        printf("%sit runs something that its text does not show\n", r.classes ? "\n" : "");
    return r.classes ? POLICY_FINE : POLICY_FINDINGS;
}

static int run(int count, char **words, const char *given, bool json)
{
    struct packs *packs = packs_new();
    char *dir = given ? cli_printf("%s", given) : default_dir();
    struct err e = ERR_INIT;
    struct words argv;
    int status = POLICY_TROUBLE;

    if (!packs)
        cli_fail("out of memory");
    else if (load_dir(packs, dir, &e) < 0)
        cli_fail("%s", e.text);
    else if (take_words(count, words, &argv, &e) < 0)
        cli_fail("the command: %s", e.text);
    else {
        status = classify(packs, &argv, json);
        words_clear(&argv);
    }
    packs_free(packs);
    free(dir);
    return status;
}

int cli_policy_classify(int argc, char **argv)
{
    static const struct option options[] = {{"packs", required_argument, NULL, 'p'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const char *packs = NULL;
    bool json = false;

    optind = 1;
    opterr = 0;
    /* "+": the command's own options are no options of this. */
    for (int c; (c = getopt_long(argc, argv, "+:h", options, NULL)) != -1;) {
        switch (c) {
        case 'p':
            packs = optarg;
            break;
        case 'j':
            json = true;
            break;
        case 'h':
            fputs(help, stdout);
            return CLI_DONE;
        default:
            return cli_bad_option("policy classify", c, argv);
        }
    }
    if (optind == argc)
        return cli_usage("policy classify", "expected a command");
    return run(argc - optind, argv + optind, packs, json);
}
