/* SPDX-License-Identifier: Apache-2.0
 *
 * Rule packs. The first byte says what follows: 0 a grant's packs and a command (two bytes say how
 * long the packs are), 1 a pack file and a command (likewise), else a command for the shipped
 * packs. What loads or decodes can be encoded, decodes again and finds the same; a class alone
 * finds what all find of it; a refusal says why. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire.h"
#include "policy/packs_set.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct packs *shipped, *carried_one[8]; /* with the n-th class alone */

static void check(bool holds)
{
    if (!holds)
        abort();
}

static int is_pack(const struct dirent *entry)
{
    const size_t len = strlen(entry->d_name);

    return len > 5 && strcmp(entry->d_name + len - 5, ".yaml") == 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static char text[1 << 20];
    struct dirent **names;
    char path[512];

    (void)argc;
    (void)argv;
    shipped = packs_new();
    const int count = scandir(PACKS_DIR, &names, is_pack, alphasort);
    check(shipped && count > 0);
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%s/%s", PACKS_DIR, names[i]->d_name);
        FILE *f = fopen(path, "r");
        check(f != NULL);
        const size_t len = fread(text, 1, sizeof text, f);
        fclose(f);
        struct yaml_doc *doc = yaml_parse(names[i]->d_name, text, len, NULL);
        check(doc && packs_load(shipped, doc, NULL) == 0);
        yaml_doc_free(doc);
        free(names[i]);
    }
    free(names);
    for (unsigned i = 0; i < 8; i++) {
        struct buf bytes;
        buf_init(&bytes, PACKS_ENCODED_MAX);
        check(packs_encode(shipped, UINT32_C(1) << i, &bytes) == 0);
        carried_one[i] = packs_decode(buf_head(&bytes), buf_len(&bytes), NULL);
        check(carried_one[i] != NULL);
        buf_clear(&bytes);
    }
    return 0;
}

/* The words are parted by newlines, so that blanks and quotes get into them. */
static void take_words(const uint8_t *data, size_t len, char text[4096], struct words *argv)
{
    len = len < 4095 ? len : 4095;
    memcpy(text, data, len);
    text[len] = 0;
    argv->count = 0;
    argv->text = NULL;
    for (char *at = text; at && argv->count < WORDS_MAX;) {
        argv->word[argv->count++] = at;
        at = strchr(at, '\n');
        if (at)
            *at++ = 0;
    }
}

static int see(void *arg, const struct classification *one)
{
    uint32_t *classes = arg;

    check(one->classes && one->family[0] && strchr(one->entry, ':'));
    check(strlen(one->vm) < sizeof one->vm && (one->value_text[0] || !one->value_known));
    check(one->value_known || !one->value);
    *classes |= one->classes;
    return 0;
}

/* 0 when there was too much in it. */
static bool find(const struct packs *packs, const struct words *argv, uint32_t *classes)
{
    struct classification c;
    uint32_t all = 0;
    const int rc = packs_each(packs, argv, see, &all, NULL);

    check(rc == 0 || rc == ERR_FULL);
    check(packs_classify(packs, argv, &c, NULL) == 0);
    check(rc != 0 || c.classes == all);
    check(c.secret_word < WORDS_MAX);
    for (unsigned i = 0; i < CLASSES_MAX; i++)
        check(!(c.classes & UINT32_C(1) << i) || packs_class_name(packs, UINT32_C(1) << i));
    *classes = all;
    return rc == 0;
}

/* Of one class alone, and of all: what is carried finds what is there. */
static void carry(const struct packs *packs, const struct words *argv, uint32_t classes)
{
    uint32_t whole, part;
    struct buf bytes;

    buf_init(&bytes, PACKS_ENCODED_MAX);
    if (packs_encode(packs, classes, &bytes) == 0) {
        struct packs *carried = packs_decode(buf_head(&bytes), buf_len(&bytes), NULL);
        check(carried != NULL);
        if (find(packs, argv, &whole) && find(carried, argv, &part))
            check((whole & classes) == part);
        packs_free(carried);
    } else {
        check(!buf_len(&bytes));
    }
    buf_clear(&bytes);
}

static struct packs *load_text(const uint8_t *data, size_t len)
{
    struct err e = ERR_INIT;
    struct packs *packs = packs_new();
    struct yaml_doc *doc = yaml_parse("packs/x.yaml", data, len, &e);

    check(packs != NULL);
    if (!doc || packs_load(packs, doc, &e) < 0) {
        check(e.text[0]);
        packs_free(packs);
        packs = NULL;
    }
    yaml_doc_free(doc);
    return packs;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[4096];
    struct words argv;

    if (size < 3)
        return 0;
    if (data[0] > 1) {
        const unsigned bit = data[0] & 7;
        uint32_t whole, part;
        take_words(data + 1, size - 1, text, &argv);
        if (find(shipped, &argv, &whole) && find(carried_one[bit], &argv, &part))
            check((whole & UINT32_C(1) << bit) == part);
        return 0;
    }
    size_t len = wire_load_u16(data + 1);
    const uint8_t *rest = data + 3;
    size -= 3;
    len = len < size ? len : size;
    struct packs *packs = data[0] ? load_text(rest, len) : packs_decode(rest, len, NULL);
    if (!packs)
        return 0;
    take_words(rest + len, size - len, text, &argv);
    for (unsigned i = 0; i < 4; i++)
        carry(packs, &argv, UINT32_C(1) << i);
    carry(packs, &argv, ~UINT32_C(0));
    packs_free(packs);
    return 0;
}
