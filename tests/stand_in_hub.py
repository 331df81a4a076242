"""A server on this machine that speaks the part of the Hugging Face hub's API that a model needs to go up and down.

Written from what huggingface_hub sends and reads. The hub itself also takes large files by the Xet protocol, which this
server does not speak: it takes them by Git LFS, as the hub does from clients without hf_xet.
"""

import base64
import contextlib
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "hf_aTokenOfTheStandIn"
LARGE = (".safetensors", ".onnx", ".mp4", ".gif")


class Repository:
    def __init__(self, private):
        self.private = private
        self.commits = {}  # files by the commit's name, the newest last

    @property
    def newest(self):
        return next(reversed(self.commits), None)

    def commit(self, files):
        before = self.commits.get(self.newest, {})
        oid = hashlib.sha1(f"{self.newest}{sorted(files.items())}".encode()).hexdigest()
        after = before | files
        self.commits[oid] = {name: content for name, content in after.items() if content is not None}
        return oid


class StandInHub(ThreadingHTTPServer):
    """`repositories` by id. `requests` are those it got, `failing` patterns of paths that it answers with a status."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories, self.large, self.requests, self.failing = {}, {}, [], {}
        self.claimed_size = None

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def files(self, repo_id):
        repository = self.repositories[repo_id]
        return repository.commits[repository.newest]

    def put(self, repo_id, files, private=False):
        return self.repositories.setdefault(repo_id, Repository(private)).commit(files)


@contextlib.contextmanager
def running():
    with StandInHub() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        if not isinstance(body, bytes):
            body, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        size = headers.pop("Content_Length", len(body))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.send_header("Content-Length", str(size))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def missing(self, what):
        code = {"RepoNotFound": "Repository", "RevisionNotFound": "Revision", "EntryNotFound": "Entry"}[what]
        self.answer(404, {"error": f"{code} not found"}, X_Error_Code=what)

    def handle_any(self):
        hub, content = self.server, self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        hub.requests.append(f"{self.command} {path}")
        for pattern, status in hub.failing.items():
            if re.search(pattern, f"{self.command} {path}"):
                return self.answer(status, {"error": "the stand-in was told to fail"})
        known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        writing = self.command in ("POST", "PUT") and not path.startswith("/lfs/")
        if writing and not known:
            return self.answer(401, {"error": "Invalid username or password."})
        for pattern, method in ROUTES:
            match = re.fullmatch(pattern, f"{self.command} {path}")
            if match:
                return method(self, hub, content, known, **match.groupdict())
        return self.answer(404, {"error": f"no such route: {path}"})

    do_GET = do_HEAD = do_POST = do_PUT = handle_any

    def create(self, hub, content, known):
        asked = json.loads(content)
        repo_id = f"{asked['organization']}/{asked['name']}"
        url = {"url": f"{hub.endpoint}/{repo_id}"}
        if repo_id in hub.repositories:
            return self.answer(409, {**url, "error": "You already created this model repo"})
        private = asked.get("private") or asked.get("visibility") == "private"
        hub.repositories[repo_id] = Repository(private)
        return self.answer(200, url)

    def validate(self, hub, content, known):
        text = json.loads(content)["content"]
        errors = [] if text.startswith("---\n") else [{"message": "no metadata"}]
        self.answer(400 if errors else 200, {"errors": errors, "warnings": []})

    def preupload(self, hub, content, known, repo_id):
        files = json.loads(content)["files"]
        modes = [
            {"path": f["path"], "uploadMode": "lfs" if f["path"].endswith(LARGE) else "regular", "shouldIgnore": False}
            for f in files
        ]
        self.answer(200, {"files": modes})

    def batch(self, hub, content, known, repo_id):
        objects = json.loads(content)["objects"]
        actions = [
            {**one, "actions": {"upload": {"href": f"{hub.endpoint}/lfs/{one['oid']}", "header": {}}}}
            for one in objects
        ]
        self.answer(200, {"transfer": "basic", "objects": actions})

    def put_large(self, hub, content, known, oid):
        fits = hashlib.sha256(content).hexdigest() == oid
        if fits:
            hub.large[oid] = content
        self.answer(200 if fits else 400)

    def commit(self, hub, content, known, repo_id):
        files = {}
        for line in content.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = hub.large[value["oid"]]
            elif entry["key"] == "deletedFile":
                files[value["path"]] = None
        oid = hub.put(repo_id, files)
        self.answer(200, {"success": True, "commitOid": oid, "commitUrl": f"{hub.endpoint}/{repo_id}/commit/{oid}"})

    def info(self, hub, content, known, repo_id):
        repository = hub.repositories.get(repo_id)
        if repository is None or (repository.private and not known):
            return self.missing("RepoNotFound")
        record = {"id": repo_id, "modelId": repo_id, "sha": repository.newest, "private": repository.private}
        names = repository.commits.get(repository.newest, {})
        return self.answer(200, {**record, "tags": [], "siblings": [{"rfilename": name} for name in names]})

    def resolve(self, hub, content, known, repo_id, revision, name):
        repository = hub.repositories.get(repo_id)
        if repository is None or (repository.private and not known):
            return self.missing("RepoNotFound")
        commit = repository.newest if revision == "main" else revision
        if commit not in repository.commits:
            return self.missing("RevisionNotFound")
        if name not in repository.commits[commit]:
            return self.missing("EntryNotFound")
        body = repository.commits[commit][name]
        etag = hashlib.sha256(body).hexdigest()
        size = {} if hub.claimed_size is None else {"Content_Length": hub.claimed_size}
        return self.answer(200, body, X_Repo_Commit=commit, ETag=f'"{etag}"', **size)


ID = r"(?P<repo_id>[\w.-]+/[\w.-]+)"
ROUTES = [
    (r"POST /api/repos/create", Handler.create),
    (r"POST /api/validate-yaml", Handler.validate),
    (rf"POST /api/models/{ID}/preupload/main", Handler.preupload),
    (rf"POST /{ID}\.git/info/lfs/objects/batch", Handler.batch),
    (r"PUT /lfs/(?P<oid>\w+)", Handler.put_large),
    (rf"POST /api/models/{ID}/commit/main", Handler.commit),
    (rf"GET /api/models/{ID}(?:/revision/main)?", Handler.info),
    (rf"(?:GET|HEAD) /{ID}/resolve/(?P<revision>[\w.-]+)/(?P<name>[\w.-]+)", Handler.resolve),
]
