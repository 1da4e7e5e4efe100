/* SPDX-License-Identifier: Apache-2.0
 *
 * sallyport.yaml, read once at start by the supervisor and by the administrator's commands. The
 * keys stand in gateway/config.def. Trusts only a file that root (or who runs this) owns and nobody
 * else may write. Does I/O only in config_read_file, config_load and config_users. */
#ifndef SALLYPORT_GATEWAY_CONFIG_H
#define SALLYPORT_GATEWAY_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "policy/address.h"
#include "policy/policy.h"

#define CONFIG_FILE          "sallyport.yaml"
#define CONFIG_LISTEN_MAX    16
#define CONFIG_ADMINS_MAX    64
#define CONFIG_PREFIXES_MAX  256
#define CONFIG_LISTENERS_MAX 64
#define CONFIG_PATH_MAX      200 /* file names below it stay under PATH_MAX and readable */
#define CONFIG_RUNTIME_MAX   90  /* sun_path is 108 bytes, "/control" comes after it */
#define CONFIG_GLASS_MAX     16
#define CONFIG_WITNESSES_MAX 8
#define CONFIG_KEY_MAX       320 /* a verifier key: a name of 255 bytes, id, key */
/* One syslog server and the witnesses; the numbers of courier.def. */
#define COURIER_DESTINATIONS_MAX (CONFIG_WITNESSES_MAX + 1)
#define CONFIG_OPENINGS_MAX      16
#define CONFIG_OPENING_FROM_MAX  32
#define CONFIG_FROM_MAX          200 /* authd.start carries so much */

enum config_user_index {
    CONFIG_USER_LISTENER,
    CONFIG_USER_FRONTEND,
    CONFIG_USER_BACKEND,
    CONFIG_USER_AUTHD,
    CONFIG_USER_AUDITD,
    CONFIG_USER_READER,
    CONFIG_USER_COURIER,  /* looked up only where it runs */
    CONFIG_USER_FIREWALL, /* the same */
    CONFIG_USERS
};

struct config_user {
    char name[33]; /* as written: a name or a number */
    unsigned line, column;
    uid_t uid; /* both after config_users; a numeric user has the same gid */
    gid_t gid;
};

struct config_people {
    size_t count;
    struct config_user at[CONFIG_ADMINS_MAX];
};

struct config_endpoint {
    struct address address;
    uint16_t port;
};

/* Where checkpoints are cosigned. */
struct config_witness {
    char key[CONFIG_KEY_MAX + 1];   /* verifier key */
    char path[CONFIG_PATH_MAX + 1]; /* before /add-checkpoint; empty: none */
    struct config_endpoint at;
};

struct config_prefixes {
    size_t count;
    struct prefix at[CONFIG_PREFIXES_MAX];
};

/* A port of this machine that stays open to some. */
struct config_opening {
    bool udp;
    uint16_t port;
    size_t count;
    struct prefix from[CONFIG_OPENING_FROM_MAX];
};

/* Operators. */
struct config_names {
    size_t count;
    char at[CONFIG_GLASS_MAX][OPERATOR_NAME_MAX + 1];
};

/* "10%" or "20GiB" */
struct config_amount {
    uint64_t value; /* percent or bytes */
    bool percent;
};

struct config {
    char file[256]; /* for messages */
    char gateway[256];
    struct {
        size_t count;
        struct config_endpoint at[CONFIG_LISTEN_MAX];
    } listen;
    char state[CONFIG_PATH_MAX + 1];
    char runtime[CONFIG_RUNTIME_MAX + 1];
    struct config_people admins, readers;
    struct config_prefixes from, reserve_from;
    char vault_from[CONFIG_FROM_MAX + 1];
    uint64_t listeners; /* 0: one per core */
    uint64_t connections, per_source, reserve;
    struct config_prefixes proxy_from;
    uint64_t penalty_slow, penalty_block; /* failures; 0: never */
    uint64_t penalty_within_ms, penalty_delay_ms, penalty_block_ms, penalty_block_max_ms;
    uint64_t handshake_ms, login_ms, connect_ms;
    uint64_t lockout_failures, lockout_ms;
    uint64_t enrolment_ms;
    struct config_amount disk_soft, disk_hard, disk_share;
    uint64_t disk_slow_ms;
    struct config_names glass_operators;
    struct config_amount glass_reserve;
    struct {
        size_t count;
        struct config_witness at[CONFIG_WITNESSES_MAX];
    } witnesses;
    struct config_endpoint syslog_address; /* port 0: none */
    char syslog_name[CONFIG_FROM_MAX + 1];
    char syslog_ca[CONFIG_PATH_MAX + 1], syslog_certificate[CONFIG_PATH_MAX + 1],
        syslog_key[CONFIG_PATH_MAX + 1];
    uint64_t elsewhere_alarm_ms, elsewhere_stop_ms; /* 0: never */
    bool firewall, firewall_close;
    struct {
        size_t count;
        struct config_opening at[CONFIG_OPENINGS_MAX];
    } firewall_also;
    struct config_user users[CONFIG_USERS];
};

bool config_prefixes_contain(const struct config_prefixes *list, const struct address *a);

/* Parses the text of a file; name is for messages. ERR_SYNTAX with "NAME:LINE:COLUMN: found ...,
 * expected ...". */
MUST_CHECK int config_parse(const char *name, const void *bytes, size_t len, struct config *out,
                            struct err *e);
/* Appends the content of a file of the configuration to out, whose maximum is the file's.
 * ERR_DENIED: somebody else than root and who runs this may write it. */
MUST_CHECK int config_read_file(const char *path, struct buf *out, struct err *e);
/* Reads and parses path (CONFDIR/sallyport.yaml). Does not look up users. */
MUST_CHECK int config_load(const char *path, struct config *out, struct err *e);
/* The same; text is initialised here and gets the bytes that were parsed, the caller's to clear. */
MUST_CHECK int config_load_text(const char *path, struct config *out, struct buf *text,
                                struct err *e);
/* Looks up the user names of `users`, `admins` and `readers` in the system's databases, and checks
 * that the users are different ones and not root. */
MUST_CHECK int config_users(struct config *c, struct err *e);
/* The directory of sallyport.yaml when no -c is given. */
const char *config_default_dir(void);

/* The configuration in force as YAML, every key with its value. */
MUST_CHECK int config_dump(const struct config *c, struct buf *out);
/* The table as mdoc list items, for sallyport.yaml(5). */
MUST_CHECK int config_document(struct buf *out);

#endif
