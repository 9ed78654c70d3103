"""A model as a CNCF ModelPack artifact: the documents of it, without a registry."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from .errors import TrainingError

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
ARTIFACT_TYPE = "application/vnd.cncf.model.manifest.v1+json"
CONFIG_TYPE = "application/vnd.cncf.model.config.v1+json"
WEIGHT_TYPE = "application/vnd.cncf.model.weight.v1.raw"
DOC_TYPE = "application/vnd.cncf.model.doc.v1.raw"
FILEPATH = "org.cncf.model.filepath"
TITLE = "org.opencontainers.image.title"

REFERENCE = re.compile(
    r"(?:oci://)?"
    r"(?P<registry>[A-Za-z0-9.-]+(?::\d{1,5})?|\[[0-9A-Fa-f:]+\](?::\d{1,5})?)/"
    r"(?P<repository>[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*)"
    r":(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127})"
)


@dataclass(frozen=True)
class Reference:
    """Where an artifact goes."""

    registry: str
    repository: str
    tag: str

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Reads `[oci://]host[:port]/repository:tag`. The tag is required: a moving `latest` is no version."""
        match = REFERENCE.fullmatch(text)
        if match is None:
            raise TrainingError(
                f"REFERENCE {text!r} is not host[:port]/repository:tag, e.g. registry.example/fraud/card:2026.11.1"
            )
        return cls(**match.groupdict())

    def __str__(self) -> str:
        """Without the scheme."""
        return f"{self.registry}/{self.repository}:{self.tag}"

    def pinned(self, digest: str) -> str:
        """The uri for `spec.model.uri`."""
        return f"oci://{self.registry}/{self.repository}@{digest}"


@dataclass(frozen=True)
class Blob:
    """Bytes with what the manifest says about them."""

    media_type: str
    data: bytes = field(repr=False)
    filepath: str | None = None

    @property
    def digest(self) -> str:
        """Content digest, `sha256:` and hex."""
        return f"sha256:{hashlib.sha256(self.data).hexdigest()}"

    def descriptor(self) -> dict:
        """As the manifest refers to it."""
        described = {"mediaType": self.media_type, "digest": self.digest, "size": len(self.data)}
        if self.filepath:
            described["annotations"] = {FILEPATH: self.filepath, TITLE: self.filepath}
        return described


@dataclass(frozen=True)
class Artifact:
    """A model, its card and where they go. The same input always makes the same digest."""

    reference: Reference
    layers: tuple[Blob, ...]
    name: str
    version: str
    licence: str

    @property
    def size(self) -> int:
        """Bytes of all layers."""
        return sum(len(layer.data) for layer in self.layers)

    def config(self) -> Blob:
        """What a registry shows about the model."""
        document = {
            "descriptor": {"name": self.name, "version": self.version, "licenses": [self.licence]},
            "config": {
                "architecture": "gradient-boosted-trees",
                "format": "onnx",
                "precision": "float32",
                "capabilities": {"inputTypes": ["other"], "outputTypes": ["other"]},
            },
            # Raw layers are not compressed, so each one's diff id is its digest.
            "modelfs": {"type": "layers", "diffIds": [layer.digest for layer in self.layers]},
        }
        return Blob(CONFIG_TYPE, json.dumps(document, separators=(",", ":")).encode())

    def manifest(self) -> dict:
        """The manifest that ties config and layers together."""
        return {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "artifactType": ARTIFACT_TYPE,
            "config": self.config().descriptor(),
            "layers": [layer.descriptor() for layer in self.layers],
            "annotations": {
                TITLE: self.name,
                "org.opencontainers.image.version": self.version,
                "org.opencontainers.image.licenses": self.licence,
            },
        }


def read_artifact(
    file: Path,
    reference: Reference,
    *,
    card: Path | None = None,
    name: str | None = None,
    version: str | None = None,
    licence: str = "Apache-2.0",
) -> Artifact:
    """Reads the model and its card. Without `card`, the Markdown file beside the model is used if there is one."""
    if file.suffix != ".onnx":
        raise TrainingError(f"{file}: the file must be an .onnx")
    layers = [Blob(WEIGHT_TYPE, _read(file), file.name)]
    if not layers[0].data:
        raise TrainingError(f"{file}: empty file")
    beside = file.with_suffix(".md")
    if card is None and beside.exists():
        card = beside
    if card is not None:
        layers.append(Blob(DOC_TYPE, _read(card), card.name))
    return Artifact(
        reference,
        tuple(layers),
        name or reference.repository.rsplit("/", 1)[-1],
        version or reference.tag,
        licence,
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TrainingError(f"{path}: {error.strerror}") from error
