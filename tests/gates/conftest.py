"""The real Hub and the publishers of the publishing tests, for versions that pass a gate or are waived."""

from publishing.conftest import adapter, hub, make_world, template, world

__all__ = ["adapter", "hub", "make_world", "template", "world"]
