/* SPDX-License-Identifier: Apache-2.0
 *
 * For whom recordings are sealed and who orders their end: age files, recipients, the list of
 * reviewers in both forms, SSH signatures and the list of who may sign. The first byte says which.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "audit/age.h"
#include "base/sshsig.h"
#include "gateway/reviewers_yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void age_file(const void *p, size_t len)
{
    static const uint8_t identity[AGE_KEY_SIZE] = {9};
    struct buf out;

    buf_init(&out, AGE_PLAIN_MAX);
    (void)!age_decrypt(&out, identity, p, len, NULL);
    buf_clear(&out);
}

static void recipient(const char *text)
{
    uint8_t key[AGE_KEY_SIZE];
    char again[AGE_RECIPIENT_TEXT], identity[AGE_IDENTITY_TEXT];

    if (age_recipient_parse(text, key, NULL) == 0) {
        age_recipient_text(key, again);
        if (strcasecmp(again, text) != 0)
            abort();
    }
    if (age_identity_parse(text, key, NULL) == 0) {
        age_identity_text(key, identity);
        if (strcasecmp(identity, text) != 0)
            abort();
    }
}

/* A list that was taken goes to the recorder as lines, and comes out the same. */
static void same_as_lines(const struct reviewers *list)
{
    struct reviewers again;
    struct buf lines;

    buf_init(&lines, 8192);
    if (reviewers_encode(&lines, list) == 0 &&
        (reviewers_decode(&again, buf_head(&lines), buf_len(&lines), NULL) != 0 ||
         !reviewers_equal(list, &again)))
        abort();
    buf_clear(&lines);
}

static void signature(const char *text, size_t len)
{
    struct err e = ERR_INIT;
    struct sshsig_key by;

    if (sshsig_verify(text, len, "sallyport-retention", "order", 5, &by, &e) == 0)
        return; /* a seed's */
}

static void signer(const char *text, size_t len)
{
    static const struct sshsig_key nobody;
    char name[SSHSIG_NAME_MAX + 1];
    struct err e = ERR_INIT;

    if (sshsig_signer(text, len, &nobody, "sallyport-retention", name, &e) == 0 &&
        strlen(name) > SSHSIG_NAME_MAX)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reviewers list;
    struct err e = ERR_INIT;
    size_t len = size - 1;
    char *text;

    if (size < 1 || size > 200000)
        return 0;
    text = malloc(size);
    if (!text)
        abort();
    memcpy(text, data + 1, len);
    text[len] = '\0';
    switch (data[0]) {
    case 'a':
        age_file(text, len);
        break;
    case 'r':
        recipient(text);
        break;
    case 'y':
        if (reviewers_parse("reviewers.yaml", text, len, &list, &e) == 0)
            same_as_lines(&list);
        break;
    case 'l':
        if (reviewers_decode(&list, text, len, &e) == 0)
            same_as_lines(&list);
        break;
    case 's':
        signature(text, len);
        break;
    case 'w':
        signer(text, len);
        break;
    default:
        break;
    }
    free(text);
    return 0;
}
