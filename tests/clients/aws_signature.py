"""Recomputes AWS signatures with botocore: the requests are in the file that the argument names."""

import hashlib
import json
import sys

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


def wrong(case):
    made = dict(case["made"])
    sent = {name.lower(): value for name, value in case["headers"]}
    sent.update(made)
    date = made["x-amz-date"]
    scheme, _, rest = made["authorization"].partition(" ")
    fields = dict(part.strip().split("=", 1) for part in rest.split(","))
    signed = fields["SignedHeaders"].split(";")
    if not {"host", "x-amz-date", "x-amz-content-sha256"} <= set(signed):
        return f"too few headers are signed: {signed}"
    if made["x-amz-content-sha256"] != hashlib.sha256(bytes.fromhex(case["body"])).hexdigest():
        return "x-amz-content-sha256 is not the hash of the body"
    token = case["token"]
    if token is not None and "x-amz-security-token" not in signed:
        return "the session token is not signed"

    auth = SigV4Auth(Credentials(case["id"], case["secret"], token), case["service"], case["region"])
    request = AWSRequest(method=case["method"], url=case["url"], data=bytes.fromhex(case["body"]))
    for name in signed:
        if name != "host":
            request.headers[name] = sent[name]
    request.context["timestamp"] = date
    canonical = auth.canonical_request(request)
    expected = auth.signature(auth.string_to_sign(request, canonical), request)
    credential = f"{case['id']}/{date[:8]}/{case['region']}/{case['service']}/aws4_request"
    if (scheme, fields["Credential"]) != ("AWS4-HMAC-SHA256", credential):
        return f"the credential is {fields['Credential']}"
    if fields["Signature"] != expected:
        return f"the signature differs; botocore's canonical request:\n{canonical}"
    return None


with open(sys.argv[1], encoding="utf-8") as file:
    cases = json.load(file)
failures = [f"{case['method']} {case['url']}: {why}" for case in cases if (why := wrong(case))]
print(f"{len(cases)} signatures, {len(failures)} wrong")
for failure in failures[:5]:
    print(failure)
sys.exit(1 if failures or not cases else 0)
