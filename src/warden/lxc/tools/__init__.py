"""One module for each of LXC's command line tools. Each imports only what it needs: a tool starts in milliseconds."""
