"""The lanes: each takes one kind of step. Threads call `turn`; so do `sync` and the tests, without threads."""

from adapterd.lanes.exports import Exports, stamp
from adapterd.lanes.intake import Intake
from adapterd.lanes.line import Steps
from adapterd.lanes.rest import coming, unfinished
from adapterd.lanes.thread import SOONEST, Lane, Turn

__all__ = ["SOONEST", "Exports", "Intake", "Lane", "Steps", "Turn", "coming", "stamp", "unfinished"]
