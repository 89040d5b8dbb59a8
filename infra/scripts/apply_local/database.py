"""PostgreSQL in place of RDS, which the emulator only describes: as strict as RDS is set up to be.

No connection in clear, a certificate that `verify-full` accepts, and a master user who is no superuser.
"""

import json
import os
import pathlib
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import time
import urllib.parse

from . import Failure
from .children import tail
from .emulator import free_port

# Of a database that is thrown away.
SETTINGS = {
    "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "ssl": "on", "max_connections": "100",
    "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off",
}
AUTHORITY = "authority.pem"


class Database:
    """One running cluster, with the database and the master user that the outputs and RDS's secret name."""

    def __init__(self, children, home, name, master):
        self._children, self._home, self._log = children, home, home / "postgres.log"
        self._bin = binaries()
        self._account = account()
        self._superuser = secrets.token_urlsafe(24)
        home.mkdir()
        self._certify()
        (home / "password").write_text(self._superuser)
        for path in [home, *home.iterdir()]:
            # The scratch directory around it is closed to others, but for passing through.
            path.chmod(0o700 if path.is_dir() else 0o600)
            if self._account:
                os.chown(path, self._account.pw_uid, self._account.pw_gid)
        self._run("initdb", "--username=postgres", f"--pwfile={home / 'password'}", f"--pgdata={home / 'data'}",
                  "--encoding=UTF8", "--locale=C.UTF-8", "--auth=scram-sha-256", "--no-instructions", "--no-sync")
        # RDS's force_ssl.
        (home / "data/pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")
        self._start()
        user = master["username"]
        self._sql("postgres", f"create role {user} login createrole createdb password '{master['password'].replace(chr(39), chr(39) * 2)}'")
        self._sql("postgres", f"create database {name} owner {user}")

    def here(self, url):
        """A URL, or the end of one from its host on, that leads to this cluster, and is otherwise what it was.

        The host and the file of authorities are the machine's to decide.
        """
        address, _, query = url.rpartition("?")
        user, at, place = address.rpartition("@")
        address = f"{user}{at}127.0.0.1:{self._port}/{place.partition('/')[2]}"
        parameters = dict(urllib.parse.parse_qsl(query))
        if parameters.get("sslmode") != "verify-full" or not parameters.get("sslrootcert"):
            raise Failure("a database URL does not ask for sslmode=verify-full with an sslrootcert")
        parameters["sslrootcert"] = str(self._home.parent / AUTHORITY)
        return f"{address}?{urllib.parse.urlencode(parameters, safe='/')}"

    def _certify(self):
        """An authority, and a certificate of it for this machine. Not in the home: the services read it too."""
        home, authority = self._home, self._home.parent / AUTHORITY
        make = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        self._run_as_self(*make, "-x509", "-days", "2", "-subj", "/CN=authority", "-keyout", home / "authority.key", "-out", authority)
        self._run_as_self(*make, "-subj", "/CN=database", "-keyout", home / "server.key", "-out", home / "server.csr")
        (home / "server.ext").write_text("subjectAltName=IP:127.0.0.1\n")
        self._run_as_self("openssl", "x509", "-req", "-days", "2", "-in", home / "server.csr", "-CA", authority, "-CAkey", home / "authority.key",
                          "-CAcreateserial", "-extfile", home / "server.ext", "-out", home / "server.crt")
        authority.chmod(0o644)

    def _start(self):
        for _ in range(5):
            self._port = free_port()
            settings = {**SETTINGS, "port": self._port, "ssl_cert_file": self._home / "server.crt", "ssl_key_file": self._home / "server.key"}
            command = [self._bin / "postgres", "-D", self._home / "data"]
            for name, value in settings.items():
                command += ["-c", f"{name}={value}"]
            # The fast way: it does not wait for those who are still connected.
            process = self._children.start(command, self._log, stop=signal.SIGINT, **self._as_account())
            deadline = time.monotonic() + 30
            while process.poll() is None and time.monotonic() < deadline:
                if "ready to accept connections" in tail(self._log, 5) and self._listens():
                    return
                time.sleep(0.1)
            self._children.stop(process, signal.SIGINT)
            if "could not bind" not in tail(self._log):
                break
        raise Failure(f"PostgreSQL did not start. The end of {self._log}:\n{tail(self._log)}")

    def _listens(self):
        with socket.socket() as connection:
            return connection.connect_ex(("127.0.0.1", self._port)) == 0

    def _sql(self, database, statement):
        environment = {"PATH": os.environ["PATH"], "PGPASSWORD": self._superuser, "PGSSLMODE": "require"}
        command = [self._bin / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self._port), "-U", "postgres", "-d", database]
        done = subprocess.run(command, input=statement, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise Failure(f"PostgreSQL refused: {done.stderr.strip()}")

    def _run(self, program, *arguments):
        self._children.run([self._bin / program, *arguments], self._log, **self._as_account())

    def _run_as_self(self, *command):
        self._children.run(command, self._log)

    def _as_account(self):
        options = {"cwd": "/", "env": {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}}
        if self._account:
            options |= {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}
        return options


def master_of(emulator, arn):
    """The master user that RDS keeps in a secret of its own."""
    return json.loads(emulator.call("secretsmanager", "GetSecretValue", SecretId=arn)["SecretString"])


def binaries():
    """Where PostgreSQL's programs are: PG_BIN, else the newest of Debian's, else in PATH."""
    given = os.environ.get("PG_BIN")
    versions = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    on_path = shutil.which("postgres")
    for directory in [pathlib.Path(given)] if given else [*versions, *([pathlib.Path(on_path).parent] if on_path else [])]:
        if (directory / "postgres").exists():
            return directory
    raise Failure("PostgreSQL is missing: run scripts/install-programs, or set PG_BIN to the directory of `postgres` and `initdb`.")


def account():
    """Who runs PostgreSQL, which refuses to be run by root; nobody else where we are not."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise Failure("PostgreSQL does not run as root, and there is neither a user postgres nor nobody: run this as another user.")
