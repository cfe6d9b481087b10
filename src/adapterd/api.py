"""What a deployer does from Python: resolve a name to one version, and pull it. The verbs of these names do the same.

The Hub is that of `endpoint`, else that of the configuration file of this host, else that of ``HF_ENDPOINT``; the token
is the one that the Hub's own tools find.
"""

import os
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Literal

from adapterd import deploy, reach
from adapterd.core.naming import parse_reference
from adapterd.ports import Denied

KEEP = 1
"""Former versions that stay where a pull replaces one."""


def resolve(reference: str, *, endpoint: str | None = None) -> deploy.Resolved:
    """Find the version that a name means now.

    >>> import adapterd
    >>> found = adapterd.resolve("acme/sentiment-es@stable")
    >>> found.tag, found.serving_name.rpartition("-")[0], found.base_id
    ('v2', 'acme-sentiment-es@v2', 'acme/base')

    Args:
        reference: ``namespace/name``, which means its `main`, or that with ``@vN``, ``@CHANNEL``, ``@COMMIT`` or
            ``@id:HEX``.
        endpoint: the Hub's address.

    Raises:
        ValueError: `reference` has another form.
        NotFound: there is no such repo, version or channel; `ErasedError` where there was.
        VerificationError: channel, tag and manifest contradict each other.
        Denied: the Hub says no.
        Transient: the Hub is away; try again later.
    """
    with reach.hub_of(endpoint=endpoint, guest=True) as hub:
        return deploy.resolve(hub, parse_reference(reference))


def pull(
    reference: str,
    directory: str | os.PathLike[str],
    *,
    layout: Literal["plain", "vllm", "nim"] = "plain",
    keep: int = KEEP,
    endpoint: str | None = None,
    force: bool = False,
) -> Path:
    """Download the version that a name means now, verify every byte, and put it in place in one step.

    Where it lies there already, nothing is downloaded. Whoever reads the directory meanwhile sees the old version, the
    new one, or nothing, never a part. Where the Hub is away, what lies there whole is good: an exact version, or what a
    channel meant when it was last asked for here. That is a `UserWarning`, and so is a version that was yanked.

    >>> import adapterd, tempfile
    >>> place = adapterd.pull("acme/sentiment-es@v1", tempfile.mkdtemp() + "/sentiment-es")
    >>> (place / "adapter_config.json").exists()
    True

    Args:
        reference: as for `resolve`.
        directory: what the version shall lie in. It is absent, empty, or was pulled to before.
        layout: ``plain``: the directory is the version, and the former ones lie in a hidden folder beside it; ``vllm``
            and ``nim``: each version has a folder in it, by its serving name, as these engines read them.
        keep: so many former versions of each adapter stay; the older ones go.
        endpoint: the Hub's address.
        force: replace what was altered there, or is of another adapter.

    Returns:
        Where the version lies, as an absolute path.

    Raises:
        OccupiedError: something else lies there.
        VerificationError: a file is not what the manifest says. Nothing was put in place.

    And what `resolve` raises.
    """
    target = Path(directory).absolute()
    if ".." in target.parts:
        target = target.resolve()
    shelf = deploy.Shelf(target, deploy.Layout(layout))
    with reach.hub_of(endpoint=endpoint, guest=True) as hub:
        brought = deploy.bring(hub, parse_reference(reference), shelf, _unsaid, now=time.time(), force=force)
    for warning in brought.warnings:
        warnings.warn(warning, UserWarning, stacklevel=2)
    with suppress(Denied):  # what lies there whole is good, whoever may write there
        shelf.tidy(keep, but=[brought.resolved.serving_name])
    return brought.held.path


def _unsaid(_: str) -> None:
    """Progress, which Python code has no use for."""
