"""The crontab dialect: what is accepted means the same to cron and to the scheduler."""

import pytest
from apscheduler.triggers.cron import CronTrigger

from adapterd.config.cron import cron_fault

ACCEPTED = [
    "* * * * *",
    "*/15 * * * *",
    "0 3 * * mon",
    "0 3 * * mon-fri",
    "0 3 1,15 * *",
    "5-55/10 0-6 1-31 1-12 sun",
    "0 0 1 jan-mar,dec *",
    "*/59 */23 */30 */11 *",
    "0 0 * * SUN",
]
REFUSED = [
    "",
    "* * * *",
    "* * * * * *",
    "60 * * * *",
    "* 24 * * *",
    "* * 0 * *",
    "* * 32 * *",
    "* * * 13 *",
    "* * * * 0",
    "* * * * fri-mon",
    "* * * * funday",
    "*/0 * * * *",
    "*/60 * * * *",
    "9-5 * * * *",
    "5/10 * * * *",
    "1-3/9 * * * *",
    "@daily",
    ", * * * *",
    "* * * dec-jan *",
]


@pytest.mark.parametrize("line", ACCEPTED)
def test_what_is_accepted_can_be_scheduled(line: str) -> None:
    """The scheduler takes every line that the check takes, so a reload never fails later."""
    assert cron_fault(line) == ""
    CronTrigger.from_crontab(line, timezone="UTC")


@pytest.mark.parametrize("line", REFUSED)
def test_what_is_refused_says_what_to_write(line: str) -> None:
    """A line that cron or the scheduler would refuse, or understand differently, is refused with a hint."""
    assert cron_fault(line)
