# SPDX-License-Identifier: Apache-2.0
"""What `lab` does (tests/lab/README.md); the session tests and the quickstart use it too. Standard
library only. Everything that a lab starts is recorded in DIR/pids with its start time, so that `down` ends
those processes and no others."""
import concurrent.futures
import fcntl
import os
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import time
import urllib.parse

HERE = os.path.dirname(os.path.realpath(__file__))
REPO = os.path.dirname(os.path.dirname(HERE))
PROGRAMS = ("sallyportd", "sallyport-listener", "sallyport-frontend", "sallyport-backend", "sallyport-authd",
            "sallyport-auditd", "sallyport-reader", "sallyport-courier", "sallyport-firewall",
            "sallyport-witness", "sallyport")
# Labs side by side are told apart by a number, which gives each its own uids and ports. 16 uids hold the
# programs' users; 50 ports the gateway and 49 hypervisors, all below Linux's ephemeral range (32768).
SLOTS = "/run/sallyport-labs"
SLOT_COUNT = 200
FIRST_UID, UIDS = 210000, 16
FIRST_PORT, PORTS = 20000, 50
PEOPLE = ("alice", "bob", "carol", "dave", "erin", "frank")
GATEWAY = "gateway.lab.test"
# Seconds for which anything is waited for that has to come. Machines may be slow, and busy with something else; what
# takes longer hangs.
TIMEOUT = 240

ROLES = {
    "lab-admin": """role: lab-admin
description: Everything, on every hypervisor of the lab
members: [{admins}]
targets: {{env: lab}}
accounts: [root]
factors: [key, totp]
remember: 1h
allow: {{shell: true, exec: true, sftp: true}}
""",
    "lab-viewer": """role: lab-viewer
description: Two read-only commands, on hv1 alone
members: [bob]
targets: {{env: lab, name: hv1}}
accounts: [root]
factors: [key, totp]
remember: 1h
allow: {{shell: false, exec: true}}
programs: {{virsh: {virsh}}}
commands:
  - allow: "virsh -c test:///default list"
  - allow: "virsh -c test:///default dominfo test"
""",
    "lab-files": """role: lab-files
description: Files alone, and of them some
members: [frank]
targets: {{env: lab}}
accounts: [root]
factors: [key, totp]
remember: 1h
allow:
  shell: false
  exec: false
  sftp: {{read: ["{dir}/files/logs/**", "{dir}/files/shared/**"], write: ["{dir}/files/drop/**", "{dir}/files/shared/**"]}}
""",
    "lab-remote": """role: lab-remote
description: Only from an address that the lab does not have
members: [erin]
targets: {{env: lab}}
accounts: [root]
from: [192.0.2.0/24]
factors: [key, totp]
remember: 1h
allow: {{shell: true, exec: true}}
""",
}

SSHD_CONFIG = """# A hypervisor of the lab.
Port {port}
ListenAddress 127.0.0.1
HostKey {dir}/host_key
PidFile {dir}/sshd.pid
AuthorizedKeysFile {dir}/authorized_keys
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UseDNS no
PrintMotd no
MaxStartups 200:30:400
MaxSessions 20
Subsystem sftp internal-sftp
AcceptEnv LANG LC_*
SetEnv LAB_HYPERVISOR={name} HOME={dir}/home
LogLevel VERBOSE
"""


class LabError(Exception):
    """What went wrong, for people."""


def start_time(pid):
    """The kernel's start time of a process, which with its number names it for ever; None: it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            return f.read().rsplit(")", 1)[1].split()[19]
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return None


def descendants(pid):
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as f:
                    parents.setdefault(int(f.read().rsplit(")", 1)[1].split()[1]), []).append(int(entry))
            except (FileNotFoundError, ProcessLookupError):
                pass
    found, todo = [], [pid]
    while todo:
        for child in parents.get(todo.pop(), []):
            found.append(child)
            todo.append(child)
    return found


def alive(pid, started):
    return started is not None and start_time(pid) == started and process_state(pid) != "Z"


def process_state(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            return f.read().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def find_build(given=None):
    named = given or os.environ.get("SALLYPORT_BUILD")
    places = [named] if named else [os.path.join(REPO, "build", d) for d in ("check", "lab", "quickstart")]
    for place in places:
        if all(os.access(os.path.join(place, p), os.X_OK) for p in PROGRAMS):
            return os.path.realpath(place)
    raise LabError(f"no built programs in {' or '.join(places)}; build first (./check --build-only, or set "
                   "SALLYPORT_BUILD to the build tree)")


_ports = None  # a file whose bytes stand for ports: who holds the lock of one has the port
_given = set()  # by free_port; a process's own locks do not exclude each other


def free_port():
    """A port that stays this process's until its end: above what services have and below the labs' and Linux's ephemeral
    range, where any connection of another process might take it between its choice and its use."""
    global _ports
    if _ports is None:
        os.makedirs(SLOTS, exist_ok=True)
        _ports = os.open(f"{SLOTS}/ports", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    for port in random.sample(range(11000, 19000), 8000):
        if port in _given or not port_is_free(port):
            continue
        try:
            fcntl.lockf(_ports, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except OSError:
            continue
        _given.add(port)
        return port
    raise LabError("no free port")


def port_is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Lab:
    def __init__(self, directory):
        self.dir = os.path.abspath(directory)
        self.conf, self.state = self.path("conf"), self.path("state")
        self.logfile = self.path("log")
        self._env = None
        self.config, self.libexec = "", None  # more lines of sallyport.yaml; where wrapped programs are
        self.edit = None  # changes the text of sallyport.yaml that `init` made: a function of lab and text
        self.penalty = ""
        self.sshd = ""  # more lines of each hypervisor's sshd_config; {dir} is the hypervisor's directory

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    # --- the parts of `up`

    def up(self, extra_operators=0, targets=2, build=None, trail_size=None, config="", libexec=None,
           sshd="", edit=None, penalty="{slow-after: 0, block-after: 0}"):
        if os.geteuid() != 0:
            raise LabError("a lab needs root: the gateway starts its programs under uids of their own")
        if not 1 <= targets <= 500 or not 0 <= extra_operators <= 2000:
            raise LabError("--targets goes from 1 to 500, --operators from 0 to 2000")
        if os.path.exists(self.dir) and os.listdir(self.dir):
            raise LabError(f"{self.dir} is not empty; `lab down {self.dir}` removes a lab")
        for program in ("sshd", "ssh", "ssh-keygen", "oathtool"):
            if not shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin"):
                raise LabError(f"{program} is not installed (conf/packages.txt lists what the lab needs)")
        self.build = find_build(build)
        self.config, self.libexec, self.sshd = config, libexec, sshd
        self.edit, self.penalty = edit, penalty
        # How full or slow this machine's disk is, is none of the lab's business: neither alarms nor closed doors.
        if not trail_size and "disk:" not in config:
            self.config += "disk: {soft: 64MiB, hard: 32MiB, share: 100%, slow: 10m}\n"
        os.makedirs(self.dir, exist_ok=True)
        os.chmod(self.dir, 0o755)
        with open(self.path("lab"), "w", encoding="utf-8") as f:
            f.write("a Sallyport lab; `lab down` removes it\n")
        try:
            self.make(extra_operators, targets, trail_size)
        except BaseException as e:
            tail = self.log_tail()
            self.end_processes()
            self.unmount()
            self.give_back_slot()
            if isinstance(e, KeyboardInterrupt):
                raise
            raise LabError(f"{e}\n{tail}the lab did not come up; `lab down {self.dir}` removes what is left, "
                           f"{self.logfile} has the whole log") from e

    def make(self, extra_operators, targets, trail_size):
        self.operators = list(PEOPLE) + [f"op{i}" for i in range(1, extra_operators + 1)]
        self.hypervisors = [f"hv{i}" for i in range(1, targets + 1)]
        self.slot = self.take_slot()
        self.ports = self.find_ports(targets + 1)
        self.note("hypervisors")
        for i, name in enumerate(self.hypervisors):
            self.start_hypervisor(name, self.ports[1 + i])
        self.note("gateway")
        self.tool("init", "-c", self.conf, "--state", self.state, "--runtime", self.path("run"), "--gateway", GATEWAY,
                  "--listen", f"127.0.0.1:{self.ports[0]}", "--reach", f"127.0.0.1:{self.ports[0]}", "--admin", "0",
                  "--users", str(FIRST_UID + self.slot * UIDS), "--packs", os.path.join(REPO, "conf", "packs"))
        self.configure()
        if trail_size:
            self.trail_on_tmpfs(trail_size)
        self.write_env()
        self.start()
        self.note("keys for the hypervisors")
        for name in self.hypervisors:
            line = self.tool("target", "key", name, "root", "-c", self.conf)
            with open(self.path(name, "authorized_keys"), "w", encoding="utf-8") as f:
                f.write(line)
        self.note("operators")
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(self.enroll, self.operators))
        self.tool("user", "lock", "dave", "--reason", "locked in the lab", "-c", self.conf)
        with open(self.path("ssh_config"), "w", encoding="utf-8") as f:
            f.write(f"Include {self.path('as', 'alice', 'ssh_config')}\n")
        self.note("up")

    def take_slot(self):
        """A free number; those of labs that are gone without `down` are taken over."""
        os.makedirs(SLOTS, exist_ok=True)
        for slot in range(SLOT_COUNT):
            path = f"{SLOTS}/{slot}"
            try:
                os.symlink(self.dir, path)
            except FileExistsError:
                owner = os.readlink(path)
                if owner != self.dir and os.path.exists(os.path.join(owner, "lab")):
                    continue
                if any(alive(p, t) for p, t, _ in Lab(owner).recorded()):
                    continue
                try:
                    os.rename(path, f"{path}.{os.getpid()}")  # only one of several takers succeeds
                    os.unlink(f"{path}.{os.getpid()}")
                    os.symlink(self.dir, path)
                except OSError:
                    continue
            with open(self.path("slot"), "w", encoding="ascii") as f:
                print(slot, file=f)
            return slot
        raise LabError(f"{SLOT_COUNT} labs are up; take some down (they are listed in {SLOTS})")

    def give_back_slot(self):
        try:
            with open(self.path("slot"), encoding="ascii") as f:
                path = f"{SLOTS}/{f.read().strip()}"
            if os.readlink(path) == self.dir:
                os.unlink(path)
        except OSError:
            pass

    def find_ports(self, count):
        first = FIRST_PORT + self.slot * PORTS
        found = [p for p in range(first, first + PORTS) if port_is_free(p)][:count]
        spare = FIRST_PORT - 1
        while len(found) < count and spare > 10000:  # a lab of many hypervisors
            if port_is_free(spare):
                found.append(spare)
            spare -= 1
        if len(found) < count:
            raise LabError(f"not enough free ports from {first}")
        return found

    def start_hypervisor(self, name, port):
        # A home of its own: what root's shell on this machine begins with is none of a hypervisor's, and may take long.
        os.makedirs(self.path(name, "home"))
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        self.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", self.path(name, "host_key"))
        with open(self.path(name, "sshd_config"), "w", encoding="utf-8") as f:
            f.write((SSHD_CONFIG + self.sshd).format(port=port, dir=self.path(name), name=name))
        open(self.path(name, "authorized_keys"), "w", encoding="utf-8").close()
        self.start_sshd(name)

    def start_sshd(self, name):
        with open(self.path(name, "log"), "ab") as log:
            child = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", self.path(name, "sshd_config")],
                                     stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self.record(child.pid, name)
        self.wait_for_port(self.port_of(name), child, self.path(name, "log"))

    def stop_sshd(self, name):
        """The hypervisor is down: its listening sshd and all its sessions."""
        self.end_processes(lambda n: n == name)

    def port_of(self, name):
        with open(self.path(name, "sshd_config"), encoding="utf-8") as f:
            return int(re.search(r"^Port (\d+)$", f.read(), re.M).group(1))

    def wait_for_port(self, port, child, log):
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            if child.poll() is not None:
                with open(log, encoding="utf-8", errors="replace") as f:
                    raise LabError(f"sshd ended: {f.read()[-1000:]}")
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.02)
        raise LabError(f"nothing listens on port {port}")

    def reviewer_uid(self):
        return FIRST_UID + self.slot * UIDS + UIDS - 1

    def configure(self):
        path = self.path("conf", "sallyport.yaml")
        with open(path, encoding="utf-8") as f:
            text = f.read().replace('vault-from: ""', 'vault-from: "127.0.0.1"')
        # A reviewer without any other right: a uid that has no name, the last of this lab's.
        text = text.replace("readers: []", f"readers: [{self.reviewer_uid()}]")
        if self.edit:
            text = self.edit(self, text)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text + "limits: {connections: 512, per-source: 500, reserve: 8, reserve-from: []}\n"
                    f"penalty: {self.penalty}\n" + self.config)
        for name in self.operators:
            os.makedirs(self.path("as", name))
            key = self.path("as", name, "id_ed25519")
            self.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{name}@lab", "-f", key)
        if len(self.operators) <= 32:
            for name in self.operators:
                self.tool("user", "add", name, "--key", self.path("as", name, "id_ed25519.pub"), "--name",
                          name.capitalize(), "-c", self.conf)
        else:
            self.write_operators()
        for i, name in enumerate(self.hypervisors):
            out = self.run("ssh-keygen", "-l", "-f", self.path(name, "host_key.pub"))
            self.tool("target", "add", name, f"127.0.0.1:{self.ports[1 + i]}", "--fingerprint", out.split()[1],
                      "--label", "env=lab", "--label", "kind=libvirt", "-c", self.conf)
        admins = ", ".join(n for n in self.operators if n not in ("bob", "carol", "erin", "frank"))
        for name, text in ROLES.items():
            self.write_conf(f"roles.d/{name}.yaml",
                            text.format(admins=admins, dir=self.dir, virsh=shutil.which("virsh") or "/usr/bin/virsh"))
        for folder in ("logs", "drop", "shared"):
            os.makedirs(self.path("files", folder))

    def write_operators(self):
        """A lab of thousands: one write instead of one `user add` each."""
        lines = ["operators:"]
        for name in self.operators:
            with open(self.path("as", name, "id_ed25519.pub"), encoding="utf-8") as f:
                lines += [f"  {name}:", f'    keys: ["{f.read().strip()}"]']
        self.write_conf("operators.yaml", "\n".join(lines) + "\n")

    def write_conf(self, name, text):
        path = self.path("conf", name)
        with open(path + ".new", "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path + ".new", 0o644)
        os.rename(path + ".new", path)

    def trail_on_tmpfs(self, size, name="trail"):
        trail, aside = self.path("state", name), self.path("state", name + ".made")
        os.rename(trail, aside)
        st = os.stat(aside)
        os.mkdir(trail)
        self.run("mount", "-t", "tmpfs", "-o", f"size={size},mode={st.st_mode & 0o7777:o},uid={st.st_uid},gid={st.st_gid}",
                 "lab", trail)
        self.run("cp", "-a", "--sparse=always", aside + "/.", trail)
        shutil.rmtree(aside)

    def unmount(self):
        for name in ("trail", "auth"):
            if os.path.ismount(self.path("state", name)):
                subprocess.run(["umount", "-l", self.path("state", name)], check=False)

    def enroll(self, name):
        """As an operator would: the setup file, the token, `sallyport login`."""
        home = self.path("as", name)
        for directory in (home, os.path.join(home, "fresh")):
            self.tool("setup", self.path("state", "public", "gateway.setup"), "--dir", directory, "--hosts", "hv*",
                      "--user", "root", "--identity", os.path.join(home, "id_ed25519"))
        with open(os.path.join(home, "fresh_ssh_config"), "w", encoding="utf-8") as f:
            f.write(f"Include {home}/fresh/ssh_config\n")
        token = re.search(r"spe-\S+", self.tool("user", "enroll", name, "-c", self.conf))
        if not token:
            raise LabError(f"`sallyport user enroll {name}` gave no token")
        with open(os.path.join(home, "token"), "w", encoding="ascii") as f:
            f.write(token.group(0))
        child = subprocess.Popen([os.path.join(self.build, "sallyport"), "login", "--dir", home],
                                 env=self.operator_env(name), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, text=True, start_new_session=True)
        said = []
        for line in child.stdout:  # the secret is wanted before the command ends: for the code that confirms it
            said.append(line)
            uri = re.search(r"otpauth://\S+", line)
            if uri:
                secret = urllib.parse.parse_qs(urllib.parse.urlsplit(uri.group(0)).query)["secret"][0]
                with open(os.path.join(home, "totp"), "w", encoding="ascii") as f:
                    f.write(secret)
        if child.wait() != 0:
            raise LabError(f"{name}'s enrolment failed: {''.join(said)}")

    # --- the gateway

    def start(self):
        self.load_env()
        ready, signal_end = os.pipe()
        with open(self.logfile, "ab") as log:
            child = subprocess.Popen([os.path.join(self.build, "sallyportd"), "-c", self.conf,
                                      "--libexec", self.libexec or self.build,
                                      "--ready-fd", str(signal_end)], pass_fds=[signal_end], stdin=subprocess.DEVNULL,
                                     stdout=log, stderr=log, start_new_session=True)
        os.close(signal_end)
        self.record(child.pid, "sallyportd")
        with os.fdopen(ready, "rb") as pipe:
            if pipe.readline() != b"ready\n":
                raise LabError(f"sallyportd did not start (exit status {child.wait()})")
        self.gateway = child

    def stop(self):
        self.end_processes(lambda name: name == "sallyportd")

    def gateway_pid(self):
        found = [p for p, t, n in self.recorded() if n == "sallyportd" and alive(p, t)]
        return found[-1] if found else None

    # --- what tells others

    def write_env(self):
        values = {
            "SALLYPORT_LAB": self.dir,
            "SALLYPORT_BUILD": self.build,
            "SALLYPORT_GATEWAY": f"127.0.0.1:{self.ports[0]}",
            "SALLYPORT_GATEWAY_NAME": GATEWAY,
            "SALLYPORT_CA": self.path("state", "public", "ca.pem"),
            "SALLYPORT_CONF": self.conf,
            "SALLYPORT_STATE": self.state,
            "SALLYPORT_CONTROL": self.path("run", "control"),
            "SSH_ASKPASS": self.path("askpass"),
            "SSH_ASKPASS_REQUIRE": "force",
        }
        with open(self.path("env"), "w", encoding="utf-8") as f:
            for name, value in values.items():
                f.write(f"export {name}={shlex.quote(value)}\n")
            f.write(f"export PATH={shlex.quote(self.build)}:\"$PATH\"\n")
        with open(self.path("askpass"), "w", encoding="utf-8") as f:
            f.write(f"#!/bin/sh\nexec /usr/bin/python3 -I {shlex.quote(os.path.join(HERE, 'askpass.py'))} "
                    f"{shlex.quote(self.dir)} \"$@\"\n")
        os.chmod(self.path("askpass"), 0o755)

    def load_env(self):
        """DIR/env as a dictionary; also the build tree."""
        if self._env is None:
            self._env = {}
            with open(self.path("env"), encoding="utf-8") as f:
                for line in f:
                    name, value = line.removeprefix("export ").rstrip("\n").split("=", 1)
                    if name != "PATH":
                        self._env[name] = shlex.split(value)[0]
            self.build = self._env["SALLYPORT_BUILD"]
        return self._env

    def operator_env(self, name):
        env = {k: v for k, v in os.environ.items() if k not in ("SSH_AUTH_SOCK", "DISPLAY", "SALLYPORT_DEVICE")}
        env.update(self.load_env())
        env["PATH"] = self.build + ":" + env.get("PATH", "/usr/bin:/bin")
        env["SALLYPORT_LAB_OPERATOR"] = name
        return env

    def note(self, text):
        with open(self.logfile, "a", encoding="utf-8") as f:
            f.write(f"lab: {text}\n")

    def log_tail(self, lines=30):
        try:
            with open(self.logfile, encoding="utf-8", errors="replace") as f:
                return "--- the log's end\n" + "".join(f.readlines()[-lines:]) + "---\n"
        except FileNotFoundError:
            return ""

    def run(self, *words):
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              check=False)
        with open(self.logfile, "a", encoding="utf-8") as f:
            f.write(f"lab: {shlex.join(words)}\n{done.stderr}")
        if done.returncode != 0:
            raise LabError(f"{shlex.join(words)} failed: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def tool(self, *words):
        return self.run(os.path.join(self.build, "sallyport"), *words)

    # --- processes

    def record(self, pid, name):
        with open(self.path("pids"), "a", encoding="utf-8") as f:
            f.write(f"{pid} {start_time(pid)} {name}\n")

    def recorded(self):
        try:
            with open(self.path("pids"), encoding="utf-8") as f:
                return [(int(p), t, n) for p, t, n in (line.split() for line in f)]
        except FileNotFoundError:
            return []

    def end_processes(self, which=lambda name: True):
        """SIGTERM, then after a while SIGKILL, to the recorded processes and what they started. The
        gateway first, so that it closes its sessions in order."""
        mine = [(p, t, n) for p, t, n in self.recorded() if which(n) and alive(p, t)]
        for first in (True, False):
            group = [(p, t) for p, t, n in mine if (n == "sallyportd") == first]
            everything = group + [(c, start_time(c)) for p, _ in group for c in descendants(p)]
            for pid, _ in group:
                self.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + (TIMEOUT if first else 3)
            while time.monotonic() < deadline and any(alive(p, t) for p, t in group):
                self.reap()
                time.sleep(0.02)
            for pid, started in everything:
                if alive(pid, started):
                    self.kill(pid, signal.SIGKILL)
            self.reap()

    @staticmethod
    def kill(pid, number):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass

    def reap(self):
        """Those that are children of ours leave zombies until they are waited for."""
        for pid, _, _ in self.recorded():
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass

    def down(self):
        if not os.path.exists(self.dir):
            return
        if not os.path.exists(self.path("lab")):
            raise LabError(f"{self.dir} is not a lab; nothing was removed")
        self.end_processes()
        self.unmount()
        self.give_back_slot()
        shutil.rmtree(self.dir)
