/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of reviewers, from reviewers.yaml to auditd: at start, and again with each new policy
 * set, to which it belongs: it comes into force when authd says that the set does. Run by the
 * supervisor. */
#include <stdio.h>
#include <stdlib.h>

#include "audit/record.h"
#include "base/log.h"
#include "gateway/reviewers_yaml.h"
#include "gateway/supervisor.h"
#include "policy/bundle.h"

int reviewers_start(struct supervisor *s, struct err *e)
{
    int rc = reviewers_load(s->confdir, &s->reviewers, e);
    const char *warning = rc == 0 ? reviewers_warning(&s->reviewers) : NULL;

    if (warning)
        fprintf(stderr, "sallyportd: warning: %s\n", warning);
    return rc;
}

static void refused(struct supervisor *s, const char *text)
{
    struct json_out *j;

    log_error("reviewers-refused", "error=\"%s\"", text);
    j = records_begin(s, "reviewers-refused");
    json_str(j, "error", text);
    records_end(s, RECORD_ALARM);
}

void reviewers_tell(struct supervisor *s)
{
    struct program *auditd = program_of(s, PROGRAM_AUDITD);
    struct auditd_reviewers m;
    struct err e = ERR_INIT;
    struct buf lines;

    buf_init(&lines, REVIEWERS_TEXT_MAX);
    if (reviewers_encode(&lines, &s->reviewers) < 0) {
        refused(s, "no memory for the list of reviewers");
    } else if (auditd) {
        m.reviewers = (struct bytes){buf_head(&lines), buf_len(&lines)};
        program_sent(auditd, auditd_reviewers_send(auditd->link, &m, NULL, &e), &e);
    }
    buf_clear(&lines);
}

struct reviewers *reviewers_of_set(const struct buf *bundle, struct err *e)
{
    struct reviewers *list = calloc(1, sizeof *list);
    struct bytes text;
    int rc = list ? bundle_find(buf_head(bundle), buf_len(bundle), REVIEWERS_FILE, &text, e)
                  : err_set(e, ERR_MEMORY, "no memory for the list of reviewers");

    if (list && rc == 0)
        rc = err_set(e, ERR_NOT_FOUND, REVIEWERS_FILE ": no such file");
    if (rc > 0)
        rc = reviewers_parse(REVIEWERS_FILE, text.p, text.len, list, e);
    if (rc == 0)
        return list;
    free(list);
    return NULL;
}

void reviewers_take(struct supervisor *s, const struct reviewers *list)
{
    const char *warning = reviewers_warning(list);

    if (warning)
        log_warn("reviewers", "warning=\"%s\"", warning);
    if (reviewers_equal(list, &s->reviewers))
        return;
    s->reviewers = *list;
    reviewers_tell(s);
}
