"""Runs the library's cases for vitest: `run_cases.py list` or `run_cases.py run`, one JSON object a line.

list: {id, title, needs}: `needs` is null, or what is missing and how to get it.
run:  {id, outcome: passed | failed | skipped, detail}
"""

import json
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "..", "..", "..", "..", "sdk", "python"))
sys.dont_write_bytecode = True
# What the cases print must not mix with the report.
REPORT = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)


def flat(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flat(item)
        else:
            yield item


def say(line):
    REPORT.write(json.dumps(line) + "\n")


class Reporter(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.seen = {}

    def addFailure(self, test, err):
        self.seen[test.id()] = ("failed", self._exc_info_to_string(err, test))

    addError = addFailure

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.seen[test.id()] = ("failed", "%s\n%s" % (subtest, self._exc_info_to_string(err, test)))

    def addSkip(self, test, reason):
        self.seen[test.id()] = ("skipped", reason)

    def stopTest(self, test):
        outcome, detail = self.seen.get(test.id(), ("passed", ""))
        say({"id": test.id(), "outcome": outcome, "detail": detail})


def main():
    cases = sorted(
        flat(unittest.defaultTestLoader.discover(HERE, pattern="case_*.py")), key=lambda case: case.id()
    )
    if sys.argv[1:] == ["list"]:
        for case in cases:
            method = getattr(case, case._testMethodName)
            say({"id": case.id(), "title": case.shortDescription(), "needs": getattr(method, "needs", None)})
        return
    result = Reporter()
    for case in cases:
        case.run(result)


if __name__ == "__main__":
    main()
