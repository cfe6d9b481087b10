"""The example and the reference page of labels say what the types say, and the marker of the page vouches."""

import re
import subprocess
import sys
from pathlib import Path

from pydantic import BaseModel

from adapterd.config import Labels, read_labels
from adapterd.config.describe import Shape
from adapterd.config.labelpage import labels_example, labels_reference
from adapterd.core import adapter as ad


def keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    """List every key of the labels, those of a section after its own."""
    names = []
    for name, field in model.model_fields.items():
        inner = Shape.of_field(field).model
        names += [f"{prefix}{name}", *(keys(inner, f"{prefix}{name}.") if inner else [])]
    return names


def test_the_example_says_nothing_until_a_key_is_set() -> None:
    """Copied into a run folder as it is, it is the same as no file."""
    assert read_labels(labels_example().encode()) == Labels()


def test_every_key_of_the_example_can_be_set() -> None:
    """Without the bare # each key has a value that is right, and none is left out."""
    text = re.sub(r"^( *)#(?=[^ #\n])", r"\1", labels_example(), flags=re.MULTILINE)
    said = read_labels(text.encode()).model_dump(exclude_defaults=True)
    assert set(said) == set(Labels.model_fields)


def test_the_page_has_every_key_with_meaning_kind_and_example() -> None:
    """Each key has a row, in the order of the types, and no cell of it is empty."""
    rows = [line.strip("|").split(" | ") for line in labels_reference().splitlines() if line.startswith("| `")]
    assert [row[0].strip(" `") for row in rows] == keys(Labels)
    assert all(len(row) == 4 and all(cell.strip() for cell in row) for row in rows)


def test_the_script_of_the_page_writes_a_marker_that_vouches(tmp_path: Path) -> None:
    """Copied from the page and run on a save, it names exactly the files that are published, and leaves no draft."""
    script = re.search(r"```python\n(.*?)```", labels_reference(), re.DOTALL)
    assert script is not None
    (tmp_path / "finished.py").write_text(script[1])
    folder = tmp_path / "run-7"
    (folder / "additional_chat_templates").mkdir(parents=True)
    shards = ("adapter_model-00001-of-00002.safetensors", "adapter_model-00002-of-00002.safetensors")
    templates = ("chat_template.jinja", "additional_chat_templates/tools.jinja")
    others = ("training_args.bin", "adapter_model-draft.safetensors", "optimizer.pt", "README.md")
    for name in (ad.CONFIG, ad.WEIGHTS, ad.INDEX, *ad.SIDE_FILES, *shards, *templates, *others):
        (folder / name).write_text(name)
    subprocess.run([sys.executable, "finished.py", "run-7"], cwd=tmp_path, check=True)
    entries = [
        ad.Entry(path.relative_to(folder).as_posix(), ad.Kind.FILE, info.st_size, info.st_mtime_ns, info.st_ino)
        for path in folder.rglob("*")
        if path.is_file() and (info := path.stat())
    ]
    assert ad.vouched((tmp_path / f"run-7{ad.MARKER_SUFFIX}").read_bytes(), entries)
    assert {path.name for path in tmp_path.iterdir()} == {"finished.py", "run-7", f"run-7{ad.MARKER_SUFFIX}"}
