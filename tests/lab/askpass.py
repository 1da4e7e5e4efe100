# SPDX-License-Identifier: Apache-2.0
"""The lab's askpass: `askpass.py LABDIR [PROMPT]` prints what $SALLYPORT_LAB_OPERATOR would type: once the enrolment
token, then codes, as an authenticator app makes them (oathtool).

The gateway takes each time step once, of the present one and one on either side. So the lowest step of
those three that is not used yet is given out, and only when all are used the next one is waited for.
The last step given out stands in the operator's directory, under a lock, for logins side by side."""
import fcntl
import os
import subprocess
import sys
import time

STEP = 30
# A code of the step before is given out only while this much of the present step is left, so that it is not too old when
# it arrives, nor when a test uses it again to see that it is refused as used and not as wrong.
MARGIN = 15


def read(path):
    try:
        with open(path, encoding="ascii") as f:
            return f.read().strip()
    except FileNotFoundError:
        return ""


def choose(last):
    """A step above the last one used that the gateway takes now, or None."""
    now = time.time()
    step, left = int(now // STEP), STEP - now % STEP
    for candidate in ((step - 1,) if left > MARGIN else ()) + (step, step + 1):
        if candidate > last:
            return candidate
    return None


def main():
    lab, name = sys.argv[1], os.environ.get("SALLYPORT_LAB_OPERATOR", "alice")
    home = os.path.join(lab, "as", name)
    with open(os.path.join(home, "lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        token = read(os.path.join(home, "token"))
        if token:
            os.unlink(os.path.join(home, "token"))
            print(token)
            return 0
        deadline = time.time() + 240
        while not (secret := read(os.path.join(home, "totp"))):
            if time.time() > deadline:
                print(f"askpass: {name} is not enrolled", file=sys.stderr)
                return 1
            time.sleep(0.05)
        used = os.path.join(home, "used")
        while (step := choose(int(read(used) or 0))) is None:
            time.sleep(0.1)
        with open(used, "w", encoding="ascii") as f:
            print(step, file=f)
    code = subprocess.run(["oathtool", "--totp", "--base32", "--now", f"@{step * STEP}", "-"], input=secret + "\n",
                          text=True, stdout=subprocess.PIPE, check=True)
    sys.stdout.write(code.stdout)
    return 0


sys.exit(main())
