/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs and shell builtins that run other programs, with their options (util-linux 2.38,
 * coreutils 9.1, sudo 1.9, bash 5.2, zsh 5.9, fish 3.6, findutils 4.9, procps 4.0: their manuals).
 * An option that is not here makes an argv opaque, so what is missing denies too much, never too
 * little. Sorted by name. Pure. */
#include "policy/wrappers_table.h"

#include <stdlib.h>
#include <string.h>

/* clang-format off */
#define SHELL(program)        {.name = program, .kind = WRAPPER_SHELL, .risk = "is a shell"}
#define OTHER_SHELL(program)  {.name = program, .kind = WRAPPER_OPAQUE, .risk = "is a shell of another language"}
#define PLAIN(program, opts)  {.name = program, .kind = WRAPPER_PREFIX, .options = opts, .risk = RUNS}
#define OPERANDS(program, opts, n) {.name = program, .kind = WRAPPER_PREFIX, .options = opts, .operands = n, .risk = RUNS}
#define NEEDS(program, opts, n)    {.name = program, .kind = WRAPPER_PREFIX, .options = opts, .operands = n, .needs = true, .risk = RUNS}
#define OPAQUE(program, why)  {.name = program, .kind = WRAPPER_OPAQUE, .risk = why}
#define ALWAYS(program, why)  {.name = program, .kind = WRAPPER_OPAQUE, .risk = why, .always = true}
#define OPTIONS(program, opts, why) {.name = program, .kind = WRAPPER_OPTIONS, .options = opts, .risk = why}
#define RUNS        "runs the command that its words name"
#define BUILTIN     "is a shell's builtin that changes or evaluates what runs"
#define INTERPRETER "is an interpreter: it runs whatever its program says"
#define EDITOR      "is an editor, which runs commands and writes any file"
#define PAGER       "is a pager, which runs commands"
#define ONWARD      "runs commands elsewhere, or by options here"
#define CONTAINER   "runs commands in containers and namespaces"
#define LATER       "runs commands later, or from its input"
#define BUILD       "runs commands that files name"

static const struct wrapper wrappers[] = {
    PLAIN("-", ""),
    {.name = ".", .kind = WRAPPER_OPAQUE, .risk = "runs a script of the target"},
    {.name = "[", .kind = WRAPPER_TEST, .risk = BUILTIN},
    OPAQUE("[[", BUILTIN),
    OPAQUE("aa-exec", RUNS),
    OPAQUE("alias", BUILTIN),
    PLAIN("and", ""),
    OPAQUE("ansible", ONWARD),
    OPAQUE("ansible-playbook", ONWARD),
    OPAQUE("apt", "runs commands by options"),
    OPAQUE("apt-get", "runs commands by options"),
    OPAQUE("arch-chroot", CONTAINER),
    SHELL("ash"),
    OPAQUE("at", LATER),
    OPAQUE("autoload", BUILTIN),
    ALWAYS("awk", INTERPRETER),
    SHELL("bash"),
    ALWAYS("batch", LATER),
    ALWAYS("bc", INTERPRETER),
    OPAQUE("begin", BUILTIN),
    OPAQUE("bind", BUILTIN),
    OPAQUE("bpftrace", INTERPRETER),
    PLAIN("builtin", ""),
    OPAQUE("bunzip", "runs helper programs"),
    {.name = "busybox",
     .kind = WRAPPER_APPLET,
     .risk = "is every program that it was built with, a shell too"},
    OPAQUE("bwrap", CONTAINER),
    OPAQUE("capsh", RUNS),
    OPAQUE("case", BUILTIN),
    PLAIN("catchsegv", ""),
    OPAQUE("cgexec", RUNS),
    OPAQUE("chpst", RUNS),
    OPERANDS("chrt",
             "-a -b -f -i -m -o -r -d -R -v -p! -T: -P: -D: --all-tasks --batch --fifo --idle "
             "--max --other "
             "--rr --deadline --reset-on-fork --verbose --pid! --sched-runtime= --sched-period= "
             "--sched-deadline=",
             1),
    NEEDS("chroot", "--userspec= --groups= --skip-chdir", 1),
    OPAQUE("cmake", BUILD),
    PLAIN("command", "-p -v -V -x"),
    OPAQUE("compgen", BUILTIN),
    OPAQUE("complete", BUILTIN),
    OPAQUE("composer", BUILD),
    OPAQUE("coproc", BUILTIN),
    OPAQUE("coresched", RUNS),
    OPAQUE("cpan", BUILD),
    OPTIONS("cpio", "--rsh-command", "runs commands by options (--rsh-command)"),
    OPAQUE("cpulimit", RUNS),
    OPAQUE("crictl", CONTAINER),
    ALWAYS("crontab", LATER),
    OTHER_SHELL("csh"),
    OPAQUE("ctr", CONTAINER),
    SHELL("dash"),
    OPAQUE("dbus-launch", RUNS),
    PLAIN("dbus-run-session", ""),
    OPAQUE("dc", INTERPRETER),
    OPAQUE("declare", BUILTIN),
    OPAQUE("distrobox", CONTAINER),
    {.name = "doas",
     .kind = WRAPPER_PREFIX,
     .options = "-u: -C: -a: -n -L -s!",
     .needs = true,
     .risk = RUNS},
    OPAQUE("docker", CONTAINER),
    OPAQUE("dpkg", "runs commands by options and packages"),
    OPAQUE("dtach", RUNS),
    PLAIN("eatmydata", ""),
    ALWAYS("ed", EDITOR),
    ALWAYS("ex", EDITOR),
    ALWAYS("emacs", EDITOR),
    ALWAYS("emacsclient", EDITOR),
    OPAQUE("emit", BUILTIN),
    OPAQUE("emulate", BUILTIN),
    OPAQUE("enable", BUILTIN),
    {.name = "env",
     .kind = WRAPPER_ENV,
     .options = "-i -0 -u: -C: -S: -v --ignore-environment --null --unset= --chdir= "
                "--split-string= --debug "
                "--block-signal? --default-signal? --ignore-signal? --list-signal-handling",
     .assigns = true,
     .risk = RUNS},
    OPAQUE("envdir", RUNS),
    {.name = "eval", .kind = WRAPPER_EVAL, .risk = BUILTIN},
    PLAIN("exec", "-c -l -a:"),
    ALWAYS("expect", INTERPRETER),
    OPAQUE("export", BUILTIN),
    PLAIN("fakeroot", ""),
    OPAQUE("fc", BUILTIN),
    {.name = "find", .kind = WRAPPER_FIND, .risk = "runs commands (-exec) and deletes"},
    OPAQUE("firejail", CONTAINER),
    OTHER_SHELL("fish"),
    {.name = "flock",
     .kind = WRAPPER_FLOCK,
     .options = "-s -x -e -u -n -o -F -w: -E: --shared --exclusive --unlock --nonblock --close "
                "--no-fork --timeout= "
                "--wait= --conflict-exit-code= --verbose",
     .operands = 1,
     .risk = RUNS},
    OPAQUE("for", BUILTIN),
    OPAQUE("ftp", ONWARD),
    OPAQUE("function", BUILTIN),
    OPAQUE("functions", BUILTIN),
    ALWAYS("gawk", INTERPRETER),
    ALWAYS("gdb", INTERPRETER),
    OPAQUE("getopts", BUILTIN),
    OPAQUE("git", "runs commands by aliases, hooks and options (-c)"),
    OPAQUE("gtar", "runs commands by options (--to-command, --checkpoint-action)"),
    OPAQUE("guestfish", INTERPRETER),
    OPAQUE("hash", BUILTIN),
    OPAQUE("history", BUILTIN),
    PLAIN("hup", ""),
    PLAIN("i386", ""),
    OPAQUE("if", BUILTIN),
    OPAQUE("ifne", RUNS),
    PLAIN("ionice", "-c: -n: -t -p! -P! -u! --class= --classdata= --ignore --pid! --pgid! --uid!"),
    {.name = "ip", .kind = WRAPPER_IP, .risk = "runs commands (netns exec)"},
    OPTIONS("install", "--strip-program", "runs commands by options (--strip-program)"),
    OPTIONS("ip6tables", "--modprobe", "runs commands by options (--modprobe)"),
    OPTIONS("iptables", "--modprobe", "runs commands by options (--modprobe)"),
    OPAQUE("irb", INTERPRETER),
    OPAQUE("java", INTERPRETER),
    ALWAYS("joe", EDITOR),
    OPAQUE("jshell", INTERPRETER),
    SHELL("ksh"),
    SHELL("ksh93"),
    OPAQUE("kubectl", CONTAINER),
    {.name = "ld.so",
     .kind = WRAPPER_PREFIX,
     .options = "--inhibit-cache --argv0= --library-path! --preload! --audit! "
                "--inhibit-rpath=",
     .needs = true,
     .risk = "is the loader: it runs any program, with any library"},
    OPAQUE("ldd", "runs the program that it looks at"),
    ALWAYS("less", PAGER),
    OPAQUE("let", BUILTIN),
    OPAQUE("lftp", ONWARD),
    PLAIN("linux32", ""),
    PLAIN("linux64", ""),
    OPAQUE("local", BUILTIN),
    OPAQUE("logsave", RUNS),
    OPAQUE("ltrace", RUNS),
    ALWAYS("lua", INTERPRETER),
    ALWAYS("luajit", INTERPRETER),
    OPAQUE("lxc", CONTAINER),
    OPAQUE("lxc-attach", CONTAINER),
    OPAQUE("lxc-execute", CONTAINER),
    OPAQUE("m4", INTERPRETER),
    OPAQUE("machinectl", CONTAINER),
    OPAQUE("mail", "runs commands by ~!"),
    OPAQUE("make", BUILD),
    ALWAYS("man", PAGER),
    OPAQUE("mapfile", BUILTIN),
    ALWAYS("mawk", INTERPRETER),
    ALWAYS("mc", EDITOR),
    SHELL("mksh"),
    ALWAYS("more", PAGER),
    ALWAYS("most", PAGER),
    OPAQUE("mutt", "runs commands"),
    OPAQUE("mysql", "runs commands by \\!"),
    ALWAYS("nano", EDITOR),
    ALWAYS("nawk", INTERPRETER),
    OPAQUE("nc", "connects, and runs commands by options"),
    OPAQUE("ncat", "connects, and runs commands by options"),
    OPAQUE("nerdctl", CONTAINER),
    OPAQUE("netcat", "connects, and runs commands by options"),
    OPAQUE("newgrp", "is a shell"),
    PLAIN("nice", "-n: -# --adjustment="),
    OPAQUE("ninja", BUILD),
    OPAQUE("nmap", "runs scripts"),
    PLAIN("nocorrect", ""),
    ALWAYS("node", INTERPRETER),
    ALWAYS("nodejs", INTERPRETER),
    PLAIN("noglob", ""),
    PLAIN("nohup", ""),
    PLAIN("not", ""),
    OPAQUE("npm", BUILD),
    OPAQUE("nsenter", CONTAINER),
    PLAIN("numactl", "-N: -C: -m: -l -b -i: -p: --cpunodebind= --physcpubind= --membind= "
                     "--localalloc --interleave= "
                     "--preferred="),
    ALWAYS("nvim", EDITOR),
    ALWAYS("ocaml", INTERPRETER),
    OPTIONS("openssl", "-engine -provider -provider-path",
            "loads libraries by options (-engine, -provider)"),
    PLAIN("or", ""),
    {.name = "parallel",
     .kind = WRAPPER_PREFIX,
     .options = "-k -j: -a: --jobs=",
     .ends_with = true,
     .risk = RUNS},
    OPAQUE("perf", RUNS),
    ALWAYS("perl", INTERPRETER),
    ALWAYS("pg", PAGER),
    ALWAYS("php", INTERPRETER),
    ALWAYS("pico", EDITOR),
    OPAQUE("pip", BUILD),
    {.name = "pkexec",
     .kind = WRAPPER_PREFIX,
     .options = "--user= --keep-cwd --disable-internal-agent",
     .needs = true,
     .risk = RUNS},
    OPAQUE("podman", CONTAINER),
    OPAQUE("print", BUILTIN),
    {.name = "printf", .kind = WRAPPER_TEST, .risk = BUILTIN},
    OPAQUE("prlimit", RUNS),
    OPAQUE("proot", CONTAINER),
    OPAQUE("proxychains", RUNS),
    OPAQUE("psql", "runs commands by \\!"),
    OTHER_SHELL("pwsh"),
    ALWAYS("pypy", INTERPRETER),
    ALWAYS("python", INTERPRETER),
    ALWAYS("R", INTERPRETER),
    SHELL("rbash"),
    OTHER_SHELL("rc"),
    OPAQUE("rclone", ONWARD),
    OPAQUE("read", BUILTIN),
    OPAQUE("readarray", BUILTIN),
    OPAQUE("readonly", BUILTIN),
    OPAQUE("repeat", BUILTIN),
    OPAQUE("rlwrap", RUNS),
    OPAQUE("rpm", "runs commands by options and packages"),
    OPAQUE("rsh", ONWARD),
    {.name = "rsync",
     .kind = WRAPPER_OPTIONS,
     .options = "-e --rsh --rsync-path",
     .unless = "--server",
     .risk = "runs commands by options (-e, --rsync-path)"},
    ALWAYS("ruby", INTERPRETER),
    OPAQUE("run-parts", "runs what is in a folder"),
    OPAQUE("runc", CONTAINER),
    OPAQUE("runcon", RUNS),
    {.name = "runuser", .kind = WRAPPER_SU, .risk = RUNS},
    OPAQUE("rview", EDITOR),
    OPAQUE("rvim", EDITOR),
    OPAQUE("sched", BUILTIN),
    OPTIONS("scp", "-S -o -F -D -J", "runs commands by options (-S, -o)"),
    OPAQUE("screen", "runs shells and commands"),
    {.name = "script", .kind = WRAPPER_SU, .risk = RUNS},
    OPAQUE("scriptlive", RUNS),
    ALWAYS("sed", "runs commands (e) and writes files (w)"),
    OPAQUE("select", BUILTIN),
    OPAQUE("set", BUILTIN),
    OPAQUE("setarch", RUNS),
    OPAQUE("setpriv", RUNS),
    PLAIN("setsid", "-c -f -w --ctty --fork --wait"),
    OPAQUE("setuidgid", RUNS),
    OPAQUE("sftp", ONWARD),
    {.name = "sg", .kind = WRAPPER_SU, .risk = RUNS},
    SHELL("sh"),
    OPAQUE("shopt", BUILTIN),
    OPAQUE("socat", "connects, and runs commands by addresses"),
    OPAQUE("softlimit", RUNS),
    OPTIONS("sort", "--compress-program", "runs commands by options (--compress-program)"),
    OPAQUE("source", "runs a script of the target"),
    OPTIONS("split", "--filter", "runs commands by --filter"),
    OPAQUE("sqlite", INTERPRETER),
    OPAQUE("ssh", ONWARD),
    OPAQUE("ssh-agent", RUNS),
    OPAQUE("ssh-keygen", "loads libraries by options (-D)"),
    OPAQUE("sshfs", ONWARD),
    OPAQUE("sshpass", RUNS),
    OPAQUE("start-stop-daemon", RUNS),
    PLAIN("stdbuf", "-i: -o: -e: --input= --output= --error="),
    OPAQUE("strace", RUNS),
    {.name = "su", .kind = WRAPPER_SU, .risk = RUNS},
    {.name = "sudo",
     .kind = WRAPPER_PREFIX,
     .options = "-A -B -b -E -e! -H -K -k -l -n -P -S -s -i -V -v -g: -u: -p: -C: -r: -t: -T: -U: "
                "-R: -D: -h: -a: --askpass "
                "--bell --background --preserve-env? --edit! --set-home --remove-timestamp "
                "--reset-timestamp --list "
                "--non-interactive --preserve-groups --stdin --shell --login --version --validate "
                "--group= --user= --prompt= "
                "--close-from= --role= --type= --command-timeout= --other-user= --chroot= --chdir= "
                "--host= --help",
     .needs = true,
     .assigns = true,
     .risk = RUNS},
    ALWAYS("sudoedit", EDITOR),
    OPAQUE("switch", BUILTIN),
    OPTIONS("systemctl", "edit link set-environment import-environment -H -M --host --machine",
            "runs an editor, and commands elsewhere"),
    OPAQUE("systemd-cat", RUNS),
    OPAQUE("systemd-inhibit", RUNS),
    OPAQUE("systemd-nspawn", CONTAINER),
    NEEDS("systemd-run",
          "-u: -d -t -P -q -G -r --unit= --slice= --uid= --gid= --nice= --working-directory= "
          "--same-dir "
          "--pty --pipe --quiet --wait --collect --remain-after-exit --no-block --scope --user "
          "--system "
          "--description= --service-type= --send-sighup --no-ask-password",
          0),
    OPAQUE("virt-builder", RUNS),
    OPAQUE("virt-customize", RUNS),
    OPAQUE("virt-rescue", RUNS),
    OPAQUE("virt-sysprep", RUNS),
    OPTIONS("tar",
            "-I -F --to-command --checkpoint-action --use-compress-program --info-script "
            "--new-volume-script "
            "--rsh-command --rmt-command",
            "runs commands by options (--to-command, --checkpoint-action, -I)"),
    OPERANDS("taskset", "-a -c -p! --all-tasks --cpu-list --pid!", 1),
    ALWAYS("tcl", INTERPRETER),
    ALWAYS("tclsh", INTERPRETER),
    OTHER_SHELL("tcsh"),
    OPTIONS("tcpdump", "-z", "runs commands by options (-z)"),
    OPAQUE("telnet", ONWARD),
    {.name = "test", .kind = WRAPPER_TEST, .risk = BUILTIN},
    PLAIN("time",
          "-a -p -v -q -f: -o: --append --portability --verbose --quiet --format= --output="),
    OPERANDS("timeout",
             "-k: -s: -v --kill-after= --signal= --foreground --preserve-status --verbose", 1),
    OPAQUE("tmux", "runs shells and commands"),
    {.name = "toybox",
     .kind = WRAPPER_APPLET,
     .risk = "is every program that it was built with, a shell too"},
    {.name = "trap", .kind = WRAPPER_TRAP, .risk = BUILTIN},
    OPAQUE("typeset", BUILTIN),
    OPAQUE("unbuffer", RUNS),
    OPAQUE("unset", BUILTIN),
    OPAQUE("unshare", CONTAINER),
    OPAQUE("until", BUILTIN),
    OPAQUE("valgrind", RUNS),
    OPAQUE("vared", BUILTIN),
    ALWAYS("vi", EDITOR),
    ALWAYS("view", EDITOR),
    ALWAYS("vigr", EDITOR),
    ALWAYS("vim", EDITOR),
    ALWAYS("vimdiff", EDITOR),
    ALWAYS("vipw", EDITOR),
    {.name = "virsh", .kind = WRAPPER_VIRSH, .risk = NULL},
    {.name = "virt-admin", .kind = WRAPPER_VIRSH, .risk = NULL},
    ALWAYS("visudo", EDITOR),
    OPAQUE("wait", BUILTIN),
    {.name = "watch",
     .kind = WRAPPER_WATCH,
     .options = "-d? -n: -b -e -g -t -c -x -p -q: -C -w --differences? --interval= --beep "
                "--errexit --chgexit --no-title "
                "--color --no-color --exec --precise --no-wrap --equexit=",
     .needs = true,
     .risk = RUNS},
    OPTIONS("wget", "-e --execute --use-askpass", "runs commands by options (--use-askpass)"),
    OPAQUE("while", BUILTIN),
    PLAIN("x86_64", ""),
    {.name = "xargs",
     .kind = WRAPPER_PREFIX,
     .options = "-0 -r -t -p -x -o -a: -d: -E: -e? -I: -i? -L: -l? -n: -P: -s: --null "
                "--no-run-if-empty --verbose "
                "--interactive --exit --open-tty --show-limits --arg-file= --delimiter= --eof? "
                "--replace? --max-lines? "
                "--max-args= --max-procs= --max-chars= --process-slot-var=",
     .ends_with = true,
     .risk = "adds words from its standard input to a command"},
    OPAQUE("xterm", RUNS),
    OTHER_SHELL("xonsh"),
    SHELL("yash"),
    OPTIONS("zip", "-T --unzip-command", "runs commands by options (-TT)"),
    OPAQUE("zle", BUILTIN),
    OPAQUE("zmodload", BUILTIN),
    SHELL("zsh"),
    OPAQUE("zypper", "runs commands by packages"),
};
/* clang-format on */

static const struct wrapper *exact(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof wrappers / sizeof *wrappers; i++) {
        if (strncmp(wrappers[i].name, name, len) == 0 && !wrappers[i].name[len])
            return &wrappers[i];
    }
    return NULL;
}

const struct wrapper *wrapper_named(const char *name)
{
    size_t len = strlen(name);
    const struct wrapper *w = exact(name, len);

    if (w || len > 64)
        return w;
    /* ld-linux-x86-64.so.2, ld-musl-x86_64.so.1, ld-2.36.so */
    if (strncmp(name, "ld-", 3) == 0 && strstr(name, ".so"))
        return exact("ld.so", 5);
    while (len && strchr("0123456789.-", name[len - 1]))
        len--;
    return len ? exact(name, len) : NULL;
}
