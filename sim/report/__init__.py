"""A failing seed in words and as a space-time diagram.

Begin with `explain`.
"""
