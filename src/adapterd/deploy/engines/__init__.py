"""Serving engines, as a follower speaks to them: what they have loaded, and have them load and unload.

The standard library speaks HTTP here: an engine's address is taken as it is, without a proxy and without redirects.
"""

from adapterd.deploy.engines.command import CommandEngine
from adapterd.deploy.engines.contract import Engine, EngineRefusedError, Order
from adapterd.deploy.engines.openai import ServingEngine

__all__ = ["CommandEngine", "Engine", "EngineRefusedError", "Order", "ServingEngine"]
