"""Programs that end with this one, however it ends.

Each runs in a process group of its own. A keeper holds the reading end of a pipe to us: when we close it, or are gone,
even by `kill -9`, it stops all groups and removes the scratch directory.
"""

import os
import pathlib
import signal
import subprocess
import sys
import threading

from . import Failure

# Whoever does not end on its signal within these seconds is killed.
GRACE = 10
# In the scratch directory, it keeps it: somebody wants to look.
KEEP = "keep"

KEEPER = """
import os, shutil, signal, sys, time
scratch, grace = sys.argv[1], float(sys.argv[2])
# What ends us on the terminal must not end the one who cleans up.
for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP): signal.signal(ignored, signal.SIG_IGN)
groups = {}
for line in sys.stdin:
    what, group, *how = line.split()
    if what == "+": groups[int(group)] = int(how[0])
    else: groups.pop(int(group), None)
def send(group, how):
    try: os.killpg(group, how); return True
    except ProcessLookupError: return False
left = [group for group, how in groups.items() if send(group, how)]
deadline = time.monotonic() + grace
while left and time.monotonic() < deadline:
    time.sleep(0.1)
    left = [group for group in left if send(group, 0)]
for group in left: send(group, signal.SIGKILL)
if not os.path.exists(os.path.join(scratch, "%s")): shutil.rmtree(scratch, ignore_errors=True)
""" % KEEP


class Children:
    """All programs of one run."""

    def __init__(self, scratch):
        self.scratch = pathlib.Path(scratch)
        self.is_closing = False
        self._lock = threading.Lock()
        self._keeper = subprocess.Popen(
            [sys.executable, "-I", "-c", KEEPER, str(scratch), str(GRACE)],
            stdin=subprocess.PIPE, start_new_session=True, text=True,
        )

    def start(self, command, log, stop=signal.SIGTERM, **options):
        """Starts a program whose output goes to the end of the file `log`; `stop` is what ends it."""
        with self._lock, open(log, "ab") as output:
            if self.is_closing:
                raise Failure("stopping")
            child = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, **options,
            )
            self._tell(f"+ {child.pid} {int(stop)}")
        return child

    def run(self, command, log, expected=(0,), **options):
        """Runs a program to its end; answers its status, which is one of `expected`."""
        child = self.start(command, log, **options)
        status = child.wait()
        self.forget(child)
        if status not in expected:
            what = " ".join(str(part) for part in command[:3])
            raise Failure(f"`{what} …` ended with status {status}. The end of {log}:\n{tail(log)}")
        return status

    def stop(self, child, how=signal.SIGTERM):
        """Stops one of them and answers its status; negative is the signal that killed it."""
        if child.poll() is None:
            os.killpg(child.pid, how)
        try:
            status = child.wait(timeout=GRACE * 3)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            status = child.wait()
        self.forget(child)
        return status

    def forget(self, child):
        """What has ended must not be stopped again: its number may be somebody else's by then."""
        with self._lock:
            self._tell(f"- {child.pid}")

    def keep(self):
        """Leaves the scratch directory behind."""
        (self.scratch / KEEP).touch()

    def close(self):
        """Stops all that still run, and returns when they are gone."""
        with self._lock:
            self.is_closing = True
            self._keeper.stdin.close()
        self._keeper.wait()

    def _tell(self, line):
        if not self._keeper.stdin.closed:
            self._keeper.stdin.write(line + "\n")
            self._keeper.stdin.flush()


def tail(path, lines=40):
    """The end of a file."""
    text = pathlib.Path(path).read_text(errors="replace").splitlines()
    return "\n".join(text[-lines:])
