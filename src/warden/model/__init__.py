"""Plain frozen data that every layer speaks: specifications, results, states. No I/O, no policy."""
