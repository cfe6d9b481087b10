"""`adapterd sync` beside a running daemon."""

from collections.abc import Callable

from helpers.adapters import write_adapter
from watch.conftest import Daemon, Site, until

STALLED = 4


def test_sync_comes_back_after_the_daemon_has_looked(site: Site, watch: Callable[..., Daemon]) -> None:
    """What was asked for was taken up before `sync` says how it went, however soon it asks."""
    site.configure(base_models="[]", schedule="{scan: 1h}")
    write_adapter(site.tmp / "train" / "legacy-run")
    daemon = watch().ready()
    until(lambda: site.states().get("legacy-run") == "baseline", "baseline")
    done = site.run("sync", str(site.tmp / "train" / "legacy-run"), "--config", str(site.config))
    assert done.returncode == STALLED, done.stderr
    assert site.states() == {"legacy-run": "settled"}
    assert daemon.stop() == 0
