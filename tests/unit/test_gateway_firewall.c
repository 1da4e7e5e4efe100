/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of nftables from typed values: nft itself judges it, in a network namespace of its own,
 * and shows what the kernel made of it. */
#include <criterion/criterion.h>

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/firewall.h"

static struct firewall_rules rules;

static void set_up(void)
{
    memset(&rules, 0, sizeof rules);
}

TestSuite(gateway_firewall, .init = set_up);

static struct prefix prefix(const char *text)
{
    struct err e = ERR_INIT;
    struct prefix p;

    cr_assert_eq(prefix_parse(text, &p, &e), 0, "%s", e.text);
    return p;
}

static void listen_at(const char *address, uint16_t port)
{
    struct config_endpoint *at = &rules.listen[rules.listen_count++];

    cr_assert_eq(address_parse(address, &at->address, NULL), 0);
    at->port = port;
}

static void allow(const char *text)
{
    rules.allow.at[rules.allow.count++] = prefix(text);
}

/* --- in a namespace of the test's own: each test is a process */

static struct firewall_table table;
static struct buf commands;

static void enter_namespace(void)
{
    struct err e = ERR_INIT;

    cr_assert_eq(unshare(CLONE_NEWNET), 0, "these tests need root");
    cr_assert_eq(table_open(&table, &e), 0, "%s", e.text);
    buf_init(&commands, FIREWALL_TEXT_MAX);
}

static void run(const char *what)
{
    struct err e = ERR_INIT;

    cr_assert_eq(table_run(&table, &commands, &e), 0, "%s: %s\n%.*s", what, e.text,
                 (int)buf_len(&commands), (const char *)buf_head(&commands));
    buf_clear(&commands);
}

static void make(void)
{
    struct err e = ERR_INIT;

    cr_assert_eq(firewall_write_table(&commands, &rules), 0);
    run("the table");
    cr_assert_eq(table_remember(&table, &e), 0, "%s", e.text);
}

/* Another reader than the one that is tested. */
static const char *nft(const char *arguments)
{
    static char shown[1u << 20];
    char command[256];
    size_t len;
    FILE *f;

    snprintf(command, sizeof command, "nft -s -n %s 2>&1", arguments);
    f = popen(command, "re");
    cr_assert(f);
    len = fread(shown, 1, sizeof shown - 1, f);
    shown[len] = '\0';
    cr_assert_eq(pclose(f), 0, "%s: %s", command, shown);
    return shown;
}

static void shows(const char *arguments, const char *text)
{
    const char *shown = nft(arguments);

    cr_expect(strstr(shown, text), "expected %s, found\n%s", text, shown);
}

static void hides(const char *arguments, const char *text)
{
    const char *shown = nft(arguments);

    cr_expect(!strstr(shown, text), "unexpected %s in\n%s", text, shown);
}

static struct firewall_source source(const char *text, uint32_t seconds)
{
    return (struct firewall_source){.source = prefix(text), .seconds = seconds};
}

static void open_also(bool udp, uint16_t port, const char *from)
{
    rules.also[rules.also_count++] =
        (struct firewall_opening){.udp = udp, .port = port, .from = prefix(from)};
}

Test(gateway_firewall, least)
{
    enter_namespace();
    listen_at("0.0.0.0", 443);
    make();
    shows("list chain inet sallyport input",
          "\t\ttype filter hook input priority -10; policy accept;\n\t\tmeta iiftype 772 accept\n"
          "\t\tmeta nfproto 2 tcp dport 443 jump gateway\n\t}");
    shows(
        "list chain inet sallyport gateway",
        "\t\tip saddr @proxy4 goto admit\n\t\tip6 saddr @proxy6 goto admit\n"
        "\t\ttcp flags 0x2 / 0x2,0x10 ip saddr @blocked4 counter name \"blocked\" drop\n"
        "\t\ttcp flags 0x2 / 0x2,0x10 ip6 saddr & ffff:ffff:ffff:ffff:: == @blocked6 counter name "
        "\"blocked\" drop\n"
        "\t\tip saddr @allow4 goto admit\n\t\tip6 saddr @allow6 goto admit\n"
        "\t\tcounter name \"refused\" drop\n");
    hides("list set inet sallyport allow4", "elements");
}

Test(gateway_firewall, prefixes)
{
    /* Those that others cover are left out: nftables would refuse them. */
    static const struct {
        const char *given[6], *four, *six;
    } rows[] = {
        {{"0.0.0.0/0", "::/0"}, "elements = { 0.0.0.0/0 }", "elements = { ::/0 }"},
        {{"10.0.0.0/8", "10.1.0.0/16", "10.2.3.4"}, "elements = { 10.0.0.0/8 }", NULL},
        {{"10.2.3.4", "10.1.0.0/16", "10.0.0.0/8"}, "elements = { 10.0.0.0/8 }", NULL},
        {{"10.2.3.4", "10.2.3.4", "10.2.3.4/32"}, "elements = { 10.2.3.4 }", NULL},
        {{"10.0.0.0/9", "10.128.0.0/9"}, "10.0.0.0/9", NULL},
        {{"2001:db8::/32", "2001:db8:1::/48", "192.0.2.1"},
         "elements = { 192.0.2.1 }",
         "elements = { 2001:db8::/32 }"},
        {{"0.0.0.0/1", "255.255.255.255"}, "255.255.255.255", NULL},
        {{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "8000::/1"}, NULL, "elements = { 8000::/1 }"},
        {{"::ffff:10.0.0.1"}, "elements = { 10.0.0.1 }", NULL},
    };

    enter_namespace();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        set_up();
        listen_at("::", 443);
        for (size_t k = 0; k < 6 && rows[i].given[k]; k++)
            allow(rows[i].given[k]);
        make();
        if (rows[i].four)
            shows("list set inet sallyport allow4", rows[i].four);
        else
            hides("list set inet sallyport allow4", "elements");
        if (rows[i].six)
            shows("list set inet sallyport allow6", rows[i].six);
        else
            hides("list set inet sallyport allow6", "elements");
    }
}

Test(gateway_firewall, everything_at_its_maximum)
{
    char text[64];

    enter_namespace();
    for (unsigned i = 0; i < CONFIG_LISTEN_MAX; i++) {
        snprintf(text, sizeof text, "2001:db8:ffff:ffff:ffff:ffff:ffff:%x", 0xff00 + i);
        listen_at(text, (uint16_t)(65535 - i));
    }
    for (unsigned i = 0; i < CONFIG_PREFIXES_MAX; i++) {
        snprintf(text, sizeof text, "2001:db8:ffff:ffff:ffff:ffff:ff%02x:fff0/124", i);
        allow(text);
        rules.proxies.at[rules.proxies.count++] = prefix(text);
    }
    for (unsigned i = 0; i < FIREWALL_ALSO_MAX; i++) {
        snprintf(text, sizeof text, "2001:db8:ffff:ffff:ffff:ffff:%x:fff0/124", 0xf000 + i);
        open_also(i % 2, (uint16_t)(65535 - i), text);
    }
    for (unsigned i = 0; i < FIREWALL_BLOCKED_MAX; i++) {
        snprintf(text, sizeof text, "2001:db8:ffff:%x::/64", 0x8000 + i);
        rules.blocked[rules.blocked_count++] = source(text, FIREWALL_SECONDS_MAX);
    }
    rules.close = true;
    make();
    shows("list set inet sallyport blocked6", "2001:db8:ffff:bfff:: timeout");
    shows("list chain inet sallyport input",
          "udp dport 65024 accept\n\t\tcounter name \"closed\" drop");
}

Test(gateway_firewall, closed)
{
    enter_namespace();
    listen_at("192.0.2.1", 443);
    listen_at("2001:db8::1", 8443);
    open_also(false, 22, "10.0.0.0/8");
    open_also(true, 161, "2001:db8::/32");
    rules.close = true;
    make();
    shows("list chain inet sallyport input",
          "ip daddr 192.0.2.1 tcp dport 443 jump gateway\n"
          "\t\tip6 daddr 2001:db8::1 tcp dport 8443 jump gateway\n"
          "\t\tct state 0x2,0x4 accept\n");
    shows("list chain inet sallyport input", "\t\tip saddr 10.0.0.0/8 tcp dport 22 accept\n"
                                             "\t\tip6 saddr 2001:db8::/32 udp dport 161 accept\n"
                                             "\t\tcounter name \"closed\" drop\n\t}");
    /* Not closed: openings are nothing. */
    rules.close = false;
    make();
    hides("list chain inet sallyport input", "closed");
    hides("list chain inet sallyport input", "dport 22");
}

Test(gateway_firewall, sources)
{
    static const char set4[] = "list set inet sallyport blocked4",
                      set6[] = "list set inet sallyport blocked6";
    const struct firewall_source four = source("192.0.2.7", 600), again = source("192.0.2.7", 30),
                                 six = source("2001:db8:1:2::/64", 60);

    enter_namespace();
    listen_at("0.0.0.0", 443);
    rules.blocked[rules.blocked_count++] = source("192.0.2.9", 100);
    make();
    shows(set4, "192.0.2.9 timeout 100s");
    cr_assert_eq(firewall_write_block(&commands, &four), 0);
    cr_assert_eq(firewall_write_block(&commands, &six), 0);
    run("new ones");
    shows(set4, "192.0.2.7 timeout 600s");
    shows(set6, "2001:db8:1:2:: timeout 60s");
    cr_assert_eq(firewall_write_block(&commands, &again), 0);
    run("one that is there");
    shows(set4, "192.0.2.7 timeout 30s");
    cr_assert_eq(firewall_write_unblock(&commands, &four.source), 0);
    cr_assert_eq(firewall_write_unblock(&commands, &four.source), 0);
    cr_assert_eq(firewall_write_block(&commands, &four), 0);
    cr_assert_eq(firewall_write_unblock(&commands, &four.source), 0);
    run("one that is not there, in one transaction");
    hides(set4, "192.0.2.7");
    shows(set4, "192.0.2.9");
    cr_assert_eq(firewall_write_flush(&commands), 0);
    run("flush");
    hides(set4, "elements");
    hides(set6, "elements");
}

/* The table replaces what was there: nothing of a former one stays. */
Test(gateway_firewall, made_anew)
{
    enter_namespace();
    listen_at("0.0.0.0", 443);
    allow("10.0.0.0/8");
    rules.blocked[rules.blocked_count++] = source("192.0.2.9", 100);
    make();
    cr_assert_eq(system("nft add table inet other"), 0);
    set_up();
    listen_at("0.0.0.0", 444);
    make();
    hides("list ruleset", "10.0.0.0");
    hides("list ruleset", "192.0.2.9");
    hides("list ruleset", "dport 443");
    shows("list ruleset", "table inet other");
}

Test(gateway_firewall, changes_are_seen)
{
    static const char *const harmless[] = {
        "add table inet other", "add element inet sallyport blocked4 { 192.0.2.1 timeout 5s }",
        "reset counters table inet sallyport"};
    static const char *const changes[] = {
        "delete table inet sallyport",
        "flush ruleset",
        "flush chain inet sallyport input",
        "insert rule inet sallyport input accept",
        "insert rule inet sallyport gateway ip saddr 192.0.2.1 accept",
        "add element inet sallyport allow4 { 192.0.2.0/24 }",
        "delete element inet sallyport allow4 { 10.0.0.0/8 }",
        "add element inet sallyport proxy6 { 2001:db8::1 }",
        "add table inet sallyport { flags dormant; }",
        "add chain inet sallyport extra { type filter hook input priority -20; }",
    };
    struct firewall_counters counters;
    char command[256];

    enter_namespace();
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct err e = ERR_INIT;

        set_up();
        listen_at("0.0.0.0", 443);
        allow("10.0.0.0/8");
        make();
        cr_assert_eq(table_check(&table, &counters, &e), 0, "%s", e.text);
        table_stirred(&table);
        for (size_t k = 0; k < sizeof harmless / sizeof *harmless; k++) {
            snprintf(command, sizeof command, "nft '%s' >/dev/null", harmless[k]);
            cr_assert_eq(system(command), 0, "%s", harmless[k]);
            cr_expect_eq(table_check(&table, &counters, &e), 0, "%s: %s", harmless[k], e.text);
        }
        cr_expect(table_stirred(&table));
        cr_expect(!table_stirred(&table));
        snprintf(command, sizeof command, "nft '%s'", changes[i]);
        cr_assert_eq(system(command), 0, "%s", changes[i]);
        cr_expect(table_stirred(&table), "%s", changes[i]);
        cr_expect_eq(table_check(&table, &counters, &e), ERR_DENIED, "%s", changes[i]);
        cr_expect(strstr(e.text, "inet sallyport"), "%s", e.text);
    }
}

Test(gateway_firewall, errors_are_the_kernel_s_words)
{
    struct err e = ERR_INIT;

    enter_namespace();
    cr_assert_eq(buf_printf(&commands, "add element inet sallyport blocked4 { 192.0.2.1 }\n"), 0);
    cr_expect_eq(table_run(&table, &commands, &e), ERR_SYSTEM);
    cr_expect(strstr(e.text, "nftables: "), "%s", e.text);
    cr_expect(strstr(e.text, "No such file"), "%s", e.text);
    cr_expect(!strchr(e.text, '\n'));
}

Test(gateway_firewall, counters)
{
    static const char good[] =
        "table inet sallyport {\n"
        "\tcounter admitted {\n\t\tpackets 7 bytes 420\n\t}\n\n"
        "\tcounter blocked {\n\t\tpackets 18446744073709551615 bytes 1\n\t}\n\n"
        "\tcounter refused {\n\t\tpackets 0 bytes 0\n\t}\n\n"
        "\tcounter closed {\n\t\tpackets 2 bytes 80\n\t}\n}\n";
    static const char *const bad[] = {
        "", "table inet sallyport {\n}\n",
        "\tcounter admitted {\n\t}\n\tcounter blocked {\n\t}\n\tcounter refused {\n\t}\n\tcounter "
        "closed {\n\t}\n"};
    struct firewall_counters c;

    cr_assert_eq(firewall_read_counters(good, &c), 0);
    cr_expect(c.admitted == 7 && c.blocked == UINT64_MAX && c.refused == 0 && c.closed == 2);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_eq(firewall_read_counters(bad[i], &c), ERR_SYNTAX, "row %zu", i);
    for (size_t n = 0; n + 8 < sizeof good; n++) { /* cut short anywhere before the last number */
        char cut[sizeof good];
        memcpy(cut, good, n);
        cut[n] = '\0';
        if (n < (size_t)(strstr(good, "bytes 80") - good))
            cr_expect_eq(firewall_read_counters(cut, &c), ERR_SYNTAX, "%zu bytes", n);
    }
}

Test(gateway_firewall, what_a_source_is)
{
    static const struct {
        const char *text;
        bool is;
    } rows[] = {{"192.0.2.1", true},     {"192.0.2.0/24", false}, {"0.0.0.0/0", false},
                {"2001:db8::/64", true}, {"2001:db8::1", false},  {"2001:db8::/63", false},
                {"2001:db8::/32", false}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct prefix p = prefix(rows[i].text);
        cr_expect_eq(firewall_is_source(&p), rows[i].is, "%s", rows[i].text);
    }
}
