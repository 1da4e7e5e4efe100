/* SPDX-License-Identifier: Apache-2.0
 *
 * See audit/play.h. First a pass over headers gives the index of moments and the channels; then
 * records are drawn when their time has come. A seek clears the screen, goes back as far as the
 * screen needs, and draws up to the moment without waiting. */
#include "audit/play.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/channel_set.h"
#include "audit/not_kept.h"
#include "audit/play_index.h"
#include "audit/play_terminal.h"
#include "audit/term_filter.h"
#include "base/clock.h"
#include "base/log.h"

#define SECOND      1000000000ull
#define JUMP_NS     (10 * SECOND)
#define SPEED_LEAST 0.0625
#define SPEED_MOST  64.0
/* Of what was typed so much is shown. */
#define KEYS_SHOWN 60u
/* A channel that is looked for among so many; a connection has 10 at once. */
#define CHANNELS_MAX 64u
/* While waiting for more of a live session, keys are looked at so often. */
#define LOOK_MS 100
/* A reader that says nothing for so long is not going to. */
#define STREAM_MS 60000

struct play {
    struct record_source *source;
    struct unseal *unseal;
    struct play_options o;
    struct play_index index;
    struct term_filter filter;
    struct buf out;
    uint64_t now_ns;   /* real time of what was drawn last; 0: nothing yet */
    uint64_t until_ns; /* what is before is drawn without waiting */
    bool paused, step, ended, status_shown;
    uint64_t destroyed;
    char pruned[PRUNED_BY_TEXT];   /* by whom the first of those was; "": none */
    char key_gone[PRUNED_BY_TEXT]; /* the session's keys; "": they are there */
    struct {
        uint32_t id;
        bool terminal, sftp;
    } channels[CHANNELS_MAX];
    size_t channel_count;
    uint64_t at_ns; /* of o.at_record */
    bool size_told;
    char keys[4 * KEYS_SHOWN + 1]; /* escaped, the newest */
    struct channel_set forwards;   /* nobody types there */
    struct not_kept not_kept;
    bool gap; /* not_kept has something */
};

static bool draws(const struct record *r)
{
    return r->type == RECORD_OUTPUT || r->type == RECORD_STDERR;
}

/* What crossed there is no text. */
static bool on_sftp(const struct play *p, const struct record *r)
{
    for (size_t i = 0; r->type != RECORD_STDERR && i < p->channel_count; i++)
        if (p->channels[i].id == r->channel)
            return p->channels[i].sftp;
    return false;
}

static bool on_channel(const struct play *p, const struct record *r)
{
    return (!p->o.one_channel || r->channel == p->o.channel) && !on_sftp(p, r);
}

/* --- the pass over headers */

static void note_channel(struct play *p, const struct record *r)
{
    size_t i;

    if (r->type == RECORD_FORWARD_OPEN)
        channel_set_add(&p->forwards, r->channel);
    if (!draws(r) && r->type != RECORD_RESIZE && r->type != RECORD_SUBSYSTEM)
        return;
    for (i = 0; i < p->channel_count && p->channels[i].id != r->channel; i++)
        ;
    if (i == CHANNELS_MAX)
        return;
    if (i == p->channel_count)
        p->channel_count++;
    p->channels[i].id = r->channel;
    p->channels[i].terminal = p->channels[i].terminal || r->type == RECORD_RESIZE;
    /* No other subsystem is permitted. */
    p->channels[i].sftp = p->channels[i].sftp || r->type == RECORD_SUBSYSTEM;
}

static void choose_channel(struct play *p)
{
    char list[200];
    size_t n = 0;

    for (size_t i = 0; !p->o.one_channel && i < p->channel_count; i++)
        if (p->channels[i].terminal) {
            p->o.one_channel = true;
            p->o.channel = p->channels[i].id;
        }
    for (size_t i = 0; i < p->channel_count; i++)
        if (p->channels[i].sftp)
            fprintf(stderr,
                    "(channel %" PRIu32 " moved files, which are not played: `sallyport audit "
                    "files` lists them)\n",
                    p->channels[i].id);
    if (p->channel_count < 2)
        return;
    for (size_t i = 0; i < p->channel_count && n < sizeof list - 40; i++)
        n += (size_t)snprintf(list + n, sizeof list - n, "%s%" PRIu32 "%s", i ? ", " : "",
                              p->channels[i].id,
                              p->channels[i].terminal ? " (terminal)"
                              : p->channels[i].sftp   ? " (sftp)"
                                                      : "");
    if (p->o.one_channel)
        fprintf(stderr, "(channel %" PRIu32 " of %s; --channel chooses another)\n", p->o.channel,
                list);
    else
        fprintf(stderr, "(channels %s, one after the other as they printed)\n", list);
}

/* Once over the headers: the channels first, since the index is of those that are drawn. */
static int look_ahead(struct play *p, bool index, struct err *e)
{
    /* A stream that is followed says when all that there is was sent. */
    const int wait_ms = !p->o.follow ? -1 : record_source_fd(p->source) < 0 ? 0 : STREAM_MS;
    struct source_record v;
    int r;

    record_source_bare(p->source, true);
    r = record_source_seek(p->source, 0, e);
    while (r >= 0 && !play_terminal_interrupted() &&
           (r = record_source_next(p->source, &v, wait_ms, e)) == SOURCE_RECORD) {
        if (v.pruned && v.r.type == RECORD_KEY && !p->key_gone[0] && p->o.pruned_by)
            pruned_by_words(p->o.pruned_by, &v, p->key_gone);
        if (!index) {
            note_channel(p, &v.r);
            continue;
        }
        if (v.r.index == p->o.at_record)
            p->at_ns = v.r.real_ns;
        play_index_extend(&p->index, v.r.real_ns);
        if (draws(&v.r) && on_channel(p, &v.r) &&
            play_index_add(&p->index, v.r.index, v.r.real_ns, v.r.payload_len) < 0)
            r = err_set(e, ERR_MEMORY, "no memory for the recording's index");
        if (v.payload && r >= 0) {
            struct err bad = ERR_INIT;

            if (unseal_note(p->unseal, &v.r, v.payload, &bad) < 0)
                fprintf(stderr, "sallyport: record %" PRIu64 ": %s\n", v.r.index, bad.text);
        }
    }
    return r < 0 ? r : 0;
}

/* --- drawing */

static int flush_out(struct play *p, struct err *e)
{
    int r = play_terminal_write(buf_head(&p->out), buf_len(&p->out), e);

    buf_consume(&p->out, buf_len(&p->out));
    return r;
}

static const char *clock_text(char out[32], uint64_t ns)
{
    const uint64_t t = ns / SECOND;

    snprintf(out, 32,
             t >= 3600 ? "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64
                       : "%.0" PRIu64 "%02" PRIu64 ":%02" PRIu64,
             t / 3600, t / 60 % 60, t % 60);
    return out;
}

/* One line at the bottom, where the recording may draw too: so a replay that goes on is drawn anew.
 */
static int show_status(struct play *p, struct err *e)
{
    char at[32], length[32], line[500];
    unsigned columns, rows;
    int n;

    play_terminal_size(&columns, &rows);
    if (!play_terminal_has_keys() || rows < 2 || columns < 20)
        return 0;
    clock_text(at, p->now_ns > p->index.start_ns ? p->now_ns - p->index.start_ns : 0);
    clock_text(length, play_index_length_ns(&p->index));
    n = snprintf(line, sizeof line, " %s %s/%s  x%g  %s%s", p->paused ? "paused" : "playing", at,
                 length, p->o.speed, p->o.keystrokes ? "keys: " : "",
                 p->o.keystrokes ? p->keys : "space . arrows + - q");
    if (n > 0 && (unsigned)n > columns)
        line[columns] = 0;
    p->status_shown = true;
    if (buf_printf(&p->out, "\0337\033[%u;1H\033[0;7m%s\033[K\033[0m\0338", rows, line) < 0)
        return err_set(e, ERR_MEMORY, "no memory to draw");
    return flush_out(p, e);
}

static int sealed(const struct play *p, enum unseal_result result, const struct source_record *v,
                  struct err *e)
{
    if (result == UNSEAL_NO_KEY && p->key_gone[0])
        return err_set(e, ERR_DENIED, "this recording cannot be opened any more: its key was %s",
                       p->key_gone);
    if (result == UNSEAL_NO_IDENTITY)
        return err_set(e, ERR_DENIED,
                       "this recording is sealed for its reviewers: name your age identity with "
                       "--identity FILE (or $SALLYPORT_IDENTITY)");
    err_set(e, result == UNSEAL_TAMPERED ? ERR_TAMPERED : ERR_DENIED, "record %" PRIu64 ": %s",
            v->r.index, unseal_result_text(result));
    return e->code;
}

/* 1: *plain is the payload. 0: there is nothing to draw any more. */
static int open_record(struct play *p, const struct source_record *v, struct bytes *plain,
                       struct err *e)
{
    enum unseal_result result;

    if (!v->payload) {
        if (!p->destroyed++ && v->pruned && p->o.pruned_by)
            pruned_by_words(p->o.pruned_by, v, p->pruned);
        return 0;
    }
    result = unseal_record(p->unseal, &v->r, v->header, v->payload, plain, e);
    return result == UNSEAL_CLEAR || result == UNSEAL_OPENED ? 1 : sealed(p, result, v, e);
}

static int put_output(struct play *p, const struct source_record *v, struct err *e)
{
    struct bytes plain;
    int r = open_record(p, v, &plain, e);

    if (r <= 0)
        return r;
    /* A plain stream begins at its moment; a terminal wants what gave the screen of then. */
    if (!play_terminal_draws() && v->r.real_ns < p->until_ns)
        return 0;
    if (p->o.raw)
        return play_terminal_write(plain.p, plain.len, e);
    if (term_filter_put(&p->filter, plain.p, plain.len, &p->out) < 0)
        return err_set(e, ERR_MEMORY, "no memory to filter the output");
    return flush_out(p, e);
}

/* What was not kept and is over by this record (NULL: the last one). */
static int say_not_kept(struct play *p, const struct source_record *v, struct bytes plain,
                        struct err *e)
{
    const char *newline = play_terminal_draws() ? "\r\n" : "\n";
    char text[NOT_KEPT_TEXT];

    while (not_kept_over(&p->not_kept, v ? &v->r : NULL, plain.p, plain.len, text)) {
        if (v && v->r.real_ns < p->until_ns)
            continue;
        if (p->o.raw)
            fprintf(stderr, "%s\n", text);
        else if (buf_printf(&p->out, "%s%s%s", newline, text, newline) < 0)
            return err_set(e, ERR_MEMORY, "no memory to draw");
    }
    return flush_out(p, e);
}

static int note_not_kept(struct play *p, const struct source_record *v, struct err *e)
{
    struct bytes plain;
    int r;

    if (v->r.type != RECORD_OUTPUT_DIGEST && !p->gap)
        return 0;
    r = open_record(p, v, &plain, e);
    if (r <= 0)
        return r;
    if (v->r.type != RECORD_OUTPUT_DIGEST)
        return say_not_kept(p, v, plain, e);
    p->gap = true;
    not_kept_put(&p->not_kept, v->r.channel, plain.p, plain.len);
    return 0;
}

/* Where there is no terminal, or no key was asked for, typed bytes are marks in the text. */
static int put_keys(struct play *p, const struct source_record *v, struct err *e)
{
    char escaped[4 * KEYS_SHOWN + 1];
    struct bytes plain;
    size_t len, old;
    int r = open_record(p, v, &plain, e);

    if (r <= 0)
        return r;
    len = plain.len < KEYS_SHOWN ? plain.len : KEYS_SHOWN;
    escape_text(escaped, sizeof escaped, plain.p, len);
    if (!play_terminal_has_keys()) {
        if (v->r.real_ns < p->until_ns)
            return 0;
        if (buf_printf(&p->out, "<keys \"%s\"%s>", escaped, len < plain.len ? " ..." : "") < 0)
            return err_set(e, ERR_MEMORY, "no memory to draw");
        return flush_out(p, e);
    }
    old = strlen(p->keys);
    len = strlen(escaped);
    if (len > KEYS_SHOWN) {
        memmove(escaped, escaped + len - KEYS_SHOWN, KEYS_SHOWN + 1);
        len = KEYS_SHOWN;
    }
    if (old + len > KEYS_SHOWN) {
        size_t gone = old + len - KEYS_SHOWN;

        memmove(p->keys, p->keys + gone, old - gone + 1);
        old -= gone;
    }
    memcpy(p->keys + old, escaped, len + 1);
    return v->r.real_ns < p->until_ns ? 0 : show_status(p, e);
}

/* The recording's terminal is larger than this one: say so, once. */
static int note_size(struct play *p, const struct source_record *v, struct err *e)
{
    unsigned columns, rows;
    struct bytes plain;
    json_int_t wide, high;
    json_t *j;
    int r = open_record(p, v, &plain, e);

    play_terminal_size(&columns, &rows);
    if (r <= 0 || p->size_told || !columns || !play_terminal_has_keys())
        return r < 0 ? r : 0;
    j = json_loadb((const char *)plain.p, plain.len, 0, NULL);
    wide = json_integer_value(json_object_get(j, "columns"));
    high = json_integer_value(json_object_get(j, "rows"));
    json_decref(j);
    p->size_told = true;
    if (wide > columns || high > rows)
        fprintf(stderr,
                "(recorded on %" JSON_INTEGER_FORMAT " x %" JSON_INTEGER_FORMAT
                "; this terminal is %u x %u)\r\n",
                wide, high, columns, rows);
    return 0;
}

/* --- moments */

static int seek(struct play *p, uint64_t ns, struct err *e)
{
    uint64_t first = play_index_lead(&p->index, ns);
    const char *reset = term_filter_reset(&p->filter);
    int r = 0;

    if (play_terminal_draws()) {
        r = play_terminal_write(reset, strlen(reset), e);
        if (r == 0)
            r = play_terminal_write("\033[r\033[H\033[2J", 10, e);
    }
    term_filter_init(&p->filter, play_terminal_draws() ? TERM_DRAW : TERM_TEXT);
    p->until_ns = ns;
    p->now_ns = 0;
    p->ended = p->status_shown = false;
    p->keys[0] = 0;
    p->not_kept = (struct not_kept){0};
    record_source_bare(p->source, false);
    return r < 0 ? r : record_source_seek(p->source, first, e);
}

static int seek_by(struct play *p, bool forward, struct err *e)
{
    const uint64_t now = p->now_ns > p->until_ns ? p->now_ns : p->until_ns;
    const uint64_t at = now ? now : p->index.start_ns;
    uint64_t to;

    if (forward)
        to = at + JUMP_NS < p->index.end_ns ? at + JUMP_NS : p->index.end_ns;
    else
        to = at > p->index.start_ns + JUMP_NS ? at - JUMP_NS : p->index.start_ns;
    return seek(p, to, e);
}

enum acted { ACTED_NOTHING, ACTED_TIMING, ACTED_SEEK, ACTED_QUIT };

/* What a key does; a negative error, or enum acted. */
static int act(struct play *p, enum play_key key, struct err *e)
{
    int r;

    switch (key) {
    case KEY_NONE:
        return ACTED_NOTHING;
    case KEY_QUIT:
        return ACTED_QUIT;
    case KEY_PAUSE:
        p->paused = !p->paused;
        if (p->paused) {
            r = show_status(p, e);
            return r < 0 ? r : ACTED_TIMING;
        }
        /* The status line covered something: draw the moment anew. */
        r = p->status_shown ? seek(p, p->now_ns > p->until_ns ? p->now_ns : p->until_ns, e) : 0;
        return r < 0 ? r : ACTED_SEEK;
    case KEY_STEP:
        p->step = p->paused = true;
        return ACTED_TIMING;
    case KEY_FORWARD:
    case KEY_BACK:
        r = seek_by(p, key == KEY_FORWARD, e);
        return r < 0 ? r : ACTED_SEEK;
    case KEY_FASTER:
    case KEY_SLOWER:
        p->o.speed *= key == KEY_FASTER ? 2 : 0.5;
        p->o.speed = p->o.speed > SPEED_MOST    ? SPEED_MOST
                     : p->o.speed < SPEED_LEAST ? SPEED_LEAST
                                                : p->o.speed;
        r = p->paused || p->o.keystrokes ? show_status(p, e) : 0;
        return r < 0 ? r : ACTED_TIMING;
    }
    return ACTED_NOTHING;
}

static int key_now(struct play *p, int fd, int timeout_ms, struct err *e)
{
    int r = act(p, play_terminal_wait(fd, timeout_ms), e);

    if (r == ACTED_NOTHING && play_terminal_changed() && (p->paused || p->o.keystrokes))
        r = show_status(p, e);
    return play_terminal_interrupted() && r >= 0 ? ACTED_QUIT : r;
}

/* Waits until a record of this time is due. ACTED_NOTHING: now. */
static int wait_due(struct play *p, uint64_t ns, struct err *e)
{
    const uint64_t since = p->now_ns > p->until_ns ? p->now_ns : p->until_ns;
    const bool timed = play_terminal_draws() && !p->o.at_once && since && ns > since;
    double left = timed ? (double)(ns - since) : 0;
    uint64_t began = clock_mono_ms();
    int r = p->paused && ns > p->until_ns ? show_status(p, e) : 0;

    if (left > (double)p->o.idle_ns)
        left = (double)p->o.idle_ns;
    while (r >= 0) {
        uint64_t now = clock_mono_ms();
        int wait_ms;

        if (!p->paused)
            left -= (double)(now - began) * 1e6 * p->o.speed;
        began = now;
        /* While drawing up to a moment, nothing waits but for the keys that are there. */
        if ((!p->paused || ns <= p->until_ns) && left <= 0)
            return key_now(p, -1, 0, e) == ACTED_QUIT ? ACTED_QUIT : ACTED_NOTHING;
        if (p->step && ns > p->until_ns) {
            p->step = false;
            return ACTED_NOTHING;
        }
        wait_ms = p->paused ? 1000 : (int)(left / 1e6 / p->o.speed) + 1;
        r = key_now(p, -1, wait_ms > 1000 ? 1000 : wait_ms, e);
        if (r == ACTED_SEEK || r == ACTED_QUIT)
            break;
    }
    return r;
}

static int play_record(struct play *p, const struct source_record *v, struct err *e)
{
    const bool typed = v->r.type == RECORD_INPUT && p->o.keystrokes &&
                       !channel_set_has(&p->forwards, v->r.channel);
    int r;

    if (v->payload && v->r.type == RECORD_KEY && unseal_note(p->unseal, &v->r, v->payload, e) < 0)
        return err_wrap(e, "record %" PRIu64, v->r.index);
    note_channel(p, &v->r);
    play_index_extend(&p->index, v->r.real_ns);
    if (on_channel(p, &v->r) && (v->r.type == RECORD_OUTPUT_DIGEST || v->r.type == RECORD_EXEC))
        return note_not_kept(p, v, e);
    if (!on_channel(p, &v->r) || !(draws(&v->r) || typed || v->r.type == RECORD_RESIZE))
        return 0;
    if (draws(&v->r) && play_index_add(&p->index, v->r.index, v->r.real_ns, v->r.payload_len) < 0)
        return err_set(e, ERR_MEMORY, "no memory for the recording's index");
    r = wait_due(p, v->r.real_ns, e);
    if (r != ACTED_NOTHING)
        return r;
    if (v->r.type == RECORD_RESIZE)
        return note_size(p, v, e);
    r = typed ? put_keys(p, v, e) : put_output(p, v, e);
    p->now_ns = v->r.real_ns;
    return r;
}

/* At the end of a recording on a terminal: keys still work, as long as it is paused. */
static int play_records(struct play *p, struct err *e)
{
    struct source_record v;
    int r = 0;

    while (r >= 0 && r != ACTED_QUIT && !play_terminal_interrupted()) {
        r = record_source_next(p->source, &v, p->o.follow ? 0 : LOOK_MS, e);
        if (r == SOURCE_WAIT)
            r = key_now(p, record_source_fd(p->source), LOOK_MS, e);
        else if (r == SOURCE_RECORD)
            r = play_record(p, &v, e);
        else if (r == SOURCE_END && p->paused && play_terminal_has_keys())
            r = key_now(p, -1, 1000, e);
        else
            break;
    }
    return r < 0 && r != ERR_CLOSED ? r : 0;
}

static int play_from(struct play *p, struct err *e)
{
    uint64_t from = p->index.start_ns + p->o.from_ns;

    if (p->o.at_record && !p->at_ns)
        return err_set(e, ERR_NOT_FOUND, "record %" PRIu64 " is not one of this session's",
                       p->o.at_record);
    if (p->at_ns)
        from = p->at_ns;
    if (p->o.from_ns > play_index_length_ns(&p->index))
        return err_set(e, ERR_INPUT, "the session is shorter: %" PRIu64 " s",
                       (uint64_t)(play_index_length_ns(&p->index) / SECOND));
    if (p->index.bytes == 0 && !p->o.follow)
        fputs("(this session printed nothing)\n", stderr);
    /* A live session is followed from what is on its screen now. */
    if (p->o.follow && !p->o.from_ns && !p->at_ns && play_terminal_draws())
        from = p->index.end_ns;
    return from > p->index.start_ns ? seek(p, from, e) : seek(p, 0, e);
}

int play_run(struct record_source *source, struct unseal *u, const struct play_options *options,
             struct err *e)
{
    struct play p = {.source = source, .unseal = u, .o = *options};
    int r;

    play_index_init(&p.index);
    /* One record at a time; each of its bytes becomes three at most. */
    buf_init(&p.out, 4 * (size_t)RECORD_PAYLOAD_MAX);
    play_terminal_open();
    term_filter_init(&p.filter, play_terminal_draws() ? TERM_DRAW : TERM_TEXT);
    r = look_ahead(&p, false, e);
    if (r == 0)
        choose_channel(&p);
    if (r == 0)
        r = look_ahead(&p, true, e);
    if (r == 0)
        r = play_from(&p, e);
    if (r == 0)
        r = play_records(&p, e);
    if (r == 0)
        r = say_not_kept(&p, NULL, (struct bytes){NULL, 0}, e);
    if (play_terminal_draws())
        fputs(term_filter_reset(&p.filter), stdout);
    fflush(stdout);
    play_terminal_close();
    if (p.filter.left_out && !p.o.raw)
        fprintf(stderr, "(%" PRIu64 " control sequences that do not draw were left out)\n",
                p.filter.left_out);
    if (p.destroyed)
        fprintf(stderr, "(%" PRIu64 " records of this recording were %s)\n", p.destroyed,
                p.pruned[0] ? p.pruned : "destroyed");
    buf_clear(&p.out);
    play_index_clear(&p.index);
    return r;
}
