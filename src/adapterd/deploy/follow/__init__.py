"""Follow channels: pull what they hold now, have engines serve it, tell routers, let the former versions go."""

from adapterd.deploy.follow.follower import Follower, Prove, Tell
from adapterd.deploy.follow.memory import Memory
from adapterd.deploy.follow.reporting import Report, Trouble
from adapterd.deploy.follow.wishes import Settings, Spec, Wishes

__all__ = ["Follower", "Memory", "Prove", "Report", "Settings", "Spec", "Tell", "Trouble", "Wishes"]
