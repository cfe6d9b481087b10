"""A real Hub on loopback, the real client, and four users with different rights."""

import hashlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import CommitInfo, CommitOperationAdd, HfApi

from adapterd.hub.server import Account, RunningHub, start

ACCOUNTS = {
    "ada": Account("ada", "hf_" + "a" * 34, orgs=("acme",)),
    "rex": Account("rex", "hf_" + "r" * 34, role="read", orgs=("acme",)),
    "nil": Account("nil", "hf_" + "n" * 34, role="none", orgs=("acme",)),
    "eve": Account("eve", "hf_" + "e" * 34),
}
PART_SIZE = 256 * 1024

Users = Callable[[str], HfApi]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the client's own use of a deprecated argument in its LFS uploads pass."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning"))


@pytest.fixture(scope="session")
def accounts() -> dict[str, Account]:
    """The users by name: ada writes, rex reads, nil's token opens nothing, eve is a stranger."""
    return ACCOUNTS


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """A Hub that all tests share; each works in repos of its own."""
    data = tmp_path_factory.mktemp("hub") / "data"
    with start(data, list(ACCOUNTS.values()), part_size=PART_SIZE) as running:
        yield running


@pytest.fixture(scope="session")
def user(hub: RunningHub) -> Users:
    """The real client, as one of the users."""
    return lambda name: HfApi(endpoint=hub.endpoint, token=ACCOUNTS[name].token)


@pytest.fixture(scope="session")
def api(user: Users) -> HfApi:
    """The real client, as ada."""
    return user("ada")


@pytest.fixture(scope="session")
def http(hub: RunningHub) -> Iterator[httpx2.Client]:
    """Plain HTTP as ada, for what the client hides."""
    headers = {"authorization": f"Bearer {ACCOUNTS['ada'].token}"}
    with httpx2.Client(base_url=hub.endpoint, headers=headers, trust_env=False) as client:
        yield client


_numbers = itertools.count()


@pytest.fixture
def repo(api: HfApi) -> str:
    """A new public repo of acme."""
    return api.create_repo(f"acme/repo-{next(_numbers)}").repo_id


@pytest.fixture
def new_id() -> str:
    """A repo id that nobody has used."""
    return f"acme/new-{next(_numbers)}"


@pytest.fixture
def add(api: HfApi) -> Callable[..., str]:
    """Commit some files to a repo's main branch and give the commit's id."""

    def commit(repo_id: str, files: dict[str, bytes], commit_message: str = "Add files", **options: str) -> str:
        """Make one commit."""
        operations = [CommitOperationAdd(path, content) for path, content in files.items()]
        make: Callable[..., CommitInfo] = api.create_commit
        return make(repo_id, operations, commit_message=commit_message, **options).oid

    return commit


@pytest.fixture
def weights() -> bytes:
    """Bytes as no other test has them, so that no upload is skipped."""
    return hashlib.shake_128(str(next(_numbers)).encode()).digest(50_000)
