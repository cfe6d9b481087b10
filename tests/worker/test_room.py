"""Which device is taken, decided on facts: a table for each rule."""

import pytest

from adapterd.worker.room import (
    MARGIN,
    AbsentError,
    BusyError,
    Device,
    Patience,
    TooSmallError,
    bytes_needed,
    decide,
    share,
)

GIB = 2**30
NEEDED = int(10 * GIB / MARGIN)
"""With its margin the base takes 10 GiB."""
GPU = Device("cuda:0", 24 * GIB, 20 * GIB)
TAKEN = Device("cuda:0", 24 * GIB, 3 * GIB)
SMALL = Device("cuda:1", 8 * GIB, 8 * GIB)
CPU = Device("cpu", 64 * GIB, 30 * GIB)
FULL = Device("cpu", 64 * GIB, 1 * GIB)
GONE = Device("cuda:7", absent="this host has no CUDA device")
UNKNOWN = Device("mps")


@pytest.mark.parametrize(
    ("devices", "waited", "taken"),
    [
        ([GPU, CPU], 0, "cuda:0"),
        ([CPU, GPU], 0, "cpu"),
        ([GONE, CPU], 0, "cpu"),  # what is not there is waited for by nobody
        ([SMALL, CPU], 0, "cpu"),  # nor what could never hold it
        ([TAKEN, CPU], 900, "cpu"),  # its turn has come
        ([TAKEN, CPU], 5000, "cpu"),
        ([GONE, TAKEN, SMALL, CPU], 900, "cpu"),  # absent and small ones have no turn
        ([GPU, CPU], 5000, "cuda:0"),  # the first is asked first all the same
        ([UNKNOWN, CPU], 0, "mps"),  # nobody says how much it has: it is tried
    ],
)
def test_the_first_device_with_room_whose_turn_has_come_is_taken(
    devices: list[Device], waited: float, taken: str
) -> None:
    """Each device but the first opens after the version waited for all before it."""
    assert decide(devices, NEEDED, Patience(waited, 900)) == taken


@pytest.mark.parametrize(
    ("devices", "waited", "said"),
    [
        ([TAKEN], 0, ["cuda:0: 7.00 GiB are missing, the base needs 10.00 GiB and 3.00 GiB are free"]),
        ([TAKEN, CPU], 840, ["cuda:0: 7.00 GiB are missing", "cpu: may be used after another 60 s"]),
        ([TAKEN, FULL], 900, ["cuda:0: 7.00 GiB are missing", "cpu: 9.00 GiB are missing"]),
        ([TAKEN, CPU], -50, ["cpu: may be used after another 900 s"]),  # a clock that went back
    ],
)
def test_a_busy_device_says_what_is_missing(devices: list[Device], waited: float, said: list[str]) -> None:
    """On each device that may be used; for the next ones, when."""
    with pytest.raises(BusyError) as caught:
        decide(devices, NEEDED, Patience(waited, 900))
    assert type(caught.value) is BusyError
    assert all(text in str(caught.value) for text in said), caught.value


def test_without_patience_all_devices_may_be_used_at_once() -> None:
    """As in `adapterd validate`, where a person waits."""
    assert decide([TAKEN, CPU], NEEDED, Patience(0, 0)) == "cpu"


def test_nothing_that_is_there_is_another_thing_than_nothing_that_is_free() -> None:
    """Neither helps to wait for: each is an error of its own, with the figures."""
    with pytest.raises(AbsentError, match="cuda:7: this host has no CUDA device"):
        decide([GONE], NEEDED, Patience())
    with pytest.raises(TooSmallError, match=r"needs 10\.00 GiB, cuda:1 has 8\.00 GiB in all"):
        decide([GONE, SMALL], NEEDED, Patience())
    with pytest.raises(AbsentError, match="no device is listed"):
        decide([], NEEDED, Patience())


def test_a_base_that_is_there_needs_no_room() -> None:
    """Its device is full because of it; but the one before it goes first once it is free, and its turn counts."""
    assert decide([TAKEN], NEEDED, Patience(), resident="cuda:0") == "cuda:0"
    assert decide([SMALL], NEEDED, Patience(), resident="cuda:1") == "cuda:1"
    assert decide([GPU, FULL], NEEDED, Patience(900, 900), resident="cpu") == "cuda:0"
    with pytest.raises(BusyError, match="cpu: may be used after another 900 s"):
        decide([TAKEN, FULL], NEEDED, Patience(0, 900), resident="cpu")


def test_a_base_may_be_spread_over_what_is_there() -> None:
    """The sum counts; of each device no more is taken than leaves room for the passes."""
    whole = share([TAKEN, SMALL, GONE, CPU], NEEDED, {})
    assert list(whole) == ["cuda:0", "cuda:1", "cpu"]
    assert whole["cuda:0"] == int(3 * GIB / MARGIN)
    assert sum(whole.values()) >= NEEDED


def test_the_operators_limits_are_honoured() -> None:
    """A device that they do not name takes nothing; a free one takes no more than they say."""
    limits = {"0": 2 * GIB, "cpu": 60 * GIB}
    assert share([GPU, SMALL, CPU], NEEDED, limits) == {"cuda:0": 2 * GIB, "cpu": NEEDED}
    with pytest.raises(TooSmallError, match=r"can hold 5\.00 GiB of it together"):
        share([GPU, CPU], NEEDED, {"0": 2 * GIB, "cpu": 3 * GIB})
    with pytest.raises(AbsentError, match="max_memory does not name it"):
        share([GPU], NEEDED, {"3": GIB})


def test_a_spread_base_waits_as_well() -> None:
    """What is free on all together is said, and on each."""
    with pytest.raises(BusyError, match=r"GiB are missing.* room is 2\.61 on cuda:0, 0\.87 on cpu"):
        share([TAKEN, FULL], NEEDED, {})
    with pytest.raises(TooSmallError):
        share([SMALL], NEEDED, {})
    with pytest.raises(AbsentError):
        share([GONE], NEEDED, {})


@pytest.mark.parametrize(
    ("stored", "dtype", "quantization", "embedded", "expected"),
    [
        ("bfloat16", "auto", {}, 0, 1600),
        ("bfloat16", "float32", {}, 0, 3200),
        ("float32", "bfloat16", {}, 0, 800),
        ("", "float32", {}, 0, 1600),  # nothing says what it is: as large as its files
        ("bfloat16", "auto", {"load_in_8bit": True}, 0, 800),
        ("bfloat16", "auto", {"load_in_4bit": True}, 0, 400),
        ("float32", "auto", {"load_in_4bit": True}, 0, 200),
        ("bfloat16", "auto", {"load_in_4bit": True}, 200, 700),  # embeddings stay as they are
        ("bfloat16", "auto", {"load_in_4bit": True}, 9999, 1600),
    ],
)
def test_what_a_base_needs_follows_from_files_type_and_quantization(
    stored: str, dtype: str, quantization: dict[str, object], embedded: int, expected: int
) -> None:
    """1600 bytes of files: int8 is half of 16 bits, four bits are a quarter."""
    assert bytes_needed(1600, stored, dtype, quantization, embedded) == expected
