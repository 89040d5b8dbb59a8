"""moto, the AWS emulator that Terraform can apply to: its environment, its process, and calls to what it holds.

It keeps everything in memory and checks no signature, so these calls carry none.
"""

import json
import os
import pathlib
import re
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ElementTree

from . import Failure
from .children import tail

REQUIREMENTS = pathlib.Path(__file__).parents[2] / "emulator.requirements.txt"
SERVER = pathlib.Path(__file__).with_name("moto_server.py")
VENV = pathlib.Path(__file__).parents[1] / "venv"
# What is in front of an operation's name, by service.
TARGETS = {
    "cognito-idp": "AWSCognitoIdentityProviderService",
    "ecs": "AmazonEC2ContainerServiceV20141113",
    "secretsmanager": "secretsmanager",
}
# Nothing here is to go through a proxy.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def python():
    """The interpreter that has moto; installed once for each list of requirements and each Python."""
    made = subprocess.run([VENV, "moto", REQUIREMENTS], stdout=subprocess.PIPE, text=True)
    if made.returncode:
        raise Failure("moto, to which everything is applied, can't be had.")
    return pathlib.Path(made.stdout.strip())


def cli(interpreter, scratch):
    """A folder with `aws`, AWS's own client, as it was installed beside moto: whatever else is in PATH, or is not."""
    folder = scratch / "bin"
    folder.mkdir()
    (folder / "aws").write_text(f'#!/bin/sh\nexec "{interpreter}" -I -m awscli "$@"\n')
    (folder / "aws").chmod(0o755)
    return folder


def free_port():
    """A port on 127.0.0.1 that nobody listened on a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Emulator:
    """One running moto: an AWS account of its own."""

    def __init__(self, children, interpreter, log, region="us-east-1"):
        self.region = region
        # Managed policies, which roles may be given, are left out otherwise.
        environment = {"PATH": os.environ["PATH"], "MOTO_IAM_LOAD_MANAGED_POLICIES": "true"}
        for attempt in range(5):
            port = free_port()
            self.endpoint = f"http://127.0.0.1:{port}"
            command = [interpreter, "-I", SERVER, "-H", "127.0.0.1", "-p", port]
            self.process = children.start(command, log, env=environment)
            if self._answers():
                return
            children.stop(self.process)
            if "in use" not in tail(log):
                break
        raise Failure(f"moto did not start. The end of {log}:\n{tail(log)}")

    def _answers(self):
        deadline = time.monotonic() + 60
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                self.call("secretsmanager", "ListSecrets")
                return self.process.poll() is None
            except OSError:
                time.sleep(0.2)
        return False

    def call(self, service, operation, **parameters):
        """An operation of a service that speaks JSON."""
        headers = {"X-Amz-Target": f"{TARGETS[service]}.{operation}", "Content-Type": "application/x-amz-json-1.1"}
        return json.loads(self._send(service, "/", headers, json.dumps(parameters).encode()))

    def xml(self, service, path, **form):
        """An answer in XML, without the namespace that would be before each name; with a form, what was asked by it."""
        body = urllib.parse.urlencode(form).encode() if form else None
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
        text = self._send(service, path, headers, body).decode()
        return ElementTree.fromstring(re.sub(r' xmlns="[^"]*"', "", text))

    def forget_policy(self, bucket):
        """Takes a bucket's policy away: moto denies what a statement denies on a condition, whether or not it holds."""
        self._send("s3", f"/{bucket}?policy", {}, method="DELETE")

    def _send(self, service, path, headers, body=None, method=None):
        # moto tells services apart by what the request is signed for.
        scope = f"Credential=emulated/20260101/{self.region}/{service}/aws4_request"
        headers = {"Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=none", **headers}
        request = urllib.request.Request(self.endpoint + path, data=body, headers=headers, method=method)
        try:
            with DIRECT.open(request, timeout=30) as answer:
                return answer.read()
        except urllib.error.HTTPError as refused:
            what = headers.get("X-Amz-Target", path)
            raise Failure(f"the emulator refused {what}: {refused.code} {refused.read()[:300].decode(errors='replace')}") from None
