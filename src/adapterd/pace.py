"""The pace of one endpoint: what may be sent now, what must wait, and whose fault a failure is.

One object for each endpoint, shared by all lanes; it outlives reloads of the configuration and changes of the token.
The decisions are in `core.breaker` and `core.budget`; here are the lock, the clock, and the state of the day. The Hub
client tells it of every request and of how every call ended; steps ask before they begin.
"""

import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from adapterd.core import breaker, budget
from adapterd.core.breaker import Breaker, Rule, State
from adapterd.core.budget import Ledger, Limits, Window
from adapterd.log import get_logger
from adapterd.ports import Pause, Transient

log = get_logger(__name__)

LONGEST = 3600.0
"""No window or quota is waited for longer without asking again, however long the Hub says."""

SPREAD = 2.0
"""Seconds over which hosts that share a token come back when the Hub's window opens."""

_random = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Terms:
    """What the configuration says: how much may be sent, and how long the pauses of breakers are."""

    limits: Limits = field(default_factory=Limits)
    rule: Rule = field(default_factory=Rule)


class Pace:
    """What is known of one endpoint. Thread-safe."""

    def __init__(
        self,
        terms: Terms | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = _random.random,
    ) -> None:
        """Begin with nothing sent and everything closed. Times inside are `monotonic`, those outside are `clock`."""
        self._terms = terms or Terms()
        self._clock, self._monotonic, self._jitter = clock, monotonic, jitter
        self._lock = threading.Lock()
        self._endpoint = Breaker()
        self._actions: dict[str, Breaker] = {}
        self._ledger = Ledger()

    def configure(self, terms: Terms) -> None:
        """Go on under other terms; what was sent and what is open stays."""
        with self._lock:
            self._terms = terms

    # --- what steps ask ---

    def pause(self, action: str, repo: str, requests: int) -> Pause | None:
        """Why a step that ends with an action on a repo, and takes so many requests, must wait; None where it may go.

        Asking takes no turn: the call itself does.
        """
        with self._lock:
            now = self._monotonic()
            if (waits := self._held(action, repo, now)) is not None:
                return waits
            commit_to = repo if action == "commit" else ""
            spent = budget.spent(self._ledger, self._terms.limits, now, requests, commit_to)
            return None if spent is None else self._pause(spent.until, "budget_spent", spent.message, now)

    def tight(self, due: int, repo: str = "", due_of_repo: int = 0) -> bool:
        """Whether the budget runs short for so many versions that are due, or for those of a repo."""
        with self._lock:
            now, limits = self._monotonic(), self._terms.limits
            return budget.tight(self._ledger, limits, now, due) or (
                bool(repo) and budget.tight_for(self._ledger, limits, now, repo, due_of_repo)
            )

    def look_again(self) -> None:
        """A person set something going: whatever failed is tried at once. The Hub's own window stays shut."""
        with self._lock:
            now = self._monotonic()
            self._endpoint = breaker.at_once(self._endpoint, now)
            self._actions = {name: breaker.at_once(each, now) for name, each in self._actions.items()}

    def document(self) -> Mapping[str, Any]:
        """As plain JSON: requests left, the Hub's own windows, commits of the last hour, and what is paused."""
        with self._lock:
            now, limits, ledger = self._monotonic(), self._terms.limits, self._ledger
            named = {"": self._endpoint, **self._actions}
            paused = [
                {
                    "action": name,
                    "state": stands.value,
                    "until": self._at(each.until, now),
                    "message": _said(name, each),
                }
                for name, each in sorted(named.items())
                if (stands := breaker.state(each, now)) is not State.CLOSED
            ]
            windows = {
                name: {"left": each.remaining, "limit": each.limit, "opens": self._at(each.opens, now)}
                for name, each in ledger.windows.items()
                if now < each.opens
            }
            commits = {repo: count for repo in sorted(ledger.commits) if (count := self._commits(repo, now))}
            return {
                "requests": {"left": budget.left(ledger, limits, now), "limit": limits.requests},
                "windows": windows,
                "commits": {"limit": limits.commits, "of_hour": commits},
                "paused": paused,
            }

    def _commits(self, repo: str, now: float) -> int:
        limits = self._terms.limits
        return limits.commits - budget.commits_left(self._ledger, limits, repo, now)

    # --- what the client tells ---

    def enter(self, action: str, repo: str) -> None:
        """A call begins. Transient where it must wait; nothing was sent then."""
        with self._lock:
            now = self._monotonic()
            if (waits := self._held(action, repo, now)) is not None:
                raise self._transient(waits)
            rule = self._terms.rule
            self._endpoint = breaker.begun(self._endpoint, rule, now)
            self._actions[action] = breaker.begun(self._of(action), rule, now)

    def sending(self) -> None:
        """A request goes out. Transient where the Hub's window is empty; nothing was sent then."""
        with self._lock:
            now = self._monotonic()
            if (empty := budget.shut(self._ledger, now)) is not None:
                raise self._transient(self._pause(empty.until, "rate_limited", empty.message, now))
            self._ledger = budget.sent(self._ledger, now)

    def redirected(self) -> None:
        """An answer made the client send one more request to the endpoint."""
        with self._lock:
            self._ledger = budget.sent(self._ledger, self._monotonic())

    def window(self, name: str, remaining: int, seconds: float, limit: int | None) -> None:
        """The Hub said how many requests are left in one of its windows, and in how many seconds it opens anew."""
        with self._lock:
            spread = self._jitter() * SPREAD if remaining <= 0 else 0.0
            opens = self._monotonic() + min(max(1.0, seconds), LONGEST) + spread
            self._ledger = budget.told(self._ledger, name, Window(remaining, opens, limit))

    def committed(self, repo: str) -> None:
        """A commit was made, or may have been."""
        with self._lock:
            self._ledger = budget.committed(self._ledger, repo, self._monotonic())

    def answered(self, action: str, repo: str) -> None:
        """A call was answered, be it with a no."""
        with self._lock:
            was = (self._endpoint, self._of(action))
            self._endpoint = breaker.answered(self._endpoint, repo)
            self._actions[action] = breaker.answered(self._of(action), repo)
        if any(each.until for each in was):
            log.info("hub_answers_again", action=action, repo=repo)

    def ended(self, action: str) -> None:
        """A call came to its end without a word of the Hub's."""
        with self._lock:
            self._endpoint = breaker.ended(self._endpoint)
            self._actions[action] = breaker.ended(self._of(action))

    def failed(self, action: str, repo: str, error: Transient, *, effect: bool, unreached: bool) -> Transient:
        """A call failed; the same error, which now says whether it counts against the caller, and how long to wait."""
        with self._lock:
            now = self._monotonic()
            if error.throttled:
                self._throttled(action, repo, error, now)
            else:
                self._fault(action, repo, error, now, effect=effect, unreached=unreached)
        return error

    def _throttled(self, action: str, repo: str, error: Transient, now: float) -> None:
        if (empty := budget.shut(self._ledger, now)) is not None:
            self._endpoint, self._actions[action] = breaker.ended(self._endpoint), breaker.ended(self._of(action))
            error.retry_after = empty.until - now
            return
        # The Hub answers; it is this action that it has enough of.
        self._endpoint = breaker.answered(self._endpoint, repo)
        asked = min(error.retry_after, LONGEST) if error.retry_after else None
        opened = breaker.refused(self._of(action), self._terms.rule, repo, now, self._jitter(), error.message, asked)
        self._actions[action] = opened
        error.retry_after = breaker.held(opened, repo, now) - now
        log.warning("action_paused", action=action, repo=repo, message=error.message, seconds=round(opened.until - now))

    def _fault(self, action: str, repo: str, error: Transient, now: float, *, effect: bool, unreached: bool) -> None:
        rule, was, asked = self._terms.rule, self._of(action), error.retry_after or 0.0
        only_effect = effect and not unreached
        error.counts = breaker.own(was, repo, effect=only_effect) and not self._endpoint.until

        def failed(of: Breaker, *, several: bool) -> Breaker:
            ours = replace(rule, several=several)
            told = (repo, now, self._jitter(), error.message)
            return breaker.failed(of, ours, *told, everywhere=unreached, at_least=asked)

        self._actions[action] = failed(was, several=only_effect)
        if only_effect:
            self._endpoint = breaker.ended(self._endpoint)
        else:
            self._endpoint = failed(self._endpoint, several=False)
        if error.counts:
            return
        until = max(breaker.held(each, repo, now) for each in (self._endpoint, self._actions[action]))
        if until:
            error.retry_after, error.code = until - now, "hub_paused"
            log.warning("hub_paused", action=action, repo=repo, message=error.message, seconds=round(until - now))
        else:
            # Before anything opens all wait equally long, so that they come back in the order in which they went.
            error.retry_after = max(asked, rule.first)

    def _of(self, action: str) -> Breaker:
        return self._actions.get(action, Breaker())

    def _held(self, action: str, repo: str, now: float) -> Pause | None:
        """Why a call must wait, budgets apart."""
        if (empty := budget.shut(self._ledger, now)) is not None:
            return self._pause(empty.until, "rate_limited", empty.message, now)
        for name, each in (("", self._endpoint), (action, self._of(action))):
            if until := breaker.held(each, repo, now):
                return self._pause(until, "rate_limited" if each.quota else "hub_paused", _said(name, each), now)
        return None

    def _pause(self, until: float, code: str, message: str, now: float) -> Pause:
        return Pause(self._at(until, now), code, message)

    def _at(self, until: float, now: float) -> float:
        """A time of the inner clock, as seconds since the epoch."""
        return self._clock() + max(0.0, until - now) if until else 0.0

    def _transient(self, waits: Pause) -> Transient:
        pause = max(0.0, waits.until - self._clock())
        return Transient(waits.message, retry_after=pause, counts=False, code=waits.code)


def _said(action: str, of: Breaker) -> str:
    """Why something is paused."""
    if of.quota:
        return f"the Hub's quota of {action} is used up: {of.cause}"
    what = action or "the Hub"
    times = "once" if of.failures == 1 else f"{of.failures} times in a row"
    return f"{what} failed {times}, the last time: {of.cause}"
