"""Walks one document and one run through each server; started by ./smoke, with the variables of DIR/env."""

import datetime
import json
import os
import queue
import time
import urllib.request

import psycopg2
import simple_websocket
import socketio

WAIT_SECONDS_MAX = 60
EXECUTORS = [{"executor_name": "echo", "args": {"TARGET": {"mandatory": True, "type": "string", "base": "string"}}}]


def wait_for(what, probe):
    begin = time.monotonic()
    while time.monotonic() - begin < WAIT_SECONDS_MAX:
        found = probe()
        if found:
            print(f"  {what} after {time.monotonic() - begin:.1f} s")
            return found
        time.sleep(0.1)
    raise SystemExit(f"not in {WAIT_SECONDS_MAX} s: {what}")


class Server:
    """REST with the cookie of a logged-in user, and as an agent with its token, or with nothing before it has one."""

    def __init__(self, generation):
        self.url = os.environ[f"FARADAY{generation}_URL"]
        self.database = psycopg2.connect(os.environ[f"FARADAY{generation}_DATABASE"])
        self.database.autocommit = True
        direct = urllib.request.ProxyHandler({})
        self.user = urllib.request.build_opener(direct, urllib.request.HTTPCookieProcessor())
        self.agent = urllib.request.build_opener(direct)

    def get(self, path):
        with self.user.open(self.url + path, timeout=30) as response:
            return json.load(response)

    def post(self, path, body, opener=None, headers=None):
        headers = {"Content-Type": "application/json", **(headers or {})}
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)
        with (opener or self.user).open(request, timeout=30) as response:
            answer = json.load(response)
            print(f"  POST {path} -> {response.status} {json.dumps(answer)[:150]}")
        return answer

    def post_as_agent(self, path, body, token=None):
        return self.post(path, body, self.agent, {"Authorization": f"Agent {token}"} if token else None)

    def hosts(self, workspace):
        return [row["value"]["ip"] for row in self.get(f"/_api/v3/ws/{workspace}/hosts")["rows"]]

    def execution(self, command_id):
        """From the database, as the API tells no message, and nothing at all on 4.6.2."""
        with self.database.cursor() as cursor:
            query = "select running, successful, message from agent_execution where command_id = %s"
            cursor.execute(query, [command_id])
            return cursor.fetchone()


class SocketIoAgent:
    """Server 5. Long polling, as the venv has no websocket transport for this client."""

    def __init__(self, url, token):
        self.inbox = queue.Queue()
        self.client = socketio.Client()
        self.client.on("run", self.inbox.put, namespace="/dispatcher")
        self.client.connect(url, namespaces=["/dispatcher"], transports=["polling"])
        self.client.call("join_agent", {"action": "JOIN_AGENT", "token": token, "executors": EXECUTORS}, "/dispatcher")

    def receive_run(self):
        return self.inbox.get(timeout=WAIT_SECONDS_MAX)

    def send_status(self, status):
        self.client.call("run_status", json.dumps({"action": "RUN_STATUS", **status}), "/dispatcher")

    def leave(self):
        self.client.disconnect()


class RawAgent:
    """Server 4."""

    def __init__(self, host, port, token):
        self.socket = simple_websocket.Client(f"ws://{host}:{port}/websockets")
        self.token = token
        self.socket.send(json.dumps({"action": "JOIN_AGENT", "token": token, "executors": EXECUTORS}))

    def receive_run(self):
        return json.loads(self.socket.receive(timeout=WAIT_SECONDS_MAX))

    def send_status(self, status):
        self.socket.send(json.dumps({"action": "RUN_STATUS", "executor_name": "echo", **status}))

    def leave(self):
        self.socket.send(json.dumps({"action": "LEAVE_AGENT", "token": self.token, "reason": "done"}))
        self.socket.close()


def document(ip):
    start_date = datetime.datetime.utcnow().isoformat()
    return {
        "hosts": [{"ip": ip, "description": "smoke"}],
        "command": {"tool": "smoke", "command": "smoke", "start_date": start_date, "duration": 1000},
    }


def smoke(generation, connect):
    print(f"server {generation}:")
    server = Server(generation)
    name = f"smoke{time.time_ns()}"
    bulk_create = f"/_api/v3/ws/{name}/bulk_create"
    server.post("/_api/login", {"email": os.environ["FARADAY_USER"], "password": os.environ["FARADAY_PASSWORD"]})
    server.post("/_api/v3/ws", {"name": name})
    server.post(bulk_create, document("192.0.2.1"))
    wait_for("the user's host shows", lambda: "192.0.2.1" in server.hosts(name))

    registration = server.get("/_api/v3/agent_token")
    print(f"  registration token: {registration}")
    agent = server.post_as_agent("/_api/v3/agents", {"token": registration["token"], "name": name})
    token = server.post_as_agent("/_api/v3/agent_websocket_token", {}, agent["token"])["token"]
    channel = connect(token)
    wait_for("the agent is online", lambda: server.get(f"/_api/v3/agents/{agent['id']}")["is_online"])

    button = {"executor_data": {"executor": "echo", "args": {"TARGET": "192.0.2.2"}}, "workspaces_names": [name]}
    command_id = server.post(f"/_api/v3/agents/{agent['id']}/run", button)["commands_id"][0]
    run = channel.receive_run()
    print(f"  the agent got {json.dumps(run)}")
    ids = run["execution_ids"]
    channel.send_status({"execution_ids": ids, "running": True, "message": "started"})
    server.post_as_agent(bulk_create, {**document("192.0.2.2"), "execution_id": ids[0]}, agent["token"])
    channel.send_status({"execution_ids": ids, "running": False, "successful": True, "message": "finished"})
    ended = (False, True, "finished")
    wait_for(f"the execution is {ended}", lambda: server.execution(command_id) == ended)
    wait_for("the agent's host shows", lambda: "192.0.2.2" in server.hosts(name))
    channel.leave()


smoke(5, lambda token: SocketIoAgent(os.environ["FARADAY5_URL"], token))
smoke(4, lambda token: RawAgent(os.environ["FARADAY4_HOST"], os.environ["FARADAY4_WS_PORT"], token))
print("both servers work")
