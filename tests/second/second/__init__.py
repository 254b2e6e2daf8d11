"""A second implementation of the Porchlight protocol, written from docs/SPEC.md alone.

It shares no code, no library and no language with the first one. Its use is to disagree: what the two do not
do alike is a fault of one of them or of the text.
"""
