"""What a trainer_state.json says of the training."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapterd.core.trainerstate import TrainerState, parse_state


@pytest.mark.parametrize(
    ("history", "losses"),
    [
        ([{"loss": 2.0, "step": 1}, {"loss": 1.5, "step": 2}], {"loss": 1.5}),
        (
            [{"loss": 2.0}, {"eval_loss": 1.75}, {"train_runtime": 9.0, "train_loss": 1.9}],
            {"loss": 2.0, "eval_loss": 1.75},
        ),
        ([{"loss": 1.5, "mean_token_accuracy": 0.7, "entropy": 1.0}], {"loss": 1.5}),
        ([{"loss": 3}], {"loss": 3.0}),
        ([], {}),
        (None, {}),
        ("loss", {}),
        ([7, None, {"loss": "low"}], {}),
        ([{"loss": True}], {}),
        ([{"loss": -0.5}], {}),
        ([{"loss": 1.0}, {"loss": float("nan")}], {}),
        ([{"loss": 1.0}, {"loss": float("inf"), "eval_loss": 1.25}], {"eval_loss": 1.25}),
        ([{"loss": 0.1, "rewards/chosen": 1.0, "logps/chosen": -9.0}], {}),
        ([{"loss": 0.1}, {"eval_loss": 0.2, "eval_rewards/margins": 1.0}], {}),
        ([{"loss": 0.0, "reward": 0.5, "kl": 0.01}], {}),
    ],
)
def test_the_last_losses(history: Any, losses: dict[str, float]) -> None:  # noqa: ANN401 - any JSON value
    """The last of each, if it is a finite number; a preference or reward trainer's loss is no nats per token."""
    assert parse_state(json.dumps({"global_step": 7, "log_history": history}).encode()) == TrainerState(7, losses)


@given(
    st.binary()
    | st.recursive(st.none() | st.floats() | st.text(), st.lists, max_leaves=5).map(json.dumps).map(str.encode)
)
def test_any_bytes_can_be_read(data: bytes) -> None:
    """A file that is none of a trainer's says nothing."""
    assert parse_state(data) == TrainerState()
