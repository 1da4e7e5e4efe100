/* SPDX-License-Identifier: Apache-2.0
 *
 * The gate for new sessions. What closes it (a disk that is nearly full, checkpoints that nobody
 * else knows) is kept by reason, so that one that goes away does not open what another holds shut.
 * Break-glass covers the disk alone: where another reason closes the gate as well, it opens
 * nothing. authd refuses with the first text, so the refusal is told to the operator and recorded.
 * Run by the supervisor. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "gateway/supervisor.h"

static const char *const names[ADMISSION_REASONS] = {
    [ADMISSION_DISK] = "disk", [ADMISSION_CHECKPOINTS] = "checkpoints"};

const char *admission_closed(const struct supervisor *s)
{
    for (size_t i = 0; i < ADMISSION_REASONS; i++)
        if (s->closed[i][0])
            return s->closed[i];
    return NULL;
}

void admission_give(struct supervisor *s)
{
    struct program *authd = program_of(s, PROGRAM_AUTHD);
    const char *text = admission_closed(s);
    struct authd_admission m;
    struct err e = ERR_INIT;

    if (!authd)
        return; /* a fresh one is told when it is introduced */
    memset(&m, 0, sizeof m);
    m.open = !text;
    m.glass = s->glass && s->closed[ADMISSION_DISK][0] && !s->closed[ADMISSION_CHECKPOINTS][0];
    snprintf(m.text, sizeof m.text, "%.*s", (int)sizeof m.text - 1, text ? text : "");
    program_sent(authd, authd_admission_send(authd->link, &m, NULL, &e), &e);
}

void admission_set(struct supervisor *s, enum admission_reason reason, const char *text, bool glass)
{
    char *kept = s->closed[reason];

    if (reason != ADMISSION_DISK)
        glass = s->glass;
    if (strncmp(kept, text ? text : "", sizeof s->closed[reason] - 1) == 0 && glass == s->glass)
        return;
    s->glass = glass;
    snprintf(kept, sizeof s->closed[reason], "%s", text ? text : "");
    if (text)
        log_warn("admission-closed", "reason=%s text=\"%s\"", names[reason], text);
    else
        log_info("admission-open", "reason=%s", names[reason]);
    admission_give(s);
}
