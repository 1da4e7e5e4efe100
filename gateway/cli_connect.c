/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport connect`: its options and the device directory. Run on the operator's device, by ssh
 * as its ProxyCommand, so that all that it has to say goes to standard error. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/cli.h"
#include "gateway/connect.h"
#include "gateway/device.h"
#include "gateway/request.h"

/* As ssh's own for errors of the connection. */
#define CONNECT_FAILED 255

static const char help[] =
    "usage: sallyport connect [--dir DIR] [--no-certificate] NAME:PORT\n"
    "       sallyport connect --gateway HOST:PORT --ca FILE [--name NAME] NAME:PORT\n"
    "\n"
    "Connects standard input and output to a target's SSH through the gateway. It is\n"
    "meant to be ssh's ProxyCommand; `sallyport setup` writes the ssh_config for it.\n"
    "  --dir DIR            the gateway's directory on this device (default: the only one\n"
    "                       below ~/.config/sallyport)\n"
    "  --gateway HOST:PORT  without such a directory: where the gateway is,\n"
    "  --ca FILE            the CA that vouches for it,\n"
    "  --name NAME          and the name in its certificate (default: HOST)\n"
    "  --no-certificate     do not show this device's remembered login\n";

/* Owns the text that connect_options points to. */
struct place {
    char *host, *port, *name, *ca, *key, *certificate;
};

static void place_clear(struct place *p)
{
    free(p->host);
    free(p->port);
    free(p->name);
    free(p->ca);
    free(p->key);
    free(p->certificate);
}

/* "HOST:PORT" or "[ADDRESS]:PORT" */
static int split_gateway(const char *text, struct place *p, struct err *e)
{
    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;

    if (len == 0 || !colon[1])
        return err_set(e, ERR_USAGE, "--gateway takes HOST:PORT, found \"%s\"", text);
    if (text[0] == '[' && colon[-1] == ']') {
        text++;
        len -= 2;
    }
    p->host = cli_printf("%.*s", (int)len, text);
    p->port = cli_printf("%s", colon + 1);
    return 0;
}

static int read_directory(const char *dir, struct place *p, struct err *e)
{
    struct device d;
    int rc = device_read(dir, &d, e);

    p->host = d.host;
    p->port = d.port;
    p->name = d.name;
    p->ca = cli_printf("%s/ca.pem", dir);
    p->key = cli_printf("%s/device.key", dir);
    p->certificate = cli_printf("%s/device.pem", dir);
    return rc;
}

static int connect_to(const struct place *p, bool certificate, const char *target, struct err *e)
{
    const struct connect_options o = {.host = p->host,
                                      .port = p->port,
                                      .name = p->name,
                                      .ca_file = p->ca,
                                      .key_file = certificate ? p->key : NULL,
                                      .certificate_file = certificate ? p->certificate : NULL,
                                      .target = target};
    char *request = cli_printf("CONNECT %s HTTP/1.1\r\n\r\n", target);
    struct request parsed;
    SSL *ssl = NULL;
    int rc = 0;

    if (request_parse(request, strlen(request), &parsed) != REQUEST_CONNECT)
        rc = err_set(e, ERR_USAGE, "found the target \"%s\", expected NAME:PORT", target);
    free(request);
    if (rc == 0)
        rc = connect_open(&o, &ssl, e);
    if (rc == 0)
        rc = connect_pump(&o, ssl, STDIN_FILENO, STDOUT_FILENO, e);
    connect_close(ssl);
    return rc;
}

int cli_connect(int argc, char **argv)
{
    static const struct option options[] = {{"dir", required_argument, NULL, 'd'},
                                            {"gateway", required_argument, NULL, 'g'},
                                            {"ca", required_argument, NULL, 'a'},
                                            {"name", required_argument, NULL, 'n'},
                                            {"no-certificate", no_argument, NULL, 'x'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    const char *given = NULL, *gateway = NULL, *ca = NULL, *name = NULL;
    bool certificate = true;
    struct place p = {0};
    struct err e = ERR_INIT;
    char *dir = NULL;
    int c, rc;

    opterr = 0;
    while ((c = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        switch (c) {
        case 'd':
            given = optarg;
            break;
        case 'g':
            gateway = optarg;
            break;
        case 'a':
            ca = optarg;
            break;
        case 'n':
            name = optarg;
            break;
        case 'x':
            certificate = false;
            break;
        case 'h':
            fputs(help, stdout);
            return CLI_DONE;
        default:
            return cli_bad_option("connect", c, argv);
        }
    }
    if (optind + 1 != argc)
        return cli_usage("connect", "expected one target, NAME:PORT");
    if (gateway && (!ca || given))
        return cli_usage("connect", "--gateway goes with --ca, and without --dir");
    signal(SIGPIPE, SIG_IGN);
    if (gateway) {
        rc = split_gateway(gateway, &p, &e);
        p.ca = cli_printf("%s", ca);
        if (rc == 0)
            p.name = cli_printf("%s", name ? name : p.host);
    } else {
        dir = device_choose(given, &e);
        rc = dir ? read_directory(dir, &p, &e) : e.code;
    }
    if (rc == 0)
        rc = connect_to(&p, certificate, argv[optind], &e);
    free(dir);
    place_clear(&p);
    if (rc == 0)
        return CLI_DONE;
    cli_fail("%s", e.text);
    return CONNECT_FAILED;
}
