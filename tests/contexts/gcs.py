"""A server of Google Cloud Storage's JSON API with one object, for everybody.

Usage: gcs.py ARCHIVE. Prints one line of JSON when it is ready, and ends when its standard input does.
"""

import json
import logging
import socket
import sys
import urllib.parse
import urllib.request

from gcp_storage_emulator.server import create_server

logging.disable(logging.CRITICAL)
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
server = create_server("127.0.0.1", port, in_memory=True, default_bucket="contexts")
server.start()
name = urllib.parse.quote("dir/a context.tar.gz", safe="")
with open(sys.argv[1], "rb") as archive:
    body = archive.read()
request = urllib.request.Request(
    f"http://127.0.0.1:{port}/upload/storage/v1/b/contexts/o?uploadType=media&name={name}",
    data=body,
    headers={"Content-Type": "application/gzip"},
)
urllib.request.urlopen(request).read()
print(json.dumps({"endpoint": f"http://127.0.0.1:{port}"}), flush=True)
sys.stdin.read()
server.stop()
