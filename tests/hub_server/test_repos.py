"""Repos as a whole, and who may do what with them."""

from collections.abc import Callable

import httpx2
import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

from adapterd.hub.server import Account, RunningHub

Users = Callable[[str], HfApi]


def status(error: pytest.ExceptionInfo[HfHubHTTPError]) -> int:
    """Give the HTTP status behind the client's exception."""
    return int(error.value.response.status_code)


def test_whoami_names_user_role_and_organisations(user: Users) -> None:
    """Whoami tells a client what doctor wants to know: who, which role, which namespaces."""
    facts = user("rex").whoami()
    assert (facts["name"], facts["type"], facts["auth"]["accessToken"]["role"]) == ("rex", "user", "read")
    assert [org["name"] for org in facts["orgs"]] == ["acme"]


def test_a_wrong_token_is_refused_in_the_hubs_words(hub: RunningHub) -> None:
    """A token that nobody has is no anonymous reader: whoami and every other call answer 401."""
    wrong = {"authorization": "Bearer hf_wrong"}
    answer = httpx2.get(f"{hub.endpoint}/api/whoami-v2", headers=wrong, trust_env=False)
    assert (answer.status_code, answer.json()["error"]) == (401, "Invalid user token.")
    answer = httpx2.get(f"{hub.endpoint}/api/models/acme/any", headers=wrong, trust_env=False)
    assert answer.status_code == 401
    assert answer.headers["x-error-message"] == "Invalid credentials in Authorization header"


def test_a_new_repo_has_a_first_commit_with_gitattributes(api: HfApi, new_id: str, hub: RunningHub) -> None:
    """Creating a repo gives its url on this Hub, and one commit that sends weights to LFS."""
    url = api.create_repo(new_id)
    assert str(url) == f"{hub.endpoint}/{new_id}"
    assert api.list_repo_files(new_id) == [".gitattributes"]
    (first,) = api.list_repo_commits(new_id)
    assert (first.title, first.message) == ("initial commit", "")


def test_a_taken_name_answers_409_with_the_url(api: HfApi, http: httpx2.Client, repo: str, hub: RunningHub) -> None:
    """The client's exist_ok needs the url of the repo that is there, whatever the case of the name."""
    assert api.create_repo(repo.upper(), exist_ok=True).repo_id == repo
    with pytest.raises(HfHubHTTPError) as error:
        api.create_repo(repo)
    assert status(error) == 409
    answer = http.post("/api/repos/create", json={"name": repo.partition("/")[2], "organization": "acme"})
    assert answer.json()["url"] == f"{hub.endpoint}/{repo}"


def test_models_datasets_and_spaces_are_apart(api: HfApi, repo: str, hub: RunningHub) -> None:
    """One name may stand for a model, a dataset and a space."""
    assert str(api.create_repo(repo, repo_type="dataset")) == f"{hub.endpoint}/datasets/{repo}"
    assert str(api.create_repo(repo, repo_type="space", space_sdk="static")) == f"{hub.endpoint}/spaces/{repo}"
    api.delete_repo(repo, repo_type="dataset")
    assert not api.repo_exists(repo, repo_type="dataset")
    assert api.repo_exists(repo)
    assert api.repo_exists(repo, repo_type="space")


def test_a_private_repo_does_not_exist_for_others(user: Users, new_id: str, hub: RunningHub) -> None:
    """Its namespace sees a private repo; strangers, anonymous readers and empty tokens get 404."""
    user("ada").create_repo(new_id, private=True)
    assert user("ada").model_info(new_id).private is True
    assert user("rex").model_info(new_id).private is True
    for stranger in (user("eve"), user("nil"), HfApi(endpoint=hub.endpoint, token=False)):
        with pytest.raises(RepositoryNotFoundError) as error:
            stranger.model_info(new_id)
        assert status(error) == 404
        assert error.value.response.headers["x-error-code"] == "RepoNotFound"


def test_a_public_repo_is_read_without_a_token(repo: str, hub: RunningHub) -> None:
    """Reading a public repo needs no token; it is never gated."""
    info = HfApi(endpoint=hub.endpoint, token=False).model_info(repo)
    assert (info.private, info.gated) == (False, False)


@pytest.mark.parametrize("name", ["rex", "nil", "eve"])
def test_writing_without_the_right_is_403(user: Users, repo: str, new_id: str, name: str) -> None:
    """A read token, an empty token and a stranger's token may not create, commit, tag or delete."""
    asker = user(name)
    for attempt in (
        lambda: asker.create_repo(new_id),
        lambda: asker.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id=repo),
        lambda: asker.create_tag(repo, tag="v1"),
        lambda: asker.delete_repo(repo),
    ):
        with pytest.raises(HfHubHTTPError) as error:
            attempt()
        assert status(error) == 403


def test_auth_check_tells_reading_from_writing(user: Users, repo: str, new_id: str) -> None:
    """auth_check passes, or answers 403 for a repo one may only read, or 404."""
    user("ada").auth_check(repo, write=True)
    user("rex").auth_check(repo)
    with pytest.raises(HfHubHTTPError) as error:
        user("rex").auth_check(repo, write=True)
    assert status(error) == 403
    with pytest.raises(RepositoryNotFoundError):
        user("rex").auth_check(new_id)


def test_a_moved_repo_answers_to_both_names(api: HfApi, repo: str, new_id: str) -> None:
    """The old name leads to the repo under its new id, until somebody creates a repo of that name."""
    api.create_tag(repo, tag="v1")
    api.move_repo(repo, new_id)
    assert api.model_info(repo).id == api.model_info(new_id).id == new_id
    assert [tag.name for tag in api.list_repo_refs(repo).tags] == ["v1"]
    api.create_repo(repo)
    assert api.list_repo_refs(repo).tags == []


def test_a_repo_moves_to_no_taken_name(api: HfApi, repo: str, new_id: str, user: Users) -> None:
    """Moving onto a repo is 409, into a foreign namespace 403, from nowhere 404."""
    api.create_repo(new_id)
    with pytest.raises(HfHubHTTPError) as error:
        api.move_repo(repo, new_id)
    assert status(error) == 409
    with pytest.raises(HfHubHTTPError) as error:
        api.move_repo(repo, "eve/taken")
    assert status(error) == 403
    with pytest.raises(HfHubHTTPError) as error:
        user("ada").move_repo("acme/nowhere", "acme/somewhere")
    assert status(error) == 404


def test_a_deleted_repo_is_gone(api: HfApi, repo: str) -> None:
    """Deleting frees the name; deleting what is not there is 404."""
    api.delete_repo(repo)
    assert not api.repo_exists(repo)
    with pytest.raises(RepositoryNotFoundError):
        api.delete_repo(repo)
    api.delete_repo(repo, missing_ok=True)
    api.create_repo(repo)


def test_visibility_can_be_changed(user: Users, repo: str) -> None:
    """Settings hide a repo and show it again."""
    user("ada").update_repo_settings(repo, private=True)
    assert not user("eve").repo_exists(repo)
    user("ada").update_repo_settings(repo, visibility="public")
    assert user("eve").repo_exists(repo)


def test_listing_shows_only_what_the_asker_may_see(user: Users, new_id: str, repo: str) -> None:
    """list_models filters by author, newest first, and leaves private repos of others out."""
    user("ada").create_repo(new_id, private=True)
    assert [model.id for model in user("ada").list_models(author="acme", limit=2)] == [new_id, repo]
    assert new_id not in [model.id for model in user("eve").list_models(author="acme")]


@pytest.mark.parametrize("repo_id", ["acme/a--b", "acme/x.git", "acme/.x", "datasets/x", "acme/" + "x" * 97])
def test_a_malformed_id_is_refused(http: httpx2.Client, repo_id: str) -> None:
    """Names that would clash with routes or files on disk never become repos."""
    namespace, _, name = repo_id.partition("/")
    answer = http.post("/api/repos/create", json={"name": name, "organization": namespace})
    assert answer.status_code in {400, 403}


@pytest.mark.parametrize("path", ["/nothing", "/api/models/gpt2", "/gpt2/resolve/main/config.json", "/api/x/y/z"])
def test_every_404_carries_an_error_code(http: httpx2.Client, path: str) -> None:
    """The client reads the code, not the status."""
    answer = http.get(path)
    assert (answer.status_code, answer.headers["x-error-code"]) == (404, "RepoNotFound")


@pytest.mark.parametrize("host", ["hub.example", "127.0.0.1.example:80", "", "10.0.0.1"])
def test_a_foreign_host_name_is_refused(http: httpx2.Client, host: str) -> None:
    """A web page that points its own name at loopback (DNS rebinding) reaches nothing."""
    assert http.get("/api/whoami-v2", headers={"host": host}).status_code == 421


def test_a_foreign_origin_is_refused(http: httpx2.Client, hub: RunningHub) -> None:
    """A page of another site may not send requests; a tool that names our own origin may."""
    assert http.get("/api/whoami-v2", headers={"origin": "http://site.example"}).status_code == 403
    assert http.get("/api/whoami-v2", headers={"origin": "null"}).status_code == 403
    assert http.get("/api/whoami-v2", headers={"origin": hub.endpoint}).status_code == 200


def test_the_log_counts_requests_and_their_bytes(http: httpx2.Client, hub: RunningHub) -> None:
    """Whoever has an answer finds its request in the log, with the raw path and no query."""
    hub.requests.clear()
    http.post("/api/validate-yaml?x=1", json={"content": "none"})
    (record,) = hub.requests
    assert record == ("POST", "/api/validate-yaml", 200, len(b'{"content":"none"}'))


def test_an_account_says_which_namespaces_are_its_own(accounts: dict[str, Account]) -> None:
    """Namespaces are compared without their case."""
    assert accounts["ada"].belongs_to("ACME")
    assert accounts["ada"].belongs_to("Ada")
    assert not accounts["ada"].belongs_to("eve")
