"""nginx as a peer of uploads: it streams a PUT on to S3 and asks nobody anything."""

import contextlib
import os
import shutil
from pathlib import Path

from bench.world import Peer, serve
from gateway.demo.seaweed import free_port

_CONF = """\
{user} daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{ access_log off; client_max_body_size 0; proxy_temp_path {folder}/p;
  client_body_temp_path {folder}/b; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u;
  scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass {s3}; proxy_http_version 1.1;
    proxy_request_buffering off; proxy_set_header Connection "";
    proxy_set_header Host {host}; }} }} }}
"""


def serving(stack: contextlib.AsyncExitStack, home: Path, s3: str) -> Peer | None:
    """One that ends with the stack; None where nginx is not installed."""
    binary = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if binary is None:
        return None
    folder, port = home / "nginx", free_port()
    folder.mkdir()
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        _CONF.format(user=user, folder=folder, port=port, s3=s3, host=s3.removeprefix("http://")),
        encoding="utf-8",
    )
    pid = serve(stack, binary, "-c", str(folder / "nginx.conf"), "-p", str(folder))
    return Peer(pid, f"http://127.0.0.1:{port}")
