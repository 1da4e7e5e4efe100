/* SPDX-License-Identifier: Apache-2.0
 *
 * What the real loaders say of documents, for tests/schema_check. One JSON object a line on
 * standard input; the first is what every document is loaded beside:
 *
 *     {"files": {NAME: TEXT, ...}, "zones": [NAME, ...]}      files of a policy set; time zones
 *     {"name": NAME, "text": TEXT}                            a document: NAME as in a set
 *
 * For each document one line: {"error": TEXT}, or {} where it is taken. NAME approvers.yaml is read
 * by its own loader; any other takes its place in a copy of the set, which is loaded, and whose
 * tests are run when NAME is one of them (their outcome does not matter here). */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/approvers.h"
#include "policy/bundle.h"
#include "policy/policy_tests.h"
#include "policy/zone.h"

#define SET_MAX  (1u * 1024 * 1024) /* a small set, and one document of it */
#define FILE_MAX 64                 /* files of the set */

struct file {
    const char *name, *text;
    size_t len;
};

struct set {
    struct file files[FILE_MAX + 1]; /* and the document's */
    size_t count;
};

static void fail(const char *what, const char *which)
{
    fprintf(stderr, "schema_parser: %s %s\n", what, which);
    exit(EXIT_FAILURE);
}

static void add_file(struct set *set, const char *name, const char *text, size_t len)
{
    if (set->count == FILE_MAX)
        fail("too many files beside", name);
    set->files[set->count++] = (struct file){name, text, len};
}

static void add_zone(struct set *set, const char *zone)
{
    char path[256], *name = malloc(256), *bytes = malloc(ZONE_FILE_MAX);

    if (!name || !bytes)
        fail("no memory for", zone);
    snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", zone);
    snprintf(name, 256, BUNDLE_ZONES "%s", zone);
    FILE *f = fopen(path, "r");
    if (!f)
        fail("cannot read", path);
    const size_t len = fread(bytes, 1, ZONE_FILE_MAX, f);
    fclose(f);
    add_file(set, name, bytes, len);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct file *)a)->name, ((const struct file *)b)->name);
}

/* The set with the document in it, as bundle_read gives it. */
static void make_block(const struct set *beside, const struct file *document, struct buf *out)
{
    struct set set = *beside;
    size_t i = 0;

    while (i < set.count && strcmp(set.files[i].name, document->name) != 0)
        i++;
    set.files[i] = *document;
    set.count += i == set.count;
    qsort(set.files, set.count, sizeof set.files[0], by_name);
    for (i = 0; i < set.count; i++) {
        const struct file *f = &set.files[i];
        const size_t name = strlen(f->name);
        uint8_t *p = buf_reserve(out, 2 + name + 4 + f->len);
        if (!p)
            fail("a set that is too large with", f->name);
        wire_store_u16(p, (uint16_t)name);
        memcpy(p + 2, f->name, name);
        wire_store_u32(p + 2 + name, (uint32_t)f->len);
        memcpy(p + 6 + name, f->text, f->len);
        buf_commit(out, 6 + name + f->len);
    }
}

static int load(const struct set *beside, const struct file *document, struct err *e)
{
    struct policy *policy;
    struct buf block;
    size_t run, failed;
    int rc = 0;

    if (strcmp(document->name, APPROVERS_FILE) == 0) {
        struct approvers *a = approvers_parse(document->name, document->text, document->len, e);
        rc = a ? 0 : ERR_SYNTAX;
        approvers_free(a);
        return rc;
    }
    buf_init(&block, SET_MAX);
    make_block(beside, document, &block);
    policy = policy_load(buf_head(&block), buf_len(&block), NULL, e);
    if (!policy)
        rc = ERR_SYNTAX;
    else if (strncmp(document->name, "roles.d/tests/", 14) == 0)
        rc = policy_tests_run(policy, buf_head(&block), buf_len(&block), NULL, NULL, &run, &failed,
                              e);
    policy_free(policy);
    buf_clear(&block);
    return rc;
}

static json_t *next_line(char **line, size_t *cap)
{
    json_error_t why;

    if (getline(line, cap, stdin) < 0)
        return NULL;
    json_t *found = json_loads(*line, 0, &why);
    if (!found)
        fail("a line that is no JSON:", why.text);
    return found;
}

int main(void)
{
    static struct set beside;
    char *line = NULL;
    size_t cap = 0, i;
    const char *name;
    json_t *value, *document, *first = next_line(&line, &cap);

    if (!first)
        fail("found nothing, expected", "the set");
    json_object_foreach(json_object_get(first, "files"), name, value)
        add_file(&beside, name, json_string_value(value), json_string_length(value));
    json_array_foreach(json_object_get(first, "zones"), i, value)
        add_zone(&beside, json_string_value(value));
    while ((document = next_line(&line, &cap))) {
        const json_t *text = json_object_get(document, "text");
        const struct file file = {json_string_value(json_object_get(document, "name")),
                                  json_string_value(text), json_string_length(text)};
        struct err e = ERR_INIT;
        if (!file.name || !file.text)
            fail("a line without name or text:", line);
        json_t *answer = load(&beside, &file, &e) < 0
                             ? json_pack("{s:s}", "error", e.text[0] ? e.text : "no reason")
                             : json_object();
        if (!answer || json_dumpf(answer, stdout, JSON_COMPACT) < 0 || putchar('\n') == EOF)
            fail("cannot write what was found of", file.name);
        json_decref(answer);
        json_decref(document);
    }
    json_decref(first);
    free(line);
    return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}
