#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Counts what a `meson test` run did: tally.py BUILD-DIR prints "PASSED FAILED SKIPPED".

A cmocka program counts with its cases, any other test as one. A program that fails without a
failed case (a crash, a sanitizer's finding, a time limit) counts as one failure.
"""
import json
import pathlib
import re
import sys

RAN = re.compile(r"\[=+\] (\d+) test\(s\) run")
PASSED = re.compile(r"\[ +PASSED +\] (\d+) test\(s\)")
SKIPPED = re.compile(r"\[ +SKIPPED +\] (\d+) test\(s\)")


def total(pattern, text):
    return sum(int(n) for n in pattern.findall(text))


def tally(record):
    """(passed, failed, skipped) of one line of testlog.json."""
    text = record.get("stdout", "") + record.get("stderr", "")
    good = record["result"] in ("OK", "EXPECTEDFAIL")
    if record["result"] == "SKIP":
        return 0, 0, 1
    ran = total(RAN, text)
    if ran == 0:
        return (1, 0, 0) if good else (0, 1, 0)
    passed, skipped = min(ran, total(PASSED, text)), total(SKIPPED, text)
    failed = 0 if good else max(1, ran - passed - skipped)
    return passed, failed, skipped


def main():
    log = pathlib.Path(sys.argv[1], "meson-logs", "testlog.json")
    sums = [0, 0, 0]
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        for i, n in enumerate(tally(json.loads(line))):
            sums[i] += n
    print(*sums)


main()
