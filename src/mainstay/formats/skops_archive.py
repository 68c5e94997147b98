# SPDX-License-Identifier: Apache-2.0
"""The skops container: a zip with ``schema.json`` and one ``.npy`` for each array.

In: what ``skops.io.dumps`` wrote. Out: the same archive in one canonical form, or what is wrong with a stranger's.
The surprising thing: skops names files by memory address and stamps them with the clock, so that the same model never
gives the same bytes twice. `canonical` renumbers, sorts and stamps; plain skops still reads the result.

`problems` needs neither skops nor scikit-learn, and executes nothing. Members must be stored, not deflated: then an
archive can never unpack to more than its own size, and no zlib version can change its digest.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tokenize
import zipfile
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

Node = dict[str, Any]

SCHEMA_LIMIT_BYTES = 256 * 2**20
SCHEMA_DEPTH_LIMIT = 400  # nested deeper, skops's own recursion gives up; a pipeline of forests needs some 60
_HEADER_BYTES = 2**16  # numpy itself refuses headers of more than 10,000 characters
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\.(?:json|npy|npz|bin)")

# Method, operator and old-protocol nodes are missing on purpose: no fitted estimator needs them, attacks do.
LOADERS = frozenset(
    [
        "DictNode",
        "DefaultDictNode",
        "ListNode",
        "SetNode",
        "TupleNode",
        "BytesNode",
        "BytearrayNode",
        "SliceNode",
        "FunctionNode",
        "PartialNode",
        "TypeNode",
        "ConstructorFromReduceNode",
        "ObjectNode",
        "JsonNode",
        "NdArrayNode",
        "MaskedArrayNode",
        "DTypeNode",
        "RandomStateNode",
        "RandomGeneratorNode",
        "SparseMatrixNode",
        "LossNode",
        "TreeNode",
    ]
)
# Nobody can tell whether two uses of an immutable value are one object, and interning makes it vary between processes.
_IMMUTABLE = frozenset(["JsonNode", "TypeNode", "FunctionNode", "TupleNode", "DTypeNode", "SliceNode", "BytesNode"])
# HistGradientBoosting keeps a partial of this one function; a partial of anything else is refused.
PARTIAL_OF = "sklearn.utils.validation.check_array"


def canonical(archive: bytes, *, global_random_state: int | None = None) -> bytes:
    """``archive`` with ids and files numbered by first use, sets sorted, and no clock in it.

    Args:
        global_random_state: the ``id`` of numpy's global generator in the process that dumped. An estimator that was
            fitted with ``random_state=None`` holds on to it; it is written as None, which means the same to
            scikit-learn, or the process's random state would end up in the model.
    """
    with zipfile.ZipFile(io.BytesIO(archive)) as members:
        schema = json.loads(members.read("schema.json"))
        contents = {name: _canonical_content(name, members.read(name)) for name in members.namelist()}
    schema = _plain(schema, contents, global_random_state)
    _number(schema, contents)
    by_digest = {hashlib.sha256(content).hexdigest(): content for content in contents.values()}
    names = _name_files(schema, contents)
    files = {"schema.json": json.dumps(schema, separators=(",", ":")).encode()}
    files |= {name: by_digest[digest] for digest, name in names.items()}
    return _zip(files)


def problems(archive: bytes, *, types: frozenset[str], functions: frozenset[str]) -> list[str]:
    """What speaks against loading ``archive``, one sentence each."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as members:
            found = _member_problems(members, len(archive))
            return found or _content_problems(members, types, functions)
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError, OverflowError) as error:
        return [f"the file is not a whole skops archive ({error})."]


def nodes(schema: Any) -> Iterator[Node]:
    """Every node of a schema, in the order in which skops visits them."""
    stack = [schema]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            if isinstance(value.get("__loader__"), str):
                yield value
            stack.extend(reversed(value.values()))
        elif isinstance(value, list):
            stack.extend(reversed(value))


def names(archive: bytes) -> set[str]:
    """Every type and function that ``archive`` names."""
    with zipfile.ZipFile(io.BytesIO(archive)) as members:
        return {name_of(node) for node in nodes(json.loads(members.read("schema.json")))}


def name_of(node: Node) -> str:
    return f"{node.get('__module__')}.{node.get('__class__')}"


def untrusted(schema: Any, *, types: frozenset[str], functions: frozenset[str]) -> list[str]:
    """The names in ``schema`` that the list does not have; ways to call things are named by their node."""
    found = set()
    for node in nodes(schema):
        loader, name = node["__loader__"], name_of(node)
        if loader not in LOADERS:
            found.add(f"{loader}({name})")
        elif loader == "PartialNode":
            found |= _untrusted_partial(node)
        elif name not in (functions if loader == "FunctionNode" else types):
            found.add(name)
    return sorted(found)


def _untrusted_partial(node: Node) -> set[str]:
    content = node.get("content")
    func = content.get("func") if isinstance(content, dict) else None
    is_known = isinstance(func, dict) and func.get("__loader__") == "FunctionNode" and name_of(func) == PARTIAL_OF
    return set() if is_known else {"functools.partial"}


def _canonical_content(name: str, content: bytes) -> bytes:
    """A sparse matrix is a zip inside the zip, with a clock of its own; a tree's nodes have garbage between them."""
    if name.endswith(".npy"):
        return _without_padding(content)
    if not name.endswith(".npz"):
        return content
    with zipfile.ZipFile(io.BytesIO(content)) as members:
        return _zip({inner: members.read(inner) for inner in sorted(members.namelist())})


def _without_padding(content: bytes) -> bytes:
    """``content`` with zeros between the fields of its records, where whatever the memory held before may stand."""
    stream = io.BytesIO(content)
    dtype = _header(stream)[1]
    if dtype.names is None or not dtype.itemsize:
        return content
    records = np.frombuffer(content, np.uint8, offset=stream.tell()).reshape(-1, dtype.itemsize).copy()
    records[:, ~_used_bytes(dtype)] = 0
    return content[: stream.tell()] + records.tobytes()


def _used_bytes(dtype: np.dtype[Any]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which bytes of a record belong to a field."""
    if dtype.fields is None:
        return np.ones(dtype.itemsize, dtype=bool)
    used = np.zeros(dtype.itemsize, dtype=bool)
    for field, offset, *_ in dtype.fields.values():
        used[offset : offset + field.itemsize] |= _used_bytes(field)
    return used


def _header(stream: io.BytesIO) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of the array in ``stream``, which then stands at its first value. Raises ValueError and others."""
    major = np.lib.format.read_magic(stream)[0]
    read = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    return shape, dtype


def _plain(value: Any, contents: dict[str, bytes], global_random_state: int | None) -> Any:
    """The schema without the ids that mean nothing, with sets sorted and files called by their digest."""
    if isinstance(value, list):
        return [_plain(item, contents, global_random_state) for item in value]
    if not isinstance(value, dict):
        return value
    loader = value.get("__loader__")
    if not isinstance(loader, str):
        return {key: _plain(item, contents, global_random_state) for key, item in value.items()}
    if loader == "RandomStateNode" and value.get("__id__") == global_random_state:
        return {
            "__class__": "str",
            "__module__": "builtins",
            "__loader__": "JsonNode",
            "content": "null",
            "is_json": True,
        }
    node = {key: _plain(item, contents, global_random_state) for key, item in value.items()}
    if loader in _IMMUTABLE or (loader == "NdArrayNode" and name_of(node) != "numpy.ndarray"):
        node.pop("__id__", None)
    if isinstance(node.get("file"), str):
        node["file"] = hashlib.sha256(contents[node["file"]]).hexdigest()
    if loader == "SetNode":
        node["content"] = sorted(node["content"], key=json.dumps)
    return node


def _number(schema: Node, contents: dict[str, bytes]) -> None:
    """Ids only where an object is used more than once, counted from 1 (skops takes 0 for none)."""
    uses = Counter(node["__id__"] for node in nodes(schema) if "__id__" in node)
    numbers: dict[int, int] = {}
    for node in nodes(schema):
        if "__id__" not in node:
            continue
        if uses[node["__id__"]] == 1:
            del node["__id__"]
        else:
            node["__id__"] = numbers.setdefault(node["__id__"], len(numbers) + 1)


def _name_files(schema: Node, contents: dict[str, bytes]) -> dict[str, str]:
    suffix = {hashlib.sha256(content).hexdigest(): name.rsplit(".", 1)[-1] for name, content in contents.items()}
    names: dict[str, str] = {}
    for node in nodes(schema):
        if isinstance(node.get("file"), str):
            digest = node["file"]
            node["file"] = names.setdefault(digest, f"{len(names)}.{suffix[digest]}")
    return names


def _zip(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as members:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o600 << 16  # zipfile would ask the platform
            members.writestr(entry, content)
    return buffer.getvalue()


def _member_problems(members: zipfile.ZipFile, archive_bytes: int) -> list[str]:
    entries = members.infolist()
    names = [entry.filename for entry in entries]
    if any(entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 for entry in entries):
        return ["the archive has compressed or encrypted members; dump it with skops's default, ZIP_STORED."]
    if sum(entry.file_size for entry in entries) > archive_bytes:
        return ["the archive claims to unpack to more bytes than it has."]
    if len(set(names)) != len(names) or not all(_NAME.fullmatch(name) for name in names):
        return ["the archive has members of the same name, or names that skops does not give."]
    if "schema.json" not in names:
        return ["the archive has no schema.json, so it is not a skops model."]
    if members.getinfo("schema.json").file_size > SCHEMA_LIMIT_BYTES:
        return [f"schema.json is larger than {SCHEMA_LIMIT_BYTES // 2**20} MiB."]
    return []


def _content_problems(members: zipfile.ZipFile, types: frozenset[str], functions: frozenset[str]) -> list[str]:
    try:
        schema = json.loads(members.read("schema.json"))
    except (ValueError, RecursionError) as error:
        return [f"schema.json cannot be read ({type(error).__name__})."]
    if not isinstance(schema, dict) or not isinstance(schema.get("__loader__"), str):
        return ["schema.json does not describe an object."]
    if _depth(schema) > SCHEMA_DEPTH_LIMIT:
        return [f"schema.json is nested deeper than {SCHEMA_DEPTH_LIMIT} levels."]
    strangers = untrusted(schema, types=types, functions=functions)
    if strangers:
        return [
            f"it holds {', '.join(strangers)}, not on the list of types that may be loaded; use scikit-learn's own"
            " estimators and numpy functions in their place, or save the model as ONNX."
        ]
    return [*_file_problems(schema, members), *_array_problems(members)]


def _depth(schema: Any) -> int:
    deepest, stack = 0, [(schema, 1)]
    while stack:
        value, depth = stack.pop()
        deepest = max(deepest, depth)
        if isinstance(value, dict):
            stack.extend((item, depth + 1) for item in value.values())
        elif isinstance(value, list):
            stack.extend((item, depth + 1) for item in value)
    return deepest


def _file_problems(schema: Node, members: zipfile.ZipFile) -> list[str]:
    there = set(members.namelist())
    missing = {str(node["file"]) for node in nodes(schema) if "file" in node and node["file"] not in there}
    return [f"schema.json names files that the archive has not: {', '.join(sorted(missing)[:5])}."] if missing else []


def _array_problems(members: zipfile.ZipFile) -> list[str]:
    found = []
    for entry in members.infolist():
        if entry.filename.endswith(".npy"):
            problem = _array_problem(members, entry)
        elif entry.filename.endswith(".npz"):
            problem = _matrix_problem(members.read(entry))
        else:
            continue
        if problem:
            found.append(f"array {entry.filename} {problem}.")
    return found[:5]


def _matrix_problem(content: bytes) -> str | None:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as members:
            if sum(entry.file_size for entry in members.infolist()) > max(2**20, 1100 * len(content)):
                return "claims to unpack to more bytes than deflate can hold"
            return next(filter(None, (_array_problem(members, entry) for entry in members.infolist())), None)
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError, OverflowError):
        return "is not a whole zip"


def _array_problem(members: zipfile.ZipFile, entry: zipfile.ZipInfo) -> str | None:
    """Whether the header of a ``.npy`` promises what follows it: numpy allocates by the header, before it reads."""
    with members.open(entry) as file:
        stream = io.BytesIO(file.read(_HEADER_BYTES))
    try:
        shape, dtype = _header(stream)
    except (ValueError, EOFError, TypeError, SyntaxError, RecursionError, tokenize.TokenError):
        return "has no readable header"
    if dtype.hasobject:
        return "holds Python objects, which only pickle could read"
    count = 1
    for size in shape:
        count *= int(size)
    if any(size < 0 for size in shape) or count * dtype.itemsize != entry.file_size - stream.tell():
        return "has another size than its header says"
    return None
