"""The manifest of a checkpoint: what it is, and every file of it with size and hash."""

from __future__ import annotations

import hashlib
import json
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from .run import run_info

MANIFEST = "manifest.json"


def write_manifest(folder: Path, said: Dict[str, Any]) -> None:
    """Describes what is in the folder now, with `said` (name, step, kind, data), this run and attempt."""
    info = run_info()
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    manifest = {"schema": 1, **said, "run_id": info["run_id"], "attempt": info["attempt"], "time": now}
    manifest["files"] = [
        {"path": path, "size": os.path.getsize(folder / path), "sha256": _sha256(folder / path)}
        for path in _files(folder)
    ]
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> Optional[Dict[str, Any]]:
    """The manifest as it was written, or None where it is missing or damaged."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return manifest if isinstance(manifest["files"], list) and manifest["data"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def verified(folder: Path) -> Tuple[Optional[Dict[str, Any]], str]:
    """The manifest where every file is as it was saved, else None and what is wrong."""
    manifest = read_manifest(folder)
    if manifest is None:
        return None, "no readable manifest"
    try:
        for entry in manifest["files"]:
            path = folder / entry["path"]
            if not path.is_file():
                return None, "%s is missing" % entry["path"]
            if os.path.getsize(path) != entry["size"] or _sha256(path) != entry["sha256"]:
                return None, "%s has changed" % entry["path"]
    except (OSError, KeyError, TypeError) as error:
        return None, "%s: %s" % (type(error).__name__, error)
    return manifest, ""


def _files(folder: Path) -> List[str]:
    found = [
        os.path.relpath(os.path.join(place, name), folder)
        for place, _, names in os.walk(folder)
        for name in names
    ]
    return sorted(path for path in found if path != MANIFEST)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        for block in iter(lambda: handle.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
