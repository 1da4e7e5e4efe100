/* SPDX-License-Identifier: Apache-2.0
 *
 * A checkpoint as one syslog message: RFC 5424 with everything in structured data and again in the
 * text, for servers that keep only that, framed by octet counting over TLS (RFC 5425). The protocol
 * has no answer; taken means that the server's kernel acknowledged every byte. Run by the courier.
 */
#include <stdio.h>
#include <string.h>

#include "audit/known.h"
#include "base/clock.h"
#include "base/log.h"
#include "gateway/courier.h"

/* Facility 13 (log audit), severity 5 (notice). */
#define PRIORITY (13 * 8 + 5)
/* How often the kernel is asked whether all was acknowledged. */
#define ACKNOWLEDGED_MS 50

int syslog_message(struct buf *out, const char *host, uint64_t real_ns, const char *note,
                   size_t note_len, struct err *e)
{
    struct buf parameters, message;
    char iso[CLOCK_TEXT];
    int r;

    buf_init(&parameters, KNOWN_LINE_MAX);
    buf_init(&message, 3 * KNOWN_LINE_MAX);
    r = known_parameters(&parameters, note, note_len, e);
    if (r < 0)
        goto out;
    /* Six digits of a second are the most that RFC 5424 has. */
    clock_iso(iso, real_ns);
    r = buf_printf(&message, "<%d>1 %.26sZ %.255s sallyport - checkpoint [" KNOWN_SD_ID, PRIORITY,
                   iso, host);
    if (r == 0)
        r = buf_put(&message, buf_head(&parameters), buf_len(&parameters));
    if (r == 0)
        r = buf_printf(&message, "] checkpoint");
    if (r == 0)
        r = buf_put(&message, buf_head(&parameters), buf_len(&parameters));
    if (r == 0)
        r = buf_printf(out, "%zu ", buf_len(&message));
    if (r == 0)
        r = buf_put(out, buf_head(&message), buf_len(&message));
    if (r < 0)
        err_set(e, (enum err_code)r, "a syslog message does not fit");
out:
    buf_clear(&parameters);
    buf_clear(&message);
    return r;
}

void syslog_begin(struct destination *d)
{
    struct err e = ERR_INIT;

    if (syslog_message(&d->peer.out, d->host, clock_real_ns(), d->note, d->note_len, &e) < 0) {
        destination_failed(d, e.text);
        return;
    }
    peer_wake(&d->peer);
}

void syslog_written(struct destination *d)
{
    const struct timeval soon = {.tv_usec = ACKNOWLEDGED_MS * 1000};
    struct elsewhere_delivered m = {.destination = 0, .size = d->size};
    struct err e = ERR_INIT;

    if (!d->working || buf_len(&d->peer.out) > 0)
        return;
    if (!peer_drained(&d->peer)) {
        evtimer_add(d->again, &soon);
        return;
    }
    if (d->c->recorder)
        recorder_sent(d->c, elsewhere_delivered_send(d->c->recorder, &m, NULL, &e), &e);
    destination_done(d);
}
