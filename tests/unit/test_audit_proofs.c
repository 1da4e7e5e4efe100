/* SPDX-License-Identifier: Apache-2.0
 *
 * Record headers, the Merkle tree, signed notes and checkpoints against published values. */
#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "audit/checkpoint.h"
#include "audit/merkle.h"

/* The test vectors of Certificate Transparency's reference implementation (RFC 6962 trees). */
static const struct {
    const char *leaf; /* hexadecimal */
    const char *root; /* of the tree up to and with this leaf */
} tree[] = {
    {"", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
    {"00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"},
    {"10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"},
    {"2021", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"},
    {"3031", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"},
    {"40414243", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"},
    {"5051525354555657", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"},
    {"606162636465666768696a6b6c6d6e6f",
     "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"},
};

Test(merkle, published_roots)
{
    struct digest *d = digest_new();
    struct merkle m;
    uint8_t root[RECORD_HASH_SIZE];
    char hex[DIGEST_HEX];

    merkle_init(&m);
    merkle_root(&m, d, root);
    digest_hex(root, hex);
    cr_expect_str_eq(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    for (size_t i = 0; i < sizeof tree / sizeof *tree; i++) {
        uint8_t input[32] = {0}, leaf[RECORD_HASH_SIZE];
        size_t len = strlen(tree[i].leaf) / 2;

        cr_assert_eq(hex_decode(tree[i].leaf, input + 1, len), 0);
        digest_bytes(d, input, 1 + len, leaf);
        merkle_add(&m, d, leaf);
        merkle_root(&m, d, root);
        digest_hex(root, hex);
        cr_expect_str_eq(hex, tree[i].root, "of %zu leaves", i + 1);
    }
    digest_free(d);
}

Test(record, header_layout)
{
    struct record r = {.type = RECORD_INPUT,
                       .flags = RECORD_FLAG_SEALED,
                       .index = 0x0102030405060708,
                       .real_ns = 0x1112131415161718,
                       .boot_ns = 0x2122232425262728,
                       .sequence = 0x3132333435363738,
                       .channel = 0x41424344,
                       .payload_len = 0x00050607,
                       .epoch = 0x51525354,
                       .data_key = 0x61626364},
                  back;
    uint8_t header[RECORD_HEADER_SIZE], again[RECORD_HEADER_SIZE];
    char hex[2 * 80 + 1];
    struct err e = ERR_INIT;

    memset(r.session, 0xaa, sizeof r.session);
    memset(r.previous, 0xbb, sizeof r.previous);
    memset(r.payload_hash, 0xcc, sizeof r.payload_hash);
    memset(r.session_previous, 0xdd, sizeof r.session_previous);
    record_encode(header, &r);
    hex_encode(hex, header, 80);
    cr_expect_str_eq(hex, "53504131"
                          "06"
                          "01"
                          "00b0"
                          "0102030405060708"
                          "1112131415161718"
                          "2122232425262728"
                          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                          "3132333435363738"
                          "41424344"
                          "00050607"
                          "51525354"
                          "61626364"
                          "0000000000000000");
    cr_expect_eq(header[80], 0xbb);
    cr_expect_eq(header[112], 0xcc);
    cr_expect_eq(header[144], 0xdd);
    cr_expect_eq(record_decode(header, &back, &e), 0);
    record_encode(again, &back);
    cr_expect_eq(memcmp(header, again, sizeof header), 0);
}

static const struct {
    size_t at;
    uint8_t value;
} bad_headers[] = {
    {0, 'T'}, {3, '2'}, {5, 2}, {5, 0x80}, {6, 1}, {7, 0xb1}, {72, 1}, {79, 1}, {60, 1}, {61, 0x11},
};

Test(record, bad_headers_are_refused)
{
    struct record r = {.type = RECORD_INPUT}, back;
    uint8_t header[RECORD_HEADER_SIZE];
    struct err e = ERR_INIT;

    for (size_t i = 0; i < sizeof bad_headers / sizeof *bad_headers; i++) {
        record_encode(header, &r);
        header[bad_headers[i].at] = bad_headers[i].value;
        cr_expect_eq(record_decode(header, &back, &e), ERR_TAMPERED, "byte %zu", bad_headers[i].at);
    }
}

/* From the documentation of Go's golang.org/x/mod/sumdb/note, where the format began. */
static const char neumann_key[] =
    "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
static const char neumann_note[] =
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "\xe2\x80\x94 PeterNeumann "
    "x08go/ZJkuBS9UG/"
    "SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

Test(note, published_note)
{
    struct vkey v;
    struct err e = ERR_INIT;
    size_t text_len;
    char text[VKEY_MAX];

    cr_assert_eq(vkey_parse(&v, neumann_key, &e), 0, "%s", e.text);
    cr_expect_str_eq(v.name, "PeterNeumann");
    vkey_text(&v, text);
    cr_expect_str_eq(text, neumann_key);
    cr_expect_eq(note_verify(neumann_note, strlen(neumann_note), &v, &text_len, &e), 0, "%s",
                 e.text);
    cr_expect_eq(text_len, 99);
}

Test(note, every_flipped_byte_is_seen)
{
    struct vkey v;
    struct err e = ERR_INIT;
    size_t text_len, len = strlen(neumann_note);
    char note[sizeof neumann_note];

    cr_assert_eq(vkey_parse(&v, neumann_key, &e), 0);
    for (size_t i = 0; i < len; i++) {
        memcpy(note, neumann_note, sizeof note);
        note[i] ^= 1;
        cr_expect_lt(note_verify(note, len, &v, &text_len, &e), 0, "byte %zu", i);
    }
    for (size_t i = 0; i < len; i++)
        cr_expect_lt(note_verify(neumann_note, i, &v, &text_len, &e), 0, "cut at %zu", i);
}

static const char *const bad_keys[] = {
    "",
    "PeterNeumann",
    "PeterNeumann+c74f20a3",
    "PeterNeumann+c74f20a3+",
    "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    "PeterNeumanm+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    "PeterNeumann+c74f20a3+AhRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T",
    "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\n\n",
    "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
};

Test(note, bad_keys_are_refused)
{
    struct vkey v;
    struct err e = ERR_INIT;

    for (size_t i = 0; i < sizeof bad_keys / sizeof *bad_keys; i++)
        cr_expect_lt(vkey_parse(&v, bad_keys[i], &e), 0, "%s", bad_keys[i]);
}

Test(note, base64_has_one_spelling)
{
    uint8_t out[4];

    cr_expect_eq(base64_decode("AAEC", 4, out, 3), 0);
    cr_expect_eq(base64_decode("AAE=", 4, out, 2), 0);
    cr_expect_lt(base64_decode("AAF=", 4, out, 2), 0); /* padding bits */
    cr_expect_lt(base64_decode("AAE=", 4, out, 3), 0);
    cr_expect_lt(base64_decode("AA==", 4, out, 2), 0);
    cr_expect_lt(base64_decode("AAE", 3, out, 2), 0);
    cr_expect_lt(base64_decode("A E=", 4, out, 2), 0);
    cr_expect_lt(base64_decode("A-E=", 4, out, 2), 0);
}

static const struct {
    const char *text;
    bool good;
} checkpoints[] = {
    {"log.test\n5\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", true},
    {"log.test\n0\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", true},
    {"log.test\n18446744073709551615\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", true},
    {"log.test\n18446744073709551616\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", false},
    {"log.test\n05\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", false},
    {"log.test\n\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", false},
    {"log.test\n-1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", false},
    {"log.test\n5\nAAAA\n", false},
    {"log.test\n5\n", false},
    {"log.test\n", false},
    {"other.test\n5\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", false},
    {"log.test\n5\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nmore\n", false},
};

Test(checkpoint, form)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    struct err e = ERR_INIT;
    struct vkey v;

    cr_assert_eq(vkey_from_private(&v, "log.test", key, &e), 0);
    for (size_t i = 0; i < sizeof checkpoints / sizeof *checkpoints; i++) {
        struct checkpoint c;
        struct buf note;
        int r;

        buf_init(&note, NOTE_MAX);
        cr_assert_eq(note_sign(&note, checkpoints[i].text, "log.test", key, &e), 0);
        r = checkpoint_open(&c, (const char *)buf_head(&note), buf_len(&note), &v, &e);
        cr_expect_eq(r == 0, checkpoints[i].good, "%s: %s", checkpoints[i].text, e.text);
        buf_clear(&note);
    }
    EVP_PKEY_free(key);
}

Test(checkpoint, signed_text_is_as_specified)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    struct checkpoint c = {.origin = "example.com/behind-the-sofa", .size = 20852163}, back;
    struct err e = ERR_INIT;
    struct buf note;
    struct vkey v;
    /* The example's text in c2sp.org/tlog-checkpoint. */
    static const char text[] = "example.com/behind-the-sofa\n20852163\n"
                               "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\xe2\x80\x94 "
                               "example.com/behind-the-sofa ";

    cr_assert_eq(base64_decode("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=", 44, c.root, 32), 0);
    buf_init(&note, NOTE_MAX);
    cr_assert_eq(checkpoint_sign(&note, &c, key, &e), 0);
    cr_expect_eq(memcmp(buf_head(&note), text, sizeof text - 1), 0);
    cr_assert_eq(vkey_from_private(&v, c.origin, key, &e), 0);
    cr_assert_eq(checkpoint_open(&back, (const char *)buf_head(&note), buf_len(&note), &v, &e), 0);
    cr_expect_eq(memcmp(&c.root, &back.root, sizeof c.root), 0);
    cr_expect_eq(back.size, c.size);
    buf_clear(&note);
    EVP_PKEY_free(key);
}
