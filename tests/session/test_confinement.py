# SPDX-License-Identifier: Apache-2.0
"""Each process as /proc shows it: its uid, no_new_privs, seccomp, root directory, capabilities, descriptors."""
import os
import subprocess

import harness
import sanitizers

setUpModule, tearDownModule = harness.lab_for_module(globals())

# The courier and the witness run where checkpoints go elsewhere: test_elsewhere.py looks at them. The firewall, which
# keeps one capability, runs in a network namespace: test_firewall.py.
PROGRAMS = ("sallyport-listener", "sallyport-frontend", "sallyport-backend", "sallyport-authd", "sallyport-auditd",
            "sallyport-reader")


class Confinement(harness.SessionTest):
    def setUp(self):
        super().setUp()
        self.child = self.live()
        # A reader lives as long as somebody reads.
        self.reviewer = subprocess.Popen([os.path.join(self.lab.build, "sallyport"), "audit", "show", "--recorded",
                                          "--follow", "last"], env=self.lab.operator_env("admin"),
                                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end_child, self.reviewer)
        self.reviewer.stdout.readline()
        # Those of the test before may be on their way out.
        harness.wait_until("one session and one reader", lambda: len(self.servers_and_children("sallyport-frontend")[1]) ==
                           len(self.servers_and_children("sallyport-backend")[1]) ==
                           len(self.gateway_processes()["sallyport-reader"]) == 1)
        self.processes = self.gateway_processes()

    def each(self):
        for program in PROGRAMS:
            self.assertIn(program, self.processes)
            for pid in self.processes[program]:
                yield program, pid, harness.proc_status(pid)

    def test_every_program_has_a_uid_of_its_own(self):
        uids = {}
        for program, _, status in self.each():
            self.assertEqual(len(set(status["Uid"].split())), 1)
            uids.setdefault(status["Uid"].split()[0], set()).add(program)
            self.assertEqual(status.get("Groups", "").strip(), "")
        self.assertEqual(len(uids), len(PROGRAMS))
        self.assertNotIn("0", uids)

    def test_no_new_privileges_and_seccomp(self):
        for _, _, status in self.each():
            self.assertEqual(status["NoNewPrivs"], "1")
            self.assertEqual(status["Seccomp"], sanitizers.SECCOMP)

    def test_supervisor_is_filtered_too(self):
        status = harness.proc_status(self.lab.gateway_pid())
        self.assertEqual(status["Seccomp"], sanitizers.SECCOMP)

    def test_no_capabilities(self):
        for _, _, status in self.each():
            for which in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                self.assertEqual(int(status[which], 16), 0, which)

    def test_no_core_and_not_dumpable(self):
        for _, pid, _ in self.each():
            with open(f"/proc/{pid}/limits", encoding="utf-8") as f:
                core = next(line for line in f if line.startswith("Max core file size"))
            self.assertEqual(core.split()[4], "0", core)
            dumpable = os.stat(f"/proc/{pid}/environ").st_uid != 0
            self.assertEqual(dumpable, sanitizers.SANITIZED)

    def test_root_directories_hold_nothing(self):
        for program, pid, _ in self.each():
            root = os.readlink(f"/proc/{pid}/root")
            own = {"sallyport-authd": "auth", "sallyport-auditd": "trail", "sallyport-reader": "trail"}.get(program, "empty")
            self.assertEqual(root, self.lab.path("state", own))
        # The leak checker is given /proc.
        self.assertEqual(os.listdir(self.lab.path("state", "empty")), ["proc"] if sanitizers.SANITIZED else [])

    def test_descriptor_tables_are_clean(self):
        for program, pid, _ in self.each():
            for fd in os.listdir(f"/proc/{pid}/fd"):
                try:
                    target = os.readlink(f"/proc/{pid}/fd/{fd}")
                except FileNotFoundError:
                    continue
                if int(fd) <= 1:
                    self.assertEqual(target, "/dev/null")
                elif int(fd) == 2:
                    self.assertEqual(target, self.lab.logfile)
                elif program in ("sallyport-listener", "sallyport-frontend", "sallyport-backend"):
                    # pipe: libevent's own, to wake its loop on a signal.
                    allowed = r"^(socket:|anon_inode:|pipe:)" if program == "sallyport-listener" else r"^(socket:|anon_inode:)"
                    self.assertRegex(target, allowed, f"descriptor {fd} of {program}")

    def test_the_frontend_has_no_network_socket(self):
        with open("/proc/net/tcp", encoding="ascii") as f:
            tcp = {line.split()[9] for line in f}
        for pid in self.processes["sallyport-frontend"] + self.processes["sallyport-authd"]:
            for fd in os.listdir(f"/proc/{pid}/fd"):
                target = os.readlink(f"/proc/{pid}/fd/{fd}")
                if target.startswith("socket:["):
                    self.assertNotIn(target[8:-1], tcp)

    def test_one_child_for_one_connection(self):
        servers, children = self.servers_and_children("sallyport-backend")
        self.assertEqual((len(servers), len(children)), (1, 1))
        servers, children = self.servers_and_children("sallyport-frontend")
        self.assertEqual((len(servers), len(children)), (1, 1))

    def test_keys_are_root_s_alone(self):
        keys = self.lab.path("state", "keys")
        self.assertEqual(os.stat(keys).st_mode & 0o7777, 0o700)
        self.assertEqual(os.stat(keys).st_uid, 0)
        self.assertEqual(os.stat(self.lab.path("state", "auth")).st_mode & 0o7777, 0o700)

    def test_the_trail_is_the_recorder_s_and_its_records_the_readers_group_s(self):
        trail = self.lab.path("state", "trail")
        of = os.stat(trail)
        self.assertEqual(of.st_mode & 0o7777, 0o2750)
        readers = {s["Gid"].split()[0] for p, _, s in self.each() if p == "sallyport-reader"}
        self.assertEqual(readers, {str(of.st_gid)})
        for name in os.listdir(trail):
            entry = os.stat(os.path.join(trail, name))
            if name.endswith(".spa") or name in ("checkpoint", "anchor.note"):
                self.assertEqual((entry.st_gid, entry.st_mode & 0o777), (of.st_gid, 0o640), name)
            elif name.startswith("epoch") or name == "lock":
                self.assertEqual(entry.st_mode & 0o077, 0, name)
