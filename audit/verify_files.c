/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads checkpoints that are known elsewhere. Runs in the reading tools. Each must be signed by the
 * log; a witness's word counts only with a key of that witness that was given. */
#include "audit/verify_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/cosignature.h"
#include "audit/known.h"

static int add(struct verify_known **list, size_t *count, const struct checkpoint *c,
               const char *where, struct err *e)
{
    struct verify_known *grown = realloc(*list, (*count + 1) * sizeof *grown);

    if (!grown)
        return err_set(e, ERR_MEMORY, "no memory for a checkpoint");
    *list = grown;
    grown += (*count)++;
    grown->checkpoint = *c;
    grown->held = false;
    snprintf(grown->where, sizeof grown->where, "%s", where);
    return 0;
}

int known_add_file(struct verify_known **list, size_t *count, int dir, const char *path,
                   const struct vkey *log, struct err *e)
{
    struct checkpoint c;
    struct buf text;
    int r;

    buf_init(&text, NOTE_MAX);
    r = note_file_read(dir, path, &text, e);
    if (r == 0) {
        r = known_checkpoint_parse(&c, (const char *)buf_head(&text), buf_len(&text), log, e);
        if (r < 0)
            err_wrap(e, "%s", path);
    }
    if (r == 0)
        r = add(list, count, &c, path, e);
    buf_clear(&text);
    return r;
}

int known_add_witnessed(struct verify_known **list, size_t *count, int dir, const struct vkey *log,
                        const struct vkey *witnesses, size_t witness_count, size_t *cosigned,
                        struct err *e)
{
    struct checkpoint c;
    struct buf text;
    uint64_t time_s;
    int r;

    *cosigned = 0;
    buf_init(&text, NOTE_MAX);
    r = note_file_read(dir, CHECKPOINT_WITNESSED_FILE, &text, e);
    if (r == ERR_NOT_FOUND) {
        r = 0;
        goto out;
    }
    if (r == 0)
        r = checkpoint_open(&c, (const char *)buf_head(&text), buf_len(&text), log, e);
    if (r < 0) {
        err_wrap(e, CHECKPOINT_WITNESSED_FILE);
        goto out;
    }
    for (size_t i = 0; i < witness_count; i++)
        *cosigned += cosigned_note_verify((const char *)buf_head(&text), buf_len(&text),
                                          &witnesses[i], &time_s, NULL) == 0;
    if (*cosigned)
        r = add(list, count, &c, CHECKPOINT_WITNESSED_FILE, e);
out:
    buf_clear(&text);
    return r;
}
