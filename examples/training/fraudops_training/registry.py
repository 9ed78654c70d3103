"""Uploads to an OCI registry. The protocol is oras-py's; deadlines and messages are ours."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from pathlib import Path

import requests
from oras.container import Container
from oras.provider import Registry
from requests.adapters import HTTPAdapter

from .errors import TrainingError
from .modelpack import Artifact, Blob, Reference

CONNECT_SECONDS = 10
READ_SECONDS = 60
NO_PERMISSION = "no permission: check the credentials in ~/.docker/config.json"


class _Deadline(HTTPAdapter):
    """Gives every request a time limit; oras-py sets none."""

    def send(self, request, *args, timeout=None, **kwargs):
        """Sends with a limit on connecting and on silence."""
        return super().send(request, *args, timeout=timeout or (CONNECT_SECONDS, READ_SECONDS), **kwargs)


def push(artifact: Artifact, *, plain_http: bool = False) -> str:
    """Uploads layers and config, then the manifest, and returns the digest-pinned uri.

    The tag moves only with the last request: a push that fails half-way leaves what was served before.
    """
    logging.getLogger("oras.logger").setLevel(logging.CRITICAL)
    try:
        registry, container = _connect(artifact.reference, plain_http)
        for blob in (*artifact.layers, artifact.config()):
            _upload(registry, container, blob)
        response = registry.upload_manifest(artifact.manifest(), container)
        _require(response, f"the manifest of {artifact.reference}")
    except requests.exceptions.SSLError as error:
        raise TrainingError(
            f"{artifact.reference.registry}: no TLS ({error}); --plain-http talks HTTP to a registry of your own"
        ) from error
    except requests.exceptions.RequestException as error:
        raise TrainingError(f"{artifact.reference.registry}: unreachable: {error}") from error
    except ValueError as error:  # oras-py, when a registry wants credentials or sends no upload location
        raise TrainingError(f"{artifact.reference.registry}: push refused: {_reason(error)}") from error
    return artifact.reference.pinned(_digest(response))


def _connect(reference: Reference, plain_http: bool) -> tuple[Registry, Container]:
    """Asks the registry how it wants to be talked to, once and without oras-py's two minutes of retries."""
    scheme = "http" if plain_http else "https"
    with requests.Session() as session:
        session.mount(f"{scheme}://", _Deadline())
        response = session.get(f"{scheme}://{reference.registry}/v2/")
    challenge = response.headers.get("WWW-Authenticate", "")
    if response.status_code not in (200, 401):
        raise TrainingError(
            f"{reference.registry}: not an OCI registry: GET /v2/ answers {response.status_code}"
            + ("; does it want HTTPS (no --plain-http)?" if plain_http else "")
        )
    is_basic = challenge.lower().startswith("basic")
    registry = Registry(insecure=plain_http, auth_backend="basic" if is_basic else "token")
    registry.session.mount(f"{scheme}://", _Deadline())
    container = Container(str(reference))
    registry.auth.load_configs(container, configs=_docker_configs())
    if is_basic and not getattr(registry.auth, "_basic_auth", None):
        raise TrainingError(
            f"{reference.registry}: credentials are required: `docker login {reference.registry}`, "
            "or an entry in ~/.docker/config.json"
        )
    return registry, container


def _docker_configs() -> list[str]:
    folder = os.environ.get("DOCKER_CONFIG")
    return [str(Path(folder) / "config.json")] if folder else []


def _upload(registry: Registry, container: Container, blob: Blob) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(blob.data)
        file.flush()
        _require(registry.upload_blob(file.name, container, blob.descriptor()), blob.filepath or "the config")


def _require(response: requests.Response, what: str) -> None:
    if response.status_code in (200, 201, 202):
        return
    reason = response.reason
    if response.status_code in (401, 403):
        reason = NO_PERMISSION
    raise TrainingError(f"push of {what} refused: {response.status_code} {reason}")


def _reason(error: ValueError) -> str:
    text = str(error)
    is_permission = any(word in text for word in ("UNAUTHORIZED", "DENIED", "authentication"))
    return f"{NO_PERMISSION} ({text})" if is_permission else text


def _digest(response: requests.Response) -> str:
    """Digest of the manifest as it was sent, which the registry must agree with."""
    sent = f"sha256:{hashlib.sha256(response.request.body).hexdigest()}"
    stored = response.headers.get("Docker-Content-Digest", sent)
    if stored != sent:
        raise TrainingError(f"the registry stored {stored}, sent was {sent}")
    return sent
