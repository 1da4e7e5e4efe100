/* SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoints that are known elsewhere, in each of the forms in which they are kept there: a
 * checkpoint's note, one with cosignatures, a C2SP tlog-proof that ends in one, or lines of a log
 * file that came by syslog. Everything is verified with the log's key; nothing else is believed.
 * Used by auditd (writing the line) and the readers (what anybody may have written); no I/O. */
#ifndef SALLYPORT_AUDIT_KNOWN_H
#define SALLYPORT_AUDIT_KNOWN_H

#include "audit/checkpoint.h"

/* The structured data's id in a syslog message. 32473 is the enterprise number for private use in
 * documents (RFC 5612): Sallyport has none of its own. */
#define KNOWN_SD_ID "checkpoint@32473"
/* origin and signature in structured data and again in the text, each escaped, and the rest */
#define KNOWN_LINE_MAX 4096

/* The newest checkpoint of this log in text[0 .. len). ERR_SYNTAX: there is none in any form;
 * ERR_TAMPERED: there is, and none is signed by this log's key. */
MUST_CHECK int known_checkpoint_parse(struct checkpoint *c, const char *text, size_t len,
                                      const struct vkey *log, struct err *e);

/* Appends the parameters ` origin="…" size="…" root="…" signature="…"` of a signed checkpoint's
 * note, from which the note can be made again. ERR_SYNTAX: not a checkpoint with a signature. */
MUST_CHECK int known_parameters(struct buf *out, const char *note, size_t len, struct err *e);
/* Makes the note again from the parameters in one line. ERR_SYNTAX: they are not there. */
MUST_CHECK int known_note(struct buf *out, const char *line, size_t len, struct err *e);

#endif
