"""The Hub port over huggingface_hub. This package is the only importer of that library.

Every method is one call: it gets a deadline, its requests go through `hub.http`, and whatever is raised on the way
comes out as one of the port's errors, by `hub.errors`.
"""

import hashlib
import weakref
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

from huggingface_hub import HfApi, get_session, hf_hub_url, hf_raise_for_status, snapshot_download
from huggingface_hub.errors import HfUriError, IncompleteSnapshotError, LocalEntryNotFoundError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import build_hf_headers, paginate  # type: ignore[attr-defined] # exported by a lazy loader

from adapterd.core.errors import AdapterdError
from adapterd.hub import basefiles, transfer
from adapterd.hub import xet as xets
from adapterd.hub.errors import redact, translate
from adapterd.hub.http import Call, connect, during, hush, install, unreached, visit
from adapterd.hub.named import CONFIGURED
from adapterd.hub.operations import as_operation, in_one_request, lines
from adapterd.pace import Pace
from adapterd.ports import Conflict, Denied, NotFound, Operation, Refs, RemoteCommit, RemoteFile, Transient

_NAME, _VERSION = "adapterd", version("adapterd")


class HubClient:
    """`ports.Hub` over HTTP. Thread-safe: lanes share one.

    Attributes:
        named: what hints call the settings; whoever has no configuration sets it before the first call.
    """

    def __init__(
        self,
        endpoint: str,
        token: str | None,
        *,
        xet: bool,
        ca_file: Path | None,
        proxy: str | None,
        deadline: float,
        cache_dir: Path | None = None,
        pace: Pace | None = None,
    ) -> None:
        """Prepare the library and open a connection pool; nothing is sent.

        Args:
            endpoint: the Hub's address.
            token: the token for it; None sends none, whatever the environment holds.
            xet: whether weights may travel through xet, which knows neither `ca_file` nor `proxy`, so that these switch
                it off. Once one client of a process is without it, all are.
            ca_file: certificates to trust instead of the built-in ones.
            proxy: the proxy for everything; None leaves it to the environment.
            deadline: longest time in seconds that one call may take.
            cache_dir: the library's cache of models; None leaves it to the environment.
            pace: of the endpoint; is told what is sent and how it ended, and has calls wait. None lets all of them go.
        """
        self.endpoint = endpoint.rstrip("/")
        self.signed_in = bool(token)
        self._deadline = deadline
        self._cache_dir = cache_dir
        self._token = token
        self.pace = pace
        self.named = CONFIGURED
        self._prepare(xet=xet and ca_file is None and proxy is None)
        self._http = connect(proxy, ca_file)
        self._close = weakref.finalize(self, self._http.close)
        self._api = HfApi(
            endpoint=self.endpoint,
            token=token or False,
            library_name=_NAME,
            library_version=_VERSION,
        )

    def close(self) -> None:
        """Close the connections."""
        self._close()

    def whoami(self) -> str:
        """The name of the account behind the token."""
        what = "asking whose token it is"
        if not self.signed_in:
            raise Denied(f"{what}: there is no token", f"give one ({self.named.token})")
        with self._call("whoami", "", what):
            return str(self._api.whoami()["name"])

    def models(self, namespace: str) -> Sequence[str]:
        """The ids of the namespace's model repos that this token may see."""
        with self._call("models", "", f"listing the models of {namespace}"):
            return [str(model.id) for model in self._api.list_models(author=namespace)]

    def is_private(self, repo: str) -> bool:
        """Whether the repo is private."""
        with self._call("is_private", repo, f"asking for the visibility of {repo}"):
            return bool(self._api.model_info(repo, expand=["private"]).private)

    def refs(self, repo: str) -> Refs:
        """Every branch and tag."""
        with self._call("refs", repo, f"listing the refs of {repo}"):
            found = self._api.list_repo_refs(repo)
        return Refs(
            branches={ref.name: ref.target_commit for ref in found.branches},
            tags={ref.name: ref.target_commit for ref in found.tags},
        )

    def log(self, repo: str, revision: str, until: str | None = None) -> Sequence[RemoteCommit]:
        """The commits of `revision`, newest first, down to and without `until`; pages after it are never asked for."""
        commits: list[RemoteCommit] = []
        with self._call("log", repo, f"listing the commits of {repo}@{revision}"):
            # The library's own listing fetches every page before it returns.
            for item in paginate(self._url(repo, "commits", revision), params={}, headers=self._headers()):
                if item["id"] == until:
                    break
                message = f"{item['title']}\n\n{item['message']}" if item["message"] else item["title"]
                commits.append(RemoteCommit(id=item["id"], message=message, at=_seconds(item.get("date"))))
        return commits

    def tree(self, repo: str, revision: str) -> Mapping[str, RemoteFile]:
        """Every file of the commit, recursively, by path."""
        with self._call("tree", repo, f"listing the files of {repo}@{revision}"):
            return {
                entry.path: RemoteFile(
                    path=entry.path,
                    size=entry.size,
                    blob=entry.blob_id,
                    sha256=entry.lfs.sha256 if entry.lfs else None,
                )
                for entry in self._api.list_repo_tree(repo, recursive=True, revision=revision)
                if isinstance(entry, RepoFile)
            }

    def read(self, repo: str, revision: str, path: str) -> bytes:
        """The bytes of one file, in one request."""
        what = f"reading {path} of {repo}@{revision}"
        with self._call("read", repo, what):
            return transfer.read(self._file_url(repo, revision, path), self._headers(), what)

    def read_changed(self, repo: str, revision: str, path: str, etag: str) -> tuple[bytes | None, str]:
        """The bytes of one file, None where they are those of `etag` still; and its etag now. One request."""
        what = f"reading {path} of {repo}@{revision}"
        with self._call("read", repo, what):
            return transfer.read_changed(self._file_url(repo, revision, path), self._headers(), etag, what)

    def download(self, repo: str, revision: str, path: str, target: str) -> str:
        """Write one file to `target`, and give its sha256; a part left by an earlier try of the same is resumed."""
        what = f"downloading {path} of {repo}@{revision}"
        with self._call("download", repo, what):
            url = self._file_url(repo, revision, path)
            mark = hashlib.sha256(url.encode()).hexdigest()[:8]
            place = Path(target)
            return transfer.download(url, self._headers(), place.with_name(f"{place.name}.{mark}.part"), place, what)

    def create_repo(self, repo: str, *, private: bool) -> None:
        """Create an empty model repo.

        Sent by hand: on a certain 409 the library asks again without pause and without end, and it fails after the
        repo is made where the answer names another host.
        """
        namespace, _, name = repo.rpartition("/")
        self._post(
            ("create_repo", repo, f"creating the repo {repo}"),
            "/api/repos/create",
            {
                "name": name,
                "organization": namespace or None,
                "visibility": "private" if private else "public",
                "type": "model",
            },
        )

    def create_branch(self, repo: str, branch: str, revision: str) -> None:
        """Create `branch` at `revision`."""
        with self._call("create_branch", repo, f"creating the branch {branch} of {repo}", "/branch/"):
            self._api.create_branch(repo, branch=branch, revision=revision)

    def commit(self, repo: str, branch: str, parent: str, operations: Sequence[Operation], message: str) -> str:
        """Make one commit on `branch` if its head is still `parent`, and return its id."""
        hush()
        if in_one_request(operations):
            return self._commit_at_once(repo, branch, lines(operations, parent, message))
        title, _, body = message.partition("\n\n")
        with self._call("commit", repo, f"commit to {repo}@{branch}", "/commit/") as call, xets.bounded(call):
            try:
                made = self._api.create_commit(
                    repo,
                    operations=[as_operation(operation, call) for operation in operations],
                    commit_message=title,
                    commit_description=body,
                    revision=branch,
                    parent_commit=parent,
                    num_threads=2,
                )
            except HfUriError:
                # Behind a mirror the Hub names its own host, which the library takes for a fault.
                if call.answer is None:
                    raise
                return str(call.answer.json()["commitOid"])
            return made.oid

    def _commit_at_once(self, repo: str, branch: str, body: bytes) -> str:
        with self._call("commit", repo, f"commit to {repo}@{branch}", "/commit/"):
            headers = {**self._headers(), "content-type": "application/x-ndjson"}
            response = get_session().post(self._url(repo, "commit", branch), content=body, headers=headers)
            hf_raise_for_status(response, endpoint_name="commit")
            return str(response.json()["commitOid"])

    def create_tag(self, repo: str, tag: str, commit: str) -> None:
        """Tag the commit."""
        with self._call("create_tag", repo, f"creating the tag {tag} of {repo}", "/tag/"):
            self._api.create_tag(repo, tag=tag, revision=commit)

    def delete_tag(self, repo: str, tag: str) -> None:
        """Remove the tag; the commit stays."""
        with self._call("delete_tag", repo, f"deleting the tag {tag} of {repo}"):
            self._api.delete_tag(repo, tag=tag)

    def lfs_files(self, repo: str) -> Mapping[str, int]:
        """Every large object of the repo that is not deleted: sha256 to size in bytes."""
        with self._call("lfs_files", repo, f"listing the large files of {repo}"):
            return {file.oid: file.size for file in self._api.list_lfs_files(repo)}

    def delete_lfs(self, repo: str, digests: Collection[str]) -> None:
        """Delete large objects for good, by sha256; commits that name them stay."""
        with self._call("delete_lfs", repo, f"deleting {len(digests)} large files of {repo} for good"):
            wanted = [file for file in self._api.list_lfs_files(repo) if file.oid in digests]
            if wanted:
                # By default the library has the Hub rewrite every commit.
                self._api.permanently_delete_lfs_files(repo, wanted, rewrite_history=False)

    def check_card(self, text: str) -> None:
        """Raise Denied where the Hub would refuse this model card's metadata."""
        what = "checking a model card"
        with self._call("check_card", "", what):
            # By hand: the library's own check asks the global endpoint, whatever the client's.
            response = get_session().post(
                f"{self.endpoint}/api/validate-yaml",
                json={"content": text, "repoType": "model"},
                headers=self._headers(),
            )
            if response.status_code not in (HTTPStatus.OK, HTTPStatus.BAD_REQUEST):
                hf_raise_for_status(response)
            if errors := response.json()["errors"]:
                said = redact("; ".join(str(error.get("message")) for error in errors))
                raise Denied(f"{what}: the Hub refuses its metadata: {said}", "correct the model card")

    def cached_model(self, model: str, revision: str | None) -> tuple[str, str] | None:
        """Folder and commit of a model in the local Hub cache, if it is complete enough to load; no network."""
        with self._call("", model, f"looking for {model} in the cache"):
            try:
                folder = Path(
                    snapshot_download(model, revision=revision, cache_dir=self._cache_dir, local_files_only=True)
                )
            except IncompleteSnapshotError as error:
                # Files are missing that the repo has; whether any of them matters is decided below.
                folder = Path(error.snapshot_path)
            except LocalEntryNotFoundError:
                return None
            if not basefiles.loadable(entry.name for entry in folder.iterdir() if entry.is_file()):
                return None
            return str(folder), folder.name

    def fetch_model(self, model: str, revision: str | None) -> tuple[str, str]:
        """Download what is needed of a base model into the local Hub cache; folder and commit."""
        what = f"fetching {model}@{revision or 'main'}"
        with self._call("fetch_model", model, what) as call, xets.bounded(call):
            info = self._api.model_info(model, revision=revision)
            names = basefiles.needed(sibling.rfilename for sibling in info.siblings or [])
            if not names:
                raise NotFound(
                    f"{what}: the repo has no single whole set of weights to load",
                    f"download the base by hand and name its folder {self.named.base}",
                )
            # The first file follows the name and records where it points; the rest follow that commit.
            first, *rest = names
            folder = Path(self._api.hf_hub_download(model, first, revision=revision, cache_dir=self._cache_dir)).parent
            for name in rest:
                self._api.hf_hub_download(model, name, revision=folder.name, cache_dir=self._cache_dir)
            return str(folder), folder.name

    def _prepare(self, *, xet: bool) -> None:
        """Set what the library keeps once per process."""
        install(xet=xet)

    @contextmanager
    def _call(self, action: str, repo: str, what: str, effect: str = "") -> Iterator[Call]:
        """One call of the port: at its pace, its requests under its deadline, its errors in the port's words.

        Without an `action` nothing is sent, and no pace is kept.
        """
        pace = self.pace if action else None
        if pace is not None:
            pace.enter(action, repo)
        call = Call(self._http, self.endpoint, self._deadline, effect, pace=pace)
        try:
            with during(call):
                yield call
        except Exception as error:
            mapped = translate(error, what, sent=call.effect_sent, named=self.named)
            if pace is not None:
                _account(pace, (action, repo), mapped, sent=call.effect_sent, effect=bool(effect), cause=error)
            if mapped is None and isinstance(error, RuntimeError) and isinstance(error.__cause__, OSError):
                # The local disk's word again, out of the library's wrapping.
                raise error.__cause__ from None
            if mapped is None or mapped is error:
                raise
            # Not chained: the library's messages carry addresses with signatures in them.
            raise mapped from None
        except BaseException:
            if pace is not None:
                pace.ended(action)
            raise
        if pace is not None:
            _account(pace, (action, repo), None, sent=call.effect_sent, effect=bool(effect), cause=None)

    def _post(self, call: tuple[str, str, str], path: str, body: Mapping[str, object]) -> None:
        with self._call(*call, path):
            hf_raise_for_status(get_session().post(self.endpoint + path, json=body, headers=self._headers()))

    def _headers(self) -> dict[str, str]:
        return dict(build_hf_headers(token=self._token or False, library_name=_NAME, library_version=_VERSION))

    def _url(self, repo: str, kind: str, revision: str) -> str:
        return f"{self.endpoint}/api/models/{repo}/{kind}/{quote(revision, safe='')}"

    def _file_url(self, repo: str, revision: str, path: str) -> str:
        return hf_hub_url(repo, path, revision=revision, endpoint=self.endpoint)


class GuestClient(HubClient):
    """The client in a process that is somebody else's, who uses the library too. It is for reading alone."""

    def _prepare(self, *, xet: bool) -> None:  # noqa: ARG002 - reading never uses it
        """Leave the library to its user."""
        visit()


def _seconds(date: object) -> float:
    """A date of the Hub in seconds since the epoch; 0 where it is none."""
    try:
        return datetime.fromisoformat(str(date)).timestamp()
    except ValueError:
        return 0.0


def _account(
    pace: Pace,
    call: tuple[str, str],
    mapped: AdapterdError | None,
    *,
    sent: bool,
    effect: bool,
    cause: Exception | None,
) -> None:
    """Tell the pace how a call ended: `mapped` is what it raises, None for its success where there is no cause."""
    action, repo = call
    if action == "commit" and sent and not isinstance(mapped, Denied | NotFound | Conflict):
        pace.committed(repo)
    match mapped:
        case None if cause is None:
            pace.answered(action, repo)
        case Denied() | NotFound() | Conflict():
            pace.answered(action, repo)
        case Transient() if mapped.counts or mapped.throttled:
            pace.failed(action, repo, mapped, effect=effect, unreached=unreached(cause))
        case _:  # refused before it was sent, or ours: it tells nothing about the Hub
            pace.ended(action)
