/* SPDX-License-Identifier: Apache-2.0
 *
 * sallyport.yaml: defaults, values, and the words of every kind of mistake with its place. */
#include <criterion/criterion.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/known.h"
#include "gateway/config.h"
#include "gateway/courier.h"

static int parse(const char *text, struct config *c, struct err *e)
{
    return config_parse("s.yaml", text, strlen(text), c, e);
}

Test(gateway_config, defaults)
{
    static struct config c;
    struct err e = ERR_INIT;

    cr_assert_eq(parse("gateway: gw.example\n", &c, &e), 0, "%s", e.text);
    cr_expect_str_eq(c.gateway, "gw.example");
    cr_expect_eq(c.listen.count, 1);
    cr_expect_eq(c.listen.at[0].port, 443);
    cr_expect_eq(c.listen.at[0].address.family, 4);
    cr_expect_eq(c.from.count, 2);
    cr_expect_eq(c.admins.count, 1);
    cr_expect_str_eq(c.admins.at[0].name, "0");
    cr_expect_str_eq(c.runtime, "/run/sallyport");
    cr_expect_str_eq(c.vault_from, "");
    cr_expect_eq(c.connections, 512);
    cr_expect_eq(c.per_source, 64);
    cr_expect_eq(c.reserve, 8);
    cr_expect_eq(c.reserve_from.count, 0);
    cr_expect_eq(c.handshake_ms, 10000);
    cr_expect_eq(c.login_ms, 120000);
    cr_expect_eq(c.lockout_failures, 5);
    cr_expect_eq(c.lockout_ms, 1800000);
    cr_expect_eq(c.enrolment_ms, 86400000);
    cr_expect_str_eq(c.users[CONFIG_USER_AUDITD].name, "sallyport-auditd");
}

Test(gateway_config, values)
{
    static struct config c;
    struct err e = ERR_INIT;

    cr_assert_eq(
        parse("gateway: 192.0.2.1\n"
              "listen: [\"[::]:8443\", \"127.0.0.1:1\"]\n"
              "state: /a\nruntime: /b\nadmins: [0, 1000]\n"
              "from: [10.0.0.0/8, \"2001:db8::/32\", 192.0.2.7]\n"
              "vault-from: 192.0.2.1\nlisteners: 3\n"
              "limits: {connections: 20, per-source: 2, reserve: 1, reserve-from: [127.0.0.1]}\n"
              "deadlines: {handshake: 2s, login: 1m, connect: 3s}\n"
              "lockout: {failures: 3, time: 1h}\n"
              "enrolment: {valid: 2d}\n"
              "disk: {soft: 20GiB, hard: 5%, share: 100%, slow: 3s}\n"
              "break-glass: {operators: [alice, b.ob], reserve: 1GiB}\n"
              "users: {listener: 101, frontend: 102, backend: 103, authd: 104, auditd: 105, "
              "reader: 106}\n",
              &c, &e),
        0, "%s", e.text);
    cr_expect_eq(c.listen.at[0].address.family, 6);
    cr_expect_eq(c.listen.at[0].port, 8443);
    cr_expect_eq(c.from.at[1].bits, 32);
    cr_expect_eq(c.reserve_from.count, 1);
    cr_expect_eq(c.enrolment_ms, 172800000);
    cr_expect(!c.disk_soft.percent && c.disk_soft.value == 20ull << 30);
    cr_expect(c.disk_hard.percent && c.disk_hard.value == 5);
    cr_expect(c.disk_share.percent && c.disk_share.value == 100);
    cr_expect_eq(c.disk_slow_ms, 3000);
    cr_expect_eq(c.glass_operators.count, 2);
    cr_expect_str_eq(c.glass_operators.at[1], "b.ob");
    cr_expect_eq(c.glass_reserve.value, 1u << 30);
    cr_assert_eq(config_users(&c, &e), 0, "%s", e.text);
    cr_expect_eq(c.users[CONFIG_USER_AUTHD].uid, 104);
    cr_expect_eq(c.users[CONFIG_USER_AUTHD].gid, 104);
    cr_expect_eq(c.admins.at[1].uid, 1000);
}

Test(gateway_config, mistakes)
{
    static const struct {
        const char *text, *place, *words;
    } rows[] = {
        {"", "s.yaml:", "\"gateway\""},
        {"gatway: x\n", "s.yaml:1:1: ", "did you mean \"gateway\""},
        {"gateway: x\nlimits: {conections: 1}\n", "s.yaml:2:10: ", "did you mean \"connections\""},
        {"gateway: x\nlimits: 3\n", "s.yaml:2:9: ", "expected a map"},
        {"gateway: x y\n", "s.yaml:1:10: ", "expected a DNS name"},
        {"gateway: [x]\n", "s.yaml:1:10: ", "found a list"},
        {"gateway: x\nlisten: \"0.0.0.0:443\"\n", "s.yaml:2:9: ", "expected a list"},
        {"gateway: x\nlisten: []\n", "s.yaml:2:9: ", "found 0 entries"},
        {"gateway: x\nlisten: [\"0.0.0.0\"]\n", "s.yaml:2:10: ", "expected an address with a port"},
        {"gateway: x\nlisten: [\"::1:443\"]\n", "s.yaml:2:10: ", "such as"},
        {"gateway: x\nlisten: [\"gw:443\"]\n", "s.yaml:2:10: ", "such as"},
        {"gateway: x\nlisten: [\"0.0.0.0:70000\"]\n", "s.yaml:2:10: ", "such as"},
        {"gateway: x\nlisten: [\"0.0.0.0:+1\"]\n", "s.yaml:2:10: ", "such as"},
        {"gateway: x\nstate: var/lib\n", "s.yaml:2:8: ", "absolute path"},
        {"gateway: x\nfrom: [10.0.0.1/8]\n", "s.yaml:2:8: ", "10.0.0.0/8"},
        {"gateway: x\nfrom: [host]\n", "s.yaml:2:8: ", "host"},
        {"gateway: x\nlimits: {connections: -1}\n", "s.yaml:2:23: ", "a number from 1"},
        {"gateway: x\nlimits: {connections: 5}\n", "s.yaml:2:9: ", "expected less"},
        {"gateway: x\ndeadlines: {login: 120}\n", "s.yaml:2:20: ", "a duration such as"},
        {"gateway: x\ndeadlines: {login: 2d}\n", "s.yaml:2:20: ", "a duration from 1s to 1h"},
        {"gateway: x\ndisk: {soft: 100%}\n", "s.yaml:2:14: ", "expected 0% to 99%, or a size"},
        {"gateway: x\ndisk: {hard: 5 %}\n", "s.yaml:2:14: ", "expected 0% to 99%"},
        {"gateway: x\ndisk: {share: 0%}\n", "s.yaml:2:15: ", "expected 1% to 100%"},
        {"gateway: x\ndisk: {soft: much}\n", "s.yaml:2:14: ", "expected a size"},
        {"gateway: x\npenalty: {slow-after: 20}\n", "s.yaml:2:10: ", "expected to slow before"},
        {"gateway: x\npenalty: {block: 1h, block-max: 30m}\n", "s.yaml:2:10: ", "no shorter"},
        {"gateway: x\npenalty: {delay: 11s}\n", "s.yaml:2:18: ", "10s"},
        {"gateway: x\nproxy: {from: [10.0.0.1/8]}\n", "s.yaml:2:16: ", "expected 10.0.0.0/8"},
        {"gateway: x\nproxy: {from: [10.0.0.1, \"::/0\"]}\n",
         "s.yaml:2:26: ", "which is everybody"},
        {"gateway: x\nproxy: {form: []}\n", "s.yaml:2:9: ", "did you mean \"from\""},
        {"gateway: x\nbreak-glass: {reserve: 1023KiB}\n", "s.yaml:2:14: ", "expected 1MiB or more"},
        {"gateway: x\nbreak-glass: {operators: [Bob]}\n", "s.yaml:2:27: ", "an operator's name"},
        {"gateway: x\nbreak-glass: {operator: [bob]}\n",
         "s.yaml:2:15: ", "did you mean \"operators\""},
        {"gateway: x\ndisk: {soft: 5%, hard: 6%}\n", "s.yaml:2:7: ", "soft mark below the hard"},
        {"gateway: x\ngateway: y\n", "s.yaml:2:1: ", "gateway"},
    };
    static struct config c;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err e = ERR_INIT;
        cr_expect_lt(parse(rows[i].text, &c, &e), 0, "row %zu", i);
        cr_expect(strncmp(e.text, rows[i].place, strlen(rows[i].place)) == 0, "row %zu: %s", i,
                  e.text);
        cr_expect(strstr(e.text, rows[i].words), "row %zu: %s", i, e.text);
    }
}

Test(gateway_config, users)
{
    static struct config c;
    struct err e = ERR_INIT;

    cr_assert_eq(parse("gateway: x\nusers: {listener: no-such-user-here}\n", &c, &e), 0);
    cr_expect_lt(config_users(&c, &e), 0);
    cr_expect(strncmp(e.text, "s.yaml:2:19: ", 13) == 0, "%s", e.text);
    cr_assert_eq(parse("gateway: x\nusers: {listener: 0}\n", &c, &e), 0);
    cr_expect_lt(config_users(&c, &e), 0);
    cr_expect(strstr(e.text, "found root"), "%s", e.text);
    cr_assert_eq(
        parse("gateway: x\nusers: {listener: 7, frontend: 7, backend: 8, authd: 9, auditd: 10}\n",
              &c, &e),
        0);
    cr_expect_lt(config_users(&c, &e), 0);
    cr_expect(strstr(e.text, "for both users.listener and users.frontend"), "%s", e.text);
}

/* What --dump prints is a configuration that means the same. */
Test(gateway_config, dump_is_read_again)
{
    static struct config c, again;
    struct err e = ERR_INIT;
    struct buf out, second;
    char *text;

    buf_init(&out, 65536);
    buf_init(&second, 65536);
    cr_assert_eq(
        parse("gateway: gw\nlisten: [\"[::1]:8443\"]\nlimits: {reserve-from: [10.0.0.0/8]}\n"
              "deadlines: {login: 90s}\n",
              &c, &e),
        0, "%s", e.text);
    cr_assert_eq(config_dump(&c, &out), 0);
    text = buf_string(&out);
    cr_assert_eq(config_parse("dump", text, strlen(text), &again, &e), 0, "%s\n%s", e.text, text);
    cr_assert_eq(config_dump(&again, &second), 0);
    cr_expect_eq(buf_len(&out), buf_len(&second));
    cr_expect_eq(memcmp(buf_head(&out), buf_head(&second), buf_len(&out)), 0);
    cr_expect_eq(again.login_ms, 90000);
    free(text);
    buf_clear(&out);
    buf_clear(&second);
}

Test(gateway_config, file)
{
    static struct config c;
    struct err e = ERR_INIT;
    char path[] = "/tmp/config-XXXXXX";
    int fd = mkstemp(path);

    cr_assert_eq(write(fd, "gateway: gw\n", 12), 12);
    cr_expect_eq(config_load(path, &c, &e), 0, "%s", e.text);
    fchmod(fd, 0622);
    cr_expect_eq(config_load(path, &c, &e), ERR_DENIED);
    cr_expect(strstr(e.text, "0622"), "%s", e.text);
    unlink(path);
    cr_expect_eq(config_load(path, &c, &e), ERR_NOT_FOUND);
    cr_expect_lt(config_load("/tmp", &c, &e), 0);
    close(fd);
}

Test(gateway_config, firewall)
{
    static const struct {
        const char *section, *said;
    } wrong[] = {
        {"{enabled: maybe}", "s.yaml:2:21: "},
        {"{enabled: true, clos: true}", "close"},
        {"{close: true}", "firewall.enabled"},
        {"{enabled: true, also: [{port: 22, from: [10.0.0.0/8]}]}", "firewall.close"},
        {"{enabled: true, close: true, also: [{port: 0, from: [10.0.0.0/8]}]}", "found \"0\""},
        {"{enabled: true, close: true, also: [{port: 65536, from: [10.0.0.0/8]}]}",
         "found \"65536\""},
        {"{enabled: true, close: true, also: [{port: 22}]}", "from"},
        {"{enabled: true, close: true, also: [{from: [10.0.0.0/8]}]}", "port"},
        {"{enabled: true, close: true, also: [{port: 22, from: []}]}", "expected 1 to 32"},
        {"{enabled: true, close: true, also: [{port: 22, from: [10.0.0.1/8]}]}", "10.0.0.0/8"},
        {"{enabled: true, close: true, also: [{port: 22, from: [x]}]}", "x"},
        {"{enabled: true, close: true, also: [{port: 22, from: [\"::/0\"], protocol: icmp}]}",
         "expected tcp or udp"},
        {"{enabled: true, close: true, also: [{port: 22, from: [\"::/0\"], prot: tcp}]}",
         "protocol"},
        {"{enabled: true, close: true, also: [22]}", "opening"},
    };
    static struct config c, again;
    struct err e = ERR_INIT;
    struct buf text;

    cr_assert_eq(parse("gateway: x\n", &c, &e), 0);
    cr_expect(!c.firewall && !c.firewall_close && c.firewall_also.count == 0);
    cr_expect_str_eq(c.users[CONFIG_USER_FIREWALL].name, "sallyport-firewall");
    cr_assert_eq(parse("gateway: x\nfirewall:\n  enabled: true\n  close: true\n  also:\n"
                       "  - {port: 22, from: [10.0.0.0/8, \"2001:db8::/32\"]}\n"
                       "  - {port: 161, from: [192.0.2.1], protocol: udp}\n",
                       &c, &e),
                 0, "%s", e.text);
    buf_init(&text, 1u << 20);
    cr_assert_eq(config_dump(&c, &text), 0);
    cr_assert_eq(config_parse("dump", buf_head(&text), buf_len(&text), &again, &e), 0, "%s",
                 e.text);
    buf_clear(&text);
    cr_expect(again.firewall && again.firewall_close);
    cr_assert_eq(again.firewall_also.count, 2);
    cr_expect(!again.firewall_also.at[0].udp && again.firewall_also.at[1].udp);
    cr_expect_eq(again.firewall_also.at[0].port, 22);
    cr_expect_eq(again.firewall_also.at[0].count, 2);
    cr_expect_eq(again.firewall_also.at[0].from[1].bits, 32);
    cr_expect_eq(again.firewall_also.at[1].from[0].bits, 32);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char whole[300];
        snprintf(whole, sizeof whole, "gateway: x\nfirewall: %s\n", wrong[i].section);
        cr_expect_lt(parse(whole, &c, &e), 0, "%s", whole);
        cr_expect(strstr(e.text, wrong[i].said), "%s: %s", wrong[i].section, e.text);
    }
}

/* --- checkpoints elsewhere */

#define WITNESS "witness.example.com/w1+a0059f11+BAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"

Test(gateway_config, checkpoints_elsewhere)
{
    static const char *const wrong[] = {
        "gateway: x\nwitnesses: [{key: nonsense, address: \"192.0.2.1:1\"}]\n",
        "gateway: x\nwitnesses: [{key: \"" WITNESS "\"}]\n",
        "gateway: x\nwitnesses: [{key: \"" WITNESS "\", address: \"w.example.org:1\"}]\n",
        "gateway: x\nwitnesses: [{key: \"" WITNESS
        "\", address: \"192.0.2.1:1\", path: \"/a b\"}]\n",
        "gateway: x\nwitnesses: [{key: \"" WITNESS "\", addres: \"192.0.2.1:1\"}]\n",
        "gateway: x\nsyslog: {address: \"192.0.2.1:6514\"}\n",
        "gateway: x\nsyslog: {address: \"192.0.2.1:6514\", name: l, ca: /c, key: /k}\n",
    };
    static struct config c, again;
    struct err e = ERR_INIT;
    struct buf text;

    cr_assert_eq(parse("gateway: x\n"
                       "witnesses: [{key: \"" WITNESS
                       "\", address: \"[2001:db8::1]:7070\", path: /w}]\n"
                       "syslog: {address: \"192.0.2.1:6514\", name: log.example.org, ca: /c}\n"
                       "elsewhere: {alarm-after: 2m, stop-after: 1h}\n",
                       &c, &e),
                 0, "%s", e.text);
    buf_init(&text, 1u << 20);
    cr_assert_eq(config_dump(&c, &text), 0);
    cr_assert_eq(config_parse("dump", buf_head(&text), buf_len(&text), &again, &e), 0, "%s",
                 e.text);
    cr_expect_eq(again.witnesses.count, 1);
    cr_expect_str_eq(again.witnesses.at[0].key, WITNESS);
    cr_expect_str_eq(again.witnesses.at[0].path, "/w");
    cr_expect_eq(again.witnesses.at[0].at.port, 7070);
    cr_expect_eq(again.syslog_address.port, 6514);
    cr_expect_str_eq(again.syslog_name, "log.example.org");
    cr_expect_eq(again.elsewhere_alarm_ms, 120000);
    cr_expect_eq(again.elsewhere_stop_ms, 3600000);
    buf_clear(&text);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        cr_expect_lt(parse(wrong[i], &c, &e), 0, "%s", wrong[i]);
}

/* RFC 5424 6.5's form, RFC 5425's frame; the note is the example of C2SP tlog-checkpoint. */
Test(gateway_courier, syslog_message)
{
    static const char note[] =
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
        "\xe2\x80\x94 example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/"
        "5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";
#define PARAMETERS                                                                                 \
    " origin=\"example.com/behind-the-sofa\" size=\"20852163\" "                                   \
    "root=\"CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\" signature=\"Az3grlgtzPICa5OS8npVmf1My"  \
    "q/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\""
    static const char expected[] = "<109>1 2023-03-20T13:45:47.123456Z gw sallyport - checkpoint "
                                   "[checkpoint@32473" PARAMETERS "] checkpoint" PARAMETERS;
    struct err e = ERR_INIT;
    struct buf out, again;
    char length[16];

    buf_init(&out, 16384);
    buf_init(&again, 16384);
    cr_assert_eq(syslog_message(&out, "gw", 1679319947123456789u, note, strlen(note), &e), 0, "%s",
                 e.text);
    snprintf(length, sizeof length, "%zu ", strlen(expected));
    cr_assert_eq(buf_len(&out), strlen(length) + strlen(expected), "%.*s", (int)buf_len(&out),
                 buf_head(&out));
    cr_expect_arr_eq(buf_head(&out), length, strlen(length));
    cr_expect_arr_eq(buf_head(&out) + strlen(length), expected, strlen(expected));
    cr_assert_eq(known_note(&again, (const char *)buf_head(&out), buf_len(&out), &e), 0);
    cr_expect_arr_eq(buf_head(&again), note, strlen(note));
    buf_clear(&out);
    buf_clear(&again);
}

/* The example of C2SP tlog-witness, its beginning. */
Test(gateway_courier, add_checkpoint_body)
{
    static const uint8_t hashes[64] = {0x3e, 0x54};
    struct buf out;

    buf_init(&out, 4096);
    cr_assert_eq(add_checkpoint_body(&out, 20852014, hashes, 2, "note\n", 5), 0);
    cr_expect(buf_len(&out) > 20 && memcmp(buf_head(&out), "old 20852014\nPlQA", 17) == 0);
    cr_expect_arr_eq(buf_head(&out) + buf_len(&out) - 7, "\n\nnote\n", 7);
    buf_clear(&out);
}
