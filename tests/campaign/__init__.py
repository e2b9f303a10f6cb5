"""Faults by chance: generators of hostile input, each case made again by its kind and seed.

``python -m campaign`` in the folder of the tests tries them for some minutes and prints what was tried and what failed.
"""
