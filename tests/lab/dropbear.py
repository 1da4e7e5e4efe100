# SPDX-License-Identifier: Apache-2.0
"""A hypervisor of a lab whose SSH server is dropbear: `add(lab, "hv3")`. SFTP there is OpenSSH's sftp-server, which
Debian's dropbear starts as /usr/lib/sftp-server.

dropbear takes authorized_keys from the account's home alone, so it runs in a mount namespace in which root's home is
a directory of the lab's."""
import os
import subprocess

import lablib

# Of the line that the gateway prints dropbear knows neither `from=` nor `pty`, and refuses a key with an option that
# it does not know.
OPTIONS = "no-port-forwarding,no-agent-forwarding,no-X11-forwarding"


def add(lab, name, labels=("env=lab", "kind=libvirt")):
    home, key = lab.path(name, "home"), lab.path(name, "host_key")
    os.makedirs(os.path.join(home, ".ssh"), mode=0o700)
    os.chmod(home, 0o700)
    said = lab.run("dropbearkey", "-t", "ed25519", "-f", key)
    with open(lab.path(name, "host_key.pub"), "w", encoding="utf-8") as f:
        f.write(next(line for line in said.splitlines() if line.startswith("ssh-ed25519 ")) + "\n")
    port = free_port(lab)
    script = 'mount --bind "$1" /root && exec dropbear -F -E -s -r "$2" -p "$3" -P "$4"'
    with open(lab.path(name, "log"), "ab") as log:
        child = subprocess.Popen(["unshare", "--mount", "sh", "-c", script, "sh", home, key, f"127.0.0.1:{port}",
                                  lab.path(name, "pid")], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                 env={**os.environ, "LAB_HYPERVISOR": name}, start_new_session=True)
    lab.record(child.pid, name)
    lab.wait_for_port(port, child, lab.path(name, "log"))
    fingerprint = lab.run("ssh-keygen", "-l", "-f", lab.path(name, "host_key.pub")).split()[1]
    words = [word for label in labels for word in ("--label", label)]
    lab.tool("target", "add", name, f"127.0.0.1:{port}", "--fingerprint", fingerprint, *words, "-c", lab.conf)
    line = lab.tool("target", "key", name, "root", "-c", lab.conf).split(" ", 1)[1]
    with open(os.path.join(home, ".ssh", "authorized_keys"), "w", encoding="utf-8") as f:
        f.write(f"{OPTIONS} {line}")
    return home


def free_port(lab):
    """One of the lab's own, above those of its other hypervisors."""
    first = lablib.FIRST_PORT + lab.slot * lablib.PORTS
    return next(p for p in range(first + lablib.PORTS - 1, first, -1) if lablib.port_is_free(p))
