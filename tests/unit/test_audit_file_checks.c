/* SPDX-License-Identifier: Apache-2.0
 *
 * Which channels are compared with their recorded requests, and what is said of those that cannot
 * be (what agrees is file_check's to tell). */
#include <criterion/criterion.h>
#include <string.h>

#include "audit/file_checks.h"
#include "base/wire.h"

static uint64_t next_index;

static void put(struct file_checks *c, uint8_t session, uint8_t type, uint32_t channel,
                const void *payload, size_t len)
{
    struct record r = {
        .type = type, .index = next_index++, .channel = channel, .session = {session}};
    struct export_record v = {.r = &r, .payload = payload, .len = len};
    struct err e = ERR_INIT;

    cr_assert_eq(file_checks_put(c, &v, &e), 0, "%s", e.text);
}

static void text(struct file_checks *c, uint8_t type, uint32_t channel, const char *json)
{
    put(c, 1, type, channel, json, strlen(json));
}

#define START "{\"event\":\"start\",\"subsystem\":\"sftp\"}"
/* INIT, version 3; MKDIR of "/d" without attributes. */
static const uint8_t requests[] = {0, 0, 0, 5, 1, 0, 0, 0, 3,   0,   0, 0, 15, 14,
                                   0, 0, 0, 7, 0, 0, 0, 2, '/', 'd', 0, 0, 0,  0};

enum { SEALED_INPUT = 2, NO_START = 4, ENDED = 8, SEALED_FILE = 16 };

Test(file_checks, what_can_be_said)
{
    static const struct {
        const char *record; /* NULL: none */
        unsigned how;
        struct file_checks_result is; /* its counts */
        const char *says;
    } cases[] = {
        {"{\"event\":\"request\",\"n\":0,\"op\":\"mkdir\",\"path\":\"/d\"}",
         ENDED,
         {.agreed = 1},
         ""},
        {"{\"event\":\"request\",\"n\":0,\"op\":\"mkdir\",\"path\":\"/d\"}", 0, {.agreed = 1}, ""},
        {NULL, ENDED, {.unjudged = 1}, ""},
        {"{\"event\":\"request\",\"n\":0,\"op\":\"mkdir\",\"path\":\"/e\"}",
         ENDED,
         {.differing = 1},
         "path"},
        {"{\"event\":\"request\",\"n\":0,\"op\":\"rmdir\",\"path\":\"/d\"}",
         0,
         {.differing = 1},
         ""},
        {"{\"event\":\"request\",\"n\":1152921504606846976,\"op\":\"mkdir\",\"path\":\"/d\"}",
         0,
         {.differing = 1},
         ""},
        {"{\"event\":\"request\",\"n\":0,\"op\":\"mkdir\",\"path\":\"/d\"}",
         NO_START,
         {.differing = 1},
         "was not started"},
        {"{\"event\":\"request\",\"n\":0,\"op\":\"mkdir\",\"path\":\"/e\"}",
         SEALED_INPUT,
         {.not_opened = 1},
         ""},
        {"", SEALED_FILE, {.not_opened = 1}, ""},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct file_checks *c = file_checks_new();
        const struct file_checks_result *is;

        if (!(cases[i].how & NO_START))
            text(c, RECORD_SUBSYSTEM, 2, START);
        if (cases[i].how & SEALED_INPUT)
            put(c, 1, RECORD_INPUT, 2, NULL, 0);
        else if (!(cases[i].how & NO_START))
            put(c, 1, RECORD_INPUT, 2, requests, sizeof requests);
        if (cases[i].how & SEALED_FILE)
            put(c, 1, RECORD_FILE, 2, NULL, 0);
        else if (cases[i].record)
            text(c, RECORD_FILE, 2, cases[i].record);
        if (cases[i].how & ENDED)
            text(c, RECORD_SESSION_END, 0, "{}");
        is = file_checks_end(c);
        cr_expect_eq(is->agreed, cases[i].is.agreed, "case %zu: agreed", i);
        cr_expect_eq(is->unjudged, cases[i].is.unjudged, "case %zu: unjudged", i);
        cr_expect_eq(is->differing, cases[i].is.differing, "case %zu: differing", i);
        cr_expect_eq(is->not_opened, cases[i].is.not_opened, "case %zu: not opened", i);
        cr_expect(strstr(is->text, cases[i].says), "case %zu: %s", i, is->text);
        file_checks_free(c);
    }
}

/* Input of other channels and sessions is not mixed up, and many channels are bounded. */
Test(file_checks, many_channels)
{
    static const char record[] = "{\"event\":\"request\",\"n\":0,\"op\":\"mkdir\",\"path\":\"/d\"}";
    struct file_checks *c = file_checks_new();
    const struct file_checks_result *is;

    for (uint8_t session = 1; session < 4; session++)
        for (uint32_t channel = 0; channel < 100; channel++)
            put(c, session, RECORD_SUBSYSTEM, channel, START, strlen(START));
    for (size_t at = 0; at < sizeof requests; at++)
        for (uint8_t session = 1; session < 4; session++)
            for (uint32_t channel = 0; channel < 100; channel++)
                put(c, session, RECORD_INPUT, channel, requests + at, 1);
    put(c, 1, RECORD_INPUT, 100, "a shell's", 9);
    for (uint8_t session = 1; session < 4; session++)
        for (uint32_t channel = 0; channel < 100; channel++)
            put(c, session, RECORD_FILE, channel, record, sizeof record - 1);
    for (uint32_t channel = 0; channel < 5000; channel++)
        put(c, 9, RECORD_SUBSYSTEM, channel, START, strlen(START));
    put(c, 9, RECORD_FILE, 4999, record, sizeof record - 1);
    is = file_checks_end(c);
    cr_expect_eq(is->agreed, 300);
    cr_expect_eq(is->differing, 0, "%s", is->text);
    cr_expect_eq(is->too_many, 5000 - (FILE_CHECKS_MAX - 300));
    file_checks_free(c);
}
