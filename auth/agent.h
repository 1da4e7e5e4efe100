/* SPDX-License-Identifier: Apache-2.0
 *
 * The SSH agent protocol (draft-miller-ssh-agent, sections 3 to 5) as a backend sees it: one
 * identity, and exactly one signature per grant, only over a publickey authentication request (RFC
 * 4252, section 7) of the granted account with that identity. A backend is exposed to its
 * hypervisor: whatever else it asks is answered with SSH_AGENT_FAILURE and told to the caller as a
 * breach. Pure: bytes in, a request out. */
#ifndef SALLYPORT_AUTH_AGENT_H
#define SALLYPORT_AUTH_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/wire.h"

/* A signing request over an authentication request has less than 1 KiB; no honest one is longer. */
#define AGENT_MESSAGE_MAX 4096

/* libssh asks for identities once or twice; a backend that goes on is not libssh. */
#define AGENT_REQUESTS_MAX 16

struct agent {
    uint8_t identity[256]; /* the SSH public key blob */
    size_t identity_len;
    char account[65];
    bool signed_once;
    unsigned requests;
};

void agent_init(struct agent *a, const uint8_t *identity, size_t len, const char *account);

enum agent_event {
    AGENT_MORE,     /* in holds no whole message */
    AGENT_ANSWERED, /* the answer was appended to out */
    AGENT_SIGN,     /* sign *data (a view into in), then agent_signed or agent_refused */
    AGENT_BREACH,   /* refused, the answer was appended; why says what it asked */
};

/* Takes one message from the head of in. For AGENT_SIGN the message stays there (data points to it)
 * until agent_signed or agent_refused. Negative: the stream is beyond use (ERR_PROTOCOL, ERR_FULL).
 */
MUST_CHECK int agent_step(struct agent *a, struct buf *in, struct buf *out, struct bytes *data,
                          const char **why);
MUST_CHECK int agent_signed(struct buf *in, struct buf *out, const uint8_t *signature, size_t len);
MUST_CHECK int agent_refused(struct buf *in, struct buf *out);

#endif
