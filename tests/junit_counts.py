#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print one line for each test case in a ctest JUnit file: pass, skip or fail, and its name; and
one, "slow SECONDS NAME", for each of the five that took longest."""
import sys
import xml.etree.ElementTree as ET

WORDS = {"run": "pass", "notrun": "skip", "disabled": "skip"}


def main():
    cases = ET.parse(sys.argv[1]).getroot().findall("testcase")
    for case in cases:
        word = WORDS.get(case.get("status"), "fail")
        reason = ""
        if word == "skip":
            text = (case.findtext("system-out") or "").strip().splitlines()
            message = next((line for line in reversed(text) if "skip" in line.lower()), "")
            reason = f": {message}" if message else ""
            if "Unable to find executable" in "".join(text):
                word = "fail"
        print(word, case.get("name") + reason)
    times = sorted(((float(case.get("time") or 0), case.get("name")) for case in cases), reverse=True)
    for seconds, name in times[:5]:
        print(f"slow {seconds:.0f} {name}")
    return 0 if cases else 1


if __name__ == "__main__":
    sys.exit(main())
