"""moto's server, with one answer put right, whose root S3 calls a result: the SDK for Rust takes no other name.

Run by the interpreter that has moto.
"""

import sys

from moto.s3.responses import S3Response
from moto.server import main

WRONG, RIGHT = "CompleteMultipartUploadResponse", "CompleteMultipartUploadResult"
serialized = S3Response.serialized


def corrected(self, result):
    status, headers, body = serialized(self, result)
    text = body.decode() if isinstance(body, bytes) else body
    if WRONG in text[:200]:
        body = text.replace(WRONG, RIGHT)
        headers.pop("Content-Length", None)
    return status, headers, body


S3Response.serialized = corrected
main(sys.argv[1:])
