/* SPDX-License-Identifier: Apache-2.0
 *
 * What others hand in as proof: C2SP proofs, seals, checkpoints in notes and syslog lines. The
 * first byte says which. */
#include <openssl/evp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "audit/known.h"
#include "audit/seal.h"
#include "audit/tlog_proof.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NAME  "log.test"
#define EPOCH 3

static EVP_PKEY *key;
static struct vkey log_key, epoch_key;

static void make_keys(void)
{
    static const uint8_t seed[32] = {7};
    char epoch[NOTE_NAME_MAX + 1];

    key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof seed);
    epoch_key_name(epoch, NAME, EPOCH);
    if (!key || vkey_from_private(&log_key, NAME, key, NULL) != 0 ||
        vkey_from_private(&epoch_key, epoch, key, NULL) != 0)
        abort();
}

static void proof(const char *text, size_t len)
{
    static const uint8_t header[RECORD_HEADER_SIZE];
    struct tlog_proof p;
    struct checkpoint c;

    if (tlog_proof_parse(&p, text, len, NULL) != 0)
        return;
    if (p.note < text || p.note + p.note_len > text + len)
        abort();
    if (tlog_proof_check(&p, p.has_header ? p.header : header, &log_key, &c, NULL) == 0)
        abort(); /* nobody has signed anything */
}

/* As if the epoch's own key had signed it. That the epoch is the one whose key it is, the chain
 * tells. */
static void seal(const char *text, size_t len)
{
    struct buf note, again;
    struct seal s;

    buf_init(&note, 2 * NOTE_MAX);
    buf_init(&again, 2 * NOTE_MAX);
    if (seal_open(&s, text, len, &epoch_key, NULL) == 0)
        abort();
    if (len && text[len - 1] == '\n' && note_sign(&note, text, epoch_key.name, key, NULL) == 0 &&
        seal_open(&s, buf_head(&note), buf_len(&note), &epoch_key, NULL) == 0 && s.epoch == EPOCH &&
        strcmp(s.origin, NAME) == 0 &&
        (seal_sign(&again, &s, key, NULL) != 0 || buf_len(&again) != buf_len(&note) ||
         memcmp(buf_head(&again), buf_head(&note), buf_len(&note)) != 0))
        abort();
    buf_clear(&note);
    buf_clear(&again);
}

static void known(const char *text, size_t len)
{
    struct checkpoint c;
    struct buf note, line;

    buf_init(&note, NOTE_MAX);
    buf_init(&line, KNOWN_LINE_MAX);
    if (known_checkpoint_parse(&c, text, len, &log_key, NULL) == 0)
        abort();
    if (known_note(&note, text, len, NULL) == 0)
        (void)!known_parameters(&line, (const char *)buf_head(&note), buf_len(&note), NULL);
    buf_clear(&note);
    buf_clear(&line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text;

    if (!key)
        make_keys();
    if (size < 1 || size > TLOG_PROOF_MAX)
        return 0;
    text = malloc(size);
    if (!text)
        abort();
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    switch (data[0]) {
    case 'p':
        proof(text, size - 1);
        break;
    case 's':
        if (!memchr(text, '\0', size - 1))
            seal(text, size - 1);
        break;
    case 'k':
        known(text, size - 1);
        break;
    default:
        break;
    }
    free(text);
    return 0;
}
