"""An applied environment: what Terraform's output `platform` says of it, and AWS's CLI, through which scripts change it.

Values that are secret go to `aws` through memory that only it and we have open, and come from its standard output: never
as an argument, which every process of the machine can read.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ENVIRONMENTS = HERE.parent / "environments"
NAMES = ("dev", "staging", "prod")


class Refused(Exception):
    """Ends a script with one sentence that says what to do."""


class AwsError(Refused):
    """AWS said no."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


def say(text):
    print(text, flush=True)


def options():
    """The options that say which environment is meant; a parent for a script's own parser."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--env", choices=NAMES, help="the environment, whose directory is initialised")
    parser.add_argument("--outputs", metavar="FILE", help="instead: what `terraform output -json` printed; - reads it from stdin")
    return parser


def main(run):
    """Runs a script and says in one line why it ended, if it did not do what it should."""
    # Nothing is written to files but the public keys; should that ever change, nobody else reads it.
    os.umask(0o077)
    try:
        run()
    except Refused as refusal:
        sys.exit(f"{pathlib.Path(sys.argv[0]).name}: {refusal}")
    except KeyboardInterrupt:
        sys.exit(130)


class Environment:
    """The outputs of one environment, and AWS as this account's CLI reaches it."""

    def __init__(self, outputs):
        # `output -json`, `output -json platform`, or the value itself.
        outputs = outputs.get("platform", outputs)
        outputs = outputs.get("value", outputs)
        if not isinstance(outputs, dict) or not {"name", "region", "secrets", "services"} <= outputs.keys():
            raise Refused("the outputs are not those of an environment: apply it first, as infra/RUNBOOKS.md says")
        self.outputs = outputs
        self.region = outputs["region"]
        # Everything secret that passed through, so that no message of AWS's repeats it.
        self.hidden = set()

    @classmethod
    def of(cls, arguments):
        if bool(arguments.env) == bool(arguments.outputs):
            raise Refused("say which environment: --env dev, --env staging or --env prod, or --outputs FILE")
        if arguments.outputs:
            text = sys.stdin.read() if arguments.outputs == "-" else pathlib.Path(arguments.outputs).read_text()
        else:
            command = [HERE / "terraform", f"-chdir={ENVIRONMENTS / arguments.env}", "output", "-no-color", "-json", "platform"]
            asked = subprocess.run(command, capture_output=True, text=True)
            if asked.returncode != 0:
                raise Refused(f"Terraform does not know the outputs of {arguments.env}, so initialise and apply it:\n{asked.stderr.strip()}")
            text = asked.stdout
        try:
            return cls(json.loads(text))
        except json.JSONDecodeError:
            raise Refused("the outputs are no JSON: give what `terraform output -json` prints") from None

    def aws(self, *words, send=None, region=None):
        """Calls AWS and answers what it said. `send` are the call's parameters, given to it unseen by others."""
        if shutil.which("aws") is None:
            raise Refused("the AWS CLI is missing: install it as https://docs.aws.amazon.com/cli says")
        command = ["aws", *words, "--region", region or self.region, "--output", "json"]
        # The CLI's version 1 forgets the variable where it calls RDS.
        if os.environ.get("AWS_ENDPOINT_URL"):
            command += ["--endpoint-url", os.environ["AWS_ENDPOINT_URL"]]
        with handed_over(send) as (more, descriptors):
            asked = subprocess.run(
                command + more, pass_fds=descriptors, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                env=os.environ | {"AWS_PAGER": ""},
            )
        if asked.returncode == 0:
            return json.loads(asked.stdout) if asked.stdout.strip() else {}
        text = asked.stderr.strip()
        for secret in self.hidden:
            text = text.replace(secret, "(hidden)")
        code = text.partition("(")[2].partition(")")[0]
        raise AwsError(code, f"aws {words[0]} {words[1]} failed: {text}")

    def hide(self, *secrets):
        """Notes what no message may repeat, as it is and as JSON writes it."""
        for secret in secrets:
            self.hidden.update({str(secret), json.dumps(str(secret))[1:-1]} - {""})

    def refuse_history(self):
        """The CLI can keep what is sent and answered in a file of its own."""
        asked = subprocess.run(["aws", "configure", "get", "cli_history"], capture_output=True, text=True)
        if asked.stdout.strip() == "enabled":
            raise Refused("the AWS CLI writes a history, which would hold the secrets: `aws configure set cli_history disabled`")

    def must_be_of(self, name):
        """Sleeping and waking are for dev, and for one's own."""
        if self.outputs["name"] != f"ffp-dev-{name}":
            raise Refused(
                f"these are the outputs of {self.outputs['name']}, not of ffp-dev-{name}: initialise the directory with "
                f"-reconfigure -backend-config=bucket=ffp-state-ACCOUNT -backend-config=key=dev/{name}.tfstate"
            )

    # What runs

    def database_status(self):
        """`available`, `stopped`, or what it is on its way to."""
        identifier = self.outputs["database"]["identifier"]
        return self.aws("rds", "describe-db-instances", "--db-instance-identifier", identifier)["DBInstances"][0]["DBInstanceStatus"]

    @property
    def cluster(self):
        return self.outputs["services"]["cluster"]

    def tag(self):
        """The image's tag of the newest revision, which is what was applied last."""
        family = f"{self.outputs['name']}-api"
        answer = self.aws("ecs", "describe-task-definition", "--task-definition", family)
        return answer["taskDefinition"]["containerDefinitions"][0]["image"].rsplit(":", 1)[1]

    def keep_image(self, tag):
        """Gives the image that is brought to prod a tag by which the registry keeps it: ECR does not know what runs."""
        if self.outputs["name"] != "ffp-prod":
            return
        found = self.aws("ecr", "batch-get-image", "--repository-name", "ffp", "--image-ids", f"imageTag={tag}").get("images")
        if not found:
            raise Refused(f"the registry has no image {tag}: push it first, as infra/RUNBOOKS.md says")
        manifest = found[0]["imageManifest"]
        try:
            self.aws("ecr", "put-image", send={"repositoryName": "ffp", "imageTag": f"ffp-prod-{tag}", "imageManifest": manifest})
        except AwsError as refusal:
            if refusal.code != "ImageAlreadyExistsException":
                raise

    def counts(self, names):
        """What each service should run at this moment."""
        answer = self.aws("ecs", "describe-services", "--cluster", self.cluster, "--services", *names)
        return {service["serviceName"]: service["desiredCount"] for service in answer["services"]}

    def migrate(self):
        """Runs the newest `migrate` task to its end."""
        services = self.outputs["services"]
        # The family's newest revision: a deployment makes it before anything else of the release.
        family = services["migrate"].rsplit("/", 1)[1].rsplit(":", 1)[0]
        network = {
            "subnets": services["subnets"],
            "securityGroups": services["security_groups"],
            "assignPublicIp": "ENABLED" if services["public_address"] else "DISABLED",
        }
        answer = self.aws("ecs", "run-task", send={
            "cluster": self.cluster,
            "taskDefinition": family,
            "launchType": "FARGATE",
            "platformVersion": "1.4.0",
            "networkConfiguration": {"awsvpcConfiguration": network},
        })
        if not answer.get("tasks"):
            raise Refused(f"the migration was not started: {answer.get('failures')}")
        task = answer["tasks"][0]["taskArn"]
        name = task.rsplit("/", 1)[1]
        say(f"migrations: task {name} of {family}")
        # As long as it takes.
        for _ in wait(hours=2, step=5):
            found = self.aws("ecs", "describe-tasks", "--cluster", self.cluster, "--tasks", task)["tasks"][0]
            if found["lastStatus"] == "STOPPED":
                break
        else:
            raise Refused(f"the migration still runs after two hours: look at task {name} before you go on")
        codes = [container.get("exitCode") for container in found.get("containers", [])]
        if codes != [0]:
            suffix = self.outputs["name"].removeprefix("ffp-")
            raise Refused(
                f"the migration failed ({found.get('stoppedReason', 'no reason given')}, exit codes {codes}); its log: "
                f"aws logs tail /ffp/{suffix}/migrate --log-stream-names migrate/migrate/{name}"
            )
        say("migrations: done")

    def redeploy(self, *names):
        """Starts each service anew, with the secrets as they are now, and waits until it stands."""
        begun = {}
        for name, count in self.counts(names).items():
            if count == 0:
                say(f"{name}: no task runs, so the next one takes the new value")
                continue
            answer = self.aws("ecs", "update-service", "--cluster", self.cluster, "--service", name, "--force-new-deployment")
            begun[name] = primary(answer["service"])
            say(f"{name}: new tasks start")
        self.stand(begun)

    def stand(self, begun):
        """Waits until these deployments, by service, are the only ones and run."""
        if not begun:
            return
        for _ in wait(hours=0.5, step=10):
            answer = self.aws("ecs", "describe-services", "--cluster", self.cluster, "--services", *begun)
            found = {service["serviceName"]: service for service in answer["services"]}
            for name, deployment in begun.items():
                # The circuit breaker goes back to the release before, which runs well and is not what was asked for.
                if all(one["id"] != deployment for one in found[name]["deployments"]) or primary(found[name]) != deployment:
                    raise Refused(f"the deployment of {name} was taken back, since its tasks did not come up: read its log, then run this again")
            if all(len(one["deployments"]) == 1 and one["runningCount"] == one["desiredCount"] for one in found.values()):
                say(f"{', '.join(begun)}: stands")
                return
        raise Refused(f"{', '.join(begun)} did not come up within half an hour: look at the services' events, then run this again")


@contextlib.contextmanager
def handed_over(parameters):
    """Parameters as `aws` takes them: further arguments, and what it inherits. Not a pipe, since it reads twice."""
    if parameters is None:
        yield [], ()
        return
    text = json.dumps(parameters).encode()
    if hasattr(os, "memfd_create"):
        memory = os.memfd_create("parameters")
        try:
            os.write(memory, text)
            yield ["--cli-input-json", f"file:///proc/self/fd/{memory}"], (memory,)
        finally:
            os.close(memory)
    else:
        # macOS has no such memory: a file that is ours alone, for as long as the call takes.
        with tempfile.NamedTemporaryFile() as file:
            file.write(text)
            file.flush()
            yield ["--cli-input-json", f"file://{file.name}"], ()


def primary(service):
    """The id of the deployment that a service moves to."""
    return next((one["id"] for one in service["deployments"] if one["status"] == "PRIMARY"), None)


def wait(hours, step):
    """Comes round every `step` seconds until the time is up."""
    end = time.monotonic() + hours * 3600
    while time.monotonic() < end:
        yield
        time.sleep(step)
