"""Copying and moving files and folders so that the result stands by itself."""

from __future__ import annotations

import os
import shutil
import stat
import uuid
from pathlib import Path
from typing import Any, Callable, Optional

from .errors import GoldfishError, shown


def as_existing_path(value: Any, what: str) -> Optional[Path]:
    """The file or folder that a value names, or None where the value is no path.

    A pathlib.Path is always one; text is one where it names something that exists. Text that looks like an
    absolute path and names nothing is refused, for it is a mistake more often than data.
    """
    if isinstance(value, os.PathLike):
        path = Path(os.fsdecode(os.fspath(value)))
        if not os.path.lexists(path):
            raise GoldfishError("%s: there is no file or folder %s." % (what, shown(str(path))))
        return path
    if not isinstance(value, str) or not value or len(value) > 4096 or "\n" in value or "\0" in value:
        return None
    try:
        if os.path.exists(value):
            return Path(value)
    except (OSError, ValueError):
        return None
    if value.startswith("/"):
        raise GoldfishError(
            "%s: there is no file or folder %s; to save the text itself, pass bytes." % (what, shown(value))
        )
    return None


def place(source: Path, target: Path, what: str, move: bool = False) -> None:
    """Makes `target` the content of `source`, replacing what is there; all of it or nothing.

    Links that stay inside a folder are kept; a link to a file elsewhere becomes that file; a link to a folder
    elsewhere, a dangling link and special files are refused. With `move` the source is gone afterwards.
    """
    if os.path.realpath(source) == os.path.realpath(target):
        return
    if os.path.realpath(target).startswith(os.path.realpath(source) + os.sep):
        raise GoldfishError("%s: %s contains the place it would be saved to." % (what, shown(str(source))))
    if move and _is_plain(source) and _renamed(source, target):
        return
    replace(target, lambda temporary: copy(source, temporary, what))
    if move:
        remove(source)


def replace(target: Path, write: Callable[[Path], Any]) -> None:
    """Lets `write` make a temporary neighbour, then gives it the target's name. A failure leaves nothing behind."""
    temporary = target.with_name(".%s.%s.tmp" % (target.name[:100], uuid.uuid4().hex[:12]))
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        write(temporary)
        if temporary.is_dir() or (target.is_dir() and not target.is_symlink()):
            remove(target)
        os.replace(temporary, target)
    except BaseException:
        remove(temporary)
        raise


def copy(source: Path, target: Path, what: str) -> None:
    """Copies a file, or a folder with all that is in it. Modes become 644 or 755."""
    if source.is_dir():
        _copy_folder(source, target, os.path.realpath(source), what)
        return
    mode = _regular(source, what).st_mode
    shutil.copyfile(source, target)
    os.chmod(target, 0o755 if mode & stat.S_IXUSR else 0o644)


def remove(path: Path) -> None:
    """Removes a file, a link or a whole folder; nothing there is fine."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def sync_tree(path: Path) -> None:
    """Makes a file, or a folder and all below it, durable before it returns."""
    if path.is_symlink():
        return
    if path.is_dir():
        for child in path.iterdir():
            sync_tree(child)
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _copy_folder(source: Path, target: Path, root: str, what: str) -> None:
    os.mkdir(target)
    for entry in sorted(os.listdir(source)):
        child = source / entry
        if child.is_symlink() and _stays_inside(child, root):
            os.symlink(os.readlink(child), target / entry)
        elif child.is_symlink() and child.is_dir():
            raise GoldfishError(
                "%s: %s is a link to a folder outside of the saved one." % (what, shown(str(child)))
            )
        elif child.is_dir():
            _copy_folder(child, target / entry, root, what)
        else:
            copy(child, target / entry, what)


def _stays_inside(link: Path, root: str) -> bool:
    if os.path.isabs(os.readlink(link)) or not link.exists():
        return False
    return os.path.realpath(link).startswith(root + os.sep)


def _is_plain(source: Path) -> bool:
    """True where a rename gives the same as a copy: ordinary files and folders only, no links."""
    paths = [str(source)]
    paths += [
        os.path.join(place, name) for place, folders, files in os.walk(source) for name in folders + files
    ]
    return all(
        stat.S_ISREG(mode) or stat.S_ISDIR(mode) for mode in (os.lstat(path).st_mode for path in paths)
    )


def _renamed(source: Path, target: Path) -> bool:
    """Moves by rename alone; False where source and target are on different file systems."""
    if os.stat(source).st_dev != os.stat(target.parent).st_dev:
        return False
    remove(target)
    os.rename(source, target)
    return True


def _regular(path: Path, what: str) -> os.stat_result:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        raise GoldfishError("%s: %s is a link to nothing." % (what, shown(str(path)))) from None
    if not stat.S_ISREG(found.st_mode):
        raise GoldfishError("%s: %s is no ordinary file." % (what, shown(str(path))))
    return found
