"""Adapters of identity: cryptography, the terminal, and other people's
directories.
"""
