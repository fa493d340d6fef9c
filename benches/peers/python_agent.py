"""Runs the public Python agent as its own command does, except that it opens its websocket at once: the stand-in of a server
has no long polling to begin with."""

import socketio
from faraday_agent_dispatcher.cli.main import cli

connect = socketio.AsyncClient.connect


async def connect_by_websocket(self, *args, **kwargs):
    return await connect(self, *args, **{"transports": ["websocket"], **kwargs})


socketio.AsyncClient.connect = connect_by_websocket
cli()
