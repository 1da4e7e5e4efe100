/* SPDX-License-Identifier: Apache-2.0
 *
 * A file_check for each SFTP channel (audit/file_checks.h). */
#include "audit/file_checks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "audit/sftp_view.h"

struct checked {
    TAILQ_ENTRY(checked) used; /* the last that had a record first */
    uint8_t session[RECORD_SESSION_ID];
    uint32_t channel;
    bool not_opened, differs;
    struct file_check *check; /* NULL: there is nothing to compare with */
};
TAILQ_HEAD(checked_list, checked);

struct file_checks {
    struct checked_list list;
    unsigned count;
    struct file_checks_result result;
};

struct file_checks *file_checks_new(void)
{
    struct file_checks *c = calloc(1, sizeof *c);

    if (c)
        TAILQ_INIT(&c->list);
    return c;
}

static struct checked *find(struct file_checks *c, const struct record *r)
{
    struct checked *m;

    TAILQ_FOREACH(m, &c->list, used)
    {
        if (m->channel != r->channel || memcmp(m->session, r->session, RECORD_SESSION_ID) != 0)
            continue;
        if (m != TAILQ_FIRST(&c->list)) {
            TAILQ_REMOVE(&c->list, m, used);
            TAILQ_INSERT_HEAD(&c->list, m, used);
        }
        return m;
    }
    return NULL;
}

static void differs(struct file_checks *c, const struct record *r, const char *text)
{
    if (c->result.differing++ > 0)
        return;
    c->result.record = r->index;
    c->result.channel = r->channel;
    memcpy(c->result.session, r->session, RECORD_SESSION_ID);
    snprintf(c->result.text, sizeof c->result.text, "%s", text);
}

/* The channel is over. */
static void settle(struct file_checks *c, struct checked *m)
{
    if (m->check) {
        c->result.agreed += file_check_agreed(m->check);
        if (!m->differs && !m->not_opened)
            c->result.unjudged += file_check_unjudged(m->check);
    }
    c->result.not_opened += m->not_opened;
    TAILQ_REMOVE(&c->list, m, used);
    c->count--;
    file_check_free(m->check);
    free(m);
}

static int start(struct file_checks *c, const struct export_record *v, struct err *e)
{
    static struct sftp_channels one;
    struct checked *m;

    one.count = 0;
    sftp_channels_note(&one, v->r, v->payload, v->len);
    if (one.count == 0 || find(c, v->r))
        return 0;
    if (c->count == FILE_CHECKS_MAX) {
        c->result.too_many++;
        return 0;
    }
    m = calloc(1, sizeof *m);
    if (m)
        m->check = file_check_new();
    if (!m || !m->check) {
        free(m);
        return err_set(e, ERR_MEMORY, "no memory to compare file operations");
    }
    memcpy(m->session, v->r->session, RECORD_SESSION_ID);
    m->channel = v->r->channel;
    TAILQ_INSERT_HEAD(&c->list, m, used);
    c->count++;
    return 0;
}

static int compare(struct file_checks *c, const struct export_record *v, struct err *e)
{
    struct checked *m = find(c, v->r);
    char text[FILE_CHECK_TEXT];
    int r;

    if (!m) {
        if (v->r->type == RECORD_FILE && !c->result.too_many)
            differs(c, v->r, "a file operation on a channel on which sftp was not started");
        return 0;
    }
    if (m->not_opened || m->differs)
        return 0;
    if (!v->payload) {
        m->not_opened = true;
        return 0;
    }
    r = v->r->type == RECORD_INPUT ? file_check_input(m->check, v->payload, v->len, text)
                                   : file_check_record(m->check, v->payload, v->len, text);
    if (r < 0)
        return err_set(e, ERR_MEMORY, "no memory to compare file operations");
    if (r == 0) {
        m->differs = true;
        differs(c, v->r, text);
    }
    return 0;
}

int file_checks_put(struct file_checks *c, const struct export_record *v, struct err *e)
{
    switch (v->r->type) {
    case RECORD_SUBSYSTEM:
        return start(c, v, e);
    case RECORD_INPUT:
    case RECORD_FILE:
        return compare(c, v, e);
    case RECORD_SESSION_END:
        for (struct checked *m = TAILQ_FIRST(&c->list), *next; m; m = next) {
            next = TAILQ_NEXT(m, used);
            if (memcmp(m->session, v->r->session, RECORD_SESSION_ID) == 0)
                settle(c, m);
        }
        return 0;
    default:
        return 0;
    }
}

const struct file_checks_result *file_checks_end(struct file_checks *c)
{
    while (!TAILQ_EMPTY(&c->list))
        settle(c, TAILQ_FIRST(&c->list));
    return &c->result;
}

void file_checks_free(struct file_checks *c)
{
    if (!c)
        return;
    (void)file_checks_end(c);
    free(c);
}
