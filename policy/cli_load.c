/* SPDX-License-Identifier: Apache-2.0
 *
 * `sallyport policy load`: asks the gateway that runs to read its set again, and waits for what
 * becomes of it. The gateway reads, checks and records; nothing is decided here. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "auth/control_client.h"
#include "gateway/cli.h"
#include "policy/cli_policy.h"

static const char help[] =
    "usage: sallyport policy load [OPTION]...\n\n"
    "Asks the gateway to read the policy set of its configuration directory, as SIGHUP does, and "
    "tells\n"
    "what came of it: its warnings, its hash and how many live sessions it ended or narrowed; or "
    "the first\n"
    "mistake, with the set from before still in force. You must be one of the admins in "
    "sallyport.yaml.\n\n"
    "  -c, --config DIR  the configuration directory that names the gateway\n"
    "                  (default: $SALLYPORT_CONF, else " SALLYPORT_CONFDIR ")\n"
    "  --json          print JSON: {loaded, generation, hash, sessions, ended, narrowed, "
    "warnings}\n"
    "                  or {loaded, error}\n\n"
    "Exit status: 0 in force, 1 refused, 2 wrong usage, or no gateway answers.\n\n"
    "Example:\n"
    "  sallyport policy check && sallyport policy load\n";

static int print_refusal(const struct err *e, bool json)
{
    if (json)
        policy_print_json(json_pack("{s:b, s:s}", "loaded", 0, "error", e->text));
    else
        cli_fail("%s; the set in force is still the one from before", e->text);
    return POLICY_FINDINGS;
}

/* Takes nothing of the reply on trust but its shape: what is missing is 0 or empty. */
static void print_loaded(const json_t *reply, bool json)
{
    const json_int_t generation = json_integer_value(json_object_get(reply, "generation"));
    const json_int_t sessions = json_integer_value(json_object_get(reply, "sessions"));
    const json_int_t ended = json_integer_value(json_object_get(reply, "ended"));
    const json_int_t narrowed = json_integer_value(json_object_get(reply, "narrowed"));
    const char *hash = control_text(reply, "hash", "");
    json_t *warnings = json_object_get(reply, "warnings"), *line;
    size_t i;

    if (json) {
        policy_print_json(
            json_pack("{s:b, s:I, s:s, s:I, s:I, s:I, s:o}", "loaded", 1, "generation", generation,
                      "hash", hash, "sessions", sessions, "ended", ended, "narrowed", narrowed,
                      "warnings", json_is_array(warnings) ? json_incref(warnings) : json_array()));
        return;
    }
    json_array_foreach(warnings, i, line)
    {
        policy_print_text(json_is_string(line) ? json_string_value(line) : "");
        putchar('\n');
    }
    printf("loaded: generation %" JSON_INTEGER_FORMAT ", SHA-256 %s\n", generation, hash);
    printf("of %" JSON_INTEGER_FORMAT " sessions %" JSON_INTEGER_FORMAT
           " were ended, %" JSON_INTEGER_FORMAT " narrowed\n",
           sessions, ended, narrowed);
}

int cli_policy_load(int argc, char **argv)
{
    static const struct option table[] = {{"config", required_argument, NULL, 'c'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    struct policy_options o = {
        .verb = "policy load", .help = help, .table = table, .shorts = ":c:h"};
    const char *confdir = NULL;
    struct err e = ERR_INIT;
    json_t *reply = NULL;
    bool json = false;

    policy_options_begin(&o);
    for (int c; (c = policy_next_option(&o, argc, argv)) != -1;) {
        if (c == 'c')
            confdir = optarg;
        else if (c == 'j')
            json = true;
    }
    if (!policy_words(&o, argc, argv, 0, "no words"))
        return o.status;
    int rc =
        control_once(cli_confdir(confdir), json_pack("{s:s}", "verb", "policy-load"), &reply, &e);
    if (rc == ERR_DENIED)
        return print_refusal(&e, json);
    if (rc < 0)
        return policy_trouble("%s", e.text);
    print_loaded(reply, json);
    json_decref(reply);
    return POLICY_FINE;
}
