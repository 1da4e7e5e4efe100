/* SPDX-License-Identifier: Apache-2.0
 *
 * Turns one message table into declarations. Use:
 *
 *     #define MSG_TABLE "gateway/listener.def"
 *     #include "base/msg_declare.h"
 *
 * A table holds
 *
 *     LINK(link, first, second)
 *     STATE(link, name, bit)                         one line per state of the receiver
 *     MESSAGE(link, name, number, DOWN|UP, states, ONCE|MANY, reply number or 0, descriptors,
 *             fields...)
 *
 * with the fields, separated by blanks only:
 *
 *     U8(n) U16(n) U32(n) U64(n)    an integer
 *     STR(n, max)                   char n[max + 1], NUL-terminated, no NUL inside
 *     SECRET(n, max)                the same; printed as [secret]
 *     BYTES(n, size)                uint8_t n[size]
 *     DATA(n, max)                  struct bytes n: on receipt a view into the frame
 *     NOTHING                       a message without fields
 *
 * For each message that gives `struct LINK_NAME`, its number `LINK_NAME_NUMBER`, its largest size
 * `LINK_NAME_MAX`, and
 *
 *     int LINK_NAME_send(struct link *, const struct LINK_NAME *, const int *fds, struct err *);
 *     int LINK_NAME_decode(const struct frame *, struct LINK_NAME *, struct err *);
 *
 * (fds has as many descriptors as the table says, or is NULL for none), and for the link
 * `extern const struct link_spec link_LINK;`. base/msg_define.h, included by exactly one .c file
 * per table in the same way, holds the definitions. No include guard: it is a template. */
#include "base/link.h"

#define LINK(table, first, second) extern const struct link_spec link_##table;
#define STATE(table, name, bit)    enum { table##_STATE_##name = 1u << (bit) };
#define U8(n)                      uint8_t n;
#define U16(n)                     uint16_t n;
#define U32(n)                     uint32_t n;
#define U64(n)                     uint64_t n;
#define STR(n, max)                char n[(max) + 1];
#define SECRET(n, max)             char n[(max) + 1];
#define BYTES(n, size)             uint8_t n[size];
#define DATA(n, max)               struct bytes n;
#define NOTHING                    char nothing_;
#define MESSAGE(table, name, number, direction, states, times, reply, fds, ...)                    \
    struct table##_##name {                                                                        \
        __VA_ARGS__                                                                                \
    };                                                                                             \
    enum { table##_##name##_NUMBER = (number) };                                                   \
    MUST_CHECK int table##_##name##_send(struct link *l, const struct table##_##name *m,           \
                                         const int *fd, struct err *e);                            \
    MUST_CHECK int table##_##name##_decode(const struct frame *f, struct table##_##name *m,        \
                                           struct err *e);
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

/* A second pass for the sizes. */
#define LINK(table, first, second)
#define STATE(table, name, bit)
#define U8(n)          +1
#define U16(n)         +2
#define U32(n)         +4
#define U64(n)         +8
#define STR(n, max)    +2 + (max)
#define SECRET(n, max) +2 + (max)
#define BYTES(n, size) +(size)
#define DATA(n, max)   +4 + (max)
#define NOTHING        +0
#define MESSAGE(table, name, number, direction, states, times, reply, fds, ...)                    \
    enum { table##_##name##_MAX = 0 __VA_ARGS__ };
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
