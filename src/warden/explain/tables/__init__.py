"""Sentences, in English and Chinese, about everything that `explain` shows: data only, one family a file."""
