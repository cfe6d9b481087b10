"""What the daemon does for who asks over its control socket; whatever changes something is written down."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from adapterd import log as logs
from adapterd import operate, rebinding, tidy
from adapterd.audit import AuditLog, Entry
from adapterd.control import Handler, Request
from adapterd.health import Health
from adapterd.lanes import Exports, Intake
from adapterd.revalidating import Revalidation
from adapterd.steps.host import Host


@dataclass(frozen=True, slots=True)
class Answers:
    """One handler for each thing that may be asked.

    Attributes:
        host: of the present configuration.
        reread: takes up a configuration that was changed; ConfigError where it is wrong.
        renew: looks for the token again: a person who sets something going may have given another one.
        wake: makes every lane look.
    """

    host: Callable[[], Host]
    health: Health
    audit: AuditLog
    intake: Intake
    exports: Exports
    again: Revalidation
    reread: Callable[[], None]
    renew: Callable[[], None]
    wake: Callable[[], None]

    def handlers(self) -> dict[str, Handler]:
        """By the name that a request gives."""
        changing = {
            "revalidate": self.revalidate,
            "retry": self.retry,
            "waive": self.waive,
            "adopt": self.adopt,
            "rebind": self.rebind,
            "sync": self.sync,
            "erase": self.erase,
            "prune": self.prune,
        }
        asking: dict[str, Handler] = {"status": self.status, "look": self.look}
        return asking | {name: self._audited(do) for name, do in changing.items()}

    def _audited(self, do: Handler) -> Handler:
        def handler(request: Request) -> Mapping[str, Any]:
            self.audit.demand()  # what cannot be written down is not done
            outcome = "failed"
            try:
                answer = do(request)
                outcome = "done"
            finally:
                said = (request.do, request.arguments, logs.redact(request.reason), outcome)
                self.audit.append(Entry(time.time(), request.uid, request.user, *said))
            self.wake()
            return answer

        return handler

    def status(self, request: Request) -> Mapping[str, Any]:  # noqa: ARG002 - every handler takes the request
        """How the daemon stands."""
        return {"health": dict(self.health.document()), "scans_done": self.health.scans_done}

    def look(self, request: Request) -> Mapping[str, Any]:
        """See what somebody moved on the Hub; it changes nothing there."""
        adapter = _text(request, "adapter")
        known = any(record.name == adapter for record in self.host().registry.adapters())
        if known:
            self.exports.look(adapter)
            self.wake()
        return {"looks": known}

    def retry(self, request: Request) -> Mapping[str, Any]:
        """Set what is stalled or rejected going again."""
        self.reread()
        self.renew()
        return {"retried": operate.retry(self.host(), _text(request, "reference"), request.user, request.reason)}

    def waive(self, request: Request) -> Mapping[str, Any]:
        """Set one reason aside for one version."""
        self.reread()
        code, reference = _text(request, "code"), _text(request, "reference")
        return {"waived": operate.waive(self.host(), code, reference, request.user, request.reason)}

    def revalidate(self, request: Request) -> Mapping[str, Any]:
        """Validate published versions again."""
        self.reread()
        versions = operate.to_validate_again(self.host(), _text(request, "reference"))
        self.again.ask_for(versions)
        return {"asked": [version.label for version in versions]}

    def adopt(self, request: Request) -> Mapping[str, Any]:
        """Take over a repo."""
        self.renew()
        return {"commit": operate.adopt(self.host(), _text(request, "adapter"), request.user, request.reason)}

    def rebind(self, request: Request) -> Mapping[str, Any]:
        """Let a series follow its root."""
        self.reread()
        was, count = rebinding.rebind(self.host(), _text(request, "adapter"), _text(request, "root"))
        return {"was": was, "directories": count}

    def sync(self, request: Request) -> Mapping[str, Any]:
        """Scan now, and take these directories up."""
        directories = [str(d) for d in request.arguments.get("directories", [])]
        self.intake.want(directories)
        # The scan after this one is sure to begin after the question.
        return {"wanted": directories, "scan": self.health.scans_begun + 1}

    def erase(self, request: Request) -> Mapping[str, Any]:
        """Take versions from the Hub and from this host."""
        self.renew()
        references = [str(reference) for reference in request.arguments.get("references", [])]
        return tidy.erase(self.host(), references, request.user, request.reason)

    def prune(self, request: Request) -> Mapping[str, Any]:
        """Let go of what nobody needs any more, here or on the Hub."""
        self.reread()
        if not request.arguments.get("hub"):
            return tidy.prune_here(self.host())
        self.renew()
        return tidy.prune_hub(self.host(), request.user, request.reason)


def _text(request: Request, name: str) -> str:
    return str(request.arguments.get(name, ""))
