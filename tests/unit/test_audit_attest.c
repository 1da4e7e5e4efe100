/* SPDX-License-Identifier: Apache-2.0
 *
 * Recorded input against attestations: scripts of what both sides say, and the verdict. A script is
 * words: `r CHANNEL TEXT` the backend records, `d CHANNEL TEXT` it records the digest of all so
 * far, `c CHANNEL TEXT` the frontend attests this much of the text, `f CHANNEL TEXT[,N,N...]`
 * finally, with the ends of frames at N; `e N` its last word.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/attest.h"
#include "audit/digest.h"

static void point(struct attest_point *p, const char *text, size_t len)
{
    struct digest *d = digest_new();

    p->bytes = len;
    digest_bytes(d, text, len, p->sha256);
    digest_free(d);
}

static int claim(struct attest *a, char kind, uint32_t channel, char *text)
{
    struct attest_claim c = {
        .channel = channel, .final = kind == 'f' || kind == 'F', .answered = kind == 'F'};
    struct err e = ERR_INIT;
    char *ends = strchr(text, ',');

    if (strcmp(text, "-") == 0)
        text = "";
    if (ends)
        *ends++ = '\0';
    point(&c.at, text, strlen(text));
    for (char *end = ends ? strtok(ends, ",") : NULL; end; end = strtok(NULL, ","))
        point(&c.points[c.point_count++], text, (size_t)atoi(end));
    return attest_claimed(a, &c, &e);
}

static void record_digest(struct attest *a, uint32_t channel, const char *text)
{
    struct attest_point total;

    point(&total, text, strlen(text));
    attest_recorded_digest(a, channel, &total);
}

static int start(struct attest *a, char who, uint32_t channel, char *text)
{
    struct attest_claim c = {.channel = channel, .is_start = true};
    struct attest_point words;
    char *colon = strchr(text, ':');
    struct err e = ERR_INIT;

    cr_assert(colon, "%s", text);
    *colon = '\0';
    if (colon > text && colon[-1] == '+') {
        c.start.pty = true;
        colon[-1] = '\0';
    }
    while (strcmp(attest_kind_name(c.start.kind), text) != 0)
        c.start.kind++;
    point(&words, colon + 1, strlen(colon + 1));
    c.start.bytes = words.bytes;
    memcpy(c.start.sha256, words.sha256, sizeof words.sha256);
    return who == 'S' ? attest_claimed(a, &c, &e) : attest_recorded_start(a, channel, &c.start, &e);
}

/* Plays it; the first error. */
static int play(struct attest *a, const char *script)
{
    char copy[512], *rest = copy, *line;
    struct err e = ERR_INIT;

    snprintf(copy, sizeof copy, "%s", script);
    while ((line = strsep(&rest, ";"))) {
        unsigned channel = 0;
        char kind = 0, text[256] = "";
        int r = 0;

        cr_assert_geq(sscanf(line, " %c %u %255s", &kind, &channel, text), 2, "%s", line);
        if (kind == 'r')
            attest_recorded(a, channel, text, strlen(text), NULL);
        else if (kind == 'd')
            record_digest(a, channel, text);
        else if (kind == 's' || kind == 'S')
            r = start(a, kind, channel, text);
        else if (kind == 'x')
            attest_recorded_end(a);
        else if (kind == 'e')
            r = attest_claimed(
                a, &(struct attest_claim){.is_end = true, .final = true, .channels = channel}, &e);
        else
            r = claim(a, kind, channel, text);
        if (r < 0)
            return r;
    }
    return 0;
}

static const struct {
    const char *what, *script, *verdict; /* verdict: beginning of the record */
} cases[] = {
    {"nothing at all", "e 0", "\"agreed\",\"recorded\":0,\"agreed\":0,"},
    {"a channel without input", "f 0 -;e 1", "\"agreed\",\"recorded\":0,\"agreed\":0,"},
    {"after the records", "r 0 ls;r 0 pwd;f 0 lspwd;e 1",
     "\"agreed\",\"recorded\":5,\"agreed\":5,"},
    {"before the records", "f 0 lspwd;e 1;r 0 ls;r 0 pwd",
     "\"agreed\",\"recorded\":5,\"agreed\":5,"},
    {"inside a record", "c 0 lsp;r 0 ls;r 0 pwd;f 0 lspwd;e 1",
     "\"agreed\",\"recorded\":5,\"agreed\":5,"},
    {"several inside one record", "c 0 l;c 0 lsp;c 0 lspw;r 0 lspwd;f 0 lspwd;e 1",
     "\"agreed\",\"recorded\":5,\"agreed\":5,"},
    {"the backend ended early", "r 0 abc;f 0 abcdef,1,3,4;e 1",
     "\"agreed\",\"recorded\":3,\"agreed\":3,"},
    {"the backend recorded nothing of it", "f 0 abcdef,3;e 1",
     "\"agreed\",\"recorded\":0,\"agreed\":0,"},
    {"attested in time, the frontend died", "r 0 abc;c 0 abc",
     "\"agreed\",\"recorded\":3,\"agreed\":3,"},
    {"the frontend died before more", "r 0 abc;c 0 abc;r 0 de",
     "\"unattested\",\"recorded\":5,\"agreed\":3,\"unattested\":2,\"reason\":\"no-final-"
     "attestation\","},
    {"the frontend said nothing", "r 0 abc",
     "\"unattested\",\"recorded\":3,\"agreed\":0,\"unattested\":3,\"reason\":\"no-attestation\","},
    {"no common count", "r 0 abc;f 0 abcdef,2,4;e 1",
     "\"unattested\",\"recorded\":3,\"agreed\":0,\"unattested\":3,\"reason\":\"no-common-count\","},
    {"other bytes", "r 0 rm;f 0 ls;e 1", "\"disputed\",\"recorded\":2,\"agreed\":0,"},
    {"other bytes, attested first", "c 0 ls;r 0 rm", "\"disputed\",\"recorded\":2,\"agreed\":0,"},
    {"other bytes inside a record", "c 0 ls;r 0 rmpwd", "\"disputed\",\"recorded\":5,"},
    {"other bytes before the end", "r 0 ab;r 0 xd;f 0 abcdef,2,4;e 1",
     "\"disputed\",\"recorded\":4,\"agreed\":2,"},
    {"more than attested", "r 0 abc;r 0 d;f 0 abc;e 1",
     "\"disputed\",\"recorded\":4,\"agreed\":3,"},
    {"more after the last attestation", "r 0 abc;f 0 abc;r 0 d",
     "\"disputed\",\"recorded\":4,\"agreed\":3,"},
    {"input where there was none", "f 0 -;r 0 rm;e 1", "\"disputed\",\"recorded\":2,\"agreed\":0,"},
    {"a channel that was not", "f 0 -;r 7 rm;e 1", "\"disputed\",\"recorded\":2,\"agreed\":0,"},
    {"a channel that was not, later", "f 0 -;e 1;r 7 rm",
     "\"disputed\",\"recorded\":2,\"agreed\":0,"},
    {"two channels, one is disputed", "r 0 ab;r 1 xy;f 1 xz;f 0 ab;e 2",
     "\"disputed\",\"recorded\":4,\"agreed\":2,"},
    {"two channels", "r 0 ab;r 1 xy;r 0 cd;f 1 xy;f 0 abcd;e 2",
     "\"agreed\",\"recorded\":6,\"agreed\":6,"},
    {"digests, before", "d 0 abc;d 0 abcdef;f 0 abcdef;e 1",
     "\"agreed\",\"recorded\":6,\"agreed\":6,"},
    {"digests, after", "c 0 abc;f 0 abcdef;e 1;d 0 abc;d 0 abcd;d 0 abcdef",
     "\"agreed\",\"recorded\":6,\"agreed\":6,"},
    {"digests that step over an attestation", "c 0 ab;c 0 abc;d 0 abcdef;f 0 abcdef;e 1",
     "\"agreed\",\"recorded\":6,\"agreed\":6,"},
    {"digests, the backend ended early", "d 0 ab;d 0 abcd;f 0 abcdef,2,4;e 1",
     "\"agreed\",\"recorded\":4,\"agreed\":4,"},
    {"digests, no common count", "d 0 abc;f 0 abcdef,2,4;e 1",
     "\"unattested\",\"recorded\":3,\"agreed\":0,\"unattested\":3,\"reason\":\"no-common-count\","},
    {"a digest of other bytes", "d 0 abd;f 0 abc;e 1", "\"disputed\",\"recorded\":3,\"agreed\":0,"},
    {"a digest of other bytes, attested first", "c 0 abc;d 0 abd",
     "\"disputed\",\"recorded\":3,\"agreed\":0,"},
    {"digests of more than attested", "d 0 abc;f 0 abc;d 0 abcd;e 1",
     "\"disputed\",\"recorded\":4,\"agreed\":3,"},
    {"a digest that does not grow", "d 0 abc;d 0 abc;f 0 abc;e 1",
     "\"disputed\",\"recorded\":3,\"agreed\":0,"},
    {"input, then a digest that covers it", "r 0 rm;d 0 lsx;f 0 lsx;e 1",
     "\"disputed\",\"recorded\":2,\"agreed\":0,"},
    {"a digest, then input", "d 0 ls;r 0 rm;f 0 lsrm;e 1",
     "\"disputed\",\"recorded\":4,\"agreed\":0,"},
    {"a digest of a channel that was not", "f 0 -;e 1;d 7 rm",
     "\"disputed\",\"recorded\":2,\"agreed\":0,"},
};

static void write(const struct attest *a, struct buf *out)
{
    struct json_out j;

    buf_init(out, 65536);
    json_begin(&j, out);
    attest_write(a, NULL, &j);
    cr_assert_eq(json_end(&j), 0);
    cr_assert_eq(buf_put(out, "", 1), 0);
}

Test(attest, verdicts)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct attest *a = attest_new();
        struct buf text;
        bool disputed;

        cr_assert_eq(play(a, cases[i].script), 0, "%s", cases[i].what);
        write(a, &text);
        cr_expect(strstr((const char *)buf_head(&text), "{\"verdict\":") &&
                      strncmp((const char *)buf_head(&text) + 11, cases[i].verdict,
                              strlen(cases[i].verdict)) == 0,
                  "%s: %s", cases[i].what, (const char *)buf_head(&text));
        disputed = attest_verdict(a) == ATTEST_DISPUTED;
        cr_expect_eq(attest_became_disputed(a), disputed ? (unsigned)ATTEST_DISPUTE_INPUT : 0u,
                     "%s", cases[i].what);
        cr_expect_eq(attest_became_disputed(a), 0u, "%s: told twice", cases[i].what);
        buf_clear(&text);
        attest_free(a);
    }
}

#define NO_INPUT "\"recorded\":0,\"agreed\":0,"

/* Of starts, when both processes are gone. */
static const struct {
    const char *what, *script, *verdict;
} starts[] = {
    {"a shell", "S 0 shell+:;s 0 shell+:;F 0 -;e 1;x 0",
     "\"agreed\"," NO_INPUT "\"starts\":{\"recorded\":1,\"attested\":1,\"agreed\":1},"},
    {"the record first", "s 0 exec:ls;S 0 exec:ls;F 0 -;e 1;x 0",
     "\"agreed\"," NO_INPUT "\"starts\":{\"recorded\":1,\"attested\":1,\"agreed\":1},"},
    {"another command", "S 0 exec:ls;s 0 exec:rm;F 0 -;e 1;x 0",
     "\"disputed\"," NO_INPUT
     "\"starts\":{\"recorded\":1,\"attested\":1,\"agreed\":0,\"disputed\":[{"
     "\"channel\":0,\"why\":\"differs\"}]},"},
    {"another command, the record first", "s 0 exec:rm;S 0 exec:ls",
     "\"disputed\"," NO_INPUT
     "\"starts\":{\"recorded\":1,\"attested\":1,\"agreed\":0,\"disputed\":[{"
     "\"channel\":0,\"why\":\"differs\"}]},"},
    {"another kind", "S 0 exec:sftp;s 0 subsystem:sftp", "\"disputed\","},
    {"a terminal nobody asked for", "S 0 exec:ls;s 0 exec+:ls", "\"disputed\","},
    {"a terminal that was asked for", "S 0 exec+:ls;s 0 exec:ls", "\"disputed\","},
    {"a start that never came", "s 0 exec:rm;f 0 -;e 1;x 0",
     "\"disputed\"," NO_INPUT
     "\"starts\":{\"recorded\":1,\"attested\":0,\"agreed\":0,\"disputed\":[{"
     "\"channel\":0,\"why\":\"not-attested\"}]},"},
    {"a start that never came, after the last word", "f 0 -;s 0 exec:rm", "\"disputed\","},
    {"a start on a channel that was not", "S 0 exec:ls;s 0 exec:ls;F 0 -;e 1;s 7 exec:rm",
     "\"disputed\","},
    {"a start on a channel that was not, before", "S 0 exec:ls;s 0 exec:ls;s 7 exec:rm;F 0 -;e 1",
     "\"disputed\","},
    {"on another channel", "S 0 exec:ls;s 1 exec:ls;F 0 -;f 1 -;e 2;x 0",
     "\"disputed\"," NO_INPUT
     "\"starts\":{\"recorded\":1,\"attested\":1,\"agreed\":0,\"disputed\":[{"
     "\"channel\":1,\"why\":\"not-attested\"},{\"channel\":0,\"why\":\"not-recorded\"}]},"},
    {"a second one on the same channel", "S 0 exec:ls;s 0 exec:ls;s 0 exec:ls", "\"disputed\","},
    {"two records before the attestation", "s 0 exec:ls;s 0 exec:rm;S 0 exec:ls", "\"disputed\","},
    {"left out", "S 0 exec:rm;F 0 -;e 1;x 0",
     "\"disputed\"," NO_INPUT
     "\"starts\":{\"recorded\":0,\"attested\":1,\"agreed\":0,\"disputed\":[{"
     "\"channel\":0,\"why\":\"not-recorded\"}]},"},
    {"left out, not answered, others recorded",
     "S 0 exec:rm;f 0 -;S 1 exec:ls;s 1 exec:ls;F 1 -;e 2", "\"disputed\","},
    {"on its way when the session ended", "S 0 exec:ls;f 0 -;e 1;x 0",
     "\"agreed\"," NO_INPUT "\"starts\":{\"recorded\":0,\"attested\":1,\"agreed\":0},"},
    {"the second was on its way", "S 0 exec:ls;s 0 exec:ls;F 0 -;S 1 exec:ls;f 1 -;e 2;x 0",
     "\"agreed\","},
    {"answered, and the recorder ended it", "S 0 exec:ls;F 0 -;e 1",
     "\"unattested\"," NO_INPUT "\"unattested\":0,\"reason\":\"cut-short\",\"starts\":{"
     "\"recorded\":0,\"attested\":1,\"agreed\":0,"
     "\"unattested\":1},"},
    {"the frontend died before", "s 0 exec:ls;x 0",
     "\"unattested\"," NO_INPUT
     "\"unattested\":0,\"reason\":\"no-attestation\",\"starts\":{\"recorded\":1,\"attested\":0,"
     "\"agreed\":0,\"unattested\":1},"},
    {"the frontend died before the second", "S 0 exec:ls;s 0 exec:ls;s 1 exec:ls;x 0",
     "\"unattested\"," NO_INPUT "\"unattested\":0,\"reason\":\"no-final-attestation\","},
    {"the frontend died after", "S 0 exec:ls;s 0 exec:ls;x 0", "\"agreed\","},
    {"with input", "S 0 exec:cat;s 0 exec:cat;r 0 abc;F 0 abc;e 1;x 0",
     "\"agreed\",\"recorded\":3,\"agreed\":3,\"starts\":{\"recorded\":1,\"attested\":1,\"agreed\":"
     "1},"},
};

Test(attest, starts)
{
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        struct attest *a = attest_new();
        struct buf text;

        cr_assert_eq(play(a, starts[i].script), 0, "%s", starts[i].what);
        attest_conclude(a);
        write(a, &text);
        cr_expect_eq(strncmp((const char *)buf_head(&text) + 11, starts[i].verdict,
                             strlen(starts[i].verdict)),
                     0, "%s: %s", starts[i].what, (const char *)buf_head(&text));
        cr_expect_eq(attest_became_disputed(a),
                     attest_verdict(a) == ATTEST_DISPUTED ? (unsigned)ATTEST_DISPUTE_START : 0u,
                     "%s", starts[i].what);
        cr_expect_eq(attest_became_disputed(a), 0u, "%s: told twice", starts[i].what);
        buf_clear(&text);
        attest_free(a);
    }
}

Test(attest, many_starts)
{
    struct attest *a = attest_new();
    struct buf text;
    char script[128];

    /* Some channels have no start, the first stays open. */
    cr_assert_eq(play(a, "S 0 shell+:;s 0 shell+:"), 0);
    for (unsigned i = 1; i < 3000; i++) {
        snprintf(script, sizeof script, i % 3 ? "S %u exec:ls;s %u exec:ls;F %u -" : "f %u -", i, i,
                 i);
        cr_assert_eq(play(a, script), 0);
    }
    cr_assert_eq(play(a, "F 0 -;e 3000;x 0"), 0);
    attest_conclude(a);
    write(a, &text);
    cr_expect(strstr((const char *)buf_head(&text),
                     "\"starts\":{\"recorded\":2001,\"attested\":2001,\"agreed\":2001},"),
              "%s", (const char *)buf_head(&text));
    buf_clear(&text);
    cr_expect_eq(attest_verdict(a), ATTEST_AGREED);
    cr_expect_eq(play(a, "s 1500 exec:rm"), 0);
    cr_expect_eq(attest_verdict(a), ATTEST_DISPUTED);
    attest_free(a);
}

/* Either side alone, without end: bounded, and never agreed. */
Test(attest, too_many_starts)
{
    for (int who = 0; who < 2; who++) {
        struct attest *a = attest_new();
        char script[64];

        for (unsigned i = 0; i < 20000; i++) {
            snprintf(script, sizeof script, "%c %u exec:ls", who ? 'S' : 's', i);
            cr_assert_eq(play(a, script), 0);
        }
        attest_conclude(a);
        cr_expect_eq(attest_verdict(a), ATTEST_UNATTESTED);
        attest_free(a);
    }
}

static const char *const contradictions[] = {
    "c 0 abc;c 0 ab",
    "f 0 abc;f 0 abc",
    "f 0 abc;c 0 abcd",
    "f 0 -;e 1;c 0 a",
    "e 1;e 1",
    "c 3 ab;e 2",
    "S 0 exec:a;S 0 exec:a",
    "S 0 exec:a;s 0 exec:a;S 0 exec:a",
    "f 0 -;S 0 exec:a",
    "e 0;S 0 exec:a",
};

Test(attest, contradictions_are_violations)
{
    for (size_t i = 0; i < sizeof contradictions / sizeof *contradictions; i++) {
        struct attest *a = attest_new();

        cr_expect_eq(play(a, contradictions[i]), ERR_PROTOCOL, "%s", contradictions[i]);
        attest_free(a);
    }
}

/* One connection for a day: channels come and go, the first stays open. */
Test(attest, many_channels)
{
    struct attest *a = attest_new();
    struct buf text;
    char script[64];

    cr_assert_eq(play(a, "r 0 first"), 0);
    for (unsigned i = 1; i < 500; i++) {
        snprintf(script, sizeof script, "r %u abc;f %u abc", i, i);
        cr_assert_eq(play(a, script), 0);
    }
    cr_assert_eq(play(a, "r 0 last;f 0 firstlast;e 500"), 0);
    write(a, &text);
    cr_expect(
        strstr((const char *)buf_head(&text), "\"agreed\",\"recorded\":1506,\"agreed\":1506,"),
        "%s", (const char *)buf_head(&text));
    buf_clear(&text);
    cr_expect_eq(attest_verdict(a), ATTEST_AGREED);
    attest_recorded(a, 3, "x", 1, NULL);
    cr_expect_eq(attest_verdict(a), ATTEST_DISPUTED, "more on a channel that was done");
    attest_free(a);
}

/* More channels at once than there can be: bounded, and never agreed. */
Test(attest, too_many_channels_at_once)
{
    struct attest *a = attest_new();

    for (uint32_t i = 0; i < 100000; i++)
        attest_recorded(a, i, "x", 1, NULL);
    cr_expect_eq(attest_verdict(a), ATTEST_UNATTESTED);
    for (uint32_t i = 0; i < 100000; i += 2) {
        struct attest_claim c = {.channel = i, .final = true};
        struct err e = ERR_INIT;

        point(&c.at, "x", 1);
        cr_expect_eq(attest_claimed(a, &c, &e), 0);
    }
    cr_expect_eq(attest_verdict(a), ATTEST_UNATTESTED);
    attest_free(a);
}

#define SHA  "\"sha256\":\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\""

#define HEAD "\"head\":\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\""

static const struct {
    const char *payload;
    int result;
} payloads[] = {
    {"{\"channel\":0,\"bytes\":0," SHA ",\"final\":true}", 0},
    {"{\"channel\":0,\"bytes\":9," SHA ",\"final\":false}", 0},
    {"{\"channel\":0,\"bytes\":9," SHA ",\"final\":true,\"points\":[]}", 0},
    {"{\"channel\":0,\"bytes\":9," SHA ",\"final\":true,\"points\":[{\"bytes\":1," SHA
     "},{\"bytes\":9," SHA "}]}",
     0},
    {"{\"channels\":3,\"final\":true}", 0},
    {"{\"channels\":3,\"final\":false}", ERR_PROTOCOL},
    {"{\"channels\":-3,\"final\":true}", ERR_PROTOCOL},
    {"{\"channel\":1,\"bytes\":0," SHA ",\"final\":true}", ERR_PROTOCOL},
    {"{\"channel\":0,\"bytes\":-1," SHA ",\"final\":true}", ERR_PROTOCOL},
    {"{\"channel\":0,\"bytes\":0.5," SHA ",\"final\":true}", ERR_PROTOCOL},
    {"{\"channel\":0,\"bytes\":99999999999999999999," SHA ",\"final\":true}", ERR_PROTOCOL},
    {"{\"channel\":0,\"bytes\":0,\"sha256\":\"e3\",\"final\":true}", ERR_PROTOCOL},
    {"{\"channel\":0,\"bytes\":0,\"final\":true}", ERR_PROTOCOL},
    {"{\"channel\":0,\"bytes\":0," SHA "}", ERR_PROTOCOL},
    {"{\"channel\":0,\"bytes\":0," SHA ",\"final\":1}", ERR_PROTOCOL},
    {"{\"channel\":0,\"bytes\":9," SHA ",\"final\":false,\"points\":[]}", ERR_PROTOCOL},
    {"{\"channel\":0,\"bytes\":9," SHA ",\"final\":true,\"points\":{}}", ERR_PROTOCOL},
    {"{\"channel\":0,\"bytes\":9," SHA ",\"final\":true,\"points\":[{\"bytes\":10," SHA "}]}",
     ERR_PROTOCOL},
    {"{\"channel\":0,\"bytes\":9," SHA ",\"final\":true,\"points\":[{\"bytes\":2," SHA
     "},{\"bytes\":2," SHA "}]}",
     ERR_PROTOCOL},
    {"{\"channel\":0,\"channel\":0,\"bytes\":0," SHA ",\"final\":true}", ERR_PROTOCOL},
    {"{\"channel\":0,\"bytes\":0," SHA ",\"final\":true,\"answered\":true}", 0},
    {"{\"channel\":0,\"bytes\":0," SHA ",\"final\":true,\"answered\":1}", ERR_PROTOCOL},
    {"{\"channel\":0,\"start\":{\"kind\":\"shell\",\"bytes\":0," SHA ",\"pty\":true}}", 0},
    {"{\"channel\":0,\"start\":{\"kind\":\"exec\",\"bytes\":4096," SHA ",\"pty\":false}}", 0},
    {"{\"channel\":0,\"start\":{\"kind\":\"exec\",\"bytes\":4097," SHA "," HEAD ",\"pty\":false}}",
     0},
    {"{\"channel\":0,\"start\":{\"kind\":\"exec\",\"bytes\":4097," SHA ",\"pty\":false}}",
     ERR_PROTOCOL},
    {"{\"channel\":0,\"start\":{\"kind\":\"exec\",\"bytes\":4096," SHA "," HEAD ",\"pty\":false}}",
     ERR_PROTOCOL},
    {"{\"channel\":1,\"start\":{\"kind\":\"shell\",\"bytes\":0," SHA ",\"pty\":true}}",
     ERR_PROTOCOL},
    {"{\"channel\":0,\"start\":{\"kind\":\"sh\",\"bytes\":0," SHA ",\"pty\":true}}", ERR_PROTOCOL},
    {"{\"channel\":0,\"start\":{\"kind\":\"shell\",\"bytes\":0," SHA "}}", ERR_PROTOCOL},
    {"{\"channel\":0,\"start\":{\"kind\":\"shell\",\"bytes\":0,\"pty\":true}}", ERR_PROTOCOL},
    {"{\"channel\":0,\"start\":{\"kind\":\"shell\",\"bytes\":0," SHA
     ",\"pty\":true},\"final\":true}",
     ERR_PROTOCOL},
    {"{\"channel\":0,\"start\":[]}", ERR_PROTOCOL},
    {"[]", ERR_PROTOCOL},
    {"{}", ERR_PROTOCOL},
    {"", ERR_PROTOCOL},
    {"{\"channel\":0", ERR_PROTOCOL},
};

Test(attest, payloads)
{
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
        struct attest_claim c;
        struct err e = ERR_INIT;

        cr_expect_eq(attest_decode(payloads[i].payload, strlen(payloads[i].payload), 0, &c, &e),
                     payloads[i].result, "%s", payloads[i].payload);
    }
}

Test(attest, too_many_points)
{
    char text[16384] = "{\"channel\":0,\"bytes\":100," SHA ",\"final\":true,\"points\":[";
    struct attest_claim c;
    struct err e = ERR_INIT;
    size_t n = strlen(text);

    for (unsigned i = 0; i <= ATTEST_POINTS; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s{\"bytes\":%u," SHA "}", i ? "," : "",
                              i + 1);
    snprintf(text + n, sizeof text - n, "]}");
    cr_expect_eq(attest_decode(text, strlen(text), 0, &c, &e), ERR_PROTOCOL);
}

#define OTHER "3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855e"
#define TOTAL "\"total\":\"" OTHER "\""

static const struct {
    const char *payload;
    int result;
    uint64_t count;
} digests[] = {
    {"{\"stream\":\"input\",\"from\":1048576,\"bytes\":9," SHA "," TOTAL "}", 0, 1048585},
    {"{\"stream\":\"input\",\"from\":0,\"bytes\":9,\"sha256\":\"" OTHER "\"," TOTAL "}", 0, 9},
    {"{\"stream\":\"input\",\"from\":0,\"bytes\":9," SHA "," TOTAL "}", ERR_PROTOCOL, 0},
    {"{\"stream\":\"output\",\"from\":7,\"bytes\":9," SHA "," TOTAL "}", ERR_PROTOCOL, 0},
    {"{\"from\":7,\"bytes\":9," SHA "," TOTAL "}", ERR_PROTOCOL, 0},
    {"{\"stream\":\"input\",\"from\":7,\"bytes\":0," SHA "," TOTAL "}", ERR_PROTOCOL, 0},
    {"{\"stream\":\"input\",\"from\":-7,\"bytes\":9," SHA "," TOTAL "}", ERR_PROTOCOL, 0},
    {"{\"stream\":\"input\",\"from\":9223372036854775807,\"bytes\":1," SHA "," TOTAL "}",
     ERR_PROTOCOL, 0},
    {"{\"stream\":\"input\",\"from\":7,\"bytes\":9," SHA "}", ERR_PROTOCOL, 0},
    {"{\"stream\":\"input\",\"from\":7,\"bytes\":9," SHA ",\"total\":\"3b\"}", ERR_PROTOCOL, 0},
    {"{\"stream\":\"input\",\"from\":7,\"bytes\":9," TOTAL "}", ERR_PROTOCOL, 0},
    {"{\"stream\":\"input\",\"from\":7,\"from\":7,\"bytes\":9," SHA "," TOTAL "}", ERR_PROTOCOL, 0},
    {"[]", ERR_PROTOCOL, 0},
    {"", ERR_PROTOCOL, 0},
};

Test(attest, digest_payloads)
{
    for (size_t i = 0; i < sizeof digests / sizeof *digests; i++) {
        struct attest_point total = {0};
        struct err e = ERR_INIT;

        cr_expect_eq(
            attest_decode_digest(digests[i].payload, strlen(digests[i].payload), &total, &e),
            digests[i].result, "%s", digests[i].payload);
        if (digests[i].result == 0)
            cr_expect_eq(total.bytes, digests[i].count, "%s", digests[i].payload);
    }
}
