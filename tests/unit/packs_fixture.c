/* SPDX-License-Identifier: Apache-2.0
 *
 * The shipped packs for tests (tests/unit/packs_fixture.h). */
#include "tests/unit/packs_fixture.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int is_pack(const struct dirent *entry)
{
    const size_t len = strlen(entry->d_name);

    return len > 5 && strcmp(entry->d_name + len - 5, ".yaml") == 0;
}

static void load(struct packs *packs, const char *name)
{
    char path[512];
    struct err e = ERR_INIT;
    static char text[1 << 20];

    snprintf(path, sizeof path, "%s/%s", PACKS_DIR, name);
    FILE *f = fopen(path, "r");
    INVARIANT(f);
    const size_t len = fread(text, 1, sizeof text, f);
    fclose(f);
    struct yaml_doc *doc = yaml_parse(path, text, len, &e);
    if (!doc || packs_load(packs, doc, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        abort();
    }
    yaml_doc_free(doc);
}

const struct packs *fixture_packs(void)
{
    static struct packs *packs;
    struct dirent **names;

    if (packs)
        return packs;
    packs = packs_new();
    const int count = scandir(PACKS_DIR, &names, is_pack, alphasort);
    INVARIANT(packs && count >= 12);
    for (int i = 0; i < count; i++) {
        load(packs, names[i]->d_name);
        free(names[i]);
    }
    free(names);
    return packs;
}

struct packs *fixture_pack_text(const char *text, struct err *e)
{
    struct packs *packs = packs_new();
    struct yaml_doc *doc = yaml_parse("packs/test.yaml", text, strlen(text), e);

    INVARIANT(packs);
    if (!doc || packs_load(packs, doc, e) < 0) {
        packs_free(packs);
        packs = NULL;
    }
    yaml_doc_free(doc);
    return packs;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char *fixture_class_names(const struct packs *packs, uint32_t classes, char out[256])
{
    const char *names[CLASSES_MAX];
    size_t n = 0, at = 0;

    for (unsigned i = 0; i < CLASSES_MAX; i++) {
        if (classes & UINT32_C(1) << i)
            names[n++] = packs_class_name(packs, UINT32_C(1) << i);
    }
    qsort(names, n, sizeof *names, by_text);
    strcpy(out, n ? "" : "-");
    for (size_t i = 0; i < n; i++)
        at += (size_t)sprintf(out + at, "%s%s", i ? "," : "", names[i]);
    return out;
}
