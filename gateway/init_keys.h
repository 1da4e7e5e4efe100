/* SPDX-License-Identifier: Apache-2.0
 *
 * The keys and certificates of a new gateway. Run once, by root, in `sallyport init`; what it makes
 * is written into STATE/keys, which only root can read, and handed to the programs as descriptors.
 */
#ifndef SALLYPORT_GATEWAY_INIT_KEYS_H
#define SALLYPORT_GATEWAY_INIT_KEYS_H

#include "base/err.h"

/* Two certificate authorities (EC P-256, ten years, no further ones below them): gateway-ca signs
 * the TLS certificate that operators' devices check, operator-ca signs the devices' own
 * certificates. They never vouch for each other's. Writes NAME.key (0600) and NAME.pem (0644) into
 * dir. */
MUST_CHECK int init_authority(const char *dir, const char *name, const char *subject,
                              struct err *e);

/* The TLS certificate for gateway, which is a host name or an address, and more names
 * (NULL-terminated; each a host name or an address literal), signed by gateway-ca: tls.key,
 * tls.pem. */
MUST_CHECK int init_tls(const char *dir, const char *gateway, const char *const *more,
                        struct err *e);

/* The SSH host key: ssh_host_ed25519_key and .pub. */
MUST_CHECK int init_host_key(const char *dir, const char *comment, struct err *e);

/* 32 random bytes under which authd encrypts what it stores: store.key. */
MUST_CHECK int init_store_key(const char *dir, struct err *e);

#endif
