/* SPDX-License-Identifier: Apache-2.0
 *
 * Evasions of an allow: a role that allows some commands of virsh, and everything that people have
 * tried to get more out of such a list. Nothing but what is written is ever forwarded. (Evasions of
 * a deny: test_policy_evasion_deny.c.) */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/rules_fixture.h"

#define CASE(text) text, sizeof(text) - 1

static const char *const allowed[] = {
    "virsh list|dominfo|start|shutdown **",
    "virsh setvcpus <name> <int:1-64> --live",
    "virsh define <path:/srv/**>",
    "virsh -c test:///default list",
    "virsh vncdisplay *",
    "virsh dumpxml * -*",
};

static const struct {
    const char *command;
    size_t len;
    const char *forward;
} passes[] = {
    {CASE("virsh list"), "/usr/bin/virsh list"},
    {CASE("virsh start vm7"), "/usr/bin/virsh start vm7"},
    {CASE("  virsh   start   vm7  "), "/usr/bin/virsh start vm7"},
    {CASE("/usr/bin/virsh start vm7"), "/usr/bin/virsh start vm7"},
    {CASE("vir'sh' \"start\" 'vm7'"), "/usr/bin/virsh start vm7"},
    {CASE("virsh start 'my vm'"), "/usr/bin/virsh start 'my vm'"},
    {CASE("virsh start a b c"), "/usr/bin/virsh start a b c"},
    {CASE("virsh start '; reboot'"), "/usr/bin/virsh start '; reboot'"},
    {CASE("virsh start '$(reboot)'"), "/usr/bin/virsh start '$(reboot)'"},
    {CASE("virsh start '`reboot`'"), "/usr/bin/virsh start '`reboot`'"},
    {CASE("virsh start =reboot"), "/usr/bin/virsh start '=reboot'"},
    {CASE("virsh start %1"), "/usr/bin/virsh start '%1'"},
    {CASE("virsh start '~root'"), "/usr/bin/virsh start '~root'"},
    {CASE("virsh start '{a,b}'"), "/usr/bin/virsh start '{a,b}'"},
    {CASE("virsh start '*'"), "/usr/bin/virsh start '*'"},
    {CASE("virsh start '#x'"), "/usr/bin/virsh start '#x'"},
    {CASE("virsh start 'caf\xc3\xa9'"), "/usr/bin/virsh start 'caf\xc3\xa9'"},
    {CASE("virsh setvcpus vm7 64 --live"), "/usr/bin/virsh setvcpus vm7 64 --live"},
    {CASE("virsh define /srv/vm7.xml"), "/usr/bin/virsh define /srv/vm7.xml"},
    {CASE("virsh -c test:///default list"), "/usr/bin/virsh -c test:///default list"},
    {CASE("virsh vncdisplay vm7"), "/usr/bin/virsh vncdisplay vm7"},
    {CASE("virsh dumpxml vm7 --inactive"), "/usr/bin/virsh dumpxml vm7 --inactive"},
};

static const struct {
    const char *command;
    size_t len;
} evasions[] = {
    /* another command */
    {CASE("virsh snapshot-create vm7")},
    {CASE("virsh")},
    {CASE("virsh ''")},
    {CASE("virsh LIST")},
    {CASE("virsh list.")},
    {CASE("virsh 'list '")},
    {CASE("virsh 'list start'")},
    {CASE("virsh lis")},
    {CASE("Virsh list")},
    {CASE("virsh.real list")},
    /* several in one: virsh's own list, and the shell's */
    {CASE("virsh 'list; snapshot-create vm7'")},
    {CASE("virsh \"list; snapshot-create vm7\"")},
    {CASE("virsh 'list;snapshot-create vm7'")},
    {CASE("virsh ';' snapshot-create vm7")},
    {CASE("virsh list; virsh snapshot-create vm7")},
    {CASE("virsh list;reboot")},
    {CASE("virsh list && reboot")},
    {CASE("virsh list&&reboot")},
    {CASE("virsh list || reboot")},
    {CASE("virsh list | sh")},
    {CASE("virsh list |& sh")},
    {CASE("virsh list & reboot")},
    {CASE("virsh list &")},
    {CASE("; virsh list")},
    {CASE("(virsh list)")},
    {CASE("{ virsh list; }")},
    {CASE("virsh list\nreboot")},
    {CASE("virsh list\rreboot")},
    {CASE("virsh list\r\n")},
    {CASE("virsh list\n")},
    {CASE("\nvirsh list")},
    {CASE("virsh list\vreboot")},
    {CASE("virsh list\freboot")},
    {CASE("virsh\tlist")},
    {CASE("virsh list \t")},
    {CASE("virsh list <<E\nreboot\nE")},
    {CASE("virsh list <<<reboot")},
    {CASE("virsh list < /etc/passwd")},
    {CASE("virsh list > /etc/passwd")},
    {CASE("virsh list >| /etc/passwd")},
    {CASE("virsh list 2>&1")},
    {CASE("virsh list <(reboot)")},
    {CASE("virsh list >(reboot)")},
    /* what a shell expands */
    {CASE("virsh start $(reboot)")},
    {CASE("virsh start \"$(reboot)\"")},
    {CASE("virsh start `reboot`")},
    {CASE("virsh start \"`reboot`\"")},
    {CASE("virsh start $HOME")},
    {CASE("virsh start ${IFS}")},
    {CASE("virsh start $((1))")},
    {CASE("virsh start $'\\x2d-x'")},
    {CASE("virsh start \"$x\"")},
    {CASE("$SHELL virsh list")},
    {CASE("virsh st*rt vm7")},
    {CASE("virsh start vm?")},
    {CASE("virsh start [v]m7")},
    {CASE("virsh start {a,b}")},
    {CASE("virsh start ~")},
    {CASE("virsh start ~root")},
    {CASE("virsh start !!")},
    {CASE("virsh start !$")},
    {CASE("virsh start \"!!\"")},
    {CASE("^list^start")},
    {CASE("=virsh list")},
    {CASE("%virsh list")},
    {CASE("virsh start a\\ b")},
    {CASE("v\\irsh list")},
    {CASE("virsh list #")},
    {CASE("virsh start 'vm7")},
    {CASE("virsh start \"vm7")},
    {CASE("virsh start 'it'\\''s'")},
    /* what no quoting carries to every shell */
    {CASE("virsh start \"it's\"")},
    {CASE("virsh start 'a\\b'")},
    {CASE("virsh start 'a!b'")},
    /* wrappers and other paths */
    {CASE("sudo virsh list")},
    {CASE("sudo -u root -- virsh list")},
    {CASE("sudo /usr/bin/virsh list")},
    {CASE("doas virsh list")},
    {CASE("env virsh list")},
    {CASE("env -i virsh list")},
    {CASE("env -S 'virsh list'")},
    {CASE("env LD_PRELOAD=/tmp/x.so virsh list")},
    {CASE("LD_PRELOAD=/tmp/x.so virsh list")},
    {CASE("PATH=/tmp virsh list")},
    {CASE("IFS=x virsh list")},
    {CASE("nohup virsh list")},
    {CASE("nice -n 5 virsh list")},
    {CASE("timeout 5 virsh list")},
    {CASE("setsid virsh list")},
    {CASE("time virsh list")},
    {CASE("command virsh list")},
    {CASE("exec virsh list")},
    {CASE("builtin virsh list")},
    {CASE("eval virsh list")},
    {CASE("eval 'virsh list'")},
    {CASE("sh -c 'virsh list'")},
    {CASE("bash -lc 'virsh list'")},
    {CASE("bash -c \"virsh list\"")},
    {CASE("/bin/sh -c virsh list")},
    {CASE("busybox sh -c 'virsh list'")},
    {CASE("xargs virsh list")},
    {CASE("find / -exec virsh list ';'")},
    {CASE("ssh localhost virsh list")},
    {CASE("/lib64/ld-linux-x86-64.so.2 /usr/bin/virsh list")},
    {CASE("./virsh list")},
    {CASE("/bin/virsh list")},
    {CASE("//usr/bin/virsh list")},
    {CASE("/usr//bin/virsh list")},
    {CASE("/usr/bin/./virsh list")},
    {CASE("/usr/bin/../bin/virsh list")},
    {CASE("/usr/bin/virsh/ list")},
    {CASE("/proc/self/exe list")},
    {CASE("bin/virsh list")},
    {CASE("if virsh list")},
    {CASE("! virsh list")},
    {CASE("not virsh list")},
    {CASE("coproc virsh list")},
    {CASE("-virsh list")},
    {CASE("'virsh list'")},
    {CASE("'virsh list' start")},
    {CASE("'' virsh list")},
    {CASE("'/usr/bin/virsh list'")},
    /* options that are not written */
    {CASE("virsh list --all")},
    {CASE("virsh start --console vm7")},
    {CASE("virsh start vm7 --console")},
    {CASE("virsh start '--console' vm7")},
    {CASE("virsh start --domain=vm7")},
    {CASE("virsh start -- vm7")},
    {CASE("virsh start -")},
    {CASE("virsh start ''")},
    {CASE("virsh start vm7 ''")},
    {CASE("virsh -c qemu:///system list")},
    {CASE("virsh -c qemu+ext:///x?command=/tmp/x list")},
    {CASE("virsh -ctest:///default list")},
    {CASE("virsh --connect test:///default list")},
    {CASE("virsh --connect=test:///default list")},
    {CASE("virsh list -c test:///default")},
    {CASE("virsh -q list")},
    {CASE("virsh -r start vm7")},
    {CASE("virsh vncdisplay")},
    {CASE("virsh vncdisplay vm7 vm8")},
    {CASE("virsh vncdisplay --all")},
    {CASE("virsh dumpxml vm7")},
    {CASE("virsh dumpxml vm7 inactive")},
    {CASE("virsh dumpxml --x --inactive")},
    /* numbers, names, paths */
    {CASE("virsh setvcpus vm7 65 --live")},
    {CASE("virsh setvcpus vm7 0 --live")},
    {CASE("virsh setvcpus vm7 -1 --live")},
    {CASE("virsh setvcpus vm7 +1 --live")},
    {CASE("virsh setvcpus vm7 01 --live")},
    {CASE("virsh setvcpus vm7 0x1 --live")},
    {CASE("virsh setvcpus vm7 1.0 --live")},
    {CASE("virsh setvcpus vm7 '1 ' --live")},
    {CASE("virsh setvcpus vm7 ' 1' --live")},
    {CASE("virsh setvcpus vm7 1e1 --live")},
    {CASE("virsh setvcpus vm7 18446744073709551617 --live")},
    {CASE("virsh setvcpus vm7 '' --live")},
    {CASE("virsh setvcpus vm7 '\xd9\xa1' --live")},
    {CASE("virsh setvcpus vm7 1 --config")},
    {CASE("virsh setvcpus vm7 1")},
    {CASE("virsh setvcpus vm7 1 --live --config")},
    {CASE("virsh setvcpus --vm7 1 --live")},
    {CASE("virsh setvcpus .vm7 1 --live")},
    {CASE("virsh setvcpus 'v m' 1 --live")},
    {CASE("virsh setvcpus '../vm7' 1 --live")},
    {CASE("virsh define /etc/shadow")},
    {CASE("virsh define /srv/../etc/shadow")},
    {CASE("virsh define /srv/./x")},
    {CASE("virsh define //srv/x")},
    {CASE("virsh define /srv//x")},
    {CASE("virsh define /srv/x/")},
    {CASE("virsh define srv/x")},
    {CASE("virsh define ./srv/x")},
    {CASE("virsh define /srvx")},
    {CASE("virsh define --file=/srv/x")},
    {CASE("virsh define /srv/x /srv/y")},
    {CASE("virsh define")},
    /* characters that look alike or are not there */
    {CASE("v\xd1\x96rsh list")},             /* Cyrillic i */
    {CASE("virsh l\xc3\xadst")},             /* i with an acute */
    {CASE("\xef\xbd\x96irsh list")},         /* fullwidth v */
    {CASE("virsh 'l\xd1\x96st'")},           /* quoted, a letter of its own */
    {CASE("virsh\xc2\xa0list")},             /* no-break space */
    {CASE("virsh 'list\xc2\xa0'")},          /* quoted */
    {CASE("virsh\xe2\x80\x8blist")},         /* zero width space */
    {CASE("virsh 'li\xe2\x80\x8bst'")},      /* the same, quoted */
    {CASE("virsh 'li\xe2\x80\x8dst'")},      /* zero width joiner */
    {CASE("virsh start '\xe2\x80\xaevm7'")}, /* right to left */
    {CASE("virsh start '\xef\xbb\xbfvm7'")}, /* byte order mark */
    {CASE("virsh start '\xe2\x80\xa8vm7'")}, /* line separator */
    {CASE("virsh start '\xc2\x85vm7'")},     /* next line */
    {CASE("virsh li\xcc\x81st")},            /* combining acute */
    {CASE("\xef\xbb\xbfvirsh list")},
    {CASE("virsh list\0")},
    {CASE("virsh list\0; reboot")},
    {CASE("virsh\0list")},
    {CASE("virsh start 'vm7\0'")},
    {CASE("\0virsh list")},
    {CASE("virsh start '\x1b[2J'")},
    {CASE("virsh start '\x7f'")},
    {CASE("virsh start '\b'")},
    {CASE("virsh start '\xff'")},
    {CASE("virsh start '\xc0\xaf'")},     /* overlong */
    {CASE("virsh start '\xed\xa0\x80'")}, /* a surrogate */
    {CASE("virsh start '\xf5\x80\x80\x80'")},
    {CASE("virsh start '\xe2\x82'")},
    {CASE("")},
    {CASE(" ")},
    {CASE("''")},
};

static struct rule_set *allow_set(void)
{
    struct rule_set *set = rule_set_new();

    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        fixture_rule(set, "kvm/commands", allowed[i], "/usr/bin/virsh");
    return fixture_sent(set);
}

Test(policy_evasion, what_is_written_passes)
{
    struct rule_set *set = allow_set();

    for (size_t i = 0; i < sizeof passes / sizeof *passes; i++) {
        struct rule_verdict v;
        struct err e = ERR_INIT;
        struct buf out;
        buf_init(&out, 4096);
        int rc = rule_set_judge(set, passes[i].command, passes[i].len, &v, &out, &e);
        char *got = buf_string(&out);
        cr_expect_eq(rc, 0, "%s: %s", passes[i].command, e.text);
        cr_expect_str_eq(got, passes[i].forward);
        free(got);
        buf_clear(&out);
    }
    rule_set_free(set);
}

Test(policy_evasion, nothing_else_passes)
{
    struct rule_set *set = allow_set();

    cr_assert_geq(sizeof evasions / sizeof *evasions, 150);
    for (size_t i = 0; i < sizeof evasions / sizeof *evasions; i++) {
        struct rule_verdict v;
        struct err e = ERR_INIT;
        struct buf out;
        buf_init(&out, 4096);
        int rc = rule_set_judge(set, evasions[i].command, evasions[i].len, &v, &out, &e);
        cr_expect_eq(rc, ERR_DENIED, "%s", evasions[i].command);
        cr_expect_eq(buf_len(&out), 0, "%s", evasions[i].command);
        cr_expect_str_eq(v.rule, "");
        cr_expect_gt(strlen(e.text), 0);
        cr_expect_leq(strlen(e.text), RULE_TEXT_MAX);
        buf_clear(&out);
    }
    rule_set_free(set);
}

/* Lengths: what is at the bound passes, one more does not. */
Test(policy_evasion, lengths)
{
    static char text[WORDS_TEXT_MAX + 2];
    struct rule_set *set = allow_set();
    struct rule_verdict v;
    struct buf out;

    buf_init(&out, WORDS_TEXT_MAX + 4 * WORDS_MAX);
    for (int over = 0; over < 2; over++) {
        memset(text, 'x', sizeof text);
        memcpy(text, "virsh start ", 12);
        cr_expect_eq(rule_set_judge(set, text, (size_t)(WORDS_TEXT_MAX + over), &v, &out, NULL),
                     over ? ERR_DENIED : 0);
        buf_clear(&out);
        size_t at = 12;
        for (int i = 2; i < WORDS_MAX + over; i++)
            at += (size_t)(stpcpy(text + at, "x ") - (text + at));
        cr_expect_eq(rule_set_judge(set, text, at, &v, &out, NULL), over ? ERR_DENIED : 0);
        buf_clear(&out);
    }
    rule_set_free(set);
}

Test(policy_evasion, an_option_is_named_in_the_refusal)
{
    struct rule_set *set = allow_set();
    struct rule_verdict v;
    struct err e = ERR_INIT;
    struct buf out;

    buf_init(&out, 4096);
    cr_expect_eq(rule_set_judge(set, "virsh list --all", 16, &v, &out, &e), ERR_DENIED);
    cr_expect(strstr(e.text, "\"virsh list --all\" is not among the commands that your roles allow "
                             "(virsh list|dominfo|start|shutdown **; virsh setvcpus <name> "
                             "<int:1-64> --live; virsh define <path:/srv/**>;"),
              "%s", e.text);
    cr_expect(strstr(e.text, "; ...); * and ** take no word that begins with -"), "%s", e.text);
    cr_expect_eq(rule_set_judge(set, "virsh reboot vm7", 16, &v, &out, &e), ERR_DENIED);
    cr_expect(!strstr(e.text, "begins with -"), "%s", e.text);
    rule_set_free(set);
}
