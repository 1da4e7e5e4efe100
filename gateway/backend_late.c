/* SPDX-License-Identifier: Apache-2.0
 *
 * Openings that the target did not answer in time. The operator has his refusal and the channel's
 * place is free again, but SSH cannot take an open back, and libssh keeps the number until an
 * answer comes: so its channel is kept here, without a place and without a way to anybody. A
 * confirmation that comes is recorded, and closed at once; what the target sends until then is
 * dropped; a refusal frees it. Runs in the backend; the target is hostile. */
#include "base/log.h"
#include "gateway/backend_session.h"

static int drop_data(ssh_session ssh, ssh_channel c, void *data, uint32_t len, int is_stderr,
                     void *user)
{
    (void)ssh, (void)c, (void)data, (void)is_stderr, (void)user;
    return (int)len;
}

static struct ssh_channel_callbacks_struct dropping = {
    .size = sizeof(struct ssh_channel_callbacks_struct),
    .channel_data_function = drop_data,
};

void late_drop_data(ssh_channel ssh)
{
    ssh_add_channel_callbacks(ssh, &dropping);
}

void late_keep(struct channel *ch)
{
    struct backend *b = ch->owner;

    /* late_room was asked before each of the RELAY_CHANNELS_MAX that may be opening. */
    INVARIANT(b->late_count < LATE_MAX + RELAY_CHANNELS_MAX);
    ssh_remove_channel_callbacks(ch->ssh, &ch->callbacks);
    late_drop_data(ch->ssh);
    b->late[b->late_count++] =
        (struct late){.ssh = ch->ssh, .id = ch->id, .forward = ch->forward != NULL};
    ch->ssh = NULL;
}

static void record(struct backend *b, const struct late *l)
{
    struct json_record r;

    log_info("answered-late", "channel=%u", l->id);
    if (!l->forward)
        return; /* a session channel on which nothing was asked for is in no record either */
    record_begin(&r);
    json_str(&r.json, "event", "answered-late");
    json_str(&r.json, "by", "target");
    if (record_end(b, &r, RECORD_FORWARD_CLOSE, l->id, WANT_DURABLE, NULL) != 0)
        log_warn("answered-late", "channel=%u not recorded", l->id);
}

/* True: it is over. libssh frees an open one when the target closes it too. */
static bool answered(struct backend *b, struct late *l, bool ask)
{
    bool open = ssh_channel_is_open(l->ssh);

    /* Only asking for the open again tells that it was refused, or confirmed and closed already;
     * and it reads from the target. */
    if (!open && (!ask || ssh_channel_open_session(l->ssh) == SSH_AGAIN))
        return false;
    if (!target_alive(b))
        return false;
    open = open || ssh_channel_is_open(l->ssh) || ssh_channel_is_eof(l->ssh);
    if (open && !l->told)
        record(b, l);
    l->told = true;
    if (open && (target_unsent(b) || ssh_channel_close(l->ssh) == SSH_AGAIN))
        return false;
    if (target_alive(b))
        ssh_channel_free(l->ssh);
    return true;
}

static void look(struct backend *b, unsigned i, bool ask)
{
    if (answered(b, &b->late[i], ask))
        b->late[i] = b->late[--b->late_count];
}

void late_step(struct backend *b)
{
    for (unsigned i = b->late_count; i-- > 0 && target_alive(b);)
        look(b, i, false);
    /* One a turn, so that reading stays as flow_stopped would have it, but for 4 KiB. */
    if (b->late_count > 0 && target_alive(b))
        look(b, b->turn % b->late_count, true);
}

bool late_room(struct backend *b)
{
    if (b->late_count < LATE_MAX)
        return true;
    for (unsigned i = b->late_count; i-- > 0 && target_alive(b);)
        look(b, i, true);
    return b->late_count < LATE_MAX;
}

void late_forget(struct backend *b)
{
    b->late_count = 0;
}
