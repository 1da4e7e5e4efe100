/* SPDX-License-Identifier: Apache-2.0
 *
 * The device's own key, for which the gateway issues the short-lived certificate of a remembered
 * login. It is made here and never leaves the device. Runs in `sallyport login`, as the operator.
 */
#ifndef SALLYPORT_AUTH_DEVICE_KEY_H
#define SALLYPORT_AUTH_DEVICE_KEY_H

#include "base/err.h"

/* Reads DIR/device.key, or makes it (EC P-256, mode 0600), and fills *csr with a certificate
 * request for it in PEM, which the caller frees. */
MUST_CHECK int device_key_request(const char *dir, char **csr, struct err *e);

/* Checks that the PEM is a certificate for the key in DIR, and puts it at DIR/device.pem. until
 * gets the end of its validity, UTC, "2026-03-02 18:00 UTC". */
MUST_CHECK int device_key_store(const char *dir, const char *pem, char until[40], struct err *e);

/* Removes device.key and device.pem; 1 when there were any. */
int device_key_forget(const char *dir);

#endif
