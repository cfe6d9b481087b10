"""publish: the Hub holds exactly this tree under the tag ``vN``.

Observe, decide, act: the repo is read once, refs first; `core.publication.decide` decides; then one commit with
compare-and-swap, one comparison of the whole tree, one tag. A crash anywhere leaves a state from which the next
attempt finds its own traces and goes on (docs/line.md).
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from adapterd.bases import BaseMissingError, recorded
from adapterd.core import adapter as ad
from adapterd.core import budget, card
from adapterd.core import publication as pub
from adapterd.core import verdict as judge
from adapterd.core.examples import BadExamplesError
from adapterd.core.publication import Expected
from adapterd.core.readme import splice
from adapterd.core.reasons import reason
from adapterd.core.standing import erasures
from adapterd.core.version import AdapterVersion, Advanced, Outcome, Refused, Stage, Stalled, Waiting
from adapterd.moving import RepoStalledError
from adapterd.ports import (
    AddBytes,
    AddFile,
    BaseModel,
    Claim,
    Conflict,
    Delete,
    Denied,
    Hub,
    Intent,
    Operation,
    RepoRecord,
    Transient,
    Validation,
)
from adapterd.roots import SettleError, header_of
from adapterd.spool import Snapshot
from adapterd.steps import repo as repos
from adapterd.steps.coalescing import superseding
from adapterd.steps.history import losses_before
from adapterd.steps.host import Host
from adapterd.steps.mishaps import unread
from adapterd.steps.validate import base_of, examples_of, passed, policy_of, root_of


@dataclass(frozen=True, slots=True)
class Prepared:
    """What publish knows of a version before it looks at the Hub."""

    version: AdapterVersion
    snapshot: Snapshot
    base: BaseModel
    policy: judge.Policy


def publish(host: Host, claim: Claim) -> Outcome:
    """Bring one VALIDATED version to the Hub."""
    version, hub = claim.version, host.hub()
    intent = host.registry.intent(version.id)
    if (beforehand := _beforehand(host, version, hub, intent)) is not None:
        return beforehand
    try:
        prepared = _prepare(host, version)
        record, refs = repos.observe(host, hub, version)
        view = repos.view(host, hub, record, refs, version)
    except RepoStalledError as stalled:
        return Stalled(stalled.reason)
    except (SettleError, BaseMissingError) as error:
        return unread(error)
    match pub.decide(version, view.seen, host.publisher, intent.number if intent else None):
        case pub.Stall(why):
            return Stalled(why)
        case pub.Wait(why):
            # Counted, since the other one may be gone for good: then a person must hear of it.
            raise Transient(why.message, why.hint, code=why.code)
        case pub.Adopt(number, commit):
            return _adopt(host, claim, hub, prepared, view.record, number, commit)
        case pub.Finish(number, commit):
            return _finish(host, claim, hub, prepared, view, number, commit)
        case pub.Commit(_, above, anew):
            return _commit(host, claim, hub, prepared, view, above, intent, anew=anew)


def _beforehand(host: Host, version: AdapterVersion, hub: Hub, intent: Intent | None) -> Outcome | None:
    """What can be said without asking the Hub: left out, no token, not now. None where it is to be asked."""
    if intent is None and (by := superseding(host, version, root_of(host, version))):
        return Refused(Stage.SUPERSEDED, by)
    if not hub.signed_in:
        return Stalled(reason("token_missing", f"there is no token to publish {version.adapter} with"))
    # What has an intent may be on the Hub already, and lack nothing but its tag.
    action = "refs" if intent else "commit"
    cost = budget.FIRST if host.registry.repo(version.adapter) is None else budget.LATER
    pause = host.pace.pause(action, version.adapter, cost)
    return None if pause is None else Waiting(pause.until, reason(pause.code, pause.message))


def _prepare(host: Host, version: AdapterVersion) -> Prepared:
    """Re-hash the snapshot, and find the rules of today."""
    snapshot = host.spool.snapshot(version.adapter, version.tree)
    try:
        base = base_of(host, version, snapshot.config, root_of(host, version))
    except BaseMissingError:
        # Validated already: that the base has left this host since is no reason to hold the version back.
        recorded = _recorded_base(host, version)
        if recorded is None:
            raise
        base = recorded
    try:
        examples = examples_of(host.config, base, root_of(host, version))
    except BadExamplesError as error:
        raise SettleError("bad_probes", str(error)) from error
    return Prepared(version, snapshot, base, policy_of(host.config, base, examples, host.digests))


def _recorded_base(host: Host, version: AdapterVersion) -> BaseModel | None:
    """The base model that the newest passing report on the version's tree was about."""
    rows = [v for v in host.registry.validations(version.id) if v.tree == version.tree and v.verdict == "passed"]
    if not rows:
        return None
    return recorded(rows[-1].report["policy_terms"], root_of(host, version))


def _commit(
    host: Host,
    claim: Claim,
    hub: Hub,
    prepared: Prepared,
    view: repos.View,
    above: int,
    stored: Intent | None,
    *,
    anew: bool,
) -> Outcome:
    version, record = prepared.version, view.record
    if not passed(host, version, prepared.policy):
        return Advanced(Stage.STAGED, {"reason": reason("policy_changed", "validated under an older policy")})
    wanted = judge.policy_id(prepared.policy)
    facts = _facts(host, prepared, record)
    intent = host.registry.plan(
        claim, above, lambda n: _render(facts, n, wanted), anew=anew or (stored is not None and stored.policy != wanted)
    )
    block = intent.files[pub.CARD].decode()
    readme = splice(record.readme, block, card.metadata(facts))
    wanted_files = _expected(prepared.snapshot, intent, readme)
    hub_operations = _operations(prepared.snapshot, intent, readme, view.paths)
    try:
        with host.sending.commit(version.adapter):
            # A sleeper whose lease ran out must not write: this raises LostLease.
            host.registry.extend(claim, host.clock() + host.config.schedule.lease + host.config.hub.deadline)
            commit = hub.commit(version.adapter, pub.BRANCH, view.seen.head, hub_operations, intent.message)
    except Denied as error:
        if "the metadata of README.md" in error.message:  # in the Hub port's words; a repo's name may hold any other
            return Stalled(reason("card_refused", error.message))
        raise
    view = replace(view, record=replace(record, readme=readme))
    return _tag(host, claim, hub, view, wanted_files, intent.number, commit, version)


def _tag(
    host: Host,
    claim: Claim,
    hub: Hub,
    view: repos.View,
    wanted: Mapping[str, Expected],
    number: int,
    commit: str,
    version: AdapterVersion,
) -> Outcome:
    """Compare the complete tree of a commit, tag it, and compare the tag."""
    repo, tag = version.adapter, f"v{number}"
    there = {path: (f.size, f.blob, f.sha256) for path, f in hub.tree(repo, commit).items()}
    if wrong := pub.differences(wanted, there, open_paths=(".gitattributes",)):
        return Stalled(reason("tree_differs", f"commit {commit[:12]} of {repo}: {'; '.join(wrong[:3])}"))
    host.registry.extend(claim, host.clock() + host.config.schedule.lease + host.config.hub.deadline)
    # A conflict is a tag by an attempt whose answer was lost, or by somebody else: the comparison below tells.
    with suppress(Conflict):
        hub.create_tag(repo, tag, commit)
    refs = hub.refs(repo)
    if refs.tags.get(tag) != commit:
        return Stalled(reason("foreign_tag", f"tag {tag} of {repo} names {refs.tags.get(tag, 'nothing')[:12]}"))
    paths = tuple(sorted(path for path in wanted if path == pub.PICTURE or path not in pub.OWN_FILES))
    head, record = refs.branches.get(pub.BRANCH, commit), view.record
    if head == commit and not pub.untagged(view.seen, version.identity):
        record = replace(record, versions_head=commit, paths=paths)
    return Advanced(Stage.PUBLISHED, {"number": number, "commit": commit, "repo": record})


def _finish(
    host: Host, claim: Claim, hub: Hub, prepared: Prepared, view: repos.View, number: int, commit: str
) -> Outcome:
    """Our own commit has no tag yet: its manifest is final, its payload is compared with the snapshot, then tagged."""
    version = prepared.version
    document = hub.read(version.adapter, commit, pub.MANIFEST)
    if problem := _other_payload(document, prepared.snapshot, number):
        return Stalled(reason("tree_differs", f"commit {commit[:12]} of {version.adapter}: {problem}"))
    readme = hub.read(version.adapter, commit, pub.CARD)
    pictured = json.loads(document).get("picture")
    picture = hub.read(version.adapter, commit, pub.PICTURE) if pictured else b""
    if picture and pictured != {"sha256": ad.digest_of(picture)}:
        return Stalled(reason("tree_differs", f"commit {commit[:12]} of {version.adapter}: its picture is another"))
    host.registry.adopt(claim, number)
    wanted = {
        **_expected_payload(prepared.snapshot),
        pub.MANIFEST: pub.expected(document),
        pub.CARD: pub.expected(readme),
        **({pub.PICTURE: pub.expected(picture)} if picture else {}),
    }
    view = replace(view, record=replace(view.record, readme=readme))
    return _tag(host, claim, hub, view, wanted, number, commit, version)


def _adopt(
    host: Host, claim: Claim, hub: Hub, prepared: Prepared, record: RepoRecord, number: int, commit: str
) -> Outcome:
    """The Hub holds this identity under a tag: its number becomes ours, and its bytes are what was published."""
    version = prepared.version
    document = hub.read(version.adapter, commit, pub.MANIFEST)
    problem = _other_identity(document, version.identity, number) or _other_bytes(hub, prepared, document, commit)
    if problem:
        return Stalled(reason("tree_differs", f"tag v{number} of {version.adapter}: {problem}"))
    host.registry.adopt(claim, number)
    return Advanced(Stage.PUBLISHED, {"number": number, "commit": commit, "repo": record})


def _other_identity(manifest: bytes, identity: str, number: int) -> str:
    try:
        document = json.loads(manifest)
        digest, numbered = document["identity"]["digest"], document["number"]
    except (ValueError, KeyError, TypeError):
        return f"{pub.MANIFEST} is no manifest"
    if digest != identity:
        return f"{pub.MANIFEST} names another identity"
    return "" if numbered == number else f"{pub.MANIFEST} names number {numbered}"


def _other_bytes(hub: Hub, prepared: Prepared, manifest: bytes, commit: str) -> str:
    """How a commit's own tree belies its manifest; empty where it holds this identity, and nothing beside it.

    Trailers and manifest are words that anybody with write access may write: the bytes are asked.
    """
    repo, snapshot = prepared.version.adapter, prepared.snapshot
    there = hub.tree(repo, commit)
    payload = {path: file for path, file in there.items() if ad.is_payload(path)}
    if foreign := pub.foreign_paths(there, payload):
        return f"{foreign[0]} lies beside its payload"
    mine = _expected_payload(snapshot)
    known = {path: mine[path].sha256 for path, file in payload.items() if path in mine and file.blob == mine[path].blob}
    digests = {
        path: file.sha256 or known.get(path) or ad.digest_of(hub.read(repo, commit, path))
        for path, file in payload.items()
    }
    listed = json.loads(manifest).get("files")
    if not isinstance(listed, dict) or {p: f.get("sha256") for p, f in listed.items()} != digests:
        return f"{pub.MANIFEST} lists other bytes than lie there"
    try:
        config = ad.parse_config(hub.read(repo, commit, ad.CONFIG))
    except ad.BadConfigError as error:
        return str(error)
    if ad.identity_digest(config.fields, digests) != snapshot.identity:
        return "its bytes have another identity than it says"
    same_base = config.base.casefold() == snapshot.config.base.casefold()
    return "" if same_base else f"its config names {config.base or 'no base'}, not {snapshot.config.base}"


def _other_payload(manifest: bytes, snapshot: Snapshot, number: int) -> str:
    """How a committed manifest differs from the snapshot; empty where its payload is the snapshot's."""
    if problem := _other_identity(manifest, snapshot.identity, number):
        return problem
    listed = json.loads(manifest).get("files", {})
    mine = {path: {"sha256": digest, "size": size} for path, (digest, size) in snapshot.files.items()}
    return "" if listed == mine else "its payload is not the snapshot's"


def _expected_payload(snapshot: Snapshot) -> dict[str, Expected]:
    """What the payload's files must be. Weights are compared by sha256 alone; the rest is small enough to read."""
    wanted = {}
    for path, (digest, size) in snapshot.files.items():
        small = size <= 64 * 1024 * 1024 and not path.endswith(".safetensors")
        blob = pub.git_blob((snapshot.payload / path).read_bytes()) if small else ""
        wanted[path] = Expected(size, digest, blob)
    return wanted


def _expected(snapshot: Snapshot, intent: Intent, readme: bytes) -> dict[str, Expected]:
    rendered = {path: pub.expected(data) for path, data in intent.files.items()}
    return {**_expected_payload(snapshot), **rendered, pub.CARD: pub.expected(readme)}


def _operations(snapshot: Snapshot, intent: Intent, readme: bytes, there: tuple[str, ...]) -> list[Operation]:
    """One commit whose tree is exactly payload, what was rendered, and .gitattributes."""
    operations: list[Operation] = [AddFile(path, str(snapshot.payload / path)) for path in sorted(snapshot.files)]
    operations += [AddBytes(path, data) for path, data in sorted({**intent.files, pub.CARD: readme}.items())]
    own = pub.OWN_FILES - {pub.PICTURE}  # a version without a loss has none, and lets that of another go
    stale = sorted(set(there) - set(snapshot.files) - set(intent.files) - own)
    return operations + [Delete(path) for path in stale]


def _render(facts: card.Facts, number: int, policy: str) -> Intent:
    """The bytes that will be published, as a pure function of recorded facts."""
    files = {pub.MANIFEST: card.manifest(facts, number), pub.CARD: card.block(facts, number).encode()}
    if picture := card.picture(facts, number):
        files[pub.PICTURE] = picture
    return Intent(number, policy, files, card.commit_message(facts, number))


def _facts(host: Host, prepared: Prepared, record: RepoRecord) -> card.Facts:
    version, snapshot, base = prepared.version, prepared.snapshot, prepared.base
    policy = judge.policy_id(prepared.policy)
    validation = latest(host, version, policy)
    measured = validation.report["measurements"]
    sightings = host.registry.sightings(version.id)
    checkpoint = (
        next((Path(s.path).name for s in sightings if s.checkpoint is not None), "") if not version.final else ""
    )
    former = max((v.number or 0 for v in host.registry.versions(version.adapter, Stage.PUBLISHED)), default=0)
    tensors = [header_of(snapshot.payload, name) for name in snapshot.files if name.endswith(".safetensors")]
    return card.Facts(
        version=version,
        config=snapshot.config,
        files=snapshot.files,
        base=card.BaseFacts(
            base.id,
            base.revision,
            str(validation.report.get("base_fingerprint", "")),
            str(measured.get("base_license", "")),
            int(measured.get("base_bytes", 0)),
        ),
        publisher=host.publisher,
        policy=policy,
        report=validation.report,
        checkpoint=checkpoint,
        parameters=sum(t.elements for header in tensors for t in header),
        former=former or None,
        labels=version.labels,
        history=losses_before(host.registry, version.adapter, erasures(record.standing)),
    )


def latest(host: Host, version: AdapterVersion, policy: str) -> Validation:
    """The newest passing report on the version's tree under a policy; there is one when this is called."""
    rows = [
        v
        for v in host.registry.validations(version.id)
        if v.tree == version.tree and v.policy == policy and v.verdict == "passed"
    ]
    return rows[-1]
