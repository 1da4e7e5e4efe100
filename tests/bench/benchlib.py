# SPDX-License-Identifier: Apache-2.0
"""What the bench's scripts share: a lab, a jump host, and the three ways to a hypervisor (direct, ProxyJump, the gateway), each a
prefix of words for ssh and a program that stands for ssh; CPU time of what is in the middle."""
import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
LAB = os.path.join(ROOT, "tests", "lab", "lab")
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "tests", "lab"))
import lablib  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")
STEP_S = 180  # of one transfer, one login, one row of echoes


@contextlib.contextmanager
def step(what):
    """Ends the whole run when one step of it hangs."""
    def on_alarm(_number, _frame):
        raise SystemExit(f"{what}: no end after {STEP_S} s")
    signal.signal(signal.SIGALRM, on_alarm)
    signal.alarm(STEP_S)
    try:
        yield
    finally:
        signal.alarm(0)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def read_env(path):
    """The shell variables of DIR/env."""
    out = subprocess.run(["sh", "-c", f"set -a; . '{path}'; env -0"], stdout=subprocess.PIPE, check=True).stdout
    return dict(item.split("=", 1) for item in out.decode().split("\0") if "=" in item)


class Way:
    """One way to the hypervisors: a name, an ssh command prefix, and as `program` a script that stands for ssh; the process
    whose tree is between the client and the target."""

    def __init__(self, folder, name, command, middle):
        self.name, self.command, self.middle = name, command, middle
        self.program = os.path.join(folder, name, "ssh")
        os.mkdir(os.path.dirname(self.program))
        with open(self.program, "w", encoding="ascii") as f:
            f.write("#!/bin/sh\nexec " + shlex.join(command) + ' "$@"\n')
        os.chmod(self.program, 0o755)


def descendants(root):
    children = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as f:
                fields = f.read().rsplit(b")", 1)[1].split()
            children.setdefault(int(fields[1]), []).append(int(entry))
        except (FileNotFoundError, ProcessLookupError):
            continue
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def cpu_seconds(root):
    """User and system time of a process tree by the programs' names, ended and waited-for children included."""
    total = {}
    for pid in descendants(root) if root else []:
        try:
            with open(f"/proc/{pid}/stat", "rb") as f:
                head, tail = f.read().rsplit(b")", 1)
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                name = os.path.basename(f.read().split(b"\0")[0]) or head.split(b"(", 1)[1]
        except (FileNotFoundError, ProcessLookupError):
            continue
        name = name.decode(errors="replace").split(":")[0]
        total[name] = total.get(name, 0) + sum(int(x) for x in tail.split()[11:15]) / TICKS
    return total


def per_gb(before, after, size):
    return {name: (after[name] - before.get(name, 0)) / size * 1e9 for name in after}


def private_bytes(root):
    total = 0
    for pid in descendants(root):
        try:
            with open(f"/proc/{pid}/smaps_rollup") as f:
                for line in f:
                    if line.startswith(("Private_Clean:", "Private_Dirty:")):
                        total += int(line.split()[1]) * 1024
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return total


def jump_host(folder, key):
    """An sshd of our own that only forwards."""
    port = free_port()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/jump_host_key"], check=True)
    with open(f"{folder}/sshd_config", "w") as f:
        f.write(f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/jump_host_key\nPidFile none\nUsePAM no\n"
                f"StrictModes no\nAuthorizedKeysFile {key}.pub\nPermitRootLogin yes\nMaxStartups 200\n")
    os.makedirs("/run/sshd", exist_ok=True)
    with open(f"{folder}/sshd.log", "w") as log:
        daemon = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", f"{folder}/sshd_config"], stderr=log)
    for _ in range(100):
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return daemon, port
        time.sleep(0.1)
    daemon.kill()
    with open(f"{folder}/sshd.log") as log:
        raise SystemExit(f"the jump host does not start: {log.read()}")


@contextlib.contextmanager
def bench(lab=None, targets=2):
    """Yields (folder, ways): a lab, this one or a new one, and beside the gateway a key of ours that gets in directly and by a jump
    host. Afterwards everything of ours is gone."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # by way of what is below
    folder = tempfile.mkdtemp(prefix="sallyport-bench.")
    made = lab is None
    lab = lab or os.path.join(folder, "lab")
    daemon = None
    try:
        if made:
            subprocess.run([LAB, "up", lab, "--targets", str(targets)], check=True, stdout=subprocess.DEVNULL)
        env = read_env(os.path.join(lab, "env"))
        os.environ.update({name: env[name] for name in ("PATH", "SSH_ASKPASS", "SSH_ASKPASS_REQUIRE")})
        running = lablib.Lab(lab)
        key = os.path.join(folder, "id")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        hosts = [f"hv{i}" for i in range(1, 501) if os.path.exists(running.path(f"hv{i}"))]
        for host in hosts:
            with open(key + ".pub", encoding="ascii") as pub, open(running.path(host, "authorized_keys"), "a",
                                                                   encoding="ascii") as f:
                f.write(pub.read())
        daemon, jump_port = jump_host(folder, key)
        with open(f"{folder}/ssh_config", "w", encoding="ascii") as f:
            f.write(f"Host *\n User root\n IdentityFile {key}\n IdentitiesOnly yes\n StrictHostKeyChecking no\n"
                    f" UserKnownHostsFile /dev/null\n LogLevel ERROR\n Ciphers aes256-gcm@openssh.com\n"
                    f"Host jump\n HostName 127.0.0.1\n Port {jump_port}\n")
            for host in hosts:
                f.write(f"Host {host}\n HostName 127.0.0.1\n Port {running.port_of(host)}\n")
        yield folder, [
            Way(folder, "direct", ["/usr/bin/ssh", "-F", f"{folder}/ssh_config"], None),
            Way(folder, "proxyjump", ["/usr/bin/ssh", "-F", f"{folder}/ssh_config", "-J", "jump"], daemon.pid),
            Way(folder, "sallyport", ["/usr/bin/ssh", "-F", f"{lab}/ssh_config", "-o", "LogLevel=ERROR"],
                running.gateway_pid()),
        ]
    finally:
        if daemon:
            daemon.terminate()
            daemon.wait()
        if made and os.path.isdir(lab):
            subprocess.run([LAB, "down", lab], stdout=subprocess.DEVNULL, check=False)
        shutil.rmtree(folder, ignore_errors=True)
