/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport audit VERB`: finds the verb and the trail. */
#include "audit/cli_audit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/cosignature.h"
#include "auth/control_client.h"
#include "gateway/cli.h"
#include "gateway/config.h"

static const char help[] =
    "usage: sallyport audit VERB [OPTION]...\n\n"
    "Reads the trail: what happened on the gateway, and whether that can be believed.\n\n"
    "  verify            check every link, payload and signature of the whole trail\n"
    "  list              the sessions\n"
    "  show SESSION      a session's records, one by one\n"
    "  play SESSION      a session's terminal as the operator saw it\n"
    "  commands          what was run\n"
    "  files             which file went where: SFTP's operations, sizes and hashes\n"
    "  search WORD...    where words were printed or run\n"
    "  index             make or renew what `search` looks in\n"
    "  export SESSION    for other programs, or as evidence for a third party\n"
    "  reviewers         for whom recordings are sealed\n"
    "  prove SESSION     the proof that a record is in the log, for others to check\n"
    "  new-log           begin another log when this one cannot go on\n"
    "  hold SESSION      keep a session from being pruned\n"
    "  release ORDER     end a hold, by order of two custodians\n"
    "  prune ORDER       destroy recordings, by order of two custodians\n\n"
    "SESSION is the beginning of a session's id, or `last`; for `show` also `gateway`, which is "
    "what\n"
    "belongs to no session; for `prove` also a record's index. `list`, `show` and `play` read; "
    "only\n"
    "`verify` and `prove` prove.\n"
    "`sallyport audit VERB --help` tells more about each.\n";

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} verbs[] = {
    {"verify", audit_verify},       {"list", audit_list},         {"show", audit_show},
    {"play", audit_play},           {"commands", audit_commands}, {"search", audit_search},
    {"index", audit_index},         {"export", audit_export},     {"prove", audit_prove},
    {"reviewers", audit_reviewers}, {"new-log", audit_new_log},   {"hold", audit_hold},
    {"release", audit_release},     {"prune", audit_prune},       {"files", audit_files},
};

int cli_audit(int argc, char **argv)
{
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(help, stdout);
        return CLI_DONE;
    }
    if (argc < 2) {
        fputs(help, stderr);
        return CLI_USAGE;
    }
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(argv[1], verbs[i].name) == 0)
            return verbs[i].run(argc - 1, argv + 1);
    return cli_usage("audit", "there is no verb \"%s\"", argv[1]);
}

void audit_source_init(struct audit_source *s)
{
    memset(s, 0, sizeof *s);
    s->dir = -1;
    opterr = 0;
    optind = 1;
}

/* Whether c is one of the common options; it is taken then. */
static bool source_option(struct audit_source *s, int c, const char *value)
{
    switch (c) {
    case OPT_TRAIL:
        s->trail = value;
        return true;
    case OPT_STATE:
        s->state = value;
        return true;
    case OPT_LOG_KEY:
        s->log_key = value;
        return true;
    case OPT_ANCHOR:
        s->anchor_key = value;
        return true;
    case 'c':
        s->confdir = value;
        return true;
    case OPT_REASON:
        s->reason = value;
        return true;
    case OPT_RECORDED:
        s->recorded = true;
        return true;
    default:
        return false;
    }
}

int audit_next_option(struct audit_options *o, struct audit_source *s, int argc, char **argv)
{
    char letters[16];
    int c;

    o->status = -1;
    snprintf(letters, sizeof letters, ":c:h%s", o->letters);
    do
        c = getopt_long(argc, argv, letters, o->table, NULL);
    while (c != -1 && source_option(s, c, optarg));
    if (c == 'h') {
        fputs(o->help, stdout);
        o->status = CLI_DONE;
    } else if (c == '?' || c == ':') {
        o->status = cli_bad_option(o->verb, c, argv);
    }
    return o->status < 0 ? c : -1;
}

/* The state directory: as given, or as the configuration says; runtime: the control socket's
 * directory, where the configuration was read, may be NULL. */
static char *state_path(const struct audit_source *s, char **runtime, struct err *e)
{
    struct config *c;
    char *path, *state = NULL;

    if (s->state)
        return cli_printf("%s", s->state);
    path = cli_printf("%s/" CONFIG_FILE, cli_confdir(s->confdir));
    c = malloc(sizeof *c);
    if (!c)
        err_set(e, ERR_MEMORY, "no memory for the configuration");
    else if (config_load(path, c, e) == 0) {
        state = cli_printf("%s", c->state);
        if (runtime)
            *runtime = cli_printf("%s", c->runtime);
    }
    free(c);
    free(path);
    return state;
}

/* A key as text or in a file. */
static int read_key(struct vkey *v, const char *given, struct err *e)
{
    if (strchr(given, '+') && access(given, F_OK) != 0)
        return vkey_parse(v, given, e);
    return vkey_read(v, AT_FDCWD, given, e);
}

int audit_witness_key(struct vkey *v, const char *given, struct err *e)
{
    struct buf text;
    char *string;
    int r;

    if (strchr(given, '+') && access(given, F_OK) != 0)
        return witness_key_parse(v, given, e);
    buf_init(&text, NOTE_MAX);
    r = note_file_read(AT_FDCWD, given, &text, e);
    string = r == 0 ? buf_string(&text) : NULL;
    if (r == 0)
        r = string ? witness_key_parse(v, string, e) : err_set(e, ERR_MEMORY, "no memory");
    free(string);
    buf_clear(&text);
    return r;
}

static int state_key(struct vkey *v, bool *has, const char *state, const char *name, struct err *e)
{
    char *path = cli_printf("%s/public/%s", state, name);
    int r = vkey_read(v, AT_FDCWD, path, e);

    free(path);
    *has = r == 0;
    return r;
}

int audit_source_open(struct audit_source *s, bool keys, struct err *e)
{
    char *state = NULL, *trail = NULL;
    int r = 0;

    if (s->keys_alone && s->log_key) {
        r = read_key(&s->log, s->log_key, e);
        s->has_log = r == 0;
        return r;
    }
    if (!s->trail || s->keys_alone) {
        state = state_path(s, NULL, e);
        if (!state)
            return e->code < 0 ? e->code : ERR_INPUT;
    }
    if (s->keys_alone) {
        r = state_key(&s->log, &s->has_log, state, "log.pub", e);
        free(state);
        return r;
    }
    trail = s->trail ? cli_printf("%s", s->trail) : cli_printf("%s/trail", state);
    s->dir = open(trail, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->dir < 0)
        r = err_errno(e, "cannot open the trail %s", trail);
    if (r == 0 && keys && s->log_key) {
        r = read_key(&s->log, s->log_key, e);
        s->has_log = r == 0;
    } else if (r == 0 && keys && state) {
        r = state_key(&s->log, &s->has_log, state, "log.pub", e);
    }
    if (r == 0 && keys && s->anchor_key) {
        r = read_key(&s->anchor, s->anchor_key, e);
        s->has_anchor = r == 0;
    } else if (r == 0 && keys && state) {
        r = state_key(&s->anchor, &s->has_anchor, state, "anchor.pub", e);
    }
    free(trail);
    free(state);
    return r;
}

int audit_source_open_any(struct audit_source *s, struct err *e)
{
    char *state, *trail;
    int r = 0;

    if (s->trail)
        return audit_source_open(s, false, e);
    state = state_path(s, &s->runtime, e);
    if (!state)
        return e->code < 0 ? e->code : ERR_INPUT;
    trail = cli_printf("%s/trail", state);
    if (!s->recorded)
        s->dir = open(trail, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* With --state there is no configuration that names a running gateway. */
    if (s->dir < 0 && !s->recorded && (errno != EACCES || !s->runtime))
        r = err_errno(e, "cannot open the trail %s", trail);
    else if (s->dir < 0 && !s->runtime)
        r = err_set(e, ERR_USAGE, "--recorded wants the configuration (-c), not --state");
    free(trail);
    free(state);
    return r;
}

/* Asks the gateway for a reader; *fd is our end of its stream. */
static int ask_gateway(const struct audit_source *s, const struct source_selection *selection,
                       const char *use, int *fd, struct err *e)
{
    char *path = cli_printf("%s/control", s->runtime);
    struct control *c = control_open(path, e);
    json_t *request, *reply = NULL;
    int r = c ? 0 : e->code;

    free(path);
    if (r < 0)
        return r;
    request = json_pack("{s:s, s:s, s:b, s:s}", "verb", "read", "what",
                        source_what_text(selection->what), "follow", selection->follow, "for", use);
    if (selection->what == SOURCE_SESSION)
        json_object_set_new(request, "session", json_string(selection->session));
    if (s->reason)
        json_object_set_new(request, "reason", json_string(s->reason));
    r = control_ask(c, request, &reply, e);
    json_decref(reply);
    *fd = r == 0 ? control_take_fd(c) : -1;
    if (r == 0 && *fd < 0)
        r = err_set(e, ERR_PROTOCOL, "sallyportd's answer came without the reader's stream");
    control_free(c);
    return r;
}

int audit_source_records(struct audit_source *s, const struct source_selection *selection,
                         const char *use, struct record_source **out, struct err *e)
{
    int fd, r;

    *out = NULL;
    if (s->dir >= 0)
        return record_source_dir(out, s->dir, selection, e);
    r = ask_gateway(s, selection, use, &fd, e);
    return r < 0 ? r : record_source_stream(out, fd, e);
}

int audit_gateway_records(void *arg, struct record_source **out, struct err *e)
{
    static const struct source_selection selection = {.what = SOURCE_GATEWAY};

    return audit_source_records(arg, &selection, "orders", out, e);
}

int audit_selection(struct source_selection *out, const char *word, struct err *e)
{
    int r;

    memset(out, 0, sizeof *out);
    if (strcmp(word, "gateway") == 0) {
        out->what = SOURCE_GATEWAY;
        return 0;
    }
    out->what = SOURCE_SESSION;
    r = source_name_check(word, e);
    if (r == 0)
        snprintf(out->session, sizeof out->session, "%s", word);
    return r;
}

void audit_source_close(struct audit_source *s)
{
    free(s->runtime);
    s->runtime = NULL;
    if (s->dir >= 0)
        close(s->dir);
    s->dir = -1;
}

const char *size_text(char out[SIZE_TEXT], uint64_t bytes)
{
    static const char *const units[] = {"kB", "MB", "GB", "TB", "PB"};
    double value = (double)bytes / 1000;
    size_t unit = 0;

    if (bytes < 1000) {
        snprintf(out, SIZE_TEXT, "%" PRIu64 " B", bytes);
        return out;
    }
    while (value >= 1000 && unit + 1 < sizeof units / sizeof *units) {
        value /= 1000;
        unit++;
    }
    snprintf(out, SIZE_TEXT, "%.1f %s", value, units[unit]);
    return out;
}

const char *duration_text(char out[DURATION_TEXT], uint64_t ns)
{
    uint64_t s = ns / 1000000000u;

    if (s >= 3600)
        snprintf(out, DURATION_TEXT, "%" PRIu64 "h %02um %02us", s / 3600, (unsigned)(s / 60 % 60),
                 (unsigned)(s % 60));
    else if (s >= 60)
        snprintf(out, DURATION_TEXT, "%um %02us", (unsigned)(s / 60), (unsigned)(s % 60));
    else
        snprintf(out, DURATION_TEXT, "%u.%us", (unsigned)s, (unsigned)(ns / 100000000u % 10));
    return out;
}

const char *text_member(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text ? text : "";
}
