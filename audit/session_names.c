/* SPDX-License-Identifier: Apache-2.0
 *
 * Whose a session is (audit/session_names.h). */
#include "audit/session_names.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

void session_names_init(struct session_names *s)
{
    TAILQ_INIT(&s->list);
    s->count = 0;
}

static void forget(struct session_names *s, struct session_name *m)
{
    TAILQ_REMOVE(&s->list, m, used);
    s->count--;
    free(m);
}

void session_names_clear(struct session_names *s)
{
    while (!TAILQ_EMPTY(&s->list))
        forget(s, TAILQ_FIRST(&s->list));
}

static struct session_name *find(struct session_names *s, const uint8_t session[RECORD_SESSION_ID])
{
    struct session_name *m;

    TAILQ_FOREACH(m, &s->list, used)
    {
        if (memcmp(m->session, session, RECORD_SESSION_ID) != 0)
            continue;
        if (m != TAILQ_FIRST(&s->list)) {
            TAILQ_REMOVE(&s->list, m, used);
            TAILQ_INSERT_HEAD(&s->list, m, used);
        }
        return m;
    }
    return NULL;
}

static void take(char *out, size_t cap, const json_t *j, const char *name)
{
    const char *text = json_string_value(json_object_get(j, name));

    snprintf(out, cap, "%s", text ? text : "");
}

int session_names_note(struct session_names *s, const struct export_record *v, struct err *e)
{
    struct session_name *m;
    json_t *j;

    if (v->r->type != RECORD_SESSION_START || !v->payload || find(s, v->r->session))
        return 0;
    m = calloc(1, sizeof *m);
    if (!m)
        return err_set(e, ERR_MEMORY, "no memory for a session");
    if (s->count >= SESSION_NAMES_MAX)
        forget(s, TAILQ_LAST(&s->list, session_name_list));
    j = json_loadb((const char *)v->payload, v->len, 0, NULL);
    memcpy(m->session, v->r->session, RECORD_SESSION_ID);
    take(m->operator_name, sizeof m->operator_name, j, "operator");
    take(m->target, sizeof m->target, j, "target");
    take(m->account, sizeof m->account, j, "account");
    json_decref(j);
    TAILQ_INSERT_HEAD(&s->list, m, used);
    s->count++;
    return 0;
}

const struct session_name *session_names_find(struct session_names *s,
                                              const uint8_t session[RECORD_SESSION_ID])
{
    return find(s, session);
}

const char *session_name_text(char out[SESSION_NAME_TEXT], const struct session_name *m)
{
    char a[64], b[64], c[64];

    if (!m)
        snprintf(out, SESSION_NAME_TEXT, "?: ?@?");
    else
        snprintf(out, SESSION_NAME_TEXT, "%s: %s@%s",
                 escape_text(a, sizeof a, m->operator_name, strlen(m->operator_name)),
                 escape_text(b, sizeof b, m->account, strlen(m->account)),
                 escape_text(c, sizeof c, m->target, strlen(m->target)));
    return out;
}

bool session_name_matches(const struct session_name *m, const char *operator_name,
                          const char *target)
{
    return (!operator_name || (m && strcmp(m->operator_name, operator_name) == 0)) &&
           (!target || (m && strcmp(m->target, target) == 0));
}
