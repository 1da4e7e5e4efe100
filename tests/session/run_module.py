# SPDX-License-Identifier: Apache-2.0
"""One module's session tests (tests/session/run starts this)."""
import os
import sys
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))


class LineResult(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.passed = self.bad = 0
        self.began = time.monotonic()  # a setUp of the module that fails has no startTest

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()

    def say(self, word, test, detail=""):
        name = test.id() if hasattr(test, "id") else str(test)
        print(f"{word} {name} ({time.monotonic() - self.began:.1f} s)", flush=True)
        if detail:
            print("    " + detail.rstrip().replace("\n", "\n    "), flush=True)

    def addSuccess(self, test):
        self.passed += 1
        self.say("ok  ", test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.bad += 1
        self.say("FAIL", test, self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self.bad += 1
        self.say("FAIL", test, self.errors[-1][1])

    def addSkip(self, test, reason):
        self.bad += 1
        self.say("FAIL", test, f"skipped: {reason}")

    def addSubTest(self, test, subtest, err):
        if err is not None:
            super().addSubTest(test, subtest, err)
            self.bad += 1
            self.say("FAIL", subtest, (self.failures + self.errors)[-1][1])


def main():
    os.umask(0o022)  # whoever starts the tests: modes are looked at, and other users reach what the lab makes
    loader = unittest.TestLoader()
    if len(sys.argv) > 2:
        loader.testNamePatterns = [f"*{sys.argv[2]}*"]
    suite = loader.loadTestsFromName(sys.argv[1])
    result = LineResult()
    if suite.countTestCases():
        suite.run(result)
    print(f"{result.passed} passed, {result.bad} failed")
    return 1 if result.bad else 0


sys.exit(main())
