"""Deciding what to answer. Pure: `decide(state, turn, rulebook, answers) → Verdict` with trace.

One stage per file; the order is one tuple in `decide.py`.
"""
