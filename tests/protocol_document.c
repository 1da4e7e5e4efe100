/* SPDX-License-Identifier: Apache-2.0
 *
 * Prints the message tables of every link as Markdown: the generated part of docs/PROTOCOL.md. */
#include <stdio.h>
#include <stdlib.h>

#include "gateway/messages.h"

#define DOCUMENT_MAX (256u * 1024)

int main(void)
{
    static const struct link_spec *const links[] = {
        &link_listener,  &link_forks,   &link_authd,    &link_auditd, &link_reader,
        &link_elsewhere, &link_courier, &link_firewall, &link_login,  &link_hash,
        &link_grant,     &link_relay,   &link_trail,
    };
    struct buf out;

    buf_init(&out, DOCUMENT_MAX);
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++)
        if (link_document(links[i], &out)) {
            fprintf(stderr, "protocol_document: the tables do not fit in %u bytes\n", DOCUMENT_MAX);
            return EXIT_FAILURE;
        }
    if (fwrite(buf_head(&out), 1, buf_len(&out), stdout) != buf_len(&out) || fflush(stdout))
        return EXIT_FAILURE;
    buf_clear(&out);
    return EXIT_SUCCESS;
}
