/* SPDX-License-Identifier: Apache-2.0
 *
 * Orders; see prune_order.h. The text is read by writing it again: there is one text for each
 * order. */
#include "audit/prune_order.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/digest.h"
#include "base/clock.h"

#define HEAD "sallyport-retention-v1"

static const char *const acts[] = {"prune-before", "destroy-session-keys", "release-session"};

const char *prune_act_name(enum prune_act act)
{
    return acts[act];
}

static bool is_printable(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    return true;
}

int prune_order_write(const struct prune_order *o, struct buf *out, struct err *e)
{
    char text[PRUNE_ORDER_MAX], subject[64], root[DIGEST_HEX];
    int n;

    if (o->reason[0] == '\0' || !is_printable(o->reason))
        return err_set(e, ERR_INPUT, "an order wants a reason, of one line");
    if (o->act == PRUNE_BEFORE)
        snprintf(subject, sizeof subject, "%" PRIu64, o->before_ns);
    else
        hex_encode(subject, o->session, sizeof o->session);
    digest_hex(o->root, root);
    n = snprintf(text, sizeof text, HEAD "\n%s\n%s %s\nsize %" PRIu64 "\nroot %s\nreason %s\n",
                 o->origin, acts[o->act], subject, o->size, root, o->reason);
    INVARIANT(n > 0 && (size_t)n < sizeof text);
    n = buf_put(out, text, (size_t)n);
    return n < 0 ? err_set(e, (enum err_code)n, "no room for an order") : 0;
}

static int read_lines(char *text, struct prune_order *o)
{
    char *lines[6], *subject, *end;

    for (unsigned i = 0; i < 6; i++) {
        lines[i] = strsep(&text, "\n");
        if (!text)
            return ERR_SYNTAX;
    }
    subject = strchr(lines[2], ' ');
    if (*text || strlen(lines[1]) > NOTE_NAME_MAX || !subject || strncmp(lines[3], "size ", 5) ||
        strncmp(lines[4], "root ", 5) || strncmp(lines[5], "reason ", 7) ||
        strlen(lines[5] + 7) > PRUNE_REASON_MAX)
        return ERR_SYNTAX;
    *subject++ = '\0';
    strcpy(o->origin, lines[1]);
    strcpy(o->reason, lines[5] + 7);
    for (o->act = PRUNE_BEFORE; strcmp(lines[2], acts[o->act]) != 0; o->act++)
        if (o->act == PRUNE_RELEASE)
            return ERR_SYNTAX;
    if (o->act == PRUNE_BEFORE)
        o->before_ns = strtoull(subject, &end, 10);
    else if (hex_decode(subject, o->session, sizeof o->session) < 0)
        return ERR_SYNTAX;
    o->size = strtoull(lines[3] + 5, &end, 10);
    return hex_decode(lines[4] + 5, o->root, sizeof o->root);
}

int prune_order_read(const void *text, size_t len, struct prune_order *o, struct err *e)
{
    char copy[PRUNE_ORDER_MAX + 1];
    struct err ignored = ERR_INIT;
    struct buf again;
    int r = ERR_SYNTAX;

    memset(o, 0, sizeof *o);
    buf_init(&again, PRUNE_ORDER_MAX);
    if (len <= PRUNE_ORDER_MAX && !memchr(text, '\0', len)) {
        memcpy(copy, text, len);
        copy[len] = '\0';
        r = read_lines(copy, o);
    }
    if (r == 0 && (prune_order_write(o, &again, &ignored) < 0 || buf_len(&again) != len ||
                   memcmp(buf_head(&again), text, len) != 0))
        r = ERR_SYNTAX;
    buf_clear(&again);
    return r < 0 ? err_set(e, ERR_SYNTAX, "this is no order of `sallyport audit prune --prepare`")
                 : 0;
}

int prune_order_signed(const void *text, size_t len, const struct bytes signatures[2],
                       const char *custodians, size_t custodians_len,
                       char names[PRUNE_SIGNERS][SSHSIG_NAME_MAX + 1], struct err *e)
{
    struct sshsig_key keys[PRUNE_SIGNERS];

    for (unsigned i = 0; i < PRUNE_SIGNERS; i++) {
        int r = sshsig_verify((const char *)signatures[i].p, signatures[i].len, PRUNE_NAME_SPACE,
                              text, len, &keys[i], e);

        if (r == 0)
            r = sshsig_signer(custodians, custodians_len, &keys[i], PRUNE_NAME_SPACE, names[i], e);
        if (r < 0)
            return err_wrap(e, "signature %u", i + 1);
    }
    if (strcmp(names[0], names[1]) == 0 ||
        (keys[0].len == keys[1].len && memcmp(keys[0].blob, keys[1].blob, keys[0].len) == 0))
        return err_set(e, ERR_DENIED, "both signatures are %s's: an order wants two persons",
                       names[0]);
    return 0;
}
