/* SPDX-License-Identifier: Apache-2.0
 *
 * The examples that pack.schema.json is tested with, against the loader: both take and refuse the
 * same files. invalid-parser-only/ has what a schema cannot say: names that must be declared,
 * things that may be there once. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/packs_fixture.h"

static int is_example(const struct dirent *entry)
{
    const size_t len = strlen(entry->d_name);

    return len > 5 && strcmp(entry->d_name + len - 5, ".yaml") == 0;
}

static void check_folder(const char *folder, bool valid, int least)
{
    struct dirent **names;
    char dir[512], path[1024], text[8192];

    snprintf(dir, sizeof dir, "%s/%s", PACK_EXAMPLES_DIR, folder);
    const int count = scandir(dir, &names, is_example, alphasort);
    cr_assert_geq(count, least, "%s: found %d examples", dir, count);
    for (int i = 0; i < count; i++) {
        struct err e = ERR_INIT;
        snprintf(path, sizeof path, "%s/%s", dir, names[i]->d_name);
        FILE *f = fopen(path, "r");
        cr_assert(f);
        text[fread(text, 1, sizeof text - 1, f)] = 0;
        fclose(f);
        struct packs *packs = fixture_pack_text(text, &e);
        cr_expect((packs != NULL) == valid, "%s: %s", path, packs ? "loads" : e.text);
        packs_free(packs);
        free(names[i]);
    }
    free(names);
}

Test(policy_packs_examples, all)
{
    check_folder("valid", true, 6);
    check_folder("invalid", false, 30);
    check_folder("invalid-parser-only", false, 5);
}
