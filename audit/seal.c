/* SPDX-License-Identifier: Apache-2.0
 *
 * Seals to text and back. Runs in auditd and in the reading tools; what it reads may have been
 * altered by anybody. A parsed seal is written again and compared, so that a seal has one form. */
#include "audit/seal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char title[] = "sallyport-seal-v1", next_log[] = "next-log ";

/* The lines of a seal, in order; the last is there in a log's last seal alone. */
enum { TITLE, ORIGIN, EPOCH, FIRST, SIZE, ROOT, START, END, NEXT, NEXT_LOG, LINES };

struct line {
    const char *p;
    size_t len;
};

void epoch_key_name(char out[NOTE_NAME_MAX + 1], const char *origin, uint32_t epoch)
{
    int len = snprintf(out, NOTE_NAME_MAX + 1, "%s/epoch/%" PRIu32, origin, epoch);

    INVARIANT(len > 0 && len <= NOTE_NAME_MAX);
}

static void seal_text(const struct seal *s, char out[SEAL_MAX])
{
    char root[48], next[VKEY_MAX], log[VKEY_MAX];
    int len;

    base64_encode(root, s->root, sizeof s->root);
    vkey_text(&s->next, next);
    if (s->closes)
        vkey_text(&s->next_log, log);
    len = snprintf(out, SEAL_MAX,
                   "%s\n%s\n%" PRIu32 "\n%" PRIu64 "\n%" PRIu64 "\n%s\n%" PRIu64 " %" PRIu64
                   "\n%" PRIu64 " %" PRIu64 "\n%s\n%s%s%s",
                   title, s->origin, s->epoch, s->first, s->size, root, s->start_real_ns,
                   s->start_boot_ns, s->end_real_ns, s->end_boot_ns, next,
                   s->closes ? next_log : "", s->closes ? log : "", s->closes ? "\n" : "");
    INVARIANT(len > 0 && (size_t)len < SEAL_MAX);
}

int seal_sign(struct buf *out, const struct seal *s, EVP_PKEY *epoch_key, struct err *e)
{
    char text[SEAL_MAX], name[NOTE_NAME_MAX + 1];

    seal_text(s, text);
    epoch_key_name(name, s->origin, s->epoch);
    return note_sign(out, text, name, epoch_key, e);
}

/* Decimal digits up to the end of the text; the form is settled by writing it again. */
static int number(const char *p, size_t len, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;

    if (len == 0)
        return ERR_SYNTAX;
    for (size_t i = 0; i < len; i++)
        if (p[i] < '0' || p[i] > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(p[i] - '0'), &value))
            return ERR_SYNTAX;
    *out = value;
    return value <= max ? 0 : ERR_SYNTAX;
}

static int times(const struct line *l, uint64_t *real_ns, uint64_t *boot_ns)
{
    const char *blank = memchr(l->p, ' ', l->len);
    size_t before = blank ? (size_t)(blank - l->p) : 0;

    if (!blank || number(l->p, before, UINT64_MAX, real_ns) < 0)
        return ERR_SYNTAX;
    return number(blank + 1, l->len - before - 1, UINT64_MAX, boot_ns);
}

static int key(const char *p, size_t len, struct vkey *v)
{
    char text[VKEY_MAX];

    if (len >= sizeof text)
        return ERR_SYNTAX;
    memcpy(text, p, len);
    text[len] = '\0';
    return vkey_parse(v, text, NULL);
}

static int parse(struct seal *s, const struct line *l, size_t count)
{
    const size_t prefix = sizeof next_log - 1;
    uint64_t epoch;

    if (count < NEXT_LOG || l[ORIGIN].len > ORIGIN_MAX ||
        number(l[EPOCH].p, l[EPOCH].len, UINT32_MAX, &epoch) < 0 ||
        number(l[FIRST].p, l[FIRST].len, UINT64_MAX, &s->first) < 0 ||
        number(l[SIZE].p, l[SIZE].len, UINT64_MAX, &s->size) < 0 ||
        base64_decode(l[ROOT].p, l[ROOT].len, s->root, sizeof s->root) < 0 ||
        times(&l[START], &s->start_real_ns, &s->start_boot_ns) < 0 ||
        times(&l[END], &s->end_real_ns, &s->end_boot_ns) < 0 ||
        key(l[NEXT].p, l[NEXT].len, &s->next) < 0)
        return ERR_SYNTAX;
    memcpy(s->origin, l[ORIGIN].p, l[ORIGIN].len);
    s->origin[l[ORIGIN].len] = '\0';
    s->epoch = (uint32_t)epoch;
    s->closes = count == LINES;
    if (!s->closes)
        return 0;
    return l[NEXT_LOG].len > prefix
               ? key(l[NEXT_LOG].p + prefix, l[NEXT_LOG].len - prefix, &s->next_log)
               : ERR_SYNTAX;
}

/* Exactly one line of a signature follows the text: other lines would be bytes that nothing holds
 * to. */
static bool one_signature(const char *note, size_t text_len, size_t len)
{
    const char *line = note + text_len + 1;

    return memchr(line, '\n', len - text_len - 1) == note + len - 1;
}

int seal_open(struct seal *s, const void *note, size_t len, const struct vkey *by, struct err *e)
{
    struct line lines[LINES + 1];
    const char *at = note, *end;
    char again[SEAL_MAX];
    size_t text_len, count = 0;
    int r = len <= SEAL_MAX ? note_verify(note, len, by, &text_len, e)
                            : err_set(e, ERR_SYNTAX, "longer than a seal can be");

    if (r < 0)
        return err_wrap(e, "seal");
    memset(s, 0, sizeof *s);
    for (end = at + text_len; at < end && count <= LINES; count++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));

        lines[count] = (struct line){at, (size_t)(newline - at)};
        at = newline + 1;
    }
    if (count > LINES || parse(s, lines, count) < 0)
        return err_set(e, ERR_SYNTAX, "seal: its text does not have the lines of a seal");
    seal_text(s, again);
    if (strlen(again) != text_len || memcmp(again, note, text_len) != 0 ||
        !one_signature(note, text_len, len))
        return err_set(e, ERR_SYNTAX, "seal: not in its one proper form");
    return 0;
}
