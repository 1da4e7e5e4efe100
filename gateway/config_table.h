/* SPDX-License-Identifier: Apache-2.0
 *
 * gateway/config.def as rows, for the files of the module config only. */
#ifndef SALLYPORT_GATEWAY_CONFIG_TABLE_H
#define SALLYPORT_GATEWAY_CONFIG_TABLE_H

#include <stddef.h>
#include <stdint.h>

enum config_type {
    CONFIG_TYPE_NAME,      /* char[256] */
    CONFIG_TYPE_TEXT,      /* char[CONFIG_FROM_MAX + 1] */
    CONFIG_TYPE_PATH,      /* char[CONFIG_PATH_MAX + 1] */
    CONFIG_TYPE_NUMBER,    /* uint64_t */
    CONFIG_TYPE_FLAG,      /* bool */
    CONFIG_TYPE_DURATION,  /* uint64_t, milliseconds */
    CONFIG_TYPE_AMOUNT,    /* struct config_amount */
    CONFIG_TYPE_ENDPOINT,  /* struct config_endpoint; "": none */
    CONFIG_TYPE_NAMES,     /* struct config_names */
    CONFIG_TYPE_WITNESSES, /* struct config.witnesses */
    CONFIG_TYPE_OPENINGS,  /* struct config.firewall_also */
    CONFIG_TYPE_ENDPOINTS, /* struct config.listen */
    CONFIG_TYPE_PREFIXES,  /* struct config_prefixes */
    CONFIG_TYPE_USER,      /* struct config_user */
    CONFIG_TYPE_USERS,     /* struct config_people */
};

struct config_key {
    const char *section, *key;
    enum config_type type;
    size_t offset;            /* of the field in struct config */
    const char *default_yaml; /* NULL: required */
    uint64_t min, max;
    const char *unit, *help;
};

extern const struct config_key config_keys[];
extern const size_t config_key_count;

#endif
