# SPDX-License-Identifier: Apache-2.0
"""paramiko and asyncssh: the programs that `sallyport setup --for` prints, and more of each library."""
import os

import clients
import harness

setUpModule, tearDownModule = harness.lab_for_module(globals())

PYTHON = ("/usr/bin/python3", "-W", "ignore")


class Library:
    """The same tests for both; `client` is what the library is called."""

    def program(self, body, operator="alice"):
        """A program that has the printed one as its module `printed`."""
        with open(self.printed(self.client, operator=operator), encoding="utf-8") as f, \
                open(os.path.join(self.home, "printed.py"), "w", encoding="utf-8") as out:
            out.write(f.read())
        path = os.path.join(self.home, "program.py")
        with open(path, "w", encoding="utf-8") as f:
            f.write(body)
        return path

    def run_program(self, body, *arguments, operator="alice"):
        done = self.run_client(*PYTHON, self.program(body, operator), *arguments)
        self.assertEqual(done.returncode, 0, done.stderr.decode("utf-8", "replace"))
        return done.stdout

    def test_what_is_printed_runs(self):
        done = self.run_client(*PYTHON, self.printed(self.client), "hv1", "echo $LAB_HYPERVISOR; echo err >&2; exit 3")
        self.assertEqual((done.returncode, done.stdout), (3, b"hv1\n"), done.stderr)
        self.assertIn(b"err\n", done.stderr)
        self.account("echo $LAB_HYPERVISOR; echo err >&2; exit 3", status=3, received=b"hv1\n")

    def test_a_code_is_asked_for(self):
        status, seen = self.at_terminal(*PYTHON, self.printed(self.client, fresh=True), "hv1",
                                        "echo $LAB_HYPERVISOR; exit 3")
        self.assertEqual(status, 3, seen)
        self.assertIn(b"\nhv1\n", seen)
        self.account("echo $LAB_HYPERVISOR; exit 3", status=3, factors="key,totp")

    def test_input_and_output(self):
        data = os.urandom(3 << 20)
        source, back = os.path.join(self.home, "source"), os.path.join(self.home, "back")
        with open(source, "wb") as f:
            f.write(data)
        self.run_program(self.CAT, source, back)
        with open(back, "rb") as f:
            self.assertEqual(f.read() == data, True)
        self.account("cat", sent=data, received=data)


    def test_files(self):
        made, there = self.files(), self.there
        self.run_program(self.FILES, self.home, there, self.lab.path("files"), *(str(s) for s in clients.SIZES))
        files = self.subsystem()
        for path, digest in made.items():
            size = os.path.getsize(path)
            self.assertEqual(clients.sha256(os.path.join(self.home, f"back-{size}")), digest)
            written, read = [c for c in files.closed if c["path"] == f"{there}/file-{size}"][:2]
            for way, said in (("written", written), ("read", read)):
                self.assertEqual(said.get(way, {"bytes": 0})["bytes"], size, said)
            if size > 1:
                self.assertEqual(clients.sha256(f"{there}/file-{size}"), digest)
                self.assertEqual([r["sha256"] for r in written["written"]["ranges"]], [digest])
                self.assertEqual([r["sha256"] for r in read["read"]["ranges"]], [digest])
        st = os.stat(f"{there}/d/one")
        self.assertEqual((st.st_size, st.st_mode & 0o777), (3, 0o600))
        said = [c for c in files.changes() if c[0] in ("mkdir", "rename", "posix-rename@openssh.com", "symlink")]
        self.assertEqual(said, [("mkdir", f"{there}/d", None, "ok"), ("rename", f"{there}/file-1", f"{there}/d/one", "ok"),
                                ("posix-rename@openssh.com", f"{there}/file-0", f"{there}/d/none", "ok"),
                                ("symlink", f"{there}/link", f"{there}/d/one", "ok")])

    def test_what_the_role_leaves_out(self):
        folder = self.lab.path("files")
        said = self.run_program(self.REFUSED, folder, operator="frank").decode().splitlines()
        self.assertEqual(len(said), 4, said)
        for line, path in zip(said, ("/etc/shadow", f"{folder}/logs/x", "/etc", "/etc")):
            self.assertIn("your role does not permit to", line)
            self.assertIn(f" {path} ", line)
        with open(f"{folder}/drop/{self.client}", encoding="utf-8") as f:
            self.assertEqual(f.read(), "go on")
        self.assertEqual([r["why"] for r in self.subsystem(operator="frank").refused], ["path"] * 4)


class Paramiko(Library, clients.ClientTest):
    client = "paramiko"
    CAT = """
import shutil, sys, threading
import printed
with printed.connect("hv1") as client:
    into, out, err = client.exec_command("cat")
    def send():
        with open(sys.argv[1], "rb") as f:
            shutil.copyfileobj(f, into, 32768)
        into.channel.shutdown_write()
    sender = threading.Thread(target=send)
    sender.start()
    with open(sys.argv[2], "wb") as f:
        shutil.copyfileobj(out, f, 32768)
    sender.join()
    assert out.channel.recv_exit_status() == 0
"""

    FILES = """
import sys
import printed
home, there, folder = sys.argv[1:4]
with printed.connect("hv1") as client, client.open_sftp() as sftp:
    for size in sys.argv[4:]:
        sftp.put(f"{home}/file-{size}", f"{there}/file-{size}")
        sftp.get(f"{there}/file-{size}", f"{home}/back-{size}")
    sftp.chdir(there)
    sftp.mkdir("d")
    sftp.rename("file-1", "d/one")
    sftp.posix_rename("file-0", "d/none")
    sftp.symlink(f"{there}/d/one", "link")
    assert sftp.readlink("link") == f"{there}/d/one", sftp.readlink("link")
    sftp.chmod("d/one", 0o600)
    sftp.utime("d/one", (1, 2))
    with sftp.open("d/one", "a") as f:
        f.write(b"more")
    sftp.truncate("d/one", 3)
    assert sftp.stat("link").st_size == 3
    assert sorted(sftp.listdir()) == ["d", "file-3145728", "file-32768", "file-32769", "link"], sftp.listdir()
    sftp.remove("d/none")
    try:
        sftp.open("/not/there")
        assert False
    except FileNotFoundError:
        pass
"""
    REFUSED = """
import sys
import printed
folder = sys.argv[1]
with printed.connect("hv1") as client, client.open_sftp() as sftp:
    for wrong in (lambda: sftp.open("/etc/shadow"), lambda: sftp.open(folder + "/logs/x", "w"),
                  lambda: sftp.listdir("/etc"), lambda: sftp.symlink("/etc", folder + "/shared/etc")):
        try:
            wrong()
            print("permitted")
        except PermissionError as e:
            print(e)
    with sftp.open(folder + "/drop/paramiko", "w") as f:
        f.write(b"go on")
"""

    def test_several_channels(self):
        said = self.run_program("""
import printed
with printed.connect("hv1") as client:
    running = [client.exec_command(f"read x; echo $x; exit {i}") for i in range(8)]
    for i, (into, out, err) in reversed(list(enumerate(running))):
        into.write(f"line {i}\\n")
        into.flush()
        print(out.read().decode().strip(), out.channel.recv_exit_status())
""")
        self.assertEqual(said.decode().splitlines(), [f"line {i} {i}" for i in range(7, -1, -1)])
        self.assertEqual(len({r.channel for r in self.records("output")}), 8)


class Asyncssh(Library, clients.ClientTest):
    client = "asyncssh"
    CAT = """
import asyncio, sys
import printed
async def main():
    async with printed.connect("hv1") as connection:
        done = await connection.run("cat", stdin=sys.argv[1], stdout=sys.argv[2], encoding=None)
        assert done.exit_status == 0
asyncio.run(main())
"""

    FILES = """
import asyncio, sys
import asyncssh
import printed
home, there, folder = sys.argv[1:4]
async def main():
    async with printed.connect("hv1") as connection, connection.start_sftp_client() as sftp:
        for size in sys.argv[4:]:
            await sftp.put(f"{home}/file-{size}", f"{there}/file-{size}")
            await sftp.get(f"{there}/file-{size}", f"{home}/back-{size}")
        await sftp.chdir(there)
        await sftp.mkdir("d")
        await sftp.rename("file-1", "d/one")
        await sftp.posix_rename("file-0", "d/none")
        await sftp.symlink(f"{there}/d/one", f"{there}/link")  # asyncssh leaves the working directory out
        assert await sftp.readlink("link") == f"{there}/d/one"
        await sftp.chmod("d/one", 0o600)
        await sftp.utime("d/one", (1, 2))
        async with sftp.open("d/one", "ab") as f:
            await f.write(b"more")
            await f.fsync()
        await sftp.truncate("d/one", 3)
        assert (await sftp.stat("link")).size == 3
        await sftp.link("d/one", "hard")
        await sftp.remove("hard")
        assert (await sftp.statvfs(".")).bsize
        names = sorted(name for name in await sftp.listdir() if name not in (".", ".."))
        assert names == ["d", "file-3145728", "file-32768", "file-32769", "link"], names
        await sftp.remove("d/none")
        try:
            await sftp.open("/not/there")
            assert False
        except asyncssh.SFTPNoSuchFile:
            pass
asyncio.run(main())
"""
    REFUSED = """
import asyncio, sys
import asyncssh
import printed
folder = sys.argv[1]
async def main():
    async with printed.connect("hv1") as connection, connection.start_sftp_client() as sftp:
        for wrong in (lambda: sftp.open("/etc/shadow"), lambda: sftp.open(folder + "/logs/x", "w"),
                      lambda: sftp.listdir("/etc"), lambda: sftp.symlink("/etc", folder + "/shared/etc")):
            try:
                await wrong()
                print("permitted")
            except asyncssh.SFTPPermissionDenied as e:
                print(e)
        async with sftp.open(folder + "/drop/asyncssh", "w") as f:
            await f.write("go on")
asyncio.run(main())
"""

    def test_several_channels(self):
        said = self.run_program("""
import asyncio
import printed
async def main():
    async with printed.connect("hv1") as connection:
        done = await asyncio.gather(*(connection.run(f"read x; echo $x; exit {i}", input=f"line {i}\\n")
                                      for i in range(8)))
    for one in done:
        print(one.stdout.strip(), one.exit_status)
asyncio.run(main())
""")
        self.assertEqual(said.decode().splitlines(), [f"line {i} {i}" for i in range(8)])
        self.assertEqual(len({r.channel for r in self.records("output")}), 8)

    def test_it_reads_the_file_of_openssh(self):
        """Instead of what is printed: asyncssh understands the device's ssh_config as it is."""
        said = self.run_program("""
import asyncio, sys
import asyncssh
async def main():
    async with asyncssh.connect("hv1", config=[sys.argv[1]]) as connection:
        sys.stdout.write((await connection.run("echo $LAB_HYPERVISOR", check=True)).stdout)
asyncio.run(main())
""", os.path.join(self.device(), "ssh_config"))
        self.assertEqual(said, b"hv1\n")


del Library  # its tests are those of the two
