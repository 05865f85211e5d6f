"""The daemon: one asyncio protocol object per connection, requests in, replies out."""
