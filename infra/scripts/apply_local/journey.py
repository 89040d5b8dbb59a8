"""What somebody does with a new environment: register, confirm, log in, upload, publish, invite, and watch.

As everybody's programs do, through the edge and by its public name; a second tenant is there and sees nothing of it.
"""

import base64
import http.client
import json
import subprocess
import time
import urllib.parse
import urllib.request

from . import Failure
from .emulator import DIRECT

# With what the pools do not ask for: Terraform leaves a false out of what it sends, which moto takes for true.
PASSWORD = "Correct-Horse-42"
# The emulator sends none, and takes any.
CODE = "123456"
# Seconds until the worker has mailed an invitation.
PATIENCE = 30


class Journey:
    """Two tenants at a deployment; raises what does not go as it should."""

    def __init__(self, deployment, outputs, scratch):
        self._deployment, self._outputs, self._scratch = deployment, outputs, scratch

    def run(self):
        """All of it, in order."""
        status, problem, _ = self._send("GET", "/api/v1/me", to=self._deployment.api)
        expect("past the edge", (status, problem.get("type", "").rpartition(":")[2]), (403, "not-through-the-edge"))
        owner, stranger = self._register("owner", "Ann's Gym"), self._register("stranger", None)
        expect("the owner's role", self._ask("GET", "/api/v1/me", 200, owner)["role"], "owner")
        film = self._film()
        video = self._upload(owner, film)
        self._ask("GET", f"/api/v1/videos/{video}/stream", 404, stranger)
        self._watch(owner, video, film)
        self._invite(owner)

    def _register(self, name, business):
        """A new tenant; answers its owner's token, which the pool of the apply signed."""
        email = f"{name}@{self._outputs['name']}.example"
        new = {"email": email, "password": PASSWORD, "full_name": name} | ({"business_name": business} if business else {})
        tenant = self._ask("POST", "/api/v1/auth/register", 201, body=new)["tenant_id"]
        self._ask("POST", "/api/v1/auth/confirm", 204, body={"email": email, "code": CODE})
        token = self._ask("POST", "/api/v1/auth/login", 200, body={"email": email, "password": PASSWORD})["id_token"]
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        pool = self._outputs["members_pool"]
        expect("the pool", claims["iss"].rpartition("/")[2], pool["id"])
        expect("the client", claims["aud"], pool["client_id"])
        expect("the tenant", (claims["custom:tenantId"], claims["custom:role"]), (tenant, "owner"))
        return token

    def _film(self):
        """Some seconds of a moving picture."""
        file = self._scratch / "film.mp4"
        picture = ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=15:duration=2", "-pix_fmt", "yuv420p", "-movflags", "+faststart"]
        subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", *picture, file], check=True)
        return file.read_bytes()

    def _upload(self, owner, film):
        """A published video, whose object is in the bucket of the apply under its own key."""
        made = self._ask("POST", "/api/v1/videos", 201, owner, {"title": "Deadlift", "content_type": "video/mp4", "size_bytes": len(film)})
        [part] = made["upload"]["parts"]
        request = urllib.request.Request(part["url"], data=film, method="PUT", headers={"Content-Type": "", **part["headers"]})
        with DIRECT.open(request, timeout=30) as answer:
            parts = [{"number": part["number"], "etag": answer.headers["ETag"]}]
        expect("the bucket", urllib.parse.urlsplit(part["url"]).path.split("/")[1], self._outputs["buckets"]["videos"])
        done = self._ask("PUT", f"/api/v1/videos/{made['id']}/upload", 200, owner, {"parts": parts})
        expect("the video", (done["status"], done["container"]), ("ready", "mp4"))
        self._ask("PUT", f"/api/v1/videos/{made['id']}/publication", (200, 204), owner)
        return made["id"]

    def _watch(self, owner, video, film):
        """The signed URL opens this object at the edge, by the key of the distribution; without its signature nothing does."""
        url = self._ask("GET", f"/api/v1/videos/{video}/stream", 200, owner)["url"]
        path = url.removeprefix(self._deployment.public_url)
        if path == url or not path.startswith("/videos/tenants/"):
            raise Failure(f"the stream is not at {self._deployment.public_url}/videos/tenants/: {url.partition('?')[0]}")
        signed_by = urllib.parse.parse_qs(url.partition("?")[2])["Key-Pair-Id"]
        expect("the signing key", signed_by, list(self._outputs["signing_key_ids"].values()))
        status, body, _ = self._send("GET", path, headers={"Range": "bytes=0-99"})
        expect("the stream", (status, body), (206, film[:100]))
        expect("the whole stream", self._send("GET", path)[:2], (200, film))
        bare, _, query = path.partition("?")
        other = bare[:-5] + ("0" if bare[-5] != "0" else "1") + bare[-4:]
        for what, tried in [("unsigned", bare), ("for another object", f"{other}?{query}")]:
            expect(f"the stream, {what}", self._send("GET", tried)[0], 403)

    def _invite(self, owner):
        """The worker mails it, from the identity that the apply verified."""
        before = self._mails()
        self._ask("POST", "/api/v1/invitations", 201, owner, {"email": "coach@ffp.example", "role": "coach"})
        deadline = time.monotonic() + PATIENCE
        while self._mails() == before:
            if time.monotonic() > deadline:
                raise Failure(f"the invitation was not mailed within {PATIENCE} s: see {self._deployment.log('worker')}")
            time.sleep(0.2)

    def _mails(self):
        quota = self._deployment.emulator.xml("ses", "/", Action="GetSendQuota", Version="2010-12-01")
        return float(next(quota.iter("SentLast24Hours")).text)

    def _ask(self, method, path, expected, token=None, body=None):
        """A request to the API that must be answered so; answers the JSON."""
        status, answer, _ = self._send(method, path, token, body)
        if status not in (expected if isinstance(expected, tuple) else (expected,)):
            raise Failure(f"{method} {path} answered {status}, not {expected}: {answer}")
        return answer

    def _send(self, method, path, token=None, body=None, headers=None, to=None):
        """A request to the edge for the public host; status, body (parsed if it is JSON) and headers."""
        connection = http.client.HTTPConnection(to or self._deployment.edge, timeout=60)
        headers = {"Host": self._deployment.public_host, **(headers or {})}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if "json" in (answer.headers["Content-Type"] or ""):
            content = json.loads(content)
        return answer.status, content, answer.headers


def expect(what, found, wanted):
    """Complains about the first thing that is not as it should be."""
    if found != wanted:
        short = [repr(value)[:200] for value in (found, wanted)]
        raise Failure(f"{what}: found {short[0]}, not {short[1]}")
