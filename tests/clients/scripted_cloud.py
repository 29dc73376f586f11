"""A scripted AWS and Google Cloud on one port: metadata of instances and containers, STS, Bedrock, whose signatures botocore
verifies, Google's token endpoint, whose assertions google-auth verifies with the key in the file given, and Vertex.

GET /control/log lists what happened; POST /control sets members of the state, and {"expire": true} lets all credentials expire.
The script ends with its standard input.
"""
import base64, binascii, hashlib, json, struct, sys, threading, time, urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

S = {"ttl": 3600, "issued": {}, "count": 0, "gtokens": {}, "fail": None, "log": [], "static": {"AKIASTATIC": ("static-secret", None)}}
L = threading.Lock()

def issue():
    with L:
        S["count"] += 1; n = S["count"]
        c = {"AccessKeyId": f"ASIATEST{n}", "SecretAccessKey": f"secret/{n}+x", "Token": f"session-token-{n}", "until": time.time() + S["ttl"]}
        S["issued"][c["AccessKeyId"]] = c
    iso = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(c["until"]))
    return c, iso

def frame(headers, payload):
    h = b"".join(bytes([len(k)]) + k.encode() + b"\x07" + struct.pack(">H", len(v)) + v.encode() for k, v in headers.items())
    total = 16 + len(h) + len(payload)
    p = struct.pack(">II", total, len(h)); p += struct.pack(">I", binascii.crc32(p))
    m = p + h + payload
    return m + struct.pack(">I", binascii.crc32(m))

def events(body):
    msgs = body.get("messages", []); last = msgs[-1] if msgs else {}
    content = last.get("content")
    has_result = isinstance(content, list) and any(b.get("type") == "tool_result" for b in content if isinstance(b, dict))
    tools = [t.get("name") for t in body.get("tools", [])]
    out = [{"type": "message_start", "message": {"id": "msg_bdrk_1", "type": "message", "role": "assistant", "model": "claude", "content": [], "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 12, "output_tokens": 1}}}]
    i = 0
    if body.get("thinking"):
        out += [{"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
                {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "I think."}},
                {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "c2ln"}},
                {"type": "content_block_stop", "index": 0}]; i = 1
    if "Bash" in tools and not has_result:
        out += [{"type": "content_block_start", "index": i, "content_block": {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {}}},
                {"type": "content_block_delta", "index": i, "delta": {"type": "input_json_delta", "partial_json": json.dumps({"command": "echo from-the-tool", "description": "say"})}},
                {"type": "content_block_stop", "index": i}]
        stop = "tool_use"
    else:
        text = "The cloud says hello" + (" after the tool." if has_result else ".")
        out += [{"type": "content_block_start", "index": i, "content_block": {"type": "text", "text": ""}},
                {"type": "content_block_delta", "index": i, "delta": {"type": "text_delta", "text": text}},
                {"type": "content_block_stop", "index": i}]
        stop = "end_turn"
    out += [{"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None}, "usage": {"output_tokens": 9}}, {"type": "message_stop"}]
    return out

def whole(evs):
    m = dict(evs[0]["message"]); blocks = []
    for e in evs:
        if e["type"] == "content_block_start": b = dict(e["content_block"]); blocks.append(b); part = ""
        if e["type"] == "content_block_delta":
            d = e["delta"]
            if d["type"] == "text_delta": blocks[-1]["text"] += d["text"]
            if d["type"] == "thinking_delta": blocks[-1]["thinking"] += d["thinking"]
            if d["type"] == "signature_delta": blocks[-1]["signature"] = d["signature"]
            if d["type"] == "input_json_delta": blocks[-1]["input"] = json.loads(d["partial_json"])
        if e["type"] == "message_delta": m["stop_reason"] = e["delta"]["stop_reason"]
    m["content"] = blocks
    return m

class Cloud(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *a): pass
    def send(self, status, body, headers=()):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        hs = dict(headers); hs.setdefault("content-type", "application/json")
        for k, v in hs.items(): self.send_header(k, v)
        self.send_header("content-length", str(len(data))); self.end_headers(); self.wfile.write(data)
    def chunked(self, ctype, parts):
        self.send_response(200); self.send_header("content-type", ctype); self.send_header("transfer-encoding", "chunked"); self.end_headers()
        for p in parts:
            self.wfile.write(b"%x\r\n" % len(p) + p + b"\r\n"); self.wfile.flush(); time.sleep(0.01)
        self.wfile.write(b"0\r\n\r\n")
    def note(self, kind, **more):
        with L: S["log"].append({"kind": kind, "method": self.command, "path": self.path, **more})
    def do_GET(self): self.go(b"")
    def do_PUT(self): self.go(self.body())
    def do_POST(self): self.go(self.body())
    def body(self): return self.rfile.read(int(self.headers.get("content-length") or 0))
    def aws_error(self, status, kind, message):
        self.send(status, {"message": message}, {"x-amzn-errortype": kind + ":http://internal.amazon.com/"})
    def verify(self, body):
        a = self.headers.get("authorization", "")
        if a == "Bearer bedrock-api-key": return "bearer"
        if not a.startswith("AWS4-HMAC-SHA256 "): self.aws_error(403, "MissingAuthenticationTokenException", "Missing Authentication Token"); self.note("unsigned", auth=a[:20]); return None
        parts = dict(p.strip().split("=", 1) for p in a[len("AWS4-HMAC-SHA256 "):].split(","))
        key, date, region, service, _ = parts["Credential"].split("/")
        signed = parts["SignedHeaders"].split(";")
        if key in S["static"]: secret, token = S["static"][key]; until = None
        elif key in S["issued"]:
            c = S["issued"][key]; secret, token, until = c["SecretAccessKey"], c["Token"], c["until"]
        else: self.note("unknown-key"); self.aws_error(403, "UnrecognizedClientException", "The security token included in the request is invalid."); return None
        if until and time.time() > until: self.note("expired"); self.aws_error(403, "ExpiredTokenException", "The security token included in the request is expired"); return None
        if (self.headers.get("x-amz-security-token") or None) != token: self.note("bad-token"); self.aws_error(403, "UnrecognizedClientException", "The security token included in the request is invalid."); return None
        sha = self.headers.get("x-amz-content-sha256")
        if sha and sha != hashlib.sha256(body).hexdigest(): self.note("bad-body-hash"); self.aws_error(403, "InvalidSignatureException", "body hash"); return None
        req = AWSRequest(method=self.command, url=f"http://{self.headers['host']}{self.path}", data=body, headers={h: self.headers[h] for h in signed if h != "host"})
        req.context["timestamp"] = self.headers["x-amz-date"]
        auth = SigV4Auth(Credentials(key, secret, token), service, region)
        req.headers["host"] = self.headers["host"]
        auth.headers_to_sign = lambda r: signed_headers(r, signed)
        canonical = auth.canonical_request(req); sts = auth.string_to_sign(req, canonical); sig = auth.signature(sts, req)
        if sig != parts["Signature"]: self.note("bad-signature", canonical=canonical); self.aws_error(403, "InvalidSignatureException", "The request signature we calculated does not match"); return None
        return f"{key} {region} {service}"
    def go(self, body):
        path = urllib.parse.urlsplit(self.path).path; h = self.headers
        if path == "/control/log": return self.send(200, S["log"])
        if path == "/control":
            with L:
                S.update(json.loads(body))
                if json.loads(body).get("expire"):
                    for c in S["issued"].values(): c["until"] = 1
                    for t in S["gtokens"]: S["gtokens"][t] = 0
            return self.send(200, {})
        if path == "/latest/api/token": self.note("imds-token"); return self.send(200, b"imds-token") if self.command == "PUT" else self.send(405, b"")
        if path.startswith("/latest/meta-data/iam/security-credentials/"):
            if h.get("x-aws-ec2-metadata-token") != "imds-token": return self.send(401, b"")
            self.note("imds")
            if path.endswith("/security-credentials/"): return self.send(200, b"my-role")
            c, iso = issue(); return self.send(200, {"Code": "Success", "Type": "AWS-HMAC", **{k: c[k] for k in ("AccessKeyId", "SecretAccessKey", "Token")}, "Expiration": iso})
        if path == "/ecs":
            self.note("ecs", auth=h.get("authorization")); c, iso = issue()
            return self.send(200, {"RoleArn": "r", **{k: c[k] for k in ("AccessKeyId", "SecretAccessKey", "Token")}, "Expiration": iso})
        if path == "/token":
            form = dict(urllib.parse.parse_qsl(body.decode())); self.note("google-token", grant=form.get("grant_type"))
            if form.get("assertion"):
                from google.auth import jwt
                try: jwt.decode(form["assertion"], certs=open(sys.argv[1], "rb").read(), audience=f"http://{self.headers['host']}/token")
                except Exception as e: self.note("bad-jwt", why=repr(e)); return self.send(400, {"error": "invalid_grant", "error_description": repr(e)})
            if S["fail"] == "token": return self.send(400, {"error": "invalid_grant", "error_description": "Token has been expired or revoked."})
            S["count"] += 1; t = f"ya29.token-{S['count']}"; S["gtokens"][t] = time.time() + S["ttl"]
            return self.send(200, {"access_token": t, "expires_in": S["ttl"], "token_type": "Bearer"})
        if path.startswith("/computeMetadata/v1/instance/service-accounts/default/token"):
            self.note("google-metadata"); S["count"] += 1; t = f"ya29.meta-{S['count']}"; S["gtokens"][t] = time.time() + S["ttl"]
            return self.send(200, {"access_token": t, "expires_in": S["ttl"], "token_type": "Bearer"}, {"Metadata-Flavor": "Google"})
        if path == "/inference-profiles":
            who = self.verify(body)
            if who: self.note("profiles", who=who); self.send(200, {"inferenceProfileSummaries": [{"inferenceProfileId": "us.anthropic.claude-sonnet-5-5", "inferenceProfileName": "US Sonnet", "status": "ACTIVE", "type": "SYSTEM_DEFINED", "inferenceProfileArn": "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-sonnet-5-5"}]})
            return
        if path.startswith("/model/"):
            who = self.verify(body)
            if not who: return
            b = json.loads(body); self.note("bedrock", who=who, members=sorted(b), betas=b.get("anthropic_beta"), headers={k.lower(): v for k, v in h.items() if k.lower() not in ("authorization", "x-amz-security-token")})
            if S["fail"] == "access": return self.aws_error(403, "AccessDeniedException", "User: arn:aws:sts::1:assumed-role/x is not authorized to perform: bedrock:InvokeModelWithResponseStream on resource: arn:aws:bedrock:us-east-1::foundation-model/m because no identity-based policy allows the action")
            if S["fail"] == "model": return self.aws_error(400, "ValidationException", "The provided model identifier is invalid.")
            if S["fail"] == "throttle": return self.aws_error(429, "ThrottlingException", "Too many requests, please wait before trying again.")
            if path.endswith("/count-tokens"): return self.send(200, {"inputTokens": 77})
            extra = {"model", "stream"} & set(b)
            if extra or "anthropic_version" not in b: return self.aws_error(400, "ValidationException", f"extraneous key {extra} is not permitted")
            ev = events(b)
            if path.endswith("/invoke"): return self.send(200, whole(ev))
            fr = [frame({":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}, json.dumps({"bytes": base64.b64encode(json.dumps(e).encode()).decode(), "p": "abcd"}).encode()) for e in ev]
            if S["fail"] == "midstream": fr = fr[:3] + [frame({":exception-type": "throttlingException", ":content-type": "application/json", ":message-type": "exception"}, b'{"message":"slow down"}')]
            return self.chunked("application/vnd.amazon.eventstream", fr)
        if "/publishers/anthropic/models/" in path:
            t = h.get("authorization", "")[7:]; b = json.loads(body)
            self.note("vertex", token=t, members=sorted(b), betas=h.get("anthropic-beta"), headers={k.lower(): v for k, v in h.items() if k.lower() != "authorization"})
            if S["gtokens"].get(t, 0) < time.time():
                return self.send(401, {"error": {"code": 401, "message": "Request had invalid authentication credentials.", "status": "UNAUTHENTICATED", "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "ACCESS_TOKEN_EXPIRED"}]}})
            if S["fail"] == "access": return self.send(403, [{"error": {"code": 403, "message": "Permission 'aiplatform.endpoints.predict' denied on resource '//aiplatform.googleapis.com/projects/p' (or it may not exist).", "status": "PERMISSION_DENIED"}}])
            if path.endswith("count-tokens:rawPredict"): return self.send(200, {"input_tokens": 78})
            ev = events(b)
            if path.endswith(":rawPredict"): return self.send(200, whole(ev))
            return self.chunked("text/event-stream", [f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in ev])
        if path == "/" and b"Action=AssumeRole" in body:
            self.note("sts", action=body.decode()[:200]); c, iso = issue(); a = "AssumeRoleWithWebIdentity" if b"WebIdentity" in body else "AssumeRole"
            x = f"<{a}Response xmlns='https://sts.amazonaws.com/doc/2011-06-15/'><{a}Result><Credentials><AccessKeyId>{c['AccessKeyId']}</AccessKeyId><SecretAccessKey>{c['SecretAccessKey']}</SecretAccessKey><SessionToken>{c['Token']}</SessionToken><Expiration>{iso}</Expiration></Credentials></{a}Result></{a}Response>"
            return self.send(200, x.encode(), {"content-type": "text/xml"})
        self.note("unknown"); self.send(404, {"message": "no such path " + path})

def signed_headers(request, signed):
    from http.client import HTTPMessage
    m = HTTPMessage()
    for k, v in request.headers.items():
        if k.lower() in signed: m[k.lower()] = v
    return m

if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Cloud)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()
