/* SPDX-License-Identifier: Apache-2.0
 *
 * The names of selections and of sessions (audit/record_source.h): checked by authd, which records
 * them, and by whoever acts on them. */
#include <string.h>

#include "audit/record_source.h"

static const char *const whats[SOURCE_WHATS] = {"session", "clear", "gateway", "everything"};

const char *source_what_text(unsigned what)
{
    return what < SOURCE_WHATS ? whats[what] : NULL;
}

int source_what_parse(const char *text)
{
    for (int i = 0; i < SOURCE_WHATS; i++)
        if (strcmp(text, whats[i]) == 0)
            return i;
    return -1;
}

int source_name_check(const char *session, struct err *e)
{
    const size_t len = strlen(session);

    if (strcmp(session, "last") == 0 || (len >= SOURCE_NAME_MIN && len <= SOURCE_NAME_MAX &&
                                         strspn(session, "0123456789abcdef") == len))
        return 0;
    return err_set(e, ERR_USAGE,
                   "a session is named by at least %d digits of its id (0-9, a-f), or `last`",
                   SOURCE_NAME_MIN);
}
