/* SPDX-License-Identifier: Apache-2.0
 *
 * SFTP's responses, by a table as the requests (gateway/sftp_request.c). Runs in the backend; the
 * target is hostile. Pure. Source: draft-ietf-secsh-filexfer-02, 7. */
#include "gateway/sftp_fields.h"

#include <string.h>

enum field {
    STATUS = 's',
    TEXT = 't',
    LANGUAGE = 'g',
    HANDLE = 'h',
    DATA = 'd',
    NAMES = 'n', /* count and entries */
    ATTRS = 'a',
    PAIRS = 'x', /* pairs of strings up to the end */
    REST = 'r',
};

static const struct response_form {
    uint8_t type;
    const char *name;
    const char *fields; /* after the id */
} forms[] = {
    {SFTP_VERSION_REPLY, "version", "x"},
    {SFTP_STATUS, "status", "stg"},
    {SFTP_HANDLE, "handle", "h"},
    {SFTP_DATA, "data", "d"},
    {SFTP_NAME, "name", "n"},
    {SFTP_ATTRS, "attrs", "a"},
    {SFTP_EXTENDED_REPLY, "extended-reply", "r"},
};

static const struct response_form *find_form(uint8_t type)
{
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
        if (forms[i].type == type)
            return &forms[i];
    return NULL;
}

static void get_field(struct wire_reader *r, enum field field, struct sftp_response *out)
{
    switch (field) {
    case STATUS:
        out->status = wire_get_u32(r);
        break;
    case TEXT:
        out->text = wire_get_data(r, SFTP_PACKET_MAX);
        break;
    case LANGUAGE:
        out->language = wire_get_data(r, SFTP_PACKET_MAX);
        break;
    case HANDLE:
        out->handle = wire_get_data(r, SFTP_HANDLE_MAX);
        break;
    case DATA:
        out->data = wire_get_data(r, SFTP_PACKET_MAX);
        break;
    case NAMES:
        out->count = wire_get_u32(r);
        out->rest = sftp_get_names(r, out->count);
        break;
    case ATTRS:
        out->attrs = sftp_get_attrs(r);
        break;
    case PAIRS:
        out->rest = sftp_get_pairs(r);
        break;
    case REST:
        out->rest = sftp_get_rest(r);
        break;
    }
}

static int parse(struct wire_reader *r, const struct response_form *form, struct sftp_response *out,
                 struct err *e)
{
    for (const char *f = form->fields; *f; f++) {
        get_field(r, (enum field) * f, out);
        if (r->failed)
            return err_set(e, ERR_PROTOCOL, "%s: field %d of %zu is truncated or not of its form",
                           form->name, (int)(f - form->fields) + 1, strlen(form->fields));
    }
    if (r->left > 0)
        return err_set(e, ERR_PROTOCOL, "%s: %zu bytes are left over", form->name, r->left);
    return 0;
}

int sftp_response_parse(const void *packet, size_t len, struct sftp_response *out, struct err *e)
{
    const struct response_form *form;
    struct wire_reader r;
    int rc;

    *out = (struct sftp_response){0};
    wire_reader_init(&r, packet, len);
    out->type = wire_get_u8(&r);
    out->id = wire_get_u32(&r);
    if (r.failed || len > SFTP_PACKET_MAX)
        return err_set(e, ERR_PROTOCOL, "a response of %zu bytes", len);
    form = find_form(out->type);
    if (!form)
        return err_set(e, ERR_PROTOCOL, "a response of type %u", out->type);
    rc = parse(&r, form, out, e);
    if (rc != 0)
        *out = (struct sftp_response){.type = out->type, .id = out->id};
    return rc;
}

static void put_field(struct wire_writer *w, enum field field, const struct sftp_response *r)
{
    switch (field) {
    case STATUS:
        wire_put_u32(w, r->status);
        break;
    case TEXT:
        wire_put_data(w, r->text.p, r->text.len, SFTP_PACKET_MAX);
        break;
    case LANGUAGE:
        wire_put_data(w, r->language.p, r->language.len, SFTP_PACKET_MAX);
        break;
    case HANDLE:
        wire_put_data(w, r->handle.p, r->handle.len, SFTP_HANDLE_MAX);
        break;
    case DATA:
        wire_put_data(w, r->data.p, r->data.len, SFTP_PACKET_MAX);
        break;
    case NAMES:
        wire_put_u32(w, r->count);
        wire_put_raw(w, r->rest.p, r->rest.len);
        break;
    case ATTRS:
        sftp_put_attrs(w, &r->attrs);
        break;
    case PAIRS:
    case REST:
        wire_put_raw(w, r->rest.p, r->rest.len);
        break;
    }
}

int sftp_response_put(const struct sftp_response *r, struct buf *out)
{
    const struct response_form *form = find_form(r->type);
    const size_t strings = r->text.len + r->language.len + r->handle.len + r->data.len +
                           r->attrs.extended.len + r->rest.len;
    struct wire_writer w;
    int rc;

    if (!form)
        return ERR_INPUT;
    rc = sftp_put_begin(&w, out, r->type, strings);
    if (rc != 0)
        return rc;
    wire_put_u32(&w, r->id);
    for (const char *f = form->fields; *f; f++)
        put_field(&w, (enum field) * f, r);
    return sftp_put_end(&w, out);
}
