"""Files that are durable after a power loss, and created whole and once among any number of processes."""

# Plain system calls, in the order that durability asks for; Path hides which ones are made.
# ruff: noqa: PTH102, PTH106, PTH108, PTH112, PTH116, PTH118, PTH120, PTH121, PTH123

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence

from fanout.errors import ObjectExists, StoreError
from fanout.storage.stores import Objects, StoredObject

MISSING = (FileNotFoundError, NotADirectoryError)

# One folder for all temporary files keeps the published folders clean for every glob.
TEMPORARY = ".tmp"
TEMPORARY_SECONDS = 3600.0

_KNOWN_FOLDERS = 10_000
_COPY_BYTES = 1024 * 1024
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


class Disk:
    """The files below one folder. Blocking, and safe to use from several threads.

    Args:
        root: Absolute path of the folder; made when the first file is.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self._folders: set[str] = set()

    def create(self, path: str, chunks: Sequence[bytes]) -> None:
        """Write and sync a temporary file, and link it to its name.

        Raises:
            ObjectExists: The name is taken.
        """
        target = self.file(path)
        if os.path.lexists(target):
            _sync_folder(os.path.dirname(target))
            raise ObjectExists(f"{target} exists already")
        with self._temporary() as (temporary, descriptor):
            with os.fdopen(descriptor, "wb") as file:
                file.writelines(chunks)
                file.flush()
                os.fsync(file.fileno())
            if not self._link(temporary, target):
                raise ObjectExists(f"{target} exists already")

    def publish(self, paths: Sequence[str], to: str) -> None:
        """Link one file to the target, or write the concatenation of several."""
        sources, target = [self.file(path) for path in paths], self.file(to)
        if os.path.lexists(target):
            _check_same(sources, target)
        elif len(sources) == 1:
            try:
                linked = self._link(sources[0], target)
            except OSError as error:
                if error.errno != errno.EMLINK:
                    raise
                self._concatenate(sources, target)
            else:
                if not linked:
                    _check_same(sources, target)
        else:
            self._concatenate(sources, target)

    def list(self, prefix: str) -> Objects:
        """Return all files below a folder, by path; none where there is no such folder."""
        hidden = os.path.join(self.root, TEMPORARY)
        cut = len(self.root.rstrip("/")) + 1
        found: Objects = []
        folders = [self.file(prefix)]
        while folders:
            try:
                with os.scandir(folders.pop()) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            if entry.path != hidden:
                                folders.append(entry.path)
                        elif entry.is_file(follow_symlinks=False):
                            with contextlib.suppress(FileNotFoundError):
                                found.append(StoredObject(entry.path[cut:], entry.stat().st_size))
            except MISSING:
                continue
        found.sort(key=lambda stored: stored.path)
        return found

    def folders(self) -> Sequence[str]:
        """Return the names of the folders directly below the root; none where there is no root."""
        try:
            with os.scandir(self.root) as entries:
                names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except MISSING:
            return []
        return sorted(name for name in names if name != TEMPORARY)

    def modified(self, path: str) -> float:
        """Return when a file was last written."""
        return os.stat(self.file(path)).st_mtime

    def read(self, path: str) -> bytes:
        """Return a whole file."""
        with open(self.file(path), "rb", buffering=0) as stream:
            return stream.readall()

    def read_range(self, path: str, start: int, end: int) -> bytes:
        """Return the bytes from `start` to below `end`, as far as the file reaches."""
        with open(self.file(path), "rb") as stream:
            stream.seek(start)
            return stream.read(end - start)

    def delete(self, paths: Sequence[str]) -> None:
        """Remove files; those that are missing are passed over."""
        for path in paths:
            with contextlib.suppress(*MISSING):
                os.unlink(self.file(path))

    def exists(self, path: str) -> bool:
        """Say whether a file is there."""
        try:
            os.stat(self.file(path))
        except MISSING:
            return False
        return True

    def tidy(self) -> None:
        """Remove temporary files that are older than any write can be."""
        with contextlib.suppress(*MISSING):
            before = time.time() - TEMPORARY_SECONDS
            with os.scandir(self.file(TEMPORARY)) as entries:
                for entry in entries:
                    with contextlib.suppress(FileNotFoundError):
                        if entry.stat(follow_symlinks=False).st_mtime < before:
                            os.unlink(entry.path)

    def prune(self) -> None:
        """Remove temporary files, and all folders that are empty then, the root too."""
        with contextlib.suppress(*MISSING), os.scandir(self.file(TEMPORARY)) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(entry.path)
        for folder, _, _ in os.walk(self.root, topdown=False):
            # One that holds something stays.
            with contextlib.suppress(OSError):
                os.rmdir(folder)
        self._folders.clear()

    def file(self, path: str) -> str:
        """Return the full name of a path below the folder."""
        return os.path.join(self.root, path) if path else self.root

    def _concatenate(self, sources: Sequence[str], target: str) -> None:
        with self._temporary() as (temporary, descriptor):
            with os.fdopen(descriptor, "wb") as file:
                for source in sources:
                    with open(source, "rb") as part:
                        shutil.copyfileobj(part, file, _COPY_BYTES)
                file.flush()
                os.fsync(file.fileno())
            if not self._link(temporary, target):
                _check_same(sources, target)

    def _link(self, source: str, target: str) -> bool:
        """Give a file a second name, durably; False when the name is taken by another file."""
        folder = os.path.dirname(target)
        self._make_folder(folder)
        try:
            try:
                os.link(source, target)
            except FileNotFoundError:
                if not os.path.lexists(source):
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), source) from None
                # Somebody removed the folder that this process remembers.
                self._folders.clear()
                self._make_folder(folder)
                os.link(source, target)
            linked = True
        except FileExistsError:
            # Network file systems may answer "exists" to their own repeated request.
            linked = os.path.samefile(source, target)
        except OSError as error:
            if error.errno in _NO_LINKS:
                raise StoreError(
                    f"{folder} is on a file system without hard links ({os.strerror(error.errno or 0)}): "
                    "use a local Linux or macOS folder, or an object store such as s3://"
                ) from error
            raise
        _sync_folder(folder)
        return linked

    @contextlib.contextmanager
    def _temporary(self) -> Iterator[tuple[str, int]]:
        folder = os.path.join(self.root, TEMPORARY)
        path = os.path.join(folder, uuid.uuid4().hex)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._make_folder(folder)
        try:
            descriptor = os.open(path, flags, 0o666)
        except FileNotFoundError:
            self._folders.clear()
            self._make_folder(folder)
            descriptor = os.open(path, flags, 0o666)
        try:
            yield path, descriptor
        finally:
            with contextlib.suppress(OSError):
                os.unlink(path)

    def _make_folder(self, folder: str) -> None:
        if folder in self._folders:
            return
        parent = os.path.dirname(folder)
        inside = folder != self.root and folder.startswith(self.root)
        if inside or not os.path.isdir(parent):
            self._make_folder(parent)
        if inside or not os.path.isdir(folder):
            with contextlib.suppress(FileExistsError):
                os.mkdir(folder)
            # Whoever made it may not have synced it yet.
            _sync_folder(parent)
        if len(self._folders) >= _KNOWN_FOLDERS:
            self._folders.clear()
        self._folders.add(folder)


def _check_same(sources: Sequence[str], target: str) -> None:
    """Accept a target that an earlier or concurrent attempt has published."""
    _sync_folder(os.path.dirname(target))
    try:
        expected = sum(os.stat(source).st_size for source in sources)
    except MISSING:
        return
    found = os.stat(target).st_size
    if found != expected:
        raise StoreError(
            f"{target} holds {found:,} bytes where {expected:,} were to be published: "
            "something else wrote it; move it away"
        )


def _sync_folder(folder: str) -> None:
    descriptor = os.open(folder or "/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems cannot sync a folder, and need not.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
