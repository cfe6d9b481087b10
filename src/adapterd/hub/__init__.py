"""The Hub, from both sides: our client of it, and a small real one to run against."""
