"""The platform as the task definitions of an apply start it, and the edge as its distribution is.

What differs from the cloud is in `Deployment.environment`, variable by variable.
"""

import json
import os
import signal
import time
import urllib.request

from . import Failure
from .children import tail
from .database import Database, master_of
from .emulator import DIRECT, free_port

# How long a process may take to be ready, in seconds.
PATIENCE = 60


class Deployment:
    """PostgreSQL, migrations, api, worker and edge; all of them end with `children`."""

    def __init__(self, children, scratch, emulator, outputs, programs):
        self.emulator, self.outputs = emulator, outputs
        self._children, self._scratch, self._programs = children, scratch, programs
        self.public_url = outputs["public_url"]
        self._master = outputs["database"]["master"]
        self._tasks = {command: self._task(command) for command in outputs["environment"]}
        self._processes, self._ports = {}, {}

    def start(self):
        """Starts everything, in the order of a deployment."""
        for bucket in self.outputs["buckets"].values():
            self.emulator.forget_policy(bucket)
        self._database = Database(self._children, self._scratch / "postgres", self.outputs["database"]["name"], master_of(self.emulator, self._master))
        self._children.run([self._programs / "platform", "migrate"], self.log("migrate"), env=self.environment("migrate"))
        self._start("worker", f"http://127.0.0.1:{self._listen('worker', 'FFP_METRICS_ADDR')}/livez")
        self._listen("api", "FFP_METRICS_ADDR")
        self._api = f"127.0.0.1:{self._listen('api', 'FFP_HTTP_ADDR')}"
        self._start("api", f"http://{self._api}/readyz")
        self.edge = f"127.0.0.1:{free_port()}"
        self._processes["edge"] = self._children.start([self._programs / "examples/edge"], self.log("edge"), env=self._edge())
        self._wait("edge", f"http://{self.edge}/livez", {"Host": self.public_host})

    @property
    def api(self):
        """Where the api listens, behind the edge."""
        return self._api

    @property
    def public_host(self):
        """What signatures and links are made for."""
        return self.public_url.removeprefix("https://")

    def log(self, command):
        """What a process writes."""
        return self._scratch / f"{command}.log"

    def stop(self):
        """Ends the services as ECS does: by SIGTERM, upon which they drain and end well."""
        for command in ("api", "worker"):
            status = self._children.stop(self._processes[command], signal.SIGTERM)
            if status:
                raise Failure(f"{command} ended with status {status} on SIGTERM. Its log ends:\n{tail(self.log(command))}")

    def environment(self, command):
        """What ECS would start a container with, and then what a machine without AWS needs instead."""
        environment = dict(self._tasks[command])
        # The migration's administrator has address, user and password apart; URLs are whole.
        for name in [name for name in environment if name.endswith(("DATABASE_URL", "DATABASE_ADDRESS"))]:
            environment[name] = self._database.here(environment[name])
        # In the cloud these are the region's hosts and the task's role.
        environment |= {
            "AWS_ENDPOINT_URL": self.emulator.endpoint, "AWS_ACCESS_KEY_ID": "emulated", "AWS_SECRET_ACCESS_KEY": "emulated",
            "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1",
        }
        # Tokens name the cloud's issuer, whose host has no keys of the emulator's.
        for pool in ("MEMBERS", "OPERATORS"):
            if f"FFP_{pool}_POOL_ID" in environment:
                environment[f"FFP_{pool}_JWKS_URL"] = f"{self.emulator.endpoint}/{environment[f'FFP_{pool}_POOL_ID']}/.well-known/jwks.json"
        # Containers have an address each, and here all share one.
        environment |= {variable: f"127.0.0.1:{port}" for (task, variable), port in self._ports.items() if task == command}
        # Where ffprobe is.
        return environment | {"PATH": os.environ["PATH"]}

    def _task(self, command):
        """The environment of a container: the task definition's own, with the members of secrets that it names."""
        family = f"{self.outputs['name']}-{command}"
        task = self.emulator.call("ecs", "DescribeTaskDefinition", taskDefinition=family)["taskDefinition"]
        [container] = task["containerDefinitions"]
        environment = {item["name"]: item["value"] for item in container["environment"]}
        wanted = {item["name"]: item["valueFrom"] for item in container["secrets"]}
        if environment != self.outputs["environment"][command] or sorted(wanted) != self.outputs["secret_environment"][command]:
            raise Failure(f"the task definition {family} differs from the outputs `environment` and `secret_environment`")
        if container["command"] != [command]:
            raise Failure(f"the task definition {family} runs {container['command']}")
        return environment | {name: self._member(source) for name, source in wanted.items()}

    def _member(self, source):
        """One member of a secret, named as task definitions do: its ARN, the member, and two fields that are empty."""
        *arn, member, stage, version = source.split(":")
        text = self.emulator.call("secretsmanager", "GetSecretValue", SecretId=":".join(arn))["SecretString"]
        if stage or version or member not in json.loads(text):
            raise Failure(f"{source} names nothing that the secret has")
        return json.loads(text)[member]

    def _listen(self, command, variable):
        return self._ports.setdefault((command, variable), free_port())

    def _start(self, command, url):
        program = [self._programs / "platform", command]
        self._processes[command] = self._children.start(program, self.log(command), env=self.environment(command))
        self._wait(command, url)

    def _wait(self, command, url, headers=None):
        deadline = time.monotonic() + PATIENCE
        while self._processes[command].poll() is None and time.monotonic() < deadline:
            try:
                with DIRECT.open(urllib.request.Request(url, headers=headers or {}), timeout=5) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.1)
        raise Failure(f"{command} is not ready. Its log ends:\n{tail(self.log(command))}")

    def _edge(self):
        """The edge's settings: what the distribution of the apply says of its signed paths."""
        objects, keys = {}, {}
        config = self.emulator.xml("cloudfront", f"/2020-05-31/distribution/{self.outputs['distribution']['id']}/config")
        origins = {origin.findtext("Id"): origin.findtext("DomainName") for origin in config.iter("Origin")}
        for behaviour in config.iter("CacheBehavior"):
            groups = [group.text for group in behaviour.findall("TrustedKeyGroups/Items/KeyGroup")]
            if groups:
                # A bucket's host begins with its name; the path is the object's key.
                prefix = behaviour.findtext("PathPattern").removeprefix("/").removesuffix("*")
                objects[prefix] = origins[behaviour.findtext("TargetOriginId")].partition(".s3.")[0]
            for group in groups:
                for key in self.emulator.xml("cloudfront", f"/2020-05-31/key-group/{group}").iter("PublicKey"):
                    found = self.emulator.xml("cloudfront", f"/2020-05-31/public-key/{key.text}")
                    keys[key.text] = next(found.iter("EncodedKey")).text
        if set(objects) != {"videos/", "progress-photos/"} or set(keys) != set(self.outputs["signing_key_ids"].values()):
            raise Failure(f"the distribution signs {sorted(objects)} with {sorted(keys)}, which is not what the outputs say")
        # The header's value is in a store that emulators lack: the platform's own secret has it too.
        settings = {
            "listen": self.edge, "public_url": self.public_url, "upstream": self._api, "objects": objects, "keys": keys,
            "origin_secret": self._tasks["api"]["FFP_ORIGIN_SECRETS"],
            "endpoint": self.emulator.endpoint, "region": self.outputs["region"],
        }
        return {"EDGE": json.dumps(settings), "PATH": os.environ["PATH"]}
