"""`adapterd watch -- CMD` among directories that CMD has nothing to do with."""

import sys

from helpers.adapters import write_adapter
from helpers.sites import Site


def test_a_command_is_not_kept_by_what_others_left_half_way(site: Site) -> None:
    """A directory that waited before the command began is still waiting when its drain is over."""
    assert site.run("sync", "--config", str(site.config)).returncode == 0
    (write_adapter(site.tmp / "train" / "other-run") / "adapter_model.safetensors").unlink()
    done = site.run("watch", "--config", str(site.config), "--", sys.executable, "-c", "raise SystemExit(7)")
    assert done.returncode == 7, done.stderr
    assert site.states() == {"other-run": "waiting"}
