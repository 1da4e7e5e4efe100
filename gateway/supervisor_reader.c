/* SPDX-License-Identifier: Apache-2.0
 *
 * Readers: one process for each request of a reviewer, started when authd says that the record of
 * the request is durable. It gets the trail's directory, opened to read, and one end of a stream;
 * the other end goes to authd, for the reviewer's command. The supervisor neither reads nor writes
 * either. Run by the supervisor, as root. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "audit/record.h"
#include "audit/record_source.h"
#include "base/log.h"
#include "gateway/supervisor.h"

/* Some records ahead of the reviewer's command. */
#define STREAM_SNDBUF (512u * 1024)
#define LINK_QUEUE    4096u

static struct reader_process *free_place(struct supervisor *s)
{
    for (size_t i = 0; i < READERS_MAX; i++)
        if (s->readers[i].pid == 0)
            return &s->readers[i];
    return NULL;
}

unsigned readers_count(const struct supervisor *s)
{
    unsigned count = 0;

    for (size_t i = 0; i < READERS_MAX; i++)
        count += s->readers[i].pid != 0;
    return count;
}

static int open_trail(const struct supervisor *s, struct err *e)
{
    char path[CONFIG_PATH_MAX + 16];
    int fd;

    snprintf(path, sizeof path, "%s/trail", s->config.state);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? err_errno(e, "%s", path) : fd;
}

static void end_reader(struct reader_process *reader)
{
    link_free(reader->link);
    reader->link = NULL; /* it ends by that; programs_reap collects it */
}

/* Starts one with its end of the stream. */
static int start_reader(struct supervisor *s, struct reader_process *reader,
                        const struct authd_read *request, int stream, struct err *e)
{
    struct reader_start m = {.what = request->what, .follow = request->follow};
    int fds[2] = {open_trail(s, e), stream}, link = -1, rc;

    if (fds[0] < 0)
        return fds[0];
    snprintf(m.session, sizeof m.session, "%s", request->session);
    rc = spawn_program(s, PROGRAM_READER, &reader->pid, &link, e);
    if (rc < 0) {
        reader->pid = 0;
        close(fds[0]);
        return rc;
    }
    reader->link = link_new(link, &link_reader, LINK_FIRST, LINK_QUEUE);
    INVARIANT(reader->link);
    log_info("reader-start", "pid=%d uid=%u what=%s session=%s", (int)reader->pid, request->uid,
             source_what_text(request->what), request->session);
    rc = reader_start_send(reader->link, &m, fds, e);
    close(fds[0]);
    if (rc < 0)
        end_reader(reader);
    return rc;
}

static int refuse(struct program *authd, uint64_t request, const char *text, struct err *e)
{
    struct authd_read_failed m = {.request = request};

    snprintf(m.text, sizeof m.text, "%.500s", text);
    return program_sent(authd, authd_read_failed_send(authd->link, &m, NULL, e), e);
}

int on_read(struct program *authd, struct frame *f, struct err *e)
{
    struct supervisor *s = authd->s;
    struct reader_process *reader = free_place(s);
    struct authd_reading answer;
    struct authd_read m;
    struct err why = ERR_INIT;
    int pair[2], rc = authd_read_decode(f, &m, e);

    if (rc < 0)
        return rc;
    if (m.what >= SOURCE_WHATS)
        return err_set(e, ERR_PROTOCOL, "an unknown selection");
    if (!reader || s->phase != RUNNING)
        return refuse(authd, m.request,
                      reader ? "the gateway is shutting down"
                             : "too many reviewers are reading now; try again in a while",
                      e);
    rc = stream_pair(pair, STREAM_SNDBUF, &why);
    if (rc == 0) {
        rc = start_reader(s, reader, &m, pair[0], &why);
        close(pair[0]);
        if (rc < 0)
            close(pair[1]);
    }
    if (rc < 0) {
        log_error("reader-start", "error=\"%s\"", why.text);
        return refuse(authd, m.request, "the gateway cannot start a reader; its log says why", e);
    }
    answer.request = m.request;
    rc = program_sent(authd, authd_reading_send(authd->link, &answer, &pair[1], e), e);
    close(pair[1]);
    return rc == ERR_CLOSED ? 0 : rc; /* authd is gone, and with it the reviewer's end */
}

bool readers_reaped(struct supervisor *s, pid_t pid, int status)
{
    for (size_t i = 0; i < READERS_MAX; i++) {
        struct reader_process *reader = &s->readers[i];

        if (reader->pid != pid)
            continue;
        end_reader(reader);
        reader->pid = 0;
        log_info("reader-end", "pid=%d %s=%d", (int)pid, WIFSIGNALED(status) ? "signal" : "status",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        if (WIFSIGNALED(status) || WEXITSTATUS(status) > 1) {
            struct json_out *j = records_begin(s, "program-died");

            json_str(j, "program", program_name(PROGRAM_READER));
            json_i64(j, "pid", pid);
            json_i64(j, WIFSIGNALED(status) ? "signal" : "status",
                     WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
            records_end(s, RECORD_ALARM);
        }
        return true;
    }
    return false;
}

void readers_end(struct supervisor *s)
{
    for (size_t i = 0; i < READERS_MAX; i++)
        if (s->readers[i].pid)
            end_reader(&s->readers[i]);
}
