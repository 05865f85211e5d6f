"""The commands people type: parse, call the client, print, choose an exit code. No engine work happens here."""
