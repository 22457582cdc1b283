"""Run the reference server of the ``optimade`` package on loopback with the structures of a JSON file.

``python optimade_reference_server.py STRUCTURES.json PORT_FILE``: writes the port that it listens on.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import uvicorn
from optimade.server.config import ServerConfig
from optimade.server.create_app import create_app

app = create_app(ServerConfig())
app.state.entry_collections["structures"].insert(json.loads(Path(sys.argv[1]).read_text()))
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen()
Path(sys.argv[2]).write_text(str(listener.getsockname()[1]))
uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
