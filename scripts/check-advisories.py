"""No locked dependency may have a known vulnerability, or have been yanked.

In this order: `cargo audit` or `cargo deny` where one is installed; else the RustSec advisory database in ADVISORY_DB,
in ~/.cargo/advisory-db, or fetched now, read by this script; else a counted skip, which CI_REQUIRE=all makes a failure.
Yanked versions are looked up in what cargo itself keeps of the registry's index, in each case.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib

DATABASE = "https://github.com/RustSec/advisory-db"
CARGO_HOME = pathlib.Path(os.environ.get("CARGO_HOME", pathlib.Path.home() / ".cargo"))
CLONE = pathlib.Path("target/advisory-db")


def version(text):
    """A version as something that compares as versions do; a pre-release comes before its release.

    >>> version("1.10.0") > version("1.9.9"), version("1.0.0-rc.1") < version("1.0.0")
    (True, True)
    """
    core, _, pre = text.split("+")[0].partition("-")
    numbers = [int(number) for number in core.split(".")]
    numbers += [0] * (3 - len(numbers))
    parts = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in pre.split(".")] if pre else []
    return numbers, not pre, parts


def matches(requirement, text):
    """Whether a version fulfils a requirement of the kinds that advisories use.

    >>> [matches(">= 1.2.3, < 2.0.0", v) for v in ("1.2.2", "1.2.3", "1.99.0", "2.0.0")]
    [False, True, True, False]
    >>> [matches("^1.2.3", v) for v in ("1.2.2", "1.9.0", "2.0.0")], [matches("^0.3.1", v) for v in ("0.3.9", "0.4.0")]
    ([False, True, False], [True, False])
    >>> [matches("~1.2.3", v) for v in ("1.2.9", "1.3.0")], matches("= 1.0.0", "1.0.0"), matches("< 0.5", "0.4.9")
    ([True, False], True, True)
    """
    found = version(text)
    for comparator in requirement.split(","):
        operator, bound_text = re.fullmatch(r"\s*(>=|<=|>|<|=|\^|~)?\s*(\S+)\s*", comparator).groups()
        bound = version(bound_text)
        given = bound_text.split("-")[0].count(".") + 1
        if operator in ("^", None):
            leading = next((i for i, number in enumerate(bound[0][:given]) if number), given - 1)
            holds = found >= bound and found[0][: leading + 1] == bound[0][: leading + 1]
        elif operator == "~":
            kept = min(given, 2)
            holds = found >= bound and found[0][:kept] == bound[0][:kept]
        else:
            holds = {">=": found >= bound, "<=": found <= bound, ">": found > bound, "<": found < bound, "=": found == bound}[operator]
        if not holds:
            return False
    return True


def locked():
    """Name and version of every dependency from the registry."""
    lock = tomllib.loads(pathlib.Path("Cargo.lock").read_text())
    return [(p["name"], p["version"]) for p in lock["package"] if p.get("source", "").startswith("registry+")]


def vulnerable(database, packages):
    """The advisories that concern a locked version; notices of unmaintained or unsound crates are no vulnerability."""
    bad = []
    for name, found in packages:
        for path in sorted((database / "crates" / name).glob("RUSTSEC-*.md")):
            advisory = tomllib.loads(re.search(r"```toml\n(.*?)```", path.read_text(), re.DOTALL).group(1))
            about, versions = advisory["advisory"], advisory.get("versions", {})
            if about.get("withdrawn") or about.get("informational"):
                continue
            safe = versions.get("patched", []) + versions.get("unaffected", [])
            if not any(matches(requirement, found) for requirement in safe):
                bad.append(f"{name} {found}: {about['id']}, see https://rustsec.org/advisories/{about['id']}")
    return bad


def yanked(packages):
    """Locked versions that cargo's own copy of the index says are yanked, and how many it says nothing about."""
    bad, unknown = [], 0
    index = list((CARGO_HOME / "registry/index").glob("*/.cache"))
    for name, found in packages:
        folder = {1: "1", 2: "2", 3: f"3/{name[:1]}"}.get(len(name), f"{name[:2]}/{name[2:4]}")
        entries = [entry for cache in index for entry in read_index(cache / folder / name)]
        entry = next((entry for entry in entries if entry["vers"] == found), None)
        if entry is None:
            unknown += 1
        elif entry["yanked"]:
            bad.append(f"{name} {found}: yanked, run `cargo update --package {name}`")
    return bad, unknown


def read_index(path):
    """What the index says of one crate: after a header, version and JSON in turn, between NUL bytes."""
    if not path.is_file():
        return []
    pieces = path.read_bytes().split(b"\0")
    return [json.loads(piece) for piece in pieces if piece.startswith(b"{")]


def fetched():
    """The advisory database, or None when it can't be had."""
    given = [os.environ.get("ADVISORY_DB"), CARGO_HOME / "advisory-db", CLONE]
    for place in (pathlib.Path(place) for place in given if place):
        if (place / "crates").is_dir():
            if place == CLONE:
                subprocess.run(["git", "-C", place, "pull", "--quiet"], timeout=120, stderr=subprocess.DEVNULL)
            return place
    try:
        clone = ["git", "clone", "--quiet", "--depth", "1", DATABASE, CLONE]
        subprocess.run(clone, check=True, timeout=120, stderr=subprocess.DEVNULL)
        return CLONE
    except (OSError, subprocess.SubprocessError):
        return None


def main():
    packages = locked()
    bad, unknown = yanked(packages)
    skipped = 0
    tool = next((tool for tool in (["cargo", "audit"], ["cargo", "deny", "check", "advisories"]) if shutil.which("-".join(tool[:2]))), None)
    if tool:
        how = " ".join(tool)
        if subprocess.run(tool).returncode:
            bad.append(f"`{how}` found something, see above")
    elif database := fetched():
        how = f"the database in {database}"
        bad += vulnerable(database, packages)
    else:
        how, skipped = "nothing", 1
        print("skipped: advisories, since neither cargo-audit nor cargo-deny is installed and the advisory database can't be fetched")
    for line in bad:
        print(line, file=sys.stderr)
    print(f"advisories: {len(packages)} dependencies against {how}, {len(bad)} bad, {unknown} not in cargo's index, {skipped} skipped")
    if skipped and os.environ.get("CI_REQUIRE") == "all":
        print("CI_REQUIRE=all: install cargo-audit, or set ADVISORY_DB to a copy of the database", file=sys.stderr)
        return 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
