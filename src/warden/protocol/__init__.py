"""The wire protocol: messages, framing, translation to and from the model."""
