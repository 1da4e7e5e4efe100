/* SPDX-License-Identifier: Apache-2.0
 *
 * SFTP version 3 on the wire: one packet to a struct and back. Lengths, strings and counts are
 * checked against the packet before anything is believed, nothing is allocated, and a packet with
 * bytes left over is malformed. Views point into the packet. Used by the backend on what
 * both sides send, which is hostile. Pure. Source: draft-ietf-secsh-filexfer-02; OpenSSH's
 * PROTOCOL, section 4, for the extensions and for SYMLINK's arguments, which OpenSSH has the other
 * way round than the draft. */
#ifndef SALLYPORT_GATEWAY_SFTP_WIRE_H
#define SALLYPORT_GATEWAY_SFTP_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/wire.h"
#include "gateway/sftp_elide.h" /* SFTP_PACKET_MAX */

#define SFTP_VERSION 3

enum sftp_type {
    SFTP_INIT = 1,
    SFTP_VERSION_REPLY = 2,
    SFTP_OPEN = 3,
    SFTP_CLOSE = 4,
    SFTP_READ = 5,
    SFTP_WRITE = 6,
    SFTP_LSTAT = 7,
    SFTP_FSTAT = 8,
    SFTP_SETSTAT = 9,
    SFTP_FSETSTAT = 10,
    SFTP_OPENDIR = 11,
    SFTP_READDIR = 12,
    SFTP_REMOVE = 13,
    SFTP_MKDIR = 14,
    SFTP_RMDIR = 15,
    SFTP_REALPATH = 16,
    SFTP_STAT = 17,
    SFTP_RENAME = 18,
    SFTP_READLINK = 19,
    SFTP_SYMLINK = 20,
    SFTP_STATUS = 101,
    SFTP_HANDLE = 102,
    SFTP_DATA = 103,
    SFTP_NAME = 104,
    SFTP_ATTRS = 105,
    SFTP_EXTENDED = 200,
    SFTP_EXTENDED_REPLY = 201,
};

enum sftp_open_flag { /* pflags */
                      SFTP_OPEN_READ = 1,
                      SFTP_OPEN_WRITE = 2,
                      SFTP_OPEN_APPEND = 4,
                      SFTP_OPEN_CREAT = 8,
                      SFTP_OPEN_TRUNC = 16,
                      SFTP_OPEN_EXCL = 32,
                      SFTP_OPEN_ALL = 63,
};

enum sftp_status_code {
    SFTP_FX_OK = 0,
    SFTP_FX_EOF = 1,
    SFTP_FX_NO_SUCH_FILE = 2,
    SFTP_FX_PERMISSION_DENIED = 3,
    SFTP_FX_FAILURE = 4,
    SFTP_FX_BAD_MESSAGE = 5,
    SFTP_FX_NO_CONNECTION = 6,
    SFTP_FX_CONNECTION_LOST = 7,
    SFTP_FX_OP_UNSUPPORTED = 8,
};

enum sftp_attr_flag {
    SFTP_ATTR_SIZE = 1,
    SFTP_ATTR_UIDGID = 2,
    SFTP_ATTR_PERMISSIONS = 4,
    SFTP_ATTR_TIMES = 8,
    SFTP_ATTR_EXTENDED = 0x80000000,
};

struct sftp_attrs {
    uint32_t flags;
    uint64_t size;
    uint32_t uid, gid, permissions, atime, mtime;
    struct bytes extended; /* with SFTP_ATTR_EXTENDED: the pairs, checked; sftp_pair_next walks */
    uint32_t extended_count;
};

/* The extensions of OpenSSH that the gateway understands. Others are refused, and their names are
 * taken out of the target's VERSION. */
enum sftp_extension {
    SFTP_EXT_NONE,           /* another one */
    SFTP_EXT_POSIX_RENAME,   /* posix-rename@openssh.com: path, to */
    SFTP_EXT_HARDLINK,       /* hardlink@openssh.com: path (the old one), to */
    SFTP_EXT_STATVFS,        /* statvfs@openssh.com: path */
    SFTP_EXT_FSTATVFS,       /* fstatvfs@openssh.com: handle */
    SFTP_EXT_FSYNC,          /* fsync@openssh.com: handle */
    SFTP_EXT_LSETSTAT,       /* lsetstat@openssh.com: path, attrs */
    SFTP_EXT_LIMITS,         /* limits@openssh.com */
    SFTP_EXT_EXPAND_PATH,    /* expand-path@openssh.com: path */
    SFTP_EXT_COPY_DATA,      /* copy-data: handle, offset, copy_bytes, to_handle, to_offset */
    SFTP_EXT_HOME_DIRECTORY, /* home-directory: path holds the user name */
    SFTP_EXT_USERS_GROUPS,   /* users-groups-by-id@openssh.com: rest */
    SFTP_EXTENSIONS
};
const char *sftp_extension_name(enum sftp_extension extension); /* as on the wire */
enum sftp_extension sftp_extension_named(const void *name, size_t len);

/* What a stream begins with: 1 and the first packet without its length (length + 4 bytes are to be
 * consumed); 0: it is not whole yet; ERR_PROTOCOL: of no byte, or larger than SFTP_PACKET_MAX. */
MUST_CHECK int sftp_packet_first(const void *p, size_t len, struct bytes *packet, struct err *e);

/* A request. Members that the type does not have are zero. */
struct sftp_request {
    uint8_t type;
    uint32_t id; /* INIT: the version */
    enum sftp_extension extension;
    struct bytes extension_name;
    struct bytes path, to; /* SYMLINK: path is the link, to what it shall say */
    struct bytes handle, to_handle;
    uint32_t pflags;
    struct sftp_attrs attrs;
    uint64_t offset, to_offset, copy_bytes;
    uint32_t length;   /* of READ */
    struct bytes data; /* of WRITE */
    struct bytes rest; /* pairs of INIT; USERS_GROUPS' two strings; bytes of a foreign extension */
};
/* packet: without its length. ERR_PROTOCOL: malformed, with where; ERR_INPUT: of a type that a
 * client does not send. On either, out has the type and, where the packet is long enough for one,
 * the id, and nothing else. A path or a name may hold a NUL: policy/files.h refuses it. */
MUST_CHECK int sftp_request_parse(const void *packet, size_t len, struct sftp_request *out,
                                  struct err *e);
/* What of a request would reach the target without a word in a FILE record, or with numbers in it
 * that its readers take for none: words for people. NULL: nothing, it may be judged. */
const char *sftp_request_unsound(const struct sftp_request *r);
/* Appends the whole packet, its length first. Writes what is in the struct: the bytes that a client
 * sent are never passed on as they are. ERR_FULL, and nothing is appended: out has no room, the
 * packet is over SFTP_PACKET_MAX or a handle over SFTP_HANDLE_MAX; ERR_MEMORY; ERR_INPUT: of a type
 * that there is not. */
MUST_CHECK int sftp_request_put(const struct sftp_request *r, struct buf *out);

/* A response. NAME: count entries in `rest`, checked whole; sftp_name_next walks them. */
struct sftp_response {
    uint8_t type;
    uint32_t id; /* VERSION: the version */
    uint32_t status;
    struct bytes text, language;
    struct bytes handle;
    struct bytes data;
    uint32_t count;
    struct sftp_attrs attrs;
    struct bytes rest; /* NAME's entries, VERSION's extensions, EXTENDED_REPLY's bytes */
};
/* As for requests, but a type that a target does not send is ERR_PROTOCOL too. */
MUST_CHECK int sftp_response_parse(const void *packet, size_t len, struct sftp_response *out,
                                   struct err *e);
MUST_CHECK int sftp_response_put(const struct sftp_response *r, struct buf *out);
struct sftp_name {
    struct bytes name, long_name;
    struct sftp_attrs attrs;
};
/* Takes the first entry off rest; false: none is left. */
bool sftp_name_next(struct bytes *rest, struct sftp_name *out);
/* Takes the first pair off the extensions of VERSION or INIT, or off those of attributes; false:
 * none is left. */
bool sftp_pair_next(struct bytes *rest, struct bytes *name, struct bytes *value);

/* "no-such-file", "permission-denied" ...; "status-17" for a number nobody knows. */
const char *sftp_status_name(uint32_t status, char out[24]);
/* "open", "rename", "posix-rename@openssh.com"; for records. What is not printable ASCII in a
 * foreign extension's name is '?', and it is cut; "type-17" where there is no such type. */
const char *sftp_operation_name(const struct sftp_request *r, char out[64]);

#endif
