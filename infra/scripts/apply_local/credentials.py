"""What is secret in an environment: filled by infra/scripts/secrets, as in the cloud, and looked for where it must not be."""

import hashlib
import json
import pathlib
import secrets
import subprocess

from . import Failure

SCRIPT = pathlib.Path(__file__).parents[1] / "secrets"
# Characters of what is worth looking for.
SHORTEST = 16


class SigningKey:
    """A key that opens videos, made before the apply: after it, a second apply would have to wait for the database again."""

    def __init__(self):
        self.private = openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
        self.public = openssl("pkey", "-pubout", given=self.private)
        # As infra/scripts/secrets calls it.
        self.name = "k-" + hashlib.sha256(self.public.encode()).hexdigest()[:12]

    @property
    def variable(self):
        """The value of `signing_public_keys`."""
        return json.dumps({self.name: self.public})


def fill(children, scratch, emulator, outputs, key, environment):
    """Puts the key into its secret and has the script fill everything else; answers all members."""
    token = secrets.token_hex(16)
    emulator.call(
        "secretsmanager", "PutSecretValue", SecretId=outputs["secrets"]["videos"]["name"], ClientRequestToken=token,
        SecretString=json.dumps({"FFP_SIGNING_KEY_PEM": key.private}),
    )
    children.run([SCRIPT, "init", "--outputs", scratch / "output.json"], scratch / "secrets.log", env=environment)
    members = {}
    for secret in outputs["secrets"].values():
        members |= json.loads(emulator.call("secretsmanager", "GetSecretValue", SecretId=secret["name"])["SecretString"])
    missing = [name for secret in outputs["secrets"].values() for name in secret["variables"] if not members.get(name)]
    if missing:
        raise Failure(f"infra/scripts/secrets init left {', '.join(missing)} empty")
    return members


def leaked(members, text):
    """The names of those whose secret part is in a text.

    >>> leaked({"A": "0123456789abcdef", "B": "x,fedcba9876543210"}, "… fedcba9876543210 …")
    ['B']
    """
    return sorted(name for name, value in members.items() if any(part in text for part in parts(value)))


def parts(value):
    """What of a value is secret.

    >>> parts("postgres://ffp_app:0123456789abcdef0123@db:5432/ffp?sslmode=verify-full")
    ['0123456789abcdef0123']
    >>> parts("-----BEGIN PRIVATE KEY-----\\nMIGHAgEAMBMGByqG\\nSM49AgE=\\n-----END PRIVATE KEY-----\\n")
    ['MIGHAgEAMBMGByqG']
    """
    if value.startswith("postgres://"):
        return [value.split("@")[0].rpartition(":")[2]]
    if "PRIVATE KEY" in value:
        return [line for line in value.splitlines() if len(line) >= SHORTEST and not line.startswith("-----")]
    return [part for part in value.split(",") if len(part) >= SHORTEST]


def openssl(*words, given=None):
    """What openssl prints."""
    done = subprocess.run(["openssl", *words], input=given, capture_output=True, text=True)
    if done.returncode:
        raise Failure(f"openssl {words[0]} failed: {done.stderr.strip()}")
    return done.stdout
