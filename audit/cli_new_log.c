/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport audit new-log`: for root, while the gateway is stopped. Exit status 0 done, 1 failed,
 * 2 wrong usage. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "audit/cli_audit.h"
#include "audit/new_log.h"
#include "gateway/cli.h"
#include "gateway/config.h"

static const char help[] =
    "usage: sallyport audit new-log --reason TEXT [-c DIR]\n\n"
    "Begins another log, when this one cannot go on: an older copy of it was put back, or its keys "
    "are\n"
    "lost. For root, while the gateway is stopped. The old log is closed where its keys still are "
    "(its\n"
    "last seal names the new log's anchor) and kept whole in STATE/trail.N, its public keys in\n"
    "STATE/public. The new log's first record cites the old one, and the reason. Prints the new "
    "anchor\n"
    "and genesis, for safekeeping outside of the gateway.\n\n"
    "  --reason TEXT   why, for the record\n"
    "  -c DIR          the configuration directory\n"
    "                  (default: $SALLYPORT_CONF, else " SALLYPORT_CONFDIR ")\n";

/* A reason is one sentence in a record. */
#define REASON_MAX 1000

/* Whether somebody serves the control socket. */
static bool gateway_runs(const struct config *c)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool runs = false;

    if (fd >= 0 && (size_t)snprintf(a.sun_path, sizeof a.sun_path, "%s/control", c->runtime) <
                       sizeof a.sun_path)
        runs = connect(fd, (struct sockaddr *)&a, sizeof a) == 0;
    if (fd >= 0)
        close(fd);
    return runs;
}

static void tell(const struct config *c, const struct new_log *n)
{
    const struct trail_previous *p = &n->previous;

    if (n->resumed)
        puts("A call of new-log that was interrupted is finished now.");
    else if (p->closed)
        printf("The log %s is closed with %" PRIu64 " records; its last seal names the new one.\n",
               p->origin, p->size);
    else if (p->linked)
        printf("The log %s could not be closed (%s).\nThe new one cites its first %" PRIu64
               " records.\n",
               p->origin, n->trouble, p->size);
    else
        printf("The log %s cannot be read (%s).\nThe new one is unlinked: it cites nothing.\n",
               p->origin, n->trouble);
    printf("It is kept in %s/trail.%u, its public keys in %s/public/*.%u.\n", c->state, n->number,
           c->state, n->number);
    printf("\nKeep these two lines outside of the gateway: with them anybody can tell the new log "
           "from another:\n\n  anchor   %s\n  genesis  %s\n\n",
           n->created.anchor, n->created.genesis);
}

static int run(const char *confdir, const char *reason)
{
    char *path = cli_printf("%s/" CONFIG_FILE, cli_confdir(confdir));
    struct config *c = malloc(sizeof *c);
    struct new_log *n = malloc(sizeof *n);
    struct err e = ERR_INIT;
    int status = CLI_DONE;

    if (!c || !n)
        status = cli_fail("no memory");
    else if (config_load(path, c, &e) < 0)
        status = cli_fail("%s", e.text);
    else if (gateway_runs(c))
        status = cli_fail("the gateway runs; stop it first");
    else if (new_log_begin(c->state, c->gateway, reason, n, &e) < 0)
        status = cli_fail("%s", e.text);
    else
        tell(c, n);
    free(n);
    free(c);
    free(path);
    return status;
}

int audit_new_log(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"reason", required_argument, NULL, 'r'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    const char *confdir = NULL, *reason = NULL;

    optind = 1;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":hc:", options, NULL)) != -1;) {
        switch (c) {
        case 'c':
            confdir = optarg;
            break;
        case 'r':
            reason = optarg;
            break;
        case 'h':
            fputs(help, stdout);
            return CLI_DONE;
        default:
            return cli_bad_option("audit new-log", c, argv);
        }
    }
    if (optind < argc)
        return cli_usage("audit new-log", "there is no argument \"%s\"", argv[optind]);
    if (!reason || !reason[0] || strlen(reason) > REASON_MAX)
        return cli_usage("audit new-log", "--reason TEXT is needed, of 1 to %d bytes", REASON_MAX);
    if (geteuid() != 0)
        return cli_fail("new-log changes the gateway's keys: run it as root");
    return run(confdir, reason);
}
