/* SPDX-License-Identifier: Apache-2.0
 *
 * What the modules of SFTP in one backend share (gateway/backend_sftp*.c and nobody else): one
 * channel's state. The operator's packets are recorded, judged one by one in order, and put anew
 * from what was understood of them; the target's answers are matched by ids of our own, recorded,
 * and put anew with the client's. No byte of either side is passed on as it came, but for the
 * contents of files and texts. */
#ifndef SALLYPORT_GATEWAY_BACKEND_SFTP_H
#define SALLYPORT_GATEWAY_BACKEND_SFTP_H

#include "gateway/backend_session.h"
#include "gateway/sftp_elide.h"
#include "gateway/sftp_wire.h"
#include "policy/files.h"

/* Requests that the target has not answered. OpenSSH's sftp asks 64 ahead, sshfs and libssh2 fewer
 * than 1,000; beyond, nothing more is read from the client. */
#define SFTP_PENDING_MAX 1024u
/* OpenSSH's sftp-server opens as many files as its limit of descriptors permits, 1,024 often. */
#define SFTP_FILES_MAX 256u
/* Runs of bytes of one file and direction whose digests are kept. */
#define SFTP_RANGES_MAX 64u
/* Requests, or answers, are not taken up while so much waits behind them. */
#define SFTP_HELD_MAX (512u * 1024u)
/* Refusals of a channel whose text is shown on its stderr. */
#define SFTP_TOLD_MAX 16u
/* What a target's words are cut to where they are kept. */
#define SFTP_WORDS_MAX 255u

/* --- backend_sftp_requests.c: what an operation is */

enum sftp_need {
    SFTP_NEEDS_NOTHING, /* no path */
    SFTP_NEEDS_SIGHT,   /* its attributes may be asked for */
    SFTP_NEEDS_READ,
    SFTP_NEEDS_WRITE,
    SFTP_NEEDS_FLAGS, /* as it is opened */
    SFTP_NEEDS_ALL,   /* only where everything is permitted */
    SFTP_UNKNOWN,     /* refused */
};

struct sftp_operation {
    enum sftp_need need;
    bool follows;   /* a symlink at the path's end */
    bool handle;    /* of an open file */
    uint8_t answer; /* the type that answers it besides STATUS; STATUS: that alone, also with OK */
};
const struct sftp_operation *sftp_operation(const struct sftp_request *r);

/* --- open files, backend_sftp_files.c */

struct sftp_range {
    uint64_t from, to;
    uint8_t sha256[32];
};

/* What moved in one direction of one file. */
struct sftp_moved {
    uint64_t bytes, failed, kept;
    uint64_t from, to; /* of the run that goes on */
    bool running;
    struct sha256 digest; /* of the run */
    uint64_t along; /* the newest data of it that the elider hashed along; 0: not the newest */
    struct sftp_range *ranges;
    unsigned count;
    uint64_t more; /* runs without a digest */
};

struct sftp_file {
    uint64_t n; /* of the request that opened it */
    char *path;
    bool folder, opened, closing, closed;
    unsigned access; /* what the rules permit at its path */
    uint32_t pflags;
    uint32_t status; /* of its close */
    uint8_t handle[SFTP_HANDLE_MAX];
    size_t handle_len;
    unsigned pending; /* requests on it that are not answered */
    uint64_t entries;
    struct sftp_moved read, written;
};

/* --- requests that the target has */

struct sftp_pending {
    bool used;
    bool own;      /* asked by the gateway */
    bool recorded; /* its result is to be recorded, as n's */
    uint8_t answer;
    uint8_t type;
    enum sftp_extension extension;
    uint32_t id, client_id;
    uint64_t n, offset;
    uint32_t length;
    struct sftp_file *file;
};

enum sftp_stage {
    SFTP_NEW,     /* waits for INIT */
    SFTP_STARTED, /* waits for VERSION */
    SFTP_HOME,    /* waits for the home folder */
    SFTP_SERVING,
    SFTP_OVER, /* the gateway ended it */
};

/* The paths of the request at the head of the input, while the target is asked for them. */
struct sftp_asked {
    bool asking;    /* a question is under way */
    bool failed;    /* the target answered one with an error: that answers the request */
    bool known[2];  /* canonical[] is as the target said */
    unsigned which; /* path, or to */
    uint32_t status;
    char text[SFTP_WORDS_MAX + 1];
    char canonical[2][FILE_PATH_MAX + 1];
    char last[FILE_PATH_MAX + 1]; /* joined to the folder that was asked for */
};

struct sftp {
    enum sftp_stage stage;
    struct buf input, output; /* as they came, of whole packets none but those that wait */
    size_t output_elided;
    uint64_t input_taken; /* what went from the input, ever */
    struct sftp_elider *elide_input, *elide_output;
    struct segment_queue form; /* recorded form of the input */
    struct buf scratch;
    char home[FILE_PATH_MAX + 1];
    struct sftp_asked asked;
    struct sftp_pending pending[SFTP_PENDING_MAX];
    unsigned pending_count;
    uint32_t next_id;
    struct sftp_file *files[SFTP_FILES_MAX];
    unsigned file_count;
    uint64_t next_n;
    unsigned told;
    char last_told[1001];
    struct json_record results;
    unsigned result_count;
    bool input_done; /* nothing whole is left of it */
};

/* What the canonical paths of a request are, and which rule permits it. */
struct sftp_paths {
    const char *path, *to; /* NULL: it has none */
    char rule[128];
    unsigned access; /* at path */
};

/* --- backend_sftp.c */
/* The target broke the protocol; words are of what it said. */
void sftp_violation(struct channel *ch, const char *format, ...) PRINTF_LIKE(2, 3);
/* The gateway ends the channel; text is for the operator. */
void sftp_stop(struct channel *ch, const char *text);
/* Puts a packet on its way to the target, or to the operator. False: the session ends. */
bool sftp_send_request(struct channel *ch, const struct sftp_request *r);
bool sftp_send_response(struct channel *ch, const struct sftp_response *r);
bool sftp_send_status(struct channel *ch, uint32_t id, uint32_t status, const char *text);
void sftp_memory_out(struct channel *ch);

/* --- backend_sftp_requests.c */
/* One packet of the operator's. False: it has to wait, and stays where it is. */
bool sftp_judge(struct channel *ch, const uint8_t *packet, size_t len);
/* A place for a request, with an id of our own. NULL: none is free. */
struct sftp_pending *sftp_pending_new(struct sftp *s);
void sftp_pending_free(struct sftp *s, struct sftp_pending *p);

/* --- backend_sftp_paths.c */
enum sftp_verdict { SFTP_PERMITTED, SFTP_REFUSED, SFTP_WAITS, SFTP_FAILED };
/* Judges the paths of a request. REFUSED: why and text (room for 1001 bytes) are set. FAILED: the
 * target's answer is in s->asked. WAITS: call again when s->asked changed. */
enum sftp_verdict sftp_judge_paths(struct channel *ch, const struct sftp_request *r,
                                   struct sftp_paths *out, const char **why, char *text);
/* The target's answer to a question of ours. */
void sftp_path_answer(struct channel *ch, const struct sftp_response *r);
void sftp_ask_home(struct channel *ch);
void sftp_home_answer(struct channel *ch, const struct sftp_response *r);

/* --- backend_sftp_responses.c */
/* One packet of the target's. */
void sftp_answer(struct channel *ch, const uint8_t *packet, size_t len);

/* --- backend_sftp_files.c */
/* NULL: too many, or memory is out (errno-like: *full tells which). */
struct sftp_file *sftp_file_new(struct channel *ch, const char *path, bool folder, bool *full);
struct sftp_file *sftp_file_find(struct sftp *s, struct bytes handle);
bool sftp_file_opened(struct sftp *s, struct sftp_file *f, struct bytes handle);
void sftp_file_moved(struct channel *ch, struct sftp_file *f, bool written, uint64_t offset,
                     struct bytes data);
/* A request on it was answered, or its close. */
void sftp_file_answered(struct channel *ch, struct sftp_file *f);
/* Without a record: it was never opened. */
void sftp_file_drop(struct sftp *s, struct sftp_file *f);
/* The digest of the run that goes on. */
void sftp_moved_digest(const struct sftp_moved *m, uint8_t out[32]);

/* --- backend_sftp_record.c: FILE records. False: the session ends, or (request alone) the paths
 * are too long to be recorded, and nothing was. */
bool sftp_record_request(struct channel *ch, const struct sftp_request *r,
                         const struct sftp_paths *paths, uint64_t *n);
void sftp_record_refused(struct channel *ch, const struct sftp_request *r, const char *path,
                         const char *why, const char *text);
void sftp_record_result(struct channel *ch, uint64_t n, uint32_t status);
void sftp_record_results(struct channel *ch); /* those that were gathered */
void sftp_record_closed(struct channel *ch, struct sftp_file *f, const char *by);
void sftp_record_content(struct channel *ch, const struct sftp_file *f, bool written,
                         uint64_t offset, struct bytes data);

#endif
