/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of rule packs, shared by the loader (policy/packs_load.c), the matcher
 * (policy/packs_classify.c) and the form that a grant carries (policy/packs_wire.c). Built once,
 * only read afterwards; all memory is the pool's. The order of the loader's and the wire's bounds
 * is the same, so that what loads can be sent. */
#ifndef SALLYPORT_POLICY_PACKS_SET_H
#define SALLYPORT_POLICY_PACKS_SET_H

#include "policy/packs.h"
#include "policy/pool.h"

#define PACK_TEXT_MAX     127 /* one word, verb, option or pattern */
#define PACK_PROGRAMS_MAX 512 /* of all packs together; the shipped ones have some 150 */
#define PACK_FILES_MAX    128
#define PACK_NAMES_MAX    64   /* of one program */
#define PACK_OPTIONS_MAX  250  /* of one program or entry */
#define PACK_VERBS_MAX    2048 /* of one program; OpenStack's client has 600 */
#define PACK_ENTRIES_MAX  250  /* of one program */
#define PACK_CASES_MAX    32   /* of one entry */
#define PACK_TESTS_MAX    64   /* of one case */
#define PACK_ARGS_MAX     16
#define PACK_VERB_WORDS   8 /* esxcli's longest namespace has seven */

enum pack_style {
    PACK_GETOPT, /* -x, -xVALUE, -xyz, --name, --name=VALUE, anywhere */
    PACK_SINGLE, /* -name or --name, VALUE after "=" or in the next word (Go, Proxmox) */
    PACK_DATA    /* virsh: before the verb as getopt; after it --name VALUE, which may also stand
                    for the positional of that name */
};
enum pack_several {
    PACK_ONE,      /* argv is one command */
    PACK_ONE_WORD, /* a single word holds commands, in virsh's own quoting */
    PACK_DASHES,   /* a word "--" parts commands (ovs-vsctl) */
    PACK_JOINED    /* the words are joined and split at ";" (nft) */
};
enum pack_kind { PACK_FLAG, PACK_VALUE, PACK_OPTIONAL };

enum pack_unit {
    PACK_UNIT_COUNT,
    PACK_UNIT_B,
    PACK_UNIT_SECTOR,
    PACK_UNIT_KB,
    PACK_UNIT_KIB,
    PACK_UNIT_MB,
    PACK_UNIT_MIB,
    PACK_UNIT_GB,
    PACK_UNIT_GIB,
    PACK_UNITS
};
enum pack_suffixes {
    PACK_SUFFIX_NONE,   /* digits only */
    PACK_SUFFIX_MIXED,  /* KB is 1000, K and KiB are 1024 (libvirt, LXD) */
    PACK_SUFFIX_BINARY, /* K, KB and KiB are 1024, s is a sector of 512 (LVM, QEMU, ZFS, ...) */
    PACK_SUFFIXES
};

struct pack_option {
    const char *name; /* with its dashes; "*" in it stands for digits, as in -net* */
    enum pack_kind kind;
    uint16_t same; /* of a further spelling: the option it is; else its own place */
};

/* One condition. `and_next`: holds only together with the next one. */
struct pack_test {
    const char *option; /* NULL: some positional word matches the pattern */
    const char *glob;   /* NULL: the option is there; "": there, without a value */
    bool unlike;        /* the option is there with a value that does not match */
    bool and_next;
};

struct pack_case {
    uint32_t classes, line;
    struct pack_test *tests; /* none: always */
    size_t test_count;
    const char *vm, *value; /* "name": a positional; "-x": an option; "x=": a word; NULL */
    const char *strip;      /* before the number, as "current=" */
    const char *secret;     /* an option whose value is a password */
    enum pack_unit unit;
    enum pack_suffixes suffixes;
};

struct pack_entry {
    uint16_t *verbs; /* places in the program's, ascending; none: whatever the verb */
    size_t verb_count;
    struct pack_option *options;
    size_t option_count;
    const char **args; /* names of the positionals */
    size_t arg_count;
    struct pack_case *cases;
    size_t case_count;
};

struct pack_program {
    uint16_t file;
    uint32_t line;
    const char **names; /* patterns */
    size_t name_count;
    enum pack_style style;
    enum pack_several several;
    bool verbs_by_prefix, options_by_prefix, ignore_case;
    bool bare_is_raw, unknown_is_raw;
    bool multicall;    /* the next word is the program */
    const char **ends; /* options of which the program prints something and ends */
    size_t end_count;
    struct pack_option *options;
    size_t option_count;
    const char **verbs; /* sorted; words parted by one blank */
    size_t verb_count;
    struct pack_entry *entries;
    size_t entry_count;
};

struct pack_file {
    const char *name, *family;
};

struct packs {
    struct pool pool;
    const char *classes[CLASSES_MAX]; /* NULL: the bit is not used */
    struct pack_file files[PACK_FILES_MAX];
    size_t file_count;
    struct pack_program programs[PACK_PROGRAMS_MAX];
    size_t program_count;
    size_t encoded_max; /* packs_measure; 0: not known */
};

#define CLASS_RAW "raw"

/* policy/packs_wire.c */
#define PACK_WIRE_VERSION 1
enum pack_wire_flag {
    PACK_WIRE_VERBS_PREFIX = 1,
    PACK_WIRE_OPTIONS_PREFIX = 2,
    PACK_WIRE_IGNORE_CASE = 4,
    PACK_WIRE_BARE_RAW = 8,
    PACK_WIRE_UNKNOWN_RAW = 16,
    PACK_WIRE_MULTICALL = 32,
    PACK_WIRE_FLAGS = 63
};
enum pack_case_flag {
    PACK_CASE_TESTS = 1,
    PACK_CASE_VM = 2,
    PACK_CASE_VALUE = 4,
    PACK_CASE_STRIP = 8,
    PACK_CASE_SECRET = 16,
    PACK_CASE_FLAGS = 31
};
enum pack_test_flag {
    PACK_TEST_AND_NEXT = 1,
    PACK_TEST_OPTION = 2,
    PACK_TEST_GLOB = 4,
    PACK_TEST_UNLIKE = 8,
    PACK_TEST_FLAGS = 15
};

/* "*" stands for anything. Linear in time for one "*", at worst quadratic. */
bool pack_glob(const char *glob, const char *text, size_t len);
/* What `text` says in `unit`: fills value_text and the value_* members of out. What is no number
 * of these suffixes, or overflows, leaves value_known false. (policy/packs_value.c) */
void pack_value(const char *text, enum pack_unit unit, enum pack_suffixes suffixes,
                struct classification *out);
/* The words of virsh's own command string, up to the ";" or newline that ends the command; *at
 * moves behind it. False: unfinished quotes, too many words. The caller clears out.
 * (policy/packs_split.c) */
bool pack_split_virsh(const char *text, size_t *at, struct words *out);
/* The same of a text that is split at ";" and newlines outside braces and double quotes. */
bool pack_split_joined(const char *text, size_t *at, struct words *out);

#endif
