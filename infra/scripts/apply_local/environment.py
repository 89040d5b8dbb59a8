"""One environment, applied for real in a copy of its own against an emulator of its own."""

import json
import os
import pathlib
import re
import shutil
import threading

from . import Failure

INFRA = pathlib.Path(__file__).parents[2]
# What an apply does not read; and of whoever works here, what Terraform installed and knows, and a real account's keys.
LEFT_OUT = ("tests", "bootstrap", "unverified", ".terraform", "*.tfstate*", "*.auto.tfvars*")
# Where the provider comes from the registry, only one may write into the cache at a time.
INSTALLING = threading.Lock()

# What an account decides, so that as much as the emulator takes is made: prod with all of it, the others as they are,
# with a sender that can be verified.
ACCOUNT = {
    "dev": {"name": "local", "mail_from": "FFP <no-reply@ffp.example>"},
    "staging": {"mail_from": "FFP <no-reply@ffp.example>"},
    "prod": {"domain": "app.ffp.example", "repository": "ffp/ffp", "alarm_emails": '["oncall@ffp.example"]'},
}


class Environment:
    """A copy of infra/ in which Terraform runs, with its state on disk."""

    def __init__(self, name, children, scratch, endpoint, variables):
        self.name = name
        self._children = children
        self._scratch = scratch
        self.log = scratch / "terraform.log"
        copy = scratch / "infra"
        shutil.copytree(INFRA, copy, symlinks=True, ignore=shutil.ignore_patterns(*LEFT_OUT))
        self._root = copy / "environments" / name
        (self._root / "backend_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
        self.variables = emulated(endpoint, {**ACCOUNT[name], **variables})

    def apply(self):
        """Makes everything; answers how many resources that was."""
        with INSTALLING:
            self._run("init", "-input=false")
        self._run("apply", "-input=false", "-auto-approve")
        made = re.search(r"Apply complete! Resources: (\d+) added, 0 changed, 0 destroyed", self.log.read_text())
        if not made:
            raise Failure(f"the apply did more than to make things: see {self.log}")
        return int(made[1])

    def outputs(self):
        """What the module says."""
        return self._show("output", "-json", "platform")

    def second_plan(self):
        """What a plan right after the apply would change, as `terraform show -json` writes it."""
        self._run("plan", "-input=false", "-detailed-exitcode", "-out=second.tfplan", expected=(0, 2))
        return self._show("show", "-json", "second.tfplan")

    def planned(self):
        """The same as text: the state before it is in there, as the plan read it anew."""
        return (self._scratch / "show.json").read_text()

    def _run(self, *arguments, log=None, expected=(0,)):
        command = [INFRA / "scripts/terraform", f"-chdir={self._root}", arguments[0], "-no-color", *arguments[1:]]
        self._children.run(command, log or self.log, expected=expected, env=self.variables)

    def _show(self, command, *arguments):
        answer = self._scratch / f"{command}.json"
        self._run(command, *arguments, log=answer)
        return json.loads(answer.read_text())


def emulated(endpoint, variables):
    """The environment of Terraform and the AWS CLI: our own, without anything that leads to a real account."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_VAR_", "TF_CLI_ARGS"))}
    for name in ("TF_WORKSPACE", "TF_DATA_DIR", "TF_LOG", "TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE"):
        kept.pop(name, None)
    nowhere = {
        "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ACCESS_KEY_ID": "emulated", "AWS_SECRET_ACCESS_KEY": "emulated",
    }
    local = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "TF_IN_AUTOMATION": "1"}
    given = {f"TF_VAR_{name}": value for name, value in variables.items()}
    return {**kept, **nowhere, **local, **given, "AWS_ENDPOINT_URL": endpoint, "TF_VAR_emulated": "true"}
