"""Stands before AWS's CLI in tests/secrets: plays what the emulator has not, and watches.

Called as `secrets_aws.py FOLDER REAL-CLI ARGUMENTS…`. After each change it asks whether what runs is still let in; what
is wrong goes to FOLDER/wrong. It kills its caller after the change whose number is in CRASH_AT.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import urllib.error
import urllib.request

folder, real, arguments = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
handed = next((word.removeprefix("file://") for word in arguments if word.startswith("file://")), None)
sent = json.loads(pathlib.Path(handed).read_text()) if handed else {}
stage = json.loads((folder / "stage.json").read_text())
with open(folder / "arguments", "a") as file:
    file.write(json.dumps(arguments) + "\n")


def option(name):
    return arguments[arguments.index(f"--{name}") + 1]


def answer(value=None):
    print(json.dumps(value if value is not None else {}))


def refuse(code):
    print(f"\nAn error occurred ({code}) when calling the operation: no", file=sys.stderr)
    (folder / "stage.json").write_text(json.dumps(stage))
    sys.exit(254)


def manager(operation, **parameters):
    """Secrets Manager, as the CLI would ask it, without the second that the CLI takes to start."""
    request = urllib.request.Request(os.environ["AWS_ENDPOINT_URL"] + "/", data=json.dumps(parameters).encode(), headers={
        "X-Amz-Target": f"secretsmanager.{operation}", "Content-Type": "application/x-amz-json-1.1",
        "Authorization": "AWS4-HMAC-SHA256 Credential=emulated/20260101/us-east-1/secretsmanager/aws4_request, SignedHeaders=host, Signature=none",
    })
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as reply:
            return json.load(reply)
    except urllib.error.HTTPError as refused:
        refuse(json.load(refused)["__type"].rsplit("#")[-1])


def value(name, version="AWSCURRENT"):
    return json.loads(manager("GetSecretValue", SecretId=f"ffp/{folder.name}/{name}", VersionStage=version)["SecretString"])


def note(values):
    file = folder / "values.json"
    known = json.loads(file.read_text()) if file.exists() else []
    file.write_text(json.dumps(sorted({*known, *values})))


def changed():
    """Counts a change, looks whether anybody is locked out, and ends the caller if this is where it is to crash."""
    with open(folder / "changes", "a") as file:
        file.write(" ".join(arguments[:2]) + "\n")
    deployed, wrong = stage.get("deployed", {}), []
    for service, values in deployed.items():
        if values["identity"]["FFP_MEMBERS_CLIENT_SECRET"] not in stage["client_secrets"].values():
            wrong.append(f"{service} runs with a client secret that Cognito does not take")
        if "trusted" in stage and values["videos"]["FFP_SIGNING_KEY_ID"] not in stage["trusted"]:
            wrong.append(f"{service} signs with a key that the distribution does not know")
    if "api" in deployed and stage.get("store") not in deployed["api"]["edge"]["FFP_ORIGIN_SECRETS"].split(","):
        wrong.append("the edge sends what the api does not accept")
    if wrong:
        (folder / "wrong").write_text(f"after {' '.join(arguments[:2])}: {'; '.join(wrong)}")
    (folder / "stage.json").write_text(json.dumps(stage))
    if os.environ["CRASH_AT"] == str(len((folder / "changes").read_text().splitlines())):
        # The shell that started us has become us: our parent is the script.
        os.kill(os.getppid(), signal.SIGKILL)
        os._exit(0)


def services(names):
    def deployments(name):
        return [{"id": stage.get("deployment", {}).get(name, "first"), "status": "PRIMARY"}]
    return [{"serviceName": name, "desiredCount": 1, "runningCount": 1, "deployments": deployments(name)} for name in names]


def short(secret):
    return secret.rsplit("/", 1)[1]


what = " ".join(arguments[:2])
if what == "secretsmanager put-secret-value":
    members = json.loads(sent["SecretString"])
    note(part for key, member in members.items() if key != "FFP_SIGNING_KEY_ID" for part in member.split(","))
    name = short(sent["SecretId"])
    known = stage.setdefault("seen", {}).setdefault(name, [])
    new = [key for key, member in members.items() if key != "FFP_SIGNING_KEY_ID" and not set(member.split(",")) <= set(known)]
    known += [part for member in members.values() for part in member.split(",") if part not in known]
    random = stage.setdefault("random", {})
    random[name] = random.get(name, 0) + bool(new)

if stage.get("fast") and arguments[0] == "secretsmanager":
    if what == "secretsmanager describe-secret":
        answer(manager("DescribeSecret", SecretId=option("secret-id")))
    elif what == "secretsmanager get-secret-value":
        answer(manager("GetSecretValue", SecretId=option("secret-id"), VersionStage=option("version-stage")))
    elif what == "secretsmanager put-secret-value":
        answer(manager("PutSecretValue", ClientRequestToken=os.urandom(16).hex(), **sent))
        changed()
    elif what == "secretsmanager update-secret-version-stage":
        manager("UpdateSecretVersionStage", SecretId=option("secret-id"), VersionStage=option("version-stage"),
                RemoveFromVersionId=option("remove-from-version-id"))
        answer()
        changed()
elif what == "rds describe-db-instances" and stage.get("fast"):
    answer({"DBInstances": [{"DBInstanceStatus": stage.get("database_status", "available")}]})
elif what == "configure get" and stage.get("fast"):
    sys.exit(1)
elif what == "cloudfront-keyvaluestore get-key":
    answer({"Value": stage["store"]}) if "store" in stage else refuse("ResourceNotFoundException")
elif what == "cloudfront-keyvaluestore describe-key-value-store":
    answer({"ETag": "E0"})
elif what == "cloudfront-keyvaluestore put-key":
    if (sent["Key"], sent["IfMatch"]) != ("origin", "E0"):
        refuse("ValidationException")
    stage["store"] = sent["Value"]
    answer()
    changed()
elif what == "cognito-idp list-user-pool-client-secrets":
    answer({"ClientSecrets": [{"ClientSecretId": f"client--{age}"} for age in range(len(stage["client_secrets"]))]})
elif what == "cognito-idp add-user-pool-client-secret":
    if len(stage["client_secrets"]) == 2:
        refuse("LimitExceededException")
    stage["client_secrets"][f"added {os.urandom(4).hex()}"] = sent["ClientSecret"]
    answer()
    changed()
elif what == "cognito-idp delete-user-pool-client-secret":
    del stage["client_secrets"][list(stage["client_secrets"])[int(sent["ClientSecretId"].rsplit("--", 1)[1])]]
    answer()
    changed()
elif what == "cognito-idp describe-identity-provider":
    answer({"IdentityProvider": {"ProviderDetails": {"client_id": "1.apps.googleusercontent.com", "client_secret": "old"}}})
elif what == "cognito-idp update-identity-provider":
    if sent["ProviderDetails"] != {"client_id": "1.apps.googleusercontent.com"} | value("google"):
        refuse("InvalidParameterException")
    answer()
    changed()
elif what == "ecs describe-services":
    answer({"services": services(arguments[arguments.index("--services") + 1:arguments.index("--region")])})
elif what == "ecs update-service":
    name = option("service")
    deployment = os.urandom(4).hex()
    begun = services([name])[0] | {"deployments": [{"id": deployment, "status": "PRIMARY"}]}
    # Tasks that don't come up: the circuit breaker puts the deployment before in its place.
    if stage.get("broken") != name:
        stage.setdefault("deployment", {})[name] = deployment
        names = ["database", "identity", "videos", "edge"]
        stage.setdefault("deployed", {})[name] = {secret: value(secret) for secret in names}
    answer({"service": begun})
    changed()
elif what == "ecs run-task":
    stage["migrated"] = {name: value(name) for name in ("database", "migrations")}
    answer({"tasks": [{"taskArn": "arn:aws:ecs:us-east-1:123456789012:task/ffp/1"}]})
    changed()
elif what == "ecs describe-tasks":
    answer({"tasks": [{"lastStatus": "STOPPED", "containers": [{"exitCode": 0}]}]})
else:
    inherited = [int(handed.rsplit("/", 1)[1])] if handed else []
    done = subprocess.run([real, *arguments], pass_fds=inherited, stdin=subprocess.DEVNULL, text=True, capture_output=True)
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    if done.returncode:
        sys.exit(done.returncode)
    if any(word in arguments[1] for word in ("put-", "update-", "create-", "delete-")):
        changed()
(folder / "stage.json").write_text(json.dumps(stage))
