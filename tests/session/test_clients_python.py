# SPDX-License-Identifier: Apache-2.0
"""paramiko and asyncssh: the programs that `sallyport setup --for` prints, and more of each library."""
import os

import clients
import harness

setUpModule, tearDownModule = harness.lab_for_module(globals())

PYTHON = ("/usr/bin/python3", "-W", "ignore")


class Library:
    """The same tests for both; `client` is what the library is called."""

    def program(self, body):
        """A program that has the printed one as its module `printed`."""
        with open(self.printed(self.client), encoding="utf-8") as f, \
                open(os.path.join(self.home, "printed.py"), "w", encoding="utf-8") as out:
            out.write(f.read())
        path = os.path.join(self.home, "program.py")
        with open(path, "w", encoding="utf-8") as f:
            f.write(body)
        return path

    def run_program(self, body, *arguments):
        done = self.run_client(*PYTHON, self.program(body), *arguments)
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
