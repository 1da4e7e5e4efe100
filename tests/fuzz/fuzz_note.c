/* SPDX-License-Identifier: Apache-2.0
 *
 * Signed notes, checkpoints, anchors and verifier keys from a hostile trail. The first byte says
 * which; what is taken for a checkpoint or a key has exactly one written form. */
#include <openssl/evp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "audit/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NAME "log.test"

static EVP_PKEY *key;
static struct vkey log_key;

static void make_key(void)
{
    static const uint8_t seed[32] = {7};

    key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof seed);
    if (!key || vkey_from_private(&log_key, NAME, key, NULL) != 0)
        abort();
}

static void raw(const char *text, size_t len)
{
    struct checkpoint c;
    size_t text_len;

    if (note_verify(text, len, &log_key, &text_len, NULL) == 0 && text_len > len)
        abort();
    if (checkpoint_open(&c, text, len, &log_key, NULL) == 0 && strcmp(c.origin, NAME) != 0)
        abort();
}

/* As if the log's own key had signed it: what is behind the signature has to be looked at, too. */
static void signed_by_us(const char *text)
{
    struct checkpoint c;
    struct buf note, again;

    buf_init(&note, 2 * NOTE_MAX);
    buf_init(&again, 2 * NOTE_MAX);
    /* note_sign's callers give it whole lines. */
    if (*text && text[strlen(text) - 1] == '\n' && note_sign(&note, text, NAME, key, NULL) == 0 &&
        checkpoint_open(&c, (const char *)buf_head(&note), buf_len(&note), &log_key, NULL) == 0 &&
        (checkpoint_sign(&again, &c, key, NULL) != 0 || buf_len(&again) != buf_len(&note) ||
         memcmp(buf_head(&again), buf_head(&note), buf_len(&note)) != 0))
        abort();
    buf_clear(&note);
    buf_clear(&again);
}

static void verifier_key(const char *text, size_t len)
{
    struct vkey v;
    char again[VKEY_MAX];

    if (vkey_parse(&v, text, NULL) != 0)
        return;
    vkey_text(&v, again);
    if (strncmp(again, text, strlen(again)) != 0 || len > strlen(again) + 1)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct anchor a;
    char *text;

    if (!key)
        make_key();
    if (size < 1 || size > NOTE_MAX || memchr(data, '\0', size))
        return 0;
    text = strndup((const char *)data + 1, size - 1);
    if (!text)
        abort();
    switch (data[0]) {
    case 'n':
        raw(text, size - 1);
        break;
    case 'c':
        signed_by_us(text);
        break;
    case 'a':
        if (anchor_open(&a, text, size - 1, NULL, NULL) == 0 &&
            anchor_open(&a, text, size - 1, &log_key, NULL) == 0)
            abort(); /* nobody has that key */
        break;
    case 'v':
        verifier_key(text, size - 1);
        break;
    default:
        break;
    }
    free(text);
    return 0;
}
