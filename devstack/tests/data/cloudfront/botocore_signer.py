"""Signs URLs with botocore's CloudFrontSigner and a new RSA key, SHA-1 as CloudFront's default is and SHA-256.
Reads {id, cases} from stdin; writes {public, signed: [{sha1, sha256}]}."""
import json
import sys
from datetime import datetime, timezone

from botocore.signers import CloudFrontSigner
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

asked = json.load(sys.stdin)
key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
public = key.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


def moment(epoch):
    return epoch and datetime.fromtimestamp(epoch, timezone.utc)


def sign(case, digest):
    signer = CloudFrontSigner(
        asked["id"], lambda message: key.sign(message, padding.PKCS1v15(), digest)
    )
    end = moment(case["end"])
    if "resource" not in case:
        return signer.generate_presigned_url(case["url"], date_less_than=end)
    policy = signer.build_policy(
        case["resource"], end, moment(case.get("start")), case.get("viewers")
    )
    return signer.generate_presigned_url(case["url"], policy=policy)


signed = [
    {"sha1": sign(case, hashes.SHA1()), "sha256": sign(case, hashes.SHA256())}
    for case in asked["cases"]
]
json.dump({"public": public.decode(), "signed": signed}, sys.stdout)
