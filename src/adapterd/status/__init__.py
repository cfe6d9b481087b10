"""The status page, its JSON, the health checks and the metrics, on loopback; reads the registry only.

Imported by the daemon only where `status.listen` is not off: this is the home of starlette, uvicorn and
prometheus_client.
"""

from adapterd.status.server import StatusServer, start

__all__ = ["StatusServer", "start"]
