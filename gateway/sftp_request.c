/* SPDX-License-Identifier: Apache-2.0
 *
 * SFTP's requests: one table says of what fields each consists, and the parser and the writer both
 * walk it, so they cannot differ. Runs in the backend; what is parsed is hostile. Pure. Source:
 * draft-ietf-secsh-filexfer-02, 6; OpenSSH's PROTOCOL, 4. */
#include "gateway/sftp_fields.h"

#include <stdio.h>
#include <string.h>

/* Fields, in the order of the packet. */
enum field {
    PATH = 'p',
    TO = 't',
    HANDLE = 'h',
    TO_HANDLE = 'H',
    PFLAGS = 'f',
    ATTRS = 'a',
    OFFSET = 'o',
    TO_OFFSET = 'O',
    COPY_BYTES = 'c',
    LENGTH = 'l',
    DATA = 'd',
    PAIRS = 'x',     /* pairs of strings up to the end */
    ID_LISTS = 'u',  /* two strings of 32-bit numbers */
    REST = 'r',      /* whatever is left */
    EXTENSION = 'e', /* a name, then its own fields */
};

static const struct request_form {
    uint8_t type;
    const char *name;
    const char *fields; /* after the id */
} forms[] = {
    {SFTP_INIT, "init", "x"},          {SFTP_OPEN, "open", "pfa"},
    {SFTP_CLOSE, "close", "h"},        {SFTP_READ, "read", "hol"},
    {SFTP_WRITE, "write", "hod"},      {SFTP_LSTAT, "lstat", "p"},
    {SFTP_FSTAT, "fstat", "h"},        {SFTP_SETSTAT, "setstat", "pa"},
    {SFTP_FSETSTAT, "fsetstat", "ha"}, {SFTP_OPENDIR, "opendir", "p"},
    {SFTP_READDIR, "readdir", "h"},    {SFTP_REMOVE, "remove", "p"},
    {SFTP_MKDIR, "mkdir", "pa"},       {SFTP_RMDIR, "rmdir", "p"},
    {SFTP_REALPATH, "realpath", "p"},  {SFTP_STAT, "stat", "p"},
    {SFTP_RENAME, "rename", "pt"},     {SFTP_READLINK, "readlink", "p"},
    {SFTP_SYMLINK, "symlink", "tp"}, /* what it says comes first */
    {SFTP_EXTENDED, "extended", "e"},
};

static const struct {
    const char *name;
    const char *fields;
} extensions[SFTP_EXTENSIONS] = {
    [SFTP_EXT_NONE] = {"", "r"},
    [SFTP_EXT_POSIX_RENAME] = {"posix-rename@openssh.com", "pt"},
    [SFTP_EXT_HARDLINK] = {"hardlink@openssh.com", "pt"},
    [SFTP_EXT_STATVFS] = {"statvfs@openssh.com", "p"},
    [SFTP_EXT_FSTATVFS] = {"fstatvfs@openssh.com", "h"},
    [SFTP_EXT_FSYNC] = {"fsync@openssh.com", "h"},
    [SFTP_EXT_LSETSTAT] = {"lsetstat@openssh.com", "pa"},
    [SFTP_EXT_LIMITS] = {"limits@openssh.com", ""},
    [SFTP_EXT_EXPAND_PATH] = {"expand-path@openssh.com", "p"},
    [SFTP_EXT_COPY_DATA] = {"copy-data", "hocHO"},
    [SFTP_EXT_HOME_DIRECTORY] = {"home-directory", "p"},
    [SFTP_EXT_USERS_GROUPS] = {"users-groups-by-id@openssh.com", "u"},
};

const char *sftp_extension_name(enum sftp_extension extension)
{
    return (unsigned)extension < SFTP_EXTENSIONS ? extensions[extension].name : "";
}

enum sftp_extension sftp_extension_named(const void *name, size_t len)
{
    for (unsigned i = SFTP_EXT_NONE + 1; i < SFTP_EXTENSIONS; i++)
        if (strlen(extensions[i].name) == len && memcmp(extensions[i].name, name, len) == 0)
            return (enum sftp_extension)i;
    return SFTP_EXT_NONE;
}

static const struct request_form *find_form(uint8_t type)
{
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
        if (forms[i].type == type)
            return &forms[i];
    return NULL;
}

const char *sftp_operation_name(const struct sftp_request *r, char out[64])
{
    const struct request_form *form = find_form(r->type);
    size_t n;

    if (!form) {
        snprintf(out, 64, "type-%u", r->type);
    } else if (r->type != SFTP_EXTENDED) {
        snprintf(out, 64, "%s", form->name);
    } else if (r->extension != SFTP_EXT_NONE) {
        snprintf(out, 64, "%s", sftp_extension_name(r->extension));
    } else {
        n = r->extension_name.len < 63 ? r->extension_name.len : 63;
        for (size_t i = 0; i < n; i++) {
            uint8_t c = r->extension_name.p[i];

            out[i] = c > 0x20 && c < 0x7f ? (char)c : '?';
        }
        out[n] = '\0';
    }
    return out;
}

/* --- reading */

static struct bytes get_id_lists(struct wire_reader *r)
{
    const uint8_t *start = r->in;

    for (unsigned i = 0; i < 2; i++)
        if (wire_get_data(r, SFTP_PACKET_MAX).len % 4 != 0)
            r->failed = true;
    return r->failed ? (struct bytes){0} : (struct bytes){start, (size_t)(r->in - start)};
}

static void get_field(struct wire_reader *r, enum field field, struct sftp_request *out)
{
    switch (field) {
    case PATH:
        out->path = wire_get_data(r, SFTP_PACKET_MAX);
        break;
    case TO:
        out->to = wire_get_data(r, SFTP_PACKET_MAX);
        break;
    case HANDLE:
        out->handle = wire_get_data(r, SFTP_HANDLE_MAX);
        break;
    case TO_HANDLE:
        out->to_handle = wire_get_data(r, SFTP_HANDLE_MAX);
        break;
    case PFLAGS:
        out->pflags = wire_get_u32(r);
        break;
    case ATTRS:
        out->attrs = sftp_get_attrs(r);
        break;
    case OFFSET:
        out->offset = wire_get_u64(r);
        break;
    case TO_OFFSET:
        out->to_offset = wire_get_u64(r);
        break;
    case COPY_BYTES:
        out->copy_bytes = wire_get_u64(r);
        break;
    case LENGTH:
        out->length = wire_get_u32(r);
        break;
    case DATA:
        out->data = wire_get_data(r, SFTP_PACKET_MAX);
        break;
    case PAIRS:
        out->rest = sftp_get_pairs(r);
        break;
    case ID_LISTS:
        out->rest = get_id_lists(r);
        break;
    case REST:
        out->rest = sftp_get_rest(r);
        break;
    case EXTENSION: /* its own fields follow: see below */
        break;
    }
}

static int get_fields(struct wire_reader *r, const char *fields, struct sftp_request *out,
                      struct err *e)
{
    char name[64];

    for (const char *f = fields; *f; f++) {
        get_field(r, (enum field) * f, out);
        if (r->failed)
            return err_set(e, ERR_PROTOCOL, "%s: field %d of %zu is truncated or not of its form",
                           sftp_operation_name(out, name), (int)(f - fields) + 1, strlen(fields));
    }
    if (r->left > 0)
        return err_set(e, ERR_PROTOCOL, "%s: %zu bytes are left over",
                       sftp_operation_name(out, name), r->left);
    return 0;
}

static int parse(struct wire_reader *r, const char *fields, struct sftp_request *out, struct err *e)
{
    if (fields[0] == EXTENSION) {
        out->extension_name = wire_get_data(r, SFTP_PACKET_MAX);
        if (r->failed)
            return err_set(e, ERR_PROTOCOL, "extended: its name is truncated");
        out->extension = sftp_extension_named(out->extension_name.p, out->extension_name.len);
        fields = extensions[out->extension].fields;
    }
    return get_fields(r, fields, out, e);
}

int sftp_request_parse(const void *packet, size_t len, struct sftp_request *out, struct err *e)
{
    const struct request_form *form;
    struct wire_reader r;
    int rc;

    *out = (struct sftp_request){0};
    wire_reader_init(&r, packet, len);
    out->type = wire_get_u8(&r);
    out->id = wire_get_u32(&r);
    if (r.failed || len > SFTP_PACKET_MAX)
        return err_set(e, ERR_PROTOCOL, "a request of %zu bytes", len);
    form = find_form(out->type);
    if (!form)
        return err_set(e, ERR_INPUT, "a request of type %u", out->type);
    rc = parse(&r, form->fields, out, e);
    if (rc != 0)
        *out = (struct sftp_request){.type = out->type, .id = out->id};
    return rc;
}

const char *sftp_request_unsound(const struct sftp_request *r)
{
    const uint64_t more = r->type == SFTP_WRITE ? r->data.len : r->length;

    if (r->pflags & ~(uint32_t)SFTP_OPEN_ALL)
        return "the gateway does not know these flags of an open";
    if (r->attrs.flags & SFTP_ATTR_EXTENDED)
        return "the gateway does not know these attributes";
    if (r->attrs.size > INT64_MAX || r->offset > INT64_MAX - more || r->copy_bytes > INT64_MAX ||
        r->to_offset > INT64_MAX)
        return "a size or an offset beyond what a file can have";
    return NULL;
}

/* --- writing */

static void put_string(struct wire_writer *w, struct bytes b, size_t max)
{
    wire_put_data(w, b.p, b.len, max);
}

static void put_field(struct wire_writer *w, enum field field, const struct sftp_request *r)
{
    switch (field) {
    case PATH:
        put_string(w, r->path, SFTP_PACKET_MAX);
        break;
    case TO:
        put_string(w, r->to, SFTP_PACKET_MAX);
        break;
    case HANDLE:
        put_string(w, r->handle, SFTP_HANDLE_MAX);
        break;
    case TO_HANDLE:
        put_string(w, r->to_handle, SFTP_HANDLE_MAX);
        break;
    case PFLAGS:
        wire_put_u32(w, r->pflags);
        break;
    case ATTRS:
        sftp_put_attrs(w, &r->attrs);
        break;
    case OFFSET:
        wire_put_u64(w, r->offset);
        break;
    case TO_OFFSET:
        wire_put_u64(w, r->to_offset);
        break;
    case COPY_BYTES:
        wire_put_u64(w, r->copy_bytes);
        break;
    case LENGTH:
        wire_put_u32(w, r->length);
        break;
    case DATA:
        put_string(w, r->data, SFTP_PACKET_MAX);
        break;
    case PAIRS:
    case ID_LISTS:
    case REST:
        wire_put_raw(w, r->rest.p, r->rest.len);
        break;
    case EXTENSION:
        break;
    }
}

int sftp_request_put(const struct sftp_request *r, struct buf *out)
{
    const struct request_form *form = find_form(r->type);
    const size_t strings = r->path.len + r->to.len + r->handle.len + r->to_handle.len +
                           r->attrs.extended.len + r->data.len + r->rest.len;
    struct bytes name = r->extension_name;
    const char *fields;
    struct wire_writer w;
    int rc;

    if (!form || (unsigned)r->extension >= SFTP_EXTENSIONS)
        return ERR_INPUT;
    fields = form->fields;
    if (r->extension != SFTP_EXT_NONE) {
        const char *known = sftp_extension_name(r->extension);

        name = (struct bytes){(const uint8_t *)known, strlen(known)};
    }
    rc = sftp_put_begin(&w, out, r->type, strings + name.len);
    if (rc != 0)
        return rc;
    wire_put_u32(&w, r->id);
    if (fields[0] == EXTENSION) {
        put_string(&w, name, SFTP_PACKET_MAX);
        fields = extensions[r->extension].fields;
    }
    for (; *fields; fields++)
        put_field(&w, (enum field) * fields, r);
    return sftp_put_end(&w, out);
}
