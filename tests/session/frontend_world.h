/* SPDX-License-Identifier: Apache-2.0
 *
 * What frontend_harness puts around a frontend. */
#ifndef SALLYPORT_TESTS_SESSION_FRONTEND_WORLD_H
#define SALLYPORT_TESTS_SESSION_FRONTEND_WORLD_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/evp.h>

#define CHECK(x)                                                                                   \
    do {                                                                                           \
        if (!(x)) {                                                                                \
            fprintf(stderr, "harness: %s:%d: %s\n", __FILE__, __LINE__, #x);                       \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* The one public key that may log in, in wire format. */
extern uint8_t operator_key[4096];
extern size_t operator_key_len;

/* Plays authd, auditd and a backend for one connection, on these ends of its links, until it is
 * over. */
int world_play(int login, int trail);

#endif
