/* SPDX-License-Identifier: Apache-2.0
 *
 * Turns one message table into definitions: senders, decoders, printers, and the link_spec that the
 * receiver checks against (base/msg_declare.h says what a table holds). Included by exactly one .c
 * file per table, after its declarations:
 *
 *     #define MSG_TABLE "gateway/listener.def"
 *     #include "base/msg_define.h"
 *
 * No include guard: it is a template. Each pass over the table makes one thing. */
#include <string.h>

#include "base/link_out.h"

/* --- pass 1: the size of everything but the views' bytes, and the largest message. A number that
 * another message of the link has is an enumerator declared again: the compiler names it. */
#define LINK(table, first, second)
#define STATE(table, name, bit)
#define U8(n)          +1
#define U16(n)         +2
#define U32(n)         +4
#define U64(n)         +8
#define STR(n, max)    +2 + (max)
#define SECRET(n, max) +2 + (max)
#define BYTES(n, size) +(size)
#define DATA(n, max)   +4
#define NOTHING        +0
#define MESSAGE(table, name, number_, direction_, states_, times_, reply_, fds_, ...)              \
    enum { table##_##name##_FIXED = LINK_HEAD __VA_ARGS__, table##_number_##number_##_again };     \
    _Static_assert((number_) > 0 && (number_) < LINK_NUMBERS_MAX, "message number");               \
    _Static_assert((fds_) <= LINK_FDS_MAX, "descriptors of a message");
#include MSG_TABLE
#undef MESSAGE
#undef U8
#undef U16
#undef U32
#undef U64
#undef STR
#undef SECRET
#undef BYTES
#undef DATA
#undef NOTHING

/* --- pass 2: decoders */
#define U8(n)          m->n = wire_get_u8(&r);
#define U16(n)         m->n = wire_get_u16(&r);
#define U32(n)         m->n = wire_get_u32(&r);
#define U64(n)         m->n = wire_get_u64(&r);
#define STR(n, max)    wire_get_str(&r, m->n, max);
#define SECRET(n, max) wire_get_str(&r, m->n, max);
#define BYTES(n, size) wire_get_raw(&r, m->n, size);
#define DATA(n, max)   m->n = wire_get_data(&r, max);
#define NOTHING        m->nothing_ = 0;
#define MESSAGE(table, name, number_, direction_, states_, times_, reply_, fds_, ...)              \
    int table##_##name##_decode(const struct frame *f, struct table##_##name *m, struct err *e)    \
    {                                                                                              \
        struct wire_reader r;                                                                      \
                                                                                                   \
        INVARIANT(f->spec->number == (number_));                                                   \
        wire_reader_init(&r, f->fields.p, f->fields.len);                                          \
        __VA_ARGS__                                                                                \
        if (wire_get_end(&r, e) == 0)                                                              \
            return 0;                                                                              \
        return link_bad_message(e, #table, #name);                                                 \
    }
#include MSG_TABLE
#undef MESSAGE
#undef U8
#undef U16
#undef U32
#undef U64
#undef STR
#undef SECRET
#undef BYTES
#undef DATA
#undef NOTHING

/* Passes 3 to 7 are statements and halves of declarations, which no formatter knows. */
/* clang-format off */

/* --- pass 3: printers */
#define U8(n)          if (!rc) rc = link_print_u64(out, #n, m.n);
#define U16(n)         U8(n)
#define U32(n)         U8(n)
#define U64(n)         U8(n)
#define STR(n, max)    if (!rc) rc = link_print_str(out, #n, m.n);
#define SECRET(n, max) if (!rc) rc = link_print_secret(out, #n);
#define BYTES(n, size) if (!rc) rc = link_print_hex(out, #n, m.n, size);
#define DATA(n, max)   if (!rc) rc = link_print_data(out, #n, m.n);
#define NOTHING        (void)out;
#define MESSAGE(table, name, number_, direction_, states_, times_, reply_, fds_, ...)              \
    static int table##_##name##_print(const struct frame *f, struct buf *out)                      \
    {                                                                                              \
        struct table##_##name m;                                                                   \
        int rc = table##_##name##_decode(f, &m, NULL);                                             \
                                                                                                   \
        __VA_ARGS__                                                                                \
        explicit_bzero(&m, sizeof m);                                                              \
        return rc;                                                                                 \
    }
#include MSG_TABLE
#undef MESSAGE
#undef U8
#undef U16
#undef U32
#undef U64
#undef STR
#undef SECRET
#undef BYTES
#undef DATA
#undef NOTHING
#undef STATE

/* --- pass 4: the names of the states, 5: the messages, 6: the largest, 7: the link */
#undef LINK
#define LINK(table, first, second) static const struct link_state_name table##_states[] = {
#define STATE(table, name, bit) {#name, 1u << (bit)},
#define MESSAGE(table, name, number_, direction_, states_, times_, reply_, fds_, ...)
#include MSG_TABLE
};
#undef LINK
#undef STATE
#undef MESSAGE

#define LINK(table, first, second) static const struct msg_spec table##_messages[] = {
#define STATE(table, name, bit)
#define MESSAGE(table, name, number_, direction_, states_, times_, reply_, fds_, ...)              \
    {(number_), #name, direction_, (states_), times_, (reply_), (fds_), table##_##name##_MAX,      \
     #__VA_ARGS__, table##_##name##_print},
#include MSG_TABLE
};
#undef LINK
#undef MESSAGE

#define LINK(table, first, second) union table##_largest {
#define MESSAGE(table, name, number_, direction_, states_, times_, reply_, fds_, ...)              \
    uint8_t name[LINK_HEAD + table##_##name##_MAX];
#include MSG_TABLE
};
#undef LINK
#undef MESSAGE

#define LINK(table, first, second)                                                                 \
    const struct link_spec link_##table = {                                                        \
        #table,                                                                                    \
        #first,                                                                                    \
        #second,                                                                                   \
        table##_states,                                                                            \
        sizeof table##_states / sizeof table##_states[0],                                          \
        table##_messages,                                                                          \
        sizeof table##_messages / sizeof table##_messages[0],                                      \
        sizeof(union table##_largest),                                                             \
    };
#define MESSAGE(table, name, number_, direction_, states_, times_, reply_, fds_, ...)
#include MSG_TABLE
#undef LINK
#undef MESSAGE

/* clang-format on */

/* --- pass 8: senders */
#define LINK(table, first, second)
#define U8(n)       wire_put_u8(&o.w, m->n);
#define U16(n)      wire_put_u16(&o.w, m->n);
#define U32(n)      wire_put_u32(&o.w, m->n);
#define U64(n)      wire_put_u64(&o.w, m->n);
#define STR(n, max) wire_put_str(&o.w, m->n, max);
#define SECRET(n, max)                                                                             \
    wire_put_str(&o.w, m->n, max);                                                                 \
    secret = true;
#define BYTES(n, size) wire_put_raw(&o.w, m->n, size);
#define DATA(n, max)   link_out_data(&o, m->n, max);
#define NOTHING        (void)m;
#define MESSAGE(table, name, number_, direction_, states_, times_, reply_, fds_, ...)              \
    int table##_##name##_send(struct link *l, const struct table##_##name *m, const int *fd,       \
                              struct err *e)                                                       \
    {                                                                                              \
        uint8_t fixed[table##_##name##_FIXED];                                                     \
        bool secret = false; /* a stack keeps it for as long as nothing needs the place */         \
        struct link_out o;                                                                         \
                                                                                                   \
        link_out_init(&o, fixed, sizeof fixed);                                                    \
        __VA_ARGS__                                                                                \
        int rc = link_out_send(&o, l, &link_##table, (number_), fd, e);                            \
        if (secret)                                                                                \
            explicit_bzero(fixed, sizeof fixed);                                                   \
        return rc;                                                                                 \
    }
#include MSG_TABLE
#undef MESSAGE
#undef U8
#undef U16
#undef U32
#undef U64
#undef STR
#undef SECRET
#undef BYTES
#undef DATA
#undef NOTHING
#undef LINK
#undef STATE
#undef MSG_TABLE
