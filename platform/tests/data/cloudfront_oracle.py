"""Signs with botocore's CloudFrontSigner. Reads {key, id, cases} from stdin, writes one answer per case."""
import json
import sys
from datetime import datetime, timezone

from botocore.signers import CloudFrontSigner
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

asked = json.load(sys.stdin)
key = serialization.load_pem_private_key(asked["key"].encode(), password=None)
signer = CloudFrontSigner(
    asked["id"], lambda message: key.sign(message, padding.PKCS1v15(), hashes.SHA256())
)


def moment(epoch):
    return None if epoch is None else datetime.fromtimestamp(epoch, timezone.utc)


answers = []
for case in asked["cases"]:
    end = moment(case["ends_at"])
    if case["canned"]:
        policy = signer.build_policy(case["resource"], end)
        url = signer.generate_presigned_url(case["url"], date_less_than=end)
    else:
        policy = signer.build_policy(
            case["resource"], end, moment(case.get("starts_at")), case.get("clients")
        )
        url = signer.generate_presigned_url(case["url"], policy=policy)
    answers.append({"policy": policy, "url": url})
json.dump(answers, sys.stdout)
