/* SPDX-License-Identifier: Apache-2.0
 *
 * See tests/unit/random_set.h. Each list below has what a part may say; the circumstances at the
 * end have one of each that these tell apart. */
#include "tests/unit/random_set.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/policy_fixture.h"

const char *const random_operators[] = {"ada", "bea", "cyd", "dot"};
const char *const random_targets[] = {"t0", "t1", "t2", "t3"};
const char *const random_accounts[] = {"root", "admin", "nobody"};

#define PICK(list, state) (list)[random_next(state) % (sizeof(list) / sizeof *(list))]
#define DAY               UINT64_C(86400)
/* Monday, 2 March 2026, 00:00 UTC. */
#define MONDAY UINT64_C(1772409600)

uint32_t random_next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

void random_seeds(struct random_seeds *s, uint32_t *state)
{
    *s = (struct random_seeds){.site = random_next(state), .prefix = "r"};
    for (int i = 0; i < RANDOM_OPERATORS; i++)
        s->operators[i] = random_next(state);
    for (int i = 0; i < RANDOM_TARGETS; i++)
        s->targets[i] = random_next(state);
    for (int i = 0; i < RANDOM_ROLES; i++)
        s->roles[i] = random_next(state);
    s->role_count = random_next(state) % (RANDOM_ROLES + 1);
}

void random_change(struct random_seeds *s, uint32_t *state)
{
    for (unsigned n = 1 + random_next(state) % 3; n; n--) {
        const uint32_t fresh = random_next(state);
        switch (random_next(state) % 6) {
        case 0:
            s->site = fresh;
            break;
        case 1:
            s->operators[fresh % RANDOM_OPERATORS] = fresh;
            break;
        case 2:
            s->targets[fresh % RANDOM_TARGETS] = fresh;
            break;
        case 3:
            s->role_count = fresh % (RANDOM_ROLES + 1);
            break;
        case 4:
            s->prefix = "other-";
            break;
        default:
            s->roles[fresh % RANDOM_ROLES] = fresh;
        }
    }
}

static void add(struct buf *out, const char *text)
{
    cr_assert_eq(buf_put(out, text, strlen(text)), 0);
}

static const char *const from[] = {"",
                                   "",
                                   "from: [10.0.0.0/8]",
                                   "from: [10.1.0.0/16, \"2001:db8::/32\"]",
                                   "from: [192.0.2.7]",
                                   "from: [10.0.0.0/16]",
                                   "from: [\"::/0\", 10.0.0.0/8]"};

static void operators_text(const struct random_seeds *s, struct buf *out)
{
    static const char *const groups[] = {"", "g0", "g1", "g0, g1", "g1, g2", "g2"};

    add(out, "operators:\n");
    for (int i = 0; i < RANDOM_OPERATORS; i++) {
        uint32_t state = s->operators[i];
        /* One in eight is not there. */
        if (i && random_next(&state) % 8 == 0)
            continue;
        cr_assert_eq(
            buf_printf(out, "  %s: {groups: [%s]", random_operators[i], PICK(groups, &state)), 0);
        const char *own = random_next(&state) % 3 ? "" : PICK(from, &state);
        cr_assert_eq(buf_printf(out, "%s%s}\n", own[0] ? ", " : "", own), 0);
    }
}

static void targets_text(const struct random_seeds *s, struct buf *out)
{
    static const char *const labels[] = {"env: prod", "env: lab",          "env: prod, kind: kvm",
                                         "kind: kvm", "kind: xen, odd: a", ""};

    add(out, "targets:\n");
    for (int i = 0; i < RANDOM_TARGETS; i++) {
        uint32_t state = s->targets[i];
        cr_assert_eq(buf_printf(out, "  t%d: {address: 10.0.0.%d, labels: {%s}}\n", i, i + 1,
                                PICK(labels, &state)),
                     0);
    }
}

static void site_text(const struct random_seeds *s, struct buf *out)
{
    uint32_t state = s->site;

    add(out, random_next(&state) % 2 ? "contact: us\n" : "{}\n");
    if (buf_head(out)[0] != '{') {
        add(out, PICK(from, &state));
        add(out, "\n");
    }
}

static const char *members(uint32_t *state, unsigned present)
{
    static const char *const lists[] = {"ada", "group:g0", "group:g1", "ada, group:g2",
                                        "group:g0, group:g2"};

    (void)present;
    return PICK(lists, state);
}

static void role_text(const struct random_seeds *s, int i, struct buf *out)
{
    static const char *const targets[] = {
        "all: true",      "env: prod", "env: [prod, lab]",     "kind: kvm",
        "name: [t0, t2]", "name: t1",  "env: prod, kind: kvm", "name: [t0, t1, t3], env: lab"};
    static const char *const accounts[] = {"root", "root, admin", "admin"};
    static const char *const when[] = {"",
                                       "",
                                       "",
                                       "when: [\"Mon-Fri 08:00-20:00 UTC\"]",
                                       "when: [\"Sat-Sun 10:00-12:00 UTC\"]",
                                       "when: [\"Mon-Sun 08:00-20:00 UTC\"]"};
    static const char *const factors[] = {"", "", "factors: [key, totp]",
                                          "factors: [key, password, totp]"};
    static const char *const remember[] = {"", "remember: 8h", "remember: 1h"};
    static const char *const allow[] = {
        "{shell: true}",
        "{exec: true}",
        "{shell: true, exec: true}",
        "{sftp: true}",
        "{exec: true, sftp: {read: [/var/log/**]}}",
        "{sftp: {read: [/var/log/**, /etc/motd], write: [/tmp/**]}}",
        "{shell: false}"};
    static const char *const commands[] = {"",
                                           "",
                                           "commands: [{allow: /bin/a}]",
                                           "commands: [{allow: /bin/a}, {allow: /bin/b -c}]",
                                           "commands: [{allow: /bin/b -c, stdin: digest}]",
                                           "commands: [{deny: a}]",
                                           "commands: [{allow: /bin/a}, {deny: \"b **\"}]"};
    static const char *const denies[] = {"", "", "", "commands: [{deny: a}]"};
    static const char *const session[] = {"",
                                          "",
                                          "session: {idle: 15m}",
                                          "session: {max: 8h, idle: 5m}",
                                          "session: {max-bytes: 20MiB, record: sync-all}",
                                          "session: {bulk: digest}",
                                          "session: {keep: content}"};
    uint32_t state = s->roles[i];
    const char *what = PICK(allow, &state);

    cr_assert_eq(buf_printf(out,
                            "role: %s%d\nmembers: [%s]\ntargets: {%s}\naccounts: [%s]\n%s\n%s\n%s\n"
                            "%s\nallow: %s\n",
                            s->prefix, i, members(&state, 0), PICK(targets, &state),
                            PICK(accounts, &state), PICK(from, &state), PICK(when, &state),
                            PICK(factors, &state), PICK(remember, &state), what),
                 0);
    const char *rules = PICK(commands, &state);
    if (strstr(what, "exec: true") && !strstr(what, "shell: true"))
        cr_assert_eq(buf_printf(out, "%s\n", rules), 0);
    else if (!strstr(what, "shell: true"))
        cr_assert_eq(buf_printf(out, "%s\n", PICK(denies, &state)), 0);
    cr_assert_eq(buf_printf(out, "%s\n", PICK(session, &state)), 0);
}

void random_set_make(const struct random_seeds *s, struct random_set *out)
{
    struct fixture_file files[3 + RANDOM_ROLES];
    char names[RANDOM_ROLES][64];
    struct buf texts[3 + RANDOM_ROLES];
    struct err e = ERR_INIT;
    size_t n = 0;

    for (size_t i = 0; i < 3 + RANDOM_ROLES; i++)
        buf_init(&texts[i], 1u << 16);
    operators_text(s, &texts[n]);
    files[n++].name = "operators.yaml";
    for (unsigned i = 0; i < s->role_count; i++) {
        role_text(s, (int)i, &texts[n]);
        snprintf(names[i], sizeof names[i], "roles.d/%s%u.yaml", s->prefix, i);
        files[n++].name = names[i];
    }
    site_text(s, &texts[n]);
    files[n++].name = "site.yaml";
    targets_text(s, &texts[n]);
    files[n++].name = "targets.yaml";
    for (size_t i = 0; i < n; i++) {
        files[i].text = buf_string(&texts[i]);
        buf_clear(&texts[i]);
    }
    buf_init(&out->block, 1u << 20);
    fixture_put(&out->block, files, n);
    out->policy = policy_load(buf_head(&out->block), buf_len(&out->block), NULL, &e);
    cr_assert(out->policy, "%s", e.text);
    for (size_t i = 0; i < n; i++)
        free((char *)(uintptr_t)files[i].text);
}

void random_set_clear(struct random_set *s)
{
    policy_free(s->policy);
    buf_clear(&s->block);
}

bool random_circumstance(size_t i, struct policy_request *r)
{
    static const char *const sources[] = {"10.1.2.3", "10.9.9.9",    "192.0.2.7",  "192.0.2.8",
                                          "10.0.5.5", "2001:db8::5", "2001:db9::5"};
    static const uint64_t times[] = {MONDAY + 9 * 3600, MONDAY + 21 * 3600,
                                     MONDAY + 5 * DAY + 11 * 3600, MONDAY + 5 * DAY + 9 * 3600,
                                     MONDAY + 6 * DAY + 21 * 3600};
    static const struct {
        uint32_t factors;
        uint64_t age_s;
    } logins[] = {{FACTOR_KEY | FACTOR_TOTP, 0},
                  {FACTOR_KEY | FACTOR_REMEMBERED, 10},
                  {FACTOR_KEY | FACTOR_REMEMBERED, 2 * 3600},
                  {FACTOR_KEY | FACTOR_REMEMBERED, 9 * 3600},
                  {FACTOR_KEY | FACTOR_PASSWORD | FACTOR_TOTP, 0},
                  {FACTOR_KEY | FACTOR_PASSWORD | FACTOR_REMEMBERED, 10},
                  {FACTOR_KEY | FACTOR_PASSWORD | FACTOR_REMEMBERED, 2 * 3600},
                  {FACTOR_PASSWORD | FACTOR_TOTP, 0}};
    const size_t n_sources = sizeof sources / sizeof *sources,
                 n_times = sizeof times / sizeof *times, n_logins = sizeof logins / sizeof *logins;
    struct err e = ERR_INIT;

    if (i >= n_sources * n_times * n_logins)
        return false;
    r->factors = logins[i % n_logins].factors;
    r->remembered_age_s = logins[i % n_logins].age_s;
    i /= n_logins;
    r->now_s = times[i % n_times];
    cr_assert_eq(address_parse(sources[i / n_times], &r->source, &e), 0);
    return true;
}
