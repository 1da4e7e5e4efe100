/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames and tables for people: the one-line form for debugging logs, and the Markdown tables of
 * docs/PROTOCOL.md. Secrets never show. Does no I/O. */
#include "base/link.h"
#include "base/link_out.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "base/log.h"

int link_bad_message(struct err *e, const char *link_name, const char *message)
{
    err_wrap(e, "link %s, message %s", link_name, message);
    return ERR_PROTOCOL;
}

int link_print(const struct frame *f, struct buf *out)
{
    int rc = buf_printf(out, "%s", f->spec->name);
    return rc ? rc : f->spec->print(f, out);
}

int link_print_u64(struct buf *out, const char *name, uint64_t v)
{
    return buf_printf(out, " %s=%" PRIu64, name, v);
}

int link_print_str(struct buf *out, const char *name, const char *s)
{
    char escaped[4 * 256 + 1]; /* longer texts are cut */
    return buf_printf(out, " %s=\"%s\"", name, escape_text(escaped, sizeof escaped, s, strlen(s)));
}

int link_print_hex(struct buf *out, const char *name, const uint8_t *p, size_t len)
{
    int rc = buf_printf(out, " %s=", name);

    for (size_t i = 0; !rc && i < len; i++)
        rc = buf_printf(out, "%02x", p[i]);
    return rc;
}

int link_print_data(struct buf *out, const char *name, struct bytes view)
{
    return buf_printf(out, " %s=<%zu bytes>", name, view.len);
}

int link_print_secret(struct buf *out, const char *name)
{
    return buf_printf(out, " %s=[secret]", name);
}

/* The fields as they stand in the table, with runs of blanks as one. */
static int document_fields(const char *fields, struct buf *out)
{
    int rc = 0;
    bool blank = false;

    if (!strcmp(fields, "NOTHING"))
        return buf_printf(out, " ");
    rc = buf_printf(out, "`");
    for (; !rc && *fields; fields++) {
        if (isspace((unsigned char)*fields)) {
            blank = true;
            continue;
        }
        rc = buf_printf(out, "%s%c", blank ? " " : "", *fields);
        blank = false;
    }
    return rc ? rc : buf_printf(out, "`");
}

static int document_states(const struct link_spec *spec, uint32_t bits, struct buf *out)
{
    int rc = 0;
    const char *separator = "";

    for (size_t i = 0; !rc && i < spec->state_count; i++)
        if (bits & spec->states[i].bit) {
            rc = buf_printf(out, "%s%s", separator, spec->states[i].name);
            separator = ", ";
        }
    return rc;
}

static const char *message_name(const struct link_spec *spec, uint16_t number)
{
    for (size_t i = 0; i < spec->count; i++)
        if (spec->messages[i].number == number)
            return spec->messages[i].name;
    return "";
}

static int document_message(const struct link_spec *spec, const struct msg_spec *m, struct buf *out)
{
    int rc = buf_printf(out, "| %u | `%s` | %s | ", m->number, m->name,
                        m->direction == DOWN ? spec->second : spec->first);

    if (!rc)
        rc = document_states(spec, m->states, out);
    if (!rc)
        rc = buf_printf(out, " | %s | %s | %u | %u | ", m->times == ONCE ? "once" : "many",
                        m->reply ? message_name(spec, m->reply) : "", m->fds, m->max);
    if (!rc)
        rc = document_fields(m->fields, out);
    return rc ? rc : buf_printf(out, " |\n");
}

int link_document(const struct link_spec *spec, struct buf *out)
{
    int rc = buf_printf(
        out,
        "### %s: %s and %s\n\n"
        "| no. | message | to | in state | times | reply | descriptors | bytes at most | fields |\n"
        "|---|---|---|---|---|---|---|---|---|\n",
        spec->name, spec->first, spec->second);

    for (size_t i = 0; !rc && i < spec->count; i++)
        rc = document_message(spec, &spec->messages[i], out);
    return rc ? rc : buf_printf(out, "\n");
}
