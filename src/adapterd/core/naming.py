"""Names: a path below a root, its run and checkpoint; an adapter and its repo id; a number and its tag."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from adapterd.core.adapter import checkpoint_number

MAX_NAME = 96
"""The longest repo name that the Hub takes, in characters."""

GENERIC = frozenset(
    [
        "adapter",
        "adapters",
        "checkpoint",
        "checkpoints",
        "ckpt",
        "default",
        "exp",
        "experiment",
        "final",
        "finetune",
        "finetuned",
        "last",
        "latest",
        "lora",
        "lora_model",
        "loras",
        "model",
        "models",
        "new",
        "old",
        "out",
        "output",
        "output_dir",
        "outputs",
        "peft",
        "result",
        "results",
        "run",
        "runs",
        "save",
        "saved",
        "sft",
        "temp",
        "test",
        "tmp",
        "tmp_trainer",
        "train",
        "trained",
        "trainer",
        "trainer_output",
        "training",
        "weights",
        "work",
    ]
)
"""Names that say nothing about what was trained; they stall instead of making a meaningless repo."""

RESERVED_CHANNELS = ("versions", "standing", "head")

LARGEST_NUMBER = 999_999_999
"""The highest number that a version tag may have; what is longer is some other tag."""

_TAG = re.compile(r"v([1-9][0-9]{0,8})")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_IDENTITY = re.compile(r"id:([0-9a-f]{8,64})")
_REPO_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?")
_CHANNEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?")
_LOOKS_LIKE_VERSION_OR_COMMIT = re.compile(r"v[0-9]+|[0-9a-f]{7,40}", re.IGNORECASE)
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)

# Dates, times and job ids that trainers and schedulers append to a run's name; a four-digit year keeps version
# numbers such as `7b-2` whole.
_STAMPS = re.compile(
    r"""(?:^|(?<=[-_.T\ ]))(?:
        20\d\d[-_.]?[01]\d[-_.]?[0-3]\d(?:[-_.T\ ]?[0-2]\d[-_.:]?[0-5]\d(?:[-_.:]?[0-5]\d)?Z?)?  # 2026-01-31, _235959
      | [0-3]\d[-_.][0-3]\d[-_.]20\d\d                                                          # 31-01-2026
      | [A-Z][a-z]{2}[0-3]\d[-_][0-2]\d[-_][0-5]\d[-_][0-5]\d                                   # Jan31_23-59-59
      | [0-2]\d[-_:][0-5]\d[-_:][0-5]\d                                                         # 23-59-59
      | (?i:job|slurm|pid|jobid)[-_]?\d+(?:_\d+)?                                               # slurm-1234_7
      | \d{6,}
    )(?=$|[-_.\ ])""",
    re.VERBOSE | re.ASCII,
)


class NameRefusedError(ValueError):
    """A rendered name cannot be used; `code` is the reason's code."""

    def __init__(self, code: str, message: str) -> None:
        """Keep the code apart."""
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Place:
    """Where an adapter directory stands below its root.

    Attributes:
        run: path of the run's folder relative to the root; ``.`` where the root itself is the run.
        name: of a named adapter in a sub-folder, else an empty string.
        checkpoint: the N of ``checkpoint-N``, None for a final save.
    """

    run: str
    name: str
    checkpoint: int | None

    @property
    def final(self) -> bool:
        """Whether this is a run's final save."""
        return self.checkpoint is None


def place(path: str, is_run: Callable[[str], bool]) -> Place:
    """Read a path relative to a root.

    The layouts: ``run``, ``run/checkpoint-N``, ``run/name``, ``run/checkpoint-N/name``, any of them below further
    folders, or the root itself as the run. Whether ``a/b`` is the adapter ``b`` of run ``a`` or the run ``b`` is
    asked of `is_run`, which tells whether a folder shows the traces of a training run.
    """
    parts = [] if path in ("", ".") else path.split("/")
    for index in range(len(parts) - 1, -1, -1):
        number = checkpoint_number(parts[index])
        if number is not None:
            return Place("/".join(parts[:index]) or ".", "/".join(parts[index + 1 :]), number)
    parent = "/".join(parts[:-1]) or "."
    if parts and is_run(parent):
        return Place(parent, parts[-1], None)
    return Place("/".join(parts) or ".", "", None)


def strip_stamps(name: str) -> str:
    """A run's name without dates, times and job ids."""
    stripped, before = name, ""
    # What is left over may join to a stamp again.
    while stripped != before:
        before = stripped
        stripped = re.sub(r"([-_. ])[-_. ]+", r"\1", _STAMPS.sub("", before)).strip("-_. ")
    return stripped


def adapter_name(template: str, at: Place, root: str, base: str, user: str) -> str:
    """Render a naming template for a place below `root`, an absolute path; NameRefusedError with its code.

    Template variables: ``{root} {run} {parent} {name} {base} {user}``; `{base}` is the last part of the base's id.
    """
    root_name = root.rstrip("/").rsplit("/", 1)[-1]
    parts = [] if at.run == "." else at.run.split("/")
    run = parts[-1] if parts else root_name
    variables = {
        "root": root_name,
        "run": strip_stamps(run),
        "parent": strip_stamps(parts[-2]) if len(parts) > 1 else root_name,
        "name": at.name.replace("/", "-"),
        "base": base.rstrip("/").rsplit("/", 1)[-1],
        "user": user,
    }
    rendered = tidy(template.format(**variables))
    if ("{run}" in template and not variables["run"]) or is_generic(rendered):
        raise NameRefusedError(
            "generic_name", f"the run folder {run!r} gives the adapter name {rendered!r}, which says nothing"
        )
    return checked_name(rendered)


def is_generic(name: str) -> bool:
    """Whether a name says nothing about what was trained: generic words alone, a number alone, or no word at all."""
    folded = name.casefold()
    words = [word for word in re.split(r"[-_.]+", folded) if word]
    return folded in GENERIC or folded.isdigit() or all(word in GENERIC for word in words)


def tidy(name: str) -> str:
    """Replace what a repo name may not hold by ``-``, and join repeated separators."""
    return re.sub(r"-{2,}", "-", re.sub(r"\.{2,}", ".", re.sub(r"[^A-Za-z0-9._-]+", "-", name))).strip("-._")


def checked_name(name: str) -> str:
    """The name if the Hub takes it as a repo's name, else NameRefusedError ``bad_name``."""
    if len(name) > MAX_NAME:
        raise NameRefusedError("bad_name", f"the adapter name has {len(name)} characters; the Hub takes {MAX_NAME}")
    bad = not _REPO_NAME.fullmatch(name) or "--" in name or ".." in name or name.endswith((".git", ".ipynb"))
    if bad:
        raise NameRefusedError("bad_name", f"{name!r} is no name that the Hub takes")
    return name


def is_hub_id(text: str) -> bool:
    """Whether the text has the form of a Hub id, ``org/name``; a relative path may have it too."""
    return _HUB_ID.fullmatch(text) is not None and "--" not in text and ".." not in text


def tag_number(tag: str) -> int | None:
    """The number of a version tag ``vN``, else None."""
    match = _TAG.fullmatch(tag)
    return int(match[1]) if match else None


def version_numbers(tags: Mapping[str, str]) -> Mapping[int, str]:
    """Number to commit of every version tag among a repo's tags."""
    return {number: commit for tag, commit in tags.items() if (number := tag_number(tag)) is not None}


def is_commit(text: str) -> bool:
    """Whether the text is a full commit id."""
    return _COMMIT.fullmatch(text) is not None


def channel_fault(name: str) -> str:
    """Why the name is none for a channel, or an empty string."""
    if name.casefold() in RESERVED_CHANNELS:
        return f"{name!r} is reserved"
    if _LOOKS_LIKE_VERSION_OR_COMMIT.fullmatch(name):
        return f"{name!r} looks like a version or a commit"
    if not _CHANNEL.fullmatch(name) or ".." in name or name.endswith(".lock"):
        return f"{name!r} is no name for a branch: letters, digits, '.', '_' and '-', at most 64"
    return ""


@dataclass(frozen=True, slots=True)
class Reference:
    """A parsed ``namespace/name[@vN|@CHANNEL|@COMMIT|@id:HEX]``; exactly one of the last four is set."""

    adapter: str
    number: int | None = None
    channel: str | None = None
    commit: str | None = None
    identity: str | None = None


def parse_reference(text: str) -> Reference:
    """Parse what the command line calls ADAPTER; ValueError says what is wrong. Without ``@`` it is ``main``."""
    adapter, at, revision = text.partition("@")
    if not is_hub_id(adapter):
        raise ValueError(f"{adapter!r} is not of the form namespace/name")
    if not at:
        return Reference(adapter, channel="main")
    if (number := tag_number(revision)) is not None:
        return Reference(adapter, number=number)
    if is_commit(revision):
        return Reference(adapter, commit=revision)
    if match := _IDENTITY.fullmatch(revision):
        return Reference(adapter, identity=match[1])
    if revision.startswith("id:"):
        raise ValueError(f"{revision!r} names no identity: it has 8 or more digits, of 0-9 and a-f, at most 64")
    if fault := channel_fault(revision):
        raise ValueError(fault)
    return Reference(adapter, channel=revision)


def serving_name(adapter: str, number: int, identity: str) -> str:
    """A name of its own for each version, so that engines never reuse another's prefix cache."""
    return f"{adapter.replace('/', '-')}@v{number}-{identity[:7]}"


def newest_checkpoints(places: Sequence[tuple[str, Place]]) -> Mapping[tuple[str, str], str]:
    """For each (run, named adapter), the path of its checkpoint with the highest step."""
    newest: dict[tuple[str, str], tuple[int, str]] = {}
    for path, at in places:
        if at.checkpoint is not None:
            key = (at.run, at.name)
            newest[key] = max(newest.get(key, (-1, "")), (at.checkpoint, path))
    return {key: path for key, (_, path) in newest.items()}
