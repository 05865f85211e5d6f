"""Control groups: limits, statistics, OOM kills, and killing every process of a container or a job; v1, hybrid and v2."""
