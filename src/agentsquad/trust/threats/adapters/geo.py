"""Countries of addresses, from a file in MaxMind's format that lies on this
machine."""

from __future__ import annotations

from pathlib import Path

import maxminddb

from agentsquad.trust.threats.contract import ProtectionError


class GeoFile:
    """One database, read into memory as it is needed."""

    def __init__(self, path: Path) -> None:
        try:
            self._reader = maxminddb.open_database(str(path))
        except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
            raise ProtectionError(
                f"{path} is no database of places",
                hint="SQUAD_GEO names a file that ends in .mmdb, with countries",
            ) from error

    def country(self, address: str) -> str:
        """Return the country of an address."""
        try:
            found = self._reader.get(address.partition("%")[0])
        except (ValueError, maxminddb.InvalidDatabaseError):
            return ""
        if not isinstance(found, dict):
            return ""
        country = found.get("country") or found.get("registered_country")
        code = country.get("iso_code") if isinstance(country, dict) else None
        return code if isinstance(code, str) else ""
