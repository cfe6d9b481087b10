"""Branches and tags: versions that never move, channels that move forward."""

from collections.abc import Callable

import httpx2
import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import BadRequestError, HfHubHTTPError, RevisionNotFoundError

Add = Callable[..., str]


def tags(api: HfApi, repo: str) -> dict[str, str]:
    """Give the tags with their commits."""
    return {ref.name: ref.target_commit for ref in api.list_repo_refs(repo).tags}


def branches(api: HfApi, repo: str) -> dict[str, str]:
    """Give the branches with their commits."""
    return {ref.name: ref.target_commit for ref in api.list_repo_refs(repo).branches}


def test_a_tag_names_a_commit(api: HfApi, repo: str, add: Add) -> None:
    """A tag is made at a branch, a commit or the beginning of one; with a message it still names the commit."""
    first = add(repo, {"a": b"1"})
    second = add(repo, {"a": b"2"})
    api.create_tag(repo, tag="v1", revision=first)
    api.create_tag(repo, tag="v2", tag_message="Second")
    api.create_tag(repo, tag="v1-again", revision=first[:7])
    assert tags(api, repo) == {"v1": first, "v2": second, "v1-again": first}
    assert api.model_info(repo, revision="v2").sha == second
    assert api.model_info(repo, revision="refs/tags/v1").sha == first


def test_a_tag_never_moves(api: HfApi, repo: str, add: Add) -> None:
    """A second tag of the same name is 409, and exist_ok leaves the first where it is."""
    first = add(repo, {"a": b"1"})
    api.create_tag(repo, tag="v1")
    add(repo, {"a": b"2"})
    with pytest.raises(HfHubHTTPError) as error:
        api.create_tag(repo, tag="v1")
    assert error.value.response.status_code == 409
    api.create_tag(repo, tag="v1", exist_ok=True)
    assert tags(api, repo) == {"v1": first}


def test_a_tag_is_deleted(api: HfApi, repo: str) -> None:
    """Deleting a tag frees its name; deleting none is 404; a tag of an unknown revision is 404."""
    api.create_tag(repo, tag="release/1")
    api.delete_tag(repo, tag="release/1")
    assert tags(api, repo) == {}
    with pytest.raises(RevisionNotFoundError):
        api.delete_tag(repo, tag="release/1")
    with pytest.raises(RevisionNotFoundError):
        api.create_tag(repo, tag="v1", revision="none")


def test_a_branch_may_have_slashes(api: HfApi, repo: str, add: Add) -> None:
    """A branch with slashes is made, read, committed to and deleted like any other."""
    start = add(repo, {"a": b"1"})
    api.create_branch(repo, branch="feat/a/b", revision=start)
    oid = add(repo, {"b": b"1"}, revision="feat/a/b")
    assert api.list_repo_files(repo, revision="feat/a/b") == [".gitattributes", "a", "b"]
    assert branches(api, repo) == {"feat/a/b": oid, "main": start}
    assert api.list_repo_commits(repo, revision="feat/a/b")[0].commit_id == oid
    api.delete_branch(repo, branch="feat/a/b")
    assert branches(api, repo) == {"main": start}
    api.create_branch(repo, branch="feat")


def test_a_taken_branch_is_409(api: HfApi, repo: str) -> None:
    """Also a branch that git could not keep beside another is refused as taken."""
    api.create_branch(repo, branch="x")
    api.create_branch(repo, branch="x", exist_ok=True)
    for name in ("x", "x/y"):
        with pytest.raises(HfHubHTTPError) as error:
            api.create_branch(repo, branch=name)
        assert error.value.response.status_code == 409


def test_a_branch_may_carry_a_tags_name(api: HfApi, repo: str, add: Add) -> None:
    """Commits go to the branch; the bare name reads the tag, as in git; the full ref reads either."""
    old = add(repo, {"a": b"1"})
    api.create_tag(repo, tag="both")
    api.create_branch(repo, branch="both")
    new = add(repo, {"a": b"2"}, revision="both")
    assert api.model_info(repo, revision="both").sha == old
    assert api.model_info(repo, revision="refs/heads/both").sha == new


@pytest.mark.parametrize("name", ["a..b", "a b", "a~1", ".a", "a.lock", "a/", "@{x}", "refs/pr/1"])
def test_a_name_that_git_refuses_is_refused(http: httpx2.Client, repo: str, name: str) -> None:
    """Malformed names are bad requests."""
    answer = http.post(f"/api/models/{repo}/branch/{name.replace('/', '%2F').replace(' ', '%20')}", json={})
    assert answer.status_code == 400


def test_main_stays(api: HfApi, repo: str) -> None:
    """The main branch can not be deleted; a branch that is not there is 404."""
    with pytest.raises(HfHubHTTPError) as error:
        api.delete_branch(repo, branch="main")
    assert error.value.response.status_code == 403
    with pytest.raises(RevisionNotFoundError):
        api.delete_branch(repo, branch="none")
    with pytest.raises(RevisionNotFoundError):
        api.create_branch(repo, branch="b", revision="none")


def test_squash_makes_one_root_commit_and_leaves_tags(api: HfApi, repo: str, add: Add) -> None:
    """The branch keeps its files under one new commit; the tag keeps its own history."""
    tagged = add(repo, {"a": b"1"})
    api.create_tag(repo, tag="v1")
    add(repo, {"b": b"1"})
    api.super_squash_history(repo, commit_message="Squashed")
    (only,) = api.list_repo_commits(repo)
    assert only.title == "Squashed"
    assert api.list_repo_files(repo) == [".gitattributes", "a", "b"]
    assert tags(api, repo) == {"v1": tagged}
    assert len(api.list_repo_commits(repo, revision="v1")) == 2
    with pytest.raises(BadRequestError):
        api.super_squash_history(repo, branch="v1")


def test_refs_have_every_member_that_clients_read(http: httpx2.Client, repo: str) -> None:
    """Converts is there though it is empty, and pull requests where they are asked for."""
    assert set(http.get(f"/api/models/{repo}/refs").json()) == {"branches", "converts", "tags"}
    assert http.get(f"/api/models/{repo}/refs?include_prs=1").json()["pullRequests"] == []
