/* SPDX-License-Identifier: Apache-2.0
 *
 * The device directory: what one operator's device knows about one gateway, made by `sallyport
 * setup`, by default ${XDG_CONFIG_HOME:-~/.config}/sallyport/GATEWAY/. It holds gateway.conf,
 * ca.pem, known_hosts, ssh_config, and after `sallyport login` device.key and device.pem. */
#ifndef SALLYPORT_GATEWAY_DEVICE_H
#define SALLYPORT_GATEWAY_DEVICE_H

#include "base/err.h"

/* Where device directories stand; the caller frees it. NULL when there is no home directory. */
char *device_base(struct err *e);

/* The device directory to use: given (an option's value) if it is not NULL, else $SALLYPORT_DEVICE,
 * else the only one below device_base. The caller frees it. NULL: none, or several, which the text
 * names. */
char *device_choose(const char *given, struct err *e);

/* What gateway.conf says. */
struct device {
    char *host, *port, *name;
};

/* Every member is there on success. device_clear is for what either left. */
MUST_CHECK int device_read(const char *dir, struct device *out, struct err *e);
void device_clear(struct device *d);

#endif
