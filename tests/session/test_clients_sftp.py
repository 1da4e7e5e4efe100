# SPDX-License-Identifier: Apache-2.0
"""SFTP by OpenSSH's sftp, scp and sshfs and by curl's libssh2: what arrives, and the trail's account of each file."""
import os
import stat
import subprocess

import clients
import dropbear
import harness

_up, tearDownModule = harness.lab_for_module(globals())


def setUpModule():
    _up()
    try:
        dropbear.add(globals()["lab"], "hv3")
    except BaseException:
        tearDownModule()
        raise


class SftpTest(clients.ClientTest):
    operator = "alice"

    def words(self, program, *options):
        return (program, "-F", os.path.join(self.device(operator=self.operator), "ssh_config"), *options)

    def sftp(self, *lines, host="hv1"):
        return self.run_client(*self.words("sftp", "-q", "-b", "-"), host, stdin="\n".join(lines).encode() + b"\n")

    def done(self, done):
        self.assertEqual((done.returncode, done.stderr), (0, b""), done.stdout)
        return done

    def tree(self, top):
        """Files of some sizes in folders, below self.home/top; path from top to SHA-256."""
        for folder in ("a/b", "empty", "c d"):
            os.makedirs(os.path.join(self.home, top, folder))
        made = {}
        for folder in ("", "a", "a/b", "c d"):
            for size in (0, 77, 70000):
                name = os.path.join(folder, f"f{size}")
                with open(os.path.join(self.home, top, name), "wb") as f:
                    f.write(os.urandom(size))
                made[name] = clients.sha256(f.name)
        return made

    def same_tree(self, top, made):
        found = {os.path.relpath(os.path.join(where, name), top): clients.sha256(os.path.join(where, name))
                 for where, _, names in os.walk(top) for name in names}
        self.assertEqual(found, made)
        self.assertTrue(os.path.isdir(os.path.join(top, "empty")))


class Sftp(SftpTest):
    def test_put_and_get(self):
        made = self.files()
        lines = [f'put "{path}" {self.there}/' for path in made]
        lines += [f'get {self.there}/{os.path.basename(path)} back-{os.path.basename(path)}' for path in made]
        self.done(self.sftp(*lines))
        files = self.subsystem()
        for path, digest in made.items():
            name = os.path.basename(path)
            self.assertEqual(clients.sha256(os.path.join(self.there, name)), digest)
            self.assertEqual(clients.sha256(os.path.join(self.home, f"back-{name}")), digest)
            written, read = [c for c in files.closed if c["path"] == f"{self.there}/{name}"]
            self.assertEqual((written["by"], written["status"], read["by"]), ("operator", "ok", "operator"))
            self.moved(files, f"{self.there}/{name}", read=path)
            self.assertEqual(written["written"]["bytes"], os.path.getsize(path))
            if os.path.getsize(path):
                self.assertEqual([r["sha256"] for r in written["written"]["ranges"]], [digest])
        flags = [r["flags"] for r in files.requests if r["op"] == "open"]
        self.assertEqual(flags, [["write", "creat", "trunc"]] * len(made) + [["read"]] * len(made))

    def test_everything_else(self):
        local = next(iter(self.files()))
        there = self.there
        done = self.done(self.sftp(f"cd {there}", f'put "{local}" x', "mkdir d", "rename x d/y", "chmod 600 d/y",
                                   f"ln -s {there}/d/y link", "ln d/y hard", "ls -l", "ls d", "df", "rm hard", "mkdir e",
                                   "rmdir e", "pwd"))
        self.assertIn(f"Remote working directory: {there}".encode(), done.stdout)
        self.assertIn(b" link", done.stdout)
        self.assertIn(b"d/y", done.stdout)
        self.assertEqual(stat.S_IMODE(os.stat(f"{there}/d/y").st_mode), 0o600)
        self.assertEqual(os.readlink(f"{there}/link"), f"{there}/d/y")
        self.assertEqual(sorted(os.listdir(there)), ["d", "link"])
        files = self.subsystem()
        self.assertEqual([c for c in files.changes() if c[0] != "setstat"],
                         [("mkdir", f"{there}/d", None, "ok"),
                          ("posix-rename@openssh.com", f"{there}/x", f"{there}/d/y", "ok"),
                          ("symlink", f"{there}/link", f"{there}/d/y", "ok"),
                          ("hardlink@openssh.com", f"{there}/d/y", f"{there}/hard", "ok"),
                          ("remove", f"{there}/hard", None, "ok"), ("mkdir", f"{there}/e", None, "ok"),
                          ("rmdir", f"{there}/e", None, "ok")])
        self.assertEqual([r["attrs"] for r in files.requests if r["op"] == "setstat"], [{"mode": "0600"}])

    def test_recursive_both_ways(self):
        made = self.tree("top")
        self.done(self.sftp(f"put -R top {self.there}", f"get -R {self.there}/top back"))
        self.same_tree(f"{self.there}/top", made)
        self.same_tree(os.path.join(self.home, "back"), made)
        files = self.subsystem()
        self.assertEqual({c["path"] for c in files.closed if c.get("written")} >=
                         {f"{self.there}/top/{name}" for name in made if not name.endswith("f0")}, True)

    def test_going_on_where_it_stopped(self):
        local = os.path.join(self.home, "file-3145728")
        self.files()
        with open(local, "rb") as f, open(f"{self.there}/x", "wb") as half:
            half.write(f.read(1000000))
        self.done(self.sftp(f"reput file-3145728 {self.there}/x"))
        self.assertEqual(clients.sha256(f"{self.there}/x"), clients.sha256(local))
        closed = self.subsystem().closed[-1]
        self.assertEqual([(r["from"], r["to"]) for r in closed["written"]["ranges"]], [(1000000, 3145728)])

    def test_what_fails_there_is_told_as_it_is(self):
        done = self.sftp("-get /not/there x", "-mkdir /proc/x", f"put /etc/os-release {self.there}/")
        self.assertEqual(done.returncode, 0)
        self.assertIn(b"not found", done.stderr)
        files = self.subsystem()
        self.assertIn("no-such-file", files.results.values())
        self.assertFalse(files.refused)

    def test_a_hypervisor_with_dropbear(self):
        made = self.files()
        lines = [f'put "{path}" {self.there}/' for path in made] + [f"get {self.there}/file-3145728 back"]
        self.done(self.sftp(*lines, host="hv3"))
        files = self.subsystem(target="hv3")
        for path, digest in made.items():
            self.assertEqual(clients.sha256(os.path.join(self.there, os.path.basename(path))), digest)
            self.moved(files, f"{self.there}/{os.path.basename(path)}",
                       **{"read" if path.endswith("3145728") else "written": path})
        self.assertEqual(clients.sha256(os.path.join(self.home, "back")), made[path])


class Printed(SftpTest):
    def test_openssh(self):
        done = self.run_client("bash", "-e", self.printed("openssh"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"Linux", done.stdout)
        self.assertEqual(clients.sha256(os.path.join(self.home, "os-release")), clients.sha256("/etc/os-release"))

    def test_sshfs(self):
        done = self.done(self.run_client("bash", "-e", self.printed("sshfs")))
        self.assertIn(b"os-release\n", done.stdout)
        self.assertFalse(os.path.ismount(os.path.join(self.home, "hv1")))


class Refused(SftpTest):
    operator = "frank"

    def test_what_the_role_leaves_out(self):
        folder = self.lab.path("files")
        with open(f"{folder}/logs/log", "w", encoding="utf-8") as f:
            f.write("a line\n")
        # sftp begins by asking for the home folder, which frank may not see, and ends when it is not told.
        done = self.sftp("pwd", "-ls /root", "-get /etc/shadow x", f"-put /etc/os-release {folder}/logs/x", f"-rm {folder}/logs/log",
                         f"-get {folder}/drop/x", f"get {folder}/logs/log", f"put log {folder}/drop/log")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertFalse(os.path.exists(os.path.join(self.home, "x")))
        self.assertEqual(os.listdir(f"{folder}/logs"), ["log"])
        self.assertEqual(clients.sha256(f"{folder}/drop/log"), clients.sha256(os.path.join(self.home, "log")))
        files = self.subsystem(operator="frank")
        refused = {(r["op"], r["path"]) for r in files.refused}
        self.assertIn(b"Remote working directory: /root\n", done.stdout)
        self.assertNotIn(b".ssh", done.stdout)
        self.assertLessEqual({("open", f"{folder}/logs/x"), ("remove", f"{folder}/logs/log")}, refused)
        self.assertEqual({r["why"] for r in files.refused}, {"path"})
        self.assertEqual(len(self.records("decision", allowed=False, what="file")), len(files.refused))

    def test_scp(self):
        folder = self.lab.path("files")
        done = self.run_client(*self.words("scp"), "/etc/os-release", f"hv1:{folder}/logs/x")
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"ermission denied", done.stderr)
        done = self.run_client(*self.words("scp", "-O"), "/etc/os-release", f"hv1:{folder}/drop/x")
        self.assertNotEqual(done.returncode, 0)
        self.assertFalse(os.path.exists(f"{folder}/drop/x"))
        self.done(self.run_client(*self.words("scp", "-q"), "/etc/os-release", f"hv1:{folder}/drop/y"))
        self.moved(self.subsystem(operator="frank"), f"{folder}/drop/y", written="/etc/os-release")


class Scp(SftpTest):
    def test_files(self):
        made = self.files()
        self.done(self.run_client(*self.words("scp", "-q", "-p"), *made, f"hv1:{self.there}"))
        files = self.subsystem()
        for path, digest in made.items():
            there = os.path.join(self.there, os.path.basename(path))
            self.assertEqual(clients.sha256(there), digest)
            self.assertEqual(int(os.stat(there).st_mtime), int(os.stat(path).st_mtime))
            self.moved(files, there, written=path)
        back = os.path.join(self.home, "back")
        os.mkdir(back)
        self.done(self.run_client(*self.words("scp", "-q"), f"hv1:{self.there}/file-*", back))
        files = self.subsystem()
        for path, digest in made.items():
            self.assertEqual(clients.sha256(os.path.join(back, os.path.basename(path))), digest)
            self.moved(files, os.path.join(self.there, os.path.basename(path)), read=path)

    def test_folders(self):
        made = self.tree("top")
        self.done(self.run_client(*self.words("scp", "-q", "-r"), "top", f"hv1:{self.there}/"))
        self.same_tree(f"{self.there}/top", made)
        self.done(self.run_client(*self.words("scp", "-q", "-r"), f"hv1:{self.there}/top", "back"))
        self.same_tree(os.path.join(self.home, "back"), made)

    def test_a_path_from_the_home_folder(self):
        self.done(self.run_client(*self.words("scp", "-q"), "/etc/os-release", "hv3:in-the-home"))
        self.moved(self.subsystem(target="hv3"), "/root/in-the-home", written="/etc/os-release")
        self.assertTrue(os.path.exists(self.lab.path("hv3", "home", "in-the-home")))


class Sshfs(SftpTest):
    def mount(self, there, *options):
        mounted = os.path.join(self.home, "mounted")
        os.mkdir(mounted)
        self.done(self.run_client(*self.words("sshfs"), *options, f"hv1:{there}", mounted))
        self.addCleanup(subprocess.run, ["fusermount3", "-u", "-z", "-q", mounted], check=False)
        return mounted

    def unmount(self, mounted):
        self.done(self.run_client("fusermount3", "-u", mounted))

    def test_a_mounted_folder(self):
        made = self.files()
        mounted = self.mount(self.there)
        for path in made:
            self.done(self.run_client("cp", path, mounted))
        self.done(self.run_client("sh", "-ec", 'cd "$1"; mkdir d; mv file-1 d/one; chmod 600 d/one; ln -s d/one link; '
                                  'echo more >>d/one; truncate -s 3 d/one; rm file-0; df . >/dev/null; ls -lR >/dev/null; '
                                  'cat link >/dev/null; touch -d "2001-02-03" d/one', "sh", mounted))
        for path, digest in made.items():
            if os.path.getsize(path) > 1:
                self.assertEqual(clients.sha256(os.path.join(mounted, os.path.basename(path))), digest)
        self.unmount(mounted)
        self.assertEqual(sorted(os.listdir(self.there)), ["d", "file-3145728", "file-32768", "file-32769", "link"])
        st = os.stat(f"{self.there}/d/one")
        self.assertEqual((st.st_size, stat.S_IMODE(st.st_mode), int(st.st_mtime)), (3, 0o600, 981158400))
        files = self.subsystem()
        for path, digest in made.items():
            there = os.path.join(self.there, os.path.basename(path))
            if os.path.getsize(path) > 1:
                self.assertEqual(clients.sha256(there), digest)
            if os.path.getsize(path):
                written = [c for c in files.closed if c["path"] == there and c.get("written", {}).get("bytes")]
                self.assertEqual([c["written"]["bytes"] for c in written], [os.path.getsize(path)])
        changes = [c[0] for c in files.changes()]
        for operation in ("mkdir", "symlink", "remove"):
            self.assertIn(operation, changes)

    def test_a_role_that_reads_some(self):
        self.operator = "frank"
        folder = self.lab.path("files")
        with open(f"{folder}/shared/log", "w", encoding="utf-8") as f:
            f.write("a line\n")
        mounted = self.mount(folder)
        done = self.run_client("cat", f"{mounted}/shared/log")
        self.assertEqual((done.returncode, done.stdout), (0, b"a line\n"), done.stderr)
        done = self.run_client("cp", "/etc/os-release", f"{mounted}/logs/x")
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"Permission denied", done.stderr)
        self.done(self.run_client("cp", "/etc/os-release", f"{mounted}/drop/x"))
        self.unmount(mounted)
        self.assertTrue(self.subsystem(operator="frank").refused)


class Curl(SftpTest):
    def curl(self, *words):
        return self.run_client("curl", "-sS", "-m", "240", "-K", self.printed("curl"), *words)

    def test_up_and_down(self):
        for path, digest in self.files().items():
            there = os.path.join(self.there, os.path.basename(path))
            self.done(self.curl("-T", path, f"sftp://hv1{there}"))
            self.assertEqual(clients.sha256(there), digest)
            self.moved(self.subsystem(), there, written=path)
            self.done(self.curl("-o", "back", f"sftp://hv1{there}"))
            self.assertEqual(clients.sha256(os.path.join(self.home, "back")), digest)
        self.moved(self.subsystem(), there, read=path)

    def test_a_range_a_list_and_commands(self):
        there = self.there
        with open(f"{there}/x", "w", encoding="utf-8") as f:
            f.write("0123456789")
        self.assertEqual(self.done(self.curl("-r", "3-5", f"sftp://hv1{there}/x")).stdout, b"345")
        self.assertIn(b"x\n", self.done(self.curl("-l", f"sftp://hv1{there}/")).stdout)
        self.done(self.curl("-l", "-Q", f"mkdir {there}/d", "-Q", f"rename {there}/x {there}/d/y", "-Q",
                            f"chmod 600 {there}/d/y", f"sftp://hv1{there}/"))
        self.assertEqual(os.listdir(there), ["d"])
        self.assertEqual([c[:3] for c in self.subsystem().changes()],
                         [("mkdir", f"{there}/d", None), ("rename", f"{there}/x", f"{there}/d/y"),
                          ("setstat", f"{there}/d/y", None)])
