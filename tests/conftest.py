"""Options of the test run."""

import pytest

import fastnn


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--exhaustive",
        action="store_true",
        help="test the accuracy of the elementary functions on every float32 and on a million float64 numbers",
    )


def pytest_report_header() -> str:
    return f"fastnn: kernels for {fastnn.kernels.selected}"


@pytest.fixture
def exhaustive(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--exhaustive"))
