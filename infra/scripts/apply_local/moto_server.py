"""moto's server, with two things put right: the root of one answer of S3, which moto calls a result and the SDK for Rust
takes under no other name; and a request that comes again because its answer was lost, which AWS answers as it did before and
moto would do twice.

Run by the interpreter that has moto.
"""

import sys

import moto.server
from moto.s3.responses import S3Response

WRONG, RIGHT = "CompleteMultipartUploadResponse", "CompleteMultipartUploadResult"
serialized = S3Response.serialized
serve = moto.server.run_simple


def corrected(self, result):
    status, headers, body = serialized(self, result)
    text = body.decode() if isinstance(body, bytes) else body
    if WRONG in text[:200]:
        body = text.replace(WRONG, RIGHT)
        headers.pop("Content-Length", None)
    return status, headers, body


def remembering(app):
    """Answers a request that an SDK sends again, under the id that it keeps for all attempts, as the first time."""
    answers = {}

    def answer(environ, start_response):
        call = environ.get("HTTP_AMZ_SDK_INVOCATION_ID")
        if call is None or environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return app(environ, start_response)
        found = answers.get(call)
        if found is None:
            said = []
            body = b"".join(app(environ, lambda status, headers, error=None: said.append((status, headers))))
            found = (*said[0], body)
            # What failed may be tried again.
            if found[0].startswith("2"):
                answers[call] = found
        status, headers, body = found
        start_response(status, headers)
        return [body]

    return answer


S3Response.serialized = corrected
moto.server.run_simple = lambda host, port, app, **options: serve(host, port, remembering(app), **options)
moto.server.main(sys.argv[1:])
