"""Every dependency's licence must be one of those below. Prints how many there are of each; fails on any other."""

import collections
import json
import re
import subprocess
import sys

# Permissive licences, and those that bind only changed files of the library itself (MPL).
ALLOWED = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "CDLA-Permissive-2.0", "ISC", "MIT",
    "MIT-0", "MPL-2.0", "OpenSSL", "Unicode-3.0", "Unlicense", "Zlib",
}

# What stands behind WITH only adds permissions.
EXCEPTIONS = {"LLVM-exception"}


def allows(expression):
    """Whether an SPDX expression leaves us a choice that is allowed."""
    words = re.findall(r"[()]|[^\s()]+", expression.replace("/", " OR "))

    def alternatives():
        found = conjunction()
        while words and words[0] == "OR":
            words.pop(0)
            found = conjunction() or found
        return found

    def conjunction():
        found = licence()
        while words and words[0] == "AND":
            words.pop(0)
            found = licence() and found
        return found

    def licence():
        word = words.pop(0)
        if word == "(":
            found = alternatives()
            words.pop(0)
        else:
            found = word in ALLOWED
        if words and words[0] == "WITH":
            words.pop(0)
            found = words.pop(0) in EXCEPTIONS and found
        return found

    try:
        return alternatives() and not words
    except IndexError:
        return False


def main():
    command = ["cargo", "metadata", "--locked", "--format-version", "1"]
    metadata = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    own = set(metadata["workspace_members"])
    packages = [package for package in metadata["packages"] if package["id"] not in own]
    seen = collections.Counter()
    bad = []
    for package in packages:
        expression = package["license"] or "none given"
        seen[expression] += 1
        if not allows(expression):
            bad.append(f"{package['name']} {package['version']}: {expression}")
    for expression, count in seen.most_common(5):
        print(f"{count:5} {expression}")
    for line in bad:
        print(f"licence not allowed: {line}", file=sys.stderr)
    print(f"licences: {len(packages)} dependencies, {len(seen)} licences, {len(bad)} not allowed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
