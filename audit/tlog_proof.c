/* SPDX-License-Identifier: Apache-2.0
 *
 * tlog-proof to text and back, byte for byte. Runs in the reading tools; the text is hostile.
 * Source: c2sp.org/tlog-proof. */
#include "audit/tlog_proof.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char title[] = "c2sp.org/tlog-proof@v1";

int tlog_proof_write(struct buf *out, const struct tlog_proof *p, struct err *e)
{
    char text[4 * ((RECORD_HEADER_SIZE + 2) / 3) + 1];
    int r = buf_printf(out, "%s\n", title);

    if (r == 0 && p->has_header) {
        base64_encode(text, p->header, RECORD_HEADER_SIZE);
        r = buf_printf(out, "extra %s\n", text);
    }
    if (r == 0)
        r = buf_printf(out, "index %" PRIu64 "\n", p->index);
    for (unsigned i = 0; r == 0 && i < p->proof.count; i++) {
        base64_encode(text, p->proof.hash[i], RECORD_HASH_SIZE);
        r = buf_printf(out, "%s\n", text);
    }
    if (r == 0)
        r = buf_printf(out, "\n");
    if (r == 0)
        r = buf_put(out, p->note, p->note_len);
    return r < 0 ? err_set(e, (enum err_code)r, "the proof does not fit its buffer") : 0;
}

struct cursor {
    const char *at, *end;
};

/* The next line without its newline; false when there is no complete one. */
static bool take_line(struct cursor *c, const char **line, size_t *len)
{
    const char *newline = memchr(c->at, '\n', (size_t)(c->end - c->at));

    if (!newline)
        return false;
    *line = c->at;
    *len = (size_t)(newline - c->at);
    c->at = newline + 1;
    return true;
}

/* Whether the line begins with the word and a blank; *line is then behind them. */
static bool take_word(const char **line, size_t *len, const char *word)
{
    size_t n = strlen(word);

    if (*len <= n || memcmp(*line, word, n) != 0 || (*line)[n] != ' ')
        return false;
    *line += n + 1;
    *len -= n + 1;
    return true;
}

static bool parse_index(const char *line, size_t len, uint64_t *out)
{
    uint64_t value = 0;

    if (len == 0 || (len > 1 && line[0] == '0'))
        return false;
    for (size_t i = 0; i < len; i++)
        if (line[i] < '0' || line[i] > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(line[i] - '0'), &value))
            return false;
    *out = value;
    return true;
}

int tlog_proof_parse(struct tlog_proof *p, const char *text, size_t len, struct err *e)
{
    struct cursor c = {text, text + len};
    const char *line;
    size_t n;

    memset(p, 0, sizeof *p);
    if (len > TLOG_PROOF_MAX || !take_line(&c, &line, &n) || n != sizeof title - 1 ||
        memcmp(line, title, n) != 0)
        return err_set(e, ERR_SYNTAX, "not a proof: its first line is not %s", title);
    if (!take_line(&c, &line, &n))
        return err_set(e, ERR_SYNTAX, "the proof ends after its first line");
    if (take_word(&line, &n, "extra")) {
        p->has_header = base64_decode(line, n, p->header, RECORD_HEADER_SIZE) == 0;
        if (!take_line(&c, &line, &n))
            return err_set(e, ERR_SYNTAX, "the proof ends after its extra data");
    }
    if (!take_word(&line, &n, "index") || !parse_index(line, n, &p->index))
        return err_set(e, ERR_SYNTAX, "the proof does not say the index of its record");
    for (;;) {
        if (!take_line(&c, &line, &n))
            return err_set(e, ERR_SYNTAX, "the proof ends before its checkpoint");
        if (n == 0)
            break;
        if (p->proof.count == PROOF_MAX)
            return err_set(e, ERR_SYNTAX, "the proof has over %d hashes", PROOF_MAX);
        if (base64_decode(line, n, p->proof.hash[p->proof.count], RECORD_HASH_SIZE) < 0)
            return err_set(e, ERR_SYNTAX, "line %u of the proof's hashes is not one",
                           p->proof.count + 1);
        p->proof.count++;
    }
    p->note = c.at;
    p->note_len = (size_t)(c.end - c.at);
    return 0;
}

int tlog_proof_check(const struct tlog_proof *p, const uint8_t header[RECORD_HEADER_SIZE],
                     const struct vkey *log, struct checkpoint *c, struct err *e)
{
    uint8_t leaf[RECORD_HASH_SIZE];
    struct digest *d;
    struct record record;
    int r = checkpoint_open(c, p->note, p->note_len, log, e);

    if (r == 0)
        r = record_decode(header, &record, e);
    if (r < 0)
        return r;
    if (p->has_header && memcmp(p->header, header, sizeof p->header) != 0)
        return err_set(e, ERR_TAMPERED, "the proof carries another header than the record's");
    if (record.index != p->index)
        return err_set(e, ERR_TAMPERED,
                       "the proof is about record %" PRIu64 ", and the header is that of %" PRIu64,
                       p->index, record.index);
    d = digest_new();
    if (!d)
        return err_set(e, ERR_MEMORY, "no memory to check a proof");
    digest_leaf(d, header, leaf);
    digest_free(d);
    return proof_check_inclusion(&p->proof, p->index, c->size, leaf, c->root, e);
}
