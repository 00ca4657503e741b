"""What an Ingress means to nginx, with the annotations and the defaults of ingress-nginx."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PREFIX = "nginx.ingress.kubernetes.io/"
DEFAULTS = {
    "proxy-body-size": "1m",
    "proxy-read-timeout": "60",
    "proxy-send-timeout": "60",
    "proxy-request-buffering": "on",
    "proxy-buffering": "off",
}
"""https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/configmap/"""
SECONDS = ("proxy-read-timeout", "proxy-send-timeout")
DIRECTIVES = {"proxy-body-size": "client_max_body_size"}
"""Where the name is not the annotation's."""
MAIN = """daemon off; user root; worker_processes 1; pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 1024; }}
http {{
  access_log {folder}/access.log;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
  proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
  upstream routers {{ keepalive 32; {servers} }}
{sites}}}
"""
SITE = """  server {{
    listen {address}:443 ssl; server_name {host};
    ssl_certificate {folder}/tls.crt; ssl_certificate_key {folder}/tls.key;
    location {path} {{ proxy_pass http://routers; {directives} }}
  }}
"""


@dataclass(frozen=True)
class Place:
    """Where nginx listens and keeps its files."""

    address: str
    folder: Path


def config(ingress: dict[str, Any], endpoints: Sequence[str], place: Place) -> str:
    """Return nginx' configuration for an Ingress whose Service has these addresses and ports."""
    directives = _directives(ingress["metadata"].get("annotations", {}))
    sites = [
        SITE.format(
            address=place.address,
            folder=place.folder,
            host=rule["host"],
            path=path["path"],
            directives=directives,
        )
        for rule in ingress["spec"]["rules"]
        for path in rule["http"]["paths"]
    ]
    # Without an endpoint nginx would not start; with one that refuses it answers 502.
    # As with ingress-nginx, an address counts as long as it is an endpoint.
    servers = " ".join(f"server {one} max_fails=0;" for one in endpoints or ["127.0.0.1:9"])
    return MAIN.format(folder=place.folder, servers=servers, sites="".join(sites))


def _directives(annotations: dict[str, str]) -> str:
    wanted = {name: annotations.get(PREFIX + name, value) for name, value in DEFAULTS.items()}
    return " ".join(
        f"{DIRECTIVES.get(name, name.replace('-', '_'))} {value}{'s' if name in SECONDS else ''};"
        for name, value in wanted.items()
    )
