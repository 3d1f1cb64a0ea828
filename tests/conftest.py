from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast tests first, so that a mistake shows in seconds; the order is otherwise as written."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)
