/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport audit hold`, `release` and `prune`: what keeps recordings, and what destroys them. A
 * hold is one administrator's act; the other two are orders that two custodians sign elsewhere,
 * with their SSH keys. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "audit/checkpoint.h"
#include "audit/cli_audit.h"
#include "audit/digest.h"
#include "audit/prune_order.h"
#include "audit/record_source.h"
#include "auth/control_client.h"
#include "gateway/cli.h"

static const char hold_help[] =
    "usage: sallyport audit hold SESSION --reason TEXT [OPTION]...\n\n"
    "Keeps a session from being pruned, until two custodians release it.\n\n" AUDIT_SOURCE_HELP
    "  --reason TEXT   why; it is recorded\n";

static const char order_help[] =
    "usage: sallyport audit prune --prepare ORDER --before DATE --reason TEXT [OPTION]...\n"
    "       sallyport audit prune --prepare ORDER --session SESSION --reason TEXT [OPTION]...\n"
    "       sallyport audit release --prepare ORDER --session SESSION --reason TEXT [OPTION]...\n"
    "       sallyport audit prune|release ORDER --signature FILE --signature FILE\n\n"
    "Destroys what was recorded, or ends a hold. That takes an order and the signatures of two of "
    "the\n"
    "persons in CONFDIR/custodians (lines as in ssh-keygen's ALLOWED SIGNERS). Each of them signs "
    "with\n\n"
    "  ssh-keygen -Y sign -f KEY -n sallyport-retention ORDER\n\n"
    "which writes ORDER.sig. --before destroys the sealed contents of every segment of the trail "
    "that ended\n"
    "before the date; --session the keys of one session, which nobody can open any more then. Who, "
    "when,\n"
    "to what and the proofs stay. Held sessions are left out. An order is carried out "
    "once.\n\n" AUDIT_SOURCE_HELP "  --prepare ORDER   write the order to this file\n"
    "  --before DATE     2026-01-31, or 2026-01-31T12:00:00Z\n"
    "  --session SESSION the beginning of a session's id\n"
    "  --reason TEXT     why; it stands in the order and in the trail\n"
    "  --signature FILE  a custodian's signature\n";

enum { OPT_WHY = 600, OPT_PREPARE, OPT_BEFORE, OPT_ORDER_SESSION, OPT_SIGNATURE };

static int whole_id(const struct audit_source *s, const char *name, uint8_t id[RECORD_SESSION_ID],
                    struct err *e)
{
    struct source_selection selection = {.what = SOURCE_SESSION};
    const struct source_session *found = NULL;
    struct record_source *source = NULL;
    int r = source_name_check(name, e);

    if (r < 0)
        return r;
    snprintf(selection.session, sizeof selection.session, "%s", name);
    r = record_source_dir(&source, s->dir, &selection, e);
    if (r == 0)
        found = record_source_session(source, e);
    if (found)
        memcpy(id, found->id, RECORD_SESSION_ID);
    record_source_free(source);
    return found ? 0 : e->code;
}

static int ask(const struct audit_source *s, json_t *request, struct err *e)
{
    json_t *reply = NULL;
    int r = control_once(cli_confdir(s->confdir), request, &reply, e);

    if (r == 0 && control_text(reply, "text", NULL))
        printf("%s\n", control_text(reply, "text", ""));
    json_decref(reply);
    return r;
}

int audit_hold(int argc, char **argv)
{
    static const struct option options[] = {
        AUDIT_SOURCE_OPTIONS, {"reason", required_argument, NULL, OPT_WHY}, {NULL, 0, NULL, 0}};
    struct audit_options o = {"audit hold", hold_help, "", options, -1};
    uint8_t id[RECORD_SESSION_ID];
    char hex[2 * RECORD_SESSION_ID + 1];
    const char *reason = NULL;
    struct audit_source s;
    struct err e = ERR_INIT;
    int c, r;

    audit_source_init(&s);
    while ((c = audit_next_option(&o, &s, argc, argv)) != -1)
        if (c == OPT_WHY)
            reason = optarg;
    if (o.status >= 0)
        return o.status;
    if (optind + 1 != argc || !reason)
        return cli_usage("audit hold", "it wants a session and a --reason");
    r = audit_source_open(&s, false, &e);
    if (r == 0)
        r = whole_id(&s, argv[optind], id, &e);
    if (r == 0) {
        hex_encode(hex, id, sizeof id);
        r = ask(
            &s,
            json_pack("{s:s, s:s, s:s}", "verb", "audit-hold", "session", hex, "reason", reason),
            &e);
    }
    audit_source_close(&s);
    return r < 0 ? cli_fail("%s", e.text) : CLI_DONE;
}

struct order_words {
    const char *verb, *prepare, *before, *session, *reason;
    const char *signatures[PRUNE_SIGNERS];
    unsigned signature_count;
};

static int parse_date(const char *text, uint64_t *ns, struct err *e)
{
    struct tm tm = {0};
    const char *end = strptime(text, "%Y-%m-%d", &tm);

    if (end && *end == 'T')
        end = strptime(end, "T%H:%M:%SZ", &tm);
    if (!end || *end || timegm(&tm) < 0)
        return err_set(e, ERR_USAGE, "\"%.40s\" is no date like 2026-01-31", text);
    *ns = (uint64_t)timegm(&tm) * 1000000000u;
    return 0;
}

/* The log's name, size and root: of its newest checkpoint. */
static int fill(struct prune_order *o, const struct audit_source *s, const struct order_words *w,
                struct err *e)
{
    struct checkpoint c;
    struct anchor a;
    int r = anchor_read(&a, s->dir, NULL, e);

    if (r == 0)
        r = checkpoint_read(&c, s->dir, &a.log, e);
    if (r < 0)
        return r;
    strcpy(o->origin, c.origin);
    o->size = c.size;
    memcpy(o->root, c.root, sizeof o->root);
    snprintf(o->reason, sizeof o->reason, "%s", w->reason);
    if (w->before)
        return parse_date(w->before, &o->before_ns, e);
    o->act = strcmp(w->verb, "release") == 0 ? PRUNE_RELEASE : PRUNE_SESSION;
    return whole_id(s, w->session, o->session, e);
}

static int prepare(struct audit_source *s, const struct order_words *w, struct err *e)
{
    struct prune_order o = {.act = PRUNE_BEFORE};
    struct buf text;
    int r = audit_source_open(s, false, e);

    buf_init(&text, PRUNE_ORDER_MAX);
    if (r == 0)
        r = fill(&o, s, w, e);
    if (r == 0)
        r = prune_order_write(&o, &text, e);
    if (r == 0)
        r = cli_replace_file(w->prepare, buf_head(&text), buf_len(&text), 0644, e);
    if (r == 0)
        printf("%.*s\nTwo custodians sign it: ssh-keygen -Y sign -f KEY -n " PRUNE_NAME_SPACE
               " %s\n",
               (int)buf_len(&text), (const char *)buf_head(&text), w->prepare);
    buf_clear(&text);
    return r;
}

static int send_order(struct audit_source *s, const struct order_words *w, const char *path,
                      struct err *e)
{
    struct buf order, signatures[PRUNE_SIGNERS];
    json_t *list = json_array();
    int r = cli_read_file(path, PRUNE_ORDER_MAX, &order, e);

    for (unsigned i = 0; r == 0 && i < PRUNE_SIGNERS; i++) {
        r = cli_read_file(w->signatures[i], SSHSIG_MAX, &signatures[i], e);
        if (r == 0) {
            json_array_append_new(list, json_stringn((const char *)buf_head(&signatures[i]),
                                                     buf_len(&signatures[i])));
            buf_clear(&signatures[i]);
        }
    }
    if (r == 0)
        r = ask(s,
                json_pack("{s:s, s:s%, s:O}", "verb", "audit-prune", "order",
                          (const char *)buf_head(&order), buf_len(&order), "signatures", list),
                e);
    if (r != ERR_NOT_FOUND)
        buf_clear(&order);
    json_decref(list);
    return r;
}

static int order_verb(const char *verb, int argc, char **argv)
{
    static const struct option options[] = {AUDIT_SOURCE_OPTIONS,
                                            {"prepare", required_argument, NULL, OPT_PREPARE},
                                            {"before", required_argument, NULL, OPT_BEFORE},
                                            {"session", required_argument, NULL, OPT_ORDER_SESSION},
                                            {"reason", required_argument, NULL, OPT_WHY},
                                            {"signature", required_argument, NULL, OPT_SIGNATURE},
                                            {NULL, 0, NULL, 0}};
    struct audit_options o = {"audit prune", order_help, "", options, -1};
    struct order_words w = {.verb = verb};
    struct audit_source s;
    struct err e = ERR_INIT;
    int c, r;

    audit_source_init(&s);
    while ((c = audit_next_option(&o, &s, argc, argv)) != -1) {
        if (c == OPT_PREPARE)
            w.prepare = optarg;
        else if (c == OPT_BEFORE)
            w.before = optarg;
        else if (c == OPT_ORDER_SESSION)
            w.session = optarg;
        else if (c == OPT_WHY)
            w.reason = optarg;
        else if (c == OPT_SIGNATURE && w.signature_count++ < PRUNE_SIGNERS)
            w.signatures[w.signature_count - 1] = optarg;
    }
    if (o.status >= 0)
        return o.status;
    if (w.prepare) {
        if (optind < argc || !w.reason || !w.before == !w.session ||
            (w.before && strcmp(verb, "release") == 0))
            return cli_usage("audit prune", "an order wants a --reason, and one of --before and "
                                            "--session");
        r = prepare(&s, &w, &e);
    } else {
        if (optind + 1 != argc || w.signature_count != PRUNE_SIGNERS)
            return cli_usage("audit prune", "it wants an order and two signatures");
        r = send_order(&s, &w, argv[optind], &e);
    }
    audit_source_close(&s);
    return r < 0 ? cli_fail("%s", e.text) : CLI_DONE;
}

int audit_prune(int argc, char **argv)
{
    return order_verb("prune", argc, argv);
}

int audit_release(int argc, char **argv)
{
    return order_verb("release", argc, argv);
}
