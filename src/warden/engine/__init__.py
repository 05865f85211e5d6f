"""Use cases: the life of containers and jobs, recovery, events. Composes the layers below; owns the registry."""
