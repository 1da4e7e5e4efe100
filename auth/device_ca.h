/* SPDX-License-Identifier: Apache-2.0
 *
 * Remembered logins: short-lived X.509 client certificates for a key made on the operator's device,
 * issued after a code by authd's operator CA. What a certificate request says but its public key
 * and the proof that the sender has the private one is ignored: authd alone says who and how long.
 * Used by authd alone; trusts no byte of a request or certificate; does no I/O. RFC 5280, RFC 2986.
 */
#ifndef SALLYPORT_AUTH_DEVICE_CA_H
#define SALLYPORT_AUTH_DEVICE_CA_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/secret.h"

#define DEVICE_SERIAL_BYTES 16
#define DEVICE_CSR_MAX      8192 /* a P-256 request with a generous subject is below 1 KiB */
#define DEVICE_DER_MAX      4096 /* listener.ready's maximum */
#define DEVICE_PEM_MAX      8192

struct device_ca;

/* Key and certificate in PEM; they must belong together and the certificate be a CA's. */
struct device_ca *device_ca_new(const struct secret *key_pem, const struct secret *certificate_pem,
                                struct err *e);
void device_ca_free(struct device_ca *ca);

struct device_certificate {
    char operator_name[65];
    uint8_t serial[DEVICE_SERIAL_BYTES];
    uint64_t issued_s, expires_s;
};

/* Checks the request (PEM, one, P-256, its own signature) and signs a certificate for
 * operator_name, from now_s for life_s seconds. Appends PEM to out. ERR_INPUT says what is wrong
 * with the request. */
MUST_CHECK int device_ca_issue(const struct device_ca *ca, const void *csr_pem, size_t len,
                               const char *operator_name, uint64_t now_s, uint64_t life_s,
                               struct device_certificate *out, struct buf *pem, struct err *e);
/* Is this DER (all of it) a client certificate that this CA signed itself? Dates are filled in,
 * not judged. ERR_INPUT, ERR_TAMPERED. */
MUST_CHECK int device_ca_verify(const struct device_ca *ca, const void *der, size_t len,
                                struct device_certificate *out, struct err *e);

#endif
