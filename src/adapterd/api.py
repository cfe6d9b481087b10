"""What a deployer does from Python: resolve a name to one version, and pull it. The verbs of these names do the same.

The Hub is that of `endpoint`, else that of the configuration file of this host, else that of ``HF_ENDPOINT``; the token
is the one that the Hub's own tools find.
"""

import os
import warnings
from pathlib import Path

from adapterd import deploy, reach
from adapterd.core.naming import parse_reference


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
    reference: str, directory: str | os.PathLike[str], *, endpoint: str | None = None, force: bool = False
) -> Path:
    """Download the version that a name means now, verify every byte, and put it in place in one step.

    Where it lies there already, nothing is downloaded. Whoever reads the directory meanwhile sees the old version, the
    new one, or nothing, never a part. A version that was yanked is a `UserWarning`.

    >>> import adapterd, tempfile
    >>> place = adapterd.pull("acme/sentiment-es@v1", tempfile.mkdtemp())
    >>> (place / "adapter_config.json").exists()
    True

    Args:
        reference: as for `resolve`.
        directory: absent, empty, or with this version in it; with `force` also another version.
        endpoint: the Hub's address.
        force: exchange the version that lies there for this one.

    Returns:
        The directory, as an absolute path.

    Raises:
        OccupiedError: something else lies there.
        VerificationError: a file is not what the manifest says. Nothing was put in place.

    And what `resolve` raises.
    """
    target = Path(directory).absolute()
    with reach.hub_of(endpoint=endpoint, guest=True) as hub:
        found = deploy.resolve(hub, parse_reference(reference))
        for warning in found.warnings:
            warnings.warn(warning, UserWarning, stacklevel=2)
        return deploy.pull(hub, found, target, _unsaid, force=force)


def _unsaid(_: str) -> None:
    """Progress, which Python code has no use for."""
