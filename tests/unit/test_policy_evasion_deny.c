/* SPDX-License-Identifier: Apache-2.0
 *
 * Evasions of a deny: an open role that must not take snapshots, remove files or reboot, and the
 * ways around that. Each is denied, by the rule or because nobody can see through it; and next to
 * them stand ordinary commands that must not be caught. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/rules_fixture.h"

#define CASE(text) text, sizeof(text) - 1

static const char *const denied[] = {
    "virsh snapshot-create|snapshot-create-as",
    "rm -r|-R|--recursive <path:/srv/**>",
    "reboot|poweroff",
    "virsh destroy vm7",
    "chmod <int:777-777>",
    "/usr/bin/dd of=/dev/sda",
    "* --no-preserve-root",
};

enum { SEEN, UNSEEN, FORM }; /* by the rule, as opaque, as no plain command or not to be quoted */

static const struct {
    const char *command;
    size_t len;
    int how;
} evasions[] = {
    {CASE("virsh snapshot-create vm7"), SEEN},
    {CASE("virsh snapshot-create"), SEEN},
    {CASE("vir'sh' snap'shot'-create vm7"), SEEN},
    {CASE("virsh \"snapshot-create\" vm7"), SEEN},
    {CASE("virsh snapshot-create --domain vm7"), SEEN},
    {CASE("virsh snapshot-create --domain=vm7"), SEEN},
    {CASE("virsh snapshot-create-as vm7 x"), SEEN},
    {CASE("virsh -c qemu:///system snapshot-create vm7"), SEEN},
    {CASE("virsh --connect=qemu:///system snapshot-create vm7"), SEEN},
    {CASE("virsh -qr snapshot-create vm7"), SEEN},
    {CASE("virsh -q -- snapshot-create vm7"), SEEN},
    {CASE("virsh 'list; snapshot-create vm7'"), SEEN},
    {CASE("virsh 'list;snapshot-create vm7'"), SEEN},
    {CASE("virsh \"snapshot-create vm7\""), SEEN},
    {CASE("virsh 'list ; \"snapshot-create\" vm7'"), SEEN},
    {CASE("virsh 'snap\\shot-create vm7'"), SEEN},
    {CASE("virsh -c qemu:///system 'list; snapshot-create vm7'"), SEEN},
    {CASE("virsh --quiet '  snapshot-create   vm7  '"), SEEN},
    {CASE("/usr/bin/virsh snapshot-create vm7"), SEEN},
    {CASE("/usr/bin/../bin/virsh snapshot-create vm7"), SEEN},
    {CASE("./virsh snapshot-create vm7"), SEEN},
    {CASE("../virsh snapshot-create vm7"), SEEN},
    {CASE("//usr//bin//virsh snapshot-create vm7"), SEEN},
    {CASE("/proc/1/root/usr/bin/virsh snapshot-create vm7"), SEEN},
    {CASE("virsh"), UNSEEN},
    {CASE("virsh -c qemu:///system"), UNSEEN},
    {CASE("virsh --frobnicate snapshot-list"), UNSEEN},
    {CASE("virsh -c 'qemu+ext:///system?command=/tmp/x' list"), UNSEEN},
    {CASE("virsh -c 'qemu+ssh://h/system?command=/tmp/x' list"), UNSEEN},
    {CASE("virsh 'list \"x'"), UNSEEN},
    /* wrappers */
    {CASE("sudo virsh snapshot-create vm7"), SEEN},
    {CASE("sudo -u root -- virsh snapshot-create vm7"), SEEN},
    {CASE("sudo -nu root virsh snapshot-create vm7"), SEEN},
    {CASE("sudo -uroot virsh snapshot-create vm7"), SEEN},
    {CASE("sudo --user root virsh snapshot-create vm7"), SEEN},
    {CASE("sudo --us=root virsh snapshot-create vm7"), SEEN},
    {CASE("sudo -s virsh snapshot-create vm7"), SEEN},
    {CASE("sudo LANG=C virsh snapshot-create vm7"), SEEN},
    {CASE("sudo LD_PRELOAD=/tmp/x.so virsh snapshot-create vm7"), SEEN},
    {CASE("sudo LD_PRELOAD=/tmp/x.so id"), UNSEEN},
    {CASE("sudo -s"), UNSEEN},
    {CASE("sudo -i"), UNSEEN},
    {CASE("sudo su"), UNSEEN},
    {CASE("sudo -e /etc/motd"), UNSEEN},
    {CASE("sudoedit /etc/motd"), UNSEEN},
    {CASE("sudo --frobnicate virsh list"), UNSEEN},
    {CASE("sudo --pre id"), UNSEEN}, /* preserve-env or preserve-groups */
    {CASE("sudo -u"), UNSEEN},
    {CASE("sudo sudo sudo virsh snapshot-create vm7"), SEEN},
    {CASE("sudo sudo sudo sudo sudo sudo sudo sudo sudo id"), UNSEEN},
    {CASE("doas -u root virsh snapshot-create vm7"), SEEN},
    {CASE("doas -s"), UNSEEN},
    {CASE("pkexec virsh snapshot-create vm7"), SEEN},
    {CASE("env virsh snapshot-create vm7"), SEEN},
    {CASE("env -i virsh snapshot-create vm7"), SEEN},
    {CASE("env - virsh snapshot-create vm7"), SEEN},
    {CASE("env -u X -C /tmp virsh snapshot-create vm7"), SEEN},
    {CASE("env LANG=C virsh snapshot-create vm7"), SEEN},
    {CASE("env -S 'virsh snapshot-create vm7'"), SEEN},
    {CASE("env '-Svirsh snapshot-create vm7'"), SEEN},
    {CASE("env -iS 'virsh snapshot-create' vm7"), SEEN},
    {CASE("env --split-string='virsh snapshot-create vm7'"), SEEN},
    {CASE("env --split 'virsh snapshot-create vm7'"), SEEN},
    {CASE("env -S '-i virsh snapshot-create vm7'"), SEEN},
    {CASE("env -S 'A=${B} x'"), UNSEEN},
    {CASE("env -S '\"virsh\" \"snapshot-create\" vm7'"), SEEN},
    {CASE("env LD_PRELOAD=/tmp/x.so id"), UNSEEN},
    {CASE("env PATH=/tmp virsh list"), UNSEEN},
    {CASE("env BASH_ENV=/tmp/x id"), UNSEEN},
    {CASE("env sh"), UNSEEN},
    {CASE("nohup virsh snapshot-create vm7"), SEEN},
    {CASE("nice virsh snapshot-create vm7"), SEEN},
    {CASE("nice -5 virsh snapshot-create vm7"), SEEN},
    {CASE("nice -n 5 virsh snapshot-create vm7"), SEEN},
    {CASE("nice --adjustment=5 virsh snapshot-create vm7"), SEEN},
    {CASE("ionice -c 3 virsh snapshot-create vm7"), SEEN},
    {CASE("chrt -b 0 virsh snapshot-create vm7"), SEEN},
    {CASE("taskset 1 virsh snapshot-create vm7"), SEEN},
    {CASE("taskset -c 0 virsh snapshot-create vm7"), SEEN},
    {CASE("setsid -w virsh snapshot-create vm7"), SEEN},
    {CASE("stdbuf -oL virsh snapshot-create vm7"), SEEN},
    {CASE("timeout 5 virsh snapshot-create vm7"), SEEN},
    {CASE("timeout -k 1 -s KILL 5 virsh snapshot-create vm7"), SEEN},
    {CASE("/usr/bin/time -f x virsh snapshot-create vm7"), SEEN},
    {CASE("'time' virsh snapshot-create vm7"), SEEN},
    {CASE("command virsh snapshot-create vm7"), SEEN},
    {CASE("command -p virsh snapshot-create vm7"), SEEN},
    {CASE("builtin command virsh snapshot-create vm7"), SEEN},
    {CASE("exec virsh snapshot-create vm7"), SEEN},
    {CASE("exec -a ls virsh snapshot-create vm7"), SEEN},
    {CASE("noglob virsh snapshot-create vm7"), SEEN},
    {CASE("'not' virsh snapshot-create vm7"), SEEN},
    {CASE("- virsh snapshot-create vm7"), SEEN},
    {CASE("busybox reboot"), SEEN},
    {CASE("busybox sh -c reboot"), SEEN},
    {CASE("busybox env reboot"), SEEN},
    {CASE("busybox --install /tmp"), UNSEEN},
    {CASE("chroot / virsh snapshot-create vm7"), SEEN},
    {CASE("chroot --userspec=0 / reboot"), SEEN},
    {CASE("chroot /"), UNSEEN},
    {CASE("unshare -r virsh snapshot-create vm7"), UNSEEN},
    {CASE("nsenter -t 1 -a virsh snapshot-create vm7"), UNSEEN},
    {CASE("systemd-run --wait virsh snapshot-create vm7"), SEEN},
    {CASE("systemd-run -p ExecStartPre=/sbin/reboot id"), UNSEEN},
    {CASE("systemd-run --on-active=1 virsh list"), UNSEEN},
    {CASE("flock /tmp/x virsh snapshot-create vm7"), SEEN},
    {CASE("flock /tmp/x -c 'virsh snapshot-create vm7'"), SEEN},
    {CASE("flock -w 5 /tmp/x --command 'virsh snapshot-create vm7'"), SEEN},
    {CASE("watch virsh snapshot-create vm7"), SEEN},
    {CASE("watch -n 1 'id; virsh snapshot-create vm7'"), SEEN},
    {CASE("watch -x virsh snapshot-create vm7"), SEEN},
    {CASE("xargs virsh snapshot-create"), SEEN},
    {CASE("xargs -n 1 virsh"), UNSEEN},
    {CASE("xargs"), UNSEEN},
    {CASE("parallel virsh"), UNSEEN},
    {CASE("find /tmp -exec virsh snapshot-create vm7 ';'"), SEEN},
    {CASE("find /tmp -execdir reboot +"), SEEN},
    {CASE("find /tmp -ok reboot ';'"), SEEN},
    {CASE("find /srv -exec rm -r '{}' ';'"), SEEN},
    {CASE("find /tmp -exec id '{}' ';'"), UNSEEN},
    {CASE("find /tmp -exec sh -c 'virsh snapshot-create vm7' ';'"), SEEN},
    {CASE("su -c 'virsh snapshot-create vm7'"), SEEN},
    {CASE("su - root -c 'virsh snapshot-create vm7'"), SEEN},
    {CASE("su root --command='virsh snapshot-create vm7'"), SEEN},
    {CASE("su -lc 'virsh snapshot-create vm7'"), SEEN},
    {CASE("su"), UNSEEN},
    {CASE("runuser -u x -- virsh snapshot-create vm7"), SEEN},
    {CASE("runuser -l x -c 'virsh snapshot-create vm7'"), SEEN},
    {CASE("sg root -c 'virsh snapshot-create vm7'"), SEEN},
    {CASE("script -qc 'virsh snapshot-create vm7' /dev/null"), SEEN},
    {CASE("script /tmp/x"), UNSEEN},
    {CASE("ip netns exec x reboot"), SEEN},
    {CASE("ip net ex x virsh list"), UNSEEN},
    {CASE("ip -batch /tmp/x"), UNSEEN},
    {CASE("/lib64/ld-linux-x86-64.so.2 /usr/bin/virsh snapshot-create vm7"), SEEN},
    {CASE("/lib/ld-2.36.so --preload /tmp/x.so /bin/id"), UNSEEN},
    {CASE("ssh localhost virsh snapshot-create vm7"), UNSEEN},
    {CASE("docker run x"), UNSEEN},
    {CASE("strace virsh snapshot-create vm7"), UNSEEN},
    {CASE("tmux new-session -d reboot"), UNSEEN},
    {CASE("at now"), UNSEEN},
    /* shells and texts */
    {CASE("sh -c 'virsh snapshot-create vm7'"), SEEN},
    {CASE("bash -lc 'virsh snapshot-create vm7'"), SEEN},
    {CASE("bash -o pipefail -c 'virsh snapshot-create vm7'"), SEEN},
    {CASE("bash -eo pipefail -c 'virsh snapshot-create vm7'"), SEEN},
    {CASE("bash -c -- 'virsh snapshot-create vm7'"), SEEN},
    {CASE("bash --norc -c 'virsh snapshot-create vm7'"), SEEN},
    {CASE("bash --rcfile /tmp/x -ic id"), UNSEEN},
    {CASE("bash5.2 -c reboot"), SEEN},
    {CASE("/bin/dash -c 'id; virsh snapshot-create vm7'"), SEEN},
    {CASE("sh -c 'id && virsh snapshot-create vm7'"), SEEN},
    {CASE("sh -c 'id || reboot'"), SEEN},
    {CASE("sh -c 'id | reboot'"), SEEN},
    {CASE("sh -c 'id & reboot'"), SEEN},
    {CASE("sh -c 'id&reboot'"), SEEN},
    {CASE("sh -c '(reboot)'"), SEEN},
    {CASE("sh -c '{ reboot; }'"), SEEN},
    {CASE("sh -c 'if true; then reboot; fi'"), SEEN},
    {CASE("sh -c '! reboot'"), SEEN},
    {CASE("sh -c 'while id; do reboot; done'"), SEEN},
    {CASE("sh -c 'f() { reboot; }; f'"), SEEN},
    {CASE("sh -c '>/tmp/x reboot'"), SEEN},
    {CASE("sh -c '2>/tmp/x virsh snapshot-create vm7'"), SEEN},
    {CASE("sh -c 'virsh >/tmp/x snapshot-create vm7'"), SEEN},
    {CASE("sh -c '&>/tmp/x reboot'"), SEEN},
    {CASE("sh -c '>&- reboot'"), SEEN},
    {CASE("sh -c 'echo `reboot`'"), SEEN},
    {CASE("sh -c 'echo $(reboot)'"), SEEN},
    {CASE("sh -c 'echo \"$(reboot)\"'"), SEEN},
    {CASE("sh -c 'echo $(echo $(reboot))'"), SEEN},
    {CASE("sh -c 'cat <(reboot)'"), SEEN},
    {CASE("sh -c 're\"boot\"'"), SEEN},
    {CASE("sh -c 'echo ${x:-$(reboot)}'"), SEEN},
    {CASE("sh -c 'virsh snapshot-$x vm7'"), UNSEEN},
    {CASE("sh -c 'a=reboot; $a'"), UNSEEN},
    {CASE("sh -c '$0 snapshot-create vm7' virsh"), UNSEEN},
    {CASE("sh -c '\"$@\"' x reboot"), UNSEEN},
    {CASE("sh -c 'vi*sh snapshot-create vm7'"), UNSEEN},
    {CASE("sh -c '/usr/bin/virs? snapshot-create vm7'"), UNSEEN},
    {CASE("sh -c '[r]eboot'"), UNSEEN},
    {CASE("sh -c '{virsh,snapshot-create,vm7}'"), UNSEEN},
    {CASE("sh -c '~/x'"), UNSEEN},
    {CASE("sh -c 'PATH=/tmp id'"), UNSEEN},
    {CASE("sh -c '. /tmp/x'"), UNSEEN},
    {CASE("sh -c 'sh <<E'"), UNSEEN},
    {CASE("sh -c 'echo reboot | sh'"), UNSEEN},
    {CASE("sh -c 'alias ls=reboot; ls'"), UNSEEN},
    {CASE("sh -c 'trap reboot EXIT'"), SEEN},
    {CASE("sh -c 'eval re\"bo\"ot'"), SEEN},
    {CASE("sh -c \"sh -c 'reboot'\""), FORM}, /* seen, and not to be quoted either */
    {CASE("zsh -c '=reboot'"), UNSEEN},
    {CASE("fish -c reboot"), UNSEEN},
    {CASE("csh -c reboot"), UNSEEN},
    {CASE("sh"), UNSEEN},
    {CASE("bash -s"), UNSEEN},
    {CASE("bash -i"), UNSEEN},
    {CASE("bash /tmp/x"), UNSEEN},
    {CASE("sh -c"), UNSEEN},
    {CASE("eval reboot"), SEEN},
    {CASE("eval 'id;' reboot"), SEEN},
    {CASE("eval virsh snapshot-create vm7"), SEEN},
    {CASE("trap reboot EXIT"), SEEN},
    {CASE("eval -- reboot"), SEEN},
    {CASE("trap -- reboot EXIT"), UNSEEN},
    {CASE("sh -c 'id &>/tmp/x reboot'"), UNSEEN}, /* dash runs reboot, bash does not */
    {CASE("tar xIf reboot x.tar"), UNSEEN},
    {CASE("rsync --server --daemon --config=/tmp/x ."), UNSEEN},
    {CASE("sudo -s '$SHELL'"), UNSEEN},
    {CASE("systemd-run --wait '${SHELL}'"), UNSEEN},
    {CASE("/lib64/ld64.so.2 /sbin/reboot"), SEEN},
    {CASE("vim.basic x"), UNSEEN},
    {CASE("busybox.static reboot"), SEEN},
    {CASE("bash-static -c id"), UNSEEN},
    {CASE("iptables -M /tmp/x -L"), UNSEEN},
    {CASE("coreutils --coreutils-prog=env reboot"), UNSEEN},
    {CASE("qemu-x86_64-static /sbin/reboot"), UNSEEN},
    {CASE("fdfind -x reboot"), UNSEEN},
    {CASE("trap 'virsh snapshot-create vm7' EXIT"), SEEN},
    {CASE(". /tmp/x"), UNSEEN},
    {CASE("source /tmp/x"), UNSEEN},
    {CASE("enable -f /tmp/x.so x"), UNSEEN},
    {CASE("mapfile -C reboot -c 1 x"), UNSEEN},
    {CASE("compgen -C reboot"), UNSEEN},
    {CASE("printf -v 'a[$(reboot)]' x"), UNSEEN},
    {CASE("test -v 'a[$(reboot)]'"), UNSEEN},
    {CASE("unset 'a[$(reboot)]'"), UNSEEN},
    {CASE("declare 'a[$(reboot)]=x'"), UNSEEN},
    {CASE("emulate sh -c reboot"), UNSEEN},
    {CASE("/proc/self/exe -c reboot"), UNSEEN},
    {CASE("/proc/self/fd/3"), UNSEEN},
    {CASE("/dev/fd/3"), UNSEEN},
    {CASE("../../proc/self/exe -c id"), UNSEEN},
    {CASE("/usr/bin/"), UNSEEN},
    /* interpreters and what runs commands by the way */
    {CASE("python3 -c 'import os'"), UNSEEN},
    {CASE("python3.11 x.py"), UNSEEN},
    {CASE("perl -e 1"), UNSEEN},
    {CASE("perl5.36.0 -e 1"), UNSEEN},
    {CASE("awk 'BEGIN { system(\"reboot\") }'"), UNSEEN},
    {CASE("sed 1e"), UNSEEN},
    {CASE("vim x"), UNSEEN},
    {CASE("less x"), UNSEEN},
    {CASE("git -c core.pager=x log"), UNSEEN},
    {CASE("tar -cf x --to-command=reboot"), UNSEEN},
    {CASE("tar -xf x --checkpoint-action=exec=reboot"), UNSEEN},
    {CASE("tar --use-comp=reboot -xf x"), UNSEEN},
    {CASE("tar -xIreboot -f x"), UNSEEN},
    {CASE("rsync -e reboot x y:z"), UNSEEN},
    {CASE("rsync --rsh=reboot x y:z"), UNSEEN},
    {CASE("scp -S /tmp/x a b:c"), UNSEEN},
    {CASE("scp -oProxyCommand=reboot a b:c"), UNSEEN},
    {CASE("sort --compress-prog=reboot x"), UNSEEN},
    {CASE("split --filter=reboot x"), UNSEEN},
    {CASE("iptables --modprobe=/tmp/x -L"), UNSEEN},
    {CASE("make x"), UNSEEN},
    /* options spelled otherwise, any order */
    {CASE("rm -r /srv/x"), SEEN},
    {CASE("rm -rf /srv/x"), SEEN},
    {CASE("rm -fr /srv/x"), SEEN},
    {CASE("rm -f -r /srv/x"), SEEN},
    {CASE("rm /srv/x -r"), SEEN},
    {CASE("rm --recursive /srv/x"), SEEN},
    {CASE("rm --rec /srv/x"), SEEN},
    {CASE("rm -R -- /srv/x"), SEEN},
    {CASE("rm -r /home/../srv/x"), SEEN},
    {CASE("rm -r //srv//x"), SEEN},
    {CASE("rm -r /srv/./x/"), SEEN},
    {CASE("rm -r srv"), SEEN}, /* relative: nobody knows to what */
    {CASE("rm -r ../srv"), SEEN},
    {CASE("rm -r /tmp/x /srv/x"), SEEN},
    {CASE("virsh destroy --domain=vm7"), SEEN},
    {CASE("virsh destroy --graceful vm7"), SEEN},
    {CASE("chmod 777 x"), SEEN},
    {CASE("chmod 0777 x"), SEEN},
    {CASE("dd of=/dev/sda"), SEEN},
    {CASE("dd if=/dev/zero of=/dev/sda"), SEEN},
    {CASE("/sbin/reboot"), SEEN},
    {CASE("/sbin/reboot -f"), SEEN},
    {CASE("cp --no-preserve-root x y"), SEEN},
    {CASE("cp --no-preserve x y"), SEEN},
    /* no plain command */
    {CASE("id; reboot"), FORM},
    {CASE("id && reboot"), FORM},
    {CASE("id\nreboot"), FORM},
    {CASE("service ../../usr/bin/virsh snapshot-create vm7"), UNSEEN},
    {CASE("sudo service ../../sbin/reboot now"), UNSEEN},
    {CASE("systemctl enable --now /tmp/x.service"), UNSEEN},
    {CASE("systemctl --runtime reenable ./x.service"), UNSEEN},
    {CASE("nbdkit --run 'virsh snapshot-create vm7' null"), UNSEEN},
    {CASE("systemd-socket-activate -l 1 reboot"), UNSEEN},
    {CASE("busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 "
          "org.freedesktop.systemd1.Manager Reboot"),
     UNSEEN},
    {CASE("gdbus call --system -d org.freedesktop.login1"), UNSEEN},
    {CASE("dbus-send --system --dest=org.freedesktop.login1 /x x.Reboot"), UNSEEN},
    {CASE("lvm"), UNSEEN},
    {CASE("lvm /tmp/script"), UNSEEN},
    {CASE("ceph"), UNSEEN},
    {CASE("gosu root reboot"), UNSEEN},
    {CASE("faketime yesterday reboot"), UNSEEN},
    {CASE("gdbserver :1 virsh snapshot-create vm7"), UNSEEN},
    {CASE("qemu-system-x86_64 -netdev tap,id=n,script=/tmp/x"), UNSEEN},
    {CASE("exim4 -be '${run{/sbin/reboot}}'"), UNSEEN},
    {CASE("mdadm --monitor --prog=/tmp/x --scan"), UNSEEN},
    {CASE("tcc -run /tmp/x.c"), UNSEEN},
    {CASE("incus exec c1 reboot"), UNSEEN},
    {CASE("id\rreboot"), FORM},
    {CASE("$(reboot)"), FORM},
    {CASE("`reboot`"), FORM},
    {CASE("re\\boot"), FORM},
    {CASE("r\xd0\xb5"
          "boot"),
     FORM},
    {CASE("virsh\xc2\xa0snapshot-create vm7"), FORM},
    {CASE("virsh snapshot\xe2\x80\x8b-create vm7"), FORM},
    {CASE("reboot\0x"), FORM},
    {CASE("\tvirsh snapshot-create vm7"), FORM},
    {CASE("PATH=/tmp id"), FORM},
    {CASE("time reboot"), FORM},
    {CASE("echo {a,b}"), FORM},
    {CASE("echo ~"), FORM},
    {CASE("echo !!"), FORM},
    {CASE("=reboot"), FORM},
    {CASE("sh -c 'echo \\$x'"), FORM},
    {CASE("id 'a!b'"), FORM},
};

/* Nothing of this is meant. */
static const char *const ordinary[] = {
    "virsh list",
    "virsh list --all",
    "service libvirtd status",
    "service --status-all",
    "systemctl enable --now libvirtd",
    "systemctl status /srv/vm",
    "busctl list",
    "lvm pvs /dev/sdb",
    "ceph -s",
    "openstack server list",
    "mdadm --detail /dev/md0",
    "virsh -c qemu:///system list --all",
    "virsh snapshot-list vm7",
    "virsh 'list; dominfo vm7'",
    "virsh destroy vm8",
    "sudo virsh list",
    "sudo -u libvirt -- virsh dominfo vm7",
    "env LANG=C virsh list",
    "timeout 5 virsh list",
    "sh -c 'virsh list; virsh dominfo vm7'",
    "bash -lc 'uptime && df -h | grep srv'",
    "rm /tmp/x",
    "rm -r /tmp/x",
    "rm -f /srv/x",
    "chmod 755 x",
    "dd if=/dev/zero of=/tmp/x",
    "find /srv -name x -type f",
    "tar -xf - -C /srv",
    "tar xzf /tmp/x.tgz",
    "mkfs.ext4 -n /tmp/x",
    "sh -c 'id >/tmp/x 2>&1'",
    "tar -czf /tmp/x.tgz /etc",
    "rsync --server -logDtpre.iLsfxCIvu . /tmp/",
    "scp -t /tmp/x",
    "echo reboot",
    "grep -r reboot /var/log",
    "test -f /etc/motd",
    "'[' -d /srv ']'",
    "printf '%s' x",
    "systemctl status libvirtd",
    "ip addr show",
    "cat /proc/cpuinfo",
    "ls '$HOME'",
};

static struct rule_set *deny_set(void)
{
    struct rule_set *set = rule_set_new();

    for (size_t i = 0; i < sizeof denied / sizeof *denied; i++)
        fixture_rule(set, "guard/commands", denied[i], NULL);
    rule_set_open(set);
    return fixture_sent(set);
}

Test(policy_evasion_deny, each_is_denied)
{
    static const char *const says[] = {"denied by guard/commands",
                                       "denied by guard/commands, which cannot see", ""};
    struct rule_set *set = deny_set();

    cr_assert_geq(sizeof evasions / sizeof *evasions, 150);
    for (size_t i = 0; i < sizeof evasions / sizeof *evasions; i++) {
        struct rule_verdict v;
        struct err e = ERR_INIT;
        struct buf out;
        buf_init(&out, 4096);
        int rc = rule_set_judge(set, evasions[i].command, evasions[i].len, &v, &out, &e);
        cr_expect_eq(rc, ERR_DENIED, "%s", evasions[i].command);
        cr_expect_eq(buf_len(&out), 0, "%s", evasions[i].command);
        cr_expect(evasions[i].how == SEEN ? !strcmp(e.text, says[SEEN])
                                          : strstr(e.text, says[evasions[i].how]) != NULL,
                  "%s\ngot: %s", evasions[i].command, e.text);
        cr_expect_leq(strlen(e.text), RULE_TEXT_MAX);
        if (evasions[i].how != FORM)
            cr_expect_str_eq(v.rule, "guard/commands", "%s", evasions[i].command);
        buf_clear(&out);
    }
    rule_set_free(set);
}

Test(policy_evasion_deny, ordinary_commands_are_not_caught)
{
    struct rule_set *set = deny_set();

    for (size_t i = 0; i < sizeof ordinary / sizeof *ordinary; i++) {
        struct rule_verdict v;
        struct err e = ERR_INIT;
        struct buf out;
        buf_init(&out, 4096);
        int rc = rule_set_judge(set, ordinary[i], strlen(ordinary[i]), &v, &out, &e);
        cr_expect_eq(rc, 0, "%s: %s", ordinary[i], e.text);
        cr_expect_gt(buf_len(&out), 0);
        buf_clear(&out);
    }
    rule_set_free(set);
}

/* Bounds: whatever is beyond them is denied, quickly. */
Test(policy_evasion_deny, bounds)
{
    static char text[WORDS_TEXT_MAX + 100];
    struct rule_set *set = deny_set();
    struct rule_verdict v;
    struct err e = ERR_INIT;
    struct buf out;
    size_t at;

    buf_init(&out, WORDS_TEXT_MAX + 4 * WORDS_MAX);
    /* 64 commands with the argv itself are looked at; one more is too many. */
    for (int over = 0; over < 2; over++) {
        at = (size_t)(stpcpy(text, "sh -c '") - text);
        for (int i = 0; i < 63 + over; i++)
            at += (size_t)(stpcpy(text + at, "id;") - (text + at));
        at += (size_t)(stpcpy(text + at, "'") - (text + at));
        cr_expect_eq(rule_set_judge(set, text, at, &v, &out, &e), over ? ERR_DENIED : 0, "%s",
                     e.text);
        buf_clear(&out);
    }
    cr_expect(strstr(e.text, "too many commands"), "%s", e.text);
    at = (size_t)(stpcpy(text, "sh -c '") - text);
    for (int i = 0; i < 20000; i++)
        at += (size_t)(stpcpy(text + at, "$((") - (text + at));
    at += (size_t)(stpcpy(text + at, "'") - (text + at));
    cr_expect_eq(rule_set_judge(set, text, at, &v, &out, &e), ERR_DENIED);
    at = 0;
    for (int i = 0; i < WORDS_MAX; i++)
        at += (size_t)(stpcpy(text + at, "su ") - (text + at));
    cr_expect_eq(rule_set_judge(set, text, at, &v, &out, &e), ERR_DENIED);
    buf_clear(&out);
    rule_set_free(set);
}
