"""Deployed: workflows that come from the store, deployed as versions or applied
as manifests, beside those that are installed. It holds no logic; versions and
the rooms that keep them do the work.
"""
