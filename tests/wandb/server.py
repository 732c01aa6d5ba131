"""A small stand-in for the Weights & Biases server: sweeps, their agents, and the runs that these log.

    python tests/wandb/server.py [127.0.0.1]

prints its address; ``GET /state`` gives what it knows. It answers what wandb 0.31 asks (the calls are internal to wandb
and may change with it), draws parameters at random whatever the method, hands a run that was preempted to the next
agent that asks, and keeps everything in memory.
"""

import gzip
import json
import math
import random
import re
import sys
import threading
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import yaml

ENTITY = "test"
LOCK = threading.RLock()
STATE = {"sweeps": {}, "agents": {}, "runs": {}, "unknown": []}
RANDOM = random.Random(0)


def id_of(kind, name):
    return b64encode(f"{kind}:{name}".encode()).decode()


def draw(parameter):
    if "value" in parameter:
        return parameter["value"]
    if "values" in parameter:
        return RANDOM.choice(parameter["values"])
    low, high = parameter["min"], parameter["max"]
    if parameter.get("distribution") == "log_uniform_values":
        return math.exp(RANDOM.uniform(math.log(low), math.log(high)))
    whole = isinstance(low, int) and isinstance(high, int)
    return RANDOM.randint(low, high) if whole else RANDOM.uniform(low, high)


def run_of(name, **known):
    new = {"name": name, "sweep": None, "agent": None, "args": {}, "state": "running", "exit": None}
    new |= {"config": {}, "summary": {}, "history": [], "files": {}, "preempting": False}
    run = STATE["runs"].setdefault(name, new)
    run.update(known)
    return run


# Answers to GraphQL, by the operation's or the field's name.


def viewer(v):
    user = {"id": id_of("User", 1), "entity": ENTITY, "username": ENTITY, "flags": "{}", "email": "", "admin": False}
    user |= {"teams": {"edges": [{"node": {"name": ENTITY}}]}, "accounts": []}
    return {"viewer": user, "serverInfo": server_info()}


def server_info():
    versions = {"max_cli_version": "99.0.0", "min_cli_version": "0.1.0"}
    return {
        "cliVersionInfo": versions,
        "latestLocalVersionInfo": None,
        "features": [],
        "exposesExplicitRunQueuePermissions": False,
    }


def upsert_sweep(v):
    sweep = next((sweep for sweep in STATE["sweeps"].values() if sweep["id"] == v.get("id")), None)
    if sweep is None:
        name = f"sweep{len(STATE['sweeps'])}"
        project = v.get("projectName")
        sweep = {"id": id_of("Sweep", name), "name": name, "state": "RUNNING", "project": project}
        STATE["sweeps"][name] = sweep
    sweep["state"] = v.get("state") or sweep["state"]
    if v.get("config"):
        sweep |= {"yaml": v["config"], "config": yaml.safe_load(v["config"])}
    project = {
        "id": id_of("Project", 0),
        "name": sweep["project"],
        "entity": {"id": id_of("Entity", 0), "name": ENTITY},
    }
    return {"upsertSweep": {"sweep": {"name": sweep["name"], "project": project}, "configValidationWarnings": []}}


def sweep_with_runs(v):
    sweep = STATE["sweeps"].get(v["sweep"])
    if sweep is None:
        return {"project": {"sweep": None}}
    absent = dict.fromkeys(
        ("description", "createdAt", "heartbeatAt", "updatedAt", "bestLoss", "controller", "scheduler")
    )
    found = {"id": sweep["id"], "name": sweep["name"], "method": sweep["config"]["method"], "state": sweep["state"]}
    found |= {"config": sweep["yaml"], "earlyStopJobRunning": False, "runs": {"edges": []}}
    return {"project": {"sweep": absent | found}}


def sweep_state(v):
    return {"project": {"sweep": {"state": STATE["sweeps"][v["sweep"]]["state"]}}}


def create_agent(v):
    agent = {"id": id_of("Agent", len(STATE["agents"])), "sweep": v["sweep"]}
    STATE["agents"][agent["id"]] = agent
    return {"createAgent": {"agent": {"id": agent["id"]}}}


def agent_heartbeat(v):
    agent = STATE["agents"][v["id"]]
    sweep = STATE["sweeps"][agent["sweep"]]
    live = json.loads(v.get("runState") or "{}")
    commands = []
    if not live:
        waiting = (run for run in STATE["runs"].values() if run["sweep"] == sweep["name"] and run["preempting"])
        run = next((run for run in waiting if run["state"] == "crashed"), None)
        if run is None:
            args = {key: {"value": draw(parameter)} for key, parameter in sweep["config"]["parameters"].items()}
            run = run_of(f"{sweep['name']}run{len(STATE['runs'])}", sweep=sweep["name"], args=args, starts=0)
        run |= {"agent": agent["id"], "state": "running", "starts": run["starts"] + 1}
        name, args = run["name"], run["args"]
        commands = [{"type": "run", "run_id": name, "program": None, "args": args}]
    return {"agentHeartbeat": {"agent": {"id": agent["id"]}, "commands": json.dumps(commands)}}


def upsert_bucket(v):
    name = v.get("name") or v.get("id")
    new = name not in STATE["runs"]
    run = run_of(name)
    if v.get("config"):
        config = json.loads(v["config"])
        run["config"] = {key: c["value"] if isinstance(c, dict) and "value" in c else c for key, c in config.items()}
    if v.get("summaryMetrics"):
        run["summary"] = json.loads(v["summaryMetrics"])
    run["sweep"] = run["sweep"] or v.get("sweep")
    project = {
        "id": id_of("Project", 0),
        "name": v.get("project"),
        "entity": {"id": id_of("Entity", 0), "name": ENTITY},
    }
    bucket = {"id": id_of("Run", name), "name": name, "displayName": v.get("displayName") or name, "description": None}
    bucket |= {"config": json.dumps({key: {"value": value} for key, value in run["config"].items()})}
    bucket |= {"sweepName": run["sweep"], "historyLineCount": 0, "project": project}
    return {"upsertBucket": {"bucket": bucket, "inserted": new}}


def no_run_to_resume(v):
    return {
        "model": {
            "id": id_of("Project", 0),
            "name": "p",
            "entity": {"id": id_of("Entity", 0), "name": ENTITY},
            "bucket": None,
        }
    }


def create_run_files(v):
    run = v.get("run") or v.get("name")
    files = [{"name": name, "uploadUrl": f"{ADDRESS}/upload/{run}/{name}"} for name in v.get("files", [])]
    return {"createRunFiles": {"runID": id_of("Run", run), "uploadHeaders": [], "files": files}}


ANSWERS = {
    "viewer": viewer,
    "serverInfo": lambda v: {"serverInfo": server_info()},
    "__type": lambda v: {"__type": None},
    "__schema": lambda v: {"__schema": {"queryType": {"fields": []}, "mutationType": {"fields": []}}},
    "OrganizationCoreWeaveOrganizationID": lambda v: {"entity": {"organization": None}},
    "upsertSweep": upsert_sweep,
    "SweepWithRuns": sweep_with_runs,
    "GetSweepState": sweep_state,
    "createAgent": create_agent,
    "agentHeartbeat": agent_heartbeat,
    "upsertBucket": upsert_bucket,
    "model": no_run_to_resume,
    "RunStoppedStatus": lambda v: {"project": {"run": {"stopped": False}}},
    "createRunFiles": create_run_files,
    "notifyScriptableRunAlert": lambda v: {"notifyScriptableRunAlert": {"success": True}},
}


def answer(query, variables):
    operation = re.search(r"(?:query|mutation)\s+(\w+)", query)
    field = re.search(r"\{\s*(\w+)", query[operation.end() :] if operation else query)
    for name in (operation and operation[1], field and field[1]):
        if name in ANSWERS:
            with LOCK:
                return {"data": ANSWERS[name](variables)}
    STATE["unknown"].append(query)
    return {"errors": [{"message": f"the stand-in has no answer for {operation and operation[1]}"}]}


def stream(name, sent):
    """What a run logs: history and summary, its end, and whether it says that it is being preempted."""
    with LOCK:
        run = run_of(name)
        files = sent.get("files") or {}
        run["history"] += [json.loads(row) for row in files.get("wandb-history.jsonl", {}).get("content", [])]
        for row in files.get("wandb-summary.json", {}).get("content", []):
            run["summary"] = json.loads(row)
        run["preempting"] |= bool(sent.get("preempting"))
        if sent.get("complete"):
            run |= {"exit": sent.get("exitcode"), "state": "crashed" if sent.get("exitcode") else "finished"}
    return {}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *words):
        pass

    def body(self):
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "chunked" in (self.headers.get("Transfer-Encoding") or ""):
            while length := int(self.rfile.readline().strip() or b"0", 16):
                sent += self.rfile.read(length)
                self.rfile.readline()
            self.rfile.readline()
        return gzip.decompress(sent) if self.headers.get("Content-Encoding") == "gzip" else sent

    def reply(self, content):
        text = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        with LOCK:
            self.reply(STATE if self.path == "/state" else {})

    def do_PUT(self):
        sent = self.body()
        if match := re.match(r"/upload/([^/]+)/([^?]+)", self.path):
            with LOCK:
                run_of(match[1])["files"][match[2]] = len(sent)
        self.reply({})

    def do_POST(self):
        sent = self.body()
        if self.path == "/graphql":
            said = json.loads(sent)
            self.reply(answer(said["query"], said.get("variables") or {}))
        elif match := re.match(r"/files/[^/]+/[^/]+/([^/]+)/file_stream", self.path):
            self.reply(stream(match[1], json.loads(sent)))
        else:
            self.reply({})


if __name__ == "__main__":
    server = ThreadingHTTPServer((sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1", 0), Handler)
    ADDRESS = "http://{}:{}".format(*server.server_address)
    print(ADDRESS, flush=True)
    server.serve_forever()
