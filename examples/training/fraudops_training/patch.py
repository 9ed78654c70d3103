"""What changes in a FraudModel that is to serve a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from . import inspect
from .dataset import sha256_of


@dataclass(frozen=True)
class Patch:
    """What a file says of itself that its FraudModel has to say too."""

    version: str
    sha256: str
    thresholds: dict[str, float]

    @classmethod
    def of(cls, path: Path) -> Patch:
        """Reads a file; an error when a scorer would refuse it."""
        _, values = inspect.read(path)
        limits = {name: values["thresholds"][name] for name in ("review", "block")}
        return cls(values["model"]["version"], sha256_of(path), limits)

    def to(self, uri: str) -> str:
        """The merge patch, in YAML, for `kubectl patch --type merge --patch-file`."""
        model = {"version": self.version, "uri": uri, "sha256": self.sha256}
        return yaml.safe_dump({"spec": {"model": model, "decision": self.thresholds}}, sort_keys=False)
