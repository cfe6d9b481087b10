"""The unit is one that systemd takes without a word, and it is shut as tightly as the documentation says."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
UNIT = ROOT / "systemd" / "adapterd@.service"
FOLLOW = ROOT / "systemd" / "adapterd-follow.service"
GPU = ROOT / "systemd" / "adapterd@.service.d" / "gpu.conf"
TENTHS = 20  # the exposure that must not be exceeded: 2.0


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze; without it there is nothing to ask."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    return subprocess.run(  # the exit code is the answer
        [program, "--no-pager", *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def lay_out(unit: Path, folder: Path) -> None:
    """Write a unit around a program that exists."""
    program = shutil.which("true")
    assert program is not None
    text, changed = re.subn(r"(?m)^ExecStart=\S+", f"ExecStart={program}", unit.read_text())
    assert changed == 1
    (folder / unit.name).write_text(text)


@pytest.fixture(params=["cpu", "gpu"])
def instance(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Lay out the daemon's unit, with and without the GPU drop-in."""
    lay_out(UNIT, tmp_path)
    if request.param == "gpu":
        shutil.copytree(GPU.parent, tmp_path / GPU.parent.name)
    return tmp_path / "adapterd@alice.service"


def settings(path: Path) -> list[tuple[str, str]]:
    """Read the settings of a unit file in their order."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith(("#", "["))]
    return [(name, value) for name, _, value in (line.partition("=") for line in lines)]


def test_systemd_understands_every_line(instance: Path) -> None:
    """`systemd-analyze verify` says nothing: it returns 0 on unknown keys too, so that its silence is asked for."""
    answer = analyze("verify", str(instance))
    assert answer.stderr == ""
    assert answer.returncode == 0


def test_the_exposure_is_at_most_two(instance: Path) -> None:
    """`systemd-analyze security` rates both forms below the limit."""
    answer = analyze("security", "--offline=true", f"--threshold={TENTHS}", str(instance))
    assert answer.returncode == 0, answer.stdout


def test_the_documented_exposure_is_the_measured_one(instance: Path) -> None:
    """docs/operations.md states the figure that this systemd computes, where it is the version it names."""
    answer = analyze("security", "--offline=true", str(instance))
    figure = re.search(r"exposure level.*: (\d+\.\d)", answer.stdout)
    assert figure is not None
    documented = (ROOT / "docs" / "operations.md").read_text()
    version = re.search(r"systemd (\d+)", analyze("--version").stdout)
    assert version is not None
    if f"systemd {version[1]}" in documented:
        assert f"**{figure[1]}**" in documented


def test_the_gpu_form_opens_the_gpus_alone(instance: Path) -> None:
    """Devices are shut in the plain form; the drop-in lists NVIDIA's and nothing else."""
    devices = [value for name, value in settings(GPU) if name == "DeviceAllow"]
    assert devices
    assert all(re.fullmatch(r"char-nvidia(ctl|-frontend|-uvm|-caps)? rw", device) for device in devices)
    answer = analyze("security", "--offline=true", str(instance)).stdout
    opened = (instance.parent / GPU.parent.name).exists()
    assert ("✗ PrivateDevices=" in answer) == opened


def test_every_setting_comes_with_its_reason() -> None:
    """No more than six settings in [Service] follow one another without a comment."""
    for path in (UNIT, GPU, FOLLOW):
        service = path.read_text().partition("[Service]\n")[2].partition("\n[Install]")[0]
        paragraphs = [part for part in re.split(r"\n(?=#)|\n\n", service) if part.strip()]
        longest = max(sum(not line.startswith("#") for line in part.splitlines()) for part in paragraphs)
        assert longest <= 6


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("User", "%i"),  # weights have mode 0600
        ("Type", "notify"),
        ("NotifyAccess", "main"),
        ("ExecReload", "/bin/kill -HUP $MAINPID"),
        ("OOMPolicy", "continue"),
        ("TasksMax", "8192"),  # more than a worker may start, and than it needs
        ("Restart", "on-failure"),
        ("RestartPreventExitStatus", "78"),
        ("KillMode", "mixed"),
        ("LoadCredential", "hf_token:/etc/adapterd/%i.token"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "read-only"),
        ("StateDirectoryMode", "0700"),
        ("RemoveIPC", "no"),  # the training jobs' shared memory belongs to the same user
    ],
)
def test_what_the_daemon_relies_on_is_set(name: str, value: str) -> None:
    """The settings that the daemon's own behaviour assumes are there, once."""
    assert [found for key, found in settings(UNIT) if key == name] == [value]


@pytest.mark.parametrize("name", ["MemoryDenyWriteExecute", "ProcSubset", "DynamicUser", "LimitNPROC"])
def test_what_breaks_validation_is_not_set(name: str) -> None:
    """What breaks bf16 and CUDA, hides /proc/meminfo, cannot read the weights, or counts training's processes."""
    assert name not in dict(settings(UNIT))


def test_no_directory_is_writable_but_its_own() -> None:
    """The unit opens no path for writing: roots and homes are only read."""
    names = dict(settings(UNIT)).keys() | dict(settings(GPU)).keys()
    assert not names & {"ReadWritePaths", "BindPaths", "ReadOnlyPaths", "TemporaryFileSystem"}


def test_the_followers_unit_is_understood_and_shut(tmp_path: Path) -> None:
    """The sidecar's unit is taken without a word, and rates below the same limit."""
    lay_out(FOLLOW, tmp_path)
    answer = analyze("verify", str(tmp_path / FOLLOW.name))
    assert (answer.stderr, answer.returncode) == ("", 0)
    answer = analyze("security", "--offline=true", f"--threshold={TENTHS}", str(tmp_path / FOLLOW.name))
    assert answer.returncode == 0, answer.stdout


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Type", "notify"),
        ("RestartPreventExitStatus", "78"),
        ("TimeoutStartSec", "infinity"),  # the first turn may pull gigabytes
        ("StateDirectoryMode", "0755"),  # engines read it as other users
        ("UMask", "0022"),
        ("LoadCredential", "hf_token:/etc/adapterd/follow.token"),
    ],
)
def test_what_the_follower_relies_on_is_set(name: str, value: str) -> None:
    """The settings that following assumes are there, once."""
    assert [found for key, found in settings(FOLLOW) if key == name] == [value]
